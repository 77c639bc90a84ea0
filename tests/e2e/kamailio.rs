//! Kamailio as a carrier's edge proxy or as the proxy in front of the centre: the real binary with a configuration made here.

use std::process::{Child, Command, Stdio};

use crate::centre::wait_for;
use crate::sipp::free_port;
use crate::tls::{Ca, Pair};

/// A running Kamailio; ended when dropped.
pub struct Kamailio {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

/// The account that the carrier knows.
pub const USER: &str = "us";
pub const PASSWORD: &str = "carrier-secret";
pub const REALM: &str = "carrier.test";

const MODULES: [&str; 12] = [
    "kex",
    "tm",
    "sl",
    "rr",
    "pv",
    "maxfwd",
    "textops",
    "siputils",
    "auth",
    "usrloc",
    "registrar",
    "path",
];

/// What a carrier does: asks for digest, registers its customer, and takes calls both ways with Record-Route. Calls of ours go to `subscriber`.
pub fn carrier(port: u16, subscriber: u16) -> Kamailio {
    let routes = format!(
        r#"
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "Alive"); exit; }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{REALM}", "{PASSWORD}", "0")) {{ www_challenge("{REALM}", "1"); exit; }}
        save("location"); exit;
    }}
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Not here"); exit; }}
    record_route();
    if ($ua =~ "Cordboard") {{
        if (!pv_proxy_authenticate("{REALM}", "{PASSWORD}", "0")) {{ proxy_challenge("{REALM}", "1"); exit; }}
        consume_credentials();
        $du = "sip:127.0.0.1:{subscriber}";
        t_relay(); exit;
    }}
    $var(number) = $rU;
    $rU = "{USER}";
    if (!lookup("location")) {{ sl_send_reply("404", "Not registered"); exit; }}
    $rU = $var(number);
    append_hf("P-Asserted-Identity: <sip:+8613900139000@{REALM}>\r\n");
    t_relay();
"#
    );
    Kamailio::start(port, &routes)
}

/// A carrier that is reached over TLS alone, shows this certificate, and wants one of ours that the same authority has signed. Calls of ours go on by UDP
/// to `subscriber`.
pub fn tls_carrier(port: u16, shows: &Pair, ca: &Ca, subscriber: u16) -> Kamailio {
    let routes = format!(
        r#"
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "Alive"); exit; }}
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Not here"); exit; }}
    record_route();
    $du = "sip:127.0.0.1:{subscriber}";
    t_relay(); exit;
"#
    );
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = ca.certificate.pem();
    let files = [
        ("certificate.pem", &shows.certificate),
        ("key.pem", &shows.key),
        ("ca.pem", &root),
    ];
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("a file");
    }
    let at = directory.path().display();
    let tls = format!(
        r#"enable_tls=yes
tcp_children=1
listen=tls:127.0.0.1:{port}
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{at}/certificate.pem")
modparam("tls", "private_key", "{at}/key.pem")
modparam("tls", "ca_list", "{at}/ca.pem")
modparam("tls", "verify_certificate", 1)
modparam("tls", "require_certificate", 1)
"#
    );
    let kamailio = Kamailio::start_in(directory, free_port(), &tls, &routes);
    wait_for("Kamailio's TLS", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    kamailio
}

/// A proxy in front of the centre at `behind`: everything from phones goes there, with Path for registrations.
pub fn edge(port: u16, behind: &str) -> Kamailio {
    let routes = format!(
        r#"
    if (is_method("REGISTER")) {{ add_path(); $du = "sip:{behind}"; t_relay(); exit; }}
    loose_route();
    if (is_method("INVITE")) {{ record_route(); }}
    if ($ua =~ "Cordboard") {{ t_relay(); exit; }}
    $du = "sip:{behind}";
    t_relay();
"#
    );
    Kamailio::start(port, &routes)
}

impl Kamailio {
    fn start(port: u16, routes: &str) -> Kamailio {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Kamailio::start_in(directory, port, "disable_tcp=yes\n", routes)
    }

    /// With UDP at a port, and what more the head of its configuration says.
    fn start_in(directory: tempfile::TempDir, port: u16, head: &str, routes: &str) -> Kamailio {
        let modules: String = MODULES
            .iter()
            .map(|module| format!("loadmodule \"{module}.so\"\n"))
            .collect();
        let config = format!(
            r#"#!KAMAILIO
debug=1
log_stderror=yes
children=1
auto_aliases=no
listen=udp:127.0.0.1:{port}
{modules}{head}modparam("path", "use_received", 0)
request_route {{
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
        sl_send_reply("404", "Not here"); exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
{routes}
}}
"#
        );
        let path = directory.path().join("kamailio.cfg");
        std::fs::write(&path, config).expect("a file");
        let log = std::fs::File::create(directory.path().join("log")).expect("a file");
        let mut child = Command::new("/usr/sbin/kamailio")
            .arg("-f")
            .arg(&path)
            .arg("-Y")
            .arg(directory.path())
            .args(["-DD", "-E", "-m", "32", "-M", "4"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("kamailio is installed (make test installs it)");
        wait_for("Kamailio to listen", || {
            if let Some(status) = child.try_wait().expect("its state") {
                let said = std::fs::read_to_string(directory.path().join("log"));
                panic!(
                    "Kamailio ended with {status}:\n{}",
                    said.unwrap_or_default()
                );
            }
            crate::sipp::is_bound(port).then_some(())
        });
        Kamailio {
            child,
            directory,
            port,
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // SIGTERM, so that the main process takes its children with it.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Kamailio said:\n{}", self.said());
        }
    }
}
