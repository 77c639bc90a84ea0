//! The ladder that the engine keeps of a contact: all its legs, after its end too.

use std::fmt::Write;
use std::time::Duration;

use engine::{Answer, Command, ContactId, EventKind, Input, Token};
use expect_test::expect;
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;

const CALLER: &str = "10.0.1.1:5060";
const AGENT: &str = "10.0.2.1:5060";

/// A world with one agent and a caller in the queue's number.
fn called() -> World {
    let mut world = World::new(centre(&one_agent()), 1);
    let answers = |after_ms, talks| Manner::Answers {
        after: Duration::from_millis(after_ms),
        talks,
    };
    let caller = world.phone("caller", CALLER, answers(0, None));
    world.phone("agent", AGENT, answers(900, Some(Duration::from_secs(5))));
    world.run(Duration::from_secs(1));
    world.dial(caller, "2000", "13800138000");
    world
}

fn contact(world: &World) -> ContactId {
    let arrived = world
        .events
        .iter()
        .rev()
        .find_map(|event| match &event.kind {
            EventKind::ContactArrived { contact, .. } => Some(contact.clone()),
            _ => None,
        });
    arrived.expect("a contact")
}

/// The ladder as the engine tells it, a line a message.
fn ladder(world: &mut World) -> String {
    let contact = contact(world);
    world.give(Input::Command {
        token: Token(1),
        command: Command::Ladder { contact },
    });
    let reply = world.replies.pop().expect("a reply");
    let Ok(Answer::Ladder(messages)) = reply.result else {
        panic!("{:?}", reply.result)
    };
    let mut text = String::new();
    for message in messages {
        let way = if message.outbound { "<-" } else { "->" };
        writeln!(text, "{:6} {way} {}", message.party, message.summary()).expect("a String");
    }
    text
}

#[test]
fn every_leg_of_a_contact_is_in_its_ladder() {
    let mut world = called();
    world.run(Duration::from_secs(3));
    expect![[r#"
        caller -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 +sdp
        caller <- SIP/2.0 100 Trying (INVITE)
        caller <- SIP/2.0 200 OK (INVITE) +sdp
        1001   <- INVITE sip:1001@10.0.2.1:5060 SIP/2.0 +sdp
        caller -> ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
        1001   -> SIP/2.0 100 Trying (INVITE)
        1001   -> SIP/2.0 180 Ringing (INVITE)
        1001   <- PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
        1001   -> SIP/2.0 200 OK (PRACK)
        1001   -> SIP/2.0 200 OK (INVITE) +sdp
        1001   <- ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
    "#]]
    .assert_eq(&ladder(&mut world));
}

#[test]
fn the_ladder_outlives_the_call() {
    let mut world = called();
    world.run(Duration::from_secs(60));
    assert_eq!(world.engine.open_contacts(), 0);
    expect![[r#"
        caller -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 +sdp
        caller <- SIP/2.0 100 Trying (INVITE)
        caller <- SIP/2.0 200 OK (INVITE) +sdp
        1001   <- INVITE sip:1001@10.0.2.1:5060 SIP/2.0 +sdp
        caller -> ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
        1001   -> SIP/2.0 100 Trying (INVITE)
        1001   -> SIP/2.0 180 Ringing (INVITE)
        1001   <- PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
        1001   -> SIP/2.0 200 OK (PRACK)
        1001   -> SIP/2.0 200 OK (INVITE) +sdp
        1001   <- ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
        1001   -> BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        1001   <- SIP/2.0 200 OK (BYE)
        caller <- BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
        caller -> SIP/2.0 200 OK (BYE)
    "#]]
    .assert_eq(&ladder(&mut world));
}
