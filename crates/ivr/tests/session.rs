//! One caller's way through flows, on a virtual clock.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clock::Time;
use ivr::{
    Facts, Flows, Input, Lang, Output, PlayToken, Prompt, Session, Spoken, Surroundings, Value,
};

fn load(texts: &[&str]) -> Flows {
    let files: Vec<_> = texts
        .iter()
        .map(|text| ("test.toml".into(), (*text).to_owned()))
        .collect();
    let queues: BTreeSet<String> = ["support", "sales"].map(str::to_owned).into();
    let numbers: BTreeSet<String> = ["1001"].map(str::to_owned).into();
    let surroundings = Surroundings {
        has_prompt: &|_, _| true,
        queues: &queues,
        numbers: &numbers,
    };
    let (flows, diagnostics) = Flows::load(&files, &surroundings);
    assert!(diagnostics.is_empty(), "{}", diagnostics[0]);
    flows
}

/// A session with its clock and the outputs since the last look.
struct Caller {
    session: Session,
    now: Time,
    play: Option<PlayToken>,
}

impl Caller {
    fn new(flows: &Flows, facts: Facts) -> Caller {
        let session = Session::new(flows, "main", facts).unwrap();
        Caller {
            session,
            now: Time::from_secs(1_000),
            play: None,
        }
    }

    fn start(texts: &[&str]) -> (Caller, Vec<String>) {
        let mut caller = Caller::new(
            &load(texts),
            Facts {
                ani: "+861".into(),
                ..Facts::default()
            },
        );
        let said = caller.give(Input::Start);
        (caller, said)
    }

    fn give(&mut self, input: Input) -> Vec<String> {
        self.session.handle(self.now, input);
        self.outputs()
    }

    fn press(&mut self, keys: &str) -> Vec<String> {
        keys.chars()
            .flat_map(|key| self.give(Input::Digit(key)))
            .collect()
    }

    /// The present play ends.
    fn played(&mut self) -> Vec<String> {
        let play = self.play.take().expect("something is said");
        self.give(Input::Played(play))
    }

    /// To the next deadline, which must have this reason and be this far away.
    fn due(&mut self, reason: &str, after: Duration) -> Vec<String> {
        let (due, why) = self.session.poll_timeout().expect("a deadline");
        assert_eq!((why, due - self.now), (reason, after));
        self.session.handle_timeout(due - Duration::from_nanos(1));
        assert_eq!(self.outputs(), Vec::<String>::new(), "before its time");
        self.now = due;
        self.session.handle_timeout(self.now);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(output) = self.session.poll_output() {
            lines.push(match output {
                Output::Play {
                    token,
                    prompts,
                    barge_in,
                } => {
                    assert!(self.play < Some(token), "a token is used once");
                    self.play = Some(token);
                    let prompts: Vec<String> = prompts.iter().map(told).collect();
                    format!(
                        "say {}{}",
                        prompts.join(" "),
                        if barge_in { "" } else { " (whole)" }
                    )
                }
                Output::StopPlay => "stop".to_owned(),
                Output::Step { state, input, .. } => match input {
                    Some(input) => format!("{state} after {input}"),
                    None => state.to_string(),
                },
                Output::Language(language) => format!("language {language:?}"),
                Output::LookUp { request, .. } => format!("{request:?}"),
                Output::Send(request) => format!("{request:?}"),
                Output::Survey(flow) => format!("survey {flow}"),
                Output::Results(results) => format!("{results:?}"),
                Output::Exit(exit) => format!("{exit:?}").replace(", announce: []", ""),
            });
        }
        lines
    }
}

fn told(prompt: &Prompt) -> String {
    match prompt {
        Prompt::File {
            lang: Lang::ZhCn,
            name,
        } => format!("{name}/zh"),
        Prompt::File {
            lang: Lang::En,
            name,
        } => format!("{name}/en"),
        Prompt::Text { text, .. } => format!("\"{text}\""),
        Prompt::Spoken { what, .. } => match what {
            Spoken::Number(value) => format!("n{value}"),
            Spoken::Digits(digits) => format!("d{digits}"),
            other => other.to_string(),
        },
        Prompt::Silence { ms } => format!("{ms}ms"),
        Prompt::Agent { .. } => "agent".to_owned(),
    }
}

