//! One agent's registration: REGISTER, the digest's challenge, refreshes, and the end (RFC 3261 section 10.2, RFC 7616).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clock::Time;
use server::config::credential::demo_password;
use sip::digest::{ClientAuth, DigestChallenge, ha1};
use sip::message::{Builder, HeaderName, Message, Method};

/// What is asked for, and when it is asked for again: before nonces of the default life are stale.
const EXPIRES: Duration = Duration::from_secs(600);
const REFRESH: Duration = Duration::from_secs(240);
/// Retransmission as of a non-INVITE over UDP: T1, doubled up to T2, for 64 T1 (RFC 3261 section 17.1.2).
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const TRIES: u32 = 10;
/// The pause after a refusal or no answer at all.
const PAUSE: Duration = Duration::from_secs(10);
/// Challenges answered in a row without success.
const CHALLENGES_MAX: u32 = 3;

/// See the module.
pub struct Registration {
    user: String,
    address: SocketAddr,
    centre: SocketAddr,
    /// Makes Call-ID, branches and the client's nonces this run's own.
    salt: u64,
    cseq: u32,
    challenge: Option<DigestChallenge>,
    /// Requests with the challenge's nonce.
    uses: u32,
    challenged: u32,
    /// False: unregister.
    wanted: bool,
    state: State,
}

enum State {
    /// Nothing to do until then.
    Settled { until: Time },
    Asked {
        request: Bytes,
        tries: u32,
        again: Time,
    },
    /// Unregistered, or given up: nothing more comes.
    Over,
}

impl Registration {
    /// Begins at `first`.
    pub fn new(
        user: String,
        address: SocketAddr,
        centre: SocketAddr,
        salt: u64,
        first: Time,
    ) -> Self {
        Registration {
            user,
            address,
            centre,
            salt,
            cseq: 0,
            challenge: None,
            uses: 0,
            challenged: 0,
            wanted: true,
            state: State::Settled { until: first },
        }
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes the binding back at once.
    pub fn end(&mut self, now: Time) {
        self.wanted = false;
        self.state = match self.cseq {
            0 => State::Over,
            _ => State::Settled { until: now },
        };
    }

    /// Whether an answer to REGISTER is this agent's.
    pub fn owns(&self, message: &Message) -> bool {
        message.call_id() == self.call_id()
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.state {
            State::Settled { until } => Some(*until),
            State::Asked { again, .. } => Some(*again),
            State::Over => None,
        }
    }

    /// What is to be sent now.
    pub fn handle_timeout(&mut self, now: Time) -> Option<Bytes> {
        match &mut self.state {
            State::Settled { until } if *until <= now => Some(self.ask(now)),
            State::Asked {
                request,
                tries,
                again,
            } if *again <= now => {
                if *tries == TRIES {
                    self.rest(now);
                    return None;
                }
                *tries += 1;
                *again = now + (T1 * 2u32.pow(*tries)).min(T2);
                Some(request.clone())
            }
            State::Settled { .. } | State::Asked { .. } | State::Over => None,
        }
    }

    /// Takes an answer; what is to be sent now, if anything.
    pub fn answered(&mut self, now: Time, message: &Message) -> Option<Bytes> {
        let State::Asked { .. } = self.state else {
            return None;
        };
        if message.cseq().map(|(cseq, _)| cseq) != Ok(self.cseq) {
            return None;
        }
        match message.status().unwrap_or_default() {
            0..200 => None,
            200..300 => {
                self.challenged = 0;
                self.state = match self.wanted {
                    true => State::Settled {
                        until: now + REFRESH,
                    },
                    false => State::Over,
                };
                None
            }
            401 if self.challenged < CHALLENGES_MAX => {
                self.challenged += 1;
                self.uses = 0;
                self.challenge = message
                    .headers(HeaderName::WwwAuthenticate)
                    .find_map(|value| DigestChallenge::parse(value).ok());
                match self.challenge {
                    Some(_) => Some(self.ask(now)),
                    None => {
                        self.rest(now);
                        None
                    }
                }
            }
            _ => {
                self.rest(now);
                None
            }
        }
    }

    fn rest(&mut self, now: Time) {
        self.challenged = 0;
        self.state = match self.wanted {
            true => State::Settled { until: now + PAUSE },
            false => State::Over,
        };
    }

    fn ask(&mut self, now: Time) -> Bytes {
        self.cseq += 1;
        self.uses += 1;
        let Registration {
            user,
            address,
            centre,
            salt,
            cseq,
            ..
        } = &*self;
        let registrar = format!("sip:{centre}");
        let expires = if self.wanted { EXPIRES.as_secs() } else { 0 };
        let mut builder = Builder::request(&Method::Register, &registrar)
            .header(
                HeaderName::Via,
                format_args!("SIP/2.0/UDP {address};branch=z9hG4bK{salt:016x}{user}{cseq};rport"),
            )
            .header(HeaderName::MaxForwards, 70)
            .header(
                HeaderName::From,
                format_args!("<sip:{user}@{}>;tag={salt:x}", centre.ip()),
            )
            .header(HeaderName::To, format_args!("<sip:{user}@{}>", centre.ip()))
            .header(HeaderName::CallId, self.call_id())
            .header(HeaderName::CSeq, format_args!("{cseq} REGISTER"))
            .header(HeaderName::Contact, format_args!("<sip:{user}@{address}>"))
            .header(HeaderName::Expires, expires);
        if let Some(challenge) = &self.challenge {
            let ha1 = ha1(
                user,
                &challenge.realm,
                &demo_password(user),
                challenge.algorithm,
            );
            let auth = ClientAuth {
                challenge,
                username: user,
                ha1: &ha1,
                method: &Method::Register,
                uri: &registrar,
                nc: self.uses,
                cnonce: &format!("{salt:x}{cseq}"),
            };
            builder = builder.header(HeaderName::Authorization, auth);
        }
        let request = builder.finish();
        self.state = State::Asked {
            request: request.clone(),
            tries: 0,
            again: now + T1,
        };
        request
    }

    fn call_id(&self) -> String {
        format!("{:016x}-{}", self.salt, self.user)
    }
}
