//! A plane whose streams are encrypted: bridged with streams in clear, held, given new keys, attacked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use media::rtp::Fixed;
use media::srtp::{Keys, MAX_SEALED, Master, Srtp, Suite};
use media::{
    Codec, Command, Direction, Event, Format, Plane, PlaneConfig, Port, Prompts, Rtcp, Source,
    StreamId,
};

const A: StreamId = StreamId(1);
const B: StreamId = StreamId(2);

fn port(stream: StreamId) -> Port {
    Port {
        plane: 0,
        number: 10_000 + 2 * stream.0 as u16,
    }
}

fn phone(stream: StreamId) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, stream.0 as u8], 4000))
}

fn keys(suite: Suite, ours: u8, theirs: u8) -> Keys {
    Keys {
        suite,
        ours: Master::new(&[ours; 44]),
        theirs: Master::new(&[theirs; 44]),
    }
}

struct World {
    now: Time,
    plane: Plane,
    sent: Vec<(SocketAddr, Vec<u8>)>,
}

impl World {
    fn new() -> Self {
        World {
            now: Time::from_secs(100),
            plane: Plane::new(PlaneConfig::default(), Arc::new(Prompts::default())),
            sent: Vec::new(),
        }
    }

    fn begin(&mut self, stream: StreamId, keys: Option<Keys>) {
        let (port, ssrc) = (port(stream), 900 + stream.0 as u32);
        self.plane
            .handle(self.now, Command::Open { stream, port, ssrc });
        self.secure(stream, keys);
        let update = Command::Update {
            stream,
            remote: phone(stream),
            rtcp: Rtcp::Muxed,
            behind: None,
            format: Format {
                codec: Codec::Pcmu,
                payload_type: 0,
                ptime: Duration::from_millis(20),
                telephone_event: None,
                event_rate: 8000,
                wishes: Default::default(),
            },
            direction: Direction::SendReceive,
        };
        self.plane.handle(self.now, update);
    }

    fn secure(&mut self, stream: StreamId, keys: Option<Keys>) {
        let keys = keys.map(Box::new);
        self.plane
            .handle(self.now, Command::Secure { stream, keys });
    }

    fn receive(&mut self, stream: StreamId, packet: &[u8]) {
        let mut packet = packet.to_vec();
        let (sent, number) = (&mut self.sent, port(stream).number);
        let mut send = |_, to, packet: &[u8]| sent.push((to, packet.to_vec()));
        let source = phone(stream);
        self.plane
            .receive(self.now, number, source, &mut packet, &mut send);
    }

    fn wait(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds / 5 {
            self.now += Duration::from_millis(5);
            let sent = &mut self.sent;
            let mut send = |_, to, packet: &[u8]| sent.push((to, packet.to_vec()));
            self.plane.handle_timeout(self.now, &mut send);
        }
    }

    /// What has left for a phone.
    fn heard(&mut self, stream: StreamId) -> Vec<Vec<u8>> {
        let here = |sent: &mut (SocketAddr, Vec<u8>)| sent.0 == phone(stream);
        self.sent
            .extract_if(.., here)
            .map(|(_, packet)| packet)
            .collect()
    }
}

fn packet(sequence: u16) -> Vec<u8> {
    let fixed = Fixed {
        marker: false,
        payload_type: 0,
        sequence,
        timestamp: u32::from(sequence) * 160,
        ssrc: 7,
    };
    fixed.packet(&[sequence as u8; 160])
}

fn seal(phone: &mut Srtp, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [0; MAX_SEALED];
    buffer[..packet.len()].copy_from_slice(packet);
    let length = phone
        .seal(&mut buffer, packet.len())
        .expect("room, and a number that is new");
    buffer[..length].to_vec()
}

fn open(phone: &mut Srtp, packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let length = phone.open(&mut packet).expect("what the plane has sealed");
    packet.truncate(length);
    packet
}

#[test]
fn an_encrypted_leg_and_one_in_clear_are_bridged_without_decoding() {
    for suite in [Suite::AesCm80, Suite::AesCm32, Suite::Gcm128, Suite::Gcm256] {
        let mut world = World::new();
        world.begin(A, Some(keys(suite, 1, 2)));
        world.begin(B, None);
        world
            .plane
            .handle(world.now, Command::Bridge { a: A, b: B });
        let mut phone = Srtp::new(keys(suite, 2, 1));
        for sequence in 0..200u16 {
            let sealed = seal(&mut phone, &packet(sequence));
            world.receive(A, &sealed);
            let clear = world.heard(B);
            assert_eq!(clear[0][12..], [sequence as u8; 160]);
            world.receive(B, &packet(sequence));
            let sealed = world.heard(A);
            assert_ne!(sealed[0][12..20], [sequence as u8; 8]);
            assert_eq!(open(&mut phone, &sealed[0])[12..], [sequence as u8; 160]);
        }
    }
}

