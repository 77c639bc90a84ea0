//! Where a URI leads: the next hops of RFC 3263, and what of the DNS is known.
//!
//! [`locate`] is run from the start each time: with what is known it gives the hops, or the one question that it needs answered first.
//! So nothing has to be kept of a search that is under way, and many searches share each answer.
//!
//! Absent on purpose: the questions' way to a server, which is the edge's.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clock::Time;

use crate::api::Transport;
use crate::message::{DEFAULT_PORT, DEFAULT_TLS_PORT, Host, Scheme, Uri};

/// Hops of one URI at most: who has not been reached at so many servers is not reached.
pub const HOPS_MAX: usize = 8;
/// Records of one answer that are looked at.
const RECORDS_MAX: usize = 16;
/// Answers that are kept: far more than the names of all trunks of a centre. The one that ends soonest makes room.
const KNOWN_MAX: usize = 4096;
/// An answer is good at least this long, so that a search comes to its end, and no server is asked for each call.
const TTL_MIN: Duration = Duration::from_secs(5);
/// And at most this long, whatever it says: a mistake in a zone should not outlive the day.
const TTL_MAX: Duration = Duration::from_secs(3600);
/// That there is nothing is believed this long at most (RFC 2308 has the zone say it).
const NOTHING_MAX: Duration = Duration::from_secs(60);
/// After a failure of the DNS itself (SERVFAIL, no answer) nobody asks again this long.
const FAILED_FOR: Duration = Duration::from_secs(10);

/// What the DNS is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// In lower case, without the dot at the end.
    pub name: Arc<str>,
    pub kind: Kind,
}

/// Of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Naptr,
    Srv,
    /// A and AAAA together, A first.
    Addresses,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Found {
        records: Records,
        ttl: Duration,
    },
    /// There is no such name, or nothing of this kind under it.
    Nothing {
        ttl: Duration,
    },
    /// No server has answered, or none could.
    Failed,
}

/// Records of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    Naptr(Vec<Naptr>),
    Srv(Vec<Srv>),
    Addresses(Vec<IpAddr>),
}

/// RFC 3403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: String,
    /// E.g. `SIP+D2T`.
    pub service: String,
    pub replacement: String,
}

/// RFC 2782.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// One server that a request may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub transport: Transport,
    pub remote: SocketAddr,
    /// The domain that was looked for: what a certificate there must be good for (RFC 5922). `None` for an address literal.
    pub domain: Option<Arc<str>>,
}

/// What [`locate`] has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// In the order in which they are to be tried; never empty.
    Hops(Vec<Hop>),
    /// This must be known first.
    Ask(Question),
    /// The URI leads nowhere, or not by a transport that we have.
    Nowhere,
}

/// Answers of the DNS as long as they are good.
#[derive(Debug, Default)]
pub struct Known {
    answers: BTreeMap<Question, (Time, Answer)>,
}

impl Known {
    /// Takes an answer, with its lifetime put between the bounds.
    pub fn learn(&mut self, now: Time, question: Question, answer: Answer) {
        let good_for = match &answer {
            Answer::Found { ttl, .. } => (*ttl).clamp(TTL_MIN, TTL_MAX),
            Answer::Nothing { ttl } => (*ttl).clamp(TTL_MIN, NOTHING_MAX),
            Answer::Failed => FAILED_FOR,
        };
        if self.answers.len() >= KNOWN_MAX {
            self.answers.retain(|_, (until, _)| *until > now);
        }
        if self.answers.len() >= KNOWN_MAX
            && let Some(soonest) = self
                .answers
                .iter()
                .min_by_key(|(_, (until, _))| *until)
                .map(|(question, _)| question.clone())
        {
            self.answers.remove(&soonest);
        }
        self.answers.insert(question, (now + good_for, answer));
    }

    /// What was answered last and until when that is good; for a while after that as well.
    pub fn last(&self, question: &Question) -> Option<(Time, &Answer)> {
        let (until, answer) = self.answers.get(question)?;
        Some((*until, answer))
    }

    fn records(&self, now: Time, name: &str, kind: Kind) -> Result<Option<&Records>, Question> {
        let name = name.trim_end_matches('.').to_ascii_lowercase().into();
        let question = Question { name, kind };
        match self.answers.get(&question) {
            Some((until, answer)) if *until > now => Ok(match answer {
                Answer::Found { records, .. } => Some(records),
                Answer::Nothing { .. } | Answer::Failed => None,
            }),
            _ => Err(question),
        }
    }
}

