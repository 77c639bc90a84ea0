//! Calls of ours: from the INVITE to its final response (sections 13.2 and 9.1).

use std::time::Duration;

use clock::Time;

use super::keys::Key;
use super::layer::{Purpose, TIMER_C};
use super::leg::{Hangup, Leg, LegAlarm, State, in_dialog, send_bye};
use super::requests::sdp_of;
use super::uas::with_headers;
use super::{ALLOW, Alarm, Endpoint};
use crate::api::{Cause, Event, Invite, LegId, Peer, Target, Through};
use crate::dialog::{self, Dialog, uri_of};
use crate::message::{HeaderName, Message, Method, escape_user, quoted};

/// Where a call of ours goes.
struct Way {
    /// Request-URI.
    uri: String,
    /// To, in brackets.
    to: String,
    peer: Peer,
    routes: Vec<String>,
    natted: bool,
    /// From's user and host, where they are not the [`Invite`]'s and ours.
    from: Option<(String, String)>,
}

impl Endpoint {
    /// [`crate::Command::Invite`].
    pub(super) fn invite(&mut self, now: Time, invite: Invite) {
        let id = invite.leg;
        if self.legs.contains_key(&id) {
            return;
        }
        let way = match self.way(&invite.target) {
            Ok(way) => way,
            Err(cause) => return self.layer.emit(Event::Gone { leg: id, cause }),
        };
        if self.legs.len() >= self.layer.config.max_dialogs || self.layer.is_full() {
            self.layer.count("tables_full");
            let cause = Cause::Rejected {
                status: 503,
                reason: "tables full".into(),
                retry_after: None,
                contact: None,
            };
            return self.layer.emit(Event::Gone { leg: id, cause });
        }
        let dialog = self.calling_dialog(&invite, way);
        let key = self.dialog_key(&dialog.call_id, &dialog.local_tag);
        let (branch, builder) =
            in_dialog(&mut self.layer, &dialog, &Method::Invite, dialog.local_cseq);
        let builder = builder
            .header(
                HeaderName::Contact,
                self.layer.local.contact(dialog.peer.transport),
            )
            .header(HeaderName::Allow, ALLOW);
        let bytes = with_headers(builder, &invite.headers)
            .body("application/sdp", &invite.sdp)
            .finish();
        let tx = self.layer.request(
            now,
            dialog.peer,
            &branch,
            &Method::Invite,
            bytes,
            Purpose::Invite(id),
        );
        self.dialogs.insert(key, id);
        self.legs.insert(
            id,
            Leg::new(
                dialog,
                State::Calling {
                    tx,
                    provisional: false,
                    hangup: Hangup::No,
                },
                None,
            ),
        );
    }

    fn way(&self, target: &Target) -> Result<Way, Cause> {
        match target {
            Target::User(user) => {
                let binding = self.registrar.best(user).ok_or(Cause::NotRegistered)?;
                let peer = match binding.path.first() {
                    Some(_) => binding.peer,
                    None => dialog::direct_hop(&binding.uri, binding.peer, true),
                };
                let realm = &self.layer.config.realm;
                Ok(Way {
                    uri: binding.uri.clone(),
                    to: format!("<sip:{}@{realm}>", escape_user(user)),
                    peer,
                    routes: binding.path.clone(),
                    natted: true,
                    from: None,
                })
            }
            Target::Uri(uri) => {
                let (transport, remote) = dialog::address(uri).ok_or(Cause::Unreachable)?;
                let peer = Peer {
                    transport,
                    remote,
                    flow: None,
                };
                Ok(Way {
                    uri: uri.to_string(),
                    to: format!("<{uri}>"),
                    peer,
                    routes: Vec::new(),
                    natted: false,
                    from: None,
                })
            }
            Target::Trunks(ways) => ways
                .iter()
                .find_map(|way| self.through(way))
                .ok_or(Cause::Unreachable),
        }
    }

    /// The way by one trunk, if that has one.
    fn through(&self, through: &Through) -> Option<Way> {
        let trunks = &self.layer.config.trunks;
        let trunk = trunks.iter().find(|trunk| trunk.name == through.trunk)?;
        let carrier = trunk.carrier.as_ref()?;
        let (transport, remote) = dialog::address(&carrier.next_hop)?;
        let uri = format!("sip:{}@{}", escape_user(&through.number), carrier.domain);
        Some(Way {
            to: format!("<{uri}>"),
            uri,
            peer: Peer {
                transport,
                remote,
                flow: None,
            },
            routes: Vec::new(),
            natted: false,
            from: Some((through.caller.clone(), carrier.domain.clone())),
        })
    }

