//! Ladders of a telephone that is told to answer: NOTIFY with `Event: talk`.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::{Command, LegId, Target};
use world::{Phone, World, respond};

const FAR: &str = "10.0.0.2:5060";
const AT: &str = "sip:agent@10.0.0.2:5060";

/// A telephone rings and says what it allows.
fn rings(allows: &str) -> (World, LegId) {
    let mut world = World::new();
    world.shown = vec!["Event", "Subscription-State"];
    let leg = world.call(AT);
    let invite = world.last(FAR).clone();
    let ringing = respond(&invite, "180 Ringing", "far", AT, false);
    let ringing = ringing.replace("Content-Length", &format!("{allows}Content-Length"));
    world.receive(FAR, &ringing);
    (world, leg)
}

fn answers(world: &mut World, leg: LegId) {
    let invite = world.last_request(FAR, "INVITE");
    world.receive(FAR, &respond(&invite, "200 OK", "far", AT, true));
    world.hangup(leg);
    let bye = world.last_request(FAR, "BYE");
    world.receive(FAR, &respond(&bye, "200 OK", "", "", false));
}

#[test]
fn a_telephone_that_says_so_is_told_and_answers() {
    let (mut world, leg) = rings("Allow-Events: conference, Talk, hold\r\n");
    assert!(world.endpoint.takes_pick_up(leg));
    world.command(Command::PickUp { leg });
    let notify = world.last_request(FAR, "NOTIFY");
    world.receive(FAR, &respond(&notify, "200 OK", "", "", false));
    answers(&mut world, leg);
    assert!(!world.endpoint.takes_pick_up(leg));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 engine: PickUp
        0000.000     far <- NOTIFY sip:agent@10.0.0.2:5060 (2) Event: talk Subscription-State: active
        0000.000 far -> 200 OK (2 NOTIFY)
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Hangup
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (3)
        0000.000 far -> 200 OK (3 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_telephone_that_says_nothing_is_not_told() {
    for allows in ["", "Allow-Events: hold, refer\r\n"] {
        let (mut world, leg) = rings(allows);
        assert!(!world.endpoint.takes_pick_up(leg));
        world.command(Command::PickUp { leg });
        answers(&mut world, leg);
        assert!(!world.end().contains("NOTIFY"));
    }
}

#[test]
fn a_refused_or_lost_notify_lets_it_ring_on() {
    let (mut world, leg) = rings("u: talk\r\n");
    world.command(Command::PickUp { leg });
    let notify = world.last_request(FAR, "NOTIFY");
    world.receive(FAR, &respond(&notify, "481 No Subscription", "", "", false));
    world.command(Command::PickUp { leg });
    world.pass(33.0);
    answers(&mut world, leg);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 engine: PickUp
        0000.000     far <- NOTIFY sip:agent@10.0.0.2:5060 (2) Event: talk Subscription-State: active
        0000.000 far -> 481 No Subscription (2 NOTIFY)
        0000.000     event: Counted { what: "pick_up_refused" }
        0000.000 engine: PickUp
        0000.000     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0000.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0001.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0003.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0007.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0011.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0015.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0019.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0023.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0027.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0031.500     far <- NOTIFY sip:agent@10.0.0.2:5060 (3) Event: talk Subscription-State: active
        0032.000     event: Counted { what: "pick_up_refused" }
        0033.000 far -> 200 OK (1 INVITE) +sdp
        0033.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0033.000     event: Answered LegId(1) sdp true
        0033.000 engine: Hangup
        0033.000     far <- BYE sip:agent@10.0.0.2:5060 (4)
        0033.000 far -> 200 OK (4 BYE)
        0033.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
}

/// Neither before it rings, nor while it is cancelled, nor once it has answered.
#[test]
fn only_what_rings_is_told() {
    let mut world = World::new();
    let leg = world.call(AT);
    assert!(!world.endpoint.takes_pick_up(leg));
    let (mut world, leg) = rings("Allow-Events: talk\r\n");
    world.hangup(leg);
    assert!(!world.endpoint.takes_pick_up(leg));
    world.command(Command::PickUp { leg });
    assert_eq!(world.last(FAR).method().unwrap().as_str(), "CANCEL");
}

/// Of a user's telephones that ring at once, the one that can is told.
#[test]
fn of_several_telephones_the_one_that_can() {
    const DESK: &str = "192.168.1.10:5060";
    const HOME: &str = "192.168.1.11:5060";
    let mut world = World::new();
    for address in [DESK, HOME] {
        let mut phone = Phone::new(address, "1001", "sip:test");
        phone.call_id = format!("reg-{address}");
        let contact = format!("Contact: <sip:1001@{address}>;expires=3600\r\n");
        world.receive(address, &phone.request("REGISTER", &contact, ""));
        let challenge = world.last(address).clone();
        let again = phone.authorized(&challenge, "REGISTER", "demo-1001", 1, &contact, "");
        world.receive(address, &again);
    }
    let leg = world.call_target(Target::User("1001".into()));
    for (address, allows) in [(HOME, ""), (DESK, "Allow-Events: talk\r\n")] {
        let invite = world.last_request(address, "INVITE");
        let at = format!("sip:1001@{address}");
        let ringing = respond(&invite, "180 Ringing", &address[10..12], &at, false);
        let ringing = ringing.replace("Content-Length", &format!("{allows}Content-Length"));
        world.receive(address, &ringing);
    }
    assert!(world.endpoint.takes_pick_up(leg));
    world.forget();
    world.command(Command::PickUp { leg });
    expect![[r#"
        0000.000 engine: PickUp
        0000.000     phone <- NOTIFY sip:1001@192.168.1.10:5060 (2)
    "#]]
    .assert_eq(&world.text());
}
