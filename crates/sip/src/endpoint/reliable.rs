//! Provisionals that are acknowledged (RFC 3262): ours to callers that want them, and those of phones that we call.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;

use super::keys::Key;
use super::layer::{Layer, Purpose};
use super::leg::{Able, Leg, LegAlarm, Offer, State, in_dialog};
use super::requests::sdp_of;
use super::timers::TimerId;
use super::uas::establishing;
use super::{Alarm, Endpoint};
use crate::api::{self, Cause, Event, LegId, Peer};
use crate::message::{HeaderName, Message, Method};

/// The option tag.
pub const RELIABLE: &str = "100rel";

/// Responses that may wait for the PRACK of the one before: what a call goes through until it is answered.
const WAITING_MAX: usize = 4;

/// Provisionals of ours to one caller.
#[derive(Debug)]
pub struct Reliable {
    /// CSeq of their INVITE.
    invite: u32,
    /// The last RSeq that we gave.
    rseq: u32,
    /// For the minute's sign of life.
    status: u16,
    unpracked: Option<Unpracked>,
    /// Responses behind it, in order: the next may only go when it is acknowledged (section 3).
    waiting: VecDeque<Waiting>,
    /// Offer and answer are exchanged: the 2xx carries none, and either side may offer anew by UPDATE.
    pub agreed: bool,
}

/// A provisional without its PRACK.
#[derive(Debug)]
struct Unpracked {
    response: Bytes,
    peer: Peer,
    interval: Duration,
    timers: Option<(TimerId, TimerId)>,
    carries: Carries,
}

/// The description in a provisional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carries {
    Nothing,
    Answer,
    Offer,
}

#[derive(Debug)]
enum Waiting {
    Ring {
        status: u16,
        sdp: Option<Bytes>,
        headers: Vec<(String, String)>,
    },
    Answer {
        sdp: Bytes,
        headers: Vec<(String, String)>,
    },
}

impl Endpoint {
    /// Whether this caller gets its provisionals reliably.
    pub(super) fn rings_reliably(&self, caller: Able) -> bool {
        match self.layer.config.dialogs.reliable {
            api::Reliable::Supported => caller.reliable,
            api::Reliable::Required => caller.wants_reliable,
        }
    }

    /// A provisional to a caller that acknowledges it; behind one that is not acknowledged yet it waits.
    pub(super) fn ring_reliably(
        &mut self,
        now: Time,
        id: LegId,
        status: u16,
        sdp: Option<Bytes>,
        headers: &[(String, String)],
    ) {
        // The first number is random in the lower half, so that it can be counted up (section 3).
        let first = self.layer.keys.between(1, 0x3fff_ffff);
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Alerting { tx, .. } = leg.state else {
            return;
        };
        let tag = leg.dialog.local_tag.clone();
        let contact = self.layer.local.contact_in(&leg.dialog).to_string();
        let invite = leg.dialog.remote_cseq.unwrap_or_default();
        let reliable = leg.reliable.get_or_insert_with(|| {
            Box::new(Reliable {
                invite,
                rseq: first - 1,
                status,
                unpracked: None,
                waiting: VecDeque::new(),
                agreed: false,
            })
        });
        if reliable.unpracked.is_some() {
            let headers = headers.to_vec();
            return reliable.wait(Waiting::Ring {
                status,
                sdp,
                headers,
            });
        }
        (reliable.rseq, reliable.status) = (reliable.rseq + 1, status);
        let rseq = reliable.rseq;
        let sdp = sdp.filter(|_| !reliable.agreed);
        if let Some(sdp) = &sdp {
            leg.described = sdp.clone();
        }
        let mut carries = Carries::Nothing;
        let sent = self
            .layer
            .respond(now, tx, status, None, Some(&tag), |builder, request| {
                let builder = establishing(builder, request, &contact, headers)
                    .header(HeaderName::Require, RELIABLE)
                    .header(HeaderName::RSeq, rseq);
                let Some(sdp) = sdp else { return builder };
                carries = match sdp_of(request) {
                    Some(_) => Carries::Answer,
                    None => Carries::Offer,
                };
                builder.body("application/sdp", &sdp)
            });
        let Some((response, peer)) = sent else { return };
        let t1 = self.layer.config.t1;
        let (repeat, give_up) = (
            Alarm::Leg(id, LegAlarm::RepeatProvisional),
            Alarm::Leg(id, LegAlarm::NoPrack),
        );
        let timers = &mut self.layer.timers;
        let timers = (
            timers.set(now + t1, "provisional repeat", repeat),
            timers.set(now + t1 * 64, "provisional without PRACK", give_up),
        );
        if let Some(reliable) = self.reliable_of(id) {
            reliable.unpracked = Some(Unpracked {
                response,
                peer,
                interval: t1,
                timers: Some(timers),
                carries,
            });
        }
    }

