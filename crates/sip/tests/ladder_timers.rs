//! Every timer of RFC 3261 section 17 (table 4), as changed by RFC 6026, at its exact instant: T1 is 500 ms, T2 4 s, T4 5 s.
//! A line without an arrow is a timer that fires.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::{Command, LegId};
use world::*;

const FAR: &str = "10.0.0.2:5060";
const CONTACT: &str = "sip:agent@10.0.0.2:5060";
const TCP: &str = "10.0.0.3:5060";
const BY_TCP: &str = "sip:agent@10.0.0.3:5060;transport=tcp";

fn timed() -> World {
    let mut world = World::new();
    world.timed = true;
    world
}

/// A call that comes from this address, up to our first provisional.
fn called(world: &mut World, from: &'static str) -> (Phone, LegId) {
    let mut caller = Phone::new(from, "alice", "sip:1000@10.9.9.9");
    let invite = caller.invite();
    world.receive(from, &invite);
    let leg = world.leg();
    (caller, leg)
}

/// The same, refused: that wants an ACK.
fn refused(world: &mut World, from: &'static str) -> Phone {
    let (caller, leg) = called(world, from);
    world.forget();
    world.command(Command::Reject {
        leg,
        status: 486,
        reason: None,
        headers: vec![],
    });
    caller
}

fn receive_last(world: &mut World, from: &str, method: &str, status: &str) {
    let request = world.last_request(from, method);
    let contact = if from == TCP { BY_TCP } else { CONTACT };
    world.receive(from, &respond(&request, status, "far", contact, false));
}

