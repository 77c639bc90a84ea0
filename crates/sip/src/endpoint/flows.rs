//! What is known of connections beside what comes over them: the names of a verified certificate.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::{Edge, FlowId, Output, Peer, Transport};
use crate::message::{DEFAULT_PORT, DEFAULT_TLS_PORT, Host, Message, Via};

use super::Endpoint;

/// Connections whose names are kept at most: more than the edge has connections. Beyond it a connection is nobody's.
const FLOWS_MAX: usize = 65_536;
/// Names of one certificate that are looked at.
const NAMES_MAX: usize = 64;

/// Verified names by connection.
#[derive(Debug, Default)]
pub struct Flows {
    names: BTreeMap<FlowId, Box<[Arc<str>]>>,
}

impl Flows {
    pub fn opened(&mut self, flow: FlowId, mut names: Vec<Arc<str>>) {
        names.truncate(NAMES_MAX);
        if self.names.len() < FLOWS_MAX {
            self.names.insert(flow, names.into());
        }
    }

    pub fn closed(&mut self, flow: FlowId) {
        self.names.remove(&flow);
    }

    /// What the far end of a connection has proved to be; empty when it has not.
    pub fn names(&self, flow: Option<FlowId>) -> &[Arc<str>] {
        flow.and_then(|flow| self.names.get(&flow))
            .map_or(&[], |names| names)
    }
}

impl Endpoint {
    /// A request whose sender was let in says that its connection serves for what we send to it as well (`;alias`, RFC 5923 section 5).
    ///
    /// The address that it names in Via is believed only where it cannot be another's: its host must be the source address itself, or a name
    /// that its verified certificate is good for; the address is then the source's, with the port of Via. Anybody else could draw to himself
    /// what we send to a neighbour behind the same address (section 8).
    pub(super) fn aliased(&mut self, peer: &Peer, message: &Message) {
        let Some(flow) = peer.flow else { return };
        if !matches!(peer.transport, Transport::Tcp | Transport::Tls) {
            return;
        }
        let Ok(via) = message.top_via() else { return };
        if via.params.get("alias").is_none() || !self.is_its_own(&via, peer) {
            return;
        }
        let port = via.port.unwrap_or(if peer.transport.is_secure() {
            DEFAULT_TLS_PORT
        } else {
            DEFAULT_PORT
        });
        let mut remote = peer.remote;
        remote.set_port(port);
        self.layer
            .out
            .push_back(Output::Edge(Edge::Alias { flow, remote }));
    }

    fn is_its_own(&self, via: &Via<'_>, peer: &Peer) -> bool {
        match via.host {
            Host::Name(host) => self
                .flows
                .names(peer.flow)
                .iter()
                .any(|name| name.eq_ignore_ascii_case(host)),
            Host::V4(_) | Host::V6(_) => {
                via.host.ip().map(|ip| ip.to_canonical()) == Some(peer.remote.ip().to_canonical())
            }
        }
    }
}
