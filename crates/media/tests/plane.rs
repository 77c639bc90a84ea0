//! A plane in virtual time: what comes out for what goes in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use media::g711::Law;
use media::rtp::{self, Fixed};
use media::{
    Codec, Command, Direction, Event, Format, Item, Lang, Plane, PlaneConfig, PlayId, Port,
    Prompts, Rtcp, Source, StreamId, g711, tone,
};
use proptest::prelude::*;

const A: StreamId = StreamId(1);
const B: StreamId = StreamId(2);
const PORT_A: u16 = 10_000;
const PORT_B: u16 = 10_002;

fn phone(stream: StreamId) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, stream.0 as u8], 4000))
}

fn control(stream: StreamId) -> SocketAddr {
    SocketAddr::new(phone(stream).ip(), 4001)
}

fn format(codec: Codec) -> Format {
    let payload_type = if codec == Codec::Pcmu { 0 } else { 8 };
    Format {
        codec,
        payload_type,
        ptime: Duration::from_millis(20),
        telephone_event: Some(101),
        event_rate: 8000,
        wishes: Default::default(),
    }
}

/// What left the plane.
#[derive(Debug)]
struct Sent {
    at: Time,
    port: u16,
    to: SocketAddr,
    header: rtp::Header,
    payload: Vec<u8>,
}

