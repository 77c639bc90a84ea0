//! Who may: digest, trunks by address, and the identical challenge for everyone else.
//!
//! The rule, in this order: a From that names one of our users is always challenged, even from a trunk's address, so that
//! nobody is an agent by saying so; then the source address decides; whoever is left gets the same challenge as an agent would.
//! A wrong password and an unknown user cost the same work and get the same answer.

use std::net::IpAddr;
use std::sync::Arc;

use clock::Time;

use super::Endpoint;
use crate::api::{Access, Auth, Config, Credentials, Event, Identity, Peer};
use crate::digest::{self, DigestResponse, NonceVerdict};
use crate::message::{HeaderName, Message, Method};
use crate::trunk::Trunk;

/// HA1 that no password has (it is not hex): an unknown user's response is compared with it, for the same work.
const NOBODY: &str = "--------------------------------";

/// The opaque of our challenges: clients give it back, we need nothing in it.
const OPAQUE: &str = "cordboard";

impl Endpoint {
    /// Judges a request that is in no dialog and no REGISTER.
    pub(super) fn access(
        &mut self,
        now: Time,
        peer: &Peer,
        message: &Message,
        method: &Method,
    ) -> Access {
        let config = self.layer.config.clone();
        let from = message.from().ok().and_then(|from| from.uri.user());
        let claims_user = from.is_some_and(|user| config.users.contains_key(user.as_ref()));
        if !claims_user {
            if let Some(trunk) = self.trunk_of(&config, peer) {
                return Access::Granted(Identity::Trunk(trunk.name.clone()));
            }
            self.layer.count("unknown_source");
        }
        self.authenticate(now, peer, message, method)
    }

    /// The trunk that a source address belongs to, or a verified certificate. An address that is written down goes before one that a name has.
    fn trunk_of<'a>(&self, config: &'a Config, peer: &Peer) -> Option<&'a Trunk> {
        let (source, names) = (peer.remote.ip(), self.flows.names(peer.flow));
        let trunks = &config.trunks;
        let written = trunks.iter().find(|trunk| trunk.is_source(source, names));
        written.or_else(|| {
            let named = |trunk: &&Trunk| self.hosts.lead_to(trunk, source);
            trunks.iter().find(named)
        })
    }

    /// Judges a request by its digest alone.
    pub(super) fn authenticate(
        &mut self,
        now: Time,
        peer: &Peer,
        message: &Message,
        method: &Method,
    ) -> Access {
        let config = self.layer.config.clone();
        let Some(response) = credentials(&config, message) else {
            return Access::Challenge(match message.header(HeaderName::Authorization) {
                Some(_) => Auth::Wrong,
                None => Auth::Missing,
            });
        };
        let source = peer.remote.ip();
        let at_home = self.is_at_home(peer, &response.username);
        if !at_home && self.tries.is_barred(now, source, &response.username) {
            return Access::Barred;
        }
        match judge(&config, &mut self.nonces, now, source, &response, method) {
            Ok(user) => {
                self.tries.succeeded(source, &user);
                Access::Granted(Identity::User(user))
            }
            Err(auth) => {
                if matches!(auth, Auth::Wrong | Auth::UnknownUser)
                    && let Some(guesser) = self.tries.failed(now, source, &response.username)
                {
                    self.layer.emit(Event::Suspect(Box::new(guesser)));
                }
                Access::Challenge(auth)
            }
        }
    }

    /// The phone that this user has registered, by the very way that it did: no guesser beside it in its network keeps it out.
    fn is_at_home(&self, peer: &Peer, user: &str) -> bool {
        let mut bindings = self.registrar.of(user).iter();
        bindings.any(|binding| binding.peer == *peer)
    }

    /// A scanner that says its name; true when the configuration does not want it answered.
    pub(super) fn ignores(&mut self, now: Time, peer: &Peer, message: &Message) -> bool {
        let agent = message.header(HeaderName::UserAgent);
        let Some(agent) = agent.filter(|agent| is_scanner(agent)) else {
            return false;
        };
        self.layer.count("scanner");
        if let Some(scanner) = self.tries.scanned(now, peer.remote.ip(), agent) {
            self.layer.emit(Event::Suspect(Box::new(scanner)));
        }
        self.layer.config.silent_to_scanners
    }

    /// Sends the challenge of RFC 3261 section 22.1, one WWW-Authenticate for each algorithm, and keeps nothing.
    pub(super) fn challenge(&mut self, now: Time, peer: Peer, message: &Message, auth: Auth) {
        let counted = match auth {
            Auth::Missing => None,
            Auth::Wrong => Some("bad_digest"),
            Auth::UnknownUser => Some("unknown_user"),
            Auth::Stale => Some("stale_nonce"),
            Auth::Replayed => Some("nonce_replay"),
        };
        if let Some(what) = counted {
            self.layer.count(what);
        }
        let nonce = self.nonces.issue(now, peer.remote.ip());
        let config = self.layer.config.clone();
        self.layer.refuse(message, peer, 401, |mut builder| {
            for algorithm in &config.digest {
                let challenge = digest::challenge(
                    &config.realm,
                    &nonce,
                    OPAQUE,
                    auth == Auth::Stale,
                    *algorithm,
                );
                builder = builder.header(HeaderName::WwwAuthenticate, challenge);
            }
            builder
        });
    }
}

