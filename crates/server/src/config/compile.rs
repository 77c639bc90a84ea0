//! From the files' forms to what the engine and the edge need; the checks that need more than one value.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::api::{AgentAccount, QueueService};
use ivr::{Diagnostic, Severity};

use super::credential;
use super::flows::{FlowSet, PROMPT_EXTENSIONS};
use super::form::{Agent, Answer, Codec, Digest, Forms, Language, Queue, Role, Route};
use super::read::{AGENTS, CENTRE, QUEUES, TRUNKS};
use super::source::Source;
use super::value::{Length, Placed};
use super::walk::near;

type Name = Arc<str>;

/// Transactions that one call may hold at a time: two legs, INVITE and BYE each, which linger 32 s over UDP (RFC 3261 timers J and K), so that
/// many short calls fit.
const TRANSACTIONS_PER_CALL: usize = 16;
/// Fewest transactions that the endpoint has room for, whatever the limit of calls: registrations need them too.
const TRANSACTIONS_MIN: usize = 65_536;
/// Dialogs that one call may hold: caller, agent, a consulted one, and one on its way out.
const DIALOGS_PER_CALL: usize = 4;
/// Phones that one user may have registered.
const BINDINGS_PER_USER: usize = 4;
/// Largest SIP message taken from a stream.
const SIP_MESSAGE_MAX: usize = 64 * 1024;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub engine: engine::Config,
    pub settings: Settings,
    pub accounts: BTreeMap<Name, Account>,
    /// Everything that is set, without secrets: what `GET /api/v1/config/effective` shows, and what a reload is compared by.
    pub effective: serde_json::Value,
}

/// What the edge must know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub node: Name,
    pub data_dir: PathBuf,
    pub sip: SocketAddr,
    /// The address that phones are told, when it is not the one bound.
    pub sip_public: Option<IpAddr>,
    pub http: SocketAddr,
    pub metrics_token: Option<String>,
    pub rtp: RtpSettings,
    pub ivr_dir: Option<PathBuf>,
    pub drain: Duration,
    pub first_import: Option<Import>,
    pub time_zone: jiff::tz::TimeZone,
    pub country: Name,
    pub realm: Name,
    pub log_level: String,
    pub log_json: bool,
    pub demo_passwords: bool,
}

/// RTP sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpSettings {
    pub bind: IpAddr,
    /// 0: the system picks each.
    pub first: u16,
    pub last: u16,
    /// 0: one a core.
    pub threads: u16,
}

/// Customers that an empty store begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Import {
    File(PathBuf),
    /// The demo's sample customers, in the binary.
    Demo,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: Name,
    pub name: String,
    pub role: Role,
    pub group: Name,
    pub password: Password,
}

/// How somebody signs in at the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// Not at all.
    None,
    /// PHC string.
    Argon2(Name),
    /// `demo-ID`; hashed when first needed, so that thousands of agents load at once.
    Demo,
}

/// The sources of the four files.
#[derive(Debug)]
pub struct Sources {
    pub centre: Source,
    pub queues: Source,
    pub agents: Source,
    pub trunks: Source,
}

/// Where things that are named by relative paths are.
#[derive(Debug)]
pub struct Base<'a> {
    /// The configuration directory; the working directory when the configuration is built in.
    pub dir: &'a Path,
    pub ivr_dir: Option<PathBuf>,
}

