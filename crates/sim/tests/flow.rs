//! Callers in the shipped main flow, through the engine.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;

const CALLER: &str = "10.0.1.1:5060";

fn world() -> (World, u64) {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../ivr-scripts/main.toml"
    ));
    let text = std::fs::read_to_string(&path).unwrap();
    let queues: BTreeSet<String> = ["support", "sales"].map(str::to_owned).into();
    let numbers: BTreeSet<String> = ["1001", "2000", "2001"].map(str::to_owned).into();
    let surroundings = ivr::Surroundings {
        has_prompt: &|_, _| true,
        queues: &queues,
        numbers: &numbers,
    };
    let (flows, diagnostics) = ivr::Flows::load(&[(path, text)], &surroundings);
    assert!(
        diagnostics
            .iter()
            .all(|diagnostic| diagnostic.severity != ivr::Severity::Error),
        "{diagnostics:?}"
    );
    let mut config = centre(&one_agent());
    config.flows = Arc::new(flows);
    config
        .routes
        .insert("1000".into(), engine::Route::Flow("main".into()));
    let mut world = World::new(config, 1);
    world.phone("caller", CALLER, Manner::LetsRing);
    world.phone(
        "agent",
        "10.0.2.1:5060",
        Manner::Answers {
            after: Duration::from_millis(500),
            talks: Some(Duration::from_secs(5)),
        },
    );
    let after = world.events.last().map_or(0, |event| event.sequence);
    (world, after)
}

fn press(world: &mut World, digit: char) {
    let stream = world.streams().next().unwrap();
    world.give(engine::Input::Media(media::Event::Dtmf { stream, digit }));
}

fn dial(world: &mut World) {
    world.dial(CALLER.parse().unwrap(), "1000", "13900139000");
    world.run(Duration::from_millis(500));
}

#[test]
fn a_caller_who_cannot_be_heard_any_more_has_left_the_flow_or_the_queue() {
    let (mut world, after) = world();
    let starve = |world: &mut World| {
        let stream = world.streams().next().unwrap();
        world.give(engine::Input::Media(media::Event::Starved { stream }));
        world.run(Duration::from_secs(1));
        assert_eq!(world.engine.open_contacts(), 0);
        assert_eq!(world.open_streams(), 0);
    };
    dial(&mut world);
    starve(&mut world);
    world.with_phone("10.0.2.1:5060".parse().unwrap(), |phone| {
        phone.manner = Manner::LetsRing;
    });
    world.dial(CALLER.parse().unwrap(), "2000", "13900139000");
    world.run(Duration::from_secs(2));
    starve(&mut world);
    expect![[r#"
        contact.arrived n-1-1 flow:main Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        ivr.step n-1-1 main/greeting say
        contact.abandoned n-1-1 queue=None Ivr short=false
        contact.closed n-1-1 AbandonedInIvr agent=None cause=caller_media_timeout
        contact.arrived n-1-2 queue:support Inbound
        contact.identified n-1-2 customers=0 class=None late=false
        contact.queued n-1-2 support visit=1 position=1
        contact.offered n-1-2 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-2 agent=1001 CallerGone requeued=false
        contact.abandoned n-1-2 queue=Some("support") Ring short=true
        agent.state 1001 Reserved -> Ready
        contact.closed n-1-2 AbandonedInRing agent=None cause=caller_media_timeout
    "#]]
    .assert_eq(&world.story(after));
}

#[test]
fn language_then_menu_then_queue_then_agent() {
    let (mut world, after) = world();
    dial(&mut world);
    press(&mut world, '2');
    world.run(Duration::from_millis(200));
    press(&mut world, '1');
    world.run(Duration::from_secs(30));
    expect![[r#"
        contact.arrived n-1-1 flow:main Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        ivr.step n-1-1 main/greeting say
        ivr.step n-1-1 main/language_known decide
        ivr.step n-1-1 main/language menu
        ivr.step n-1-1 main/english set
        ivr.step n-1-1 main/identify decide
        ivr.step n-1-1 main/menu menu
        ivr.step n-1-1 main/support queue
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=agent_bye
        agent.state 1001 WrapUp -> Ready
    "#]]
    .assert_eq(&world.story(after));
}

#[test]
fn a_silent_caller_is_asked_again_and_then_given_to_a_person() {
    let (mut world, after) = world();
    dial(&mut world);
    world.run(Duration::from_secs(200));
    expect![[r#"
        contact.arrived n-1-1 flow:main Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        ivr.step n-1-1 main/greeting say
        ivr.step n-1-1 main/language_known decide
        ivr.step n-1-1 main/language menu
        ivr.step n-1-1 main/support queue
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=agent_bye
        agent.state 1001 WrapUp -> Ready
    "#]]
    .assert_eq(&world.story(after));
}

#[test]
fn a_caller_who_hangs_up_in_the_flow_is_abandoned_there() {
    let (mut world, after) = world();
    dial(&mut world);
    press(&mut world, '2');
    let now = world.now;
    world.with_phone(CALLER.parse().unwrap(), |phone| phone.hang_up_all(now));
    world.run(Duration::from_secs(1));
    expect![[r#"
        contact.arrived n-1-1 flow:main Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        ivr.step n-1-1 main/greeting say
        ivr.step n-1-1 main/language_known decide
        ivr.step n-1-1 main/language menu
        ivr.step n-1-1 main/english set
        ivr.step n-1-1 main/identify decide
        ivr.step n-1-1 main/menu menu
        contact.abandoned n-1-1 queue=None Ivr short=false
        contact.closed n-1-1 AbandonedInIvr agent=None cause=caller_bye
    "#]]
    .assert_eq(&world.story(after));
    assert_eq!(world.engine.open_contacts(), 0);
}
