//! Trunks that are known by a host name: who may call in follows what the DNS says of it, and a name that does not resolve is told of.

mod world;

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use sip::locate::{Answer, Kind, Question, Records};
use sip::{Event, Identity, Input, Trunk};
use world::{Phone, World, config};

const NAME: &str = "sbc.example";

/// Trunk `named` is known by a name, `written` by an address.
fn world() -> World {
    let mut config = config();
    config.trunks = vec![
        Trunk {
            name: "named".into(),
            hosts: vec![NAME.into()],
            max_calls: 10,
            ..Trunk::default()
        },
        Trunk {
            name: "written".into(),
            addresses: vec!["10.0.0.2".parse().expect("an address")],
            max_calls: 10,
            ..Trunk::default()
        },
    ];
    let mut world = World::with(config);
    world.endpoint.start(world.now);
    world.input("start", Input::Configure(Arc::new(world.config.clone())));
    world
}

fn dns(world: &mut World, answer: Answer) {
    let question = Question {
        name: NAME.into(),
        kind: Kind::Addresses,
    };
    world.input("dns", Input::Resolved { question, answer });
}

fn found(addresses: &[&str], seconds: u64) -> Answer {
    let addresses = addresses.iter().map(|ip| ip.parse().expect("an address"));
    Answer::Found {
        records: Records::Addresses(addresses.collect()),
        ttl: Duration::from_secs(seconds),
    }
}

/// Whose call one from this address is; nobody's is challenged. It is over at once.
fn calls(world: &mut World, from: &'static str, number: u32) -> Option<Arc<str>> {
    let mut caller = Phone::new(from, &format!("c{number}"), "sip:1000@10.9.9.9");
    let invite = caller.invite();
    let before = world.text();
    let seen = world.events.len();
    world.receive(from, &invite);
    let trunk = world.events[seen..].iter().find_map(|event| match event {
        Event::Incoming(call) => Some((call.leg, call.identity.clone())),
        _ => None,
    });
    let trunk = trunk.map(|(leg, identity)| {
        world.hangup(leg);
        let Identity::Trunk(name) = identity else {
            panic!("{identity:?}")
        };
        name
    });
    if trunk.is_none() {
        assert_eq!(world.last(from).status(), Some(401));
    }
    caller.learn(&world.last(from).clone());
    let ack = caller.same("ACK", "", "");
    world.receive(from, &ack);
    world.text();
    world.note(&before);
    trunk
}

#[test]
fn who_may_call_in_follows_the_present_addresses_of_the_name() {
    let mut world = world();
    let (first, second, written) = ("10.0.0.1:5060", "198.51.100.1:5060", "10.0.0.2:5060");
    assert_eq!(calls(&mut world, first, 1), None, "nothing is known yet");
    dns(&mut world, found(&["10.0.0.1", "::ffff:10.0.0.3"], 30));
    assert_eq!(calls(&mut world, first, 2).as_deref(), Some("named"));
    assert_eq!(calls(&mut world, second, 3), None);
    // The answer has ended: the same again, in another order, is no news.
    world.pass(30.0);
    dns(&mut world, found(&["10.0.0.3", "10.0.0.1"], 30));
    world.pass(30.0);
    dns(&mut world, found(&["198.51.100.1", "10.0.0.2"], 600));
    assert_eq!(calls(&mut world, first, 4), None);
    assert_eq!(calls(&mut world, second, 5).as_deref(), Some("named"));
    // What is written down goes before what a name has.
    assert_eq!(calls(&mut world, written, 6).as_deref(), Some("written"));
    // A trunk that is taken out is nobody's any more, and nobody asks after it.
    world.config.trunks.remove(0);
    world.input("reload", Input::Configure(Arc::new(world.config.clone())));
    assert_eq!(calls(&mut world, second, 7), None);
    expect![[r#"
        0000.000 start
        0000.000     edge: Resolve Addresses sbc.example
        0000.000 dns
        0000.000     edge: Host sbc.example [10.0.0.1, 10.0.0.3] Known
        0030.000     edge: Resolve Addresses sbc.example
        0030.000 dns
        0060.000     edge: Resolve Addresses sbc.example
        0060.000 dns
        0060.000     edge: Host sbc.example [10.0.0.2, 198.51.100.1] Known
        0060.000 reload
    "#]]
    .assert_eq(&world.end());
}

#[test]
fn a_name_that_does_not_resolve_is_told_of_and_one_that_did_is_kept_while_the_dns_is_down() {
    let mut world = world();
    let first = "10.0.0.1:5060";
    // Nobody answers, not even the edge.
    world.pass(6.0);
    world.pass(10.0);
    dns(&mut world, Answer::Failed);
    assert_eq!(calls(&mut world, first, 1), None);
    world.pass(10.0);
    dns(&mut world, found(&["10.0.0.1"], 0));
    assert_eq!(calls(&mut world, first, 2).as_deref(), Some("named"));
    world.pass(5.0);
    dns(&mut world, Answer::Failed);
    assert_eq!(calls(&mut world, first, 3).as_deref(), Some("named"));
    // An hour later nobody believes it any more. Each of the questions between has failed.
    let text = world.text();
    for _ in 0..400 {
        world.pass(10.0);
        dns(&mut world, Answer::Failed);
    }
    let told = world.text();
    let told: Vec<&str> = told.lines().filter(|line| line.contains("Host")).collect();
    world.note(&text);
    world.note(&(told.join("\n") + "\n"));
    assert_eq!(calls(&mut world, first, 4), None);
    world.pass(10.0);
    let nothing = Answer::Nothing {
        ttl: Duration::from_secs(900),
    };
    dns(&mut world, nothing);
    // What the zone says of that is believed for a minute.
    world.pass(60.0);
    dns(&mut world, found(&["10.0.0.1"], 600));
    assert_eq!(calls(&mut world, first, 5).as_deref(), Some("named"));
    world.config.trunks.clear();
    world.input("reload", Input::Configure(Arc::new(world.config.clone())));
    expect![[r#"
        0000.000 start
        0000.000     edge: Resolve Addresses sbc.example
        0006.000     event: Counted { what: "dns_failed" }
        0006.000     edge: Host sbc.example [] Failed
        0016.000     edge: Resolve Addresses sbc.example
        0016.000 dns
        0016.000     event: Counted { what: "dns_failed" }
        0026.000     edge: Resolve Addresses sbc.example
        0026.000 dns
        0026.000     edge: Host sbc.example [10.0.0.1] Known
        0031.000     edge: Resolve Addresses sbc.example
        0031.000 dns
        0031.000     event: Counted { what: "dns_failed" }
        0031.000     edge: Host sbc.example [10.0.0.1] Failed
        3631.000     edge: Host sbc.example [] Failed
        4041.000     edge: Resolve Addresses sbc.example
        4041.000 dns
        4041.000     edge: Host sbc.example [] Nothing
        4101.000     edge: Resolve Addresses sbc.example
        4101.000 dns
        4101.000     edge: Host sbc.example [10.0.0.1] Known
        4101.000 reload
    "#]]
    .assert_eq(&world.end());
}
