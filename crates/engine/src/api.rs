//! What goes into the engine and what comes out of it: plain data.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::event::{ContactId, Event};
use crate::inbound::Inbound;
use crate::ladder::LadderMessage;
use crate::outbound::Outbound;
use crate::recording::RecordRule;
use crate::secrecy::{Door, Encryption};

type Name = Arc<str>;

/// Names a command whose answer somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Everything that can happen to the engine.
#[derive(Debug)]
pub enum Input {
    Sip(sip::Input),
    Media(media::Event),
    /// Local RTP ports that are bound and free; they come back by `media::Event::Closed` and stay the engine's.
    PortsGranted(Vec<media::Port>),
    /// Where browsers' media come.
    Door(Door),
    /// The answer to `Output::LookUp`; `None` when the store failed.
    LookedUp {
        look_up: u64,
        pop: Option<crm::Pop>,
    },
    /// The answer to `Output::Ask`: exactly one each.
    Asked {
        contact: acd::ContactId,
        ask: u64,
        answer: ivr::Answer,
    },
    /// The answer to `Output::Speak`: the planes have its texts, or speech cannot be made of one.
    Spoken {
        contact: u64,
        play: media::PlayId,
        made: bool,
    },
    /// Every event up to this sequence has been handed to the sockets of those who watch.
    Delivered {
        sequence: u64,
    },
    /// How many watch the stream; with none the engine does not wait for `Delivered` before it rings an agent.
    Audience {
        count: usize,
    },
    /// Somebody outside wants something.
    Command {
        token: Token,
        command: Command,
    },
    /// A recording is on disk, or will not be.
    Recorded(Recorded),
    /// Something was done outside the engine that the log should have.
    Audit(AuditNote),
    /// A new configuration, checked.
    Configure {
        config: Arc<Config>,
        by: Name,
        summary: Vec<String>,
    },
    /// Take no new calls; `Output::Drained` comes when the last one is over, at the latest after this long.
    Drain {
        within: Duration,
    },
    /// First input of a run: what the log says of before.
    Start(Start),
}

/// Who did what to whom, outside the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditNote {
    pub by: Name,
    pub action: Name,
    pub subject: Name,
    pub detail: Option<String>,
}

/// What became of a contact's recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub contact: ContactId,
    pub person: Name,
    /// Or why nothing of it could be kept.
    pub outcome: Result<SavedRecording, Name>,
}

/// A recording on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRecording {
    pub queue: Option<Name>,
    pub agents: Vec<Name>,
    pub began: Time,
    pub length_ms: u64,
    pub bytes: u64,
    pub checksum: Name,
    /// Why something is missing in it.
    pub reason: Option<Name>,
}

/// What the recorder is told of a recording, in this order: pieces with rests between them, then the end.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordingStep {
    /// A piece begins; with the first one the recording does.
    Piece {
        piece: u32,
        contact: ContactId,
        person: Name,
        queue: Option<Name>,
        agent: Option<Name>,
    },
    /// Nothing from now on until the next piece.
    Rest,
    End {
        customers: Vec<crm::CustomerId>,
    },
}

/// What a run begins with.
#[derive(Debug, Default)]
pub struct Start {
    pub boot: u64,
    pub next_sequence: u64,
    /// Contacts that were open when the last run ended: closed as `system_error` at `last_time`, the log's last time.
    pub open: Vec<OpenContact>,
    pub last_time: Time,
    /// Availability of agents as last asked for.
    pub agents: Vec<(Name, acd::Availability)>,
    /// Registrations that were kept.
    pub bindings: Vec<(Name, sip::registrar::Binding)>,
    /// State in which each agent's time stood at the end of the last run, so that it can be closed at `last_time`.
    pub agent_states: Vec<(Name, crate::event::AgentState, Time)>,
}

/// A contact as the log left it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OpenContact {
    pub contact: ContactId,
    pub direction: crate::event::Direction,
    /// The open visit: queue, number, when it began; `None` when the contact was not in a queue.
    pub visit: Option<(Name, u32, Time)>,
    pub agent: Option<Name>,
    pub arrived: Time,
    /// Set when an agent had answered.
    pub answered: Option<Time>,
    pub entered_ivr: bool,
    pub customers: Vec<crm::CustomerId>,
}

