//! Who calls, as far as it is believed, and who is shown it; what our own calls say of us; and telephones that are asked to answer by themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::identity::Signalling;
use engine::outbound::{Dialling, Format, Outbound, Rule, Share};
use engine::{AutoAnswer, Config, EventKind};
use expect_test::expect;
use sim::centre::{TestAgent, centre, one_agent};
use sim::phone::Manner;
use sim::world::World;
use sip::Trust;
use sip::digest::ha1;
use sip::message::Message;

const CALLER: &str = "10.0.1.1:5060";
const AGENT: &str = "10.0.2.1:5060";
const OUTSIDE: &str = "10.0.3.1:5060";

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

fn headers(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    let line = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    lines.iter().map(line).collect()
}

/// A call of `from` to a number, with these headers; ten seconds of it.
fn call(world: &mut World, from: &str, number: &str, user: &str, lines: &[(&str, &str)]) {
    let (now, lines) = (world.now, headers(lines));
    let from = from.parse().expect("an address");
    world.with_phone(from, |phone| phone.dial_with(now, number, user, lines));
    world.run(Duration::from_secs(10));
}

/// What a party was told of the caller in its INVITE.
fn told(world: &World, to: &str) -> String {
    let invite = world
        .wire
        .iter()
        .find(|wire| wire.to == to && wire.start_line.starts_with("INVITE"));
    let invite = Message::parse(invite.expect("an INVITE").bytes.clone()).expect("a message");
    let wanted = [
        "From",
        "P-Asserted-Identity",
        "Privacy",
        "Call-Info",
        "Alert-Info",
    ];
    let lines = invite.lines().filter(|(name, _)| wanted.contains(name));
    let line = |(name, value): (&str, &str)| {
        let value = value.split(";tag=").next().unwrap_or_default();
        format!("{name}: {value}\n")
    };
    lines.map(line).collect()
}

struct Arrived {
    ani: Option<String>,
    withheld: bool,
    signalling: Signalling,
}

fn arrived(world: &World) -> Arrived {
    let found = world.events.iter().find_map(|event| match &event.kind {
        EventKind::ContactArrived {
            ani,
            withheld,
            signalling,
            ..
        } => Some(Arrived {
            ani: ani.clone(),
            withheld: *withheld,
            signalling: signalling.as_deref().cloned().unwrap_or_default(),
        }),
        _ => None,
    });
    found.expect("a contact")
}

/// `ani`, `withheld` and `asserted` of the offer: what an agent's desk sees.
fn offered(world: &World) -> (Option<String>, bool, Option<String>) {
    let found = world.events.iter().find_map(|event| match &event.kind {
        EventKind::ContactOffered {
            ani,
            withheld,
            signalling,
            ..
        } => {
            let asserted = signalling
                .as_ref()
                .and_then(|signalling| signalling.asserted.clone());
            Some((ani.clone(), *withheld, asserted))
        }
        _ => None,
    });
    found.expect("an offer")
}

fn customer(world: &mut World, number: &str) {
    let customer = crm::PopCustomer {
        id: crm::CustomerId("C1".into()),
        name: "Wang Fang".into(),
        class: "A".into(),
        language: String::new(),
        tags: Default::default(),
    };
    let pop = crm::Pop {
        customers: vec![customer],
        last_contacts: vec![],
    };
    world.customers.insert(number.into(), pop);
}

/// Customers found; `None` when there was nothing to look up.
fn identified(world: &World) -> Option<usize> {
    world.events.iter().find_map(|event| match &event.kind {
        EventKind::ContactIdentified { customers, .. } => Some(customers.len()),
        _ => None,
    })
}

const ASSERTED: (&str, &str) = ("P-Asserted-Identity", "<sip:13900139000@carrier.example>");

