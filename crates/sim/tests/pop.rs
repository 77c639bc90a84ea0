//! The screen pop: whom the store knows, when it is late, and that it goes ahead of the ring.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::time::Duration;

use expect_test::expect;
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;

const CALLER: &str = "10.0.1.1:5060";
const AGENT: &str = "10.0.2.1:5060";

fn world() -> World {
    let mut world = World::new(centre(&one_agent()), 1);
    world.phone("caller", CALLER, Manner::LetsRing);
    world.phone("agent", AGENT, Manner::LetsRing);
    let customer = |id: &str, name: &str, class: &str| crm::PopCustomer {
        id: crm::CustomerId(id.into()),
        name: name.to_owned(),
        class: class.to_owned(),
        language: "zh-CN".to_owned(),
        tags: vec!["vip".to_owned()],
    };
    let pop = crm::Pop {
        customers: vec![
            customer("C1", "Wang Fang", "A"),
            customer("C2", "Wang Li", "B"),
        ],
        last_contacts: vec![],
    };
    world.customers.insert("+8613800138000".into(), pop);
    world
}

fn dial(world: &mut World) -> u64 {
    let after = world.events.last().map_or(0, |event| event.sequence);
    world.dial(CALLER.parse().unwrap(), "2000", "13800138000");
    after
}

#[test]
fn all_customers_of_the_number_are_in_the_pop_best_first() {
    let mut world = world();
    let after = dial(&mut world);
    world.run(Duration::from_millis(100));
    expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=2 class=Some("A") late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=Wang Fang
        agent.state 1001 Ready -> Reserved
    "#]]
    .assert_eq(&world.story(after));
}

#[test]
fn a_slow_store_holds_the_call_for_300_ms_and_no_longer() {
    let mut world = world();
    world.look_up_delay = Duration::from_millis(800);
    let from = world.now;
    let after = dial(&mut world);
    world.run(Duration::from_secs(1));
    expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.identified n-1-1 customers=2 class=Some("A") late=true
    "#]]
    .assert_eq(&world.story(after));
    let queued = world
        .events
        .iter()
        .find(|event| event.type_name() == "contact.queued")
        .unwrap();
    assert_eq!(
        queued.at - from,
        Duration::from_millis(301),
        "the network's millisecond and the patience"
    );
}

fn invite_at(world: &World) -> Option<clock::Time> {
    world
        .wire
        .iter()
        .find(|message| message.to == "agent" && message.start_line.starts_with("INVITE"))
        .map(|message| message.at)
}

#[test]
fn the_phone_rings_when_the_pop_has_been_delivered() {
    let mut world = world();
    world.give(engine::Input::Audience { count: 1 });
    dial(&mut world);
    world.run(Duration::from_millis(100));
    let offered = world
        .events
        .iter()
        .find(|event| event.type_name() == "contact.offered")
        .unwrap()
        .at;
    // The world delivers events after two milliseconds.
    assert_eq!(
        invite_at(&world).unwrap() - offered,
        Duration::from_millis(2)
    );
}

#[test]
fn a_stuck_desk_delays_the_ring_by_20_ms_at_most() {
    let mut world = world();
    world.deliver_events = false;
    world.give(engine::Input::Audience { count: 1 });
    dial(&mut world);
    world.run(Duration::from_millis(100));
    let offered = world
        .events
        .iter()
        .find(|event| event.type_name() == "contact.offered")
        .unwrap()
        .at;
    assert_eq!(
        invite_at(&world).unwrap() - offered,
        Duration::from_millis(20)
    );
}
