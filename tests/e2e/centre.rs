//! One running `cordboard serve` with a configuration and data directory of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything that should happen; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running centre; killed when dropped.
pub struct Centre {
    child: Child,
    pub ready: Value,
    pub directory: Arc<tempfile::TempDir>,
    log: Arc<Mutex<String>>,
}

/// Files of a configuration, by name.
pub type Files<'a> = &'a [(&'a str, &'a str)];

pub const QUEUES: &str = r#"
[[queue]]
name = "support"
number = "2000"
skills = { support = 1 }
ring = "20s"
wrap_up = "1s"
service_level = "20s"
[[queue]]
name = "sales"
number = "2001"
skills = { sales = 1 }
ring = "3s"
wrap_up = "1s"
answer = "on_agent"
"#;

/// Agents 1001 (support) and 1002 (sales), with the demo passwords under the realm `cordboard`, and a supervisor 1900.
pub fn agents() -> String {
    let mut text = String::new();
    for (id, skill, role) in [
        ("1001", "support", "agent"),
        ("1002", "sales", "agent"),
        ("1900", "support", "supervisor"),
    ] {
        let ha1 = sip::digest::ha1(id, "cordboard", &format!("demo-{id}"), sip::Algorithm::Md5);
        let auto = role == "agent";
        let skills = if auto {
            format!("skills = {{ {skill} = 5 }}\n")
        } else {
            String::new()
        };
        let web = argon2id(&format!("demo-{id}"));
        text.push_str(&format!(
            "[[agent]]\nid = \"{id}\"\nname = \"Agent {id}\"\nrole = \"{role}\"\nauto_ready = {auto}\nha1_md5 = \"{ha1}\"\npassword_argon2 = '{web}'\n{skills}\n"
        ));
    }
    text
}

/// Writes a configuration.
pub fn write_files(directory: &tempfile::TempDir, files: Files<'_>) {
    for (name, text) in files {
        let path = directory.path().join("config").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
}

/// A password's hash at the least cost: these tests are not about guessing.
fn argon2id(password: &str) -> String {
    use argon2::password_hash::PasswordHasher;
    let parameters =
        argon2::Params::new(argon2::Params::MIN_M_COST, 1, 1, None).expect("least cost");
    let argon2 = argon2::Argon2::new(
        argon2::Algorithm::Argon2id,
        argon2::Version::V0x13,
        parameters,
    );
    argon2
        .hash_password_with_salt(password.as_bytes(), b"0123456789abcdef")
        .expect("a hash")
        .to_string()
}

impl Centre {
    /// Starts a centre on the two queues, agents 1001 and 1002, and the shipped flow.
    pub fn start() -> Centre {
        Centre::start_with(&[("queues.toml", QUEUES), ("agents.toml", &agents())], &[])
    }

    /// Starts a centre on these files.
    pub fn start_with(files: Files<'_>, set: &[&str]) -> Centre {
        Centre::start_with_env(files, set, &[])
    }

    /// Starts a centre on these files, with more in its environment.
    pub fn start_with_env(files: Files<'_>, set: &[&str], env: &[(&str, &str)]) -> Centre {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        write_files(&directory, files);
        Centre::start_in_env(directory, set, env)
    }

    /// Starts a centre in a directory that is there: again after a stop, with the same data.
    pub fn start_in(directory: Arc<tempfile::TempDir>, set: &[&str]) -> Centre {
        Centre::start_in_env(directory, set, &[])
    }

    fn start_in_env(
        directory: Arc<tempfile::TempDir>,
        set: &[&str],
        env: &[(&str, &str)],
    ) -> Centre {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordboard"));
        command.envs(env.iter().copied());
        Centre::start_by(command, directory, set)
    }

    /// The same with so little room for recordings: a file system of its own, in a mount namespace of its own.
    pub fn start_cramped(directory: Arc<tempfile::TempDir>, room: &str) -> Centre {
        let recordings = directory.path().join("data").join("recordings");
        std::fs::create_dir_all(&recordings).expect("a folder");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c"]);
        command.arg(r#"mount -t tmpfs -o "size=$1" none "$2" && shift 2 && exec "$@""#);
        command.arg("sh").arg(room).arg(recordings);
        command.arg(env!("CARGO_BIN_EXE_cordboard"));
        Centre::start_by(command, directory, &[])
    }

    /// Starts a centre by a command that ends in the binary.
    fn start_by(mut command: Command, directory: Arc<tempfile::TempDir>, set: &[&str]) -> Centre {
        command
            .arg("serve")
            .arg("--config")
            .arg(directory.path().join("config"));
        let data = format!("data_dir={}", directory.path().join("data").display());
        let flows = format!("ivr.dir={}/ivr-scripts", env!("CARGO_MANIFEST_DIR"));
        let base = [
            "sip.port=0",
            "http.port=0",
            "rtp.first=0",
            "rtp.last=0",
            "sip.digest=[\"MD5\"]",
            "sip.realm=cordboard",
            &data,
            &flows,
        ];
        for setting in base.iter().chain(set) {
            command.arg("--set").arg(setting);
        }
        Centre::run(command, directory)
    }

    /// Starts `cordboard demo` with these arguments.
    pub fn demo(arguments: &[&str]) -> Centre {
        let directory = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordboard"));
        command.arg("demo").args(arguments);
        command.arg("--data-dir").arg(directory.path().join("data"));
        for setting in ["sip.port=0", "http.port=0", "rtp.first=0", "rtp.last=0"] {
            command.arg("--set").arg(setting);
        }
        Centre::run(command, directory)
    }

    fn run(mut command: Command, directory: Arc<tempfile::TempDir>) -> Centre {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let kept = log.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|read| read > 0) {
                kept.lock().expect("no panic holds it").push_str(&line);
                line.clear();
            }
        });
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut first).expect("a line on stdout");
        let ready: Value = serde_json::from_str(&first).unwrap_or_else(|_| {
            let _ = child.wait();
            panic!(
                "no ready line but {first:?}; stderr:\n{}",
                log.lock().expect("no panic holds it")
            )
        });
        std::thread::spawn(move || {
            let _ = stdout.read_to_end(&mut Vec::new());
        });
        Centre {
            child,
            ready,
            directory,
            log,
        }
    }

    pub fn sip(&self) -> &str {
        self.ready["sip_udp"]
            .as_str()
            .expect("sip_udp in the ready line")
    }

    pub fn http(&self) -> String {
        format!(
            "http://{}",
            self.ready["http"].as_str().expect("http in the ready line")
        )
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What the centre said so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic holds it").clone()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// `kill -9`, and waits until it is dead.
    pub fn kill(mut self) -> Arc<tempfile::TempDir> {
        self.signal("KILL");
        self.child.wait().expect("it dies");
        self.directory.clone()
    }

    /// SIGTERM; the exit code.
    pub fn terminate(&mut self) -> i32 {
        self.signal("TERM");
        self.wait()
    }

    pub fn begin_drain(&self) {
        self.signal("TERM");
    }

    pub fn wait(&mut self) -> i32 {
        self.child.wait().expect("it ends").code().unwrap_or(-1)
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the centre said:\n{}", self.log());
        }
    }
}

/// Asks again until the answer is there; panics with `what` when it never comes.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
