//! Prompt files from disk to what media planes play.

use std::path::Path;

use media::{Lang, Prompts};

/// Directories below a language that are looked into.
const DEPTH_MAX: usize = 4;
/// What `media` can decode.
const EXTENSIONS: [&str; 4] = ["flac", "wav", "mp3", "ogg"];
/// The largest file that is read: an hour of the costliest form would not be a prompt.
const FILE_MAX: u64 = 256 << 20;

/// Reads `zh-CN/`, `en/` and `music/` below `directory`. A file that cannot be played is left out and told in the second part,
/// as is an unreadable directory; a directory that is not there is none.
pub fn load(directory: &Path) -> (Prompts, Vec<String>) {
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
    faults: Vec<String>,
}

impl Loading {
    fn folder(&mut self, lang: Option<Lang>, folder: &Path, prefix: &str, depth: usize) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return self.faults.push(format!("{}: {error}", folder.display())),
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort(); // so that of two files of one name always the same wins
        for path in paths {
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            if path.is_dir() {
                if depth > 0 {
                    self.folder(lang, &path, &format!("{prefix}{stem}/"), depth - 1);
                }
            } else if let Some(extension) =
                path.extension().and_then(|extension| extension.to_str())
                && EXTENSIONS.contains(&extension)
            {
                self.file(lang, &path, &format!("{prefix}{stem}"), extension);
            }
        }
    }

    fn file(&mut self, lang: Option<Lang>, path: &Path, name: &str, extension: &str) {
        if let Err(error) = read(path)
            .map_err(anyhow::Error::from)
            .and_then(|file| Ok(self.prompts.insert(lang, name, &file, extension)?))
        {
            self.faults.push(format!("{}: {error}", path.display()));
        }
    }
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
        assert_eq!(faults, Vec::<String>::new());
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
        assert!(faults[0].contains("broken.wav"), "{faults:?}");
        assert_eq!(load(Path::new("/nowhere")).1.len(), 0);
    }
}
