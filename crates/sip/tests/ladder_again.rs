//! Ladders of what comes late, twice, or in the wrong order.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::{Command, LegId};
use world::{Phone, SDP, World, call_up, respond};

const CALLER: &str = "10.0.0.1:5060";
const FAR: &str = "10.0.0.2:5060";

/// A call that is answered and not acknowledged.
fn unacknowledged(world: &mut World) -> Phone {
    let mut caller = Phone::new(CALLER, "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(CALLER, &invite);
    world.answer();
    caller.learn(&world.last(CALLER).clone());
    caller
}

fn twice(world: &mut World, from: &str, text: &str) {
    world.receive(from, text);
    world.receive(from, text);
}

fn ends(mut world: World, mut phone: Phone) -> String {
    let bye = phone.request("BYE", "", "");
    world.receive(phone.address, &bye);
    world.end()
}

// --- ACK

/// Section 13.3.1.4: the 2xx is repeated until the ACK, whenever that comes, and no longer.
#[test]
fn a_late_ack_ends_the_repetitions() {
    let mut world = World::new();
    let mut caller = unacknowledged(&mut world);
    world.pass(10.0);
    let ack = caller.ack();
    twice(&mut world, CALLER, &ack);
    world.pass(60.0);
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
        0010.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0010.000     event: Confirmed LegId(1) sdp false
        0010.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0070.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0070.000     caller <- 200 OK (2 BYE)
        0070.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

/// What has been given up is not taken up again.
#[test]
fn an_ack_after_the_end_changes_nothing() {
    let mut world = World::new();
    let mut caller = unacknowledged(&mut world);
    world.pass(33.0);
    let bye = world.last_request(CALLER, "BYE");
    world.forget();
    let ack = caller.ack();
    world.receive(CALLER, &ack);
    world.receive(CALLER, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0033.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0033.000     event: Counted { what: "no_transaction" }
        0033.000 caller -> 200 OK (1 BYE)
    "#]]
    .assert_eq(&world.end());
}

/// An ACK belongs to its INVITE by the number of CSeq (section 17.1.1.3 for the branch, 13.2.2.4 for the number).
#[test]
fn an_ack_of_another_number_is_not_ours() {
    let mut world = World::new();
    let mut caller = unacknowledged(&mut world);
    caller.cseq = 7;
    let stray = caller.request("ACK", "", "");
    world.receive(CALLER, &stray);
    world.pass(0.6);
    caller.cseq = 1;
    let ack = caller.ack();
    world.receive(CALLER, &ack);
    world.pass(5.0);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (8)
        0000.500     caller <- 200 OK (1 INVITE) +sdp
        0000.600 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.600     event: Confirmed LegId(1) sdp false
        0005.600 caller -> BYE sip:1000@10.9.9.9 (2)
        0005.600     caller <- 200 OK (2 BYE)
        0005.600     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

/// An ACK before there is anything to acknowledge.
#[test]
fn an_ack_before_the_answer_is_nothing() {
    let mut world = World::new();
    let mut caller = Phone::new(CALLER, "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(CALLER, &invite);
    let early = caller.same("ACK", "", "");
    world.receive(CALLER, &early);
    world.answer();
    caller.learn(&world.last(CALLER).clone());
    let ack = caller.ack();
    world.receive(CALLER, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

// --- the wrong order

/// A BYE that overtakes the ACK ends the call, and the repetitions with it.
#[test]
fn a_bye_overtakes_the_ack() {
    let mut world = World::new();
    let mut caller = unacknowledged(&mut world);
    world.pass(0.3);
    let bye = caller.request("BYE", "", "");
    world.receive(CALLER, &bye);
    caller.cseq = 1;
    let ack = caller.ack();
    world.receive(CALLER, &ack);
    world.pass(5.0);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.300 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.300     caller <- 200 OK (2 BYE)
        0000.300     event: Gone { leg: LegId(1), cause: Bye }
        0000.300 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.300     event: Counted { what: "no_transaction" }
    "#]].assert_eq(&world.end());
}

/// A re-INVITE that overtakes the ACK is too early for an answer (section 14.2); the call goes on.
#[test]
fn a_reinvite_overtakes_the_ack() {
    let mut world = World::new();
    let mut caller = unacknowledged(&mut world);
    let again = caller.invite();
    world.receive(CALLER, &again);
    let ack = caller.same("ACK", "", "");
    world.receive(CALLER, &ack);
    caller.cseq = 1;
    let ack = caller.ack();
    world.receive(CALLER, &ack);
    caller.cseq = 2;
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (2) +sdp
        0000.000     caller <- 500 Server Internal Error (2 INVITE) Retry-After: 6
        0000.000 caller -> ACK sip:1000@10.9.9.9 (2)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> BYE sip:1000@10.9.9.9 (3)
        0000.000     caller <- 200 OK (3 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

/// UDP overtakes: ringing that comes after the answer is nothing any more.
#[test]
fn ringing_after_the_answer_is_nothing() {
    let mut world = World::new();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last(FAR).clone();
    let at = "sip:agent@10.0.0.2:5060";
    world.receive(FAR, &respond(&invite, "200 OK", "far", at, true));
    world.receive(FAR, &respond(&invite, "183 Progress", "far", at, true));
    world.receive(FAR, &respond(&invite, "180 Ringing", "other", at, false));
    world.hangup(leg);
    let bye = world.last_request(FAR, "BYE");
    world.receive(FAR, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 far -> 183 Progress (1 INVITE) +sdp
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000 engine: Hangup
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0000.000 far -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

/// A refusal that comes after another one is acknowledged again and told once.
#[test]
fn a_second_refusal_is_acknowledged_and_told_once() {
    let mut world = World::new();
    world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last(FAR).clone();
    twice(
        &mut world,
        FAR,
        &respond(&invite, "486 Busy Here", "far", "", false),
    );
    world.receive(FAR, &respond(&invite, "480 Away", "far", "", false));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 486 Busy Here (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0000.000 far -> 486 Busy Here (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000 far -> 480 Away (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
    "#]].assert_eq(&world.end());
}

/// A CANCEL that overtakes its INVITE meets nothing; the INVITE is a call like any other until the next CANCEL.
#[test]
fn a_cancel_overtakes_its_invite() {
    let mut world = World::new();
    let mut caller = Phone::new(CALLER, "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    let cancel = caller.same("CANCEL", "", "");
    world.receive(CALLER, &cancel);
    world.receive(CALLER, &invite);
    world.receive(CALLER, &cancel);
    let ack = caller.same("ACK", "", "");
    world.receive(CALLER, &ack);
    expect![[r#"
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     event: Counted { what: "no_transaction" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (1 CANCEL)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     caller <- 200 OK (1 CANCEL)
        0000.000     caller <- 487 Request Terminated (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: Cancelled }
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}

// --- twice

/// The same INVITE in every state: the last response again, until it is answered; then nothing but the 2xx (RFC 6026).
#[test]
fn an_invite_again_in_every_state() {
    let mut world = World::new();
    let mut caller = Phone::new(CALLER, "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    twice(&mut world, CALLER, &invite);
    let leg = world.leg();
    let (sdp, headers) = (None, vec![]);
    world.command(Command::Ring {
        leg,
        status: 180,
        sdp,
        headers,
    });
    world.receive(CALLER, &invite);
    world.answer();
    caller.learn(&world.last(CALLER).clone());
    world.receive(CALLER, &invite);
    let ack = caller.ack();
    world.receive(CALLER, &ack);
    world.receive(CALLER, &invite);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 180 Ringing (1 INVITE)
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

/// A refused INVITE comes again: the refusal once more; after its ACK, nothing.
#[test]
fn a_refused_invite_again() {
    let mut world = World::new();
    let mut caller = Phone::new(CALLER, "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(CALLER, &invite);
    let leg = world.leg();
    let (reason, headers) = (None, vec![]);
    world.command(Command::Reject {
        leg,
        status: 486,
        reason,
        headers,
    });
    world.receive(CALLER, &invite);
    let ack = caller.same("ACK", "", "");
    world.receive(CALLER, &ack);
    world.receive(CALLER, &invite);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Reject
        0000.000     caller <- 486 Busy Here (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 486 Busy Here (1 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
    "#]].assert_eq(&world.end());
}

/// Every request in a call twice: it happens once, and is answered twice with the same.
#[test]
fn every_request_of_a_call_twice() {
    let mut world = World::new();
    let mut caller = call_up(&mut world);
    let leg = LegId(1);
    world.forget();
    let info = caller.request(
        "INFO",
        "Content-Type: application/dtmf-relay\r\n",
        "Signal=5\r\n",
    );
    twice(&mut world, CALLER, &info);
    let update = caller.request("UPDATE", "", SDP);
    twice(&mut world, CALLER, &update);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    world.receive(CALLER, &update);
    let again = caller.invite();
    twice(&mut world, CALLER, &again);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    let ack = caller.ack();
    twice(&mut world, CALLER, &ack);
    let refer = caller.request("REFER", "Refer-To: <sip:1002@10.9.9.9>\r\n", "");
    twice(&mut world, CALLER, &refer);
    world.command(Command::RejectRefer { leg, status: 603 });
    world.receive(CALLER, &refer);
    let options = caller.request("OPTIONS", "", "");
    twice(&mut world, CALLER, &options);
    let bye = caller.request("BYE", "", "");
    twice(&mut world, CALLER, &bye);
    expect![[r#"
        0000.000 caller -> INFO sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 INFO)
        0000.000     event: Digit LegId(1) 5 160 ms
        0000.000 caller -> INFO sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 INFO)
        0000.000 caller -> UPDATE sip:1000@10.9.9.9 (3) +sdp
        0000.000     event: Reoffered LegId(1) sdp true
        0000.000 caller -> UPDATE sip:1000@10.9.9.9 (3) +sdp
        0000.000 engine: AcceptReoffer
        0000.000     caller <- 200 OK (3 UPDATE) +sdp
        0000.000 caller -> UPDATE sip:1000@10.9.9.9 (3) +sdp
        0000.000     caller <- 200 OK (3 UPDATE) +sdp
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (4) +sdp
        0000.000     caller <- 100 Trying (4 INVITE)
        0000.000     event: Reoffered LegId(1) sdp true
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (4) +sdp
        0000.000     caller <- 100 Trying (4 INVITE)
        0000.000 engine: AcceptReoffer
        0000.000     caller <- 200 OK (4 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (4)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> ACK sip:1000@10.9.9.9 (4)
        0000.000 caller -> REFER sip:1000@10.9.9.9 (5)
        0000.000     event: Referred { leg: LegId(1), referral: Referral { to: "1002", replaces: Nothing, referred_by: None } }
        0000.000 caller -> REFER sip:1000@10.9.9.9 (5)
        0000.000 engine: RejectRefer
        0000.000     event: Counted { what: "refer" }
        0000.000     caller <- 603 Decline (5 REFER)
        0000.000 caller -> REFER sip:1000@10.9.9.9 (5)
        0000.000     caller <- 603 Decline (5 REFER)
        0000.000 caller -> OPTIONS sip:1000@10.9.9.9 (6)
        0000.000     caller <- 200 OK (6 OPTIONS)
        0000.000 caller -> OPTIONS sip:1000@10.9.9.9 (6)
        0000.000     caller <- 200 OK (6 OPTIONS)
        0000.000 caller -> BYE sip:1000@10.9.9.9 (7)
        0000.000     caller <- 200 OK (7 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
        0000.000 caller -> BYE sip:1000@10.9.9.9 (7)
        0000.000     caller <- 200 OK (7 BYE)
    "#]].assert_eq(&world.end());
}

/// Every response to a request of ours twice: it means something once.
#[test]
fn every_response_twice() {
    let mut world = World::new();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last(FAR).clone();
    let at = "sip:agent@10.0.0.2:5060";
    for status in ["100 Trying", "180 Ringing"] {
        let tag = if status.starts_with("100") { "" } else { "far" };
        twice(&mut world, FAR, &respond(&invite, status, tag, at, false));
    }
    twice(
        &mut world,
        FAR,
        &respond(&invite, "200 OK", "far", at, true),
    );
    world.command(Command::Reinvite {
        leg,
        sdp: SDP.into(),
    });
    let again = world.last_request(FAR, "INVITE");
    twice(&mut world, FAR, &respond(&again, "200 OK", "", at, true));
    world.hangup(leg);
    let bye = world.last_request(FAR, "BYE");
    twice(&mut world, FAR, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 100 Trying (1 INVITE)
        0000.000     event: Trying { leg: LegId(1) }
        0000.000 far -> 100 Trying (1 INVITE)
        0000.000     event: Trying { leg: LegId(1) }
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000 engine: Reinvite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (2) +sdp
        0000.000 far -> 200 OK (2 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (2)
        0000.000     event: ReofferAccepted LegId(1) sdp true
        0000.000 far -> 200 OK (2 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (2)
        0000.000 engine: Hangup
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (3)
        0000.000 far -> 200 OK (3 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 far -> 200 OK (3 BYE)
    "#]]
    .assert_eq(&world.end());
}

// --- each minute

/// Section 13.3.1.1 for a caller with reliable provisionals: each minute a new one, with its own number and its own PRACK.
#[test]
fn a_reliable_caller_hears_from_us_each_minute() {
    let mut world = World::new();
    world.shown = vec!["RSeq", "RAck"];
    let mut caller = Phone::new(CALLER, "alice", "sip:2000@10.9.9.9");
    let invite = caller.request("INVITE", "Require: 100rel\r\n", SDP);
    world.receive(CALLER, &invite);
    let ack = caller.same("ACK", "", "");
    let leg = world.leg();
    let (sdp, headers) = (None, vec![]);
    world.command(Command::Ring {
        leg,
        status: 180,
        sdp,
        headers,
    });
    for _ in 0..3 {
        let ringing = world.last(CALLER).clone();
        caller.learn(&ringing);
        let rack = format!(
            "RAck: {} 1 INVITE\r\n",
            ringing.header_named("RSeq").unwrap()
        );
        let prack = caller.request("PRACK", &rack, "");
        twice(&mut world, CALLER, &prack);
        world.pass(60.0);
    }
    world.hangup(leg);
    world.receive(CALLER, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:2000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 2000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689540
        0000.000 caller -> PRACK sip:2000@10.9.9.9 (2) RAck: 970689540 1 INVITE
        0000.000     caller <- 200 OK (2 PRACK)
        0000.000 caller -> PRACK sip:2000@10.9.9.9 (2) RAck: 970689540 1 INVITE
        0000.000     caller <- 200 OK (2 PRACK)
        0060.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689541
        0060.000 caller -> PRACK sip:2000@10.9.9.9 (3) RAck: 970689541 1 INVITE
        0060.000     caller <- 200 OK (3 PRACK)
        0060.000 caller -> PRACK sip:2000@10.9.9.9 (3) RAck: 970689541 1 INVITE
        0060.000     caller <- 200 OK (3 PRACK)
        0120.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689542
        0120.000 caller -> PRACK sip:2000@10.9.9.9 (4) RAck: 970689542 1 INVITE
        0120.000     caller <- 200 OK (4 PRACK)
        0120.000 caller -> PRACK sip:2000@10.9.9.9 (4) RAck: 970689542 1 INVITE
        0120.000     caller <- 200 OK (4 PRACK)
        0180.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689543
        0180.000 engine: Hangup
        0180.000     caller <- 480 Temporarily Unavailable (1 INVITE)
        0180.000     event: Gone { leg: LegId(1), cause: HungUp }
        0180.000 caller -> ACK sip:2000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}
