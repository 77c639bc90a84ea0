//! Calls of ours that come to nothing.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::{Input, Target};
use world::*;

const FAR: &str = "10.0.0.2:5060";
const CONTACT: &str = "sip:agent@10.0.0.2:5060";

fn refused(status: &str) -> String {
    let mut world = World::new();
    world.call(CONTACT);
    let invite = world.last(FAR).clone();
    let refusal = respond(&invite, status, "far", "sip:elsewhere@10.0.0.9", false);
    world.receive(FAR, &refusal);
    world.receive(FAR, &refusal);
    world.end()
}

#[test]
fn busy() {
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 486 Busy Here (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0000.000 far -> 486 Busy Here (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
    "#]].assert_eq(&refused("486 Busy Here"));
}

#[test]
fn declined() {
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 603 Decline (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 603, reason: "Decline", retry_after: None, contact: None } }
        0000.000 far -> 603 Decline (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
    "#]].assert_eq(&refused("603 Decline"));
}

#[test]
fn a_redirection_is_told_and_not_followed() {
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 302 Moved Temporarily (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 302, reason: "Moved Temporarily", retry_after: None, contact: Some("sip:elsewhere@10.0.0.9") } }
        0000.000 far -> 302 Moved Temporarily (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
    "#]].assert_eq(&refused("302 Moved Temporarily"));
}

#[test]
fn retry_after_is_told() {
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 503 Busy (1 INVITE) Retry-After: 30 (please)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 503, reason: "Busy", retry_after: Some(30s), contact: None } }
        0000.000 far -> 503 Busy (1 INVITE) Retry-After: 30 (please)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
    "#]].assert_eq(&refused("503 Busy\r\nRetry-After: 30 (please)"));
}

#[test]
fn no_response_is_timer_b() {
    let mut world = World::new();
    world.call(CONTACT);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0001.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0003.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0007.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0015.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0031.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0032.000     event: Gone { leg: LegId(1), cause: NoResponse }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn silence_after_a_provisional_is_timer_c() {
    let mut world = World::new();
    world.call(CONTACT);
    let invite = world.last(FAR).clone();
    world.receive(FAR, &respond(&invite, "100 Trying", "", "", false));
    world.pass(100.0);
    world.receive(FAR, &respond(&invite, "180 Ringing", "far", CONTACT, false));
    world.pass(182.0);
    let cancel = world.last_request(FAR, "CANCEL");
    world.receive(FAR, &respond(&cancel, "200 OK", "far", "", false));
    world.receive(
        FAR,
        &respond(&invite, "487 Request Terminated", "far", "", false),
    );
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 100 Trying (1 INVITE)
        0000.000     event: Trying { leg: LegId(1) }
        0100.000 far -> 180 Ringing (1 INVITE)
        0100.000     event: Ringing LegId(1) 180 sdp false
        0281.000     far <- CANCEL sip:agent@10.0.0.2:5060 (1)
        0281.500     far <- CANCEL sip:agent@10.0.0.2:5060 (1)
        0282.000 far -> 200 OK (1 CANCEL)
        0282.000 far -> 487 Request Terminated (1 INVITE)
        0282.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0282.000     event: Gone { leg: LegId(1), cause: NoResponse }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn nobody_listens() {
    let mut world = World::new();
    world.call(CONTACT);
    world.input("port unreachable", Input::Unreachable { peer: peer(FAR) });
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 port unreachable
        0000.000     event: Gone { leg: LegId(1), cause: Unreachable }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn places_that_cannot_be_called() {
    let mut world = World::new();
    world.call("sip:agent@example.com");
    world.call_target(Target::User("1001".into()));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     edge: Resolve Naptr example.com
        0000.000 engine: Invite
        0000.000     event: Gone { leg: LegId(2), cause: NotRegistered }
        0006.000     event: Counted { what: "dns_failed" }
        0006.000     edge: Resolve Srv _sip._udp.example.com
        0012.000     event: Counted { what: "dns_failed" }
        0012.000     event: Gone { leg: LegId(1), cause: Unreachable }
    "#]]
    .assert_eq(&world.end());
}