/// What somebody outside may want. `by` is the signed-in user, already authorised by `web`.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    SetAgentState {
        by: Name,
        agent: Name,
        availability: acd::Availability,
    },
    EndWrapUp {
        by: Name,
        agent: Name,
    },
    Hangup {
        by: Name,
        contact: ContactId,
    },
    /// Something done with a contact by its agent, or by somebody who may do it for them.
    Contact {
        by: Name,
        contact: ContactId,
        verb: Verb,
    },
    /// The router's last decisions on a contact (a bounded ring in memory), and why it waits.
    Why {
        contact: ContactId,
    },
    /// Why an agent has nothing of what waits.
    WhyIdle {
        agent: Name,
    },
    /// More time for after-call work.
    ExtendWrapUp {
        by: Name,
        agent: Name,
        more: Duration,
    },
    /// The SIP ladder of a contact (bounded, in memory).
    Ladder {
        contact: ContactId,
    },
    /// Something is about to be done outside the engine that the log must have first.
    Audit(AuditNote),
}

/// What is done with a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Have the telephone that rings answer, where it can be told to.
    Answer,
    /// Music to the caller; the agent's leg stays up.
    Hold,
    /// Back to the caller, from a hold or from a consultation.
    Resume,
    /// On to `1002`, `agent:1002`, `queue:sales`, `flow:main` or a number that leads there, without a word.
    Transfer { to: String },
    /// Call `1002`, `agent:1002`, `queue:sales` or a number that leads there, with music for the caller.
    Consult { to: String },
    /// Join the caller and whom the agent consults.
    Complete,
    /// Listen to the talk by a supervisor's telephone, speak to its agent or to all, or take it over. `phone`: an extension, unless it is
    /// the one of whoever asks.
    Oversee { how: Oversight, phone: Option<Name> },
    /// Add whom the agent consults, or call `1002`, `agent:1002` or a number to be added.
    Conference { to: Option<String> },
    /// Press keys towards the far end: in RTP (RFC 4733), or by INFO.
    Dtmf { digits: String },
    /// Nothing of what is said from now on is kept.
    PauseRecording,
    /// Record again, or begin to where that is left to the agent.
    ResumeRecording,
    /// Say what it was about; `note` is personal. Also after the contact, until the agent's next one.
    Disposition {
        code: Name,
        note: Option<String>,
        end_wrap_up: bool,
    },
}

/// How a supervisor takes part in a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversight {
    /// Hears all, is heard by nobody.
    Listen,
    /// Is heard by the agent alone.
    Whisper,
    /// Is heard by all.
    Barge,
    /// Takes the agent's place.
    TakeOver,
}

impl Oversight {
    /// The word for it, as in the API's path.
    pub fn word(self) -> &'static str {
        match self {
            Oversight::Listen => "listen",
            Oversight::Whisper => "whisper",
            Oversight::Barge => "barge",
            Oversight::TakeOver => "take-over",
        }
    }
}

impl Verb {
    /// The word for it, as in the API's path.
    pub fn word(&self) -> &'static str {
        match self {
            Verb::Answer => "answer",
            Verb::Hold => "hold",
            Verb::Resume => "resume",
            Verb::Transfer { .. } => "transfer",
            Verb::Consult { .. } => "consult",
            Verb::Complete => "complete",
            Verb::Oversee { how, .. } => how.word(),
            Verb::Conference { .. } => "conference",
            Verb::Dtmf { .. } => "dtmf",
            Verb::PauseRecording => "pause-recording",
            Verb::ResumeRecording => "resume-recording",
            Verb::Disposition { .. } => "disposition",
        }
    }
}

/// The answer to a command, and the sequence of the last event it caused: it is told outside when that is on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub token: Token,
    pub after: u64,
    pub result: Result<Answer, Refusal>,
}

