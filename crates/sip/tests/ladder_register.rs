//! Registration: the digest, the bindings, and the calls that follow them.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::message::Message;
use sip::{Input, Target};
use world::*;

const PHONE: &str = "192.168.1.10:5060";
const CONTACT: &str = "Contact: <sip:1001@192.168.1.10:5060>\r\n";

fn phone() -> Phone {
    Phone::new(PHONE, "1001", "sip:test")
}

/// Registers with these headers, challenge and all.
fn register(world: &mut World, phone: &mut Phone, headers: &str) {
    let bare = phone.request("REGISTER", headers, "");
    world.receive(phone.address, &bare);
    let challenge = world.last(phone.address).clone();
    let password = format!("demo-{}", phone.user);
    let authorized = phone.authorized(&challenge, "REGISTER", &password, 1, headers, "");
    world.receive(phone.address, &authorized);
}

#[test]
fn a_phone_registers_refreshes_and_leaves() {
    let mut world = World::new();
    let mut phone = phone();
    register(&mut world, &mut phone, &format!("{CONTACT}Expires: 60\r\n"));
    world.pass(30.0);
    register(&mut world, &mut phone, &format!("{CONTACT}Expires: 60\r\n"));
    world.pass(59.0);
    register(&mut world, &mut phone, &format!("{CONTACT}Expires: 0\r\n"));
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@192.168.1.10:5060>;expires=60
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0030.000 phone -> REGISTER sip:test (3)
        0030.000     phone <- 401 Unauthorized (3 REGISTER)
        0030.000 phone -> REGISTER sip:test (4)
        0030.000     phone <- 200 OK (4 REGISTER) <sip:1001@192.168.1.10:5060>;expires=60
        0030.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0089.000 phone -> REGISTER sip:test (5)
        0089.000     phone <- 401 Unauthorized (5 REGISTER)
        0089.000 phone -> REGISTER sip:test (6)
        0089.000     phone <- 200 OK (6 REGISTER)
        0089.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
    "#]].assert_eq(&world.end());
}

#[test]
fn a_registration_runs_out() {
    let mut world = World::new();
    register(
        &mut world,
        &mut phone(),
        &format!("{CONTACT}Expires: 60\r\n"),
    );
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@192.168.1.10:5060>;expires=60
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0060.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
    "#]].assert_eq(&world.end());
}

#[test]
fn several_addresses_fetch_and_star() {
    let mut world = World::new();
    let mut phone = phone();
    let contacts = "Contact: <sip:1001@192.168.1.10:5060>;q=0.5, <sip:1001@192.168.1.11:5060>;q=0.9;expires=600\r\nExpires: 300\r\n";
    register(&mut world, &mut phone, contacts);
    register(&mut world, &mut phone, "");
    world.call_target(Target::User("1001".into()));
    register(&mut world, &mut phone, "Contact: *\r\nExpires: 0\r\n");
    world.input("port unreachable", Input::Unreachable { peer: peer(PHONE) });
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@192.168.1.10:5060>;expires=300 <sip:1001@192.168.1.11:5060>;expires=600
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 2 })
        0000.000 phone -> REGISTER sip:test (3)
        0000.000     phone <- 401 Unauthorized (3 REGISTER)
        0000.000 phone -> REGISTER sip:test (4)
        0000.000     phone <- 200 OK (4 REGISTER) <sip:1001@192.168.1.10:5060>;expires=300 <sip:1001@192.168.1.11:5060>;expires=600
        0000.000 engine: Invite
        0000.000     phone <- INVITE sip:1001@192.168.1.11:5060 (1) +sdp
        0000.000 phone -> REGISTER sip:test (5)
        0000.000     phone <- 401 Unauthorized (5 REGISTER)
        0000.000 phone -> REGISTER sip:test (6)
        0000.000     phone <- 200 OK (6 REGISTER)
        0000.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
        0000.000 port unreachable
        0000.000     event: Gone { leg: LegId(1), cause: Unreachable }
    "#]].assert_eq(&world.end());
}

