//! Agents and others who sign in: compiled and checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use engine::api::AgentAccount;
use ivr::Severity;
use sip::message::{Host, Scheme};

use super::check::Check;
use super::check_srtp::srtp as srtp_in_engine;
use super::compile::{Account, Password, Settings, levels};
use super::credential;
use super::form::{Agent, AutoAnswer, Digest, Role};
use super::read::{AGENTS, QUEUES};
use super::value::{Length, Placed};
use super::walk::near;

type Name = Arc<str>;

#[derive(Default)]
pub(super) struct CompiledAgents {
    pub(super) acd: Vec<acd::api::Agent>,
    pub(super) phones: BTreeMap<Name, AgentAccount>,
    pub(super) sip: HashMap<Name, sip::Credentials>,
    pub(super) accounts: BTreeMap<Name, Account>,
}

impl Check<'_> {
    pub(super) fn agents(&mut self, settings: &Settings) -> CompiledAgents {
        let mut compiled = CompiledAgents::default();
        for agent in &self.forms.agents.agent {
            let id: Name = agent.id.as_str().into();
            if compiled.accounts.contains_key(&id) {
                self.error(
                    AGENTS,
                    &agent.id.span,
                    format!("there are two agents `{id}`"),
                    Some("an id is one person's"),
                );
                continue;
            }
            let account = Account {
                id: id.clone(),
                name: agent.name.clone(),
                role: agent.role,
                group: agent.group.as_str().into(),
                password: self.password(agent, settings),
            };
            compiled.accounts.insert(id.clone(), account);
            if let Some(credentials) = self.phone_credentials(agent, settings) {
                compiled.sip.insert(id.clone(), credentials);
            }
            if matches!(agent.role, Role::Admin | Role::Service) {
                continue;
            }
            if !self.take_number(
                AGENTS,
                &id,
                &agent.id.span,
                format!("agent `{id}`"),
                engine::Route::Agent(id.clone()),
            ) {
                continue;
            }
            self.contact(agent);
            let contact = agent
                .contact
                .as_ref()
                .map(|contact| contact.as_str().into());
            compiled.phones.insert(
                id.clone(),
                AgentAccount {
                    id: id.clone(),
                    name: agent.name.clone(),
                    group: agent.group.as_str().into(),
                    contact,
                    may_call: super::check_trunks::names(&agent.may_call),
                    auto_answer: auto_answer(
                        agent
                            .auto_answer
                            .unwrap_or(self.forms.centre.sip.auto_answer),
                    ),
                    srtp: agent.srtp.as_ref().map(|srtp| srtp_in_engine(srtp.value)),
                },
            );
            if agent.role == Role::Agent {
                compiled.acd.push(acd_agent(&id, agent));
            }
        }
        if compiled.acd.is_empty() && !self.forms.queues.queue.is_empty() {
            self.warning(
                AGENTS,
                &(0..0),
                "there are no agents: callers of the queues will wait for ever",
                Some("`cordboard agent add` writes one"),
            );
        }
        compiled
    }

    pub(super) fn password(&mut self, agent: &Agent, settings: &Settings) -> Password {
        match &agent.password_argon2 {
            Some(hash) if hash.starts_with("$argon2id$") => Password::Argon2(hash.as_str().into()),
            Some(hash) => {
                self.error(
                    AGENTS,
                    &hash.span,
                    "this is no argon2id hash",
                    Some("`cordboard agent passwd ID` prints one"),
                );
                Password::None
            }
            None if settings.demo_passwords && has_no_credentials(agent) => Password::Demo,
            None => Password::None,
        }
    }

    pub(super) fn phone_credentials(
        &mut self,
        agent: &Agent,
        settings: &Settings,
    ) -> Option<sip::Credentials> {
        for (value, length, name) in [
            (&agent.ha1_md5, 32, "ha1_md5"),
            (&agent.ha1_sha256, 64, "ha1_sha256"),
        ] {
            if let Some(value) = value
                && !(value.len() == length && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
            {
                self.error(
                    AGENTS,
                    &value.span,
                    format!("`{name}` must be {length} hex digits"),
                    Some("`cordboard agent passwd ID` prints it"),
                );
            }
        }
        if settings.demo_passwords && has_no_credentials(agent) {
            let (id, password) = (agent.id.as_str(), credential::demo_password(&agent.id));
            let (md5, sha256) = (
                credential::ha1_md5(id, &settings.realm, &password),
                credential::ha1_sha256(id, &settings.realm, &password),
            );
            return Some(sip::Credentials {
                md5: Some(md5),
                sha256: Some(sha256),
            });
        }
        let lower = |value: &Option<Placed<String>>| value.as_ref().map(|hash| hash.to_lowercase());
        let credentials = sip::Credentials {
            md5: lower(&agent.ha1_md5),
            sha256: lower(&agent.ha1_sha256),
        };
        if credentials == sip::Credentials::default() {
            return None;
        }
        let offered = &self.forms.centre.sip.digest;
        let usable = offered.iter().any(|algorithm| match algorithm {
            Digest::Md5 => credentials.md5.is_some(),
            Digest::Sha256 => credentials.sha256.is_some(),
        });
        if !usable {
            let message = format!(
                "agent `{}` has no HA1 for what `sip.digest` offers: the phone could never register",
                agent.id.value
            );
            self.error(
                AGENTS,
                &agent.id.span,
                message,
                Some("`cordboard agent passwd ID` prints one for each algorithm"),
            );
        }
        Some(credentials)
    }

    pub(super) fn contact(&mut self, agent: &Agent) {
        if let Some(contact) = &agent.contact
            && !is_fixed_contact(contact)
        {
            let message = format!("\"{}\" is no SIP URI", contact.value);
            self.error(
                AGENTS,
                &contact.span,
                message,
                Some("e.g. \"sip:1001@192.0.2.7:5060\" or \"sip:1001@phones.example\""),
            );
        }
    }

    /// Warns of skills that a queue requires and no agent has.
    pub(super) fn skills(&mut self) {
        let mut best: HashMap<&str, u8> = HashMap::new();
        for agent in self
            .forms
            .agents
            .agent
            .iter()
            .filter(|agent| agent.role == Role::Agent)
        {
            for (skill, level) in &agent.skills {
                let best = best.entry(skill).or_default();
                *best = (*best).max(level.0);
            }
        }
        let known: BTreeSet<&str> = best.keys().copied().collect();
        let known: Vec<&str> = known.into_iter().collect();
        for queue in &self.forms.queues.queue {
            for (skill, level) in &queue.skills {
                let message = match best.get(skill.as_str()) {
                    Some(best) if *best >= level.0 => continue,
                    Some(best) => format!(
                        "queue `{}` requires {skill} at level {}, but the best agent has {best}",
                        queue.name.value, level.0
                    ),
                    None => format!(
                        "queue `{}` requires the skill `{skill}`, which no agent has",
                        queue.name.value
                    ),
                };
                let hint = near(skill, &known)
                    .filter(|near| near != skill)
                    .map(|near| format!("did you mean `{near}`?"));
                self.tell(QUEUES, Severity::Warning, &level.span, message, hint);
            }
        }
    }
}

