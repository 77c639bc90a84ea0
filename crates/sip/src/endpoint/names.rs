//! Host names in the Contact or Route of a dialog, found by the DNS like those of calls (RFC 3263).
//!
//! A request in a dialog does not wait for that: the name is asked for as soon as it is given, and until the answer is there requests go to
//! where the far end was heard from.

use clock::Time;

use super::Endpoint;
use super::hops::{Seeker, Sought};
use crate::api::LegId;
use crate::message::{HeaderName, Message};

impl Endpoint {
    /// Takes a new remote target (sections 12.1.2 and 12.2.2), and finds where that leads.
    pub(super) fn refresh_target(&mut self, now: Time, id: LegId, contact: &str) {
        let Some(leg) = self.legs.get_mut(&id) else {
            return;
        };
        leg.dialog.refresh(contact);
        self.resolve_hop(now, id);
    }

    /// A response has confirmed a dialog. Without a Contact in it, requests go on to where the INVITE went, whatever name was called.
    pub(super) fn resolve_confirmed(&mut self, now: Time, id: LegId, response: &Message) {
        let leads = [HeaderName::Contact, HeaderName::RecordRoute]
            .into_iter()
            .any(|name| response.header(name).is_some());
        if leads {
            self.resolve_hop(now, id);
        }
    }

    /// Finds the next hop of a dialog whose way leads over a name; any other has it already.
    pub(super) fn resolve_hop(&mut self, now: Time, id: LegId) {
        let Some(leg) = self.legs.get(&id) else {
            return;
        };
        let Some(uri) = leg.dialog.named_hop().map(str::to_owned) else {
            return;
        };
        // The first of several: a dialog lives on the server that answered it, and failing over would leave that.
        let Sought::Hops(hops) = self.seek(now, &uri, Seeker::Dialog(id)) else {
            return;
        };
        let Some(first) = hops.first() else { return };
        let peer = self.toward(first);
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.dialog.peer = peer;
        }
    }
}
