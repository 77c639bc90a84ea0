//! RTCP packets (RFC 3550 section 6): reports and goodbyes, read and written by `rtcp-types`.

use clock::Time;
use rtcp_types::{
    Bye, Compound, Packet, ReceiverReport, ReportBlock, RtcpPacketWriterExt, Sdes, SdesChunk,
    SdesItem, SenderReport,
};

/// Octets of the longest compound packet that we send: a sender report with one block, a name, a goodbye.
pub const MAX_OCTETS: usize = 128;
/// Seconds from the epoch of NTP (1900) to that of [`Time`].
const NTP_EPOCH: u64 = 2_208_988_800;
/// Lost packets are counted in 24 bits with a sign.
const LOST_MAX: i64 = 0x7f_ffff;

/// Moments as RTCP writes them.
pub mod ntp {
    use super::{NTP_EPOCH, Time};

    /// Seconds since 1900 and their 2^32nd parts.
    pub fn whole(now: Time) -> u64 {
        let nanos = now.as_nanos();
        let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        ((seconds + NTP_EPOCH) << 32) | ((rest << 32) / 1_000_000_000)
    }

    /// The middle of it, in 65,536th parts of a second: what reports refer to.
    pub fn middle(whole: u64) -> u32 {
        (whole >> 16) as u32
    }
}

/// How a stream of packets arrived, as the receiver tells its sender (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Whose packets.
    pub ssrc: u32,
    /// 256th parts lost since the report before.
    pub fraction_lost: u8,
    /// Lost in all; less than nothing where some came twice.
    pub lost: i32,
    pub highest: u32,
    /// In samples.
    pub jitter: u32,
    /// The sender report that came last (the middle of its NTP time, 0 without one), and how long ago that was in 65,536th parts of a second.
    pub last_report: u32,
    pub delay: u32,
}

/// What a sender says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub ntp: u64,
    pub timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// One compound packet, as far as a call between two cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whose report it is.
    pub ssrc: u32,
    pub sent: Option<Sent>,
    /// When reading: the block on our stream.
    pub block: Option<Block>,
    pub bye: bool,
}

/// Reads a compound packet that somebody has sent to the stream `ours`; `None` when it is damaged or reports nothing.
pub fn read(packet: &[u8], ours: u32) -> Option<Report> {
    let mut report: Option<Report> = None;
    for part in Compound::parse(packet).ok()? {
        match part.ok()? {
            Packet::Sr(sender) => {
                let report = report.get_or_insert_default();
                report.ssrc = sender.ssrc();
                report.sent = Some(Sent {
                    ntp: sender.ntp_timestamp(),
                    timestamp: sender.rtp_timestamp(),
                    packets: sender.packet_count(),
                    octets: sender.octet_count(),
                });
                report.block = sender.report_blocks().find_map(|block| on(&block, ours));
            }
            Packet::Rr(receiver) => {
                let report = report.get_or_insert_default();
                report.ssrc = receiver.ssrc();
                report.block = report
                    .block
                    .or_else(|| receiver.report_blocks().find_map(|block| on(&block, ours)));
            }
            Packet::Bye(bye) => {
                let report = report.get_or_insert_default();
                report.ssrc = bye.ssrcs().next().unwrap_or(report.ssrc);
                report.bye = true;
            }
            // Names, feedback and what applications say to each other do not concern a telephone call.
            _ => {}
        }
    }
    report
}

fn on(block: &ReportBlock<'_>, ours: u32) -> Option<Block> {
    let lost = block.cumulative_lost();
    (block.ssrc() == ours).then_some(Block {
        ssrc: ours,
        fraction_lost: block.fraction_lost(),
        lost: ((lost << 8) as i32) >> 8,
        highest: block.extended_sequence_number(),
        jitter: block.interarrival_jitter(),
        last_report: block.last_sender_report_timestamp(),
        delay: block.delay_since_last_sender_report_timestamp(),
    })
}

