//! Phones that are asked whether they live: in turn, at a bounded rate; those who stay silent, and those who come back.
#![allow(clippy::unwrap_used)]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use sip::message::Message;
use sip::{Config, Event, Input, PhoneRules, Target};
use world::*;

const PHONE: &str = "192.168.1.10:5060";
const PHONE2: &str = "192.168.1.11:5060";

fn asking(seconds: u64, fixed: &[(&str, &str)]) -> Config {
    let fixed: BTreeMap<Arc<str>, Arc<str>> = fixed
        .iter()
        .map(|&(user, uri)| (user.into(), uri.into()))
        .collect();
    Config {
        phones: PhoneRules {
            options: Some(Duration::from_secs(seconds)),
            fixed: Arc::new(fixed),
        },
        ..config()
    }
}

fn started(config: Config) -> World {
    let mut world = World::with(config);
    let config = Input::Configure(Arc::new(world.config.clone()));
    world.input("start", config);
    world
}

/// A phone registers, its challenge answered.
fn register(world: &mut World, phone: &mut Phone) {
    let headers = format!(
        "Contact: <sip:{}@{}>\r\nExpires: 3600\r\n",
        phone.user, phone.address
    );
    let bare = phone.request("REGISTER", &headers, "");
    world.receive(phone.address, &bare);
    let challenge = world.last(phone.address).clone();
    let password = format!("demo-{}", phone.user);
    let authorized = phone.authorized(&challenge, "REGISTER", &password, 1, &headers, "");
    world.receive(phone.address, &authorized);
}

fn registered(world: &mut World, address: &'static str, user: &str) -> Phone {
    let mut phone = Phone::new(address, user, "sip:test");
    register(world, &mut phone);
    phone
}

/// Lets time pass until a phone is asked again, at the longest twice the interval, and answers; silence without a status.
fn asked(world: &mut World, address: &'static str, status: &str) -> Message {
    let before = questions(world, address).len();
    while questions(world, address).len() == before {
        world.pass(1.0);
    }
    let question = world.last_request(address, "OPTIONS");
    if !status.is_empty() {
        world.receive(address, &respond(&question, status, "phone", "", false));
    }
    question
}

/// Different questions to a phone.
fn questions(world: &World, address: &str) -> BTreeSet<String> {
    let sent = world
        .sent
        .iter()
        .filter(|(peer, _)| peer.remote.to_string() == address);
    let asked = sent.filter(|(_, message)| {
        message
            .method()
            .is_some_and(|method| method.as_str() == "OPTIONS")
    });
    asked
        .map(|(_, message)| message.call_id().to_owned())
        .collect()
}

fn told(world: &World) -> Vec<String> {
    let news = world.events.iter().filter_map(|event| match event {
        Event::Registration(news) => Some(format!("{} {}", news.user, news.reachable)),
        Event::FixedPhone { user, reachable } => Some(format!("{user} fixed {reachable}")),
        Event::PhoneLives { user } => Some(format!("{user} lives")),
        _ => None,
    });
    news.collect()
}