/// A command's good end.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    Why {
        decisions: Vec<(Time, Name, acd::Decision)>,
        /// Why it waits at this moment, if it does.
        waiting: Option<Box<acd::Waiting>>,
    },
    WhyIdle(Box<acd::Idle>),
    Ladder(Vec<LadderMessage>),
}

/// Why a command was refused, for RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotFound(String),
    Conflict(String),
    Invalid(String),
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Output {
    /// Send SIP.
    Transmit {
        peer: sip::Peer,
        bytes: bytes::Bytes,
    },
    /// What SIP wants of the edge beside sending.
    Edge(sip::Edge),
    /// To the media thread `plane`.
    Media {
        plane: u16,
        command: media::Command,
    },
    /// To the recorder.
    Recording {
        at: Time,
        recording: media::RecordingId,
        step: RecordingStep,
    },
    /// Append to the log and publish.
    Event(Event),
    /// An input or decision of the distributor, for the log (`input` and `decision` records).
    Acd {
        at: Time,
        record: AcdRecord,
    },
    /// Look the number up; answer with `Input::LookedUp`.
    LookUp {
        look_up: u64,
        number: crm::Number,
    },
    /// A flow asks the world outside; answer with `Input::Asked`, within `within` if it is to count.
    Ask {
        contact: acd::ContactId,
        ask: u64,
        request: ivr::Request,
        within: Duration,
    },
    /// A flow's message for a service; nothing comes back.
    Send(Box<ivr::HttpRequest>),
    /// Make speech of these texts and give it to the planes; answer with `Input::Spoken`.
    Speak {
        contact: u64,
        play: media::PlayId,
        texts: Vec<(media::Lang, Arc<str>)>,
    },
    Reply(Reply),
    /// A fact for `/metrics` that is no event.
    Count(Count),
    /// A user's registrations, whole, to be kept over a restart.
    Bindings {
        user: Name,
        bindings: Vec<sip::registrar::Binding>,
    },
    /// A SIP message in or out, when [`Config::capture`] asks for them.
    Captured(Captured),
    /// Somebody tries passwords, or scans: for the operator's log, and for who reads it (fail2ban).
    Suspect(Box<sip::Suspect>),
    /// Ports run low: grant more on this plane, if there are more.
    PortsLow {
        plane: u16,
    },
    Drained,
}

/// A SIP message on the wire, and the contact that it belongs to by the end of the step in which it passed.
#[derive(Clone, Debug)]
pub struct Captured {
    pub at: Time,
    pub outbound: bool,
    pub peer: sip::Peer,
    pub bytes: bytes::Bytes,
    pub contact: Option<ContactId>,
}

/// What the log keeps of the distributor.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AcdRecord {
    Input(acd::Input),
    /// `handle_timeout` was called: a replay must call it at the same moment.
    Timeout,
    /// What the decision was about: contact (number), queue, decision.
    Decision {
        contact: acd::ContactId,
        queue: Name,
        decision: acd::Decision,
    },
}

/// Counted, not logged.
#[derive(Clone, Debug, PartialEq)]
pub enum Count {
    SipMessage {
        outbound: bool,
        method: &'static str,
        class: &'static str,
    },
    SipRefused {
        what: &'static str,
    },
    OverloadRejected {
        reason: &'static str,
    },
    /// INVITE to our final answer.
    CallSetup {
        seconds: f64,
    },
    /// Reservation to the pop's delivery.
    ScreenPop {
        seconds: f64,
    },
    /// A stream has ended.
    Media(media::Stats),
    RtpStreams {
        active: i64,
    },
    /// How a trunk stands.
    Trunk(sip::TrunkState),
    TrunkCall {
        trunk: Name,
        outbound: bool,
    },
    TrunkRefused {
        trunk: Name,
        reason: &'static str,
    },
}

