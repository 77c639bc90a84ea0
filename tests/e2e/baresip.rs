//! baresip as a telephone: controlled over its `ctrl_tcp` module, speaking a sine, writing down what it hears.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::centre::{Centre, wait_for};
use crate::sipp::free_port;

/// A running baresip.
pub struct Baresip {
    child: Child,
    control: TcpStream,
    buffer: Vec<u8>,
    directory: tempfile::TempDir,
    /// Where [`Baresip::listen_anew`] began: a recording and so many samples of it.
    mark: (PathBuf, usize),
    /// Events seen so far.
    pub events: Vec<Value>,
}

impl Baresip {
    /// A phone of `user` that speaks a sine of `hertz`; `auto` answers by itself.
    pub fn start(
        centre: &Centre,
        user: &str,
        password: Option<&str>,
        hertz: u32,
        auto: bool,
    ) -> Baresip {
        Baresip::start_at(centre.sip(), user, password, hertz, auto)
    }

    /// The same at another registrar: a proxy in front of the centre.
    pub fn start_at(
        registrar: &str,
        user: &str,
        password: Option<&str>,
        hertz: u32,
        auto: bool,
    ) -> Baresip {
        let mode = if auto { ";answermode=auto" } else { "" };
        Baresip::start_as(registrar, user, password, hertz, mode)
    }

    /// The same with parameters of its account, e.g. `;rtcp_mux=yes`; codecs of its own among them replace PCMA and PCMU.
    pub fn start_as(
        registrar: &str,
        user: &str,
        password: Option<&str>,
        hertz: u32,
        account: &str,
    ) -> Baresip {
        // Its ports were free when we asked, but somebody else may be faster: then it starts anew at others.
        (0..3)
            .find_map(|_| Baresip::try_at(registrar, user, password, hertz, account))
            .expect("baresip's control port opens")
    }

