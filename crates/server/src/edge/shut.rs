//! Sources that send so much more than they may that even throwing it away costs the others: the kernel does it, before it takes room in the socket.
//!
//! What a stranger sends beyond its measure is thrown away unread (see `guard`), yet it has been received. A flood that fills the socket's buffer
//! takes the place of honest datagrams, whatever we do with it afterwards. So a filter on the socket drops that source for a moment; then it is
//! measured anew. Where the system has no such filters, all goes on without.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use clock::Time;
use sip::subscriber;
use socket2::{SockFilter, SockRef};

/// Refused datagrams within [`WITHIN`] that shut a source out: a buffer of the kernel's usual size (212 kB) holds little more.
const REFUSED_MAX: u32 = 100;
const WITHIN: Duration = Duration::from_secs(1);
/// How long it is shut out: a flood is looked at again one time in four seconds, an address that was forged is free again soon.
const SHUT_FOR: Duration = Duration::from_secs(4);
/// Sources shut out at once, and as many under suspicion; a program's jumps reach over 255 steps, and one of IPv6 takes four.
const SOURCES_MAX: usize = 32;

/// Classic BPF (`linux/filter.h`): load a word at an offset, jump if equal, return.
const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// `SKF_NET_OFF`: offsets from here count from the IP header.
const IP_HEADER: u32 = 0xfff0_0000;
const V4_SOURCE: u32 = 12;
const V6_SOURCE: u32 = 8;

/// Who is shut out of one socket, and who will be.
#[derive(Default)]
pub struct Shut {
    out: Vec<(IpAddr, Time)>,
    suspects: Vec<Suspect>,
}

struct Suspect {
    source: IpAddr,
    since: Time,
    refused: u32,
}

impl Shut {
    /// A datagram was refused; true when its source is shut out from now on.
    pub fn refused(&mut self, at: Time, source: IpAddr, socket: &UdpSocket) -> bool {
        let source = subscriber(source);
        if !self.is_too_much(at, source) || self.out.len() >= SOURCES_MAX {
            return false;
        }
        self.out.push((source, at + SHUT_FOR));
        self.install(socket);
        true
    }

    /// Lets those in again whose time is over.
    pub fn open(&mut self, at: Time, socket: &UdpSocket) {
        if self.out.first().is_some_and(|(_, until)| *until <= at) {
            self.out.retain(|(_, until)| *until > at);
            self.install(socket);
        }
    }

    fn is_too_much(&mut self, at: Time, source: IpAddr) -> bool {
        let fresh = Suspect {
            source,
            since: at,
            refused: 0,
        };
        let known = (self.suspects.iter()).position(|suspect| suspect.source == source);
        let place = known.unwrap_or_else(|| {
            if self.suspects.len() < SOURCES_MAX {
                self.suspects.push(fresh);
                return self.suspects.len() - 1;
            }
            // Who sends most is refused again at once; the others lose their place.
            let least = (0..SOURCES_MAX).min_by_key(|&n| self.suspects[n].refused);
            let least = least.unwrap_or(0);
            self.suspects[least] = fresh;
            least
        });
        let suspect = &mut self.suspects[place];
        if at.since(suspect.since) > WITHIN {
            (suspect.since, suspect.refused) = (at, 0);
        }
        suspect.refused += 1;
        let too_much = suspect.refused >= REFUSED_MAX;
        if too_much {
            self.suspects.swap_remove(place);
        }
        too_much
    }

    fn install(&self, socket: &UdpSocket) {
        let socket = SockRef::from(socket);
        // Without the filter the rest stands: what is refused is thrown away by us.
        let _ = if self.out.is_empty() {
            socket.detach_filter()
        } else {
            socket.attach_filter(&program(&self.out))
        };
    }
}

