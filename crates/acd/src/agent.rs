//! An agent: presence × availability × work items. Nobody outside this file assigns one of them.

use std::time::Duration;

use clock::Time;

use crate::api::{Agent, Availability, ContactId, Name, State, Work};
use crate::deadlines::{Deadline, Deadlines};

/// Units of voice an agent can hold at once.
const VOICE_CAPACITY: usize = 1;
/// Calls outside the distributor that one agent has at once: more than any telephone shows.
const CALLS_MAX: usize = 8;
/// Contacts that one agent is kept apart from at once; with more the agent rests altogether.
pub(crate) const PAIRS_MAX: usize = 16;
/// Busy or failed offers in a row after which the agent rests for a back-off: a phone that is always busy must not be
/// tried with each waiting contact in turn as fast as it answers.
const BUSY_MAX: u8 = 3;
/// Declined or redirected offers in a row that make an agent not ready.
const DECLINED_MAX: u8 = 2;
/// Calls in a row that reach nobody at a fixed contact before it is taken as unreachable.
const FAILURES_MAX: u8 = 3;

/// One unit of capacity in use: its owner, and its deadline where time ends it.
#[derive(Clone, Debug)]
enum Item {
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
    Occupied {
        call: ContactId,
        since: Time,
    },
}

/// A state without its data, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Ready,
    LoggedOut,
    NotReady,
    Unreachable,
    /// Ready, but at rest after busy or failed offers.
    Resting,
    Reserved,
    Connected,
    WrapUp,
    Occupied,
}

impl Kind {
    pub const COUNT: usize = 9;
    /// The kinds that keep an agent from being a candidate, and how the reason is called.
    pub const REASONS: [(Kind, &'static str); Kind::COUNT - 1] = [
        (Kind::LoggedOut, "logged_out"),
        (Kind::NotReady, "not_ready"),
        (Kind::Unreachable, "unreachable"),
        (Kind::Resting, "resting"),
        (Kind::Reserved, "reserved"),
        (Kind::Connected, "connected"),
        (Kind::WrapUp, "wrap_up"),
        (Kind::Occupied, "occupied"),
    ];
}

/// What an offer that was not answered does to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The caller or the distributor ended it.
    Nobody,
    Rona,
    Busy,
    Declined,
    /// Nobody is at the address.
    Unreachable,
}

/// An agent of the configuration and all that is true of them now.
#[derive(Clone, Debug)]
pub(crate) struct AgentRecord {
    config: Agent,
    reachable: bool,
    availability: Availability,
    items: [Option<Item>; VOICE_CAPACITY],
    /// Calls outside the distributor, oldest first; they take the capacity when no work item has it.
    calls: Vec<(ContactId, Time)>,
    /// Since when the agent could have taken work; kept while an offer rings, so that one withdrawn costs no place.
    idle_since: Option<Time>,
    resting_until: Option<Time>,
    retry_at: Option<Time>,
    pairs: Vec<(ContactId, Time)>,
    /// Time with work today, but for offers that ring; the stretch that goes on began at `working_since`.
    worked: Duration,
    working_since: Option<Time>,
    declined_in_a_row: u8,
    busy_in_a_row: u8,
    failures_in_a_row: u8,
    /// No longer configured: goes when the work is done.
    leaving: bool,
    shown: Option<State>,
}

// --- what is true

impl AgentRecord {
    /// A new agent; one with a fixed contact is taken as reachable.
    pub fn new(config: Agent) -> Self {
        let mut record = AgentRecord {
            reachable: false,
            availability: Availability::LoggedOut,
            items: [const { None }; VOICE_CAPACITY],
            calls: Vec::new(),
            idle_since: None,
            resting_until: None,
            retry_at: None,
            pairs: Vec::new(),
            worked: Duration::ZERO,
            working_since: None,
            declined_in_a_row: 0,
            busy_in_a_row: 0,
            failures_in_a_row: 0,
            leaving: false,
            shown: None,
            config,
        };
        if record.config.fixed {
            record.set_reachable();
        }
        record
    }

