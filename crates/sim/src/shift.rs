//! A shift: seeded people with seeded telephones over a lossy network, with the invariants checked after every step.

use std::net::SocketAddr;
use std::time::Duration;

use clock::Time;

use crate::centre::{TestAgent, centre};
use crate::dice::Dice;
use crate::invariants::Invariants;
use crate::phone::Manner;
use crate::world::{Network, World};

/// What a shift came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub calls: u64,
    pub answered: u64,
    pub closed: u64,
    pub messages: usize,
    pub lost: usize,
    pub offer_ends: Vec<(acd::OfferEnd, u64)>,
}

const AGENTS: &[TestAgent] = &[
    TestAgent {
        id: "1001",
        skills: &[("support", 5)],
        address: Some("10.0.2.1:5060"),
    },
    TestAgent {
        id: "1002",
        skills: &[("support", 3), ("sales", 5)],
        address: Some("10.0.2.2:5060"),
    },
    TestAgent {
        id: "1003",
        skills: &[("sales", 8)],
        address: Some("10.0.2.3:5060"),
    },
    TestAgent {
        id: "1004",
        skills: &[("support", 1), ("sales", 1)],
        address: Some("10.0.2.4:5060"),
    },
];

fn manner(dice: &mut Dice) -> Manner {
    let seconds = Duration::from_secs;
    match dice.below(100) {
        0..70 => Manner::Answers {
            after: dice.between(Duration::from_millis(100), seconds(25)),
            talks: dice
                .percent(70)
                .then(|| dice.between(seconds(1), seconds(60))),
        },
        70..78 => Manner::LetsRing,
        78..84 => Manner::Busy,
        84..89 => Manner::Declines,
        89..92 => Manner::Redirects,
        92..97 => Manner::Dead,
        _ => Manner::BrokenSdp,
    }
}

/// Plays one shift. Panics where an invariant breaks; the caller prints the seed.
pub fn play(seed: u64) -> Outcome {
    play_through(seed).0
}

/// Plays one shift and leaves the world as it is after the last call.
pub fn play_through(seed: u64) -> (Outcome, World) {
    let mut dice = Dice::new(seed);
    let config = centre(AGENTS);
    let mut world = World::new(config.clone(), seed);
    world.network = Network {
        loss_percent: dice.below(15),
        delay: dice.between(Duration::from_millis(1), Duration::from_millis(80)),
        jitter: dice.between(Duration::ZERO, Duration::from_millis(120)),
    };
    world.look_up_delay = dice.between(Duration::ZERO, Duration::from_millis(450));
    let agents: Vec<SocketAddr> = AGENTS
        .iter()
        .map(|agent| {
            world.phone(
                agent.id,
                agent.address.expect("agents of the shift have addresses"),
                manner(&mut dice),
            )
        })
        .collect();
    let callers: Vec<SocketAddr> = (0..12)
        .map(|index| {
            world.phone(
                &format!("caller{index}"),
                &format!("10.0.1.{}:5060", index + 1),
                patient(&mut dice),
            )
        })
        .collect();
    let mut invariants = Invariants::default();
    let end = world.now + Duration::from_secs(600);
    let mut calls = 0;
    while world.now < end {
        let until = world.now + dice.between(Duration::ZERO, Duration::from_secs(12));
        world.run_with(until, |world| invariants.check(world, &config));
        one_deed(&mut world, &mut dice, &callers, &agents, &mut calls);
        invariants.check(&world, &config);
    }
    go_home(&mut world, &mut invariants, &config);
    let lost = world.wire.iter().filter(|message| message.lost).count();
    let outcome = Outcome {
        calls,
        answered: invariants.answered.len() as u64,
        closed: invariants.closed,
        messages: world.wire.len(),
        lost,
        offer_ends: invariants.offer_ends.into_iter().collect(),
    };
    (outcome, world)
}

fn patient(dice: &mut Dice) -> Manner {
    Manner::Answers {
        after: Duration::ZERO,
        talks: Some(dice.between(Duration::from_secs(1), Duration::from_secs(90))),
    }
}

