//! The strict source of a stream: whose packets count.

use std::net::SocketAddr;

use crate::api::Learn;

/// Packets from another source than the negotiated one that are listened to before the source locks.
const LEARN_PACKETS: u8 = 5;

/// The negotiated address wins at once; another one, where [`Learn`] allows it, is provisional for [`LEARN_PACKETS`] packets; then nothing changes any more.
#[derive(Clone, Copy, Debug)]
pub struct Latch {
    negotiated: SocketAddr,
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
    pub fn new(negotiated: SocketAddr) -> Self {
        Latch {
            negotiated,
            state: State::Open {
                seen: 0,
                candidate: None,
            },
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
    pub fn accept(&mut self, source: SocketAddr, learn: Learn, former: Option<SocketAddr>) -> bool {
        match &mut self.state {
            State::Locked(locked) => *locked == source,
            State::Open { .. } if source == self.negotiated => {
                self.state = State::Locked(source);
                true
            }
            State::Open { seen, candidate } => {
                if former == Some(source) || !learn.allows(self.negotiated, source) {
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

    #[test]
    fn the_negotiated_address_locks_at_once() {
        let mut latch = Latch::new(at("192.0.2.1:4000"));
        assert!(latch.accept(at("192.0.2.1:4000"), Learn::Port, None));
        assert!(!latch.accept(at("192.0.2.1:4002"), Learn::Port, None));
        assert!(!latch.accept(at("192.0.2.9:4000"), Learn::Address, None));
    }

    #[test]
    fn another_port_is_learned_within_five_packets_and_others_are_refused() {
        let mut latch = Latch::new(at("192.0.2.1:4000"));
        assert!(latch.accept(at("192.0.2.1:5000"), Learn::Port, None));
        assert!(
            !latch.accept(at("192.0.2.1:5002"), Learn::Port, None),
            "the first one is the candidate"
        );
        assert!(
            !latch.accept(at("192.0.2.2:5000"), Learn::Port, None),
            "another address"
        );
        assert_eq!(latch.target(), at("192.0.2.1:5000"));
        for _ in 0..3 {
            assert!(latch.accept(at("192.0.2.1:5000"), Learn::Port, None));
        }
        assert!(
            !latch.accept(at("192.0.2.1:4000"), Learn::Port, None),
            "locked"
        );
    }

    #[test]
    fn the_negotiated_address_still_wins_while_learning() {
        let mut latch = Latch::new(at("192.0.2.1:4000"));
        assert!(latch.accept(at("192.0.2.1:5000"), Learn::Port, None));
        assert!(latch.accept(at("192.0.2.1:4000"), Learn::Port, None));
        assert!(!latch.accept(at("192.0.2.1:5000"), Learn::Port, None));
    }

    #[test]
    fn only_a_private_address_may_be_replaced() {
        let public = at("198.51.100.7:4000");
        assert!(Latch::new(at("192.168.1.2:4000")).accept(public, Learn::Address, None));
        assert!(Latch::new(at("100.64.0.1:4000")).accept(public, Learn::Address, None));
        assert!(!Latch::new(at("192.168.1.2:4000")).accept(public, Learn::Port, None));
        assert!(!Latch::new(at("192.0.2.1:4000")).accept(public, Learn::Address, None));
        assert!(!Latch::new(at("192.0.2.1:4000")).accept(at("192.0.2.1:4002"), Learn::Never, None));
    }

    #[test]
    fn late_packets_of_the_ports_previous_stream_teach_nothing() {
        let mut latch = Latch::new(at("192.0.2.1:4000"));
        let former = Some(at("192.0.2.1:3000"));
        for _ in 0..10 {
            assert!(!latch.accept(at("192.0.2.1:3000"), Learn::Port, former));
        }
        assert!(latch.accept(at("192.0.2.1:4000"), Learn::Port, former));
    }
}
