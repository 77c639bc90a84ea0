//! The SIP user agent of the engine: transactions, dialogs, registrar and access behind the four methods.
//!
//! Messages and commands go in, bytes and events come out; see [`crate::api`]. One file a concern:
//! `layer` the transactions, `access` who may, `requests` what starts something, `register` the registrar's wire side,
//! `uas` calls to us, `uac` calls of ours, `again` their second tries, `early` forks, `reliable` provisionals that are acknowledged,
//! `hops` where calls go, `names` where dialogs do, `hosts` trunks that are known by a name, `flows` what is known of connections, `congestion` large requests, `within` requests in dialogs,
//! `reoffer` changes of media, `digits` keys by INFO, `session` their timers, `refer` calls that move, `replaces` which call is meant, `leg` the states.

mod access;
mod again;
mod congestion;
mod digits;
mod early;
mod flows;
mod forks;
mod hops;
mod hosts;
mod keys;
mod layer;
mod leg;
mod local;
mod names;
mod overload;
mod phones;
mod pickup;
mod refer;
mod register;
mod registering;
mod reliable;
mod reoffer;
mod replaces;
mod requests;
mod session;
mod timers;
mod trunks;
mod uac;
mod uac_auth;
mod uas;
mod within;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use clock::Time;

use crate::api::{Cause, Command, Config, Event, Input, LegId, Output, Peer, Transport};
use crate::digest::NonceBook;
use crate::locate::{Answer, Question};
use crate::message::{Builder, HeaderName, Message, Method, ParseError, refusable};
use crate::registrar::{Binding, Registrar};
use crate::transaction::Fired;
use flows::Flows;
use hops::Hops;
use keys::{Key, Table};
use layer::{Layer, Purpose};
use leg::{Leg, LegAlarm};
use timers::TimerId;

pub use hosts::HOSTS_MAX as TRUNK_HOSTS_MAX;
pub use local::nearest;
pub use overload::{Urgency, acknowledges_refusal, is_new_work, overload_response, urgency};
pub use phones::PhoneRules;

/// Methods that we understand, for Allow.
pub const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REGISTER, REFER, NOTIFY";

/// Extensions that we understand, for Supported; each is in `EXTENSIONS`.
pub const SUPPORTED: &str = "timer, 100rel, replaces, norefersub";

/// Option tags that a request may require of us (section 8.2.2.3).
const EXTENSIONS: [&str; 4] = [session::TIMER, reliable::RELIABLE, "replaces", "norefersub"];

/// What a request requires that we don't understand, as the value of Unsupported. Proxy-Require is not for us (section 20.29).
fn unsupported(request: &Message) -> Option<String> {
    let unknown: Vec<&str> = request
        .require()
        .filter(|tag| {
            !EXTENSIONS
                .iter()
                .any(|known| tag.eq_ignore_ascii_case(known))
        })
        .collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}

/// Bounds of the random Retry-After in seconds of a 503: far enough apart that those refused don't come back together.
const RETRY_AFTER: (u32, u32) = (5, 15);

/// The endpoint: see the module.
pub struct Endpoint {
    layer: Layer,
    legs: BTreeMap<LegId, Box<Leg>>,
    /// Call-ID and local tag.
    dialogs: Table<LegId>,
    registrar: Registrar,
    /// The timer of each user's next expiry.
    expiries: BTreeMap<Arc<str>, TimerId>,
    nonces: NonceBook,
    tries: crate::tries::Tries,
    /// Calls in progress of each trunk.
    trunk_calls: BTreeMap<Arc<str>, usize>,
    trunks: trunks::Trunks,
    phones: phones::Phones,
    forks: forks::Forks,
    legs_made: u64,
    hops: Hops,
    flows: Flows,
    hosts: hosts::Hosts,
}

/// What a timer is for.
#[derive(Clone, Debug)]
pub enum Alarm {
    Server(Key, Fired),
    Client(Key, Fired),
    Leg(LegId, LegAlarm),
    Binding(Arc<str>),
    /// The edge has not answered.
    Resolve(Question),
    /// A call with several ways has had no sign of life.
    Fork(LegId),
    Trunk(u16, trunks::TrunkAlarm),
    /// The next phone is asked whether it lives.
    Phones,
    /// What is known of a trunk's host name ends.
    Host(Arc<str>),
}

