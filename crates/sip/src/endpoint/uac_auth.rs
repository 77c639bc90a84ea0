//! Digest as a client (RFC 3261 section 22.2, RFC 7616): who gets our password, and how little of it.
//!
//! An account answers its trunk alone: a challenge to a request of ours, in a dialog that we made by that trunk, from the hop that the trunk's requests go to,
//! with the trunk's realm. All else gets nothing: a challenge in a dialog where we were called is an attempt to have us sign somebody's call (ES2021-05).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use clock::Time;

use super::Endpoint;
use super::keys::Key;
use super::layer::{Layer, Purpose};
use super::leg::{Hangup, State};
use crate::api::{Algorithm, LegId, Peer};
use crate::dialog::Dialog;
use crate::digest::{self, ClientAuth, DigestChallenge, DigestResponse};
use crate::message::{Builder, HeaderName, Message, Method};
use crate::trunk::{Account, Trunk};

/// Servers of one next hop that are believed to be the trunk's.
const HOPS_MAX: usize = 16;

/// What we have been asked by each trunk, so that the next request needs no round trip.
#[derive(Debug, Default)]
pub struct Wallet {
    held: BTreeMap<Arc<str>, Held>,
    /// Where the requests of each trunk go, as its next hop was last resolved.
    hops: BTreeMap<Arc<str>, Vec<IpAddr>>,
}

/// The last challenge of a trunk, and the count of its nonce.
#[derive(Debug)]
struct Held {
    challenge: DigestChallenge,
    /// 407: the answer goes into Proxy-Authorization.
    proxy: bool,
    nc: u32,
}

impl Wallet {
    /// Where a trunk's requests go.
    pub fn goes_to(&mut self, trunk: &Arc<str>, hops: impl Iterator<Item = IpAddr>) {
        let hops = hops.take(HOPS_MAX).collect();
        self.hops.insert(trunk.clone(), hops);
    }

    /// A trunk that is gone, or has another account.
    pub fn forget(&mut self, trunk: &str) {
        self.held.remove(trunk);
    }

    /// Whether this request carried the first answer to a challenge.
    fn is_first_answer(&self, trunk: &str, request: &Message) -> bool {
        let sent = request
            .header(HeaderName::Authorization)
            .or_else(|| request.header(HeaderName::ProxyAuthorization));
        let Some(sent) = sent else { return false };
        match DigestResponse::parse(sent) {
            Ok(response) => response.nc == 1,
            // Without `qop` there is no count on the wire.
            Err(_) => self.held.get(trunk).is_none_or(|held| held.nc <= 1),
        }
    }

    /// The header for a request, if the trunk has asked before.
    fn line(
        &mut self,
        trunk: &str,
        account: &Account,
        method: &Method,
        uri: &str,
        cnonce: &str,
    ) -> Option<(HeaderName, String)> {
        let held = self.held.get_mut(trunk)?;
        held.nc += 1;
        let ha1 = ha1(account, &held.challenge.realm, held.challenge.algorithm);
        let credentials = ClientAuth {
            challenge: &held.challenge,
            username: &account.username,
            ha1: &ha1,
            method,
            uri,
            nc: held.nc,
            cnonce,
        };
        let name = match held.proxy {
            true => HeaderName::ProxyAuthorization,
            false => HeaderName::Authorization,
        };
        Some((name, credentials.to_string()))
    }
}

/// Puts the credentials of a request of ours into an ACK that belongs to it: an ACK cannot be challenged, and who has checked the one checks the other.
pub fn copy_credentials(ack: Builder, request: &Bytes) -> Builder {
    match Message::parse(request.clone()) {
        Ok(request) => ack
            .copy(&request, HeaderName::Authorization)
            .copy(&request, HeaderName::ProxyAuthorization),
        Err(_) => ack,
    }
}

fn ha1(account: &Account, realm: &str, algorithm: Algorithm) -> String {
    digest::ha1(&account.username, realm, &account.password.0, algorithm)
}

impl Layer {
    fn trunk(&self, name: &str) -> Option<&Trunk> {
        self.config.trunks.iter().find(|trunk| *trunk.name == *name)
    }

