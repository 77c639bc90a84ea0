//! Ladders of calls to a user with several phones: by q, one after the other and at once.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::message::{Builder, HeaderName, Message};
use sip::{Command, Event, LegId, Target};
use world::{Phone, SDP, World};

const DESK: &str = "192.168.1.10:5060";
const HOME: &str = "192.168.1.11:5060";

/// Both phones of 1001 are registered.
fn registered(q_desk: &str, q_home: &str) -> World {
    let mut world = World::new();
    for (address, q) in [(DESK, q_desk), (HOME, q_home)] {
        let mut phone = Phone::new(address, "1001", "sip:test");
        phone.call_id = format!("reg-{address}");
        let contact = format!("Contact: <sip:1001@{address}>;q={q};expires=3600\r\n");
        world.receive(address, &phone.request("REGISTER", &contact, ""));
        let challenge = world.last(address).clone();
        let again = phone.authorized(&challenge, "REGISTER", "demo-1001", 1, &contact, "");
        world.receive(address, &again);
    }
    world.forget();
    world
}

fn call(world: &mut World) -> LegId {
    world.call_target(Target::User("1001".into()))
}

fn respond(world: &mut World, from: &str, method: &str, status: u16) {
    let request = world.last_request(from, method);
    respond_to(world, from, &request, status);
}

fn respond_to(world: &mut World, from: &str, request: &Message, status: u16) {
    let tag = (status > 100).then(|| format!("tag-{}", &from[10..12]));
    let mut builder = Builder::response_to(request, status, "Said", tag.as_deref());
    let invite = request
        .method()
        .is_some_and(|method| method.as_str() == "INVITE");
    if status == 200 && invite {
        builder = builder
            .header(HeaderName::Contact, format_args!("<sip:1001@{from}>"))
            .body("application/sdp", SDP.as_bytes());
    }
    let text = String::from_utf8(builder.finish().to_vec()).unwrap();
    world.receive(from, &text);
}

