//! The world of a test: a caller with a keypad, a player that needs no time, and a clock that is an integer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use super::steps::{Expect, Step};
use super::{Failure, Test, Walked};
use crate::api::{Answer, Exit, Input, LookUpToken, Output, PlayToken, Prompt, Request, Value};
use crate::load::Flows;
use crate::parse::code;
use crate::session::Session;

/// Between keys that a step presses together.
const KEY_GAP: Duration = Duration::from_millis(200);
/// How long the player takes for a prompt, a number, or digits.
const PROMPT_TIME: Duration = Duration::from_secs(2);
/// Most plays and time-outs within one step.
const MAX_EVENTS: usize = 1_000;
/// Most lines of what happened that a failure shows.
const MAX_HAPPENED: usize = 12;

/// Runs one test; `None` when it passed.
pub(super) fn call(flows: &Flows, test: &Test, walked: &mut Walked) -> Option<Failure> {
    let mut world = World::new(flows, test)?;
    world.handle(Input::Start);
    let mut failure = None;
    for (line, step) in &test.steps {
        if let Err(message) = world.step(step) {
            failure = Some(Failure {
                line: *line,
                message,
                happened: world.told(),
            });
            break;
        }
    }
    world.walked(walked);
    failure
}

struct Play {
    token: PlayToken,
    prompts: Vec<Prompt>,
    ends: Time,
    /// How many of the prompts a test has looked at.
    seen: usize,
}

pub(super) struct World {
    session: Session,
    now: Time,
    play: Option<Play>,
    /// The look-up that waits for its answer.
    asked: Option<(LookUpToken, Request)>,
    /// Messages that have been sent, and not been expected yet.
    sent: Vec<Value>,
    survey: Option<Arc<str>>,
    results: BTreeMap<String, Value>,
    exit: Option<Exit>,
    happened: Vec<String>,
    states: BTreeSet<(Arc<str>, Arc<str>)>,
}

impl World {
    pub(super) fn new(flows: &Flows, test: &Test) -> Option<World> {
        let mut session = Session::new(flows, &test.flow, test.facts.clone())?;
        session.record_branches();
        let states = Default::default();
        Some(World {
            session,
            now: test.at,
            play: None,
            asked: None,
            sent: Vec::new(),
            survey: None,
            results: BTreeMap::new(),
            exit: None,
            happened: Vec::new(),
            states,
        })
    }

    pub(super) fn walked(&mut self, walked: &mut Walked) {
        walked.branches.extend(self.session.take_branches());
        walked.states.append(&mut self.states);
    }

    /// The last of what happened.
    pub(super) fn told(&self) -> Vec<String> {
        let from = self.happened.len().saturating_sub(MAX_HAPPENED);
        self.happened[from..].to_vec()
    }

    pub(super) fn faults(&self) -> u8 {
        self.session.faults()
    }

    pub(super) fn place(&self) -> (&str, &str) {
        self.session.place()
    }

