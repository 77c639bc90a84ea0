//! What the engine knows of one contact and of one leg.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use clock::Time;
use sip::LegId;

use crate::api::Oversight;
use crate::event::{ContactId, Direction, LegQuality};
use crate::identity::Signalling;
use crate::recording::Recording;

type Name = Arc<str>;

/// One contact, from its arrival to its closing.
#[derive(Debug)]
pub(crate) struct Contact {
    pub(crate) id: ContactId,
    pub(crate) direction: Direction,
    pub(crate) arrived: Time,
    /// The customer's number: who called us, or whom we call.
    pub(crate) ani: crm::Number,
    /// Seals what is personal in this contact's events.
    pub(crate) person: Name,
    pub(crate) dnis: Name,
    /// The agent who placed the call, occupied by it.
    pub(crate) by: Option<Name>,
    /// Outside numbers that the flow of this contact's entry may call.
    pub(crate) may_call: Arc<[Name]>,
    pub(crate) caller: LegId,
    pub(crate) caller_display: Option<String>,
    /// The caller wants not to be known to others.
    pub(crate) withheld: bool,
    pub(crate) signalling: Option<Arc<Signalling>>,
    pub(crate) look_up: LookUp,
    pub(crate) class: Option<Name>,
    pub(crate) stage: Stage,
    /// The flow, kept while its caller is in a queue or at an extension, for when that does not work out.
    pub(crate) session: Option<Box<ivr::Session>>,
    pub(crate) playing: Option<(media::PlayId, ivr::PlayToken)>,
    /// The flow's question that waits for its answer.
    pub(crate) asked: Option<(u64, ivr::LookUpToken)>,
    /// The flow that goes on with the caller when the agent has hung up.
    pub(crate) survey: Option<Name>,
    /// The survey that has begun.
    pub(crate) surveyed: Option<Surveyed>,
    /// What the caller hears when an agent has answered.
    pub(crate) announce: Vec<ivr::Prompt>,
    pub(crate) speech: Option<crate::speech::Pending>,
    pub(crate) lang: media::Lang,
    /// What the flow gave the desk.
    pub(crate) flow_data: BTreeMap<String, String>,
    pub(crate) visit: Option<Visit>,
    /// What it wanted of its last queue.
    pub(crate) ask: Ask,
    /// Queues that it has overflowed from.
    pub(crate) overflows: u32,
    pub(crate) visits: u32,
    pub(crate) offers: u32,
    pub(crate) entered_ivr: bool,
    pub(crate) goal: bool,
    /// A queue turned the contact away last; full or closed.
    pub(crate) refused: Option<&'static str>,
    pub(crate) answered_agent: Option<Name>,
    pub(crate) last_queue: Option<Name>,
    pub(crate) wait_ms: u64,
    pub(crate) talk_ms: u64,
    pub(crate) hold_ms: u64,
    /// The contact for whose sake its agent consults here: the caller's leg is that one's.
    pub(crate) consults_for: Option<acd::ContactId>,
    /// Who has been added to the two of its talk.
    pub(crate) members: Vec<Member>,
    /// Who oversees it by telephone.
    pub(crate) supervisors: Vec<Supervisor>,
    /// What the far end of the leg that ended it gave as Reason (RFC 3326).
    pub(crate) cause_detail: Option<Box<str>>,
    /// How the legs sounded that have ended.
    pub(crate) quality: Vec<LegQuality>,
    pub(crate) recording: Recording,
}

/// What a contact begins with.
pub(crate) struct Beginning {
    pub(crate) id: ContactId,
    pub(crate) direction: Direction,
    pub(crate) arrived: Time,
    pub(crate) ani: crm::Number,
    pub(crate) dnis: Name,
    pub(crate) by: Option<Name>,
    pub(crate) may_call: Arc<[Name]>,
    pub(crate) caller: LegId,
    pub(crate) caller_display: Option<String>,
    pub(crate) withheld: bool,
    pub(crate) signalling: Option<Arc<Signalling>>,
    pub(crate) lang: media::Lang,
}

