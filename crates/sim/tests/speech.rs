//! Texts that a flow reads out: the play waits for the speech engine, not for longer than it may, and not when the caller goes on.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use media::{Command, Item, Lang};
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;

const FLOW: &str = r#"
[flow]
name = "main"
start = "balance"
languages = ["en"]
[state.balance]
menu = ["before", { text = "You have 12 yuan" }, { text = "and" }, { number = 2 }]
keys = { 1 = "bye" }
[state.bye]
hangup = "bye"
"#;

/// A call into the flow, a second old.
fn call(speech: Option<(Duration, bool)>, after: Duration) -> World {
    let (queues, numbers) = (Default::default(), Default::default());
    let surroundings = ivr::Surroundings {
        has_prompt: &|_, _| true,
        queues: &queues,
        numbers: &numbers,
    };
    let (flows, diagnostics) =
        ivr::Flows::load(&[("main.toml".into(), FLOW.to_owned())], &surroundings);
    assert_eq!(diagnostics, []);
    let mut config = centre(&one_agent());
    config.flows = Arc::new(flows);
    config.default_lang = Lang::En;
    config
        .routes
        .insert("1000".into(), engine::Route::Flow("main".into()));
    config.speech.otherwise = Some("system/error".into());
    let mut world = World::new(config, 1);
    world.speech = speech;
    let caller = world.phone("caller", "10.0.1.1:5060", Manner::LetsRing);
    world.dial(caller, "1000", "13900139000");
    world.run(after);
    world
}

/// What was played, in words.
fn plays(world: &World) -> Vec<String> {
    let told = |item: &Item| match item {
        Item::Prompt { name, .. } => name.to_string(),
        Item::Text { text, .. } => format!("\"{text}\""),
        Item::Number { value, .. } => value.to_string(),
        other => format!("{other:?}"),
    };
    world
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Play { items, .. } => {
                Some(items.iter().map(told).collect::<Vec<_>>().join(" "))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_text_is_played_when_it_has_been_made() {
    let world = call(
        Some((Duration::from_millis(700), true)),
        Duration::from_millis(600),
    );
    assert!(plays(&world).is_empty());
    let world = call(
        Some((Duration::from_millis(700), true)),
        Duration::from_secs(1),
    );
    assert_eq!(plays(&world), [r#"before "You have 12 yuan" "and" 2"#]);
}

#[test]
fn what_cannot_be_made_or_takes_too_long_is_replaced_once() {
    let world = call(
        Some((Duration::from_millis(10), false)),
        Duration::from_secs(1),
    );
    assert_eq!(plays(&world), ["before system/error 2"]);
    let world = call(None, Duration::from_millis(2_900));
    assert!(plays(&world).is_empty());
    let world = call(None, Duration::from_millis(3_500));
    assert_eq!(plays(&world), ["before system/error 2"]);
}

#[test]
fn a_key_ends_the_waiting_and_what_comes_then_is_not_heard() {
    let mut world = call(Some((Duration::from_secs(2), true)), Duration::from_secs(1));
    let stream = world.streams().next().unwrap();
    let digit = '1';
    world.give(engine::Input::Media(media::Event::Dtmf { stream, digit }));
    world.run(Duration::from_secs(4));
    assert_eq!(plays(&world)[0], "bye", "{:?}", plays(&world));
}
