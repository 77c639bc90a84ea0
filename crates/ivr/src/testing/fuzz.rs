//! Callers who press anything: seeded, so that a call that goes wrong can be made again.
//!
//! Whatever they do, a call must come to an end when they do nothing any more, and no expression of the flow may fail. Services answer with what
//! the flow reads out of answers, made up; an expression that fails on such an answer is told of, but may be the made-up answer's fault.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clock::Time;

use super::world::World;
use super::{Coverage, Test, Walked, coverage};
use crate::api::{Answer, Exit, Facts, Input, Request, Value};
use crate::flow::{Command, Flow, Verb, Wanted, Word};
use crate::load::Flows;

/// What a caller does at most before they do nothing any more.
const MAX_DOINGS: u64 = 60;
/// Time-outs and prompts until a silent caller must be out of the flow.
const MAX_SILENCES: usize = 300;
/// Calls gone wrong that are told.
const MAX_TOLD: usize = 5;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fuzzed {
    pub seed: u64,
    pub calls: u32,
    pub coverage: Coverage,
    /// The first of those that went wrong.
    pub failures: Vec<Gone>,
    /// How many took the error path after an answer that was made up.
    pub doubtful: u32,
}

/// A call gone wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Gone {
    /// Its number among the calls of this seed, from 0.
    pub call: u32,
    pub message: String,
    pub happened: Vec<String>,
}

/// Makes `calls` to a flow; `None` when there is no such flow.
pub fn fuzz(flows: &Flows, name: &str, seed: u64, calls: u32) -> Option<Fuzzed> {
    let flow = flows.shared(name)?;
    let words = dictionary(&flow);
    let mut walked = Walked::default();
    let (mut failures, mut doubtful) = (Vec::new(), 0);
    for call in 0..calls {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(call));
        let mut caller = Caller::new(flows, name, &words, &mut dice)?;
        let went = caller.go(&mut dice);
        let happened = caller.world.told();
        match went {
            Ok(()) if caller.world.faults() == 0 => {}
            Ok(()) if caller.made_up => doubtful += 1,
            Ok(()) => failures.push(Gone {
                call,
                message: "the flow took its error path: an expression failed, or a number that may not be dialled".to_owned(),
                happened,
            }),
            Err(message) => failures.push(Gone { call, message, happened }),
        }
        caller.world.walked(&mut walked);
        if failures.len() == MAX_TOLD {
            break;
        }
    }
    Some(Fuzzed {
        seed,
        calls,
        coverage: coverage(&flow, &walked),
        failures,
        doubtful,
    })
}

/// Words that stand between quotation marks in the flow's conditions: what services and customers say to be told apart.
fn dictionary(flow: &Flow) -> Vec<String> {
    let mut words = BTreeSet::new();
    for state in &flow.states {
        if let Verb::Decide { cases, .. } = &state.verb {
            for (condition, _) in cases {
                words.extend(
                    condition
                        .source()
                        .split('\'')
                        .skip(1)
                        .step_by(2)
                        .map(str::to_owned),
                );
            }
        }
    }
    words.into_iter().collect()
}

/// Chances that a seed repeats (splitmix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides.max(1)
    }

    fn pick<'t, T>(&mut self, of: &'t [T]) -> Option<&'t T> {
        of.get(self.throw(of.len() as u64) as usize)
    }
}

struct Caller<'f> {
    flows: &'f Flows,
    world: World,
    words: &'f [String],
    /// A service has said something that nobody promised.
    made_up: bool,
}

impl<'f> Caller<'f> {
    fn new(flows: &'f Flows, name: &str, words: &'f [String], dice: &mut Dice) -> Option<Self> {
        let ani = ["+8613800138000", "+8613900139000", "anonymous", ""];
        let customer = match dice.throw(3) {
            0 => None,
            1 => Some(BTreeMap::new()),
            _ => Some(customer(dice)),
        };
        let facts = Facts {
            ani: (*dice.pick(&ani)?).to_owned(),
            dnis: "1000".to_owned(),
            lang: None,
            customer,
        };
        // Any hour of a week, so that calendars are open and closed.
        let at = Time::from_secs(1_790_000_000 + dice.throw(7 * 24) * 3_600);
        let test = Test {
            name: String::new(),
            flow: name.to_owned(),
            at,
            facts,
            steps: Vec::new(),
        };
        Some(Caller {
            flows,
            world: World::new(flows, &test)?,
            words,
            made_up: false,
        })
    }

    fn go(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.world.handle(Input::Start);
        for _ in 0..dice.throw(MAX_DOINGS) {
            if self.over() {
                return Ok(());
            }
            self.does(dice)?;
        }
        for _ in 0..MAX_SILENCES {
            if self.over() {
                return Ok(());
            }
            if self.world.is_away() {
                self.world.give_back("full");
            } else {
                self.world.wait(Duration::from_secs(30))?;
            }
        }
        Err(format!(
            "a silent caller is held for ever, in `{}`",
            self.world.place().1
        ))
    }