impl Contact {
    pub(crate) fn new(beginning: Beginning) -> Self {
        let Beginning {
            id,
            direction,
            arrived,
            ani,
            dnis,
            by,
            may_call,
            caller,
            caller_display,
            withheld,
            signalling,
            lang,
        } = beginning;
        Contact {
            person: format!("tel:{}", ani.key()).into(),
            id,
            direction,
            arrived,
            ani,
            dnis,
            by,
            may_call,
            caller,
            caller_display,
            withheld,
            signalling,
            look_up: LookUp::Pending {
                since: arrived,
                late: false,
            },
            class: None,
            stage: Stage::Greeting,
            session: None,
            playing: None,
            asked: None,
            survey: None,
            surveyed: None,
            announce: Vec::new(),
            speech: None,
            lang,
            flow_data: BTreeMap::new(),
            visit: None,
            ask: Ask::default(),
            overflows: 0,
            visits: 0,
            offers: 0,
            entered_ivr: false,
            goal: false,
            refused: None,
            answered_agent: None,
            last_queue: None,
            wait_ms: 0,
            talk_ms: 0,
            hold_ms: 0,
            consults_for: None,
            members: Vec::new(),
            supervisors: Vec::new(),
            cause_detail: None,
            quality: Vec::new(),
            recording: Recording::default(),
        }
    }
}

/// The customer look-up of a contact.
#[derive(Debug)]
pub(crate) enum LookUp {
    Pending { since: Time, late: bool },
    Done(crm::Pop),
}

impl LookUp {
    pub(crate) fn pop(&self) -> Option<&crm::Pop> {
        match self {
            LookUp::Pending { .. } => None,
            LookUp::Done(pop) => Some(pop),
        }
    }
}

/// What a survey is about.
#[derive(Clone, Debug)]
pub(crate) struct Surveyed {
    pub(crate) flow: Name,
    pub(crate) agent: Name,
    pub(crate) queue: Option<Name>,
}

/// One stay in one queue.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) queue: Name,
    pub(crate) number: u32,
    pub(crate) since: Time,
}

/// What a caller wants of a queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) queue: Name,
    pub(crate) skills: BTreeMap<Name, u8>,
    pub(crate) preferred: BTreeMap<Name, u8>,
    /// The agent who should have it, and how long it waits for nobody else.
    pub(crate) wanted: Option<acd::Wanted>,
    pub(crate) priority: i32,
}

/// Where a contact stands. Each stage names what it waits for.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The answer is on its way: the caller's ACK starts the flow.
    Greeting,
    /// In the flow.
    Ivr,
    /// Wants a queue, waits for the customer look-up (deadline: `LookUp`).
    Identifying(Ask),
    /// Hears that it may be recorded; then into the queue.
    Announcing { ask: Ask, play: media::PlayId },
    /// In a queue.
    Waiting,
    /// Reserved for an agent, who is not called before the pop is delivered (deadline: `Pop`).
    Popping(Offer),
    /// The agent's phone is called (deadline: the ACD's ring time).
    Ringing(Offer),
    /// An extension is called (deadline: `Direct`).
    Direct {
        agent: Name,
        leg: LegId,
        since: Time,
    },
    /// Somebody outside is called (deadline: `Direct`), or, for a flow's caller, talks.
    Outside {
        leg: LegId,
        since: Time,
        answered: bool,
    },
    /// Two legs talk; `queue` is absent for calls outside the distributor.
    Talking(Talk),
    /// The agent who passed the caller on is gone, and the other's extension still rings (deadline: `Direct`).
    Transferring { transfer: Transfer, hold: Hold },
    /// Echo or tone, until hang-up.
    Testing,
    /// Hears that the number is not in service; then `404`.
    Refusing { play: media::PlayId, status: u16 },
}

/// An offer to an agent.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) queue: Name,
    pub(crate) agent: Name,
    pub(crate) number: u32,
    pub(crate) reserved: Time,
    /// Sequence of `contact.offered`.
    pub(crate) sequence: u64,
    /// `None` until the agent's phone is called.
    pub(crate) leg: Option<LegId>,
}

/// Two legs that talk.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) agent: Name,
    pub(crate) leg: LegId,
    pub(crate) queue: Option<Name>,
    pub(crate) since: Time,
    pub(crate) hold: Option<Hold>,
    /// Holds of this talk that are over.
    pub(crate) held_ms: u64,
    /// The agent is passing the caller on to an extension that rings.
    pub(crate) transfer: Option<Transfer>,
    /// The agent's consultation: a contact of its own, whose caller is the agent's leg.
    pub(crate) consult: Option<acd::ContactId>,
}