#[test]
fn all_of_the_same_q_ring_and_the_first_that_answers_has_the_call() {
    let mut world = registered("0.5", "0.5");
    let leg = call(&mut world);
    respond(&mut world, DESK, "INVITE", 180);
    respond(&mut world, HOME, "INVITE", 180);
    respond(&mut world, HOME, "INVITE", 200);
    respond(&mut world, DESK, "CANCEL", 200);
    respond(&mut world, DESK, "INVITE", 487);
    world.hangup(leg);
    respond(&mut world, HOME, "BYE", 200);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     phone2 <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0000.000     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0000.000 phone -> 180 Said (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 phone2 -> 180 Said (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 phone2 -> 200 Said (1 INVITE) +sdp
        0000.000     phone2 <- ACK sip:1001@192.168.1.11:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000     phone <- CANCEL sip:1001@192.168.1.10:5060 (1) Reason: SIP;cause=200;text="Call completed elsewhere"
        0000.000 phone -> 200 Said (1 CANCEL)
        0000.000 phone -> 487 Said (1 INVITE)
        0000.000     phone <- ACK sip:1001@192.168.1.10:5060 (1)
        0000.000 engine: Hangup
        0000.000     phone2 <- BYE sip:1001@192.168.1.11:5060 (2)
        0000.000 phone2 -> 200 Said (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.text());
}

#[test]
fn two_answers_that_cross_leave_one_call() {
    let mut world = registered("1", "1");
    let leg = call(&mut world);
    respond(&mut world, DESK, "INVITE", 180);
    respond(&mut world, HOME, "INVITE", 180);
    respond(&mut world, DESK, "INVITE", 200);
    respond(&mut world, HOME, "INVITE", 200);
    respond(&mut world, HOME, "CANCEL", 481);
    respond(&mut world, HOME, "BYE", 200);
    let mut desk = {
        let invite = world.last_request(DESK, "INVITE");
        Phone::called(DESK, &invite, "tag-10")
    };
    let _ = leg;
    world.receive(DESK, &desk.request("BYE", "", ""));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     phone2 <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0000.000     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0000.000 phone -> 180 Said (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 phone2 -> 180 Said (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 phone -> 200 Said (1 INVITE) +sdp
        0000.000     phone <- ACK sip:1001@192.168.1.10:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000     phone2 <- CANCEL sip:1001@192.168.1.11:5060 (1) Reason: SIP;cause=200;text="Call completed elsewhere"
        0000.000 phone2 -> 200 Said (1 INVITE) +sdp
        0000.000     phone2 <- ACK sip:1001@192.168.1.11:5060 (1)
        0000.000     phone2 <- BYE sip:1001@192.168.1.11:5060 (2)
        0000.000 phone2 -> 481 Said (1 CANCEL)
        0000.000 phone2 -> 200 Said (2 BYE)
        0000.000 phone -> BYE sip:cordboard@10.9.9.9:5060 (101)
        0000.000     phone <- 200 OK (101 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&world.text());
}

#[test]
fn the_lower_q_rings_when_the_higher_has_failed() {
    let mut world = registered("0.3", "0.9");
    call(&mut world);
    respond(&mut world, HOME, "INVITE", 486);
    respond(&mut world, DESK, "INVITE", 200);
    world.hangup(LegId(1));
    respond(&mut world, DESK, "BYE", 200);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     phone2 <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0000.000 phone2 -> 486 Said (1 INVITE)
        0000.000     phone2 <- ACK sip:1001@192.168.1.11:5060 (1)
        0000.000     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0000.000 phone -> 200 Said (1 INVITE) +sdp
        0000.000     phone <- ACK sip:1001@192.168.1.10:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Hangup
        0000.000     phone <- BYE sip:1001@192.168.1.10:5060 (2)
        0000.000 phone -> 200 Said (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.text());
}

#[test]
fn a_silent_phone_does_not_hold_up_the_others() {
    let mut world = registered("0.3", "0.9");
    call(&mut world);
    world.pass(2.5);
    respond(&mut world, DESK, "INVITE", 180);
    // It wakes up, and both ring.
    respond(&mut world, HOME, "INVITE", 180);
    respond(&mut world, HOME, "INVITE", 200);
    respond(&mut world, DESK, "CANCEL", 200);
    respond(&mut world, DESK, "INVITE", 487);
    world.hangup(LegId(1));
    respond(&mut world, HOME, "BYE", 200);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     phone2 <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0000.500     phone2 <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0001.500     phone2 <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0002.000     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0002.500     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0002.500 phone -> 180 Said (1 INVITE)
        0002.500     event: Ringing LegId(1) 180 sdp false
        0002.500 phone2 -> 180 Said (1 INVITE)
        0002.500     event: Ringing LegId(1) 180 sdp false
        0002.500 phone2 -> 200 Said (1 INVITE) +sdp
        0002.500     phone2 <- ACK sip:1001@192.168.1.11:5060 (1)
        0002.500     event: Answered LegId(1) sdp true
        0002.500     phone <- CANCEL sip:1001@192.168.1.10:5060 (1) Reason: SIP;cause=200;text="Call completed elsewhere"
        0002.500 phone -> 200 Said (1 CANCEL)
        0002.500 phone -> 487 Said (1 INVITE)
        0002.500     phone <- ACK sip:1001@192.168.1.10:5060 (1)
        0002.500 engine: Hangup
        0002.500     phone2 <- BYE sip:1001@192.168.1.11:5060 (2)
        0002.500 phone2 -> 200 Said (2 BYE)
        0002.500     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.text());
}

#[test]
fn a_decline_is_the_users_last_word() {
    let mut world = registered("0.3", "0.9");
    call(&mut world);
    respond(&mut world, HOME, "INVITE", 603);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     phone2 <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0000.000 phone2 -> 603 Said (1 INVITE)
        0000.000     phone2 <- ACK sip:1001@192.168.1.11:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 603, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.text());
}

#[test]
fn when_all_fail_the_most_telling_failure_is_the_calls() {
    let mut world = registered("0.5", "0.5");
    call(&mut world);
    respond(&mut world, HOME, "INVITE", 486);
    respond(&mut world, DESK, "INVITE", 500);
    let gone: Vec<String> = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::Gone { .. }))
        .map(|event| format!("{event:?}"))
        .collect();
    assert_eq!(gone.len(), 1, "{gone:?}");
    assert!(gone[0].contains("486"), "{gone:?}");
}

#[test]
fn hanging_up_cancels_every_phone() {
    let mut world = registered("0.5", "0.5");
    let leg = call(&mut world);
    respond(&mut world, DESK, "INVITE", 180);
    respond(&mut world, HOME, "INVITE", 180);
    world.command(Command::Hangup { leg, reason: None });
    for phone in [DESK, HOME] {
        respond(&mut world, phone, "CANCEL", 200);
        respond(&mut world, phone, "INVITE", 487);
    }
    expect![[r#"
        0000.000 engine: Invite
        0000.000     phone2 <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0000.000     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0000.000 phone -> 180 Said (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 phone2 -> 180 Said (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 engine: Hangup
        0000.000     phone2 <- CANCEL sip:1001@192.168.1.11:5060 (1)
        0000.000     phone <- CANCEL sip:1001@192.168.1.10:5060 (1)
        0000.000 phone -> 200 Said (1 CANCEL)
        0000.000 phone -> 487 Said (1 INVITE)
        0000.000     phone <- ACK sip:1001@192.168.1.10:5060 (1)
        0000.000 phone2 -> 200 Said (1 CANCEL)
        0000.000 phone2 -> 487 Said (1 INVITE)
        0000.000     phone2 <- ACK sip:1001@192.168.1.11:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.text());
}
