//! Listening to the caller: menus, collected digits, confirmations; barge-in, keys typed ahead, time-outs and retries.

use std::mem;
use std::sync::Arc;

use clock::Time;
use minijinja::value::Value as Jinja;

use super::{Go, MASK, MAX_AHEAD, MAX_BACK, PLAY_LOST, Session, Then, Wait};
use crate::api::Output;
use crate::check::hears;
use crate::flow::{Branch, Collect, Command, StateId, Verb};

/// Why a state speaks again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    First,
    Silence,
    WrongKey,
    WrongPin,
}

impl Session {
    /// Enters a state that listens.
    pub(super) fn listen(&mut self, now: Time, id: StateId) -> Go {
        if self.here.back.last() != Some(&id) {
            if self.here.back.len() == MAX_BACK {
                self.here.back.remove(0);
            }
            self.here.back.push(id);
        }
        self.failures = 0;
        self.ask(now, Why::First)
    }

    /// Says the state's prompt, unless keys are typed ahead, and waits for keys.
    pub(super) fn ask(&mut self, now: Time, why: Why) -> Go {
        let flow = self.here.flow.clone();
        let Some((speech, asking)) = flow.states[self.here.state].verb.asking() else {
            return Go::Fault;
        };
        if why == Why::First && speech.barge_in && !self.ahead.is_empty() {
            return self.take_ahead(now);
        }
        let before: &[_] = match why {
            Why::First => &[],
            Why::Silence => &asking.no_input,
            Why::WrongKey => &asking.wrong_key,
            Why::WrongPin => match &flow.states[self.here.state].verb {
                Verb::Authenticate { authenticate, .. } => &authenticate.wrong,
                _ => &[],
            },
        };
        let Some(play) = self.play(
            &[before, &speech.items],
            speech.every_language,
            speech.barge_in,
        ) else {
            return Go::Fault;
        };
        self.wait = Wait::Keys {
            playing: Some(play),
            until: now + PLAY_LOST,
            digits: String::new(),
        };
        Go::Stay
    }

    /// The prompt is over: keys typed during it count now, and the time for the first key begins.
    pub(super) fn prompt_ended(&mut self, now: Time) -> Go {
        self.take_ahead(now)
    }

    fn take_ahead(&mut self, now: Time) -> Go {
        let first_digit = self
            .state()
            .verb
            .asking()
            .map(|(_, asking)| asking.first_digit)
            .unwrap_or_default();
        self.wait = Wait::Keys {
            playing: None,
            until: now + first_digit,
            digits: String::new(),
        };
        while let Some(digit) = self.ahead.pop_front() {
            let go = self.key(now, digit);
            // A key may lead away, or to the prompt again; either way this listening is over.
            if !matches!(go, Go::Stay) || !matches!(self.wait, Wait::Keys { playing: None, .. }) {
                return go;
            }
        }
        Go::Stay
    }

    /// A key of the caller, in whatever the session is doing.
    pub(super) fn digit(&mut self, now: Time, digit: char) {
        let go = match &mut self.wait {
            Wait::Saying {
                then: Then::Next { to, barge_in: true },
                ..
            } => {
                let to = *to;
                self.keep(digit);
                self.outputs.push_back(Output::StopPlay);
                self.follow(Branch::Next, Some(to))
            }
            Wait::Keys {
                playing: playing @ Some(_),
                ..
            } => {
                let flow = self.here.flow.clone();
                let barge_in = flow.states[self.here.state]
                    .verb
                    .asking()
                    .is_some_and(|(speech, _)| speech.barge_in);
                if !barge_in {
                    self.keep(digit);
                    return;
                }
                *playing = None;
                self.outputs.push_back(Output::StopPlay);
                self.key(now, digit)
            }
            Wait::Keys { playing: None, .. } => self.key(now, digit),
            Wait::Start
            | Wait::Customer { .. }
            | Wait::LookUp { .. }
            | Wait::Saying {
                then: Then::Next { .. } | Then::Go { .. },
                ..
            } => {
                self.keep(digit);
                return;
            }
            Wait::Saying {
                then: Then::Hangup, ..
            }
            | Wait::Away
            | Wait::Over => return,
        };
        self.run(now, go);
    }

    fn keep(&mut self, digit: char) {
        if self.ahead.len() < MAX_AHEAD {
            self.ahead.push_back(digit);
        }
    }

