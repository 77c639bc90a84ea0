//! Two planes that talk over a network in virtual time: what their reports say of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use media::{
    Codec, Command, Direction, Event, Format, Plane, PlaneConfig, Port, Prompts, Rtcp, Source,
    Stats, StreamId, rtp,
};

const STREAM: StreamId = StreamId(1);
const PORT: Port = Port {
    plane: 0,
    number: 4000,
};

/// What the network does to the n-th RTP packet of one direction: `None` loses it, otherwise how long it takes.
type Way = fn(u32) -> Option<Duration>;

/// A packet on the way: whose, from where, to which port, and its octets.
type Flying = (usize, SocketAddr, u16, Vec<u8>);

struct Network {
    ends: [Plane; 2],
    ways: [Way; 2],
    now: Time,
    /// RTP packets sent by each end.
    sent: [u32; 2],
    /// RTCP packets by end, and whether from the port of RTP.
    reports: [Vec<bool>; 2],
    /// On the way: when, a number that keeps the order, from whom to which port, the packet.
    flying: BTreeMap<(Time, u64), Flying>,
    number: u64,
}

fn address(end: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + end as u8], port))
}

impl Network {
    fn new(ways: [Way; 2], muxed: bool) -> Network {
        let ends = [0, 1].map(|end: usize| {
            let mut plane = Plane::new(PlaneConfig::default(), Arc::new(Prompts::default()));
            let now = Time::from_secs(5_000);
            plane.handle(
                now,
                Command::Open {
                    stream: STREAM,
                    port: PORT,
                    ssrc: 40 + end as u32,
                },
            );
            let format = Format {
                codec: Codec::Pcma,
                payload_type: 8,
                ptime: Duration::from_millis(20),
                telephone_event: None,
                event_rate: 8000,
                wishes: Default::default(),
            };
            plane.handle(
                now,
                Command::Update {
                    stream: STREAM,
                    remote: address(1 - end, PORT.number),
                    rtcp: match muxed {
                        true => Rtcp::Muxed,
                        false => Rtcp::Beside(address(1 - end, PORT.number + 1)),
                    },
                    behind: None,
                    format,
                    direction: Direction::SendReceive,
                },
            );
            plane.handle(
                now,
                Command::Source {
                    stream: STREAM,
                    source: Source::Tone { hertz: 1004 },
                },
            );
            plane
        });
        Network {
            ends,
            ways,
            now: Time::from_secs(5_000),
            sent: [0; 2],
            reports: [Vec::new(), Vec::new()],
            flying: BTreeMap::new(),
            number: 0,
        }
    }

    fn run(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        loop {
            let timers = self
                .ends
                .iter()
                .filter_map(|end| Some(end.poll_timeout()?.0));
            let flying = self.flying.keys().next().map(|(at, _)| *at);
            let Some(next) = timers.chain(flying).min().filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(next);
            self.deliver();
            for end in 0..2 {
                self.turn(end);
            }
        }
        self.now = until;
    }

    fn turn(&mut self, end: usize) {
        let mut out = Vec::new();
        self.ends[end].handle_timeout(self.now, &mut |port, to, packet| {
            out.push((port, to, packet.to_vec()));
        });
        for (port, to, packet) in out {
            let way = if rtp::is_rtcp(&packet) {
                self.reports[end].push(port == PORT);
                Some(Duration::from_millis(40))
            } else {
                self.sent[end] += 1;
                self.ways[end](self.sent[end])
            };
            self.number += 1;
            if let Some(way) = way {
                let from = address(end, port.number);
                let arrival = (self.now + way, self.number);
                self.flying
                    .insert(arrival, (1 - end, from, to.port(), packet));
            }
        }
    }

    fn deliver(&mut self) {
        while let Some((&(at, number), _)) = self.flying.first_key_value()
            && at <= self.now
        {
            let (end, from, port, mut packet) = self.flying.remove(&(at, number)).expect("seen");
            self.ends[end].receive(at, port, from, &mut packet, &mut |_, _, _| {});
        }
    }

    fn stats(&self, end: usize) -> Stats {
        self.ends[end].stats(STREAM).expect("a stream")
    }
}

