//! Tones through every pair of codecs, with and without loss, in every packet time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use media::rtp::{self, Fixed, Header};
use media::voice::{self, Decoder, Encoder, MAX_PAYLOAD};
use media::{
    Codec, Command, Direction, Format, Plane, PlaneConfig, Port, Prompts, Rtcp, Source, StreamId,
    Wishes, tone,
};

/// Those that were built; `make test` builds all.
fn all() -> impl Iterator<Item = Codec> {
    [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus]
        .into_iter()
        .filter(|codec| codec.is_built())
}
const A: StreamId = StreamId(1);
const B: StreamId = StreamId(2);
const HERTZ: f64 = 1004.0;

fn format(codec: Codec, ptime: u64) -> Format {
    Format {
        codec,
        payload_type: match codec {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::G722 => 9,
            Codec::Opus => 111,
        },
        ptime: Duration::from_millis(ptime),
        telephone_event: Some(101),
        event_rate: codec.clock_rate() as u16,
        wishes: Wishes {
            fec: true,
            dtx: false,
        },
    }
}

fn port(stream: StreamId) -> Port {
    Port {
        plane: 0,
        number: 4_000 + stream.0 as u16 * 2,
    }
}

fn phone(stream: StreamId) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, stream.0 as u8], 7_000))
}

fn plane(a: Format, b: Format) -> Plane {
    let mut plane = Plane::new(PlaneConfig::default(), Arc::new(Prompts::default()));
    for (stream, format) in [(A, a), (B, b)] {
        let open = Command::Open {
            stream,
            port: port(stream),
            ssrc: 9 + stream.0 as u32,
        };
        plane.handle(Time::from_secs(1_000), open);
        let update = Command::Update {
            stream,
            remote: phone(stream),
            rtcp: Rtcp::Muxed,
            behind: None,
            format,
            direction: Direction::SendReceive,
        };
        plane.handle(Time::from_secs(1_000), update);
    }
    plane
}

/// A telephone that speaks a sine.
struct Speaker {
    format: Format,
    encoder: Encoder,
    rate: u32,
    spoken: u32,
    sequence: u16,
    timestamp: u32,
}

impl Speaker {
    fn new(format: Format) -> Speaker {
        let rate = if format.codec.law().is_some() {
            8_000
        } else {
            16_000
        };
        Speaker {
            format,
            encoder: Encoder::new(format.codec, rate, format.wishes).expect("an encoder"),
            rate,
            spoken: 0,
            sequence: 65_400,
            timestamp: u32::MAX - 20_000,
        }
    }

