//! Names in SIP URIs, looked up at a real DNS server (dnsmasq), and the next server where the first is dead.

use std::process::{Child, Command, Stdio};

use crate::api::Client;
use crate::centre::{Centre, wait_for};
use crate::sipp::{Sipp, free_port, is_bound};

const QUEUES: &str = "[[queue]]\nname = \"support\"\nnumber = \"2000\"\nskills = { support = 1 }\nwrap_up = \"0s\"\nring = \"20s\"\n";

/// A DNS server that knows these records and nothing else.
pub struct Dns {
    child: Child,
    pub port: u16,
}

impl Dns {
    pub fn start(records: &[String]) -> Dns {
        let port = free_port();
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
