//! What happened: the events that everything outside is a fold of.
//!
//! One event is one line of the log and one CloudEvents message (type names: [`Event::type_name`]). What is personal in an event sits in its
//! `Option` fields marked *personal* and is split off by [`Event::record`], so that the log can seal it under the person's key; a fold must not need it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use clock::Time;
use crm::Pop;
use serde::{Deserialize, Serialize};

use crate::identity::Signalling;

type Name = Arc<str>;

/// A contact's name outside: `{node}-{boot}-{counter}`. A replay makes the same ones. Inside the ACD it is the number `boot << 40 | counter`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContactId(pub Arc<str>);

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Gap-free per node, from 1, over restarts.
    pub sequence: u64,
    pub at: Time,
    #[serde(flatten)]
    pub kind: EventKind,
    /// Whose personal data the event holds (`tel:+86…`): the key that seals it in the log. Never written itself.
    #[serde(skip)]
    pub person: Option<Name>,
}

/// An event as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// `{"sequence", "at", "type", "data"}` without what is personal.
    pub json: String,
    /// The person, and the JSON object that belongs into `data`.
    pub personal: Option<(Name, String)>,
}

impl Event {
    /// Splits the event into what the log may keep in the open and what it seals.
    pub fn record(&self) -> EventRecord {
        let mut open = self.clone();
        let mut personal = serde_json::Map::new();
        let mut seal = |key: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                personal.insert(key.to_owned(), value);
            }
        };
        match &mut open.kind {
            EventKind::ContactArrived {
                direction,
                ani,
                dnis,
                signalling,
                ..
            } => {
                seal("ani", ani.take().map(Into::into));
                seal("signalling", signalling.take().and_then(as_json));
                // The number that an agent calls outside is a customer's.
                if *direction == Direction::Outbound {
                    let called = std::mem::replace(dnis, "".into());
                    seal("dnis", Some(called.to_string().into()));
                }
            }
            EventKind::ContactOffered {
                ani,
                pop,
                flow_data,
                signalling,
                ..
            } => {
                seal("ani", ani.take().map(Into::into));
                seal("pop", pop.take().and_then(as_json));
                seal("flow_data", flow_data.take().and_then(as_json));
                seal("signalling", signalling.take().and_then(as_json));
            }
            EventKind::IvrStep { input, .. } => seal("input", input.take().map(Into::into)),
            EventKind::ContactDisposition { note, .. } => seal("note", note.take().map(Into::into)),
            _ => {}
        }
        let json = serde_json::to_string(&open).expect("an event is plain data with string keys");
        let personal = (!personal.is_empty()).then(|| {
            let person = self.person.clone().unwrap_or_else(|| "tel:".into());
            (person, serde_json::Value::Object(personal).to_string())
        });
        EventRecord { json, personal }
    }

    /// Puts a record together again; without its personal part (erased, or not wanted) those fields stay `None`.
    ///
    /// # Errors
    /// The JSON is not an event of a type that this version knows.
    pub fn from_record(json: &str, personal: Option<&str>) -> Result<Event, serde_json::Error> {
        let Some(personal) = personal else {
            return serde_json::from_str(json);
        };
        let mut whole: serde_json::Value = serde_json::from_str(json)?;
        let personal: serde_json::Map<String, serde_json::Value> = serde_json::from_str(personal)?;
        if let Some(data) = whole
            .get_mut("data")
            .and_then(serde_json::Value::as_object_mut)
        {
            data.extend(personal);
        }
        serde_json::from_value(whole)
    }

    /// The CloudEvents type.
    pub fn type_name(&self) -> &'static str {
        match &self.kind {
            EventKind::NodeStarted { .. } => "node.started",
            EventKind::ContactArrived { .. } => "contact.arrived",
            EventKind::ContactIdentified { .. } => "contact.identified",
            EventKind::ContactQueued { .. } => "contact.queued",
            EventKind::ContactOffered { .. } => "contact.offered",
            EventKind::ContactOfferEnded { .. } => "contact.offer_ended",
            EventKind::ContactAnswered { .. } => "contact.answered",
            EventKind::ContactHeld { .. } => "contact.held",
            EventKind::ContactResumed { .. } => "contact.resumed",
            EventKind::ContactTransferred { .. } => "contact.transferred",
            EventKind::ContactTransferFailed { .. } => "contact.transfer_failed",
            EventKind::ContactJoined { .. } => "contact.joined",
            EventKind::ContactLeft { .. } => "contact.left",
            EventKind::ContactDisposition { .. } => "contact.disposition",
            EventKind::ContactRecording { .. } => "contact.recording",
            EventKind::RecordingSaved { .. } => "recording.saved",
            EventKind::RecordingFailed { .. } => "recording.failed",
            EventKind::ContactAbandoned { .. } => "contact.abandoned",
            EventKind::ContactLeftQueue { .. } => "contact.left_queue",
            EventKind::ContactSurveyed { .. } => "contact.surveyed",
            EventKind::ContactClosed { .. } => "contact.closed",
            EventKind::AgentState { .. } => "agent.state",
            EventKind::QueueChanged { .. } => "queue.changed",
            EventKind::IvrStep { .. } => "ivr.step",
            EventKind::ConfigApplied { .. } => "config.applied",
            EventKind::Audit { .. } => "audit",
        }
    }

    /// The CloudEvents subject: the contact, agent, queue or node that changed.
    pub fn subject(&self) -> &str {
        match &self.kind {
            EventKind::ContactArrived { contact, .. }
            | EventKind::ContactIdentified { contact, .. }
            | EventKind::ContactQueued { contact, .. }
            | EventKind::ContactOffered { contact, .. }
            | EventKind::ContactOfferEnded { contact, .. }
            | EventKind::ContactAnswered { contact, .. }
            | EventKind::ContactHeld { contact, .. }
            | EventKind::ContactResumed { contact, .. }
            | EventKind::ContactTransferred { contact, .. }
            | EventKind::ContactTransferFailed { contact, .. }
            | EventKind::ContactJoined { contact, .. }
            | EventKind::ContactLeft { contact, .. }
            | EventKind::ContactDisposition { contact, .. }
            | EventKind::ContactAbandoned { contact, .. }
            | EventKind::ContactLeftQueue { contact, .. }
            | EventKind::ContactClosed { contact, .. }
            | EventKind::ContactSurveyed { contact, .. }
            | EventKind::ContactRecording { contact, .. }
            | EventKind::RecordingSaved { contact, .. }
            | EventKind::RecordingFailed { contact, .. }
            | EventKind::IvrStep { contact, .. } => &contact.0,
            EventKind::AgentState { agent, .. } => agent,
            EventKind::QueueChanged { queue, .. } => queue,
            EventKind::NodeStarted { node, .. } => node,
            EventKind::ConfigApplied { by, .. } => by,
            EventKind::Audit { subject, .. } => subject,
        }
    }
}