    fn packet(&mut self) -> Vec<u8> {
        let milliseconds = self.format.ptime.as_millis() as u32;
        let samples: Vec<i16> = (0..milliseconds * self.rate / 1000)
            .map(|n| {
                let seconds = f64::from(self.spoken + n) / f64::from(self.rate);
                ((seconds * HERTZ * std::f64::consts::TAU).sin() * 8_000.0) as i16
            })
            .collect();
        self.spoken += samples.len() as u32;
        let mut payload = [0; MAX_PAYLOAD];
        let length = self.encoder.encode(&samples, &mut payload).expect("sound");
        let fixed = Fixed {
            marker: false,
            payload_type: self.format.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: 5,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let ticks = milliseconds * self.format.codec.clock_rate() / 1000;
        self.timestamp = self.timestamp.wrapping_add(ticks);
        fixed.packet(&payload[..length])
    }
}

/// What a telephone hears of these packets, at 8 kHz: it conceals what is missing in the sequence, as telephones do.
fn listen(format: Format, packets: &[(Header, Vec<u8>)]) -> Vec<i16> {
    let mut decoder = Decoder::new(format.codec, 8_000).expect("a decoder");
    let mut heard = Vec::new();
    let mut next: Option<(u16, u32)> = None;
    for (header, payload) in packets {
        if let Some((sequence, timestamp)) = next
            && header.sequence != sequence
        {
            let ticks = header.timestamp.wrapping_sub(timestamp);
            let missing = ticks * 8_000 / format.codec.clock_rate();
            decoder.conceal(missing as usize, payload, &mut heard);
        }
        decoder.decode(payload, &mut heard);
        let after = header
            .timestamp
            .wrapping_add(voice::ticks(format.codec, payload));
        next = Some((header.sequence.wrapping_add(1), after));
    }
    heard
}

/// Ten seconds of a tone from A to B over a line that loses every `lost`-th packet (0: none); what B's telephone gets.
fn bridge(from: Format, to: Format, lost: u64) -> Vec<(Header, Vec<u8>)> {
    let mut plane = plane(from, to);
    let start = Time::from_secs(1_000);
    plane.handle(start, Command::Bridge { a: A, b: B });
    let mut speaker = Speaker::new(from);
    let mut got = Vec::new();
    let ptime = from.ptime.as_millis() as u64;
    for n in 0..10_000 / ptime {
        let mut packet = speaker.packet();
        if lost > 0 && n % lost == lost / 2 {
            continue;
        }
        let now = start + Duration::from_millis(n * ptime);
        plane.receive(
            now,
            port(A).number,
            phone(A),
            &mut packet,
            &mut |by, to, packet| {
                assert_eq!((by, to), (port(B), phone(B)));
                let header = rtp::parse(packet).expect("RTP");
                let payload = packet[header.payload.clone()].to_vec();
                got.push((header, payload));
            },
        );
    }
    assert_eq!(plane.counters().rejected.total(), 0);
    got
}

/// Tone over everything else, in dB.
fn clarity(samples: &[i16]) -> f64 {
    let purity = tone::purity(&samples[4_000..], HERTZ, 8_000);
    10.0 * (purity / (1.0 - purity).max(1e-9)).log10()
}

#[test]
fn a_tone_comes_through_every_pair_of_codecs_with_and_without_loss() {
    let mut table = String::new();
    for from in all() {
        for to in all() {
            let (from_format, to_format) = (format(from, 20), format(to, 20));
            let mut row = Vec::new();
            for (lost, least) in [(0, 18.0), (100, 14.0), (20, 8.0)] {
                let packets = bridge(from_format, to_format, lost);
                let heard = listen(to_format, &packets);
                let decibels = clarity(&heard);
                row.push(format!("{decibels:.1}"));
                assert!(
                    decibels > least,
                    "{from:?} to {to:?}, 1 of {lost} lost: {decibels:.1} dB"
                );
                let seconds = heard.len() as f64 / 8_000.0;
                assert!((seconds - 10.0).abs() < 0.1, "{seconds} s of ten");
                for pair in packets.windows(2) {
                    let (one, next) = (&pair[0].0, &pair[1].0);
                    let step = next.sequence.wrapping_sub(one.sequence);
                    let ticks = next.timestamp.wrapping_sub(one.timestamp);
                    let packet = to.clock_rate() / 50;
                    assert_eq!(ticks, packet * u32::from(step), "{from:?} to {to:?}");
                }
            }
            table += &format!("{from:?} -> {to:?}: {} dB\n", row.join(" / "));
        }
    }
    println!("{table}");
}

#[test]
fn packet_times_of_either_side_are_kept() {
    for (from, to) in [
        (Codec::Pcmu, Codec::G722),
        (Codec::G722, Codec::Pcma),
        (Codec::Pcma, Codec::Opus),
    ] {
        if !to.is_built() {
            continue;
        }
        for theirs in [10, 20, 30, 40, 50, 60] {
            for ours in [10, 20, 30, 40, 60] {
                let (from_format, to_format) = (format(from, theirs), format(to, ours));
                let packets = bridge(from_format, to_format, 0);
                let made = match (to, ours) {
                    (Codec::Opus, 30) => 20,
                    (_, ours) => ours,
                };
                let ticks = made as u32 * to.clock_rate() / 1000;
                let lengths = packets.iter().map(|(_, payload)| voice::ticks(to, payload));
                assert!(lengths.into_iter().all(|length| length == ticks));
                let decibels = clarity(&listen(to_format, &packets));
                assert!(
                    decibels > 18.0,
                    "{from:?} {theirs} ms to {to:?} {ours} ms: {decibels:.1} dB"
                );
            }
        }
    }
}

#[test]
fn what_we_play_is_heard_in_every_codec_and_packet_time() {
    for codec in all() {
        for ptime in [10, 20, 30, 40, 60] {
            let format = format(codec, ptime);
            let mut plane = plane(format, format);
            let source = Source::Tone { hertz: 1004 };
            plane.handle(
                Time::from_secs(1_000),
                Command::Source { stream: A, source },
            );
            let mut got: Vec<(Header, Vec<u8>)> = Vec::new();
            let end = Time::from_secs(1_005);
            while let Some((at, _)) = plane.poll_timeout()
                && at <= end
            {
                plane.handle_timeout(at, &mut |by, _, packet| {
                    if by == port(A) && !rtp::is_rtcp(packet) {
                        let header = rtp::parse(packet).expect("RTP");
                        let payload = packet[header.payload.clone()].to_vec();
                        got.push((header, payload));
                    }
                });
            }
            let decibels = clarity(&listen(format, &got));
            assert!(decibels > 18.0, "{codec:?} in {ptime} ms: {decibels:.1} dB");
        }
    }
}

#[cfg(feature = "opus")]
#[test]
fn late_and_repeated_packets_and_pauses_do_no_harm_to_a_transcoding() {
    let (from, to) = (format(Codec::Pcmu, 20), format(Codec::Opus, 20));
    let mut plane = plane(from, to);
    let start = Time::from_secs(1_000);
    plane.handle(start, Command::Bridge { a: A, b: B });
    let mut speaker = Speaker::new(from);
    let mut got = Vec::new();
    let mut hear = |plane: &mut Plane, at: u64, packet: &[u8]| {
        let now = start + Duration::from_millis(at);
        plane.receive(
            now,
            port(A).number,
            phone(A),
            &mut packet.to_vec(),
            &mut |_, _, out| {
                got.push(rtp::parse(out).expect("RTP"));
            },
        );
    };
    let packets: Vec<Vec<u8>> = (0..10).map(|_| speaker.packet()).collect();
    for (at, n) in [(0, 0), (20, 1), (60, 3), (61, 2), (62, 3), (80, 4)] {
        hear(&mut plane, at, &packets[n]);
    }
    // The sender is silent for two seconds (DTX): no packet is lost, time is.
    speaker.timestamp = speaker.timestamp.wrapping_add(16_000);
    let later = speaker.packet();
    let sequence = u16::from_be_bytes([packets[4][2], packets[4][3]]).wrapping_add(1);
    let mut resumed = later;
    resumed[2..4].copy_from_slice(&sequence.to_be_bytes());
    hear(&mut plane, 2_100, &resumed);
    let sequences: Vec<u16> = got
        .windows(2)
        .map(|pair| pair[1].sequence.wrapping_sub(pair[0].sequence))
        .collect();
    assert_eq!(sequences, [1; 5], "{got:?}");
    let steps: Vec<u32> = got
        .windows(2)
        .map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp))
        .collect();
    assert_eq!(steps[..4], [960; 4]);
    assert!(
        (90_000..100_000).contains(&steps[4]),
        "by the clock: {steps:?}"
    );
    assert!(got[0].marker && got[5].marker && !got[3].marker);
}