    /// Credentials for a request by a trunk, when it has asked before.
    pub fn credentials(
        &mut self,
        trunk: &str,
        method: &Method,
        uri: &str,
    ) -> Option<(HeaderName, String)> {
        if !self.wallet.held.contains_key(trunk) {
            return None;
        }
        let config = self.config.clone();
        let trunk = config.trunks.iter().find(|known| *known.name == *trunk)?;
        let account = trunk.carrier.as_ref()?.account.as_ref()?;
        let cnonce = self.keys.tag();
        self.wallet.line(&trunk.name, account, method, uri, &cnonce)
    }

    /// The ACK of a 2xx: with the credentials of its INVITE (section 22.1), if it goes where those went.
    pub fn signed_like(&self, ack: Builder, dialog: &Dialog, invite: &Bytes) -> Builder {
        match &dialog.account {
            Some(trunk) if self.is_hop(trunk, &dialog.peer) => copy_credentials(ack, invite),
            Some(_) | None => ack,
        }
    }

    /// The same for a request in a dialog; an ACK or CANCEL cannot be challenged (section 22.1).
    pub fn credentials_in(
        &mut self,
        dialog: &Dialog,
        method: &Method,
        uri: &str,
    ) -> Option<(HeaderName, String)> {
        let trunk = dialog.account.clone()?;
        if matches!(method, Method::Ack | Method::Cancel) || !self.is_hop(&trunk, &dialog.peer) {
            return None;
        }
        self.credentials(&trunk, method, uri)
    }

    /// Whether requests of this trunk go to this peer: what a Contact or a Record-Route led elsewhere is not the trunk.
    pub fn is_hop(&self, trunk: &str, peer: &Peer) -> bool {
        let ip = peer.remote.ip();
        let hops = self.wallet.hops.get(trunk);
        hops.is_some_and(|hops| hops.contains(&ip))
            || self
                .trunk(trunk)
                .is_some_and(|trunk| trunk.is_source(ip, &[]))
    }
}

impl Endpoint {
    /// Sends a challenged request again with credentials. False when the challenger gets none: then the refusal stands.
    pub(super) fn answer_challenge(
        &mut self,
        now: Time,
        key: Key,
        purpose: Purpose,
        request: &Bytes,
        response: &Message,
    ) -> bool {
        let Some(trunk) = self.account_of(purpose) else {
            return false;
        };
        let Some(peer) = self.layer.peer_of(key) else {
            return false;
        };
        let Some((challenge, proxy)) = self.challenge_of(&trunk, &peer, response) else {
            return false;
        };
        let Ok(request) = Message::parse(request.clone()) else {
            return false;
        };
        // Refused with credentials for a challenge that we had just been given: the password is wrong, and trying again would lock the account.
        // A nonce that has been used before may have run out, whether it is called stale or not.
        if self.layer.wallet.is_first_answer(&trunk, &request) {
            self.layer.wallet.forget(&trunk);
            self.layer.count("credentials_refused");
            return false;
        }
        let held = Held {
            challenge,
            proxy,
            nc: 0,
        };
        self.layer.wallet.held.insert(trunk.clone(), held);
        self.again_with_credentials(now, purpose, &trunk, peer, &request)
    }

    /// The trunk whose account may answer for this request.
    fn account_of(&mut self, purpose: Purpose) -> Option<Arc<str>> {
        match purpose {
            Purpose::Register(index) | Purpose::Options(index) => self.trunks.name(index),
            Purpose::Invite(leg)
            | Purpose::Reinvite(leg)
            | Purpose::Update(leg)
            | Purpose::Refresh(leg)
            | Purpose::Bye(leg)
            | Purpose::Info(leg)
            | Purpose::Prack(leg)
            | Purpose::Refer(leg)
            | Purpose::Notify(leg) => {
                let account = self.legs.get(&leg)?.dialog.account.clone();
                if account.is_none() {
                    self.layer.count("foreign_challenge");
                }
                account
            }
            Purpose::Phone(_) | Purpose::PickUp | Purpose::Abandoned | Purpose::Loose => None,
        }
    }