fn as_json(value: impl Serialize) -> Option<serde_json::Value> {
    serde_json::to_value(value).ok()
}

/// How one leg sounded, from its first packet to its last. What begins with `far` is what the other end reported of our packets (RTCP).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LegQuality {
    /// `caller`, `agent:1001`, `outside`.
    pub leg: Name,
    pub packets_in: u64,
    pub packets_out: u64,
    /// Of the packets in, by their sequence.
    pub lost: u64,
    /// Refused: another source, no RTP, a payload type that was not agreed.
    pub rejected: u64,
    /// Interarrival jitter at the end (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    /// Mean opinion score by the E-model (ITU-T G.107), 1 to 4.5, of what came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mos: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far_lost: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far_jitter_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far_mos: Option<f64>,
}

/// The kinds. `type` is the CloudEvents type, `data` its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum EventKind {
    /// The node began to run; first event of a boot. What was in progress before has been closed by the events right after it.
    #[serde(rename = "node.started")]
    NodeStarted {
        node: Name,
        boot: u64,
        version: Name,
    },
    #[serde(rename = "contact.arrived")]
    ContactArrived {
        contact: ContactId,
        channel: Name, // "voice"
        direction: Direction,
        /// Entry: `flow:main`, `queue:support`, `agent:1001`, `outside:national` (the class of service), `echo`, `tone`.
        entry: Name,
        trunk: Option<Name>,
        /// The agent who placed it, for internal and outbound calls.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Name>,
        /// Personal: E.164 where valid, else as signalled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ani: Option<String>,
        /// Personal in outbound calls: then it is the customer's number.
        #[serde(default)]
        dnis: Name,
        /// The caller wants not to be known (RFC 3323): `ani` is absent then, unless the centre shows such numbers.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        withheld: bool,
        /// Personal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signalling: Option<Arc<Signalling>>,
    },
    #[serde(rename = "contact.identified")]
    ContactIdentified {
        contact: ContactId,
        customers: Vec<crm::CustomerId>,
        class: Option<Name>,
        took_ms: u64,
        late: bool,
    },
    #[serde(rename = "contact.queued")]
    ContactQueued {
        contact: ContactId,
        queue: Name,
        visit: u32,
        skills: BTreeMap<Name, u8>,
        priority: i32,
        position: u32,
    },
    #[serde(rename = "contact.offered")]
    ContactOffered {
        contact: ContactId,
        queue: Name,
        visit: u32,
        offer: u32,
        agent: Name,
        group: Name,
        ring_ms: u64,
        dnis: Name,
        /// Personal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ani: Option<String>,
        /// Personal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pop: Option<Pop>,
        /// Data that the flow set for the desk. Personal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flow_data: Option<BTreeMap<String, String>>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        withheld: bool,
        /// Personal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signalling: Option<Arc<Signalling>>,
    },
    /// `requeued` says that the visit goes on in its old place.
    #[serde(rename = "contact.offer_ended")]
    ContactOfferEnded {
        contact: ContactId,
        queue: Name,
        visit: u32,
        offer: u32,
        agent: Name,
        group: Name,
        reason: acd::OfferEnd,
        rang_ms: u64,
        requeued: bool,
    },
    /// Agent and caller are connected. `queue` is absent for calls outside the distributor.
    #[serde(rename = "contact.answered")]
    ContactAnswered {
        contact: ContactId,
        queue: Option<Name>,
        visit: u32,
        agent: Name,
        group: Name,
        wait_ms: u64,
        rang_ms: u64,
        /// Another agent passed the contact on: no offer and no visit of a queue came before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        transferred: bool,
    },
    #[serde(rename = "contact.held")]
    ContactHeld {
        contact: ContactId,
        agent: Option<Name>,
        by: Name,
    },
    #[serde(rename = "contact.resumed")]
    ContactResumed {
        contact: ContactId,
        agent: Option<Name>,
        by: Name,
        held_ms: u64,
    },
    /// `kind`: `blind` or `consult` to an agent (or `blind` to a flow), `to_queue`, and `flow` when a flow did it. `to`: `agent:1002`, `queue:sales`, `flow:main`.
    #[serde(rename = "contact.transferred")]
    ContactTransferred {
        contact: ContactId,
        kind: Name,
        from: Option<Name>,
        to: Name,
        /// The consultation before it, which has become part of this contact.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consult: Option<ContactId>,
        /// Referred-By of the telephone that asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        referred_by: Option<Name>,
    },
    /// The other extension did not take it. `back` says who has the contact then: `agent`, `queue`, `flow`, or nobody (`closed`).
    #[serde(rename = "contact.transfer_failed")]
    ContactTransferFailed {
        contact: ContactId,
        from: Name,
        to: Name,
        status: u16,
        back: Name,
    },
    /// Somebody has been added to the talk: `agent:1002`, `outside:national`.
    #[serde(rename = "contact.joined")]
    ContactJoined { contact: ContactId, party: Name },
    /// Somebody who had been added has left; the others go on.
    #[serde(rename = "contact.left")]
    ContactLeft { contact: ContactId, party: Name },
    /// What the agent says it was about. `note` is personal.
    #[serde(rename = "contact.disposition")]
    ContactDisposition {
        contact: ContactId,
        agent: Name,
        code: Name,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The contact is being recorded (`on`), or no longer (`off`, `paused`). `by` asked for it; otherwise a rule did.
    #[serde(rename = "contact.recording")]
    ContactRecording {
        contact: ContactId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<Name>,
        state: Name,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Name>,
    },
    /// A contact's recording is on disk and indexed. `length_ms` is without what was left out; `reason` says why it is not `complete`.
    #[serde(rename = "recording.saved")]
    RecordingSaved {
        contact: ContactId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<Name>,
        agents: Vec<Name>,
        began: Time,
        length_ms: u64,
        /// Of the file, whose SHA-256 `checksum` is.
        bytes: u64,
        checksum: Name,
        complete: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Name>,
    },
    /// A contact should have been recorded, and nothing of it could be kept.
    #[serde(rename = "recording.failed")]
    RecordingFailed { contact: ContactId, reason: Name },
    /// The caller hung up before an agent answered. `stage`: `ivr`, `queue`, `ring`.
    #[serde(rename = "contact.abandoned")]
    ContactAbandoned {
        contact: ContactId,
        queue: Option<Name>,
        visit: u32,
        stage: Stage,
        wait_ms: u64,
        short: bool,
    },
    /// A visit ended otherwise than by answer or abandonment (see KPI: exits).
    #[serde(rename = "contact.left_queue")]
    ContactLeftQueue {
        contact: ContactId,
        queue: Name,
        visit: u32,
        exit: Exit,
        wait_ms: u64,
    },
    /// The contact is over. Agent times are in the `agent.state` events; `talk_ms` and `hold_ms` are this contact's with agents.
    #[serde(rename = "contact.closed")]
    ContactClosed {
        contact: ContactId,
        outcome: Outcome,
        direction: Direction,
        queue: Option<Name>,
        agent: Option<Name>,
        entered_ivr: bool,
        goal: bool,
        wait_ms: u64,
        talk_ms: u64,
        hold_ms: u64,
        duration_ms: u64,
        customers: Vec<crm::CustomerId>,
        /// Why the last leg ended, e.g. `caller_bye`, `agent_bye`, `caller_cancel`, `drain`, `lost`.
        cause: Name,
        /// What the far end gave as the reason (RFC 3326), e.g. `Q.850;cause=16`, or the status that refused a leg of ours.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause_detail: Option<String>,
        /// How each leg sounded, in the order in which they ended.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        quality: Vec<LegQuality>,
    },
    /// An agent's state changed; `was` and `was_ms` say what ended and how long it lasted.
    #[serde(rename = "agent.state")]
    AgentState {
        agent: Name,
        group: Name,
        state: AgentState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Name>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<ContactId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<Name>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        was: AgentState,
        was_ms: u64,
    },
    /// A queue came, went, or opened or closed: not its length, which is a fold of the contacts.
    #[serde(rename = "queue.changed")]
    QueueChanged {
        queue: Name,
        change: Name,
        target_ms: u64,
        short_abandon_ms: u64,
    },
    /// What the caller said of the call after the agent had hung up: what the survey's flow returned, numbers as a rule. Not sealed, so that it can be counted.
    #[serde(rename = "contact.surveyed")]
    ContactSurveyed {
        contact: ContactId,
        flow: Name,
        agent: Name,
        queue: Option<Name>,
        answers: BTreeMap<String, ivr::Value>,
    },
    /// `input` is personal.
    #[serde(rename = "ivr.step")]
    IvrStep {
        contact: ContactId,
        flow: Name,
        state: Name,
        verb: Name,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
        /// The way that led there: `next`, `key 1`, `case 2`, `on_timeout`; absent at a beginning, and after an error of the flow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<Name>,
    },
    #[serde(rename = "config.applied")]
    ConfigApplied { by: Name, summary: Vec<String> },
    /// Who did what to whom.
    #[serde(rename = "audit")]
    Audit {
        by: Name,
        action: Name,
        subject: Name,
        detail: Option<String>,
    },
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Inbound,
    Outbound,
    Internal,
}

/// Where the caller gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Ivr,
    Queue,
    Ring,
}

/// How a visit ended, other than by answer or abandonment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Overflowed,
    Voicemail,
    LeftByChoice,
    Rejected,
    NoAgent,
    SystemError,
}

/// How a contact ended: KPI.md's list, and `completed` for calls outside queues that were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Answered,
    AbandonedInIvr,
    AbandonedInQueue,
    AbandonedInRing,
    Overflowed,
    CallbackRequested,
    Voicemail,
    SelfServed,
    RejectedClosed,
    RejectedFull,
    NoAgent,
    SystemError,
}

/// An agent's state without its data, for events and folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    LoggedOut,
    NotReady,
    Unreachable,
    Ready,
    Reserved,
    Connected,
    /// The contact is on hold.
    Held,
    WrapUp,
    Occupied,
}