    /// A key that counts in the state that listens.
    fn key(&mut self, now: Time, digit: char) -> Go {
        // The caller did something: whatever follows is no endless loop of the flow's own.
        self.transitions = 0;
        let flow = self.here.flow.clone();
        let verb = &flow.states[self.here.state].verb;
        if let Some(command) = flow.keys.get(&digit).filter(|_| hears(verb, digit)) {
            return self.command(now, digit, *command);
        }
        match verb {
            Verb::Menu { keys, .. } => match keys.get(&digit) {
                Some(command) => self.command(now, digit, *command),
                None => self.failed(now, Why::WrongKey),
            },
            Verb::Confirm { yes, no, .. } => {
                match [yes, no].into_iter().find(|(key, _)| *key == digit) {
                    Some((_, to)) => self.command(now, digit, Command::Go(*to)),
                    None => self.failed(now, Why::WrongKey),
                }
            }
            Verb::Collect { collect, next, .. } => {
                self.collect_key(now, digit, collect, Some(*next))
            }
            Verb::Authenticate { authenticate, .. } => {
                self.collect_key(now, digit, &authenticate.collect, None)
            }
            _ => Go::Fault,
        }
    }

    fn command(&mut self, now: Time, digit: char, command: Command) -> Go {
        match command {
            Command::Go(to) => {
                self.keyed = Some(digit.to_string());
                self.follow(Branch::Key(digit), Some(to))
            }
            Command::Repeat => self.ask(now, Why::First),
            Command::Back => {
                self.here.back.pop();
                match self.here.back.pop() {
                    Some(to) => {
                        self.keyed = Some(digit.to_string());
                        Go::To(to)
                    }
                    None => {
                        self.here.back.push(self.here.state);
                        self.ask(now, Why::First)
                    }
                }
            }
        }
    }

    /// A digit of a number; without `next` it is a PIN's.
    fn collect_key(
        &mut self,
        now: Time,
        digit: char,
        collect: &Collect,
        next: Option<StateId>,
    ) -> Go {
        let Wait::Keys { digits, until, .. } = &mut self.wait else {
            return Go::Fault;
        };
        if collect.terminator == Some(digit) {
            return match digits.len() >= collect.min {
                true => self.collected(now, collect, next),
                false => self.failed(now, Why::WrongKey),
            };
        }
        if !collect.takes(digit) {
            return self.failed(now, Why::WrongKey);
        }
        digits.push(if digit == '*' { 'X' } else { digit });
        *until = now + collect.inter_digit;
        match digits.len() >= collect.max {
            true => self.collected(now, collect, next),
            false => Go::Stay,
        }
    }

    fn collected(&mut self, now: Time, collect: &Collect, next: Option<StateId>) -> Go {
        let Wait::Keys { digits, .. } = &mut self.wait else {
            return Go::Fault;
        };
        let digits = mem::take(digits);
        if !collect.is_sound(&digits) {
            return self.failed(now, Why::WrongKey);
        }
        let Some(next) = next else {
            return self.ask_pin(now, digits);
        };
        let locals = &mut Arc::make_mut(&mut self.scope).locals;
        locals.insert(collect.variable.clone(), Jinja::from(digits.as_str()));
        self.keyed = Some(if collect.secret {
            MASK.to_owned()
        } else {
            digits
        });
        self.follow(Branch::Next, Some(next))
    }

    /// No key came in time.
    pub(super) fn silence(&mut self, now: Time) -> Go {
        let flow = self.here.flow.clone();
        let Wait::Keys { digits, .. } = &self.wait else {
            return Go::Fault;
        };
        let keyed = digits.len();
        match &flow.states[self.here.state].verb {
            Verb::Collect { collect, next, .. } if keyed >= collect.min => {
                self.collected(now, collect, Some(*next))
            }
            Verb::Authenticate { authenticate, .. } if keyed >= authenticate.collect.min => {
                self.collected(now, &authenticate.collect, None)
            }
            _ if keyed > 0 => self.failed(now, Why::WrongKey),
            _ => self.failed(now, Why::Silence),
        }
    }

    /// One attempt failed: ask again, or take the path for used-up retries. Keys typed ahead were meant for something else.
    fn failed(&mut self, now: Time, why: Why) -> Go {
        self.ahead.clear();
        let flow = self.here.flow.clone();
        let Some((_, asking)) = flow.states[self.here.state].verb.asking() else {
            return Go::Fault;
        };
        if self.failures >= asking.retries {
            return self.follow(Branch::Unanswered, asking.on_retries);
        }
        self.failures += 1;
        self.ask(now, why)
    }
}
