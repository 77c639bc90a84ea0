//! Several streams that hear each other, in virtual time: who hears whom, how loud, and that nothing wraps.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use media::rtp::{self, Fixed};
use media::voice::{Decoder, Encoder, MAX_PAYLOAD};
use media::{
    Codec, Command, Direction, Format, Plane, PlaneConfig, Port, Prompts, Rtcp, Source, StreamId,
};

/// Each speaks a tone of its own.
const HERTZ: [f64; 5] = [440.0, 700.0, 1000.0, 1400.0, 1900.0];
const RATE: f64 = 8_000.0;
/// Amplitude of a tone; five of them do not reach full scale.
const LOUD: f64 = 6_000.0;

/// A telephone: what it says, and what it hears, as samples at 8 kHz.
struct Phone {
    format: Format,
    encoder: Encoder,
    decoder: Decoder,
    said: u64,
    sequence: u16,
    heard: Vec<i16>,
    /// Times of packets that came.
    times: Vec<Time>,
}

struct World {
    plane: Plane,
    now: Time,
    phones: BTreeMap<u64, Phone>,
    amplitude: f64,
}

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
        telephone_event: None,
        event_rate: 8_000,
        wishes: Default::default(),
    }
}

fn address(id: u64) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, id as u8], 4000))
}

fn port(id: u64) -> u16 {
    10_000 + 2 * id as u16
}

impl World {
    /// Telephones 1, 2, … with these codecs and packet times.
    fn new(phones: &[(Codec, u64)]) -> World {
        let mut plane = Plane::new(PlaneConfig::default(), Arc::new(Prompts::default()));
        let now = Time::from_secs(100);
        let mut known = BTreeMap::new();
        for (id, (codec, ptime)) in (1..).zip(phones) {
            let stream = StreamId(id);
            let number = port(id);
            let ssrc = 70 + id as u32;
            let port = Port { plane: 0, number };
            plane.handle(now, Command::Open { stream, port, ssrc });
            let format = format(*codec, *ptime);
            let phone = Phone {
                format,
                encoder: Encoder::new(*codec, 8_000, format.wishes).unwrap(),
                decoder: Decoder::new(*codec, 8_000).unwrap(),
                said: 0,
                sequence: 0,
                heard: Vec::new(),
                times: Vec::new(),
            };
            known.insert(id, phone);
        }
        let mut world = World {
            plane,
            now,
            phones: known,
            amplitude: LOUD,
        };
        for id in 1..=phones.len() as u64 {
            world.direct(id, Direction::SendReceive);
        }
        world
    }

    fn direct(&mut self, id: u64, direction: Direction) {
        let update = Command::Update {
            stream: StreamId(id),
            remote: address(id),
            rtcp: Rtcp::Muxed,
            behind: None,
            format: self.phones[&id].format,
            direction,
        };
        self.plane.handle(self.now, update);
    }

    fn hears(&mut self, id: u64, voices: &[u64]) {
        let source = Source::Mix {
            of: voices.iter().copied().map(StreamId).collect(),
        };
        let stream = StreamId(id);
        self.plane
            .handle(self.now, Command::Source { stream, source });
    }

    /// Everybody hears everybody else.
    fn confer(&mut self) {
        let all: Vec<u64> = self.phones.keys().copied().collect();
        for id in &all {
            let others: Vec<u64> = all.iter().copied().filter(|other| other != id).collect();
            self.hears(*id, &others);
        }
    }

    fn bridge(&mut self, a: u64, b: u64) {
        let (a, b) = (StreamId(a), StreamId(b));
        self.plane.handle(self.now, Command::Bridge { a, b });
    }

    /// All speak for so long, each packet when it is due.
    fn talk(&mut self, milliseconds: u64) {
        for time in 0..milliseconds {
            for id in 1..=self.phones.len() as u64 {
                let ptime = self.phones[&id].format.ptime.as_millis() as u64;
                if time % ptime == id % 5 {
                    self.say(id);
                }
            }
            self.pass();
        }
    }

