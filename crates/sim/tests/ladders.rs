//! SIP ladders of whole calls through the engine, and the events that they make.

use std::time::Duration;

use clock::Time;
use expect_test::{Expect, expect};
use sim::centre::{TestAgent, centre, one_agent};
use sim::phone::Manner;
use sim::world::World;

const CALLER: &str = "10.0.1.1:5060";
const AGENT: &str = "10.0.2.1:5060";

fn answers(after_ms: u64, talks_s: Option<u64>) -> Manner {
    Manner::Answers { after: Duration::from_millis(after_ms), talks: talks_s.map(Duration::from_secs) }
}

struct Scene {
    world: World,
    from: Time,
    after: u64,
    caller: std::net::SocketAddr,
    agent: std::net::SocketAddr,
}

fn scene(agent: Manner) -> Scene {
    scene_of(&one_agent(), agent)
}

fn scene_of(agents: &[TestAgent], agent: Manner) -> Scene {
    let mut world = World::new(centre(agents), 1);
    let caller = world.phone("caller", CALLER, answers(0, None));
    let agent = world.phone("agent", AGENT, agent);
    let after = world.events.last().map_or(0, |event| event.sequence);
    Scene { from: world.now, after, world, caller, agent }
}

impl Scene {
    fn check(&self, ladder: Expect, story: Expect) {
        ladder.assert_eq(&self.world.ladder(self.from));
        story.assert_eq(&self.world.story(self.after));
    }

    fn hang_up(&mut self, who: std::net::SocketAddr) {
        let now = self.world.now;
        self.world.with_phone(who, |phone| phone.hang_up_all(now));
    }
}

#[test]
fn answered_call() {
    let mut scene = scene(answers(1000, Some(5)));
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(30));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn rona_and_requeue() {
    let mut scene = scene(Manner::LetsRing);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(30));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(30));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn abandon_in_queue() {
    let mut scene = scene_of(&[], answers(0, None));
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(8));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn abandon_in_ring() {
    let mut scene = scene(Manner::LetsRing);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(3));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(expect![[""]], expect![[""]]);
}

/// The agent picks up in the very moment in which the caller is gone: the 200 crosses our CANCEL.
#[test]
fn cancel_and_200_cross() {
    let mut scene = scene(answers(2000, None));
    scene.world.dial(scene.caller, "2000", "13800138000");
    let rings = scene.world.run_until(Duration::from_secs(5), |world| world.wire.iter().any(|message| message.start_line.contains("180")));
    assert!(rings);
    // The BYE is on the wire when the agent's 200 leaves: hang up so that both cross.
    let pick_up = scene.world.phones[&scene.agent].timeout().expect("the agent is about to pick up");
    let before = pick_up - Duration::from_millis(1);
    scene.world.run_with(before, |_| {});
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(5));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn agent_busy_then_back_off() {
    let mut scene = scene(Manner::Busy);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(15));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn agent_declines_twice() {
    let mut scene = scene(Manner::Declines);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(25));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn agent_dead() {
    let mut scene = scene(Manner::Dead);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(40));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(40));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn retransmitted_invite_and_bye() {
    let mut scene = scene(answers(500, None));
    scene.world.lose = vec!["engine SIP/2.0 100".into(), "engine SIP/2.0 200".into()];
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(3));
    scene.world.lose = vec!["engine SIP/2.0 200".into()];
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(2));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn lost_ack() {
    let mut scene = scene(answers(500, None));
    scene.world.lose = vec!["caller ACK".into(), "engine ACK".into()];
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(3));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn the_caller_who_never_acks_is_dropped() {
    let mut scene = scene_of(&[], answers(0, None));
    scene.world.lose = (0..12).map(|_| "caller ACK".into()).collect();
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(40));
    scene.check(expect![[""]], expect![[""]]);
    assert_eq!(scene.world.engine.open_contacts(), 0);
}

#[test]
fn hold_and_resume() {
    let mut scene = scene(answers(500, None));
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(2));
    let now = scene.world.now;
    let leg = scene.world.phones[&scene.agent].up().expect("the agent talks");
    scene.world.with_phone(scene.agent, |phone| phone.reoffer(now, leg, sip::sdp::Direction::SendOnly));
    scene.world.run(Duration::from_secs(2));
    let now = scene.world.now;
    scene.world.with_phone(scene.agent, |phone| phone.reoffer(now, leg, sip::sdp::Direction::SendRecv));
    scene.world.run(Duration::from_secs(2));
    scene.hang_up(scene.agent);
    scene.world.run(Duration::from_secs(1));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn trunk_callers_may_not_dial_extensions_and_unknown_numbers_are_404() {
    let mut scene = scene(answers(500, None));
    scene.world.dial(scene.caller, "1001", "13800138000");
    scene.world.run(Duration::from_secs(1));
    scene.world.dial(scene.caller, "5555", "13800138000");
    scene.world.run(Duration::from_secs(1));
    scene.check(expect![[""]], expect![[""]]);
}

#[test]
fn drain_lets_calls_finish_and_takes_no_new_ones() {
    let mut scene = scene(answers(500, Some(4)));
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(2));
    scene.world.give(engine::Input::Drain { within: Duration::from_secs(30) });
    let late = scene.world.phone("late", "10.0.1.2:5060", answers(0, None));
    scene.world.dial(late, "2000", "13900139000");
    scene.world.run(Duration::from_secs(1));
    assert!(!scene.world.drained);
    scene.world.run(Duration::from_secs(5));
    assert!(scene.world.drained);
    scene.check(expect![[""]], expect![[""]]);
}