struct World {
    plane: Plane,
    now: Time,
    sent: Vec<Sent>,
    /// RTCP: when, from which port, where to, and the packet.
    reports: Vec<(Time, u16, SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
}

impl World {
    fn new(config: PlaneConfig) -> Self {
        let mut prompts = Prompts::default();
        prompts.insert_samples(Some(Lang::En), "long", &vec![4000; 8000]);
        prompts.insert_samples(Some(Lang::En), "short", &[-4000; 200]);
        let ramp: Vec<i16> = (0..8000).map(|n| n * 4 - 16_000).collect();
        prompts.insert_samples(None, "music/default", &ramp);
        let plane = Plane::new(config, Arc::new(prompts));
        World {
            plane,
            now: Time::from_secs(1_000),
            sent: Vec::new(),
            reports: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Two streams ready to talk.
    fn ready(a: Codec, b: Codec) -> Self {
        let mut world = World::new(PlaneConfig::default());
        world.open(A, PORT_A);
        world.open(B, PORT_B);
        world.update(A, format(a), Direction::SendReceive);
        world.update(B, format(b), Direction::SendReceive);
        world
    }

    fn open(&mut self, stream: StreamId, number: u16) {
        self.command(Command::Open {
            stream,
            port: Port { plane: 0, number },
            ssrc: 77 + stream.0 as u32,
        });
    }

    fn update(&mut self, stream: StreamId, format: Format, direction: Direction) {
        self.command(Command::Update {
            stream,
            remote: phone(stream),
            rtcp: Rtcp::Beside(control(stream)),
            behind: Some(std::net::IpAddr::from([198, 51, 100, 7])),
            format,
            direction,
        });
    }

    fn command(&mut self, command: Command) {
        self.plane.handle(self.now, command);
        self.drain();
    }

    fn source(&mut self, stream: StreamId, source: Source) {
        self.command(Command::Source { stream, source });
    }

    fn play(&mut self, stream: StreamId, play: u64, items: &[Item], barge_in: bool) {
        self.command(Command::Play {
            stream,
            play: PlayId(play),
            items: items.into(),
            barge_in,
        });
    }

    fn drain(&mut self) {
        while let Some(event) = self.plane.poll_event() {
            self.events.push(event);
        }
    }

    fn receive_from(&mut self, port: u16, source: SocketAddr, packet: &[u8]) {
        let (now, sent) = (self.now, &mut self.sent);
        let mut packet = packet.to_vec();
        self.plane
            .receive(now, port, source, &mut packet, &mut |port, to, octets| {
                sent.push(record(now, port, to, octets))
            });
        self.drain();
    }

    /// A packet of 20 ms from a stream's phone.
    fn hear(&mut self, stream: StreamId, payload_type: u8, sequence: u16, payload: &[u8]) {
        let timestamp = u32::from(sequence) * 160;
        let fixed = Fixed {
            marker: false,
            payload_type,
            sequence,
            timestamp,
            ssrc: 5,
        };
        self.receive_from(port(stream), phone(stream), &fixed.packet(payload));
    }

    fn key(&mut self, stream: StreamId, sequence: u16, timestamp: u32, event: u8) {
        let fixed = Fixed {
            marker: false,
            payload_type: 101,
            sequence,
            timestamp,
            ssrc: 5,
        };
        self.receive_from(
            port(stream),
            phone(stream),
            &fixed.packet(&[event, 10, 0, 160]),
        );
    }

    /// Runs every deadline until `span` has passed, each exactly when it is due.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.plane.poll_timeout()
            && at <= end
        {
            self.now = self.now.max(at);
            self.timeout();
        }
        self.now = end;
    }

    fn timeout(&mut self) {
        let (now, sent, reports) = (self.now, &mut self.sent, &mut self.reports);
        self.plane.handle_timeout(now, &mut |port, to, octets| {
            if rtp::is_rtcp(octets) {
                reports.push((now, port.number, to, octets.to_vec()));
            } else {
                sent.push(record(now, port, to, octets));
            }
        });
        self.drain();
    }

    fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }
}

fn port(stream: StreamId) -> u16 {
    if stream == A { PORT_A } else { PORT_B }
}

fn record(at: Time, port: Port, to: SocketAddr, octets: &[u8]) -> Sent {
    let header = rtp::parse(octets).expect("what we send is RTP");
    Sent {
        at,
        port: port.number,
        to,
        payload: octets[header.payload.clone()].to_vec(),
        header,
    }
}

fn prompt(name: &str) -> Item {
    Item::Prompt {
        lang: Lang::En,
        name: name.into(),
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One SSRC, sequence without a gap, timestamps that never go back.
fn assert_continuous(sent: &[Sent]) {
    for pair in sent.windows(2) {
        let (a, b) = (&pair[0].header, &pair[1].header);
        assert_eq!(a.ssrc, b.ssrc);
        assert_eq!(b.sequence, a.sequence.wrapping_add(1));
        assert!(
            (b.timestamp.wrapping_sub(a.timestamp) as i32) >= 0,
            "{a:?} {b:?}"
        );
    }
}

#[test]
fn a_bridge_relays_both_ways_and_rewrites_only_the_header() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.command(Command::Bridge { a: A, b: B });
    for n in 0..5 {
        world.hear(A, 0, n, &[n as u8; 160]);
        world.hear(B, 0, 300 + n, &[0x70 + n as u8; 80]); // another packet time passes as it is
        world.now += ms(20);
    }
    let (to_b, to_a): (Vec<Sent>, Vec<Sent>) = world
        .take_sent()
        .into_iter()
        .partition(|sent| sent.port == PORT_B);
    assert_eq!((to_a.len(), to_b.len()), (5, 5));
    assert_continuous(&to_a);
    assert_continuous(&to_b);
    assert_eq!((to_b[0].to, to_a[0].to), (phone(B), phone(A)));
    assert!(to_b[0].header.marker && !to_b[1].header.marker);
    for (n, sent) in to_b.iter().enumerate() {
        assert_eq!(sent.payload, [n as u8; 160]);
        assert_ne!(sent.header.ssrc, 5);
    }
    assert_eq!(to_a[4].payload, [0x74; 80]);
    assert_eq!(
        world.events,
        [Event::Flowing { stream: A }, Event::Flowing { stream: B }]
    );
}

#[test]
fn laws_are_transcoded_where_they_differ() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcma);
    world.command(Command::Bridge { a: A, b: B });
    let speech: Vec<i16> = tone::cycle(1000).into_iter().cycle().take(160).collect();
    world.hear(A, 0, 1, &tone::encode(Law::Mu, &speech));
    world.hear(B, 8, 1, &tone::encode(Law::A, &speech));
    let sent = world.take_sent();
    assert_eq!(
        (sent[0].header.payload_type, sent[1].header.payload_type),
        (8, 0)
    );
    for (sent, law) in sent.iter().zip([Law::A, Law::Mu]) {
        assert!(tone::purity(&tone::decode(law, &sent.payload), 1000.0, g711::RATE) > 0.999);
    }
}

#[test]
fn foreign_sources_and_extensions_fall_away() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.command(Command::Bridge { a: A, b: B });
    let mut packet = vec![
        0xb1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4,
    ];
    packet.extend([7, 7, 7, 0, 2]);
    world.receive_from(PORT_A, phone(A), &packet);
    let sent = world.take_sent();
    assert_eq!(
        (sent[0].payload.as_slice(), sent[0].header.payload.start),
        (&[7, 7, 7][..], 12)
    );
}

