//! Requests that cannot be served: full tables, merged requests, section 8.2's checks, and what cannot even be read.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::message::Message;
use sip::{FlowId, Input, Peer, Transport, is_new_work, overload_response};
use world::*;

#[test]
fn a_full_table_refuses_new_work_and_serves_calls() {
    let mut config = config();
    config.max_transactions = 1;
    let mut world = World::with(config);
    let mut caller = call_up(&mut world);
    let mut waiting = Phone::new("10.0.0.1:5060", "carol", "sip:1000@10.9.9.9");
    let invite = waiting.invite();
    world.receive(waiting.address, &invite);
    let mut second = Phone::new("10.0.0.2:5060", "bob", "sip:1000@10.9.9.9");
    let invite = second.invite();
    world.receive(second.address, &invite);
    let ack = second.same("ACK", "", "").replace(
        "To: <sip:1000@10.9.9.9>",
        &format!("To: {}", world.last(second.address).to_raw()),
    );
    world.receive(second.address, &ack);
    let bye = caller.request("BYE", "", "");
    world.receive(caller.address, &bye);
    let cancel = waiting.same("CANCEL", "", "");
    world.receive(waiting.address, &cancel);
    let ack = waiting.same("ACK", "", "");
    world.receive(waiting.address, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(2) Trunk("carrier") dialled 1000 from carol None anonymous false sdp true
        0000.000 far -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     event: Counted { what: "transactions_full" }
        0000.000     far <- 503 Service Unavailable (1 INVITE) Retry-After: 10
        0000.000 far -> ACK sip:1000@10.9.9.9 (1)
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     caller <- 200 OK (1 CANCEL)
        0000.000     caller <- 487 Request Terminated (1 INVITE)
        0000.000     event: Gone { leg: LegId(2), cause: Cancelled }
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn a_full_trunk_and_full_dialogs() {
    let mut config = config();
    config.trunks[0].max_calls = 1;
    let mut world = World::with(config);
    let mut caller = call_up(&mut world);
    let mut second = Phone::new("10.0.0.2:5060", "bob", "sip:1000@10.9.9.9");
    let invite = second.invite();
    world.receive(second.address, &invite);
    let mut changed = world::config();
    changed.max_dialogs = 1;
    world.input("configure", Input::Configure(std::sync::Arc::new(changed)));
    let invite = second.invite();
    world.receive(second.address, &invite);
    let bye = caller.request("BYE", "", "");
    world.receive(caller.address, &bye);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 far -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     event: TrunkRefused { trunk: "carrier", reason: "full" }
        0000.000     event: Counted { what: "trunk_full" }
        0000.000     far <- 503 Service Unavailable (1 INVITE) Retry-After: 11
        0000.000 configure
        0000.000 far -> INVITE sip:1000@10.9.9.9 (2) +sdp
        0000.000     event: Counted { what: "dialogs_full" }
        0000.000     far <- 503 Service Unavailable (2 INVITE) Retry-After: 10
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_request_over_two_ways_is_merged() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    let other_way = invite.replace(&caller.branch, "z9hG4bK-other");
    world.receive("10.0.0.2:5060", &other_way);
    let leg = world.leg();
    world.hangup(leg);
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 far -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     event: Counted { what: "merged" }
        0000.000     far <- 482 Loop Detected (1 INVITE)
        0000.000 engine: Hangup
        0000.000     caller <- 480 Temporarily Unavailable (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn checks_of_section_8_2() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let mut refuse = |headers: &str, method: &str, from: &str, to: &str| {
        let text = caller.request(method, headers, "").replace(from, to);
        world.receive(caller.address, &text);
        if method == "INVITE" {
            let ack = caller.same("ACK", "", "").replace(from, to);
            world.receive(caller.address, &ack);
        }
    };
    refuse("", "SUBSCRIBE", "", "");
    refuse("", "FROB", "", "");
    refuse("", "BYE", "", "");
    refuse("Require: gruu, timer, precondition\r\n", "INVITE", "", "");
    refuse("", "INVITE", "Max-Forwards: 70", "Max-Forwards: 0");
    refuse("", "INVITE", "Max-Forwards: 70", "Max-Forwards: x");
    refuse("", "INVITE", "Contact:", "X-Contact:");
    refuse(
        "",
        "INVITE",
        "INVITE sip:1000@10.9.9.9 SIP",
        "INVITE http://x SIP",
    );
    refuse("Content-Encoding: gzip\r\n", "INVITE", "", "");
    refuse("", "OPTIONS", "", "");
    expect![[r#"
        0000.000 caller -> SUBSCRIBE sip:1000@10.9.9.9 (1)
        0000.000     event: Counted { what: "subscription" }
        0000.000     caller <- 489 Bad Event (1 SUBSCRIBE)
        0000.000 caller -> FROB sip:1000@10.9.9.9 (2)
        0000.000     event: Counted { what: "method" }
        0000.000     caller <- 501 Not Implemented (2 FROB) Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REGISTER, REFER, NOTIFY
        0000.000 caller -> BYE sip:1000@10.9.9.9 (3)
        0000.000     event: Counted { what: "no_dialog" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (3 BYE)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (4)
        0000.000     event: Counted { what: "extension" }
        0000.000     caller <- 420 Bad Extension (4 INVITE) Unsupported: gruu, precondition
        0000.000 caller -> ACK sip:1000@10.9.9.9 (4)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (5)
        0000.000     event: Counted { what: "unacceptable" }
        0000.000     caller <- 483 Too Many Hops (5 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (5)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (6)
        0000.000     event: Counted { what: "malformed" }
        0000.000     caller <- 400 Bad Request (6 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (6)
        0000.000     event: Counted { what: "malformed" }
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (7)
        0000.000     event: Counted { what: "unacceptable" }
        0000.000     caller <- 400 Bad Request (7 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (7)
        0000.000 caller -> INVITE http://x (8)
        0000.000     event: Counted { what: "unacceptable" }
        0000.000     caller <- 416 Unsupported URI Scheme (8 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (8)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (9)
        0000.000     event: Counted { what: "unacceptable" }
        0000.000     caller <- 415 Unsupported Media Type (9 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (9)
        0000.000 caller -> OPTIONS sip:1000@10.9.9.9 (10)
        0000.000     caller <- 200 OK (10 OPTIONS)
    "#]].assert_eq(&world.end());
}

#[test]
fn malformed_bytes_are_answered_where_they_can_be_read() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let bad = caller
        .invite()
        .replace("Content-Length: ", "Content-Length: x");
    world.input(
        "malformed",
        Input::Malformed {
            peer: peer(caller.address),
            bytes: bad.into(),
        },
    );
    world.input(
        "junk",
        Input::Malformed {
            peer: peer(caller.address),
            bytes: "\0\0\0".into(),
        },
    );
    expect![[r#"
        0000.000 malformed
        0000.000     event: Counted { what: "malformed" }
        0000.000     caller <- 400 Bad Request (1 INVITE)
        0000.000 junk
        0000.000     event: Counted { what: "malformed" }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_refusal_of_malformed_bytes_says_what_is_wrong_as_far_as_a_status_can() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    let stream = Peer {
        transport: Transport::Tcp,
        flow: Some(FlowId(1)),
        ..peer(caller.address)
    };
    let head = &invite[..invite.find("\r\n\r\n").unwrap() + 4];
    let cases = [
        (
            "CSeq that cannot be read",
            peer(caller.address),
            invite.replace("CSeq: 1 INVITE", "CSeq: one INVITE"),
        ),
        (
            "version of tomorrow",
            peer(caller.address),
            invite.replacen("SIP/2.0", "SIP/3.0", 1),
        ),
        ("body cut off", peer(caller.address), head.to_owned()),
        ("body longer than a stream's bound", stream, head.to_owned()),
        (
            "head longer than a stream's bound",
            stream,
            head.trim_end().to_owned(),
        ),
    ];
    for (what, peer, bytes) in cases {
        let bytes = bytes.into();
        world.input(what, Input::Malformed { peer, bytes });
    }
    expect![[r#"
        0000.000 CSeq that cannot be read
        0000.000     event: Counted { what: "malformed" }
        0000.000     caller <- 400, malformed CSeq
        0000.000 version of tomorrow
        0000.000     event: Counted { what: "malformed" }
        0000.000     caller <- 505 Version Not Supported (1 INVITE)
        0000.000 body cut off
        0000.000     event: Counted { what: "malformed" }
        0000.000     caller <- 400 Bad Request (1 INVITE)
        0000.000 body longer than a stream's bound
        0000.000     event: Counted { what: "too_large" }
        0000.000     caller <- 513 Message Too Large (1 INVITE)
        0000.000 head longer than a stream's bound
        0000.000     event: Counted { what: "too_large" }
        0000.000     caller <- 513 Message Too Large (1 INVITE)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn responses_and_acks_that_belong_to_nothing_are_counted() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = Message::parse(caller.invite().into()).unwrap();
    world.receive(caller.address, &respond(&invite, "200 OK", "x", "", false));
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    expect![[r#"
        0000.000 caller -> 200 OK (1 INVITE)
        0000.000     event: Counted { what: "no_transaction" }
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Counted { what: "no_transaction" }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_branch_without_the_cookie_is_matched_the_old_way() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let old = |text: String| text.replace(";branch=z9hG4bK-alice-1", "");
    let invite = old(caller.invite());
    world.receive(caller.address, &invite);
    world.receive(caller.address, &invite);
    let cancel = old(caller.same("CANCEL", "", ""));
    world.receive(caller.address, &cancel);
    let ack = old(caller.same("ACK", "", ""));
    world.receive(caller.address, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     caller <- 200 OK (1 CANCEL)
        0000.000     caller <- 487 Request Terminated (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: Cancelled }
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn responses_go_to_the_sent_by_port_without_rport() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let options = caller
        .request("OPTIONS", "", "")
        .replace(";rport", "")
        .replace("UDP 10.0.0.1:5060", "UDP host.example:5090");
    world.receive("10.0.0.1:40000", &options);
    assert!(
        world.sent[0]
            .1
            .header_named("Via")
            .unwrap()
            .contains("received=10.0.0.1")
    );
    expect![[r#"
        0000.000 10.0.0.1:40000 -> OPTIONS sip:1000@10.9.9.9 (1)
        0000.000     10.0.0.1:5090 <- 200 OK (1 OPTIONS)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn the_edge_refuses_new_work_by_itself() {
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let message = |text: String| Message::parse(text.into()).unwrap();
    let invite = message(caller.invite());
    assert!(is_new_work(&invite));
    let response = message_of(overload_response(&invite, &peer(caller.address), 7).unwrap());
    assert_eq!(
        (response.status(), response.header_named("Retry-After")),
        (Some(503), Some("7"))
    );
    assert!(response.to().unwrap().tag().is_some());
    assert!(!is_new_work(&message(caller.same("ACK", "", ""))));
    assert!(!is_new_work(&message(caller.same("CANCEL", "", ""))));
    caller.to_tag = "x".into();
    assert!(!is_new_work(&message(caller.invite())));
    assert!(overload_response(&message(caller.invite()), &peer(caller.address), 7).is_none());
}

fn message_of(bytes: bytes::Bytes) -> Message {
    Message::parse(bytes).unwrap()
}