/// Finds the hops of a URI (RFC 3263 section 4). `speaks` tells whether we have an address of this one's family; `dice(n)` gives a number
/// of `0..=n` for the weights of RFC 2782.
pub fn locate(
    uri: &str,
    known: &Known,
    now: Time,
    speaks: impl Fn(IpAddr) -> bool,
    dice: &mut dyn FnMut(u32) -> u32,
) -> Located {
    let search = Search { known, now, dice };
    match search.run(uri) {
        Ok(mut hops) => {
            hops.retain(|hop| speaks(hop.remote.ip()));
            hops.truncate(HOPS_MAX);
            if hops.is_empty() {
                Located::Nowhere
            } else {
                Located::Hops(hops)
            }
        }
        Err(question) => Located::Ask(question),
    }
}

struct Search<'a> {
    known: &'a Known,
    now: Time,
    dice: &'a mut dyn FnMut(u32) -> u32,
}

/// What the URI itself says (section 4.1).
struct Wanted {
    secure: bool,
    transport: Option<Transport>,
}

impl Search<'_> {
    fn run(mut self, text: &str) -> Result<Vec<Hop>, Question> {
        let Ok(uri) = Uri::parse(text) else {
            return Ok(Vec::new());
        };
        let Some(wanted) = wanted(&uri) else {
            return Ok(Vec::new());
        };
        // `maddr` stands for the host (RFC 3261 section 19.1.1).
        let host = match uri.param("maddr") {
            Some(maddr) => match Host::parse(maddr) {
                Some(host) => host,
                None => return Ok(Vec::new()),
            },
            None => uri.host,
        };
        let plain = wanted.transport.unwrap_or(if wanted.secure {
            Transport::Tls
        } else {
            Transport::Udp
        });
        let Host::Name(name) = host else {
            let ip = host.ip().into_iter();
            return Ok(ip
                .map(|ip| Hop {
                    transport: plain,
                    remote: SocketAddr::new(ip, uri.port.unwrap_or(port_of(plain))),
                    domain: None,
                })
                .collect());
        };
        let domain: Arc<str> = name.trim_end_matches('.').to_ascii_lowercase().into();
        if let Some(port) = uri.port {
            return self.addresses(name, plain, port, &domain);
        }
        let services = match wanted.transport {
            Some(transport) => vec![(transport, service(transport, name))],
            None => self.services(name, wanted.secure)?,
        };
        // The first transport that the domain offers serves; its servers are there for each other.
        for (transport, service) in services {
            let hops = self.servers(&service, transport, &domain)?;
            if !hops.is_empty() {
                return Ok(hops);
            }
        }
        self.addresses(name, plain, port_of(plain), &domain)
    }

    /// Transports of a domain in its own order, by NAPTR; without that in ours.
    fn services(&mut self, name: &str, secure: bool) -> Result<Vec<(Transport, String)>, Question> {
        let mut found = Vec::new();
        if let Some(Records::Naptr(records)) = self.known.records(self.now, name, Kind::Naptr)? {
            let mut records: Vec<_> = records.iter().take(RECORDS_MAX).collect();
            records.sort_by_key(|record| (record.order, record.preference));
            found = records
                .into_iter()
                .filter(|record| record.flags.eq_ignore_ascii_case("s"))
                .filter_map(|record| {
                    let transport = match record.service.to_ascii_uppercase().as_str() {
                        "SIP+D2U" if !secure => Transport::Udp,
                        "SIP+D2T" if !secure => Transport::Tcp,
                        "SIPS+D2T" => Transport::Tls,
                        _ => return None,
                    };
                    Some((transport, record.replacement.clone()))
                })
                .collect();
        }
        if found.is_empty() {
            let ours: &[Transport] = if secure {
                &[Transport::Tls]
            } else {
                &[Transport::Udp, Transport::Tcp, Transport::Tls]
            };
            found = ours
                .iter()
                .map(|transport| (*transport, service(*transport, name)))
                .collect();
        }
        Ok(found)
    }

    /// Servers of one service by SRV.
    fn servers(
        &mut self,
        service: &str,
        transport: Transport,
        domain: &Arc<str>,
    ) -> Result<Vec<Hop>, Question> {
        let Some(Records::Srv(records)) = self.known.records(self.now, service, Kind::Srv)? else {
            return Ok(Vec::new());
        };
        let mut hops = Vec::new();
        for record in by_weight(records, self.dice) {
            // A lone dot: the service is decidedly not there (RFC 2782).
            let target = record.target.trim_end_matches('.');
            if !target.is_empty() && hops.len() < HOPS_MAX {
                hops.extend(self.addresses(target, transport, record.port, domain)?);
            }
        }
        Ok(hops)
    }

    fn addresses(
        &self,
        name: &str,
        transport: Transport,
        port: u16,
        domain: &Arc<str>,
    ) -> Result<Vec<Hop>, Question> {
        let Some(Records::Addresses(addresses)) =
            self.known.records(self.now, name, Kind::Addresses)?
        else {
            return Ok(Vec::new());
        };
        Ok(addresses
            .iter()
            .take(RECORDS_MAX)
            .map(|ip| Hop {
                transport,
                remote: SocketAddr::new(*ip, port),
                domain: Some(domain.clone()),
            })
            .collect())
    }
}

