//! Questions to a fold. Every one that depends on time takes `now`.

use std::sync::Arc;

use clock::Time;
use engine::event::{AgentState, Direction};

use crate::fold::{Day, Fold};
use crate::series::Series;
use crate::totals::{AgentTotals, CentreTotals, QueueTotals};

/// A queue at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueNow {
    pub waiting: u64,
    /// When the visit that waits longest began.
    pub longest_since: Option<Time>,
    pub target_ms: u64,
    pub short_abandon_ms: u64,
    /// Today in the centre's zone.
    pub today: QueueTotals,
}

/// An agent at this moment.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentNow {
    pub group: Arc<str>,
    pub state: AgentState,
    pub since: Time,
    /// Today, the running state included.
    pub today: AgentTotals,
}

/// KPI.md's invariant does not hold here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imbalance {
    pub queue: Arc<str>,
    pub interval: Time,
    pub waiting_at_start: u64,
    pub offered: u64,
    pub exits: u64,
    pub waiting_at_end: u64,
}

impl Fold {
    /// Every queue known, in order.
    pub fn queues(&self) -> impl Iterator<Item = &Arc<str>> {
        self.queues.keys()
    }

    /// Every agent known, in order.
    pub fn agents(&self) -> impl Iterator<Item = &Arc<str>> {
        self.agents.keys()
    }

