//! A browser in virtual time: ICE with the password, DTLS of both versions as a client, lost datagrams, strangers, consent.

use super::*;
use crate::dtls::certificate::fingerprint;
use crate::dtls::provider::provider;
use crate::stun::tests::request;

const STREAM: StreamId = StreamId(1);
const PORT: Port = Port {
    plane: 0,
    number: 10_000,
};

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

struct World {
    now: Time,
    epoch: (Instant, Time),
    table: Browsers,
    told: Vec<Command>,
}

impl World {
    fn new() -> Self {
        let epoch = (Instant::now(), Time::from_secs(100));
        let ours = certificate::make().expect("a certificate");
        World {
            now: epoch.1,
            epoch,
            table: Browsers::new(ours, epoch).expect("a provider that is right"),
            told: Vec::new(),
        }
    }

    /// What has been sent since, by whom it is for.
    fn sent(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        while let Some(todo) = self.table.poll_todo() {
            match todo {
                Todo::Send { to, packet } => sent.push((to, packet)),
                Todo::Tell(command) => self.told.push(command),
            }
        }
        sent
    }

    fn receive(&mut self, from: SocketAddr, packet: &[u8]) -> Received {
        self.table.receive(self.now, from, packet)
    }

    fn path(&self) -> Option<Option<SocketAddr>> {
        self.told.iter().rev().find_map(|command| match command {
            Command::Path { remote, .. } => Some(*remote),
            _ => None,
        })
    }

    fn keys(&self) -> Option<Keys> {
        self.told.iter().rev().find_map(|command| match command {
            Command::Secure { keys, .. } => keys.as_deref().copied(),
            _ => None,
        })
    }
}

/// The DTLS of a browser.
struct Client {
    dtls: Dtls,
    keys: Option<Keys>,
    theirs: Option<certificate::Fingerprint>,
}

impl Client {
    fn new(world: &World, own: &DtlsCertificate, thirteen: bool) -> Self {
        let config = Config::builder().with_crypto_provider(provider()).build();
        let config = Arc::new(config.expect("a provider that is right"));
        let now = instant(world.epoch, world.now);
        let mut dtls = match thirteen {
            true => Dtls::new_13(config, own.clone(), now),
            false => Dtls::new_12(config, own.clone(), now),
        };
        dtls.set_active(true);
        Client {
            dtls,
            keys: None,
            theirs: None,
        }
    }

    /// What it sends now.
    fn say(&mut self) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => said.push(packet.to_vec()),
                Output::PeerCert(der) => self.theirs = Some(fingerprint(der)),
                // From its side the keys are the other way round.
                Output::KeyingMaterial(material, profile) => self.keys = keys(&material, profile),
                Output::Timeout(_) => return said,
                _ => {}
            }
        }
    }

    /// Until both have nothing more to say; `lost`: every so manieth datagram is.
    fn shake_hands(&mut self, world: &mut World, from: SocketAddr, lost: usize) {
        let mut count = 0;
        for _ in 0..400 {
            world.now += Duration::from_millis(50);
            let now = instant(world.epoch, world.now);
            self.dtls.handle_timeout(now).expect("it is not over");
            world.table.handle_timeout(world.now);
            for packet in self.say() {
                count += 1;
                if lost == 0 || count % lost != 0 {
                    world.receive(from, &packet);
                }
            }
            for (to, packet) in world.sent() {
                count += 1;
                if to == from && (lost == 0 || count % lost != 0) {
                    self.dtls.handle_packet(&packet).expect("a record");
                }
            }
        }
    }
}

fn admit(world: &mut World, own: &DtlsCertificate) {
    let ice = Ice {
        ufrag: "ours".into(),
        password: "secret".into(),
        fingerprint: fingerprint(&own.certificate),
    };
    world.table.admit(world.now, STREAM, PORT, &ice);
}