#[test]
fn only_the_negotiated_source_is_heard() {
    let mut world = World::new(PlaneConfig::default());
    world.open(A, PORT_A);
    let good = Fixed {
        marker: false,
        payload_type: 0,
        sequence: 1,
        timestamp: 1,
        ssrc: 5,
    }
    .packet(&[1; 160]);
    world.receive_from(PORT_A, phone(A), &good);
    world.update(A, format(Codec::Pcmu), Direction::SendReceive);
    world.receive_from(PORT_B, phone(A), &good);
    world.receive_from(PORT_A, phone(B), &good);
    world.receive_from(PORT_A, phone(A), &good);
    world.receive_from(PORT_A, "192.0.2.1:4002".parse().unwrap(), &good);
    world.receive_from(PORT_A, phone(A), &[0x80; 5]);
    world.receive_from(
        PORT_A,
        phone(A),
        &Fixed {
            marker: false,
            payload_type: 18,
            sequence: 1,
            timestamp: 1,
            ssrc: 5,
        }
        .packet(&[1]),
    );
    world.receive_from(PORT_A, phone(A), &[0x80, 200, 0, 1, 0, 0, 0, 5]);
    let counters = *world.plane.counters();
    assert_eq!((counters.packets_in, counters.rtcp_in), (1, 0));
    let want = [
        ("idle_port", 1),
        ("unready", 1),
        ("malformed", 2),
        ("source", 2),
        ("payload_type", 1),
        ("srtp", 0),
    ];
    assert_eq!(counters.rejected.by_reason(), want);
    assert_eq!(world.plane.stats(A).unwrap().rejected, 6);
}

#[test]
fn a_phone_behind_nat_is_answered_where_it_sends_from() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.source(A, Source::Echo);
    let mapped: SocketAddr = "198.51.100.7:61000".parse().unwrap();
    let packet = Fixed {
        marker: false,
        payload_type: 0,
        sequence: 1,
        timestamp: 1,
        ssrc: 5,
    }
    .packet(&[1; 160]);
    world.receive_from(PORT_A, mapped, &packet);
    assert_eq!(world.take_sent()[0].to, mapped);
    world.update(A, format(Codec::Pcmu), Direction::SendReceive); // the same address again keeps what was learned
    world.receive_from(PORT_A, mapped, &packet);
    assert_eq!(world.take_sent()[0].to, mapped);
}

#[test]
fn late_packets_of_the_ports_last_call_are_not_the_next_calls() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.hear(A, 0, 1, &[1; 160]);
    world.command(Command::Close { stream: A });
    let next = StreamId(9);
    world.open(next, PORT_A);
    let remote = "192.0.2.1:5000".parse().unwrap(); // the same gateway
    world.command(Command::Update {
        stream: next,
        remote,
        rtcp: Rtcp::Muxed,
        behind: None,
        format: format(Codec::Pcmu),
        direction: Direction::SendReceive,
    });
    for n in 2..20 {
        world.hear(A, 0, n, &[1; 160]);
    }
    let stats = world.plane.stats(next).unwrap();
    assert_eq!((stats.packets_in, stats.rejected), (0, 18));
}

#[test]
fn prompts_are_paced_without_drift_and_end_when_they_end() {
    let mut world = World::ready(Codec::Pcma, Codec::Pcmu);
    world.now += Duration::from_micros(1_234);
    world.play(
        A,
        7,
        &[prompt("short"), Item::Silence(ms(10)), prompt("long")],
        false,
    );
    world.run(ms(3_000));
    let sent = world.take_sent();
    assert_eq!(sent.len(), 52, "8280 samples");
    assert_continuous(&sent);
    for (n, packet) in sent.iter().enumerate() {
        assert_eq!(packet.at - sent[0].at, ms(n as u64 * 20));
        assert_eq!(packet.header.marker, n == 0);
        assert_eq!(packet.header.payload_type, 8);
        assert_eq!(
            packet
                .header
                .timestamp
                .wrapping_sub(sent[0].header.timestamp),
            n as u32 * 160
        );
    }
    let audio: Vec<u8> = sent.iter().flat_map(|sent| sent.payload.clone()).collect();
    let [low, high] = [-4000, 4000].map(|sample| g711::encode(Law::A, sample));
    let quiet = g711::silence(Law::A);
    assert_eq!(
        audio,
        [
            vec![low; 200],
            vec![quiet; 80],
            vec![high; 8000],
            vec![quiet; 40]
        ]
        .concat()
    );
    assert_eq!(
        world.events,
        [Event::Played {
            stream: A,
            play: PlayId(7)
        }]
    );
}

#[test]
fn played_is_reported_one_packet_time_after_the_last_packet() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.play(A, 7, &[prompt("long")], false);
    world.run(ms(999));
    assert_eq!((world.sent.len(), world.events.len()), (50, 0));
    world.run(ms(6));
    assert_eq!((world.sent.len(), world.events.len()), (50, 1));
}

