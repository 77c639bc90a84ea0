//! TLS: phones, trunks known by a certificate, and certificates that are renewed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, Files, QUEUES, agents, wait_for};
use crate::hostile::still_fine;
use crate::sipp::Sipp;

/// A CA that nobody else knows.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: rcgen::Certificate,
}

/// A certificate and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
    der: rustls::pki_types::CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Ca {
    pub fn new() -> Ca {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Another name than that of what it signs, which OpenSSL would take for signed by itself.
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "authority of the tests");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Ca {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub fn pair(&self, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        }
    }
}

pub const SET: [&str; 3] = [
    "sip.tls_port=0",
    "sip.tls.certificate=certificate.pem",
    "sip.tls.key=key.pem",
];

pub fn centre(ca: &Ca, more: Files<'_>, set: &[&str]) -> Centre {
    let ours = ca.pair(&["localhost", "127.0.0.1"]);
    let agents = agents();
    let mut files = vec![
        ("queues.toml", QUEUES),
        ("agents.toml", &agents),
        ("certificate.pem", &ours.certificate),
        ("key.pem", &ours.key),
    ];
    files.extend(more);
    Centre::start_with(&files, &[&SET, set].concat())
}

pub fn tls_address(centre: &Centre) -> &str {
    centre.ready["sip_tls"].as_str().expect("sip_tls is told")
}

pub type Connection = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands as somebody who trusts this CA, with a certificate of his own or none.
pub fn connect(
    centre: &Centre,
    ca: &Ca,
    version: &'static rustls::SupportedProtocolVersion,
    own: Option<&Pair>,
) -> std::io::Result<Connection> {
    shake_hands(tls_address(centre), ca, version, own)
}

/// The same at another address.
pub fn shake_hands(
    address: &str,
    ca: &Ca,
    version: &'static rustls::SupportedProtocolVersion,
    own: Option<&Pair>,
) -> std::io::Result<Connection> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.key_der.clone()));
            builder
                .with_client_auth_cert(vec![own.der.clone()], key)
                .expect("they fit")
        }
    };
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(crate::centre::PATIENCE))?;
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = StreamOwned::new(connection, stream);
    stream.flush()?;
    Ok(stream)
}