const SECOND: Duration = Duration::from_secs(1);

const MENU: &str = r#"
[flow]
name = "main"
start = "hello"
[defaults]
retries = 2
[keys]
"*" = "back"
0 = "person"
[state.hello]
say = "hello"
every_language = true
next = "menu"
[state.menu]
menu = "menu"
keys = { 1 = "more", 2 = "bye" }
[state.more]
menu = "more"
barge_in = false
keys = { 1 = "bye", "*" = "repeat" }
[state.person]
queue = "support"
[state.bye]
hangup = "bye"
goal = true
"#;

#[test]
fn prompts_end_then_the_first_key_is_awaited() {
    let (mut caller, said) = Caller::start(&[MENU]);
    assert_eq!(
        said,
        ["language ZhCn", "hello", "say hello/zh 300ms hello/en"]
    );
    assert_eq!(caller.played(), ["menu", "say menu/zh"]);
    assert_eq!(caller.session.poll_timeout().unwrap().1, "end of a prompt");
    assert!(caller.played().is_empty());
    assert_eq!(
        caller.due("first key", 5 * SECOND),
        ["say system/no_input/zh menu/zh"]
    );
    caller.played();
    assert_eq!(caller.press("7"), ["say system/invalid/zh menu/zh"]);
    caller.played();
    assert_eq!(
        caller.due("first key", 5 * SECOND),
        ["say system/goodbye/zh (whole)"],
        "retries are used up"
    );
    assert!(caller.press("1").is_empty());
    assert_eq!(caller.played(), ["Hangup { goal: false }"]);
    assert_eq!(caller.session.poll_timeout(), None);
}

#[test]
fn a_key_cuts_a_prompt_and_a_late_report_of_its_end_is_ignored() {
    let (mut caller, _) = Caller::start(&[MENU]);
    let hello = caller.play.unwrap();
    assert_eq!(
        caller.press("1"),
        ["stop", "menu", "more after 1", "say more/zh (whole)"]
    );
    assert!(caller.give(Input::Played(hello)).is_empty());
    assert!(
        caller.press("1").is_empty(),
        "this prompt is heard to its end"
    );
    assert_eq!(caller.played(), ["bye after 1", "say bye/zh (whole)"]);
    assert!(caller.session.goal());
    assert_eq!(caller.played(), ["Hangup { goal: true }"]);
}

#[test]
fn commands_go_back_repeat_and_reach_a_person() {
    let (mut caller, _) = Caller::start(&[MENU]);
    caller.played();
    assert_eq!(
        caller.press("*"),
        ["stop", "say menu/zh"],
        "nothing to go back to"
    );
    assert_eq!(
        caller.press("1"),
        ["stop", "more after 1", "say more/zh (whole)"]
    );
    caller.played();
    assert_eq!(
        caller.press("*"),
        ["say more/zh (whole)"],
        "the menu's own key counts first"
    );
    caller.played();
    assert_eq!(
        caller.press("0"),
        [
            "person after 0",
            r#"Queue { queue: "support", skills: {}, priority: 0, data: {} }"#
        ]
    );
    assert!(caller.press("1").is_empty());
    assert_eq!(
        caller.give(Input::Returned("full".into())),
        ["say system/goodbye/zh (whole)"]
    );
    assert!(
        caller.give(Input::Returned("full".into())).is_empty(),
        "only once"
    );
}

#[test]
fn keys_typed_ahead_are_bounded_and_dropped_after_a_wrong_one() {
    let mut caller = Caller::new(&load(&[MENU]), Facts::default());
    assert!(caller.press("8").is_empty());
    caller.press(&"1".repeat(100));
    let said = caller.give(Input::Start);
    assert_eq!(
        said,
        [
            "language ZhCn",
            "hello",
            "menu",
            "say system/invalid/zh menu/zh"
        ]
    );
}

