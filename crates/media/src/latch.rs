//! The strict source of a stream: whose packets count.

use std::net::{IpAddr, SocketAddr};

/// Packets from another source than the negotiated one that are listened to before the source locks.
const LEARN_PACKETS: u8 = 5;

/// The negotiated address wins at once. Only where the phone's signalling comes from another host than its SDP says (it sits behind NAT, or has several
/// addresses) may that host be learned, from [`LEARN_PACKETS`] packets at most; then nothing changes any more.
#[derive(Clone, Copy, Debug)]
pub struct Latch {
    negotiated: SocketAddr,
    behind: Option<IpAddr>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open {
        seen: u8,
        candidate: Option<SocketAddr>,
    },
    Locked(SocketAddr),
}

impl Latch {
    pub fn new(negotiated: SocketAddr, behind: Option<IpAddr>) -> Self {
        Latch {
            negotiated,
            behind: behind.filter(|&host| host != negotiated.ip()),
            state: State::Open {
                seen: 0,
                candidate: None,
            },
        }
    }

    /// A source that was found by other means.
    pub fn locked(source: SocketAddr) -> Self {
        Latch {
            negotiated: source,
            behind: None,
            state: State::Locked(source),
        }
    }

    pub fn negotiated(&self) -> SocketAddr {
        self.negotiated
    }

    /// Where packets go: back to where they come from.
    pub fn target(&self) -> SocketAddr {
        match self.state {
            State::Locked(source) => source,
            State::Open { candidate, .. } => candidate.unwrap_or(self.negotiated),
        }
    }

    /// Whether a well-formed packet from `source` is the stream's. `former` is the peer of the port's previous stream, whose late packets teach nothing.
    pub fn accept(&mut self, source: SocketAddr, former: Option<SocketAddr>) -> bool {
        match &mut self.state {
            State::Locked(locked) => *locked == source,
            State::Open { .. } if source == self.negotiated => {
                self.state = State::Locked(source);
                true
            }
            State::Open { seen, candidate } => {
                if former == Some(source) || self.behind != Some(source.ip()) {
                    return false;
                }
                let learned = *candidate.get_or_insert(source);
                *seen += 1;
                if *seen >= LEARN_PACKETS {
                    self.state = State::Locked(learned);
                }
                learned == source
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn host(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_negotiated_address_locks_at_once() {
        let mut latch = Latch::new(at("192.0.2.1:4000"), host("198.51.100.7"));
        assert!(latch.accept(at("192.0.2.1:4000"), None));
        assert!(!latch.accept(at("192.0.2.1:4002"), None));
        assert!(!latch.accept(at("198.51.100.7:4000"), None));
    }

    #[test]
    fn nothing_is_learned_where_signalling_and_sdp_agree() {
        let mut latch = Latch::new(at("192.0.2.1:4000"), host("192.0.2.1"));
        assert!(!latch.accept(at("192.0.2.1:4002"), None));
        assert!(!latch.accept(at("192.0.2.2:4000"), None));
        assert_eq!(latch.target(), at("192.0.2.1:4000"));
    }

    #[test]
    fn the_signalling_host_is_learned_within_five_packets_and_others_are_refused() {
        let mut latch = Latch::new(at("192.168.1.2:4000"), host("198.51.100.7"));
        assert!(latch.accept(at("198.51.100.7:5000"), None));
        assert!(
            !latch.accept(at("198.51.100.7:5002"), None),
            "the first one is the candidate"
        );
        assert!(!latch.accept(at("203.0.113.9:5000"), None), "another host");
        assert_eq!(latch.target(), at("198.51.100.7:5000"));
        for _ in 0..3 {
            assert!(latch.accept(at("198.51.100.7:5000"), None));
        }
        assert!(!latch.accept(at("192.168.1.2:4000"), None), "locked");
    }

    #[test]
    fn the_negotiated_address_still_wins_while_learning() {
        let mut latch = Latch::new(at("192.168.1.2:4000"), host("198.51.100.7"));
        assert!(latch.accept(at("198.51.100.7:5000"), None));
        assert!(latch.accept(at("192.168.1.2:4000"), None));
        assert!(!latch.accept(at("198.51.100.7:5000"), None));
    }

    #[test]
    fn late_packets_of_the_ports_previous_stream_teach_nothing() {
        let mut latch = Latch::new(at("192.168.1.2:4000"), host("192.0.2.1"));
        let former = Some(at("192.0.2.1:3000"));
        for _ in 0..10 {
            assert!(!latch.accept(at("192.0.2.1:3000"), former));
        }
        assert!(latch.accept(at("192.168.1.2:4000"), former));
    }
}
