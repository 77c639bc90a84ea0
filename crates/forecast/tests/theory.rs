//! The simulation against theory: M/M/n is Erlang C, M/M/n+M is Erlang A. Both within the confidence that the runs give.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use acd::{Config, Queue};
use forecast::day::{Centre, Day, callers, run};
use forecast::erlang::{self, Load};
use forecast::plan::Row;
use forecast::report::{Estimate, differences, lines};

const HANDLING: Duration = Duration::from_secs(180);
const TARGET: Duration = Duration::from_secs(20);
/// The line begins empty: the first hours are not what theory is about.
const WARM: usize = 1;

fn centre(queue: Queue) -> Centre {
    let name = queue.name.clone();
    Centre {
        acd: Config {
            queues: vec![queue],
            ..Config::default()
        },
        overflow: BTreeMap::new(),
        answers_after: Duration::ZERO,
        targets: BTreeMap::from([(name, TARGET)]),
        present: None,
    }
}

fn plain() -> Queue {
    Queue {
        name: "support".into(),
        ring: Duration::from_secs(20),
        max_waiting: 100_000,
        ..Queue::default()
    }
}

/// 200 callers an hour for 14 hours.
fn rows(patience: Duration, staff: u32) -> Vec<Row> {
    let hour = Duration::from_secs(3_600);
    (0..14)
        .map(|number| Row {
            start: hour * number,
            lasts: hour,
            queue: "support".into(),
            arrivals: 200.0,
            handling: HANDLING,
            patience,
            staff,
        })
        .collect()
}

fn days(rows: &[Row], centre: &Centre, runs: u64) -> Vec<Day> {
    (0..runs)
        .map(|seed| run(rows, &callers(rows, seed), centre))
        .collect()
}

fn of(
    days: &[Day],
    over: impl Fn(&forecast::day::Tally) -> f64,
    under: impl Fn(&forecast::day::Tally) -> f64,
) -> Estimate {
    Estimate::of(days.iter().map(|day| {
        let warm = &day.rows[WARM..];
        Some(warm.iter().map(&over).sum::<f64>() / warm.iter().map(&under).sum::<f64>())
    }))
}

/// Theory lies within the interval, with half as much again for one interval in twenty that does not hold it.
fn holds(found: Estimate, theory: f64) {
    let off = (found.mean - theory).abs();
    assert!(off <= 1.5 * found.within, "{found:?}, theory {theory}");
    assert!(
        found.within < 0.25 * theory.max(0.04),
        "too wide to prove anything: {found:?}"
    );
}

#[test]
fn endless_patience_is_erlang_c() {
    let rows = rows(Duration::ZERO, 12);
    let days = days(&rows, &centre(plain()), 40);
    let load = Load::new(200.0, Duration::from_secs(3_600), HANDLING);
    let offered = |tally: &forecast::day::Tally| f64::from(tally.offered);
    let answered = |tally: &forecast::day::Tally| f64::from(tally.answered);
    holds(
        of(&days, |tally| tally.waited.as_secs_f64(), answered),
        erlang::mean_wait(load, 12).unwrap().as_secs_f64(),
    );
    holds(
        of(&days, |tally| f64::from(tally.within), offered),
        erlang::answered_within(load, 12, TARGET),
    );
}

#[test]
fn patience_is_erlang_a() {
    let patience = Duration::from_secs(120);
    let rows = rows(patience, 9);
    let days = days(&rows, &centre(plain()), 40);
    let load = Load::new(200.0, Duration::from_secs(3_600), HANDLING);
    let theory = erlang::with_patience(load, 9, patience);
    let offered = |tally: &forecast::day::Tally| f64::from(tally.offered);
    holds(
        of(&days, |tally| f64::from(tally.abandoned), offered),
        theory.abandons,
    );
    let work = Estimate::of(days.iter().map(|day| {
        let hours = day.duty.values().skip(WARM).take(13);
        let (work, duty) = hours.fold((0.0, 0.0), |sum, (work, duty)| {
            (sum.0 + work.as_secs_f64(), sum.1 + duty.as_secs_f64())
        });
        Some(work / duty)
    }));
    holds(work, load.erlangs * (1.0 - theory.abandons) / 9.0);
}

#[test]
fn the_same_seed_gives_the_same_day_and_nobody_is_lost() {
    let rows = rows(Duration::from_secs(60), 8);
    let limited = Queue {
        max_wait: Some(Duration::from_secs(45)),
        ..plain()
    };
    let centre = centre(limited);
    let drawn = callers(&rows, 7);
    let day = run(&rows, &drawn, &centre);
    assert_eq!(day, run(&rows, &callers(&rows, 7), &centre));
    let sum = |of: fn(&forecast::day::Tally) -> u32| day.rows.iter().map(of).sum::<u32>();
    assert_eq!(sum(|tally| tally.offered) as usize, drawn.len());
    assert_eq!(
        sum(|tally| tally.offered),
        sum(|tally| tally.answered + tally.abandoned + tally.turned_away)
    );
    assert!(sum(|tally| tally.turned_away) > 0);
}

#[test]
fn paired_differences_are_narrower_than_the_numbers_themselves() {
    let rows = rows(Duration::from_secs(120), 10);
    let (one, other) = (
        centre(plain()),
        centre(Queue {
            max_wait: Some(Duration::from_secs(60)),
            ..plain()
        }),
    );
    let (one, other) = (days(&rows, &one, 10), days(&rows, &other, 10));
    let last = |lines: Vec<forecast::report::Line>| lines.last().unwrap().numbers.clone();
    let difference = last(differences(&rows, &other, &one));
    assert!(
        difference.asa.mean < 0.0,
        "who would have waited long is not answered"
    );
    assert!(difference.asa.within < last(lines(&rows, &one)).asa.within);
    assert_eq!(difference.offered, Estimate::default());
}

/// A day of 20,000 contacts within 2 s (a release build; a debug build on a busy machine is given ten times as long).
#[test]
fn a_day_of_twenty_thousand_contacts_is_quick() {
    let mut rows = rows(Duration::from_secs(120), 75);
    rows.iter_mut().for_each(|row| row.arrivals = 1_430.0);
    let drawn = callers(&rows, 1);
    assert!(drawn.len() > 19_000);
    let start = Instant::now();
    run(&rows, &drawn, &centre(plain()));
    let took = start.elapsed();
    println!("{} contacts in {took:?} (budget 2 s)", drawn.len());
    assert!(took < Duration::from_secs(20), "{took:?}");
}