    fn say(&mut self, id: u64) {
        let phone = self.phones.get_mut(&id).unwrap();
        let samples = phone.format.ptime.as_millis() as u64 * 8;
        let hertz = HERTZ[id as usize - 1];
        let sound: Vec<i16> = (phone.said..phone.said + samples)
            .map(|n| (self.amplitude * (TAU * hertz * n as f64 / RATE).sin()) as i16)
            .collect();
        let mut payload = [0; MAX_PAYLOAD];
        let length = phone.encoder.encode(&sound, &mut payload).unwrap();
        let ticks = phone.format.codec.clock_rate() / 8_000;
        let fixed = Fixed {
            marker: phone.said == 0,
            payload_type: phone.format.payload_type,
            sequence: phone.sequence,
            timestamp: phone.said as u32 * ticks,
            ssrc: id as u32,
        };
        phone.said += samples;
        phone.sequence = phone.sequence.wrapping_add(1);
        let mut packet = fixed.packet(&payload[..length]);
        let (now, mut out) = (self.now, Vec::new());
        self.plane.receive(
            now,
            port(id),
            address(id),
            &mut packet,
            &mut |_, to, octets| {
                out.push((to, octets.to_vec()));
            },
        );
        self.take(out);
    }

    /// A millisecond passes.
    fn pass(&mut self) {
        self.now += Duration::from_millis(1);
        let (now, mut out) = (self.now, Vec::new());
        while self.plane.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.plane.handle_timeout(now, &mut |_, to, octets| {
                if !rtp::is_rtcp(octets) {
                    out.push((to, octets.to_vec()));
                }
            });
        }
        while self.plane.poll_event().is_some() {}
        self.take(out);
    }

    fn take(&mut self, packets: Vec<(SocketAddr, Vec<u8>)>) {
        for (to, octets) in packets {
            let id = (1..).find(|id| address(*id) == to).unwrap();
            let phone = self.phones.get_mut(&id).unwrap();
            let header = rtp::parse(&octets).unwrap();
            phone
                .decoder
                .decode(&octets[header.payload], &mut phone.heard);
            phone.times.push(self.now);
        }
    }

    /// How loud a telephone has heard each of the tones in its last half second.
    fn heard(&self, id: u64) -> Vec<i64> {
        let heard = &self.phones[&id].heard;
        let last = &heard[heard.len().saturating_sub(4_000)..];
        HERTZ
            .iter()
            .map(|hertz| amplitude(last, *hertz).round() as i64)
            .collect()
    }

    /// A telephone hears just these, each about as loud as it was said.
    fn check(&self, id: u64, voices: &[u64]) {
        let heard = self.heard(id);
        for (index, level) in heard.iter().enumerate() {
            let audible = voices.contains(&(index as u64 + 1));
            let fits = match audible {
                true => (5_000..7_000).contains(level),
                false => *level < 150,
            };
            assert!(fits, "{id} shall hear {voices:?}, hears {heard:?}");
        }
    }
}

/// The amplitude of a tone in a sound (Goertzel).
fn amplitude(samples: &[i16], hertz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hertz / RATE).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) + coefficient * last - before;
        (before, last) = (last, next);
    }
    let power = last * last + before * before - coefficient * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len().max(1) as f64
}

#[test]
fn everybody_in_a_conference_hears_all_but_himself() {
    let mut world = World::new(&[(Codec::Pcma, 20); 5]);
    world.confer();
    world.talk(1_000);
    for id in 1..=5 {
        let others: Vec<u64> = (1..=5).filter(|other| *other != id).collect();
        world.check(id, &others);
    }
}

#[test]
fn a_conference_is_of_any_codecs_and_packet_times() {
    let mut codecs = vec![(Codec::Pcmu, 10), (Codec::Pcma, 60), (Codec::G722, 30)];
    if Codec::Opus.is_built() {
        codecs.push((Codec::Opus, 20));
    }
    let mut world = World::new(&codecs);
    world.confer();
    world.talk(1_500);
    let all = codecs.len() as u64;
    for id in 1..=all {
        let others: Vec<u64> = (1..=all).filter(|other| *other != id).collect();
        world.check(id, &others);
    }
}

#[test]
fn what_a_hearer_gets_is_paced_without_gaps() {
    let mut world = World::new(&[(Codec::Pcma, 20), (Codec::Pcmu, 30), (Codec::Pcma, 40)]);
    world.confer();
    world.talk(2_000);
    for (id, ptime) in [(1, 20), (2, 30), (3, 40)] {
        let times = &world.phones[&id].times;
        assert!(times.len() as u64 >= 2_000 / ptime - 1, "{}", times.len());
        for pair in times[1..].windows(2) {
            assert_eq!(pair[1] - pair[0], Duration::from_millis(ptime));
        }
    }
}

