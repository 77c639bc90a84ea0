//! The files as they are written: one struct a file. Their JSON Schemas are what `check` checks against and what editors read (`docs/schema/`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{Length, Level, Placed};

/// `cordboard.toml`: the node.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Centre {
    /// The node's name: part of every contact's id.
    pub node: Option<Placed<String>>,
    /// Where the database, the log and recordings are.
    pub data_dir: Option<PathBuf>,
    /// The address that all listeners bind where they do not say otherwise, or several (IPv4 and IPv6); HTTP takes the first.
    pub bind: Option<Placed<Addresses>>,
    /// Agents without credentials get the password `demo-ID`. Refused unless every listener is on loopback.
    pub demo_passwords: Placed<bool>,
    pub sip: Sip,
    pub http: Http,
    pub rtp: Rtp,
    pub ivr: Ivr,
    pub media: Media,
    pub speech: Speech,
    pub locale: Locale,
    pub customers: Customers,
    pub recording: Recording,
    pub limits: Limits,
    pub log: Log,
}

/// SIP listeners and digest.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sip {
    /// UDP and TCP port; 0 picks a free one.
    pub port: u16,
    /// TLS port: listens only with a certificate.
    pub tls_port: u16,
    /// The addresses to bind, when they are not `bind`: one, or up to four.
    pub bind: Option<Placed<Addresses>>,
    /// What phones are told (Contact, Via) in place of an address bound: one of each family.
    pub public: Option<Placed<Addresses>>,
    pub tls: Tls,
    pub dns: Dns,
    /// Offered in this order.
    pub digest: Placed<Vec<Digest>>,
    /// Realm of the challenges; stored HA1 values are bound to it.
    pub realm: String,
    /// Shortest and longest registration.
    pub expires_min: Length,
    pub expires_max: Length,
    /// How long a nonce is good.
    pub nonce_lifetime: Length,
    /// Each call is refreshed twice in this time, and ended when the far end is found gone (RFC 4028).
    pub session_expires: Length,
    /// The shortest such time that we take from others; the RFC wants 90 s at least.
    pub session_expires_min: Length,
    /// How long a server may leave a call of ours without any answer when another one stands behind it: the next of a name's servers, the next trunk.
    pub try_for: Placed<Length>,
    /// Which callers acknowledge our ringing and early media (RFC 3262).
    pub reliable_provisionals: ReliableProvisionals,
    /// How often OPTIONS asks each agent's phone whether it lives; `"0s"` asks none. One that stays silent gets no offers until it is back.
    pub phone_options: Placed<Length>,
    /// How agents' phones are asked to answer the calls of queues by themselves; an agent's own overrides it.
    pub auto_answer: AutoAnswer,
    pub guard: Guard,
    /// Send a copy of every SIP message to a HOMER collector.
    pub hep: Option<Hep>,
}

/// What strangers may do: who is no trunk, no agent's fixed contact, and where no phone is registered.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// Requests a second from one address (IPv6: one /64 network) that begin something, with bursts of ten seconds' worth; 0 is without limit.
    #[schemars(range(max = 100_000))]
    pub rate: u32,
    /// What known scanners hear.
    pub scanners: Scanners,
}

impl Default for Guard {
    fn default() -> Self {
        Guard {
            rate: 50,
            scanners: Scanners::Silence,
        }
    }
}

/// What known scanners hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Scanners {
    Silence,
    /// The same challenge as everybody.
    Challenge,
}

/// A HOMER collector (HEP version 3). Takes effect at a restart.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hep {
    /// `udp:address:port`.
    pub server: Placed<String>,
    /// Number of this capture agent.
    #[serde(default)]
    pub id: u32,
    /// Sent with every packet, when the collector wants one.
    #[serde(default, skip_serializing)]
    pub password: Option<String>,
}

impl Default for Sip {
    fn default() -> Self {
        Sip {
            port: 5060,
            tls_port: 5061,
            bind: None,
            public: None,
            tls: Tls::default(),
            dns: Dns::default(),
            digest: Placed {
                value: vec![Digest::Sha256, Digest::Md5],
                span: 0..0,
            },
            realm: "cordboard".to_owned(),
            expires_min: Length::secs(60),
            expires_max: Length::secs(3600),
            nonce_lifetime: Length::secs(300),
            session_expires: Length::secs(1800),
            session_expires_min: Length::secs(90),
            try_for: Placed {
                value: Length::secs(4),
                span: 0..0,
            },
            reliable_provisionals: ReliableProvisionals::Supported,
            phone_options: Placed {
                value: Length::secs(0),
                span: 0..0,
            },
            auto_answer: AutoAnswer::Off,
            guard: Guard::default(),
            hep: None,
        }
    }
}

