//! Which legs are encrypted (SRTP, RFC 3711), and with keys of whose making.
//!
//! The keys are in the descriptions (RFC 4568), so that whoever reads the signalling can listen. They go over TLS alone therefore, unless the
//! configuration says that the network below is safe (section 7.1.6 of the RFC wants no less). A phone that insists on encryption over a hop that others
//! can read is refused: a padlock on its display would be a lie.

use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use sip::sdes::{Key, Srtp, Suite};
use sip::{Identity, Incoming, LegId, Target};

use crate::Engine;
use crate::api::Config;
use crate::contact::Leg;

/// What is done about encryption where no agent and no trunk says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    pub srtp: Srtp,
    /// Keys may go over hops that are not encrypted themselves.
    pub keys_in_clear: bool,
}

/// Where keys come from.
#[derive(Debug)]
pub(crate) struct Secrets(ChaCha12Rng);

impl Secrets {
    /// Of the same seed as the tags and branches that everybody sees, and of another stream of it, which tells nothing of this one.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        random.set_stream(1);
        Secrets(random)
    }

    /// Short-term credentials of ICE: 48 bits say whose, 144 bits say that it is them (RFC 8445 section 5.3 wants 24 and 128).
    pub(crate) fn credentials(&mut self) -> (Box<str>, Box<str>) {
        let mut octets = [0; 24];
        self.0.fill_bytes(&mut octets);
        let hex = |octets: &[u8]| -> Box<str> {
            let text: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
            text.into()
        };
        (hex(&octets[..6]), hex(&octets[6..]))
    }

    /// A key for each suite.
    fn keys(&mut self) -> Box<[Key]> {
        let key = |suite| {
            let mut octets = [0; 44];
            self.0.fill_bytes(&mut octets);
            Key::new(suite, &octets)
        };
        Suite::ALL.map(key).into()
    }
}

impl Config {
    fn srtp_of_agent(&self, agent: &str) -> Srtp {
        let account = self.agents.get(agent);
        account
            .and_then(|account| account.srtp)
            .unwrap_or(self.encryption.srtp)
    }

    fn srtp_of_trunk(&self, trunk: &Arc<str>) -> Srtp {
        let inbound = self.inbound.get(trunk);
        inbound
            .and_then(|inbound| inbound.srtp)
            .unwrap_or(self.encryption.srtp)
    }
}

impl Engine {
    /// What a leg that calls us does about encryption: as its agent or trunk is set.
    pub(crate) fn secure_incoming(&mut self, record: &mut Leg, incoming: &Incoming) {
        record.srtp = match &incoming.identity {
            Identity::User(user) => self.config.srtp_of_agent(user),
            Identity::Trunk(trunk) => self.config.srtp_of_trunk(trunk),
        };
        record.keys = self.keys_for(record.srtp, incoming.peer.transport.is_secure());
    }

    /// The same of a leg that we call. Where several trunks may be tried, the strictest of them decides.
    pub(crate) fn secure_outgoing(&mut self, leg: LegId, target: &Target) {
        let srtp = match target {
            Target::Trunks(ways) => {
                let all = || ways.iter().map(|way| self.config.srtp_of_trunk(&way.trunk));
                let is = |wanted| all().any(|srtp| srtp == wanted);
                match (is(Srtp::Required), is(Srtp::Off)) {
                    (true, _) => Srtp::Required,
                    (false, true) => Srtp::Off,
                    (false, false) => Srtp::Optional,
                }
            }
            Target::User(agent) | Target::Binding { user: agent, .. } => {
                self.config.srtp_of_agent(agent)
            }
            Target::Uri(_) => {
                let party = self.legs.get(&leg).and_then(|leg| leg.party.as_deref());
                let agent = party.and_then(|party| party.strip_prefix("agent:"));
                self.config.srtp_of_agent(agent.unwrap_or_default())
            }
        };
        let keys = self.keys_for(srtp, self.sip.is_private(target));
        if let Some(leg) = self.legs.get_mut(&leg) {
            (leg.srtp, leg.keys) = (srtp, keys);
        }
    }

    fn keys_for(&mut self, srtp: Srtp, private: bool) -> Box<[Key]> {
        let may = private || self.config.encryption.keys_in_clear;
        match srtp {
            Srtp::Optional | Srtp::Required if may => self.secrets.keys(),
            Srtp::Off | Srtp::Optional | Srtp::Required => Box::default(),
        }
    }

    /// A far end that takes a new key gets a new one of ours: it may begin to count anew, both ways (RFC 4568 section 7.1.4).
    pub(crate) fn renew_keys(&mut self, leg: LegId) {
        let keys = self.secrets.keys();
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.keys = keys;
        }
    }
}

/// Where browsers come: told by the edge when it listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Door {
    /// By plane.
    pub ports: Vec<u16>,
    /// SHA-256 of our certificate.
    pub fingerprint: [u8; 32],
}

/// A leg's credentials of ICE.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) ufrag: Box<str>,
    pub(crate) password: Box<str>,
}

impl Engine {
    /// Credentials for a leg whose far end is a browser: an offer of its profile, or whom we call is one.
    pub(crate) fn admit_browser(&mut self, leg: LegId) {
        let (ufrag, password) = self.secrets.credentials();
        if let Some(leg) = self.legs.get_mut(&leg) {
            leg.ice = Some(Credentials { ufrag, password });
        }
    }

    /// Our end of a leg of a browser.
    pub(crate) fn door_of<'a>(&'a self, record: &'a Leg) -> Option<sip::webrtc::Door<'a>> {
        let (door, ice) = (self.door.as_ref()?, record.ice.as_ref()?);
        Some(sip::webrtc::Door {
            port: *door.ports.get(usize::from(record.port?.plane))?,
            fingerprint: &door.fingerprint,
            ufrag: &ice.ufrag,
            password: &ice.password,
        })
    }
}

/// What was agreed on, as media wants it.
pub(crate) fn in_media(agreed: &sip::sdes::Agreed) -> media::srtp::Keys {
    let master = |key: &Key| media::srtp::Master::new(key.octets());
    media::srtp::Keys {
        suite: match agreed.ours.suite() {
            Suite::AesCm80 => media::srtp::Suite::AesCm80,
            Suite::AesCm32 => media::srtp::Suite::AesCm32,
            Suite::Gcm128 => media::srtp::Suite::Gcm128,
            Suite::Gcm256 => media::srtp::Suite::Gcm256,
        },
        ours: master(&agreed.ours),
        theirs: master(&agreed.theirs),
    }
}
