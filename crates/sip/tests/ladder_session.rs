//! Session timers (RFC 4028): no dialog outlives its far end by more than an interval.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::{Expect, expect};
use sip::{Command, LegId};
use world::*;

const CALLER: &str = "10.0.0.1:5060";
const FAR: &str = "10.0.0.2:5060";
const ALLOW: &str = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n";

fn world() -> World {
    let mut world = World::new();
    world.shown = vec!["Session-Expires", "Min-SE", "Require"];
    world
}

/// A call from the trunk whose INVITE has these headers, up.
fn caller_up(world: &mut World, headers: &str) -> (Phone, LegId) {
    let mut caller = Phone::new(CALLER, "alice", "sip:1000@10.9.9.9");
    let invite = caller.request("INVITE", headers, SDP);
    world.receive(CALLER, &invite);
    world.answer();
    caller.learn(&world.last(CALLER).clone());
    let ack = caller.ack();
    world.receive(CALLER, &ack);
    let leg = world.leg();
    (caller, leg)
}

/// A call of ours to the far side, answered with these headers.
fn called_up(world: &mut World, headers: &str) -> (Phone, LegId) {
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last(FAR).clone();
    let answer = respond(&invite, "200 OK", "far", "sip:agent@10.0.0.2:5060", true);
    world.receive(FAR, &with(&answer, headers));
    (Phone::called(FAR, &invite, "far"), leg)
}

/// A message with further headers.
fn with(text: &str, headers: &str) -> String {
    text.replacen("Content-Length:", &format!("{headers}Content-Length:"), 1)
}

/// Answers the last request of this method with these headers; a re-INVITE with a description.
fn answer_last(world: &mut World, place: &str, method: &str, status: &str, headers: &str) {
    let request = world.last_request(place, method);
    let sdp = method == "INVITE" && status.starts_with('2');
    world.receive(
        place,
        &with(&respond(&request, status, "", "", sdp), headers),
    );
}

fn check(mut world: World, leg: LegId, place: &str, ladder: Expect) {
    world.hangup(leg);
    if world.sent.last().unwrap().1.method().is_some() {
        answer_last(&mut world, place, "BYE", "200 OK", "");
    }
    ladder.assert_eq(&world.end());
}

#[test]
fn a_caller_with_timers_leaves_the_refresh_to_us_and_allows_update() {
    let mut world = world();
    let headers = format!("Supported: timer\r\nSession-Expires: 1200\r\n{ALLOW}");
    let (_, leg) = caller_up(&mut world, &headers);
    for _ in 0..2 {
        world.pass(600.0);
        answer_last(
            &mut world,
            CALLER,
            "UPDATE",
            "200 OK",
            "Session-Expires: 1200;refresher=uac\r\n",
        );
    }
    check(
        world,
        leg,
        CALLER,
        expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Session-Expires: 1200 +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) Session-Expires: 1200;refresher=uas Require: timer +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0600.000     caller <- UPDATE sip:alice@10.0.0.1:5060 (1) Session-Expires: 1200;refresher=uac
        0600.000 caller -> 200 OK (1 UPDATE) Session-Expires: 1200;refresher=uac
        1200.000     caller <- UPDATE sip:alice@10.0.0.1:5060 (2) Session-Expires: 1200;refresher=uac
        1200.000 caller -> 200 OK (2 UPDATE) Session-Expires: 1200;refresher=uac
        1200.000 engine: Hangup
        1200.000     caller <- BYE sip:alice@10.0.0.1:5060 (3)
        1200.000 caller -> 200 OK (3 BYE)
        1200.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]],
    );
}