/// Compiles the forms. The result is only good when no error was told.
pub fn compile(forms: &Forms, sources: &Sources, flows: &FlowSet, base: &Base<'_>, diagnostics: &mut Vec<Diagnostic>) -> Compiled {
    let mut check = Check { forms, sources, diagnostics, numbers: BTreeMap::new(), routes: BTreeMap::new() };
    let settings = check.settings(base);
    check.centre(&settings);
    let queues = check.queues(base.ivr_dir.as_deref());
    let agents = check.agents(&settings);
    check.routes(flows);
    check.skills();
    let trunks = check.trunks();
    let routes = check.routes;
    let sip = sip_config(forms, &settings, agents.sip, trunks);
    let engine = engine::Config {
        node: settings.node.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        sip,
        acd: acd::Config { seed: 0, queues: queues.acd, agents: agents.acd, back_off: forms.centre.limits.back_off.0 },
        flows: flows.flows.clone(),
        routes,
        queues: queues.services,
        agents: agents.phones,
        media_address: forms.centre.rtp.public.as_deref().copied().unwrap_or(settings.rtp.bind),
        codecs: forms.centre.media.codecs.iter().map(|codec| media_codec(*codec)).collect(),
        ptime: forms.centre.media.ptime.0,
        default_lang: match forms.centre.locale.language {
            Language::ZhCn => media::Lang::ZhCn,
            Language::En => media::Lang::En,
        },
        country: settings.country.clone(),
        look_up_patience: forms.centre.limits.look_up.0,
        pop_patience: forms.centre.limits.pop.0,
        max_calls: forms.centre.limits.calls as usize,
        media_timeout: forms.centre.media.timeout.0,
        max_call: forms.centre.limits.call.0,
        announce_unknown: forms.centre.ivr.announce_unknown,
    };
    Compiled { engine, settings, accounts: agents.accounts, effective: effective(forms) }
}

fn media_codec(codec: Codec) -> media::Codec {
    match codec {
        Codec::Pcmu => media::Codec::Pcmu,
        Codec::Pcma => media::Codec::Pcma,
    }
}

fn effective(forms: &Forms) -> serde_json::Value {
    serde_json::json!({
        "cordboard": forms.centre,
        "queue": forms.queues.queue,
        "agent": forms.agents.agent,
        "trunk": forms.trunks.trunk,
        "route": forms.trunks.route,
    })
}

