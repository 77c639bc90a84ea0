//! A day that has been: its callers and its staff from the log, and how long the callers would have waited.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::day::Caller;
use crate::dice::Dice;
use crate::plan::Row;

type Name = Arc<str>;

/// Intervals in which a log is summed up.
const INTERVAL: Duration = Duration::from_secs(1_800);
/// Handling time of callers of whom the log has none: a queue in which nobody was answered.
const HANDLING: Duration = Duration::from_secs(180);

/// A stay in a queue, as the log tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit {
    pub queue: Name,
    pub at: Time,
    pub waited: Duration,
    pub end: End,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Answered {
        handling: Duration,
    },
    Abandoned,
    /// Anything that says as much of patience as an answer: that it lasted until then.
    Other,
}

/// How long callers wait before they give up, by Kaplan and Meier (1958): who was answered would have waited longer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patience {
    /// Times at which somebody gave up, and the share of those who wait longer.
    steps: Vec<(Duration, f64)>,
}

impl Patience {
    pub fn of(visits: &[&Visit]) -> Self {
        let mut ends: Vec<(Duration, bool)> = visits
            .iter()
            .map(|visit| (visit.waited, visit.end == End::Abandoned))
            .collect();
        ends.sort_unstable();
        let (mut still, mut share) = (ends.len() as f64, 1.0);
        let mut steps = Vec::new();
        for together in ends.chunk_by(|one, other| one.0 == other.0) {
            let gave_up = together.iter().filter(|(_, gave_up)| *gave_up).count() as f64;
            if gave_up > 0.0 {
                share *= 1.0 - gave_up / still;
                steps.push((together[0].0, share));
            }
            still -= together.len() as f64;
        }
        Patience { steps }
    }

    /// The share of callers who wait longer than this.
    pub fn longer_than(&self, waited: Duration) -> f64 {
        let reached = self.steps.partition_point(|(at, _)| *at <= waited);
        reached.checked_sub(1).map_or(1.0, |at| self.steps[at].1)
    }

    /// Of somebody who has waited so long; `None` waits longer than anybody is known to have.
    pub fn draw(&self, waited: Duration, dice: &mut Dice) -> Option<Duration> {
        let level = dice.share() * self.longer_than(waited);
        let at = self.steps.partition_point(|(_, share)| *share > level);
        self.steps.get(at).map(|(at, _)| *at)
    }
}

/// A day of a log, to be run.
#[derive(Clone, Debug, Default)]
pub struct Logged {
    pub rows: Vec<Row>,
    pub callers: Vec<Caller>,
    /// Who was on duty in each interval.
    pub present: BTreeMap<Duration, BTreeSet<Name>>,
}

/// Makes a day of visits and spells of duty. Callers come when they came, and take as long as they took; who was answered is drawn a patience
/// of at least the wait, and who was not a handling time from those of the queue.
pub fn day(visits: &[Visit], duty: &[(Name, Time, Time)], seed: u64) -> Logged {
    let Some(first) = visits.iter().map(|visit| visit.at).min() else {
        return Logged::default();
    };
    let begin = first.as_nanos() - first.as_nanos() % INTERVAL.as_nanos() as u64;
    let since = |at: Time| Duration::from_nanos(at.as_nanos().saturating_sub(begin));
    let mut of_queue: BTreeMap<&Name, Vec<&Visit>> = BTreeMap::new();
    for visit in visits {
        of_queue.entry(&visit.queue).or_default().push(visit);
    }
    let mut logged = Logged::default();
    let mut dice = Dice::new(seed);
    let mut rows: BTreeMap<(Duration, Name), usize> = BTreeMap::new();
    for (queue, visits) in of_queue {
        let patience = Patience::of(&visits);
        let handled = visits.iter().filter_map(|visit| match visit.end {
            End::Answered { handling } => Some(handling),
            End::Abandoned | End::Other => None,
        });
        let handled: Vec<Duration> = handled.collect();
        for visit in visits {
            let at = since(visit.at);
            let start = INTERVAL * (at.as_secs() / INTERVAL.as_secs()) as u32;
            let row = *rows.entry((start, queue.clone())).or_insert_with(|| {
                logged.rows.push(Row {
                    start,
                    lasts: INTERVAL,
                    queue: queue.clone(),
                    arrivals: 0.0,
                    handling: HANDLING,
                    patience: Duration::ZERO,
                    staff: 0,
                });
                logged.rows.len() - 1
            });
            logged.rows[row].arrivals += 1.0;
            let (handling, patience) = match visit.end {
                End::Answered { handling } => {
                    (Some(handling), patience.draw(visit.waited, &mut dice))
                }
                End::Abandoned => (None, Some(visit.waited)),
                End::Other => (None, patience.draw(visit.waited, &mut dice)),
            };
            let any = (dice.share() * handled.len() as f64) as usize;
            logged.callers.push(Caller {
                at,
                row,
                handling: handling.or(handled.get(any).copied()).unwrap_or(HANDLING),
                patience,
            });
        }
    }
    logged.callers.sort_by_key(|caller| (caller.at, caller.row));
    let starts: BTreeSet<Duration> = logged.rows.iter().map(|row| row.start).collect();
    for start in starts {
        let on = duty
            .iter()
            .filter(|(_, from, until)| since(*from) < start + INTERVAL && since(*until) > start);
        logged
            .present
            .insert(start, on.map(|(agent, ..)| agent.clone()).collect());
    }
    logged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(waited: u64, end: End) -> Visit {
        Visit {
            queue: "q".into(),
            at: Time::from_secs(1_000),
            waited: Duration::from_secs(waited),
            end,
        }
    }

    /// Two give up at 10 and 30, two are answered at 20 and 40: 3/4 wait longer than 10, and 3/4 · 1/2 longer than 30.
    #[test]
    fn who_was_answered_is_censored() {
        let answered = End::Answered { handling: HANDLING };
        let visits = [
            visit(10, End::Abandoned),
            visit(20, answered),
            visit(30, End::Abandoned),
            visit(40, answered),
        ];
        let patience = Patience::of(&visits.iter().collect::<Vec<_>>());
        let longer = |seconds| patience.longer_than(Duration::from_secs(seconds));
        assert_eq!(
            (longer(9), longer(10), longer(29), longer(30)),
            (1.0, 0.75, 0.75, 0.375)
        );
        let mut dice = Dice::new(1);
        for _ in 0..100 {
            let drawn = patience.draw(Duration::from_secs(20), &mut dice);
            assert!(drawn.is_none_or(|drawn| drawn == Duration::from_secs(30)));
        }
    }

    #[test]
    fn a_day_has_the_callers_and_the_staff_that_it_had() {
        let answered = End::Answered {
            handling: Duration::from_secs(60),
        };
        let duty = [
            ("a".into(), Time::from_secs(0), Time::from_secs(1_500)),
            ("b".into(), Time::from_secs(4_000), Time::from_secs(5_000)),
        ];
        let logged = day(&[visit(10, End::Abandoned), visit(20, answered)], &duty, 1);
        assert_eq!(logged.rows[0].arrivals, 2.0);
        assert_eq!(logged.callers.len(), 2);
        assert!(
            logged
                .callers
                .iter()
                .all(|caller| caller.handling == Duration::from_secs(60))
        );
        assert_eq!(
            logged.present[&Duration::ZERO],
            BTreeSet::from(["a".into()])
        );
    }
}
