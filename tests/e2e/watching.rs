//! What was on the wire: to a HOMER collector, as a ladder, and in numbers.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use crate::api::{Client, get_text};
use crate::baresip::Baresip;
use crate::centre::{Centre, PATIENCE, QUEUES, agents, wait_for};
use crate::hostile::metric;
use crate::sipp::Sipp;
use crate::tls::{Ca, centre as tls_centre};

/// A packet of HEP version 3, read here by the specification alone: chunks by their type.
fn chunks(packet: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    assert_eq!(&packet[..4], b"HEP3");
    assert_eq!(usize::from(number(4)), packet.len());
    let mut found = BTreeMap::new();
    let mut at = 6;
    while at < packet.len() {
        let length = usize::from(number(at + 4));
        assert_eq!(number(at), 0, "vendor");
        let value = packet[at + 6..at + length].to_vec();
        assert!(
            found.insert(number(at + 2), value).is_none(),
            "a chunk comes once"
        );
        at += length;
    }
    assert_eq!(at, packet.len());
    found
}

#[test]
fn a_homer_collector_gets_every_message_with_its_contact() {
    let collector = UdpSocket::bind("127.0.0.1:0").expect("a port");
    collector
        .set_read_timeout(Some(PATIENCE))
        .expect("a patience");
    let server = collector.local_addr().expect("an address");
    let hep = format!("sip.hep={{ server = \"udp:{server}\", id = 2001, password = \"homer\" }}");
    let centre = Centre::start_with(
        &[("queues.toml", QUEUES), ("agents.toml", &agents())],
        &[&hep],
    );
    let agent = Baresip::start(&centre, "1001", Some("demo-1001"), 440, true);
    agent.registered();
    let client = Client::sign_in_any(&centre);
    client.wait_agent("1001", "ready");
    Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "500"]).succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    let contact = closed["subject"].as_str().expect("a contact").to_owned();
    let port = centre
        .sip()
        .rsplit(':')
        .next()
        .expect("a port")
        .parse::<u16>()
        .expect("a number");
    let mut said = Vec::new();
    let mut buffer = [0; 65_535];
    let over = |(_, text): &(_, String)| {
        let bye = |line: &str| line.starts_with("CSeq:") && line.ends_with(" BYE");
        text.starts_with("SIP/2.0 200") && text.lines().any(bye)
    };
    while !said.iter().any(over) {
        let length = collector.recv(&mut buffer).expect("a packet");
        let chunks = chunks(&buffer[..length]);
        assert_eq!(
            (&chunks[&1][..], &chunks[&2][..], &chunks[&11][..]),
            (&[2][..], &[17][..], &[1][..])
        );
        assert_eq!(
            (&chunks[&12][..], &chunks[&14][..]),
            (&2001u32.to_be_bytes()[..], &b"homer"[..])
        );
        assert_eq!(
            (&chunks[&3][..], &chunks[&4][..]),
            (&[127, 0, 0, 1][..], &[127, 0, 0, 1][..])
        );
        let ports = [&chunks[&7], &chunks[&8]].map(|port| u16::from_be_bytes([port[0], port[1]]));
        assert!(ports.contains(&port), "{ports:?} and {port}");
        let seconds = u32::from_be_bytes(chunks[&9][..].try_into().expect("four octets"));
        assert!(seconds > 1_700_000_000, "{seconds}");
        let text = String::from_utf8_lossy(&chunks[&15]).into_owned();
        let of = chunks
            .get(&17)
            .map(|contact| String::from_utf8_lossy(contact).into_owned());
        said.push((of, text));
    }
    let of_call = |start: &str| {
        said.iter()
            .find(|(_, text)| text.starts_with(start))
            .unwrap_or_else(|| panic!("no {start}: {said:?}"))
            .0
            .as_deref()
    };
    for start in [
        "INVITE sip:2000@",
        "INVITE sip:1001",
        "SIP/2.0 100 ",
        "ACK ",
        "BYE ",
    ] {
        assert_eq!(of_call(start), Some(contact.as_str()), "{start}");
    }
    assert_eq!(of_call("REGISTER "), None);
    wait_for("the packets are counted", || {
        let (_, text) = get_text(&centre, "/metrics");
        let sent = text
            .lines()
            .find_map(|line| line.strip_prefix("cordboard_hep_packets_total{result=\"sent\"} "));
        sent.and_then(|sent| sent.parse::<f64>().ok())
            .filter(|sent| *sent >= said.len() as f64)
    });
}