fn sip_config(forms: &Forms, settings: &Settings, users: HashMap<Name, sip::Credentials>, trunks: Vec<sip::Trunk>) -> sip::Config {
    let centre = &forms.centre;
    let told = SocketAddr::new(settings.sip_public.unwrap_or(settings.sip.ip()), settings.sip.port());
    let calls = centre.limits.calls as usize;
    sip::Config {
        realm: centre.sip.realm.clone(),
        digest: centre
            .sip
            .digest
            .iter()
            .map(|algorithm| match algorithm {
                Digest::Md5 => sip::Algorithm::Md5,
                Digest::Sha256 => sip::Algorithm::Sha256,
            })
            .collect(),
        udp: Some(told),
        tcp: Some(told),
        users: Arc::new(users),
        trunks,
        expires_min: centre.sip.expires_min.0,
        expires_max: centre.sip.expires_max.0,
        nonce_lifetime: centre.sip.nonce_lifetime.0,
        max_transactions: (calls * TRANSACTIONS_PER_CALL).max(TRANSACTIONS_MIN),
        max_dialogs: calls * DIALOGS_PER_CALL,
        max_bindings_per_user: BINDINGS_PER_USER,
        max_message: SIP_MESSAGE_MAX,
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        product: concat!("Cordboard/", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

struct CompiledQueues {
    acd: Vec<acd::api::Queue>,
    services: BTreeMap<Name, QueueService>,
}

#[derive(Default)]
struct CompiledAgents {
    acd: Vec<acd::api::Agent>,
    phones: BTreeMap<Name, AgentAccount>,
    sip: HashMap<Name, sip::Credentials>,
    accounts: BTreeMap<Name, Account>,
}

struct Check<'a> {
    forms: &'a Forms,
    sources: &'a Sources,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// Whose each number is, for the message about a clash.
    numbers: BTreeMap<Name, String>,
    routes: BTreeMap<Name, engine::Route>,
}

impl Check<'_> {
    fn tell(&mut self, file: &str, severity: Severity, span: &Range<usize>, message: String, hint: Option<String>) {
        let source = match file {
            QUEUES => &self.sources.queues,
            AGENTS => &self.sources.agents,
            TRUNKS => &self.sources.trunks,
            _ => &self.sources.centre,
        };
        let diagnostic = source.diagnostic(severity, span, message, hint);
        self.diagnostics.push(diagnostic);
    }

    fn error(&mut self, file: &str, span: &Range<usize>, message: impl Into<String>, hint: Option<&str>) {
        self.tell(file, Severity::Error, span, message.into(), hint.map(str::to_owned));
    }

    fn warning(&mut self, file: &str, span: &Range<usize>, message: impl Into<String>, hint: Option<&str>) {
        self.tell(file, Severity::Warning, span, message.into(), hint.map(str::to_owned));
    }

    fn settings(&mut self, base: &Base<'_>) -> Settings {
        let centre = &self.forms.centre;
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let bind = centre.bind.as_deref().copied().unwrap_or(loopback);
        let pick = |own: &Option<Placed<IpAddr>>| own.as_deref().copied().unwrap_or(bind);
        let time_zone = jiff::tz::TimeZone::get(&centre.locale.time_zone).unwrap_or_else(|_| {
            let hint = "an IANA name, e.g. \"Asia/Shanghai\"";
            self.error(CENTRE, &centre.locale.time_zone.span, format!("there is no time zone \"{}\"", centre.locale.time_zone.value), Some(hint));
            jiff::tz::TimeZone::UTC
        });
        let node = centre.node.as_ref().map_or("cb1", |node| node.as_str());
        Settings {
            node: node.into(),
            data_dir: centre.data_dir.clone().unwrap_or_else(|| PathBuf::from("data")),
            sip: SocketAddr::new(pick(&centre.sip.bind), centre.sip.port),
            sip_public: centre.sip.public.as_deref().copied(),
            http: SocketAddr::new(pick(&centre.http.bind), centre.http.port),
            metrics_token: centre.http.metrics_token.clone(),
            rtp: RtpSettings { bind: pick(&centre.rtp.bind), first: *centre.rtp.first, last: *centre.rtp.last, threads: centre.rtp.threads },
            ivr_dir: base.ivr_dir.clone(),
            drain: centre.limits.drain.0,
            first_import: centre.customers.first_import.as_ref().map(|file| {
                let of_the_file = file.span.start < self.sources.centre.text().len();
                if self.sources.centre.built_in && of_the_file { Import::Demo } else { Import::File(base.dir.join(&file.value)) }
            }),
            time_zone,
            country: centre.locale.country.as_str().into(),
            realm: centre.sip.realm.as_str().into(),
            log_level: centre.log.level.clone(),
            log_json: centre.log.json,
            demo_passwords: *centre.demo_passwords,
        }
    }

    fn centre(&mut self, settings: &Settings) {
        let centre = &self.forms.centre;
        if let Some(node) = &centre.node
            && !is_name(node)
        {
            self.error(CENTRE, &node.span, format!("\"{}\" is no node name", node.value), Some("letters, digits, `-`, `_` and `.`"));
        }
        if centre.sip.digest.is_empty() {
            self.error(CENTRE, &centre.sip.digest.span, "`sip.digest` is empty: nobody could sign in", Some("e.g. [\"SHA-256\", \"MD5\"]"));
        }
        if centre.media.codecs.is_empty() {
            self.error(CENTRE, &centre.media.codecs.span, "`media.codecs` is empty", Some("e.g. [\"PCMA\", \"PCMU\"]"));
        }
        let ptime = centre.media.ptime.0.as_millis();
        if !(10..=60).contains(&ptime) || ptime % 10 != 0 {
            self.error(CENTRE, &centre.media.ptime.span, "`media.ptime` must be 10 to 60 ms in steps of 10", Some("\"20ms\" is what phones use"));
        }
        if !(centre.locale.country.len() == 2 && centre.locale.country.bytes().all(|byte| byte.is_ascii_uppercase())) {
            self.error(CENTRE, &centre.locale.country.span, format!("\"{}\" is no country", centre.locale.country.value), Some("two capital letters, e.g. \"CN\""));
        }
        if centre.sip.expires_min > centre.sip.expires_max {
            self.error(CENTRE, &(0..0), "`sip.expires_min` is more than `sip.expires_max`", None);
        }
        self.rtp(settings);
        self.listeners(settings);
        if let Some(Import::File(file)) = &settings.first_import
            && !file.is_file()
        {
            let span = centre.customers.first_import.as_ref().map_or(0..0, |placed| placed.span.clone());
            self.error(CENTRE, &span, format!("there is no file {}", file.display()), None);
        }
    }

    fn rtp(&mut self, settings: &Settings) {
        let rtp = &self.forms.centre.rtp;
        if settings.rtp.first == 0 {
            return;
        }
        if settings.rtp.first > settings.rtp.last {
            self.error(CENTRE, &rtp.first.span, format!("`rtp.first` ({}) is behind `rtp.last` ({})", settings.rtp.first, settings.rtp.last), None);
        }
        // The SIP port may lie among them: it is bound first, and a port that is taken is left out.
    }

    fn listeners(&mut self, settings: &Settings) {
        let centre = &self.forms.centre;
        let beyond: Vec<&str> = [("SIP", settings.sip.ip()), ("HTTP", settings.http.ip()), ("RTP", settings.rtp.bind)]
            .into_iter()
            .filter(|(_, address)| !address.is_loopback())
            .map(|(what, _)| what)
            .collect();
        if settings.demo_passwords && !beyond.is_empty() {
            let message = format!("demo passwords are refused because {} would listen beyond loopback", beyond.join(", "));
            let hint = "set `demo_passwords = false` and give the agents credentials with `cordboard agent passwd`, or bind 127.0.0.1";
            let span = if centre.demo_passwords.span.is_empty() { centre.bind.as_ref().map_or(0..0, |bind| bind.span.clone()) } else { centre.demo_passwords.span.clone() };
            self.error(CENTRE, &span, message, Some(hint));
        }
        for (what, address, public, span) in [
            ("sip", settings.sip.ip(), &centre.sip.public, centre.sip.bind.as_ref().or(centre.bind.as_ref())),
            ("rtp", settings.rtp.bind, &centre.rtp.public, centre.rtp.bind.as_ref().or(centre.bind.as_ref())),
        ] {
            if address.is_unspecified() && public.is_none() {
                let span = span.map_or(0..0, |placed| placed.span.clone());
                let message = format!("{what} listens on every address, so phones must be told one: `{what}.public` is missing");
                self.error(CENTRE, &span, message, Some("the address of this machine that the phones can reach"));
            }
        }
    }

    /// Takes a number for somebody; false when it is taken.
    fn take_number(&mut self, file: &str, number: &str, span: &Range<usize>, whose: String, route: engine::Route) -> bool {
        if !is_number(number) {
            self.error(file, span, format!("\"{number}\" cannot be dialled"), Some("letters, digits, `+`, `*`, `#`, `-`, `_` and `.`"));
            return false;
        }
        if let Some(owner) = self.numbers.get(number) {
            let message = format!("{whose} has the number {number}, which is {owner}'s");
            self.error(file, span, message, Some("a number leads to one place"));
            return false;
        }
        self.numbers.insert(number.into(), whose);
        self.routes.insert(number.into(), route);
        true
    }

    fn queues(&mut self, ivr_dir: Option<&Path>) -> CompiledQueues {
        let mut compiled = CompiledQueues { acd: Vec::new(), services: BTreeMap::new() };
        for queue in &self.forms.queues.queue {
            let name: Name = queue.name.as_str().into();
            if !is_name(&name) {
                self.error(QUEUES, &queue.name.span, format!("\"{name}\" is no queue name"), Some("letters, digits, `-`, `_` and `.`"));
                continue;
            }
            if compiled.services.contains_key(&name) {
                self.error(QUEUES, &queue.name.span, format!("there are two queues `{name}`"), None);
                continue;
            }
            if let Some(number) = &queue.number {
                self.take_number(QUEUES, number, &number.span, format!("queue `{name}`"), engine::Route::Queue(name.clone()));
            }
            if queue.ring.0 < Duration::from_secs(1) {
                self.error(QUEUES, &queue.ring.span, format!("queue `{name}` rings for less than a second"), Some("e.g. \"20s\""));
            }
            self.music(queue, ivr_dir);
            compiled.services.insert(name.clone(), service(&name, queue));
            compiled.acd.push(acd_queue(&name, queue));
        }
        compiled
    }

    fn music(&mut self, queue: &Queue, ivr_dir: Option<&Path>) {
        let Some(music) = &queue.music else { return };
        let found = ivr_dir.is_some_and(|dir| {
            PROMPT_EXTENSIONS.iter().any(|extension| dir.join("prompts").join(format!("{}.{extension}", music.value)).is_file())
        });
        if !found {
            let place = ivr_dir.map_or_else(|| "no ivr directory".to_owned(), |dir| format!("{}/prompts", dir.display()));
            self.error(QUEUES, &music.span, format!("there is no music \"{}\" ({place})", music.value), Some("a file name without its extension, e.g. \"music/default\""));
        }
    }

    fn agents(&mut self, settings: &Settings) -> CompiledAgents {
        let mut compiled = CompiledAgents::default();
        for agent in &self.forms.agents.agent {
            let id: Name = agent.id.as_str().into();
            if compiled.accounts.contains_key(&id) {
                self.error(AGENTS, &agent.id.span, format!("there are two agents `{id}`"), None);
                continue;
            }
            let account = Account { id: id.clone(), name: agent.name.clone(), role: agent.role, group: agent.group.as_str().into(), password: self.password(agent, settings) };
            compiled.accounts.insert(id.clone(), account);
            if let Some(credentials) = self.phone_credentials(agent, settings) {
                compiled.sip.insert(id.clone(), credentials);
            }
            if matches!(agent.role, Role::Admin | Role::Service) {
                continue;
            }
            if !self.take_number(AGENTS, &id, &agent.id.span, format!("agent `{id}`"), engine::Route::Agent(id.clone())) {
                continue;
            }
            self.contact(agent);
            let contact = agent.contact.as_ref().map(|contact| contact.as_str().into());
            compiled.phones.insert(id.clone(), AgentAccount { id: id.clone(), name: agent.name.clone(), group: agent.group.as_str().into(), contact });
            if agent.role == Role::Agent {
                compiled.acd.push(acd_agent(&id, agent));
            }
        }
        if compiled.acd.is_empty() && !self.forms.queues.queue.is_empty() {
            self.warning(AGENTS, &(0..0), "there are no agents: callers of the queues will wait for ever", None);
        }
        compiled
    }

    fn password(&mut self, agent: &Agent, settings: &Settings) -> Password {
        match &agent.password_argon2 {
            Some(hash) if hash.starts_with("$argon2id$") => Password::Argon2(hash.as_str().into()),
            Some(hash) => {
                self.error(AGENTS, &hash.span, "this is no argon2id hash", Some("`cordboard agent passwd ID` prints one"));
                Password::None
            }
            None if settings.demo_passwords && has_no_credentials(agent) => Password::Demo,
            None => Password::None,
        }
    }

    fn phone_credentials(&mut self, agent: &Agent, settings: &Settings) -> Option<sip::Credentials> {
        for (value, length, name) in [(&agent.ha1_md5, 32, "ha1_md5"), (&agent.ha1_sha256, 64, "ha1_sha256")] {
            if let Some(value) = value
                && !(value.len() == length && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
            {
                self.error(AGENTS, &value.span, format!("`{name}` must be {length} hex digits"), Some("`cordboard agent passwd ID` prints it"));
            }
        }
        if settings.demo_passwords && has_no_credentials(agent) {
            let (id, password) = (agent.id.as_str(), credential::demo_password(&agent.id));
            let (md5, sha256) = (credential::ha1_md5(id, &settings.realm, &password), credential::ha1_sha256(id, &settings.realm, &password));
            return Some(sip::Credentials { md5: Some(md5), sha256: Some(sha256) });
        }
        let lower = |value: &Option<Placed<String>>| value.as_ref().map(|hash| hash.to_lowercase());
        let credentials = sip::Credentials { md5: lower(&agent.ha1_md5), sha256: lower(&agent.ha1_sha256) };
        if credentials == sip::Credentials::default() {
            return None;
        }
        let offered = &self.forms.centre.sip.digest;
        let usable = offered.iter().any(|algorithm| match algorithm {
            Digest::Md5 => credentials.md5.is_some(),
            Digest::Sha256 => credentials.sha256.is_some(),
        });
        if !usable {
            let message = format!("agent `{}` has no HA1 for what `sip.digest` offers: the phone could never register", agent.id.value);
            self.error(AGENTS, &agent.id.span, message, Some("`cordboard agent passwd ID` prints one for each algorithm"));
        }
        Some(credentials)
    }

    fn contact(&mut self, agent: &Agent) {
        if let Some(contact) = &agent.contact
            && !is_fixed_contact(contact)
        {
            let message = format!("\"{}\" is no SIP URI with an address", contact.value);
            self.error(AGENTS, &contact.span, message, Some("e.g. \"sip:1001@192.0.2.7:5060\"; names are not looked up"));
        }
    }

    /// Warns of skills that a queue requires and no agent has.
    fn skills(&mut self) {
        let mut best: HashMap<&str, u8> = HashMap::new();
        for agent in self.forms.agents.agent.iter().filter(|agent| agent.role == Role::Agent) {
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
                    Some(best) => format!("queue `{}` requires {skill} at level {}, but the best agent has {best}", queue.name.value, level.0),
                    None => format!("queue `{}` requires the skill `{skill}`, which no agent has", queue.name.value),
                };
                let hint = near(skill, &known).filter(|near| near != skill).map(|near| format!("did you mean `{near}`?"));
                self.tell(QUEUES, Severity::Warning, &level.span, message, hint);
            }
        }
    }

    fn routes(&mut self, flows: &FlowSet) {
        for route in &self.forms.trunks.route {
            let Some((target, reference)) = self.route(route) else { continue };
            // The built-in routes give way: a configuration that says nothing of numbers has only those that it can serve.
            let built_in = self.sources.trunks.built_in && route.number.span.start < self.sources.trunks.text().len();
            let (known, kind): (Vec<&str>, &str) = match &target {
                engine::Route::Flow(_) => (flows.names.iter().map(|name| &**name).collect(), "flow"),
                engine::Route::Queue(_) => (self.forms.queues.queue.iter().map(|queue| queue.name.as_str()).collect(), "queue"),
                engine::Route::Agent(_) => (self.forms.agents.agent.iter().map(|agent| agent.id.as_str()).collect(), "agent"),
                engine::Route::Echo | engine::Route::Tone { .. } => (Vec::new(), ""),
            };
            if let Some(reference) = reference
                && !known.contains(&reference.as_str())
            {
                if !built_in {
                    let hint = near(&reference, &known).map(|near| format!("did you mean `{near}`?"));
                    let hint = hint.or_else(|| (kind == "flow" && known.is_empty()).then(|| "there are no flows: set `ivr.dir`".to_owned()));
                    self.tell(TRUNKS, Severity::Error, &reference.span, format!("there is no {kind} `{}`", reference.value), hint);
                }
                continue;
            }
            if !(built_in && self.numbers.contains_key(route.number.as_str())) {
                self.take_number(TRUNKS, &route.number, &route.number.span, "a route".to_owned(), target);
            }
        }
    }

    /// Where a route leads, and the name in it that must exist.
    fn route<'r>(&mut self, route: &'r Placed<Route>) -> Option<(engine::Route, Option<&'r Placed<String>>)> {
        let mut targets = Vec::new();
        let name = |placed: &Placed<String>| Name::from(placed.as_str());
        targets.extend(route.flow.as_ref().map(|flow| (engine::Route::Flow(name(flow)), Some(flow))));
        targets.extend(route.queue.as_ref().map(|queue| (engine::Route::Queue(name(queue)), Some(queue))));
        targets.extend(route.agent.as_ref().map(|agent| (engine::Route::Agent(name(agent)), Some(agent))));
        targets.extend(route.echo.then_some((engine::Route::Echo, None)));
        targets.extend(route.tone.map(|hertz| (engine::Route::Tone { hertz }, None)));
        if targets.len() != 1 {
            let message = format!("the route of {} must lead to exactly one place", route.number.value);
            self.error(TRUNKS, &route.number.span, message, Some("one of `flow`, `queue`, `agent`, `echo = true`, `tone = 1004`"));
            return None;
        }
        targets.pop()
    }

    fn trunks(&mut self) -> Vec<sip::Trunk> {
        let mut names = BTreeSet::new();
        let mut owners: BTreeMap<IpAddr, Name> = BTreeMap::new();
        let mut trunks = Vec::new();
        for trunk in &self.forms.trunks.trunk {
            let name: Name = trunk.name.as_str().into();
            if !names.insert(name.clone()) {
                self.error(TRUNKS, &trunk.name.span, format!("there are two trunks `{name}`"), None);
                continue;
            }
            if trunk.addresses.is_empty() {
                self.warning(TRUNKS, &trunk.name.span, format!("trunk `{name}` has no addresses: nobody can call in through it"), None);
            }
            for address in &trunk.addresses {
                if let Some(owner) = owners.insert(**address, name.clone())
                    && owner != name
                {
                    self.error(TRUNKS, &address.span, format!("{} is an address of trunk `{owner}` already", address.value), None);
                }
            }
            trunks.push(sip::Trunk { name, addresses: trunk.addresses.iter().map(|address| **address).collect(), max_calls: trunk.max_calls as usize });
        }
        trunks
    }
}

