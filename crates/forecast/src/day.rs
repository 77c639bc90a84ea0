//! One day: callers are drawn from the forecast, and the distributor serves them in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use acd::{
    Acd, Agent, Availability, Config, ContactId, Enqueue, Input, OfferResult, Output, Withdrawal,
};
use clock::Time;

use crate::dice::Dice;
use crate::plan::Row;

type Name = Arc<str>;

/// A caller, the same whatever the configuration.
#[derive(Clone, Debug)]
pub struct Caller {
    pub at: Duration,
    /// The row of the forecast.
    pub row: usize,
    pub handling: Duration,
    /// `None`: waits as long as it takes.
    pub patience: Option<Duration>,
}

/// Draws the callers of a day, in order of time.
pub fn callers(rows: &[Row], seed: u64) -> Vec<Caller> {
    let mut all = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        if row.arrivals <= 0.0 {
            continue;
        }
        // A stream of chance for each row: a change of one leaves the callers of the others as they are.
        let mut dice = Dice::new(seed.wrapping_mul(0x1_0001).wrapping_add(number as u64));
        let between = row.lasts.div_f64(row.arrivals);
        let mut at = dice.exponential(between);
        while at < row.lasts {
            let handling = dice.exponential(row.handling);
            let patience = dice.exponential(row.patience);
            all.push(Caller {
                at: row.start + at,
                row: number,
                handling,
                patience: (!row.patience.is_zero()).then_some(patience),
            });
            at += dice.exponential(between);
        }
    }
    all.sort_by_key(|caller| (caller.at, caller.row));
    all
}

/// What a centre is in the simulation.
#[derive(Clone, Debug)]
pub struct Centre {
    pub acd: Config,
    /// Queue to queue: where those go who may not wait.
    pub overflow: BTreeMap<Name, Name>,
    /// How long a phone rings before its agent answers.
    pub answers_after: Duration,
    /// T of each queue's service level.
    pub targets: BTreeMap<Name, Duration>,
    /// Who is on duty in each interval, by its start; without it, the forecast's staff.
    pub present: Option<BTreeMap<Duration, BTreeSet<Name>>>,
}

/// What became of the callers of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub offered: u32,
    pub answered: u32,
    pub within: u32,
    pub abandoned: u32,
    /// Turned away, or given up by the queue.
    pub turned_away: u32,
    /// Waits of those who were answered.
    pub waited: Duration,
    /// Agents' time with callers of this row.
    pub handled: Duration,
}

/// What a day gave: a tally for each row of the forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    pub rows: Vec<Tally>,
    /// Agents' time with work and on duty in each interval, by its start.
    pub duty: BTreeMap<Duration, (Duration, Duration)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// Agents come and go.
    Shift,
    Finish {
        caller: usize,
    },
    Answer {
        caller: usize,
    },
    Leave {
        caller: usize,
    },
    Arrive {
        caller: usize,
    },
}

/// Where a caller is.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    Away,
    Queued,
    Offered(Name),
    Talking(Name),
    Gone,
}

struct Run<'a> {
    rows: &'a [Row],
    callers: &'a [Caller],
    centre: &'a Centre,
    config: Arc<Config>,
    /// Each interval's length, by its start.
    intervals: BTreeMap<Duration, Duration>,
    acd: Acd,
    agenda: BinaryHeap<Reverse<(Time, What)>>,
    places: Vec<Place>,
    began: Vec<Duration>,
    on_duty: BTreeSet<Name>,
    day: Day,
}

/// Sends the callers through the centre.
pub fn run(rows: &[Row], callers: &[Caller], centre: &Centre) -> Day {
    let mut run = Run {
        rows,
        callers,
        centre,
        config: Arc::new(with_staff(centre, rows)),
        intervals: rows.iter().map(|row| (row.start, row.lasts)).collect(),
        acd: Acd::new(),
        agenda: BinaryHeap::new(),
        places: vec![Place::Away; callers.len()],
        began: vec![Duration::ZERO; callers.len()],
        on_duty: BTreeSet::new(),
        day: Day {
            rows: vec![Tally::default(); rows.len()],
            duty: BTreeMap::new(),
        },
    };
    run.open();
    run.go();
    run.day
}

