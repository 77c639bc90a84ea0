//! A floor to look at: the real server, board, numbers and pages over made-up events. `cargo run -p web --example floor [ADDRESS]`, then sign in
//! as `1900` / `demo-1900` (wallboard) or `1001` / `demo-1001` (desk).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers outside #[test] functions, and one line for a person

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::{World, now};
use engine::Answer;
use engine::event::{AgentState, Exit, Outcome};

fn main() {
    let listen = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::at(dir.path(), &listen);
    morning(&mut world);
    println!("http://{}/", world.address);
    loop {
        if let Ok(ask) = world.asks.recv_timeout(Duration::from_secs(3600)) {
            let answer = match ask.command {
                engine::Command::Why { .. } => Answer::Why {
                    decisions: vec![(now(), "support".into(), decision())],
                    waiting: None,
                },
                engine::Command::Ladder { .. } => Answer::Ladder(vec![engine::LadderMessage {
                    at: now(),
                    outbound: false,
                    peer: engine::Peer {
                        transport: engine::Transport::Udp,
                        remote: ([127, 0, 0, 1], 7000).into(),
                        flow: None,
                    },
                    leg: engine::LegId(1),
                    party: "caller".into(),
                    inbound_leg: true,
                    again: false,
                    bytes: "INVITE sip:1000@127.0.0.1 SIP/2.0\r\n\r\n".into(),
                }]),
                engine::Command::SetAgentState { .. }
                | engine::Command::EndWrapUp { .. }
                | engine::Command::Hangup { .. }
                | engine::Command::WhyIdle { .. }
                | engine::Command::ExtendWrapUp { .. }
                | engine::Command::Audit(_)
                | engine::Command::Contact { .. } => Answer::Done,
            };
            let _ = ask.reply.send(Ok(answer));
        }
    }
}

/// Two hours up to now.
fn morning(world: &mut World) {
    let start = now() - Duration::from_secs(2 * 3600);
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    for queue in ["support", "sales"] {
        world.queue(at(0), queue);
    }
    for agent in ["1001", "1002", "1003"] {
        world.agent(
            at(0),
            agent,
            AgentState::Ready,
            AgentState::LoggedOut,
            0,
            None,
        );
    }
    let mut n = 0;
    for turn in 0..24u64 {
        let (from, queue) = (
            at(60 + turn * 280),
            if turn % 3 == 0 { "sales" } else { "support" },
        );
        let agent = if turn % 3 == 0 {
            "1003"
        } else if turn % 2 == 0 {
            "1001"
        } else {
            "1002"
        };
        n += 1;
        let later = |seconds: u64| from + Duration::from_secs(seconds);
        world.arrives(from, n, "+8613800138000", queue);
        match turn % 8 {
            6 => {
                world.abandoned(later(40), n, queue, 40_000);
                world.closed(later(40), n, Outcome::AbandonedInQueue, queue, None);
            }
            7 => {
                world.left(later(30), n, queue, Exit::Overflowed);
                world.closed(later(31), n, Outcome::Overflowed, queue, None);
            }
            wait => {
                world.offered(later(wait * 5), n, "+8613800138000", queue, agent);
                world.answered(later(wait * 5 + 3), n, queue, agent, (wait * 5 + 3) * 1000);
                world.agent(
                    later(wait * 5 + 3),
                    agent,
                    AgentState::Connected,
                    AgentState::Ready,
                    100_000,
                    Some((n, queue)),
                );
                world.agent(
                    later(200),
                    agent,
                    AgentState::WrapUp,
                    AgentState::Connected,
                    (197 - wait * 5) * 1000,
                    Some((n, queue)),
                );
                world.closed(later(200), n, Outcome::Answered, queue, Some(agent));
                world.agent(
                    later(220),
                    agent,
                    AgentState::Ready,
                    AgentState::WrapUp,
                    20_000,
                    None,
                );
            }
        }
    }
    let ago = |seconds: u64| now() - Duration::from_secs(seconds);
    world.agent(
        ago(80),
        "1003",
        AgentState::NotReady,
        AgentState::Ready,
        60_000,
        None,
    );
    world.arrives(ago(75), 101, "+8613900139000", "support");
    world.offered(ago(70), 101, "+8613900139000", "support", "1002");
    world.answered(ago(66), 101, "support", "1002", 9_000);
    world.agent(
        ago(66),
        "1002",
        AgentState::Connected,
        AgentState::Ready,
        60_000,
        Some((101, "support")),
    );
    world.arrives(ago(48), 102, "+442079460123", "sales");
    world.arrives(ago(21), 103, "+8613800138000", "support");
    world.arrives(ago(9), 104, "+8613700137000", "support");
    world.offered(ago(4), 103, "+8613800138000", "support", "1001");
    world.agent(
        ago(4),
        "1001",
        AgentState::Reserved,
        AgentState::Ready,
        60_000,
        Some((103, "support")),
    );
}

fn decision() -> acd::Decision {
    let candidate = |agent: &str, score: f64| acd::Candidate {
        agent: agent.into(),
        score,
        terms: [("idle".into(), score)].into(),
    };
    acd::Decision {
        step: 0,
        chosen: "1001".into(),
        runner_up: Some("1002".into()),
        candidates: vec![candidate("1001", 56.0), candidate("1002", 12.5)],
        excluded: vec![acd::Excluded {
            reason: "skill".into(),
            count: 1,
            examples: vec!["1003".into()],
        }],
        overtaken: vec![],
        overtaken_by: Default::default(),
    }
}