#[test]
fn a_key_cuts_a_play_with_barge_in_and_no_other() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.play(A, 1, &[prompt("long")], true);
    world.play(B, 2, &[prompt("long")], false);
    world.run(ms(100));
    world.take_sent();
    for n in 0..6 {
        world.key(A, 10 + n, 1_600, 5);
        world.key(B, 10 + n, 1_600, 11);
    }
    world.run(ms(2_000));
    assert!(world.take_sent().iter().all(|sent| sent.port == PORT_B));
    let want = [
        Event::Flowing { stream: A },
        Event::Dtmf {
            stream: A,
            digit: '5',
        },
        Event::Flowing { stream: B },
        Event::Dtmf {
            stream: B,
            digit: '#',
        },
        Event::Played {
            stream: B,
            play: PlayId(2),
        },
    ];
    assert_eq!(world.events, want);
}

#[test]
fn a_new_play_replaces_and_a_stopped_one_is_not_reported() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.play(A, 1, &[prompt("long")], false);
    world.run(ms(100));
    world.play(A, 2, &[prompt("short")], false);
    world.run(ms(100));
    world.play(A, 3, &[prompt("long")], false);
    world.run(ms(100));
    world.command(Command::StopPlay { stream: A });
    world.run(ms(2_000));
    assert_eq!(
        world.events,
        [Event::Played {
            stream: A,
            play: PlayId(2)
        }]
    );
    assert_continuous(&world.take_sent());
    world.play(A, 4, &[prompt("gone")], false);
    world.run(ms(20));
    assert_eq!(
        world.events[1],
        Event::Played {
            stream: A,
            play: PlayId(4)
        },
        "a missing prompt ends at once"
    );
    assert_eq!(world.plane.counters().missing_prompts, 1);
}

#[test]
fn a_play_waits_for_the_remote_side() {
    let mut world = World::new(PlaneConfig::default());
    world.open(A, PORT_A);
    world.play(A, 1, &[prompt("long")], false);
    world.run(ms(500));
    assert!(world.sent.is_empty());
    world.update(A, format(Codec::Pcmu), Direction::SendReceive);
    world.run(ms(1_100));
    assert_eq!((world.sent.len(), world.events.len()), (50, 1));
}

#[test]
fn music_is_endless_and_in_step() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.source(
        A,
        Source::Music {
            name: "music/default".into(),
        },
    );
    world.run(ms(1_310));
    world.source(
        B,
        Source::Music {
            name: "music/default".into(),
        },
    );
    world.run(ms(3_000));
    let octets = |port, from: Time| -> Vec<(Time, Vec<u8>)> {
        world
            .sent
            .iter()
            .filter(|sent| sent.port == port && sent.at >= from)
            .map(|sent| (sent.at, sent.payload.clone()))
            .collect()
    };
    let begin = Time::from_secs(1_002);
    let (a, b) = (octets(PORT_A, begin), octets(PORT_B, begin));
    assert_eq!((a.len(), b.len()), (116, 116));
    // B is 10 ms out of phase with A: the second half of A's packet is the first half of B's.
    let (first_a, first_b) = (
        &a[0],
        b.iter().find(|(at, _)| *at == a[0].0 + ms(10)).unwrap(),
    );
    assert_eq!(first_a.1[80..], first_b.1[..80]);
    let continuous: Vec<u8> = a.iter().flat_map(|(_, octets)| octets.clone()).collect();
    assert_eq!(
        continuous[..8000],
        continuous[8000..16_000],
        "one second of music, again and again"
    );
}

#[test]
fn a_prompt_over_music_then_a_bridge_is_one_sender() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.source(
        A,
        Source::Music {
            name: "music/default".into(),
        },
    );
    world.run(ms(200));
    world.play(A, 1, &[prompt("short")], false);
    world.run(ms(200));
    world.command(Command::Bridge { a: A, b: B });
    for n in 0..5 {
        world.hear(B, 0, 900 + n, &[3; 160]);
        world.run(ms(20));
    }
    world.source(
        A,
        Source::Music {
            name: "music/default".into(),
        },
    ); // hold
    world.run(ms(200));
    world.hear(B, 0, 1000, &[3; 160]);
    assert_eq!(
        world
            .sent
            .iter()
            .filter(|sent| sent.payload[0] == 3)
            .count(),
        5,
        "the held side hears music only"
    );
    let sent = world.take_sent();
    assert_continuous(&sent);
    let markers = sent.iter().filter(|sent| sent.header.marker).count();
    assert_eq!(markers, 5, "music, prompt, music, bridge, music");
}

#[test]
fn a_tone_is_exact_and_phase_continuous() {
    let mut world = World::ready(Codec::Pcma, Codec::Pcmu);
    world.source(A, Source::Tone { hertz: 1004 });
    world.run(ms(2_000));
    let heard: Vec<i16> = world
        .take_sent()
        .iter()
        .flat_map(|sent| tone::decode(Law::A, &sent.payload))
        .collect();
    assert!(heard.len() >= 15_840);
    let last = heard.len() - heard.len() % 2000;
    assert!(tone::purity(&heard[..last], 1004.0, g711::RATE) > 0.999);
}

