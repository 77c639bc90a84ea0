//! The fold itself: one event in, sums changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clock::Time;
use engine::event::{AgentState, ContactId, Direction, Event, EventKind, Exit, Outcome};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::counters::Histogram;
use crate::series::{INTERVAL, KEPT_INTERVALS, Series, Slot, interval_start, row};
use crate::totals::{AgentTotals, CentreTotals, QueueTotals};

type Name = Arc<str>;

/// Service-level target of a queue that has not told its own.
pub const DEFAULT_TARGET_MS: u64 = 20_000;
const DEFAULT_SHORT_ABANDON_MS: u64 = 5_000;
/// KPI.md's edges of `queue_answer_wait_seconds`, in seconds; each queue's target is added to all queues, so that buckets can be summed.
const WAIT_EDGES_S: [u64; 10] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
const HANDLE_EDGES_S: [u64; 10] = [5, 10, 20, 30, 60, 120, 180, 300, 600, 1800];

fn edges_us(seconds: &[u64]) -> Vec<u64> {
    seconds.iter().map(|s| s * 1_000_000).collect()
}

/// KPI.md's edges of the answer wait, in microseconds.
pub(crate) fn wait_edges_us() -> Vec<u64> {
    edges_us(&WAIT_EDGES_S)
}

/// Every number of the centre, as a fold of its events.
///
/// ```
/// let fold = metrics::Fold::new(jiff::tz::TimeZone::UTC);
/// assert_eq!(fold.sequence(), 0);
/// assert!(fold.balance().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    #[serde(skip, default = "utc")]
    pub(crate) zone: TimeZone,
    pub(crate) sequence: u64,
    /// Time of the last event but for `node.started`.
    pub(crate) last: Time,
    pub(crate) day: Day,
    pub(crate) queues: BTreeMap<Name, QueueFold>,
    pub(crate) agents: BTreeMap<Name, AgentFold>,
    pub(crate) groups: BTreeMap<Name, GroupFold>,
    pub(crate) centre: Series<CentreTotals>,
    /// Open contacts: as many as the engine lets in, since the log has no gaps.
    pub(crate) contacts: BTreeMap<ContactId, OpenContact>,
    /// Open contacts by direction.
    pub(crate) active: [u64; 3],
}

fn utc() -> TimeZone {
    TimeZone::UTC
}