#[test]
fn a_listener_hears_two_who_are_bridged_and_disturbs_nothing() {
    let mut world = World::new(&[(Codec::Pcmu, 20), (Codec::Pcma, 20), (Codec::Pcma, 20)]);
    world.bridge(1, 2);
    world.direct(3, Direction::SendOnly);
    world.hears(3, &[1, 2]);
    world.talk(1_000);
    world.check(1, &[2]);
    world.check(2, &[1]);
    world.check(3, &[1, 2]);
    let relayed = world.phones[&1].heard.len();
    assert!(relayed >= 7_900, "{relayed} samples relayed as they came");
}

#[test]
fn a_whisper_is_for_one_ear_and_a_barge_for_all() {
    let mut world = World::new(&[(Codec::Pcma, 20); 3]);
    let (caller, agent, supervisor) = (1, 2, 3);
    world.hears(supervisor, &[caller, agent]);
    world.hears(caller, &[agent]);
    world.hears(agent, &[caller, supervisor]);
    world.talk(1_000);
    world.check(caller, &[agent]);
    world.check(agent, &[caller, supervisor]);
    world.check(supervisor, &[caller, agent]);
    world.hears(caller, &[agent, supervisor]);
    world.talk(1_000);
    world.check(caller, &[agent, supervisor]);
    // And back to two who are bridged, the packets as they come.
    world.bridge(caller, agent);
    world.talk(1_000);
    world.check(caller, &[agent]);
    world.check(agent, &[caller]);
    assert!(world.plane.level(StreamId(supervisor)).is_none());
    assert!(world.plane.level(StreamId(caller)).is_some());
}

#[test]
fn whoever_may_only_listen_is_not_heard_even_where_he_is_mixed_in() {
    let mut world = World::new(&[(Codec::Pcma, 20); 3]);
    world.confer();
    world.direct(3, Direction::SendOnly);
    world.talk(1_000);
    world.check(1, &[2]);
    world.check(2, &[1]);
    world.check(3, &[1, 2]);
}

#[test]
fn five_at_full_scale_do_not_wrap() {
    let mut world = World::new(&[(Codec::Pcma, 20); 5]);
    world.amplitude = 32_000.0;
    world.confer();
    world.talk(1_500);
    let heard = world.heard(5);
    // Turned down as a whole: four tones of a quarter of full scale each, and little else.
    let sound = &world.phones[&5].heard;
    let sound = &sound[sound.len() - 4_000..];
    let all: f64 = sound.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 4_000.0;
    let tones: f64 = heard.iter().map(|a| (*a as f64).powi(2) / 2.0).sum();
    assert!(
        heard[..4].iter().all(|a| (6_500..14_000).contains(a)),
        "{heard:?}"
    );
    assert!(heard[4] < 600, "{heard:?}");
    assert!(tones > 0.97 * all, "{tones} of {all}");
}

#[test]
fn whoever_leaves_is_no_longer_heard_and_his_place_is_another_ones() {
    let mut world = World::new(&[(Codec::Pcma, 20); 4]);
    world.hears(1, &[2, 3]);
    world.talk(500);
    let stream = StreamId(3);
    world.plane.handle(world.now, Command::Close { stream });
    world.pass();
    world.talk(700);
    world.check(1, &[2]);
    // A new stream in the place of the one that has gone is not mixed in unasked.
    let open = Command::Open {
        stream: StreamId(5),
        port: Port {
            plane: 0,
            number: port(3),
        },
        ssrc: 9,
    };
    world.plane.handle(world.now, open);
    world.talk(700);
    world.check(1, &[2]);
}

#[test]
fn the_loudest_is_known() {
    let mut world = World::new(&[(Codec::Pcma, 20); 2]);
    world.confer();
    world.talk(2_000);
    let level = |world: &World, id| world.plane.level(StreamId(id)).unwrap();
    // A sine of 6000 is -17.8 dBov.
    for id in [1, 2] {
        let found = level(&world, id);
        assert!((-18.5..-17.0).contains(&found), "{found}");
    }
    world.amplitude = 600.0;
    for time in 0..4_000 {
        if time % 20 == 0 {
            world.say(2);
        }
        world.pass();
    }
    let found = level(&world, 2);
    assert!((-38.5..-37.0).contains(&found), "{found}");
}
