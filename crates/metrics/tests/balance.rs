//! KPI.md's invariant over random histories, against a naive count.

mod common;

use std::collections::BTreeMap;

use clock::Time;
use common::Feed;
use engine::event::{Exit, Outcome};
use metrics::Fold;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Arrive { queue: usize },
    Answer(usize),
    Abandon { which: usize, short: bool },
    Leave(usize, usize),
    Requeue { which: usize, queue: usize },
    Close(usize),
    Again(usize),
}

const QUEUES: [&str; 3] = ["support", "sales", "vip"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3usize).prop_map(|queue| Step::Arrive { queue }),
        2 => any::<usize>().prop_map(Step::Answer),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, short)| Step::Abandon { which, short }),
        1 => (any::<usize>(), 0..6usize).prop_map(|(which, exit)| Step::Leave(which, exit)),
        1 => (any::<usize>(), 0..3usize).prop_map(|(which, queue)| Step::Requeue { which, queue }),
        1 => any::<usize>().prop_map(Step::Close),
        1 => any::<usize>().prop_map(Step::Again),
    ]
}

/// One open contact of the naive model.
struct Open {
    n: u64,
    queue: usize,
    visit: u32,
    waits: bool,
}

proptest! {
    #[test]
    fn waiting_at_start_and_offered_are_exits_and_waiting_at_end(steps in prop::collection::vec((step(), 0u64..2_000), 0..200)) {
        let mut feed = Feed::new(jiff::tz::TimeZone::get("Asia/Kathmandu").unwrap());
        let mut open: Vec<Open> = Vec::new();
        let (mut now, mut next) = (1_772_380_000u64, 0u64);
        let mut offered = BTreeMap::<usize, u64>::new();
        for (step, gap) in steps {
            now += gap;
            let at = Time::from_secs(now);
            let pick = |which: usize| if open.is_empty() { None } else { Some(which % open.len()) };
            match step {
                Step::Arrive { queue } => {
                    next += 1;
                    feed.arrived(at, next);
                    feed.queued(at, next, QUEUES[queue], 1);
                    open.push(Open { n: next, queue, visit: 1, waits: true });
                    *offered.entry(queue).or_default() += 1;
                }
                Step::Answer(which) => if let Some(place) = pick(which) {
                    let contact = &mut open[place];
                    feed.answered(at, contact.n, QUEUES[contact.queue], "1001", 10);
                    contact.waits = false;
                },
                Step::Abandon { which, short } => if let Some(place) = pick(which) {
                    let contact = open.swap_remove(place);
                    feed.abandoned(at, contact.n, QUEUES[contact.queue], 10, short);
                    feed.closed(at, contact.n, Outcome::AbandonedInQueue, false);
                },
                Step::Leave(which, exit) => if let Some(place) = pick(which) {
                    let exits = [Exit::Overflowed, Exit::Voicemail, Exit::LeftByChoice, Exit::Rejected, Exit::NoAgent, Exit::SystemError];
                    let contact = &mut open[place];
                    feed.left(at, contact.n, QUEUES[contact.queue], 10, exits[exit]);
                    contact.waits = false;
                },
                // A transfer to a queue, also one that the log tells without the end of the visit before it.
                Step::Requeue { which, queue } => if let Some(place) = pick(which) {
                    let contact = &mut open[place];
                    contact.visit += 1;
                    contact.queue = queue;
                    contact.waits = true;
                    feed.queued(at, contact.n, QUEUES[queue], contact.visit);
                    *offered.entry(queue).or_default() += 1;
                },
                Step::Close(which) => if let Some(place) = pick(which) {
                    let contact = open.swap_remove(place);
                    feed.closed(at, contact.n, Outcome::SystemError, true);
                },
                Step::Again(which) => if !feed.events.is_empty() {
                    let event = feed.events[which % feed.events.len()].clone();
                    prop_assert!(!feed.fold.apply(&event), "an event counts once");
                },
            }
            if let Err(imbalance) = feed.fold.balance() {
                prop_assert!(false, "{imbalance:?}");
            }
        }
        for (place, name) in QUEUES.into_iter().enumerate() {
            let waiting = open.iter().filter(|contact| contact.waits && contact.queue == place).count() as u64;
            let Some(queue) = feed.fold.queue_now(name, Time::from_secs(now)) else { continue };
            prop_assert_eq!(queue.waiting, waiting);
            let totals = feed.fold.queue_between(name, Time::ZERO, Time::NEVER).unwrap();
            let told = offered.get(&place).copied().unwrap_or(0);
            prop_assert_eq!(totals.offered, told);
            prop_assert_eq!(totals.exits() + waiting, told);
        }
        let again = serde_json::to_vec(&feed.fold).unwrap();
        let zone = jiff::tz::TimeZone::get("Asia/Kathmandu").unwrap();
        let again = Fold::from_snapshot(&again, zone).unwrap();
        prop_assert!(again.balance().is_ok());
        prop_assert_eq!(again.sequence(), feed.fold.sequence());
    }
}
