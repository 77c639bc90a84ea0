//! A leg: one INVITE dialog from its first message to its [`Event::Gone`], and what all states have in common.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;

use super::early::Early;
use super::hops::Elsewhere;
use super::keys::Key;
use super::layer::{Layer, Purpose};
use super::reliable::{RELIABLE, Reliable};
use super::session::Session;
use super::timers::TimerId;
use super::{Alarm, Endpoint};
use crate::api::{Cause, Event, FlowId, LegId, Peer};
use crate::dialog::Dialog;
use crate::message::{Builder, HeaderName, Message, Method};

/// Why we end a dialog whose far end says nothing any more.
pub const NO_RESPONSE: &str = "SIP;cause=408;text=\"No response\"";
/// Why we end a dialog whose INVITE is answered and not acknowledged.
pub const NO_ACK: &str = "SIP;cause=408;text=\"No ACK\"";

/// Longest Reason that is kept, in bytes: one line of a record, whatever a far end writes.
const REASON_MAX: usize = 200;

/// What a message gives as its reason (RFC 3326): every value, one line.
pub fn reason_of(message: &Message) -> Option<Box<str>> {
    let text = message.header(HeaderName::Reason)?;
    let mut end = text.len().min(REASON_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (end > 0).then(|| text[..end].into())
}

/// One leg.
#[derive(Debug)]
pub struct Leg {
    pub dialog: Dialog,
    pub state: State,
    /// Whose call limit it counts against.
    pub trunk: Option<Arc<str>>,
    /// What the far end is able to, as far as it has said.
    pub able: Able,
    /// The deadline of the state: the minute of [`State::Alerting`], timer C of [`State::Calling`].
    pub alarm: Option<TimerId>,
    /// A 2xx of ours that waits for its ACK.
    pub unacked: Option<Unacked>,
    pub offer: Offer,
    /// New media that we want to offer as soon as nothing is in the way; the latest wish counts.
    pub wish: Option<Bytes>,
    /// Where our INVITE goes when the server that has it fails.
    pub elsewhere: Option<Box<Elsewhere>>,
    /// Servers that may have seen our INVITE and do not have it any more.
    pub passed_over: u32,
    /// REFER on this leg, in either direction; few legs ever see one.
    pub refer: Option<Box<super::refer::Refer>>,
    /// The session is to be refreshed by a re-INVITE, as soon as nothing is in the way.
    pub refresh: bool,
    /// Our description as last sent.
    pub described: Bytes,
    /// From the answer on.
    pub session: Option<Session>,
    /// Only with reliable provisionals of ours.
    pub reliable: Option<Box<Reliable>>,
    /// Only with forks, or media before the answer.
    pub early: Option<Box<Early>>,
    /// Keys by INFO: there is one on its way, and these wait behind it.
    pub digits: Option<Box<super::digits::Waiting>>,
}

/// What a far end says to be able to (Allow, Supported, Require).
#[derive(Clone, Copy, Debug, Default)]
pub struct Able {
    pub update: bool,
    pub reliable: bool,
    /// Our provisionals must be reliable.
    pub wants_reliable: bool,
    /// It takes INFO, or says nothing of methods.
    pub info: bool,
    /// It can be told to answer: see `pickup.rs`.
    pub talk: bool,
}

impl Able {
    pub fn of(message: &Message) -> Able {
        let lists = |name, word: &str| {
            message
                .values(name)
                .any(|value| value.eq_ignore_ascii_case(word))
        };
        let wants_reliable = lists(HeaderName::Require, RELIABLE);
        Able {
            update: lists(HeaderName::Allow, "UPDATE"),
            info: lists(HeaderName::Allow, "INFO") || message.header(HeaderName::Allow).is_none(),
            reliable: wants_reliable || lists(HeaderName::Supported, RELIABLE),
            wants_reliable,
            talk: lists(HeaderName::AllowEvents, super::pickup::PACKAGE),
        }
    }
}

/// Where a leg stands.
#[derive(Debug)]
pub enum State {
    /// Our INVITE has no final response.
    Calling {
        tx: Key,
        provisional: bool,
        hangup: Hangup,
    },
    /// Their INVITE has no final response of ours.
    Alerting { tx: Key, minutes: u16 },
    /// Answered.
    Up,
    /// Our BYE has no final response.
    Closing,
}

/// Whether an unanswered call of ours is to end.
#[derive(Debug)]
pub enum Hangup {
    No,
    /// Before a provisional, hence not yet cancelled (section 9.1).
    Wanted(Option<String>),
    /// CANCEL is sent; what the leg's end will be called.
    Cancelled(Cause),
}

/// A 2xx of ours without an ACK (section 13.3.1.4).
#[derive(Debug)]
pub struct Unacked {
    pub response: Bytes,
    pub peer: Peer,
    pub cseq: u32,
    /// Of the INVITE that made the dialog: a BYE must wait for its ACK (section 15).
    pub initial: bool,
    pub interval: Duration,
    pub repeat: TimerId,
    pub give_up: TimerId,
    /// A BYE that waits, and its Reason.
    pub hangup: Option<Option<String>>,
}

/// Offers and answers after the first (section 14).
#[derive(Debug)]
pub enum Offer {
    Idle,
    /// Our re-INVITE or UPDATE is out.
    Ours(Ours),
    /// 491 came: wait, then try again.
    BackOff {
        ours: Ours,
        timer: TimerId,
    },
    /// Their re-INVITE or UPDATE waits for the engine.
    Theirs {
        tx: Key,
        invite: bool,
        cseq: u32,
        contact: Option<String>,
    },
}

/// An offer of ours.
#[derive(Debug)]
pub struct Ours {
    pub sdp: Bytes,
    /// It changes nothing: only the session is refreshed, and the engine has not asked for it.
    pub refresh: bool,
}

/// What a leg's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegAlarm {
    /// A minute without an answer of ours.
    Minute,
    /// Three minutes without news from whom we call.
    TimerC,
    /// The server that we call has not said anything, and there is another one.
    NextServer,
    /// The 2xx goes out again.
    RepeatAnswer,
    /// The ACK will not come any more.
    NoAck,
    /// After a 491.
    BackOff,
    /// The session is to be refreshed, or has expired.
    Session,
    /// A reliable provisional goes out again.
    RepeatProvisional,
    /// Its PRACK will not come any more.
    NoPrack,
}

