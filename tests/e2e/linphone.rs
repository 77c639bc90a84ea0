//! Linphone as a telephone: `linphonec` controlled by its prompt, speaking a WAV file and writing another of what it hears.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::baresip::is_tone;
use crate::centre::wait_for;
use crate::sipp::free_port;

/// A running linphonec.
pub struct Linphone {
    child: Child,
    prompt: ChildStdin,
    directory: tempfile::TempDir,
    /// Samples of the recording that do not count any more.
    mark: usize,
}

impl Linphone {
    /// A registered phone of `user` that speaks a sine of `hertz`. It knows one root certificate, where there is one.
    pub fn start(
        registrar: &str,
        transport: &str,
        user: &str,
        hertz: u32,
        root: Option<&str>,
    ) -> Linphone {
        Linphone::start_as(
            registrar,
            transport,
            user,
            hertz,
            root,
            "media_encryption=none",
        )
    }

    /// The same with media that are encrypted, in this suite alone.
    pub fn start_encrypting(
        registrar: &str,
        transport: &str,
        user: &str,
        hertz: u32,
        root: Option<&str>,
        suite: &str,
    ) -> Linphone {
        let encryption = format!(
            "media_encryption=srtp\nmedia_encryption_mandatory=1\nsrtp_crypto_suites={suite}"
        );
        Linphone::start_as(registrar, transport, user, hertz, root, &encryption)
    }

    fn start_as(
        registrar: &str,
        transport: &str,
        user: &str,
        hertz: u32,
        root: Option<&str>,
        encryption: &str,
    ) -> Linphone {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        // Without a place for its database it takes seconds to find that out.
        std::fs::create_dir_all(at(".local/share/linphone")).expect("a folder");
        std::fs::write(at("spoken.wav"), wave(hertz)).expect("a file");
        std::fs::write(at("root.pem"), root.unwrap_or_default()).expect("a file");
        let port = free_port();
        let config = format!(
            "[sip]\nsip_port={port}\nsip_tcp_port={port}\nsip_tls_port=-1\nuse_ipv6=0\nguess_hostname=0\n{encryption}\nroot_ca={root}\n\
             verify_server_certs=1\nverify_server_cn=1\ndefault_proxy=0\n\
             [auth_info_0]\nusername={user}\npasswd=demo-{user}\nrealm=cordboard\n\
             [proxy_0]\nreg_proxy=<sip:{registrar};transport={transport}>\nreg_route=<sip:{registrar};transport={transport};lr>\n\
             reg_identity=sip:{user}@{registrar}\nreg_expires=300\nreg_sendregister=1\npublish=0\n\
             [rtp]\naudio_rtp_port=-1\n[audio_codec_0]\nmime=PCMA\nrate=8000\nenabled=1\n[video]\nenabled=0\ncapture=0\ndisplay=0\n",
            root = at("root.pem").display(),
        );
        std::fs::write(at("linphonerc"), config).expect("a file");
        let file = |name: &str| std::fs::File::create(at(name)).expect("a file");
        let mut child = Command::new("linphonec")
            .arg("-c")
            .arg(at("linphonerc"))
            .args(["-d", "6", "-l"])
            .arg(at("log"))
            .env("HOME", directory.path())
            .stdin(Stdio::piped())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("linphonec is installed (make test installs it)");
        let prompt = child.stdin.take().expect("stdin is piped");
        let mut phone = Linphone {
            child,
            prompt,
            directory,
            mark: 0,
        };
        let wav = |name: &str| phone.directory.path().join(name).display().to_string();
        let (spoken, heard) = (wav("spoken.wav"), wav("heard.wav"));
        phone.command("soundcard use files");
        phone.command(&format!("play {spoken}"));
        phone.command(&format!("record {heard}"));
        phone
    }

    /// Gives a command of its prompt, e.g. `call 2000`.
    pub fn command(&mut self, command: &str) {
        writeln!(self.prompt, "{command}").expect("it reads its prompt");
    }

    fn read(&self, name: &str) -> String {
        let text = std::fs::read(self.directory.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until its log says this for the `times`th time.
    pub fn logs(&self, text: &str, times: usize) {
        wait_for(&format!("linphonec's \"{text}\", {times} times"), || {
            (self.read("log").matches(text).count() >= times).then_some(())
        });
    }

    pub fn registered(&self) {
        self.logs("to [LinphoneRegistrationOk]", 1);
    }

    /// Waits for the `times`th call to it.
    pub fn rings(&self, times: usize) {
        self.logs("to LinphoneCallIncomingReceived", times);
    }

    /// The recording's samples since [`Linphone::listen_anew`], 8000 Hz.
    fn heard(&self) -> Vec<i16> {
        let bytes = std::fs::read(self.directory.path().join("heard.wav")).unwrap_or_default();
        let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
        let samples = samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
        samples.skip(self.mark).collect()
    }

    /// What it has heard until now does not count any more.
    pub fn listen_anew(&mut self) {
        self.mark += self.heard().len();
    }

    /// Waits until it hears a tone of this frequency in the last half second.
    pub fn wait_tone(&self, hertz: u32) {
        wait_for(&format!("a tone of {hertz} Hz at linphonec"), || {
            let heard = self.heard();
            let last = &heard[heard.len().saturating_sub(4000)..];
            (last.len() == 4000 && is_tone(last, hertz)).then_some(())
        });
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.read("log");
            let tail: Vec<&str> = log.lines().rev().take(150).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            eprintln!(
                "--- linphonec said:\n{}\n{}",
                self.read("out"),
                tail.join("\n")
            );
        }
    }
}

/// Two minutes of a sine: PCM of 16 bits, 8000 Hz, one channel.
pub fn wave(hertz: u32) -> Vec<u8> {
    const SAMPLES: u32 = 960_000;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + 2 * SAMPLES).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(8_000u32.to_le_bytes());
    file.extend(16_000u32.to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend((2 * SAMPLES).to_le_bytes());
    let step = std::f64::consts::TAU * f64::from(hertz) / 8_000.0;
    let sample = |n: u32| ((step * f64::from(n)).sin() * 8_000.0) as i16;
    file.extend((0..SAMPLES).flat_map(|n| sample(n).to_le_bytes()));
    file
}
