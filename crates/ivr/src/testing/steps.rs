//! The steps of a test, one a line.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use crate::api::{Answer, Lang, Value};
use crate::parse::{is_key, parse_language};
use crate::read::{duration, suggest};
use crate::spoken::{self, Kind};

/// One line of a test.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Press(Vec<char>),
    Wait(Duration),
    /// The look-up comes back; empty when nobody knows the caller.
    Customer(BTreeMap<String, Value>),
    /// A service answers, after some time.
    LookUp {
        answer: Answer,
        after: Duration,
    },
    /// A service does not answer in time.
    LookUpTimesOut,
    /// Back from a queue or transfer.
    Return(String),
    HangUp,
    Expect(Expect),
}

/// What should have happened, or happens when prompts are listened to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expect {
    Prompt {
        name: String,
        lang: Option<Lang>,
    },
    Text(String),
    /// As it is told, e.g. `money 12.50 CNY`.
    Spoken(String),
    State(String),
    Language(Lang),
    Goal(bool),
    /// `GET /orders/17`, `customer +86…`, and texts of the body; any, when `request` is empty.
    LookUp {
        request: String,
        body: BTreeMap<String, String>,
    },
    /// One that has been sent, and texts of it.
    Message {
        kind: String,
        fields: BTreeMap<String, String>,
    },
    Survey(String),
    Result {
        name: String,
        value: String,
    },
    Queue {
        queue: String,
        priority: Option<i32>,
        skills: BTreeMap<String, u8>,
        data: BTreeMap<String, String>,
    },
    Transfer(String),
    Hangup {
        goal: Option<bool>,
    },
}

const WORDS: [&str; 8] = [
    "press", "wait", "customer", "lookup", "pin", "return", "hang", "expect",
];
const EXPECTED: [&str; 21] = [
    "prompt", "text", "number", "digits", "count", "ordinal", "agent", "date", "time", "duration",
    "money", "state", "language", "goal", "lookup", "message", "survey", "result", "queue",
    "transfer", "hangup",
];

/// A suggestion for a line that is no step.
pub(super) fn hint(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    match words.next()? {
        "expect" => suggest(words.next()?, EXPECTED)
            .or_else(|| Some(format!("expect: {}", EXPECTED.join(", ")))),
        word if WORDS.contains(&word) => None,
        word => suggest(word, WORDS).or_else(|| {
            Some("steps: press, wait, customer, lookup, pin, return, hang up, expect".to_owned())
        }),
    }
}

pub(super) fn parse(line: &str) -> Result<Step, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if word == "customer" {
        return customer(rest.trim());
    }
    if word == "lookup" {
        return look_up(rest.trim());
    }
    let words = words(rest);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (word, words.as_slice()) {
        ("press", keys) if !keys.is_empty() => {
            let keys: Vec<char> = keys.concat().chars().collect();
            match keys.iter().find(|key| !is_key(**key)) {
                Some(key) => Err(format!("`{key}` is no key")),
                None => Ok(Step::Press(keys)),
            }
        }
        ("wait", [time]) => duration(time)
            .map(Step::Wait)
            .ok_or_else(|| format!("`{time}` is no duration")),
        ("pin", [word]) => {
            let status = match *word {
                "accepted" => 200,
                "wrong" => 401,
                "unknown" => 404,
                "locked" => 423,
                _ => return Err("a pin is `accepted`, `wrong`, `unknown` or `locked`".to_owned()),
            };
            let (body, after) = (Value::Nothing, Duration::ZERO);
            let answer = Answer::Reply { status, body };
            Ok(Step::LookUp { answer, after })
        }
        ("return", [word]) => Ok(Step::Return((*word).to_owned())),
        ("hang", ["up"]) => Ok(Step::HangUp),
        ("expect", [what, rest @ ..]) => expect(what, rest).map(Step::Expect),
        _ => Err(format!("`{line}` is no step")),
    }
}

/// `unknown`, or a record as an inline table.
fn customer(rest: &str) -> Result<Step, String> {
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    if rest == "unknown" {
        return Ok(Step::Customer(BTreeMap::new()));
    }
    let value = DeValue::parse(rest).map_err(|error| format!("customer: {}", error.message()))?;
    let Some(table) = value.get_ref().as_table() else {
        return Err("write `customer = { class = \"A\" }` or `customer unknown`".to_owned());
    };
    let fields = table.iter().filter_map(|(name, value)| {
        Some((name.get_ref().to_string(), super::plain(value.get_ref())?))
    });
    Ok(Step::Customer(fields.collect()))
}

/// `replies { … } [after 3s]`, `replies 404 [after 3s]`, `fails [after 3s]`, `times out`.
fn look_up(rest: &str) -> Result<Step, String> {
    if rest == "times out" {
        return Ok(Step::LookUpTimesOut);
    }
    let (what, after) = match rest.rsplit_once(" after ") {
        Some((what, time)) => {
            let time = time.trim();
            let after = duration(time).ok_or_else(|| format!("`{time}` is no duration"))?;
            (what.trim(), after)
        }
        None => (rest, Duration::ZERO),
    };
    let answer = match what.split_once(char::is_whitespace) {
        None if what == "fails" => Answer::Failed,
        Some(("replies", answer)) => reply(answer.trim())?,
        _ => {
            return Err(
                "write `lookup replies { … } after 1s`, `lookup replies 404`, `lookup fails` or `lookup times out`"
                    .to_owned(),
            );
        }
    };
    Ok(Step::LookUp { answer, after })
}

