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
    Manner::Answers {
        after: Duration::from_millis(after_ms),
        talks: talks_s.map(Duration::from_secs),
    }
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
    Scene {
        from: world.now,
        after,
        world,
        caller,
        agent,
    }
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
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            1.003    agent -> engine SIP/2.0 200 OK
            1.004   engine -> agent  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            6.003    agent -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            6.004   engine -> agent  SIP/2.0 200 OK
            6.004   engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
            6.005   caller -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=1002ms
        agent.state 1001 Reserved -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=agent_bye
        agent.state 1001 WrapUp -> Ready
    "#]],
    );
}

#[test]
fn rona_and_requeue() {
    let mut scene = scene(Manner::LetsRing);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(30));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(30));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            20.002  engine -> agent  CANCEL sip:1001@10.0.2.1:5060 SIP/2.0
            20.003   agent -> engine SIP/2.0 200 OK
            20.003   agent -> engine SIP/2.0 487 Request Terminated
            20.004  engine -> agent  ACK sip:1001@10.0.2.1:5060 SIP/2.0
            30.000  caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            30.001  engine -> caller SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 RingTimeout requeued=true
        agent.state 1001 Reserved -> NotReady (rona)
        contact.abandoned n-1-1 queue=Some("support") Queue short=false
        contact.closed n-1-1 AbandonedInQueue agent=None cause=caller_bye
    "#]],
    );
}

#[test]
fn abandon_in_queue() {
    let mut scene = scene_of(&[], answers(0, None));
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(8));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            8.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            8.001   engine -> caller SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.abandoned n-1-1 queue=Some("support") Queue short=false
        contact.closed n-1-1 AbandonedInQueue agent=None cause=caller_bye
    "#]],
    );
}

#[test]
fn abandon_in_ring() {
    let mut scene = scene(Manner::LetsRing);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(3));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            3.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            3.001   engine -> caller SIP/2.0 200 OK
            3.001   engine -> agent  CANCEL sip:1001@10.0.2.1:5060 SIP/2.0
            3.002    agent -> engine SIP/2.0 200 OK
            3.002    agent -> engine SIP/2.0 487 Request Terminated
            3.003   engine -> agent  ACK sip:1001@10.0.2.1:5060 SIP/2.0
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 CallerGone requeued=false
        contact.abandoned n-1-1 queue=Some("support") Ring short=true
        agent.state 1001 Reserved -> Ready
        contact.closed n-1-1 AbandonedInRing agent=None cause=caller_bye
    "#]],
    );
}

/// The agent picks up in the very moment in which the caller is gone: the 200 crosses our CANCEL.
#[test]
fn cancel_and_200_cross() {
    let mut scene = scene(answers(2000, None));
    scene.world.dial(scene.caller, "2000", "13800138000");
    let rings = scene.world.run_until(Duration::from_secs(5), |world| {
        world
            .wire
            .iter()
            .any(|message| message.start_line.contains("180"))
    });
    assert!(rings);
    // The ringing is acknowledged: what the phone waits for next is to pick up.
    scene.world.run(Duration::from_millis(10));
    // The BYE is on the wire when the agent's 200 leaves: hang up so that both cross.
    let pick_up = scene.world.phones[&scene.agent]
        .timeout()
        .expect("the agent is about to pick up");
    let before = pick_up - Duration::from_millis(1);
    scene.world.run_with(before, |_| {});
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(5));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            2.002   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            2.003   engine -> caller SIP/2.0 200 OK
            2.003   engine -> agent  CANCEL sip:1001@10.0.2.1:5060 SIP/2.0
            2.003    agent -> engine SIP/2.0 200 OK
            2.004    agent -> engine SIP/2.0 200 OK
            2.004   engine -> agent  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            2.004   engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            2.005    agent -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 CallerGone requeued=false
        contact.abandoned n-1-1 queue=Some("support") Ring short=true
        agent.state 1001 Reserved -> Ready
        contact.closed n-1-1 AbandonedInRing agent=None cause=caller_bye
    "#]],
    );
}

