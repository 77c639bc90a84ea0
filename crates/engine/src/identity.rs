//! What a call said of its caller and of the way that it came, as a fact about the contact; and who is shown the caller's number.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sip::identity::ANONYMOUS;

use crate::api::Config;
use crate::contact::Contact;
use crate::event::Direction;

/// What a trunk said of a call beside its two numbers. Personal as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalling {
    /// P-Asserted-Identity (RFC 3325), of trusted trunks alone: E.164 where valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asserted: Option<String>,
    /// P-Called-Party-ID (RFC 7315).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_party: Option<String>,
    /// Diversion (RFC 5806), the latest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diversions: Vec<Diversion>,
    /// History-Info (RFC 7044).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Stop>,
}

/// One time that the call was sent on before it came here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// Who sent it on.
    pub from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u32>,
}

/// One target that the call has had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    pub target: String,
    pub index: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Signalling {
    /// What was signalled, its numbers read as those of a country; `None` when there was nothing.
    pub(crate) fn of(signalled: &sip::Signalled, country: &str) -> Option<Arc<Signalling>> {
        let number = |text: &String| crm::Number::parse(text, country).key().to_owned();
        let diversion = |one: &sip::identity::Diversion| Diversion {
            from: number(&one.from),
            reason: one.reason.clone(),
            counter: one.counter,
        };
        let stop = |one: &sip::identity::Stop| Stop {
            target: number(&one.target),
            index: one.index.clone(),
            reason: one.reason.clone(),
        };
        let signalling = Signalling {
            asserted: signalled.asserted.as_ref().map(number),
            called_party: signalled.called_party.as_ref().map(number),
            diversions: signalled.diversions.iter().map(diversion).collect(),
            history: signalled.history.iter().map(stop).collect(),
        };
        (signalling != Signalling::default()).then(|| Arc::new(signalling))
    }

    /// The same without who calls.
    pub fn without_caller(&self) -> Signalling {
        Signalling {
            asserted: None,
            ..self.clone()
        }
    }
}

impl Contact {
    /// The caller's number is not for the agents: the caller wants it so, and the centre does not think otherwise.
    pub(crate) fn hides_number(&self, config: &Config) -> bool {
        self.withheld && self.direction == Direction::Inbound && !config.show_withheld
    }

    /// The number as agents see it; `None` when it is withheld.
    pub(crate) fn number_shown(&self, config: &Config) -> Option<String> {
        (!self.hides_number(config)).then(|| self.ani.key().to_owned())
    }

    /// The number as flows know it.
    pub(crate) fn number_in_flow(&self, config: &Config) -> String {
        self.number_shown(config)
            .unwrap_or_else(|| ANONYMOUS.to_owned())
    }

    /// What was signalled, as agents see it.
    pub(crate) fn signalling_shown(&self, config: &Config) -> Option<Arc<Signalling>> {
        let signalling = self.signalling.as_ref()?;
        if !self.hides_number(config) || signalling.asserted.is_none() {
            return Some(signalling.clone());
        }
        let rest = signalling.without_caller();
        (rest != Signalling::default()).then(|| Arc::new(rest))
    }
}
