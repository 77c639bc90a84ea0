//! From the files' forms to what the engine and the edge need; the checks that need more than one value.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ivr::Diagnostic;

use super::check::Check;
use super::flows::FlowSet;
use super::form::{self, Codec, Digest, Forms, Language, ReliableProvisionals, Role, Scanners};
use super::source::Source;
use super::value::Placed;
use crate::tls;

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
    /// Shared with the engine, which is given it whole: thousands of agents are not held twice.
    pub engine: Arc<engine::Config>,
    pub settings: Settings,
    pub accounts: BTreeMap<Name, Account>,
    /// Everything that is set, without secrets: what `GET /api/v1/config/effective` shows, and what a reload is compared by.
    pub effective: Effective,
}

/// What the edge must know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub node: Name,
    pub data_dir: PathBuf,
    /// Where SIP listens; never empty.
    pub sip: Vec<SocketAddr>,
    /// What phones are told in place of an address bound, one of each family.
    pub sip_public: Vec<IpAddr>,
    /// Port of TLS on the same addresses; used with a certificate.
    pub sip_tls_port: u16,
    pub sip_tls: tls::Keys,
    pub http_tls: tls::Keys,
    pub dns_servers: Vec<SocketAddr>,
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
    pub hep: Option<crate::hep::Settings>,
    /// For texts that flows read out; `None` where there are none.
    pub speech: Option<crate::speech::Engine>,
    /// New requests a second of one stranger; 0 is without limit.
    pub source_rate: u32,
    /// How long recordings are kept; `None`: for ever.
    pub keep_recordings: Option<Duration>,
    pub agents_may_listen: bool,
}

/// RTP sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpSettings {
    /// One of each family at most; never empty.
    pub bind: Vec<IpAddr>,
    /// What SDP tells for each of them.
    pub told: Vec<IpAddr>,
    /// 0: the system picks each.
    pub first: u16,
    pub last: u16,
    /// The port that browsers share; 0: the system picks it.
    pub browsers: u16,
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
pub fn compile(
    forms: &Forms,
    sources: &Sources,
    flows: &FlowSet,
    base: &Base<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Compiled {
    let mut check = Check {
        forms,
        sources,
        diagnostics,
        numbers: BTreeMap::new(),
        routes: BTreeMap::new(),
        trunk_routes: Vec::new(),
    };
    let mut settings = check.settings(base);
    settings.speech = check.speech(&flows.flows, base, &settings.data_dir);
    check.centre(&settings);
    let queues = check.queues(base.ivr_dir.as_deref(), &settings.time_zone);
    let agents = check.agents(&settings);
    check.routes(flows);
    check.skills();
    check.queue_rules(flows);
    let trunks = check.trunks(&settings, base.dir);
    check.srtp();
    let routes = check.routes;
    let phones = phones(forms, &agents.phones);
    let sip = sip_config(forms, agents.sip, trunks.sip, phones);
    let engine = engine::Config {
        node: settings.node.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        sip,
        acd: Arc::new(acd::Config {
            seed: 0,
            queues: queues.acd,
            agents: agents.acd,
            back_off: forms.centre.limits.back_off.0,
        }),
        flows: flows.flows.clone(),
        routes,
        queues: queues.services,
        agents: agents.phones,
        media_addresses: settings.rtp.told.clone(),
        codecs: forms
            .centre
            .media
            .codecs
            .iter()
            .map(|codec| media_codec(*codec))
            .filter(|codec| codec.is_built())
            .collect(),
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
        speech: engine::api::Speech {
            patience: forms.centre.speech.timeout.0,
            otherwise: (forms.centre.speech.otherwise.as_ref())
                .map(|prompt| prompt.as_str().into()),
        },
        outbound: trunks.outbound,
        inbound: trunks.inbound,
        show_withheld: forms.centre.customers.show_withheld_numbers,
        record_calls: super::check_routes::rule(forms.centre.recording.calls, 100),
        encryption: engine::secrecy::Encryption {
            srtp: super::check_srtp::srtp(forms.centre.media.srtp.value),
            keys_in_clear: forms.centre.media.srtp_keys_in_clear,
        },
        capture: settings.hep.is_some(),
    };
    Compiled {
        engine: Arc::new(engine),
        settings,
        accounts: agents.accounts,
        effective: effective(forms),
    }
}

pub(super) fn media_codec(codec: Codec) -> media::Codec {
    match codec {
        Codec::Pcmu => media::Codec::Pcmu,
        Codec::Pcma => media::Codec::Pcma,
        Codec::G722 => media::Codec::G722,
        Codec::Opus => media::Codec::Opus,
    }
}

/// What is set, as its JSON text: a tenth of the memory of its values, which nobody needs until a reload or a look at it.
#[derive(Clone, Debug)]
pub struct Effective(Box<str>);

impl Effective {
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).expect("it was written by serde_json")
    }
}

fn effective(forms: &Forms) -> Effective {
    #[derive(serde::Serialize)]
    struct All<'a> {
        cordboard: &'a form::Centre,
        queue: &'a Vec<Placed<form::Queue>>,
        agent: &'a Vec<Placed<form::Agent>>,
        trunk: &'a Vec<Placed<form::Trunk>>,
        route: &'a Vec<Placed<form::Route>>,
        outbound: &'a Vec<Placed<form::Outbound>>,
    }
    let all = All {
        cordboard: &forms.centre,
        queue: &forms.queues.queue,
        agent: &forms.agents.agent,
        trunk: &forms.trunks.trunk,
        route: &forms.trunks.route,
        outbound: &forms.trunks.outbound,
    };
    let text = serde_json::to_string(&all).expect("forms are plain data with string keys");
    Effective(text.into())
}

/// Where the phones at fixed addresses are, and how often phones are asked whether they live.
fn phones(forms: &Forms, agents: &BTreeMap<Name, engine::AgentAccount>) -> sip::PhoneRules {
    let interval = forms.centre.sip.phone_options.0;
    let at = |agent: &engine::AgentAccount| Some((agent.id.clone(), agent.contact.clone()?));
    sip::PhoneRules {
        options: (!interval.is_zero()).then_some(interval),
        fixed: Arc::new(agents.values().filter_map(at).collect()),
    }
}

fn sip_config(
    forms: &Forms,
    users: HashMap<Name, sip::Credentials>,
    trunks: Vec<sip::Trunk>,
    phones: sip::PhoneRules,
) -> sip::Config {
    let centre = &forms.centre;
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
        // With the ports that were bound: see `live::Fixed`.
        listeners: Vec::new(),
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
        phones,
        dialogs: sip::DialogRules {
            session_expires: centre.sip.session_expires.0,
            session_expires_min: centre.sip.session_expires_min.0,
            try_for: centre.sip.try_for.0,
            reliable: match centre.sip.reliable_provisionals {
                ReliableProvisionals::Supported => sip::Reliable::Supported,
                ReliableProvisionals::Required => sip::Reliable::Required,
            },
        },
        silent_to_scanners: centre.sip.guard.scanners == Scanners::Silence,
    }
}

pub(super) fn levels(skills: &BTreeMap<String, Placed<super::value::Level>>) -> BTreeMap<Name, u8> {
    skills
        .iter()
        .map(|(skill, level)| (skill.as_str().into(), level.0))
        .collect()
}
