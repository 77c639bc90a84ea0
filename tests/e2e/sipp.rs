//! SIPp as a caller or an agent's phone.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::centre::Centre;

/// A running SIPp.
pub struct Sipp {
    child: Child,
    directory: tempfile::TempDir,
    scenario: String,
}

fn scenario_path(scenario: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e/scenarios")
        .join(format!("{scenario}.xml"))
}

/// A UDP port that is free now.
pub fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

/// An even UDP port for SIPp's RTP whose neighbours, which it takes for RTCP and video, are free as well.
fn free_media_port() -> u16 {
    let free = |port: u16| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
    loop {
        let port = free_port() & !1;
        if (port..=port.saturating_add(3)).all(free) {
            return port;
        }
    }
}

/// Whether somebody has this UDP port; asking by binding it would be in SIPp's own way.
pub fn is_bound(port: u16) -> bool {
    let ports = std::fs::read_to_string("/proc/net/udp").expect("Linux");
    ports.contains(&format!(":{port:04X} 00000000:0000"))
}

impl Sipp {
    /// Starts one call of a scenario towards the centre. `service` is the number dialled, or the user that registers.
    pub fn start(centre: &Centre, scenario: &str, service: &str, more: &[&str]) -> Sipp {
        Sipp::start_to(centre.sip(), scenario, service, more)
    }

    /// The same towards another address: a proxy in front of the centre.
    pub fn start_to(address: &str, scenario: &str, service: &str, more: &[&str]) -> Sipp {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let media = free_media_port();
        let child = Command::new("sipp")
            .arg(address)
            .args(["-sf", scenario_path(scenario).to_str().expect("a path")])
            .args([
                "-s",
                service,
                "-m",
                "1",
                "-i",
                "127.0.0.1",
                "-p",
                &free_port().to_string(),
                "-mp",
                &media.to_string(),
            ])
            .args([
                "-nostdin",
                "-trace_err",
                "-trace_msg",
                "-timeout",
                "60",
                "-timeout_error",
            ])
            .args(more)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp is installed (make test installs it)");
        Sipp {
            child,
            directory,
            scenario: scenario.to_owned(),
        }
    }

    /// Starts an agent's phone at a port, for so many calls; returns when it listens.
    pub fn serve(scenario: &str, port: u16, calls: u32, more: &[&str]) -> Sipp {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let child = Command::new("sipp")
            .args(["-sf", scenario_path(scenario).to_str().expect("a path")])
            .args(["-i", "127.0.0.1", "-p", &port.to_string()])
            .args(["-m", &calls.to_string()])
            .args(["-mp", &free_media_port().to_string()])
            .args(["-nostdin", "-trace_err", "-trace_msg"])
            .args(["-timeout", "60", "-timeout_error"])
            .args(more)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sipp is installed (make test installs it)");
        let mut sipp = Sipp {
            child,
            directory,
            scenario: scenario.to_owned(),
        };
        crate::centre::wait_for("SIPp to listen", || {
            if let Some(status) = sipp.child.try_wait().expect("its state") {
                panic!(
                    "SIPp scenario {scenario} ended with {status}:\n{}",
                    sipp.messages()
                );
            }
            is_bound(port).then_some(())
        });
        sipp
    }

    /// Waits for its end; panics with its messages when the scenario failed.
    pub fn succeed(mut self) {
        let status = self.child.wait().expect("sipp ends");
        assert!(
            status.success(),
            "SIPp scenario {} ended with {status}:\n{}",
            self.scenario,
            self.messages()
        );
    }

    /// Where the last description that came wants its media.
    pub fn described(&self) -> Option<std::net::SocketAddr> {
        let text = self.messages();
        let received = text.split("message received").skip(1);
        // What SIPp sends is written behind, under a line of its own.
        let received = received.filter_map(|part| part.split("message sent").next());
        let described = received.filter(|part| part.contains("\nm=audio ")).last()?;
        let line = |start: &str| {
            let found = described.lines().find_map(|line| line.strip_prefix(start));
            found?.split_ascii_whitespace().next().map(str::to_owned)
        };
        format!("{}:{}", line("c=IN IP4 ")?, line("m=audio ")?)
            .parse()
            .ok()
    }

    /// Waits until a message with this text in it has come.
    pub fn wait_received(&self, text: &str) {
        crate::centre::wait_for(text, || {
            let messages = self.messages();
            let mut received = messages.split("message received").skip(1);
            let found = received.any(|part| {
                let part = part.split("message sent").next();
                part.is_some_and(|part| part.contains(text))
            });
            found.then_some(())
        });
    }

    fn messages(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(self.directory.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            text.push_str(&std::fs::read_to_string(entry.path()).unwrap_or_default());
        }
        text
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
