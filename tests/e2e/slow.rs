//! Connections that say nothing, or a little now and then.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::api::Client;
use crate::centre::Centre;
use crate::sipp::Sipp;

/// As many as issue 3 names.
const CONNECTIONS: usize = 2_000;

fn resident_kb(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let words = line.expect("VmRSS").split_whitespace();
    words
        .skip(1)
        .find_map(|word| word.parse().ok())
        .expect("kB")
}

#[test]
fn a_phone_registers_at_once_beside_2000_idle_and_slow_connections() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let pid = centre.ready["pid"].to_string();
    let before = resident_kb(&pid);
    let address: SocketAddr = centre.sip().parse().expect("an address");
    let mut open = Vec::with_capacity(CONNECTIONS);
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).expect("it connects");
        if n % 2 == 0 {
            stream
                .write_all(b"REGISTER sip:x SIP/2.0\r\nVia: ")
                .expect("it takes a little");
        }
        open.push(stream);
    }
    let arguments = ["-t", "t1", "-au", "1001", "-ap", "demo-1001"];
    let began = std::time::Instant::now();
    Sipp::start(&centre, "register", "1001", &arguments).succeed();
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    let text = crate::api::get_text(&centre, "/metrics").1;
    assert!(text.contains("sip_messages_total"), "{text}");
    let grown = resident_kb(&pid).saturating_sub(before);
    assert!(
        grown < 16 * 1024,
        "{grown} kB for {CONNECTIONS} connections"
    );
    drop(client);
    drop(open);
}
