//! Calls that move: hold, transfer, consultation and Replaces, as ladders and as the events that they make.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use engine::{Command, ContactId, EventKind, Input, Token, Verb};
use expect_test::{Expect, expect};
use sim::centre::{TestAgent, centre};
use sim::phone::Manner;
use sim::world::World;
use sip::digest::{ClientAuth, DigestChallenge, ha1};
use sip::{LegId, sdp};

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
];

/// A caller whom 1001 serves since a second, and 1002 with a telephone of this manner.
struct Scene {
    world: World,
    from: Time,
    after: u64,
    caller: SocketAddr,
    first: SocketAddr,
    second: SocketAddr,
    tokens: u64,
}

fn answers(after_ms: u64) -> Manner {
    Manner::Answers {
        after: Duration::from_millis(after_ms),
        talks: None,
    }
}

fn scene(second: Manner) -> Scene {
    let mut config = centre(AGENTS);
    config.sip.users = Arc::new(HashMap::from_iter(["1001", "1002"].map(|user| {
        let md5 = Some(ha1(user, "cordboard", "secret", sip::Algorithm::Md5));
        (user.into(), sip::Credentials { md5, sha256: None })
    })));
    let mut world = World::new(config, 1);
    let caller = world.phone("caller", "10.0.1.1:5060", answers(0));
    let first = world.phone("first", "10.0.2.1:5060", answers(500));
    let second = world.phone("second", "10.0.2.2:5060", second);
    world.dial(caller, "2000", "13800138000");
    world.run(Duration::from_secs(10));
    let after = world.events.last().unwrap().sequence;
    Scene {
        from: world.now,
        after,
        world,
        caller,
        first,
        second,
        tokens: 0,
    }
}

impl Scene {
    fn check(&self, ladder: Expect, story: Expect) {
        ladder.assert_eq(&self.world.ladder(self.from));
        story.assert_eq(&self.world.story(self.after));
    }

    fn run(&mut self, seconds: u64) {
        self.world.run(Duration::from_secs(seconds));
    }

    fn contact(&self, n: u64) -> ContactId {
        ContactId(format!("n-1-{n}").into())
    }

    /// The desk of 1001 does something with the first contact; the answer as text.
    fn desk(&mut self, verb: Verb) -> String {
        self.tokens += 1;
        let command = Command::Contact {
            by: "1001".into(),
            contact: self.contact(1),
            verb,
        };
        let token = Token(self.tokens);
        self.world.give(Input::Command { token, command });
        format!("{:?}", self.world.replies.last().unwrap().result)
    }

    fn leg_of(&self, phone: SocketAddr) -> LegId {
        self.world.phones[&phone].up().unwrap()
    }

    fn refer(&mut self, phone: SocketAddr, to: &str, headers: &[(&str, &str)]) {
        let (now, leg) = (self.world.now, self.leg_of(phone));
        self.refer_leg(phone, now, leg, to, headers);
    }

    fn refer_leg(
        &mut self,
        phone: SocketAddr,
        now: Time,
        leg: LegId,
        to: &str,
        headers: &[(&str, &str)],
    ) {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.world
            .with_phone(phone, |phone| phone.refer(now, leg, to, headers));
    }

    /// An agent's telephone dials: the challenge is answered by hand, as the scripted phones have no passwords.
    fn dial_as(
        &mut self,
        phone: SocketAddr,
        user: &str,
        number: &str,
        more: &[(&str, &str)],
    ) -> LegId {
        let extra: Vec<(String, String)> = more
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.world.dial(phone, number, user);
        self.world.run(Duration::from_millis(10));
        let asked = self.world.wire.iter().rev();
        let asked = asked
            .clone()
            .find(|message| message.start_line.contains(" 401 "))
            .unwrap();
        let message = sip::message::Message::parse(asked.bytes.clone()).unwrap();
        let line = message.header_named("WWW-Authenticate").unwrap();
        let challenge = DigestChallenge::parse(line).unwrap();
        let auth = ClientAuth {
            challenge: &challenge,
            username: user,
            ha1: &ha1(user, "cordboard", "secret", sip::Algorithm::Md5),
            method: &sip::message::Method::Invite,
            uri: &format!("sip:{number}@10.0.0.1:5060"),
            nc: 1,
            cnonce: "c",
        };
        let mut headers = vec![("Authorization".to_owned(), auth.to_string())];
        headers.extend(extra);
        let now = self.world.now;
        self.world
            .with_phone(phone, |phone| phone.dial_with(now, number, user, headers))
    }

    fn hang_up(&mut self, who: SocketAddr) {
        let now = self.world.now;
        self.world.with_phone(who, |phone| phone.hang_up_all(now));
    }

    fn notified(&self, phone: SocketAddr) -> String {
        self.world.phones[&phone].referred.join(", ")
    }

    /// What the streams of these phones' legs play at last, in the engine's order of streams.
    fn sources(&self) -> Vec<String> {
        let mut last: std::collections::BTreeMap<media::StreamId, String> = Default::default();
        for command in &self.world.commands {
            match command {
                media::Command::Source { stream, source } => {
                    last.insert(*stream, format!("{source:?}"));
                }
                media::Command::Bridge { a, b } => {
                    last.insert(*a, format!("with {}", b.0));
                    last.insert(*b, format!("with {}", a.0));
                }
                media::Command::Close { stream } => {
                    last.remove(stream);
                }
                _ => {}
            }
        }
        last.iter()
            .map(|(stream, source)| format!("{}: {source}", stream.0))
            .collect()
    }