#[test]
fn agent_busy_then_back_off() {
    let mut scene = scene(Manner::Busy);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(15));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 486 Busy Here
            0.004   engine -> agent  ACK sip:1001@10.0.2.1:5060 SIP/2.0
            10.004  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            10.005   agent -> engine SIP/2.0 100 Trying
            10.005   agent -> engine SIP/2.0 486 Busy Here
            10.006  engine -> agent  ACK sip:1001@10.0.2.1:5060 SIP/2.0
            15.000  caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            15.001  engine -> caller SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 Busy requeued=true
        agent.state 1001 Reserved -> Ready
        contact.offered n-1-1 agent=1001 offer=2 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 Busy requeued=true
        agent.state 1001 Reserved -> Ready
        contact.abandoned n-1-1 queue=Some("support") Queue short=false
        contact.closed n-1-1 AbandonedInQueue agent=None cause=caller_bye
    "#]],
    );
}

#[test]
fn agent_declines_twice() {
    let mut scene = scene(Manner::Declines);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(25));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 603 Decline
            0.004   engine -> agent  ACK sip:1001@10.0.2.1:5060 SIP/2.0
            10.004  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            10.005   agent -> engine SIP/2.0 100 Trying
            10.005   agent -> engine SIP/2.0 603 Decline
            10.006  engine -> agent  ACK sip:1001@10.0.2.1:5060 SIP/2.0
            25.000  caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            25.001  engine -> caller SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 Declined requeued=true
        agent.state 1001 Reserved -> Ready
        contact.offered n-1-1 agent=1001 offer=2 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 Declined requeued=true
        agent.state 1001 Reserved -> NotReady (declined)
        contact.abandoned n-1-1 queue=Some("support") Queue short=false
        contact.closed n-1-1 AbandonedInQueue agent=None cause=caller_bye
    "#]],
    );
}

#[test]
fn agent_dead() {
    let mut scene = scene(Manner::Dead);
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(40));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(40));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.502   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            1.502   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            3.502   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            7.502   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            14.002  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            14.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            15.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            15.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            17.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            21.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            28.002  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            28.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            29.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            29.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            31.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            31.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            35.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            40.000  caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            40.001  engine -> caller SIP/2.0 200 OK
            43.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            45.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            59.502  engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 Unreachable requeued=true
        agent.state 1001 Reserved -> Ready
        contact.offered n-1-1 agent=1001 offer=2 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 Unreachable requeued=true
        agent.state 1001 Reserved -> Ready
        contact.offered n-1-1 agent=1001 offer=3 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 Unreachable requeued=true
        agent.state 1001 Reserved -> Unreachable
        contact.abandoned n-1-1 queue=Some("support") Queue short=false
        contact.closed n-1-1 AbandonedInQueue agent=None cause=caller_bye
        agent.state 1001 Unreachable -> Ready
    "#]],
    );
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
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying  (lost)
            0.001   engine -> caller SIP/2.0 200 OK  (lost)
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            0.500   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.501   engine -> caller SIP/2.0 200 OK
            0.502   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.503    agent -> engine SIP/2.0 200 OK
            0.504   engine -> agent  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            3.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            3.001   engine -> caller SIP/2.0 200 OK  (lost)
            3.001   engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            3.002    agent -> engine SIP/2.0 200 OK
            3.500   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            3.501   engine -> caller SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]],
    );
}

#[test]
fn lost_ack() {
    let mut scene = scene(answers(500, None));
    scene.world.lose = vec!["caller ACK".into(), "engine ACK".into()];
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(3));
    scene.hang_up(scene.caller);
    scene.world.run(Duration::from_secs(1));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            0.501   engine -> caller SIP/2.0 200 OK
            0.502   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.503    agent -> engine SIP/2.0 200 OK
            0.504   engine -> agent  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0  (lost)
            1.003    agent -> engine SIP/2.0 200 OK
            1.004   engine -> agent  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            3.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            3.001   engine -> caller SIP/2.0 200 OK
            3.001   engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            3.002    agent -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]],
    );
}