#[test]
fn the_number_that_a_trusted_trunk_asserts_is_the_customers() {
    let mut world = world(centre(&one_agent()));
    customer(&mut world, "+8613900139000");
    call(&mut world, CALLER, "2000", "13800138000", &[ASSERTED]);
    let arrived = arrived(&world);
    assert_eq!(arrived.ani.as_deref(), Some("+8613900139000"));
    assert_eq!(
        arrived.signalling.asserted.as_deref(),
        Some("+8613900139000")
    );
    assert_eq!(identified(&world), Some(1));
    expect![[r#"
        From: "Wang Fang" <sip:+8613900139000@cordboard>
    "#]]
    .assert_eq(&told(&world, "agent"));
}

#[test]
fn a_trunk_that_is_not_trusted_asserts_nothing() {
    let mut config = centre(&one_agent());
    config.sip.trunks[0].trust = Trust::None;
    let mut world = world(config);
    customer(&mut world, "+8613900139000");
    call(&mut world, CALLER, "2000", "13800138000", &[ASSERTED]);
    let arrived = arrived(&world);
    assert_eq!(arrived.ani.as_deref(), Some("+8613800138000"));
    assert_eq!(
        (arrived.signalling.asserted, identified(&world)),
        (None, Some(0))
    );
}

#[test]
fn who_wants_not_to_be_known_is_known_to_the_look_up_and_not_to_the_agent() {
    let mut world = world(centre(&one_agent()));
    customer(&mut world, "+8613900139000");
    call(
        &mut world,
        CALLER,
        "2000",
        "anonymous",
        &[ASSERTED, ("Privacy", "id")],
    );
    let arrived = arrived(&world);
    assert_eq!((arrived.ani, arrived.withheld), (None, true));
    assert_eq!(
        arrived.signalling.asserted.as_deref(),
        Some("+8613900139000")
    );
    assert_eq!(identified(&world), Some(1));
    assert_eq!(offered(&world), (None, true, None));
    expect![[r#"
        From: "Wang Fang" <sip:anonymous@anonymous.invalid>
    "#]]
    .assert_eq(&told(&world, "agent"));
}

#[test]
fn a_centre_may_show_withheld_numbers() {
    let mut config = centre(&one_agent());
    config.show_withheld = true;
    let mut world = world(config);
    call(
        &mut world,
        CALLER,
        "2000",
        "anonymous",
        &[ASSERTED, ("Privacy", "id")],
    );
    let number = Some("+8613900139000".to_owned());
    assert_eq!(offered(&world), (number.clone(), true, number));
    expect![[r#"
        From: <sip:+8613900139000@cordboard>
    "#]]
    .assert_eq(&told(&world, "agent"));
}

#[test]
fn a_number_that_a_stranger_claims_and_hides_is_nobodys() {
    let mut config = centre(&one_agent());
    config.sip.trunks[0].trust = Trust::None;
    let mut world = world(config);
    customer(&mut world, "+8613800138000");
    call(
        &mut world,
        CALLER,
        "2000",
        "13800138000",
        &[ASSERTED, ("Privacy", "user;id")],
    );
    let arrived = arrived(&world);
    assert_eq!(
        (arrived.ani, arrived.withheld, identified(&world)),
        (None, true, None)
    );
}

#[test]
fn the_way_of_a_call_is_a_fact_about_the_contact() {
    let mut world = world(centre(&one_agent()));
    let way = [
        (
            "Diversion",
            "<sip:01065529988@pbx.example>;reason=no-answer;counter=1, <sip:broken",
        ),
        (
            "History-Info",
            "<sip:01065529988@pbx.example>;index=1, <sip:2000@10.0.0.1?Reason=SIP%3Bcause%3D408>;index=1.1",
        ),
        ("P-Called-Party-ID", "<sip:4001@pbx.example>"),
    ];
    call(&mut world, CALLER, "2000", "13800138000", &way);
    let json = serde_json::to_string_pretty(&arrived(&world).signalling).expect("JSON");
    expect![[r#"
        {
          "called_party": "4001",
          "diversions": [
            {
              "from": "+861065529988",
              "reason": "no-answer",
              "counter": 1
            }
          ],
          "history": [
            {
              "target": "+861065529988",
              "index": "1"
            },
            {
              "target": "2000",
              "index": "1.1",
              "reason": "SIP;cause=408"
            }
          ]
        }"#]]
    .assert_eq(&json);
}

/// Agent 1001 may call national numbers by the trunk `carrier`.
fn calling_out(trust: Trust) -> World {
    let mut config = centre(&one_agent());
    config.sip.users = users();
    config.sip.trunks[0].trust = trust;
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
                format: Format::E164,
                strip: 0,
                prefix: String::new(),
                caller_id: Some("+861065529988".into()),
            },
        )]
        .into(),
        entries: Default::default(),
    };
    if let Some(agent) = config.agents.get_mut("1001") {
        agent.may_call = ["national".into()].into();
    }
    world(config)
}

fn users() -> Arc<HashMap<Arc<str>, sip::Credentials>> {
    let user = |user: &str| {
        let md5 = Some(ha1(user, "cordboard", "secret", sip::Algorithm::Md5));
        (user.into(), sip::Credentials { md5, sha256: None })
    };
    Arc::new(["1001", "1002"].map(user).into())
}

/// An agent's phone dials, for ten seconds.
fn dial_as(world: &mut World, from: &str, number: &str, user: &str, lines: &[(&str, &str)]) {
    let phone = from.parse().expect("an address");
    world.dial_as(phone, number, user, "secret", headers(lines));
    world.run(Duration::from_secs(10));
}

/// The agent's phone calls out; what the carrier was told.
fn agent_calls_out(trust: Trust, lines: &[(&str, &str)]) -> String {
    let mut world = calling_out(trust);
    dial_as(&mut world, AGENT, "+861065520001", "1001", lines);
    told(&world, "outside")
}

#[test]
fn a_trusted_trunk_is_told_the_number_by_its_rules() {
    // What the phone asserts of itself is nothing.
    expect![[r#"
        From: <sip:861065529988@carrier.example>
        P-Asserted-Identity: <sip:861065529988@carrier.example>
    "#]]
    .assert_eq(&agent_calls_out(Trust::Full, &[ASSERTED]));
}

#[test]
fn a_trusted_trunk_is_told_who_wants_not_to_be_known_and_to_keep_it() {
    expect![[r#"
        From: "Anonymous" <sip:anonymous@anonymous.invalid>
        P-Asserted-Identity: <sip:861065529988@carrier.example>
        Privacy: id
    "#]]
    .assert_eq(&agent_calls_out(Trust::Full, &[("Privacy", "id")]));
}

#[test]
fn a_trunk_that_is_not_trusted_never_learns_who_wants_not_to_be_known() {
    expect![[r#"
        From: <sip:861065529988@carrier.example>
    "#]]
    .assert_eq(&agent_calls_out(Trust::None, &[]));
    expect![[r#"
        From: "Anonymous" <sip:anonymous@anonymous.invalid>
    "#]]
    .assert_eq(&agent_calls_out(Trust::None, &[("Privacy", "id")]));
}

fn asked(how: AutoAnswer) -> String {
    let mut config = centre(&one_agent());
    if let Some(agent) = config.agents.get_mut("1001") {
        agent.auto_answer = how;
    }
    let mut world = world(config);
    call(&mut world, CALLER, "2000", "13800138000", &[]);
    told(&world, "agent")
}

#[test]
fn a_phone_is_asked_to_answer_by_itself_in_its_own_words() {
    expect![[r#"
        From: <sip:+8613800138000@cordboard>
        Call-Info: <sip:cordboard>;answer-after=0
    "#]]
    .assert_eq(&asked(AutoAnswer::CallInfo));
    expect![[r#"
        From: <sip:+8613800138000@cordboard>
        Alert-Info: <http://127.0.0.1>;info=alert-autoanswer;delay=0
    "#]]
    .assert_eq(&asked(AutoAnswer::AlertInfo));
    expect![[r#"
        From: <sip:+8613800138000@cordboard>
        Call-Info: <sip:cordboard>;answer-after=0
        Alert-Info: <http://127.0.0.1>;info=alert-autoanswer;delay=0
    "#]]
    .assert_eq(&asked(AutoAnswer::Both));
    expect![[r#"
        From: <sip:+8613800138000@cordboard>
    "#]]
    .assert_eq(&asked(AutoAnswer::Off));
}

#[test]
fn a_colleague_who_calls_finds_no_open_microphone() {
    let agents = [
        one_agent()[0].clone(),
        TestAgent {
            id: "1002",
            skills: &[("sales", 5)],
            address: Some(CALLER),
        },
    ];
    let mut config = centre(&agents);
    config.sip.trunks.clear();
    config.sip.users = users();
    if let Some(agent) = config.agents.get_mut("1001") {
        agent.auto_answer = AutoAnswer::Both;
    }
    let mut world = world(config);
    dial_as(&mut world, CALLER, "1001", "1002", &[]);
    expect![[r#"
        From: <sip:1002@cordboard>
    "#]]
    .assert_eq(&told(&world, "agent"));
}