#[test]
fn a_caller_that_wants_to_refresh_does_and_is_ended_when_it_stops() {
    let mut world = world();
    let headers = "Supported: timer\r\nSession-Expires: 300;refresher=uac\r\n";
    let (mut caller, _) = caller_up(&mut world, headers);
    world.pass(150.0);
    let update = caller.request("UPDATE", headers, "");
    world.receive(CALLER, &update);
    // 300 s less 32 s after the last refresh (section 10).
    world.pass(268.0);
    answer_last(&mut world, CALLER, "BYE", "200 OK", "");
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Session-Expires: 300;refresher=uac +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) Session-Expires: 300;refresher=uac Require: timer +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0150.000 caller -> UPDATE sip:1000@10.9.9.9 (2) Session-Expires: 300;refresher=uac
        0150.000     caller <- 200 OK (2 UPDATE) Session-Expires: 300;refresher=uac Require: timer
        0418.000     event: Counted { what: "session_expired" }
        0418.000     caller <- BYE sip:alice@10.0.0.1:5060 (1) Reason: SIP;cause=408;text="Session expired"
        0418.000     event: Gone { leg: LegId(1), cause: Lost }
        0418.000 caller -> 200 OK (1 BYE)
    "#]].assert_eq(&world.end());
}

#[test]
fn a_short_interval_is_given_up_a_third_before_its_end() {
    let mut world = world();
    let headers = "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n";
    caller_up(&mut world, headers);
    world.pass(60.0);
    answer_last(&mut world, CALLER, "BYE", "200 OK", "");
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Session-Expires: 90;refresher=uac +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) Session-Expires: 90;refresher=uac Require: timer +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0060.000     event: Counted { what: "session_expired" }
        0060.000     caller <- BYE sip:alice@10.0.0.1:5060 (1) Reason: SIP;cause=408;text="Session expired"
        0060.000     event: Gone { leg: LegId(1), cause: Lost }
        0060.000 caller -> 200 OK (1 BYE)
    "#]].assert_eq(&world.end());
}

#[test]
fn an_interval_below_our_least_is_422_and_a_longer_one_is_taken() {
    let mut world = world();
    let mut caller = Phone::new(CALLER, "alice", "sip:1000@10.9.9.9");
    let invite = caller.request("INVITE", "Supported: timer\r\nSession-Expires: 60\r\n", SDP);
    world.receive(CALLER, &invite);
    let ack = caller.same("ACK", "", "");
    world.receive(CALLER, &ack);
    let invite = caller.request(
        "INVITE",
        "Supported: timer\r\nSession-Expires: 90\r\nMin-SE: 90\r\n",
        SDP,
    );
    world.receive(CALLER, &invite);
    world.answer();
    caller.learn(&world.last(CALLER).clone());
    let ack = caller.ack();
    world.receive(CALLER, &ack);
    let update = caller.request("UPDATE", "Supported: timer\r\nSession-Expires: 30\r\n", "");
    world.receive(CALLER, &update);
    let leg = world.leg();
    check(
        world,
        leg,
        CALLER,
        expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Session-Expires: 60 +sdp
        0000.000     event: Counted { what: "unacceptable" }
        0000.000     caller <- 422 Session Interval Too Small (1 INVITE) Min-SE: 90
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (2) Session-Expires: 90 Min-SE: 90 +sdp
        0000.000     caller <- 100 Trying (2 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (2 INVITE) Session-Expires: 90;refresher=uas Require: timer +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (2)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> UPDATE sip:1000@10.9.9.9 (3) Session-Expires: 30
        0000.000     caller <- 422 Session Interval Too Small (3 UPDATE) Min-SE: 90
        0000.000 engine: Hangup
        0000.000     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0000.000 caller -> 200 OK (1 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]],
    );
}

#[test]
fn a_proxy_that_asks_for_a_caller_without_timers_is_answered_and_we_refresh() {
    let mut world = world();
    let (_, leg) = caller_up(&mut world, "Session-Expires: 60\r\n");
    world.pass(45.0);
    answer_last(&mut world, CALLER, "INVITE", "200 OK", "");
    check(
        world,
        leg,
        CALLER,
        expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Session-Expires: 60 +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) Session-Expires: 90;refresher=uas +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0045.000     caller <- INVITE sip:alice@10.0.0.1:5060 (1) Session-Expires: 90;refresher=uac +sdp
        0045.000 caller -> 200 OK (1 INVITE) +sdp
        0045.000     caller <- ACK sip:alice@10.0.0.1:5060 (1)
        0045.000     event: ReofferAccepted LegId(1) sdp true
        0045.000 engine: Hangup
        0045.000     caller <- BYE sip:alice@10.0.0.1:5060 (2)
        0045.000 caller -> 200 OK (2 BYE)
        0045.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]],
    );
}