/// One address, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Addresses {
    One(IpAddr),
    Many(Vec<IpAddr>),
}

impl Addresses {
    /// All of them, in their order.
    pub fn all(&self) -> &[IpAddr] {
        match self {
            Addresses::One(one) => std::slice::from_ref(one),
            Addresses::Many(many) => many,
        }
    }
}

/// Certificates of SIP over TLS, PEM files relative to the configuration directory; read again by every reload.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Ours, then those between it and its CA. With it TLS listens.
    pub certificate: Option<Placed<PathBuf>>,
    /// Its private key.
    pub key: Option<Placed<PathBuf>>,
    /// The CA of the certificates that may be shown to us: a trunk's `certificate` needs it.
    pub client_ca: Option<Placed<PathBuf>>,
    /// The CA that servers we call must be certified by; the system's when absent.
    pub ca: Option<Placed<PathBuf>>,
}

/// Where SIP URIs with names are looked up (RFC 3263).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// DNS servers as `192.0.2.53:53`; the system's (`/etc/resolv.conf`) when empty.
    pub servers: Vec<Placed<String>>,
}

/// The certificate of HTTPS, PEM files relative to the configuration directory; read again by every reload.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpTls {
    /// Ours, then those between it and its CA. With it pages, API and `/sip` are HTTPS and WSS.
    pub certificate: Option<Placed<PathBuf>>,
    /// Its private key.
    pub key: Option<Placed<PathBuf>>,
}

/// To whom provisionals go reliably: all who support it, or only those who require it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ReliableProvisionals {
    Supported,
    Required,
}

/// The word in which a phone is asked to answer by itself: phones know one or the other, and most must be told to obey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum AutoAnswer {
    /// It rings.
    #[default]
    Off,
    /// `Call-Info: <…>;answer-after=0` (Snom, Linphone, baresip).
    CallInfo,
    /// `Alert-Info: <…>;info=alert-autoanswer;delay=0` (Yealink, Gigaset, Mitel, baresip).
    AlertInfo,
    /// Both.
    Both,
}

/// Digest algorithms of RFC 8760.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Digest {
    #[serde(rename = "MD5")]
    Md5,
    #[serde(rename = "SHA-256")]
    Sha256,
}

/// Pages, API, metrics.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// 0 picks a free one.
    pub port: u16,
    /// The address to bind, when it is not `bind`.
    pub bind: Option<Placed<IpAddr>>,
    pub tls: HttpTls,
    /// Bearer token that `/metrics` wants; needed when HTTP listens beyond loopback.
    #[serde(skip_serializing)]
    pub metrics_token: Option<String>,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            port: 8080,
            bind: None,
            tls: HttpTls::default(),
            metrics_token: None,
        }
    }
}

/// RTP ports.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rtp {
    /// First UDP port; 0 lets the system pick each.
    pub first: Placed<u16>,
    /// Last UDP port.
    pub last: Placed<u16>,
    /// The addresses to bind, when they are not `bind`: one of each family.
    pub bind: Option<Placed<Addresses>>,
    /// What SDP tells in place of an address bound: one of each family.
    pub public: Option<Placed<Addresses>>,
    /// The UDP port that all browsers share (ICE, DTLS-SRTP): 9000 when absent, or one that the system picks where `first` is 0. Each further media
    /// thread has the next one.
    pub browsers: Option<u16>,
    /// Media threads; 0 is one a core.
    #[schemars(range(max = 256))]
    pub threads: u16,
}

impl Default for Rtp {
    fn default() -> Self {
        Rtp {
            first: Placed {
                value: 10_000,
                span: 0..0,
            },
            last: Placed {
                value: 31_999,
                span: 0..0,
            },
            bind: None,
            public: None,
            browsers: None,
            threads: 0,
        }
    }
}

/// Flows and prompts.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ivr {
    /// Flows and prompts; `ivr-scripts` beside the configuration directory when not given. Relative to the configuration directory.
    pub dir: Option<Placed<PathBuf>>,
    /// Say that the number is not in service before the 404.
    pub announce_unknown: bool,
}

