//! One caller's way through a flow.
//!
//! A session waits in exactly one [`Wait`], each with its deadline, until it has handed its caller over. Between two waits it takes
//! at most [`MAX_TRANSITIONS`] transitions; then, and when an expression or number turns out wrong, it takes the flow's error path.

mod ask;
mod look_up;
mod prove;
mod speak;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use minijinja::value::Value as Jinja;

use crate::api::{Answer, Exit, Facts, Input, Lang, LookUpToken, Output, PlayToken, Value};
use crate::expr::{Scope, call_value, customer_value};
use crate::flow::{Branch, Flow, State, StateId, Verb, Word};
use crate::load::Flows;
use crate::parse::{code, is_key, is_telephone_number, parse_language};

/// Most states entered without waiting for anything: far more than a sensible flow has in a row.
const MAX_TRANSITIONS: u32 = 100;
/// Most keys typed ahead; further ones are dropped.
const MAX_AHEAD: usize = 32;
/// Most flows calling each other; calls in a circle are refused at load.
const MAX_DEPTH: usize = 8;
/// How often a call may take its flow's error path before the built-in apology ends it.
const MAX_FAULTS: u8 = 3;
/// How many listening states `back` remembers.
const MAX_BACK: usize = 16;
/// After this long a play counts as over, should its end never be reported.
const PLAY_LOST: Duration = Duration::from_secs(300);
/// Stands for secret keys in `ivr.step`.
const MASK: &str = "****";

/// One caller in a flow.
///
/// Feed it with `handle` and `handle_timeout`, and drain `poll_output` before the next of them.
pub struct Session {
    flows: Flows,
    here: Frame,
    /// Flows that wait for a called flow to return, outermost first.
    callers: Vec<Frame>,
    scope: Arc<Scope>,
    facts: Facts,
    language: Lang,
    wait: Wait,
    outputs: VecDeque<Output>,
    ahead: VecDeque<char>,
    /// Failed attempts in the present listening state.
    failures: u8,
    /// Wrong PINs in the present state.
    wrong_pins: u8,
    faults: u8,
    transitions: u32,
    plays: u32,
    look_ups: u32,
    goal: bool,
    /// What the caller keyed on the way to the next state, masked where it is secret.
    keyed: Option<String>,
    /// The branch taken to the next state.
    via: Option<Branch>,
    /// Branches taken, when a test wants to know.
    trace: Option<Vec<Taken>>,
}

/// A branch that was taken: flow, state, branch.
pub(crate) type Taken = (Arc<str>, StateId, Branch);

/// A place in a flow.
struct Frame {
    flow: Arc<Flow>,
    state: StateId,
    /// Listening states on the way here, for `back`.
    back: Vec<StateId>,
    /// Variables of a flow that waits for a called one.
    locals: BTreeMap<Arc<str>, Jinja>,
}

impl Frame {
    fn new(flow: Arc<Flow>) -> Self {
        Frame {
            state: flow.start,
            flow,
            back: Vec::new(),
            locals: BTreeMap::new(),
        }
    }
}

/// What a session waits for.
enum Wait {
    /// For the media path.
    Start,
    /// For the end of what is said.
    Saying {
        play: PlayToken,
        until: Time,
        then: Then,
    },
    /// For keys: first until the prompt has ended, then for the first key, then for further ones.
    Keys {
        playing: Option<PlayToken>,
        until: Time,
        digits: String,
    },
    /// For the customer look-up.
    Customer { until: Time },
    /// For what a service says.
    LookUp {
        token: LookUpToken,
        until: Time,
        /// Further tries.
        left: u8,
        playing: Playing,
    },
    /// For nothing: the caller was handed over and may come back.
    Away,
    /// For nothing, ever.
    Over,
}

/// A play under way, and when it counts as over.
type Playing = Option<(PlayToken, Time)>;

