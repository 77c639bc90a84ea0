//! Proving who one is, and messages that go out.

use std::time::Duration;

use clock::Time;

use super::ask::Why;
use super::{Go, MASK, Session, Wait};
use crate::api::{Answer, HttpRequest, LookUpToken, Output, Pin, Request, Value};
use crate::flow::{Authenticate, Branch, HeaderText, Message, Verb};
use crate::parse::code;

/// A hash that is slow on purpose, behind others that wait for theirs.
const PATIENCE: Duration = Duration::from_secs(5);

impl Session {
    /// Asks whether the digits are the customer's PIN.
    pub(super) fn ask_pin(&mut self, now: Time, digits: String) -> Go {
        let flow = self.here.flow.clone();
        let Verb::Authenticate { authenticate, .. } = &flow.states[self.here.state].verb else {
            return Go::Fault;
        };
        let Ok(customer) = authenticate.customer.render(&self.scope) else {
            return Go::Fault;
        };
        if customer.is_empty() {
            // Nobody known is calling: there is nothing to prove.
            let (branch, to) = authenticate.path(Branch::Refused);
            return self.follow(branch, Some(to));
        }
        self.keyed = Some(MASK.to_owned());
        self.look_ups = self.look_ups.wrapping_add(1);
        let token = LookUpToken(self.look_ups);
        self.outputs.push_back(Output::LookUp {
            token,
            request: Request::Pin {
                customer,
                pin: Pin(digits),
            },
            within: PATIENCE,
        });
        self.wait = Wait::LookUp {
            token,
            until: now + PATIENCE,
            left: 0,
            playing: None,
        };
        Go::Stay
    }

    /// What the store says of a PIN. RFC 9110 section 15.5.2 and RFC 4918 section 11.3 have the statuses.
    pub(super) fn proved(&mut self, now: Time, wanted: &Authenticate, answer: &Answer) -> Go {
        let branch = match answer {
            Answer::Reply { status: 200, .. } => Branch::Next,
            Answer::Reply { status: 401, .. } => {
                self.wrong_pins += 1;
                if self.wrong_pins < wanted.tries {
                    self.ahead.clear();
                    return self.ask(now, Why::WrongPin);
                }
                Branch::Refused
            }
            Answer::Reply { status: 404, .. } => Branch::Refused,
            Answer::Reply { status: 423, .. } => Branch::Locked,
            Answer::Reply { .. } | Answer::TimedOut | Answer::Failed => Branch::Failed,
        };
        let (branch, to) = wanted.path(branch);
        self.follow(branch, Some(to))
    }

    /// Hands a message over; whether it arrives is not this call's business.
    pub(super) fn send(&mut self, message: &Message) -> Go {
        match self.message(message) {
            Some(request) => {
                self.outputs.push_back(Output::Send(Box::new(request)));
                self.follow(Branch::Next, Some(message.next))
            }
            None => Go::Fault,
        }
    }

    fn message(&self, message: &Message) -> Option<HttpRequest> {
        let own = |language| move |(lang, _): &&(_, _)| *lang == language;
        let text = message.texts.iter().find(own(self.language));
        let (language, text) = text.or_else(|| message.texts.first())?;
        let fields = [
            ("type", message.kind.to_string()),
            ("to", message.to.render(&self.scope).ok()?),
            ("language", code(*language).to_owned()),
            ("text", text.render(&self.scope).ok()?),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), Value::Text(value)));
        let header = |(name, value): &(std::sync::Arc<str>, HeaderText)| {
            Some((name.clone(), super::look_up::header(value, &self.scope)?))
        };
        let service = &message.service;
        Some(HttpRequest {
            service: service.name.clone(),
            method: "POST",
            base: service.url.clone(),
            base_from: service.url_from.clone(),
            path: message.path.render_in_url(&self.scope).ok()?,
            headers: service.headers.iter().map(header).collect::<Option<_>>()?,
            body: Some(Value::Record(fields.into())),
            signed_by: service.signed_by.clone(),
            cache: None,
        })
    }
}