impl Talk {
    pub(crate) fn new(agent: Name, leg: LegId, queue: Option<Name>, since: Time) -> Self {
        Talk {
            agent,
            leg,
            queue,
            since,
            hold: None,
            held_ms: 0,
            transfer: None,
            consult: None,
        }
    }
}

/// A hold: who asks for it, and since when. It lasts until nobody asks for it any more.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) by: BTreeSet<Holder>,
    pub(crate) since: Time,
}

/// Who asks for a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holder {
    /// The caller's telephone (RFC 3264 section 8.4).
    Caller,
    /// The agent's telephone.
    Phone,
    /// The agent's desk, or whoever may give its commands.
    Desk,
    /// A transfer that rings.
    Transfer,
}

/// Somebody who has been added to a talk, or is called for that (deadline: `Member`).
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) party: Toward,
    pub(crate) leg: LegId,
    /// The queue by which an agent was consulted, whose work it is.
    pub(crate) queue: Option<Name>,
    /// The telephone has answered.
    pub(crate) up: bool,
}

/// Somebody who oversees a contact, by whose telephone, and how.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor {
    pub(crate) by: Name,
    pub(crate) phone: Name,
    pub(crate) leg: LegId,
    pub(crate) how: Oversight,
    /// The telephone has answered.
    pub(crate) up: bool,
}

/// Whom a transfer rings.
#[derive(Clone, Debug)]
pub(crate) enum Toward {
    Agent(Name),
    /// Somebody outside, by this class of service.
    Outside(Name),
}

impl Toward {
    /// As events name it: a number outside is a person's, so that the log has its class.
    pub(crate) fn name(&self) -> Name {
        match self {
            Toward::Agent(agent) => format!("agent:{agent}").into(),
            Toward::Outside(class) => format!("outside:{class}").into(),
        }
    }
}

/// A caller on the way from one agent to somebody else's telephone (deadline: `Direct`).
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// Who is called, on this leg, since when.
    pub(crate) to: Toward,
    pub(crate) leg: LegId,
    pub(crate) since: Time,
    /// Who passes the caller on, out of whose queue.
    pub(crate) from: Name,
    pub(crate) queue: Option<Name>,
    /// The telephone asked by REFER and wants to hear how it goes; otherwise it is let go as soon as the other one rings.
    pub(crate) referred: bool,
    pub(crate) referred_by: Option<Name>,
}

/// One leg. Its media stream bears the same number.
#[derive(Debug)]
pub(crate) struct Leg {
    /// `None` once its contact is closed.
    pub(crate) contact: Option<acd::ContactId>,
    /// Whom we called: `agent:1001`, `outside`; `None` for who called us.
    pub(crate) party: Option<Name>,
    pub(crate) port: Option<media::Port>,
    pub(crate) state: LegState,
    pub(crate) sdp_version: u64,
    /// The far end's offer that waits for our answer.
    pub(crate) offer: Option<Bytes>,
    /// Our 200 to a re-INVITE without an offer carried ours: its ACK brings the answer.
    pub(crate) awaits_answer: bool,
    /// 183 with our description has gone out: it hears before it is answered.
    pub(crate) hears_early: bool,
    /// The host that its signalling comes from.
    pub(crate) signalling: Option<std::net::IpAddr>,
    /// The direction that we want at most, seen from us.
    pub(crate) wants: sip::sdp::Direction,
    /// Our SDP answer or offer as last sent.
    pub(crate) local: Option<Bytes>,
    pub(crate) negotiated: Option<sip::sdp::Negotiated>,
    /// What is done about encryption, and our keys for it.
    pub(crate) srtp: sip::sdes::Srtp,
    pub(crate) keys: Box<[sip::sdes::Key]>,
    /// Our credentials of ICE, where the far end is a browser.
    pub(crate) ice: Option<crate::secrecy::Credentials>,
}

/// Leg: `Inviting → Ringing → Up → Ending → Gone`; gone legs are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LegState {
    /// Called, or calling, and not answered.
    Inviting,
    Ringing,
    /// Our 2xx is out and its ACK has not come.
    Answering,
    Up,
    Ending,
}
