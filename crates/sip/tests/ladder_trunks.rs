//! Ladders of trunks: calls out with digest, failover, weights and caps, registration as a client, health.
#![allow(clippy::unwrap_used)]

mod world;

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use sip::message::{Builder, HeaderName, Message};
use sip::{Account, Carrier, Command, Config, Event, Input, LegId, Secret, Target, Through, Trunk};
use world::{Phone, SDP, World, config};

const FIRST: &str = "198.51.100.1:5060";
const SECOND: &str = "198.51.100.2:5060";
const STRANGER: &str = "203.0.113.9:5060";

fn trunk(name: &str, address: &str) -> Trunk {
    let host = address.split(':').next().unwrap();
    Trunk {
        name: name.into(),
        addresses: vec![host.parse().unwrap()],
        max_calls: 2,
        calls_per_second: 0,
        trust: sip::Trust::Full,
        hosts: Vec::new(),
        certificate: None,
        carrier: Some(Carrier {
            domain: format!("{name}.example"),
            next_hop: format!("sip:{address}"),
            account: Some(Account {
                username: "us".into(),
                password: Secret("secret".into()),
                realm: format!("{name}.example"),
            }),
            register: None,
            options: None,
        }),
    }
}

fn with(trunks: Vec<Trunk>) -> Config {
    Config { trunks, ..config() }
}

fn started(config: Config) -> World {
    let mut world = World::with(config);
    let config = Input::Configure(Arc::new(world.config.clone()));
    world.input("start", config);
    world
}

fn two() -> World {
    started(with(vec![trunk("one", FIRST), trunk("two", SECOND)]))
}

fn way(trunk: &str, rank: u16, weight: u16) -> Through {
    Through {
        trunk: trunk.into(),
        number: "+4930123456".into(),
        caller: "+861065529988".into(),
        rank,
        weight,
        urgent: false,
    }
}

fn call(world: &mut World, ways: &[Through]) -> LegId {
    world.call_target(Target::Trunks(ways.into()))
}

/// A response to the last request of this method at a place.
fn respond(world: &mut World, from: &str, method: &str, status: u16, headers: &[(&str, &str)]) {
    let request = world.last_request(from, method);
    respond_to(world, from, &request, status, headers, "");
}

fn respond_to(
    world: &mut World,
    from: &str,
    request: &Message,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) {
    let tag = (status > 100).then_some("far");
    let mut builder = Builder::response_to(request, status, "Said", tag);
    for (name, value) in headers {
        builder = builder.raw_header(name, value);
    }
    if !body.is_empty() {
        builder = builder
            .header(HeaderName::Contact, format_args!("<sip:far@{from}>"))
            .body("application/sdp", body.as_bytes());
    }
    let text = String::from_utf8(builder.finish().to_vec()).unwrap();
    world.receive(from, &text);
}

fn answer(world: &mut World, from: &str) {
    let request = world.last_request(from, "INVITE");
    respond_to(world, from, &request, 200, &[], SDP);
}

fn credentials(message: &Message) -> String {
    let (name, value) = message
        .lines()
        .find(|(name, _)| name.ends_with("uthorization"))
        .unwrap_or(("none", ""));
    // What is random: the client's nonce and what follows from it.
    let kept = value
        .split(", ")
        .filter(|part| !part.starts_with("cnonce") && !part.starts_with("response"));
    format!("{name}: {}", kept.collect::<Vec<_>>().join(", "))
}

const CHALLENGE: (&str, &str) = (
    "Proxy-Authenticate",
    "Digest realm=\"one.example\", nonce=\"n1\", qop=\"auth\"",
);

