//! Whatever a caller does and whatever comes back: no panic, bounded work, and always something that the session waits for.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::time::Duration;

use clock::Time;
use ivr::{
    Answer, Exit, Facts, Flows, Input, Lang, LookUpToken, Output, PlayToken, Session, Surroundings,
    Value,
};
use proptest::prelude::*;

/// Most outputs of one input: a hundred transitions between keys, and 33 keys, would be far more than any real flow has.
const MAX_OUTPUTS: usize = 2_000;

fn load(files: &[(&str, String)]) -> (Flows, usize) {
    let files: Vec<_> = files
        .iter()
        .map(|(path, text)| ((*path).into(), text.clone()))
        .collect();
    let queues: BTreeSet<String> = ["support", "sales"].map(str::to_owned).into();
    let numbers: BTreeSet<String> = ["1001"].map(str::to_owned).into();
    let surroundings = Surroundings {
        has_prompt: &|_, _| true,
        queues: &queues,
        numbers: &numbers,
    };
    let (flows, diagnostics) = Flows::load(&files, &surroundings);
    diagnostics.iter().for_each(|found| println!("{found}"));
    (flows, diagnostics.len())
}

fn main_flow() -> Flows {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ivr-scripts/main.toml");
    load(&[("main.toml", std::fs::read_to_string(path).unwrap())]).0
}

/// Every verb, with as much state and as many ways round as the checks allow.
fn every_verb() -> Flows {
    let main = r##"
[flow]
name = "main"
start = "who"
transfers = "external"
[defaults]
on_error = "sorry"
on_returned = "menu"
retries = 1
[keys]
"*" = "back"
0 = "pin"
"#" = "repeat"
[services.shop]
url = "http://shop.invalid"
[variables]
n = 0
text = "x"
[state.who]
decide = [{ if = "customer.class == 'A'", next = "queue" }]
otherwise = "menu"
[state.menu]
menu = "menu"
keys = { 1 = "count", 2 = "transfer", 3 = "queue", 4 = "hours", 5 = "say", 6 = "english", 7 = "account", 8 = "order", 9 = "whose", "A" = "prove", "B" = "tell", "C" = "card" }
[state.count]
set = { n = "{{ n + 1 }}", text = "{{ text ~ text }}" }
next = "enough"
[state.enough]
decide = [{ if = "n > 20", next = "account" }, { if = "text | length > 900", next = "bye" }]
otherwise = "say"
[state.say]
say = [{ number = "{{ n }}" }, { digits = "{{ call.ani }}" }]
every_language = true
next = "menu"
[state.english]
set = { language = "en" }
next = "menu"
[state.account]
collect = "account"
prompt = "account"
min = 2
max = 5
next = "confirm"
on_retries = "pin"
[state.confirm]
confirm = ["you_said", { digits = "{{ account }}" }]
yes = "loud"
no = "account"
barge_in = false
[state.loud]
say = { number = "{{ account }}" }
barge_in = false
next = "menu"
[state.pin]
call = "pin"
with = { length = "{{ n }}" }
results = { text = "pin" }
next = "queue"
[state.hours]
hours = ["Mon-Sun 00:00-12:00"]
zone = "Asia/Shanghai"
open = "say"
closed = "menu"
[state.queue]
queue = "support"
priority = "{{ n }}"
data = { text = "{{ text }}" }
on_full = "menu"
[state.transfer]
transfer = "{{ call.dnis }}"
on_busy = "menu"
[state.order]
lookup = "/orders/{{ text }}"
prompt = "moment"
results = { text = "text", n = { path = "n", default = 3 } }
timeout = "2s"
next = "say"
on_missing = "menu"
on_failed = "sorry"
[state.whose]
lookup = "customer"
results = { text = "name" }
next = "queue"
on_failed = "menu"
on_timeout = "bye"
[state.prove]
authenticate = "{{ text }}"
prompt = "pin"
min = 2
max = 4
tries = 2
next = "tell"
on_refused = "menu"
on_locked = "sorry"
[state.tell]
message = "sms"
text = { zh-CN = "{{ n }}", en = "{{ text }}" }
next = "survey"
[state.survey]
survey = "pin"
next = "queue"
[state.card]
collect = "text"
prompt = "card"
check = "id_card"
matching = "[0-9]*X"
next = "order"
[state.sorry]
say = { number = "{{ text }}" }
next = "menu"
[state.bye]
hangup = "bye"
goal = true
"##;
    let pin = r#"
[flow]
name = "pin"
start = "ask"
[arguments]
length = 4
[state.ask]
collect = "pin"
prompt = "pin"
length = 4
secret = true
next = "give"
on_retries = "none"
[state.give]
return = { pin = "{{ pin * length }}" }
[state.none]
return = { pin = "" }
"#;
    let (flows, wrong) = load(&[("main.toml", main.into()), ("pin.toml", pin.into())]);
    assert_eq!(wrong, 0);
    flows
}