impl Leg {
    pub fn new(dialog: Dialog, state: State, trunk: Option<Arc<str>>) -> Box<Leg> {
        Box::new(Leg {
            dialog,
            state,
            trunk,
            able: Able::default(),
            alarm: None,
            unacked: None,
            offer: Offer::Idle,
            wish: None,
            elsewhere: None,
            passed_over: 0,
            refer: None,
            refresh: false,
            described: Bytes::new(),
            session: None,
            reliable: None,
            early: None,
            digits: None,
        })
    }
}

/// A 2xx that is now unacknowledged, with both its timers running.
pub fn unacked(
    layer: &mut Layer,
    now: Time,
    leg: LegId,
    cseq: u32,
    initial: bool,
    (response, peer): (Bytes, Peer),
) -> Unacked {
    let (t1, name) = (layer.config.t1, "2xx without ACK");
    let repeat = layer.timers.set(
        now + t1,
        "2xx repeat",
        Alarm::Leg(leg, LegAlarm::RepeatAnswer),
    );
    let give_up = layer
        .timers
        .set(now + t1 * 64, name, Alarm::Leg(leg, LegAlarm::NoAck));
    Unacked {
        response,
        peer,
        cseq,
        initial,
        interval: t1,
        repeat,
        give_up,
        hangup: None,
    }
}

/// A request inside a dialog (section 12.2.1.1) up to its Contact, and the branch it carries.
pub fn in_dialog(
    layer: &mut Layer,
    dialog: &Dialog,
    method: &Method,
    cseq: u32,
) -> (String, Builder) {
    let branch = layer.keys.branch();
    let (target, routes) = dialog.request_target();
    let mut builder = Builder::request(method, target)
        .header(HeaderName::Via, layer.local.via(&dialog.peer, &branch));
    for route in routes {
        builder = builder.header(HeaderName::Route, route);
    }
    if let Some(tail) = dialog.strict_tail() {
        builder = builder.header(HeaderName::Route, tail);
    }
    let credentials = layer.credentials_in(dialog, method, target);
    if let Some((name, value)) = credentials {
        builder = builder.header(name, value);
    }
    let builder = builder
        .text(HeaderName::MaxForwards, "70")
        .text(HeaderName::From, &dialog.local)
        .text(HeaderName::To, &dialog.remote)
        .text(HeaderName::CallId, &dialog.call_id)
        .header(HeaderName::CSeq, format_args!("{cseq} {method}"))
        .text(HeaderName::UserAgent, &layer.config.product);
    (branch, builder)
}

impl Endpoint {
    /// The leg is over: forgotten, counted off, told.
    pub(super) fn gone(&mut self, id: LegId, cause: Cause) {
        self.gone_because(id, cause, None);
    }

    /// The same, with what the far end's last message gave as Reason.
    pub(super) fn gone_because(&mut self, id: LegId, cause: Cause, reason: Option<Box<str>>) {
        let Some(mut leg) = self.legs.remove(&id) else {
            return;
        };
        self.layer.stop_session(&mut leg);
        self.layer.stop_provisionals(&mut leg);
        let key = self.dialog_key(&leg.dialog.call_id, &leg.dialog.local_tag);
        self.dialogs.remove(&key);
        self.cancel_timers(*leg);
        self.layer.emit(Event::Gone {
            leg: id,
            cause,
            reason,
        });
    }

    fn cancel_timers(&mut self, leg: Leg) {
        let timers = &mut self.layer.timers;
        if let Some(alarm) = leg.alarm {
            timers.cancel(alarm);
        }
        if let Some(unacked) = leg.unacked {
            timers.cancel(unacked.repeat);
            timers.cancel(unacked.give_up);
        }
        if let Offer::BackOff { timer, .. } = leg.offer {
            timers.cancel(timer);
        }
        if let Some(trunk) = leg.trunk {
            self.trunk_left(&trunk);
            self.tell_trunk_named(&trunk);
        }
    }