    fn over(&self) -> bool {
        matches!(self.world.exit(), Some(Exit::Hangup { .. }))
    }

    fn does(&mut self, dice: &mut Dice) -> Result<(), String> {
        if self.world.is_away() {
            let word = dice
                .pick(&Word::ALL)
                .map_or("full", |word| &word.key()["on_".len()..]);
            self.world.give_back(word);
            return Ok(());
        }
        if let Some(request) = self.world.request() {
            let answer = self.answer(&request, dice);
            return self
                .world
                .answer(answer, Duration::from_millis(dice.throw(4_000)));
        }
        match dice.throw(10) {
            0..=5 => {
                let key = self.key(dice);
                self.world.press(key)
            }
            6 => self.world.wait(Duration::from_millis(dice.throw(10_000))),
            7 => self.world.wait(Duration::from_millis(2_000)),
            8 => {
                let record = customer(dice);
                self.world.handle(Input::Customer(record));
                Ok(())
            }
            _ => self.world.wait(Duration::from_millis(dice.throw(500))),
        }
    }

    /// A key that means something where the call is, as a rule.
    fn key(&self, dice: &mut Dice) -> char {
        const ALL: [char; 12] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#'];
        let (flow, state) = self.world.place();
        let verb = self.flows.shared(flow).and_then(|flow| {
            let state = flow.states.iter().position(|known| &*known.name == state)?;
            Some(match &flow.states[state].verb {
                Verb::Menu { keys, .. } => keys.keys().copied().collect(),
                Verb::Confirm { yes, no, .. } => vec![yes.0, no.0],
                Verb::Collect { collect, .. } => collect.terminator.into_iter().collect(),
                _ => flow
                    .keys
                    .iter()
                    .filter(|(_, command)| matches!(command, Command::Go(_)))
                    .map(|(key, _)| *key)
                    .collect(),
            })
        });
        let meant = verb.unwrap_or_default();
        let key = if dice.throw(4) > 0 {
            dice.pick(&meant)
        } else {
            None
        };
        key.or_else(|| dice.pick(&ALL)).copied().unwrap_or('#')
    }

    fn answer(&mut self, request: &Request, dice: &mut Dice) -> Answer {
        let status = |status| Answer::Reply {
            status,
            body: Value::Nothing,
        };
        if let Request::Pin { .. } = request {
            return dice
                .pick(&[200, 200, 401, 404, 423])
                .map_or(Answer::Failed, |code| status(*code));
        }
        match dice.throw(8) {
            0 => status(404),
            1 => Answer::Failed,
            2 => Answer::TimedOut,
            3 => status(503),
            _ => {
                self.made_up = true;
                Answer::Reply {
                    status: 200,
                    body: self.body(dice),
                }
            }
        }
    }

    /// An answer that has what the flow wants of it.
    fn body(&self, dice: &mut Dice) -> Value {
        let (flow, state) = self.world.place();
        let mut body = Value::Record(BTreeMap::new());
        let Some(flow) = self.flows.shared(flow) else {
            return body;
        };
        let here = flow.states.iter().find(|known| &*known.name == state);
        if let Some(Verb::LookUp(look_up)) = here.map(|state| &state.verb) {
            for Wanted { path, .. } in &look_up.results {
                let value = match dice.throw(4) {
                    0 => Value::Number(dice.throw(100) as f64),
                    1 => Value::Text(dice.throw(100_000).to_string()),
                    _ => dice
                        .pick(self.words)
                        .map_or(Value::Number(7.0), |word| Value::Text(word.clone())),
                };
                put(&mut body, path, value);
            }
        }
        body
    }
}

fn put(body: &mut Value, path: &[Box<str>], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *body = value;
        return;
    };
    if let Ok(0) = first.parse::<usize>() {
        if !matches!(body, Value::List(_)) {
            *body = Value::List(vec![Value::Nothing]);
        }
        if let Value::List(items) = body {
            put(&mut items[0], rest, value);
        }
        return;
    }
    if !matches!(body, Value::Record(_)) {
        *body = Value::Record(BTreeMap::new());
    }
    if let Value::Record(fields) = body {
        put(
            fields.entry(first.to_string()).or_insert(Value::Nothing),
            rest,
            value,
        );
    }
}

fn customer(dice: &mut Dice) -> BTreeMap<String, Value> {
    let class = dice.pick(&["A", "B", "C", ""]).copied().unwrap_or_default();
    let language = dice
        .pick(&["zh-CN", "en", "fr", ""])
        .copied()
        .unwrap_or_default();
    let fields = [
        ("id", "C1"),
        ("name", "Li Wei"),
        ("class", class),
        ("language", language),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), Value::Text(value.to_owned())));
    BTreeMap::from(fields)
}