    pub fn config(&self) -> &Agent {
        &self.config
    }

    pub fn leaving(&self) -> bool {
        self.leaving
    }

    /// Removed from the configuration, and done.
    pub fn gone(&self) -> bool {
        self.leaving && self.item().is_none()
    }

    /// The state last told; `None` before the first.
    pub fn shown(&self) -> Option<&State> {
        self.shown.as_ref()
    }

    pub fn idle_since(&self) -> Option<Time> {
        self.idle_since
    }

    /// Since when the agent waits for work, if an offer can be made now.
    pub fn able(&self) -> Option<Time> {
        match self.kind() {
            Kind::Ready => self.idle_since,
            _ => None,
        }
    }

    /// Kept apart from this contact at `now`.
    pub fn apart_from(&self, contact: ContactId, now: Time) -> bool {
        self.pairs
            .iter()
            .any(|(other, until)| *other == contact && *until > now)
    }

    /// Contacts that the agent is kept apart from.
    pub fn pairs(&self) -> &[(ContactId, Time)] {
        &self.pairs
    }

    pub fn resting_until(&self) -> Option<Time> {
        self.resting_until
    }

    /// Time with work today, up to when the last work ended.
    pub fn worked(&self) -> Duration {
        self.worked
    }

    /// Whether a contact may wait for this agent: configured, and not asked to be logged out.
    pub fn signed_in(&self) -> bool {
        !self.leaving && self.availability != Availability::LoggedOut
    }

    pub fn kind(&self) -> Kind {
        match (self.item(), &self.availability) {
            (Some(Item::Reserved { .. }), _) => Kind::Reserved,
            (Some(Item::Connected { .. }), _) => Kind::Connected,
            (Some(Item::WrapUp { .. }), _) => Kind::WrapUp,
            (Some(Item::Occupied { .. }), _) => Kind::Occupied,
            (None, Availability::LoggedOut) => Kind::LoggedOut,
            (None, Availability::NotReady { .. }) => Kind::NotReady,
            (None, Availability::Ready) if !self.reachable => Kind::Unreachable,
            (None, Availability::Ready) if self.resting_until.is_some() => Kind::Resting,
            (None, Availability::Ready) => Kind::Ready,
        }
    }

    /// The contact that rings here.
    pub fn reserved(&self) -> Option<(ContactId, Time)> {
        match self.item() {
            Some(Item::Reserved { contact, until, .. }) => Some((*contact, *until)),
            _ => None,
        }
    }

    /// The contact spoken with, and its queue.
    pub fn connected(&self) -> Option<(ContactId, &Name)> {
        match self.item() {
            Some(Item::Connected { contact, queue, .. }) => Some((*contact, queue)),
            _ => None,
        }
    }

    pub fn wrap_up_until(&self) -> Option<Time> {
        match self.item() {
            Some(Item::WrapUp { until, .. }) => Some(*until),
            _ => None,
        }
    }