/// Drops what comes from these, of the family that the socket is of (the other's words are never equal: an address of ours is in one family).
fn program(out: &[(IpAddr, Time)]) -> Vec<SockFilter> {
    let steps: Vec<Step> = out.iter().flat_map(|(source, _)| steps(*source)).collect();
    let length = steps.len();
    let mut program: Vec<SockFilter> = (steps.into_iter().enumerate())
        .map(|(at, step)| {
            // The last two are: take it whole, drop it.
            let to_drop = u8::try_from(length - at).expect("32 sources of 4 steps");
            match step {
                Step::Load(offset) => SockFilter::new(LOAD, 0, 0, IP_HEADER + offset),
                Step::DropIf(word) => SockFilter::new(JUMP_EQUAL, to_drop, 0, word),
                Step::SkipUnless(word) => SockFilter::new(JUMP_EQUAL, 0, 2, word),
            }
        })
        .collect();
    program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program
}

enum Step {
    Load(u32),
    DropIf(u32),
    /// Past the two steps that follow.
    SkipUnless(u32),
}

fn steps(source: IpAddr) -> Vec<Step> {
    match source {
        IpAddr::V4(source) => vec![Step::Load(V4_SOURCE), Step::DropIf(source.to_bits())],
        IpAddr::V6(network) => {
            let bits = network.to_bits();
            vec![
                Step::Load(V6_SOURCE),
                Step::SkipUnless((bits >> 96) as u32),
                Step::Load(V6_SOURCE + 4),
                Step::DropIf((bits >> 64) as u32),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_secs(1_000);

    fn socket(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        socket
    }

    /// Whether a datagram from one comes through to the other.
    fn hears(to: &UdpSocket, from: &UdpSocket) -> bool {
        from.send_to(b"x", to.local_addr().unwrap()).unwrap();
        to.recv(&mut [0; 8]).is_ok()
    }

    fn flood(shut: &mut Shut, at: Time, source: &UdpSocket, socket: &UdpSocket) -> bool {
        let source = source.local_addr().unwrap().ip();
        (0..REFUSED_MAX).any(|_| shut.refused(at, source, socket))
    }

    #[test]
    fn the_kernel_drops_a_flood_for_a_while_and_nobody_else() {
        let (ours, honest) = (socket("127.0.0.1:0"), socket("127.0.0.3:0"));
        let (flooder, other) = (socket("127.0.0.2:0"), socket("127.0.0.4:0"));
        let mut shut = Shut::default();
        assert!(hears(&ours, &flooder));
        assert!(flood(&mut shut, START, &flooder, &ours));
        assert!(flood(&mut shut, START, &other, &ours));
        assert!(!hears(&ours, &flooder) && !hears(&ours, &other));
        assert!(hears(&ours, &honest));
        shut.open(START + SHUT_FOR / 2, &ours);
        assert!(!hears(&ours, &flooder));
        shut.open(START + SHUT_FOR, &ours);
        assert!(hears(&ours, &flooder) && hears(&ours, &other));
    }

    #[test]
    fn of_ipv6_a_network_is_shut_out() {
        let (Ok(ours), Ok(flooder)) = (UdpSocket::bind("[::1]:0"), UdpSocket::bind("[::1]:0"))
        else {
            return; // no IPv6 here
        };
        ours.set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let mut shut = Shut::default();
        assert!(hears(&ours, &flooder));
        let elsewhere: IpAddr = "2001:db8::1".parse().unwrap();
        assert!((0..REFUSED_MAX).any(|_| shut.refused(START, elsewhere, &ours)));
        assert!(hears(&ours, &flooder), "another network");
        assert!(flood(&mut shut, START, &flooder, &ours));
        assert!(!hears(&ours, &flooder));
    }

    #[test]
    fn a_few_too_many_are_no_flood_and_the_tables_are_bounded() {
        let ours = socket("127.0.0.1:0");
        let mut shut = Shut::default();
        let source = IpAddr::V4(7.into());
        for second in 0..20u32 {
            let at = START + WITHIN * (2 * second);
            assert!((1..REFUSED_MAX).all(|_| !shut.refused(at, source, &ours)));
        }
        for n in 0..1_000u32 {
            for _ in 0..REFUSED_MAX {
                shut.refused(START, IpAddr::V4((1_000 + n).into()), &ours);
            }
        }
        assert_eq!(shut.out.len(), SOURCES_MAX);
        assert!(shut.suspects.len() <= SOURCES_MAX);
    }
}
