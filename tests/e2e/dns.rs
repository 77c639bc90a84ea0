//! Names in SIP URIs, looked up at a real DNS server (dnsmasq), and the next server where the first is dead.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, agents, wait_for};
use crate::kamailio::{self, PASSWORD, REALM, USER};
use crate::raw::{Caller, Line, PCMA};
use crate::sipp::{Sipp, free_port, is_bound};

const QUEUES: &str = "[[queue]]\nname = \"support\"\nnumber = \"2000\"\nskills = { support = 1 }\nwrap_up = \"0s\"\nring = \"20s\"\n";

/// A DNS server that knows these records and nothing else.
pub struct Dns {
    child: Child,
    pub port: u16,
}

impl Dns {
    pub fn start(records: &[String]) -> Dns {
        Dns::start_at(free_port(), records)
    }

    /// The same at a port: in place of one that is gone.
    pub fn start_at(port: u16, records: &[String]) -> Dns {
        let child = Command::new("/usr/sbin/dnsmasq")
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--conf-file=/dev/null",
            ])
            .args([
                "--pid-file=",
                "--bind-interfaces",
                "--listen-address=127.0.0.1",
                "--user=",
            ])
            .arg(format!("--port={port}"))
            .args(records)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq is installed (make test installs it)");
        wait_for("dnsmasq", || is_bound(port).then_some(()));
        Dns { child, port }
    }
}

impl Dns {
    /// The setting that makes a centre ask it.
    pub fn setting(&self) -> String {
        format!("sip.dns.servers=[\"127.0.0.1:{}\"]", self.port)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_phone_behind_a_name_is_called_at_the_second_of_its_servers_when_the_first_is_dead() {
    let (dead, alive) = (free_port(), free_port());
    let dns = Dns::start(&[
        format!("--srv-host=_sip._udp.phones.test,a.phones.test,{dead},10"),
        format!("--srv-host=_sip._udp.phones.test,b.phones.test,{alive},20"),
        "--naptr-record=phones.test,10,10,s,SIP+D2U,,_sip._udp.phones.test".to_owned(),
        "--host-record=a.phones.test,127.0.0.1".to_owned(),
        "--host-record=b.phones.test,127.0.0.1".to_owned(),
        "--local=/test/".to_owned(),
    ]);
    let agents = format!(
        "[[agent]]\nid = \"1001\"\nauto_ready = true\nwrap_up = \"0s\"\nskills = {{ support = 5 }}\ncontact = \"sip:1001@phones.test\"\n{}",
        crate::centre::agents()
            .split("[[agent]]")
            .last()
            .map(|supervisor| format!("[[agent]]{supervisor}"))
            .unwrap_or_default()
    );
    let servers = dns.setting();
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &agents),
            ("flows/keep", ""),
        ],
        &["ivr.dir=flows", &servers],
    );
    let client = Client::sign_in_any(&centre);
    let phone = Sipp::serve("agent_answers", alive, 1, &[]);
    client.wait_agent("1001", "ready");
    Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "500"]).succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["outcome"], "answered", "{closed}");
    phone.succeed();
}

/// A carrier by name whose first server is there and does not say a word: the second has the call when `sip.try_for` is over, digest and all.
#[test]
fn a_call_out_goes_to_the_second_server_of_a_name_when_the_first_is_silent() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let first = silent.local_addr().expect("an address").port();
    let (second, subscriber) = (free_port(), free_port());
    let _carrier = kamailio::carrier(second, subscriber);
    let called = Sipp::serve("subscriber_answers", subscriber, 1, &["-rtp_echo"]);
    let dns = Dns::start(&[
        format!("--srv-host=_sip._udp.carrier.test,a.carrier.test,{first},10"),
        format!("--srv-host=_sip._udp.carrier.test,b.carrier.test,{second},20"),
        "--host-record=a.carrier.test,127.0.0.1".to_owned(),
        "--host-record=b.carrier.test,127.0.0.1".to_owned(),
        "--local=/test/".to_owned(),
    ]);
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nuri = \"sip:carrier.test\"\nrealm = \"{REALM}\"\nusername = \"{USER}\"\npassword_file = \"carrier.secret\"\n\
         caller_id = \"+861065529988\"\n[[outbound]]\nnumber = \"+86\"\nclass = \"national\"\ntrunks = [\"carrier\"]\n"
    );
    let may_call = "id = \"1001\"\nmay_call = [\"national\"]\n";
    let agents = agents().replacen("id = \"1001\"\n", may_call, 1);
    let secret = format!("{PASSWORD}\n");
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &agents),
            ("trunks.toml", &trunks),
            ("carrier.secret", &secret),
            ("flows/keep", ""),
        ],
        &["ivr.dir=flows", &dns.setting(), "sip.try_for=1s"],
    );
    let client = Client::sign_in_any(&centre);
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 440, false);
    agent.registered();
    client.wait_agent("1001", "ready");
    let began = Instant::now();
    agent.command("dial", &format!("sip:+861065520001@{}", centre.sip()));
    agent.wait("CALL_ESTABLISHED");
    assert!(began.elapsed() < Duration::from_secs(25), "not by timer B");
    agent.wait_tone(440);
    agent.command("hangup", "");
    called.succeed();
    let mut invite = [0; 2048];
    let length = silent.recv(&mut invite).expect("it was asked");
    assert!(invite[..length].starts_with(b"INVITE sip:+861065520001@carrier.test"));
}