#[test]
fn ice_then_dtls_then_keys_in_both_versions_and_with_losses() {
    for (thirteen, lost) in [(false, 0), (true, 0), (false, 3), (true, 4)] {
        let mut world = World::new();
        let own = certificate::make().expect("a certificate");
        let browser = at("192.0.2.7:50000");
        admit(&mut world, &own);
        world.receive(browser, &request("ours:theirs", "secret", true));
        let answers = world.sent();
        assert!(matches!(&answers[..], [(to, answer)] if *to == browser && answer[..2] == [1, 1]));
        assert_eq!(world.path(), Some(Some(browser)));
        let mut client = Client::new(&world, &own, thirteen);
        client.shake_hands(&mut world, browser, lost);
        let ours = fingerprint(&world.table.certificate.certificate);
        assert_eq!(client.theirs, Some(ours), "{thirteen} {lost}");
        let (here, there) = (world.keys().expect("keys"), client.keys.expect("keys"));
        assert_eq!(
            (here.ours, here.theirs),
            (there.ours, there.theirs),
            "named by the server"
        );
        assert_eq!(here.suite, there.suite);
        assert_eq!(world.receive(browser, &[0x80, 0]), Received::Media(10_000));
        assert_eq!(world.table.take_refused(), 0);
    }
}

#[test]
fn nobody_is_answered_who_does_not_know_the_password_and_nobody_shakes_hands_before() {
    let mut world = World::new();
    let own = certificate::make().expect("a certificate");
    admit(&mut world, &own);
    let stranger = at("203.0.113.9:4000");
    let mut client = Client::new(&world, &own, false);
    let now = instant(world.epoch, world.now);
    client.dtls.handle_timeout(now).expect("it begins");
    let hello = client.say();
    let bad: Vec<Vec<u8>> = vec![
        request("ours:theirs", "guess", true),
        request("others:theirs", "secret", true),
        hello[0].clone(),
        vec![0x80; 172],
        vec![],
        vec![70; 30],
        vec![0; 30],
    ];
    for packet in &bad {
        assert_eq!(world.receive(stranger, packet), Received::Done);
    }
    assert!(world.sent().is_empty() && world.told.is_empty());
    assert_eq!(world.table.take_refused(), bad.len() as u64);
    assert_eq!(world.table.poll_timeout(), None);
}

#[test]
fn another_certificate_than_the_described_one_gets_no_keys() {
    let mut world = World::new();
    let described = certificate::make().expect("a certificate");
    let shown = certificate::make().expect("a certificate");
    admit(&mut world, &described);
    let browser = at("192.0.2.7:50000");
    world.receive(browser, &request("ours:theirs", "secret", true));
    world.sent();
    let mut client = Client::new(&world, &shown, false);
    for _ in 0..20 {
        world.now += Duration::from_millis(20);
        let _ = client.dtls.handle_timeout(instant(world.epoch, world.now));
        for packet in client.say() {
            world.receive(browser, &packet);
        }
        for (_, packet) in world.sent() {
            let _ = client.dtls.handle_packet(&packet);
        }
    }
    assert_eq!(world.keys(), None);
    assert!(world.table.take_refused() > 0);
}

#[test]
fn a_browser_that_moves_is_followed_and_one_that_stops_asking_is_sent_nothing() {
    let mut world = World::new();
    let own = certificate::make().expect("a certificate");
    admit(&mut world, &own);
    let (first, second) = (at("192.0.2.7:50000"), at("198.51.100.3:6000"));
    world.receive(first, &request("ours:theirs", "secret", true));
    world.sent();
    world.now += Duration::from_secs(20);
    world.receive(second, &request("ours:theirs", "secret", false));
    world.sent();
    assert_eq!(world.path(), Some(Some(first)), "it has not chosen");
    world.receive(second, &request("ours:theirs", "secret", true));
    world.sent();
    assert_eq!(world.path(), Some(Some(second)));
    let due = world.table.poll_timeout().expect("consent ends");
    assert_eq!(due, world.now + CONSENT);
    world.now = due;
    world.table.handle_timeout(world.now);
    world.sent();
    assert_eq!(world.path(), Some(None));
    assert_eq!(world.receive(second, &[0x80, 0]), Received::Done);
    world.receive(second, &request("ours:theirs", "secret", true));
    world.sent();
    assert_eq!(world.path(), Some(Some(second)), "it is back");
    world.table.close(STREAM);
    assert!(!world.table.has(PORT.number) && world.table.poll_timeout().is_none());
    assert!(world.table.addresses.is_empty() && world.table.names.is_empty());
}

#[test]
fn addresses_of_one_leg_are_bounded() {
    let mut world = World::new();
    let own = certificate::make().expect("a certificate");
    admit(&mut world, &own);
    for port in 0..100 {
        let from = SocketAddr::from(([192, 0, 2, 1], 1_000 + port));
        world.receive(from, &request("ours:theirs", "secret", true));
    }
    assert_eq!(world.table.addresses.len(), ADDRESSES);
    assert_eq!(world.table.take_refused(), 100 - ADDRESSES as u64);
}