/// Codecs and time-outs of streams.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// In the order of preference when we offer; a caller's own order counts when it offers. Between legs of one codec nothing is decoded.
    pub codecs: Placed<Vec<Codec>>,
    /// Packet time.
    pub ptime: Placed<Length>,
    /// A leg without media for this long is ended; `"0s"` is never.
    pub timeout: Length,
    /// Encryption of media: `"optional"` takes it where it is offered and offers it to who understands it, `"required"` has no call without it.
    pub srtp: Placed<Srtp>,
    /// SRTP keys may go over UDP, TCP and WS, where whoever can read the signalling can listen to the call: for networks that are safe by other means.
    /// Without it keys go over TLS and WSS only, and who insists on encryption elsewhere is refused.
    pub srtp_keys_in_clear: bool,
}

impl Default for Media {
    fn default() -> Self {
        Media {
            codecs: Placed {
                value: vec![Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus],
                span: 0..0,
            },
            ptime: Placed {
                value: Length::millis(20),
                span: 0..0,
            },
            timeout: Length::secs(0),
            srtp: Placed {
                value: Srtp::Optional,
                span: 0..0,
            },
            srtp_keys_in_clear: false,
        }
    }
}

/// Encryption of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Srtp {
    /// Neither offered nor taken.
    Off,
    /// Taken where it is offered, and offered to who understands it (RFC 8643).
    Optional,
    /// There is no call without it.
    Required,
}

/// Audio codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Codec {
    #[serde(rename = "PCMU")]
    Pcmu,
    #[serde(rename = "PCMA")]
    Pcma,
    #[serde(rename = "G722")]
    G722,
    #[serde(rename = "opus")]
    Opus,
}

/// Speech of texts that flows read out. Nothing runs where no flow has any.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Speech {
    /// The programme and its arguments, with `{voice}` where the voice goes: the text comes on its standard input, a WAV, FLAC, MP3 or
    /// Ogg Vorbis file goes to its standard output; `--version` names it.
    pub command: Placed<Vec<String>>,
    /// Voice of each language.
    pub voices: Placed<Voices>,
    /// How long a caller waits for one.
    pub timeout: Length,
    /// The prompt that is heard in place of a text that cannot be made in time.
    pub otherwise: Option<Placed<String>>,
    /// Megabytes of speech that are kept in `data_dir`.
    #[schemars(range(min = 1, max = 100_000))]
    pub cache_mb: u32,
}

/// A voice a language, as the programme names it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Voices {
    #[serde(rename = "zh-CN")]
    pub zh_cn: Option<String>,
    pub en: Option<String>,
}

impl Default for Speech {
    fn default() -> Self {
        let command = [
            "espeak-ng",
            "-v",
            "{voice}",
            "-s",
            "150",
            "--stdin",
            "--stdout",
        ];
        Speech {
            command: Placed {
                value: command.map(str::to_owned).into(),
                span: 0..0,
            },
            voices: Placed {
                value: Voices {
                    zh_cn: Some("cmn-latn-pinyin".to_owned()),
                    en: Some("en-us".to_owned()),
                },
                span: 0..0,
            },
            timeout: Length::secs(3),
            otherwise: None,
            cache_mb: 200,
        }
    }
}

/// Country, time zone, language.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Locale {
    /// Two letters: numbers without a country code are this country's.
    pub country: Placed<String>,
    /// IANA name: where the day begins for today's numbers.
    pub time_zone: Placed<String>,
    /// Language of prompts until the caller chose one.
    pub language: Language,
}

impl Default for Locale {
    fn default() -> Self {
        Locale {
            country: Placed {
                value: "CN".to_owned(),
                span: 0..0,
            },
            time_zone: Placed {
                value: "Asia/Shanghai".to_owned(),
                span: 0..0,
            },
            language: Language::ZhCn,
        }
    }
}

/// Languages of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Language {
    #[serde(rename = "zh-CN")]
    ZhCn,
    #[serde(rename = "en")]
    En,
}

/// The customer store.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Customers {
    /// A CSV file that an empty store begins with. Relative to the configuration directory.
    pub first_import: Option<Placed<PathBuf>>,
    /// Show agents the numbers of callers who want not to be known, where a trusted trunk tells them. Supervisors see them in any case.
    pub show_withheld_numbers: bool,
}