    fn reliable_of(&mut self, id: LegId) -> Option<&mut Reliable> {
        self.legs.get_mut(&id)?.reliable.as_deref_mut()
    }

    /// No PRACK yet: again, after twice the time (section 3).
    pub(super) fn repeat_reliable(&mut self, now: Time, id: LegId) {
        let alarm = Alarm::Leg(id, LegAlarm::RepeatProvisional);
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let unpracked = leg
            .reliable
            .as_mut()
            .and_then(|reliable| reliable.unpracked.as_mut());
        let Some(unpracked) = unpracked else { return };
        let Some((repeat, _)) = &mut unpracked.timers else {
            return;
        };
        unpracked.interval *= 2;
        *repeat = self
            .layer
            .timers
            .set(now + unpracked.interval, "provisional repeat", alarm);
        let (peer, bytes) = (unpracked.peer, unpracked.response.clone());
        self.layer.transmit(peer, bytes, "INVITE", "1xx");
    }

    /// 64 · T1 without a PRACK: 504, and the caller is lost.
    pub(super) fn no_prack(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        let State::Alerting { tx, .. } = leg.state else {
            return;
        };
        let tag = leg.dialog.local_tag.clone();
        self.layer.count("no_prack");
        self.layer.answer(now, tx, 504, Some(&tag));
        self.gone(id, Cause::Lost);
    }

    /// A minute has passed: with reliable provisionals the sign of life is a new one. False without.
    pub(super) fn ring_on(&mut self, now: Time, id: LegId) -> bool {
        let Some(status) = self.reliable_of(id).map(|reliable| reliable.status) else {
            return false;
        };
        self.ring_reliably(now, id, status, None, &[]);
        true
    }

    /// Whether an answer may go to this caller now, and with a description; else it is kept until the PRACK (section 3).
    pub(super) fn may_answer(
        &mut self,
        id: LegId,
        sdp: &Bytes,
        headers: &[(String, String)],
    ) -> Option<bool> {
        let Some(leg) = self.legs.get_mut(&id) else {
            return Some(true);
        };
        let Some(reliable) = leg.reliable.as_deref_mut() else {
            return Some(true);
        };
        if let Some(unpracked) = &mut reliable.unpracked {
            if unpracked.carries != Carries::Nothing {
                let (sdp, headers) = (sdp.clone(), headers.to_vec());
                reliable.wait(Waiting::Answer { sdp, headers });
                return None;
            }
            // The 2xx says more. A PRACK that is on its way is still understood.
            self.layer.stop_repeating(unpracked);
        }
        reliable.waiting.clear();
        Some(!reliable.agreed)
    }