#[test]
fn an_echo_returns_audio_and_keys_under_our_header() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.source(A, Source::Echo);
    world.hear(A, 0, 7, &[9; 160]);
    world.key(A, 8, 1_280, 1);
    let sent = world.take_sent();
    assert_eq!(
        (sent[0].payload.as_slice(), sent[0].to, sent[0].port),
        (&[9; 160][..], phone(A), PORT_A)
    );
    assert_eq!((sent[1].header.payload_type, sent[1].payload[0]), (101, 1));
    assert_continuous(&sent);
}

#[test]
fn keys_are_relayed_with_the_other_sides_payload_type_and_made_as_tones_where_it_has_none() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.update(
        B,
        Format {
            telephone_event: Some(96),
            ..format(Codec::Pcmu)
        },
        Direction::SendReceive,
    );
    world.command(Command::Bridge { a: A, b: B });
    world.hear(A, 0, 1, &[1; 160]);
    world.key(A, 2, 320, 4);
    world.key(A, 3, 320, 4);
    world.hear(A, 0, 4, &[1; 160]);
    let sent = world.take_sent();
    assert_eq!(
        sent.iter()
            .map(|sent| sent.header.payload_type)
            .collect::<Vec<_>>(),
        [0, 96, 96, 0]
    );
    assert_continuous(&sent);
    world.update(
        B,
        Format {
            telephone_event: None,
            ..format(Codec::Pcmu)
        },
        Direction::SendReceive,
    );
    world.hear(A, 0, 5, &[1; 160]);
    world.key(A, 6, 960, 4);
    world.command(Command::SendDtmf {
        stream: B,
        digits: "4".into(),
    });
    world.hear(A, 0, 7, &[1; 160]);
    world.run(ms(185));
    world.hear(A, 0, 17, &[1; 160]);
    let sent = world.take_sent();
    assert_eq!(
        sent.len(),
        1 + 9 + 1,
        "a key and its pause between the sound"
    );
    assert_continuous(&sent);
    let tones: Vec<i16> = sent[1..6]
        .iter()
        .flat_map(|sent| tone::decode(Law::Mu, &sent.payload))
        .collect();
    let both = [770.0, 1209.0].map(|hertz| tone::purity(&tones, hertz, g711::RATE));
    assert!(
        both[0] > 0.35 && both[1] > 0.5 && both[0] + both[1] > 0.98,
        "{both:?}"
    );
    assert_eq!(
        world
            .events
            .iter()
            .filter(|event| matches!(event, Event::Dtmf { .. }))
            .count(),
        2
    );
}

#[test]
fn keys_that_we_press_have_three_ends_and_right_durations() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.source(
        A,
        Source::Music {
            name: "music/default".into(),
        },
    );
    world.run(ms(100));
    world.take_sent();
    world.command(Command::SendDtmf {
        stream: A,
        digits: "1#".into(),
    });
    world.run(ms(700));
    let sent = world.take_sent();
    assert_continuous(&sent);
    let keys: Vec<&Sent> = sent
        .iter()
        .filter(|sent| sent.header.payload_type == 101)
        .collect();
    assert_eq!(keys.len(), 16);
    for (key, event) in keys.chunks(8).zip([1, 11]) {
        let durations: Vec<u16> = key
            .iter()
            .map(|sent| u16::from_be_bytes([sent.payload[2], sent.payload[3]]))
            .collect();
        assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800, 800]);
        assert!(key.iter().all(
            |sent| sent.payload[0] == event && sent.header.timestamp == key[0].header.timestamp
        ));
        assert_eq!(
            key.iter()
                .map(|sent| sent.payload[1] >> 7)
                .collect::<Vec<_>>(),
            [0, 0, 0, 0, 0, 1, 1, 1]
        );
        assert_eq!(
            key.iter()
                .map(|sent| sent.header.marker)
                .collect::<Vec<_>>(),
            [true, false, false, false, false, false, false, false]
        );
    }
    assert!(keys[8].at - keys[7].at >= ms(80));
    assert_eq!(
        sent.last().unwrap().header.payload_type,
        0,
        "then the music goes on"
    );
}