#[test]
fn an_unreported_end_of_a_prompt_does_not_hold_the_call() {
    let (mut caller, _) = Caller::start(&[MENU]);
    assert_eq!(
        caller.due("end of a prompt", 300 * SECOND),
        ["stop", "menu", "say menu/zh"]
    );
}

const COLLECT: &str = r##"
[flow]
name = "main"
start = "account"
languages = ["en"]
[state.account]
collect = "account"
prompt = "account"
min = 3
max = 6
next = "pin"
[state.pin]
collect = "pin"
prompt = "pin"
length = 4
secret = true
next = "confirm"
[state.confirm]
confirm = ["you_said", { digits = "{{ account }}" }, { number = "{{ account | int + 1 }}" }]
yes = "done"
no = "account"
[state.done]
queue = "support"
priority = "{{ 10 if pin == '1234' else 0 }}"
skills = { english = 3 }
data = { account = "A-{{ account }}" }
"##;

#[test]
fn digits_are_collected_by_length_terminator_and_pause() {
    let (mut caller, said) = Caller::start(&[COLLECT]);
    assert_eq!(said, ["language En", "account", "say account/en"]);
    assert_eq!(caller.press("12"), ["stop"]);
    assert_eq!(
        caller.press("#"),
        ["say system/invalid/en account/en"],
        "too short"
    );
    assert_eq!(caller.press("12"), ["stop"]);
    assert_eq!(
        caller.due("next key", 3 * SECOND),
        ["say system/invalid/en account/en"]
    );
    assert_eq!(
        caller.press("123#"),
        ["stop", "pin after 123", "say pin/en"]
    );
    assert_eq!(caller.press("123"), ["stop"]);
    assert_eq!(
        caller.press("4"),
        ["confirm after ****", "say you_said/en d123 n124"]
    );
    assert_eq!(
        caller.press("2"),
        ["stop", "account after 2", "say account/en"]
    );
    caller.press("7777");
    assert_eq!(
        caller.due("next key", 3 * SECOND),
        ["pin after 7777", "say pin/en"]
    );
    assert_eq!(
        caller.press("12341"),
        [
            "stop",
            "confirm after ****",
            "say you_said/en d7777 n7778",
            "stop",
            "done after 1",
            r#"Queue { queue: "support", skills: {"english": 3}, priority: 10, data: {"account": "A-7777"} }"#
        ]
    );
    assert!(!format!("{:?}", caller.session).contains("1234"));
}

const CUSTOMER: &str = r#"
[flow]
name = "main"
start = "who"
[defaults]
on_error = "sorry"
[state.who]
decide = [{ if = "customer.class == 'A'", next = "person" }, { if = "'late' in customer.tags", next = "late" }]
otherwise = "hello"
wait_customer = "200ms"
[state.late]
set = { x = 1, language = "en" }
next = "count"
[state.count]
set = { x = "{{ x + 1 }}" }
next = "say"
[state.say]
say = { number = "{{ x }}" }
next = "hello"
[state.hello]
menu = "hello"
keys = { 1 = "broken", 2 = "dial" }
[state.broken]
say = { number = "{{ call.ani }}" }
next = "hello"
[state.dial]
transfer = "{{ call.dnis }}"
on_busy = "hello"
[state.person]
queue = "sales"
[state.sorry]
hangup = "sorry"
"#;

fn record(fields: &[(&str, Value)]) -> Input {
    Input::Customer(
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    )
}

#[test]
fn the_look_up_is_awaited_but_not_for_long() {
    let (mut caller, said) = Caller::start(&[CUSTOMER]);
    assert_eq!(said, ["language ZhCn", "who"]);
    assert_eq!(
        caller.due("customer look-up", Duration::from_millis(200)),
        ["hello", "say hello/zh"]
    );
    assert_eq!(
        caller.give(record(&[("language", Value::Text("en".into()))])),
        ["language En"],
        "late, but of use"
    );
    assert_eq!(caller.session.language(), Lang::En);
    caller.played();
    assert_eq!(
        caller.due("first key", 5 * SECOND),
        ["say system/no_input/en hello/en"]
    );
}

