//! Versions of flows: each text that has been in force is kept beside the data under its name, so that it can be put back.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Versions kept of one flow; the oldest give way. A flow is a few kilobytes.
const KEPT_MAX: usize = 50;

/// One that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub version: String,
    /// When it was first in force.
    pub since: SystemTime,
    pub file: PathBuf,
}

/// Keeps what is in force now.
///
/// # Errors
/// When the data directory cannot be written.
pub fn keep(data_dir: &Path, flows: &ivr::Flows) -> io::Result<()> {
    for flow in flows.names().filter_map(|name| flows.get(name)) {
        let dir = dir(data_dir, flow.name());
        let file = dir.join(format!("{}.toml", flow.version()));
        if file.exists() {
            continue;
        }
        let text = std::fs::read_to_string(flow.file())?;
        // Somebody may have written it again since it was loaded.
        if ivr::version(&text) != flow.version() {
            continue;
        }
        std::fs::create_dir_all(&dir)?;
        std::fs::write(&file, text)?;
        let mut kept = list(data_dir, flow.name())?;
        for old in kept.drain(KEPT_MAX.min(kept.len())..) {
            std::fs::remove_file(old.file)?;
        }
    }
    Ok(())
}

/// What is kept of a flow, the newest first; nothing of one that never was.
///
/// # Errors
/// When the data directory cannot be read.
pub fn list(data_dir: &Path, name: &str) -> io::Result<Vec<Kept>> {
    let dir = dir(data_dir, name);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let file = entry.path();
        if let Some(version) = file.file_stem().and_then(|stem| stem.to_str()) {
            kept.push(Kept {
                version: version.to_owned(),
                since: entry.metadata()?.modified()?,
                file,
            });
        }
    }
    kept.sort_by(|a, b| {
        b.since
            .cmp(&a.since)
            .then_with(|| a.version.cmp(&b.version))
    });
    Ok(kept)
}

/// Names of flows are the author's: only what is harmless in a path stays.
fn dir(data_dir: &Path, name: &str) -> PathBuf {
    let plain = |letter: char| match letter.is_alphanumeric() || "-_".contains(letter) {
        true => letter,
        false => '_',
    };
    let name: String = name.chars().map(plain).collect();
    data_dir.join("flows").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_kept_once_and_can_be_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.toml");
        let keep_text = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let surroundings = ivr::Surroundings {
                has_prompt: &|_, _| true,
                queues: &Default::default(),
                numbers: &Default::default(),
            };
            let (flows, wrong) = ivr::Flows::load(&[(file.clone(), text.into())], &surroundings);
            assert!(wrong.is_empty());
            keep(directory.path(), &flows).unwrap();
            flows.get("a/../b").unwrap().version().to_owned()
        };
        let first = "[flow]\nname = 'a/../b'\nstart = 'x'\n[state.x]\nhangup = true\n";
        let second = first.replace("hangup = true", "hangup = 'bye'");
        let one = keep_text(first);
        let two = keep_text(&second);
        assert_eq!(keep_text(first), one, "the same text is the same version");
        assert_ne!(one, two);
        let kept = list(directory.path(), "a/../b").unwrap();
        let mut versions: Vec<&str> = kept.iter().map(|kept| kept.version.as_str()).collect();
        versions.sort_unstable();
        let mut wanted = [one.as_str(), two.as_str()];
        wanted.sort_unstable();
        assert_eq!(versions, wanted);
        let of = |version: &str| kept.iter().find(|kept| kept.version == version).unwrap();
        assert_eq!(std::fs::read_to_string(&of(&one).file).unwrap(), first);
        assert!(of(&one).file.starts_with(directory.path().join("flows")));
        assert_eq!(list(directory.path(), "never").unwrap(), []);
    }
}