/// RFC 3327: the 200 repeats the Path, and calls go by it, nearest proxy first. One that has no end is refused.
#[test]
fn calls_go_by_the_path_of_the_registration() {
    let mut world = World::new();
    world.shown = vec!["Path", "Route"];
    let mut phone = phone();
    let path = "Supported: path\r\nPath: <sip:edge@198.51.100.1;lr>\r\nPath: <sip:inner.example;lr>, <sip:10.1.1.1;lr>\r\n";
    register(&mut world, &mut phone, &format!("{CONTACT}{path}"));
    world.call_target(Target::User("1001".into()));
    let invite = world.last(PHONE).clone();
    world.receive(PHONE, &respond(&invite, "486 Busy Here", "p", "", false));
    register(
        &mut world,
        &mut phone,
        &format!("{CONTACT}{path}Expires: 0\r\n"),
    );
    world.shown.clear();
    let endless = "Path: <sip:edge@198.51.100.1;lr>\r\n".repeat(9);
    register(&mut world, &mut phone, &format!("{CONTACT}{endless}"));
    let long = format!("Path: <sip:{}@198.51.100.1;lr>\r\n", "x".repeat(1024));
    register(&mut world, &mut phone, &format!("{CONTACT}{long}"));
    assert_eq!(world.last(PHONE).status(), Some(400));
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1) Path: <sip:edge@198.51.100.1;lr> Path: <sip:inner.example;lr>, <sip:10.1.1.1;lr>
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2) Path: <sip:edge@198.51.100.1;lr> Path: <sip:inner.example;lr>, <sip:10.1.1.1;lr>
        0000.000     phone <- 200 OK (2 REGISTER) Path: <sip:edge@198.51.100.1;lr> Path: <sip:inner.example;lr>, <sip:10.1.1.1;lr> <sip:1001@192.168.1.10:5060>;expires=3600
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0000.000 engine: Invite
        0000.000     phone <- INVITE sip:1001@192.168.1.10:5060 (1) Route: <sip:edge@198.51.100.1;lr> Route: <sip:inner.example;lr> Route: <sip:10.1.1.1;lr> +sdp
        0000.000 phone -> 486 Busy Here (1 INVITE)
        0000.000     phone <- ACK sip:1001@192.168.1.10:5060 (1) Route: <sip:edge@198.51.100.1;lr> Route: <sip:inner.example;lr> Route: <sip:10.1.1.1;lr>
        0000.000     event: Gone { leg: LegId(1), cause: Rejected { status: 486, reason: "Busy Here", retry_after: None, contact: None } }
        0000.000 phone -> REGISTER sip:test (3) Path: <sip:edge@198.51.100.1;lr> Path: <sip:inner.example;lr>, <sip:10.1.1.1;lr>
        0000.000     phone <- 401 Unauthorized (3 REGISTER)
        0000.000 phone -> REGISTER sip:test (4) Path: <sip:edge@198.51.100.1;lr> Path: <sip:inner.example;lr>, <sip:10.1.1.1;lr>
        0000.000     phone <- 200 OK (4 REGISTER) Path: <sip:edge@198.51.100.1;lr> Path: <sip:inner.example;lr>, <sip:10.1.1.1;lr>
        0000.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
        0000.000 phone -> REGISTER sip:test (5)
        0000.000     phone <- 401 Unauthorized (5 REGISTER)
        0000.000 phone -> REGISTER sip:test (6)
        0000.000     phone <- 400 Bad Request (6 REGISTER)
        0000.000 phone -> REGISTER sip:test (7)
        0000.000     phone <- 401 Unauthorized (7 REGISTER)
        0000.000 phone -> REGISTER sip:test (8)
        0000.000     phone <- 400 Bad Request (8 REGISTER)
    "#]].assert_eq(&world.end());
}

