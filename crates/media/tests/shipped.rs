//! The prompts that ship: every text has been spoken, every file can be played, every number can be said.
#![allow(clippy::unwrap_used)] // the helpers of a test are part of it

use std::path::{Path, PathBuf};

use media::{Lang, Prompts, speech};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivr-scripts/prompts")
}

/// Names and files below a directory, without the extension.
fn files(directory: &Path, prefix: &str, found: &mut Vec<(String, PathBuf)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap());
        if path.is_dir() {
            files(&path, &format!("{name}/"), found);
        } else {
            found.push((name, path));
        }
    }
}

fn load() -> Prompts {
    let mut prompts = Prompts::default();
    for (lang, folder, prefix) in [
        (Some(Lang::ZhCn), "zh-CN", ""),
        (Some(Lang::En), "en", ""),
        (None, "music", "music/"),
    ] {
        let mut found = Vec::new();
        files(&directory().join(folder), prefix, &mut found);
        for (name, path) in found {
            let file = std::fs::read(&path).unwrap();
            let extension = path.extension().unwrap().to_str().unwrap();
            prompts
                .insert(lang, &name, &file, extension)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    prompts
}

#[test]
fn every_text_is_spoken_and_can_be_played() {
    let prompts = load();
    let texts = std::fs::read_to_string(directory().join("texts.toml")).unwrap();
    let mut lang = None;
    let mut count = 0;
    for line in texts.lines() {
        match line {
            "[zh-CN]" => lang = Some(Lang::ZhCn),
            "[en]" => lang = Some(Lang::En),
            _ if line.starts_with('#') || line.is_empty() => {}
            _ => {
                let (name, text) = line.split_once(" = ").unwrap();
                let (lang, name, text) = (
                    lang.expect("a table comes first"),
                    name.trim_matches('"'),
                    text.trim_matches('"'),
                );
                let length = prompts
                    .duration(lang, name)
                    .unwrap_or_else(|| panic!("{lang:?} {name}: run `make prompts`"));
                let expected =
                    text.chars().count() as f64 * if lang == Lang::ZhCn { 0.1 } else { 0.03 };
                assert!(
                    length.as_secs_f64() > expected.min(3.0),
                    "{name}: {length:?} for {text}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 90 && prompts.has_music("music/default"));
}

#[test]
fn every_number_can_be_said() {
    let prompts = load();
    for lang in [Lang::ZhCn, Lang::En] {
        for name in speech::names(lang) {
            assert!(prompts.has(lang, name), "{lang:?} {name}");
        }
    }
}