#[test]
fn directions_are_kept() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.command(Command::Bridge { a: A, b: B });
    world.update(A, format(Codec::Pcmu), Direction::SendOnly); // we hold A: it hears, and is not heard
    world.hear(A, 0, 1, &[1; 160]);
    world.hear(B, 0, 1, &[2; 160]);
    assert_eq!(
        world
            .take_sent()
            .iter()
            .map(|sent| sent.port)
            .collect::<Vec<_>>(),
        [PORT_A]
    );
    world.update(A, format(Codec::Pcmu), Direction::Inactive);
    world.hear(B, 0, 2, &[2; 160]);
    assert!(world.take_sent().is_empty());
    world.play(A, 1, &[prompt("long")], false); // time goes on where nothing may be sent
    world.run(ms(1_100));
    assert!(world.take_sent().is_empty());
    assert_eq!(
        world.events.last(),
        Some(&Event::Played {
            stream: A,
            play: PlayId(1)
        })
    );
    let nowhere = Command::Update {
        stream: A,
        remote: "0.0.0.0:4000".parse().unwrap(),
        rtcp: Rtcp::Muxed,
        behind: None,
        format: format(Codec::Pcmu),
        direction: Direction::SendReceive,
    };
    world.command(nowhere);
    world.hear(B, 0, 3, &[2; 160]);
    assert!(world.take_sent().is_empty(), "c=0.0.0.0 is the old hold");
}

#[test]
fn a_call_that_begins_on_hold_without_an_address_gets_no_reports_and_stops_nobody_elses() {
    let mut world = World::new(PlaneConfig::default());
    world.open(A, PORT_A);
    world.command(Command::Update {
        stream: A,
        remote: "0.0.0.0:4000".parse().unwrap(),
        rtcp: Rtcp::Muxed,
        behind: None,
        format: format(Codec::Pcmu),
        direction: Direction::ReceiveOnly,
    });
    world.open(B, PORT_B);
    world.update(B, format(Codec::Pcmu), Direction::SendReceive);
    world.run(ms(60_000));
    assert!(world.reports.len() >= 7, "{} reports", world.reports.len());
    assert!(world.reports.iter().all(|report| report.2 == control(B)));
}

#[test]
fn silence_is_reported_once_until_it_ends() {
    let timeout = Some(Duration::from_secs(10));
    let mut world = World::new(PlaneConfig {
        media_timeout: timeout,
        ..PlaneConfig::default()
    });
    world.open(A, PORT_A);
    world.run(ms(60_000));
    world.update(A, format(Codec::Pcmu), Direction::SendReceive);
    world.run(ms(9_000));
    world.hear(A, 0, 1, &[1; 160]);
    world.run(ms(9_500));
    assert_eq!(world.events, [Event::Flowing { stream: A }]);
    world.run(ms(60_000));
    assert_eq!(world.events[1..], [Event::Starved { stream: A }]);
    world.hear(A, 0, 2, &[1; 160]);
    world.run(ms(10_000));
    assert_eq!(world.events[2..], [Event::Starved { stream: A }]);
    world.update(A, format(Codec::Pcmu), Direction::SendOnly);
    world.run(ms(60_000));
    world.update(A, format(Codec::Pcmu), Direction::SendReceive);
    world.run(ms(9_999));
    assert_eq!(
        world.events.len(),
        3,
        "held, nothing is expected; afterwards the full time again"
    );
    world.run(ms(1));
    assert_eq!(world.events.len(), 4);
    world.command(Command::Close { stream: A });
    world.timeout(); // the goodbye
    assert_eq!(world.plane.poll_timeout(), None);
}

#[test]
fn keys_in_the_sound_of_a_phone_without_events_are_heard() {
    let mut world = World::new(PlaneConfig::default());
    for (stream, number) in [(A, PORT_A), (B, PORT_B)] {
        world.open(stream, number);
        let without = Format {
            telephone_event: None,
            ..format(Codec::Pcma)
        };
        world.update(stream, without, Direction::SendReceive);
    }
    // What one plane makes the other must hear.
    world.command(Command::SendDtmf {
        stream: B,
        digits: "159D*0#".into(),
    });
    world.run(ms(1_400));
    let made = world.take_sent();
    for (n, sent) in made.iter().enumerate() {
        world.hear(A, 8, n as u16, &sent.payload);
    }
    let keys = |world: &World| -> String {
        let key = |event: &Event| match event {
            Event::Dtmf { digit, .. } => Some(*digit),
            _ => None,
        };
        world.events.iter().filter_map(key).collect()
    };
    assert_eq!(keys(&world), "159D*0#");
}

