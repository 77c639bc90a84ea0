//! The control channel of one stream (RFC 3550 section 6): when a report is due, what the far end has reported, how long a round trip takes.

use std::net::SocketAddr;
use std::time::Duration;

use clock::Time;

use crate::api::Rtcp;
use crate::pace::Tick;
use crate::rtcp::{self, Block, Report, ntp};

/// RFC 3550 section 6.2: the least interval between reports, which a call of two never needs to stretch.
const INTERVAL: Duration = Duration::from_secs(5);
/// Section 6.3.1: an even spread from half to one and a half intervals, over e - 3/2.
const COMPENSATION: f64 = 1.218_28;
/// A round trip longer than this is a fault of somebody's clock.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);

/// Reports out and reports in.
#[derive(Debug)]
pub struct Control {
    /// Where the far end wants its reports.
    remote: Rtcp,
    /// Where its own come from, when they come beside RTP: behind an address translator that is where ours must go.
    seen: Option<SocketAddr>,
    /// When the next report is due; none before there is somebody to report to.
    pub due: Option<Time>,
    /// Reports sent, which also spreads their times.
    sent: u32,
    /// Packets sent at the report before: who has sent some since writes a sender report.
    packets_before: u64,
    /// The far end's newest sender report: the middle of its NTP time, and when it came.
    heard: Option<(u32, Time)>,
    far: Option<Block>,
    round_trip: Option<Duration>,
}

/// What a report says of the stream that it is on.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    pub ssrc: u32,
    pub packets: u64,
    pub octets: u64,
    /// Timestamp that a packet sent now would have.
    pub timestamp: u32,
    pub block: Option<Block>,
}

impl Control {
    pub fn new() -> Self {
        Control {
            remote: Rtcp::Muxed,
            seen: None,
            due: None,
            sent: 0,
            packets_before: 0,
            heard: None,
            far: None,
            round_trip: None,
        }
    }

    /// What SDP agreed on, at first or anew; the first report is due soon (section 6.2: half the interval).
    pub fn agreed(&mut self, now: Time, remote: Rtcp, ssrc: u32) {
        if self.remote != remote {
            self.remote = remote;
            self.seen = None;
        }
        if self.due.is_none() {
            self.due = Some(at_tick(now + spread(ssrc, 0) / 2));
        }
    }

    pub fn is_muxed(&self) -> bool {
        self.remote == Rtcp::Muxed
    }

    /// Where reports go, given where packets go.
    pub fn target(&self, rtp: SocketAddr) -> SocketAddr {
        match self.remote {
            Rtcp::Muxed => rtp,
            Rtcp::Beside(negotiated) => self.seen.unwrap_or(negotiated),
        }
    }

    /// Whether a report may come from `source`: the far end's host, with its RTP port where that was agreed.
    pub fn accepts(&self, source: SocketAddr, rtp: SocketAddr) -> bool {
        match self.remote {
            Rtcp::Muxed => source == rtp,
            Rtcp::Beside(negotiated) => source == negotiated || source.ip() == rtp.ip(),
        }
    }

    /// Takes in what the far end reports; `beside`: where from, if it came to the port of RTCP.
    pub fn hear(&mut self, now: Time, beside: Option<SocketAddr>, report: &Report) {
        self.seen = beside.or(self.seen);
        if let Some(sent) = report.sent {
            self.heard = Some((ntp::middle(sent.ntp), now));
        }
        if let Some(block) = report.block {
            self.far = Some(block);
            self.measure(now, &block);
        }
    }

    /// Section 6.4.1: now, less when our report went, less how long the far end kept it.
    fn measure(&mut self, now: Time, block: &Block) {
        if block.last_report == 0 {
            return;
        }
        let parts = ntp::middle(ntp::whole(now))
            .wrapping_sub(block.last_report)
            .wrapping_sub(block.delay);
        // A far end that is a little too slow to count its own delay has no distance to us.
        let parts = u64::try_from(parts as i32).unwrap_or(0);
        let round_trip = Duration::from_nanos((parts * 1_000_000_000) >> 16);
        if round_trip <= ROUND_TRIP_MAX {
            self.round_trip = Some(round_trip);
        }
    }

    /// What the far end said last of our packets.
    pub fn far(&self) -> Option<&Block> {
        self.far.as_ref()
    }

    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Whether nothing has been sent since the report before; never at the first, which comes before there was much time for it.
    pub fn is_idle(&self, packets: u64) -> bool {
        self.sent > 0 && packets == self.packets_before
    }

    /// Whether there is somebody to say goodbye to (section 6.3.7).
    pub fn has_spoken(&self, packets: u64) -> bool {
        self.sent > 0 || packets > 0
    }

    /// Writes the report that is due at `now`, sets when the next one is, and gives its length.
    pub fn write(
        &mut self,
        now: Time,
        own: Own,
        bye: bool,
        buffer: &mut [u8; rtcp::MAX_OCTETS],
    ) -> usize {
        let sends = own.packets > self.packets_before;
        self.packets_before = own.packets;
        self.sent = self.sent.wrapping_add(1);
        self.due = Some(at_tick(now + spread(own.ssrc, self.sent)));
        let block = own.block.map(|block| {
            let (last_report, delay) = self.heard.map_or((0, 0), |(middle, at)| {
                let delay = (now - at).as_nanos().min(u128::from(u32::MAX) * 15_000);
                (middle, ((delay << 16) / 1_000_000_000) as u32)
            });
            Block {
                last_report,
                delay,
                ..block
            }
        });
        let report = Report {
            ssrc: own.ssrc,
            sent: sends.then(|| rtcp::Sent {
                ntp: ntp::whole(now),
                timestamp: own.timestamp,
                packets: own.packets as u32,
                octets: own.octets as u32,
            }),
            block,
            bye,
        };
        rtcp::write(&report, buffer)
    }
}