    pub(super) fn dialog_key(&self, call_id: &str, local_tag: &str) -> Key {
        self.layer
            .keys
            .key(&[b"dialog", call_id.as_bytes(), local_tag.as_bytes()])
    }

    pub(super) fn leg_alarm(&mut self, now: Time, id: LegId, alarm: LegAlarm) {
        match alarm {
            LegAlarm::Minute => self.minute_unanswered(now, id),
            LegAlarm::TimerC => self.timer_c(now, id),
            LegAlarm::NextServer => self.server_is_silent(now, id),
            LegAlarm::RepeatAnswer => self.repeat_answer(now, id),
            LegAlarm::NoAck => self.no_ack(now, id),
            LegAlarm::BackOff => self.back_off_over(now, id),
            LegAlarm::Session => self.session_due(now, id),
            LegAlarm::RepeatProvisional => self.repeat_reliable(now, id),
            LegAlarm::NoPrack => self.no_prack(now, id),
        }
    }

    /// [`crate::Command::Hangup`], by what the state demands.
    pub(super) fn hangup(&mut self, now: Time, id: LegId, cause: Option<String>) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return self.unhold(id);
        };
        match &mut leg.state {
            State::Calling {
                tx,
                provisional,
                hangup,
            } => {
                if !matches!(hangup, Hangup::No) {
                    return;
                }
                if *provisional {
                    *hangup = Hangup::Cancelled(Cause::HungUp);
                    let tx = *tx;
                    self.layer.cancel(now, tx, cause.as_deref());
                } else {
                    *hangup = Hangup::Wanted(cause);
                }
            }
            State::Alerting { tx, .. } => {
                let (tx, tag) = (*tx, leg.dialog.local_tag.clone());
                self.layer
                    .respond(now, tx, 480, None, Some(&tag), |builder, _| match cause {
                        Some(cause) => builder.header(HeaderName::Reason, cause),
                        None => builder,
                    });
                self.gone(id, Cause::HungUp);
            }
            State::Up => match &mut leg.unacked {
                Some(unacked) if unacked.initial => unacked.hangup = Some(cause),
                _ if super::refer::ends_later(&mut leg.refer, &cause) => {}
                _ => self.bye(now, id, cause.as_deref()),
            },
            State::Closing => {}
        }
    }

    /// Sends BYE; the leg is gone when that is answered.
    pub(super) fn bye(&mut self, now: Time, id: LegId, cause: Option<&str>) {
        self.refuse_pending_offer(now, id);
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        leg.state = State::Closing;
        self.layer.stop_session(leg);
        for timer in leg
            .unacked
            .take()
            .into_iter()
            .flat_map(|unacked| [unacked.repeat, unacked.give_up])
        {
            self.layer.timers.cancel(timer);
        }
        if let Offer::BackOff { timer, .. } = std::mem::replace(&mut leg.offer, Offer::Idle) {
            self.layer.timers.cancel(timer);
        }
        send_bye(
            &mut self.layer,
            now,
            &mut leg.dialog,
            cause,
            Purpose::Bye(id),
        );
    }

    pub(super) fn bye_response(&mut self, id: LegId, message: &Message) {
        if message.status().is_some_and(|status| status >= 200) {
            self.gone(id, Cause::HungUp);
        }
    }

    /// The dialog is of no use any more (section 12.2.1.2): [`Cause::Lost`], unless it is ending anyway. With a reason to give, by BYE.
    pub(super) fn dialog_died(&mut self, now: Time, id: LegId, bye: Option<&str>) {
        self.refuse_pending_offer(now, id);
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        match leg.state {
            State::Up => {
                if bye.is_some() {
                    send_bye(&mut self.layer, now, &mut leg.dialog, bye, Purpose::Loose);
                }
                self.gone(id, Cause::Lost);
            }
            State::Calling { .. } | State::Alerting { .. } | State::Closing => {}
        }
    }

    /// Calls that wait on a connection that is gone cannot be answered any more; others will be heard of on a new one.
    pub(super) fn legs_of_closed_flow(&mut self, flow: FlowId) {
        let mut unanswered = Vec::new();
        for (id, leg) in &mut self.legs {
            if leg.dialog.peer.flow == Some(flow) {
                leg.dialog.peer.flow = None;
                if let State::Alerting { tx, .. } = leg.state {
                    unanswered.push((*id, tx));
                }
            }
        }
        for (id, tx) in unanswered {
            self.layer.close_server(tx);
            self.gone(id, Cause::Unreachable);
        }
    }
}

/// One BYE in this dialog.
pub fn send_bye(
    layer: &mut Layer,
    now: Time,
    dialog: &mut Dialog,
    cause: Option<&str>,
    purpose: Purpose,
) {
    let cseq = dialog.next_cseq();
    let (branch, mut builder) = in_dialog(layer, dialog, &Method::Bye, cseq);
    if let Some(cause) = cause {
        builder = builder.header(HeaderName::Reason, cause);
    }
    layer.request(
        now,
        dialog.peer,
        &branch,
        &Method::Bye,
        builder.finish(),
        purpose,
    );
}