/// Words of the User-Agent of tools that look for what is open; who means harm and has some sense does not say so.
const SCANNERS: [&str; 9] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sundayddr",
    "sipcli",
    "sip-scan",
    "iwar",
    "pplsip",
    "vaxsipuseragent",
];

fn is_scanner(agent: &str) -> bool {
    let agent = agent.to_ascii_lowercase();
    SCANNERS.iter().any(|word| agent.contains(word))
}

/// The answer to our challenge. A phone may carry credentials for several realms, and answers to several algorithms.
fn credentials(config: &Config, message: &Message) -> Option<DigestResponse> {
    message
        .headers(HeaderName::Authorization)
        .filter_map(|value| DigestResponse::parse(value).ok())
        .find(|response| {
            response.realm == config.realm && config.digest.contains(&response.algorithm)
        })
}

fn judge(
    config: &Config,
    nonces: &mut digest::NonceBook,
    now: Time,
    source: IpAddr,
    response: &DigestResponse,
    method: &Method,
) -> Result<Arc<str>, Auth> {
    let (nonce, count) = (response.nonce.as_str(), response.nc);
    // No password is looked at unless its sender has heard our challenge just now: else whoever forges an address could guess unseen, and have the
    // address barred for it. `stale` is said whether the password was right or not (RFC 7616 section 3.3 wants it right): a phone that was challenged
    // before our restart, or at another address, tries once more by itself, and who guesses learns nothing.
    match nonces.peek(nonce, count, now, source) {
        NonceVerdict::Stale | NonceVerdict::Foreign => return Err(Auth::Stale),
        NonceVerdict::Fresh | NonceVerdict::Replayed => {}
    }
    let known = config.users.get_key_value(response.username.as_str());
    let ha1 = known.and_then(|(_, credentials)| ha1_of(credentials, response.algorithm));
    // The response covers its own `uri`, which need not be the Request-URI (RFC 3261 section 22.4): SIPp leaves the user out, forwarding rewrites it.
    // That a response is good for one request only is the nonce count's work.
    let right = response.verify(ha1.unwrap_or(NOBODY), method);
    let Some((user, _)) = known else {
        return Err(Auth::UnknownUser);
    };
    if !right || ha1.is_none() {
        return Err(Auth::Wrong);
    }
    match nonces.redeem(nonce, count, now, source) {
        NonceVerdict::Fresh => Ok(user.clone()),
        NonceVerdict::Stale | NonceVerdict::Foreign => Err(Auth::Stale),
        NonceVerdict::Replayed => Err(Auth::Replayed),
    }
}

fn ha1_of(credentials: &Credentials, algorithm: crate::api::Algorithm) -> Option<&str> {
    match algorithm {
        crate::api::Algorithm::Md5 => credentials.md5.as_deref(),
        crate::api::Algorithm::Sha256 => credentials.sha256.as_deref(),
    }
}