#[test]
fn comfort_noise_is_accepted_not_passed_on_and_suspends_the_time_out() {
    let timeout = Some(Duration::from_secs(10));
    let mut world = World::new(PlaneConfig {
        media_timeout: timeout,
        ..PlaneConfig::default()
    });
    for (stream, number) in [(A, PORT_A), (B, PORT_B)] {
        world.open(stream, number);
        world.update(stream, format(Codec::Pcmu), Direction::SendReceive);
    }
    world.command(Command::Bridge { a: A, b: B });
    world.hear(A, 0, 1, &[1; 160]);
    world.hear(A, 13, 2, &[60]);
    for _ in 0..30 {
        world.hear(B, 0, 1, &[1; 160]);
        world.run(ms(1_000));
    }
    let starved = |world: &World, stream| {
        let is = |event: &&Event| **event == Event::Starved { stream };
        world.events.iter().filter(is).count()
    };
    assert_eq!(starved(&world, A), 0, "silence was announced");
    world.hear(A, 0, 3, &[2; 160]);
    let to_b: Vec<Sent> = world
        .take_sent()
        .into_iter()
        .filter(|sent| sent.port == PORT_B && sent.payload[0] != 0xff)
        .collect();
    assert_eq!(to_b.len(), 2, "the noise is not sound");
    assert_eq!(world.plane.counters().rejected.total(), 0);
    world.run(ms(10_000));
    assert_eq!(starved(&world, A), 1, "now it is expected to go on");
}

#[test]
fn who_sends_reports_is_alive() {
    let timeout = Some(Duration::from_secs(10));
    let mut world = World::new(PlaneConfig {
        media_timeout: timeout,
        ..PlaneConfig::default()
    });
    world.open(A, PORT_A);
    world.update(A, format(Codec::Pcmu), Direction::SendReceive);
    let report = [0x80, 201, 0, 1, 0, 0, 0, 5];
    for _ in 0..5 {
        world.run(ms(9_000));
        world.receive_from(PORT_A + 1, control(A), &report);
    }
    assert_eq!(world.events, []);
    world.run(ms(10_000));
    assert_eq!(world.events, [Event::Starved { stream: A }]);
}

#[test]
fn an_idle_stream_is_kept_alive_with_silence_and_a_held_one_is_not() {
    let mut world = World::new(PlaneConfig::default());
    world.open(A, PORT_A);
    world.update(A, format(Codec::Pcma), Direction::SendReceive);
    world.run(ms(60_000));
    let sent = world.take_sent();
    assert!((7..=24).contains(&sent.len()), "{} packets", sent.len());
    assert_continuous(&sent);
    for (sent, next) in sent.iter().zip(&sent[1..]) {
        assert_eq!((sent.to, &sent.payload[..]), (phone(A), &[0xd5; 160][..]));
        assert!((ms(2_000)..ms(8_000)).contains(&(next.at - sent.at)));
        let step = next.header.timestamp.wrapping_sub(sent.header.timestamp);
        let passed = (next.at - sent.at).as_millis() as u32 * 8;
        assert!(
            step.abs_diff(passed) <= 40,
            "by the clock: {step}, {passed}"
        );
    }
    world.update(A, format(Codec::Pcma), Direction::ReceiveOnly);
    world.run(ms(60_000));
    assert_eq!(world.take_sent().len(), 0);
    assert!(!world.reports.is_empty(), "reports go on");
}

#[test]
fn closing_gives_the_port_back_with_what_was_seen() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.command(Command::Bridge { a: A, b: B });
    for n in [1, 2, 4, 5] {
        world.hear(A, 0, n, &[1; 160]);
        world.now += ms(20);
    }
    world.command(Command::Close { stream: A });
    let Some(Event::Closed { close }) = world.events.last() else {
        panic!("{:?}", world.events)
    };
    assert_eq!((close.stream, close.port.number), (A, PORT_A));
    assert_eq!(
        (
            close.stats.packets_in,
            close.stats.packets_out,
            close.stats.lost
        ),
        (4, 0, 1)
    );
    world.take_sent();
    world.hear(B, 0, 1, &[1; 160]);
    assert!(world.take_sent().is_empty());
    world.open(StreamId(3), PORT_A);
    world.hear(B, 0, 2, &[1; 160]);
    assert!(world.take_sent().is_empty(), "the place of A is not A");
    assert_eq!(world.plane.counters().active, 2);
}

#[test]
fn commands_that_make_no_sense_are_counted() {
    let mut world = World::new(PlaneConfig {
        max_streams: 1,
        ..PlaneConfig::default()
    });
    world.open(A, PORT_A);
    world.open(A, PORT_B);
    world.open(B, PORT_A);
    world.open(B, PORT_B);
    assert!(
        matches!(world.events[..], [Event::Closed { ref close }] if close.stream == B),
        "full: the port comes back"
    );
    world.command(Command::Close {
        stream: StreamId(99),
    });
    world.command(Command::Bridge { a: A, b: B });
    world.command(Command::SendDtmf {
        stream: A,
        digits: "1".into(),
    });
    assert_eq!(world.plane.counters().ignored_commands, 6);
}

