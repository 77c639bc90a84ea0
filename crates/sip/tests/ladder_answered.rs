//! Calls that are answered, both ways, with everything that the network does to them.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::{Command, Input, LegId};
use world::*;

#[test]
fn a_caller_is_answered_and_hangs_up() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    let leg = world.leg();
    world.command(Command::Ring {
        leg,
        status: 180,
        sdp: None,
        headers: vec![],
    });
    world.receive(caller.address, &invite);
    world.pass(1.0);
    world.answer();
    caller.learn(&world.last(caller.address).clone());
    world.receive(caller.address, &invite);
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    world.receive(caller.address, &ack);
    world.pass(5.0);
    let bye = caller.request("BYE", "", "");
    world.receive(caller.address, &bye);
    world.pass(0.5);
    world.receive(caller.address, &bye);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 180 Ringing (1 INVITE)
        0001.000 engine: Answer
        0001.000     caller <- 200 OK (1 INVITE) +sdp
        0001.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0001.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0001.000     event: Confirmed LegId(1) sdp false
        0001.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0006.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0006.000     caller <- 200 OK (2 BYE)
        0006.000     event: Gone { leg: LegId(1), cause: Bye }
        0006.500 caller -> BYE sip:1000@10.9.9.9 (2)
        0006.500     caller <- 200 OK (2 BYE)
    "#]].assert_eq(&world.end());
}

