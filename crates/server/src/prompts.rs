//! Prompt files from disk to what media planes play.

use std::fmt;
use std::path::{Path, PathBuf};

use media::{Lang, Prompts};

/// Directories below a language that are looked into.
const DEPTH_MAX: usize = 4;
/// What `media` can decode.
const EXTENSIONS: [&str; 4] = ["flac", "wav", "mp3", "ogg"];
/// The largest file that is read: an hour of the costliest form would not be a prompt.
const FILE_MAX: u64 = 256 << 20;

/// Reads `zh-CN/`, `en/` and `music/` below `directory`; a folder in `music/` is one piece, its files after each other. A file that cannot be played is left out and told in the second part,
/// as is an unreadable directory; a directory that is not there is none.
pub fn load(directory: &Path) -> (Prompts, Vec<Fault>) {
    let mut loading = Loading {
        prompts: Prompts::default(),
        faults: Vec::new(),
    };
    loading.folder(Some(Lang::ZhCn), &directory.join("zh-CN"), "", DEPTH_MAX);
    loading.folder(Some(Lang::En), &directory.join("en"), "", DEPTH_MAX);
    loading.folder(None, &directory.join("music"), "music/", DEPTH_MAX);
    (loading.prompts, loading.faults)
}

struct Loading {
    prompts: Prompts,
    faults: Vec<Fault>,
}

/// A file or folder that cannot be played.
#[derive(Clone, Debug)]
pub struct Fault {
    pub path: PathBuf,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

impl Loading {
    fn folder(&mut self, lang: Option<Lang>, folder: &Path, prefix: &str, depth: usize) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.fault(folder, &error),
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort(); // so that of two files of one name always the same wins
        for path in paths {
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            if path.is_dir() {
                if lang.is_none() {
                    self.playlist(&path, &format!("{prefix}{stem}"));
                } else if depth > 0 {
                    self.folder(lang, &path, &format!("{prefix}{stem}/"), depth - 1);
                }
            } else if let Some(extension) = extension_of(&path) {
                self.file(lang, &path, &format!("{prefix}{stem}"), extension);
            }
        }
    }

    /// A folder of music is a play list: its files one after the other, by name.
    fn playlist(&mut self, folder: &Path, name: &str) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return self.fault(folder, &"cannot be read");
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.is_file() && extension_of(path).is_some());
        paths.sort();
        let mut files = Vec::new();
        for path in &paths {
            match read(path) {
                Ok(file) => files.push((extension_of(path).unwrap_or_default(), file)),
                Err(error) => return self.fault(path, &error),
            }
        }
        if files.is_empty() {
            return;
        }
        if let Err((number, error)) = self.prompts.insert_list(name, &files) {
            self.fault(&paths[number], &error);
        }
    }

    fn fault(&mut self, path: &Path, what: &dyn fmt::Display) {
        let (path, what) = (path.to_path_buf(), what.to_string());
        self.faults.push(Fault { path, what });
    }

    fn file(&mut self, lang: Option<Lang>, path: &Path, name: &str, extension: &str) {
        if let Err(error) = read(path)
            .map_err(anyhow::Error::from)
            .and_then(|file| Ok(self.prompts.insert(lang, name, &file, extension)?))
        {
            self.fault(path, &error);
        }
    }
}

fn extension_of(path: &Path) -> Option<&str> {
    let extension = path.extension()?.to_str()?;
    EXTENSIONS.contains(&extension).then_some(extension)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > FILE_MAX {
        return Err(std::io::Error::other(format!(
            "larger than {} MB",
            FILE_MAX >> 20
        )));
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_prompts_load_without_a_fault() {
        let (prompts, faults) =
            load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivr-scripts/prompts"));
        assert!(faults.is_empty(), "{faults:?}");
        assert!(
            prompts.has_music("music/default") && prompts.has(Lang::ZhCn, "queue/position_before")
        );
        assert!(prompts.has(Lang::En, "digits/0"));
    }

    #[test]
    fn a_broken_file_is_told_and_the_others_load() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("en/menu");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("broken.wav"), b"RIFF").unwrap();
        std::fs::write(folder.join("notes.txt"), b"not a prompt").unwrap();
        let (prompts, faults) = load(directory.path());
        assert_eq!((prompts.names().count(), faults.len()), (0, 1));
        assert!(faults[0].path.ends_with("broken.wav"), "{faults:?}");
        assert_eq!(load(Path::new("/nowhere")).1.len(), 0);
    }

    #[test]
    fn a_folder_of_music_is_one_piece() {
        let directory = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivr-scripts/prompts/en");
        let folder = directory.path().join("music/calm");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["1", "2"] {
            let file = shipped.join(format!("digits/{name}.flac"));
            std::fs::copy(file, folder.join(format!("{name}.flac"))).unwrap();
        }
        let (prompts, faults) = load(directory.path());
        assert!(faults.is_empty(), "{faults:?}");
        assert!(prompts.has_music("music/calm"));
        let (words, _) = load(&shipped.join(".."));
        let of = |name| words.duration(Lang::En, name).unwrap();
        let whole = prompts.duration(Lang::En, "music/calm").unwrap();
        assert!(
            whole.abs_diff(of("digits/1") + of("digits/2")) < std::time::Duration::from_micros(2)
        );
        std::fs::write(folder.join("3.mp3"), b"noise").unwrap();
        let (prompts, faults) = load(directory.path());
        assert!(
            !prompts.has_music("music/calm") && faults[0].path.ends_with("3.mp3"),
            "{faults:?}"
        );
    }
}