    fn calling_dialog(&mut self, invite: &Invite, way: Way) -> Dialog {
        let tag = self.layer.keys.tag();
        let (from_user, host) = match &way.from {
            Some((user, host)) => (user, host),
            None => (&invite.from_user, &self.layer.config.realm),
        };
        let user = if from_user.is_empty() {
            "anonymous"
        } else {
            from_user
        };
        let display = invite
            .from_display
            .as_deref()
            .map(|name| format!("{} ", quoted(name)))
            .unwrap_or_default();
        Dialog {
            local: format!("{display}<sip:{}@{host}>;tag={tag}", escape_user(user)),
            call_id: self.layer.keys.call_id(),
            local_tag: tag,
            remote_tag: String::new(),
            remote: way.to,
            target: way.uri,
            routes: way.routes,
            local_cseq: 1,
            remote_cseq: None,
            peer: way.peer,
            we_called: true,
            natted: way.natted,
        }
    }

    pub(super) fn invite_response(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        match message.status().unwrap_or_default() {
            ..200 => self.provisional(now, id, message),
            200..300 => self.accepted(now, id, key, message),
            _ => self.rejected(id, message),
        }
    }

    fn provisional(&mut self, now: Time, id: LegId, message: &Message) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        let State::Calling {
            tx,
            provisional,
            hangup,
        } = &mut leg.state
        else {
            return;
        };
        *provisional = true;
        if let Some(alarm) = leg.alarm.take() {
            self.layer.timers.cancel(alarm);
        }
        match std::mem::replace(hangup, Hangup::No) {
            Hangup::No => {
                leg.alarm = Some(self.layer.timers.set(
                    now + TIMER_C,
                    "timer C",
                    Alarm::Leg(id, LegAlarm::TimerC),
                ));
            }
            Hangup::Wanted(cause) => {
                *hangup = Hangup::Cancelled(Cause::HungUp);
                let tx = *tx;
                return self.layer.cancel(now, tx, cause.as_deref());
            }
            cancelled @ Hangup::Cancelled(_) => {
                *hangup = cancelled;
                return;
            }
        }
        // An early dialog; another fork's may follow, the 2xx decides.
        if let Some(tag) = message.to().ok().and_then(|to| to.tag()) {
            leg.dialog.remote_tag = tag.to_owned();
        }
        let status = message.status().unwrap_or_default();
        let sdp = sdp_of(message);
        self.layer.emit(match status {
            100 => Event::Trying { leg: id },
            _ => Event::Ringing {
                leg: id,
                status,
                sdp,
            },
        });
    }

    /// A 2xx: ACK at once; then it is the answer, or it crosses our CANCEL, or it is another fork's.
    fn accepted(&mut self, now: Time, id: LegId, key: Key, message: &Message) {
        let tag = message
            .to()
            .ok()
            .and_then(|to| to.tag())
            .unwrap_or_default();
        if self.layer.ack_again(key, tag) {
            return;
        }
        let Some(leg) = self
            .legs
            .get_mut(&id)
            .filter(|leg| matches!(leg.state, State::Calling { .. }))
        else {
            return self.stray_fork(now, key, message, true);
        };
        confirm(&mut leg.dialog, message);
        let cseq = leg.dialog.local_cseq;
        let (_, ack) = in_dialog(&mut self.layer, &leg.dialog, &Method::Ack, cseq);
        self.layer.ack(key, tag, ack.finish(), leg.dialog.peer);
        if let Some(alarm) = leg.alarm.take() {
            self.layer.timers.cancel(alarm);
        }
        let wanted = matches!(
            leg.state,
            State::Calling {
                hangup: Hangup::No,
                ..
            }
        );
        leg.state = State::Up;
        if wanted {
            let peer = leg.dialog.peer;
            self.layer.emit(Event::Answered {
                leg: id,
                sdp: sdp_of(message),
                peer,
            });
        } else {
            self.bye(now, id, None);
        }
    }

    /// A 2xx that we have no use for is ACKed, and its dialog ended (section 13.2.2.4). Without `bye` only ACKed.
    pub(super) fn stray_fork(&mut self, now: Time, key: Key, message: &Message, bye: bool) {
        let Some(peer) = self.layer.forked(key) else {
            return;
        };
        let Some(mut dialog) = forked_dialog(message, peer) else {
            return;
        };
        let cseq = dialog.local_cseq;
        let (_, ack) = in_dialog(&mut self.layer, &dialog, &Method::Ack, cseq);
        let tag = dialog.remote_tag.clone();
        self.layer.ack(key, &tag, ack.finish(), dialog.peer);
        if bye {
            self.layer.count("stray_fork");
            send_bye(&mut self.layer, now, &mut dialog, None, Purpose::Loose);
        }
    }

    fn rejected(&mut self, id: LegId, message: &Message) {
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        let State::Calling { hangup, .. } = &leg.state else {
            return;
        };
        let cause = match hangup {
            Hangup::No => Cause::Rejected {
                status: message.status().unwrap_or_default(),
                reason: message.reason().to_owned(),
                retry_after: retry_after(message),
                contact: redirected_to(message),
            },
            Hangup::Wanted(_) => Cause::HungUp,
            Hangup::Cancelled(cause) => cause.clone(),
        };
        self.gone(id, cause);
    }

    /// Nothing came of an INVITE: no response, none after the CANCEL, or no way to send.
    pub(super) fn invite_failed(&mut self, id: LegId, cause: Cause) {
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        let State::Calling { hangup, .. } = &leg.state else {
            return;
        };
        let cause = match hangup {
            Hangup::No => cause,
            Hangup::Wanted(_) => Cause::HungUp,
            Hangup::Cancelled(cause) => cause.clone(),
        };
        self.gone(id, cause);
    }

    pub(super) fn timer_c(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        leg.alarm = None;
        let State::Calling { tx, hangup, .. } = &mut leg.state else {
            return;
        };
        if matches!(hangup, Hangup::No) {
            *hangup = Hangup::Cancelled(Cause::NoResponse);
            let tx = *tx;
            self.layer.cancel(now, tx, None);
        }
    }
}