    /// Work items in progress; calls outside the distributor are among them.
    pub fn work(&self) -> impl Iterator<Item = Work> + '_ {
        self.items.iter().flatten().map(|item| match item {
            Item::Reserved { contact, until, .. } | Item::WrapUp { contact, until, .. } => Work {
                contact: *contact,
                deadline: Some(*until),
            },
            Item::Connected { contact, .. } => Work {
                contact: *contact,
                deadline: None,
            },
            Item::Occupied { call, .. } => Work {
                contact: *call,
                deadline: None,
            },
        })
    }

    /// Every deadline of this agent, whose number is given.
    pub fn deadlines(&self, agent: u32) -> impl Iterator<Item = (Time, Deadline)> + '_ {
        let ring = self
            .reserved()
            .map(|(_, until)| (until, Deadline::Ring { agent }));
        let wrap_up = self
            .wrap_up_until()
            .map(|until| (until, Deadline::WrapUp { agent }));
        let rest = self
            .resting_until
            .map(|until| (until, Deadline::Rest { agent }));
        let retry = self.retry_at.map(|at| (at, Deadline::Retry { agent }));
        let apart = self
            .pairs
            .iter()
            .map(move |&(contact, until)| (until, Deadline::BackOff { agent, contact }));
        [ring, wrap_up, rest, retry]
            .into_iter()
            .flatten()
            .chain(apart)
    }

    fn item(&self) -> Option<&Item> {
        self.items.iter().flatten().next()
    }

    fn visible(&self) -> State {
        match (self.item().cloned(), &self.availability) {
            (
                Some(Item::Reserved {
                    contact,
                    queue,
                    until,
                }),
                _,
            ) => State::Reserved {
                contact,
                queue,
                until,
            },
            (
                Some(Item::Connected {
                    contact,
                    queue,
                    since,
                }),
                _,
            ) => State::Connected {
                contact,
                queue,
                since,
            },
            (
                Some(Item::WrapUp {
                    contact,
                    queue,
                    until,
                }),
                _,
            ) => State::WrapUp {
                contact,
                queue,
                until,
            },
            (Some(Item::Occupied { call, since }), _) => State::Occupied { call, since },
            (None, Availability::LoggedOut) => State::LoggedOut,
            (None, Availability::NotReady { reason }) => State::NotReady {
                reason: reason.clone(),
            },
            (None, Availability::Ready) if self.reachable => State::Ready,
            (None, Availability::Ready) => State::Unreachable,
        }
    }
}

// --- what changes; each is followed by `settle_idle`

impl AgentRecord {
    /// True idle: it begins when the agent becomes able to take work, ends with work, a break or a lost phone, and goes on
    /// over an offer that came to nothing.
    pub fn settle_idle(&mut self, now: Time) {
        match (self.item(), &self.availability) {
            (Some(Item::Reserved { .. }), _) => {}
            (None, Availability::Ready) if self.reachable => {
                self.idle_since.get_or_insert(now);
            }
            _ => self.idle_since = None,
        }
        match self.item() {
            Some(Item::Connected { .. } | Item::WrapUp { .. } | Item::Occupied { .. }) => {
                self.working_since.get_or_insert(now);
            }
            Some(Item::Reserved { .. }) | None => {
                if let Some(since) = self.working_since.take() {
                    self.worked += now - since;
                }
            }
        }
    }

    /// A new day: work is counted from here.
    pub fn new_day(&mut self, now: Time) {
        self.worked = Duration::ZERO;
        self.working_since = self.working_since.map(|_| now);
    }

    /// More time for after-call work; returns the old deadline and the new one.
    pub fn extend_wrap_up(&mut self, by: Duration, latest: Time) -> Option<(Time, Time)> {
        let Some(Item::WrapUp { until, .. }) = self.items[0].as_mut() else {
            return None;
        };
        let before = *until;
        *until = (before + by).min(latest.max(before));
        Some((before, *until))
    }

    /// The state to tell, if it is not the one last told.
    pub fn show(&mut self) -> Option<State> {
        let state = self.visible();
        if self.shown.as_ref() == Some(&state) {
            return None;
        }
        self.shown = Some(state.clone());
        Some(state)
    }

    /// Applies a configuration; states and work stay.
    pub fn configure(&mut self, config: Agent) {
        let (was_fixed, was_leaving) = (self.config.fixed, self.leaving);
        self.config = config;
        self.leaving = false;
        match (was_fixed, self.config.fixed) {
            (false, true) => self.set_reachable(),
            // The address that was taken as reachable is no more; a registration will say so.
            (true, false) => self.reachable = false,
            (true, true) | (false, false) => {}
        }
        if was_leaving && self.reachable {
            self.sign_in();
        }
    }

    /// No longer configured.
    pub fn leave(&mut self) {
        self.leaving = true;
        self.availability = Availability::LoggedOut;
    }

    pub fn ask(&mut self, availability: Availability) {
        self.availability = availability;
    }