#[test]
fn a_caller_without_timers_is_asked_after_all_the_same() {
    let mut world = world();
    let (_, leg) = caller_up(&mut world, "");
    world.pass(900.0);
    let again = world.last_request(CALLER, "INVITE");
    assert_eq!(&again.body()[..], SDP.as_bytes(), "the same description");
    answer_last(&mut world, CALLER, "INVITE", "200 OK", "");
    world.pass(900.0);
    // A refusal is a sign of life too.
    answer_last(&mut world, CALLER, "INVITE", "488 Not Acceptable Here", "");
    world.pass(900.0);
    // Nothing any more: the transaction gives up, and so do we.
    world.pass(32.0);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0900.000     caller <- INVITE sip:alice@10.0.0.1:5060 (1) +sdp
        0900.000 caller -> 200 OK (1 INVITE) +sdp
        0900.000     caller <- ACK sip:alice@10.0.0.1:5060 (1)
        0900.000     event: ReofferAccepted LegId(1) sdp true
        1800.000     caller <- INVITE sip:alice@10.0.0.1:5060 (2) +sdp
        1800.000 caller -> 488 Not Acceptable Here (2 INVITE)
        1800.000     caller <- ACK sip:alice@10.0.0.1:5060 (2)
        2700.000     caller <- INVITE sip:alice@10.0.0.1:5060 (3) +sdp
        2700.500     caller <- INVITE sip:alice@10.0.0.1:5060 (3) +sdp
        2701.500     caller <- INVITE sip:alice@10.0.0.1:5060 (3) +sdp
        2703.500     caller <- INVITE sip:alice@10.0.0.1:5060 (3) +sdp
        2707.500     caller <- INVITE sip:alice@10.0.0.1:5060 (3) +sdp
        2715.500     caller <- INVITE sip:alice@10.0.0.1:5060 (3) +sdp
        2731.500     caller <- INVITE sip:alice@10.0.0.1:5060 (3) +sdp
        2732.000     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2732.000     event: Gone { leg: LegId(1), cause: Lost }
        2732.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2733.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2735.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2739.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2743.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2747.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2751.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2755.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2759.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
        2763.500     caller <- BYE sip:alice@10.0.0.1:5060 (4) Reason: SIP;cause=408;text="No response"
    "#]].assert_eq(&world.end());
    let _ = leg;
}

#[test]
fn a_far_end_that_has_forgotten_the_call_ends_it_at_the_refresh() {
    let mut world = world();
    let (_, _) = caller_up(&mut world, ALLOW);
    world.pass(900.0);
    answer_last(
        &mut world,
        CALLER,
        "UPDATE",
        "481 Call/Transaction Does Not Exist",
        "",
    );
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0900.000     caller <- UPDATE sip:alice@10.0.0.1:5060 (1)
        0900.000 caller -> 481 Call/Transaction Does Not Exist (1 UPDATE)
        0900.000     event: Gone { leg: LegId(1), cause: Lost }
    "#]].assert_eq(&world.end());
}

#[test]
fn an_update_that_is_not_implemented_becomes_a_reinvite() {
    let mut world = world();
    let (_, leg) = caller_up(&mut world, &format!("Supported: timer\r\n{ALLOW}"));
    world.pass(900.0);
    answer_last(&mut world, CALLER, "UPDATE", "501 Not Implemented", "");
    answer_last(
        &mut world,
        CALLER,
        "INVITE",
        "200 OK",
        "Session-Expires: 1800;refresher=uac\r\n",
    );
    check(
        world,
        leg,
        CALLER,
        expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) Session-Expires: 1800;refresher=uas Require: timer +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0900.000     caller <- UPDATE sip:alice@10.0.0.1:5060 (1) Session-Expires: 1800;refresher=uac
        0900.000 caller -> 501 Not Implemented (1 UPDATE)
        0900.000     caller <- INVITE sip:alice@10.0.0.1:5060 (2) Session-Expires: 1800;refresher=uac +sdp
        0900.000 caller -> 200 OK (2 INVITE) Session-Expires: 1800;refresher=uac +sdp
        0900.000     caller <- ACK sip:alice@10.0.0.1:5060 (2)
        0900.000     event: ReofferAccepted LegId(1) sdp true
        0900.000 engine: Hangup
        0900.000     caller <- BYE sip:alice@10.0.0.1:5060 (3)
        0900.000 caller -> 200 OK (3 BYE)
        0900.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]],
    );
}