/// What can happen to a session, in its world's words.
#[derive(Clone, Debug)]
enum Happening {
    Start,
    Key(char),
    /// The present play ends.
    PlayEnds,
    /// Some play ends that may be none.
    Played(u32),
    Customer(Option<&'static str>, Option<&'static str>),
    Returned(&'static str),
    /// The present try of a look-up, or some try that may be none, is answered.
    LookedUp(Option<u32>, Answer),
    Hangup,
    Wait(u64),
    /// The next deadline.
    Due,
}

fn happening() -> impl Strategy<Value = Happening> {
    let keys = proptest::sample::select("0123456789*#ABCDx".chars().collect::<Vec<_>>());
    let class = proptest::option::of(proptest::sample::select(vec!["A", "B", ""]));
    let language = proptest::option::of(proptest::sample::select(vec!["zh-CN", "en", "fr", ""]));
    let words = proptest::sample::select(vec![
        "full", "closed", "no_agent", "failed", "busy", "", "?",
    ]);
    let answer = prop_oneof![
        Just(Answer::Failed),
        Just(Answer::TimedOut),
        (100..600u16).prop_map(|status| Answer::Reply {
            status,
            body: Value::Nothing
        }),
        "[a-zX]{0,1200}".prop_map(|text| {
            let fields = [
                ("text", Value::Text(text.clone())),
                ("name", Value::Text(text)),
            ];
            let fields = fields.map(|(name, value)| (name.to_owned(), value));
            Answer::Reply {
                status: 200,
                body: Value::Record(fields.into()),
            }
        }),
    ];
    prop_oneof![
        3 => (proptest::option::of(0..5u32), answer).prop_map(|(token, answer)| Happening::LookedUp(token, answer)),
        2 => Just(Happening::Start),
        12 => keys.prop_map(Happening::Key),
        8 => Just(Happening::PlayEnds),
        1 => (0..20u32).prop_map(Happening::Played),
        1 => (class, language).prop_map(|(class, language)| Happening::Customer(class, language)),
        2 => words.prop_map(Happening::Returned),
        1 => Just(Happening::Hangup),
        2 => (0..400_000u64).prop_map(Happening::Wait),
        8 => Just(Happening::Due),
    ]
}

struct World {
    session: Session,
    now: Time,
    started: bool,
    gone: bool,
    away: bool,
    play: Option<PlayToken>,
    last: PlayToken,
    asked: LookUpToken,
}

impl World {
    fn happen(&mut self, what: &Happening) {
        let input = match what {
            Happening::Start => Input::Start,
            Happening::Key(key) => Input::Digit(*key),
            Happening::PlayEnds => match self.play.take() {
                Some(play) => Input::Played(play),
                None => return,
            },
            Happening::Played(token) => Input::Played(PlayToken(*token)),
            Happening::Customer(class, language) => {
                let field = |name: &str, value: &Option<&str>| {
                    value.map(|value| (name.to_owned(), Value::Text(value.into())))
                };
                Input::Customer(
                    [field("class", class), field("language", language)]
                        .into_iter()
                        .flatten()
                        .collect(),
                )
            }
            Happening::Returned(word) => Input::Returned((*word).to_owned()),
            Happening::LookedUp(token, answer) => Input::LookedUp {
                token: token.map_or(self.asked, LookUpToken),
                answer: answer.clone(),
            },
            Happening::Hangup => Input::Hangup,
            Happening::Wait(ms) => {
                self.now += Duration::from_millis(*ms);
                self.session.handle_timeout(self.now);
                return self.look();
            }
            Happening::Due => {
                let Some((due, _)) = self.session.poll_timeout() else {
                    return;
                };
                self.now = self.now.max(due);
                self.session.handle_timeout(self.now);
                return self.look();
            }
        };
        self.started |= input == Input::Start;
        self.gone |= input == Input::Hangup;
        if self.away && matches!(input, Input::Returned(_)) {
            self.away = false;
        }
        self.session.handle(self.now, input);
        self.look();
    }