/// What follows the end of a play.
#[derive(Clone, Copy)]
enum Then {
    /// On, by a branch that is taken already.
    Go {
        to: StateId,
    },
    Next {
        to: StateId,
        barge_in: bool,
    },
    Hangup,
}

/// Where to go on.
enum Go {
    /// Enter a state.
    To(StateId),
    /// The built-in goodbye.
    Goodbye,
    /// The error path.
    Fault,
    /// Nowhere: wait.
    Stay,
}

impl Session {
    /// A session at the beginning of a flow; `None` when there is no such flow. It begins with [`Input::Start`].
    pub fn new(flows: &Flows, flow: &str, facts: Facts) -> Option<Session> {
        let flow = flows.shared(flow)?;
        let scope = Scope {
            call: call_value(&facts.ani, &facts.dnis),
            customer: customer_value(facts.customer.as_ref()),
            language: code(flow.languages[0]),
            language_known: false,
            locals: first_values(&flow),
        };
        Some(Session {
            flows: flows.clone(),
            language: flow.languages[0],
            here: Frame::new(flow),
            callers: Vec::new(),
            scope: Arc::new(scope),
            facts,
            wait: Wait::Start,
            outputs: VecDeque::new(),
            ahead: VecDeque::new(),
            failures: 0,
            wrong_pins: 0,
            faults: 0,
            transitions: 0,
            plays: 0,
            look_ups: 0,
            goal: false,
            keyed: None,
            via: None,
            trace: None,
        })
    }

