//! Who may: digest, trunks by address, and the identical challenge for everyone else.
//!
//! The rule, in this order: a From that names one of our users is always challenged, even from a trunk's address, so that
//! nobody is an agent by saying so; then the source address decides; whoever is left gets the same challenge as an agent would.
//! A wrong password and an unknown user cost the same work and get the same answer.

use std::net::IpAddr;
use std::sync::Arc;

use clock::Time;

use super::Endpoint;
use crate::api::{Access, Auth, Config, Credentials, Identity, Peer};
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
            if let Some(trunk) = trunk_of(&config, peer.remote.ip(), self.flows.names(peer.flow)) {
                return Access::Granted(Identity::Trunk(trunk.name.clone()));
            }
            self.layer.count("unknown_source");
        }
        self.authenticate(now, message, method)
    }

    /// Judges a request by its digest alone.
    pub(super) fn authenticate(&mut self, now: Time, message: &Message, method: &Method) -> Access {
        let config = self.layer.config.clone();
        match judge(&config, &mut self.nonces, now, message, method) {
            Ok(user) => Access::Granted(Identity::User(user)),
            Err(auth) => Access::Challenge(auth),
        }
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
        let nonce = self.nonces.issue(now);
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

/// The trunk that a source address belongs to, or a verified certificate.
fn trunk_of<'a>(config: &'a Config, source: IpAddr, names: &[Arc<str>]) -> Option<&'a Trunk> {
    config
        .trunks
        .iter()
        .find(|trunk| trunk.is_source(source, names))
}

fn judge(
    config: &Config,
    nonces: &mut digest::NonceBook,
    now: Time,
    message: &Message,
    method: &Method,
) -> Result<Arc<str>, Auth> {
    // A phone may carry credentials for several realms, and answers to several algorithms.
    let ours = message
        .headers(HeaderName::Authorization)
        .filter_map(|value| DigestResponse::parse(value).ok())
        .find(|response| {
            response.realm == config.realm && config.digest.contains(&response.algorithm)
        });
    let Some(response) = ours else {
        return Err(match message.header(HeaderName::Authorization) {
            Some(_) => Auth::Wrong,
            None => Auth::Missing,
        });
    };
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
    match nonces.redeem(&response.nonce, response.nc, now) {
        NonceVerdict::Fresh => Ok(user.clone()),
        // A nonce of before our restart with a right response: the phone knows the password and need not ask for it again.
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