#[test]
fn a_late_thread_catches_up_a_little_and_leaves_the_rest_out() {
    let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
    world.play(A, 1, &[prompt("long")], false);
    world.run(ms(100));
    world.take_sent();
    world.now += ms(50);
    world.timeout();
    assert_eq!(world.take_sent().len(), 2, "two or three packets late");
    world.now += ms(500);
    world.timeout();
    assert_eq!(world.take_sent().len(), 3, "not twenty-five at once");
    world.run(ms(100));
    let sent = world.take_sent();
    assert!(
        sent[0].header.marker && (4..=5).contains(&sent.len()),
        "{}",
        sent.len()
    );
}

#[test]
fn thousands_of_streams_keep_their_pace() {
    let mut world = World::new(PlaneConfig::default());
    const STREAMS: u64 = 3_000;
    for n in 0..STREAMS {
        let stream = StreamId(n);
        world.open(stream, 10_000 + n as u16);
        let ptime = ms([10, 20, 30, 60][n as usize % 4]);
        let format = Format {
            ptime,
            ..format(Codec::Pcmu)
        };
        world.update(stream, format, Direction::SendReceive);
        world.source(
            stream,
            Source::Music {
                name: "music/default".into(),
            },
        );
        world.now += Duration::from_micros(n * 7 % 900);
    }
    world.run(ms(60));
    world.take_sent();
    world.run(ms(600));
    let sent = world.take_sent();
    assert_eq!(sent.len() as u64, STREAMS / 4 * (60 + 30 + 20 + 10));
}

#[derive(Clone, Debug)]
enum Act {
    Packet {
        port: u16,
        source: u8,
        octets: Vec<u8>,
    },
    Rtp {
        stream: u64,
        payload_type: u8,
        sequence: u16,
        timestamp: u32,
        length: usize,
    },
    Play {
        stream: u64,
        barge_in: bool,
    },
    Bridge,
    Music {
        stream: u64,
    },
    Press {
        stream: u64,
    },
    Hold {
        stream: u64,
        direction: u8,
    },
    Reopen {
        stream: u64,
    },
    Wait {
        millis: u64,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let stream = 1..3u64;
    prop_oneof![
        4 => (9_998..10_004u16, 0..3u8, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(port, source, octets)| Act::Packet { port, source, octets }),
        8 => (stream.clone(), prop::sample::select(vec![0, 0, 0, 101, 8, 13]), any::<u16>(), any::<u32>(), 0..1400usize)
            .prop_map(|(stream, payload_type, sequence, timestamp, length)| Act::Rtp { stream, payload_type, sequence, timestamp, length }),
        1 => (stream.clone(), any::<bool>()).prop_map(|(stream, barge_in)| Act::Play { stream, barge_in }),
        1 => Just(Act::Bridge),
        1 => stream.clone().prop_map(|stream| Act::Music { stream }),
        1 => stream.clone().prop_map(|stream| Act::Press { stream }),
        1 => (stream.clone(), 0..4u8).prop_map(|(stream, direction)| Act::Hold { stream, direction }),
        1 => stream.prop_map(|stream| Act::Reopen { stream }),
        3 => (0..400u64).prop_map(|millis| Act::Wait { millis }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_that_comes_makes_it_panic_and_all_that_leaves_is_rtp(acts in prop::collection::vec(act(), 1..120)) {
        let mut world = World::ready(Codec::Pcmu, Codec::Pcmu);
        for act in acts {
            match act {
                Act::Packet { port, source, octets } => world.receive_from(port, phone(StreamId(source.into())), &octets),
                Act::Rtp { stream, payload_type, sequence, timestamp, length } => {
                    let fixed = Fixed { marker: false, payload_type, sequence, timestamp, ssrc: 5 };
                    world.receive_from(port(StreamId(stream)), phone(StreamId(stream)), &fixed.packet(&vec![payload_type; length]));
                }
                Act::Play { stream, barge_in } => world.play(StreamId(stream), 1, &[prompt("long"), prompt("short")], barge_in),
                Act::Bridge => world.command(Command::Bridge { a: A, b: B }),
                Act::Music { stream } => world.source(StreamId(stream), Source::Music { name: "music/default".into() }),
                Act::Press { stream } => world.command(Command::SendDtmf { stream: StreamId(stream), digits: "159D".into() }),
                Act::Hold { stream, direction } => {
                    let all = [Direction::SendReceive, Direction::SendOnly, Direction::ReceiveOnly, Direction::Inactive];
                    world.update(StreamId(stream), format(Codec::Pcmu), all[usize::from(direction)]);
                }
                Act::Reopen { stream } => {
                    let stream = StreamId(stream);
                    world.command(Command::Close { stream });
                    world.open(stream, port(stream));
                    world.update(stream, format(Codec::Pcmu), Direction::SendReceive);
                }
                Act::Wait { millis } => world.run(ms(millis)),
            }
        }
    }
}
