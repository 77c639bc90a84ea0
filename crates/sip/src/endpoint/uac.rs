//! Calls of ours: from the INVITE to its final response (sections 13.2 and 9.1).

use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use super::hops::{Elsewhere, Seeker, Sought};
use super::keys::Key;
use super::layer::{Purpose, Sent, TIMER_C};
use super::leg::{Able, Hangup, Leg, LegAlarm, State, in_dialog, reason_of, send_bye};
use super::requests::sdp_of;
use super::session;
use super::uac_auth::copy_credentials;
use super::uas::with_headers;
use super::{ALLOW, Alarm, Endpoint, SUPPORTED};
use crate::api::{Cause, Event, Invite, LegId, Peer, Target, Through};
use crate::dialog::{self, Dialog, uri_of};
use crate::identity::ANONYMOUS;
use crate::locate::Hop;
use crate::message::{HeaderName, Message, Method, escape_user, quoted};
use crate::registrar::Binding;
use crate::trunk::Trust;

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
    /// What else it is told of the caller.
    identity: Vec<(String, String)>,
    /// Where else, if not there.
    more: Vec<Hop>,
    account: Option<Arc<str>>,
}

impl Endpoint {
    /// [`crate::Command::Invite`].
    pub(super) fn invite(&mut self, now: Time, mut invite: Invite) {
        let id = invite.leg;
        if self.legs.contains_key(&id) || self.hops.holds(id) {
            return;
        }
        if self.legs.len() + self.hops.waiting() >= self.layer.config.max_dialogs
            || self.layer.is_full()
        {
            self.layer.count("tables_full");
            let cause = Cause::Rejected {
                status: 503,
                reason: "tables full".into(),
                retry_after: None,
                contact: None,
            };
            return self.never_was(id, cause);
        }
        let way = match self.way(now, &invite) {
            Ok(Some(way)) => way,
            Ok(None) => return,
            Err(cause) => return self.never_was(id, cause),
        };
        invite.headers.extend(way.identity.iter().cloned());
        let elsewhere = Elsewhere::of(&invite, &way.more);
        let dialog = self.calling_dialog(&invite, way);
        let key = self.dialog_key(&dialog.call_id, &dialog.local_tag);
        let tx = self.send_invite(now, &invite, &dialog);
        self.dialogs.insert(key, id);
        let state = State::Calling {
            tx,
            provisional: false,
            hangup: Hangup::No,
        };
        let mut leg = Leg::new(dialog, state, None);
        leg.described = invite.sdp;
        let others = elsewhere.is_some();
        leg.elsewhere = elsewhere;
        self.legs.insert(id, leg);
        if others {
            self.try_for_a_while(now, id);
        }
    }

