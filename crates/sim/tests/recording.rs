//! Who is recorded when: what the recorder and the planes are told, over holds, transfers, consultations and pauses.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{Command, ContactId, EventKind, Input, RecordRule, RecordingStep, Token, Verb};
use expect_test::{Expect, expect};
use media::{Side, StreamId};
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
];

/// A caller in queue support whom 1001 serves since a second; 1002 is of queue sales.
struct Scene {
    world: World,
    caller: SocketAddr,
    phones: [SocketAddr; 2],
    tokens: u64,
    told: usize,
    commanded: usize,
    noted: u64,
}

fn scene(support: RecordRule, sales: RecordRule) -> Scene {
    scene_of(support, sales, "2000", |_| {})
}

/// The caller dials this number of a centre that is changed so.
fn scene_of(
    support: RecordRule,
    sales: RecordRule,
    number: &str,
    change: impl FnOnce(&mut engine::Config),
) -> Scene {
    let mut config = centre(AGENTS);
    for (queue, rule) in [("support", support), ("sales", sales)] {
        config.queues.get_mut(queue).unwrap().record = rule;
    }
    change(&mut config);
    let answers = |after_ms| Manner::Answers {
        after: Duration::from_millis(after_ms),
        talks: None,
    };
    let mut world = World::new(config, 1);
    let caller = world.phone("caller", "10.0.1.1:5060", answers(0));
    let phones = ["10.0.2.1:5060", "10.0.2.2:5060"].map(|at| world.phone(at, at, answers(500)));
    world.dial(caller, number, "13800138000");
    let mut scene = Scene {
        world,
        caller,
        phones,
        tokens: 0,
        told: 0,
        commanded: 0,
        noted: 0,
    };
    scene.run(2);
    scene
}

const ALWAYS: RecordRule = RecordRule::Always { percent: 100 };

impl Scene {
    fn run(&mut self, seconds: u64) {
        self.world.run(Duration::from_secs(seconds));
    }

    fn desk(&mut self, verb: Verb) -> String {
        self.tokens += 1;
        let command = Command::Contact {
            by: "1001".into(),
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

    /// What has been told since the last look: to the recorder, to the planes, and to everybody.
    fn news(&mut self) -> String {
        let mut lines = Vec::new();
        for (_, recording, step) in &self.world.recorded[self.told..] {
            let number = recording.0 & 0xff;
            lines.push(match step {
                RecordingStep::Piece {
                    piece,
                    contact,
                    queue,
                    agent,
                    ..
                } => format!(
                    "recorder {number}: piece {piece} of {contact}, queue {}, agent {}",
                    queue.as_deref().unwrap_or("-"),
                    agent.as_deref().unwrap_or("-")
                ),
                RecordingStep::Rest => format!("recorder {number}: rest"),
                RecordingStep::End { .. } => format!("recorder {number}: end"),
            });
        }
        self.told = self.world.recorded.len();
        for command in &self.world.commands[self.commanded..] {
            if let media::Command::Tap { stream, tap } = command {
                let side = tap.map(|tap| format!("{:?}, piece {}", tap.side, tap.piece));
                let side = side.unwrap_or_else(|| "no more".to_owned());
                lines.push(format!("stream {}: {side}", stream.0));
            }
        }
        self.commanded = self.world.commands.len();
        for event in self
            .world
            .events
            .iter()
            .filter(|event| event.sequence > self.noted)
        {
            if let EventKind::ContactRecording {
                state, agent, by, ..
            } = &event.kind
            {
                let by = by
                    .as_deref()
                    .map(|by| format!(" by {by}"))
                    .unwrap_or_default();
                lines.push(format!(
                    "{state}, agent {}{by}",
                    agent.as_deref().unwrap_or("-")
                ));
            }
        }
        self.noted = self.world.events.last().unwrap().sequence;
        lines.join("\n") + "\n"
    }

    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&self.news());
    }

    /// Which streams are heard at the end of all commands.
    fn heard(&self) -> Vec<(StreamId, Side)> {
        let mut heard = std::collections::BTreeMap::new();
        for command in &self.world.commands {
            match command {
                media::Command::Tap { stream, tap } => {
                    heard.insert(*stream, tap.map(|tap| tap.side));
                }
                media::Command::Close { stream } => {
                    heard.remove(stream);
                }
                _ => {}
            }
        }
        let heard = heard.into_iter();
        heard
            .filter_map(|(stream, side)| Some((stream, side?)))
            .collect()
    }

