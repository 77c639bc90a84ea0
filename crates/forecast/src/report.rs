//! Runs summed up: for each row of the forecast and for the day the mean of each number, and half the width of its 95 % confidence interval.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::day::{Day, Tally};
use crate::plan::Row;

/// A number over several runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    pub mean: f64,
    /// The mean is this near to what endless runs would give, in 95 of 100 cases; 0 where there is one run only.
    pub within: f64,
}

impl Estimate {
    /// Of runs that do not depend on each other; runs without such a number (nobody was answered) do not count.
    pub fn of(runs: impl Iterator<Item = Option<f64>>) -> Self {
        let all: Vec<f64> = runs.flatten().collect();
        let count = all.len() as f64;
        if all.is_empty() {
            return Estimate::default();
        }
        let mean = all.iter().sum::<f64>() / count;
        if all.len() == 1 {
            return Estimate { mean, within: 0.0 };
        }
        let variance = all.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Estimate {
            mean,
            within: student(all.len() - 1) * (variance / count).sqrt(),
        }
    }
}

/// Student's t, 97.5 %, by degrees of freedom.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    TABLE
        .get(freedom.saturating_sub(1))
        .copied()
        .unwrap_or(1.960)
}

/// The numbers of a row, or of the day.
#[derive(Clone, Debug, Serialize)]
pub struct Numbers {
    pub offered: Estimate,
    /// `sl_all@1`.
    pub service_level: Estimate,
    /// `asa@1`, seconds.
    pub asa: Estimate,
    /// `abandonment@1`.
    pub abandonment: Estimate,
    pub turned_away: Estimate,
    /// Agents' time with work over their time on duty, of the whole interval.
    pub occupancy: Estimate,
}

/// A row of the forecast and what it gave.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// `09:30`; `day` for all of it.
    pub interval_start: String,
    pub queue: String,
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// One configuration's lines, the day's of each queue and of all at the end.
pub fn lines(rows: &[Row], days: &[Day]) -> Vec<Line> {
    compare(rows, days, None)
}

/// Differences, each run against the run with the same callers: what `days` has more than `others`.
pub fn differences(rows: &[Row], days: &[Day], others: &[Day]) -> Vec<Line> {
    compare(rows, days, Some(others))
}

fn compare(rows: &[Row], days: &[Day], others: Option<&[Day]>) -> Vec<Line> {
    let mut lines: Vec<Line> = (0..)
        .zip(rows)
        .map(|(number, row)| Line {
            interval_start: clock(row.start),
            queue: row.queue.to_string(),
            numbers: numbers(days, others, &[number], Some(row.start)),
        })
        .collect();
    let mut queues: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, row) in rows.iter().enumerate() {
        queues.entry(&row.queue).or_default().push(number);
    }
    let all: Vec<usize> = (0..rows.len()).collect();
    for (queue, of) in queues
        .iter()
        .map(|(queue, of)| (*queue, of))
        .chain([("all", &all)])
    {
        lines.push(Line {
            interval_start: "day".to_owned(),
            queue: queue.to_owned(),
            numbers: numbers(days, others, of, None),
        });
    }
    lines
}

fn clock(at: Duration) -> String {
    let minutes = at.as_secs() / 60;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn numbers(
    days: &[Day],
    others: Option<&[Day]>,
    rows: &[usize],
    start: Option<Duration>,
) -> Numbers {
    let estimate = |of: &dyn Fn(&Day) -> Option<f64>| match others {
        None => Estimate::of(days.iter().map(of)),
        Some(others) => Estimate::of(
            days.iter()
                .zip(others)
                .map(|(one, other)| Some(of(one)? - of(other)?)),
        ),
    };
    let ratio = |over: &dyn Fn(&Tally) -> f64, under: &dyn Fn(&Tally) -> f64| {
        estimate(&|day: &Day| {
            let sum = |of: &dyn Fn(&Tally) -> f64| -> f64 {
                rows.iter().map(|row| of(&day.rows[*row])).sum()
            };
            let under = sum(under);
            (under > 0.0).then(|| sum(over) / under)
        })
    };
    let offered = |tally: &Tally| f64::from(tally.offered);
    Numbers {
        offered: estimate(&|day| Some(rows.iter().map(|row| offered(&day.rows[*row])).sum())),
        service_level: ratio(&|tally| f64::from(tally.within), &offered),
        asa: ratio(&|tally| tally.waited.as_secs_f64(), &|tally| {
            f64::from(tally.answered)
        }),
        abandonment: ratio(&|tally| f64::from(tally.abandoned), &offered),
        turned_away: ratio(&|tally| f64::from(tally.turned_away), &offered),
        occupancy: estimate(&|day| {
            let of = day
                .duty
                .iter()
                .filter(|(at, _)| start.is_none_or(|start| **at == start));
            let (work, duty) = of.fold((0.0, 0.0), |sum, (_, (work, duty))| {
                (sum.0 + work.as_secs_f64(), sum.1 + duty.as_secs_f64())
            });
            (duty > 0.0).then(|| work / duty)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_by_students_t() {
        let estimate = Estimate::of([1.0, 2.0, 3.0].into_iter().map(Some));
        assert!((estimate.mean - 2.0).abs() < 1e-9);
        assert!((estimate.within - 4.303 / 3f64.sqrt()).abs() < 1e-6);
        assert_eq!(Estimate::of([None, Some(5.0)].into_iter()).within, 0.0);
    }
}
