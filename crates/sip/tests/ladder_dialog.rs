//! What happens inside a call: new media from both sides, crossing offers, order, INFO, OPTIONS, and its end.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::{Command, LegId};
use world::*;

const FAR: &str = "10.0.0.2:5060";
const CONTACT: &str = "sip:agent@10.0.0.2:5060";

fn reinvite(world: &mut World, leg: LegId) {
    world.command(Command::Reinvite {
        leg,
        sdp: SDP.into(),
    });
}

fn end_by_peer(world: &mut World, phone: &mut Phone) {
    let bye = phone.request("BYE", "", "");
    world.receive(phone.address, &bye);
}

#[test]
fn their_reinvite_is_answered() {
    let mut world = World::new();
    let mut caller = call_up(&mut world);
    let leg = world.leg();
    world.pass(10.0);
    let moved = "Contact: <sip:moved@10.0.0.1:5080>\r\n";
    let hold = caller.request("INVITE", moved, SDP);
    world.receive(caller.address, &hold);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    world.pass(0.5);
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    let update = caller.request("UPDATE", moved, SDP);
    world.receive(caller.address, &update);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    let alive = caller.request(
        "UPDATE",
        &format!("{moved}Session-Expires: 90;refresher=uac\r\n"),
        "",
    );
    world.receive(caller.address, &alive);
    world.hangup(leg);
    let bye = world.sent.last().unwrap().1.clone();
    world.receive("10.0.0.1:5080", &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0010.000 caller -> INVITE sip:1000@10.9.9.9 (2) +sdp
        0010.000     caller <- 100 Trying (2 INVITE)
        0010.000     event: Reoffered LegId(1) sdp true
        0010.000 engine: AcceptReoffer
        0010.000     caller <- 200 OK (2 INVITE) +sdp
        0010.500     caller <- 200 OK (2 INVITE) +sdp
        0010.500 caller -> ACK sip:1000@10.9.9.9 (2)
        0010.500     event: Confirmed LegId(1) sdp false
        0010.500 caller -> UPDATE sip:1000@10.9.9.9 (3) +sdp
        0010.500     event: Reoffered LegId(1) sdp true
        0010.500 engine: AcceptReoffer
        0010.500     caller <- 200 OK (3 UPDATE) +sdp
        0010.500 caller -> UPDATE sip:1000@10.9.9.9 (4)
        0010.500     caller <- 200 OK (4 UPDATE)
        0010.500 engine: Hangup
        0010.500     10.0.0.1:5080 <- BYE sip:moved@10.0.0.1:5080 (1)
        0010.500 10.0.0.1:5080 -> 200 OK (1 BYE)
        0010.500     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
}

#[test]
fn their_reinvite_is_refused_or_cancelled_and_the_call_goes_on() {
    let mut world = World::new();
    let mut caller = call_up(&mut world);
    let leg = world.leg();
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    world.command(Command::RejectReoffer { leg, status: 488 });
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    let cancel = caller.same("CANCEL", "", "");
    world.receive(caller.address, &cancel);
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    world.command(Command::AcceptReoffer {
        leg,
        sdp: SDP.into(),
    });
    end_by_peer(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (2) +sdp
        0000.000     caller <- 100 Trying (2 INVITE)
        0000.000     event: Reoffered LegId(1) sdp true
        0000.000 engine: RejectReoffer
        0000.000     caller <- 488 Not Acceptable Here (2 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (2)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (3) +sdp
        0000.000     caller <- 100 Trying (3 INVITE)
        0000.000     event: Reoffered LegId(1) sdp true
        0000.000 caller -> CANCEL sip:1000@10.9.9.9 (3)
        0000.000     caller <- 200 OK (3 CANCEL)
        0000.000     caller <- 487 Request Terminated (3 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (3)
        0000.000 engine: AcceptReoffer
        0000.000 caller -> BYE sip:1000@10.9.9.9 (4)
        0000.000     caller <- 200 OK (4 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&world.end());
}

#[test]
fn our_reinvite_is_answered_and_refused() {
    let mut world = World::new();
    let (leg, mut phone) = far_up(&mut world);
    reinvite(&mut world, leg);
    reinvite(&mut world, leg);
    let first = world.last(FAR).clone();
    let ok = respond(&first, "200 OK", "far", CONTACT, true);
    world.receive(FAR, &ok);
    world.receive(FAR, &ok);
    let second = world.last_request(FAR, "INVITE");
    world.receive(FAR, &respond(&second, "488 Not Here", "far", "", false));
    end_by_peer(&mut world, &mut phone);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Reinvite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (2) +sdp
        0000.000 engine: Reinvite
        0000.000 far -> 200 OK (2 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (2)
        0000.000     event: ReofferAccepted LegId(1) sdp true
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (3) +sdp
        0000.000 far -> 200 OK (2 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (2)
        0000.000 far -> 488 Not Here (3 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (3)
        0000.000     event: ReofferRejected { leg: LegId(1), status: 488 }
        0000.000 far -> BYE sip:cordboard@10.9.9.9:5060 (101)
        0000.000     far <- 200 OK (101 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn offers_cross_and_ours_is_tried_again() {
    let mut world = World::new();
    let (leg, mut phone) = far_up(&mut world);
    reinvite(&mut world, leg);
    let ours = world.last(FAR).clone();
    let theirs = phone.invite();
    world.receive(FAR, &theirs);
    let ack = phone.same("ACK", "", "");
    world.receive(FAR, &ack);
    world.receive(
        FAR,
        &respond(&ours, "491 Request Pending", "far", "", false),
    );
    world.pass(4.1);
    let again = world.last_request(FAR, "INVITE");
    world.receive(FAR, &respond(&again, "200 OK", "far", CONTACT, true));
    end_by_peer(&mut world, &mut phone);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Reinvite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (2) +sdp
        0000.000 far -> INVITE sip:cordboard@10.9.9.9:5060 (101) +sdp
        0000.000     far <- 491 Request Pending (101 INVITE)
        0000.000 far -> ACK sip:cordboard@10.9.9.9:5060 (101)
        0000.000 far -> 491 Request Pending (2 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (2)
        0003.550     far <- INVITE sip:agent@10.0.0.2:5060 (3) +sdp
        0004.050     far <- INVITE sip:agent@10.0.0.2:5060 (3) +sdp
        0004.100 far -> 200 OK (3 INVITE) +sdp
        0004.100     far <- ACK sip:agent@10.0.0.2:5060 (3)
        0004.100     event: ReofferAccepted LegId(1) sdp true
        0004.100 far -> BYE sip:cordboard@10.9.9.9:5060 (102)
        0004.100     far <- 200 OK (102 BYE)
        0004.100     event: Gone { leg: LegId(1), cause: Bye }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_dialog_that_the_far_side_has_forgotten_is_lost() {
    let mut world = World::new();
    let (leg, _) = far_up(&mut world);
    reinvite(&mut world, leg);
    let invite = world.last(FAR).clone();
    world.receive(FAR, &respond(&invite, "481 Unknown", "far", "", false));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Reinvite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (2) +sdp
        0000.000 far -> 481 Unknown (2 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (2)
        0000.000     event: Gone { leg: LegId(1), cause: Lost }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_dialog_that_does_not_respond_is_lost() {
    let mut world = World::new();
    let (leg, _) = far_up(&mut world);
    world.digits(leg, "5");
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Digits
        0000.000     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0000.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0001.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0003.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0007.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0011.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0015.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0019.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0023.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0027.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0031.500     far <- INFO sip:agent@10.0.0.2:5060 (2)
        0032.000     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0032.000     event: Gone { leg: LegId(1), cause: Lost }
        0032.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0033.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0035.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0039.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0043.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0047.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0051.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0055.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0059.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
        0063.500     far <- BYE sip:agent@10.0.0.2:5060 (3) Reason: SIP;cause=408;text="No response"
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn requests_out_of_order_unknown_and_unwanted() {
    let mut world = World::new();
    let mut caller = call_up(&mut world);
    let leg = world.leg();
    let info = caller.request(
        "INFO",
        "Content-Type: application/dtmf-relay\r\n",
        "Signal=5\r\n",
    );
    world.receive(caller.address, &info);
    caller.cseq -= 2;
    let late = caller.request(
        "INFO",
        "Content-Type: application/dtmf-relay\r\n",
        "Signal=6\r\n",
    );
    world.receive(caller.address, &late);
    caller.cseq += 1;
    for method in ["OPTIONS", "REFER", "PRACK", "FOO"] {
        let text = caller.request(method, "", "");
        world.receive(caller.address, &text);
    }
    let needs = caller.request("INVITE", "Require: gruu\r\n", SDP);
    world.receive(caller.address, &needs);
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    let odd = caller.request("INVITE", "Content-Type: text/plain\r\n", "hello");
    world.receive(caller.address, &odd);
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    world.digits(leg, "5");
    let sent = world.last(caller.address).clone();
    world.receive(caller.address, &respond(&sent, "200 OK", "", "", false));
    end_by_peer(&mut world, &mut caller);
    let mut nobody = Phone::new("10.0.0.1:5060", "bob", "sip:1000@10.9.9.9");
    nobody.to_tag = "none".into();
    end_by_peer(&mut world, &mut nobody);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> INFO sip:1000@10.9.9.9 (2)
        0000.000     caller <- 200 OK (2 INFO)
        0000.000     event: Digit LegId(1) 5 160 ms
        0000.000 caller -> INFO sip:1000@10.9.9.9 (1)
        0000.000     event: Counted { what: "cseq_order" }
        0000.000     caller <- 500 Server Internal Error (1 INFO)
        0000.000 caller -> OPTIONS sip:1000@10.9.9.9 (3)
        0000.000     caller <- 200 OK (3 OPTIONS)
        0000.000 caller -> REFER sip:1000@10.9.9.9 (4)
        0000.000     event: Counted { what: "refer" }
        0000.000     caller <- 400 Bad Request (4 REFER)
        0000.000 caller -> PRACK sip:1000@10.9.9.9 (5)
        0000.000     event: Counted { what: "stray_prack" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (5 PRACK)
        0000.000 caller -> FOO sip:1000@10.9.9.9 (6)
        0000.000     caller <- 501 Not Implemented (6 FOO) Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REGISTER, REFER, NOTIFY
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (7) +sdp
        0000.000     caller <- 420 Bad Extension (7 INVITE) Unsupported: gruu
        0000.000 caller -> ACK sip:1000@10.9.9.9 (7)
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (8)
        0000.000     caller <- 415 Unsupported Media Type (8 INVITE)
        0000.000 caller -> ACK sip:1000@10.9.9.9 (8)
        0000.000 engine: Digits
        0000.000     caller <- INFO sip:alice@10.0.0.1:5060 (1)
        0000.000 caller -> 200 OK (1 INFO)
        0000.000 caller -> BYE sip:1000@10.9.9.9 (9)
        0000.000     caller <- 200 OK (9 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
        0000.000 caller -> BYE sip:1000@10.9.9.9 (1)
        0000.000     event: Counted { what: "no_dialog" }
        0000.000     caller <- 481 Call/Transaction Does Not Exist (1 BYE)
    "#]].assert_eq(&world.end());
}

#[test]
fn a_second_offer_before_the_answer_to_the_first() {
    let mut world = World::new();
    let mut caller = call_up(&mut world);
    let first = caller.invite();
    world.receive(caller.address, &first);
    let second = caller.request("UPDATE", "", SDP);
    world.receive(caller.address, &second);
    end_by_peer(&mut world, &mut caller);
    caller.branch = "z9hG4bK-alice-3".into();
    caller.cseq = 2;
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (2) +sdp
        0000.000     caller <- 100 Trying (2 INVITE)
        0000.000     event: Reoffered LegId(1) sdp true
        0000.000 caller -> UPDATE sip:1000@10.9.9.9 (3) +sdp
        0000.000     caller <- 500 Server Internal Error (3 UPDATE) Retry-After: 6
        0000.000 caller -> BYE sip:1000@10.9.9.9 (4)
        0000.000     caller <- 200 OK (4 BYE)
        0000.000     caller <- 487 Request Terminated (2 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
        0000.000 caller -> ACK sip:1000@10.9.9.9 (2)
    "#]].assert_eq(&world.end());
}

#[test]
fn record_routes_are_followed() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let routes = "Record-Route: <sip:10.0.0.2;lr>, <sip:10.0.0.7;lr>\r\n";
    let invite = caller.request("INVITE", routes, SDP);
    world.receive(caller.address, &invite);
    world.answer();
    caller.learn(&world.last(caller.address).clone());
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    let leg = world.leg();
    world.hangup(leg);
    let bye = world.last(FAR).clone();
    let routes: Vec<&str> = bye.values(sip::message::HeaderName::Route).collect();
    assert_eq!(routes, ["<sip:10.0.0.2;lr>", "<sip:10.0.0.7;lr>"]);
    world.receive(FAR, &respond(&bye, "200 OK", "", "", false));
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 engine: Hangup
        0000.000     far <- BYE sip:alice@10.0.0.1:5060 (1)
        0000.000 far -> 200 OK (1 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]].assert_eq(&world.end());
}

#[test]
fn keys_by_info_and_bodies_that_are_none() {
    let mut world = World::new();
    let mut caller = call_up(&mut world);
    let leg = world.leg();
    world.forget();
    world.shown = vec!["Accept", "Recv-Info", "Content-Type"];
    for (headers, body) in [
        ("Content-Type: application/dtmf\r\n", "*"),
        ("Content-Type: application/dtmf\r\n", "star"),
        ("Content-Type: text/plain\r\n", "1"),
        (
            "Info-Package: dtmf\r\nContent-Type: application/dtmf\r\n",
            "1",
        ),
    ] {
        let text = caller.request("INFO", headers, body);
        world.receive(caller.address, &text);
    }
    // Ours go one at a time, and not on to who refuses them.
    world.digits(leg, "12");
    world.digits(leg, "3");
    for status in ["200 OK", "415 Unsupported Media Type"] {
        let sent = world.last_request(caller.address, "INFO");
        world.receive(caller.address, &respond(&sent, status, "", "", false));
    }
    world.digits(leg, "4");
    let sent = world.last_request(caller.address, "INFO");
    world.receive(caller.address, &respond(&sent, "200 OK", "", "", false));
    end_by_peer(&mut world, &mut caller);
    expect![[r#"
        0000.000 caller -> INFO sip:1000@10.9.9.9 (2) Content-Type: application/dtmf
        0000.000     caller <- 200 OK (2 INFO)
        0000.000     event: Digit LegId(1) * 160 ms
        0000.000 caller -> INFO sip:1000@10.9.9.9 (3) Content-Type: application/dtmf
        0000.000     event: Counted { what: "info_body" }
        0000.000     caller <- 400 Bad Request (3 INFO)
        0000.000 caller -> INFO sip:1000@10.9.9.9 (4) Content-Type: text/plain
        0000.000     event: Counted { what: "info_type" }
        0000.000     caller <- 415 Unsupported Media Type (4 INFO) Accept: application/dtmf-relay, application/dtmf
        0000.000 caller -> INFO sip:1000@10.9.9.9 (5) Content-Type: application/dtmf
        0000.000     caller <- 469 Bad Info Package (5 INFO) Recv-Info: nil
        0000.000 engine: Digits
        0000.000     caller <- INFO sip:alice@10.0.0.1:5060 (1) Content-Type: application/dtmf-relay
        0000.000 engine: Digits
        0000.000 caller -> 200 OK (1 INFO)
        0000.000     caller <- INFO sip:alice@10.0.0.1:5060 (2) Content-Type: application/dtmf-relay
        0000.000 caller -> 415 Unsupported Media Type (2 INFO)
        0000.000     event: Counted { what: "info_refused" }
        0000.000 engine: Digits
        0000.000     caller <- INFO sip:alice@10.0.0.1:5060 (3) Content-Type: application/dtmf-relay
        0000.000 caller -> 200 OK (3 INFO)
        0000.000 caller -> BYE sip:1000@10.9.9.9 (6)
        0000.000     caller <- 200 OK (6 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
    "#]].assert_eq(&world.end());
}
