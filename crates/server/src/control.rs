//! How a command on this machine finds the running engine and is believed: `engine.json` in the data directory, which its owner alone may read.
//!
//! Whoever may read the data may ask the engine that has it: a command needs no name and no password on the machine itself.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The file's name in the data directory.
const FILE: &str = "engine.json";
/// What a demo's throw-away data directory is called in the system's directory for such things, before the process's number.
pub const DEMO_PREFIX: &str = "cordboard-demo-";

/// Where the engine is, and what it believes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reach {
    pub pid: u32,
    /// Base address of its HTTP.
    pub url: String,
    pub token: String,
}

/// The written file; removed when dropped.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
}

impl Control {
    /// Writes how this process is reached. One left behind by a process that died is replaced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(data_dir: &Path, http: SocketAddr, token: &str) -> anyhow::Result<Control> {
        let path = data_dir.join(FILE);
        let reach = Reach {
            pid: std::process::id(),
            url: format!("http://{}", here(http)),
            token: token.to_owned(),
        };
        let write = || -> std::io::Result<()> {
            let _ = std::fs::remove_file(&path);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            writeln!(file, "{}", serde_json::to_string(&reach)?)
        };
        write().with_context(|| path.display().to_string())?;
        Ok(Control { path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The address of a listener as seen from this machine.
fn here(listener: SocketAddr) -> SocketAddr {
    let address = match listener.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        bound => bound,
    };
    SocketAddr::new(address, listener.port())
}

/// The engine that has this data directory now; `None` when nobody has it, or when it is not ours to ask.
pub fn reach(data_dir: &Path) -> Option<Reach> {
    if !store::DataDir::is_held(data_dir) {
        return None;
    }
    let mut file = File::open(data_dir.join(FILE)).ok()?;
    let metadata = file.metadata().ok()?;
    let me = std::fs::metadata("/proc/self").ok()?.uid();
    let ours = metadata.uid() == me && metadata.mode() & 0o077 == 0;
    let mut text = String::new();
    file.read_to_string(&mut text).ok().filter(|_| ours)?;
    serde_json::from_str(&text).ok()
}

/// The running demo that began last, if there is one.
pub fn demo() -> Option<Reach> {
    let entries = std::fs::read_dir(std::env::temp_dir()).ok()?.flatten();
    let demos =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(DEMO_PREFIX));
    let mut found: Vec<_> = demos
        .filter_map(|entry| {
            let reach = reach(&entry.path())?;
            Some((entry.metadata().ok()?.modified().ok()?, reach))
        })
        .collect();
    found.sort_by_key(|(began, _)| *began);
    found.pop().map(|(_, reach)| reach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_holder_of_the_directory_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let held = store::DataDir::open(dir.path()).unwrap();
        assert!(reach(dir.path()).is_none(), "nothing is written");
        let any = SocketAddr::from(([0, 0, 0, 0], 8080));
        let control = Control::write(dir.path(), any, "secret").unwrap();
        let found = reach(dir.path()).unwrap();
        assert_eq!(
            (found.url.as_str(), found.token.as_str()),
            ("http://127.0.0.1:8080", "secret")
        );
        drop(held);
        assert!(reach(dir.path()).is_none(), "left behind by one that died");
        drop(control);
        assert!(!dir.path().join(FILE).exists());
    }
}