/// The status that a call from this address gets: 200, or the challenge of a stranger.
fn called_from(centre: &Centre, address: &str) -> Option<u16> {
    let mut caller = Caller::new(centre);
    caller.line = Line::on(&format!("{address}:0"));
    let port = caller.line.address().port();
    caller.call_id = format!("from-{address}-{port}");
    caller.from = format!("<sip:13800138000@{address}>;tag=t{port}");
    caller.dial("9197");
    let answer = caller.line.answer("INVITE");
    caller.to = answer.header("To").to_owned();
    match answer.status() {
        Some(200) => {
            caller.take(&answer);
            caller.ack("");
            caller.hang_up();
        }
        _ => caller.send(caller.text_again("ACK", caller.cseq, "")),
    }
    answer.status()
}

#[test]
fn who_may_call_in_by_a_host_name_follows_its_addresses() {
    let records = |address: &str| {
        [
            format!("--host-record=sbc.test,{address}"),
            "--local=/test/".to_owned(),
        ]
    };
    let dns = Dns::start(&records("127.0.0.2"));
    let trunks = "[[trunk]]\nname = \"carrier\"\naddresses = [\"SBC.test\", \"gone.test\"]\n[[route]]\nnumber = \"9197\"\ntone = 1004\n";
    let files = [
        ("queues.toml", QUEUES),
        ("agents.toml", &agents()),
        ("trunks.toml", trunks),
        ("flows/keep", ""),
    ];
    let centre = Centre::start_with(&files, &["ivr.dir=flows", &dns.setting()]);
    let says = |word: &str, text: &str| {
        wait_for(text, || {
            let log = centre.log();
            let mut lines = log.lines();
            lines
                .any(|line| line.contains(word) && line.contains(text))
                .then_some(())
        });
    };
    says("INFO", "127.0.0.2");
    says("WARN", "gone.test");
    assert_eq!(called_from(&centre, "127.0.0.2"), Some(200));
    assert_eq!(called_from(&centre, "127.0.0.3"), Some(401));
    let port = dns.port;
    drop(dns);
    let _dns = Dns::start_at(port, &records("127.0.0.3"));
    says("INFO", "127.0.0.3");
    assert_eq!(called_from(&centre, "127.0.0.3"), Some(200));
    assert_eq!(called_from(&centre, "127.0.0.2"), Some(401));
}

/// The description of the very first call is of the family that the name has.
#[test]
fn an_agent_at_a_name_on_ipv6_is_called_and_heard_on_ipv6() {
    let mut phone = Line::on("[::1]:0");
    let rtp = UdpSocket::bind("[::1]:0").expect("a port");
    rtp.set_read_timeout(Some(crate::centre::PATIENCE))
        .expect("a time-out");
    let dns = Dns::start(&[
        "--host-record=six.test,::1".to_owned(),
        "--local=/test/".to_owned(),
    ]);
    let contact = format!(
        "id = \"1001\"\ncontact = \"sip:1001@six.test:{}\"\n",
        phone.address().port()
    );
    let agents = agents().replacen("id = \"1001\"\n", &contact, 1);
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &agents),
            ("flows/keep", ""),
        ],
        &[
            "ivr.dir=flows",
            &dns.setting(),
            "sip.bind=[\"127.0.0.1\", \"::1\"]",
            "rtp.bind=[\"127.0.0.1\", \"::1\"]",
        ],
    );
    let client = Client::sign_in_any(&centre);
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start(&centre, "13800138000", None, 440, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    let invite = phone.request("INVITE");
    assert!(
        invite.body().contains("c=IN IP6 ::1\r\n"),
        "{}",
        invite.text
    );
    let ours = rtp.local_addr().expect("an address").port();
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio {ours} RTP/AVP {PCMA}\r\n"
    );
    phone.reply(&invite, "200 OK", "six", "", &sdp);
    phone.request("ACK");
    let mut samples = Vec::new();
    let mut buffer = [0u8; 2048];
    wait_for("the caller's tone over IPv6", || {
        let (length, from) = rtp.recv_from(&mut buffer).expect("RTP");
        assert!(matches!(from, SocketAddr::V6(_)), "{from}");
        let law = media::g711::Law::A;
        let heard = buffer[12..length].iter();
        samples.extend(heard.map(|byte| media::g711::decode(law, *byte)));
        let last = &samples[samples.len().saturating_sub(4000)..];
        (last.len() == 4000 && crate::baresip::is_tone(last, 440)).then_some(())
    });
    caller.command("hangup", "");
    let bye = phone.request("BYE");
    phone.reply(&bye, "200 OK", "", "", "");
}