/// Agents of the configuration, and as many more as the forecast has staff: these have what their queue requires.
fn with_staff(centre: &Centre, rows: &[Row]) -> Config {
    let mut config = centre.acd.clone();
    for agent in &mut config.agents {
        // They come by their shifts; a telephone is always there.
        agent.fixed = true;
        agent.auto_ready = false;
    }
    for queue in &centre.acd.queues {
        let of_queue = rows.iter().filter(|row| row.queue == queue.name);
        let most = of_queue.map(|row| row.staff).max().unwrap_or(0);
        config.agents.extend((1..=most).map(|number| Agent {
            id: format!("~{}-{number:04}", queue.name).into(),
            group: "forecast".into(),
            skills: queue.skills.clone(),
            auto_ready: false,
            wrap_up: None,
            fixed: true,
        }));
    }
    config
}

impl Run<'_> {
    fn open(&mut self) {
        let config = self.config.clone();
        self.tell(Time::ZERO, Input::Configure { config });
        let starts: Vec<Duration> = self.intervals.keys().copied().collect();
        let end = self.rows.iter().map(|row| row.start + row.lasts).max();
        for at in starts.into_iter().chain(end) {
            self.plan(at, What::Shift);
        }
        for (number, caller) in self.callers.iter().enumerate() {
            self.plan(caller.at, What::Arrive { caller: number });
        }
    }

    fn plan(&mut self, at: Duration, what: What) {
        self.agenda.push(Reverse((Time::ZERO + at, what)));
    }

    fn go(&mut self) {
        loop {
            let next = self.agenda.peek().map(|Reverse((at, _))| *at);
            let due = self.acd.poll_timeout().map(|(at, _)| at);
            match (next, due) {
                (None, None) => break,
                // Nobody calls any more: what agents still wait for is of no account.
                (None, Some(_)) if self.acd_is_empty() => break,
                (next, Some(due)) if next.is_none_or(|next| due <= next) => {
                    self.acd.handle_timeout(due);
                    self.drain(due);
                }
                _ => {
                    if let Some(Reverse((now, what))) = self.agenda.pop() {
                        self.happens(now, what);
                    }
                }
            }
        }
    }

    fn acd_is_empty(&self) -> bool {
        let queues = self.centre.acd.queues.iter();
        queues
            .map(|queue| self.acd.counts(&queue.name))
            .all(|counts| counts.waiting + counts.offered == 0)
    }

    fn happens(&mut self, now: Time, what: What) {
        match what {
            What::Shift => self.shift(now),
            What::Arrive { caller } => self.arrive(now, caller),
            What::Leave { caller } => {
                if matches!(self.places[caller], Place::Queued | Place::Offered(_)) {
                    self.places[caller] = Place::Gone;
                    self.tally(caller).abandoned += 1;
                    let contact = id(caller);
                    let why = Withdrawal::CallerGone;
                    self.tell(now, Input::Withdraw { contact, why });
                }
            }
            What::Answer { caller } => self.answer(now, caller),
            What::Finish { caller } => {
                if let Place::Talking(agent) =
                    std::mem::replace(&mut self.places[caller], Place::Gone)
                {
                    let (contact, wrap_up) = (id(caller), false);
                    self.tell(
                        now,
                        Input::Finished {
                            contact,
                            agent,
                            wrap_up,
                        },
                    );
                }
            }
        }
    }

    /// Each queue has its staff from those who have its skills and are in no other queue's staff, in order of ids. They serve every queue they can.
    fn shift(&mut self, now: Time) {
        let at = now - Time::ZERO;
        let config = self.config.clone();
        let mut wanted: BTreeSet<Name> = match &self.centre.present {
            Some(present) => present.get(&at).cloned().unwrap_or_default(),
            None => BTreeSet::new(),
        };
        wanted.retain(|id| config.agents.iter().any(|agent| agent.id == *id));
        let mut counted = Duration::ZERO;
        for row in self.rows.iter().filter(|row| row.start == at) {
            let Some(queue) = config.queues.iter().find(|queue| queue.name == row.queue) else {
                continue;
            };
            let has = |agent: &&Agent| {
                let level = |skill| agent.skills.get(skill).copied().unwrap_or(0);
                queue
                    .skills
                    .iter()
                    .all(|(skill, least)| level(skill) >= *least)
            };
            let free = config.agents.iter().filter(has);
            let mut free: Vec<&Name> = free
                .map(|agent| &agent.id)
                .filter(|id| !wanted.contains(*id))
                .collect();
            free.sort_unstable();
            wanted.extend(free.into_iter().take(row.staff as usize).cloned());
            counted = row.lasts;
        }
        self.day.duty.entry(at).or_default().1 += counted * wanted.len() as u32;
        let gone: Vec<Name> = self.on_duty.difference(&wanted).cloned().collect();
        let come: Vec<Name> = wanted.difference(&self.on_duty).cloned().collect();
        for (agents, availability) in [(come, Availability::Ready), (gone, Availability::LoggedOut)]
        {
            for agent in agents {
                let availability = availability.clone();
                self.tell(
                    now,
                    Input::Availability {
                        agent,
                        availability,
                    },
                );
            }
        }
        self.on_duty = wanted;
    }

    fn arrive(&mut self, now: Time, caller: usize) {
        let this = &self.callers[caller];
        self.day.rows[this.row].offered += 1;
        self.places[caller] = Place::Queued;
        if let Some(patience) = this.patience {
            self.plan(this.at + patience, What::Leave { caller });
        }
        let queue = self.rows[this.row].queue.clone();
        self.enqueue(now, caller, queue);
    }

    fn enqueue(&mut self, now: Time, caller: usize, queue: Name) {
        let enqueue = Enqueue {
            contact: id(caller),
            queue,
            since: Some(Time::ZERO + self.callers[caller].at),
            ..Enqueue::default()
        };
        self.tell(now, Input::Enqueue(enqueue));
    }

    fn answer(&mut self, now: Time, caller: usize) {
        let Place::Offered(agent) = self.places[caller].clone() else {
            return;
        };
        let (contact, result) = (id(caller), OfferResult::Answered);
        self.places[caller] = Place::Talking(agent.clone());
        let at = now - Time::ZERO;
        self.began[caller] = at;
        let (waited, handling) = (at - self.callers[caller].at, self.callers[caller].handling);
        let row = &self.rows[self.callers[caller].row];
        let target = self.centre.targets.get(&row.queue).copied();
        let tally = self.tally(caller);
        tally.answered += 1;
        tally.within += u32::from(target.is_some_and(|target| waited <= target));
        tally.waited += waited;
        tally.handled += handling;
        self.book(at, handling);
        self.plan(at + handling, What::Finish { caller });
        self.tell(
            now,
            Input::Offer {
                contact,
                agent,
                result,
            },
        );
    }

    /// Books work in the intervals in which it is done.
    fn book(&mut self, from: Duration, lasts: Duration) {
        let until = from + lasts;
        for (start, length) in self.intervals.range(..until) {
            let end = (*start + *length).min(until);
            if end > from {
                self.day.duty.entry(*start).or_default().0 += end - from.max(*start);
            }
        }
    }

    fn tally(&mut self, caller: usize) -> &mut Tally {
        &mut self.day.rows[self.callers[caller].row]
    }

    fn tell(&mut self, now: Time, input: Input) {
        self.acd.handle(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Time) {
        while let Some(output) = self.acd.poll_output() {
            match output {
                Output::Offered { contact, agent, .. } => {
                    let caller = contact.0 as usize;
                    self.places[caller] = Place::Offered(agent);
                    let at = now - Time::ZERO + self.centre.answers_after;
                    self.plan(at, What::Answer { caller });
                }
                Output::OfferEnded { contact, .. } => {
                    let place = &mut self.places[contact.0 as usize];
                    if matches!(place, Place::Offered(_)) {
                        *place = Place::Queued;
                    }
                }
                Output::Refused { contact, queue, .. } | Output::Left { contact, queue, .. } => {
                    self.goes_on(now, contact.0 as usize, &queue);
                }
                Output::Agent { .. } | Output::Turn { .. } => {}
            }
        }
    }

    /// A queue does not keep the caller: to the next one, or away.
    fn goes_on(&mut self, now: Time, caller: usize, queue: &Name) {
        match self.centre.overflow.get(queue).cloned() {
            Some(next) => self.enqueue(now, caller, next),
            None => {
                self.places[caller] = Place::Gone;
                self.tally(caller).turned_away += 1;
            }
        }
    }
}

fn id(caller: usize) -> ContactId {
    ContactId(caller as u64)
}
