//! Credentials in dialogs with a carrier: every request of ours is answered for where we called, none where we were called (ES2021-05),
//! and the ACK says what its INVITE said (RFC 3261 section 22.1).
#![allow(clippy::unwrap_used)]

mod world;

use std::sync::Arc;

use expect_test::expect;
use sip::message::{Builder, HeaderName, Message};
use sip::{Account, Carrier, Command, Config, Input, LegId, Secret, Target, Through, Trunk};
use world::{Phone, SDP, World, config};

const CARRIER: &str = "198.51.100.1:5060";

fn world() -> World {
    let trunk = Trunk {
        name: "one".into(),
        addresses: vec!["198.51.100.1".parse().unwrap()],
        max_calls: 2,
        carrier: Some(Carrier {
            domain: "one.example".into(),
            next_hop: format!("sip:{CARRIER}"),
            account: Some(Account {
                username: "us".into(),
                password: Secret("secret".into()),
                realm: "one.example".into(),
            }),
            ..Carrier::default()
        }),
        ..Trunk::default()
    };
    let mut world = World::with(Config {
        trunks: vec![trunk],
        ..config()
    });
    let config = Input::Configure(Arc::new(world.config.clone()));
    world.input("start", config);
    world
}

fn call(world: &mut World) -> LegId {
    let way = Through {
        trunk: "one".into(),
        number: "+4930123456".into(),
        caller: "+861065529988".into(),
        rank: 0,
        weight: 1,
        urgent: false,
    };
    world.call_target(Target::Trunks([way].into()))
}

/// Challenges the last request of this method, each time with another nonce.
fn challenge(world: &mut World, method: &str, nonce: &str) {
    let value = format!("Digest realm=\"one.example\", nonce=\"{nonce}\", qop=\"auth\"");
    respond(world, method, 407, &[("Proxy-Authenticate", &value)], "");
}

fn respond(world: &mut World, method: &str, status: u16, headers: &[(&str, &str)], body: &str) {
    let request = world.last_request(CARRIER, method);
    let tag = (status > 100).then_some("far");
    let mut builder = Builder::response_to(&request, status, "Said", tag);
    for (name, value) in headers {
        builder = builder.raw_header(name, value);
    }
    if status < 300 {
        builder = builder
            .header(HeaderName::Contact, format_args!("<sip:far@{CARRIER}>"))
            .raw_header("Allow", "INVITE, ACK, BYE, UPDATE, INFO, REFER, PRACK");
    }
    if !body.is_empty() {
        builder = builder.body("application/sdp", body.as_bytes());
    }
    let text = String::from_utf8(builder.finish().to_vec()).unwrap();
    world.receive(CARRIER, &text);
}

/// The credentials of each request that went out: for which nonce, in its how-many-th use.
fn signed(world: &World) -> String {
    let parts = |message: &Message| {
        let value = message.header(HeaderName::ProxyAuthorization)?.to_owned();
        let part = |name: &str| {
            let rest = value.split(&format!("{name}=")).nth(1)?;
            Some(rest.split(',').next()?.trim_matches('"').to_owned())
        };
        Some(format!("{} {}", part(" nonce")?, part(" nc")?))
    };
    let requests = world
        .sent
        .iter()
        .filter(|(_, message)| message.is_request());
    let lines = requests.map(|(_, message)| {
        let (number, method) = message.cseq().unwrap();
        let signed = parts(message).unwrap_or_else(|| "none".into());
        format!("{number} {method}: {signed}\n")
    });
    lines.collect()
}