#[test]
fn a_refresh_that_is_refused_ends_an_agreed_session_at_its_end() {
    let mut world = world();
    caller_up(&mut world, "Supported: timer\r\n");
    world.pass(900.0);
    answer_last(
        &mut world,
        CALLER,
        "INVITE",
        "500 Server Internal Error",
        "",
    );
    world.pass(868.0);
    answer_last(&mut world, CALLER, "BYE", "200 OK", "");
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) Session-Expires: 1800;refresher=uas Require: timer +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0900.000     caller <- INVITE sip:alice@10.0.0.1:5060 (1) Session-Expires: 1800;refresher=uac +sdp
        0900.000 caller -> 500 Server Internal Error (1 INVITE)
        0900.000     caller <- ACK sip:alice@10.0.0.1:5060 (1)
        1768.000     event: Counted { what: "session_expired" }
        1768.000     caller <- BYE sip:alice@10.0.0.1:5060 (2) Reason: SIP;cause=408;text="Session expired"
        1768.000     event: Gone { leg: LegId(1), cause: Lost }
        1768.000 caller -> 200 OK (2 BYE)
    "#]].assert_eq(&world.end());
}

#[test]
fn our_call_asks_and_the_far_end_refreshes() {
    let mut world = world();
    let headers = "Require: timer\r\nSession-Expires: 1800;refresher=uas\r\n";
    let (mut far, _) = called_up(&mut world, headers);
    world.pass(900.0);
    let refresh = far.request(
        "INVITE",
        "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n",
        SDP,
    );
    world.receive(FAR, &refresh);
    let leg = LegId(1);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    let ack = far.ack();
    world.receive(FAR, &ack);
    world.pass(1768.0);
    answer_last(&mut world, FAR, "BYE", "200 OK", "");
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) Session-Expires: 1800 +sdp
        0000.000 far -> 200 OK (1 INVITE) Session-Expires: 1800;refresher=uas Require: timer +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0900.000 far -> INVITE sip:cordboard@10.9.9.9:5060 (101) Session-Expires: 1800;refresher=uac +sdp
        0900.000     far <- 100 Trying (101 INVITE)
        0900.000     event: Reoffered LegId(1) sdp true
        0900.000 engine: AcceptReoffer
        0900.000     far <- 200 OK (101 INVITE) Session-Expires: 1800;refresher=uac Require: timer +sdp
        0900.000 far -> ACK sip:cordboard@10.9.9.9:5060 (101)
        0900.000     event: Confirmed LegId(1) sdp false
        2668.000     event: Counted { what: "session_expired" }
        2668.000     far <- BYE sip:far@10.0.0.2:5060 (2) Reason: SIP;cause=408;text="Session expired"
        2668.000     event: Gone { leg: LegId(1), cause: Lost }
        2668.000 far -> 200 OK (2 BYE)
    "#]].assert_eq(&world.end());
}

#[test]
fn our_call_meets_a_422_and_is_placed_again_with_the_longer_interval() {
    let mut world = world();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    answer_last(
        &mut world,
        FAR,
        "INVITE",
        "422 Session Interval Too Small",
        "Min-SE: 3600\r\n",
    );
    let invite = world.last_request(FAR, "INVITE");
    assert!(invite.is_content("application/sdp") && invite.header_named("X-Test") == Some("1"));
    let answer = respond(&invite, "200 OK", "far", "sip:agent@10.0.0.2:5060", true);
    world.receive(
        FAR,
        &with(&answer, "Session-Expires: 3600;refresher=uac\r\n"),
    );
    world.pass(1800.0);
    answer_last(
        &mut world,
        FAR,
        "INVITE",
        "200 OK",
        "Session-Expires: 3600;refresher=uac\r\n",
    );
    check(
        world,
        leg,
        FAR,
        expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) Session-Expires: 1800 +sdp
        0000.000 far -> 422 Session Interval Too Small (1 INVITE) Min-SE: 3600
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (2) Session-Expires: 3600 Min-SE: 3600 +sdp
        0000.000 far -> 200 OK (2 INVITE) Session-Expires: 3600;refresher=uac +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (2)
        0000.000     event: Answered LegId(1) sdp true
        1800.000     far <- INVITE sip:agent@10.0.0.2:5060 (3) Session-Expires: 3600;refresher=uac +sdp
        1800.000 far -> 200 OK (3 INVITE) Session-Expires: 3600;refresher=uac +sdp
        1800.000     far <- ACK sip:agent@10.0.0.2:5060 (3)
        1800.000     event: ReofferAccepted LegId(1) sdp true
        1800.000 engine: Hangup
        1800.000     far <- BYE sip:agent@10.0.0.2:5060 (4)
        1800.000 far -> 200 OK (4 BYE)
        1800.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]],
    );
}