    pub(super) fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }

    /// Whether the caller is in a queue or transfer.
    pub(super) fn is_away(&self) -> bool {
        matches!(self.exit, Some(Exit::Queue { .. } | Exit::Transfer { .. }))
    }

    pub(super) fn give_back(&mut self, word: &str) {
        self.exit = None;
        self.happened.push(format!("returned {word}"));
        self.handle(Input::Returned(word.to_owned()));
    }

    /// What waits for an answer.
    pub(super) fn request(&self) -> Option<Request> {
        let waits = matches!(self.session.poll_timeout(), Some((_, "look-up")));
        let asked = self.asked.as_ref().filter(|_| waits);
        asked.map(|(_, request)| request.clone())
    }

    pub(super) fn answer(&mut self, answer: Answer, after: Duration) -> Result<(), String> {
        let Some((token, _)) = self.asked.take() else {
            return Ok(());
        };
        self.wait(after)?;
        self.happened.push("the service answered".to_owned());
        self.handle(Input::LookedUp { token, answer });
        Ok(())
    }

    pub(super) fn press(&mut self, key: char) -> Result<(), String> {
        self.happened.push(format!("pressed {key}"));
        self.handle(Input::Digit(key));
        self.wait(KEY_GAP)
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Press(keys) => keys.iter().try_for_each(|key| self.press(*key)),
            Step::Wait(time) => self.wait(*time),
            Step::Customer(record) => {
                self.handle(Input::Customer(record.clone()));
                Ok(())
            }
            Step::LookUp { answer, after } => {
                let token = self.asked()?;
                self.wait(*after)?;
                self.happened.push("the service answered".to_owned());
                self.asked.take_if(|(asked, _)| *asked == token);
                let answer = answer.clone();
                self.handle(Input::LookedUp { token, answer });
                Ok(())
            }
            Step::LookUpTimesOut => {
                let token = self.asked()?;
                self.happened
                    .push("the service did not answer in time".to_owned());
                self.asked = None;
                let answer = Answer::TimedOut;
                // Its own time-out comes at the same moment.
                if let Some((due, "look-up")) = self.session.poll_timeout() {
                    self.wait(due.since(self.now))?;
                }
                self.handle(Input::LookedUp { token, answer });
                Ok(())
            }
            Step::Return(word) => match self.exit.take() {
                Some(Exit::Queue { .. } | Exit::Transfer { .. }) => {
                    self.happened.push(format!("returned {word}"));
                    self.handle(Input::Returned(word.clone()));
                    Ok(())
                }
                Some(Exit::Hangup { .. }) | None => {
                    Err("the caller is in no queue or transfer to return from".to_owned())
                }
            },
            Step::HangUp => {
                self.play = None;
                self.handle(Input::Hangup);
                Ok(())
            }
            Step::Expect(expect) => self.expect(expect),
        }
    }

    /// The look-up that waits, if need be after what is said before it.
    fn asked(&mut self) -> Result<LookUpToken, String> {
        self.listen(|world| world.asked.is_some());
        match &self.asked {
            Some((token, _)) => Ok(*token),
            None => Err(format!(
                "no look-up waits for an answer: the call is in `{}`",
                self.session.place().1
            )),
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.session.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Play { token, prompts, .. } => {
                    self.happened.push(format!(
                        "said {}",
                        prompts.iter().map(told).collect::<Vec<_>>().join(", ")
                    ));
                    let time: Duration = prompts.iter().map(time).sum();
                    self.play = Some(Play {
                        token,
                        prompts,
                        ends: self.now + time,
                        seen: 0,
                    });
                }
                Output::StopPlay => self.play = None,
                Output::LookUp { token, request, .. } => {
                    self.happened.push(format!("looked up {}", asked(&request)));
                    self.asked = Some((token, request));
                }
                Output::Send(request) => {
                    let body = request.body.unwrap_or(Value::Nothing);
                    self.happened.push(format!(
                        "sent {} to {}: {}",
                        field(Some(&body), "type").unwrap_or_default(),
                        field(Some(&body), "to").unwrap_or_default(),
                        field(Some(&body), "text").unwrap_or_default(),
                    ));
                    self.sent.push(body);
                }
                Output::Survey(flow) => self.survey = Some(flow),
                Output::Results(results) => self.results = results,
                Output::Step {
                    flow, state, verb, ..
                } => {
                    self.happened.push(format!("entered {state} ({verb})"));
                    self.states.insert((flow, state));
                }
                Output::Language(_) => {}
                Output::Exit(exit) => {
                    self.happened.push(left(&exit));
                    self.play = None;
                    self.exit = Some(exit);
                }
            }
        }
    }

    /// The end of the present play.
    fn play_ends(&mut self) {
        if let Some(Play { token, ends, .. }) = self.play.take() {
            self.now = self.now.max(ends);
            self.handle(Input::Played(token));
        }
    }

    pub(super) fn wait(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        for _ in 0..MAX_EVENTS {
            let play_ends = self
                .play
                .as_ref()
                .map(|play| play.ends)
                .filter(|ends| *ends <= until);
            let due = self
                .session
                .poll_timeout()
                .map(|(due, _)| due)
                .filter(|due| *due <= until);
            match (play_ends, due) {
                (Some(ends), due) if due.is_none_or(|due| ends <= due) => self.play_ends(),
                (_, Some(due)) => {
                    self.now = self.now.max(due);
                    self.session.handle_timeout(self.now);
                    self.drain();
                }
                (_, None) => {
                    self.now = until;
                    return Ok(());
                }
            }
        }
        Err(format!("more than {MAX_EVENTS} things happened meanwhile"))
    }

    /// Lets prompts end, and the look-up run out of time, until `done` holds; false when the session waits for the caller.
    fn listen(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        for _ in 0..MAX_EVENTS {
            if done(self) {
                return true;
            }
            match (&self.play, self.session.poll_timeout()) {
                (Some(_), _) => self.play_ends(),
                (None, Some((due, "customer look-up"))) => {
                    self.now = self.now.max(due);
                    self.session.handle_timeout(self.now);
                    self.drain();
                }
                (None, _) => return false,
            }
        }
        false
    }

    fn expect(&mut self, expect: &Expect) -> Result<(), String> {
        match expect {
            Expect::Prompt { name, lang } => {
                let is = |prompt: &Prompt| matches!(prompt, Prompt::File { lang: l, name: n } if **n == **name && lang.is_none_or(|lang| lang == *l));
                let wanted = lang.map_or(String::new(), |lang| format!(" in {}", code(lang)));
                self.hears(is, &format!("prompt `{name}`{wanted}"))
            }
            Expect::Text(wanted) => self.hears(
                |prompt| matches!(prompt, Prompt::Text { text, .. } if text == wanted),
                &format!("text \"{wanted}\""),
            ),
            // As told: whether the day of the week is said with a date is not what a test asks.
            Expect::Spoken(wanted) => self.hears(
                |prompt| matches!(prompt, Prompt::Spoken { what, .. } if what.to_string() == *wanted),
                wanted,
            ),
            Expect::State(name) => match self.listen(|world| world.session.place().1 == name) {
                true => Ok(()),
                false => Err(format!(
                    "expected state `{name}`, but the call is in `{}`",
                    self.session.place().1
                )),
            },
            Expect::Language(lang) if self.session.language() == *lang => Ok(()),
            Expect::Language(lang) => Err(format!(
                "expected language {}, but it is {}",
                code(*lang),
                code(self.session.language())
            )),
            Expect::Goal(goal) if self.session.goal() == *goal => Ok(()),
            Expect::Goal(goal) => Err(format!(
                "expected the goal to be {goal}, but it is {}",
                self.session.goal()
            )),
            Expect::LookUp { request, body } => self.asks(request, body),
            Expect::Message { kind, fields } => self.sends(kind, fields),
            Expect::Survey(flow) => {
                self.listen(|world| world.survey.is_some());
                match self.survey.as_deref() {
                    Some(survey) if survey == flow => Ok(()),
                    survey => Err(format!("expected survey `{flow}`, but it is {survey:?}")),
                }
            }
            Expect::Result { name, value } => {
                self.listen(|world| !world.results.is_empty());
                let result = self.results.get(name).map(text);
                match result {
                    Some(result) if result == *value => Ok(()),
                    result => Err(format!(
                        "expected the result {name} to be `{value}`, but it is {result:?}"
                    )),
                }
            }
            Expect::Queue { .. } | Expect::Transfer(_) | Expect::Hangup { .. } => {
                self.leaves(expect)
            }
        }
    }

    fn hears(&mut self, is: impl Fn(&Prompt) -> bool, what: &str) -> Result<(), String> {
        let heard = self.listen(|world| {
            let Some(play) = &mut world.play else {
                return false;
            };
            match play.prompts[play.seen..].iter().position(&is) {
                Some(at) => {
                    play.seen += at + 1;
                    true
                }
                None => false,
            }
        });
        match heard {
            true => Ok(()),
            false => Err(format!(
                "expected {what}, but the call is in `{}` and says nothing more",
                self.session.place().1
            )),
        }
    }

    fn asks(&mut self, wanted: &str, fields: &BTreeMap<String, String>) -> Result<(), String> {
        self.asked()?;
        let Some((_, request)) = &self.asked else {
            return Ok(());
        };
        let is = asked(request);
        let body = match request {
            Request::Http(http) => http.body.as_ref(),
            Request::Customer { .. } | Request::History { .. } | Request::Pin { .. } => None,
        };
        let lacking = fields
            .iter()
            .find(|(name, value)| field(body, name).as_ref() != Some(*value));
        match lacking {
            _ if !wanted.is_empty() && is != wanted => {
                Err(format!("expected look-up {wanted}, but it is {is}"))
            }
            Some((name, value)) => Err(format!(
                "expected {name} to be `{value}` in the body, but it is {:?}",
                field(body, name)
            )),
            None => Ok(()),
        }
    }

    fn sends(&mut self, kind: &str, fields: &BTreeMap<String, String>) -> Result<(), String> {
        let is = |body: &Value| {
            let all = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            all.chain([("type", kind)])
                .all(|(name, value)| field(Some(body), name).as_deref() == Some(value))
        };
        self.listen(|world| world.sent.iter().any(is));
        match self.sent.iter().position(is) {
            Some(at) => {
                self.sent.remove(at);
                Ok(())
            }
            None => Err(format!(
                "expected a message {kind} with {fields:?}, but the call is in `{}` and there are {:?}",
                self.session.place().1,
                self.sent
            )),
        }
    }

    fn leaves(&mut self, expect: &Expect) -> Result<(), String> {
        self.listen(|world| world.exit.is_some());
        let Some(exit) = &self.exit else {
            return Err(format!(
                "expected {}, but the call waits in `{}`",
                wanted(expect),
                self.session.place().1
            ));
        };
        let met = match (expect, exit) {
            (
                Expect::Queue {
                    queue,
                    priority,
                    skills,
                    data,
                },
                Exit::Queue {
                    queue: to,
                    priority: credit,
                    skills: levels,
                    data: texts,
                    announce: _,
                },
            ) => {
                **queue == **to
                    && priority.is_none_or(|priority| priority == *credit)
                    && skills
                        .iter()
                        .all(|(name, level)| levels.get(name) == Some(level))
                    && data
                        .iter()
                        .all(|(name, text)| texts.get(name) == Some(text))
            }
            (Expect::Transfer(number), Exit::Transfer { to }) => number == to,
            (Expect::Hangup { goal: wanted }, Exit::Hangup { goal }) => {
                wanted.is_none_or(|wanted| wanted == *goal)
            }
            _ => false,
        };
        if met {
            Ok(())
        } else {
            Err(format!(
                "expected {}, but the call {}",
                wanted(expect),
                left(exit)
            ))
        }
    }
}