/// A status, or the JSON object of a 200 as an inline table.
fn reply(text: &str) -> Result<Answer, String> {
    if let Ok(status) = text.parse() {
        let body = Value::Nothing;
        return Ok(Answer::Reply { status, body });
    }
    let value = DeValue::parse(text).map_err(|error| format!("lookup: {}", error.message()))?;
    match super::plain(value.get_ref()) {
        Some(body @ (Value::Record(_) | Value::List(_))) => Ok(Answer::Reply { status: 200, body }),
        _ => Err("an answer is a status, `{ name = \"value\" }` or a list".to_owned()),
    }
}

fn expect(what: &str, rest: &[&str]) -> Result<Expect, String> {
    let language = |text: &str| {
        parse_language(text).ok_or_else(|| format!("`{text}` is no language known here"))
    };
    let truth = |text: &str| {
        text.parse::<bool>()
            .map_err(|_| format!("`{text}` is neither true nor false"))
    };
    Ok(match (what, rest) {
        ("prompt", [name]) => Expect::Prompt {
            name: (*name).to_owned(),
            lang: None,
        },
        ("prompt", [name, "in", lang]) => Expect::Prompt {
            name: (*name).to_owned(),
            lang: Some(language(lang)?),
        },
        ("text", [text]) => Expect::Text((*text).to_owned()),
        ("money", [sum, code]) => {
            let currency = spoken::currency(code)
                .ok_or_else(|| format!("`{code}` is no currency that can be said"))?;
            said(Kind::Money(currency), sum)?
        }
        ("state", [name]) => Expect::State((*name).to_owned()),
        ("language", [lang]) => Expect::Language(language(lang)?),
        ("goal", [goal]) => Expect::Goal(truth(goal)?),
        ("lookup", details) => expected_look_up(details)?,
        ("message", [kind, details @ ..]) => Expect::Message {
            kind: (*kind).to_owned(),
            fields: pairs(details)?,
        },
        ("survey", [flow]) => Expect::Survey((*flow).to_owned()),
        ("result", [name, value]) => Expect::Result {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        },
        ("queue", [queue, details @ ..]) => queue_details(queue, details)?,
        ("transfer", [to]) => Expect::Transfer((*to).to_owned()),
        ("hangup", []) => Expect::Hangup { goal: None },
        ("hangup", ["goal"]) => Expect::Hangup { goal: Some(true) },
        ("hangup", ["goal", goal]) => Expect::Hangup {
            goal: Some(truth(goal)?),
        },
        _ => match (Kind::ALL.into_iter().find(|kind| kind.key() == what), rest) {
            (Some(kind), [text]) if what != "money" => said(kind, text)?,
            _ => {
                return Err(format!(
                    "`expect {what} {}` is nothing to expect",
                    rest.join(" ")
                ));
            }
        },
    })
}

/// Something of a kind as it is told.
fn said(kind: Kind, text: &str) -> Result<Expect, String> {
    kind.read(text)
        .map(|spoken| Expect::Spoken(spoken.to_string()))
        .ok_or_else(|| format!("`{text}` is no {}: {}", kind.key(), kind.form()))
}

/// `METHOD PATH [NAME VALUE]…`, `customer NUMBER`, `history NUMBER`.
fn expected_look_up(details: &[&str]) -> Result<Expect, String> {
    let (request, fields) = details.split_at(details.len().min(2));
    let request = request.join(" ");
    let body = pairs(fields)?;
    Ok(Expect::LookUp { request, body })
}

fn pairs(words: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = words.chunks_exact(2);
    let found = pairs
        .by_ref()
        .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
        .collect();
    match pairs.remainder() {
        [] => Ok(found),
        _ => Err("here come pairs of `NAME VALUE`".to_owned()),
    }
}

fn queue_details(queue: &str, mut details: &[&str]) -> Result<Expect, String> {
    let (mut priority, mut skills, mut data) = (None, BTreeMap::new(), BTreeMap::new());
    while !details.is_empty() {
        details = match details {
            ["priority", number, rest @ ..] => {
                priority = Some(
                    number
                        .parse()
                        .map_err(|_| format!("`{number}` is no priority"))?,
                );
                rest
            }
            ["skill", name, level, rest @ ..] => {
                let level = level
                    .parse()
                    .map_err(|_| format!("`{level}` is no level"))?;
                skills.insert((*name).to_owned(), level);
                rest
            }
            ["data", name, text, rest @ ..] => {
                data.insert((*name).to_owned(), (*text).to_owned());
                rest
            }
            _ => {
                return Err(
                    "after the queue come `priority N`, `skill NAME LEVEL`, `data NAME TEXT`"
                        .to_owned(),
                );
            }
        };
    }
    Ok(Expect::Queue {
        queue: queue.to_owned(),
        priority,
        skills,
        data,
    })
}

/// Words, quoted ones whole; `=`, `≥`, `>=`, `with` and `and` only help the reader.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word;
        if first == '"' {
            let end = rest[1..].find('"').map_or(rest.len(), |end| end + 1);
            word = &rest[1..end];
            rest = rest.get(end + 1..).unwrap_or("");
            words.push(word.to_owned());
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            word = &rest[..end];
            rest = &rest[end..];
            if !matches!(word, "=" | "≥" | ">=" | "with" | "and") {
                words.push(word.to_owned());
            }
        }
        rest = rest.trim_start();
    }
    words
}