#[test]
fn the_caller_who_never_acks_is_dropped() {
    let mut scene = scene_of(&[], answers(0, None));
    scene.world.lose = (0..12).map(|_| "caller ACK".into()).collect();
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(40));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            0.501   engine -> caller SIP/2.0 200 OK
            0.502   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            1.501   engine -> caller SIP/2.0 200 OK
            1.502   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            3.501   engine -> caller SIP/2.0 200 OK
            3.502   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            7.501   engine -> caller SIP/2.0 200 OK
            7.502   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            11.501  engine -> caller SIP/2.0 200 OK
            11.502  caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            15.501  engine -> caller SIP/2.0 200 OK
            15.502  caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            19.501  engine -> caller SIP/2.0 200 OK
            19.502  caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            23.501  engine -> caller SIP/2.0 200 OK
            23.502  caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            27.501  engine -> caller SIP/2.0 200 OK
            27.502  caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            31.501  engine -> caller SIP/2.0 200 OK
            31.502  caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0  (lost)
            32.001  engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
            32.002  caller -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.abandoned n-1-1 queue=Some("support") Queue short=false
        contact.closed n-1-1 AbandonedInQueue agent=None cause=caller_lost
    "#]],
    );
    assert_eq!(scene.world.engine.open_contacts(), 0);
}

#[test]
fn hold_and_resume() {
    let mut scene = scene(answers(500, None));
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(2));
    let now = scene.world.now;
    let leg = scene.world.phones[&scene.agent]
        .up()
        .expect("the agent talks");
    scene.world.with_phone(scene.agent, |phone| {
        phone.reoffer(now, leg, sip::sdp::Direction::SendOnly)
    });
    scene.world.run(Duration::from_secs(2));
    let now = scene.world.now;
    scene.world.with_phone(scene.agent, |phone| {
        phone.reoffer(now, leg, sip::sdp::Direction::SendRecv)
    });
    scene.world.run(Duration::from_secs(2));
    scene.hang_up(scene.agent);
    scene.world.run(Duration::from_secs(1));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            0.503    agent -> engine SIP/2.0 200 OK
            0.504   engine -> agent  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            2.000    agent -> engine INVITE sip:cordboard@10.0.0.1:5060 SIP/2.0
            2.001   engine -> agent  SIP/2.0 100 Trying
            2.001   engine -> agent  SIP/2.0 200 OK
            2.002    agent -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            4.000    agent -> engine INVITE sip:cordboard@10.0.0.1:5060 SIP/2.0
            4.001   engine -> agent  SIP/2.0 100 Trying
            4.001   engine -> agent  SIP/2.0 200 OK
            4.002    agent -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            6.000    agent -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            6.001   engine -> agent  SIP/2.0 200 OK
            6.001   engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
            6.002   caller -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=1001 after=2000ms
        agent.state 1001 Held -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=agent_bye
    "#]],
    );
}

#[test]
fn trunk_callers_may_not_dial_extensions_and_unknown_numbers_are_404() {
    let mut scene = scene(answers(500, None));
    scene.world.dial(scene.caller, "1001", "13800138000");
    scene.world.run(Duration::from_secs(1));
    scene.world.dial(scene.caller, "5555", "13800138000");
    scene.world.run(Duration::from_secs(1));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:1001@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 403 Forbidden
            0.002   caller -> engine ACK sip:1001@10.0.0.1:5060 SIP/2.0
            1.000   caller -> engine INVITE sip:5555@10.0.0.1:5060 SIP/2.0
            1.001   engine -> caller SIP/2.0 100 Trying
            1.001   engine -> caller SIP/2.0 404 Not Found
            1.002   caller -> engine ACK sip:5555@10.0.0.1:5060 SIP/2.0
        "#]],
        expect![[""]],
    );
}