    fn try_at(
        registrar: &str,
        user: &str,
        password: Option<&str>,
        hertz: u32,
        account: &str,
    ) -> Option<Baresip> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (sip, control) = (free_port(), free_port_tcp());
        let modules = [
            "g711.so",
            "g722.so",
            "opus.so",
            "srtp.so",
            "ausine.so",
            "aubridge.so",
            "sndfile.so",
            "account.so",
            "menu.so",
            "ctrl_tcp.so",
        ];
        let loads: String = modules
            .iter()
            .map(|module| {
                if matches!(*module, "account.so" | "menu.so" | "ctrl_tcp.so") {
                    format!("module_app {module}\n")
                } else {
                    format!("module {module}\n")
                }
            })
            .collect();
        let config = format!(
            "poll_method epoll\nsip_listen 127.0.0.1:{sip}\ncall_local_timeout 120\ncall_max_calls 4\n\
             audio_player aubridge,nil\naudio_source ausine,{hertz}\naudio_alert aubridge,nil\nausrc_srate 48000\nauplay_srate 8000\nausrc_channels 2\nauplay_channels 1\n\
             rtp_ports {}-{}\nrtp_stats no\nmodule_path /usr/lib/baresip/modules\n{loads}ctrl_tcp_listen 127.0.0.1:{control}\nsnd_path {}\n",
            20_000 + 40 * (sip % 500),
            20_000 + 40 * (sip % 500) + 38,
            directory.path().display(),
        );
        let auth = password.map_or_else(
            || ";regint=0".to_owned(),
            |password| format!(";auth_user={user};auth_pass={password};regint=300"),
        );
        let codecs = match account.contains("audio_codecs") {
            true => "",
            false => ";audio_codecs=PCMA,PCMU",
        };
        let account = format!("<sip:{user}@{registrar}>{auth}{account}{codecs}\n");
        std::fs::write(directory.path().join("config"), config).expect("a file");
        std::fs::write(directory.path().join("accounts"), account).expect("a file");
        let mut child = Command::new("baresip")
            .args(["-4", "-f", directory.path().to_str().expect("a path")])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(directory.path().join("out.log")).expect("a file"))
            .stderr(std::fs::File::create(directory.path().join("err.log")).expect("a file"))
            .spawn()
            .expect("baresip is installed (make test installs it)");
        let Some(control) = connected(control) else {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        };
        control
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a time-out");
        Some(Baresip {
            child,
            control,
            buffer: Vec::new(),
            directory,
            mark: (PathBuf::new(), 0),
            events: Vec::new(),
        })
    }

    /// Gives a command of baresip's menu, e.g. `dial`.
    pub fn command(&mut self, command: &str, parameters: &str) {
        let text =
            serde_json::json!({"command": command, "params": parameters, "token": "t"}).to_string();
        self.control
            .write_all(format!("{}:{text},", text.len()).as_bytes())
            .expect("the control port takes it");
    }

    /// Waits until its registration is accepted: it says so before anybody can listen on its control port.
    pub fn registered(&self) {
        wait_for("baresip's registration", || {
            self.said().contains(" 200 OK (").then_some(())
        });
    }

    /// Waits for an event of a type, e.g. `CALL_ESTABLISHED`; earlier ones count too.
    pub fn wait(&mut self, kind: &str) -> Value {
        wait_for(&format!("baresip's {kind}"), || {
            self.read();
            self.events
                .iter()
                .find(|event| event["type"] == kind)
                .cloned()
        })
    }

    fn read(&mut self) {
        let mut chunk = [0u8; 4096];
        if let Ok(read) = self.control.read(&mut chunk) {
            self.buffer.extend_from_slice(&chunk[..read]);
        }
        // Netstrings: length, colon, text, comma.
        while let Some(colon) = self.buffer.iter().position(|&byte| byte == b':') {
            let Some(length) = std::str::from_utf8(&self.buffer[..colon])
                .ok()
                .and_then(|text| text.parse::<usize>().ok())
            else {
                break;
            };
            if self.buffer.len() < colon + 1 + length + 1 {
                break;
            }
            if let Ok(value) =
                serde_json::from_slice::<Value>(&self.buffer[colon + 1..colon + 1 + length])
            {
                self.events.push(value);
            }
            self.buffer.drain(..colon + length + 2);
        }
    }

    /// What it heard so far: the samples of its newest recording of decoded sound, 8000 Hz.
    pub fn heard(&self) -> Vec<i16> {
        let (path, mut samples) = self.recording();
        if path == self.mark.0 {
            samples.drain(..self.mark.1.min(samples.len()));
        }
        samples
    }

    /// What it has heard until now does not count any more.
    pub fn listen_anew(&mut self) {
        let (path, samples) = self.recording();
        self.mark = (path, samples.len());
    }

    fn recording(&self) -> (PathBuf, Vec<i16>) {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.directory.path())
            .expect("its directory")
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        let Some(newest) = files.pop() else {
            return (PathBuf::new(), Vec::new());
        };
        let bytes = std::fs::read(&newest).expect("a recording");
        let Some((head, sound)) = bytes.split_at_checked(44) else {
            return (newest, Vec::new());
        };
        // In the rate and the channels of its codec: one channel of it at 8000 Hz will do for tones.
        let channels = usize::from(u16::from_le_bytes([head[22], head[23]])).max(1);
        let rate = u32::from_le_bytes([head[24], head[25], head[26], head[27]]) as usize;
        let samples = sound
            .chunks_exact(2 * channels)
            .step_by((rate / 8000).max(1))
            .map(|frame| i16::from_le_bytes([frame[0], frame[1]]))
            .collect();
        (newest, samples)
    }

    /// Waits until it hears a tone of this frequency in the last half second.
    pub fn wait_tone(&self, hertz: u32) {
        wait_for(&format!("a tone of {hertz} Hz"), || {
            let heard = self.heard();
            let last = &heard[heard.len().saturating_sub(4000)..];
            (last.len() == 4000 && is_tone(last, hertz)).then_some(())
        });
    }

    /// Waits until it has heard a tenth of a second of just these tones, together: on a loaded machine a mix has gaps where telephones were late.
    pub fn wait_tones(&self, hertz: &[u32]) {
        wait_for(&format!("tones of {hertz:?} Hz"), || {
            let heard = self.heard();
            let found = heard.chunks_exact(800).any(|part| are_tones(part, hertz));
            found.then_some(())
        });
    }

    /// Whether this tone is in any tenth of a second of what it has heard.
    pub fn has_heard(&self, hertz: u32) -> bool {
        let heard = self.heard();
        let mut parts = heard.chunks_exact(800);
        parts.any(|part| power(part, hertz) > 800.0 * 300.0 * 300.0)
    }

    pub fn said(&self) -> String {
        ["out.log", "err.log"]
            .map(|name| {
                std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
            })
            .concat()
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- baresip said:\n{}\nevents: {:?}",
                self.said(),
                self.events
            );
        }
    }
}

/// The control port of a baresip that has just been started, unless it does not open for ten seconds.
fn connected(port: u16) -> Option<TcpStream> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if let Ok(control) = TcpStream::connect(("127.0.0.1", port)) {
            return Some(control);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn free_port_tcp() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

/// Most of the signal's power is at this frequency.
pub fn is_tone(samples: &[i16], hertz: u32) -> bool {
    are_tones(samples, &[hertz])
}

/// Most of the signal's power is at these frequencies, and a good part of it at each.
pub fn are_tones(samples: &[i16], hertz: &[u32]) -> bool {
    let total: f64 = samples
        .iter()
        .map(|&sample| f64::from(sample).powi(2))
        .sum();
    let powers: Vec<f64> = hertz.iter().map(|one| power(samples, *one)).collect();
    let least = 0.2 * total / hertz.len() as f64;
    total > samples.len() as f64 * 100.0 * 100.0
        && powers.iter().sum::<f64>() > 0.8 * total
        && powers.iter().all(|power| *power > least)
}

/// The power at a frequency, summed over the samples.
fn power(samples: &[i16], hertz: u32) -> f64 {
    let step = std::f64::consts::TAU * f64::from(hertz) / 8000.0;
    let (mut real, mut imaginary) = (0.0, 0.0);
    for (index, &sample) in samples.iter().enumerate() {
        let phase = step * index as f64;
        real += f64::from(sample) * phase.cos();
        imaginary += f64::from(sample) * phase.sin();
    }
    2.0 * (real * real + imaginary * imaginary) / samples.len() as f64
}