    /// PRACK: 200 to what acknowledges our provisional, 481 to what does not (section 3).
    pub(super) fn pracked(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        let named = message.header(HeaderName::RAck).and_then(rack);
        let fits = |reliable: &Reliable| {
            reliable.unpracked.is_some() && named == Some((reliable.rseq, reliable.invite))
        };
        let unpracked = self
            .reliable_of(id)
            .filter(|reliable| fits(reliable))
            .and_then(|reliable| reliable.unpracked.take());
        let Some(mut unpracked) = unpracked else {
            self.layer.count("stray_prack");
            return self.layer.answer(now, key, 481, None);
        };
        self.layer.stop_repeating(&mut unpracked);
        let sdp = sdp_of(message);
        let Some(reliable) = self.reliable_of(id) else {
            return;
        };
        reliable.agreed |= unpracked.carries == Carries::Answer
            || (unpracked.carries == Carries::Offer && sdp.is_some());
        let agreed = reliable.agreed;
        match (unpracked.carries, sdp) {
            (Carries::Offer, Some(sdp)) => {
                self.layer.answer(now, key, 200, None);
                self.layer.emit(Event::EarlyAnswer { leg: id, sdp });
            }
            (Carries::Answer | Carries::Nothing, Some(_)) if agreed => {
                return self.their_offer(now, id, key, message, false);
            }
            // An offer before ours is settled.
            (Carries::Answer | Carries::Nothing, Some(_)) => self.layer.answer(now, key, 488, None),
            (_, None) => self.layer.answer(now, key, 200, None),
        }
        self.ring_next(now, id);
    }

    /// What has waited for a PRACK, if nothing is in its way any more.
    pub(super) fn ring_next(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if !matches!(leg.offer, Offer::Idle) {
            return;
        }
        let next = leg
            .reliable
            .as_deref_mut()
            .filter(|reliable| reliable.unpracked.is_none())
            .and_then(|reliable| reliable.waiting.pop_front());
        match next {
            Some(Waiting::Ring {
                status,
                sdp,
                headers,
            }) => self.ring_reliably(now, id, status, sdp, &headers),
            Some(Waiting::Answer { sdp, headers }) => self.answer(now, id, &sdp, &headers),
            None => {}
        }
    }

    /// A provisional of a phone that we call, in the leg's present dialog: acknowledged if it is reliable. False if it is out of order, or
    /// comes again: it says nothing then (section 4).
    pub(super) fn acknowledge_provisional(
        &mut self,
        now: Time,
        id: LegId,
        message: &Message,
    ) -> Option<bool> {
        let required = message
            .require()
            .any(|tag| tag.eq_ignore_ascii_case(RELIABLE));
        let rseq: Option<u32> = message
            .header(HeaderName::RSeq)
            .and_then(|text| text.trim().parse().ok())
            .filter(|rseq| *rseq > 0);
        let Some(rseq) = rseq.filter(|_| required) else {
            return Some(false);
        };
        let leg = self.legs.get_mut(&id)?;
        let in_order = leg.dialog.rseq == 0 || Some(rseq) == leg.dialog.rseq.checked_add(1);
        if !in_order {
            if rseq != leg.dialog.rseq {
                self.layer.count("rseq_order");
            }
            return None;
        }
        leg.dialog.rseq = rseq;
        let invite = message.cseq().map_or(0, |(number, _)| number);
        let cseq = leg.dialog.next_cseq();
        let (branch, builder) = in_dialog(&mut self.layer, &leg.dialog, &Method::Prack, cseq);
        let bytes = builder
            .header(HeaderName::RAck, format_args!("{rseq} {invite} INVITE"))
            .finish();
        let peer = leg.dialog.peer;
        self.layer.request(
            now,
            peer,
            &branch,
            &Method::Prack,
            bytes,
            Purpose::Prack(id),
        );
        Some(true)
    }
}

impl Reliable {
    fn wait(&mut self, response: Waiting) {
        // The latest says most.
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_back();
        }
        self.waiting.push_back(response);
    }
}

impl Layer {
    fn stop_repeating(&mut self, unpracked: &mut Unpracked) {
        if let Some((repeat, give_up)) = unpracked.timers.take() {
            self.timers.cancel(repeat);
            self.timers.cancel(give_up);
        }
    }

    /// The leg ends: nothing more goes to its caller.
    pub fn stop_provisionals(&mut self, leg: &mut Leg) {
        if let Some(mut reliable) = leg.reliable.take()
            && let Some(unpracked) = &mut reliable.unpracked
        {
            self.stop_repeating(unpracked);
        }
    }
}

/// RAck: the RSeq, the CSeq number and the method of what is acknowledged.
fn rack(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split_ascii_whitespace();
    let (rseq, cseq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next()? == "INVITE" && parts.next().is_none()).then_some((rseq, cseq))
}