#[test]
fn what_we_play_report_and_say_at_the_end_is_encrypted_too() {
    let mut world = World::new();
    world.begin(A, Some(keys(Suite::AesCm80, 1, 2)));
    let mut phone = Srtp::new(keys(Suite::AesCm80, 2, 1));
    let tone = Source::Tone { hertz: 1004 };
    world.plane.handle(
        world.now,
        Command::Source {
            stream: A,
            source: tone,
        },
    );
    world.wait(10_000);
    world.plane.handle(world.now, Command::Close { stream: A });
    world.wait(5);
    let (mut audio, mut reports) = (0, 0);
    for mut packet in world.heard(A) {
        match media::rtp::is_rtcp(&packet) {
            true => {
                let length = phone.open_rtcp(&mut packet).unwrap();
                assert!(media::rtcp::read(&packet[..length], 0).is_some());
                reports += 1;
            }
            false => {
                assert_eq!(open(&mut phone, &packet).len(), 172);
                audio += 1;
            }
        }
    }
    assert!(audio >= 499 && reports >= 2, "{audio} {reports}");
    assert!(matches!(
        world.plane.poll_event(),
        Some(Event::Closed { .. })
    ));
    // The next stream of the port is in clear.
    world.begin(A, None);
    world.plane.handle(
        world.now,
        Command::Source {
            stream: A,
            source: Source::Echo,
        },
    );
    world.receive(A, &packet(1));
    assert_eq!(world.heard(A)[0][12..], [1; 160]);
}

#[test]
fn bad_packets_are_counted_and_the_call_goes_on() {
    let mut world = World::new();
    world.begin(A, Some(keys(Suite::AesCm80, 1, 2)));
    world.plane.handle(
        world.now,
        Command::Source {
            stream: A,
            source: Source::Echo,
        },
    );
    let mut phone = Srtp::new(keys(Suite::AesCm80, 2, 1));
    let first = seal(&mut phone, &packet(0));
    world.receive(A, &first);
    for n in 0..20_000u16 {
        match n % 4 {
            0 => world.receive(A, &first),
            1 => world.receive(A, &packet(n)),
            2 => world.receive(A, &[0x80, 200, 0, 6, 0, 0, 0, 7]),
            _ => {
                let mut forged = seal(&mut Srtp::new(keys(Suite::AesCm80, 9, 9)), &packet(n));
                forged[11] = n as u8;
                world.receive(A, &forged);
            }
        }
    }
    let counters = world.plane.counters();
    let rejected = counters.rejected;
    // A report too short for a tag is none at all.
    assert_eq!((rejected.srtp, rejected.malformed), (15_000, 5_000));
    assert_eq!(counters.packets_in, 1);
    assert_eq!(counters.rejected.total(), 20_000);
    assert_eq!(world.plane.poll_event(), Some(Event::Flowing { stream: A }));
    assert_eq!(world.plane.poll_event(), None);
    let next = seal(&mut phone, &packet(1));
    world.receive(A, &next);
    let heard = world.heard(A);
    assert_eq!(open(&mut phone, &heard[0])[12..], [0; 160]);
    assert_eq!(open(&mut phone, &heard[1])[12..], [1; 160]);
    assert_eq!(heard.len(), 2);
}

#[test]
fn strangers_cost_no_work_and_are_counted_as_such() {
    let mut world = World::new();
    world.begin(A, Some(keys(Suite::Gcm128, 1, 2)));
    let mut phone = Srtp::new(keys(Suite::Gcm128, 2, 1));
    let mut sealed = seal(&mut phone, &packet(0));
    let mut send = |_, _, _: &[u8]| unreachable!("nothing is sent");
    let stranger = SocketAddr::from(([203, 0, 113, 9], 4000));
    let number = port(A).number;
    world
        .plane
        .receive(world.now, number, stranger, &mut sealed, &mut send);
    let rejected = world.plane.counters().rejected;
    assert_eq!((rejected.source, rejected.srtp), (1, 0));
}