/// Recordings of what is said; which are made, the queues say.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recording {
    /// How long they are kept; for ever when absent.
    pub keep: Option<Placed<Length>>,
    /// Calls between agents and people outside that are no queue's; those among colleagues are never recorded.
    pub calls: Record,
    /// Agents may hear the recordings of their own contacts; supervisors hear all.
    pub agents_may_listen: bool,
}

/// Which calls are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Record {
    #[default]
    Never,
    /// From when the agent asks for it.
    OnDemand,
    /// From the first word.
    Always,
}

/// Bounds.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Calls in progress at most; 503 with Retry-After beyond.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub calls: u32,
    /// Longest call.
    pub call: Length,
    /// How long a drain waits for calls in progress.
    pub drain: Length,
    /// How long a call waits for the customer look-up.
    pub look_up: Length,
    /// How long the INVITE to an agent waits for the screen pop's delivery.
    pub pop: Length,
    /// How long a contact and an agent are kept apart after busy or failure.
    pub back_off: Length,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            calls: 20_000,
            call: Length::secs(4 * 3600),
            drain: Length::secs(60),
            look_up: Length::millis(300),
            pop: Length::millis(20),
            back_off: Length::secs(10),
        }
    }
}

/// Talk on stderr.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or a filter like `info,engine=debug`.
    pub level: Placed<String>,
    pub json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            level: Placed {
                value: "info".to_owned(),
                span: 0..0,
            },
            json: false,
        }
    }
}

/// `queues.toml`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queues {
    pub queue: Vec<Placed<Queue>>,
}

/// A queue.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Flows, events and metrics name the queue so.
    pub name: Placed<String>,
    /// Dialled directly.
    #[serde(default)]
    pub number: Option<Placed<String>>,
    /// Required of an agent, at least this level.
    #[serde(default)]
    pub skills: BTreeMap<String, Placed<Level>>,
    /// How long one agent's phone rings.
    #[serde(default = "default_ring")]
    pub ring: Placed<Length>,
    /// After-call work; an agent's own overrides it.
    #[serde(default = "default_wrap_up")]
    pub wrap_up: Length,
    /// T of the service level.
    #[serde(default = "default_service_level")]
    pub service_level: Length,
    /// Callers who leave before this did not give the centre a chance.
    #[serde(default = "default_short_abandon")]
    pub short_abandon: Length,
    /// When the caller is answered.
    #[serde(default)]
    pub answer: Answer,
    /// Music while waiting: a file under `prompts/`.
    #[serde(default)]
    pub music: Option<Placed<String>>,
    /// How often the caller is told the position; not at all when absent or `"0s"`.
    #[serde(default)]
    pub announce_every: Option<Length>,
    /// Seconds of waiting that a contact of this queue is ahead of others.
    #[serde(default)]
    #[schemars(range(min = -86_400, max = 86_400))]
    pub priority: i32,
    /// Seconds of waiting that a customer class is ahead.
    #[serde(default)]
    pub class_credit: BTreeMap<String, i32>,
    /// Most who may wait.
    #[serde(default = "default_max_waiting")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_waiting: u32,
    /// Which of its calls are recorded, from when an agent answers.
    #[serde(default)]
    pub record: Record,
    /// A prompt that tells the caller so before the queue, e.g. `"queue/recorded"`: a file under `prompts/` in each language.
    #[serde(default)]
    pub record_announcement: Option<Placed<String>>,
    /// So many of a hundred, where `record` is `always`; the others on demand.
    #[serde(default = "default_record_share")]
    #[schemars(range(min = 1, max = 100))]
    pub record_share: u8,
    /// How the requirement relaxes with the time waited; each step stays in force under the later ones. Whom the last one leaves out never comes.
    #[serde(default)]
    pub step: Vec<Placed<Step>>,
    /// Who of the eligible agents is chosen; ties go to the longest idle, then by id.
    #[serde(default)]
    pub choice: Choice,
    /// Longest wait.
    #[serde(default)]
    pub max_wait: Option<Placed<Length>>,
    /// Causes for which nobody waits here. Those agents count who have the skills of the last step.
    #[serde(default)]
    pub empty: Vec<Absence>,
    /// Where those go who may not wait, or not any longer: `queue:NAME`, `flow:NAME`, `agent:ID` or a number. Without it they go back to the
    /// flow that they came from, or the call ends.
    #[serde(default)]
    pub overflow: Option<Placed<String>>,
    /// When the queue takes contacts, e.g. `"Mon-Fri 09:00-18:00"`; without any, always.
    #[serde(default)]
    pub hours: Vec<Placed<String>>,
    /// Days on which it takes none: `"2026-10-01"` or `"2026-10-01..2026-10-07"`.
    #[serde(default)]
    pub holidays: Vec<Placed<String>>,
    /// Of `hours` and `holidays`, when it is not the centre's.
    #[serde(default)]
    pub time_zone: Option<Placed<String>>,
    /// Takes no contacts: the emergency switch.
    #[serde(default)]
    pub closed: bool,
}