/// The dialog as a 2xx to our INVITE makes it (section 12.1.2).
fn confirm(dialog: &mut Dialog, message: &Message) {
    dialog.remote_tag = message
        .to()
        .ok()
        .and_then(|to| to.tag())
        .unwrap_or_default()
        .to_owned();
    dialog.remote = message.to_raw().to_owned();
    let mut routes: Vec<String> = message
        .values(HeaderName::RecordRoute)
        .map(str::to_owned)
        .collect();
    routes.reverse();
    dialog.routes = routes;
    match message.values(HeaderName::Contact).next() {
        Some(contact) => dialog.refresh(uri_of(contact)),
        None => dialog.peer = dialog.next_hop(dialog.peer),
    }
}

/// The dialog of a 2xx whose leg is taken by another fork, or gone. The response has all that our requests in it need.
fn forked_dialog(response: &Message, peer: Peer) -> Option<Dialog> {
    let from = response.from().ok()?;
    let mut dialog = Dialog {
        call_id: response.call_id().to_owned(),
        local_tag: from.tag()?.to_owned(),
        remote_tag: String::new(),
        local: response.from_raw().to_owned(),
        remote: String::new(),
        target: response.to().ok()?.uri_text.to_owned(),
        routes: Vec::new(),
        local_cseq: response.cseq().ok()?.0,
        remote_cseq: None,
        peer,
        we_called: true,
        natted: false,
    };
    confirm(&mut dialog, response);
    Some(dialog)
}

/// Retry-After in seconds; a comment or parameters may follow (section 20.33).
fn retry_after(message: &Message) -> Option<Duration> {
    let text = message.header(HeaderName::RetryAfter)?;
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Duration::from_secs(digits.parse::<u32>().ok()?.into()))
}

/// The first Contact of a 3xx: told, never followed.
fn redirected_to(message: &Message) -> Option<String> {
    let redirected = (300..400).contains(&message.status()?);
    redirected
        .then(|| {
            message
                .values(HeaderName::Contact)
                .next()
                .map(|contact| uri_of(contact).to_owned())
        })
        .flatten()
}
