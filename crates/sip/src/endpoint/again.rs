//! An INVITE of ours that was refused for a reason that we can mend goes out once more: a new transaction of the same call.

use clock::Time;

use super::Endpoint;
use super::layer::{Purpose, Sent};
use super::leg::{Hangup, State};
use crate::api::LegId;
use crate::message::{Builder, HeaderName, Message, Method};

/// Tries of one call, the first among them: after a longer interval and an authentication there is nothing left to mend.
const TRIES_MAX: u32 = 4;

/// Headers that a try has of its own.
const OWN: [HeaderName; 4] = [
    HeaderName::Via,
    HeaderName::CSeq,
    HeaderName::ContentLength,
    HeaderName::ContentType,
];

impl Endpoint {
    /// Sends the INVITE of a leg that is still calling again: with its next CSeq (section 8.1.3.5), and these headers instead of those of
    /// the same names. False if the call has been tried often enough, or is being given up.
    pub(super) fn invite_again(
        &mut self,
        now: Time,
        id: LegId,
        sent: &Sent,
        changes: &[(HeaderName, String)],
    ) -> bool {
        let Ok(request) = Message::parse(sent.request.clone()) else {
            return false;
        };
        let Some(leg) = self.legs.get_mut(&id) else {
            return false;
        };
        let State::Calling {
            hangup: Hangup::No, ..
        } = leg.state
        else {
            return false;
        };
        if leg.dialog.local_cseq >= TRIES_MAX + leg.passed_over {
            return false;
        }
        // The refusal's To tag names no dialog.
        leg.dialog.remote_tag.clear();
        leg.early = None;
        let cseq = leg.dialog.next_cseq();
        let branch = self.layer.keys.branch();
        let peer = sent.peer;
        leg.dialog.peer = peer;
        let mut builder = Builder::request(&Method::Invite, request.request_uri_raw())
            .header(HeaderName::Via, self.layer.local.via(&peer, &branch));
        for (name, value) in request.lines() {
            let known = HeaderName::of(name.as_bytes());
            if !OWN.contains(&known) && !changes.iter().any(|(changed, _)| *changed == known) {
                builder = builder.raw_header(name, value);
            }
        }
        builder = builder.header(HeaderName::CSeq, format_args!("{cseq} INVITE"));
        for (name, value) in changes {
            builder = builder.header(*name, value);
        }
        let bytes = match request.header(HeaderName::ContentType) {
            Some(kind) => builder.body(kind, &request.body()),
            None => builder,
        }
        .finish();
        if let Some(alarm) = leg.alarm.take() {
            self.layer.timers.cancel(alarm);
        }
        let purpose = Purpose::Invite(id);
        let tx = self
            .layer
            .request(now, peer, &branch, &Method::Invite, bytes, purpose);
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.state = State::Calling {
                tx,
                provisional: false,
                hangup: Hangup::No,
            };
            if leg.elsewhere.is_some() {
                self.try_for_a_while(now, id);
            }
        }
        true
    }
}
