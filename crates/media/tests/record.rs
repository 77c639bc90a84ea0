//! Recordings: what was said is in the file to the sample, each side in its channel and at its time, and what came in a pause is not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use media::flac::{self, Pair};
use media::g711::{self, Law};
use media::record::Piece;
use media::tap::{Heard, Tap};
use media::voice::Encoder;
use media::{
    Codec, Command, Direction, Format, Plane, PlaneConfig, Port, Prompts, RecordingId, Rtcp, Side,
    StreamId, rtp, tone,
};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::TrackType;
use symphonia::core::io::MediaSourceStream;

const START: Time = Time::from_secs(1_000);
const CUSTOMER: StreamId = StreamId(1);
const AGENT: StreamId = StreamId(2);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Noise that is the same in each run: no two stretches of it are alike.
fn octets(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn decoded(law: Law, octets: &[u8]) -> Vec<i16> {
    octets
        .iter()
        .map(|octet| g711::decode(law, *octet))
        .collect()
}

fn phone(stream: StreamId) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, stream.0 as u8], 4000))
}

/// A plane with two streams that talk.
fn plane(codecs: [Codec; 2]) -> Plane {
    let mut plane = Plane::new(PlaneConfig::default(), Arc::new(Prompts::default()));
    for (stream, codec) in [CUSTOMER, AGENT].into_iter().zip(codecs) {
        let number = 10_000 + 2 * stream.0 as u16;
        let port = Port { plane: 0, number };
        let ssrc = 7 + stream.0 as u32;
        plane.handle(START, Command::Open { stream, port, ssrc });
        let format = Format {
            codec,
            payload_type: if codec == Codec::Pcmu { 0 } else { 8 },
            ptime: ms(20),
            telephone_event: Some(101),
            event_rate: 8000,
            wishes: Default::default(),
        };
        plane.handle(
            START,
            Command::Update {
                stream,
                remote: phone(stream),
                rtcp: Rtcp::Muxed,
                behind: None,
                format,
                direction: Direction::SendReceive,
            },
        );
    }
    let (a, b) = (CUSTOMER, AGENT);
    plane.handle(START, Command::Bridge { a, b });
    plane
}

fn tap(piece: u32, side: Side) -> Tap {
    let recording = RecordingId(5);
    Tap {
        recording,
        piece,
        side,
    }
}

/// What a telephone sends.
#[derive(Clone)]
struct Packet {
    at: Time,
    stream: StreamId,
    sequence: u16,
    octets: Vec<u8>,
}

/// A second of packets after another, each so late.
fn spoken(
    stream: StreamId,
    begin: Duration,
    octets: &[u8],
    late: impl Fn(usize) -> u64,
) -> Vec<Packet> {
    let packet = |(n, chunk): (usize, &[u8])| Packet {
        at: START + begin + ms(20 * n as u64 + late(n)),
        stream,
        sequence: (65_500 + n) as u16,
        octets: chunk.to_vec(),
    };
    octets.chunks(160).enumerate().map(packet).collect()
}

/// Puts packets through the plane in the order of their times; what the taps gave.
fn through(
    plane: &mut Plane,
    mut packets: Vec<Packet>,
    payload_types: [u8; 2],
) -> Vec<media::tap::Block> {
    packets.sort_by_key(|packet| packet.at);
    let mut blocks = Vec::new();
    let mut nowhere = |_: Port, _: SocketAddr, _: &[u8]| {};
    for packet in packets {
        while let Some((at, _)) = plane.poll_timeout()
            && at <= packet.at
        {
            plane.handle_timeout(at, &mut nowhere);
        }
        let mut datagram = rtp::Fixed {
            marker: false,
            payload_type: payload_types[packet.stream.0 as usize - 1],
            sequence: packet.sequence,
            timestamp: u32::from(packet.sequence.wrapping_sub(65_500))
                .wrapping_mul(160)
                .wrapping_add(u32::MAX - 1_000),
            ssrc: 100 + packet.stream.0 as u32,
        }
        .packet(&packet.octets);
        let port = 10_000 + 2 * packet.stream.0 as u16;
        let from = phone(packet.stream);
        plane.receive(packet.at, port, from, &mut datagram, &mut nowhere);
        blocks.extend(std::iter::from_fn(|| plane.poll_tapped()));
    }
    let (due, _) = plane.poll_timeout().expect("a block waits");
    plane.handle_timeout(due.max(START + Duration::from_secs(3_600)), &mut nowhere);
    blocks.extend(std::iter::from_fn(|| plane.poll_tapped()));
    blocks
}