    /// Every group known, in order.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.keys()
    }

    /// Open contacts of a direction.
    pub fn active(&self, direction: Direction) -> u64 {
        self.active[direction as usize]
    }

    /// A queue at this moment.
    pub fn queue_now(&self, name: &str, now: Time) -> Option<QueueNow> {
        self.queues.get(name).map(|queue| QueueNow {
            waiting: queue.waiting.len() as u64,
            longest_since: queue.waiting.first().map(|(since, _)| *since),
            target_ms: queue.target_ms,
            short_abandon_ms: queue.short_abandon_ms,
            today: self.today(&queue.series, now),
        })
    }

    /// An agent at this moment.
    pub fn agent_now(&self, id: &str, now: Time) -> Option<AgentNow> {
        let agent = self.agents.get(id)?;
        let mut today = self.today(&agent.series, now);
        let day = self.today_span(now);
        today
            .state_ms
            .book(agent.state, overlap(agent.since, now, day.start, day.end));
        Some(AgentNow {
            group: agent.group.clone(),
            state: agent.state,
            since: agent.since,
            today,
        })
    }

    /// A group's sums of today, the running states included.
    pub fn group_today(&self, name: &str, now: Time) -> Option<AgentTotals> {
        let mut today = self.today(&self.groups.get(name)?.series, now);
        let day = self.today_span(now);
        self.add_running(name, &mut today, now, day.start, day.end);
        Some(today)
    }

    /// A group's sums since the log began, the running states included: what a Prometheus counter wants.
    pub fn group_total(&self, name: &str, now: Time) -> Option<AgentTotals> {
        let mut total = self.groups.get(name)?.series.total.clone();
        self.add_running(name, &mut total, now, Time::ZERO, Time::NEVER);
        Some(total)
    }

    /// The centre's sums of today.
    pub fn centre_today(&self, now: Time) -> CentreTotals {
        self.today(&self.centre, now)
    }

    /// The centre's sums of the intervals that begin in `[from, to)`.
    pub fn centre_between(&self, from: Time, to: Time) -> CentreTotals {
        self.centre.between(from, to)
    }

    /// A queue's sums of the intervals that begin in `[from, to)`; eight days back at most.
    pub fn queue_between(&self, name: &str, from: Time, to: Time) -> Option<QueueTotals> {
        self.queues
            .get(name)
            .map(|queue| queue.series.between(from, to))
    }

    /// All queues' sums for each interval that begins in `[from, to)` and in which something happened.
    pub fn intervals(&self, from: Time, to: Time) -> std::collections::BTreeMap<Time, QueueTotals> {
        let mut rows = std::collections::BTreeMap::<Time, QueueTotals>::new();
        for queue in self.queues.values() {
            for (start, totals) in queue.series.intervals.range(from..to.max(from)) {
                rows.entry(*start).or_default().add(totals);
            }
        }
        rows
    }

    /// An agent's sums of the days that begin in `[from's day, to)`: agents are kept by day. The running state is included.
    pub fn agent_between(&self, id: &str, from: Time, to: Time, now: Time) -> Option<AgentTotals> {
        let agent = self.agents.get(id)?;
        let from = self.day_of(from).start;
        let mut sums = agent.series.days_between(from, to);
        sums.state_ms
            .book(agent.state, overlap(agent.since, now, from, to));
        Some(sums)
    }

    /// A group's sums of the intervals that begin in `[from, to)`, the running states included.
    pub fn group_between(
        &self,
        name: &str,
        from: Time,
        to: Time,
        now: Time,
    ) -> Option<AgentTotals> {
        let mut sums = self.groups.get(name)?.series.between(from, to);
        self.add_running(name, &mut sums, now, from, to);
        Some(sums)
    }

    /// Number of agents of a group in each state.
    pub fn agents_by_state(&self, group: &str) -> [u64; 9] {
        let mut counts = [0; 9];
        self.agents
            .values()
            .filter(|agent| *agent.group == *group)
            .for_each(|agent| counts[agent.state as usize] += 1);
        counts
    }

    /// KPI.md's invariant: for every queue and interval, waiting at its start + offered = exits + waiting at its end; and the same since
    /// the log began.
    ///
    /// # Errors
    /// The first queue and interval where it does not hold.
    pub fn balance(&self) -> Result<(), Imbalance> {
        for (name, queue) in &self.queues {
            let waiting = queue.waiting.len() as u64;
            let check = |interval, waiting_at_start, totals: &QueueTotals, waiting_at_end| {
                let imbalance = Imbalance {
                    queue: name.clone(),
                    interval,
                    waiting_at_start,
                    offered: totals.offered,
                    exits: totals.exits(),
                    waiting_at_end,
                };
                let holds = waiting_at_start + totals.offered == totals.exits() + waiting_at_end;
                if holds { Ok(()) } else { Err(imbalance) }
            };
            check(Time::ZERO, 0, &queue.series.total, waiting)?;
            let ends = queue
                .waiting_at_start
                .values()
                .skip(1)
                .copied()
                .chain([waiting]);
            for ((interval, at_start), at_end) in queue.waiting_at_start.iter().zip(ends) {
                let totals = queue
                    .series
                    .intervals
                    .get(interval)
                    .cloned()
                    .unwrap_or_default();
                check(*interval, *at_start, &totals, at_end)?;
            }
        }
        Ok(())
    }

    /// Start of today in the centre's zone.
    pub fn today_start(&self, now: Time) -> Time {
        self.today_span(now).start
    }

    fn today_span(&self, now: Time) -> Day {
        if self.day.start <= now && now < self.day.end {
            self.day
        } else {
            self.day_of(now)
        }
    }

    fn today<T: Clone + Default>(&self, series: &Series<T>, now: Time) -> T {
        series
            .days
            .get(&self.today_span(now).start)
            .cloned()
            .unwrap_or_default()
    }

    fn add_running(&self, group: &str, sums: &mut AgentTotals, now: Time, from: Time, to: Time) {
        for agent in self.agents.values().filter(|agent| *agent.group == *group) {
            sums.state_ms
                .book(agent.state, overlap(agent.since, now, from, to));
        }
    }
}

/// Milliseconds of `[since, now)` in `[from, to)`.
fn overlap(since: Time, now: Time, from: Time, to: Time) -> u64 {
    now.min(to)
        .as_millis()
        .saturating_sub(since.max(from).as_millis())
}