/// Writes a compound packet: sender or receiver report, the name that RFC 3550 wants in each, and the goodbye of a stream that ends. Gives its length.
pub fn write(report: &Report, buffer: &mut [u8; MAX_OCTETS]) -> usize {
    const ROOM: &str = "a report of one block fits into the buffer";
    let block = report.block.map(|block| {
        ReportBlock::builder(block.ssrc)
            .fraction_lost(block.fraction_lost)
            .cumulative_lost(i64::from(block.lost).clamp(-LOST_MAX, LOST_MAX) as u32 & 0xff_ffff)
            .extended_sequence_number(block.highest)
            .interarrival_jitter(block.jitter)
            .last_sender_report_timestamp(block.last_report)
            .delay_since_last_sender_report_timestamp(block.delay)
    });
    let mut length = match report.sent {
        Some(sent) => block
            .into_iter()
            .fold(SenderReport::builder(report.ssrc), |report, block| {
                report.add_report_block(block)
            })
            .ntp_timestamp(sent.ntp)
            .rtp_timestamp(sent.timestamp)
            .packet_count(sent.packets)
            .octet_count(sent.octets)
            .write_into(buffer),
        None => block
            .into_iter()
            .fold(ReceiverReport::builder(report.ssrc), |report, block| {
                report.add_report_block(block)
            })
            .write_into(buffer),
    }
    .expect(ROOM);
    // A name that says nothing about anybody and lasts as long as the stream (RFC 7022 section 4.2).
    let name = format!("{:08x}", report.ssrc.wrapping_mul(0x9e37_79b9));
    length += Sdes::builder()
        .add_chunk(
            SdesChunk::builder(report.ssrc).add_item(SdesItem::builder(SdesItem::CNAME, &name)),
        )
        .write_into(&mut buffer[length..])
        .expect(ROOM);
    if report.bye {
        length += Bye::builder()
            .add_source(report.ssrc)
            .write_into(&mut buffer[length..])
            .expect(ROOM);
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block() -> Block {
        Block {
            ssrc: 7,
            fraction_lost: 12,
            lost: -3,
            highest: 70_000,
            jitter: 40,
            last_report: 0x1234_5678,
            delay: 65_536,
        }
    }

    #[test]
    fn what_is_written_is_read_and_blocks_on_others_are_left_out() {
        let mut buffer = [0; MAX_OCTETS];
        let sent = Sent {
            ntp: ntp::whole(Time::from_secs(1)),
            timestamp: 99,
            packets: 5,
            octets: 800,
        };
        for (sent, bye) in [(Some(sent), false), (None, true)] {
            let report = Report {
                ssrc: 9,
                sent,
                block: Some(block()),
                bye,
            };
            let length = write(&report, &mut buffer);
            assert!(crate::rtp::is_rtcp(&buffer[..length]));
            assert_eq!(read(&buffer[..length], 7), Some(report));
            let of_another = Report {
                block: None,
                ..report
            };
            assert_eq!(read(&buffer[..length], 8), Some(of_another));
        }
    }

    #[test]
    fn a_moment_is_seconds_since_1900_and_binary_parts() {
        let moment = Time::from_nanos(1_500_000_000);
        assert_eq!(
            ntp::whole(moment),
            (NTP_EPOCH + 1) << 32 | 0x8000_0000,
            "1970 plus a second and a half"
        );
        assert_eq!(
            ntp::middle(ntp::whole(moment)),
            ((NTP_EPOCH as u32 + 1) << 16) | 0x8000
        );
    }

    proptest! {
        #[test]
        fn nothing_that_comes_does_harm(
            mut packet in prop::collection::vec(any::<u8>(), 0..200),
            kind in 192u8..=223,
        ) {
            if packet.len() > 3 {
                packet[0] = 0x80 | (packet[0] & 0x3f);
                packet[1] = kind;
                let words = (packet.len() / 4 - 1) as u16;
                packet[2..4].copy_from_slice(&words.to_be_bytes());
            }
            let _ = read(&packet, 7);
        }
    }
}