    /// Drains the outputs and checks what must always hold.
    fn look(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.session.poll_output() {
            outputs += 1;
            assert!(outputs <= MAX_OUTPUTS, "too much at once");
            assert!(!self.gone, "{output:?} for a caller who is gone");
            assert!(!self.away, "{output:?} after handing the caller over");
            match output {
                Output::Play { token, .. } => {
                    assert!(token > self.last, "a token is used once");
                    self.last = token;
                    self.play = Some(token);
                }
                Output::StopPlay => self.play = None,
                Output::LookUp { token, within, .. } => {
                    assert!(token > self.asked, "a token is used once");
                    assert!(!within.is_zero());
                    self.asked = token;
                }
                Output::Exit(Exit::Hangup { .. }) => self.gone = true,
                Output::Exit(Exit::Queue { .. } | Exit::Transfer { .. }) => self.away = true,
                Output::Step { input, .. } => assert!(input.is_none_or(|input| input.len() <= 32)),
                Output::Language(_) | Output::Send(_) | Output::Survey(_) | Output::Results(_) => {}
            }
        }
        let waits = self.session.poll_timeout().is_some();
        assert_eq!(
            waits,
            self.started && !self.gone && !self.away,
            "a deadline while the session has the caller, and only then"
        );
    }
}

fn call(flows: &Flows, language: Option<Lang>, happenings: &[Happening]) {
    let facts = Facts {
        ani: "+8613800138000".into(),
        dnis: "1001".into(),
        lang: language,
        customer: None,
    };
    let session = Session::new(flows, "main", facts).unwrap();
    let now = Time::from_secs(1_700_000_000);
    let mut world = World {
        session,
        now,
        started: false,
        gone: false,
        away: false,
        play: None,
        last: PlayToken(0),
        asked: LookUpToken(0),
    };
    happenings
        .iter()
        .for_each(|happening| world.happen(happening));
}

/// A caller who does nothing comes to an end.
fn silent(flows: &Flows) {
    let mut session = Session::new(flows, "main", Facts::default()).unwrap();
    let mut now = Time::ZERO;
    session.handle(now, Input::Start);
    for _ in 0..100 {
        while let Some(output) = session.poll_output() {
            if matches!(output, Output::Exit(_)) {
                return;
            }
        }
        now = session.poll_timeout().unwrap().0;
        session.handle_timeout(now);
    }
    panic!("a silent caller is held for ever");
}

#[test]
fn silence_ends() {
    silent(&main_flow());
    silent(&every_verb());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn sessions_of_the_main_flow(happenings in proptest::collection::vec(happening(), 0..80), english in any::<bool>()) {
        call(&main_flow_once(), english.then_some(Lang::En), &happenings);
    }

    #[test]
    fn sessions_of_every_verb(happenings in proptest::collection::vec(happening(), 0..200)) {
        call(&every_verb_once(), None, &happenings);
    }

    /// Lines of real flows cut, doubled, swapped: complaints, but no panic, and what loads runs.
    #[test]
    fn broken_files(lines in proptest::collection::vec((0..200usize, 0..200usize), 1..6), happenings in proptest::collection::vec(happening(), 0..20)) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ivr-scripts/main.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let mut parts: Vec<&str> = text.lines().collect();
        for (from, to) in lines {
            let (from, to) = (from % parts.len(), to % parts.len());
            match (from + to) % 3 {
                0 => parts.swap(from, to),
                1 => parts.insert(to, parts[from]),
                _ => drop(parts.remove(from)),
            }
        }
        let (flows, _) = load(&[("main.toml", parts.join("\n"))]);
        if flows.get("main").is_some() {
            call(&flows, None, &happenings);
        }
    }

    #[test]
    fn any_text(text in "(\\[flow\\]\n|\\[state\\.a\\]\n|name = \"main\"\n|start = \"a\"\n|say = |menu = |decide = |\"\\{\\{|\\}\\}\"|[a-z\\[\\]{}=\"'\n]|\\PC){0,40}") {
        load(&[("main.toml", text.clone())]);
        ivr::testing::run(&Flows::default(), &text, std::path::Path::new("main.test.toml"));
    }
}

fn main_flow_once() -> Flows {
    static FLOWS: std::sync::LazyLock<Flows> = std::sync::LazyLock::new(main_flow);
    FLOWS.clone()
}

fn every_verb_once() -> Flows {
    static FLOWS: std::sync::LazyLock<Flows> = std::sync::LazyLock::new(every_verb);
    FLOWS.clone()
}