#[test]
fn a_407_is_answered_and_the_nonce_serves_the_next_requests() {
    let mut world = two();
    let leg = call(&mut world, &[way("one", 0, 1)]);
    respond(&mut world, FIRST, "INVITE", 407, &[CHALLENGE]);
    let again = world.last_request(FIRST, "INVITE");
    expect![[r#"Proxy-Authorization: Digest username="us", realm="one.example", nonce="n1", uri="sip:+4930123456@one.example", algorithm=MD5, qop=auth, nc=00000001"#]]
        .assert_eq(&credentials(&again));
    answer(&mut world, FIRST);
    world.hangup(leg);
    let bye = world.last_request(FIRST, "BYE");
    assert!(
        credentials(&bye).ends_with("nc=00000002"),
        "{}",
        credentials(&bye)
    );
    respond(&mut world, FIRST, "BYE", 200, &[]);
    call(&mut world, &[way("one", 0, 1)]);
    let next = world.last_request(FIRST, "INVITE");
    assert!(
        credentials(&next).ends_with("nc=00000003"),
        "no round trip for the second call"
    );
    respond(&mut world, FIRST, "INVITE", 486, &[]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 407 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     first <- INVITE sip:+4930123456@one.example (2) +sdp
        0000.000 first -> 200 Said (2 INVITE) +sdp
        0000.000     first <- ACK sip:far@198.51.100.1:5060 (2)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Hangup
        0000.000     first <- BYE sip:far@198.51.100.1:5060 (3)
        0000.000 first -> 200 Said (3 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 486 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     event: Gone { leg: LegId(3), cause: Rejected { status: 486, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

#[test]
fn sha256_no_qop_and_stale_nonces() {
    let mut world = two();
    call(&mut world, &[way("one", 0, 1)]);
    let offers = [
        (
            "WWW-Authenticate",
            "Digest realm=\"other\", nonce=\"x\", qop=\"auth\"",
        ),
        (
            "WWW-Authenticate",
            "Digest realm=\"one.example\", nonce=\"n1\", algorithm=SHA-512-256, qop=\"auth\"",
        ),
        (
            "WWW-Authenticate",
            "Digest realm=\"one.example\", nonce=\"n2\", algorithm=SHA-256, qop=\"auth-int,auth\", opaque=\"o\"",
        ),
    ];
    respond(&mut world, FIRST, "INVITE", 401, &offers);
    let again = world.last_request(FIRST, "INVITE");
    expect![[r#"Authorization: Digest username="us", realm="one.example", nonce="n2", uri="sip:+4930123456@one.example", algorithm=SHA-256, qop=auth, nc=00000001, opaque="o""#]].assert_eq(&credentials(&again));
    answer(&mut world, FIRST);
    // The nonce has run out by the BYE: a new one, once.
    let leg = LegId(1);
    world.hangup(leg);
    let stale = (
        "WWW-Authenticate",
        "Digest realm=\"one.example\", nonce=\"n3\", stale=true",
    );
    respond(&mut world, FIRST, "BYE", 401, &[stale]);
    let bye = world.last_request(FIRST, "BYE");
    expect![[r#"Authorization: Digest username="us", realm="one.example", nonce="n3", uri="sip:far@198.51.100.1:5060", algorithm=MD5"#]].assert_eq(&credentials(&bye));
    respond(&mut world, FIRST, "BYE", 200, &[]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 401 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     first <- INVITE sip:+4930123456@one.example (2) +sdp
        0000.000 first -> 200 Said (2 INVITE) +sdp
        0000.000     first <- ACK sip:far@198.51.100.1:5060 (2)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Hangup
        0000.000     first <- BYE sip:far@198.51.100.1:5060 (3)
        0000.000 first -> 401 Said (3 BYE) stale
        0000.000     first <- BYE sip:far@198.51.100.1:5060 (4)
        0000.000 first -> 200 Said (4 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_wrong_password_is_tried_once() {
    let mut world = two();
    call(&mut world, &[way("one", 0, 1)]);
    respond(&mut world, FIRST, "INVITE", 407, &[CHALLENGE]);
    let other = (
        "Proxy-Authenticate",
        "Digest realm=\"one.example\", nonce=\"n2\", qop=\"auth\"",
    );
    respond(&mut world, FIRST, "INVITE", 407, &[other]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 407 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     first <- INVITE sip:+4930123456@one.example (2) +sdp
        0000.000 first -> 407 Said (2 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (2)
        0000.000     event: Counted { what: "credentials_refused" }
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 407, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

#[test]
fn another_realm_gets_no_credentials() {
    let mut world = two();
    call(&mut world, &[way("one", 0, 1)]);
    let foreign = (
        "Proxy-Authenticate",
        "Digest realm=\"evil.example\", nonce=\"n1\", qop=\"auth\"",
    );
    respond(&mut world, FIRST, "INVITE", 407, &[foreign]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 407 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     event: Counted { what: "foreign_challenge" }
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 407, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
    assert!(
        world
            .sent
            .iter()
            .all(|(_, message)| credentials(message) == "none: ")
    );
}

#[test]
fn where_a_contact_leads_there_are_no_credentials() {
    let mut world = two();
    let leg = call(&mut world, &[way("one", 0, 1)]);
    respond(&mut world, FIRST, "INVITE", 407, &[CHALLENGE]);
    let invite = world.last_request(FIRST, "INVITE");
    let moved = Builder::response_to(&invite, 200, "OK", Some("far"))
        .header(HeaderName::Contact, format_args!("<sip:far@{STRANGER}>"))
        .body("application/sdp", SDP.as_bytes())
        .finish();
    world.receive(FIRST, std::str::from_utf8(&moved).unwrap());
    world.hangup(leg);
    let bye = world.last_request(STRANGER, "BYE");
    assert_eq!(credentials(&bye), "none: ");
    respond(
        &mut world,
        STRANGER,
        "BYE",
        401,
        &[("WWW-Authenticate", CHALLENGE.1)],
    );
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 407 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     first <- INVITE sip:+4930123456@one.example (2) +sdp
        0000.000 first -> 200 OK (2 INVITE) +sdp
        0000.000     stranger <- ACK sip:far@203.0.113.9:5060 (2)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Hangup
        0000.000     stranger <- BYE sip:far@203.0.113.9:5060 (3)
        0000.000 stranger -> 401 Said (3 BYE)
        0000.000     event: Counted { what: "foreign_challenge" }
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
    assert!(world.sent.iter().all(
        |(peer, message)| peer.remote.to_string() == FIRST || credentials(message) == "none: "
    ));
}

#[test]
fn where_we_were_called_there_are_no_credentials() {
    // ES2021-05: the carrier calls us, and challenges our BYE to have us sign it.
    let mut world = two();
    let mut caller = Phone::new(FIRST, "caller", "sip:2000@10.9.9.9");
    world.receive(FIRST, &caller.invite());
    world.answer();
    let ok = world.last(FIRST).clone();
    caller.learn(&ok);
    world.receive(FIRST, &caller.ack());
    let leg = world.leg();
    world.hangup(leg);
    respond(&mut world, FIRST, "BYE", 407, &[CHALLENGE]);
    expect![[r#"
        0000.000 start
        0000.000 first -> INVITE sip:2000@10.9.9.9 (1) +sdp
        0000.000     first <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("one") dialled 2000 from caller None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     first <- 200 OK (1 INVITE) +sdp
        0000.000 first -> ACK sip:2000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 engine: Hangup
        0000.000     first <- BYE sip:caller@198.51.100.1:5060 (1)
        0000.000 first -> 407 Said (1 BYE)
        0000.000     event: Counted { what: "foreign_challenge" }
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
    assert!(
        world
            .sent
            .iter()
            .all(|(_, message)| credentials(message) == "none: ")
    );
}

#[test]
fn a_refused_trunk_is_followed_by_the_next() {
    let mut world = two();
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, FIRST, "INVITE", 503, &[("Retry-After", "60")]);
    respond(&mut world, SECOND, "INVITE", 180, &[]);
    answer(&mut world, SECOND);
    // What it said of itself holds: the next call begins with the second.
    let next = call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, SECOND, "INVITE", 486, &[]);
    let _ = next;
    world.hangup(LegId(1));
    respond(&mut world, SECOND, "BYE", 200, &[]);
    world.pass(61.0);
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, FIRST, "INVITE", 404, &[]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 503 Said (1 INVITE) Retry-After: 60
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0000.000 second -> 180 Said (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 second -> 200 Said (1 INVITE) +sdp
        0000.000     second <- ACK sip:far@198.51.100.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Invite
        0000.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0000.000 second -> 486 Said (1 INVITE)
        0000.000     second <- ACK sip:+4930123456@two.example (1)
        0000.000     event: Gone { leg: LegId(4), cause: Rejected { status: 486, reason: "Said", retry_after: None, contact: None } }
        0000.000 engine: Hangup
        0000.000     second <- BYE sip:far@198.51.100.2:5060 (2)
        0000.000 second -> 200 Said (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0061.000 engine: Invite
        0061.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0061.000 first -> 404 Said (1 INVITE)
        0061.000     first <- ACK sip:+4930123456@one.example (1)
        0061.000     event: Gone { leg: LegId(6), cause: Rejected { status: 404, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_silent_trunk_is_left_after_four_seconds_and_cancelled_if_it_wakes() {
    let mut world = two();
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    world.pass(4.5);
    respond(&mut world, SECOND, "INVITE", 100, &[]);
    respond(&mut world, FIRST, "INVITE", 180, &[]);
    answer(&mut world, SECOND);
    respond(&mut world, FIRST, "CANCEL", 200, &[]);
    respond(&mut world, FIRST, "INVITE", 487, &[]);
    world.hangup(LegId(1));
    respond(&mut world, SECOND, "BYE", 200, &[]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.500     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0001.500     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0003.500     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0004.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0004.500     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0004.500 second -> 100 Said (1 INVITE)
        0004.500     event: Trying { leg: LegId(1) }
        0004.500 first -> 180 Said (1 INVITE)
        0004.500     first <- CANCEL sip:+4930123456@one.example (1)
        0004.500 second -> 200 Said (1 INVITE) +sdp
        0004.500     second <- ACK sip:far@198.51.100.2:5060 (1)
        0004.500     event: Answered LegId(1) sdp true
        0004.500 first -> 200 Said (1 CANCEL)
        0004.500 first -> 487 Said (1 INVITE)
        0004.500     first <- ACK sip:+4930123456@one.example (1)
        0004.500 engine: Hangup
        0004.500     second <- BYE sip:far@198.51.100.2:5060 (2)
        0004.500 second -> 200 Said (2 BYE)
        0004.500     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn an_unreachable_trunk_is_followed_at_once_and_then_shunned() {
    let mut world = two();
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    let peer = world::peer(FIRST);
    world.input("first is unreachable", Input::Unreachable { peer });
    respond(&mut world, SECOND, "INVITE", 486, &[]);
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, SECOND, "INVITE", 603, &[]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first is unreachable
        0000.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0000.000 second -> 486 Said (1 INVITE)
        0000.000     second <- ACK sip:+4930123456@two.example (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Said", retry_after: None, contact: None } }
        0000.000 engine: Invite
        0000.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0000.000 second -> 603 Said (1 INVITE)
        0000.000     second <- ACK sip:+4930123456@two.example (1)
        0000.000     event: Gone { leg: LegId(4), cause: Rejected { status: 603, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

#[test]
fn all_trunks_fail_and_the_call_says_so_once() {
    let mut world = two();
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, FIRST, "INVITE", 500, &[]);
    respond(&mut world, SECOND, "INVITE", 503, &[]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 500 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0000.000 second -> 503 Said (1 INVITE)
        0000.000     second <- ACK sip:+4930123456@two.example (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 500, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_hang_up_ends_the_search() {
    let mut world = two();
    let leg = call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, FIRST, "INVITE", 183, &[]);
    world.command(Command::Hangup {
        leg,
        reason: Some("SIP;cause=487".into()),
    });
    respond(&mut world, FIRST, "CANCEL", 200, &[]);
    respond(&mut world, FIRST, "INVITE", 487, &[]);
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 183 Said (1 INVITE)
        0000.000     event: Ringing LegId(1) 183 sdp false
        0000.000 engine: Hangup
        0000.000     first <- CANCEL sip:+4930123456@one.example (1) Reason: SIP;cause=487
        0000.000 first -> 200 Said (1 CANCEL)
        0000.000 first -> 487 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn weights_share_the_calls() {
    let mut first = trunk("one", FIRST);
    let mut second = trunk("two", SECOND);
    (first.max_calls, second.max_calls) = (1000, 1000);
    let mut world = started(with(vec![first, second]));
    let mut firsts = 0;
    for _ in 0..40 {
        let before = world.sent.len();
        call(&mut world, &[way("one", 0, 3), way("two", 0, 1)]);
        let (peer, _) = &world.sent[before];
        let at = if peer.remote.to_string() == FIRST {
            FIRST
        } else {
            SECOND
        };
        firsts += usize::from(at == FIRST);
        respond(&mut world, at, "INVITE", 486, &[]);
    }
    assert!(
        (22..=37).contains(&firsts),
        "three of four by the first: {firsts} of 40"
    );
    world.end();
}

#[test]
fn caps_of_calls_and_rate_hold_both_ways() {
    let mut first = trunk("one", FIRST);
    first.max_calls = 1;
    let mut second = trunk("two", SECOND);
    second.calls_per_second = 1;
    let mut world = started(with(vec![first, second]));
    let mut caller = Phone::new(FIRST, "caller", "sip:2000@10.9.9.9");
    world.receive(FIRST, &caller.invite());
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, SECOND, "INVITE", 486, &[]);
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    let mut late = Phone::new(SECOND, "late", "sip:2000@10.9.9.9");
    world.receive(SECOND, &late.invite());
    let leg = world.leg();
    world.command(Command::Reject {
        leg,
        status: 486,
        reason: None,
        headers: vec![],
    });
    world.receive(FIRST, &caller.same("ACK", "", ""));
    world.pass(1.0);
    call(&mut world, &[way("two", 1, 1)]);
    respond(&mut world, SECOND, "INVITE", 486, &[]);
    expect![[r#"
        0000.000 start
        0000.000 first -> INVITE sip:2000@10.9.9.9 (1) +sdp
        0000.000     first <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("one") dialled 2000 from caller None anonymous false sdp true
        0000.000 engine: Invite
        0000.000     event: TrunkRefused { trunk: "one", reason: "full" }
        0000.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0000.000 second -> 486 Said (1 INVITE)
        0000.000     second <- ACK sip:+4930123456@two.example (1)
        0000.000     event: Gone { leg: LegId(2), cause: Rejected { status: 486, reason: "Said", retry_after: None, contact: None } }
        0000.000 engine: Invite
        0000.000     event: TrunkRefused { trunk: "one", reason: "full" }
        0000.000     event: TrunkRefused { trunk: "two", reason: "rate" }
        0000.000     event: Gone { leg: LegId(4), cause: Rejected { status: 503, reason: "trunks full", retry_after: None, contact: None } }
        0000.000 second -> INVITE sip:2000@10.9.9.9 (1) +sdp
        0000.000     event: TrunkRefused { trunk: "two", reason: "rate" }
        0000.000     event: Counted { what: "trunk_rate" }
        0000.000     second <- 503 Service Unavailable (1 INVITE) Retry-After: 10
        0000.000 engine: Reject
        0000.000     first <- 486 Busy Here (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 first -> ACK sip:2000@10.9.9.9 (1)
        0001.000 engine: Invite
        0001.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0001.000 second -> 486 Said (1 INVITE)
        0001.000     second <- ACK sip:+4930123456@two.example (1)
        0001.000     event: Gone { leg: LegId(5), cause: Rejected { status: 486, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

// --- registration as a client

fn registering(register: u64) -> World {
    let mut one = trunk("one", FIRST);
    if let Some(carrier) = &mut one.carrier {
        carrier.register = Some(Duration::from_secs(register));
    }
    started(with(vec![one]))
}

fn granted(world: &mut World, seconds: u32) {
    let request = world.last_request(FIRST, "REGISTER");
    let contact = request.header_named("Contact").unwrap().to_owned();
    let contact = format!("{contact};expires={seconds}");
    respond(world, FIRST, "REGISTER", 200, &[("Contact", &contact)]);
}

#[test]
fn a_registration_is_kept_alive() {
    let mut world = registering(600);
    world.pass(0.0);
    respond(
        &mut world,
        FIRST,
        "REGISTER",
        401,
        &[("WWW-Authenticate", CHALLENGE.1)],
    );
    let register = world.last_request(FIRST, "REGISTER");
    expect![[r#"
        <sip:us@one.example>
        <sip:us@10.9.9.9:5060>
        600
        Authorization: Digest username="us", realm="one.example", nonce="n1", uri="sip:one.example", algorithm=MD5, qop=auth, nc=00000001"#]].assert_eq(&format!(
        "{}\n{}\n{}\n{}",
        register.from_raw().split(";tag").next().unwrap(),
        register.header_named("Contact").unwrap(),
        register.header_named("Expires").unwrap(),
        credentials(&register),
    ));
    granted(&mut world, 300);
    world.pass(290.0);
    // The next one needs no challenge.
    granted(&mut world, 300);
    expect![[r#"
        0000.000 start
        0000.000     event: Trunk one up registered Some(false) calls 0
        0000.000     first <- REGISTER sip:one.example (1)
        0000.000 first -> 401 Said (1 REGISTER)
        0000.000     first <- REGISTER sip:one.example (2)
        0000.000 first -> 200 Said (2 REGISTER) <sip:us@10.9.9.9:5060>;expires=300
        0000.000     event: Trunk one up registered Some(true) calls 0
        0234.000     first <- REGISTER sip:one.example (3)
        0234.500     first <- REGISTER sip:one.example (3)
        0235.500     first <- REGISTER sip:one.example (3)
        0237.500     first <- REGISTER sip:one.example (3)
        0241.500     first <- REGISTER sip:one.example (3)
        0245.500     first <- REGISTER sip:one.example (3)
        0249.500     first <- REGISTER sip:one.example (3)
        0253.500     first <- REGISTER sip:one.example (3)
        0257.500     first <- REGISTER sip:one.example (3)
        0261.500     first <- REGISTER sip:one.example (3)
        0265.500     first <- REGISTER sip:one.example (3)
        0266.000     event: Counted { what: "trunk_register_failed" }
        0266.000     event: Trunk one up registered Some(false) calls 0
        0284.900     first <- REGISTER sip:one.example (4)
        0285.400     first <- REGISTER sip:one.example (4)
        0286.400     first <- REGISTER sip:one.example (4)
        0288.400     first <- REGISTER sip:one.example (4)
        0290.000 first -> 200 Said (4 REGISTER) <sip:us@10.9.9.9:5060>;expires=300
        0290.000     event: Trunk one up registered Some(true) calls 0
    "#]]
    .assert_eq(&world.text());
}

#[test]
fn min_expires_is_taken_at_once() {
    let mut world = registering(60);
    world.pass(0.0);
    respond(
        &mut world,
        FIRST,
        "REGISTER",
        423,
        &[("Min-Expires", "1800")],
    );
    assert_eq!(
        world
            .last_request(FIRST, "REGISTER")
            .header_named("Expires"),
        Some("1800")
    );
    granted(&mut world, 1800);
    expect![[r#"
        0000.000 start
        0000.000     event: Trunk one up registered Some(false) calls 0
        0000.000     first <- REGISTER sip:one.example (1)
        0000.000 first -> 423 Said (1 REGISTER) Min-Expires: 1800
        0000.000     first <- REGISTER sip:one.example (2)
        0000.000 first -> 200 Said (2 REGISTER) <sip:us@10.9.9.9:5060>;expires=1800
        0000.000     event: Trunk one up registered Some(true) calls 0
    "#]]
    .assert_eq(&world.text());
}

#[test]
fn a_refused_registration_waits_longer_each_time() {
    let mut world = registering(600);
    world.pass(0.0);
    for _ in 0..4 {
        respond(&mut world, FIRST, "REGISTER", 403, &[]);
        let before = world.sent.len();
        while world.sent.len() == before {
            world.pass(1.0);
        }
    }
    granted(&mut world, 600);
    expect![[r#"
        0000.000 start
        0000.000     event: Trunk one up registered Some(false) calls 0
        0000.000     first <- REGISTER sip:one.example (1)
        0000.000 first -> 403 Said (1 REGISTER)
        0000.000     event: Counted { what: "trunk_register_failed" }
        0019.800     first <- REGISTER sip:one.example (2)
        0020.000 first -> 403 Said (2 REGISTER)
        0020.000     event: Counted { what: "trunk_register_failed" }
        0059.000     first <- REGISTER sip:one.example (3)
        0059.000 first -> 403 Said (3 REGISTER)
        0059.000     event: Counted { what: "trunk_register_failed" }
        0122.600     first <- REGISTER sip:one.example (4)
        0123.000 first -> 403 Said (4 REGISTER)
        0123.000     event: Counted { what: "trunk_register_failed" }
        0269.400     first <- REGISTER sip:one.example (5)
        0269.900     first <- REGISTER sip:one.example (5)
        0270.000 first -> 200 Said (5 REGISTER) <sip:us@10.9.9.9:5060>;expires=600
        0270.000     event: Trunk one up registered Some(true) calls 0
    "#]]
    .assert_eq(&world.text());
}

#[test]
fn retry_after_of_a_registrar_is_honoured_and_silence_is_a_failure() {
    let mut world = registering(600);
    world.pass(0.0);
    respond(
        &mut world,
        FIRST,
        "REGISTER",
        503,
        &[("Retry-After", "120")],
    );
    world.pass(119.0);
    assert_eq!(world.sent.len(), 1, "not before it said");
    world.pass(1.1);
    assert_eq!(world.sent.len(), 2);
    // Timer F, then the back-off.
    world.pass(100.0);
    expect![[r#"
        0000.000 start
        0000.000     event: Trunk one up registered Some(false) calls 0
        0000.000     first <- REGISTER sip:one.example (1)
        0000.000 first -> 503 Said (1 REGISTER) Retry-After: 120
        0000.000     event: Counted { what: "trunk_register_failed" }
        0120.000     first <- REGISTER sip:one.example (2)
        0120.500     first <- REGISTER sip:one.example (2)
        0121.500     first <- REGISTER sip:one.example (2)
        0123.500     first <- REGISTER sip:one.example (2)
        0127.500     first <- REGISTER sip:one.example (2)
        0131.500     first <- REGISTER sip:one.example (2)
        0135.500     first <- REGISTER sip:one.example (2)
        0139.500     first <- REGISTER sip:one.example (2)
        0143.500     first <- REGISTER sip:one.example (2)
        0147.500     first <- REGISTER sip:one.example (2)
        0151.500     first <- REGISTER sip:one.example (2)
        0152.000     event: Counted { what: "trunk_register_failed" }
        0191.000     first <- REGISTER sip:one.example (3)
        0191.500     first <- REGISTER sip:one.example (3)
        0192.500     first <- REGISTER sip:one.example (3)
        0194.500     first <- REGISTER sip:one.example (3)
        0198.500     first <- REGISTER sip:one.example (3)
        0202.500     first <- REGISTER sip:one.example (3)
        0206.500     first <- REGISTER sip:one.example (3)
        0210.500     first <- REGISTER sip:one.example (3)
        0214.500     first <- REGISTER sip:one.example (3)
        0218.500     first <- REGISTER sip:one.example (3)
    "#]]
    .assert_eq(&world.text());
}

#[test]
fn a_new_configuration_moves_the_registration() {
    let mut world = registering(600);
    world.pass(0.0);
    granted(&mut world, 600);
    let mut config = world.config.clone();
    if let Some(carrier) = &mut config.trunks[0].carrier {
        carrier.account.as_mut().unwrap().username = "others".into();
    }
    world.input(
        "another account",
        Input::Configure(Arc::new(config.clone())),
    );
    world.pass(0.0);
    granted(&mut world, 600);
    config.trunks.clear();
    world.input("no trunk", Input::Configure(Arc::new(config)));
    respond(&mut world, FIRST, "REGISTER", 200, &[]);
    expect![[r#"
        0000.000 start
        0000.000     event: Trunk one up registered Some(false) calls 0
        0000.000     first <- REGISTER sip:one.example (1)
        0000.000 first -> 200 Said (1 REGISTER) <sip:us@10.9.9.9:5060>;expires=600
        0000.000     event: Trunk one up registered Some(true) calls 0
        0000.000 another account
        0000.000     first <- REGISTER sip:one.example (2)
        0000.000     event: Trunk one up registered Some(false) calls 0
        0000.000     first <- REGISTER sip:one.example (3)
        0000.000 first -> 200 Said (3 REGISTER) <sip:others@10.9.9.9:5060>;expires=600
        0000.000     event: Trunk one up registered Some(true) calls 0
        0000.000 no trunk
        0000.000     first <- REGISTER sip:one.example (4)
        0000.000 first -> 200 Said (4 REGISTER)
        0000.500     first <- REGISTER sip:one.example (2)
        0001.500     first <- REGISTER sip:one.example (2)
        0003.500     first <- REGISTER sip:one.example (2)
        0007.500     first <- REGISTER sip:one.example (2)
        0011.500     first <- REGISTER sip:one.example (2)
        0015.500     first <- REGISTER sip:one.example (2)
        0019.500     first <- REGISTER sip:one.example (2)
        0023.500     first <- REGISTER sip:one.example (2)
        0027.500     first <- REGISTER sip:one.example (2)
        0031.500     first <- REGISTER sip:one.example (2)
    "#]]
    .assert_eq(&world.end());
}

// --- health

fn watched() -> World {
    let mut one = trunk("one", FIRST);
    if let Some(carrier) = &mut one.carrier {
        carrier.options = Some(Duration::from_secs(60));
    }
    started(with(vec![one, trunk("two", SECOND)]))
}

#[test]
fn two_misses_take_a_trunk_down_and_two_answers_bring_it_back() {
    let mut world = watched();
    world.pass(0.0);
    // Any answer lives: 405 as well.
    respond(&mut world, FIRST, "OPTIONS", 405, &[]);
    world.pass(60.0);
    world.pass(59.0);
    // One miss (timer F at 32 s) is not death.
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, FIRST, "INVITE", 486, &[]);
    world.pass(1.0);
    respond(&mut world, FIRST, "OPTIONS", 503, &[]);
    world.pass(60.0);
    respond(&mut world, FIRST, "OPTIONS", 503, &[]);
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, SECOND, "INVITE", 486, &[]);
    world.pass(60.0);
    respond(&mut world, FIRST, "OPTIONS", 200, &[]);
    world.pass(60.0);
    respond(&mut world, FIRST, "OPTIONS", 200, &[]);
    call(&mut world, &[way("one", 0, 1), way("two", 1, 1)]);
    respond(&mut world, FIRST, "INVITE", 486, &[]);
    expect![[r#"
        0000.000 start
        0000.000     first <- OPTIONS sip:one.example (1)
        0000.000 first -> 405 Said (1 OPTIONS)
        0060.000     first <- OPTIONS sip:one.example (2)
        0060.500     first <- OPTIONS sip:one.example (2)
        0061.500     first <- OPTIONS sip:one.example (2)
        0063.500     first <- OPTIONS sip:one.example (2)
        0067.500     first <- OPTIONS sip:one.example (2)
        0071.500     first <- OPTIONS sip:one.example (2)
        0075.500     first <- OPTIONS sip:one.example (2)
        0079.500     first <- OPTIONS sip:one.example (2)
        0083.500     first <- OPTIONS sip:one.example (2)
        0087.500     first <- OPTIONS sip:one.example (2)
        0091.500     first <- OPTIONS sip:one.example (2)
        0119.000 engine: Invite
        0119.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0119.000 first -> 486 Said (1 INVITE)
        0119.000     first <- ACK sip:+4930123456@one.example (1)
        0119.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Said", retry_after: None, contact: None } }
        0120.000     first <- OPTIONS sip:one.example (3)
        0120.000 first -> 503 Said (3 OPTIONS)
        0180.000     first <- OPTIONS sip:one.example (4)
        0180.000 first -> 503 Said (4 OPTIONS)
        0180.000     event: Trunk one down registered None calls 0
        0180.000 engine: Invite
        0180.000     second <- INVITE sip:+4930123456@two.example (1) +sdp
        0180.000 second -> 486 Said (1 INVITE)
        0180.000     second <- ACK sip:+4930123456@two.example (1)
        0180.000     event: Gone { leg: LegId(3), cause: Rejected { status: 486, reason: "Said", retry_after: None, contact: None } }
        0240.000     first <- OPTIONS sip:one.example (5)
        0240.000 first -> 200 Said (5 OPTIONS)
        0300.000     first <- OPTIONS sip:one.example (6)
        0300.000 first -> 200 Said (6 OPTIONS)
        0300.000 engine: Invite
        0300.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0300.000 first -> 486 Said (1 INVITE)
        0300.000     first <- ACK sip:+4930123456@one.example (1)
        0300.000     event: Gone { leg: LegId(5), cause: Rejected { status: 486, reason: "Said", retry_after: None, contact: None } }
    "#]].assert_eq(&world.text());
}

#[test]
fn options_are_authenticated_too() {
    let mut world = watched();
    world.pass(0.0);
    respond(
        &mut world,
        FIRST,
        "OPTIONS",
        401,
        &[("WWW-Authenticate", CHALLENGE.1)],
    );
    let again = world.last_request(FIRST, "OPTIONS");
    assert!(credentials(&again).ends_with("nc=00000001"));
    respond(&mut world, FIRST, "OPTIONS", 200, &[]);
    let down = world
        .events
        .iter()
        .any(|event| matches!(event, Event::Trunk(state) if !state.up));
    assert!(!down);
}
