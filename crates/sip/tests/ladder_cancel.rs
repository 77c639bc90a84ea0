//! CANCEL from both sides, and everything it can cross.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::Command;
use world::*;

const FAR: &str = "10.0.0.2:5060";
const CONTACT: &str = "sip:agent@10.0.0.2:5060";

#[test]
fn a_caller_gives_up() {
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
    let cancel = caller.same("CANCEL", "", "");
    world.receive(caller.address, &cancel);
    world.receive(caller.address, &cancel);
    world.pass(1.0);
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    world.receive(caller.address, &ack);
    world.answer();
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE)
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     caller <- 200 OK (1 CANCEL)
        0000.000     caller <- 487 Request Terminated (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: Cancelled }
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     caller <- 200 OK (1 CANCEL)
        0000.500     caller <- 487 Request Terminated (1 INVITE)
        0001.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0001.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0001.000 engine: Answer
    "#]].assert_eq(&world.end());
}

#[test]
fn a_487_without_ack_is_repeated_until_timer_h() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    let cancel = caller.same("CANCEL", "", "");
    world.receive(caller.address, &cancel);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     caller <- 200 OK (1 CANCEL)
        0000.000     caller <- 487 Request Terminated (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: Cancelled }
        0000.500     caller <- 487 Request Terminated (1 INVITE)
        0001.500     caller <- 487 Request Terminated (1 INVITE)
        0003.500     caller <- 487 Request Terminated (1 INVITE)
        0007.500     caller <- 487 Request Terminated (1 INVITE)
        0011.500     caller <- 487 Request Terminated (1 INVITE)
        0015.500     caller <- 487 Request Terminated (1 INVITE)
        0019.500     caller <- 487 Request Terminated (1 INVITE)
        0023.500     caller <- 487 Request Terminated (1 INVITE)
        0027.500     caller <- 487 Request Terminated (1 INVITE)
        0031.500     caller <- 487 Request Terminated (1 INVITE)
        0032.000     event: Counted { what: "no_ack" }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_cancel_that_crosses_our_200_changes_nothing() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    world.answer();
    caller.learn(&world.last(caller.address).clone());
    let tag = std::mem::take(&mut caller.to_tag);
    let cancel = caller.same("CANCEL", "", "");
    world.receive(caller.address, &cancel);
    caller.to_tag = tag;
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    let bye = caller.request("BYE", "", "");
    world.receive(caller.address, &bye);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     caller <- 200 OK (1 CANCEL)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_cancel_of_nothing_is_481() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let cancel = caller.request("CANCEL", "", "");
    world.receive(caller.address, &cancel);
    expect![[r#"
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1)
        0000.000     event: Counted { what: "no_transaction" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (1 CANCEL)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_caller_ends_an_early_dialog_by_bye() {
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
    caller.learn(&world.last(caller.address).clone());
    let early = caller.branch.clone();
    let bye = caller.request("BYE", "", "");
    world.receive(caller.address, &bye);
    caller.branch = early;
    caller.cseq -= 1;
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE)
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     caller <- 487 Request Terminated (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: Cancelled }
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn we_give_up_after_a_provisional() {
    let mut world = World::new();
    let leg = world.call(CONTACT);
    let invite = world.last(FAR).clone();
    world.receive(FAR, &respond(&invite, "180 Ringing", "far", CONTACT, false));
    world.command(Command::Hangup {
        leg,
        reason: Some("SIP;cause=200;text=\"Call completed elsewhere\"".into()),
    });
    world.hangup(leg);
    let cancel = world.last(FAR).clone();
    world.pass(0.6);
    world.receive(FAR, &respond(&cancel, "200 OK", "far", "", false));
    let terminated = respond(&invite, "487 Request Terminated", "far", "", false);
    world.receive(FAR, &terminated);
    world.receive(FAR, &terminated);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 engine: Hangup
        0000.000     far <- CANCEL sip:agent@10.0.0.2:5060 (1) Reason: SIP;cause=200;text="Call completed elsewhere"
        0000.000 engine: Hangup
        0000.500     far <- CANCEL sip:agent@10.0.0.2:5060 (1) Reason: SIP;cause=200;text="Call completed elsewhere"
        0000.600 far -> 200 OK (1 CANCEL)
        0000.600 far -> 487 Request Terminated (1 INVITE)
        0000.600     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.600     event: Gone { leg: LegId(1), cause: HungUp }
        0000.600 far -> 487 Request Terminated (1 INVITE)
        0000.600     far <- ACK sip:agent@10.0.0.2:5060 (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn we_give_up_before_a_provisional_and_cancel_as_soon_as_one_comes() {
    let mut world = World::new();
    let leg = world.call(CONTACT);
    world.hangup(leg);
    world.pass(1.0);
    let invite = world.last(FAR).clone();
    world.receive(FAR, &respond(&invite, "100 Trying", "", "", false));
    let cancel = world.last(FAR).clone();
    world.receive(FAR, &respond(&cancel, "200 OK", "far", "", false));
    world.receive(FAR, &respond(&invite, "180 Ringing", "far", CONTACT, false));
    world.receive(
        FAR,
        &respond(&invite, "487 Request Terminated", "far", "", false),
    );
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 engine: Hangup
        0000.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0001.000 far -> 100 Trying (1 INVITE)
        0001.000     far <- CANCEL sip:agent@10.0.0.2:5060 (1)
        0001.000 far -> 200 OK (1 CANCEL)
        0001.000 far -> 180 Ringing (1 INVITE)
        0001.000 far -> 487 Request Terminated (1 INVITE)
        0001.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0001.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_200_that_crosses_our_cancel_is_acked_and_ended() {
    let mut world = World::new();
    let leg = world.call(CONTACT);
    let invite = world.last(FAR).clone();
    world.receive(FAR, &respond(&invite, "180 Ringing", "far", CONTACT, false));
    world.hangup(leg);
    let cancel = world.last(FAR).clone();
    let ok = respond(&invite, "200 OK", "far", CONTACT, true);
    world.receive(FAR, &ok);
    world.receive(FAR, &respond(&cancel, "481 No", "far", "", false));
    world.receive(FAR, &ok);
    let bye = world.last_request(FAR, "BYE");
    world.receive(FAR, &respond(&bye, "200 OK", "", "", false));
    world.receive(FAR, &ok);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 engine: Hangup
        0000.000     far <- CANCEL sip:agent@10.0.0.2:5060 (1)
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0000.000 far -> 481 No (1 CANCEL)
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000 far -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_200_to_a_call_that_we_gave_up_before_any_response() {
    let mut world = World::new();
    let leg = world.call(CONTACT);
    world.hangup(leg);
    let invite = world.last(FAR).clone();
    world.receive(FAR, &respond(&invite, "200 OK", "far", CONTACT, true));
    let bye = world.last_request(FAR, "BYE");
    world.receive(FAR, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 engine: Hangup
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0000.000 far -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn no_final_response_after_a_cancel() {
    let mut world = World::new();
    let leg = world.call(CONTACT);
    let invite = world.last(FAR).clone();
    world.receive(FAR, &respond(&invite, "180 Ringing", "far", CONTACT, false));
    world.hangup(leg);
    let cancel = world.last(FAR).clone();
    world.receive(FAR, &respond(&cancel, "200 OK", "far", "", false));
    world.pass(31.0);
    world.receive(FAR, &respond(&invite, "180 Ringing", "far", CONTACT, false));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 engine: Hangup
        0000.000     far <- CANCEL sip:agent@10.0.0.2:5060 (1)
        0000.000 far -> 200 OK (1 CANCEL)
        0031.000 far -> 180 Ringing (1 INVITE)
        0032.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}