    /// `talk_ms` and `hold_ms` of a contact that is closed.
    fn times(&self, n: u64) -> (u64, u64) {
        let id = self.contact(n);
        self.world
            .events
            .iter()
            .find_map(|event| match &event.kind {
                EventKind::ContactClosed {
                    contact,
                    talk_ms,
                    hold_ms,
                    ..
                } if *contact == id => Some((*talk_ms, *hold_ms)),
                _ => None,
            })
            .unwrap()
    }

    /// Everybody hangs up; nothing may be left.
    fn end(&mut self) {
        for phone in [self.caller, self.first, self.second] {
            self.hang_up(phone);
        }
        self.run(60);
        assert_eq!(self.world.engine.open_contacts(), 0);
        assert_eq!(self.world.engine.open_legs(), 0);
        assert_eq!(self.world.open_streams(), 0);
        for queue in ["support", "sales"] {
            let counts = self.world.engine.acd().counts(queue);
            assert_eq!(
                (counts.waiting, counts.offered, counts.connected),
                (0, 0, 0)
            );
        }
        for (agent, state) in self.world.engine.acd().agents() {
            assert_eq!(state, &acd::State::Ready, "{agent}");
        }
    }
}

fn to(target: &str) -> Verb {
    Verb::Transfer { to: target.into() }
}

fn consult(target: &str) -> Verb {
    Verb::Consult { to: target.into() }
}

// --- hold