#[test]
fn a_doubles_without_a_bound_until_b() {
    let mut world = timed();
    world.call(CONTACT);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.500   timer A
        0000.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0001.500   timer A
        0001.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0003.500   timer A
        0003.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0007.500   timer A
        0007.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0015.500   timer A
        0015.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0031.500   timer A
        0031.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0032.000   timer B
        0032.000     event: Gone { leg: LegId(1), cause: NoResponse }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_and_b_end_with_a_provisional() {
    let mut world = timed();
    world.call(CONTACT);
    world.pass(1.6);
    receive_last(&mut world, FAR, "INVITE", "100 Trying");
    world.pass(60.0);
    receive_last(&mut world, FAR, "INVITE", "486 Busy Here");
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.500   timer A
        0000.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0001.500   timer A
        0001.500     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0001.600 far -> 100 Trying (1 INVITE)
        0001.600     event: Trying { leg: LegId(1) }
        0061.600 far -> 486 Busy Here (1 INVITE)
        0061.600     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0061.600     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0093.600   timer D
    "#]].assert_eq(&world.end());
}

#[test]
fn on_a_stream_there_is_no_a_and_b_is_the_same() {
    let mut world = timed();
    world.call(BY_TCP);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     tcp <- INVITE sip:agent@10.0.0.3:5060;transport=tcp (1) +sdp
        0032.000   timer B
        0032.000     event: Gone { leg: LegId(1), cause: NoResponse }
    "#]]
    .assert_eq(&world.end());
}

/// Timer C is the proxy's (section 16.6), and ours as long as somebody waits for the outcome: each provisional above 100 begins it anew.
#[test]
fn c_ends_a_call_that_nobody_speaks_of_any_more() {
    let mut world = timed();
    world.call(CONTACT);
    receive_last(&mut world, FAR, "INVITE", "180 Ringing");
    world.pass(180.0);
    receive_last(&mut world, FAR, "INVITE", "180 Ringing");
    world.pass(181.0);
    receive_last(&mut world, FAR, "CANCEL", "200 OK");
    receive_last(&mut world, FAR, "INVITE", "487 Request Terminated");
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 180 Ringing (1 INVITE)
        0000.000     event: Ringing LegId(1) 180 sdp false
        0180.000 far -> 180 Ringing (1 INVITE)
        0180.000     event: Ringing LegId(1) 180 sdp false
        0361.000   timer C
        0361.000     far <- CANCEL sip:agent@10.0.0.2:5060 (1)
        0361.000 far -> 200 OK (1 CANCEL)
        0361.000 far -> 487 Request Terminated (1 INVITE)
        0361.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0361.000     event: Gone { leg: LegId(1), cause: NoResponse }
        0366.000   timer K
        0393.000   timer D
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn d_acknowledges_a_refusal_that_comes_again_for_32_s() {
    let mut world = timed();
    world.call(CONTACT);
    receive_last(&mut world, FAR, "INVITE", "486 Busy Here");
    world.pass(31.999);
    receive_last(&mut world, FAR, "INVITE", "486 Busy Here");
    world.pass(0.001);
    receive_last(&mut world, FAR, "INVITE", "486 Busy Here");
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 486 Busy Here (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0031.999 far -> 486 Busy Here (1 INVITE)
        0031.999     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0032.000   timer D
        0032.000 far -> 486 Busy Here (1 INVITE)
        0032.000     event: Counted { what: "no_transaction" }
    "#]].assert_eq(&world.end());
}

/// At least 32 s even where T1 is shorter, since the other side's timer H is what it waits for.
#[test]
fn d_does_not_shrink_with_t1() {
    let mut config = config();
    config.t1 = std::time::Duration::from_millis(100);
    let mut world = World::with(config);
    world.timed = true;
    world.call(CONTACT);
    receive_last(&mut world, FAR, "INVITE", "486 Busy Here");
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 486 Busy Here (1 INVITE)
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0032.000   timer D
    "#]].assert_eq(&world.end());
}

#[test]
fn on_a_stream_d_is_nothing() {
    let mut world = timed();
    world.call(BY_TCP);
    receive_last(&mut world, TCP, "INVITE", "486 Busy Here");
    receive_last(&mut world, TCP, "INVITE", "486 Busy Here");
    expect![[r#"
        0000.000 engine: Invite
        0000.000     tcp <- INVITE sip:agent@10.0.0.3:5060;transport=tcp (1) +sdp
        0000.000 tcp -> 486 Busy Here (1 INVITE)
        0000.000     tcp <- ACK sip:agent@10.0.0.3:5060;transport=tcp (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0000.000 tcp -> 486 Busy Here (1 INVITE)
        0000.000     event: Counted { what: "no_transaction" }
    "#]].assert_eq(&world.end());
}

#[test]
fn e_doubles_up_to_t2_until_f() {
    let mut world = timed();
    let (leg, _) = far_up(&mut world);
    world.pass(40.0);
    world.forget();
    world.hangup(leg);
    expect![[r#"
        0040.000 engine: Hangup
        0040.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0040.500   timer E
        0040.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0041.500   timer E
        0041.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0043.500   timer E
        0043.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0047.500   timer E
        0047.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0051.500   timer E
        0051.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0055.500   timer E
        0055.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0059.500   timer E
        0059.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0063.500   timer E
        0063.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0067.500   timer E
        0067.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0071.500   timer E
        0071.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0072.000   timer F
        0072.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn e_is_t2_after_a_provisional_and_f_stays() {
    let mut world = timed();
    let (leg, _) = far_up(&mut world);
    world.pass(40.0);
    world.forget();
    world.hangup(leg);
    world.pass(0.6);
    receive_last(&mut world, FAR, "BYE", "100 Trying");
    expect![[r#"
        0040.000 engine: Hangup
        0040.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0040.500   timer E
        0040.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0040.600 far -> 100 Trying (2 BYE)
        0041.500   timer E
        0041.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0045.500   timer E
        0045.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0049.500   timer E
        0049.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0053.500   timer E
        0053.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0057.500   timer E
        0057.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0061.500   timer E
        0061.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0065.500   timer E
        0065.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0069.500   timer E
        0069.500     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0072.000   timer F
        0072.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn g_doubles_up_to_t2_until_h() {
    let mut world = timed();
    refused(&mut world, "10.0.0.1:5060");
    expect![[r#"
        0000.000 engine: Reject
        0000.000     caller <- 486 Busy Here (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.500   timer G
        0000.500     caller <- 486 Busy Here (1 INVITE)
        0001.500   timer G
        0001.500     caller <- 486 Busy Here (1 INVITE)
        0003.500   timer G
        0003.500     caller <- 486 Busy Here (1 INVITE)
        0007.500   timer G
        0007.500     caller <- 486 Busy Here (1 INVITE)
        0011.500   timer G
        0011.500     caller <- 486 Busy Here (1 INVITE)
        0015.500   timer G
        0015.500     caller <- 486 Busy Here (1 INVITE)
        0019.500   timer G
        0019.500     caller <- 486 Busy Here (1 INVITE)
        0023.500   timer G
        0023.500     caller <- 486 Busy Here (1 INVITE)
        0027.500   timer G
        0027.500     caller <- 486 Busy Here (1 INVITE)
        0031.500   timer G
        0031.500     caller <- 486 Busy Here (1 INVITE)
        0032.000   timer H
        0032.000     event: Counted { what: "no_ack" }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn on_a_stream_there_is_no_g_and_h_is_the_same() {
    let mut world = timed();
    refused(&mut world, TCP);
    expect![[r#"
        0000.000 engine: Reject
        0000.000     tcp <- 486 Busy Here (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0032.000   timer H
        0032.000     event: Counted { what: "no_ack" }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn i_absorbs_acks_for_t4() {
    let mut world = timed();
    let caller = refused(&mut world, "10.0.0.1:5060");
    let ack = caller.same("ACK", "", "");
    world.pass(0.6);
    world.receive(caller.address, &ack);
    world.pass(4.999);
    world.receive(caller.address, &ack);
    world.pass(0.001);
    world.receive(caller.address, &ack);
    expect![[r#"
        0000.000 engine: Reject
        0000.000     caller <- 486 Busy Here (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.500   timer G
        0000.500     caller <- 486 Busy Here (1 INVITE)
        0000.600 caller -> ACK sip:1000@10.9.9.9 (1)
        0005.599 caller -> ACK sip:1000@10.9.9.9 (1)
        0005.600   timer I
        0005.600 caller -> ACK sip:1000@10.9.9.9 (1)
        0005.600     event: Counted { what: "no_transaction" }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn on_a_stream_i_is_nothing() {
    let mut world = timed();
    let caller = refused(&mut world, TCP);
    let ack = caller.same("ACK", "", "");
    world.receive(caller.address, &ack);
    world.receive(caller.address, &ack);
    expect![[r#"
        0000.000 engine: Reject
        0000.000     tcp <- 486 Busy Here (1 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 tcp -> ACK sip:1000@10.9.9.9 (1)
        0000.000 tcp -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Counted { what: "no_transaction" }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn j_repeats_the_answer_for_64_t1() {
    let mut world = timed();
    let mut caller = call_up(&mut world);
    world.pass(40.0);
    world.forget();
    let bye = caller.request("BYE", "", "");
    world.receive(caller.address, &bye);
    world.pass(31.999);
    world.receive(caller.address, &bye);
    world.pass(0.001);
    world.receive(caller.address, &bye);
    expect![[r#"
        0040.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0040.000     caller <- 200 OK (2 BYE)
        0040.000     event: Gone { leg: LegId(1), cause: Bye }
        0071.999 caller -> BYE sip:1000@10.9.9.9 (2)
        0071.999     caller <- 200 OK (2 BYE)
        0072.000   timer J
        0072.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0072.000     event: Counted { what: "no_dialog" }
        0072.000     caller <- 481 Call/Transaction Does Not Exist (2 BYE)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn k_absorbs_answers_for_t4() {
    let mut world = timed();
    let (leg, _) = far_up(&mut world);
    world.pass(40.0);
    world.forget();
    world.hangup(leg);
    receive_last(&mut world, FAR, "BYE", "200 OK");
    world.pass(4.999);
    receive_last(&mut world, FAR, "BYE", "200 OK");
    world.pass(0.001);
    receive_last(&mut world, FAR, "BYE", "200 OK");
    expect![[r#"
        0040.000 engine: Hangup
        0040.000     far <- BYE sip:agent@10.0.0.2:5060 (2)
        0040.000 far -> 200 OK (2 BYE)
        0040.000     event: Gone { leg: LegId(1), cause: HungUp }
        0044.999 far -> 200 OK (2 BYE)
        0045.000   timer K
        0045.000 far -> 200 OK (2 BYE)
        0045.000     event: Counted { what: "no_transaction" }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn on_a_stream_j_and_k_are_nothing() {
    let mut world = timed();
    let (mut caller, leg) = called(&mut world, TCP);
    world.answer();
    caller.learn(&world.last(TCP).clone());
    let ack = caller.ack();
    world.receive(TCP, &ack);
    world.pass(40.0);
    world.forget();
    let options = caller.request("OPTIONS", "", "");
    world.receive(TCP, &options);
    world.hangup(leg);
    receive_last(&mut world, TCP, "BYE", "200 OK");
    expect![[r#"
        0040.000 tcp -> OPTIONS sip:1000@10.9.9.9 (2)
        0040.000     tcp <- 200 OK (2 OPTIONS)
        0040.000 engine: Hangup
        0040.000     tcp <- BYE sip:alice@10.0.0.3:5060 (1)
        0040.000 tcp -> 200 OK (1 BYE)
        0040.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

/// RFC 6026 section 7.1: an INVITE that comes again after our 2xx makes no second call. The 2xx itself is the dialog's to repeat.
#[test]
fn l_absorbs_invites_for_64_t1() {
    let mut world = timed();
    let (mut caller, leg) = called(&mut world, "10.0.0.1:5060");
    let invite = caller.same("INVITE", "", SDP);
    world.forget();
    world.answer_leg(leg);
    world.receive(caller.address, &invite);
    caller.learn(&world.last(caller.address).clone());
    let ack = caller.ack();
    world.pass(1.0);
    world.receive(caller.address, &ack);
    world.pass(30.999);
    world.receive(caller.address, &invite);
    world.pass(0.001);
    let bye = caller.request("BYE", "", "");
    world.receive(caller.address, &bye);
    expect![[r#"
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.500   2xx repeat
        0000.500     caller <- 200 OK (1 INVITE) +sdp
        0001.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0001.000     event: Confirmed LegId(1) sdp false
        0031.999 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0032.000   timer L
        0032.000 caller -> BYE sip:1000@10.9.9.9 (2)
        0032.000     caller <- 200 OK (2 BYE)
        0032.000     event: Gone { leg: LegId(1), cause: Bye }
        0064.000   timer J
    "#]]
    .assert_eq(&world.end());
}

/// RFC 6026 section 7.2: a 2xx that comes again is acknowledged again, as its ACK may be lost.
#[test]
fn m_hears_of_answers_for_64_t1() {
    let mut world = timed();
    let (_, mut phone) = far_up(&mut world);
    world.pass(31.999);
    receive_last(&mut world, FAR, "INVITE", "200 OK");
    world.pass(0.001);
    receive_last(&mut world, FAR, "INVITE", "200 OK");
    let bye = phone.request("BYE", "", "");
    world.receive(FAR, &bye);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0000.000     event: Answered LegId(1) sdp true
        0031.999 far -> 200 OK (1 INVITE)
        0031.999     far <- ACK sip:agent@10.0.0.2:5060 (1)
        0032.000   timer M
        0032.000 far -> 200 OK (1 INVITE)
        0032.000     event: Counted { what: "no_transaction" }
        0032.000 far -> BYE sip:cordboard@10.9.9.9:5060 (101)
        0032.000     far <- 200 OK (101 BYE)
        0032.000     event: Gone { leg: LegId(1), cause: Bye }
        0064.000   timer J
    "#]]
    .assert_eq(&world.end());
}

/// The 2xx is repeated on streams as well, since a proxy on the way may speak UDP (section 13.3.1.4): L and M are no shorter there.
#[test]
fn on_a_stream_l_and_m_are_the_same() {
    let mut world = timed();
    let (mut caller, leg) = called(&mut world, TCP);
    world.forget();
    world.answer_leg(leg);
    caller.learn(&world.last(TCP).clone());
    world.pass(0.6);
    let ack = caller.ack();
    world.receive(TCP, &ack);
    let ours = world.call(BY_TCP);
    receive_last(&mut world, TCP, "INVITE", "200 OK");
    world.pass(40.0);
    for leg in [leg, ours] {
        world.hangup(leg);
        receive_last(&mut world, TCP, "BYE", "200 OK");
    }
    expect![[r#"
        0000.000 engine: Answer
        0000.000     tcp <- 200 OK (1 INVITE) +sdp
        0000.500   2xx repeat
        0000.500     tcp <- 200 OK (1 INVITE) +sdp
        0000.600 tcp -> ACK sip:1000@10.9.9.9 (1)
        0000.600     event: Confirmed LegId(1) sdp false
        0000.600 engine: Invite
        0000.600     tcp <- INVITE sip:agent@10.0.0.3:5060;transport=tcp (1) +sdp
        0000.600 tcp -> 200 OK (1 INVITE)
        0000.600     tcp <- ACK sip:agent@10.0.0.3:5060;transport=tcp (1)
        0000.600     event: Answered LegId(2) sdp false
        0032.000   timer L
        0032.600   timer M
        0040.600 engine: Hangup
        0040.600     tcp <- BYE sip:alice@10.0.0.3:5060 (1)
        0040.600 tcp -> 200 OK (1 BYE)
        0040.600     event: Gone { leg: LegId(1), cause: HungUp }
        0040.600 engine: Hangup
        0040.600     tcp <- BYE sip:agent@10.0.0.3:5060;transport=tcp (2)
        0040.600 tcp -> 200 OK (2 BYE)
        0040.600     event: Gone { leg: LegId(2), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}