fn service(name: &Name, queue: &Queue) -> QueueService {
    QueueService {
        name: name.clone(),
        service_level: queue.service_level.0,
        short_abandon: queue.short_abandon.0,
        answer_on_agent: queue.answer == Answer::OnAgent,
        music: queue.music.as_ref().map_or("music/default", |music| music.as_str()).into(),
        announce_every: queue.announce_every.map(|Length(every)| every).filter(|every| !every.is_zero()),
    }
}

fn levels(skills: &BTreeMap<String, Placed<super::value::Level>>) -> BTreeMap<Name, u8> {
    skills.iter().map(|(skill, level)| (skill.as_str().into(), level.0)).collect()
}

fn acd_queue(name: &Name, queue: &Queue) -> acd::api::Queue {
    acd::api::Queue {
        name: name.clone(),
        skills: levels(&queue.skills),
        ring: queue.ring.0,
        wrap_up: queue.wrap_up.0,
        priority: queue.priority,
        class_credit: queue.class_credit.iter().map(|(class, credit)| (class.as_str().into(), *credit)).collect(),
        max_waiting: queue.max_waiting as usize,
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

fn has_no_credentials(agent: &Agent) -> bool {
    agent.password_argon2.is_none() && agent.ha1_md5.is_none() && agent.ha1_sha256.is_none()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+*#-_.".contains(&byte))
}

fn is_fixed_contact(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("sip:") else { return false };
    let rest = rest.split([';', '?']).next().unwrap_or_default();
    let host = rest.rsplit('@').next().unwrap_or_default();
    host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}
