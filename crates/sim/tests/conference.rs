//! Conferences: who is added, who hears whom, who leaves, and that the contact stays one.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clock::Time;
use engine::{Command, ContactId, EventKind, Input, Token, Verb};
use expect_test::{Expect, expect};
use sim::centre::{TestAgent, centre};
use sim::phone::Manner;
use sim::world::World;

const AGENTS: &[TestAgent] = &[
    TestAgent {
        id: "1001",
        skills: &[("support", 5)],
        address: Some("10.0.2.1:5060"),
    },
    TestAgent {
        id: "1002",
        skills: &[("sales", 5)],
        address: Some("10.0.2.2:5060"),
    },
    TestAgent {
        id: "1900",
        skills: &[],
        address: Some("10.0.2.9:5060"),
    },
];

/// A caller whom 1001 serves, 1002 at another telephone, and 1900 at a third. Streams: 1 the caller, 2 the agent.
struct Scene {
    world: World,
    from: Time,
    after: u64,
    caller: SocketAddr,
    agent: SocketAddr,
    second: SocketAddr,
    third: SocketAddr,
    tokens: u64,
}

fn answers(after_ms: u64) -> Manner {
    Manner::Answers {
        after: Duration::from_millis(after_ms),
        talks: None,
    }
}

fn scene(second: Manner) -> Scene {
    let mut world = World::new(centre(AGENTS), 1);
    let caller = world.phone("caller", "10.0.1.1:5060", answers(0));
    let agent = world.phone("agent", "10.0.2.1:5060", answers(500));
    let second = world.phone("second", "10.0.2.2:5060", second);
    let third = world.phone("third", "10.0.2.9:5060", answers(500));
    world.dial(caller, "2000", "13800138000");
    world.run(Duration::from_secs(10));
    let after = world.events.last().unwrap().sequence;
    Scene {
        from: world.now,
        after,
        world,
        caller,
        agent,
        second,
        third,
        tokens: 0,
    }
}

impl Scene {
    fn run(&mut self, seconds: u64) {
        self.world.run(Duration::from_secs(seconds));
    }

    fn confer(&mut self, to: Option<&str>) -> String {
        let to = to.map(Into::into);
        let answer = self.ask("1001", Verb::Conference { to });
        self.run(2);
        answer
    }

    fn ask(&mut self, by: &str, verb: Verb) -> String {
        self.tokens += 1;
        let command = Command::Contact {
            by: by.into(),
            contact: ContactId("n-1-1".into()),
            verb,
        };
        let token = Token(self.tokens);
        self.world.give(Input::Command { token, command });
        format!("{:?}", self.world.replies.last().unwrap().result)
    }

    fn hang_up(&mut self, who: SocketAddr) {
        let now = self.world.now;
        self.world.with_phone(who, |phone| phone.hang_up_all(now));
        self.run(1);
    }

    /// What each stream hears at last.
    fn heard(&self) -> Vec<String> {
        let mut last: BTreeMap<u64, String> = BTreeMap::new();
        for command in &self.world.commands {
            match command {
                media::Command::Source { stream, source } => {
                    let text = match source {
                        media::Source::Mix { of } => {
                            let voices: Vec<u64> = of.iter().map(|voice| voice.0).collect();
                            format!("mix of {voices:?}")
                        }
                        other => format!("{other:?}"),
                    };
                    last.insert(stream.0, text);
                }
                media::Command::Bridge { a, b } => {
                    last.insert(a.0, format!("with {}", b.0));
                    last.insert(b.0, format!("with {}", a.0));
                }
                media::Command::Close { stream } => {
                    last.remove(&stream.0);
                }
                _ => {}
            }
        }
        let line = |(stream, source): (&u64, &String)| format!("{stream}: {source}");
        last.iter().map(line).collect()
    }

    fn check(&self, ladder: Expect, story: Expect) {
        ladder.assert_eq(&self.world.ladder(self.from));
        story.assert_eq(&self.world.story(self.after));
    }