/// The whole of a piece.
fn recorded(piece: &mut Piece, blocks: &[media::tap::Block], end: Time) -> Vec<Pair> {
    let mut samples = Vec::new();
    for block in blocks {
        for heard in &block.packets {
            piece.take(heard, block.payload(heard));
        }
        if let Some(last) = block.packets.last() {
            assert!(!piece.drain(last.at, &mut samples));
        }
    }
    piece.end(end);
    assert!(piece.drain(end + ms(500), &mut samples));
    samples
}

fn channel(samples: &[Pair], side: Side) -> Vec<i16> {
    samples.iter().map(|pair| pair[side as usize]).collect()
}

#[test]
fn both_sides_are_in_the_file_to_the_sample_whatever_the_network_did() {
    let mut plane = plane([Codec::Pcma, Codec::Pcmu]);
    for (stream, side) in [(CUSTOMER, Side::Customer), (AGENT, Side::Agent)] {
        let tap = Some(tap(0, side));
        plane.handle(START, Command::Tap { stream, tap });
    }
    let (customer, agent) = (octets(1, 8_000 * 5), octets(2, 8_000 * 4));
    // Up to 70 ms of jitter, which also changes the order; the agent's third second is lost.
    let jitter = |n: usize| [0, 35, 7, 70, 21][n % 5];
    let mut packets = spoken(CUSTOMER, ms(0), &customer, jitter);
    packets.extend(spoken(AGENT, ms(500), &agent, |n| jitter(n + 2)));
    packets.retain(|packet| {
        let n = packet.sequence.wrapping_sub(65_500);
        packet.stream == CUSTOMER || !(100..150).contains(&n)
    });
    packets.extend(packets.iter().step_by(17).cloned().collect::<Vec<_>>()); // some come twice
    let blocks = through(&mut plane, packets, [8, 0]);
    assert!(blocks.len() > 20, "{} blocks", blocks.len());
    let mut piece = Piece::new(START);
    let samples = recorded(&mut piece, &blocks, START + ms(5_500));
    assert_eq!(samples.len(), 44_000, "as long as the piece lasted");
    assert_eq!(piece.missed(), 0);

    let mut expected = decoded(Law::A, &customer);
    expected.resize(44_000, 0);
    assert!(channel(&samples, Side::Customer) == expected);
    let mut expected = vec![0; 4_000];
    expected.extend(decoded(Law::Mu, &agent));
    expected[4_000 + 16_000..4_000 + 24_000].fill(0);
    expected.resize(44_000, 0);
    assert!(channel(&samples, Side::Agent) == expected);

    assert!(from_flac(&flac_of(&samples)) == samples);
}

#[test]
fn a_pause_leaves_no_sample_and_the_pieces_follow_each_other() {
    let mut plane = plane([Codec::Pcmu, Codec::Pcmu]);
    let said = octets(3, 8_000 * 6);
    let packets = spoken(CUSTOMER, ms(0), &said, |_| 0);
    let stream = CUSTOMER;
    let part = |from: u64, to: u64| {
        let within =
            move |packet: &&Packet| packet.at >= START + ms(from) && packet.at < START + ms(to);
        packets.iter().filter(within).cloned().collect::<Vec<_>>()
    };
    let mut pieces = [Piece::new(START), Piece::new(START + ms(4_000))];
    let mut all = Vec::new();
    for (n, (from, to)) in [(0, 2_000), (2_000, 4_000), (4_000, 6_000)]
        .into_iter()
        .enumerate()
    {
        let tap = (n != 1).then(|| tap(n as u32 / 2, Side::Customer));
        plane.handle(START + ms(from), Command::Tap { stream, tap });
        let blocks = if n == 1 {
            // Nothing waits, and nothing is made.
            let mut plain = part(from, to);
            plain.truncate(1);
            let mut nowhere = |_: Port, _: SocketAddr, _: &[u8]| {};
            let mut datagram = rtp::Fixed {
                marker: false,
                payload_type: 0,
                sequence: plain[0].sequence,
                timestamp: 1,
                ssrc: 101,
            }
            .packet(&plain[0].octets);
            plane.receive(
                plain[0].at,
                10_002,
                phone(stream),
                &mut datagram,
                &mut nowhere,
            );
            assert!(plane.poll_tapped().is_none());
            continue;
        } else {
            through(&mut plane, part(from, to), [0, 0])
        };
        let piece = &mut pieces[n / 2];
        all.extend(recorded(piece, &blocks, START + ms(to)));
    }
    let expected: Vec<i16> = [&said[..16_000], &said[32_000..]]
        .concat()
        .iter()
        .map(|octet| g711::decode(Law::Mu, *octet))
        .collect();
    assert!(channel(&all, Side::Customer) == expected);
}