/// A day in the centre's zone: `[start, end)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Day {
    pub(crate) start: Time,
    pub(crate) end: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueueFold {
    pub(crate) target_ms: u64,
    pub(crate) short_abandon_ms: u64,
    /// Open visits, the oldest first.
    pub(crate) waiting: BTreeSet<(Time, ContactId)>,
    pub(crate) series: Series<QueueTotals>,
    /// How many waited when an interval began, for each that has a row.
    pub(crate) waiting_at_start: BTreeMap<Time, u64>,
    pub(crate) answer_wait: Histogram,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AgentFold {
    pub(crate) group: Name,
    pub(crate) state: AgentState,
    pub(crate) since: Time,
    pub(crate) queue: Option<Name>,
    /// Talk, hold and wrap-up of the work item so far.
    item_ms: [u64; 3],
    /// Total and days; intervals are kept per group.
    pub(crate) series: Series<AgentTotals>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupFold {
    pub(crate) series: Series<AgentTotals>,
    /// Talk, hold and wrap-up per work item.
    pub(crate) handle: [Histogram; 3],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenContact {
    direction: Direction,
    visit: Option<Visit>,
    /// The queue of the last visit, for transfers.
    queue: Option<Name>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Visit {
    queue: Name,
    number: u32,
    since: Time,
}

/// How a visit ended.
enum Ending {
    Answered,
    Abandoned { short: bool },
    Left(Exit),
}

impl Default for GroupFold {
    fn default() -> Self {
        GroupFold {
            series: Series::default(),
            handle: std::array::from_fn(|_| Histogram::new(&edges_us(&HANDLE_EDGES_S))),
        }
    }
}

impl Fold {
    /// An empty fold; days are those of `zone`.
    pub fn new(zone: TimeZone) -> Fold {
        Fold {
            zone,
            sequence: 0,
            last: Time::ZERO,
            day: Day::default(),
            queues: BTreeMap::new(),
            agents: BTreeMap::new(),
            groups: BTreeMap::new(),
            centre: Series::default(),
            contacts: BTreeMap::new(),
            active: [0; 3],
        }
    }

    /// A fold from its JSON (`serde_json::to_vec(&fold)`), in this zone.
    ///
    /// # Errors
    /// When the bytes are no snapshot of a fold: rebuild by replay then.
    pub fn from_snapshot(json: &[u8], zone: TimeZone) -> Result<Fold, serde_json::Error> {
        let mut fold: Fold = serde_json::from_slice(json)?;
        fold.zone = zone;
        fold.day = Day::default();
        Ok(fold)
    }

    /// Sequence of the last event applied.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Applies an event. One that has been applied already (a sequence not above the last) changes nothing and gives `false`.
    pub fn apply(&mut self, event: &Event) -> bool {
        if event.sequence <= self.sequence {
            return false;
        }
        self.sequence = event.sequence;
        // What a crash cut short ended when the log did, and is told after `node.started`: the new run's time must not pass over it.
        if !matches!(event.kind, EventKind::NodeStarted { .. }) {
            self.last = self.last.max(event.at);
        }
        let at = self.last;
        let slot = self.slot(at);
        self.apply_kind(at, slot, &event.kind);
        true
    }

    fn apply_kind(&mut self, at: Time, slot: Slot, kind: &EventKind) {
        match kind {
            EventKind::ContactArrived {
                contact, direction, ..
            } => self.arrived(contact, *direction),
            EventKind::ContactQueued {
                contact,
                queue,
                visit,
                ..
            } => self.queued(at, slot, contact, queue, *visit),
            EventKind::ContactOfferEnded {
                agent,
                group,
                reason,
                ..
            } => {
                let end = *reason as usize;
                self.agent_books(slot, agent, group, |totals| totals.offers.ended[end] += 1);
            }
            EventKind::ContactAnswered {
                contact,
                queue,
                agent,
                group,
                wait_ms,
                transferred,
                ..
            } => {
                if queue.is_some() {
                    self.visit_ends(slot, contact, *wait_ms, Ending::Answered);
                    self.agent_books(slot, agent, group, |totals| {
                        // Passed on by another agent: work, but no offer.
                        totals.offers.answered += u64::from(!transferred);
                        totals.handling.handled += 1;
                    });
                }
            }
            EventKind::ContactAbandoned {
                contact,
                queue,
                wait_ms,
                short,
                ..
            } => {
                if queue.is_some() {
                    self.visit_ends(slot, contact, *wait_ms, Ending::Abandoned { short: *short });
                }
            }
            EventKind::ContactLeftQueue {
                contact,
                exit,
                wait_ms,
                ..
            } => {
                self.visit_ends(slot, contact, *wait_ms, Ending::Left(*exit));
            }
            EventKind::ContactTransferred {
                contact,
                kind,
                from,
                ..
            } => self.transferred(slot, contact, kind, from.as_ref()),
            EventKind::ContactClosed {
                contact,
                outcome,
                direction,
                entered_ivr,
                wait_ms,
                ..
            } => {
                self.closed(slot, contact, *outcome, *direction, *entered_ivr, *wait_ms);
            }
            EventKind::AgentState {
                agent,
                group,
                state,
                queue,
                was,
                was_ms,
                ..
            } => {
                self.agent_state(at, agent, group, *state, queue.as_ref(), *was, *was_ms);
            }
            EventKind::QueueChanged {
                queue,
                target_ms,
                short_abandon_ms,
                ..
            } => {
                self.queue_changed(queue, *target_ms, *short_abandon_ms);
            }
            EventKind::NodeStarted { .. }
            | EventKind::ContactTransferFailed { .. }
            | EventKind::ContactJoined { .. }
            | EventKind::ContactLeft { .. }
            | EventKind::ContactDisposition { .. }
            | EventKind::ContactRecording { .. }
            | EventKind::RecordingSaved { .. }
            | EventKind::RecordingFailed { .. }
            | EventKind::ContactIdentified { .. }
            | EventKind::ContactOffered { .. }
            | EventKind::ContactHeld { .. }
            | EventKind::ContactResumed { .. }
            | EventKind::IvrStep { .. }
            | EventKind::ContactSurveyed { .. }
            | EventKind::ConfigApplied { .. }
            | EventKind::Audit { .. } => {}
        }
    }

    fn arrived(&mut self, contact: &ContactId, direction: Direction) {
        let fresh = OpenContact {
            direction,
            visit: None,
            queue: None,
        };
        if self.contacts.insert(contact.clone(), fresh).is_none() {
            self.active[direction as usize] += 1;
        }
    }

    fn queued(&mut self, at: Time, slot: Slot, contact: &ContactId, queue: &Name, number: u32) {
        let Some(open) = self.contacts.get_mut(contact) else {
            return;
        };
        if open
            .visit
            .as_ref()
            .is_some_and(|visit| visit.number == number)
        {
            return; // the visit goes on in its old place
        }
        let visit = Visit {
            queue: queue.clone(),
            number,
            since: at,
        };
        open.queue = Some(queue.clone());
        if let Some(earlier) = open.visit.replace(visit) {
            let wait_ms = at.since(earlier.since).as_millis() as u64;
            self.ends(
                slot,
                contact,
                &earlier,
                wait_ms,
                Ending::Left(Exit::LeftByChoice),
            );
        }
        let queue = self.queue(queue);
        queue.opens(slot);
        queue.waiting.insert((at, contact.clone()));
        queue.series.book(slot, |totals| totals.offered += 1);
    }

    fn visit_ends(&mut self, slot: Slot, contact: &ContactId, wait_ms: u64, ending: Ending) {
        if let Some(visit) = self
            .contacts
            .get_mut(contact)
            .and_then(|open| open.visit.take())
        {
            self.ends(slot, contact, &visit, wait_ms, ending);
        }
    }

    fn ends(
        &mut self,
        slot: Slot,
        contact: &ContactId,
        visit: &Visit,
        wait_ms: u64,
        ending: Ending,
    ) {
        let queue = self.queue(&visit.queue);
        queue.opens(slot);
        queue.waiting.remove(&(visit.since, contact.clone()));
        let within = wait_ms <= queue.target_ms;
        if matches!(ending, Ending::Answered) {
            queue.answer_wait.observe_us(wait_ms * 1000);
        }
        queue.series.book(slot, |totals| {
            totals.exit_wait_ms += wait_ms;
            match ending {
                Ending::Answered => {
                    totals.answered += 1;
                    totals.handling.handled += 1;
                    totals.answered_wait_ms += wait_ms;
                    totals.answered_within += u64::from(within);
                }
                Ending::Abandoned { short } => {
                    totals.abandoned += 1;
                    totals.abandoned_short += u64::from(short);
                    totals.abandoned_within += u64::from(within);
                    totals.unanswered_late += u64::from(!within);
                }
                Ending::Left(exit) => {
                    totals.left[exit as usize] += 1;
                    totals.unanswered_late += u64::from(!within);
                }
            }
        });
    }

    fn transferred(&mut self, slot: Slot, contact: &ContactId, kind: &str, from: Option<&Name>) {
        // What a flow does with its caller is no agent's transfer.
        if kind == "flow" {
            return;
        }
        let count = |handling: &mut crate::Handling| match kind {
            "queue" | "to_queue" => handling.transferred_to_queue += 1,
            "consult" | "attended" => handling.transferred_consult += 1,
            _ => handling.transferred_blind += 1,
        };
        if let Some(queue) = self
            .contacts
            .get(contact)
            .and_then(|open| open.queue.clone())
        {
            let queue = self.queue(&queue);
            queue.opens(slot);
            queue
                .series
                .book(slot, |totals| count(&mut totals.handling));
        }
        if let Some((agent, group)) = from.and_then(|agent| {
            self.agents
                .get(agent)
                .map(|known| (agent.clone(), known.group.clone()))
        }) {
            self.agent_books(slot, &agent, &group, |totals| count(&mut totals.handling));
        }
    }

    fn closed(
        &mut self,
        slot: Slot,
        contact: &ContactId,
        outcome: Outcome,
        direction: Direction,
        entered_ivr: bool,
        wait_ms: u64,
    ) {
        // A closed contact cannot wait: whatever the log forgot to say, the visit is over.
        self.visit_ends(slot, contact, wait_ms, Ending::Left(Exit::SystemError));
        if let Some(open) = self.contacts.remove(contact) {
            self.active[open.direction as usize] -= 1;
        }
        self.centre.book(slot, |totals| {
            totals.closed[direction as usize][outcome as usize] += 1;
            totals.ivr_entered += u64::from(entered_ivr);
            totals.self_served += u64::from(entered_ivr && outcome == Outcome::SelfServed);
        });
    }

    fn queue_changed(&mut self, queue: &Name, target_ms: u64, short_abandon_ms: u64) {
        let fold = self.queue(queue);
        fold.target_ms = target_ms;
        fold.short_abandon_ms = short_abandon_ms;
        for other in self.queues.values_mut() {
            other.answer_wait.add_edge(target_ms * 1000);
        }
    }

    fn agent_state(
        &mut self,
        at: Time,
        agent: &Name,
        group: &Name,
        state: AgentState,
        queue: Option<&Name>,
        was: AgentState,
        was_ms: u64,
    ) {
        let lasted = std::time::Duration::from_millis(was_ms);
        let known = self
            .agents
            .entry(agent.clone())
            .or_insert_with(|| AgentFold {
                group: group.clone(),
                state: was,
                since: at - lasted,
                queue: None,
                item_ms: [0; 3],
                series: Series::default(),
            });
        let since = known.since;
        let (old_group, old_queue) = (known.group.clone(), known.queue.take());
        let working = |state| {
            matches!(
                state,
                AgentState::Connected | AgentState::Held | AgentState::WrapUp
            )
        };
        known.queue = queue
            .cloned()
            .or_else(|| old_queue.clone().filter(|_| working(state)));
        known.group = group.clone();
        known.state = state;
        known.since = at;
        // The time of a state that a crash cut short ends where the log ended, so its end is counted from its beginning.
        self.book_state(agent, &old_group, was, since, since + lasted);
        self.book_handling(at, agent, &old_group, old_queue, was, state, was_ms);
    }

    /// Wall-clock time in a state, split exactly over intervals and days.
    fn book_state(&mut self, agent: &Name, group: &Name, state: AgentState, from: Time, to: Time) {
        let whole = to.as_millis().saturating_sub(from.as_millis());
        let pieces = self.pieces(from, to);
        let group = self.groups.entry(group.clone()).or_default();
        group.series.total.state_ms.book(state, whole);
        for (slot, ms) in &pieces {
            row(&mut group.series.intervals, slot.interval, KEPT_INTERVALS)
                .state_ms
                .book(state, *ms);
            row(&mut group.series.days, slot.day, crate::series::KEPT_DAYS)
                .state_ms
                .book(state, *ms);
        }
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.series.total.state_ms.book(state, whole);
            for (slot, ms) in &pieces {
                row(&mut agent.series.days, slot.day, crate::series::KEPT_DAYS)
                    .state_ms
                    .book(state, *ms);
            }
        }
    }

    /// Talk, hold and wrap-up as work on contacts, booked whole where they end.
    fn book_handling(
        &mut self,
        at: Time,
        agent: &Name,
        group: &Name,
        queue: Option<Name>,
        was: AgentState,
        now: AgentState,
        ms: u64,
    ) {
        let part = |state| match state {
            AgentState::Connected => Some(0),
            AgentState::Held => Some(1),
            AgentState::WrapUp => Some(2),
            AgentState::LoggedOut
            | AgentState::NotReady
            | AgentState::Unreachable
            | AgentState::Ready
            | AgentState::Reserved
            | AgentState::Occupied => None,
        };
        let Some(part_was) = part(was) else { return };
        let slot = self.slot(at);
        let count = |handling: &mut crate::Handling| match part_was {
            0 => handling.talk_ms += ms,
            1 => handling.hold_ms += ms,
            _ => handling.wrap_up_ms += ms,
        };
        self.agent_books(slot, agent, group, |totals| count(&mut totals.handling));
        if let Some(queue) = queue {
            let queue = self.queue(&queue);
            queue.opens(slot);
            queue
                .series
                .book(slot, |totals| count(&mut totals.handling));
        }
        let Some(known) = self.agents.get_mut(agent) else {
            return;
        };
        known.item_ms[part_was] += ms;
        if part(now).is_none() || (part_was == 2 && now != AgentState::WrapUp) {
            let item = std::mem::take(&mut known.item_ms);
            let group = self.groups.entry(group.clone()).or_default();
            for (histogram, ms) in group.handle.iter_mut().zip(item) {
                histogram.observe_us(ms * 1000);
            }
        }
    }

    fn agent_books(
        &mut self,
        slot: Slot,
        agent: &Name,
        group: &Name,
        change: impl Fn(&mut AgentTotals),
    ) {
        if let Some(agent) = self.agents.get_mut(agent) {
            agent.series.book_day(slot, &change);
        }
        match self.groups.get_mut(group) {
            Some(group) => group.series.book(slot, change),
            None => self
                .groups
                .entry(group.clone())
                .or_default()
                .series
                .book(slot, change),
        }
    }

    fn queue(&mut self, name: &Name) -> &mut QueueFold {
        if !self.queues.contains_key(name) {
            let mut edges = wait_edges_us();
            edges.extend(self.queues.values().map(|queue| queue.target_ms * 1000));
            edges.push(DEFAULT_TARGET_MS * 1000);
            let fresh = QueueFold {
                target_ms: DEFAULT_TARGET_MS,
                short_abandon_ms: DEFAULT_SHORT_ABANDON_MS,
                waiting: BTreeSet::new(),
                series: Series::default(),
                waiting_at_start: BTreeMap::new(),
                answer_wait: Histogram::new(&edges),
            };
            self.queues.insert(name.clone(), fresh);
        }
        self.queues.get_mut(name).expect("inserted above")
    }

    /// Where `at` is booked.
    fn slot(&mut self, at: Time) -> Slot {
        if !(self.day.start <= at && at < self.day.end) {
            self.day = self.day_of(at);
        }
        Slot {
            interval: interval_start(at),
            day: self.day.start,
        }
    }

    /// `[from, to)` cut at the borders of intervals, in milliseconds; what is older than the intervals kept is left out.
    pub(crate) fn pieces(&self, from: Time, to: Time) -> Vec<(Slot, u64)> {
        let mut from = from.max(interval_start(to - INTERVAL * (KEPT_INTERVALS as u32 - 1)));
        let mut day = self.day;
        let mut pieces = Vec::new();
        while from < to {
            if !(day.start <= from && from < day.end) {
                day = self.day_of(from);
            }
            let interval = interval_start(from);
            let end = to.min(interval + INTERVAL);
            pieces.push((
                Slot {
                    interval,
                    day: day.start,
                },
                end.as_millis() - from.as_millis(),
            ));
            from = end;
        }
        pieces
    }

    /// The day in the centre's zone that holds this moment; a whole UTC day where the calendar ends.
    pub(crate) fn day_of(&self, at: Time) -> Day {
        let civil = || -> Result<Day, jiff::Error> {
            let stamp = jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos()))?;
            let start = stamp.to_zoned(self.zone.clone()).start_of_day()?;
            let end = start.tomorrow()?.start_of_day()?;
            let time = |zoned: &jiff::Zoned| {
                Time::from_nanos(u64::try_from(zoned.timestamp().as_nanosecond()).unwrap_or(0))
            };
            Ok(Day {
                start: time(&start),
                end: time(&end),
            })
        };
        civil().unwrap_or_else(|_| {
            let day = 86_400;
            let start = at.as_nanos() / 1_000_000_000 / day * day;
            Day {
                start: Time::from_secs(start),
                end: Time::from_secs(start) + std::time::Duration::from_secs(day),
            }
        })
    }
}

impl QueueFold {
    /// Notes how many wait when the first thing of an interval happens; nothing has changed since it began.
    fn opens(&mut self, slot: Slot) {
        if !self.waiting_at_start.contains_key(&slot.interval) {
            let waiting = self.waiting.len() as u64;
            *row(&mut self.waiting_at_start, slot.interval, KEPT_INTERVALS) = waiting;
        }
    }
}