    /// Sends the INVITE that begins this dialog.
    pub(super) fn send_invite(&mut self, now: Time, invite: &Invite, dialog: &Dialog) -> Key {
        let (branch, builder) =
            in_dialog(&mut self.layer, dialog, &Method::Invite, dialog.local_cseq);
        let builder = builder
            .header(HeaderName::Contact, self.layer.local.contact_in(dialog))
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, SUPPORTED);
        let builder = session::ask(builder, &self.layer.config.dialogs);
        let bytes = with_headers(builder, &invite.headers)
            .body("application/sdp", &invite.sdp)
            .finish();
        self.layer.request(
            now,
            dialog.peer,
            &branch,
            &Method::Invite,
            bytes,
            Purpose::Invite(invite.leg),
        )
    }

    /// A call that cannot be placed.
    pub(super) fn never_was(&mut self, id: LegId, cause: Cause) {
        self.layer.emit(Event::Gone {
            leg: id,
            cause,
            reason: None,
        });
    }

    /// Where a call goes; `None` while that is asked for.
    fn way(&mut self, now: Time, invite: &Invite) -> Result<Option<Way>, Cause> {
        match &invite.target {
            Target::User(user) => {
                let binding = self.registrar.best(user).ok_or(Cause::NotRegistered)?;
                Ok(Some(self.to_binding(user, binding)))
            }
            Target::Binding { user, uri } => {
                let mut bindings = self.registrar.of(user).iter();
                let binding = bindings.find(|binding| binding.uri == **uri);
                let binding = binding.ok_or(Cause::NotRegistered)?;
                Ok(Some(self.to_binding(user, binding)))
            }
            Target::Uri(uri) => {
                let Some((peer, more)) = self.toward_uri(now, uri, invite)? else {
                    return Ok(None);
                };
                Ok(Some(Way {
                    uri: uri.to_string(),
                    to: format!("<{uri}>"),
                    peer,
                    routes: Vec::new(),
                    natted: false,
                    from: None,
                    identity: Vec::new(),
                    account: None,
                    more,
                }))
            }
            Target::Trunks(ways) => {
                for through in ways.iter() {
                    match self.through(now, invite, through) {
                        Err(Cause::Unreachable) => {}
                        way => return way,
                    }
                }
                Err(Cause::Unreachable)
            }
        }
    }

    fn to_binding(&self, user: &str, binding: &Binding) -> Way {
        let peer = match binding.path.first() {
            Some(_) => binding.peer,
            None => dialog::direct_hop(&binding.uri, binding.peer, true),
        };
        let realm = &self.layer.config.realm;
        Way {
            uri: binding.uri.clone(),
            to: format!("<sip:{}@{realm}>", escape_user(user)),
            peer,
            routes: binding.path.clone(),
            natted: true,
            from: None,
            identity: Vec::new(),
            account: None,
            more: Vec::new(),
        }
    }

    /// The way by one trunk, if that has one.
    fn through(
        &mut self,
        now: Time,
        invite: &Invite,
        through: &Through,
    ) -> Result<Option<Way>, Cause> {
        let config = self.layer.config.clone();
        let trunk = config
            .trunks
            .iter()
            .find(|trunk| trunk.name == through.trunk)
            .ok_or(Cause::Unreachable)?;
        let carrier = trunk.carrier.as_ref().ok_or(Cause::Unreachable)?;
        let Some((peer, more)) = self.toward_uri(now, &carrier.next_hop, invite)? else {
            return Ok(None);
        };
        let hops = more.iter().map(|hop| hop.remote.ip());
        let hops = std::iter::once(peer.remote.ip()).chain(hops);
        self.layer.wallet.goes_to(&through.trunk, hops);
        let uri = format!("sip:{}@{}", escape_user(&through.number), carrier.domain);
        Ok(Some(Way {
            to: format!("<{uri}>"),
            uri,
            peer,
            routes: Vec::new(),
            natted: false,
            from: Some((through.caller.clone(), carrier.domain.clone())),
            identity: asserted(
                trunk.trust,
                &through.caller,
                &carrier.domain,
                invite.private,
            ),
            account: Some(through.trunk.clone()),
            more,
        }))
    }

    /// The first of a URI's servers, and the others; `None` when the call is held until the DNS has answered.
    fn toward_uri(
        &mut self,
        now: Time,
        uri: &str,
        invite: &Invite,
    ) -> Result<Option<(Peer, Vec<Hop>)>, Cause> {
        match self.seek(now, uri, Seeker::Call(invite.leg)) {
            Sought::Hops(mut hops) if !hops.is_empty() => {
                let first = hops.remove(0);
                Ok(Some((self.toward(&first), hops)))
            }
            Sought::Asked => {
                self.hops.hold(invite);
                Ok(None)
            }
            Sought::Hops(_) | Sought::Nowhere => Err(Cause::Unreachable),
        }
    }

    fn calling_dialog(&mut self, invite: &Invite, way: Way) -> Dialog {
        let tag = self.layer.keys.tag();
        let (from_user, host) = match &way.from {
            // RFC 3323 section 4.1.1.3.
            _ if invite.private => ("", "anonymous.invalid"),
            Some((user, host)) => (user.as_str(), host.as_str()),
            None => (&*invite.from_user, &*self.layer.config.realm),
        };
        let user = if from_user.is_empty() {
            ANONYMOUS
        } else {
            from_user
        };
        let unnamed = invite.private.then_some("Anonymous");
        let display = invite
            .from_display
            .as_deref()
            .or(unnamed)
            .map(|name| format!("{} ", quoted(name)))
            .unwrap_or_default();
        Dialog {
            local: format!("{display}<sip:{}@{host}>;tag={tag}", escape_user(user)),
            call_id: self.layer.keys.call_id(),
            local_tag: tag,
            remote_tag: String::new(),
            remote: way.to,
            secure: dialog::is_secure(&way.uri),
            target: way.uri,
            routes: way.routes,
            local_cseq: 1,
            remote_cseq: None,
            rseq: 0,
            peer: way.peer,
            we_called: true,
            natted: way.natted,
            account: way.account,
        }
    }

    pub(super) fn invite_response(
        &mut self,
        now: Time,
        id: LegId,
        key: Key,
        sent: &Sent,
        message: &Message,
    ) {
        match message.status().unwrap_or_default() {
            ..200 => self.provisional(now, id, message),
            200..300 => self.accepted(now, id, key, sent, message),
            status => {
                let mended = status == 422 && self.ask_longer(now, id, sent, message);
                if !mended {
                    self.rejected(now, id, message);
                }
            }
        }
    }

    /// 422: the call again, with the interval that they want at least (RFC 4028 section 7.3).
    fn ask_longer(&mut self, now: Time, id: LegId, sent: &Sent, response: &Message) -> bool {
        let Ok(asked) = Message::parse(sent.request.clone()) else {
            return false;
        };
        session::longer(&asked, response)
            .is_some_and(|changes| self.invite_again(now, id, sent, &changes))
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
        let status = message.status().unwrap_or_default();
        if status == 100 {
            return self.layer.emit(Event::Trying { leg: id });
        }
        // An early dialog; another fork's may follow, the 2xx decides.
        if !leg.enter(message) {
            return self.layer.count("forks_full");
        }
        self.resolve_confirmed(now, id, message);
        let Some(reliable) = self.acknowledge_provisional(now, id, message) else {
            return;
        };
        if let Some(leg) = self.legs.get_mut(&id) {
            let able = Able::of(message);
            leg.able.update |= able.update;
            leg.able.talk |= able.talk;
            leg.heard_early(message, reliable);
        }
        self.layer.emit(Event::Ringing {
            leg: id,
            status,
            sdp: sdp_of(message),
        });
    }

    /// A 2xx: ACK at once; then it is the answer, or it crosses our CANCEL, or it is another fork's.
    fn accepted(&mut self, now: Time, id: LegId, key: Key, sent: &Sent, message: &Message) {
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
        let tag = tag.to_owned();
        leg.choose(&tag);
        confirm(&mut leg.dialog, message);
        leg.able = Able::of(message);
        self.resolve_confirmed(now, id, message);
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        // Requests in the early dialog may have counted on.
        let cseq = message.cseq().map_or(1, |(number, _)| number);
        let (_, ack) = in_dialog(&mut self.layer, &leg.dialog, &Method::Ack, cseq);
        let ack = self.layer.signed_like(ack, &leg.dialog, &sent.request);
        self.layer.ack(key, &tag, ack.finish(), leg.dialog.peer);
        if let Some(alarm) = leg.alarm.take() {
            self.layer.timers.cancel(alarm);
        }
        // What was answered early need not be answered again.
        let sdp = sdp_of(message).or_else(|| leg.early_description());
        leg.early = None;
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
            self.session_answered(now, id, message);
            self.layer.emit(Event::Answered { leg: id, sdp, peer });
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
        let (_, mut ack) = in_dialog(&mut self.layer, &dialog, &Method::Ack, cseq);
        if let Some(other) = self.layer.first_ack(key)
            && dialog.peer.remote.ip() == peer.remote.ip()
        {
            ack = copy_credentials(ack, &other);
        }
        let tag = dialog.remote_tag.clone();
        self.layer.ack(key, &tag, ack.finish(), dialog.peer);
        if bye {
            self.layer.count("stray_fork");
            send_bye(&mut self.layer, now, &mut dialog, None, Purpose::Loose);
        }
    }

    fn rejected(&mut self, now: Time, id: LegId, message: &Message) {
        if message.status() == Some(503) && self.try_elsewhere(now, id) {
            return;
        }
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
        self.gone_because(id, cause, reason_of(message));
    }

    /// Nothing came of an INVITE: no response, none after the CANCEL, or no way to send.
    pub(super) fn invite_failed(&mut self, now: Time, id: LegId, cause: Cause) {
        if self.try_elsewhere(now, id) {
            return;
        }
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

/// What a trunk is told of the caller beside From: one that we trust hears the number in any case, and that it must go no further (RFC 3325 sections 7 and 9.3).
fn asserted(trust: Trust, number: &str, domain: &str, private: bool) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    if trust == Trust::Full && !number.is_empty() {
        let identity = format!("<sip:{}@{domain}>", escape_user(number));
        headers.push(("P-Asserted-Identity".to_owned(), identity));
        if private {
            headers.push(("Privacy".to_owned(), "id".to_owned()));
        }
    }
    headers
}

/// The dialog as a 2xx to our INVITE makes it (section 12.1.2).
pub fn confirm(dialog: &mut Dialog, message: &Message) {
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
        rseq: 0,
        peer,
        we_called: true,
        natted: false,
        secure: false,
        account: None,
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