#[test]
fn each_request_of_a_call_of_ours_is_answered_for() {
    let mut world = world();
    let leg = call(&mut world);
    challenge(&mut world, "INVITE", "a");
    respond(
        &mut world,
        "INVITE",
        183,
        &[("Require", "100rel"), ("RSeq", "1")],
        SDP,
    );
    challenge(&mut world, "PRACK", "b");
    respond(&mut world, "PRACK", 200, &[], "");
    world.command(Command::Reinvite {
        leg,
        sdp: SDP.into(),
    });
    challenge(&mut world, "UPDATE", "c");
    respond(&mut world, "UPDATE", 200, &[], SDP);
    respond(&mut world, "INVITE", 200, &[], "");
    world.command(Command::Reinvite {
        leg,
        sdp: SDP.into(),
    });
    challenge(&mut world, "INVITE", "d");
    respond(&mut world, "INVITE", 200, &[], SDP);
    world.digits(leg, "1");
    challenge(&mut world, "INFO", "e");
    respond(&mut world, "INFO", 200, &[], "");
    world.command(Command::Refer {
        leg,
        to: "<sip:+49301@one.example>".into(),
        headers: vec![],
    });
    challenge(&mut world, "REFER", "f");
    respond(&mut world, "REFER", 202, &[], "");
    world.hangup(leg);
    challenge(&mut world, "BYE", "g");
    respond(&mut world, "BYE", 200, &[], "");
    expect![[r#"
        1 INVITE: none
        1 ACK: none
        2 INVITE: a 00000001
        3 PRACK: a 00000002
        4 PRACK: b 00000001
        5 UPDATE: b 00000002
        6 UPDATE: c 00000001
        2 ACK: a 00000001
        7 INVITE: c 00000002
        7 ACK: c 00000002
        8 INVITE: d 00000001
        8 ACK: d 00000001
        9 INFO: d 00000002
        10 INFO: e 00000001
        11 REFER: e 00000002
        12 REFER: f 00000001
        13 BYE: f 00000002
        14 BYE: g 00000001
    "#]]
    .assert_eq(&signed(&world));
    expect![[r#"
        0000.000 start
        0000.000 engine: Invite
        0000.000     first <- INVITE sip:+4930123456@one.example (1) +sdp
        0000.000 first -> 407 Said (1 INVITE)
        0000.000     first <- ACK sip:+4930123456@one.example (1)
        0000.000     first <- INVITE sip:+4930123456@one.example (2) +sdp
        0000.000 first -> 183 Said (2 INVITE) +sdp
        0000.000     first <- PRACK sip:far@198.51.100.1:5060 (3)
        0000.000     event: Ringing LegId(1) 183 sdp true
        0000.000 first -> 407 Said (3 PRACK)
        0000.000     first <- PRACK sip:far@198.51.100.1:5060 (4)
        0000.000 first -> 200 Said (4 PRACK)
        0000.000 engine: Reinvite
        0000.000     first <- UPDATE sip:far@198.51.100.1:5060 (5) +sdp
        0000.000 first -> 407 Said (5 UPDATE)
        0000.000     first <- UPDATE sip:far@198.51.100.1:5060 (6) +sdp
        0000.000 first -> 200 Said (6 UPDATE) +sdp
        0000.000     event: ReofferAccepted LegId(1) sdp true
        0000.000 first -> 200 Said (2 INVITE)
        0000.000     first <- ACK sip:far@198.51.100.1:5060 (2)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Reinvite
        0000.000     first <- INVITE sip:far@198.51.100.1:5060 (7) +sdp
        0000.000 first -> 407 Said (7 INVITE)
        0000.000     first <- ACK sip:far@198.51.100.1:5060 (7)
        0000.000     first <- INVITE sip:far@198.51.100.1:5060 (8) +sdp
        0000.000 first -> 200 Said (8 INVITE) +sdp
        0000.000     first <- ACK sip:far@198.51.100.1:5060 (8)
        0000.000     event: ReofferAccepted LegId(1) sdp true
        0000.000 engine: Digits
        0000.000     first <- INFO sip:far@198.51.100.1:5060 (9)
        0000.000 first -> 407 Said (9 INFO)
        0000.000     first <- INFO sip:far@198.51.100.1:5060 (10)
        0000.000 first -> 200 Said (10 INFO)
        0000.000 engine: Refer
        0000.000     first <- REFER sip:far@198.51.100.1:5060 (11)
        0000.000 first -> 407 Said (11 REFER)
        0000.000     first <- REFER sip:far@198.51.100.1:5060 (12)
        0000.000 first -> 202 Said (12 REFER)
        0000.000     event: ReferAnswered { leg: LegId(1), status: 202 }
        0000.000 engine: Hangup
        0000.000     first <- BYE sip:far@198.51.100.1:5060 (13)
        0000.000 first -> 407 Said (13 BYE)
        0000.000     first <- BYE sip:far@198.51.100.1:5060 (14)
        0000.000 first -> 200 Said (14 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

/// The refresh of the session, by UPDATE and by re-INVITE.
#[test]
fn a_refresh_is_answered_for() {
    let mut world = world();
    let leg = call(&mut world);
    challenge(&mut world, "INVITE", "a");
    let timer = [
        ("Session-Expires", "600;refresher=uac"),
        ("Require", "timer"),
    ];
    respond(&mut world, "INVITE", 200, &timer, SDP);
    world.pass(300.0);
    challenge(&mut world, "UPDATE", "b");
    respond(&mut world, "UPDATE", 501, &[], "");
    challenge(&mut world, "INVITE", "c");
    respond(&mut world, "INVITE", 200, &timer, SDP);
    world.hangup(leg);
    respond(&mut world, "BYE", 200, &[], "");
    expect![[r#"
        1 INVITE: none
        1 ACK: none
        2 INVITE: a 00000001
        2 ACK: a 00000001
        3 UPDATE: a 00000002
        4 UPDATE: b 00000001
        5 INVITE: b 00000002
        5 ACK: b 00000002
        6 INVITE: c 00000001
        6 ACK: c 00000001
        7 BYE: c 00000002
    "#]]
    .assert_eq(&signed(&world));
    world.end();
}

#[test]
fn where_we_were_called_no_request_is_answered_for() {
    let mut world = world();
    // The account has a nonce to use, had it a reason.
    call(&mut world);
    challenge(&mut world, "INVITE", "a");
    respond(&mut world, "INVITE", 486, &[], "");
    world.pass(60.0);
    let mut caller = Phone::new(CARRIER, "caller", "sip:2000@10.9.9.9");
    let invite = caller.request("INVITE", "Allow: INVITE, UPDATE, INFO, REFER\r\n", SDP);
    world.receive(CARRIER, &invite);
    world.answer();
    caller.learn(&world.last(CARRIER).clone());
    world.receive(CARRIER, &caller.ack());
    let leg = world.leg();
    world.forget();
    world.command(Command::Reinvite {
        leg,
        sdp: SDP.into(),
    });
    challenge(&mut world, "INVITE", "b");
    world.digits(leg, "1");
    challenge(&mut world, "INFO", "c");
    world.command(Command::Refer {
        leg,
        to: "<sip:+49301@one.example>".into(),
        headers: vec![],
    });
    challenge(&mut world, "REFER", "d");
    world.pass(900.0);
    challenge(&mut world, "UPDATE", "e");
    world.hangup(leg);
    challenge(&mut world, "BYE", "f");
    let signed = signed(&world);
    assert!(
        signed.lines().all(|line| line.ends_with(": none")),
        "{signed}"
    );
    expect![[r#"
        0060.000 engine: Reinvite
        0060.000     first <- INVITE sip:caller@198.51.100.1:5060 (1) +sdp
        0060.000 first -> 407 Said (1 INVITE)
        0060.000     first <- ACK sip:caller@198.51.100.1:5060 (1)
        0060.000     event: Counted { what: "foreign_challenge" }
        0060.000     event: ReofferRejected { leg: LegId(3), status: 407 }
        0060.000 engine: Digits
        0060.000     first <- INFO sip:caller@198.51.100.1:5060 (2)
        0060.000 first -> 407 Said (2 INFO)
        0060.000     event: Counted { what: "foreign_challenge" }
        0060.000     event: Counted { what: "info_refused" }
        0060.000 engine: Refer
        0060.000     first <- REFER sip:caller@198.51.100.1:5060 (3)
        0060.000 first -> 407 Said (3 REFER)
        0060.000     event: Counted { what: "foreign_challenge" }
        0060.000     event: ReferAnswered { leg: LegId(3), status: 407 }
        0960.000     first <- UPDATE sip:caller@198.51.100.1:5060 (4)
        0960.000 first -> 407 Said (4 UPDATE)
        0960.000     event: Counted { what: "foreign_challenge" }
        0960.000 engine: Hangup
        0960.000     first <- BYE sip:caller@198.51.100.1:5060 (5)
        0960.000 first -> 407 Said (5 BYE)
        0960.000     event: Counted { what: "foreign_challenge" }
        0960.000     event: Gone { leg: LegId(3), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

/// Two forks answer: the ACK of the second is signed like the first's. And a refusal's ACK like its INVITE.
#[test]
fn every_ack_is_signed_like_its_invite() {
    let mut world = world();
    let leg = call(&mut world);
    challenge(&mut world, "INVITE", "a");
    let invite = world.last_request(CARRIER, "INVITE");
    respond(&mut world, "INVITE", 200, &[], SDP);
    let other = world::respond(&invite, "200 OK", "other", "sip:far@198.51.100.1", true);
    world.receive(CARRIER, &other);
    respond(&mut world, "BYE", 200, &[], "");
    world.hangup(leg);
    respond(&mut world, "BYE", 200, &[], "");
    call(&mut world);
    respond(&mut world, "INVITE", 486, &[], "");
    expect![[r#"
        1 INVITE: none
        1 ACK: none
        2 INVITE: a 00000001
        2 ACK: a 00000001
        2 ACK: a 00000001
        3 BYE: none
        3 BYE: a 00000002
        1 INVITE: a 00000003
        1 ACK: a 00000003
    "#]]
    .assert_eq(&signed(&world));
    world.end();
}
