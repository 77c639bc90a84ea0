//! How a trunk writes the numbers of its calls, and where those lead that are its alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::{Config, Route};

type Name = Arc<str>;

/// A trunk's calls to us.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inbound {
    /// Whose national numbers it speaks.
    pub country: Name,
    /// Numbers that lead elsewhere when they are called by this trunk: E.164, or as dialled.
    pub routes: BTreeMap<Name, Route>,
    /// Of its legs, both directions, in place of [`Encryption::srtp`](crate::secrecy::Encryption::srtp).
    pub srtp: Option<sip::sdes::Srtp>,
}

impl Config {
    /// Whose national numbers a trunk speaks: the node's country where it does not say.
    pub(crate) fn country_of(&self, trunk: Option<&Name>) -> &str {
        trunk
            .and_then(|trunk| self.inbound.get(trunk))
            .map_or(&self.country, |inbound| &inbound.country)
    }

    /// Where a number leads that a trunk calls: the trunk's own routes first, then everybody's; as dialled, then in E.164.
    pub(crate) fn route_by(&self, trunk: &Name, dialled: &str) -> Option<&Route> {
        let number = crm::Number::parse(dialled, self.country_of(Some(trunk)));
        let e164 = number.e164.as_deref();
        let own = self.inbound.get(trunk).map(|inbound| &inbound.routes);
        own.into_iter()
            .chain([&self.routes])
            .find_map(|routes| routes.get(dialled).or_else(|| routes.get(e164?)))
    }
}
