//! A small HTTP service of the kind that flows ask: orders, parcels, accounts, appointments, complaints. It also behaves badly on demand.
//!
//! `cargo run --example demonstration_service [ADDRESS]` serves the shipped flows; the end-to-end tests run it inside.

#![allow(
    dead_code,
    reason = "as an example it has no use for what it has seen, as a module none for `main`"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest body that it reads.
const BODY_MAX: usize = 64 * 1024;

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `GET /orders/10017`
    pub line: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(n, value)| (n == name).then_some(value.as_str()))
    }
}

/// What has come in, for tests.
pub type Log = Arc<Mutex<Vec<Seen>>>;

fn main() {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:8090");
    let listener = TcpListener::bind(address).expect("the address is free");
    eprintln!("the demonstration service listens on http://{address}");
    serve(&listener, &Log::default());
}

/// Serves for as long as the process lives.
pub fn serve(listener: &TcpListener, log: &Log) {
    for stream in listener.incoming().flatten() {
        let log = log.clone();
        std::thread::spawn(move || {
            let _ = converse(&stream, &log);
        });
    }
}

/// Requests of one connection.
fn converse(stream: &TcpStream, log: &Log) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(seen) = read(&mut reader)? {
        log.lock()
            .expect("nobody panics with it")
            .push(seen.clone());
        let Some((status, body)) = answer(&seen) else {
            return Ok(());
        };
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Seen>> {
    let mut seen = Seen::default();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let text = line.trim_end();
        if text.is_empty() {
            let length = seen.header("content-length").and_then(|n| n.parse().ok());
            let mut body = vec![0; length.unwrap_or(0).min(BODY_MAX)];
            reader.read_exact(&mut body)?;
            seen.body = String::from_utf8_lossy(&body).into_owned();
            return Ok(Some(seen));
        }
        match text.split_once(": ") {
            Some((name, value)) => seen
                .headers
                .push((name.to_ascii_lowercase(), value.to_owned())),
            None => seen.line = text.trim_end_matches(" HTTP/1.1").to_owned(),
        }
        line.clear();
    }
    Ok(None)
}

/// Status and body; `None` hangs up without a word.
fn answer(seen: &Seen) -> Option<(&'static str, String)> {
    const OK: &str = "200 OK";
    const CREATED: &str = "201 Created";
    let (method, path) = seen.line.split_once(' ')?;
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    Some(match (method, parts.as_slice()) {
        // Bad behaviour, by the number asked for.
        (_, [_, "50003"]) => ("503 Service Unavailable", "{}".to_owned()),
        (_, [_, "50000"]) => (OK, "<html>not JSON</html>".to_owned()),
        (_, [_, "50001"]) => return None,
        (_, [_, "50002"]) => {
            std::thread::sleep(Duration::from_secs(20));
            (OK, "{}".to_owned())
        }
        (_, [_, "50004"]) => (OK, format!("\"{}\"", "x".repeat(1_000_000))),
        ("GET", ["orders", "10017"]) => (
            OK,
            r#"{"status":"on_the_way","delivery":{"days":2}}"#.to_owned(),
        ),
        ("GET", ["orders", "10018"]) => (OK, r#"{"status":"delivered"}"#.to_owned()),
        ("GET", ["orders", "10019"]) => (OK, r#"{"status":"packing"}"#.to_owned()),
        // Numbers whose check digit is right.
        ("GET", ["parcels", "6901234567892"]) => (OK, r#"{"station":"hub","hours":5}"#.to_owned()),
        ("GET", ["parcels", "4006381333931"]) => (OK, r#"{"station":"delivered"}"#.to_owned()),
        ("GET", ["accounts", number]) if number.starts_with('C') => {
            (OK, r#"{"balance":1234.5}"#.to_owned())
        }
        ("GET", ["appointments", "free"]) => {
            let slot = r#"{"id":"s1","day":"2026-12-01","time":"10:00"}"#;
            (OK, slot.to_owned())
        }
        ("POST", ["appointments"]) => (CREATED, r#"{"number":"31"}"#.to_owned()),
        ("POST", ["complaints"]) => (CREATED, r#"{"number":"7001"}"#.to_owned()),
        ("POST", ["messages"]) => ("202 Accepted", "{}".to_owned()),
        _ => ("404 Not Found", "{}".to_owned()),
    })
}