/// A packet straight to a piece.
fn heard(
    at: Duration,
    stream: u64,
    side: Side,
    codec: Codec,
    sequence: u16,
    timestamp: u32,
) -> Heard {
    Heard {
        tap: tap(0, side),
        stream: StreamId(stream),
        at: START + at,
        codec,
        ssrc: 9,
        sequence,
        timestamp,
        payload: 0..0,
    }
}

#[test]
fn what_comes_after_the_end_or_before_the_beginning_is_left_out() {
    let mut piece = Piece::new(START + ms(100));
    piece.end(START + ms(1_100));
    for (n, at) in [(0u16, 80), (1, 100), (50, 1_080), (51, 1_101), (52, 1_120)] {
        let packet = heard(ms(at), 1, Side::Agent, Codec::Pcma, n, u32::from(n) * 160);
        piece.take(&packet, &[0; 160]);
    }
    let mut samples = Vec::new();
    assert!(
        !piece.drain(START + ms(1_400), &mut samples),
        "others may still be on their way"
    );
    assert!(piece.drain(START + ms(1_500), &mut samples));
    assert_eq!(samples.len(), 8_000);
    let loud = channel(&samples, Side::Agent);
    let loud: Vec<usize> = (0..loud.len()).filter(|n| loud[*n] != 0).collect();
    assert_eq!(loud, (0..160).chain(7_840..8_000).collect::<Vec<_>>());
}

#[test]
fn a_sender_that_pauses_or_sets_its_clock_anew_is_where_it_was_heard() {
    let mut piece = Piece::new(START);
    let mut sequence = 0;
    let mut say = |at: u64, timestamp: u32| {
        for n in 0..10 {
            let timestamp = timestamp.wrapping_add(n * 160);
            let at = ms(at + 20 * u64::from(n));
            piece.take(
                &heard(at, 1, Side::Customer, Codec::Pcmu, sequence, timestamp),
                &[0x10; 160],
            );
            sequence = sequence.wrapping_add(1);
        }
    };
    say(0, 0);
    say(1_000, 1_600); // its clock stood still
    say(2_000, 90_000_000);
    say(3_000, 90_008_000); // its clock went on: DTX
    let mut samples = Vec::new();
    piece.end(START + ms(4_000));
    assert!(piece.drain(START + ms(4_400), &mut samples));
    let loud = channel(&samples, Side::Customer);
    for (n, sample) in loud.iter().enumerate() {
        assert_eq!(*sample != 0, n % 8_000 < 1_600, "sample {n}");
    }
    assert_eq!((loud.len(), piece.missed()), (32_000, 0));
}

#[test]
fn a_clock_that_runs_slow_does_not_carry_its_side_away_from_the_other() {
    let mut piece = Piece::new(START);
    let mut samples = Vec::new();
    // 0.1 % slow, ten times worse than telephones are: 180 ms in three minutes.
    for n in 0..9_000u32 {
        let at = Duration::from_micros(20_020) * n;
        let octet = if n % 50 == 0 { 0x10 } else { 0xff };
        let packet = heard(at, 1, Side::Customer, Codec::Pcmu, n as u16, n * 160);
        piece.take(&packet, &[octet; 160]);
        piece.drain(START + at, &mut samples);
    }
    let loud = channel(&samples, Side::Customer);
    let begins = |n: &usize| loud[*n] != 0 && (*n == 0 || loud[n - 1] == 0);
    let starts: Vec<usize> = (0..loud.len()).filter(begins).collect();
    assert!(starts.len() > 170, "{} bursts", starts.len());
    for (n, start) in starts.iter().enumerate() {
        let true_ms = n as f64 * 1_001.0;
        let off = (*start as f64 / 8.0 - true_ms).abs();
        assert!(off < 62.0, "burst {n} is off by {off} ms");
    }
}

