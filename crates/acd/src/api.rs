//! What goes into the distributor and what comes out of it: plain data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use serde::{Deserialize, Serialize};

/// Name of an agent, queue, skill or group.
pub type Name = Arc<str>;

/// A contact, or another call that occupies an agent: a number that the engine gives, never reused.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ContactId(pub u64);

/// Everything that can happen to the distributor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// The configuration, compiled; applied as a difference: places, states and work items stay.
    Configure { config: Arc<Config> },
    /// The agent's phone is (un)reachable.
    Presence { agent: Name, reachable: bool },
    /// The agent, or someone for them, asks for a state. During a contact it takes effect after wrap-up.
    Availability {
        agent: Name,
        availability: Availability,
    },
    /// A contact begins to wait.
    Enqueue(Enqueue),
    /// A waiting or offered contact leaves: the offer, if any, is withdrawn and blames nobody.
    Withdraw { contact: ContactId, why: Withdrawal },
    /// How the offer to this agent went.
    Offer {
        contact: ContactId,
        agent: Name,
        result: OfferResult,
    },
    /// The conversation is over: wrap-up begins. `wrap_up` false skips it (no conversation took place).
    Finished {
        contact: ContactId,
        agent: Name,
        wrap_up: bool,
    },
    /// The agent ends wrap-up before its deadline.
    EndWrapUp { agent: Name },
    /// A call outside the distributor takes the agent's voice capacity (internal, outbound). During a work item it is remembered and takes effect after it.
    Occupy { agent: Name, call: ContactId },
    /// That call is over.
    Vacate { agent: Name, call: ContactId },
    /// A contact that was passed on to this agent, and rang there outside the distributor, is answered: work of the queue that it came from.
    Take {
        contact: ContactId,
        agent: Name,
        queue: Name,
    },
    /// Two contacts have become one: the agent's work on `from`, be it of a queue or a call, is `into`'s from now on.
    Join {
        agent: Name,
        from: ContactId,
        into: ContactId,
    },
    /// The agent has passed the contact on: the pair is kept apart for a back-off, so that it does not come straight back.
    KeepApart { contact: ContactId, agent: Name },
    /// The caller of a waiting contact has hung up and wants to be called back: it keeps its place and is offered to nobody.
    /// [`Output::Turn`] comes when at most so many are before it in its queue, or somebody is ready for it.
    Detach { contact: ContactId, ahead: u32 },
    /// The caller is back on the line: the contact waits in its old place.
    Attach { contact: ContactId },
    /// The agent needs more time for after-call work.
    ExtendWrapUp { agent: Name, by: Duration },
    /// Midnight in the centre's time zone: who was occupied how long is counted anew.
    NewDay,
}

/// A contact begins to wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Enqueue {
    pub contact: ContactId,
    pub queue: Name,
    /// Required skills beside the queue's own; the higher level of both counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skills: BTreeMap<Name, u8>,
    /// Credit in seconds added to the time waited.
    #[serde(default)]
    pub priority: i32,
    /// Customer value class, for the queue's class credit.
    #[serde(default)]
    pub class: Option<Name>,
    /// When the wait began, if earlier than now (back in an old place).
    #[serde(default)]
    pub since: Option<Time>,
    /// Skills that are good to have: of the eligible agents, those who have all of them come first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub preferred: BTreeMap<Name, u8>,
    /// The agent who should have it: the customer's own, or the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
}

/// An agent whom a contact waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub agent: Name,
    /// How long it waits for nobody else; after that, this agent comes first among the eligible.
    pub patience: Duration,
}

/// Why a contact left by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawal {
    /// The caller hung up.
    CallerGone,
    /// The engine took it elsewhere (in-queue menu, transfer, shutdown).
    Moved,
}

/// How an offer went, as the engine saw it. A ring time-out is the distributor's own deadline and is not reported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferResult {
    Answered,
    /// 486, 480: the pair backs off, the agent stays ready.
    Busy,
    /// 603, or a reject on the desk: not-ready(declined) after two in a row.
    Declined,
    /// 302: counts as declined; never followed.
    Redirected,
    /// No response to the INVITE, transport error: the agent is taken as unreachable until presence says otherwise,
    /// or, for a fixed contact, after three in a row.
    Unreachable,
    /// No binding.
    NotRegistered,
    /// Anything else (5xx, broken SDP): the pair backs off.
    Failed,
}

/// What an agent asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    LoggedOut,
    NotReady { reason: Name },
    Ready,
}

/// Queues and agents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub seed: u64,
    pub queues: Vec<Queue>,
    pub agents: Vec<Agent>,
    /// How long a pair of contact and agent is kept apart after busy or failure (10 s).
    pub back_off: Duration,
}

/// A queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub name: Name,
    /// Required skills, level 1-10.
    pub skills: BTreeMap<Name, u8>,
    pub ring: Duration,
    pub wrap_up: Duration,
    /// Credit in seconds.
    #[serde(default)]
    pub priority: i32,
    /// Credit in seconds by customer class.
    #[serde(default)]
    pub class_credit: BTreeMap<Name, i32>,
    /// Most contacts that may wait; the next one is `Full`.
    pub max_waiting: usize,
    /// How the requirement relaxes with the time waited, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Who of the eligible agents is chosen.
    #[serde(default, skip_serializing_if = "Choice::is_longest_idle")]
    pub choice: Choice,
    /// Longest wait, from entering the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Duration>,
    /// Causes for which nobody waits here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty: Vec<Absence>,
}

/// A step by which a queue's requirement relaxes. It stays in force, and later ones come on top of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Time waited.
    pub after: Duration,
    /// In place of the queue's own requirement; the contact's stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills: Option<BTreeMap<Name, u8>>,
    /// No more than this level is required, whoever asks for it; 0 drops the skill.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at_most: BTreeMap<Name, u8>,
    /// Nothing at all is required.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anyone: bool,
}

