//! The way of the endpoint's questions to the DNS (RFC 3263), by hickory's resolver. What is known is kept by `sip`; nothing is kept here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use sip::locate::{Answer, Kind, Naptr, Question, Records, Srv};
use tokio::sync::Semaphore;

use super::door::Door;
use crate::clock::Clock;

/// Questions under way at a time; further ones fail at once, and are asked again when their failure is forgotten.
const OPEN_MAX: usize = 256;
/// One try of one server.
const TRY_WITHIN: Duration = Duration::from_secs(1);
/// Tries.
const TRIES: usize = 2;
/// The endpoint has its answer by then, whatever the servers do.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// That there is nothing, where the zone does not say for how long.
const NOTHING_FOR: Duration = Duration::from_secs(30);

/// A hand on the resolver, cheap to clone.
#[derive(Clone)]
pub struct Dns {
    /// `None`: no server is configured and the system names none.
    resolver: Option<Arc<TokioResolver>>,
    runtime: tokio::runtime::Handle,
    open: Arc<Semaphore>,
    door: Door,
    clock: Clock,
}

impl Dns {
    /// A resolver that asks these servers; the system's where there are none.
    pub fn new(
        servers: &[SocketAddr],
        runtime: tokio::runtime::Handle,
        door: Door,
        clock: Clock,
    ) -> Dns {
        let resolver = resolver(servers).map_err(|error| {
            tracing::warn!(%error, "no DNS: SIP URIs with names lead nowhere");
        });
        Dns {
            resolver: resolver.ok().map(Arc::new),
            runtime,
            open: Arc::new(Semaphore::new(OPEN_MAX)),
            door,
            clock,
        }
    }

    /// Asks; the answer comes in by the door. False when it cannot be asked now.
    pub fn ask(&self, question: Question) -> bool {
        let (Some(resolver), Ok(open)) =
            (self.resolver.clone(), self.open.clone().try_acquire_owned())
        else {
            return false;
        };
        let (door, clock) = (self.door.clone(), self.clock);
        self.runtime.spawn(async move {
            let _open = open;
            let answered = tokio::time::timeout(ANSWER_WITHIN, answer(&resolver, &question)).await;
            let answer = answered.unwrap_or(Answer::Failed);
            door.sip(
                clock.now(),
                sip::Input::Resolved { question, answer },
                false,
            );
        });
        true
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = TRY_WITHIN;
    options.attempts = TRIES;
    options.cache_size = 0;
    builder.build()
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

async fn answer(resolver: &TokioResolver, question: &Question) -> Answer {
    // With the dot at the end the search domains of this machine have no part in it.
    let name = format!("{}.", question.name);
    match question.kind {
        Kind::Naptr => one(resolver.lookup(name, RecordType::NAPTR).await, naptr),
        Kind::Srv => one(resolver.lookup(name, RecordType::SRV).await, srv),
        Kind::Addresses => {
            let (v4, v6) = tokio::join!(
                resolver.lookup(name.clone(), RecordType::A),
                resolver.lookup(name, RecordType::AAAA)
            );
            both(one(v4, addresses), one(v6, addresses))
        }
    }
}

fn one(found: Result<Lookup, NetError>, records: impl Fn(&Lookup) -> Option<Records>) -> Answer {
    match found {
        Ok(lookup) => match records(&lookup) {
            Some(records) => Answer::Found {
                records,
                ttl: lookup
                    .valid_until()
                    .saturating_duration_since(Instant::now()),
            },
            None => Answer::Nothing { ttl: NOTHING_FOR },
        },
        Err(NetError::Dns(DnsError::NoRecordsFound(nothing))) => Answer::Nothing {
            ttl: nothing
                .negative_ttl
                .map_or(NOTHING_FOR, |seconds| Duration::from_secs(seconds.into())),
        },
        Err(_) => Answer::Failed,
    }
}

/// Addresses of either family; a failure counts only where the other family has none either.
fn both(v4: Answer, v6: Answer) -> Answer {
    match (v4, v6) {
        (
            Answer::Found {
                records: Records::Addresses(mut first),
                ttl,
            },
            Answer::Found {
                records: Records::Addresses(second),
                ttl: other,
            },
        ) => {
            first.extend(second);
            let ttl = ttl.min(other);
            let records = Records::Addresses(first);
            Answer::Found { records, ttl }
        }
        (found @ Answer::Found { .. }, _) | (_, found @ Answer::Found { .. }) => found,
        (Answer::Failed, _) | (_, Answer::Failed) => Answer::Failed,
        (nothing @ Answer::Nothing { .. }, Answer::Nothing { .. }) => nothing,
    }
}

fn naptr(lookup: &Lookup) -> Option<Records> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let found: Vec<Naptr> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::NAPTR(found) => Some(Naptr {
                order: found.order,
                preference: found.preference,
                flags: text(&found.flags),
                service: text(&found.services),
                replacement: found.replacement.to_ascii(),
            }),
            _ => None,
        })
        .collect();
    (!found.is_empty()).then_some(Records::Naptr(found))
}

fn srv(lookup: &Lookup) -> Option<Records> {
    let found: Vec<Srv> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(found) => Some(Srv {
                priority: found.priority,
                weight: found.weight,
                port: found.port,
                target: found.target.to_ascii(),
            }),
            _ => None,
        })
        .collect();
    (!found.is_empty()).then_some(Records::Srv(found))
}

fn addresses(lookup: &Lookup) -> Option<Records> {
    let found: Vec<IpAddr> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(found) => Some(IpAddr::V4(found.0)),
            RData::AAAA(found) => Some(IpAddr::V6(found.0)),
            _ => None,
        })
        .collect();
    (!found.is_empty()).then_some(Records::Addresses(found))
}