/// A request in a line.
fn asked(request: &Request) -> String {
    match request {
        Request::Http(http) => format!("{} {}", http.method, http.path),
        Request::Customer { number } => format!("customer {number}"),
        Request::History { number } => format!("history {number}"),
        Request::Pin { customer, .. } => format!("pin {customer}"),
    }
}

/// A field of a body as text; `a.b` is a field of a field.
fn field(body: Option<&Value>, name: &str) -> Option<String> {
    let mut place = body?;
    for part in name.split('.') {
        place = match place {
            Value::Record(fields) => fields.get(part)?,
            _ => return None,
        };
    }
    Some(text(place))
}

fn text(value: &Value) -> String {
    crate::expr::to_jinja(value).to_string()
}

fn wanted(expect: &Expect) -> String {
    match expect {
        Expect::Queue {
            queue,
            priority,
            skills,
            data,
        } => {
            let mut text = format!("queue `{queue}`");
            priority
                .iter()
                .for_each(|priority| text.push_str(&format!(" priority {priority}")));
            skills
                .iter()
                .for_each(|(name, level)| text.push_str(&format!(" skill {name} {level}")));
            data.iter()
                .for_each(|(name, value)| text.push_str(&format!(" data {name} \"{value}\"")));
            text
        }
        Expect::Transfer(to) => format!("a transfer to {to}"),
        Expect::Hangup { goal: None } => "a hang-up".to_owned(),
        Expect::Hangup { goal: Some(goal) } => format!("a hang-up with goal {goal}"),
        other => format!("{other:?}"),
    }
}