/// A step by which a queue's requirement relaxes.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Time waited.
    pub after: Placed<Length>,
    /// In place of the queue's own requirement.
    #[serde(default)]
    pub skills: Option<BTreeMap<String, Placed<Level>>>,
    /// Skills that are required no longer, whoever asked for them: the queue or the flow.
    #[serde(default)]
    pub drop: Vec<Placed<String>>,
    /// Levels that are enough, whoever asked for more.
    #[serde(default)]
    pub lower: BTreeMap<String, Placed<Level>>,
    /// Nothing is required.
    #[serde(default)]
    pub anyone: bool,
}

/// Who of the eligible agents is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Choice {
    #[default]
    LongestIdle,
    /// Least time in conversations, after-call work and other calls today.
    LeastOccupied,
    /// Highest sum of levels in the skills required.
    MostSkilled,
    /// The next by id after the last one.
    RoundRobin,
}

/// Why nobody can serve a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Absence {
    NoSkill,
    NobodyLoggedIn,
    AllOnBreak,
}

fn default_record_share() -> u8 {
    100
}
fn default_ring() -> Placed<Length> {
    Placed {
        value: Length::secs(20),
        span: 0..0,
    }
}
fn default_wrap_up() -> Length {
    Length::secs(10)
}
fn default_service_level() -> Length {
    Length::secs(20)
}
fn default_short_abandon() -> Length {
    Length::secs(5)
}
fn default_max_waiting() -> u32 {
    10_000
}

/// When a queue answers its callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Answer {
    /// 200 at once, with music.
    #[default]
    OnQueue,
    /// 180 while waiting, 200 when the agent answers.
    OnAgent,
}

/// `agents.toml`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agents {
    pub agent: Vec<Placed<Agent>>,
}

/// An agent, a supervisor, an administrator, or a program.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// SIP user, extension, and name at sign-in.
    pub id: Placed<String>,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub role: Role,
    /// Level 1 to 10.
    #[serde(default)]
    pub skills: BTreeMap<String, Placed<Level>>,
    /// Ready as soon as the phone is reachable.
    #[serde(default)]
    pub auto_ready: bool,
    /// Overrides the queue's.
    #[serde(default)]
    pub wrap_up: Option<Length>,
    /// A fixed SIP URI instead of registration.
    #[serde(default)]
    pub contact: Option<Placed<String>>,
    /// For metrics and reports.
    #[serde(default = "default_group")]
    pub group: String,
    /// Classes of outside numbers that this agent may call (`[[outbound]]` in trunks.toml); without any only internal ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_call: Vec<Placed<String>>,
    /// How this agent's phone is asked to answer by itself, in place of `sip.auto_answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_answer: Option<AutoAnswer>,
    /// Encryption of this agent's phone, in place of `media.srtp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srtp: Option<Placed<Srtp>>,
    /// Of the password at the desk (PHC string); `cordboard agent passwd` makes it.
    #[serde(default, skip_serializing)]
    pub password_argon2: Option<Placed<String>>,
    /// HA1 of the phone's password with MD5, 32 hex digits.
    #[serde(default, skip_serializing)]
    pub ha1_md5: Option<Placed<String>>,
    /// HA1 of the phone's password with SHA-256, 64 hex digits.
    #[serde(default, skip_serializing)]
    pub ha1_sha256: Option<Placed<String>>,
}

fn default_group() -> String {
    "all".to_owned()
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Role {
    #[default]
    Agent,
    Supervisor,
    Admin,
    Service,
}

/// `trunks.toml`: who may call in, which number leads where, and who may call out by which trunk.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Trunks {
    pub trunk: Vec<Placed<Trunk>>,
    pub route: Vec<Placed<Route>>,
    pub outbound: Vec<Placed<Outbound>>,
}