    /// The challenge that the account answers: the first of its realm that we can (RFC 8760 section 2.4), from where its requests go.
    fn challenge_of(
        &mut self,
        trunk: &str,
        peer: &Peer,
        response: &Message,
    ) -> Option<(DigestChallenge, bool)> {
        let config = self.layer.config.clone();
        let known = config.trunks.iter().find(|known| *known.name == *trunk)?;
        let account = known.carrier.as_ref()?.account.as_ref()?;
        let proxy = response.status() == Some(407);
        let name = match proxy {
            true => HeaderName::ProxyAuthenticate,
            false => HeaderName::WwwAuthenticate,
        };
        let challenge = response
            .headers(name)
            .filter_map(|value| DigestChallenge::parse(value).ok())
            .find(|challenge| challenge.realm == account.realm);
        match challenge {
            Some(challenge) if self.layer.is_hop(trunk, peer) => Some((challenge, proxy)),
            Some(_) | None => {
                self.layer.count("foreign_challenge");
                None
            }
        }
    }

    /// The same request with the next CSeq, a branch of its own and credentials (section 22.2).
    fn again_with_credentials(
        &mut self,
        now: Time,
        purpose: Purpose,
        trunk: &str,
        peer: Peer,
        request: &Message,
    ) -> bool {
        let Some(method) = request.method().cloned() else {
            return false;
        };
        let Some(cseq) = self.next_cseq_of(purpose, request) else {
            return false;
        };
        let uri = request.request_uri_raw().to_owned();
        let Some((name, value)) = self.layer.credentials(trunk, &method, &uri) else {
            return false;
        };
        let branch = self.layer.keys.branch();
        let via = self.layer.local.via(&peer, &branch);
        let mut builder = Builder::request(&method, &uri).header(HeaderName::Via, via);
        for (line, value) in request.lines() {
            match HeaderName::of(line.as_bytes()) {
                HeaderName::Via
                | HeaderName::CSeq
                | HeaderName::Authorization
                | HeaderName::ProxyAuthorization
                | HeaderName::ContentLength
                | HeaderName::ContentType => {}
                _ => builder = builder.raw_header(line, value),
            }
        }
        builder = builder
            .header(HeaderName::CSeq, format_args!("{cseq} {method}"))
            .header(name, value);
        let bytes = match request.header(HeaderName::ContentType) {
            Some(kind) => builder.body(kind, &request.body()),
            None => builder,
        }
        .finish();
        let key = self
            .layer
            .request(now, peer, &branch, &method, bytes, purpose);
        if let Purpose::Invite(leg) = purpose {
            self.calls_again(leg, key);
        }
        true
    }

    /// The CSeq of another try; `None` when nobody wants one any more.
    fn next_cseq_of(&mut self, purpose: Purpose, request: &Message) -> Option<u32> {
        match purpose {
            Purpose::Register(_) | Purpose::Options(_) => {
                let next = request.cseq().ok()?.0 + 1;
                self.trunk_cseq(purpose, next);
                Some(next)
            }
            Purpose::Invite(leg) => {
                let leg = self.legs.get_mut(&leg)?;
                let State::Calling {
                    hangup: Hangup::No, ..
                } = leg.state
                else {
                    return None;
                };
                // The refusal's To tag names no dialog.
                leg.dialog.remote_tag.clear();
                Some(leg.dialog.next_cseq())
            }
            Purpose::Reinvite(leg)
            | Purpose::Update(leg)
            | Purpose::Refresh(leg)
            | Purpose::Bye(leg)
            | Purpose::Info(leg)
            | Purpose::Prack(leg)
            | Purpose::Refer(leg)
            | Purpose::Notify(leg) => Some(self.legs.get_mut(&leg)?.dialog.next_cseq()),
            Purpose::Phone(_) | Purpose::PickUp | Purpose::Abandoned | Purpose::Loose => None,
        }
    }

    fn calls_again(&mut self, id: LegId, tx: Key) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        if let Some(alarm) = leg.alarm.take() {
            self.layer.timers.cancel(alarm);
        }
        leg.state = State::Calling {
            tx,
            provisional: false,
            hangup: Hangup::No,
        };
    }
}