    /// True when the phone was not reachable before.
    pub fn set_presence(&mut self, reachable: bool) {
        self.retry_at = None;
        if !reachable {
            self.reachable = false;
        } else if !self.reachable {
            self.failures_in_a_row = 0;
            self.set_reachable();
        }
    }

    /// The pause after which a fixed phone that failed is tried again is over; one more failure starts another.
    pub fn retry(&mut self) {
        self.retry_at = None;
        self.reachable = true;
    }

    pub fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }

    fn set_reachable(&mut self) {
        self.reachable = true;
        self.sign_in();
    }

    /// An explicit not-ready is kept over a lost phone; a logged-out agent with `auto_ready` is ready by being reachable.
    fn sign_in(&mut self) {
        if self.config.auto_ready && !self.leaving && self.availability == Availability::LoggedOut {
            self.availability = Availability::Ready;
        }
    }

    pub fn reserve(&mut self, contact: ContactId, queue: Name, until: Time) {
        self.items[0] = Some(Item::Reserved {
            contact,
            queue,
            until,
        });
    }

    /// The offer of this contact was answered.
    pub fn connect(&mut self, now: Time) {
        self.declined_in_a_row = 0;
        self.busy_in_a_row = 0;
        self.failures_in_a_row = 0;
        if let Some(Item::Reserved { contact, queue, .. }) = self.items[0].take() {
            self.items[0] = Some(Item::Connected {
                contact,
                queue,
                since: now,
            });
        }
    }

    /// The conversation is over; wrap-up, if there is one, until the deadline.
    pub fn finish(&mut self, wrap_up_until: Option<Time>) {
        if let Some(Item::Connected { contact, queue, .. }) = self.items[0].take() {
            self.items[0] = wrap_up_until.map(|until| Item::WrapUp {
                contact,
                queue,
                until,
            });
            if self.items[0].is_none() {
                self.free();
            }
        }
    }

    pub fn end_wrap_up(&mut self) {
        if let Some(Item::WrapUp { .. }) = self.item() {
            self.free();
        }
    }

    /// The work item is over: a call that was made meanwhile has the capacity now.
    fn free(&mut self) {
        self.items[0] = self
            .calls
            .first()
            .filter(|_| !self.leaving)
            .map(|&(call, since)| Item::Occupied { call, since });
    }

    /// False when the agent has other work.
    pub fn occupy(&mut self, call: ContactId, now: Time) -> bool {
        if self.calls.len() < CALLS_MAX && self.calls.iter().all(|(known, _)| *known != call) {
            self.calls.push((call, now));
        }
        if self.item().is_some() {
            return false;
        }
        self.free();
        true
    }

    /// False when another call, or none, occupies the agent.
    pub fn vacate(&mut self, ended: ContactId) -> bool {
        self.calls.retain(|(call, _)| *call != ended);
        match self.item() {
            Some(Item::Occupied { call, .. }) if *call == ended => {
                self.free();
                true
            }
            _ => false,
        }
    }

    /// Takes a contact that rang outside the distributor as work of its queue. False when the agent has other work.
    pub fn take(&mut self, contact: ContactId, queue: Name, now: Time) -> bool {
        match self.item() {
            None => {}
            Some(Item::Occupied { call, .. }) if *call == contact => {}
            Some(
                Item::Occupied { .. }
                | Item::Reserved { .. }
                | Item::Connected { .. }
                | Item::WrapUp { .. },
            ) => return false,
        }
        self.calls.retain(|(call, _)| *call != contact);
        self.items[0] = Some(Item::Connected {
            contact,
            queue,
            since: now,
        });
        true
    }

    /// Work on one contact becomes work on another. False when it was no conversation and no call.
    pub fn join(&mut self, from: ContactId, into: ContactId) -> bool {
        if self.calls.iter().any(|(call, _)| *call == into) {
            self.calls.retain(|(call, _)| *call != from);
        } else if let Some((call, _)) = self.calls.iter_mut().find(|(call, _)| *call == from) {
            *call = into;
        }
        match self.items[0].as_mut() {
            Some(Item::Connected { contact, .. } | Item::Occupied { call: contact, .. })
                if *contact == from =>
            {
                *contact = into;
                true
            }
            _ => false,
        }
    }

    /// An offer ended without an answer. Sets the deadlines that follow from it.
    pub fn release(&mut self, agent: u32, blame: Blame, pause: Pauses, deadlines: &mut Deadlines) {
        let Some((contact, ring_until)) = self.reserved() else {
            return;
        };
        deadlines.cancel(ring_until, Deadline::Ring { agent });
        self.free();
        match blame {
            Blame::Nobody => {}
            Blame::Rona => {
                (self.declined_in_a_row, self.busy_in_a_row) = (0, 0);
                self.not_ready("rona");
            }
            Blame::Busy => {
                (self.declined_in_a_row, self.failures_in_a_row) = (0, 0);
                self.busy_in_a_row = self.busy_in_a_row.saturating_add(1);
                self.keep_apart(agent, contact, pause.back_off_until, deadlines);
                if self.busy_in_a_row >= BUSY_MAX {
                    self.rest(agent, pause.back_off_until, deadlines);
                }
            }
            Blame::Declined => {
                (self.busy_in_a_row, self.failures_in_a_row) = (0, 0);
                self.declined_in_a_row += 1;
                if self.declined_in_a_row >= DECLINED_MAX {
                    self.declined_in_a_row = 0;
                    self.not_ready("declined");
                } else {
                    self.keep_apart(agent, contact, pause.back_off_until, deadlines);
                }
            }
            Blame::Unreachable => {
                (self.declined_in_a_row, self.busy_in_a_row) = (0, 0);
                self.reached_nobody(agent, contact, pause, deadlines);
            }
        }
    }

    fn reached_nobody(
        &mut self,
        agent: u32,
        contact: ContactId,
        pause: Pauses,
        deadlines: &mut Deadlines,
    ) {
        if !self.config.fixed {
            self.reachable = false;
            return;
        }
        self.failures_in_a_row += 1;
        if self.failures_in_a_row < FAILURES_MAX {
            self.keep_apart(agent, contact, pause.back_off_until, deadlines);
            return;
        }
        // Nobody registers at a fixed contact, so nobody would ever say that it is back: it is tried again.
        self.failures_in_a_row = FAILURES_MAX - 1;
        if self.reachable {
            self.reachable = false;
            self.retry_at = Some(pause.retry_at);
            deadlines.set(pause.retry_at, Deadline::Retry { agent });
        }
    }

    /// Only a ready agent is made not ready: who asked for a break or logged out gets that.
    fn not_ready(&mut self, reason: &str) {
        if self.availability == Availability::Ready {
            self.availability = Availability::NotReady {
                reason: reason.into(),
            };
        }
    }

    pub fn keep_apart(
        &mut self,
        agent: u32,
        contact: ContactId,
        until: Time,
        deadlines: &mut Deadlines,
    ) {
        if self.pairs.len() >= PAIRS_MAX {
            self.rest(agent, until, deadlines);
        } else {
            self.pairs.push((contact, until));
            deadlines.set(until, Deadline::BackOff { agent, contact });
        }
    }

    /// The pair may meet again.
    pub fn end_back_off(&mut self, contact: ContactId, now: Time) {
        self.pairs
            .retain(|(other, until)| *other != contact || *until > now);
    }

    fn rest(&mut self, agent: u32, until: Time, deadlines: &mut Deadlines) {
        if let Some(before) = self.resting_until.replace(until) {
            deadlines.cancel(before, Deadline::Rest { agent });
        }
        deadlines.set(until, Deadline::Rest { agent });
    }

    pub fn end_rest(&mut self) {
        self.resting_until = None;
    }
}

/// When the pauses that begin now will end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    pub back_off_until: Time,
    pub retry_at: Time,
}