/// Ten seconds of a tone over a line that delays each packet by up to 60 ms, so that they overtake each other, and loses one in a hundred.
fn shaken(from: Format, to: Format) -> Vec<(Header, Vec<u8>)> {
    let mut plane = plane(from, to);
    let start = Time::from_secs(1_000);
    plane.handle(start, Command::Bridge { a: A, b: B });
    let mut speaker = Speaker::new(from);
    let mut seed = 7u32;
    let mut coming: Vec<(u64, Vec<u8>)> = (0..500)
        .map(|n| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (n * 20 + u64::from(seed >> 8) % 60, speaker.packet())
        })
        .filter(|(at, _)| at / 20 % 100 != 50)
        .collect();
    coming.sort_by_key(|(at, _)| *at);
    let mut got = Vec::new();
    for (at, mut packet) in coming {
        let now = start + Duration::from_millis(at);
        plane.receive(
            now,
            port(A).number,
            phone(A),
            &mut packet,
            &mut |_, _, packet| {
                let header = rtp::parse(packet).expect("RTP");
                let payload = packet[header.payload.clone()].to_vec();
                got.push((header, payload));
            },
        );
    }
    // A telephone has a buffer of its own.
    let first = got[0].0.sequence.wrapping_sub(100);
    got.sort_by_key(|(header, _)| header.sequence.wrapping_sub(first));
    got
}

#[test]
fn packets_that_overtake_each_other_are_heard_in_their_order() {
    let mut table = String::new();
    for (from, to) in all().flat_map(|from| all().map(move |to| (from, to))) {
        let format_to = format(to, 20);
        let packets = shaken(format(from, 20), format_to);
        let heard = listen(format_to, &packets);
        let decibels = clarity(&heard);
        table += &format!(
            "{from:?} {to:?} {decibels:.1} dB, {} packets\n",
            packets.len()
        );
        assert!(decibels > 10.0, "{table}");
        // Nothing is missing at the end, and nothing was made up beside what was lost.
        assert!(
            heard.len().abs_diff(80_000) <= 800,
            "{} samples\n{table}",
            heard.len()
        );
    }
}