#[test]
fn the_look_up_decides() {
    let (mut caller, _) = Caller::start(&[CUSTOMER]);
    let class = [("class", Value::Text("A".into()))];
    assert_eq!(caller.give(record(&class))[0], "person");

    let (mut caller, _) = Caller::start(&[CUSTOMER]);
    let tags = Value::List(vec![Value::Text("late".into())]);
    let said = caller.give(record(&[("tags", tags)]));
    assert_eq!(said, ["late", "language En", "count", "say", "say n2"]);

    let facts = Facts {
        customer: Some(BTreeMap::new()),
        lang: Some(Lang::En),
        ..Facts::default()
    };
    let mut caller = Caller::new(&load(&[CUSTOMER]), facts);
    assert_eq!(
        caller.give(Input::Start),
        ["language En", "who", "hello", "say hello/en"],
        "nothing to wait for"
    );
}

#[test]
fn what_cannot_be_said_or_dialled_takes_the_error_path() {
    let flows = load(&[CUSTOMER]);
    let facts = |dnis: &str| Facts {
        ani: "anonymous".into(),
        dnis: dnis.into(),
        ..Facts::default()
    };
    let mut caller = Caller::new(&flows, facts("1001"));
    caller.press("1");
    caller.give(Input::Start);
    let said = caller.give(record(&[]));
    assert_eq!(
        said,
        ["hello", "broken after 1", "sorry", "say sorry/zh (whole)"]
    );

    for (dnis, exit) in [
        ("1001", r#"Transfer { to: "1001" }"#),
        ("+8613800138000", "sorry"),
    ] {
        let mut caller = Caller::new(&flows, facts(dnis));
        caller.press("2");
        caller.give(Input::Start);
        assert_eq!(caller.give(record(&[]))[2], exit);
    }
}

#[test]
fn flows_call_flows() {
    let main = r#"
[flow]
name = "main"
start = "ask"
[variables]
code = "none"
[state.ask]
call = "pin"
with = { length = "{{ 2 + 2 }}" }
results = { code = "pin" }
next = "end"
[state.end]
queue = "support"
data = { code = "{{ code }}" }
"#;
    let pin = r#"
[flow]
name = "pin"
start = "say"
[arguments]
length = 6
[state.say]
say = [{ number = "{{ length }}" }]
next = "ask"
[state.ask]
collect = "code"
prompt = "pin"
length = 2
next = "found"
on_retries = "none"
[state.found]
return = { pin = "{{ code }}!" }
[state.none]
return = { pin = "nothing" }
"#;
    let (mut caller, said) = Caller::start(&[main, pin]);
    assert_eq!(said, ["language ZhCn", "ask", "say", "say n4"]);
    assert_eq!(caller.session.place(), ("pin", "say"));
    let said = caller.press("42");
    assert_eq!(
        said.last().unwrap(),
        r#"Queue { queue: "support", skills: {}, priority: 0, data: {"code": "42!"} }"#
    );

    let mut caller = Caller::new(
        &load(&[&pin.replace("\"pin\"\nstart", "\"main\"\nstart")]),
        Facts::default(),
    );
    caller.press("42");
    let said = caller.give(Input::Start);
    assert_eq!(
        said.last().unwrap(),
        "say system/goodbye/zh (whole)",
        "nobody to return to"
    );
}

#[test]
fn hours_are_asked_for_the_moment() {
    let text = r#"
[flow]
name = "main"
start = "open"
[state.open]
hours = ["Thu 00:00-00:17"]
zone = "UTC"
open = "yes"
closed = "no"
[state.yes]
hangup = true
goal = true
[state.no]
hangup = true
"#;
    // 1000 s after the epoch, a Thursday.
    let (_, said) = Caller::start(&[text]);
    assert_eq!(
        said,
        ["language ZhCn", "open", "yes", "Hangup { goal: true }"]
    );
}

#[test]
fn a_caller_who_is_gone_is_left_alone() {
    let (mut caller, _) = Caller::start(&[MENU]);
    assert!(caller.give(Input::Hangup).is_empty());
    assert_eq!(caller.session.poll_timeout(), None);
    assert!(caller.press("123").is_empty());
    assert!(caller.give(Input::Start).is_empty());
}