    /// Everybody hangs up; nothing may be left, and the contact was one.
    fn end(&mut self) {
        for phone in [self.caller, self.agent, self.second, self.third] {
            self.hang_up(phone);
        }
        self.run(60);
        assert_eq!(self.world.engine.open_contacts(), 0);
        assert_eq!(self.world.engine.open_legs(), 0);
        assert_eq!(self.world.open_streams(), 0);
        for (agent, state) in self.world.engine.acd().agents() {
            assert_eq!(state, &acd::State::Ready, "{agent}");
        }
        let events = &self.world.events;
        let count = |wanted: fn(&EventKind) -> bool| {
            events.iter().filter(|event| wanted(&event.kind)).count()
        };
        let closed = count(|kind| {
            matches!(
                kind,
                EventKind::ContactClosed {
                    direction: engine::Direction::Inbound,
                    ..
                }
            )
        });
        assert_eq!(closed, 1);
    }
}

#[test]
fn agents_are_added_and_leave_one_by_one() {
    let mut scene = scene(answers(300));
    assert_eq!(scene.confer(Some("1002")), "Ok(Done)");
    expect![[r#"
        [
            "1: mix of [2, 3]",
            "2: mix of [1, 3]",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    assert_eq!(scene.confer(Some("agent:1900")), "Ok(Done)");
    expect![[r#"
        [
            "1: mix of [2, 3, 4]",
            "2: mix of [1, 3, 4]",
            "3: mix of [1, 2, 4]",
            "4: mix of [1, 2, 3]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.hang_up(scene.second);
    expect![[r#"
        [
            "1: mix of [2, 4]",
            "2: mix of [1, 4]",
            "4: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.hang_up(scene.third);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.hang_up(scene.caller);
    scene.check(
        expect![[r#"
        0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
        0.001   second -> engine SIP/2.0 100 Trying
        0.001   second -> engine SIP/2.0 180 Ringing
        0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
        0.003   second -> engine SIP/2.0 200 OK
        0.301   second -> engine SIP/2.0 200 OK
        0.302   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
        2.000   engine -> third  INVITE sip:1900@10.0.2.9:5060 SIP/2.0
        2.001    third -> engine SIP/2.0 100 Trying
        2.001    third -> engine SIP/2.0 180 Ringing
        2.002   engine -> third  PRACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        2.003    third -> engine SIP/2.0 200 OK
        2.501    third -> engine SIP/2.0 200 OK
        2.502   engine -> third  ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        4.000   second -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        4.001   engine -> second SIP/2.0 200 OK
        5.000    third -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        5.001   engine -> third  SIP/2.0 200 OK
        6.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        6.001   engine -> caller SIP/2.0 200 OK
        6.001   engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
        6.002    agent -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        agent.state 1002 Ready -> Occupied
        contact.joined n-1-1 agent:1002
        agent.state 1900 Ready -> Occupied
        contact.joined n-1-1 agent:1900
        contact.left n-1-1 agent:1002
        agent.state 1002 Occupied -> Ready
        contact.left n-1-1 agent:1900
        agent.state 1900 Occupied -> Ready
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]],
    );
    scene.end();
}

#[test]
fn whom_the_agent_consults_is_added() {
    let mut scene = scene(answers(300));
    expect![[r#"Err(Conflict("the agent consults nobody"))"#]].assert_eq(&scene.confer(None));
    let consult = Verb::Consult { to: "1002".into() };
    assert_eq!(scene.ask("1001", consult), "Ok(Done)");
    scene.run(2);
    assert_eq!(scene.confer(None), "Ok(Done)");
    expect![[r#"
        [
            "1: mix of [2, 3]",
            "2: mix of [1, 3]",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.hang_up(scene.caller);
    expect![[r#"
        contact.arrived n-1-2 agent:1002 Internal
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.answered n-1-2 agent=1002 queue=None wait=0ms
        contact.closed n-1-2 Answered agent=Some("1002") cause=joined
        contact.joined n-1-1 agent:1002
        contact.resumed n-1-1 by=1001 after=2000ms
        agent.state 1001 Held -> Connected
        agent.state 1002 Occupied -> Occupied
        agent.state 1002 Occupied -> Ready
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]]
    .assert_eq(&scene.world.story(scene.after));
    scene.end();
}

#[test]
fn whom_the_agent_consults_by_a_queue_wraps_up_for_that_queue() {
    let mut scene = scene(answers(300));
    let consult = Verb::Consult {
        to: "queue:sales".into(),
    };
    assert_eq!(scene.ask("1001", consult), "Ok(Done)");
    scene.run(2);
    assert_eq!(scene.confer(None), "Ok(Done)");
    scene.hang_up(scene.second);
    scene.hang_up(scene.caller);
    expect![[r#"
        contact.arrived n-1-2 queue:sales Internal
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        contact.queued n-1-2 sales visit=1 position=1
        contact.offered n-1-2 agent=1002 offer=1 pop=-
        agent.state 1002 Ready -> Reserved
        contact.answered n-1-2 agent=1002 queue=Some("sales") wait=302ms
        agent.state 1002 Reserved -> Connected
        contact.closed n-1-2 Answered agent=Some("1002") cause=joined
        contact.joined n-1-1 agent:1002
        contact.resumed n-1-1 by=1001 after=2000ms
        agent.state 1001 Held -> Connected
        agent.state 1002 Connected -> Connected
        contact.left n-1-1 agent:1002
        agent.state 1002 Connected -> WrapUp
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]]
    .assert_eq(&scene.world.story(scene.after));
    scene.end();
}

#[test]
fn when_the_agent_leaves_the_others_go_on() {
    let mut scene = scene(answers(300));
    assert_eq!(scene.confer(Some("1002")), "Ok(Done)");
    assert_eq!(scene.confer(Some("1900")), "Ok(Done)");
    scene.hang_up(scene.agent);
    expect![[r#"
        [
            "1: mix of [3, 4]",
            "3: mix of [1, 4]",
            "4: mix of [1, 3]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.hang_up(scene.second);
    expect![[r#"
        [
            "1: with 4",
            "4: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.hang_up(scene.caller);
    expect![[r#"
        agent.state 1002 Ready -> Occupied
        contact.joined n-1-1 agent:1002
        agent.state 1900 Ready -> Occupied
        contact.joined n-1-1 agent:1900
        contact.transferred n-1-1 conference to=agent:1002
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=0ms
        agent.state 1001 Connected -> WrapUp
        agent.state 1002 Occupied -> Connected
        contact.transferred n-1-1 conference to=agent:1900
        contact.answered n-1-1 agent=1900 queue=Some("support") wait=0ms
        agent.state 1002 Connected -> WrapUp
        agent.state 1900 Occupied -> Connected
        agent.state 1900 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1900") cause=caller_bye
    "#]]
    .assert_eq(&scene.world.story(scene.after));
    scene.end();
}

#[test]
fn who_holds_is_out_and_comes_back() {
    let mut scene = scene(answers(300));
    assert_eq!(scene.confer(Some("1002")), "Ok(Done)");
    assert_eq!(scene.ask("1001", Verb::Hold), "Ok(Done)");
    expect![[r#"
        [
            "1: mix of [3]",
            "2: Silence",
            "3: mix of [1]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    let to = Verb::Transfer { to: "1900".into() };
    expect![[
        r#"Err(Conflict("a conference is not passed on: hang up to leave it to the others"))"#
    ]]
    .assert_eq(&scene.ask("1001", to));
    assert_eq!(scene.ask("1001", Verb::Resume), "Ok(Done)");
    expect![[r#"
        [
            "1: mix of [2, 3]",
            "2: mix of [1, 3]",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.end();
}

#[test]
fn who_does_not_answer_is_not_in_it() {
    let mut scene = scene(Manner::LetsRing);
    assert_eq!(scene.confer(Some("1002")), "Ok(Done)");
    let before = scene.heard();
    scene.run(40);
    scene.world.phones.get_mut(&scene.third).unwrap().manner = Manner::Busy;
    assert_eq!(scene.confer(Some("1900")), "Ok(Done)");
    expect![[r#"
        (
            [
                "1: with 2",
                "2: with 1",
            ],
            [
                "1: with 2",
                "2: with 1",
            ],
        )
    "#]]
    .assert_debug_eq(&(before, scene.heard()));
    expect![[
        r#"Err(Invalid("a conference is with agents and numbers: consult the queue first"))"#
    ]]
    .assert_eq(&scene.confer(Some("queue:sales")));
    expect![[r#"Err(Invalid("nowhere leads to no agent, queue or flow"))"#]]
        .assert_eq(&scene.confer(Some("nowhere")));
    expect![[r#"
        agent.state 1002 Ready -> Occupied
        contact.transfer_failed n-1-1 to=agent:1002 status=480 back=agent
        agent.state 1002 Occupied -> Ready
        agent.state 1900 Ready -> Occupied
        contact.transfer_failed n-1-1 to=agent:1900 status=486 back=agent
        agent.state 1900 Occupied -> Ready
    "#]]
    .assert_eq(&scene.world.story(scene.after));
    scene.end();
}