#[test]
fn the_desk_holds_and_resumes() {
    let mut scene = scene(answers(500));
    assert_eq!(scene.desk(Verb::Hold), "Ok(Done)");
    expect![[r#"
        [
            "1: Music { name: \"default\" }",
            "2: Silence",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    expect![[r#"Err(Conflict("the contact is on hold"))"#]].assert_eq(&scene.desk(Verb::Hold));
    scene.run(5);
    assert_eq!(scene.desk(Verb::Resume), "Ok(Done)");
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    expect![[r#"Err(Conflict("the contact is not on hold"))"#]]
        .assert_eq(&scene.desk(Verb::Resume));
    scene.run(3);
    scene.hang_up(scene.first);
    scene.run(1);
    scene.check(
        expect![[r#"
        8.000    first -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        8.001   engine -> first  SIP/2.0 200 OK
        8.001   engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
        8.002   caller -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=1001 after=5000ms
        agent.state 1001 Held -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=agent_bye
    "#]],
    );
    assert_eq!(scene.times(1).1, 5_000);
    scene.end();
}

#[test]
fn a_hold_lasts_until_nobody_holds_any_more() {
    let mut scene = scene(answers(500));
    scene.desk(Verb::Hold);
    scene.run(2);
    let (now, leg) = (scene.world.now, scene.leg_of(scene.first));
    scene.world.with_phone(scene.first, |phone| {
        phone.reoffer(now, leg, sdp::Direction::SendOnly);
    });
    scene.run(2);
    assert_eq!(scene.desk(Verb::Resume), "Ok(Done)");
    expect![[
        r#"Err(Conflict("the hold is a telephone's own, or a transfer's: only that can end it"))"#
    ]]
    .assert_eq(&scene.desk(Verb::Resume));
    scene.run(2);
    let now = scene.world.now;
    scene.world.with_phone(scene.first, |phone| {
        phone.reoffer(now, leg, sdp::Direction::SendRecv);
    });
    scene.run(2);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.hang_up(scene.caller);
    scene.run(1);
    scene.check(
        expect![[r#"
        2.000    first -> engine INVITE sip:cordboard@10.0.0.1:5060 SIP/2.0
        2.001   engine -> first  SIP/2.0 100 Trying
        2.001   engine -> first  SIP/2.0 200 OK
        2.002    first -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
        6.000    first -> engine INVITE sip:cordboard@10.0.0.1:5060 SIP/2.0
        6.001   engine -> first  SIP/2.0 100 Trying
        6.001   engine -> first  SIP/2.0 200 OK
        6.002    first -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
        8.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        8.001   engine -> caller SIP/2.0 200 OK
        8.001   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
        8.002    first -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=1001 after=6001ms
        agent.state 1001 Held -> Connected
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]],
    );
    scene.end();
}

/// RFC 3264 section 8: a description that has changed has another version in `o=`; baresip's hold met the first one again.
#[test]
fn each_description_in_a_call_has_a_version_of_its_own() {
    let mut scene = scene(answers(500));
    let leg = scene.leg_of(scene.first);
    for direction in [sdp::Direction::SendOnly, sdp::Direction::SendRecv] {
        let now = scene.world.now;
        scene
            .world
            .with_phone(scene.first, |phone| phone.reoffer(now, leg, direction));
        scene.run(1);
    }
    let ours = |message: &&sim::world::OnWire| message.from == "engine" && message.to == "first";
    let told: Vec<String> = scene
        .world
        .wire
        .iter()
        .filter(ours)
        .flat_map(|message| {
            let text = String::from_utf8_lossy(&message.bytes).into_owned();
            let origin = |line: &&str| line.starts_with("o=") || *line == "a=recvonly";
            let lines: Vec<String> = text.lines().filter(origin).map(Into::into).collect();
            lines
        })
        .collect();
    expect![[r#"
        [
            "o=- 2 1 IN IP4 10.0.0.1",
            "o=- 2 2 IN IP4 10.0.0.1",
            "a=recvonly",
            "o=- 2 3 IN IP4 10.0.0.1",
        ]
    "#]]
    .assert_debug_eq(&told);
    scene.end();
}

// --- transfer by the desk

#[test]
fn the_desk_passes_on_to_an_agent() {
    let mut scene = scene(answers(2_000));
    assert_eq!(scene.desk(to("1002")), "Ok(Done)");
    scene.run(1);
    expect![[r#"
        [
            "1: Music { name: \"default\" }",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.run(9);
    expect![[r#"
        [
            "1: with 3",
            "3: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.hang_up(scene.second);
    scene.run(1);
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.002   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            0.003    first -> engine SIP/2.0 200 OK
            2.001   second -> engine SIP/2.0 200 OK
            2.002   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            10.000  second -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            10.001  engine -> second SIP/2.0 200 OK
            10.001  engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
            10.002  caller -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transferred n-1-1 blind to=agent:1002
        agent.state 1001 Held -> WrapUp
        contact.resumed n-1-1 by=transfer after=2002ms
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=0ms
        agent.state 1002 Occupied -> Connected
        agent.state 1002 Connected -> WrapUp
        agent.state 1001 WrapUp -> Ready
        contact.closed n-1-1 Answered agent=Some("1002") cause=agent_bye
    "#]],
    );
    expect![[r#"
        (
            17495,
            2002,
        )
    "#]]
    .assert_debug_eq(&scene.times(1));
    scene.end();
}

#[test]
fn the_desk_passes_on_to_a_queue() {
    let mut scene = scene(answers(2_000));
    assert_eq!(scene.desk(to("queue:sales")), "Ok(Done)");
    scene.run(10);
    scene.hang_up(scene.caller);
    scene.run(1);
    scene.check(
        expect![[r#"
            0.000   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001    first -> engine SIP/2.0 200 OK
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            2.001   second -> engine SIP/2.0 200 OK
            2.002   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            10.000  caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            10.001  engine -> caller SIP/2.0 200 OK
            10.001  engine -> second BYE sip:cordboard@10.0.2.2:5060 SIP/2.0
            10.002  second -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.transferred n-1-1 to_queue to=queue:sales
        contact.queued n-1-1 sales visit=2 position=1
        agent.state 1001 Connected -> WrapUp
        contact.offered n-1-1 agent=1002 offer=2 pop=-
        agent.state 1002 Ready -> Reserved
        contact.answered n-1-1 agent=1002 queue=Some("sales") wait=2002ms
        agent.state 1002 Reserved -> Connected
        agent.state 1001 WrapUp -> Ready
        agent.state 1002 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1002") cause=caller_bye
    "#]],
    );
    scene.end();
}

#[test]
fn passed_on_to_somebody_who_does_not_answer_goes_to_the_front_of_the_queue() {
    let mut scene = scene(Manner::LetsRing);
    assert_eq!(scene.desk(to("1002")), "Ok(Done)");
    scene.run(45);
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.002   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            0.003    first -> engine SIP/2.0 200 OK
            30.000  engine -> second CANCEL sip:1002@10.0.2.2:5060 SIP/2.0
            30.000  engine -> first  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            30.001  second -> engine SIP/2.0 200 OK
            30.001  second -> engine SIP/2.0 487 Request Terminated
            30.001   first -> engine SIP/2.0 100 Trying
            30.001   first -> engine SIP/2.0 180 Ringing
            30.002  engine -> second ACK sip:1002@10.0.2.2:5060 SIP/2.0
            30.002  engine -> first  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            30.003   first -> engine SIP/2.0 200 OK
            30.501   first -> engine SIP/2.0 200 OK
            30.502  engine -> first  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
        "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transferred n-1-1 blind to=agent:1002
        agent.state 1001 Held -> WrapUp
        agent.state 1001 WrapUp -> Ready
        contact.resumed n-1-1 by=transfer after=30000ms
        contact.transfer_failed n-1-1 to=agent:1002 status=480 back=queue
        contact.queued n-1-1 support visit=2 position=1
        agent.state 1002 Occupied -> Ready
        contact.offered n-1-1 agent=1001 offer=2 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
    "#]],
    );
    scene.end();
}

#[test]
fn passed_on_to_a_phone_that_refuses_comes_back_at_once() {
    let mut scene = scene(Manner::Busy);
    assert_eq!(scene.desk(to("agent:1002")), "Ok(Done)");
    scene.run(2);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.check(
        expect![[r#"
        0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
        0.001   second -> engine SIP/2.0 100 Trying
        0.001   second -> engine SIP/2.0 486 Busy Here
        0.002   engine -> second ACK sip:1002@10.0.2.2:5060 SIP/2.0
    "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transfer_failed n-1-1 to=agent:1002 status=486 back=agent
        contact.resumed n-1-1 by=1001 after=2ms
        agent.state 1001 Held -> Connected
        agent.state 1002 Occupied -> Ready
    "#]],
    );
    scene.end();
}

#[test]
fn passed_on_to_a_dead_phone_comes_back() {
    let mut scene = scene(Manner::Dead);
    assert_eq!(scene.desk(to("1002")), "Ok(Done)");
    scene.run(6);
    scene.check(
        expect![[r#"
        0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
        0.500   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
        1.500   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
        3.500   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
    "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transfer_failed n-1-1 to=agent:1002 status=480 back=agent
        contact.resumed n-1-1 by=1001 after=4000ms
        agent.state 1001 Held -> Connected
        agent.state 1002 Occupied -> Ready
    "#]],
    );
    scene
        .world
        .with_phone(scene.second, |phone| phone.manner = Manner::LetsRing);
    scene.end();
}

#[test]
fn what_cannot_be_passed_on() {
    let mut scene = scene(answers(500));
    let words = [
        "",
        "7777",
        "1001",
        "9196",
        "flow:none",
        "queue:none",
        "agent:9",
        "+8613900139000",
    ]
    .map(|target| format!("{target}: {}", scene.desk(to(target))));
    expect![[r#"
        : Err(Invalid(" leads to no agent, queue or flow"))
        7777: Err(Invalid("7777 leads to no agent, queue or flow"))
        1001: Err(Conflict("1001 has the contact"))
        9196: Err(Invalid("9196 leads to no agent, queue or flow"))
        flow:none: Err(Invalid("flow:none leads to no agent, queue or flow"))
        queue:none: Err(Invalid("queue:none leads to no agent, queue or flow"))
        agent:9: Err(Invalid("agent:9 leads to no agent, queue or flow"))
        +8613900139000: Err(Invalid("+8613900139000 leads to no agent, queue or flow"))"#]]
    .assert_eq(&words.join("\n"));
    scene.desk(to("1002"));
    expect![[r#"Err(Conflict("the contact is being passed on already"))"#]]
        .assert_eq(&scene.desk(to("queue:sales")));
    expect![[r#"Err(Conflict("the agent consults nobody"))"#]]
        .assert_eq(&scene.desk(Verb::Complete));
    scene.end();
}

#[test]
fn the_caller_leaves_while_the_other_phone_rings() {
    let mut scene = scene(Manner::LetsRing);
    scene.desk(to("1002"));
    scene.run(3);
    scene.hang_up(scene.caller);
    scene.run(1);
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.002   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            0.003    first -> engine SIP/2.0 200 OK
            3.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            3.001   engine -> caller SIP/2.0 200 OK
            3.001   engine -> second CANCEL sip:1002@10.0.2.2:5060 SIP/2.0
            3.002   second -> engine SIP/2.0 200 OK
            3.002   second -> engine SIP/2.0 487 Request Terminated
            3.003   engine -> second ACK sip:1002@10.0.2.2:5060 SIP/2.0
        "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transferred n-1-1 blind to=agent:1002
        agent.state 1001 Held -> WrapUp
        agent.state 1002 Occupied -> Ready
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]],
    );
    scene.end();
}

// --- transfer by REFER

#[test]
fn a_phone_refers_to_an_agent() {
    let mut scene = scene(answers(2_000));
    let by = ("Referred-By", "<sip:1001@10.0.0.1>");
    scene.refer(scene.first, "<sip:1002@10.0.0.1>", &[by]);
    scene.run(10);
    expect!["1 202, 1 100, 1 180, 1 200."].assert_eq(&scene.notified(scene.first));
    scene.hang_up(scene.second);
    scene.run(1);
    scene.check(
        expect![[r#"
            0.000    first -> engine REFER sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.001   engine -> first  SIP/2.0 202 Accepted
            0.001   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.001   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.002    first -> engine SIP/2.0 200 OK
            0.002   second -> engine SIP/2.0 100 Trying
            0.002   second -> engine SIP/2.0 180 Ringing
            0.003   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.003   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.004   second -> engine SIP/2.0 200 OK
            0.004    first -> engine SIP/2.0 200 OK
            2.002   second -> engine SIP/2.0 200 OK
            2.003   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            2.003   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
            2.004    first -> engine SIP/2.0 200 OK
            2.005   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            2.006    first -> engine SIP/2.0 200 OK
            10.000  second -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            10.001  engine -> second SIP/2.0 200 OK
            10.001  engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
            10.002  caller -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transferred n-1-1 blind to=agent:1002
        contact.resumed n-1-1 by=transfer after=2002ms
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=0ms
        agent.state 1001 Held -> WrapUp
        agent.state 1002 Occupied -> Connected
        agent.state 1002 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1002") cause=agent_bye
    "#]],
    );
    scene.end();
}

#[test]
fn a_phone_refers_to_a_queue() {
    let mut scene = scene(answers(2_000));
    scene.refer(scene.first, "<sip:2001@10.0.0.1>", &[]);
    scene.run(5);
    expect!["1 202, 1 100, 1 200."].assert_eq(&scene.notified(scene.first));
    scene.check(
        expect![[r#"
            0.000    first -> engine REFER sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.001   engine -> first  SIP/2.0 202 Accepted
            0.001   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.001   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.002    first -> engine SIP/2.0 200 OK
            0.002   second -> engine SIP/2.0 100 Trying
            0.002   second -> engine SIP/2.0 180 Ringing
            0.003   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.003   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.004    first -> engine SIP/2.0 200 OK
            0.004   second -> engine SIP/2.0 200 OK
            0.005   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.006    first -> engine SIP/2.0 200 OK
            2.002   second -> engine SIP/2.0 200 OK
            2.003   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
        "#]],
        expect![[r#"
        contact.transferred n-1-1 to_queue to=queue:sales
        contact.queued n-1-1 sales visit=2 position=1
        agent.state 1001 Connected -> WrapUp
        contact.offered n-1-1 agent=1002 offer=2 pop=-
        agent.state 1002 Ready -> Reserved
        contact.answered n-1-1 agent=1002 queue=Some("sales") wait=2002ms
        agent.state 1002 Reserved -> Connected
    "#]],
    );
    scene.end();
}

#[test]
fn a_refer_that_fails_gives_the_caller_back() {
    let mut scene = scene(Manner::Declines);
    scene.refer(scene.first, "<sip:1002@10.0.0.1>", &[]);
    scene.run(2);
    expect!["1 202, 1 100, 1 603."].assert_eq(&scene.notified(scene.first));
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.refer(scene.first, "<sip:7777@10.0.0.1>", &[]);
    scene.run(2);
    expect!["1 202, 1 100, 1 603., 1 202, 1 100, 1 404."].assert_eq(&scene.notified(scene.first));
    scene.check(
        expect![[r#"
        0.000    first -> engine REFER sip:cordboard@10.0.0.1:5060 SIP/2.0
        0.001   engine -> first  SIP/2.0 202 Accepted
        0.001   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
        0.001   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
        0.002    first -> engine SIP/2.0 200 OK
        0.002   second -> engine SIP/2.0 100 Trying
        0.002   second -> engine SIP/2.0 603 Decline
        0.003   engine -> second ACK sip:1002@10.0.2.2:5060 SIP/2.0
        0.003   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
        0.004    first -> engine SIP/2.0 200 OK
        2.000    first -> engine REFER sip:cordboard@10.0.0.1:5060 SIP/2.0
        2.001   engine -> first  SIP/2.0 202 Accepted
        2.001   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
        2.002    first -> engine SIP/2.0 200 OK
        2.003   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
        2.004    first -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transfer_failed n-1-1 to=agent:1002 status=603 back=agent
        contact.resumed n-1-1 by=1001 after=2ms
        agent.state 1001 Held -> Connected
        agent.state 1002 Occupied -> Ready
    "#]],
    );
    scene.end();
}

#[test]
fn a_hasty_phone_leaves_and_nobody_answers() {
    let mut scene = scene(Manner::LetsRing);
    scene
        .world
        .with_phone(scene.first, |phone| phone.hasty = true);
    scene.refer(scene.first, "<sip:1002@10.0.0.1>", &[]);
    scene.run(45);
    scene.check(
        expect![[r#"
            0.000    first -> engine REFER sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.001   engine -> first  SIP/2.0 202 Accepted
            0.001   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
            0.001   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.002    first -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.002    first -> engine SIP/2.0 200 OK
            0.002   second -> engine SIP/2.0 100 Trying
            0.002   second -> engine SIP/2.0 180 Ringing
            0.003   engine -> first  SIP/2.0 200 OK
            0.003   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.004   second -> engine SIP/2.0 200 OK
            30.001  engine -> second CANCEL sip:1002@10.0.2.2:5060 SIP/2.0
            30.001  engine -> first  INVITE sip:1001@10.0.2.1:5060 SIP/2.0
            30.002  second -> engine SIP/2.0 200 OK
            30.002  second -> engine SIP/2.0 487 Request Terminated
            30.002   first -> engine SIP/2.0 100 Trying
            30.002   first -> engine SIP/2.0 180 Ringing
            30.003  engine -> second ACK sip:1002@10.0.2.2:5060 SIP/2.0
            30.003  engine -> first  PRACK sip:cordboard@10.0.2.1:5060 SIP/2.0
            30.004   first -> engine SIP/2.0 200 OK
            30.502   first -> engine SIP/2.0 200 OK
            30.503  engine -> first  ACK sip:cordboard@10.0.2.1:5060 SIP/2.0
        "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transferred n-1-1 blind to=agent:1002
        agent.state 1001 Held -> WrapUp
        agent.state 1001 WrapUp -> Ready
        contact.resumed n-1-1 by=transfer after=30000ms
        contact.transfer_failed n-1-1 to=agent:1002 status=480 back=queue
        contact.queued n-1-1 support visit=2 position=1
        agent.state 1002 Occupied -> Ready
        contact.offered n-1-1 agent=1001 offer=2 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
    "#]],
    );
    scene.end();
}

#[test]
fn a_refer_without_subscription() {
    let mut scene = scene(answers(1_000));
    scene.refer(
        scene.first,
        "<sip:1002@10.0.0.1>",
        &[("Refer-Sub", "false")],
    );
    scene.run(5);
    expect!["1 202"].assert_eq(&scene.notified(scene.first));
    scene.check(
        expect![[r#"
            0.000    first -> engine REFER sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.001   engine -> first  SIP/2.0 202 Accepted
            0.001   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.002   second -> engine SIP/2.0 100 Trying
            0.002   second -> engine SIP/2.0 180 Ringing
            0.003   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.004   second -> engine SIP/2.0 200 OK
            1.002   second -> engine SIP/2.0 200 OK
            1.003   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            1.003   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            1.004    first -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.transferred n-1-1 blind to=agent:1002
        contact.resumed n-1-1 by=transfer after=1002ms
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=0ms
        agent.state 1001 Held -> WrapUp
        agent.state 1002 Occupied -> Connected
    "#]],
    );
    scene.end();
}

#[test]
fn a_caller_may_not_refer() {
    let mut scene = scene(answers(1_000));
    scene.refer(scene.caller, "<sip:1002@10.0.0.1>", &[]);
    scene.run(1);
    expect!["1 403"].assert_eq(&scene.notified(scene.caller));
    scene.check(
        expect![[r#"
        0.000   caller -> engine REFER sip:cordboard@10.0.0.1:5060 SIP/2.0
        0.001   engine -> caller SIP/2.0 403 Forbidden
    "#]],
        expect![[""]],
    );
    scene.end();
}

#[test]
fn a_refer_leads_no_farther_than_the_class_of_service() {
    let mut scene = scene(answers(1_000));
    for target in ["<sip:+8613900139000@10.0.0.1>", "<tel:110>", "<mailto:a@b>"] {
        scene.refer(scene.first, target, &[]);
        scene.run(1);
    }
    expect!["1 202, 1 100, 1 404., 1 202, 1 100, 1 404., 1 416"]
        .assert_eq(&scene.notified(scene.first));
    scene.end();
}

// --- consultation by the desk

#[test]
fn the_desk_consults_and_completes() {
    let mut scene = scene(answers(1_000));
    assert_eq!(scene.desk(consult("1002")), "Ok(Done)");
    scene.run(5);
    expect![[r#"
        [
            "1: Music { name: \"default\" }",
            "2: with 3",
            "3: with 2",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    assert_eq!(scene.desk(Verb::Complete), "Ok(Done)");
    scene.run(4);
    expect![[r#"
        [
            "1: with 3",
            "3: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.hang_up(scene.caller);
    scene.run(1);
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            1.001   second -> engine SIP/2.0 200 OK
            1.002   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            5.000   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            5.001    first -> engine SIP/2.0 200 OK
            9.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            9.001   engine -> caller SIP/2.0 200 OK
            9.001   engine -> second BYE sip:cordboard@10.0.2.2:5060 SIP/2.0
            9.002   second -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-2 agent:1002 Internal
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.answered n-1-2 agent=1002 queue=None wait=0ms
        contact.closed n-1-2 Answered agent=Some("1002") cause=joined
        contact.resumed n-1-1 by=transfer after=5000ms
        contact.transferred n-1-1 consult to=agent:1002
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=0ms
        agent.state 1002 Occupied -> Occupied
        agent.state 1001 Held -> WrapUp
        agent.state 1002 Occupied -> Connected
        agent.state 1002 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1002") cause=caller_bye
    "#]],
    );
    expect![[r#"
        (
            13497,
            5000,
        )
    "#]]
    .assert_debug_eq(&scene.times(1));
    scene.end();
}

#[test]
fn the_desk_consults_a_queue_and_completes() {
    let mut scene = scene(answers(1_000));
    assert_eq!(scene.desk(consult("2001")), "Ok(Done)");
    scene.run(5);
    assert_eq!(scene.desk(Verb::Complete), "Ok(Done)");
    scene.run(4);
    scene.hang_up(scene.caller);
    scene.run(1);
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            1.001   second -> engine SIP/2.0 200 OK
            1.002   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            5.000   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            5.001    first -> engine SIP/2.0 200 OK
            9.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            9.001   engine -> caller SIP/2.0 200 OK
            9.001   engine -> second BYE sip:cordboard@10.0.2.2:5060 SIP/2.0
            9.002   second -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-2 queue:sales Internal
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        contact.queued n-1-2 sales visit=1 position=1
        contact.offered n-1-2 agent=1002 offer=1 pop=-
        agent.state 1002 Ready -> Reserved
        contact.answered n-1-2 agent=1002 queue=Some("sales") wait=1002ms
        agent.state 1002 Reserved -> Connected
        contact.closed n-1-2 Answered agent=Some("1002") cause=joined
        contact.resumed n-1-1 by=transfer after=5000ms
        contact.transferred n-1-1 consult to=agent:1002
        contact.answered n-1-1 agent=1002 queue=None wait=0ms
        agent.state 1002 Connected -> Connected
        agent.state 1001 Held -> WrapUp
        agent.state 1002 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1002") cause=caller_bye
    "#]],
    );
    scene.end();
}

#[test]
fn the_desk_consults_and_comes_back() {
    let mut scene = scene(answers(1_000));
    scene.desk(consult("1002"));
    scene.run(5);
    assert_eq!(scene.desk(Verb::Resume), "Ok(Done)");
    scene.run(2);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            1.001   second -> engine SIP/2.0 200 OK
            1.002   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            5.000   engine -> second BYE sip:cordboard@10.0.2.2:5060 SIP/2.0
            5.001   second -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-2 agent:1002 Internal
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.answered n-1-2 agent=1002 queue=None wait=0ms
        contact.resumed n-1-1 by=1001 after=5000ms
        agent.state 1001 Held -> Connected
        agent.state 1002 Occupied -> Ready
        contact.closed n-1-2 Answered agent=Some("1002") cause=consult_ended
    "#]],
    );
    scene.end();
}

#[test]
fn the_one_consulted_hangs_up() {
    let mut scene = scene(answers(1_000));
    scene.desk(consult("1002"));
    scene.run(5);
    scene.hang_up(scene.second);
    scene.run(1);
    expect![[r#"
        [
            "1: Music { name: \"default\" }",
            "2: Silence",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    assert_eq!(scene.desk(Verb::Resume), "Ok(Done)");
    scene.run(1);
    expect![[r#"
        [
            "1: with 2",
            "2: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.end();
}

#[test]
fn an_agent_who_hangs_up_while_consulting_completes() {
    let mut scene = scene(answers(1_000));
    scene.desk(consult("1002"));
    scene.run(5);
    scene.hang_up(scene.first);
    scene.run(5);
    expect![[r#"
        [
            "1: with 3",
            "3: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            1.001   second -> engine SIP/2.0 200 OK
            1.002   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            5.000    first -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            5.001   engine -> first  SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-2 agent:1002 Internal
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.answered n-1-2 agent=1002 queue=None wait=0ms
        contact.closed n-1-2 Answered agent=Some("1002") cause=joined
        contact.resumed n-1-1 by=transfer after=5001ms
        contact.transferred n-1-1 consult to=agent:1002
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=0ms
        agent.state 1002 Occupied -> Occupied
        agent.state 1001 Held -> WrapUp
        agent.state 1002 Occupied -> Connected
    "#]],
    );
    scene.end();
}

#[test]
fn the_caller_leaves_while_the_agent_consults() {
    let mut scene = scene(answers(1_000));
    scene.desk(consult("1002"));
    scene.run(5);
    scene.hang_up(scene.caller);
    scene.run(5);
    expect![[r#"
        [
            "2: with 3",
            "3: with 2",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            1.001   second -> engine SIP/2.0 200 OK
            1.002   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            5.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
            5.001   engine -> caller SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.arrived n-1-2 agent:1002 Internal
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        contact.answered n-1-2 agent=1002 queue=None wait=0ms
        agent.state 1001 Held -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
    "#]],
    );
    scene.end();
}

#[test]
fn completed_before_the_answer_it_rings_on_for_the_caller() {
    let mut scene = scene(answers(4_000));
    scene.desk(consult("1002"));
    scene.run(2);
    assert_eq!(scene.desk(Verb::Complete), "Ok(Done)");
    scene.run(6);
    expect![[r#"
        [
            "1: with 4",
            "4: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.check(
        expect![[r#"
            0.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            0.001   second -> engine SIP/2.0 100 Trying
            0.001   second -> engine SIP/2.0 180 Ringing
            0.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            0.003   second -> engine SIP/2.0 200 OK
            2.000   engine -> second CANCEL sip:1002@10.0.2.2:5060 SIP/2.0
            2.000   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            2.001   second -> engine SIP/2.0 200 OK
            2.001   second -> engine SIP/2.0 487 Request Terminated
            2.001   second -> engine SIP/2.0 100 Trying
            2.001   second -> engine SIP/2.0 180 Ringing
            2.002   engine -> second ACK sip:1002@10.0.2.2:5060 SIP/2.0
            2.002   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            2.002   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            2.003   second -> engine SIP/2.0 200 OK
            2.003    first -> engine SIP/2.0 200 OK
            6.001   second -> engine SIP/2.0 200 OK
            6.002   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
        "#]],
        expect![[r#"
        contact.arrived n-1-2 agent:1002 Internal
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        agent.state 1002 Ready -> Occupied
        agent.state 1002 Occupied -> Ready
        agent.state 1002 Ready -> Occupied
        contact.closed n-1-2 NoAgent agent=None cause=consult_ended
        contact.transferred n-1-1 blind to=agent:1002
        agent.state 1001 Held -> WrapUp
        contact.resumed n-1-1 by=transfer after=6002ms
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=0ms
        agent.state 1002 Occupied -> Connected
    "#]],
    );
    scene.end();
}

// --- attended transfer by the phone, and Replaces

#[test]
fn a_phone_consults_on_a_second_line_and_refers_with_replaces() {
    let mut scene = scene(answers(1_000));
    let (now, leg) = (scene.world.now, scene.leg_of(scene.first));
    scene.world.with_phone(scene.first, |phone| {
        phone.reoffer(now, leg, sdp::Direction::SendOnly);
    });
    scene.run(1);
    let second = scene.dial_as(scene.first, "1001", "1002", &[]);
    scene.run(5);
    let name = scene.world.phones[&scene.first].dialog(second).unwrap();
    let replaces = name.to_string().replace(';', "%3B").replace('=', "%3D");
    let target = format!("<sip:1002@10.0.0.1?Replaces={replaces}>");
    let now = scene.world.now;
    scene.refer_leg(scene.first, now, leg, &target, &[]);
    scene.run(5);
    expect!["1 202, 1 100, 1 200."].assert_eq(&scene.notified(scene.first));
    expect![[r#"
        [
            "1: with 4",
            "4: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.check(
        expect![[r#"
            0.000    first -> engine INVITE sip:cordboard@10.0.0.1:5060 SIP/2.0
            0.001   engine -> first  SIP/2.0 100 Trying
            0.001   engine -> first  SIP/2.0 200 OK
            0.002    first -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            1.000    first -> engine INVITE sip:1002@10.0.0.1:5060 SIP/2.0
            1.001   engine -> first  SIP/2.0 401 Unauthorized
            1.002    first -> engine ACK sip:1002@10.0.0.1:5060 SIP/2.0
            1.010    first -> engine INVITE sip:1002@10.0.0.1:5060 SIP/2.0
            1.011   engine -> first  SIP/2.0 100 Trying
            1.011   engine -> second INVITE sip:1002@10.0.2.2:5060 SIP/2.0
            1.012   second -> engine SIP/2.0 100 Trying
            1.012   second -> engine SIP/2.0 180 Ringing
            1.013   engine -> second PRACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            1.013   engine -> first  SIP/2.0 180 Ringing
            1.014   second -> engine SIP/2.0 200 OK
            1.014    first -> engine PRACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            1.015   engine -> first  SIP/2.0 200 OK
            2.012   second -> engine SIP/2.0 200 OK
            2.013   engine -> second ACK sip:cordboard@10.0.2.2:5060 SIP/2.0
            2.013   engine -> first  SIP/2.0 200 OK
            2.014    first -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
            6.010    first -> engine REFER sip:cordboard@10.0.0.1:5060 SIP/2.0
            6.011   engine -> first  SIP/2.0 202 Accepted
            6.011   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
            6.011   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            6.012    first -> engine SIP/2.0 200 OK
            6.012    first -> engine SIP/2.0 200 OK
            6.013   engine -> first  NOTIFY sip:cordboard@10.0.2.1:5060 SIP/2.0
            6.014    first -> engine SIP/2.0 200 OK
            6.015   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
            6.016    first -> engine SIP/2.0 200 OK
        "#]],
        expect![[r#"
        contact.held n-1-1 by=1001
        agent.state 1001 Connected -> Held
        contact.arrived n-1-2 agent:1002 Internal
        agent.state 1002 Ready -> Occupied
        contact.answered n-1-2 agent=1002 queue=None wait=0ms
        contact.closed n-1-2 Answered agent=Some("1002") cause=joined
        contact.resumed n-1-1 by=transfer after=6010ms
        contact.transferred n-1-1 consult to=agent:1002
        contact.answered n-1-1 agent=1002 queue=Some("support") wait=0ms
        agent.state 1002 Occupied -> Occupied
        agent.state 1001 Held -> WrapUp
        agent.state 1002 Occupied -> Connected
    "#]],
    );
    scene.end();
}

#[test]
fn an_agent_goes_on_at_another_phone() {
    let mut scene = scene(answers(1_000));
    let other = scene.world.phone("other", "10.0.2.9:5060", answers(0));
    let name = scene.world.phones[&scene.first]
        .dialog(scene.leg_of(scene.first))
        .unwrap();
    let replaces = name.to_string();
    scene.dial_as(
        other,
        "1001",
        "1001",
        &[("Replaces", &replaces), ("Require", "replaces")],
    );
    scene.run(5);
    expect![[r#"
        [
            "1: with 3",
            "3: with 1",
        ]
    "#]]
    .assert_debug_eq(&scene.sources());
    scene.hang_up(other);
    scene.run(1);
    scene.check(
        expect![[r#"
        0.000    other -> engine INVITE sip:1001@10.0.0.1:5060 SIP/2.0
        0.001   engine -> other  SIP/2.0 401 Unauthorized
        0.002    other -> engine ACK sip:1001@10.0.0.1:5060 SIP/2.0
        0.010    other -> engine INVITE sip:1001@10.0.0.1:5060 SIP/2.0
        0.011   engine -> other  SIP/2.0 100 Trying
        0.011   engine -> other  SIP/2.0 200 OK
        0.011   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
        0.012    other -> engine ACK sip:cordboard@10.0.0.1:5060 SIP/2.0
        0.012    first -> engine SIP/2.0 200 OK
        5.010    other -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        5.011   engine -> other  SIP/2.0 200 OK
        5.011   engine -> caller BYE sip:cordboard@10.0.1.1:5060 SIP/2.0
        5.012   caller -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=agent_bye
    "#]],
    );
    scene.end();
}

#[test]
fn nobody_takes_the_place_of_another() {
    let mut scene = scene(answers(1_000));
    let name = scene.world.phones[&scene.first]
        .dialog(scene.leg_of(scene.first))
        .unwrap();
    let (replaces, early) = (name.to_string(), format!("{name};early-only"));
    for text in [
        replaces.as_str(),
        "nobody;to-tag=1;from-tag=2",
        "x",
        early.as_str(),
    ] {
        scene.dial_as(scene.second, "1002", "1001", &[("Replaces", text)]);
        scene.run(1);
    }
    let refused: Vec<&str> = scene
        .world
        .wire
        .iter()
        .filter(|message| message.to == "second" && message.at >= scene.from)
        .map(|message| message.start_line.as_str())
        .filter(|line| !line.contains("401") && !line.contains("100"))
        .collect();
    expect![[r#"
        [
            "SIP/2.0 403 Forbidden",
            "SIP/2.0 481 Call/Transaction Does Not Exist",
            "SIP/2.0 400 Bad Request",
            "SIP/2.0 486 Busy Here",
        ]
    "#]]
    .assert_debug_eq(&refused);
    assert_eq!(
        scene.world.phones[&scene.first].open(),
        1,
        "the call stands"
    );
    scene.end();
}

// --- keys and what it was about

#[test]
fn keys_and_dispositions() {
    let mut scene = scene(answers(1_000));
    let press = |digits: &str| Verb::Dtmf {
        digits: digits.into(),
    };
    assert_eq!(scene.desk(press("12#")), "Ok(Done)");
    expect![[r#"Err(Invalid("digits are 1 to 32 of 0-9, *, # and A-D"))"#]]
        .assert_eq(&scene.desk(press("hello")));
    let sent = scene.world.commands.iter().any(
        |command| matches!(command, media::Command::SendDtmf { digits, .. } if &**digits == "12#"),
    );
    assert!(sent);
    let about = |end_wrap_up| Verb::Disposition {
        code: "sold".into(),
        note: Some("call again".into()),
        end_wrap_up,
    };
    assert_eq!(scene.desk(about(false)), "Ok(Done)");
    scene.hang_up(scene.caller);
    scene.run(1);
    assert_eq!(scene.desk(about(true)), "Ok(Done)");
    let record = scene
        .world
        .events
        .iter()
        .find(|event| event.type_name() == "contact.disposition")
        .unwrap()
        .record();
    assert!(!record.json.contains("call again"), "a note is sealed");
    assert!(record.personal.unwrap().1.contains("call again"));
    scene.check(
        expect![[r#"
        0.000   caller -> engine BYE sip:cordboard@10.0.0.1:5060 SIP/2.0
        0.001   engine -> caller SIP/2.0 200 OK
        0.001   engine -> first  BYE sip:cordboard@10.0.2.1:5060 SIP/2.0
        0.002    first -> engine SIP/2.0 200 OK
    "#]],
        expect![[r#"
        contact.disposition n-1-1 agent=1001 sold
        agent.state 1001 Connected -> WrapUp
        contact.closed n-1-1 Answered agent=Some("1001") cause=caller_bye
        contact.disposition n-1-1 agent=1001 sold
        agent.state 1001 WrapUp -> Ready
    "#]],
    );
    scene.end();
}