fn left(exit: &Exit) -> String {
    match exit {
        Exit::Queue {
            queue,
            priority,
            skills,
            data,
            announce: _,
        } => {
            let mut text = format!("went to queue `{queue}` priority {priority}");
            skills
                .iter()
                .for_each(|(name, level)| text.push_str(&format!(" skill {name} {level}")));
            data.iter()
                .for_each(|(name, value)| text.push_str(&format!(" data {name} \"{value}\"")));
            text
        }
        Exit::Transfer { to } => format!("was transferred to {to}"),
        Exit::Hangup { goal } => format!("hung up with goal {goal}"),
    }
}

fn told(prompt: &Prompt) -> String {
    match prompt {
        Prompt::File { lang, name } => format!("{name} ({})", code(*lang)),
        Prompt::Spoken { what, .. } => what.to_string(),
        Prompt::Text { text, .. } => format!("text \"{text}\""),
        Prompt::Silence { ms } => format!("silence {ms} ms"),
        Prompt::Agent { .. } => "the agent's number".to_owned(),
    }
}

fn time(prompt: &Prompt) -> Duration {
    match prompt {
        Prompt::File { .. }
        | Prompt::Spoken { .. }
        | Prompt::Text { .. }
        | Prompt::Agent { .. } => PROMPT_TIME,
        Prompt::Silence { ms } => Duration::from_millis(u64::from(*ms)),
    }
}