#[test]
fn phones_are_asked_in_turn_and_any_answer_is_a_sign_of_life() {
    let mut world = started(asking(60, &[]));
    registered(&mut world, PHONE, "1001");
    registered(&mut world, PHONE2, "1002");
    asked(&mut world, PHONE, "200 OK");
    asked(&mut world, PHONE2, "486 Busy Here");
    asked(&mut world, PHONE, "404 Not Found");
    expect![[r#"
        0000.000 start
        0000.000 phone -> REGISTER sip:test (1)
        0000.000     phone <- 401 Unauthorized (1 REGISTER)
        0000.000 phone -> REGISTER sip:test (2)
        0000.000     phone <- 200 OK (2 REGISTER) <sip:1001@192.168.1.10:5060>;expires=3600
        0000.000     event: Registration(Registration { user: "1001", reachable: true, contacts: 1 })
        0000.000 phone2 -> REGISTER sip:test (1)
        0000.000     phone2 <- 401 Unauthorized (1 REGISTER)
        0000.000 phone2 -> REGISTER sip:test (2)
        0000.000     phone2 <- 200 OK (2 REGISTER) <sip:1002@192.168.1.11:5060>;expires=3600
        0000.000     event: Registration(Registration { user: "1002", reachable: true, contacts: 1 })
        0058.380     phone <- OPTIONS sip:1001@192.168.1.10:5060 (1)
        0058.880     phone <- OPTIONS sip:1001@192.168.1.10:5060 (1)
        0059.000 phone -> 200 OK (1 OPTIONS)
        0059.000     event: PhoneLives { user: "1001" }
        0082.440     phone2 <- OPTIONS sip:1002@192.168.1.11:5060 (1)
        0082.940     phone2 <- OPTIONS sip:1002@192.168.1.11:5060 (1)
        0083.000 phone2 -> 486 Busy Here (1 OPTIONS)
        0083.000     event: PhoneLives { user: "1002" }
        0114.480     phone <- OPTIONS sip:1001@192.168.1.10:5060 (1)
        0114.980     phone <- OPTIONS sip:1001@192.168.1.10:5060 (1)
        0115.000 phone -> 404 Not Found (1 OPTIONS)
        0115.000     event: PhoneLives { user: "1001" }
    "#]]
    .assert_eq(&world.text());
    assert_eq!(
        told(&world),
        [
            "1001 true",
            "1002 true",
            "1001 lives",
            "1002 lives",
            "1001 lives"
        ]
    );
}

#[test]
fn a_question_says_who_asks_and_goes_where_calls_go() {
    let mut world = started(asking(60, &[]));
    registered(&mut world, PHONE, "1001");
    let question = asked(&mut world, PHONE, "200 OK");
    let lines: Vec<String> = question
        .lines()
        .filter(|(name, _)| !["Via", "Call-ID"].contains(name))
        .map(|(name, value)| format!("{name}: {}", value.split(";tag=").next().unwrap()))
        .collect();
    expect![[r#"
        sip:1001@192.168.1.10:5060
        Max-Forwards: 70
        From: <sip:cordboard@test>
        To: <sip:1001@test>
        CSeq: 1 OPTIONS
        User-Agent: Cordboard
        Contact: <sip:cordboard@10.9.9.9:5060>
        Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REGISTER, REFER, NOTIFY
        Accept: application/sdp
        Content-Length: 0
    "#]]
    .assert_eq(&format!(
        "{}\n{}\n",
        question.request_uri_raw(),
        lines.join("\n")
    ));
}

#[test]
fn a_silent_phone_is_unreachable_until_it_answers() {
    let mut world = started(asking(60, &[]));
    registered(&mut world, PHONE, "1001");
    asked(&mut world, PHONE, "");
    world.pass(31.0);
    assert_eq!(told(&world), ["1001 true"]);
    world.pass(1.0);
    assert_eq!(told(&world), ["1001 true", "1001 false"]);
    asked(&mut world, PHONE, "200 OK");
    assert_eq!(told(&world)[2..], ["1001 lives", "1001 true"]);
}

#[test]
fn a_silent_phone_that_registers_is_asked_at_once_and_not_believed_before() {
    let mut world = started(asking(60, &[]));
    let mut phone = registered(&mut world, PHONE, "1001");
    asked(&mut world, PHONE, "");
    world.pass(32.0);
    let before = questions(&world, PHONE).len();
    register(&mut world, &mut phone);
    assert_eq!(questions(&world, PHONE).len(), before + 1);
    assert_eq!(told(&world), ["1001 true", "1001 false", "1001 false"]);
    let question = world.last_request(PHONE, "OPTIONS");
    world.receive(PHONE, &respond(&question, "200 OK", "phone", "", false));
    assert_eq!(told(&world)[3..], ["1001 lives", "1001 true"]);
}

#[test]
fn one_living_phone_is_enough_and_the_silent_one_is_not_rung() {
    let mut world = started(asking(60, &[]));
    registered(&mut world, PHONE, "1001");
    let mut second = Phone::new(PHONE2, "1001", "sip:test");
    second.call_id = "another".into();
    register(&mut world, &mut second);
    asked(&mut world, PHONE, "");
    let question = world.last_request(PHONE2, "OPTIONS");
    world.receive(PHONE2, &respond(&question, "200 OK", "phone", "", false));
    world.pass(32.0);
    assert_eq!(
        told(&world).last().unwrap(),
        "1001 true",
        "by the other phone"
    );
    world.call_target(Target::User("1001".into()));
    let rung = |address: &str| {
        let mut sent = world
            .sent
            .iter()
            .filter(|(peer, _)| peer.remote.to_string() == address);
        sent.any(|(_, message)| {
            message
                .method()
                .is_some_and(|method| method.as_str() == "INVITE")
        })
    };
    assert!(rung(PHONE2) && !rung(PHONE));
}

#[test]
fn a_fixed_phone_is_asked_where_it_is() {
    let mut world = started(asking(60, &[("1001", "sip:1001@192.168.1.10:5060")]));
    asked(&mut world, PHONE, "200 OK");
    asked(&mut world, PHONE, "");
    world.pass(32.0);
    asked(&mut world, PHONE, "200 OK");
    assert_eq!(
        told(&world),
        [
            "1001 lives",
            "1001 fixed false",
            "1001 lives",
            "1001 fixed true"
        ]
    );
}

#[test]
fn who_is_asked_no_more_is_believed_again() {
    let mut world = started(asking(60, &[]));
    registered(&mut world, PHONE, "1001");
    asked(&mut world, PHONE, "");
    world.pass(32.0);
    world.config.phones = PhoneRules::default();
    let config = Input::Configure(Arc::new(world.config.clone()));
    world.input("reload", config);
    assert_eq!(told(&world), ["1001 true", "1001 false", "1001 true"]);
    let before = questions(&world, PHONE).len();
    world.pass(600.0);
    assert_eq!(questions(&world, PHONE).len(), before);
}

#[test]
fn six_thousand_phones_are_asked_at_a_bounded_rate_by_one_timer() {
    let fixed: Vec<(String, String)> = (0..6000)
        .map(|n| (format!("a{n}"), format!("sip:a{n}@192.168.1.10:5060")))
        .collect();
    let fixed: Vec<(&str, &str)> = fixed.iter().map(|(user, uri)| (&**user, &**uri)).collect();
    let config = Config {
        max_transactions: 100_000,
        ..asking(1, &fixed)
    };
    let mut world = started(config);
    assert_eq!(world.endpoint.counts().timers, 1);
    let mut asked = 0;
    // Answered before anything is sent again.
    for _ in 0..50 {
        world.pass(0.2);
        let open: Vec<Message> = world.sent.drain(..).map(|(_, message)| message).collect();
        asked += open.len();
        for question in open {
            world.receive(PHONE, &respond(&question, "200 OK", "phone", "", false));
        }
    }
    assert!((1800..=2200).contains(&asked), "{asked} in ten seconds");
    // Timer K alone keeps the answered ones, for five seconds each.
    assert!(world.endpoint.counts().client_transactions <= 1200);
}