#[test]
fn loss_jitter_and_round_trip_are_those_of_the_network() {
    let loses_a_tenth: Way = |n| (!n.is_multiple_of(10)).then_some(Duration::from_millis(40));
    let trembles: Way = |n| Some(Duration::from_millis(40 + u64::from(n % 2) * 8));
    for muxed in [false, true] {
        let mut network = Network::new([loses_a_tenth, trembles], muxed);
        network.run(60);
        for end in 0..2 {
            let count = network.reports[end].len();
            assert!((9..=24).contains(&count), "{count} reports in a minute");
            assert!(network.reports[end].iter().all(|on_rtp| *on_rtp == muxed));
            let round_trip = network.stats(end).round_trip_ms.expect("measured");
            assert!((round_trip - 80.0).abs() < 0.1, "{round_trip} ms");
            assert_eq!(network.ends[end].counters().rejected.total(), 0);
        }
        // The second hears the first with a tenth lost and no jitter; the first hears all of the second, with jitter.
        let (first, second) = (network.stats(0), network.stats(1));
        let lost = f64::from(network.sent[0] / 10);
        assert!((second.lost as f64 - lost).abs() <= 1.0, "{second:?}");
        assert_eq!((second.jitter_ms, first.lost), (0.0, 0));
        assert!((first.jitter_ms - 8.0).abs() < 0.6, "{first:?}");
        // Each knows by the other's reports how its own packets fare.
        let (far_of_first, far_of_second) = (first.far.unwrap(), second.far.unwrap());
        assert!(far_of_first.lost as f64 >= lost * 0.85 && far_of_first.lost as f64 <= lost);
        assert!((far_of_second.jitter_ms - 8.0).abs() < 0.6);
        // 10 % lost: R = 93.2 - 95 * 10 / 35.1 = 66.1; none: 93.2.
        let (bad, good) = (second.mos.unwrap(), first.mos.unwrap());
        assert!(
            (bad - 3.41).abs() < 0.03 && (good - 4.41).abs() < 0.01,
            "{bad} {good}"
        );
        assert!((far_of_first.mos - bad).abs() < 0.25, "{far_of_first:?}");
    }
}

#[test]
fn a_stream_that_ends_says_goodbye_and_one_that_never_spoke_does_not() {
    let mut network = Network::new([|_| Some(Duration::ZERO), |_| None], true);
    network.run(1);
    network.ends[0].handle(network.now, Command::Close { stream: STREAM });
    let before = network.ends[1].counters().rtcp_in;
    network.run(1);
    assert_eq!(network.ends[1].counters().rtcp_in, before + 1);
    let closed = std::iter::from_fn(|| network.ends[0].poll_event())
        .find_map(|event| match event {
            Event::Closed { close } => Some(close),
            _ => None,
        })
        .expect("closed");
    assert_eq!(
        (closed.port, closed.stats.mos),
        (PORT, None),
        "it heard nothing"
    );
    let mut quiet = Plane::new(PlaneConfig::default(), Arc::new(Prompts::default()));
    let open = Command::Open {
        stream: STREAM,
        port: PORT,
        ssrc: 1,
    };
    quiet.handle(Time::ZERO, open);
    quiet.handle(Time::ZERO, Command::Close { stream: STREAM });
    quiet.handle_timeout(Time::from_secs(9), &mut |_, _, _| panic!("nobody to tell"));
    assert_eq!(quiet.poll_timeout(), None);
}

#[test]
fn reports_from_strangers_change_nothing() {
    let mut network = Network::new([|_| Some(Duration::ZERO); 2], false);
    network.run(20);
    let before = network.stats(0);
    let refused = network.ends[0].counters().rejected.source;
    let mut forged = vec![0x81, 201, 0, 7];
    forged.extend(41u32.to_be_bytes()); // the other's SSRC
    forged.extend(40u32.to_be_bytes()); // on ours
    forged.extend([255, 0, 99, 99]); // all of it lost
    forged.extend([0; 16]);
    let stranger = SocketAddr::from(([203, 0, 113, 9], PORT.number + 1));
    let mut send = |_, _, _: &[u8]| {};
    let now = network.now;
    network.ends[0].receive(now, PORT.number + 1, stranger, &mut forged, &mut send);
    // From the right host, but in the name of somebody else.
    forged[4..8].copy_from_slice(&99u32.to_be_bytes());
    let peer = address(1, PORT.number + 1);
    network.ends[0].receive(now, PORT.number + 1, peer, &mut forged, &mut send);
    assert_eq!(network.stats(0).far, before.far);
    assert_eq!(network.ends[0].counters().rejected.source, refused + 2);
    forged[4..8].copy_from_slice(&41u32.to_be_bytes());
    network.ends[0].receive(now, PORT.number + 1, peer, &mut forged, &mut send);
    assert_eq!(
        network.stats(0).far.map(|far| far.lost),
        Some(99 * 256 + 99)
    );
}
