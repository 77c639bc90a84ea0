//! Look-ups: questions that go out, tries that fail or are too late, and what is taken from the answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Time;
use minijinja::value::Value as Jinja;

use super::{Go, PLAY_LOST, Session, Then, Wait};
use crate::api::{Answer, Header, HttpRequest, LookUpToken, Output, Request, Value};
use crate::expr::{Scope, from_jinja, to_jinja};
use crate::flow::{Body, Branch, HeaderText, HttpQuestion, LookUp, Question, Verb, Wanted};

impl Session {
    /// Asks, and says meanwhile what the state has to say.
    pub(super) fn look_up(&mut self, now: Time, look_up: &LookUp) -> Go {
        let mut playing = None;
        if let Some(speech) = &look_up.speech {
            let Some(play) = self.play(&[&speech.items], speech.every_language, false) else {
                return Go::Fault;
            };
            playing = Some((play, now + PLAY_LOST));
        }
        self.try_to_look_up(now, look_up, look_up.retries, playing)
    }

    fn try_to_look_up(
        &mut self,
        now: Time,
        look_up: &LookUp,
        left: u8,
        playing: super::Playing,
    ) -> Go {
        let Some(request) = request(&look_up.question, &self.scope) else {
            return Go::Fault;
        };
        self.look_ups = self.look_ups.wrapping_add(1);
        let token = LookUpToken(self.look_ups);
        self.outputs.push_back(Output::LookUp {
            token,
            request,
            within: look_up.timeout,
        });
        self.wait = Wait::LookUp {
            token,
            until: now + look_up.timeout,
            left,
            playing,
        };
        Go::Stay
    }

    /// The answer to the present try, or that there is none.
    pub(super) fn looked_up(&mut self, now: Time, answered: LookUpToken, answer: &Answer) {
        let Wait::LookUp {
            token,
            left,
            playing,
            ..
        } = self.wait
        else {
            return;
        };
        if token != answered {
            return;
        }
        let flow = self.here.flow.clone();
        let look_up = match &flow.states[self.here.state].verb {
            Verb::LookUp(look_up) => look_up,
            Verb::Authenticate { authenticate, .. } => {
                let go = self.proved(now, authenticate, answer);
                return self.run(now, go);
            }
            _ => return self.run(now, Go::Fault),
        };
        let branch = self.take(look_up, answer);
        let again = matches!(branch, Branch::Failed | Branch::TimedOut) && worth_again(answer);
        let go = if again && left > 0 {
            self.try_to_look_up(now, look_up, left - 1, playing)
        } else {
            let (branch, to) = look_up.path(branch);
            let go = self.follow(branch, Some(to));
            match playing {
                // What is being said is said to its end.
                Some((play, until)) => {
                    self.wait = Wait::Saying {
                        play,
                        until,
                        then: Then::Go { to },
                    };
                    Go::Stay
                }
                None => go,
            }
        };
        self.run(now, go);
    }

    /// Takes the results out of an answer; all of them or none.
    fn take(&mut self, look_up: &LookUp, answer: &Answer) -> Branch {
        let body = match answer {
            Answer::Reply {
                status: 200..=299,
                body,
            } => body,
            // RFC 9110 sections 15.5.5 and 15.5.11.
            Answer::Reply {
                status: 404 | 410, ..
            } => return Branch::Missing,
            Answer::TimedOut => return Branch::TimedOut,
            Answer::Reply { .. } | Answer::Failed => return Branch::Failed,
        };
        let results: Option<Vec<(Arc<str>, Jinja)>> = look_up
            .results
            .iter()
            .map(|wanted| Some((wanted.variable.clone(), found(wanted, body)?)))
            .collect();
        let Some(results) = results else {
            return Branch::Failed;
        };
        Arc::make_mut(&mut self.scope).locals.extend(results);
        Branch::Next
    }
}

/// Another try may end otherwise: not so where the service has understood and said no.
fn worth_again(answer: &Answer) -> bool {
    match answer {
        // RFC 9110 section 15.6 and RFC 6585 section 4.
        Answer::Reply { status, .. } => *status >= 500 || *status == 429,
        Answer::TimedOut | Answer::Failed => true,
    }
}

fn found(wanted: &Wanted, body: &Value) -> Option<Jinja> {
    let mut place = Some(body);
    for part in &wanted.path {
        place = match place {
            Some(Value::Record(fields)) => fields.get(&**part),
            Some(Value::List(items)) => part.parse().ok().and_then(|at: usize| items.get(at)),
            _ => None,
        };
    }
    match place {
        Some(Value::Nothing) | None => wanted.otherwise.clone(),
        Some(value) => Some(crate::expr::bounded(to_jinja(value))),
    }
}

fn request(question: &Question, scope: &Arc<Scope>) -> Option<Request> {
    match question {
        Question::Customer(number) => Some(Request::Customer {
            number: number.render(scope).ok()?,
        }),
        Question::History(number) => Some(Request::History {
            number: number.render(scope).ok()?,
        }),
        Question::Http(question) => Some(Request::Http(Box::new(http(question, scope)?))),
    }
}

pub(super) fn header(value: &HeaderText, scope: &Arc<Scope>) -> Option<Header> {
    Some(match value {
        HeaderText::Text(text) => Header::Text(text.render(scope).ok()?),
        HeaderText::Secret { before, variable } => Header::Secret {
            before: before.clone(),
            variable: variable.clone(),
        },
    })
}

fn http(question: &HttpQuestion, scope: &Arc<Scope>) -> Option<HttpRequest> {
    let header =
        |(name, value): &(Arc<str>, HeaderText)| Some((name.clone(), self::header(value, scope)?));
    let service = &question.service;
    Some(HttpRequest {
        service: service.name.clone(),
        method: question.method,
        base: service.url.clone(),
        base_from: service.url_from.clone(),
        path: question.path.render_in_url(scope).ok()?,
        headers: question.headers.iter().map(header).collect::<Option<_>>()?,
        body: match &question.body {
            Some(fields) => Some(object(fields, scope)?),
            None => None,
        },
        signed_by: service.signed_by.clone(),
        cache: question.cache,
    })
}

pub(super) fn object(fields: &[(Arc<str>, Body)], scope: &Arc<Scope>) -> Option<Value> {
    let mut record = BTreeMap::new();
    for (name, field) in fields {
        let value = match field {
            Body::Text(text) => from_jinja(&text.value(scope).ok()?),
            Body::Constant(constant) => from_jinja(constant),
            // Four deep at most: `parse` refuses more.
            Body::Record(fields) => self::object(fields, scope)?,
        };
        record.insert(name.to_string(), value);
    }
    Some(Value::Record(record))
}