/// Who of the eligible agents is chosen. Ties go to the longest idle, then by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    #[default]
    LongestIdle,
    /// Least time in conversations, after-call work and other calls today.
    LeastOccupied,
    /// The highest sum of levels in the skills that are required (and preferred, among those who have these).
    MostSkilled,
    /// The next by id after the one whom the queue has offered a contact last.
    RoundRobin,
}

impl Choice {
    fn is_longest_idle(&self) -> bool {
        *self == Choice::LongestIdle
    }
}

/// Why nobody can serve a contact. Those count who have the skills of the queue's last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// Nobody has the skills.
    NoSkill,
    /// Nobody of them is signed in with a phone that can be reached.
    NobodyLoggedIn,
    /// Of them all who are signed in are on a break.
    AllOnBreak,
}

/// Why a queue gave a contact up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    MaxWait,
    NoSkill,
    NobodyLoggedIn,
    AllOnBreak,
}

impl From<Absence> for Left {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::NoSkill => Left::NoSkill,
            Absence::NobodyLoggedIn => Left::NobodyLoggedIn,
            Absence::AllOnBreak => Left::AllOnBreak,
        }
    }
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    pub id: Name,
    pub group: Name,
    pub skills: BTreeMap<Name, u8>,
    /// Ready as soon as reachable.
    pub auto_ready: bool,
    /// Overrides the queue's wrap-up.
    pub wrap_up: Option<Duration>,
    /// Reached at a fixed contact: reachable from the start.
    pub fixed: bool,
}

/// What the distributor wants done, or tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "output", rename_all = "snake_case")]
pub enum Output {
    /// The agent is reserved: ring them. Answer with `Input::Offer`.
    Offered {
        contact: ContactId,
        queue: Name,
        agent: Name,
        ring: Duration,
        decision: Box<Decision>,
    },
    /// An offer ended without an answer; the contact waits again in its old place unless it is gone (`CallerGone`, `Moved`).
    OfferEnded {
        contact: ContactId,
        queue: Name,
        agent: Name,
        reason: OfferEnd,
    },
    /// An agent's state changed.
    Agent {
        agent: Name,
        state: State,
        idle_since: Option<Time>,
    },
    /// The contact could not wait: the queue is unknown (`known` false), full, or closed to new contacts.
    Refused {
        contact: ContactId,
        queue: Name,
        known: bool,
    },
    /// The contact waits no longer: too long, or for nobody.
    Left {
        contact: ContactId,
        queue: Name,
        why: Left,
    },
    /// The turn of a detached contact has come: call it. Told once for each [`Input::Detach`].
    Turn { contact: ContactId, queue: Name },
}

/// Why an offer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferEnd {
    RingTimeout,
    Busy,
    Declined,
    Redirected,
    Unreachable,
    NotRegistered,
    Failed,
    CallerGone,
    Moved,
    /// A supervisor forced the agent's state, or the agent was removed.
    Withdrawn,
}

/// The state that others see. Every state but the first three names its owner and its deadline where it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    LoggedOut,
    NotReady {
        reason: Name,
    },
    /// Ready and reachable: can be offered a contact.
    Ready,
    /// Asked for ready, but no phone is reachable.
    Unreachable,
    Reserved {
        contact: ContactId,
        queue: Name,
        until: Time,
    },
    Connected {
        contact: ContactId,
        queue: Name,
        since: Time,
    },
    WrapUp {
        contact: ContactId,
        queue: Name,
        until: Time,
    },
    /// On a call outside the distributor.
    Occupied {
        call: ContactId,
        since: Time,
    },
}

/// A work item of an agent: one unit of voice capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    pub contact: ContactId,
    pub deadline: Option<Time>,
}

/// Why this agent got this contact; bounded in size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub step: u32,
    pub chosen: Name,
    /// `null` where nobody else could have had it.
    pub runner_up: Option<Name>,
    /// The best few.
    pub candidates: Vec<Candidate>,
    pub excluded: Vec<Excluded>,
    /// Contacts that waited longer and were passed over (no skill among the ready agents).
    pub overtaken: Vec<ContactId>,
    /// How often others were offered before this contact, by reason: `skill` (the agent could not have had it), `back_off`,
    /// `wanted` (it waited for another agent), `priority` (the other came later and had more credit).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overtaken_by: BTreeMap<Name, u32>,
}

/// An agent who could have had the contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub agent: Name,
    pub score: f64,
    pub terms: BTreeMap<Name, f64>,
}

/// Why a contact waits at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    pub queue: Name,
    pub position: u32,
    pub step: u32,
    /// When the requirement relaxes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<Time>,
    /// What is required now.
    pub skills: BTreeMap<Name, u8>,
    /// The agent whom it waits for alone, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_for: Option<(Name, Time)>,
    /// Waits to be called back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    pub excluded: Vec<Excluded>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overtaken_by: BTreeMap<Name, u32>,
}

/// Why an agent has nothing to do at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Idle {
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Time>,
    /// Offers that were busy or failed in a row: no offers until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resting_until: Option<Time>,
    /// Contacts that wait, of all queues.
    pub waiting: u32,
    /// Why this agent has none of them: by reason, with examples.
    pub passed: Vec<Passed>,
}

/// Waiting contacts that an agent cannot have, by reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passed {
    /// `skill`, `level`, `back_off`, `wanted`, `detached`, or `state`: the agent's own.
    pub reason: Name,
    pub count: u32,
    pub examples: Vec<ContactId>,
}

/// Agents who could not, by reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Excluded {
    pub reason: Name,
    pub count: u32,
    pub examples: Vec<Name>,
}