/// `None` when the URI asks for what does not go together, or what only the other side can begin (WebSocket).
fn wanted(uri: &Uri<'_>) -> Option<Wanted> {
    let secure = match uri.scheme {
        Scheme::Sip => false,
        Scheme::Sips => true,
        Scheme::Tel | Scheme::Other(_) => return None,
    };
    let transport = match uri
        .param("transport")
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        None => None,
        Some("udp") if !secure => Some(Transport::Udp),
        Some("tcp") if !secure => Some(Transport::Tcp),
        Some("tcp" | "tls") => Some(Transport::Tls),
        Some(_) => return None,
    };
    Some(Wanted { secure, transport })
}

fn port_of(transport: Transport) -> u16 {
    if transport.is_secure() {
        DEFAULT_TLS_PORT
    } else {
        DEFAULT_PORT
    }
}

fn service(transport: Transport, name: &str) -> String {
    let prefix = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp | Transport::Ws => "_sip._tcp",
        Transport::Tls | Transport::Wss => "_sips._tcp",
    };
    format!("{prefix}.{name}")
}

/// SRV records in the order of RFC 2782: by priority, and among equals by chance in proportion to their weights.
fn by_weight<'a>(records: &'a [Srv], dice: &mut dyn FnMut(u32) -> u32) -> Vec<&'a Srv> {
    let mut left: Vec<&Srv> = records.iter().take(RECORDS_MAX).collect();
    // Those of weight 0 first, so that they are chosen at all where the others' weights are large.
    left.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let equals = left
            .iter()
            .take_while(|record| record.priority == first.priority)
            .count();
        let total: u32 = left[..equals]
            .iter()
            .map(|record| u32::from(record.weight))
            .sum();
        let drawn = dice(total);
        let mut sum = 0;
        let chosen = left[..equals]
            .iter()
            .position(|record| {
                sum += u32::from(record.weight);
                sum >= drawn
            })
            .unwrap_or(0);
        ordered.push(left.remove(chosen));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(100);
    const TTL: Duration = Duration::from_secs(300);

    /// A zone as lines: `name NAPTR order preference flags service replacement`, `name SRV priority weight port target`, `name A address`.
    /// What is not in it is known not to be.
    fn zone(text: &str) -> impl Fn(&Question) -> Answer {
        let lines: Vec<Vec<String>> = text
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .filter(|fields: &Vec<String>| !fields.is_empty())
            .collect();
        move |question| {
            let of = |kind: &str| {
                lines
                    .iter()
                    .filter(|line| line[0] == *question.name && line[1] == kind)
                    .collect::<Vec<_>>()
            };
            let number = |text: &String| text.parse::<u16>().expect("a number");
            let records = match question.kind {
                Kind::Naptr => Records::Naptr(
                    of("NAPTR")
                        .into_iter()
                        .map(|line| Naptr {
                            order: number(&line[2]),
                            preference: number(&line[3]),
                            flags: line[4].clone(),
                            service: line[5].clone(),
                            replacement: line[6].clone(),
                        })
                        .collect(),
                ),
                Kind::Srv => Records::Srv(
                    of("SRV")
                        .into_iter()
                        .map(|line| Srv {
                            priority: number(&line[2]),
                            weight: number(&line[3]),
                            port: number(&line[4]),
                            target: line[5].clone(),
                        })
                        .collect(),
                ),
                Kind::Addresses => Records::Addresses(
                    of("A")
                        .into_iter()
                        .map(|line| line[2].parse().expect("an address"))
                        .collect(),
                ),
            };
            let empty = match &records {
                Records::Naptr(records) => records.is_empty(),
                Records::Srv(records) => records.is_empty(),
                Records::Addresses(records) => records.is_empty(),
            };
            if empty {
                Answer::Nothing { ttl: TTL }
            } else {
                Answer::Found { records, ttl: TTL }
            }
        }
    }

    /// The hops and the questions asked on the way, as text.
    fn found(uri: &str, text: &str) -> String {
        let answers = zone(text);
        let mut known = Known::default();
        let mut asked = Vec::new();
        loop {
            match locate(uri, &known, NOW, |ip| ip.is_ipv4(), &mut |most| most) {
                Located::Ask(question) => {
                    asked.push(format!("{:?} {}", question.kind, question.name));
                    assert!(asked.len() < 40, "{asked:?}");
                    let answer = answers(&question);
                    known.learn(NOW, question, answer);
                }
                Located::Hops(hops) => {
                    let hops: Vec<String> = hops
                        .iter()
                        .map(|hop| {
                            let domain = hop.domain.as_deref().unwrap_or("-");
                            format!("{:?} {} {domain}", hop.transport, hop.remote)
                        })
                        .collect();
                    return format!("{} <- {}", hops.join(", "), asked.join(", "));
                }
                Located::Nowhere => return format!("nowhere <- {}", asked.join(", ")),
            }
        }
    }

    #[test]
    fn literals_and_ports_need_little_of_the_dns() {
        let a = "pbx.example A 192.0.2.1\npbx.example A 2001:db8::1\npbx.example A 192.0.2.2";
        for (uri, expected) in [
            ("sip:x@192.0.2.9", "Udp 192.0.2.9:5060 - <- "),
            ("sips:x@192.0.2.9", "Tls 192.0.2.9:5061 - <- "),
            ("sip:x@192.0.2.9;transport=TLS", "Tls 192.0.2.9:5061 - <- "),
            (
                "sip:x@192.0.2.9:7000;transport=tcp",
                "Tcp 192.0.2.9:7000 - <- ",
            ),
            (
                "sip:x@192.0.2.9;maddr=192.0.2.8",
                "Udp 192.0.2.8:5060 - <- ",
            ),
            ("sip:x@[2001:db8::1]", "nowhere <- "),
            ("sips:x@192.0.2.9;transport=udp", "nowhere <- "),
            ("sip:x@192.0.2.9;transport=ws", "nowhere <- "),
            ("tel:+8613800138000", "nowhere <- "),
            ("no URI", "nowhere <- "),
            (
                "sip:x@PBX.example.:5070",
                "Udp 192.0.2.1:5070 pbx.example, Udp 192.0.2.2:5070 pbx.example <- Addresses pbx.example",
            ),
            (
                "sips:pbx.example:5071",
                "Tls 192.0.2.1:5071 pbx.example, Tls 192.0.2.2:5071 pbx.example <- Addresses pbx.example",
            ),
            (
                "sip:nobody.example:5070",
                "nowhere <- Addresses nobody.example",
            ),
        ] {
            assert_eq!(found(uri, a), expected, "{uri}");
        }
    }

    #[test]
    fn naptr_names_the_transport_and_srv_the_servers() {
        let text = "
            carrier.example NAPTR 20 10 s SIP+D2U _sip._udp.carrier.example
            carrier.example NAPTR 10 20 s SIP+D2T _sip._tcp.carrier.example
            carrier.example NAPTR 10 10 s SIPS+D2T _sips._tcp.carrier.example
            carrier.example NAPTR 1 1 u E2U+sip !x!y!
            _sips._tcp.carrier.example SRV 20 0 5061 b.carrier.example
            _sips._tcp.carrier.example SRV 10 0 5091 a.carrier.example
            _sip._tcp.carrier.example SRV 1 0 5060 a.carrier.example
            a.carrier.example A 192.0.2.1
            b.carrier.example A 192.0.2.2";
        assert_eq!(
            found("sip:carrier.example", text),
            "Tls 192.0.2.1:5091 carrier.example, Tls 192.0.2.2:5061 carrier.example <- Naptr carrier.example, \
             Srv _sips._tcp.carrier.example, Addresses a.carrier.example, Addresses b.carrier.example"
        );
        assert_eq!(
            found("sip:carrier.example;transport=tcp", text),
            "Tcp 192.0.2.1:5060 carrier.example <- Srv _sip._tcp.carrier.example, Addresses a.carrier.example"
        );
    }

    #[test]
    fn without_naptr_each_transport_is_asked_for_and_at_last_the_name_itself() {
        let text = "_sip._tcp.x.example SRV 1 0 5062 y.example\ny.example A 192.0.2.3";
        assert_eq!(
            found("sip:x.example", text),
            "Tcp 192.0.2.3:5062 x.example <- Naptr x.example, Srv _sip._udp.x.example, Srv _sip._tcp.x.example, Addresses y.example"
        );
        assert_eq!(
            found("sips:y.example", text),
            "Tls 192.0.2.3:5061 y.example <- Naptr y.example, Srv _sips._tcp.y.example, Addresses y.example"
        );
        assert_eq!(
            found(
                "sip:gone.example;transport=udp",
                "_sip._udp.gone.example SRV 0 0 0 ."
            ),
            "nowhere <- Srv _sip._udp.gone.example, Addresses gone.example"
        );
    }

    #[test]
    fn equal_priorities_are_drawn_by_weight() {
        let record = |priority, weight, port| Srv {
            priority,
            weight,
            port,
            target: "t".into(),
        };
        let records = [
            record(2, 0, 4),
            record(1, 60, 1),
            record(1, 30, 2),
            record(1, 0, 3),
        ];
        let order = |draws: &[u32]| {
            let mut draws = draws.iter().copied();
            by_weight(&records, &mut |most| draws.next().unwrap_or(0).min(most))
                .iter()
                .map(|record| record.port)
                .collect::<Vec<_>>()
        };
        assert_eq!(order(&[0]), [3, 2, 1, 4]);
        assert_eq!(order(&[30]), [2, 3, 1, 4]);
        assert_eq!(order(&[31, 30]), [1, 2, 3, 4]);
        // Over many draws each comes first in proportion.
        let mut state = 7u32;
        let mut firsts = [0u32; 5];
        for _ in 0..9000 {
            let mut draw = |most: u32| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) % (most + 1)
            };
            firsts[usize::from(by_weight(&records, &mut draw)[0].port)] += 1;
        }
        assert!((5700..6300).contains(&firsts[1]), "{firsts:?}");
        assert!((2700..3300).contains(&firsts[2]), "{firsts:?}");
        assert!((20..300).contains(&firsts[3]), "{firsts:?}");
    }

    #[test]
    fn answers_are_forgotten_in_time_and_in_number() {
        let question = |n: usize| Question {
            name: format!("h{n}.example").into(),
            kind: Kind::Addresses,
        };
        let mut known = Known::default();
        let there = |known: &Known, at: Time, n: usize| {
            known
                .records(at, &format!("h{n}.example"), Kind::Addresses)
                .is_ok()
        };
        known.learn(NOW, question(0), Answer::Failed);
        known.learn(NOW, question(1), Answer::Nothing { ttl: TTL });
        let records = Records::Addresses(vec![IpAddr::from([192, 0, 2, 1])]);
        for (n, ttl) in [(2, Duration::ZERO), (3, Duration::MAX)] {
            let records = records.clone();
            known.learn(NOW, question(n), Answer::Found { records, ttl });
        }
        for (after, expected) in [
            (0, [true, true, true, true]),
            (6, [true, true, false, true]),
            (11, [false, true, false, true]),
            (61, [false, false, false, true]),
            (3601, [false; 4]),
        ] {
            let at = NOW + Duration::from_secs(after);
            assert_eq!(
                [0, 1, 2, 3].map(|n| there(&known, at, n)),
                expected,
                "{after} s"
            );
        }
        for n in 0..3 * KNOWN_MAX {
            let ttl = Duration::from_secs(100 + n as u64);
            known.learn(
                NOW,
                question(n),
                Answer::Found {
                    records: records.clone(),
                    ttl,
                },
            );
        }
        assert_eq!(known.answers.len(), KNOWN_MAX);
        assert!(there(&known, NOW, 3 * KNOWN_MAX - 1));
    }
}