#[test]
fn a_422_that_asks_for_no_more_than_we_did_ends_the_call() {
    let mut world = world();
    world.call("sip:agent@10.0.0.2:5060");
    answer_last(
        &mut world,
        FAR,
        "INVITE",
        "422 Session Interval Too Small",
        "Min-SE: 1800\r\n",
    );
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) Session-Expires: 1800 +sdp
        0000.000 far -> 422 Session Interval Too Small (1 INVITE) Min-SE: 1800
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 422, reason: "Session Interval Too Small", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

#[test]
fn our_refresh_meets_a_422_and_asks_for_longer() {
    let mut world = world();
    let (_, leg) = called_up(
        &mut world,
        &format!("Session-Expires: 600;refresher=uac\r\n{ALLOW}"),
    );
    world.pass(300.0);
    answer_last(
        &mut world,
        FAR,
        "UPDATE",
        "422 Session Interval Too Small",
        "Min-SE: 1200\r\n",
    );
    answer_last(
        &mut world,
        FAR,
        "UPDATE",
        "200 OK",
        "Session-Expires: 1200;refresher=uac\r\n",
    );
    check(
        world,
        leg,
        FAR,
        expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) Session-Expires: 1800 +sdp
        0000.000 far -> 200 OK (1 INVITE) Session-Expires: 600;refresher=uac +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0300.000     far <- UPDATE sip:agent@10.0.0.2:5060 (2) Session-Expires: 600;refresher=uac
        0300.000 far -> 422 Session Interval Too Small (2 UPDATE) Min-SE: 1200
        0300.000     far <- UPDATE sip:agent@10.0.0.2:5060 (3) Session-Expires: 1200;refresher=uac Min-SE: 1200
        0300.000 far -> 200 OK (3 UPDATE) Session-Expires: 1200;refresher=uac
        0300.000 engine: Hangup
        0300.000     far <- BYE sip:agent@10.0.0.2:5060 (4)
        0300.000 far -> 200 OK (4 BYE)
        0300.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]],
    );
}

#[test]
fn a_refresh_waits_for_an_offer_that_is_on_its_way_and_is_that() {
    let mut world = world();
    let (_, leg) = called_up(&mut world, "");
    world.pass(895.0);
    world.command(Command::Reinvite {
        leg,
        sdp: SDP.into(),
    });
    answer_last(&mut world, FAR, "INVITE", "100 Trying", "");
    world.pass(5.0);
    answer_last(&mut world, FAR, "INVITE", "200 OK", "");
    check(
        world,
        leg,
        FAR,
        expect![[r#"
            0000.000 engine: Invite
            0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) Session-Expires: 1800 +sdp
            0000.000 far -> 200 OK (1 INVITE) +sdp
            0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
            0000.000     event: Answered LegId(1) sdp true
            0895.000 engine: Reinvite
            0895.000     far <- INVITE sip:agent@10.0.0.2:5060 (2) +sdp
            0895.000 far -> 100 Trying (2 INVITE)
            0900.000 far -> 200 OK (2 INVITE) +sdp
            0900.000     far <- ACK sip:agent@10.0.0.2:5060 (2)
            0900.000     event: ReofferAccepted LegId(1) sdp true
            0900.000 engine: Hangup
            0900.000     far <- BYE sip:agent@10.0.0.2:5060 (3)
            0900.000 far -> 200 OK (3 BYE)
            0900.000     event: Gone { leg: LegId(1), cause: HungUp }
        "#]],
    );
}