/// The interval before a report, spread so that streams which began together do not report together.
fn spread(ssrc: u32, count: u32) -> Duration {
    let hash = (ssrc ^ count.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
    let unit = f64::from(hash >> 8) / f64::from(1u32 << 24);
    INTERVAL.mul_f64((0.5 + unit) / COMPENSATION)
}

/// On the grid of what is played, so that reports wake nobody up on their own.
fn at_tick(at: Time) -> Time {
    Tick::from(at).time()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Time {
        Time::from_secs(1_000) + Duration::from_millis(n)
    }

    fn own(packets: u64) -> Own {
        Own {
            ssrc: 5,
            packets,
            octets: packets * 160,
            timestamp: 77,
            block: None,
        }
    }

    #[test]
    fn reports_are_spread_over_half_to_one_and_a_half_intervals() {
        let all: Vec<f64> = (0..2_000)
            .map(|count| spread(0x1234_5678, count).as_secs_f64() * COMPENSATION)
            .collect();
        assert!(all.iter().all(|seconds| (2.5..7.5).contains(seconds)));
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!((mean - 5.0).abs() < 0.1, "{mean}");
    }

    #[test]
    fn a_round_trip_leaves_out_what_the_far_end_kept() {
        let mut control = Control::new();
        let remote: SocketAddr = "192.0.2.1:4001".parse().unwrap();
        control.agreed(ms(0), Rtcp::Beside(remote), 5);
        let block = Block {
            ssrc: 5,
            last_report: ntp::middle(ntp::whole(ms(1_000))),
            delay: 65_536 / 2,
            ..Block::default()
        };
        let report = Report {
            ssrc: 9,
            sent: None,
            block: Some(block),
            bye: false,
        };
        control.hear(ms(1_580), Some(remote), &report);
        let round_trip = control.round_trip().unwrap();
        assert!(
            round_trip.abs_diff(Duration::from_millis(80)) < Duration::from_micros(40),
            "{round_trip:?}"
        );
        let early = Report {
            block: Some(Block {
                delay: 65_536,
                ..block
            }),
            ..report
        };
        control.hear(ms(1_580), Some(remote), &early);
        assert_eq!(control.round_trip(), Some(Duration::ZERO));
        let nonsense = Report {
            block: Some(Block {
                last_report: 1,
                ..block
            }),
            ..report
        };
        control.hear(ms(1_580), Some(remote), &nonsense);
        assert_eq!(control.round_trip(), Some(Duration::ZERO), "kept");
    }

    #[test]
    fn who_has_sent_reports_as_a_sender_and_refers_to_the_other_ones_report() {
        let mut control = Control::new();
        let remote: SocketAddr = "192.0.2.1:4001".parse().unwrap();
        control.agreed(ms(0), Rtcp::Beside(remote), 5);
        let heard = Report {
            ssrc: 9,
            sent: Some(rtcp::Sent {
                ntp: 0xabcd_1234_5678_0000,
                timestamp: 0,
                packets: 0,
                octets: 0,
            }),
            block: None,
            bye: false,
        };
        control.hear(ms(100), Some(remote), &heard);
        let mut buffer = [0; rtcp::MAX_OCTETS];
        let block = Some(Block {
            ssrc: 9,
            ..Block::default()
        });
        let length = control.write(ms(350), Own { block, ..own(10) }, false, &mut buffer);
        let report = rtcp::read(&buffer[..length], 9).unwrap();
        let written = report.block.unwrap();
        assert_eq!(written.last_report, 0x1234_5678);
        assert_eq!(written.delay, 65_536 / 4);
        assert_eq!(report.sent.map(|sent| sent.packets), Some(10));
        let length = control.write(ms(5_000), own(10), true, &mut buffer);
        let report = rtcp::read(&buffer[..length], 9).unwrap();
        assert!(report.sent.is_none() && report.bye, "nothing sent since");
    }

    #[test]
    fn reports_go_where_they_come_from_and_come_from_that_host_only() {
        let mut control = Control::new();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let rtp = at("198.51.100.7:5000");
        control.agreed(ms(0), Rtcp::Beside(at("192.168.1.2:4001")), 5);
        assert_eq!(control.target(rtp), at("192.168.1.2:4001"));
        assert!(control.accepts(at("198.51.100.7:6123"), rtp));
        assert!(!control.accepts(at("203.0.113.1:4001"), rtp));
        control.hear(ms(1), Some(at("198.51.100.7:6123")), &Report::default());
        assert_eq!(control.target(rtp), at("198.51.100.7:6123"));
        control.agreed(ms(2), Rtcp::Muxed, 5);
        assert_eq!(control.target(rtp), rtp);
        assert!(!control.accepts(at("198.51.100.7:6123"), rtp));
    }
}