#[test]
fn too_brief_and_malformed_wishes() {
    let mut world = World::new();
    let mut phone = phone();
    register(&mut world, &mut phone, &format!("{CONTACT}Expires: 5\r\n"));
    register(&mut world, &mut phone, "Contact: *\r\nExpires: 60\r\n");
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 423 Interval Too Brief (2 REGISTER) Min-Expires: 60
        0000.000 phone -> REGISTER sip:test (3)
        0000.000     phone <- 401 Unauthorized (3 REGISTER)
        0000.000 phone -> REGISTER sip:test (4)
        0000.000     phone <- 400 Bad Request (4 REGISTER)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_late_register_of_the_same_call_id_changes_nothing() {
    let mut world = World::new();
    let mut phone = phone();
    register(&mut world, &mut phone, &format!("{CONTACT}Expires: 60\r\n"));
    world.pass(40.0);
    phone.cseq -= 2;
    register(&mut world, &mut phone, &format!("{CONTACT}Expires: 0\r\n"));
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@192.168.1.10:5060>;expires=60
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0040.000 phone -> REGISTER sip:test (1)
        0040.000     phone <- 401 Unauthorized (1 REGISTER)
        0040.000 phone -> REGISTER sip:test (2)
        0040.000     event: Counted { what: "cseq_order" }
        0040.000     phone <- 500 Server Internal Error (2 REGISTER)
        0060.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
    "#]].assert_eq(&world.end());
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let mut world = World::new();
    let challenged = |world: &mut World, user: &str, password: &str| {
        let mut phone = Phone::new(PHONE, user, "sip:test");
        let bare = phone.request("REGISTER", CONTACT, "");
        world.receive(PHONE, &bare);
        let challenge = world.last(PHONE).clone();
        let authorized = phone.authorized(&challenge, "REGISTER", password, 1, CONTACT, "");
        world.receive(PHONE, &authorized);
        shape(world.last(PHONE))
    };
    let wrong = challenged(&mut world, "1001", "guess");
    let unknown = challenged(&mut world, "9999", "guess");
    assert_eq!(wrong, unknown.replace("9999", "1001"));
    expect![[r#"
        SIP/2.0 401 Unauthorized
        Via: SIP/2.0/UDP 192.168.1.10:5060;branch=*;rport=5060;received=192.168.1.10
        From: <sip:1001@test>;tag=*
        To: <sip:1001@test>;tag=*
        Call-ID: call-1001
        CSeq: 2 REGISTER
        WWW-Authenticate: Digest realm="test", nonce="*", opaque="cordboard", algorithm=MD5, qop="auth"
        Server: Cordboard
        Content-Length: 0

    "#]].assert_eq(&wrong);
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     event: Counted { what: "bad_digest" }
        0000.000     phone <- 401 Unauthorized (2 REGISTER)
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     event: Counted { what: "unknown_user" }
        0000.000     phone <- 401 Unauthorized (2 REGISTER)
    "#]]
    .assert_eq(&world.end());
}

/// A message without what is random in it.
fn shape(message: &Message) -> String {
    let mut text = String::from_utf8_lossy(message.as_bytes()).replace("\r\n", "\n");
    for (word, ends) in [("nonce=\"", "\""), (";tag=", ";\n"), ("branch=", ";\n")] {
        let mut from = 0;
        while let Some(at) = text[from..].find(word) {
            let start = from + at + word.len();
            let length = text[start..].find(|c| ends.contains(c)).unwrap();
            text.replace_range(start..start + length, "*");
            from = start;
        }
    }
    text
}

#[test]
fn with_a_stale_nonce_no_password_is_looked_at() {
    let mut world = World::new();
    let mut phone = phone();
    let bare = phone.request("REGISTER", CONTACT, "");
    world.receive(PHONE, &bare);
    let challenge = world.last(PHONE).clone();
    world.pass(301.0);
    let right = phone.authorized(&challenge, "REGISTER", "demo-1001", 1, CONTACT, "");
    world.receive(PHONE, &right);
    let wrong = phone.authorized(&challenge, "REGISTER", "guess", 1, CONTACT, "");
    world.receive(PHONE, &wrong);
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0301.000 phone -> REGISTER sip:test (2)
        0301.000     event: Counted { what: "stale_nonce" }
        0301.000     phone <- 401 Unauthorized (2 REGISTER) stale
        0301.000 phone -> REGISTER sip:test (3)
        0301.000     event: Counted { what: "stale_nonce" }
        0301.000     phone <- 401 Unauthorized (3 REGISTER) stale
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_replayed_count_is_refused_and_the_next_one_is_not() {
    let mut world = World::new();
    let mut phone = phone();
    register(&mut world, &mut phone, &format!("{CONTACT}Expires: 60\r\n"));
    let challenge = world.sent[0].1.clone();
    for nc in [1, 2] {
        let text = phone.authorized(&challenge, "REGISTER", "demo-1001", nc, CONTACT, "");
        world.receive(PHONE, &text);
        world.receive(PHONE, &text);
    }
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@192.168.1.10:5060>;expires=60
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0000.000 phone -> REGISTER sip:test (3)
        0000.000     event: Counted { what: "nonce_replay" }
        0000.000     phone <- 401 Unauthorized (3 REGISTER)
        0000.000 phone -> REGISTER sip:test (3)
        0000.000     event: Counted { what: "nonce_replay" }
        0000.000     phone <- 401 Unauthorized (3 REGISTER)
        0000.000 phone -> REGISTER sip:test (4)
        0000.000     phone <- 200 OK (4 REGISTER) <sip:1001@192.168.1.10:5060>;expires=3600
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0000.000 phone -> REGISTER sip:test (4)
        0000.000     phone <- 200 OK (4 REGISTER) <sip:1001@192.168.1.10:5060>;expires=3600
        3600.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
    "#]].assert_eq(&world.end());
}

#[test]
fn nobody_registers_for_another() {
    let mut world = World::new();
    let mut phone = phone();
    let bare = phone.request("REGISTER", CONTACT, "");
    world.receive(PHONE, &bare);
    let challenge = world.last(PHONE).clone();
    let text = phone
        .authorized(&challenge, "REGISTER", "demo-1001", 1, CONTACT, "")
        .replace("To: <sip:1001@", "To: <sip:1002@");
    world.receive(PHONE, &text);
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     event: Counted { what: "forbidden" }
        0000.000     phone <- 403 Forbidden (2 REGISTER)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_natted_phone_is_called_where_it_came_from_and_leaves_with_its_connection() {
    let mut world = World::new();
    let mut phone = phone();
    register(
        &mut world,
        &mut phone,
        "Contact: <sip:1001@172.16.0.5:5071>\r\nExpires: 600\r\n",
    );
    world.call_target(Target::User("1001".into()));
    let invite = world.last(PHONE).clone();
    assert_eq!(invite.request_uri_raw(), "sip:1001@172.16.0.5:5071");
    world.receive(
        PHONE,
        &respond(&invite, "200 OK", "n", "sip:1001@172.16.0.5:5071", true),
    );
    let mut called = Phone::called(PHONE, &invite, "n");
    let bye = called.request("BYE", "", "");
    world.receive(PHONE, &bye);
    let mut on_tcp = Phone::new("10.0.0.3:5060", "1002", "sip:test");
    register(
        &mut world,
        &mut on_tcp,
        "Contact: <sip:1002@172.16.0.6:5071;transport=tcp>\r\nExpires: 600\r\n",
    );
    let leg = world.call_target(Target::User("1002".into()));
    assert_eq!(
        world.last("10.0.0.3:5060").method().unwrap().as_str(),
        "INVITE"
    );
    world.input(
        "flow 3 closes",
        Input::FlowClosed {
            flow: sip::FlowId(3),
        },
    );
    world.hangup(leg);
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@172.16.0.5:5071>;expires=600
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0000.000 engine: Invite
        0000.000     phone <- INVITE sip:1001@172.16.0.5:5071 (1) +sdp
        0000.000 phone -> 200 OK (1 INVITE) +sdp
        0000.000     phone <- ACK sip:1001@172.16.0.5:5071 (1)
        0000.000     event: Answered LegId(1) sdp true
        0000.000 phone -> BYE sip:cordboard@10.9.9.9:5060 (101)
        0000.000     phone <- 200 OK (101 BYE)
        0000.000     event: Gone { leg: LegId(1), cause: Bye }
        0000.000 tcp -> REGISTER sip:test (1)
        0000.000     tcp <- 401 Unauthorized (1 REGISTER)
        0000.000 tcp -> REGISTER sip:test (2)
        0000.000     tcp <- 200 OK (2 REGISTER) <sip:1002@172.16.0.6:5071;transport=tcp>;expires=600
        0000.000     event: Registration(Registration { user: "1002", reachable: true, contacts: 1 })
        0000.000 engine: Invite
        0000.000     tcp <- INVITE sip:1002@172.16.0.6:5071;transport=tcp (1) +sdp
        0000.000 flow 3 closes
        0000.000     event: Gone { leg: LegId(2), cause: Unreachable }
        0000.000     event: Registration(Registration { user: "1002", reachable: false, contacts: 0 })
        0000.000 engine: Hangup
        0600.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
    "#]].assert_eq(&world.end());
}

#[test]
fn a_user_calls_with_digest_and_only_as_itself() {
    let mut world = World::new();
    let mut phone = Phone::new(PHONE, "1001", "sip:2000@test");
    let bare = phone.invite();
    world.receive(PHONE, &bare);
    let challenge = world.last(PHONE).clone();
    let ack = phone.same("ACK", "", "").replace(
        "To: <sip:2000@test>",
        &format!("To: {}", challenge.to_raw()),
    );
    world.receive(PHONE, &ack);
    let authorized = phone.authorized(
        &challenge,
        "INVITE",
        "demo-1001",
        1,
        "P-Asserted-Identity: <sip:boss@test>\r\n",
        SDP,
    );
    world.receive(PHONE, &authorized);
    let leg = world.leg();
    world.hangup(leg);
    let ack = phone.same("ACK", "", "");
    world.receive(PHONE, &ack);
    let mut other = Phone::new(PHONE, "1001", "sip:2000@test");
    other.call_id = "other".into();
    let forged = other
        .authorized(&challenge, "INVITE", "demo-1001", 2, "", SDP)
        .replace("From: <sip:1001@", "From: <sip:1002@");
    world.receive(PHONE, &forged);
    let ack = other.same("ACK", "", "");
    world.receive(PHONE, &ack);
    expect![[r#"
        0000.000 phone -> INVITE sip:2000@test (1) +sdp
        0000.000     phone <- 401 Unauthorized (1 INVITE)
        0000.000 phone -> ACK sip:2000@test (1)
        0000.000 phone -> INVITE sip:2000@test (2) +sdp
        0000.000     phone <- 100 Trying (2 INVITE)
        0000.000     event: Incoming LegId(1) User("1001") dialled 2000 from 1001 None anonymous false sdp true
        0000.000 engine: Hangup
        0000.000     phone <- 480 Temporarily Unavailable (2 INVITE)
        0000.000     event: Gone { leg: LegId(1), cause: HungUp }
        0000.000 phone -> ACK sip:2000@test (2)
        0000.000 phone -> INVITE sip:2000@test (1) +sdp
        0000.000     event: Counted { what: "forbidden" }
        0000.000     phone <- 403 Forbidden (1 INVITE)
        0000.000 phone -> ACK sip:2000@test (1)
    "#]].assert_eq(&world.end());
}

#[test]
fn a_users_name_is_challenged_even_from_a_trunk_and_strangers_always() {
    let mut world = World::new();
    let mut forger = Phone::new("10.0.0.1:5060", "1001", "sip:2000@test");
    let invite = forger.invite();
    world.receive(forger.address, &invite);
    let mut scanner = Phone::new("203.0.113.9:5060", "sipvicious", "sip:100@test");
    let options = scanner.request("OPTIONS", "", "");
    world.receive(scanner.address, &options);
    let invite = scanner.invite();
    world.receive(scanner.address, &invite);
    expect![[r#"
        0000.000 caller -> INVITE sip:2000@test (1) +sdp
        0000.000     caller <- 401 Unauthorized (1 INVITE)
        0000.000 stranger -> OPTIONS sip:100@test (1)
        0000.000     event: Counted { what: "unknown_source" }
        0000.000     stranger <- 401 Unauthorized (1 OPTIONS)
        0000.000 stranger -> INVITE sip:100@test (2) +sdp
        0000.000     event: Counted { what: "unknown_source" }
        0000.000     stranger <- 401 Unauthorized (2 INVITE)
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_phone_that_moves_is_the_same_instance() {
    let mut world = World::new();
    let mut phone = phone();
    let contact = |port: u16, instance: &str, reg: u32| {
        format!(
            "Contact: <sip:1001@192.168.1.10:{port}>;+sip.instance=\"<urn:uuid:{instance}>\";reg-id={reg};expires=600\r\n"
        )
    };
    register(&mut world, &mut phone, &contact(5060, "a", 1));
    // Restarted on another port: the old address is gone, not a second phone.
    phone.call_id = "call-again".into();
    register(&mut world, &mut phone, &contact(5062, "a", 1));
    assert_eq!(uris(&world), ["sip:1001@192.168.1.10:5062"]);
    // Its second connection, and another phone, are further bindings.
    register(&mut world, &mut phone, &contact(5064, "a", 2));
    register(&mut world, &mut phone, &contact(5066, "b", 1));
    assert_eq!(
        uris(&world),
        [
            "sip:1001@192.168.1.10:5062",
            "sip:1001@192.168.1.10:5064",
            "sip:1001@192.168.1.10:5066"
        ]
    );
}

fn uris(world: &World) -> Vec<String> {
    let bindings = world.endpoint.bindings();
    bindings.map(|(_, binding)| binding.uri.clone()).collect()
}

#[test]
fn a_kept_registration_is_called_and_one_whose_connection_is_gone_is_not() {
    let mut before = World::new();
    let mut phone = phone();
    register(
        &mut before,
        &mut phone,
        &format!("{CONTACT}Expires: 600\r\n"),
    );
    let mut by_tcp = Phone::new("10.0.0.3:5060", "1002", "sip:test");
    let natted = "Contact: <sip:1002@172.16.0.9:5060;transport=tcp>\r\nExpires: 600\r\n";
    register(&mut before, &mut by_tcp, natted);
    let kept: Vec<_> = before
        .endpoint
        .bindings()
        .map(|(user, binding)| (user.clone(), binding.clone()))
        .collect();
    assert_eq!(kept.len(), 2);
    let mut world = World::new();
    for (user, binding) in kept {
        world.endpoint.restore(user, binding);
    }
    let leg = world.call_target(Target::User("1001".into()));
    world.call_target(Target::User("1002".into()));
    world.hangup(leg);
    world.pass(700.0);
    expect![[r#"
        0000.000 engine: Invite
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0000.000     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0000.000 engine: Invite
        0000.000     event: Gone { leg: LegId(2), cause: NotRegistered }
        0000.000 engine: Hangup
        0000.500     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0001.500     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0003.500     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0007.500     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0015.500     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0031.500     phone <- INVITE sip:1001@192.168.1.10:5060 (1) +sdp
        0032.000     event: Gone { leg: LegId(1), cause: HungUp }
        0600.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
    "#]].assert_eq(&world.text());
}

/// We make no GRUUs (RFC 5627 section 7.1.2 lets a registrar leave that), but who has one is registered, called and understood all the same.
#[test]
fn a_globally_routable_address_is_taken_for_the_user_that_it_names() {
    let mut world = World::new();
    let mut phone = phone();
    let gruu = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    let contact = format!(
        "Supported: path, outbound, gruu\r\nContact: <sip:1001@192.168.1.10:5060;gr={gruu}>;+sip.instance=\"<{gruu}>\";reg-id=1;\
         pub-gruu=\"sip:1001@test;gr={gruu}\";temp-gruu=\"sip:tgruu.7hs@test;gr\";expires=600\r\n"
    );
    register(&mut world, &mut phone, &contact);
    world.call_target(Target::User("1001".into()));
    let mut caller = Phone::new(
        "10.0.0.1:5060",
        "15550100",
        "sip:1001@test;gr=urn:uuid:other",
    );
    let invite = caller.invite();
    world.receive(caller.address, &invite);
    expect![[r#"
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@192.168.1.10:5060;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>;expires=600
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0000.000 engine: Invite
        0000.000     phone <- INVITE sip:1001@192.168.1.10:5060;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6 (1) +sdp
        0000.000 caller -> INVITE sip:1001@test;gr=urn:uuid:other (1) +sdp
        0000.000     caller <- 100 Trying (1 INVITE)
        0000.000     event: Incoming LegId(2) Trunk("carrier") dialled 1001 from 15550100 None anonymous false sdp true
    "#]].assert_eq(&world.text());
}