/// Somebody does something.
fn one_deed(
    world: &mut World,
    dice: &mut Dice,
    callers: &[SocketAddr],
    agents: &[SocketAddr],
    calls: &mut u64,
) {
    let now = world.now;
    match dice.below(100) {
        0..60 => {
            let caller = *dice.pick(callers);
            if world.phones[&caller].open() == 0 {
                let number = if dice.percent(60) { "2000" } else { "2001" };
                let leg = world.dial(caller, number, &format!("1380013{:04}", dice.below(10_000)));
                let patience = dice.between(Duration::from_millis(5), Duration::from_secs(90));
                world.with_phone(caller, |phone| phone.plan_hang_up(now + patience, leg));
                *calls += 1;
            }
        }
        60..66 => {
            let agent = *dice.pick(agents);
            world.with_phone(agent, |phone| phone.hang_up_all(now));
        }
        66..74 => desk(world, dice),
        74..79 => refer(world, dice, callers, agents),
        79..90 => {
            let manner = manner(dice);
            let agent = *dice.pick(agents);
            world.with_phone(agent, |phone| phone.manner = manner);
        }
        _ => agent_state(world, dice),
    }
}

const TARGETS: &[&str] = &[
    "1001",
    "1002",
    "agent:1003",
    "1004",
    "queue:support",
    "queue:sales",
    "2001",
    "nowhere",
];

/// An agent's desk does something with what its agent has.
fn desk(world: &mut World, dice: &mut Dice) {
    let agent: std::sync::Arc<str> = dice.pick(AGENTS).id.into();
    let number = match world.engine.acd().state(&agent) {
        Some(acd::State::Connected { contact, .. } | acd::State::WrapUp { contact, .. }) => {
            *contact
        }
        Some(acd::State::Occupied { call, .. }) => *call,
        _ => return,
    };
    let to = (*dice.pick(TARGETS)).to_owned();
    let verb = match dice.below(10) {
        0..2 => engine::Verb::Hold,
        2..4 => engine::Verb::Resume,
        4..6 => engine::Verb::Transfer { to },
        6..8 => engine::Verb::Consult { to },
        8 => engine::Verb::Complete,
        _ => engine::Verb::Disposition {
            code: "seen".into(),
            note: None,
            end_wrap_up: dice.percent(50),
        },
    };
    let counter = number.0 & ((1 << 40) - 1);
    let command = engine::Command::Contact {
        by: agent,
        contact: engine::ContactId(format!("n-1-{counter}").into()),
        verb,
    };
    let token = engine::Token(dice.bits());
    world.give(engine::Input::Command { token, command });
}

/// Somebody's telephone refers; a caller's is refused.
fn refer(world: &mut World, dice: &mut Dice, callers: &[SocketAddr], agents: &[SocketAddr]) {
    let now = world.now;
    let among = if dice.percent(85) { agents } else { callers };
    let who = *dice.pick(among);
    let target = dice.pick(&["1001", "1002", "1003", "2000", "2001", "9"]);
    let to = format!("<sip:{target}@10.0.0.1>");
    let silent = dice.percent(20);
    let hasty = dice.percent(40);
    world.with_phone(who, |phone| {
        let Some(leg) = phone.up() else { return };
        phone.hasty = hasty;
        let headers = match silent {
            true => vec![("Refer-Sub".to_owned(), "false".to_owned())],
            false => vec![],
        };
        phone.refer(now, leg, &to, headers);
    });
}

fn agent_state(world: &mut World, dice: &mut Dice) {
    let agent: std::sync::Arc<str> = dice.pick(AGENTS).id.into();
    let availability = match dice.below(4) {
        0 => acd::Availability::NotReady {
            reason: "break".into(),
        },
        1 => acd::Availability::LoggedOut,
        _ => acd::Availability::Ready,
    };
    let token = engine::Token(dice.bits());
    let command = if dice.percent(20) {
        engine::Command::EndWrapUp {
            by: agent.clone(),
            agent,
        }
    } else {
        engine::Command::SetAgentState {
            by: agent.clone(),
            agent,
            availability,
        }
    };
    world.give(engine::Input::Command { token, command });
}

/// Everybody hangs up, the network heals, and the last timers run out.
fn go_home(world: &mut World, invariants: &mut Invariants, config: &engine::Config) {
    let now = world.now;
    let everybody: Vec<SocketAddr> = world.phones.keys().copied().collect();
    world.network.loss_percent = 0;
    for address in everybody {
        world.with_phone(address, |phone| {
            if phone.manner == Manner::Dead {
                phone.manner = Manner::LetsRing;
            }
            phone.hang_up_all(now);
        });
    }
    // Longest that anything may take by itself: timer C and the transactions after it.
    let until: Time = world.now + Duration::from_secs(900);
    world.run_with(until, |world| invariants.check(world, config));
    invariants.nothing_left(world);
}