#[test]
fn we_hang_up_on_a_caller_and_the_bye_is_repeated() {
    let mut world = World::new();
    let caller = call_up(&mut world);
    let leg = world.leg();
    world.command(Command::Hangup {
        leg,
        reason: Some("Q.850;cause=16".into()),
    });
    world.pass(2.0);
    let bye = world.last(caller.address).clone();
    world.receive(caller.address, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 engine: Hangup
        0000.000     caller <- BYE sip:alice@10.0.0.1:5060 (1) Reason: Q.850;cause=16
        0000.500     caller <- BYE sip:alice@10.0.0.1:5060 (1) Reason: Q.850;cause=16
        0001.500     caller <- BYE sip:alice@10.0.0.1:5060 (1) Reason: Q.850;cause=16
        0002.000 caller -> 200 OK (1 BYE)
        0002.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_bye_without_any_response_ends_by_timer_f() {
    let mut world = World::new();
    call_up(&mut world);
    let leg = world.leg();
    world.hangup(leg);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 engine: Hangup
        0000.000     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0000.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0001.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0003.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0007.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0011.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0015.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0019.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0023.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0027.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0031.500     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0032.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_lost_ack_ends_in_a_bye() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    world.answer();
    world.pass(32.0);
    let bye = world.last(caller.address).clone();
    world.receive(caller.address, &respond(&bye, "481 Gone", "", "", false));
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.500     caller <- 200 OK (1 INVITE) +sdp
        0001.500     caller <- 200 OK (1 INVITE) +sdp
        0003.500     caller <- 200 OK (1 INVITE) +sdp
        0007.500     caller <- 200 OK (1 INVITE) +sdp
        0011.500     caller <- 200 OK (1 INVITE) +sdp
        0015.500     caller <- 200 OK (1 INVITE) +sdp
        0019.500     caller <- 200 OK (1 INVITE) +sdp
        0023.500     caller <- 200 OK (1 INVITE) +sdp
        0027.500     caller <- 200 OK (1 INVITE) +sdp
        0031.500     caller <- 200 OK (1 INVITE) +sdp
        0032.000     event: Counted { what: "no_ack" }
        0032.000     caller <- BYE sip:alice@10.0.0.1:5060 (1) Reason: SIP;cause=408;text="No ACK"
        0032.000     event: Gone { leg: LegId(1), cause: Lost }
        0032.000 caller -> 481 Gone (1 BYE)
    "#]].assert_eq(&world.end());
}

#[test]
fn a_hangup_before_the_ack_waits_for_it() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    world.answer();
    caller.learn(&world.last(caller.address).clone());
    let leg = world.leg();
    world.hangup(leg);
    world.pass(0.7);
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    let bye = world.last(caller.address).clone();
    world.receive(caller.address, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 engine: Hangup
        0000.500     caller <- 200 OK (1 INVITE) +sdp
        0000.700 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.700     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0000.700 caller -> 200 OK (1 BYE)
        0000.700     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
}

#[test]
fn byes_cross() {
    let mut world = World::new();
    let mut caller = call_up(&mut world);
    let leg = world.leg();
    world.hangup(leg);
    let ours = world.last(caller.address).clone();
    let theirs = caller.request("BYE", "", "");
    world.receive(caller.address, &theirs);
    world.receive(caller.address, &respond(&ours, "481 Gone", "", "", false));
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 engine: Hangup
        0000.000     caller <- BYE sip:alice@10.0.0.1:5060 (1)
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 caller -> 481 Gone (1 BYE)
    "#]].assert_eq(&world.end());
}

#[test]
fn an_unanswered_caller_hears_from_us_each_minute() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:2000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    let leg = world.leg();
    world.command(Command::Ring {
        leg,
        status: 180,
        sdp: None,
        headers: vec![],
    });
    world.pass(125.0);
    world.hangup(leg);
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:2000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 2000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE)
        0060.000     caller <- 180 Ringing (1 INVITE)
        0120.000     caller <- 180 Ringing (1 INVITE)
        0125.000 engine: Hangup
        0125.000     caller <- 480 Temporarily Unavailable (1 INVITE)
        0125.000     event: Gone { leg: LegId(1), cause: HungUp }
        0125.000 caller -> ACK sip:2000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn an_invite_without_offer_is_offered_in_the_200() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.request(
        "INVITE",
        "P-Asserted-Identity: \"Alice\" <sip:+8613800138000@carrier>\r\nPrivacy: id\r\n",
        "",
    );
    world.receive(caller.address, &invite);
    world.answer();
    caller.learn(&world.last(caller.address).clone());
    caller.cseq -= 1;
    let ack = caller.request("ACK", "", SDP);
    world.receive(caller.address, &ack);
    let bye = caller.request("BYE", "", "");
    world.receive(caller.address, &bye);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1)
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from +8613800138000 Some("Alice") anonymous true sdp false
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1) +sdp
        0000.000     event: Confirmed LegId(1) sdp true
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_phone_answers_our_call_and_hangs_up() {
    let mut world = World::new();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last("10.0.0.2:5060").clone();
    expect![[r#"
        INVITE sip:agent@10.0.0.2:5060 SIP/2.0
        Via: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bKcee1731a6bd7ddcf;rport
        Max-Forwards: 70
        From: "Queue \"support\"" <sip:2000@test>;tag=68fba7b149478950
        To: <sip:agent@10.0.0.2:5060>
        Call-ID: 2529511d2536478d804719706d7eb38e
        CSeq: 1 INVITE
        User-Agent: Cordboard
        Contact: <sip:cordboard@10.9.9.9:5060>
        Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REGISTER, REFER, NOTIFY
        Supported: timer, 100rel, replaces, norefersub
        Session-Expires: 1800
        X-Test: 1
        Content-Type: application/sdp
        Content-Length: 85

        v=0
        o=- 1 1 IN IP4 10.0.0.1
        s=-
        c=IN IP4 10.0.0.1
        t=0 0
        m=audio 4000 RTP/AVP 0
    "#]]
    .assert_eq(&String::from_utf8_lossy(invite.as_bytes()).replace("\r\n", "\n"));
    world.receive(
        "10.0.0.2:5060",
        &respond(&invite, "100 Trying", "", "", false),
    );
    world.receive(
        "10.0.0.2:5060",
        &respond(
            &invite,
            "180 Ringing",
            "far",
            "sip:agent@10.0.0.2:5060",
            false,
        ),
    );
    world.pass(3.0);
    let ok = respond(&invite, "200 OK", "far", "sip:agent@10.0.0.2:5060", true);
    world.receive("10.0.0.2:5060", &ok);
    world.receive("10.0.0.2:5060", &ok);
    let mut phone = Phone::called("10.0.0.2:5060", &invite, "far");
    world.pass(1.0);
    let bye = phone.request("BYE", "", "");
    world.receive(phone.address, &bye);
    world.receive("10.0.0.2:5060", &ok);
    assert_eq!(leg, LegId(1));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 100 Trying (1 INVITE)
        0000.000     event: Trying { leg: LegId(1) }
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0003.000 far -> 200 OK (1 INVITE) +sdp
        0003.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0003.000     event: Answered LegId(1) sdp true
        0003.000 far -> 200 OK (1 INVITE) +sdp
        0003.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0004.000 far -> BYE sip:cordboard@10.9.9.9:5060 (101)
        0004.000     far <- 200 OK (101 BYE)
        0004.000     event: Gone { leg: LegId(1), cause: Bye }
        0004.000 far -> 200 OK (1 INVITE) +sdp
        0004.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_lost_200_is_found_by_the_repeated_invite() {
    let mut world = World::new();
    world.call("sip:agent@10.0.0.2:5060");
    world.pass(4.0);
    let invite = world.last("10.0.0.2:5060").clone();
    world.receive(
        "10.0.0.2:5060",
        &respond(&invite, "200 OK", "far", "sip:agent@10.0.0.2:5060", true),
    );
    let mut phone = Phone::called("10.0.0.2:5060", &invite, "far");
    let bye = phone.request("BYE", "", "");
    world.receive(phone.address, &bye);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0001.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0003.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0004.000 far -> 200 OK (1 INVITE) +sdp
        0004.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0004.000     event: Answered LegId(1) sdp true
        0004.000 far -> BYE sip:cordboard@10.9.9.9:5060 (101)
        0004.000     far <- 200 OK (101 BYE)
        0004.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn every_fork_but_the_first_is_acked_and_ended() {
    let mut world = World::new();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last("10.0.0.2:5060").clone();
    for tag in ["one", "two", "two"] {
        world.receive(
            "10.0.0.2:5060",
            &respond(&invite, "200 OK", tag, "sip:agent@10.0.0.2:5060", true),
        );
    }
    let bye = world.last_request("10.0.0.2:5060", "BYE");
    world.receive("10.0.0.2:5060", &respond(&bye, "200 OK", "", "", false));
    world.hangup(leg);
    let bye = world.last("10.0.0.2:5060").clone();
    world.receive("10.0.0.2:5060", &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Counted { what: "stray_fork" }
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000 far -> 200 OK (2 BYE)
        0000.000 engine: Hangup
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0000.000 far -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn streams_repeat_nothing_but_the_2xx_and_linger_nowhere() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.3:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    world.answer();
    caller.learn(&world.last(caller.address).clone());
    world.pass(0.6);
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    let leg = world.leg();
    world.hangup(leg);
    world.pass(5.0);
    let bye = world.last(caller.address).clone();
    world.receive(caller.address, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 tcp -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     tcp <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     tcp <- 200 OK (1 INVITE) +sdp
        0000.500     tcp <- 200 OK (1 INVITE) +sdp
        0000.600 tcp -> ACK sip:1000@10.9.9.9 (1)
        0000.600     event: Confirmed LegId(1) sdp false
        0000.600 engine: Hangup
        0000.600     tcp <- BYE sip:alice@10.0.0.3:5060 (1)
        0005.600 tcp -> 200 OK (1 BYE)
        0005.600     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_closed_connection_ends_what_waits_on_it() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.3:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    world.input(
        "flow 3 closes",
        Input::FlowClosed {
            flow: sip::FlowId(3),
        },
    );
    expect![[r#"
        0000.000 tcp -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     tcp <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 flow 3 closes
        0000.000     event: Gone { leg: LegId(1), cause: Unreachable }
    "#]].assert_eq(&world.end());
}
