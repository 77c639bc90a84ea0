//! Supervisors who listen, whisper, barge in and take over: what their telephones are told, who hears whom, and what is written down.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use clock::Time;
use engine::{Command, ContactId, EventKind, Input, Oversight, Token, Verb};
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

/// A caller whom 1001 serves, 1002 at another telephone, and the supervisor 1900. Streams: 1 the caller, 2 the agent, 3 the supervisor.
struct Scene {
    world: World,
    from: Time,
    after: u64,
    caller: SocketAddr,
    agent: SocketAddr,
    supervisor: SocketAddr,
    tokens: u64,
}

fn answers(after_ms: u64) -> Manner {
    Manner::Answers {
        after: Duration::from_millis(after_ms),
        talks: None,
    }
}

fn scene(supervisor: Manner) -> Scene {
    let mut world = World::new(centre(AGENTS), 1);
    let caller = world.phone("caller", "10.0.1.1:5060", answers(0));
    let agent = world.phone("agent", "10.0.2.1:5060", answers(500));
    world.phone("second", "10.0.2.2:5060", answers(500));
    let supervisor = world.phone("boss", "10.0.2.9:5060", supervisor);
    world.dial(caller, "2000", "13800138000");
    world.run(Duration::from_secs(10));
    let after = world.events.last().unwrap().sequence;
    Scene {
        from: world.now,
        after,
        world,
        caller,
        agent,
        supervisor,
        tokens: 0,
    }
}

