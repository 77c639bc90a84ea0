//! Sessions of all shipped flows under any inputs at any time: no panic, bounded work, a deadline while they have the caller.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use clock::Time;
use ivr::{Answer, Exit, Facts, Flows, Input, LookUpToken, Output, PlayToken, Session, Value};
use libfuzzer_sys::fuzz_target;

/// Most outputs of one input: a hundred transitions between keys, and 33 keys.
const OUTPUTS_MAX: usize = 2_000;

static FLOWS: LazyLock<Flows> = LazyLock::new(|| {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../ivr-scripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("the shipped flows")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".toml") && !name.ends_with(".test.toml")
        })
        .collect();
    files.sort();
    let files: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).expect("a flow")))
        .collect();
    let surroundings = ivr::Surroundings {
        has_prompt: &|_, _| true,
        queues: &["support", "sales"].map(str::to_owned).into(),
        numbers: &Default::default(),
    };
    Flows::load(&files, &surroundings).0
});

#[derive(Arbitrary, Debug)]
enum Happening {
    Key(u8),
    PlayEnds,
    Played(u8),
    Due,
    Wait(u16),
    Customer { class: u8, english: bool },
    Number(u16),
    Text(String),
    Status(u16),
    Lost,
    Returned(u8),
    Hangup,
}

fuzz_target!(|input: (u8, Vec<Happening>)| {
    let names: Vec<&str> = FLOWS.names().collect();
    let name = names[usize::from(input.0) % names.len()];
    let facts = Facts {
        ani: "+8613800138000".to_owned(),
        ..Facts::default()
    };
    let mut call = Call {
        session: Session::new(&FLOWS, name, facts).expect("it was named"),
        now: Time::from_secs(1_790_000_000),
        play: None,
        asked: LookUpToken(0),
        over: false,
        away: false,
    };
    call.give(Input::Start);
    for happening in input.1.into_iter().take(300) {
        call.happens(happening);
    }
    // Whoever does nothing any more comes to an end.
    for _ in 0..500 {
        if call.over || call.away {
            return;
        }
        call.happens(Happening::Due);
    }
    panic!("a silent caller is held for ever in {:?}", call.session.place());
});

struct Call {
    session: Session,
    now: Time,
    play: Option<PlayToken>,
    asked: LookUpToken,
    over: bool,
    away: bool,
}

impl Call {
    fn happens(&mut self, happening: Happening) {
        let text = |text: &str| Value::Text(text.to_owned());
        let input = match happening {
            Happening::Key(key) => Input::Digit(char::from(b"0123456789*#ABCDx"[usize::from(key) % 17])),
            Happening::PlayEnds => match self.play.take() {
                Some(play) => Input::Played(play),
                None => return,
            },
            Happening::Played(token) => Input::Played(PlayToken(token.into())),
            Happening::Due => {
                if let Some((due, _)) = self.session.poll_timeout() {
                    self.now = self.now.max(due);
                }
                self.session.handle_timeout(self.now);
                return self.look();
            }
            Happening::Wait(ms) => {
                self.now += Duration::from_millis(u64::from(ms) * 10);
                self.session.handle_timeout(self.now);
                return self.look();
            }
            Happening::Customer { class, english } => {
                let class = ["A", "B", ""][usize::from(class) % 3];
                let language = if english { "en" } else { "zh-CN" };
                let fields = [("id", text("C1")), ("class", text(class)), ("language", text(language))];
                Input::Customer(fields.map(|(name, value)| (name.to_owned(), value)).into())
            }
            Happening::Number(number) => self.answer(Value::Number(number.into())),
            Happening::Text(said) => self.answer(Value::Text(said)),
            Happening::Status(status) => Input::LookedUp {
                token: self.asked,
                answer: Answer::Reply { status, body: Value::Nothing },
            },
            Happening::Lost => Input::LookedUp { token: self.asked, answer: Answer::Failed },
            Happening::Returned(word) => {
                self.away = false;
                let words = ["full", "closed", "no_agent", "failed", "busy", "?"];
                Input::Returned(words[usize::from(word) % words.len()].to_owned())
            }
            Happening::Hangup => Input::Hangup,
        };
        self.give(input);
    }

    /// Every field that a shipped flow asks for, all alike.
    fn answer(&self, value: Value) -> Input {
        let names = ["status", "days", "station", "hours", "balance", "id", "day", "time", "number", "notice"];
        let mut fields: std::collections::BTreeMap<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
        fields.insert("delivery".to_owned(), Value::Record([("days".to_owned(), value)].into()));
        Input::LookedUp {
            token: self.asked,
            answer: Answer::Reply { status: 200, body: Value::Record(fields) },
        }
    }

    fn give(&mut self, input: Input) {
        self.over |= input == Input::Hangup;
        self.session.handle(self.now, input);
        self.look();
    }

    fn look(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.session.poll_output() {
            outputs += 1;
            assert!(outputs <= OUTPUTS_MAX, "too much at once");
            assert!(!self.over && !self.away, "{output:?} without a caller");
            match output {
                Output::Play { token, .. } => self.play = Some(token),
                Output::StopPlay => self.play = None,
                Output::LookUp { token, .. } => self.asked = token,
                Output::Exit(Exit::Hangup { .. }) => self.over = true,
                Output::Exit(_) => self.away = true,
                Output::Step { input, .. } => assert!(input.is_none_or(|input| input.len() <= 32)),
                Output::Language(_) | Output::Send(_) | Output::Survey(_) | Output::Results(_) => {}
            }
        }
        let waits = self.session.poll_timeout().is_some();
        assert_eq!(waits, !self.over && !self.away, "a deadline while the session has the caller");
    }
}
