//! Encryption: what is asked for must have a hop that its keys may go over.

use sip::message::{Scheme, Uri};

use super::check::Check;
use super::form::{Srtp, Trunk};
use super::read::{AGENTS, CENTRE, TRUNKS};

const HINT: &str = "its keys go over TLS only: a `sips:` URI, `;transport=tls`, or `media.srtp_keys_in_clear = true` where the network is safe";

impl Check<'_> {
    /// Calls that could never be are told before anybody makes one.
    pub(super) fn srtp(&mut self) {
        let centre = &self.forms.centre;
        if centre.media.srtp_keys_in_clear {
            return;
        }
        let required = |srtp: Option<Srtp>| srtp == Some(Srtp::Required);
        let listens = centre.sip.tls.certificate.is_some() || centre.http.tls.certificate.is_some();
        if centre.media.srtp.value == Srtp::Required && !listens {
            let message = "`media.srtp` is \"required\" and nobody can call over TLS";
            let hint = "`sip.tls.certificate` and `sip.tls.key`; keys go over TLS only";
            self.error(CENTRE, &centre.media.srtp.span, message, Some(hint));
        }
        for agent in &self.forms.agents.agent {
            let (Some(srtp), Some(contact)) = (&agent.srtp, &agent.contact) else {
                continue;
            };
            if required(Some(srtp.value)) && !is_private(contact) {
                let message = format!(
                    "agent `{}` has `srtp = \"required\"` and a `contact` that is not called over TLS",
                    agent.id.value
                );
                self.error(AGENTS, &srtp.span, message, Some(HINT));
            }
        }
        for trunk in &self.forms.trunks.trunk {
            let Some(srtp) = &trunk.srtp else { continue };
            if required(Some(srtp.value)) && next_hop(trunk).is_some_and(|uri| !is_private(uri)) {
                let message = format!(
                    "trunk `{}` has `srtp = \"required\"` and is not called over TLS",
                    trunk.name.value
                );
                self.error(TRUNKS, &srtp.span, message, Some(HINT));
            }
        }
    }
}

fn next_hop(trunk: &Trunk) -> Option<&str> {
    let uri = trunk.proxy.as_ref().or(trunk.uri.as_ref())?;
    Some(uri.as_str())
}

fn is_private(uri: &str) -> bool {
    Uri::parse(uri).is_ok_and(|uri| {
        let transport = uri.param("transport").unwrap_or_default();
        uri.scheme == Scheme::Sips || transport.eq_ignore_ascii_case("tls")
    })
}

/// As the engine has it.
pub(super) fn srtp(srtp: Srtp) -> sip::sdes::Srtp {
    match srtp {
        Srtp::Off => sip::sdes::Srtp::Off,
        Srtp::Optional => sip::sdes::Srtp::Optional,
        Srtp::Required => sip::sdes::Srtp::Required,
    }
}