    /// Takes one input. What no state waits for is ignored, keys apart: those are kept for the next state that listens.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.transitions = 0;
        match input {
            Input::Start => self.start(now),
            Input::Digit(digit) if is_key(digit) => self.digit(now, digit),
            Input::Digit(_) => {}
            Input::Played(play) => self.played(now, play),
            Input::Customer(record) => self.customer(now, record),
            Input::LookedUp { token, answer } => self.looked_up(now, token, &answer),
            Input::Returned(word) => self.returned(now, &word),
            Input::Hangup => {
                self.wait = Wait::Over;
                self.ahead.clear();
            }
        }
    }

    /// Takes what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        self.transitions = 0;
        if self.poll_timeout().is_none_or(|(due, _)| now < due) {
            return;
        }
        match &self.wait {
            Wait::Saying { play, .. }
            | Wait::Keys {
                playing: Some(play),
                ..
            } => {
                let play = *play;
                self.outputs.push_back(Output::StopPlay);
                self.played(now, play);
            }
            Wait::Keys { playing: None, .. } => {
                let go = self.silence(now);
                self.run(now, go);
            }
            Wait::Customer { .. } => {
                let go = self.decide_now();
                self.run(now, go);
            }
            Wait::LookUp { token, .. } => {
                let token = *token;
                self.looked_up(now, token, &Answer::TimedOut);
            }
            Wait::Start | Wait::Away | Wait::Over => {}
        }
    }

    /// The next thing that the session wants done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `handle_timeout` is due, and why.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        match &self.wait {
            Wait::Saying { until, .. }
            | Wait::Keys {
                playing: Some(_),
                until,
                ..
            } => Some((*until, "end of a prompt")),
            Wait::Keys { digits, until, .. } if digits.is_empty() => Some((*until, "first key")),
            Wait::Keys { until, .. } => Some((*until, "next key")),
            Wait::Customer { until } => Some((*until, "customer look-up")),
            Wait::LookUp { until, .. } => Some((*until, "look-up")),
            Wait::Start | Wait::Away | Wait::Over => None,
        }
    }

    /// Whether the caller has got what the flow marks as a goal, for calls that the caller ends.
    pub fn goal(&self) -> bool {
        self.goal
    }

    /// The language spoken now.
    pub fn language(&self) -> Lang {
        self.language
    }

    /// Flow and state it is in.
    pub fn place(&self) -> (&str, &str) {
        (&self.here.flow.name, &self.state().name)
    }

    /// How often an expression failed, a number could not be dialled, or too many states were entered at once.
    pub fn faults(&self) -> u8 {
        self.faults
    }

    pub(crate) fn record_branches(&mut self) {
        self.trace = Some(Vec::new());
    }

    pub(crate) fn take_branches(&mut self) -> Vec<Taken> {
        self.trace.as_mut().map(mem::take).unwrap_or_default()
    }

    fn state(&self) -> &State {
        &self.here.flow.states[self.here.state]
    }

    fn start(&mut self, now: Time) {
        if !matches!(self.wait, Wait::Start) {
            return;
        }
        match self
            .facts
            .lang
            .filter(|language| self.here.flow.languages.contains(language))
        {
            Some(language) => self.speak_from_now(language, true),
            None => self.speak_from_now(self.language, false),
        }
        self.customer_language();
        self.run(now, Go::To(self.here.flow.start));
    }

    /// The caller's language from here on; `known` when it is the caller's and not only the flow's first.
    fn speak_from_now(&mut self, language: Lang, known: bool) {
        self.language = language;
        let scope = Arc::make_mut(&mut self.scope);
        scope.language = code(language);
        scope.language_known |= known;
        self.outputs.push_back(Output::Language(language));
    }

    /// The record's language counts until the call or the caller has said otherwise.
    fn customer_language(&mut self) {
        if self.scope.language_known {
            return;
        }
        let record = self
            .facts
            .customer
            .as_ref()
            .and_then(|record| record.get("language"));
        let Some(Value::Text(text)) = record else {
            return;
        };
        if let Some(language) =
            parse_language(text).filter(|language| self.here.flow.languages.contains(language))
        {
            self.speak_from_now(language, true);
        }
    }

    fn customer(&mut self, now: Time, record: BTreeMap<String, Value>) {
        Arc::make_mut(&mut self.scope).customer = customer_value(Some(&record));
        self.facts.customer = Some(record);
        match self.wait {
            Wait::Start | Wait::Away | Wait::Over => {}
            Wait::Customer { .. } => {
                self.customer_language();
                let go = self.decide_now();
                self.run(now, go);
            }
            Wait::Saying { .. } | Wait::Keys { .. } | Wait::LookUp { .. } => {
                self.customer_language()
            }
        }
    }

    fn returned(&mut self, now: Time, word: &str) {
        if !matches!(self.wait, Wait::Away) {
            return;
        }
        let flow = self.here.flow.clone();
        let go = match &flow.states[self.here.state].verb {
            Verb::Queue { returned, .. } | Verb::Transfer { returned, .. } => {
                let (branch, to) = returned.branch(Word::parse(word), &flow.defaults);
                self.follow(branch, to)
            }
            _ => Go::Fault,
        };
        self.run(now, go);
    }

    /// Notes a branch as taken.
    fn follow(&mut self, branch: Branch, to: Option<StateId>) -> Go {
        if let Some(trace) = &mut self.trace {
            trace.push((self.here.flow.name.clone(), self.here.state, branch));
        }
        self.via = Some(branch);
        to.map_or(Go::Goodbye, Go::To)
    }

    /// Enters states until one waits.
    fn run(&mut self, now: Time, mut go: Go) {
        loop {
            go = match go {
                Go::Stay => return,
                Go::Goodbye => {
                    let flow = self.here.flow.clone();
                    self.hang_up_after(now, &flow.defaults.goodbye)
                }
                Go::Fault => self.fault(now),
                Go::To(_) if self.transitions >= MAX_TRANSITIONS => {
                    self.transitions = 0;
                    Go::Fault
                }
                Go::To(state) => {
                    self.transitions += 1;
                    self.enter(now, state)
                }
            };
        }
    }

    fn fault(&mut self, now: Time) -> Go {
        self.ahead.clear();
        self.via = None;
        self.faults += 1;
        let flow = self.here.flow.clone();
        match flow.defaults.on_error {
            Some(state) if self.faults < MAX_FAULTS => Go::To(state),
            Some(_) | None => self.hang_up_after(now, &flow.defaults.error),
        }
    }

    fn enter(&mut self, now: Time, id: StateId) -> Go {
        let flow = self.here.flow.clone();
        let state = &flow.states[id];
        self.here.state = id;
        self.goal |= state.goal;
        self.outputs.push_back(Output::Step {
            flow: flow.name.clone(),
            state: state.name.clone(),
            verb: state.verb.name(),
            input: self.keyed.take(),
            via: self.via.take().map(|branch| branch.to_string()),
        });
        match &state.verb {
            Verb::Say { speech, next } => self.say(now, speech, *next),
            Verb::Menu { .. } | Verb::Collect { .. } | Verb::Confirm { .. } => self.listen(now, id),
            Verb::Authenticate { .. } => {
                self.wrong_pins = 0;
                self.listen(now, id)
            }
            Verb::Message(message) => self.send(message),
            Verb::Survey { flow, next } => {
                self.outputs.push_back(Output::Survey(flow.clone()));
                self.follow(Branch::Next, Some(*next))
            }
            Verb::Decide {
                wait_customer: Some(patience),
                ..
            } if self.facts.customer.is_none() && !patience.is_zero() => {
                self.wait = Wait::Customer {
                    until: now + *patience,
                };
                Go::Stay
            }
            Verb::Decide { .. } => self.decide_now(),
            Verb::Set {
                values,
                constants,
                language,
                next,
            } => {
                let Ok(computed) = self.compute(values) else {
                    return Go::Fault;
                };
                let locals = &mut Arc::make_mut(&mut self.scope).locals;
                locals.extend(constants.iter().cloned().chain(computed));
                if let Some(language) = language {
                    self.speak_from_now(*language, true);
                }
                self.follow(Branch::Next, Some(*next))
            }
            Verb::LookUp(look_up) => self.look_up(now, look_up),
            Verb::Hours {
                calendar,
                open,
                closed,
            } => match calendar.is_open(now) {
                true => self.follow(Branch::Open, Some(*open)),
                false => self.follow(Branch::Closed, Some(*closed)),
            },
            Verb::Queue {
                queue,
                skills,
                priority,
                data,
                announce,
                ..
            } => {
                let Some(announce) = self.rendered(announce) else {
                    return Go::Fault;
                };
                let Some(priority) = priority
                    .value(&self.scope)
                    .ok()
                    .and_then(|value| as_priority(&value))
                else {
                    return Go::Fault;
                };
                let data = data
                    .iter()
                    .map(|(name, text)| Ok((name.clone(), text.render(&self.scope)?)));
                let Ok(data) = data.collect::<Result<_, minijinja::Error>>() else {
                    return Go::Fault;
                };
                self.hand_over(Exit::Queue {
                    queue: queue.clone(),
                    skills: skills.clone(),
                    priority,
                    data,
                    announce,
                })
            }
            Verb::Transfer { to, .. } => match to.render(&self.scope) {
                Ok(to) if self.may_transfer(&to) => self.hand_over(Exit::Transfer { to }),
                Ok(_) | Err(_) => Go::Fault,
            },
            Verb::Call { flow, with, .. } => self.call(&flow.clone(), with),
            Verb::Return { results } => self.return_to_caller(now, results),
            Verb::Hangup {
                speech: Some(speech),
            } => self.hang_up_with(now, speech),
            Verb::Hangup { speech: None } => self.hang_up(),
        }
    }

    fn compute(
        &self,
        values: &[(Arc<str>, crate::expr::Text)],
    ) -> Result<Vec<(Arc<str>, Jinja)>, minijinja::Error> {
        values
            .iter()
            .map(|(name, text)| Ok((name.clone(), text.value(&self.scope)?)))
            .collect()
    }

    fn decide_now(&mut self) -> Go {
        let flow = self.here.flow.clone();
        let Verb::Decide {
            cases, otherwise, ..
        } = &flow.states[self.here.state].verb
        else {
            return Go::Fault;
        };
        for (number, (condition, target)) in cases.iter().enumerate() {
            match condition.truth(&self.scope) {
                Ok(true) => return self.follow(Branch::Case(number), Some(*target)),
                Ok(false) => {}
                Err(_) => return Go::Fault,
            }
        }
        self.follow(Branch::Otherwise, Some(*otherwise))
    }

    fn may_transfer(&self, to: &str) -> bool {
        match self.here.flow.transfers {
            crate::flow::Transfers::Internal => self.flows.is_internal(to),
            crate::flow::Transfers::External => {
                self.flows.is_internal(to) || is_telephone_number(to)
            }
        }
    }

    fn call(&mut self, name: &str, with: &[(Arc<str>, crate::expr::Text)]) -> Go {
        let (Some(flow), Ok(arguments)) = (self.flows.shared(name), self.compute(with)) else {
            return Go::Fault;
        };
        if self.callers.len() >= MAX_DEPTH {
            return Go::Fault;
        }
        let mut locals = first_values(&flow);
        locals.extend(arguments);
        let start = flow.start;
        let mut caller = mem::replace(&mut self.here, Frame::new(flow));
        caller.locals = mem::replace(&mut Arc::make_mut(&mut self.scope).locals, locals);
        self.callers.push(caller);
        Go::To(start)
    }

    fn return_to_caller(&mut self, now: Time, results: &[(Arc<str>, crate::expr::Text)]) -> Go {
        let Ok(returned) = self.compute(results) else {
            return Go::Fault;
        };
        let Some(mut caller) = self.callers.pop() else {
            if !returned.is_empty() {
                let results = returned
                    .iter()
                    .map(|(name, value)| (name.to_string(), crate::expr::from_jinja(value)));
                self.outputs.push_back(Output::Results(results.collect()));
            }
            // Nobody called this flow: the call is at its end.
            let flow = self.here.flow.clone();
            return self.hang_up_after(now, &flow.defaults.goodbye);
        };
        let mut locals = mem::take(&mut caller.locals);
        self.here = caller;
        let flow = self.here.flow.clone();
        let Verb::Call { results, next, .. } = &flow.states[self.here.state].verb else {
            return Go::Fault;
        };
        for (name, result) in results {
            if let Some((_, value)) = returned.iter().find(|(name, _)| name == result) {
                locals.insert(name.clone(), value.clone());
            }
        }
        Arc::make_mut(&mut self.scope).locals = locals;
        self.follow(Branch::Next, Some(*next))
    }

    fn hand_over(&mut self, exit: Exit) -> Go {
        self.outputs.push_back(Output::Exit(exit));
        self.ahead.clear();
        self.wait = Wait::Away;
        Go::Stay
    }

    fn hang_up(&mut self) -> Go {
        self.outputs
            .push_back(Output::Exit(Exit::Hangup { goal: self.goal }));
        self.ahead.clear();
        self.wait = Wait::Over;
        Go::Stay
    }
}

impl fmt::Debug for Session {
    /// Without what the caller keyed: it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flow, state) = self.place();
        f.debug_struct("Session")
            .field("flow", &flow)
            .field("state", &state)
            .field("timeout", &self.poll_timeout())
            .finish_non_exhaustive()
    }
}

fn first_values(flow: &Flow) -> BTreeMap<Arc<str>, Jinja> {
    flow.arguments
        .iter()
        .chain(&flow.variables)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn as_priority(value: &Jinja) -> Option<i32> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse::<i64>().ok()?,
        None => i64::try_from(value.clone()).ok()?,
    };
    i32::try_from(number).ok()
}