fn acd_agent(id: &Name, agent: &Agent) -> acd::api::Agent {
    acd::api::Agent {
        id: id.clone(),
        group: agent.group.as_str().into(),
        skills: levels(&agent.skills),
        auto_ready: agent.auto_ready,
        wrap_up: agent.wrap_up.map(|Length(wrap_up)| wrap_up),
        fixed: agent.contact.is_some(),
    }
}

fn auto_answer(how: AutoAnswer) -> engine::AutoAnswer {
    match how {
        AutoAnswer::Off => engine::AutoAnswer::Off,
        AutoAnswer::CallInfo => engine::AutoAnswer::CallInfo,
        AutoAnswer::AlertInfo => engine::AutoAnswer::AlertInfo,
        AutoAnswer::Both => engine::AutoAnswer::Both,
    }
}

fn has_no_credentials(agent: &Agent) -> bool {
    agent.password_argon2.is_none() && agent.ha1_md5.is_none() && agent.ha1_sha256.is_none()
}

/// An address or a name, which is resolved when it is called (RFC 3263).
fn is_fixed_contact(uri: &str) -> bool {
    sip::message::Uri::parse(uri).is_ok_and(|uri| {
        matches!(uri.scheme, Scheme::Sip | Scheme::Sips) && uri.host != Host::Name("")
    })
}
