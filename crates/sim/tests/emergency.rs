//! Calls for help: every agent may make them, in a full centre and by a full trunk; nobody else may because of that.

use std::sync::Arc;
use std::time::Duration;

use engine::outbound::{Dialling, Format, Outbound, Rule, Share};
use engine::{Config, EventKind};
use expect_test::expect;
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;
use sip::digest::ha1;

const CALLER: &str = "10.0.1.1:5060";
const AGENT: &str = "10.0.2.1:5060";
const OUTSIDE: &str = "10.0.3.1:5060";

/// Agent 1001 may call nothing outside; the carrier takes no calls at all.
fn config() -> Config {
    let mut config = centre(&one_agent());
    let md5 = Some(ha1("1001", "cordboard", "secret", sip::Algorithm::Md5));
    let credentials = sip::Credentials { md5, sha256: None };
    config.sip.users = Arc::new([("1001".into(), credentials)].into());
    config.sip.trunks[0].max_calls = 0;
    config.sip.trunks[0].carrier = Some(sip::Carrier {
        domain: "carrier.example".into(),
        next_hop: format!("sip:{OUTSIDE}"),
        ..sip::Carrier::default()
    });
    let rule = |number: &str, class: &str| Rule {
        number: number.into(),
        class: class.into(),
        trunks: vec![Share {
            trunk: "carrier".into(),
            rank: 0,
            weight: 1,
        }],
        caller_id: None,
    };
    let dialling = Dialling {
        country: "CN".into(),
        format: Format::National,
        strip: 0,
        prefix: String::new(),
        caller_id: Some("+861065529988".into()),
    };
    config.outbound = Outbound {
        rules: vec![rule("110", "emergency"), rule("+86", "national")],
        dialling: [("carrier".into(), dialling)].into(),
        entries: Default::default(),
    };
    config
}

fn world(config: Config) -> World {
    let answers = || Manner::Answers {
        after: Duration::from_millis(500),
        talks: Some(Duration::from_secs(2)),
    };
    let mut world = World::new(config, 1);
    world.phone("caller", CALLER, answers());
    world.phone("agent", AGENT, answers());
    world.phone("outside", OUTSIDE, answers());
    world
}

fn call(world: &mut World, number: &str) -> bool {
    let agent = AGENT.parse().expect("an address");
    world.dial_as(agent, number, "1001", "secret", vec![]);
    world.run(Duration::from_secs(5));
    reached(world)
}

fn reached(world: &World) -> bool {
    world
        .wire
        .iter()
        .any(|wire| wire.to == "outside" && wire.start_line.starts_with("INVITE"))
}

#[test]
fn every_agent_reaches_help_by_a_full_trunk_and_it_is_logged() {
    let mut world = world(config());
    let (from, after) = (
        world.now,
        world.events.last().map_or(0, |event| event.sequence),
    );
    assert!(call(&mut world, "110"));
    expect![[r#"
        0.000    agent -> engine INVITE sip:110@10.0.0.1:5060 SIP/2.0
        0.001   engine -> agent  SIP/2.0 401 Unauthorized
        0.002    agent -> engine ACK sip:110@10.0.0.1:5060 SIP/2.0
        0.010    agent -> engine INVITE sip:110@10.0.0.1:5060 SIP/2.0
        0.011   engine -> agent  SIP/2.0 100 Trying
        0.011   engine -> outside INVITE sip:110@carrier.example SIP/2.0
        0.012   outside -> engine SIP/2.0 100 Trying
        0.012   outside -> engine SIP/2.0 180 Ringing
        0.013   engine -> outside PRACK sip:cordboard@10.0.3.1:5060 SIP/2.0
        0.013   engine -> agent  SIP/2.0 180 Ringing
        0.014   outside -> engine SIP/2.0 200 OK
        0.014    agent -> engine PRACK sip:cordboard@10.0.0.1:5060 SIP/2.0
        0.015   engine -> agent  SIP/2.0 200 OK
        0.512   outside -> engine SIP/2.0 200 OK
        0.513   engine -> outside ACK sip:cordboard@10.0.3.1:5060 SIP/2.0
        0.513   engine -> agent  SIP/2.0 200 OK
        0.514    agent -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
        2.512   outside -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        2.513   engine -> outside SIP/2.0 200 OK
        2.513   engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
        2.514    agent -> engine SIP/2.0 200 OK
    "#]]
    .assert_eq(&world.ladder(from));
    expect![[r#"
        contact.arrived n-1-1 outside:emergency Outbound
        audit by=1001 emergency_call 110
        agent.state 1001 Ready -> Occupied
        contact.identified n-1-1 customers=0 class=None late=false
        contact.answered n-1-1 agent=1001 queue=None wait=0ms
        agent.state 1001 Occupied -> Ready
        contact.closed n-1-1 Answered agent=Some("1001") cause=agent_bye
    "#]]
    .assert_eq(&world.story(after));
    let logged = world.events.iter().any(|event| {
        matches!(&event.kind, EventKind::Audit { by, action, subject, .. }
            if &**by == "1001" && &**action == "emergency_call" && &**subject == "110")
    });
    assert!(logged);
}

#[test]
fn a_full_centre_lets_a_call_for_help_in_and_no_other() {
    let mut config = config();
    config.max_calls = 0;
    config.sip.trunks[0].max_calls = 10;
    let mut help = world(config.clone());
    assert!(call(&mut help, "110"));
    let mut other = world(config);
    assert!(!call(&mut other, "01065520001"));
}

#[test]
fn the_right_to_call_for_help_is_no_right_to_call_anything_else() {
    assert!(!call(&mut world(config()), "01065520001"));
    assert!(!call(&mut world(config()), "1101"));
}

#[test]
fn a_caller_from_a_trunk_reaches_no_help() {
    let mut config = config();
    config.sip.trunks[0].max_calls = 10;
    let mut world = world(config);
    let caller = CALLER.parse().expect("an address");
    world.dial(caller, "110", "13800138000");
    world.run(Duration::from_secs(5));
    assert!(!reached(&world));
}