#[test]
fn drain_lets_calls_finish_and_takes_no_new_ones() {
    let mut scene = scene(answers(500, Some(4)));
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(2));
    scene.world.give(engine::Input::Drain {
        within: Duration::from_secs(30),
    });
    let late = scene.world.phone("late", "10.0.1.2:5060", answers(0, None));
    scene.world.dial(late, "2000", "13900139000");
    scene.world.run(Duration::from_secs(1));
    assert!(!scene.world.drained);
    scene.world.run(Duration::from_secs(5));
    assert!(scene.world.drained);
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            0.503    agent -> engine SIP/2.0 200 OK
            0.504   engine -> agent  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            2.000     late -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            2.001   engine -> late   SIP/2.0 100 Trying
            2.001   engine -> late   SIP/2.0 503 Service Unavailable
            2.002     late -> engine ACK sip:2000@10.0.0.1:5060 SIP/2.0
            4.503    agent -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            4.504   engine -> agent  SIP/2.0 200 OK
            4.504   engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
            4.505   caller -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=agent_bye
    "#]],
    );
}

/// The agent picks up in the very moment in which the ring times out: the distributor has given the offer up, so the call goes on to nobody.
#[test]
fn an_answer_at_the_ring_deadline_is_too_late() {
    let agents = [
        TestAgent {
            id: "1001",
            skills: &[("support", 5)],
            address: Some("10.0.2.1:5060"),
        },
        TestAgent {
            id: "1002",
            skills: &[("support", 5)],
            address: Some("10.0.2.2:5060"),
        },
    ];
    // Reserved 2 ms after the INVITE, which needs a millisecond; the 200 needs another one: it comes at the deadline to the nanosecond.
    let mut scene = scene_of(&agents, answers(19_998, None));
    scene
        .world
        .phone("second", "10.0.2.2:5060", answers(1_000, Some(3)));
    scene.world.dial(scene.caller, "2000", "13800138000");
    scene.world.run(Duration::from_secs(60));
    let ended = scene
        .world
        .events
        .iter()
        .filter(|event| event.type_name() == "contact.answered")
        .count();
    assert_eq!(ended, 1, "{}", scene.world.story(scene.after));
    scene.check(
        expect![[r#"
            0.000   caller -> engine INVITE sip:2000@10.0.0.1:5060 SIP/2.0
            0.001   engine -> caller SIP/2.0 100 Trying
            0.001   engine -> caller SIP/2.0 200 OK
            0.002   engine -> agent  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            0.002   caller -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.003    agent -> engine SIP/2.0 100 Trying
            0.003    agent -> engine SIP/2.0 180 Ringing
            0.004   engine -> agent  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.005    agent -> engine SIP/2.0 200 OK
            20.001   agent -> engine SIP/2.0 200 OK
            20.002  engine -> agent  CANCEL sip:1001@10.0.2.1:5060 SIP/2.0
            20.002  engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            20.002  engine -> agent  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            20.002  engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            20.003   agent -> engine SIP/2.0 200 OK
            20.003  second -> engine SIP/2.0 100 Trying
            20.003  second -> engine SIP/2.0 180 Ringing
            20.003   agent -> engine SIP/2.0 200 OK
            20.004  engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            20.005  second -> engine SIP/2.0 200 OK
            21.003  second -> engine SIP/2.0 200 OK
            21.004  engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            24.003  second -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            24.004  engine -> second SIP/2.0 200 OK
            24.004  engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
            24.005  caller -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 RingTimeout requeued=true
        agent.state 1001 Reserved -> NotReady (rona)
        contact.offered n-1-1 agent=1002 offer=2 pop=-
        agent.state 1002 Ready -> Reserved
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=21002ms
        agent.state 1002 Reserved -> Connected
        agent.state 1002 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1002") cause=agent_bye
        agent.state 1002 WrapUp -> Ready
    "#]],
    );
    let counts = scene.world.engine.acd().counts("support");
    assert_eq!(
        (counts.waiting, counts.offered, counts.connected),
        (0, 0, 0)
    );
    assert_eq!(scene.world.engine.open_contacts(), 0);
}
