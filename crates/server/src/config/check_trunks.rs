//! Trunks, and who may call out by them: compiled and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::inbound::Inbound;
use engine::outbound::{self, Dialling, Rule, Share};
use sip::Net;

use super::check::{Check, is_name};
use super::compile::Settings;
use super::form::{self, Format, Order, Trunk};
use super::read::{AGENTS, TRUNKS};
use super::value::Placed;
use super::walk::near;

type Name = Arc<str>;

/// A host name as the DNS has it (RFC 1123): an address with a slip of the pen is none.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.split('.').all(is_label)
        && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// The trunks, and the outbound side's rules.
pub(super) struct CompiledTrunks {
    pub(super) sip: Vec<sip::Trunk>,
    pub(super) outbound: outbound::Outbound,
    pub(super) inbound: BTreeMap<Name, Inbound>,
}

impl Check<'_> {
    pub(super) fn trunks(&mut self, settings: &Settings, dir: &Path) -> CompiledTrunks {
        let mut names = BTreeSet::new();
        let mut owners: Vec<(Net, Name)> = Vec::new();
        let mut hosts_of: BTreeMap<Name, Name> = BTreeMap::new();
        let mut compiled = CompiledTrunks {
            sip: Vec::new(),
            outbound: outbound::Outbound::default(),
            inbound: BTreeMap::new(),
        };
        for trunk in &self.forms.trunks.trunk {
            let name: Name = trunk.name.as_str().into();
            if !is_name(&name) {
                self.error(
                    TRUNKS,
                    &trunk.name.span,
                    format!("\"{name}\" is no trunk name"),
                    Some("letters, digits, `-`, `_` and `.`"),
                );
                continue;
            }
            if !names.insert(name.clone()) {
                self.error(
                    TRUNKS,
                    &trunk.name.span,
                    format!("there are two trunks `{name}`"),
                    Some("one trunk may have several addresses"),
                );
                continue;
            }
            if trunk.addresses.is_empty() && trunk.certificate.is_none() && trunk.uri.is_none() {
                self.warning(
                    TRUNKS,
                    &trunk.name.span,
                    format!(
                        "trunk `{name}` has no addresses and no uri: nobody can call through it"
                    ),
                    Some("addresses = [\"192.0.2.1\"]"),
                );
            }
            let hosts = self.hosts(trunk, &name, &mut hosts_of);
            let addresses = self.addresses(trunk, &name, &mut owners);
            let carrier = self.carrier(trunk, dir);
            let dialling = self.dialling(trunk, settings);
            let inbound = Inbound {
                country: dialling.country.clone(),
                routes: BTreeMap::new(),
                srtp: trunk
                    .srtp
                    .as_ref()
                    .map(|srtp| super::check_srtp::srtp(srtp.value)),
            };
            compiled.inbound.insert(name.clone(), inbound);
            if carrier.is_some() {
                compiled.outbound.dialling.insert(name.clone(), dialling);
            }
            compiled.sip.push(sip::Trunk {
                name,
                addresses,
                hosts,
                certificate: trunk.certificate.as_ref().map(|name| name.as_str().into()),
                trust: match trunk.trusted {
                    true => sip::Trust::Full,
                    false => sip::Trust::None,
                },
                max_calls: trunk.max_calls as usize,
                calls_per_second: trunk.calls_per_second.unwrap_or(0),
                carrier,
            });
        }
        self.routes_of_trunks(&mut compiled.inbound);
        self.outbound(&mut compiled.outbound);
        self.classes(&mut compiled.outbound);
        compiled
    }

    /// Numbers that are one trunk's alone, under the form that they are looked for.
    fn routes_of_trunks(&mut self, inbound: &mut BTreeMap<Name, Inbound>) {
        for (trunk, number, target) in std::mem::take(&mut self.trunk_routes) {
            let Some(of) = inbound.get_mut(&trunk) else {
                continue; // told below
            };
            let key = crm::Number::parse(&number, &of.country).key().into();
            of.routes.insert(key, target);
        }
        let mut seen = BTreeSet::new();
        for route in &self.forms.trunks.route {
            let Some(trunk) = &route.trunk else { continue };
            if !inbound.contains_key(trunk.as_str()) {
                let known: Vec<&str> = inbound.keys().map(|name| &**name).collect();
                let hint = near(trunk, &known).map(|near| format!("did you mean `{near}`?"));
                let hint = hint.unwrap_or_else(|| format!("there are: {}", known.join(", ")));
                let message = format!("there is no trunk `{}`", trunk.value);
                self.error(TRUNKS, &trunk.span, message, Some(&hint));
            } else if !seen.insert((trunk.as_str(), route.number.as_str())) {
                let message = format!(
                    "trunk `{}` has two routes of {}",
                    trunk.value, route.number.value
                );
                self.error(
                    TRUNKS,
                    &route.number.span,
                    message,
                    Some("a number leads to one place"),
                );
            }
        }
    }

    /// The host names among a trunk's addresses; a name is one trunk's. Which addresses they lead to is known when we run.
    fn hosts(
        &mut self,
        trunk: &Trunk,
        name: &Name,
        owners: &mut BTreeMap<Name, Name>,
    ) -> Vec<Name> {
        let mut hosts = Vec::new();
        for address in trunk.addresses.iter().filter(|text| is_host(text)) {
            let host: Name = address.to_ascii_lowercase().into();
            let owner = owners.get(&host).filter(|owner| *owner != name);
            if let Some(owner) = owner {
                let message = format!("{host} is an address of trunk `{owner}` already");
                let hint = "a call's trunk is told by where it comes from";
                self.error(TRUNKS, &address.span, message, Some(hint));
            } else if owners.len() >= sip::TRUNK_HOSTS_MAX {
                let message = format!("more than {} host names", sip::TRUNK_HOSTS_MAX);
                let hint = "each is looked up again and again: addresses or networks for most";
                self.error(TRUNKS, &address.span, message, Some(hint));
            } else if owners.insert(host.clone(), name.clone()).is_none() {
                hosts.push(host);
            }
        }
        hosts
    }

    /// Who calls is told by where it comes from, so that no address may be two trunks'.
    fn addresses(&mut self, trunk: &Trunk, name: &Name, owners: &mut Vec<(Net, Name)>) -> Vec<Net> {
        let mut nets = Vec::new();
        for address in trunk.addresses.iter().filter(|text| !is_host(text)) {
            let net: Net = match address.parse() {
                Ok(net) => net,
                Err(message) => {
                    let hint = "e.g. \"192.0.2.1\", \"192.0.2.0/24\" or \"sip.carrier.example\"";
                    self.error(TRUNKS, &address.span, message, Some(hint));
                    continue;
                }
            };
            let owner = owners
                .iter()
                .find(|(other, owner)| *owner != *name && (*other == net || other.overlaps(&net)));
            if let Some((_, owner)) = owner {
                let message = format!("{net} is an address of trunk `{owner}` already");
                self.error(
                    TRUNKS,
                    &address.span,
                    message,
                    Some("a call's trunk is told by where it comes from"),
                );
                continue;
            }
            owners.push((net, name.clone()));
            nets.push(net);
        }
        nets
    }

    fn carrier(&mut self, trunk: &Trunk, dir: &Path) -> Option<sip::Carrier> {
        let Some(uri) = &trunk.uri else {
            let useless = [("proxy", &trunk.proxy), ("username", &trunk.username)];
            for (key, value) in useless {
                if let Some(value) = value {
                    self.error(
                        TRUNKS,
                        &value.span,
                        format!("a `{key}` is of no use without a `uri`"),
                        Some("uri = \"sip:carrier.example\""),
                    );
                }
            }
            return None;
        };
        let domain = self.sip_uri(uri)?;
        let next_hop = match &trunk.proxy {
            Some(proxy) => {
                self.sip_uri(proxy)?;
                proxy.value.clone()
            }
            None => uri.value.clone(),
        };
        let account = self.account(trunk, &domain, dir);
        if trunk.register && account.is_none() {
            self.error(
                TRUNKS,
                &trunk.name.span,
                format!(
                    "trunk `{}` cannot register without an account",
                    trunk.name.value
                ),
                Some("username = \"…\" and password_env = \"…\" or password_file = \"…\""),
            );
        }
        if trunk.register_for.0 < Duration::from_secs(30) {
            self.error(
                TRUNKS,
                &trunk.register_for.span,
                "a registration for less than 30 seconds",
                Some("e.g. \"1h\""),
            );
        }
        let options = trunk
            .options
            .as_ref()
            .filter(|interval| !interval.0.is_zero());
        if let Some(interval) = options.filter(|interval| interval.0 < Duration::from_secs(1)) {
            self.error(
                TRUNKS,
                &interval.span,
                "OPTIONS more often than each second",
                Some("e.g. \"30s\""),
            );
        }
        Some(sip::Carrier {
            domain,
            next_hop,
            account,
            register: trunk.register.then_some(trunk.register_for.0),
            options: options.map(|interval| interval.0),
        })
    }

    /// The account, its password from where it is kept.
    fn account(&mut self, trunk: &Trunk, domain: &str, dir: &Path) -> Option<sip::Account> {
        let username = trunk.username.as_ref()?;
        let password = match (&trunk.password_env, &trunk.password_file) {
            (Some(name), None) => std::env::var(name.as_str()).map_err(|_| {
                (
                    name.span.clone(),
                    format!("the environment has no {}", name.value),
                )
            }),
            (None, Some(file)) => std::fs::read_to_string(dir.join(&**file)).map_err(|error| {
                let message = format!("{} cannot be read: {error}", file.display());
                (file.span.clone(), message)
            }),
            (None, None) => Err((
                username.span.clone(),
                format!(
                    "the account of trunk `{}` has no password",
                    trunk.name.value
                ),
            )),
            (Some(name), Some(_)) => Err((
                name.span.clone(),
                format!("trunk `{}` has two passwords", trunk.name.value),
            )),
        };
        match password {
            Ok(password) => Some(sip::Account {
                username: username.value.clone(),
                password: sip::Secret(password.trim_end_matches(['\r', '\n']).to_owned()),
                realm: trunk
                    .realm
                    .clone()
                    .unwrap_or_else(|| host_of(domain).to_owned()),
            }),
            Err((span, message)) => {
                let hint = "password_env = \"CARRIER_PASSWORD\" or password_file = \"carrier.secret\": one of them";
                self.error(TRUNKS, &span, message, Some(hint));
                None
            }
        }
    }

    /// The host (and port) of a SIP URI that names no user.
    fn sip_uri(&mut self, uri: &Placed<String>) -> Option<String> {
        let hint = Some("e.g. \"sip:192.0.2.1\" or \"sip:carrier.example;transport=tcp\"");
        let domain = match sip::message::Uri::parse(uri) {
            Ok(parsed)
                if matches!(
                    parsed.scheme,
                    sip::message::Scheme::Sip | sip::message::Scheme::Sips
                ) && parsed.user().is_none() =>
            {
                match parsed.port {
                    Some(port) => format!("{}:{port}", parsed.host),
                    None => parsed.host.to_string(),
                }
            }
            Ok(_) | Err(_) => {
                let message = format!("\"{}\" is no SIP URI of a host", uri.value);
                self.error(TRUNKS, &uri.span, message, hint);
                return None;
            }
        };
        Some(domain)
    }

    fn dialling(&mut self, trunk: &Trunk, settings: &Settings) -> Dialling {
        let country = match &trunk.country {
            Some(country) if !crm::number::is_country(country) => {
                self.error(
                    TRUNKS,
                    &country.span,
                    format!("\"{}\" is no country", country.value),
                    Some("two capital letters, e.g. \"CN\""),
                );
                settings.country.clone()
            }
            Some(country) => country.as_str().into(),
            None => settings.country.clone(),
        };
        if let Some(prefix) = &trunk.prefix
            && !prefix
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+*#".contains(&byte))
        {
            self.error(
                TRUNKS,
                &prefix.span,
                format!("\"{}\" cannot stand before a number", prefix.value),
                Some("digits, `+`, `*` and `#`"),
            );
        }
        Dialling {
            caller_id: self.caller_id(trunk.caller_id.as_ref(), &country),
            country,
            format: match trunk.format {
                Format::Plus => outbound::Format::Plus,
                Format::E164 => outbound::Format::E164,
                Format::National => outbound::Format::National,
            },
            strip: trunk.strip.into(),
            prefix: trunk.prefix.as_deref().cloned().unwrap_or_default(),
        }
    }

    /// A number of ours in E.164.
    fn caller_id(&mut self, number: Option<&Placed<String>>, country: &str) -> Option<Name> {
        let number = number?;
        let parsed = crm::Number::parse(number, country);
        if parsed.e164.is_none() {
            self.error(
                TRUNKS,
                &number.span,
                format!("\"{}\" is no telephone number", number.value),
                Some("with its country code, e.g. \"+861065529988\""),
            );
        }
        parsed.e164.map(Into::into)
    }

    fn outbound(&mut self, compiled: &mut outbound::Outbound) {
        let mut numbers = BTreeSet::new();
        for rule in &self.forms.trunks.outbound {
            if !is_called(&rule.number) {
                self.error(
                    TRUNKS,
                    &rule.number.span,
                    format!("\"{}\" is no beginning of a number", rule.number.value),
                    Some("\"+86\", \"+\", or a short number like \"110\""),
                );
                continue;
            }
            if !numbers.insert(rule.number.as_str()) {
                self.error(
                    TRUNKS,
                    &rule.number.span,
                    format!("there are two rules for {}", rule.number.value),
                    Some("one rule may have several trunks"),
                );
                continue;
            }
            if !is_name(&rule.class) {
                self.error(
                    TRUNKS,
                    &rule.class.span,
                    format!("\"{}\" is no name of a class", rule.class.value),
                    Some("letters, digits, `-`, `_` and `.`, e.g. \"national\""),
                );
                continue;
            }
            let trunks = self.shares(rule, compiled);
            let caller_id = self.caller_id(rule.caller_id.as_ref(), "ZZ");
            compiled.rules.push(Rule {
                number: rule.number.as_str().into(),
                class: rule.class.as_str().into(),
                trunks,
                caller_id,
            });
        }
    }

    fn shares(
        &mut self,
        rule: &Placed<form::Outbound>,
        compiled: &outbound::Outbound,
    ) -> Vec<Share> {
        if rule.trunks.is_empty() {
            self.error(
                TRUNKS,
                &rule.number.span,
                format!("calls to {} have no trunk", rule.number.value),
                Some("trunks = [\"carrier\"]"),
            );
        }
        let mut shares: Vec<Share> = Vec::new();
        for (index, trunk) in (0..).zip(&rule.trunks) {
            if !compiled.dialling.contains_key(trunk.as_str()) {
                let known: Vec<&str> = compiled.dialling.keys().map(|name| &**name).collect();
                let hint = near(trunk, &known).map(|near| format!("did you mean `{near}`?"));
                let hint = hint.unwrap_or_else(|| "a trunk with a `uri`".to_owned());
                let message = format!("there is no trunk `{}` to call out by", trunk.value);
                self.error(TRUNKS, &trunk.span, message, Some(&hint));
                continue;
            }
            let form = self
                .forms
                .trunks
                .trunk
                .iter()
                .find(|form| form.name.value == trunk.value);
            shares.push(Share {
                trunk: trunk.as_str().into(),
                rank: if rule.order == Order::Listed {
                    index
                } else {
                    0
                },
                weight: form.map_or(1, |form| form.weight),
            });
        }
        shares
    }

    /// Every class that somebody may call must be some rule's: a slip of the pen would bar somebody, or let nobody notice that nothing is barred.
    fn classes(&mut self, compiled: &mut outbound::Outbound) {
        let classes: BTreeSet<Name> = compiled
            .rules
            .iter()
            .map(|rule| rule.class.clone())
            .collect();
        for agent in &self.forms.agents.agent {
            self.known_classes(AGENTS, &agent.may_call, &classes);
        }
        let mut entries = BTreeMap::new();
        for route in &self.forms.trunks.route {
            self.known_classes(TRUNKS, &route.may_call, &classes);
            if !route.may_call.is_empty() {
                if route.flow.is_none() {
                    self.warning(
                        TRUNKS,
                        &route.may_call[0].span,
                        "only a flow transfers: `may_call` of another route is of no use",
                        Some("agents have a `may_call` of their own in agents.toml"),
                    );
                }
                entries.insert(route.number.as_str().into(), names(&route.may_call));
            }
        }
        compiled.entries = entries;
    }

    fn known_classes(&mut self, file: &str, classes: &[Placed<String>], known: &BTreeSet<Name>) {
        let words: Vec<&str> = known.iter().map(|name| &**name).collect();
        for class in classes {
            if !known.contains(class.as_str()) {
                let hint = near(class, &words).map(|near| format!("did you mean `{near}`?"));
                let hint = hint.unwrap_or_else(|| match words.is_empty() {
                    true => "`[[outbound]]` in trunks.toml names classes".to_owned(),
                    false => format!("there are: {}", words.join(", ")),
                });
                let message = format!("no numbers are of the class `{}`", class.value);
                self.error(file, &class.span, message, Some(&hint));
            }
        }
    }
}

/// The names, to be shared.
pub(super) fn names(names: &[Placed<String>]) -> Arc<[Name]> {
    names.iter().map(|name| name.as_str().into()).collect()
}

/// A domain without its port.
fn host_of(domain: &str) -> &str {
    match domain.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => domain,
    }
}

/// `+`, `+` and digits, or a short number.
fn is_called(number: &str) -> bool {
    let digits = number.strip_prefix('+');
    digits
        .unwrap_or(number)
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        && (digits.is_some_and(|digits| digits.len() <= 15) || (2..=6).contains(&number.len()))
}