/// What identifies a dialog to the far end; its `Display` is the value of a Replaces header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogName {
    pub call_id: String,
    pub to_tag: String,
    pub from_tag: String,
}

impl std::fmt::Display for DialogName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DialogName {
            call_id,
            to_tag,
            from_tag,
        } = self;
        write!(f, "{call_id};to-tag={to_tag};from-tag={from_tag}")
    }
}

/// How much the endpoint holds; all zero when it is idle and every timer has run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub server_transactions: usize,
    pub client_transactions: usize,
    pub dialogs: usize,
    pub legs: usize,
    /// Calls of ours whose way is being asked for.
    pub waiting: usize,
    pub timers: usize,
    pub bindings: usize,
    pub trunk_calls: usize,
}

impl Endpoint {
    /// An endpoint whose tags, branches, nonces and back-offs all come from `seed`.
    pub fn new(config: Arc<Config>, seed: [u8; 32]) -> Self {
        let lifetime = config.nonce_lifetime;
        let mut layer = Layer::new(config, seed);
        let secret = layer.keys.bytes();
        Endpoint {
            layer,
            legs: BTreeMap::new(),
            dialogs: Table::default(),
            registrar: Registrar::default(),
            expiries: BTreeMap::new(),
            tries: Default::default(),
            nonces: NonceBook::new(secret, lifetime),
            trunk_calls: BTreeMap::new(),
            trunks: trunks::Trunks::default(),
            phones: phones::Phones::default(),
            forks: forks::Forks::default(),
            legs_made: 0,
            hops: Hops::default(),
            flows: Flows::default(),
            hosts: hosts::Hosts::default(),
        }
    }

    /// Begins what needs no input from outside: registrations at carriers, and asking after their health.
    pub fn start(&mut self, now: Time) {
        self.configure_trunks(now);
        self.configure_hosts(now);
        self.configure_phones(now);
    }

    /// A name for a leg that [`Command::Invite`] will make.
    pub fn new_leg(&mut self) -> LegId {
        self.legs_made += 1;
        LegId(self.legs_made)
    }

