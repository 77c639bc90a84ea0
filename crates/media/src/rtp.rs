//! RTP packets (RFC 3550 section 5.1): reading by `rtp-rs`, writing of the fixed header in place.

use std::ops::Range;

use rtp_rs::RtpReader;

/// Octets of a header without sources and extension; what this crate sends.
pub const HEADER: usize = 12;

/// A header, and where its payload lies in the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Without padding; starts at [`HEADER`] or later.
    pub payload: Range<usize>,
}

/// Whether a datagram of a muxed port is RTCP: a second octet of 192 to 223 (RFC 5761 section 4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.len() >= 2 && packet[0] >> 6 == 2 && (192..=223).contains(&packet[1])
}

/// Reads a packet; `None` when it is not RTP version 2 or its lengths don't add up.
pub fn parse(packet: &[u8]) -> Option<Header> {
    let reader = RtpReader::new(packet).ok()?;
    let start = reader.payload_offset();
    Some(Header {
        marker: reader.mark(),
        payload_type: reader.payload_type(),
        sequence: reader.sequence_number().into(),
        timestamp: reader.timestamp(),
        ssrc: reader.ssrc(),
        payload: start..start + reader.payload().len(),
    })
}

/// The fixed part of a header that goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

impl Fixed {
    /// The header's octets.
    pub fn octets(&self) -> [u8; HEADER] {
        let mut octets = [0; HEADER];
        octets[0] = 0x80;
        octets[1] = (u8::from(self.marker) << 7) | (self.payload_type & 0x7f);
        octets[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        octets[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        octets[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        octets
    }

    /// A whole packet, for tests and load generators; the plane writes into its own buffer instead.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = self.octets().to_vec();
        packet.extend_from_slice(payload);
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let fixed = Fixed {
            marker: true,
            payload_type: 101,
            sequence: 65_535,
            timestamp: 4_000_000_000,
            ssrc: 9,
        };
        let packet = fixed.packet(&[1, 2, 3]);
        let header = parse(&packet).unwrap();
        assert_eq!(
            (header.marker, header.payload_type, header.sequence),
            (true, 101, 65_535)
        );
        assert_eq!(
            (header.timestamp, header.ssrc, &packet[header.payload]),
            (4_000_000_000, 9, &[1, 2, 3][..])
        );
    }

    #[test]
    fn sources_extension_and_padding_are_left_out_of_the_payload() {
        let mut packet = vec![0xb1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]; // padding, extension, one source
        packet.extend([0, 0, 0, 5]); // the source
        packet.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // one word of extension
        packet.extend([9, 9, 9, 0, 2]); // three octets of audio, two of padding
        let header = parse(&packet).unwrap();
        assert_eq!(&packet[header.payload], &[9, 9, 9]);
    }

    #[test]
    fn what_is_not_rtp_is_refused() {
        let short_source = [0x8f; 20];
        let padded_beyond = [0xa0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 200];
        for junk in [
            &[][..],
            &[0x80; 11],
            &[0; 12],
            &[0x40; 40],
            &short_source,
            &padded_beyond,
        ] {
            assert_eq!(parse(junk), None, "{junk:?}");
        }
        assert!(
            is_rtcp(&[0x80, 200])
                && is_rtcp(&[0x81, 201, 0])
                && !is_rtcp(&[0x80, 0])
                && !is_rtcp(&[0x80])
        );
    }
}