fn invite(number: &str, call: &str) -> String {
    format!(
        "INVITE sip:{number}@localhost SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK{call};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:+8613800138000@carrier.example>;tag={call}\r\nTo: <sip:{number}@localhost>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:127.0.0.1:5061;transport=tls>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The status of the first answer.
fn ask(connection: &mut Connection, request: &str) -> std::io::Result<u16> {
    connection.write_all(request.as_bytes())?;
    let mut buffer = [0u8; 4096];
    let read = connection.read(&mut buffer)?;
    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
    let status = text
        .get(8..12)
        .and_then(|status| status.trim().parse().ok());
    Ok(status.unwrap_or_else(|| panic!("no answer but {text:?}")))
}

#[test]
fn baresip_registers_and_talks_over_tls() {
    let ca = Ca::new();
    let centre = centre(&ca, &[], &[]);
    let client = Client::sign_in_any(&centre);
    let registrar = format!("{};transport=tls", tls_address(&centre));
    let mut agent = Baresip::start_at(&registrar, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start(&centre, "caller", None, 600, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    agent.wait("CALL_ESTABLISHED");
    caller.wait("CALL_ESTABLISHED");
    agent.wait_tone(600);
    caller.wait_tone(1000);
    agent.command("hangup", "");
    caller.wait("CALL_CLOSED");
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["outcome"], "answered", "{closed}");
}

#[test]
fn a_trunk_is_known_by_its_certificate_and_by_nothing_else() {
    let ca = Ca::new();
    let trunks = "[[trunk]]\nname = \"carrier\"\ncertificate = \"carrier.example\"\n[[route]]\nnumber = \"9196\"\necho = true\n";
    let root = ca.certificate.pem();
    let centre = centre(
        &ca,
        &[("trunks.toml", trunks), ("ca.pem", &root)],
        &["sip.tls.client_ca=ca.pem"],
    );
    let (carrier, other) = (ca.pair(&["carrier.example"]), ca.pair(&["other.example"]));
    let foreign = Ca::new().pair(&["carrier.example"]);
    for (version, call) in [
        (&rustls::version::TLS12, "a"),
        (&rustls::version::TLS13, "b"),
    ] {
        let status = |own: Option<&Pair>, call: String| -> std::io::Result<u16> {
            ask(
                &mut connect(&centre, &ca, version, own)?,
                &invite("9196", &call),
            )
        };
        assert_eq!(
            status(Some(&carrier), format!("{call}1")).expect("TLS"),
            100
        );
        assert_eq!(status(Some(&other), format!("{call}2")).expect("TLS"), 401);
        assert_eq!(status(None, format!("{call}3")).expect("TLS"), 401);
        let refused = status(Some(&foreign), format!("{call}4"));
        assert!(refused.is_err(), "another CA's: {refused:?}");
    }
}

#[test]
fn a_renewed_certificate_is_taken_over_by_a_reload() {
    let (old, new) = (Ca::new(), Ca::new());
    let centre = centre(&old, &[], &[]);
    let version = &rustls::version::TLS13;
    let mut open = connect(&centre, &old, version, None).expect("the old one");
    let renewed = new.pair(&["localhost"]);
    let put = |name: &str, text: &str| {
        std::fs::write(centre.path().join("config").join(name), text).expect("a file");
    };
    put("certificate.pem", &renewed.certificate);
    let hang_up = || {
        let pid = centre.ready["pid"].to_string();
        let status = std::process::Command::new("kill")
            .args(["-HUP", &pid])
            .status();
        assert!(status.expect("kill runs").success());
    };
    // Half of it is refused, and the old one stays.
    hang_up();
    wait_for("a refusal", || {
        centre.log().contains("is not the key of").then_some(())
    });
    connect(&centre, &old, version, None).expect("the old one still");
    put("key.pem", &renewed.key);
    hang_up();
    wait_for("the renewal", || {
        centre
            .log()
            .contains("sip.tls: another certificate")
            .then_some(())
    });
    connect(&centre, &new, version, None).expect("the new one");
    assert!(connect(&centre, &old, version, None).is_err());
    let options = invite("9196", "open").replace("INVITE", "OPTIONS");
    assert_eq!(ask(&mut open, &options).expect("it is still open"), 200);
}

/// The drip of a slow client: connections that say a byte a second, never a whole message, until `end`.
fn drip(mut open: Vec<Box<dyn Write + Send>>, end: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for byte in b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1"
            .iter()
            .cycle()
        {
            for stream in &mut open {
                // Closed for its slowness: that is right too.
                let _ = stream.write_all(&[*byte]).and_then(|()| stream.flush());
            }
            let next = Instant::now() + Duration::from_secs(1);
            while Instant::now() < next {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    })
}

#[test]
fn a_phone_registers_at_once_beside_2000_slow_connections_on_tls_and_tcp() {
    let ca = Ca::new();
    let centre = centre(&ca, &[], &[]);
    let tls: SocketAddr = tls_address(&centre).parse().expect("an address");
    let tcp: SocketAddr = centre.sip().parse().expect("an address");
    let mut open: Vec<Box<dyn Write + Send>> = Vec::with_capacity(2_000);
    for _ in 0..50 {
        // These have shaken hands; the rest on the TLS port never come so far.
        let own = connect(&centre, &ca, &rustls::version::TLS13, None);
        open.push(Box::new(own.expect("a connection")));
    }
    for address in [tls, tcp] {
        for _ in 0..975 {
            open.push(Box::new(TcpStream::connect(address).expect("it connects")));
        }
    }
    let end: Arc<AtomicBool> = Arc::default();
    let slow = drip(open, end.clone());
    let began = Instant::now();
    let registrar = format!("{};transport=tls", tls_address(&centre));
    let agent = Baresip::start_at(&registrar, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    let arguments = ["-t", "t1", "-au", "1002", "-ap", "demo-1002"];
    Sipp::start(&centre, "register", "1002", &arguments).succeed();
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    end.store(true, Ordering::Relaxed);
    slow.join().expect("it ends");
    still_fine(&centre);
}
