//! Who guesses and who scans: what they hear, and that it harms nobody else.
#![allow(clippy::unwrap_used)]

mod world;

use expect_test::expect;
use sip::{Config, Event, Suspect};
use world::*;

const PHONE: &str = "192.168.1.10:5060";
const STRANGER: &str = "203.0.113.9:5060";
const CONTACT: &str = "Contact: <sip:1001@192.168.1.10:5060>\r\n";

/// One challenged REGISTER with this password.
fn try_password(world: &mut World, phone: &mut Phone, password: &str) {
    let bare = phone.request("REGISTER", CONTACT, "");
    world.receive(phone.address, &bare);
    let challenge = world.last(phone.address).clone();
    let answer = phone.authorized(&challenge, "REGISTER", password, 1, CONTACT, "");
    world.receive(phone.address, &answer);
}

fn suspects(world: &World) -> Vec<&Suspect> {
    let suspects = world.events.iter().filter_map(|event| match event {
        Event::Suspect(suspect) => Some(&**suspect),
        _ => None,
    });
    suspects.collect()
}

#[test]
fn the_fifth_wrong_password_is_answered_and_the_sixth_not_looked_at() {
    let mut world = World::new();
    let mut guesser = Phone::new(STRANGER, "1001", "sip:test");
    for guess in ["a", "b", "c", "d", "e", "demo-1001"] {
        try_password(&mut world, &mut guesser, guess);
    }
    // The agent elsewhere has heard nothing of it.
    let mut phone = Phone::new(PHONE, "1001", "sip:test");
    try_password(&mut world, &mut phone, "demo-1001");
    world.pass(5.0);
    try_password(&mut world, &mut guesser, "f");
    world.pass(9.0);
    try_password(&mut world, &mut guesser, "demo-1001");
    let text = world.end();
    let from = text
        .find("(10)")
        .map(|at| text[..at].rfind('\n').unwrap() + 1);
    expect![[r#"
        0000.000 stranger -> REGISTER sip:test (10)
        0000.000     event: Suspect(Guesser { source: 203.0.113.9, user: "1001", failures: 5, wait: 5s })
        0000.000     event: Counted { what: "bad_digest" }
        0000.000     stranger <- 401 Unauthorized (10 REGISTER)
        0000.000 stranger -> REGISTER sip:test (11)
        0000.000     stranger <- 401 Unauthorized (11 REGISTER)
        0000.000 stranger -> REGISTER sip:test (12)
        0000.000     event: Counted { what: "barred" }
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@192.168.1.10:5060>;expires=3600
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0005.000 stranger -> REGISTER sip:test (13)
        0005.000     stranger <- 401 Unauthorized (13 REGISTER)
        0005.000 stranger -> REGISTER sip:test (14)
        0005.000     event: Counted { what: "bad_digest" }
        0005.000     stranger <- 401 Unauthorized (14 REGISTER)
        0014.000 stranger -> REGISTER sip:test (15)
        0014.000     stranger <- 401 Unauthorized (15 REGISTER)
        0014.000 stranger -> REGISTER sip:test (16)
        0014.000     event: Counted { what: "barred" }
        3600.000     event: Registration(Registration { user: "1001", reachable: false, contacts: 0 })
    "#]]
    .assert_eq(&text[from.unwrap()..]);
}

#[test]
fn a_forged_address_is_never_barred_and_its_guesses_are_not_looked_at() {
    let mut world = World::new();
    // The guesser has a nonce of their own, and sends what they like from the phone's address without hearing the answers.
    let mut guesser = Phone::new(STRANGER, "1001", "sip:test");
    let bare = guesser.request("REGISTER", CONTACT, "");
    world.receive(STRANGER, &bare);
    let challenge = world.last(STRANGER).clone();
    for guess in 0..100 {
        let password = if guess == 50 { "demo-1001" } else { "guess" };
        let forged = guesser.authorized(&challenge, "REGISTER", password, guess, CONTACT, "");
        world.receive(PHONE, &forged);
        let answer = world.last(PHONE);
        assert_eq!(answer.status(), Some(401));
        let challenge = answer.header_named("WWW-Authenticate").unwrap();
        assert!(
            challenge.contains("stale=true"),
            "right or wrong: {challenge}"
        );
    }
    let mut phone = Phone::new(PHONE, "1001", "sip:test");
    try_password(&mut world, &mut phone, "demo-1001");
    assert_eq!(world.last(PHONE).status(), Some(200));
    assert!(suspects(&world).is_empty());
}

#[test]
fn a_registered_phone_refreshes_beside_a_guesser_in_its_own_network() {
    let mut world = World::new();
    let mut phone = Phone::new(PHONE, "1001", "sip:test");
    try_password(&mut world, &mut phone, "demo-1001");
    let mut guesser = Phone::new("192.168.1.10:5999", "1001", "sip:test");
    for _ in 0..10 {
        try_password(&mut world, &mut guesser, "guess");
    }
    try_password(&mut world, &mut guesser, "demo-1001");
    assert_eq!(
        world.last("192.168.1.10:5999").status(),
        Some(401),
        "barred"
    );
    try_password(&mut world, &mut phone, "demo-1001");
    assert_eq!(world.last(PHONE).status(), Some(200));
}

#[test]
fn scanners_hear_nothing_and_are_named() {
    let mut world = World::new();
    let mut scanner = Phone::new(STRANGER, "100", "sip:test");
    for method in ["OPTIONS", "REGISTER", "INVITE"] {
        let probe = scanner.request(method, "User-Agent: Friendly-Scanner 1.2\r\n", "");
        world.receive(STRANGER, &probe);
    }
    assert!(world.sent.is_empty());
    let [Suspect::Scanner { source, agent }] = suspects(&world)[..] else {
        panic!("{:?}", world.events);
    };
    assert_eq!(
        (source.to_string().as_str(), agent.as_str()),
        ("203.0.113.9", "Friendly-Scanner 1.2")
    );
}

#[test]
fn a_stranger_hears_the_same_whatever_the_number_and_the_method() {
    let config = Config {
        silent_to_scanners: false,
        ..config()
    };
    let mut world = World::with(config);
    let mut heard = Vec::new();
    for method in ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE"] {
        for to in ["sip:1001@test", "sip:2000@test", "sip:nobody@test"] {
            let mut stranger = Phone::new(STRANGER, "stranger", to);
            let probe = stranger.request(method, CONTACT, "");
            world.receive(STRANGER, &probe);
            let answer = world.last(STRANGER);
            heard.push((method, answer.status(), answer.lines().count()));
        }
    }
    let first = heard[0];
    assert_eq!(first.1, Some(401));
    assert!(
        heard
            .iter()
            .all(|(_, status, lines)| (*status, *lines) == (first.1, first.2)),
        "{heard:?}"
    );
}
