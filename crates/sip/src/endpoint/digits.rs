//! Keys by INFO, from and to far ends that have none in RTP (RFC 2976; RFC 6086 section 3 calls this the legacy usage).
//!
//! Theirs are answered by what their body is worth; ours go one at a time, as a second request may overtake a first one that is lost.

use std::collections::VecDeque;

use clock::Time;

use super::Endpoint;
use super::keys::Key;
use super::layer::Purpose;
use super::leg::{NO_RESPONSE, State, in_dialog};
use crate::api::{Event, LegId};
use crate::info::{self, Fault};
use crate::message::{HeaderName, Message, Method};

/// Keys that may wait for the answer to the one before: more than anybody types ahead.
const WAITING_MAX: usize = 64;

/// Keys of ours that wait for the answer to the INFO before.
pub type Waiting = VecDeque<info::Key>;

impl Endpoint {
    /// Whether a leg's far end takes keys by INFO, as far as it has said; one that says nothing of methods may.
    pub fn takes_info(&self, leg: LegId) -> bool {
        let leg = self.inner_leg(leg);
        self.legs.get(&leg).is_some_and(|leg| leg.able.info)
    }

    /// An INFO in a dialog.
    pub(super) fn informed(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        // Packages are agreed on by Recv-Info, and we take none (RFC 6086 section 4.2.2).
        if message.header_named("Info-Package").is_some() {
            self.layer.respond(now, key, 469, None, None, |builder, _| {
                builder.raw_header("Recv-Info", "nil")
            });
            return;
        }
        let body = message.body();
        if body.is_empty() && message.header(HeaderName::ContentType).is_none() {
            // A sign of life.
            return self.layer.answer(now, key, 200, None);
        }
        let content_type = message.header(HeaderName::ContentType).unwrap_or_default();
        match info::read(content_type, &body) {
            Ok(pressed) => {
                self.layer.answer(now, key, 200, None);
                let up = |leg: &super::Leg| matches!(leg.state, State::Up);
                if let Some(pressed) = pressed
                    && self.legs.get(&id).is_some_and(|leg| up(leg))
                {
                    self.layer.emit(Event::Digit { leg: id, pressed });
                }
            }
            Err(Fault::Type) => {
                self.layer.count("info_type");
                self.layer.respond(now, key, 415, None, None, |builder, _| {
                    builder.header(HeaderName::Accept, info::ACCEPT)
                });
            }
            Err(Fault::Body) => {
                self.layer.count("info_body");
                self.layer.answer(now, key, 400, None);
            }
        }
    }

    /// [`crate::Command::Digits`].
    pub(super) fn send_digits(&mut self, now: Time, id: LegId, pressed: &[info::Key]) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if !matches!(leg.state, State::Up) || pressed.is_empty() {
            return;
        }
        let idle = leg.digits.is_none();
        let waiting = leg.digits.get_or_insert_default();
        let room = WAITING_MAX.saturating_sub(waiting.len());
        waiting.extend(pressed.iter().take(room));
        if pressed.len() > room {
            self.layer.count("digits_full");
        }
        if idle {
            self.next_digit(now, id);
        }
    }

    /// The next key, if there is one.
    fn next_digit(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let next = leg.digits.as_mut().and_then(|waiting| waiting.pop_front());
        let Some(next) = next.filter(|_| matches!(leg.state, State::Up)) else {
            leg.digits = None;
            return;
        };
        let cseq = leg.dialog.next_cseq();
        let (branch, builder) = in_dialog(&mut self.layer, &leg.dialog, &Method::Info, cseq);
        let body = info::write(&next);
        let bytes = builder.body(info::RELAY, body.as_bytes()).finish();
        let (peer, purpose) = (leg.dialog.peer, Purpose::Info(id));
        self.layer
            .request(now, peer, &branch, &Method::Info, bytes, purpose);
    }

    pub(super) fn info_response(&mut self, now: Time, id: LegId, message: &Message) {
        match message.status().unwrap_or_default() {
            ..200 => {}
            200..300 => self.next_digit(now, id),
            481 => self.dialog_died(now, id, None),
            408 => self.dialog_died(now, id, Some(NO_RESPONSE)),
            _ => {
                // Who takes no keys at all takes none of those behind either.
                self.layer.count("info_refused");
                if let Some(leg) = self.legs.get_mut(&id) {
                    leg.digits = None;
                }
            }
        }
    }
}
