//! The start of a run after a crash, and the end of one that cannot wait any longer.

use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use engine::{AgentState, ContactId, Direction, Engine, Input, OpenContact, Output, Start};
use expect_test::expect;
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;

fn open(contact: &str, visit: Option<(&str, u32, u64)>, answered: Option<u64>) -> OpenContact {
    OpenContact {
        contact: ContactId(contact.into()),
        direction: Direction::Inbound,
        visit: visit.map(|(queue, number, since)| (queue.into(), number, Time::from_secs(since))),
        agent: answered.map(|_| "1001".into()),
        arrived: Time::from_secs(100),
        answered: answered.map(Time::from_secs),
        entered_ivr: visit.is_none() && answered.is_none(),
        customers: vec![],
    }
}

#[test]
fn what_a_crash_left_open_is_closed_as_of_the_last_sign_of_life() {
    let mut engine = Engine::new(Arc::new(centre(&one_agent())), [1; 32]);
    let start = Start {
        boot: 2,
        next_sequence: 41,
        open: vec![
            open("n-1-7", None, None),
            open("n-1-8", Some(("support", 1, 110)), None),
            open("n-1-9", Some(("support", 1, 105)), Some(120)),
        ],
        last_time: Time::from_secs(130),
        agents: vec![(
            "1001".into(),
            acd::Availability::NotReady {
                reason: "lunch".into(),
            },
        )],
        bindings: vec![],
        agent_states: vec![("1001".into(), AgentState::Connected, Time::from_secs(120))],
    };
    engine.handle(Time::from_secs(500), Input::Start(start));
    let mut story = String::new();
    let mut sequence = 40;
    while let Some(output) = engine.poll_output() {
        if let Output::Event(event) = output {
            sequence += 1;
            assert_eq!(
                event.sequence, sequence,
                "the sequence goes on without a gap"
            );
            story.push_str(&format!(
                "{:>3} {}\n",
                event.at.as_secs_f64(),
                sim::story::line(&event)
            ));
        }
    }
    expect![[r#"
        500 node.started n boot=2
        130 contact.closed n-1-7 SystemError agent=None cause=restart
        130 contact.left_queue n-1-8 support SystemError
        130 contact.closed n-1-8 SystemError agent=None cause=restart
        130 contact.closed n-1-9 SystemError agent=Some("1001") cause=restart
        130 agent.state 1001 Connected -> LoggedOut (restart)
        500 queue.changed sales open
        500 queue.changed support open
        500 agent.state 1001 LoggedOut -> Ready
        500 agent.state 1001 Ready -> NotReady (lunch)
    "#]]
    .assert_eq(&story);
}

#[test]
fn calls_that_outlast_the_drain_are_ended() {
    let mut world = World::new(centre(&one_agent()), 1);
    let caller = world.phone("caller", "10.0.1.1:5060", Manner::LetsRing);
    world.phone(
        "agent",
        "10.0.2.1:5060",
        Manner::Answers {
            after: Duration::from_millis(200),
            talks: None,
        },
    );
    world.dial(caller, "2000", "13800138000");
    world.run(Duration::from_secs(2));
    let after = world.events.last().map_or(0, |event| event.sequence);
    world.give(Input::Drain {
        within: Duration::from_secs(30),
    });
    world.run(Duration::from_secs(29));
    assert!(!world.drained, "the call may finish");
    world.run(Duration::from_secs(2));
    assert!(world.drained);
    expect![[r#"
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=drain
    "#]]
    .assert_eq(&world.story(after));
    world.run(Duration::from_secs(40));
    assert_eq!((world.engine.open_legs(), world.open_streams()), (0, 0));
}