impl Scene {
    fn run(&mut self, seconds: u64) {
        self.world.run(Duration::from_secs(seconds));
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

    fn oversee(&mut self, how: Oversight) {
        let verb = Verb::Oversee { how, phone: None };
        assert_eq!(self.ask("1900", verb), "Ok(Done)");
        self.run(2);
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

    /// Which way the media of the supervisor's leg may flow, seen from us.
    fn way(&self) -> Vec<media::Direction> {
        let of = |command: &media::Command| match command {
            media::Command::Update {
                stream, direction, ..
            } if stream.0 == 3 => Some(*direction),
            _ => None,
        };
        self.world.commands.iter().filter_map(of).collect()
    }

    /// Directions that our descriptions tell the supervisor's telephone.
    fn told(&self) -> Vec<String> {
        let ours = |wire: &&sim::world::OnWire| wire.from == "engine" && wire.to == "boss";
        let text = |wire: &sim::world::OnWire| String::from_utf8_lossy(&wire.bytes).into_owned();
        let word = |line: &str| {
            let word = line.strip_prefix("a=")?;
            let known = ["sendrecv", "sendonly", "recvonly", "inactive"];
            known.contains(&word).then(|| word.to_owned())
        };
        self.world
            .wire
            .iter()
            .filter(ours)
            .filter_map(|wire| text(wire).lines().find_map(word))
            .collect()
    }

    fn check(&self, ladder: Expect, story: Expect) {
        ladder.assert_eq(&self.world.ladder(self.from));
        story.assert_eq(&self.world.story(self.after));
    }

    /// Everybody hangs up; nothing may be left, and the contact was one.
    fn end(&mut self) {
        for phone in [self.caller, self.agent, self.supervisor] {
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
        assert_eq!(
            count(|kind| matches!(kind, EventKind::ContactArrived { .. })),
            1
        );
        assert_eq!(
            count(|kind| matches!(kind, EventKind::ContactClosed { .. })),
            1
        );
    }
}

#[test]
fn a_listener_is_told_that_he_may_only_receive_and_changes_nothing() {
    let mut scene = scene(answers(300));
    let before = scene.heard();
    scene.oversee(Oversight::Listen);
    assert_eq!(scene.told(), ["sendonly"]);
    assert_eq!(scene.way(), [media::Direction::SendOnly]);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    let bridges = |scene: &Scene| {
        let bridge = |command: &&media::Command| matches!(command, media::Command::Bridge { .. });
        scene.world.commands.iter().filter(bridge).count()
    };
    assert_eq!(bridges(&scene), 1);
    scene.hang_up(scene.supervisor);
    assert_eq!((scene.heard(), bridges(&scene)), (before, 1));
    scene.check(
        expect![[r#"
        0.000   engine -> boss   INVITE sip:1900@10.0.2.9:5060 SIP/2.0
        0.001     boss -> engine SIP/2.0 100 Trying
        0.001     boss -> engine SIP/2.0 180 Ringing
        0.002   engine -> boss   PRACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        0.003     boss -> engine SIP/2.0 200 OK
        0.301     boss -> engine SIP/2.0 200 OK
        0.302   engine -> boss   ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        2.000     boss -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        2.001   engine -> boss   SIP/2.0 200 OK
    "#]],
        expect![[r#"
        audit by=1900 listen n-1-1
        agent.state 1900 Ready -> Occupied
        audit by=1900 supervision_ended n-1-1
        agent.state 1900 Occupied -> Ready
    "#]],
    );
    scene.end();
}

#[test]
fn listen_whisper_barge_and_listen_again_on_one_telephone() {
    let mut scene = scene(answers(300));
    scene.oversee(Oversight::Listen);
    scene.oversee(Oversight::Whisper);
    expect![[r#"
        [
            "1: mix of [2]",
            "2: mix of [1, 3]",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.oversee(Oversight::Barge);
    expect![[r#"
        [
            "1: mix of [2, 3]",
            "2: mix of [1, 3]",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.oversee(Oversight::Listen);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    expect![[r#"
        [
            "sendonly",
            "sendrecv",
            "sendonly",
        ]
    "#]]
    .assert_debug_eq(&scene.told());
    expect![[r#"
        [
            SendOnly,
            SendReceive,
            SendOnly,
        ]
    "#]]
    .assert_debug_eq(&scene.way());
    scene.check(
        expect![[r#"
        0.000   engine -> boss   INVITE sip:1900@10.0.2.9:5060 SIP/2.0
        0.001     boss -> engine SIP/2.0 100 Trying
        0.001     boss -> engine SIP/2.0 180 Ringing
        0.002   engine -> boss   PRACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        0.003     boss -> engine SIP/2.0 200 OK
        0.301     boss -> engine SIP/2.0 200 OK
        0.302   engine -> boss   ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        2.000   engine -> boss   INVITE sip:cordboard@10.0.2.9:5060 SIP/2.0
        2.001     boss -> engine SIP/2.0 100 Trying
        2.001     boss -> engine SIP/2.0 200 OK
        2.002   engine -> boss   ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        6.000   engine -> boss   INVITE sip:cordboard@10.0.2.9:5060 SIP/2.0
        6.001     boss -> engine SIP/2.0 100 Trying
        6.001     boss -> engine SIP/2.0 200 OK
        6.002   engine -> boss   ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
    "#]],
        expect![[r#"
        audit by=1900 listen n-1-1
        agent.state 1900 Ready -> Occupied
        audit by=1900 whisper n-1-1
        audit by=1900 barge n-1-1
        audit by=1900 listen n-1-1
    "#]],
    );
    scene.end();
}

#[test]
fn a_whisper_outlives_a_hold_and_ends_with_the_supervisor() {
    let mut scene = scene(answers(300));
    scene.oversee(Oversight::Whisper);
    assert_eq!(scene.told(), ["sendrecv"]);
    assert_eq!(scene.ask("1001", Verb::Hold), "Ok(Done)");
    expect![[r#"
        [
            "1: Music { name: \"default\" }",
            "2: mix of [3]",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    assert_eq!(scene.ask("1001", Verb::Resume), "Ok(Done)");
    expect![[r#"
        [
            "1: mix of [2]",
            "2: mix of [1, 3]",
            "3: mix of [1, 2]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.hang_up(scene.supervisor);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.end();
}

#[test]
fn supervision_goes_with_the_contact_to_another_agent() {
    let mut scene = scene(answers(300));
    scene.oversee(Oversight::Barge);
    let to = Verb::Transfer {
        to: "queue:sales".into(),
    };
    assert_eq!(scene.ask("1001", to), "Ok(Done)");
    scene.run(3);
    expect![[r#"
        [
            "1: mix of [4, 3]",
            "3: mix of [1, 4]",
            "4: mix of [1, 3]",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.hang_up(scene.caller);
    scene.check(
        expect![[r#"
        0.000   engine -> boss   INVITE sip:1900@10.0.2.9:5060 SIP/2.0
        0.001     boss -> engine SIP/2.0 100 Trying
        0.001     boss -> engine SIP/2.0 180 Ringing
        0.002   engine -> boss   PRACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        0.003     boss -> engine SIP/2.0 200 OK
        0.301     boss -> engine SIP/2.0 200 OK
        0.302   engine -> boss   ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        2.000   engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
        2.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
        2.001    agent -> engine SIP/2.0 200 OK
        2.001   second -> engine SIP/2.0 100 Trying
        2.001   second -> engine SIP/2.0 180 Ringing
        2.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
        2.003   second -> engine SIP/2.0 200 OK
        2.501   second -> engine SIP/2.0 200 OK
        2.502   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
        5.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        5.001   engine -> caller SIP/2.0 200 OK
        5.001   engine -> boss   BYE sip:cordboard@10.0.2.9:5060 SIP/2.0
        5.001   engine -> second BYE sip:cordboard@10.0.2.2:5060 SIP/2.0
        5.002     boss -> engine SIP/2.0 200 OK
        5.002   second -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        audit by=1900 barge n-1-1
        agent.state 1900 Ready -> Occupied
        contact.transferred n-1-1 to_queue to=queue:sales
        contact.queued n-1-1 sales visit=2 position=1
        agent.state 1001 Connected -> WrapUp
        contact.offered n-1-1 agent=1002 offer=2 pop=-
        agent.state 1002 Ready -> Reserved
        contact.answered n-1-1 agent=1002 queue=Some("sales") wait=502ms
        agent.state 1002 Reserved -> Connected
        audit by=1900 supervision_ended n-1-1
        agent.state 1900 Occupied -> Ready
        agent.state 1002 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1002") cause=caller_bye
    "#]],
    );
    scene.end();
}

#[test]
fn a_supervisor_takes_over_from_where_he_listens() {
    let mut scene = scene(answers(300));
    scene.oversee(Oversight::Listen);
    scene.oversee(Oversight::TakeOver);
    expect![[r#"
        [
            "1: with 3",
            "3: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    expect![[r#"
        [
            SendOnly,
            SendReceive,
        ]
    "#]]
    .assert_debug_eq(&scene.way());
    scene.hang_up(scene.caller);
    scene.check(
        expect![[r#"
        0.000   engine -> boss   INVITE sip:1900@10.0.2.9:5060 SIP/2.0
        0.001     boss -> engine SIP/2.0 100 Trying
        0.001     boss -> engine SIP/2.0 180 Ringing
        0.002   engine -> boss   PRACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        0.003     boss -> engine SIP/2.0 200 OK
        0.301     boss -> engine SIP/2.0 200 OK
        0.302   engine -> boss   ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        2.000   engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
        2.000   engine -> boss   INVITE sip:cordboard@10.0.2.9:5060 SIP/2.0
        2.001    agent -> engine SIP/2.0 200 OK
        2.001     boss -> engine SIP/2.0 100 Trying
        2.001     boss -> engine SIP/2.0 200 OK
        2.002   engine -> boss   ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        4.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        4.001   engine -> caller SIP/2.0 200 OK
        4.001   engine -> boss   BYE sip:cordboard@10.0.2.9:5060 SIP/2.0
        4.002     boss -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        audit by=1900 listen n-1-1
        agent.state 1900 Ready -> Occupied
        contact.transferred n-1-1 take_over to=agent:1900
        contact.answered n-1-1 agent=1900 queue=Some("support") wait=0ms
        audit by=1900 take-over n-1-1
        agent.state 1001 Connected -> WrapUp
        agent.state 1900 Occupied -> Connected
        agent.state 1900 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1900") cause=caller_bye
    "#]],
    );
    scene.end();
}

#[test]
fn a_supervisor_takes_over_a_contact_on_hold_at_once() {
    let mut scene = scene(answers(300));
    assert_eq!(scene.ask("1001", Verb::Hold), "Ok(Done)");
    scene.oversee(Oversight::TakeOver);
    scene.hang_up(scene.supervisor);
    scene.check(
        expect![[r#"
        0.000   engine -> boss   INVITE sip:1900@10.0.2.9:5060 SIP/2.0
        0.001     boss -> engine SIP/2.0 100 Trying
        0.001     boss -> engine SIP/2.0 180 Ringing
        0.002   engine -> boss   PRACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        0.003     boss -> engine SIP/2.0 200 OK
        0.301     boss -> engine SIP/2.0 200 OK
        0.302   engine -> boss   ACK sip:cordboard@10.0.2.9:5060 SIP/2.0
        0.302   engine -> agent  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
        0.303    agent -> engine SIP/2.0 200 OK
        2.000     boss -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        2.001   engine -> boss   SIP/2.0 200 OK
        2.001   engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
        2.002   caller -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        audit by=1900 take-over n-1-1
        agent.state 1900 Ready -> Occupied
        contact.transferred n-1-1 take_over to=agent:1900
        contact.resumed n-1-1 by=transfer after=302ms
        contact.answered n-1-1 agent=1900 queue=Some("support") wait=0ms
        agent.state 1001 Held -> WrapUp
        agent.state 1900 Occupied -> Connected
        agent.state 1900 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1900") cause=agent_bye
    "#]],
    );
    scene.end();
}

#[test]
fn a_telephone_that_does_not_answer_or_is_not_there_supervises_nothing() {
    let mut scene = scene(Manner::LetsRing);
    scene.oversee(Oversight::Listen);
    scene.run(40);
    assert_eq!(scene.world.phones[&scene.supervisor].open(), 0);
    let listen = |phone: &str| Verb::Oversee {
        how: Oversight::Listen,
        phone: Some(phone.into()),
    };
    expect![[r#"Err(Conflict("7777 has no telephone: name another"))"#]]
        .assert_eq(&scene.ask("admin", listen("7777")));
    expect![[r#"Err(Conflict("1001 has the contact"))"#]]
        .assert_eq(&scene.ask("admin", listen("1001")));
    let own = Verb::Oversee {
        how: Oversight::Listen,
        phone: None,
    };
    expect![[r#"Err(Conflict("admin has no telephone: name another"))"#]]
        .assert_eq(&scene.ask("admin", own.clone()));
    scene.hang_up(scene.caller);
    expect![[r#"Err(NotFound("there is no open contact n-1-1"))"#]]
        .assert_eq(&scene.ask("1900", own));
    expect![[r#"
        audit by=1900 listen n-1-1
        agent.state 1900 Ready -> Occupied
        audit by=1900 supervision_ended n-1-1
        agent.state 1900 Occupied -> Ready
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]]
    .assert_eq(&scene.world.story(scene.after));
    scene.end();
}

#[test]
fn a_supervisor_who_falls_silent_ends_nobodys_call() {
    let mut scene = scene(answers(300));
    scene.oversee(Oversight::Barge);
    let starved = media::Event::Starved {
        stream: media::StreamId(3),
    };
    scene.world.give(Input::Media(starved));
    scene.run(1);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    assert_eq!(scene.world.engine.open_contacts(), 1);
    scene.end();
}