    fn end(&mut self) {
        self.hang_up(self.caller);
        for phone in self.phones {
            self.hang_up(phone);
        }
        self.run(60);
        assert_eq!(self.heard(), []);
        assert_eq!(self.world.engine.open_contacts(), 0);
        let recordings: std::collections::BTreeSet<_> =
            self.world.recorded.iter().map(|told| told.1).collect();
        let ends = self
            .world
            .recorded
            .iter()
            .filter(|told| matches!(told.2, RecordingStep::End { .. }));
        assert_eq!(ends.count(), recordings.len(), "each ends once");
    }
}

#[test]
fn a_queue_that_records_does_so_from_the_answer_to_the_end() {
    let mut scene = scene(ALWAYS, RecordRule::Never);
    assert_eq!(
        scene.heard(),
        [(StreamId(1), Side::Customer), (StreamId(2), Side::Agent)]
    );
    scene.check(expect![[r#"
        recorder 1: piece 1 of n-1-1, queue support, agent 1001
        stream 1: Customer, piece 1
        stream 2: Agent, piece 1
        on, agent 1001
    "#]]);
    scene.hang_up(scene.caller);
    scene.check(expect![[r#"
        recorder 1: end
    "#]]);
    scene.end();
}

#[test]
fn a_hold_is_silence_and_the_piece_goes_on() {
    let mut scene = scene(ALWAYS, RecordRule::Never);
    scene.news();
    assert_eq!(scene.desk(Verb::Hold), "Ok(Done)");
    scene.run(5);
    scene.check(expect![[r#"
        stream 1: no more
        stream 2: no more
    "#]]);
    assert_eq!(scene.desk(Verb::Resume), "Ok(Done)");
    scene.check(expect![[r#"
        stream 1: Customer, piece 1
        stream 2: Agent, piece 1
    "#]]);
    scene.end();
}

#[test]
fn nothing_is_heard_in_a_pause_not_even_over_a_hold() {
    let mut scene = scene(ALWAYS, RecordRule::Never);
    scene.news();
    assert_eq!(scene.desk(Verb::PauseRecording), "Ok(Done)");
    scene.check(expect![[r#"
        recorder 1: rest
        stream 1: no more
        stream 2: no more
        paused, agent 1001 by 1001
    "#]]);
    let again = scene.desk(Verb::PauseRecording);
    expect![[r#"Err(Conflict("the contact is not being recorded"))"#]].assert_eq(&again);
    scene.desk(Verb::Hold);
    scene.desk(Verb::Resume);
    scene.run(1);
    assert_eq!(scene.news(), "\n");
    assert_eq!(scene.desk(Verb::ResumeRecording), "Ok(Done)");
    scene.check(expect![[r#"
        recorder 1: piece 2 of n-1-1, queue support, agent 1001
        stream 1: Customer, piece 2
        stream 2: Agent, piece 2
        on, agent 1001 by 1001
    "#]]);
    let again = scene.desk(Verb::ResumeRecording);
    expect![[r#"Err(Conflict("the contact is being recorded"))"#]].assert_eq(&again);
    scene.end();
}

#[test]
fn on_demand_begins_when_it_is_asked_for() {
    let mut scene = scene(RecordRule::OnDemand, RecordRule::Never);
    assert_eq!(scene.news(), "\n");
    let nothing = scene.desk(Verb::PauseRecording);
    expect![[r#"Err(Conflict("the contact is not being recorded"))"#]].assert_eq(&nothing);
    assert_eq!(scene.desk(Verb::ResumeRecording), "Ok(Done)");
    scene.check(expect![[r#"
        recorder 1: piece 1 of n-1-1, queue support, agent 1001
        stream 1: Customer, piece 1
        stream 2: Agent, piece 1
        on, agent 1001 by 1001
    "#]]);
    scene.end();
}

#[test]
fn a_queue_that_never_records_does_not_on_demand_either() {
    let mut scene = scene(RecordRule::Never, ALWAYS);
    let never = scene.desk(Verb::ResumeRecording);
    expect![[r#"Err(Conflict("calls like this one are never recorded here"))"#]].assert_eq(&never);
    assert_eq!(scene.news(), "\n");
    scene.end();
    assert!(scene.world.recorded.is_empty());
}

#[test]
fn it_follows_the_customer_to_the_next_agent_and_not_into_the_music_between() {
    let mut scene = scene(ALWAYS, RecordRule::Never);
    scene.news();
    assert_eq!(
        scene.desk(Verb::Transfer {
            to: "agent:1002".into()
        }),
        "Ok(Done)"
    );
    scene.run(3);
    assert_eq!(
        scene.heard(),
        [(StreamId(1), Side::Customer), (StreamId(3), Side::Agent)]
    );
    scene.check(expect![[r#"
        recorder 1: rest
        recorder 1: piece 2 of n-1-1, queue support, agent 1002
        stream 1: no more
        stream 2: no more
        stream 1: Customer, piece 2
        stream 3: Agent, piece 2
        off, agent -
        on, agent 1002
    "#]]);
    scene.end();
}

#[test]
fn another_queue_has_its_own_rule() {
    let mut scene = scene(ALWAYS, RecordRule::Never);
    scene.news();
    assert_eq!(
        scene.desk(Verb::Transfer {
            to: "queue:sales".into()
        }),
        "Ok(Done)"
    );
    scene.run(3);
    scene.check(expect![[r#"
        recorder 1: rest
        stream 1: no more
        stream 2: no more
        off, agent -
    "#]]);
    scene.end();
}

#[test]
fn a_consultation_is_not_heard_and_whom_it_brings_is() {
    let mut scene = scene(ALWAYS, RecordRule::Never);
    scene.news();
    assert_eq!(
        scene.desk(Verb::Consult {
            to: "agent:1002".into()
        }),
        "Ok(Done)"
    );
    scene.run(3);
    assert_eq!(scene.heard(), []);
    scene.check(expect![[r#"
        stream 1: no more
        stream 2: no more
    "#]]);
    assert_eq!(scene.desk(Verb::Complete), "Ok(Done)");
    scene.run(1);
    assert_eq!(
        scene.heard(),
        [(StreamId(1), Side::Customer), (StreamId(3), Side::Agent)]
    );
    scene.end();
}

#[test]
fn what_became_of_it_is_an_event() {
    let mut scene = scene(ALWAYS, RecordRule::Never);
    scene.end();
    let person: Arc<str> = "tel:+8613800138000".into();
    let contact = ContactId("n-1-1".into());
    let saved = engine::SavedRecording {
        queue: Some("support".into()),
        agents: vec!["1001".into()],
        began: scene.world.now,
        length_ms: 2_000,
        bytes: 9_000,
        checksum: "ab".into(),
        reason: None,
    };
    for outcome in [Ok(saved), Err("disk_full".into())] {
        let recorded = engine::Recorded {
            contact: contact.clone(),
            person: person.clone(),
            outcome,
        };
        scene.world.give(Input::Recorded(recorded));
    }
    let last: Vec<_> = scene
        .world
        .events
        .iter()
        .rev()
        .take(2)
        .map(|event| event.record())
        .collect();
    assert!(last.iter().all(|record| record.personal.is_none()));
    let json: Vec<&str> = last
        .iter()
        .map(|record| record.json.split_once("type").unwrap().1)
        .collect();
    expect![[r#"
        [
            "\":\"recording.failed\",\"data\":{\"contact\":\"n-1-1\",\"reason\":\"disk_full\"}}",
            "\":\"recording.saved\",\"data\":{\"contact\":\"n-1-1\",\"queue\":\"support\",\"agents\":[\"1001\"],\"began\":1700000065000000000,\"length_ms\":2000,\"bytes\":9000,\"checksum\":\"ab\",\"complete\":true}}",
        ]
    "#]]
    .assert_debug_eq(&json);
}

fn announced(config: &mut engine::Config) {
    let support = config.queues.get_mut("support").unwrap();
    support.record_announcement = Some("queue/recorded".into());
}

#[test]
fn the_caller_is_told_once_and_before_the_queue() {
    let mut scene = scene_of(ALWAYS, RecordRule::Never, "2000", announced);
    let at = |world: &World, wanted: fn(&EventKind) -> bool| {
        let event = world.events.iter().find(|event| wanted(&event.kind));
        event.map(|event| event.at)
    };
    let told = |world: &World| {
        let item = |item: &media::Item| matches!(item, media::Item::Prompt { name, .. } if **name == *"queue/recorded");
        let commands = world.commands.iter();
        let plays = commands.filter(|command| matches!(command, media::Command::Play { items, .. } if items.iter().any(item)));
        plays.count()
    };
    let arrived = at(&scene.world, |kind| {
        matches!(kind, EventKind::ContactArrived { .. })
    })
    .unwrap();
    let queued = at(&scene.world, |kind| {
        matches!(kind, EventKind::ContactQueued { .. })
    })
    .unwrap();
    assert!(
        queued - arrived >= Duration::from_secs(1),
        "after the announcement, which takes a second here"
    );
    assert_eq!(
        scene.heard().len(),
        2,
        "then an agent answers, and it is recorded"
    );
    scene.desk(Verb::Transfer {
        to: "queue:support".into(),
    });
    scene.run(2);
    assert_eq!(told(&scene.world), 1);
    scene.end();
}

#[test]
fn a_caller_who_hangs_up_while_being_told_is_gone_and_nobody_is_rung() {
    let mut scene = scene_of(ALWAYS, RecordRule::Never, "2001", |config| {
        config.queues.get_mut("sales").unwrap().record = ALWAYS;
        config.queues.get_mut("sales").unwrap().record_announcement = Some("queue/recorded".into());
    });
    // The scene has run past it: another one hangs up in the middle.
    scene.hang_up(scene.caller);
    scene.run(20);
    let from = scene.world.events.last().unwrap().sequence;
    let caller = scene.caller;
    scene.world.dial(caller, "2001", "13900139000");
    scene.world.run(Duration::from_millis(400));
    let now = scene.world.now;
    scene
        .world
        .with_phone(caller, |phone| phone.hang_up_all(now));
    scene.run(5);
    let offered = |event: &&engine::Event| {
        matches!(
            event.kind,
            EventKind::ContactOffered { .. } | EventKind::ContactQueued { .. }
        )
    };
    let after = scene
        .world
        .events
        .iter()
        .filter(|event| event.sequence > from);
    assert_eq!(after.filter(offered).count(), 0);
    scene.end();
}

/// A flow that has asked the caller, who has said this.
fn asked(config: &mut engine::Config, answer: &str) {
    announced(config);
    let text = format!(
        "[flow]\nname = \"ask\"\nstart = \"go\"\nlanguages = [\"en\"]\n[state.go]\nqueue = \"support\"\ndata = {{ record = \"{answer}\" }}\n"
    );
    let queues = ["support".to_owned()].into();
    let surroundings = ivr::Surroundings {
        has_prompt: &|_, _| true,
        queues: &queues,
        numbers: &Default::default(),
    };
    let (flows, diagnostics) = ivr::Flows::load(&[("ask.toml".into(), text)], &surroundings);
    assert!(
        diagnostics
            .iter()
            .all(|one| one.severity != ivr::Severity::Error),
        "{diagnostics:?}"
    );
    config.flows = Arc::new(flows);
    config
        .routes
        .insert("1000".into(), engine::Route::Flow("ask".into()));
}

#[test]
fn what_the_caller_has_said_in_a_flow_counts_and_is_not_said_again() {
    for (answer, expected) in [("yes", 2), ("no", 0)] {
        let mut scene = scene_of(ALWAYS, RecordRule::Never, "1000", |config| {
            asked(config, answer)
        });
        scene.run(3);
        assert_eq!(scene.heard().len(), expected, "{answer}");
        let plays = scene
            .world
            .commands
            .iter()
            .filter(|command| matches!(command, media::Command::Play { .. }));
        assert_eq!(plays.count(), 0, "{answer}");
        if answer == "no" {
            let refused = scene.desk(Verb::ResumeRecording);
            expect![[r#"Err(Conflict("the caller does not want to be recorded"))"#]]
                .assert_eq(&refused);
        }
        scene.end();
    }
}
