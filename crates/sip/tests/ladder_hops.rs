//! Where our requests go: names and their servers (RFC 3263), requests too large for a datagram (RFC 3261 section 18.1.1), connections that
//! serve both ways (RFC 5923), callers known by a certificate.

mod world;

use std::time::Duration;

use expect_test::expect;
use sip::locate::{Answer, Kind, Naptr, Question, Records, Srv};
use sip::{Command, Config, FlowId, Input, Invite, LegId, Listener, Peer, Target, Transport};
use world::{Phone, SDP, World, config};

const TTL: Duration = Duration::from_secs(300);

fn question(kind: Kind, name: &str) -> Question {
    Question {
        name: name.into(),
        kind,
    }
}

fn answer(world: &mut World, kind: Kind, name: &str, records: Option<Records>) {
    let answer = match records {
        Some(records) => Answer::Found { records, ttl: TTL },
        None => Answer::Nothing { ttl: TTL },
    };
    let text = format!("dns: {kind:?} {name}");
    let question = question(kind, name);
    world.input(&text, Input::Resolved { question, answer });
}

fn srv(priority: u16, port: u16, target: &str) -> Srv {
    Srv {
        priority,
        weight: 0,
        port,
        target: target.into(),
    }
}

fn address(world: &mut World, name: &str, ip: &str) {
    let addresses = vec![ip.parse().expect("an address")];
    answer(
        world,
        Kind::Addresses,
        name,
        Some(Records::Addresses(addresses)),
    );
}

/// Two servers of `carrier.example` by UDP.
fn carrier(world: &mut World) {
    answer(world, Kind::Naptr, "carrier.example", None);
    let records = vec![
        srv(20, 5060, "b.carrier.example"),
        srv(10, 5060, "a.carrier.example"),
    ];
    answer(
        world,
        Kind::Srv,
        "_sip._udp.carrier.example",
        Some(Records::Srv(records)),
    );
    address(world, "a.carrier.example", "10.0.0.2");
    address(world, "b.carrier.example", "10.0.0.1");
}