    /// Takes one input. Drain [`Endpoint::poll_output`] afterwards.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.take(now, input);
        self.follow_up(now);
    }

    fn take(&mut self, now: Time, input: Input) {
        match input {
            Input::Message { peer, message } if message.is_request() => {
                self.request(now, peer, message)
            }
            Input::Message { message, .. } => self.response(now, &message),
            Input::Malformed { peer, bytes } => self.malformed(peer, bytes),
            Input::Unreachable { peer } => {
                for purpose in self.layer.unreachable(now, &peer) {
                    self.failed(now, purpose, Cause::Unreachable);
                }
            }
            Input::FlowOpened { flow, names } => self.flows.opened(flow, names),
            Input::Resolved { question, answer } => self.resolved(now, question, answer),
            Input::FlowClosed { flow } => {
                self.flows.closed(flow);
                for purpose in self.layer.flow_closed(now, flow) {
                    self.failed(now, purpose, Cause::Unreachable);
                }
                for user in self.registrar.flow_closed(flow) {
                    self.bindings_changed(&user);
                }
                self.legs_of_closed_flow(flow);
            }
            Input::Command(command) => self.command(now, command),
            Input::Configure(config) => {
                self.nonces.set_lifetime(config.nonce_lifetime);
                self.layer.configure(config);
                self.configure_trunks(now);
                self.configure_hosts(now);
                self.configure_phones(now);
            }
        }
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(alarm) = self.layer.timers.pop_due(now) {
            match alarm {
                Alarm::Server(key, fired) => self.layer.server_fired(now, key, fired),
                Alarm::Client(key, fired) => {
                    if let Some(purpose) = self.layer.client_fired(now, key, fired) {
                        self.failed(now, purpose, Cause::NoResponse);
                    }
                }
                Alarm::Leg(leg, alarm) => self.leg_alarm(now, leg, alarm),
                Alarm::Resolve(question) => self.resolved(now, question, Answer::Failed),
                Alarm::Binding(user) => {
                    self.expiries.remove(&user);
                    self.registrar.expire(now, &user);
                    self.bindings_changed(&user);
                }
                Alarm::Fork(parent) => self.no_sign_of_life(now, parent),
                Alarm::Trunk(index, alarm) => self.trunk_alarm(now, index, alarm),
                Alarm::Phones => self.phone_alarm(now),
                Alarm::Host(name) => self.ask_host(now, name),
            }
            self.follow_up(now);
        }
    }

    /// The next output, in the order in which they were decided.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.layer.out.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] is wanted next, and what for.
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        self.layer.timers.next()
    }

    /// All live registrations, in the users' order, to be kept over a restart.
    pub fn bindings(&self) -> impl Iterator<Item = (&Arc<str>, &Binding)> {
        self.registrar.bindings()
    }

    /// One user's registrations.
    pub fn bindings_of(&self, user: &str) -> &[Binding] {
        self.registrar.of(user)
    }

    /// Puts a registration back that was kept over a restart. The connection that it came on is gone: one that its phone does not answer at the address of
    /// its Contact (a browser, or a phone behind NAT by TCP) could not be called, and is left to register again.
    pub fn restore(&mut self, user: Arc<str>, binding: Binding) {
        if !binding.survives() {
            return;
        }
        self.registrar.restore(user.clone(), binding);
        self.bindings_changed(&user);
    }

    /// Requests that came again and messages that we sent again, since the start.
    pub fn retransmissions(&self) -> [u64; 2] {
        self.layer.repeated
    }

    /// The Call-ID of a leg, as long as it is not gone.
    pub fn call_id(&self, leg: LegId) -> Option<&str> {
        Some(&self.legs.get(&leg)?.dialog.call_id)
    }

    /// The dialog of a leg, as a Replaces for its far end would name it (RFC 3891); `None` when there is no such leg.
    pub fn dialog(&self, leg: LegId) -> Option<DialogName> {
        let dialog = &self.legs.get(&leg)?.dialog;
        Some(DialogName {
            call_id: dialog.call_id.clone(),
            to_tag: dialog.remote_tag.clone(),
            from_tag: dialog.local_tag.clone(),
        })
    }

    /// What is held at the moment.
    pub fn counts(&self) -> Counts {
        let (server_transactions, client_transactions) = self.layer.transactions();
        Counts {
            server_transactions,
            client_transactions,
            dialogs: self.dialogs.len(),
            legs: self.legs.len(),
            waiting: self.hops.waiting(),
            timers: self.layer.timers.len(),
            bindings: self.registrar.bindings().count(),
            trunk_calls: self.trunk_calls.values().sum(),
        }
    }

    fn command(&mut self, now: Time, command: Command) {
        let Some(command) = self.by_fork(now, command) else {
            return;
        };
        match command {
            Command::Invite(invite) => self.invite(now, invite),
            Command::Ring {
                leg,
                status,
                sdp,
                headers,
            } => self.ring(now, leg, status, sdp, &headers),
            Command::Answer { leg, sdp, headers } => self.answer(now, leg, &sdp, &headers),
            Command::Reject {
                leg,
                status,
                reason,
                headers,
            } => self.reject(now, leg, status, reason.as_deref(), &headers),
            Command::Reinvite { leg, sdp } => self.wish_reinvite(now, leg, sdp),
            Command::AcceptReoffer { leg, sdp } => self.accept_reoffer(now, leg, &sdp),
            Command::RejectReoffer { leg, status } => self.reject_reoffer(now, leg, status),
            Command::Hangup { leg, reason } => self.hangup(now, leg, reason),
            Command::Digits { leg, pressed } => self.send_digits(now, leg, &pressed),
            Command::AcceptRefer { leg } => self.accept_refer(now, leg),
            Command::RejectRefer { leg, status } => self.reject_refer(now, leg, status),
            Command::ReferProgress { leg, status } => self.refer_progress(now, leg, status),
            Command::Refer { leg, to, headers } => self.send_refer(now, leg, &to, &headers),
            Command::PickUp { leg } => self.pick_up(now, leg),
        }
    }

    fn response(&mut self, now: Time, message: &Message) {
        let method = message.cseq().map_or("OTHER", |(_, method)| method.label());
        let class = layer::class(message.status().unwrap_or_default());
        self.layer.emit(Event::Traffic {
            outbound: false,
            method,
            class,
        });
        if let Some(layer::News { key, purpose, sent }) = self.layer.response(now, message) {
            let challenged = matches!(message.status(), Some(401 | 407));
            if challenged && self.answer_challenge(now, key, purpose, &sent.request, message) {
                return;
            }
            match purpose {
                Purpose::Invite(leg) => self.invite_response(now, leg, key, &sent, message),
                Purpose::Reinvite(leg) => self.reinvite_response(now, leg, key, &sent, message),
                Purpose::Update(leg) => self.update_response(now, leg, message),
                Purpose::Refresh(leg) => self.refresh_response(now, leg, message),
                Purpose::Bye(leg) => self.bye_response(leg, message),
                Purpose::Info(leg) => self.info_response(now, leg, message),
                Purpose::Register(index) => self.register_response(now, index, Some(message)),
                Purpose::Options(index) => self.options_response(now, index, Some(message)),
                Purpose::Phone(number) => self.phone_response(number, Some(message)),
                Purpose::Refer(leg) => self.refer_response(now, leg, message),
                Purpose::Notify(leg) => self.notify_response(now, leg, message.status()),
                Purpose::PickUp => self.pick_up_response(message.status()),
                Purpose::Abandoned => self.abandoned_response(now, key, message),
                Purpose::Prack(_) | Purpose::Loose => {}
            }
        }
    }

    /// A request of ours has come to nothing: no response, or no way to send.
    fn failed(&mut self, now: Time, purpose: Purpose, cause: Cause) {
        match purpose {
            Purpose::Invite(leg) => self.invite_failed(now, leg, cause),
            Purpose::Reinvite(leg)
            | Purpose::Update(leg)
            | Purpose::Refresh(leg)
            | Purpose::Info(leg) => self.dialog_died(now, leg, Some(leg::NO_RESPONSE)),
            Purpose::Bye(leg) => self.gone(leg, Cause::HungUp),
            Purpose::Register(index) => self.register_response(now, index, None),
            Purpose::Options(index) => self.options_response(now, index, None),
            Purpose::Phone(number) => self.phone_response(number, None),
            Purpose::Refer(leg) => self.refer_unanswered(leg),
            Purpose::Notify(leg) => self.notify_response(now, leg, None),
            Purpose::PickUp => self.pick_up_response(None),
            Purpose::Prack(_) | Purpose::Abandoned | Purpose::Loose => {}
        }
    }

    /// Bytes that would not parse: a refusal where anything can be read at all.
    fn malformed(&mut self, peer: Peer, bytes: Bytes) {
        let request = refusable(bytes.clone());
        let status = refusal_of(&peer, &bytes, request.as_ref());
        self.layer.count(if status == 513 {
            "too_large"
        } else {
            "malformed"
        });
        let Some(request) = request else { return };
        let Ok(via) = request.top_via() else { return };
        let mut builder =
            Builder::response_via(&request, status, reason(status), None, peer.remote);
        if status == 501 {
            builder = builder.header(HeaderName::Allow, ALLOW);
        }
        let (to, class) = (Layer::reply_peer(&via, peer), layer::class(status));
        let response = builder.finish();
        self.layer.transmit(to, response, "OTHER", class);
    }
}

/// What is wrong with bytes that would not parse, as a status. The edge cuts streams by Content-Length: from there, what is incomplete is what was too large.
fn refusal_of(peer: &Peer, bytes: &Bytes, request: Option<&Message>) -> u16 {
    match Message::parse(bytes.clone()) {
        Err(ParseError::ShortBody | ParseError::Truncated) if peer.transport != Transport::Udp => {
            513
        }
        // An unknown method says more than its CSeq does (RFC 4475 section 3.1.2.18).
        Err(ParseError::CSeqMethod)
            if matches!(request.and_then(Message::method), Some(Method::Other(_))) =>
        {
            501
        }
        Err(error) => error.status(),
        Ok(_) => 400,
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

/// The reason phrase of a status (section 21), in the words of the RFC.
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => match status / 100 {
            1 => "Progress",
            2 => "OK",
            3 => "Redirected",
            4 => "Request Failed",
            5 => "Server Failed",
            _ => "Declined",
        },
    }
}
