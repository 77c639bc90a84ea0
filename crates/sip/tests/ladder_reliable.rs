//! Provisionals that are acknowledged (RFC 3262), early dialogs, and UPDATE before and after the answer (RFC 3311).
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::{Command, Event, LegId, Reliable};
use world::*;

const CALLER: &str = "10.0.0.1:5060";
const FAR: &str = "10.0.0.2:5060";
const CONTACT: &str = "sip:agent@10.0.0.2:5060";

fn world() -> World {
    let mut world = World::new();
    world.shown = vec!["RSeq", "RAck", "Require"];
    world
}

/// A caller whose INVITE has these headers and this body.
fn calls(world: &mut World, headers: &str, body: &str) -> (Phone, LegId) {
    let mut caller = Phone::new(CALLER, "alice", "sip:1000@10.9.9.9");
    let invite = caller.request("INVITE", headers, body);
    world.receive(CALLER, &invite);
    let leg = world.leg();
    (caller, leg)
}

fn ring(world: &mut World, leg: LegId, status: u16, sdp: bool) {
    world.command(Command::Ring {
        leg,
        status,
        sdp: sdp.then(|| SDP.into()),
        headers: vec![],
    });
}

/// The PRACK of the last provisional.
fn prack(world: &mut World, caller: &mut Phone, body: &str) {
    let ringing = world.last(CALLER).clone();
    caller.learn(&ringing);
    let rack = format!(
        "RAck: {} 1 INVITE\r\n",
        ringing.header_named("RSeq").unwrap()
    );
    let prack = caller.request("PRACK", &rack, body);
    world.receive(CALLER, &prack);
}

/// The ACK of the answer to the first INVITE.
fn ack(world: &mut World, caller: &mut Phone) {
    let cseq = std::mem::replace(&mut caller.cseq, 0);
    let ack = caller.request("ACK", "", "");
    caller.cseq = cseq;
    world.receive(CALLER, &ack);
}

fn ends(mut world: World, mut phone: Phone) -> String {
    let bye = phone.request("BYE", "", "");
    world.receive(phone.address, &bye);
    world.end()
}

/// A provisional of the far side with this tag and RSeq.
fn provisional(world: &mut World, status: &str, tag: &str, rseq: u32, sdp: bool) {
    let invite = world.last_request(FAR, "INVITE");
    let text = respond(&invite, status, tag, CONTACT, sdp);
    let headers = format!("Require: 100rel\r\nRSeq: {rseq}\r\nContent-Length:");
    world.receive(FAR, &text.replacen("Content-Length:", &headers, 1));
    let sent = world.sent.last().unwrap().1.clone();
    if sent
        .header_named("RAck")
        .is_some_and(|rack| rack.starts_with(&format!("{rseq} ")))
    {
        world.receive(FAR, &respond(&sent, "200 OK", "", "", false));
    }
}

fn answers(world: &mut World, tag: &str, sdp: bool) {
    let invite = world.last_request(FAR, "INVITE");
    world.receive(FAR, &respond(&invite, "200 OK", tag, CONTACT, sdp));
}