#[test]
fn people_on_one_side_are_mixed_without_wrapping_around() {
    let mut piece = Piece::new(START);
    for n in 0..50u16 {
        for stream in [2, 3] {
            let packet = heard(
                ms(20 * u64::from(n)),
                stream,
                Side::Agent,
                Codec::Pcmu,
                n,
                u32::from(n) * 160,
            );
            piece.take(&packet, &[0x80; 160]); // the loudest
        }
    }
    let mut samples = Vec::new();
    piece.end(START + ms(1_000));
    piece.drain(START + ms(1_400), &mut samples);
    assert!(samples.iter().all(|pair| *pair == [0, i16::MAX]));
}

#[test]
fn wide_codecs_are_recorded_at_the_rate_of_the_file() {
    for codec in [Codec::G722, Codec::Opus] {
        if !codec.is_built() {
            continue;
        }
        let mut encoder = Encoder::new(codec, 8_000, Default::default()).expect("an encoder");
        let mut piece = Piece::new(START);
        let ticks = codec.clock_rate() / 50;
        for n in 0..100u32 {
            let tone: Vec<i16> = (0..160)
                .map(|k| {
                    let at = f64::from(n * 160 + k) / 8_000.0;
                    (8_000.0 * (at * 1_000.0 * std::f64::consts::TAU).sin()) as i16
                })
                .collect();
            let mut payload = [0; media::voice::MAX_PAYLOAD];
            let length = encoder.encode(&tone, &mut payload).expect("sound");
            let packet = heard(
                ms(20 * u64::from(n)),
                1,
                Side::Agent,
                codec,
                n as u16,
                n * ticks,
            );
            piece.take(&packet, &payload[..length]);
        }
        let mut samples = Vec::new();
        piece.end(START + ms(2_000));
        piece.drain(START + ms(2_400), &mut samples);
        assert_eq!(samples.len(), 16_000);
        let heard = channel(&samples, Side::Agent);
        let purity = tone::purity(&heard[4_000..], 1_000.0, 8_000);
        assert!(purity > 0.95, "{codec:?}: {purity}");
    }
}

/// A whole stream of frames.
fn flac_of(samples: &[Pair]) -> Vec<u8> {
    let (mut encoder, mut frames) = (flac::Encoder::new().expect("an encoder"), Vec::new());
    for part in samples.chunks(777) {
        encoder.encode(part, &mut frames).expect("encoded");
    }
    encoder.finish(&mut frames).expect("encoded");
    [flac::header(encoder.samples()).to_vec(), frames].concat()
}

/// By a decoder that nobody here wrote.
fn from_flac(file: &[u8]) -> Vec<Pair> {
    let source = MediaSourceStream::new(
        Box::new(std::io::Cursor::new(file.to_vec())),
        Default::default(),
    );
    let mut format = symphonia::default::get_probe()
        .probe(
            &Default::default(),
            source,
            Default::default(),
            Default::default(),
        )
        .expect("FLAC");
    let track = format.default_track(TrackType::Audio).expect("a track");
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio())
        .expect("audio");
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .expect("a decoder");
    let mut samples = Vec::new();
    while let Some(packet) = format.next_packet().expect("a packet") {
        match decoder.decode(&packet).expect("a frame") {
            GenericAudioBufferRef::S16(_) | GenericAudioBufferRef::S24(_) => {
                unreachable!("it gives i32")
            }
            buffer => {
                let mut interleaved: Vec<i16> = Vec::new();
                buffer.copy_to_vec_interleaved(&mut interleaved);
                samples.extend(interleaved.chunks(2).map(|pair| [pair[0], pair[1]]));
            }
        }
    }
    samples
}

#[test]
fn flac_is_read_by_others_at_any_length_and_silence_costs_nothing() {
    for length in [0, 1, 31, 32, 33, 2_047, 2_048, 2_049, 2_060, 20_000] {
        let noise = octets(9, length * 4);
        let samples: Vec<Pair> = noise
            .chunks(4)
            .map(|four| {
                [
                    i16::from_le_bytes([four[0], four[1]]),
                    i16::from_le_bytes([four[2], four[3]]),
                ]
            })
            .collect();
        if samples.is_empty() {
            assert_eq!(flac_of(&samples).len(), flac::HEADER);
            continue;
        }
        let mut read = from_flac(&flac_of(&samples));
        // The shortest frame has 32 samples.
        assert!(read.len() - length < 32, "{length}: {}", read.len());
        assert!(read.drain(length..).all(|pair| pair == [0; 2]));
        assert!(read == samples, "{length}");
    }
    let hour = vec![[0; 2]; 8_000 * 60];
    assert!(flac_of(&hour).len() < 8_000, "a minute of silence");
}