fn response(request: &sip::message::Message, status: &str) -> String {
    use sip::message::{Builder, HeaderName};
    let (code, reason) = status.split_once(' ').expect("a reason");
    let code = code.parse().expect("a status");
    let bytes = Builder::response_to(request, code, reason, Some("far"))
        .header(HeaderName::Contact, "<sip:far@10.0.0.2>")
        .finish();
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn a_name_is_asked_for_and_the_next_of_its_servers_answers_for_one_that_is_out_of_service() {
    let mut world = World::new();
    world.call("sip:+8613800138000@carrier.example");
    carrier(&mut world);
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    world.receive(
        "10.0.0.2:5060",
        &response(&invite, "503 Service Unavailable"),
    );
    let again = world.last_request("10.0.0.1:5060", "INVITE");
    assert_eq!(again.call_id(), invite.call_id());
    assert_eq!(again.from_raw(), invite.from_raw());
    assert_ne!(
        again.top_via().expect("a Via").branch(),
        invite.top_via().expect("a Via").branch()
    );
    world.receive("10.0.0.1:5060", &response(&again, "486 Busy Here"));
    // The second call knows all of it, and which server had failed.
    world.pass(40.0);
    world.call("sip:+8613800138000@carrier.example");
    let invite = world.last_request("10.0.0.1:5060", "INVITE");
    world.receive("10.0.0.1:5060", &response(&invite, "486 Busy Here"));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     edge: Resolve Naptr carrier.example
        0000.000 dns: Naptr carrier.example
        0000.000     edge: Resolve Srv _sip._udp.carrier.example
        0000.000 dns: Srv _sip._udp.carrier.example
        0000.000     edge: Resolve Addresses a.carrier.example
        0000.000 dns: Addresses a.carrier.example
        0000.000     edge: Resolve Addresses b.carrier.example
        0000.000 dns: Addresses b.carrier.example
        0000.000     far <- INVITE sip:+8613800138000@carrier.example (1) +sdp
        0000.000 far -> 503 Service Unavailable (1 INVITE)
        0000.000     far <- ACK sip:+8613800138000@carrier.example (1)
        0000.000     event: Counted { what: "next_server" }
        0000.000     caller <- INVITE sip:+8613800138000@carrier.example (1) +sdp
        0000.000 caller -> 486 Busy Here (1 INVITE)
        0000.000     caller <- ACK sip:+8613800138000@carrier.example (1)
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0040.000 engine: Invite
        0040.000     caller <- INVITE sip:+8613800138000@carrier.example (1) +sdp
        0040.000 caller -> 486 Busy Here (1 INVITE)
        0040.000     caller <- ACK sip:+8613800138000@carrier.example (1)
        0040.000     event: Gone { leg: LegId(2), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

/// A server that lets a phone ring and then goes out of service has said nothing of the call: the next one is asked, in a dialog of its own.
/// It may lead to the same phone, so that it must not look like the INVITE that this has seen (section 8.2.2.2).
#[test]
fn after_an_early_dialog_the_next_server_begins_anew() {
    let mut world = World::new();
    world.shown = vec!["RAck", "To"];
    let leg = world.call("sip:1@carrier.example");
    carrier(&mut world);
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    world.forget();
    let early = world::respond(
        &invite,
        "183 Session Progress",
        "early",
        "sip:far@10.0.0.2",
        true,
    )
    .replace("Content-Type", "Require: 100rel\r\nRSeq: 7\r\nContent-Type");
    world.receive("10.0.0.2:5060", &early);
    world.receive(
        "10.0.0.2:5060",
        &response(&invite, "503 Service Unavailable"),
    );
    let again = world.last_request("10.0.0.1:5060", "INVITE");
    assert_eq!(again.request_uri_raw(), "sip:1@carrier.example");
    assert_eq!(again.call_id(), invite.call_id());
    let ringing = world::respond(&again, "180 Ringing", "late", "sip:far@10.0.0.1", false);
    world.receive("10.0.0.1:5060", &ringing);
    let answer = world::respond(&again, "200 OK", "late", "sip:far@10.0.0.1", true);
    world.receive("10.0.0.1:5060", &answer);
    // What the first server still says is of no call.
    world.receive("10.0.0.2:5060", &early);
    world.hangup(leg);
    let bye = world.last_request("10.0.0.1:5060", "BYE");
    world.receive("10.0.0.1:5060", &response(&bye, "200 OK"));
    expect![[r#"
        0000.000 far -> 183 Session Progress (1 INVITE) To: <sip:1@carrier.example>;tag=early +sdp
        0000.000     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0000.000     event: Ringing LegId(1) 183 sdp true
        0000.000 far -> 503 Service Unavailable (1 INVITE) To: <sip:1@carrier.example>;tag=far
        0000.000     far <- ACK sip:1@carrier.example (1) To: <sip:1@carrier.example>;tag=far
        0000.000     event: Counted { what: "next_server" }
        0000.000     caller <- INVITE sip:1@carrier.example (3) To: <sip:1@carrier.example> +sdp
        0000.000 caller -> 180 Ringing (3 INVITE) To: <sip:1@carrier.example>;tag=late
        0000.000     event: Ringing LegId(1) 180 sdp false
        0000.000 caller -> 200 OK (3 INVITE) To: <sip:1@carrier.example>;tag=late +sdp
        0000.000     caller <- ACK sip:far@10.0.0.1 (3) To: <sip:1@carrier.example>;tag=late
        0000.000     event: Answered LegId(1) sdp true
        0000.000 far -> 183 Session Progress (1 INVITE) To: <sip:1@carrier.example>;tag=early +sdp
        0000.000 engine: Hangup
        0000.000     caller <- BYE sip:far@10.0.0.1 (4) To: <sip:1@carrier.example>;tag=late
        0000.000 caller -> 200 OK (4 BYE) To: <sip:1@carrier.example>;tag=late
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0001.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0003.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0007.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0011.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0015.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0019.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0023.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0027.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
        0031.500     far <- PRACK sip:far@10.0.0.2 (2) RAck: 7 1 INVITE To: <sip:1@carrier.example>;tag=early
    "#]].assert_eq(&world.end());
}

/// A server that does not say a word has `try_for`, not all of timer B. Whatever it says after all is ended: it is a call that nobody waits for.
#[test]
fn a_silent_server_is_passed_over_long_before_timer_b_and_ended_when_it_speaks_up() {
    let mut world = World::new();
    let leg = world.call("sip:1@carrier.example");
    carrier(&mut world);
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    world.forget();
    world.pass(5.0);
    let again = world.last_request("10.0.0.1:5060", "INVITE");
    assert_eq!(again.call_id(), invite.call_id());
    let ringing = world::respond(&again, "180 Ringing", "b", "sip:far@10.0.0.1", false);
    world.receive("10.0.0.1:5060", &ringing);
    // The first was slow: it rings, is cancelled once, and answers all the same.
    let late = world::respond(&invite, "180 Ringing", "a", "sip:far@10.0.0.2", false);
    world.receive("10.0.0.2:5060", &late);
    world.receive("10.0.0.2:5060", &late);
    let cancel = world.last_request("10.0.0.2:5060", "CANCEL");
    world.receive("10.0.0.2:5060", &response(&cancel, "200 OK"));
    let late = world::respond(&invite, "200 OK", "a", "sip:far@10.0.0.2", true);
    world.receive("10.0.0.2:5060", &late);
    let bye = world.last_request("10.0.0.2:5060", "BYE");
    world.receive("10.0.0.2:5060", &response(&bye, "200 OK"));
    world.receive("10.0.0.2:5060", &late);
    let answer = world::respond(&again, "200 OK", "b", "sip:far@10.0.0.1", true);
    world.receive("10.0.0.1:5060", &answer);
    world.hangup(leg);
    let bye = world.last_request("10.0.0.1:5060", "BYE");
    world.receive("10.0.0.1:5060", &response(&bye, "200 OK"));
    expect![[r#"
        0000.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0001.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0003.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0004.000     event: Counted { what: "next_server" }
        0004.000     caller <- INVITE sip:1@carrier.example (2) +sdp
        0004.500     caller <- INVITE sip:1@carrier.example (2) +sdp
        0005.000 caller -> 180 Ringing (2 INVITE)
        0005.000     event: Ringing LegId(1) 180 sdp false
        0005.000 far -> 180 Ringing (1 INVITE)
        0005.000     far <- CANCEL sip:1@carrier.example (1)
        0005.000 far -> 180 Ringing (1 INVITE)
        0005.000 far -> 200 OK (1 CANCEL)
        0005.000 far -> 200 OK (1 INVITE) +sdp
        0005.000     far <- ACK sip:far@10.0.0.2 (1)
        0005.000     event: Counted { what: "stray_fork" }
        0005.000     far <- BYE sip:far@10.0.0.2 (2)
        0005.000 far -> 200 OK (2 BYE)
        0005.000 far -> 200 OK (1 INVITE) +sdp
        0005.000     far <- ACK sip:far@10.0.0.2 (1)
        0005.000 caller -> 200 OK (2 INVITE) +sdp
        0005.000     caller <- ACK sip:far@10.0.0.1 (2)
        0005.000     event: Answered LegId(1) sdp true
        0005.000 engine: Hangup
        0005.000     caller <- BYE sip:far@10.0.0.1 (3)
        0005.000 caller -> 200 OK (3 BYE)
        0005.000     event: Gone { leg: LegId(1), cause: HungUp }
    "#]]
    .assert_eq(&world.end());
}

/// Only where another one stands behind it: the last has all of timer B. One that has answered with a challenge is not silent, and has its time anew.
#[test]
fn the_last_server_has_all_of_timer_b_and_a_provisional_is_an_answer() {
    let mut world = World::new();
    world.timed = true;
    world.call("sip:1@carrier.example");
    carrier(&mut world);
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    world.forget();
    world.pass(3.9);
    world.receive("10.0.0.2:5060", &response(&invite, "100 Trying"));
    world.pass(5.0);
    world.receive("10.0.0.2:5060", &response(&invite, "486 Busy Here"));
    world.call("sip:1@carrier.example");
    world.pass(4.0);
    // The caller gives up: no further server is tried.
    let third = world.call("sip:1@carrier.example");
    world.pass(1.0);
    world.hangup(third);
    expect![[r#"
        0000.500   timer A
        0000.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0001.500   timer A
        0001.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0003.500   timer A
        0003.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0003.900 far -> 100 Trying (1 INVITE)
        0003.900     event: Trying { leg: LegId(1) }
        0008.900 far -> 486 Busy Here (1 INVITE)
        0008.900     far <- ACK sip:1@carrier.example (1)
        0008.900     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0008.900 engine: Invite
        0008.900     far <- INVITE sip:1@carrier.example (1) +sdp
        0009.400   timer A
        0009.400     far <- INVITE sip:1@carrier.example (1) +sdp
        0010.400   timer A
        0010.400     far <- INVITE sip:1@carrier.example (1) +sdp
        0012.400   timer A
        0012.400     far <- INVITE sip:1@carrier.example (1) +sdp
        0012.900   next server
        0012.900     event: Counted { what: "next_server" }
        0012.900     caller <- INVITE sip:1@carrier.example (2) +sdp
        0012.900 engine: Invite
        0012.900     caller <- INVITE sip:1@carrier.example (1) +sdp
        0013.400   timer A
        0013.400     caller <- INVITE sip:1@carrier.example (2) +sdp
        0013.400     caller <- INVITE sip:1@carrier.example (1) +sdp
        0013.900 engine: Hangup
        0014.400   timer A
        0014.400     caller <- INVITE sip:1@carrier.example (2) +sdp
        0014.400     caller <- INVITE sip:1@carrier.example (1) +sdp
        0016.400   timer A
        0016.400     caller <- INVITE sip:1@carrier.example (2) +sdp
        0016.400     caller <- INVITE sip:1@carrier.example (1) +sdp
        0016.900   next server
        0020.400   timer A
        0020.400     caller <- INVITE sip:1@carrier.example (2) +sdp
        0020.400     caller <- INVITE sip:1@carrier.example (1) +sdp
        0028.400   timer A
        0028.400     caller <- INVITE sip:1@carrier.example (2) +sdp
        0028.400     caller <- INVITE sip:1@carrier.example (1) +sdp
        0040.900   timer D
        0044.400   timer A
        0044.400     caller <- INVITE sip:1@carrier.example (2) +sdp
        0044.400     caller <- INVITE sip:1@carrier.example (1) +sdp
        0044.900   timer B
        0044.900     event: Gone { leg: LegId(2), cause: NoResponse }
        0044.900     event: Gone { leg: LegId(3), cause: HungUp }
    "#]].assert_eq(&world.end());
}

/// A name in the Contact of a dialog is asked for as soon as it is given; until it is known requests go to where the far end was heard from.
#[test]
fn names_in_a_contact_are_found_without_waiting_for_them() {
    let mut world = World::new();
    let mut caller = Phone::new("10.0.0.1:5060", "alice", "sip:1000@10.9.9.9");
    let invite = caller.request("INVITE", "Contact: <sip:alice@sbc.example:5070>\r\n", SDP);
    world.receive(caller.address, &invite);
    world.answer();
    caller.learn(&world.last(caller.address).clone());
    let ack = caller.ack();
    world.receive(caller.address, &ack);
    let leg = world.leg();
    world.digits(leg, "1");
    let info = world.last_request(caller.address, "INFO");
    world.receive(caller.address, &response(&info, "200 OK"));
    address(&mut world, "sbc.example", "10.0.0.2");
    // Known by now, for the next call as well.
    world.hangup(leg);
    let bye = world.last_request("10.0.0.2:5070", "BYE");
    world.receive("10.0.0.2:5070", &response(&bye, "200 OK"));
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    let answer = world::respond(&invite, "200 OK", "far", "sip:far@sbc.example:5070", true);
    world.receive("10.0.0.2:5060", &answer);
    world.hangup(leg);
    let bye = world.last_request("10.0.0.2:5070", "BYE");
    world.receive("10.0.0.2:5070", &response(&bye, "200 OK"));
    expect![[r#"
        0000.000 caller -> INVITE sip:1000@10.9.9.9 (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     edge: Resolve Addresses sbc.example
        0000.000     event: Incoming LegId(1) Trunk("carrier") dialled 1000 from alice None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     caller <- 200 OK (1 INVITE) +sdp
        0000.000 caller -> ACK sip:1000@10.9.9.9 (1)
        0000.000     event: Confirmed LegId(1) sdp false
        0000.000 engine: Digits
        0000.000     caller <- INFO sip:alice@sbc.example:5070 (1)
        0000.000 caller -> 200 OK (1 INFO)
        0000.000 dns: Addresses sbc.example
        0000.000 engine: Hangup
        0000.000     10.0.0.2:5070 <- BYE sip:alice@sbc.example:5070 (2)
        0000.000 10.0.0.2:5070 -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     10.0.0.2:5070 <- ACK sip:far@sbc.example:5070 (1)
        0000.000     event: Answered LegId(2) sdp true
        0000.000 engine: Hangup
        0000.000     10.0.0.2:5070 <- BYE sip:far@sbc.example:5070 (2)
        0000.000 10.0.0.2:5070 -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(2), cause: HungUp }
    "#]].assert_eq(&world.end());
}

/// Routes come before the Contact; a name that nobody knows leaves requests where they went, and a call may end while the DNS is asked.
#[test]
fn names_in_a_route_and_names_that_nobody_knows() {
    let mut world = World::new();
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    let routed = "Record-Route: <sip:proxy.example:5062;lr>\r\nContact:";
    let answer = world::respond(&invite, "200 OK", "far", "sip:far@192.0.2.7", true)
        .replace("Contact:", routed);
    world.receive("10.0.0.2:5060", &answer);
    address(&mut world, "proxy.example", "10.0.0.1");
    world.hangup(leg);
    let bye = world.last_request("10.0.0.1:5062", "BYE");
    world.receive("10.0.0.1:5062", &response(&bye, "200 OK"));
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    let answer = world::respond(&invite, "200 OK", "far", "sip:far@gone.example:5070", true);
    world.receive("10.0.0.2:5060", &answer);
    answer_nothing(&mut world, "gone.example");
    world.hangup(leg);
    let bye = world.last_request("10.0.0.2:5060", "BYE");
    world.receive("10.0.0.2:5060", &response(&bye, "200 OK"));
    let leg = world.call("sip:agent@10.0.0.2:5060");
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    let answer = world::respond(&invite, "200 OK", "far", "sip:far@slow.example:5070", true);
    world.receive("10.0.0.2:5060", &answer);
    world.hangup(leg);
    let bye = world.last_request("10.0.0.2:5060", "BYE");
    world.receive("10.0.0.2:5060", &response(&bye, "200 OK"));
    address(&mut world, "slow.example", "10.0.0.1");
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     edge: Resolve Addresses proxy.example
        0000.000     far <- ACK sip:far@192.0.2.7 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 dns: Addresses proxy.example
        0000.000 engine: Hangup
        0000.000     10.0.0.1:5062 <- BYE sip:far@192.0.2.7 (2)
        0000.000 10.0.0.1:5062 -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     edge: Resolve Addresses gone.example
        0000.000     far <- ACK sip:far@gone.example:5070 (1)
        0000.000     event: Answered LegId(2) sdp true
        0000.000 dns: Addresses gone.example
        0000.000 engine: Hangup
        0000.000     far <- BYE sip:far@gone.example:5070 (2)
        0000.000 far -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(2), cause: HungUp }
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:agent@10.0.0.2:5060 (1) +sdp
        0000.000 far -> 200 OK (1 INVITE) +sdp
        0000.000     edge: Resolve Addresses slow.example
        0000.000     far <- ACK sip:far@slow.example:5070 (1)
        0000.000     event: Answered LegId(3) sdp true
        0000.000 engine: Hangup
        0000.000     far <- BYE sip:far@slow.example:5070 (2)
        0000.000 far -> 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(3), cause: HungUp }
        0000.000 dns: Addresses slow.example
    "#]]
    .assert_eq(&world.end());
}

fn answer_nothing(world: &mut World, name: &str) {
    answer(world, Kind::Addresses, name, None);
}

/// Sections 8.1.1.8 and 12.1.1: where a `sips:` URI made the dialog our Contact is one, in either direction and in all that follows.
#[test]
fn a_secure_call_has_secure_contacts() {
    let mut config = config();
    config.listeners.push(Listener {
        transport: Transport::Tls,
        address: "10.9.9.9:5061".parse().expect("an address"),
    });
    let mut world = World::with(config);
    world.shown = vec!["Contact"];
    let tls = |remote: &str, flow| Peer {
        transport: Transport::Tls,
        remote: remote.parse().expect("an address"),
        flow,
    };
    let leg = world.call("sips:agent@10.0.0.2:5061");
    let invite = world.last_request("10.0.0.2:5061", "INVITE");
    world.receive_at(
        tls("10.0.0.2:5061", None),
        &world::respond(&invite, "200 OK", "far", "sips:agent@10.0.0.2:5061", true),
    );
    world.command(Command::Reinvite {
        leg,
        sdp: SDP.into(),
    });
    let again = world.last_request("10.0.0.2:5061", "INVITE");
    world.receive_at(
        tls("10.0.0.2:5061", None),
        &world::respond(&again, "200 OK", "far", "sips:agent@10.0.0.2:5061", true),
    );
    world.hangup(leg);
    let bye = world.last_request("10.0.0.2:5061", "BYE");
    world.receive_at(tls("10.0.0.2:5061", None), &response(&bye, "200 OK"));
    // Called by a secure URI; by a secure Contact; and, beside them, over TLS by a plain one.
    for (user, target, headers) in [
        ("a", "sips:1000@10.9.9.9", ""),
        ("b", "sip:1000@10.9.9.9", "Contact: <sips:b@10.0.0.1>\r\n"),
        ("c", "sip:1000@10.9.9.9", ""),
    ] {
        let mut caller = Phone::new("10.0.0.1:5061", user, target);
        let text = caller
            .request("INVITE", headers, SDP)
            .replace("/UDP", "/TLS");
        let peer = tls("10.0.0.1:5061", Some(FlowId(9)));
        world.receive_at(peer, &text);
        world.answer();
        caller.learn(&world.last("10.0.0.1:5061").clone());
        let ack = caller.ack().replace("/UDP", "/TLS");
        world.receive_at(peer, &ack);
        let bye = caller.request("BYE", "", "").replace("/UDP", "/TLS");
        world.receive_at(peer, &bye);
    }
    expect![[r#"
        0000.000 engine: Invite
        0000.000     10.0.0.2:5061 <- INVITE sips:agent@10.0.0.2:5061 (1) Contact: <sips:cordboard@10.9.9.9:5061> +sdp
        0000.000 10.0.0.2:5061 -> 200 OK (1 INVITE) Contact: <sips:agent@10.0.0.2:5061> +sdp
        0000.000     10.0.0.2:5061 <- ACK sips:agent@10.0.0.2:5061 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 engine: Reinvite
        0000.000     10.0.0.2:5061 <- INVITE sips:agent@10.0.0.2:5061 (2) Contact: <sips:cordboard@10.9.9.9:5061> +sdp
        0000.000 10.0.0.2:5061 -> 200 OK (2 INVITE) Contact: <sips:agent@10.0.0.2:5061> +sdp
        0000.000     10.0.0.2:5061 <- ACK sips:agent@10.0.0.2:5061 (2)
        0000.000     event: ReofferAccepted LegId(1) sdp true
        0000.000 engine: Hangup
        0000.000     10.0.0.2:5061 <- BYE sips:agent@10.0.0.2:5061 (3)
        0000.000 10.0.0.2:5061 -> 200 OK (3 BYE) Contact: <sip:far@10.0.0.2>
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 10.0.0.1:5061 -> INVITE sips:1000@10.9.9.9 (1) Contact: <sip:a@10.0.0.1:5061> +sdp
        0000.000     10.0.0.1:5061 <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(2) Trunk("carrier") dialled 1000 from a None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     10.0.0.1:5061 <- 200 OK (1 INVITE) Contact: <sips:cordboard@10.9.9.9:5061> +sdp
        0000.000 10.0.0.1:5061 -> ACK sips:1000@10.9.9.9 (1) Contact: <sip:a@10.0.0.1:5061>
        0000.000     event: Confirmed LegId(2) sdp false
        0000.000 10.0.0.1:5061 -> BYE sips:1000@10.9.9.9 (2) Contact: <sip:a@10.0.0.1:5061>
        0000.000     10.0.0.1:5061 <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(2), cause: Bye }
        0000.000 10.0.0.1:5061 -> INVITE sip:1000@10.9.9.9 (1) Contact: <sips:b@10.0.0.1> +sdp
        0000.000     10.0.0.1:5061 <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(3) Trunk("carrier") dialled 1000 from b None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     10.0.0.1:5061 <- 200 OK (1 INVITE) Contact: <sips:cordboard@10.9.9.9:5061> +sdp
        0000.000 10.0.0.1:5061 -> ACK sip:1000@10.9.9.9 (1) Contact: <sip:b@10.0.0.1:5061>
        0000.000     event: Confirmed LegId(3) sdp false
        0000.000 10.0.0.1:5061 -> BYE sip:1000@10.9.9.9 (2) Contact: <sip:b@10.0.0.1:5061>
        0000.000     10.0.0.1:5061 <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(3), cause: Bye }
        0000.000 10.0.0.1:5061 -> INVITE sip:1000@10.9.9.9 (1) Contact: <sip:c@10.0.0.1:5061> +sdp
        0000.000     10.0.0.1:5061 <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(4) Trunk("carrier") dialled 1000 from c None anonymous false sdp true
        0000.000 engine: Answer
        0000.000     10.0.0.1:5061 <- 200 OK (1 INVITE) Contact: <sip:cordboard@10.9.9.9:5061;transport=tls> +sdp
        0000.000 10.0.0.1:5061 -> ACK sip:1000@10.9.9.9 (1) Contact: <sip:c@10.0.0.1:5061>
        0000.000     event: Confirmed LegId(4) sdp false
        0000.000 10.0.0.1:5061 -> BYE sip:1000@10.9.9.9 (2) Contact: <sip:c@10.0.0.1:5061>
        0000.000     10.0.0.1:5061 <- 200 OK (2 BYE)
        0000.000     event: Gone { leg: LegId(4), cause: Bye }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_silent_server_and_one_without_a_port_are_passed_over_and_then_there_is_no_more() {
    let mut world = World::new();
    world.call("sip:1@carrier.example");
    carrier(&mut world);
    world.pass(32.0);
    let peer = world::peer("10.0.0.1:5060");
    world.input("icmp from caller", Input::Unreachable { peer });
    expect![[r#"
        0000.000 engine: Invite
        0000.000     edge: Resolve Naptr carrier.example
        0000.000 dns: Naptr carrier.example
        0000.000     edge: Resolve Srv _sip._udp.carrier.example
        0000.000 dns: Srv _sip._udp.carrier.example
        0000.000     edge: Resolve Addresses a.carrier.example
        0000.000 dns: Addresses a.carrier.example
        0000.000     edge: Resolve Addresses b.carrier.example
        0000.000 dns: Addresses b.carrier.example
        0000.000     far <- INVITE sip:1@carrier.example (1) +sdp
        0000.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0001.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0003.500     far <- INVITE sip:1@carrier.example (1) +sdp
        0004.000     event: Counted { what: "next_server" }
        0004.000     caller <- INVITE sip:1@carrier.example (2) +sdp
        0004.500     caller <- INVITE sip:1@carrier.example (2) +sdp
        0005.500     caller <- INVITE sip:1@carrier.example (2) +sdp
        0007.500     caller <- INVITE sip:1@carrier.example (2) +sdp
        0011.500     caller <- INVITE sip:1@carrier.example (2) +sdp
        0019.500     caller <- INVITE sip:1@carrier.example (2) +sdp
        0032.000 icmp from caller
        0032.000     event: Gone { leg: LegId(1), cause: Unreachable }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_call_that_is_hung_up_while_the_dns_is_asked_is_never_sent() {
    let mut world = World::new();
    let leg = world.call("sip:1@carrier.example");
    world.hangup(leg);
    carrier(&mut world);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     edge: Resolve Naptr carrier.example
        0000.000 engine: Hangup
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 dns: Naptr carrier.example
        0000.000 dns: Srv _sip._udp.carrier.example
        0000.000 dns: Addresses a.carrier.example
        0000.000 dns: Addresses b.carrier.example
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn without_an_answer_of_the_dns_a_call_ends_in_time() {
    let mut world = World::new();
    world.call("sip:1@carrier.example");
    world.call("sip:2@carrier.example");
    let question = question(Kind::Naptr, "carrier.example");
    world.input(
        "dns: failed",
        Input::Resolved {
            question,
            answer: Answer::Failed,
        },
    );
    expect![[r#"
        0000.000 engine: Invite
        0000.000     edge: Resolve Naptr carrier.example
        0000.000 engine: Invite
        0000.000 dns: failed
        0000.000     event: Counted { what: "dns_failed" }
        0000.000     edge: Resolve Srv _sip._udp.carrier.example
        0006.000     event: Counted { what: "dns_failed" }
        0006.000     edge: Resolve Srv _sip._tcp.carrier.example
        0012.000     event: Counted { what: "dns_failed" }
        0012.000     event: Gone { leg: LegId(1), cause: Unreachable }
        0012.000     event: Gone { leg: LegId(2), cause: Unreachable }
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_domain_by_tls_is_named_to_the_edge() {
    let mut world = World::new();
    world.call("sips:1@carrier.example");
    let naptr = Naptr {
        order: 1,
        preference: 1,
        flags: "s".into(),
        service: "SIPS+D2T".into(),
        replacement: "_sips._tcp.carrier.example".into(),
    };
    answer(
        &mut world,
        Kind::Naptr,
        "carrier.example",
        Some(Records::Naptr(vec![naptr])),
    );
    let records = vec![srv(1, 5061, "edge.hoster.example")];
    answer(
        &mut world,
        Kind::Srv,
        "_sips._tcp.carrier.example",
        Some(Records::Srv(records)),
    );
    address(&mut world, "edge.hoster.example", "10.0.0.2");
    let peer = Peer {
        transport: Transport::Tls,
        remote: "10.0.0.2:5061".parse().expect("an address"),
        flow: None,
    };
    world.input("refused", Input::Unreachable { peer });
    expect![[r#"
        0000.000 engine: Invite
        0000.000     edge: Resolve Naptr carrier.example
        0000.000 dns: Naptr carrier.example
        0000.000     edge: Resolve Srv _sips._tcp.carrier.example
        0000.000 dns: Srv _sips._tcp.carrier.example
        0000.000     edge: Resolve Addresses edge.hoster.example
        0000.000 dns: Addresses edge.hoster.example
        0000.000     edge: Domain 10.0.0.2:5061 carrier.example
        0000.000     10.0.0.2:5061 <- INVITE sips:1@carrier.example (1) +sdp
        0000.000 refused
        0000.000     event: Gone { leg: LegId(1), cause: Unreachable }
    "#]]
    .assert_eq(&world.end());
}

/// A call whose INVITE is above 1300 bytes.
fn large(world: &mut World, uri: &str) -> LegId {
    let leg = world.endpoint.new_leg();
    world.command(Command::Invite(Invite {
        leg,
        target: Target::Uri(uri.into()),
        from_display: None,
        from_user: "2000".into(),
        private: false,
        sdp: SDP.into(),
        headers: vec![("X-Long".into(), "x".repeat(1000))],
    }));
    leg
}

fn by_tcp(remote: &str) -> Peer {
    Peer {
        transport: Transport::Tcp,
        remote: remote.parse().expect("an address"),
        flow: None,
    }
}

#[test]
fn what_is_too_large_for_a_datagram_goes_by_tcp_and_as_a_datagram_where_tcp_is_refused() {
    let mut world = World::new();
    large(&mut world, "sip:1@10.0.0.2");
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    let via = invite.header_named("Via").expect("a Via").to_owned();
    assert!(
        via.starts_with("SIP/2.0/TCP 10.9.9.9:5060;branch="),
        "{via}"
    );
    assert_eq!(world.sent.last().expect("sent").0.transport, Transport::Tcp);
    world.pass(3.0);
    let peer = by_tcp("10.0.0.2:5060");
    world.input("tcp refused", Input::Unreachable { peer });
    assert_eq!(world.sent.last().expect("sent").0.transport, Transport::Udp);
    let again = world.last_request("10.0.0.2:5060", "INVITE");
    assert_eq!(
        again.header_named("Via"),
        Some(&*via.replace("/TCP", "/UDP"))
    );
    world.pass(1.0);
    world.receive("10.0.0.2:5060", &response(&again, "486 Busy Here"));
    // It is known now.
    large(&mut world, "sip:1@10.0.0.2");
    assert_eq!(world.sent.last().expect("sent").0.transport, Transport::Udp);
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    world.receive("10.0.0.2:5060", &response(&invite, "486 Busy Here"));
    expect![[r#"
        0000.000 engine: Invite
        0000.000     far <- INVITE sip:1@10.0.0.2 (1) +sdp
        0003.000 tcp refused
        0003.000     far <- INVITE sip:1@10.0.0.2 (1) +sdp
        0003.500     far <- INVITE sip:1@10.0.0.2 (1) +sdp
        0004.000 far -> 486 Busy Here (1 INVITE)
        0004.000     far <- ACK sip:1@10.0.0.2 (1)
        0004.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0004.000 engine: Invite
        0004.000     far <- INVITE sip:1@10.0.0.2 (1) +sdp
        0004.000 far -> 486 Busy Here (1 INVITE)
        0004.000     far <- ACK sip:1@10.0.0.2 (1)
        0004.000     event: Gone { leg: LegId(2), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
    "#]].assert_eq(&world.end());
}

#[test]
fn a_uri_that_says_udp_keeps_it_whatever_the_size() {
    let mut world = World::new();
    large(&mut world, "sip:1@10.0.0.2;transport=udp");
    assert_eq!(world.sent.last().expect("sent").0.transport, Transport::Udp);
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    world.receive("10.0.0.2:5060", &response(&invite, "486 Busy Here"));
    world.end();
    // Nor has an engine without TCP a choice.
    let mut world = World::with(Config {
        listeners: Listener::udp("10.9.9.9:5060".parse().expect("an address")),
        ..config()
    });
    large(&mut world, "sip:1@10.0.0.2");
    assert_eq!(world.sent.last().expect("sent").0.transport, Transport::Udp);
    let invite = world.last_request("10.0.0.2:5060", "INVITE");
    world.receive("10.0.0.2:5060", &response(&invite, "486 Busy Here"));
    world.end();
}

#[test]
fn a_connection_serves_both_ways_only_for_the_address_that_is_its_own() {
    let mut world = World::new();
    for (via, expected) in [
        ("SIP/2.0/TCP 10.0.0.3:5070;alias", true),
        ("SIP/2.0/TCP 10.0.0.3:5070", false),
        ("SIP/2.0/TCP 10.0.0.2:5070;alias", false),
        ("SIP/2.0/TCP sbc.example:5070;alias", false),
    ] {
        let mut caller = Phone::new("10.0.0.3:5060", "alice", "sip:10.9.9.9");
        let text = caller.request("OPTIONS", "", "");
        let options = text.replace("SIP/2.0/TCP 10.0.0.3:5060", via);
        let tag = format!("tag-{}", via.len());
        world.receive("10.0.0.3:5060", &options.replace("tag-alice", &tag));
        let told = world.end().contains("edge: Alias FlowId(3) 10.0.0.3:5070");
        assert_eq!(told, expected, "{via}");
    }
    let names = vec!["sbc.example".into()];
    let flow = FlowId(3);
    world.input("certificate", Input::FlowOpened { flow, names });
    let mut caller = Phone::new("10.0.0.3:5060", "bob", "sip:10.9.9.9");
    let text = caller.request("OPTIONS", "", "");
    let options = text.replace("TCP 10.0.0.3:5060", "TCP sbc.example:5070;alias");
    world.receive("10.0.0.3:5060", &options);
    assert!(world.end().contains("edge: Alias FlowId(3) 10.0.0.3:5070"));
}

#[test]
fn a_trunk_with_a_certificate_is_known_by_that_alone() {
    let mut config = config();
    config.trunks[0].certificate = Some("Carrier.example".into());
    let mut world = World::with(config);
    let call = |world: &mut World, user: &str| {
        let mut caller = Phone::new("10.0.0.3:5060", user, "sip:1000@10.9.9.9");
        let invite = caller.invite();
        world.receive(caller.address, &invite);
        let status = world.last("10.0.0.3:5060").status();
        let ack = caller.same("ACK", "", "");
        world.receive(caller.address, &ack);
        status
    };
    assert_eq!(call(&mut world, "no-certificate"), Some(401));
    let flow = FlowId(3);
    let names = vec!["other.example".into()];
    world.input("certificate", Input::FlowOpened { flow, names });
    assert_eq!(call(&mut world, "another-name"), Some(401));
    let names = vec!["sip.example".into(), "carrier.example".into()];
    world.input("certificate", Input::FlowOpened { flow, names });
    assert_eq!(call(&mut world, "the-name"), Some(100));
    world.input("closed", Input::FlowClosed { flow });
    assert_eq!(call(&mut world, "closed"), Some(401));
}