#[test]
fn a_collector_that_is_away_costs_no_call() {
    let closed_port = crate::sipp::free_port();
    let hep = format!("sip.hep={{ server = \"udp:127.0.0.1:{closed_port}\" }}");
    let centre = Centre::start_with(
        &[("queues.toml", QUEUES), ("agents.toml", &agents())],
        &[&hep],
    );
    Sipp::start(
        &centre,
        "register",
        "1001",
        &["-au", "1001", "-ap", "demo-1001"],
    )
    .succeed();
    Client::sign_in_any(&centre).wait_agent("1001", "ready");
}

#[test]
fn the_ladder_is_a_diagram_on_the_command_line_and_the_gauges_go_back() {
    let centre = Centre::start();
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 440, true);
    agent.registered();
    let client = Client::sign_in_any(&centre);
    client.wait_agent("1001", "ready");
    let caller = Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "3000"]);
    agent.wait("CALL_ESTABLISHED");
    let gauge = |name: &str| {
        let (_, text) = get_text(&centre, "/metrics");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("cordboard_{name} ")));
        value
            .unwrap_or_else(|| panic!("{name}: {text}"))
            .parse::<f64>()
            .expect("a number")
    };
    wait_for("both dialogs are seen", || {
        (gauge("sip_dialogs") == 2.0).then_some(())
    });
    assert_eq!(gauge("sip_registrations"), 1.0);
    caller.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    let contact = closed["subject"].as_str().expect("a contact");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cordboard"))
        .args(["contact", contact, "--ladder", "--data-dir"])
        .arg(centre.directory.path().join("data"))
        .output()
        .expect("the binary runs");
    let ladder = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let head = ladder.lines().next().expect("a head");
    let names: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(names, ["caller", "cordboard", "1001"], "{ladder}");
    for arrow in [
        "│── INVITE +sdp ─",
        "│◀─ 200 OK (INVITE) +sdp ─",
        "── BYE ─",
    ] {
        assert!(ladder.contains(arrow), "{arrow}: {ladder}");
    }
    wait_for("no dialog is left", || {
        (gauge("sip_dialogs") == 0.0).then_some(())
    });
}

#[test]
fn open_connections_are_counted_by_transport() {
    let ca = Ca::new();
    let centre = tls_centre(&ca, &[], &[]);
    let open = |transport: &str| {
        let label = format!("transport=\"{transport}\"");
        metric(&centre, "cordboard_sip_connections", &label)
    };
    for transport in ["tcp", "tls", "ws", "wss"] {
        assert_eq!(open(transport), 0.0, "{transport}");
    }
    assert_eq!(open("udp"), 0.0, "datagrams have none");
    let tcp = std::net::TcpStream::connect(centre.sip()).expect("it connects");
    let tls = crate::tls::connect(&centre, &ca, &rustls::version::TLS13, None).expect("TLS");
    let told = [("Sec-WebSocket-Protocol", "sip")];
    let ws = [(); 2].map(|()| crate::websocket::open(&centre, &told).expect("it opens"));
    for (transport, count) in [("tcp", 1.0), ("tls", 1.0), ("ws", 2.0), ("wss", 0.0)] {
        wait_for(transport, || (open(transport) == count).then_some(()));
    }
    drop((tcp, tls, ws));
    for transport in ["tcp", "tls", "ws"] {
        wait_for(transport, || (open(transport) == 0.0).then_some(()));
    }
}
