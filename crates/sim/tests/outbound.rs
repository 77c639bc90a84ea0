//! Calls to the outside through the whole engine: whose they are, what is heard before the answer, and who may not make them (toll fraud).

use std::time::Duration;

use engine::Config;
use engine::outbound::{Dialling, Format, Outbound, Rule, Share};
use expect_test::expect;
use sim::centre::{TestAgent, centre};
use sim::phone::Manner;
use sim::world::World;

const CALLER: &str = "10.0.1.1:5060";
const AGENT: &str = "10.0.2.1:5060";
const OUTSIDE: &str = "10.0.3.1:5060";
const NUMBER: &str = "+861065520001";

/// Agent 1001 may call national numbers by the trunk `carrier`; the carrier is also who calls in.
fn config(may_call: &[&str]) -> Config {
    let agents = [TestAgent {
        id: "1001",
        skills: &[("support", 5)],
        address: Some(AGENT),
    }];
    let mut config = centre(&agents);
    config.sip.trunks[0].carrier = Some(sip::Carrier {
        domain: "carrier.example".into(),
        next_hop: format!("sip:{OUTSIDE}"),
        ..sip::Carrier::default()
    });
    config.outbound = Outbound {
        rules: vec![Rule {
            number: "+86".into(),
            class: "national".into(),
            trunks: vec![Share {
                trunk: "carrier".into(),
                rank: 0,
                weight: 1,
            }],
            caller_id: None,
        }],
        dialling: [(
            "carrier".into(),
            Dialling {
                country: "CN".into(),
                format: Format::Plus,
                strip: 0,
                prefix: String::new(),
                caller_id: Some("+861065529988".into()),
            },
        )]
        .into(),
        entries: Default::default(),
    };
    let classes = may_call.iter().map(|&class| class.into()).collect();
    if let Some(agent) = config.agents.get_mut("1001") {
        agent.may_call = classes;
    }
    config
}

fn answers() -> Manner {
    Manner::Answers {
        after: Duration::from_millis(1000),
        talks: Some(Duration::from_secs(5)),
    }
}

fn world(config: Config) -> World {
    let mut world = World::new(config, 1);
    world.phone("caller", CALLER, answers());
    world.phone("agent", AGENT, answers());
    world.phone("outside", OUTSIDE, answers());
    world
}

fn reached_outside(world: &World) -> bool {
    world.ladder(clock::Time::ZERO).contains("-> outside")
}

