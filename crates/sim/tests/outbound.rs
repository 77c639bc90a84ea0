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
