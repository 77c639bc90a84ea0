//! Callers whom a queue does not keep: too long a wait, nobody there, closed, full; to another queue, or out.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;

const CALLER: &str = "10.0.1.1:5060";

/// A centre without agents; a caller dials the queue `support` and lets it ring or play for a minute.
fn told(change: impl FnOnce(&mut engine::Config), wanted: Expect) {
    let mut config = centre(&one_agent());
    Arc::make_mut(&mut config.acd).agents.clear();
    change(&mut config);
    let mut world = World::new(config, 1);
    world.phone("caller", CALLER, Manner::LetsRing);
    let after = world.events.last().map_or(0, |event| event.sequence);
    world.dial(CALLER.parse().unwrap(), "2000", "13900139000");
    world.run(Duration::from_secs(60));
    let events = world.events.iter().filter(|event| event.sequence > after);
    let lines = events.filter_map(|event| {
        let event = serde_json::to_value(event).unwrap();
        let data = &event["data"];
        let word = |key: &str| data[key].as_str().map(|word| format!(" {key} {word}"));
        let told = ["kind", "queue", "to", "exit", "outcome", "cause"]
            .into_iter()
            .filter_map(word);
        let told: String = told.collect();
        let of_queue = [
            "contact.queued",
            "contact.left_queue",
            "contact.transferred",
            "contact.closed",
        ];
        let kind = event["type"].as_str().unwrap();
        of_queue.contains(&kind).then(|| format!("{kind}{told}\n"))
    });
    wanted.assert_eq(&lines.collect::<String>());
}

fn support(config: &mut engine::Config) -> (&mut acd::Queue, &mut engine::QueueService) {
    let acd = Arc::make_mut(&mut config.acd);
    let queue = acd
        .queues
        .iter_mut()
        .find(|queue| &*queue.name == "support");
    (queue.unwrap(), config.queues.get_mut("support").unwrap())
}

#[test]
fn who_waits_too_long_goes_on_to_the_next_queue_as_the_same_contact() {
    told(
        |config| {
            let (queue, service) = support(config);
            queue.max_wait = Some(Duration::from_secs(20));
            service.overflow = Some("queue:sales".into());
        },
        expect![[r#"
            contact.queued queue support
            contact.left_queue queue support exit overflowed
            contact.transferred kind overflow to queue:sales
            contact.queued queue sales
        "#]],
    );
}

#[test]
fn who_waits_too_long_and_has_nowhere_to_go_is_told_so() {
    told(
        |config| support(config).0.max_wait = Some(Duration::from_secs(20)),
        expect![[r#"
            contact.queued queue support
            contact.left_queue queue support exit no_agent
            contact.closed queue support outcome no_agent cause max_wait
        "#]],
    );
}

#[test]
fn nobody_waits_for_nobody() {
    told(
        |config| support(config).0.empty = vec![acd::Absence::NoSkill],
        expect![[r#"
            contact.queued queue support
            contact.left_queue queue support exit no_agent
            contact.closed queue support outcome no_agent cause no_skill
        "#]],
    );
}

#[test]
fn a_closed_queue_takes_nobody_and_says_where_to_go() {
    told(
        |config| support(config).1.closed = true,
        expect![[r#"
            contact.queued queue support
            contact.left_queue queue support exit rejected
            contact.closed queue support outcome rejected_closed cause queue_closed
        "#]],
    );
    told(
        |config| {
            let service = support(config).1;
            // Never open.
            let zone = ivr::Calendar::zone("Asia/Shanghai").unwrap();
            service.hours = Some(Arc::new(ivr::Calendar::new(zone)));
            service.overflow = Some("queue:sales".into());
        },
        expect![[r#"
            contact.queued queue support
            contact.left_queue queue support exit overflowed
            contact.transferred kind overflow to queue:sales
            contact.queued queue sales
        "#]],
    );
}

/// A configuration that `check` would refuse does not make a caller go round for ever.
#[test]
fn a_circle_ends() {
    let mut config = centre(&one_agent());
    Arc::make_mut(&mut config.acd).agents.clear();
    for (name, next) in [("support", "queue:sales"), ("sales", "queue:support")] {
        let service = config.queues.get_mut(name).unwrap();
        (service.closed, service.overflow) = (true, Some(next.into()));
    }
    let mut world = World::new(config, 1);
    world.phone("caller", CALLER, Manner::LetsRing);
    world.dial(CALLER.parse().unwrap(), "2000", "13900139000");
    world.run(Duration::from_secs(5));
    let queued = world
        .events
        .iter()
        .filter(|event| event.type_name() == "contact.queued");
    assert_eq!(queued.count(), 9, "eight times on, then out");
    let closed = world
        .events
        .iter()
        .filter(|event| event.type_name() == "contact.closed");
    assert_eq!(closed.count(), 1);
}