#[test]
fn a_caller_from_a_trunk_reaches_no_number_outside() {
    let mut world = world(config(&["national"]));
    let from = world.now;
    let caller = CALLER.parse().expect("an address");
    world.dial(caller, NUMBER, "13800138000");
    world.run(Duration::from_secs(5));
    assert!(!reached_outside(&world));
    expect![[r#"
        0.000   caller -> engine INVITE sip:+861065520001@10.0.0.1:5060 SIP/2.0
        0.001   engine -> caller SIP/2.0 100 Trying
        0.001   engine -> caller SIP/2.0 404 Not Found
        0.002   caller -> engine ACK sip:+861065520001@10.0.0.1:5060 SIP/2.0
    "#]]
    .assert_eq(&world.ladder(from));
}

#[test]
fn an_unauthenticated_source_reaches_no_number_outside() {
    let mut world = world(config(&["national"]));
    let stranger = world.phone("stranger", "203.0.113.9:5060", answers());
    world.dial(stranger, NUMBER, "1001");
    world.dial(stranger, NUMBER, "13800138000");
    world.run(Duration::from_secs(5));
    assert!(!reached_outside(&world), "a From is no credential");
}

#[test]
fn a_redirection_of_an_agents_phone_reaches_no_number_outside() {
    let mut world = World::new(config(&["national"]), 1);
    let caller = world.phone("caller", CALLER, answers());
    world.phone("agent", AGENT, Manner::Redirects);
    world.phone("outside", OUTSIDE, answers());
    world.dial(caller, "2000", "13800138000");
    world.run(Duration::from_secs(5));
    assert!(!reached_outside(&world), "302 is counted, not followed");
}

/// A caller from the trunk whom agent 1001, who may call national numbers, serves.
fn served(outside: Manner) -> World {
    let mut world = World::new(config(&["national"]), 1);
    let talks = |after_ms| Manner::Answers {
        after: Duration::from_millis(after_ms),
        talks: None,
    };
    let caller = world.phone("caller", CALLER, talks(0));
    world.phone("agent", AGENT, talks(500));
    world.phone("outside", OUTSIDE, outside);
    world.dial(caller, "2000", "13800138000");
    world.run(Duration::from_secs(2));
    world
}

fn hang_up(world: &mut World, address: &str) {
    let (now, address) = (world.now, address.parse().expect("an address"));
    world.with_phone(address, |phone| phone.hang_up_all(now));
    world.run(Duration::from_secs(60));
    assert_eq!(world.engine.open_legs(), 0);
}

/// `9`, the outside number, the feature codes, in RTP and by INFO: keys are heard by the agent, never dialled.
#[test]
fn a_callers_keys_reach_no_number_outside() {
    let mut world = served(answers());
    let talked = world.engine.open_legs();
    let keys = "9+861065520001#*11*14##2*861065520001#";
    for digit in keys.chars().filter(|key| *key != '+') {
        let stream = world.streams().next().expect("the caller's");
        let pressed = media::Event::Dtmf { stream, digit };
        world.give(engine::Input::Media(pressed));
        world.run(Duration::from_millis(200));
    }
    assert_eq!(world.engine.open_legs(), talked);
    assert!(!reached_outside(&world));
    let agents: Vec<String> = world
        .engine
        .acd()
        .agents()
        .map(|(agent, state)| format!("{agent} {state:?}"))
        .collect();
    assert!(agents[0].starts_with("1001 Connected"), "{agents:?}");
    hang_up(&mut world, CALLER);
}

/// A flow that would pass a caller on to whatever it has typed goes no farther than its entry number's classes.
#[test]
fn keys_in_a_flow_reach_no_number_outside_without_its_class() {
    let text = r#"
[flow]
name = "typed"
start = "ask"
transfers = "external"
languages = ["en"]
[variables]
number = ""
[state.ask]
collect = "number"
prompt = "ask"
next = "pass"
[state.pass]
transfer = "+{{ number }}"
on_other = "over"
[state.over]
hangup = true
"#;
    let nothing = Default::default();
    let surroundings = ivr::Surroundings {
        has_prompt: &|_, _| true,
        queues: &nothing,
        numbers: &nothing,
    };
    let files = [("typed.toml".into(), text.into())];
    let (flows, diagnostics) = ivr::Flows::load(&files, &surroundings);
    let flows = std::sync::Arc::new(flows);
    for (classes, reaches) in [
        (&[][..], false),
        (&["emergency"][..], false),
        (&["national"][..], true),
    ] {
        let mut config = config(&["national"]);
        config.flows = flows.clone();
        config
            .routes
            .insert("2000".into(), engine::Route::Flow("typed".into()));
        let classes = classes.iter().map(|class| (*class).into()).collect();
        config.outbound.entries.insert("2000".into(), classes);
        let mut world = world(config);
        world.dial(CALLER.parse().expect("an address"), "2000", "13800138000");
        world.run(Duration::from_millis(500));
        for digit in "861065520001#".chars() {
            let stream = world.streams().next().expect("the caller's");
            let pressed = media::Event::Dtmf { stream, digit };
            world.give(engine::Input::Media(pressed));
        }
        world.run(Duration::from_secs(3));
        assert_eq!(reached_outside(&world), reaches, "{diagnostics:?}");
    }
}

#[test]
fn a_callers_refer_reaches_no_number_outside() {
    let mut world = served(answers());
    let caller = CALLER.parse().expect("an address");
    let leg = world.phones[&caller].up().expect("a call");
    for target in [
        format!("<sip:{NUMBER}@10.0.0.1>"),
        format!("<tel:{NUMBER}>"),
        format!("<sip:{NUMBER}@{OUTSIDE}>"),
        "<sip:1001@10.0.0.1>".to_owned(),
    ] {
        let now = world.now;
        world.with_phone(caller, |phone| phone.refer(now, leg, &target, vec![]));
        world.run(Duration::from_secs(2));
    }
    expect!["1 403, 1 403, 1 403, 1 403"].assert_eq(&world.phones[&caller].referred.join(", "));
    assert!(!reached_outside(&world));
    hang_up(&mut world, CALLER);
}

/// The carrier says that the number has moved: to whatever it names, we do not call.
#[test]
fn a_redirection_of_the_carrier_is_not_followed() {
    let mut world = served(Manner::Redirects);
    let agent: std::net::SocketAddr = AGENT.parse().expect("an address");
    let leg = world.phones[&agent].up().expect("a call");
    let now = world.now;
    let to = format!("<sip:{NUMBER}@10.0.0.1>");
    world.with_phone(agent, |phone| phone.refer(now, leg, &to, vec![]));
    world.run(Duration::from_secs(3));
    // The agent may call this number; what it is redirected to is nobody's wish.
    let placed = world
        .wire
        .iter()
        .filter(|message| message.from == "engine" && message.start_line.starts_with("INVITE"));
    let placed: Vec<&str> = placed.map(|message| message.start_line.as_str()).collect();
    expect![[r#"
        [
            "INVITE sip:1001@10.0.2.1:5060 SIP/2.0",
            "INVITE sip:+861065520001@carrier.example SIP/2.0",
        ]
    "#]]
    .assert_debug_eq(&placed);
    hang_up(&mut world, CALLER);
}

/// What an agent's phone may not dial it may not refer to either, and a From that claims more is a claim.
#[test]
fn an_agents_refer_reaches_no_number_without_the_class() {
    let mut world = World::new(config(&[]), 1);
    let caller = world.phone("caller", CALLER, answers());
    let agent = world.phone("agent", AGENT, answers());
    world.phone("outside", OUTSIDE, answers());
    world.dial(caller, "2000", "13800138000");
    world.run(Duration::from_secs(2));
    let leg = world.phones[&agent].up().expect("a call");
    let now = world.now;
    let to = format!("<sip:{NUMBER}@10.0.0.1>");
    let claim = vec![("Referred-By".to_owned(), "<sip:1900@cordboard>".to_owned())];
    world.with_phone(agent, |phone| phone.refer(now, leg, &to, claim));
    world.run(Duration::from_secs(2));
    assert!(!reached_outside(&world));
    expect!["1 202, 1 100, 1 403."].assert_eq(&world.phones[&agent].referred.join(", "));
}