/// What the engine must know from the configuration: compiled by `server::config`.
#[derive(Clone, Debug)]
pub struct Config {
    pub node: Name,
    pub version: Name,
    pub sip: sip::Config,
    /// Shared: the distributor and a reload hold it too.
    pub acd: Arc<acd::Config>,
    pub flows: Arc<ivr::Flows>,
    /// Dialled number (user part) to what answers.
    pub routes: BTreeMap<Name, Route>,
    pub queues: BTreeMap<Name, QueueService>,
    pub agents: BTreeMap<Name, AgentAccount>,
    /// Our addresses in SDP, one of each family; the first where the far end's family is not known.
    pub media_addresses: Vec<IpAddr>,
    /// Codecs in our order of preference.
    pub codecs: Vec<media::Codec>,
    pub ptime: Duration,
    pub default_lang: media::Lang,
    /// Two-letter country for numbers without a prefix, e.g. `CN`.
    pub country: Name,
    /// Longest wait for the customer look-up (300 ms) and for the pop's delivery (20 ms).
    pub look_up_patience: Duration,
    pub pop_patience: Duration,
    pub max_calls: usize,
    /// A leg without media for this long is ended (0: never).
    pub media_timeout: Duration,
    /// Longest call.
    pub max_call: Duration,
    /// Play "not in service" before 404.
    pub announce_unknown: bool,
    pub speech: Speech,
    /// Who may call out, and by which trunks.
    pub outbound: Outbound,
    /// By trunk.
    pub inbound: BTreeMap<Name, Inbound>,
    /// Agents see the numbers of callers who want not to be known, where a trusted trunk tells them.
    pub show_withheld: bool,
    /// Of calls between customers and agents outside queues.
    pub record_calls: RecordRule,
    pub encryption: Encryption,
    /// Tell every SIP message as [`Output::Captured`].
    pub capture: bool,
}

/// Speech that is made of texts.
#[derive(Clone, Debug)]
pub struct Speech {
    /// How long a play waits for it.
    pub patience: Duration,
    /// The prompt that is played in the text's place when it does not come.
    pub otherwise: Option<Name>,
}

impl Default for Speech {
    fn default() -> Self {
        Speech {
            patience: Duration::from_secs(3),
            otherwise: None,
        }
    }
}

/// What a number leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Flow(Name),
    Queue(Name),
    Agent(Name),
    Echo,
    Tone { hertz: u32 },
}

/// How a queue treats its waiting callers.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueService {
    pub name: Name,
    pub service_level: Duration,
    pub short_abandon: Duration,
    /// 180 while waiting, 200 when the agent answers; else 200 at once, with music.
    pub answer_on_agent: bool,
    pub music: Name,
    /// Announce the position on entry and then every so often; `None` is never.
    pub announce_every: Option<Duration>,
    /// Where those go who may not wait (any longer): `queue:sales`, `flow:main`, `agent:1002` or a number.
    pub overflow: Option<Name>,
    /// When it takes contacts; `None` is always.
    pub hours: Option<Arc<ivr::Calendar>>,
    /// The emergency switch.
    pub closed: bool,
    pub record: RecordRule,
    /// A prompt that says so to the caller, before the queue.
    pub record_announcement: Option<Name>,
}

impl QueueService {
    /// Whether it takes contacts at this moment.
    pub fn is_open(&self, now: Time) -> bool {
        !self.closed && self.hours.as_ref().is_none_or(|hours| hours.is_open(now))
    }
}

/// An agent as a telephone.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentAccount {
    pub id: Name,
    pub name: String,
    pub group: Name,
    /// A fixed SIP URI instead of a registration.
    pub contact: Option<Name>,
    /// Classes of outside numbers that this agent may call; none is internal numbers only.
    pub may_call: Arc<[Name]>,
    pub auto_answer: AutoAnswer,
    /// In place of [`Encryption::srtp`].
    pub srtp: Option<sip::sdes::Srtp>,
}

/// How an agent's phone is asked to answer the calls of queues by itself. There is no standard that phones follow: each make has its word for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoAnswer {
    /// It rings.
    #[default]
    Off,
    /// `Call-Info: <…>;answer-after=0`: Snom, Linphone, baresip, Grandstream.
    CallInfo,
    /// `Alert-Info: <…>;info=alert-autoanswer;delay=0`: Yealink, Gigaset, Mitel (Aastra), baresip.
    AlertInfo,
    /// In both words, for a floor of many makes.
    Both,
}