#[test]
fn a_caller_that_requires_it_acknowledges_our_ringing() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Require: 100rel\r\n", SDP);
    ring(&mut world, leg, 180, false);
    world.pass(1.0);
    prack(&mut world, &mut caller, "");
    world.pass(1.0);
    world.answer();
    ack(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Require: 100rel +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0000.500     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0001.000 caller -> PRACK sip:1000@10.9.9.9 (2) RAck: 970689540 1 INVITE
        0001.000     caller <- 200 OK (2 PRACK)
        0002.000 engine: Answer
        0002.000     caller <- 200 OK (1 INVITE) +sdp
        0002.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0002.000     event: Confirmed LegId(1) sdp false
        0002.000 caller -> BYE sip:1000@10.9.9.9 (3)
        0002.000     caller <- 200 OK (3 BYE)
        0002.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

#[test]
fn ringing_that_nobody_acknowledges_doubles_and_ends_in_504() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Supported: 100rel\r\n", SDP);
    ring(&mut world, leg, 180, false);
    world.pass(32.0);
    caller.learn(&world.last(CALLER).clone());
    let ack = caller.same("ACK", "", "");
    world.receive(CALLER, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0000.500     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0001.500     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0003.500     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0007.500     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0015.500     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0031.500     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0032.000     event: Counted { what: "no_prack" }
        0032.000     caller <- 504 Server Time-out (1 INVITE)
        0032.000     event: Gone { leg: LegId(1), cause: Lost }
        0032.000 caller -> ACK sip:1000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn early_media_answer_the_offer_and_the_200_need_not() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Supported: 100rel\r\n", SDP);
    ring(&mut world, leg, 183, true);
    // The answer waits for the PRACK: it must not overtake a description (section 3).
    world.answer();
    prack(&mut world, &mut caller, "");
    ack(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 183 Session Progress (1 INVITE) RSeq: 970689540 Require: 100rel +sdp
        0000.000 engine: Answer
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (2) RAck: 970689540 1 INVITE
        0000.000     caller <- 200 OK (2 PRACK)
        0000.000     caller <- 200 OK (1 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> BYE sip:1000@10.9.9.9 (3)
        0000.000     caller <- 200 OK (3 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

#[test]
fn a_second_provisional_waits_for_the_prack_of_the_first() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Supported: 100rel\r\n", SDP);
    ring(&mut world, leg, 180, false);
    ring(&mut world, leg, 183, true);
    prack(&mut world, &mut caller, "");
    prack(&mut world, &mut caller, "");
    world.pass(60.0);
    prack(&mut world, &mut caller, "");
    world.answer();
    ack(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0000.000 engine: Ring
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (2) RAck: 970689540 1 INVITE
        0000.000     caller <- 200 OK (2 PRACK)
        0000.000     caller <- 183 Session Progress (1 INVITE) RSeq: 970689541 Require: 100rel +sdp
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (3) RAck: 970689541 1 INVITE
        0000.000     caller <- 200 OK (3 PRACK)
        0060.000     caller <- 183 Session Progress (1 INVITE) RSeq: 970689542 Require: 100rel
        0060.000 caller -> PRACK sip:1000@10.9.9.9 (4) RAck: 970689542 1 INVITE
        0060.000     caller <- 200 OK (4 PRACK)
        0060.000 engine: Answer
        0060.000     caller <- 200 OK (1 INVITE)
        0060.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0060.000     event: Confirmed LegId(1) sdp false
        0060.000 caller -> BYE sip:1000@10.9.9.9 (5)
        0060.000     caller <- 200 OK (5 BYE)
        0060.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

#[test]
fn an_answer_overtakes_ringing_without_a_description() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Supported: 100rel\r\n", SDP);
    ring(&mut world, leg, 180, false);
    let ringing = world.last(CALLER).clone();
    world.answer();
    world.pass(0.2);
    // The PRACK that was on its way is still understood, once.
    caller.learn(&ringing);
    let rack = format!(
        "RAck: {} 1 INVITE\r\n",
        ringing.header_named("RSeq").unwrap()
    );
    for _ in 0..2 {
        let prack = caller.request("PRACK", &rack, "");
        world.receive(CALLER, &prack);
    }
    ack(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.200 caller -> PRACK sip:1000@10.9.9.9 (2) RAck: 970689540 1 INVITE
        0000.200     caller <- 200 OK (2 PRACK)
        0000.200 caller -> PRACK sip:1000@10.9.9.9 (3) RAck: 970689540 1 INVITE
        0000.200     event: Counted { what: "stray_prack" }
        0000.200     caller <- 481 Call/Transaction Does Not Exist (3 PRACK)
        0000.200 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.200     event: Confirmed LegId(1) sdp false
        0000.200 caller -> BYE sip:1000@10.9.9.9 (4)
        0000.200     caller <- 200 OK (4 BYE)
        0000.200     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

#[test]
fn a_prack_of_something_else_is_481() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Supported: 100rel\r\n", SDP);
    ring(&mut world, leg, 180, false);
    let ringing = world.last(CALLER).clone();
    caller.learn(&ringing);
    let rseq: u32 = ringing.header_named("RSeq").unwrap().parse().unwrap();
    for rack in [
        format!("{} 1 INVITE", rseq + 1),
        format!("{rseq} 2 INVITE"),
        format!("{rseq} 1 UPDATE"),
        "nonsense".to_owned(),
    ] {
        let prack = caller.request("PRACK", &format!("RAck: {rack}\r\n"), "");
        world.receive(CALLER, &prack);
    }
    let cancelled = {
        caller.cseq = 1;
        caller.branch = "z9hG4bK-alice-1".into();
        caller.to_tag.clear();
        caller.same(
            "CANCEL",
            "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n",
            "",
        )
    };
    world.receive(CALLER, &cancelled);
    let ack = caller.same("ACK", "", "");
    world.receive(CALLER, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE) RSeq: 970689540 Require: 100rel
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (2) RAck: 970689541 1 INVITE
        0000.000     event: Counted { what: "stray_prack" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (2 PRACK)
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (3) RAck: 970689540 2 INVITE
        0000.000     event: Counted { what: "stray_prack" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (3 PRACK)
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (4) RAck: 970689540 1 UPDATE
        0000.000     event: Counted { what: "stray_prack" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (4 PRACK)
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (5) RAck: nonsense
        0000.000     event: Counted { what: "stray_prack" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (5 PRACK)
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (1) Reason: SIP;cause=200;text="Call completed elsewhere"
        0000.000     caller <- 200 OK (1 CANCEL)
        0000.000     caller <- 487 Request Terminated (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: Cancelled } because SIP;cause=200;text="Call completed elsewhere"
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn a_caller_without_an_offer_answers_ours_in_its_prack() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Require: 100rel\r\n", "");
    ring(&mut world, leg, 183, true);
    prack(&mut world, &mut caller, SDP);
    world.answer();
    ack(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Require: 100rel
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp false
        0000.000 engine: Ring
        0000.000     caller <- 183 Session Progress (1 INVITE) RSeq: 970689540 Require: 100rel +sdp
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (2) RAck: 970689540 1 INVITE +sdp
        0000.000     caller <- 200 OK (2 PRACK)
        0000.000     event: EarlyAnswer LegId(1)
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> BYE sip:1000@10.9.9.9 (3)
        0000.000     caller <- 200 OK (3 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

#[test]
fn a_caller_offers_anew_in_its_prack_and_by_update() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Require: 100rel\r\nAllow: UPDATE\r\n", SDP);
    ring(&mut world, leg, 183, true);
    prack(&mut world, &mut caller, SDP);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    let update = caller.request("UPDATE", "", SDP);
    world.receive(CALLER, &update);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    // And we offer: UPDATE is all that serves before the answer.
    world.command(Command::Reinvite {
        leg,
        sdp: SDP.into(),
    });
    let ours = world.last_request(CALLER, "UPDATE");
    world.receive(CALLER, &respond(&ours, "200 OK", "", "", true));
    world.answer();
    ack(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Require: 100rel +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 183 Session Progress (1 INVITE) RSeq: 970689540 Require: 100rel +sdp
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (2) RAck: 970689540 1 INVITE +sdp
        0000.000     event: Reoffered LegId(1) sdp true
        0000.000 engine: AcceptReoffer
        0000.000     caller <- 200 OK (2 PRACK) +sdp
        0000.000 caller -> UPDATE sip:1000@10.9.9.9 (3) +sdp
        0000.000     event: Reoffered LegId(1) sdp true
        0000.000 engine: AcceptReoffer
        0000.000     caller <- 200 OK (3 UPDATE) +sdp
        0000.000 engine: Reinvite
        0000.000     caller <- UPDATE sip:alice@10.0.0.1:5060 (1) +sdp
        0000.000 caller -> 200 OK (1 UPDATE) +sdp
        0000.000     event: ReofferAccepted LegId(1) sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> BYE sip:1000@10.9.9.9 (4)
        0000.000     caller <- 200 OK (4 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

#[test]
fn an_update_before_the_first_offer_is_answered_is_500() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "", SDP);
    ring(&mut world, leg, 180, false);
    caller.learn(&world.last(CALLER).clone());
    let update = caller.request("UPDATE", "", SDP);
    world.receive(CALLER, &update);
    let alive = caller.request("UPDATE", "", "");
    world.receive(CALLER, &alive);
    world.answer();
    ack(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE)
        0000.000 caller -> UPDATE sip:1000@10.9.9.9 (2) +sdp
        0000.000     caller <- 500 Server Internal Error (2 UPDATE) Retry-After: 6
        0000.000 caller -> UPDATE sip:1000@10.9.9.9 (3)
        0000.000     caller <- 200 OK (3 UPDATE)
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> BYE sip:1000@10.9.9.9 (4)
        0000.000     caller <- 200 OK (4 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

#[test]
fn those_who_only_support_it_are_rung_as_ever_when_it_is_to_be_required() {
    let mut config = config();
    config.dialogs.reliable = Reliable::Required;
    let mut world = World::with(config);
    world.shown = vec!["RSeq"];
    let (mut caller, leg) = calls(&mut world, "Supported: 100rel\r\n", SDP);
    ring(&mut world, leg, 180, false);
    world.answer();
    caller.learn(&world.last(CALLER).clone());
    ack(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 180 Ringing (1 INVITE)
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&ends(world, caller));
}

#[test]
fn a_phone_that_rings_reliably_is_acknowledged_in_order() {
    let mut world = world();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    provisional(&mut world, "180 Ringing", "far", 7, false);
    // Again, and one too early: neither says anything.
    provisional(&mut world, "180 Ringing", "far", 7, false);
    provisional(&mut world, "183 Session Progress", "far", 9, true);
    provisional(&mut world, "183 Session Progress", "far", 8, true);
    // The answer was in the 183.
    answers(&mut world, "far", false);
    world.hangup(leg);
    let bye = world.last_request(FAR, "BYE");
    world.receive(FAR, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 180 Ringing (1 INVITE) RSeq: 7 Require: 100rel
        0000.000     far <- PRACK sip:agent@10.0.0.2:5060 (2) RAck: 7 1 INVITE
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 far -> 200 OK (2 PRACK)
        0000.000 far -> 180 Ringing (1 INVITE) RSeq: 7 Require: 100rel
        0000.000 far -> 200 OK (2 PRACK)
        0000.000 far -> 183 Session Progress (1 INVITE) RSeq: 9 Require: 100rel +sdp
        0000.000     event: Counted { what: "rseq_order" }
        0000.000 far -> 183 Session Progress (1 INVITE) RSeq: 8 Require: 100rel +sdp
        0000.000     far <- PRACK sip:agent@10.0.0.2:5060 (3) RAck: 8 1 INVITE
        0000.000     event: Ringing LegId(1) 183 sdp true
        0000.000 far -> 200 OK (3 PRACK)
        0000.000 far -> 200 OK (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Hangup
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (4)
        0000.000 far -> 200 OK (4 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn forks_have_each_their_own_order_and_the_first_to_answer_wins() {
    let mut world = world();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    provisional(&mut world, "183 Session Progress", "desk", 1, true);
    provisional(&mut world, "180 Ringing", "mobile", 500, false);
    provisional(&mut world, "180 Ringing", "desk", 2, false);
    provisional(&mut world, "180 Ringing", "mobile", 501, false);
    let invite = world.last_request(FAR, "INVITE");
    // A fork asks for other media; it is answered in its own dialog.
    let mut desk = Phone::called(FAR, &invite, "desk");
    let update = desk.request("UPDATE", "", SDP);
    world.receive(FAR, &update);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    // The other has described nothing yet.
    let mut mobile = Phone::called(FAR, &invite, "mobile");
    let update = mobile.request("UPDATE", "", SDP);
    world.receive(FAR, &update);
    answers(&mut world, "mobile", true);
    answers(&mut world, "desk", true);
    let bye = mobile.request("BYE", "", "");
    world.receive(FAR, &bye);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 183 Session Progress (1 INVITE) RSeq: 1 Require: 100rel +sdp
        0000.000     far <- PRACK sip:agent@10.0.0.2:5060 (2) RAck: 1 1 INVITE
        0000.000     event: Ringing LegId(1) 183 sdp true
        0000.000 far -> 200 OK (2 PRACK)
        0000.000 far -> 180 Ringing (1 INVITE) RSeq: 500 Require: 100rel
        0000.000     far <- PRACK sip:agent@10.0.0.2:5060 (2) RAck: 500 1 INVITE
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 far -> 200 OK (2 PRACK)
        0000.000 far -> 180 Ringing (1 INVITE) RSeq: 2 Require: 100rel
        0000.000     far <- PRACK sip:agent@10.0.0.2:5060 (3) RAck: 2 1 INVITE
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 far -> 200 OK (3 PRACK)
        0000.000 far -> 180 Ringing (1 INVITE) RSeq: 501 Require: 100rel
        0000.000     far <- PRACK sip:agent@10.0.0.2:5060 (3) RAck: 501 1 INVITE
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 far -> 200 OK (3 PRACK)
        0000.000 far -> UPDATE sip:cordboard@10.9.9.9:5060 (101) +sdp
        0000.000     event: Reoffered LegId(1) sdp true
        0000.000 engine: AcceptReoffer
        0000.000     far <- 200 OK (101 UPDATE) +sdp
        0000.000 far -> UPDATE sip:cordboard@10.9.9.9:5060 (101) +sdp
        0000.000     far <- 491 Request Pending (101 UPDATE)
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Counted { what: "stray_fork" }
        0000.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0000.000 far -> BYE sip:cordboard@10.9.9.9:5060 (102)
        0000.000     far <- 200 OK (102 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
        0000.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0001.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0003.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0007.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0011.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0015.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0019.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0023.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0027.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0031.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn the_answer_of_a_fork_is_the_one_that_it_gave_early() {
    let mut world = world();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    provisional(&mut world, "183 Session Progress", "desk", 1, true);
    provisional(&mut world, "180 Ringing", "mobile", 1, false);
    answers(&mut world, "mobile", false);
    let answered = world.events.iter().any(|event| {
        matches!(event, Event::Answered { leg: answered, sdp: None, .. } if *answered == leg)
    });
    assert!(answered, "the other fork's description is not this one's");
    world.hangup(leg);
    let bye = world.last_request(FAR, "BYE");
    world.receive(FAR, &respond(&bye, "200 OK", "", "", false));
    world.end();
}

#[test]
fn more_forks_than_we_keep_are_not_heard() {
    let mut world = world();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    for fork in 0..10 {
        let invite = world.last_request(FAR, "INVITE");
        let tag = format!("fork{fork}");
        world.receive(FAR, &respond(&invite, "180 Ringing", &tag, CONTACT, false));
    }
    let heard = world
        .events
        .iter()
        .filter(|event| matches!(event, Event::Ringing { .. }))
        .count();
    assert_eq!(heard, 8);
    answers(&mut world, "fork9", true);
    world.hangup(leg);
    let bye = world.last_request(FAR, "BYE");
    world.receive(FAR, &respond(&bye, "200 OK", "", "", false));
    world.end();
}

#[test]
fn a_caller_hangs_up_between_ringing_and_its_prack() {
    let mut world = world();
    let (mut caller, leg) = calls(&mut world, "Require: 100rel\r\n", SDP);
    ring(&mut world, leg, 183, true);
    world.answer();
    caller.learn(&world.last(CALLER).clone());
    let bye = caller.request("BYE", "Reason: Q.850;cause=16\r\n", "");
    world.receive(CALLER, &bye);
    caller.cseq = 1;
    caller.branch = "z9hG4bK-alice-1".into();
    let ack = caller.same("ACK", "", "");
    world.receive(CALLER, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) Require: 100rel +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Ring
        0000.000     caller <- 183 Session Progress (1 INVITE) RSeq: 970689540 Require: 100rel +sdp
        0000.000 engine: Answer
        0000.000 caller -> BYE sip:1000@10.9.9.9 (2) Reason: Q.850;cause=16
        0000.000     caller <- 200 OK (2 BYE)
        0000.000     caller <- 487 Request Terminated (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: Cancelled } because Q.850;cause=16
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
    "#]].assert_eq(&world.end());
}