/// A carrier or PBX.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    pub name: Placed<String>,
    /// Calls from here are trusted as the carrier's: addresses, networks (`192.0.2.0/24`), and host names, which are looked up again and again.
    #[serde(default)]
    pub addresses: Vec<Placed<String>>,
    /// The name in the certificate that the trunk shows over TLS (`sip.tls.client_ca` verifies it): it is known by this alone then, wherever it calls from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Placed<String>>,
    /// Whether it is believed when it asserts who calls (`P-Asserted-Identity`), and told of ours who want not to be known. `false` for what is no
    /// carrier's: a customer's PBX, a gateway that lets everybody say anything.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub trusted: bool,
    /// Encryption of its media, both directions, in place of `media.srtp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srtp: Option<Placed<Srtp>>,
    /// At once, both directions together.
    #[serde(default = "default_max_calls")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_calls: u32,
    /// Where calls out go, and the domain of their numbers: `sip:carrier.example`. Without it the trunk only calls in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<Placed<String>>,
    /// Where requests are sent, when it is not `uri`: `sip:192.0.2.1;transport=tcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Placed<String>>,
    /// Two letters: numbers without a country code are this country's. The node's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Placed<String>>,
    /// How the trunk wants numbers.
    #[serde(default)]
    pub format: Format,
    /// Digits taken off the front of a called number in that format.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(max = 15))]
    pub strip: u8,
    /// Digits put before what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Placed<String>>,
    /// The number that called parties see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_id: Option<Placed<String>>,
    /// New calls in one second, both directions together; absent is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub calls_per_second: Option<u32>,
    /// Our account there, for calls and registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<Placed<String>>,
    /// The environment variable that holds the account's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<Placed<String>>,
    /// The file that holds the account's password, relative to the configuration directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<Placed<PathBuf>>,
    /// The only realm whose challenges get the password; the host of `uri` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Keep a registration there, so that the carrier knows where we are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub register: bool,
    /// How long a registration is asked for each time.
    #[serde(default = "default_register_for")]
    pub register_for: Placed<Length>,
    /// How often OPTIONS asks whether the trunk lives; not at all when absent or `"0s"`: then calls alone tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Placed<Length>>,
    /// Share of the calls where an `[[outbound]]` spreads them.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u16,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

fn default_register_for() -> Placed<Length> {
    Placed {
        value: Length::secs(3600),
        span: 0..0,
    }
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn default_weight() -> u16 {
    1
}

/// The written form of numbers towards a trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Format {
    /// `+8613800138000`
    #[default]
    Plus,
    /// `8613800138000`
    E164,
    /// As one dials in the trunk's country.
    National,
}

/// Numbers outside that begin so: their class of service, and the trunks that they leave by.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outbound {
    /// The beginning of an international number (`"+86"`; `"+"` is all), or a whole short number (`"110"`). The longest that fits decides.
    pub number: Placed<String>,
    /// What `may_call` of agents and routes names, e.g. `"national"`.
    pub class: Placed<String>,
    /// Trunks with a `uri`.
    pub trunks: Vec<Placed<String>>,
    /// Which trunk first.
    #[serde(default)]
    pub order: Order,
    /// The number that called parties see, in place of the trunk's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller_id: Option<Placed<String>>,
}

/// In which order trunks are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Order {
    /// As they are listed: the next when one fails.
    #[default]
    Listed,
    /// Spread by the trunks' weights; another when one fails.
    Weighted,
}

fn default_max_calls() -> u32 {
    1000
}

/// A dialled number and the one thing that answers.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// User part of the Request-URI.
    pub number: Placed<String>,
    /// A flow by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Placed<String>>,
    /// A queue by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Placed<String>>,
    /// An agent by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Placed<String>>,
    /// An echo test.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub echo: bool,
    /// A test tone of this frequency in hertz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 20, max = 3900))]
    pub tone: Option<u32>,
    /// Only when it is called by this trunk; the number may be in any form that the trunk's country has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Placed<String>>,
    /// Classes of outside numbers that the flow may transfer its callers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_call: Vec<Placed<String>>,
}

/// The files, read.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    pub centre: Centre,
    pub queues: Queues,
    pub agents: Agents,
    pub trunks: Trunks,
}
