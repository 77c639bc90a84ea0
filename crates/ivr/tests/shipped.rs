//! The flows that are shipped load without a complaint and pass their own tests.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ivr::{Flows, Lang, Surroundings};

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivr-scripts")
}

/// The prompts that are spoken from texts.toml.
fn prompts() -> BTreeSet<(Lang, String)> {
    let texts = std::fs::read_to_string(scripts().join("prompts/texts.toml")).unwrap();
    let texts: toml::Table = texts.parse().unwrap();
    let mut prompts = BTreeSet::new();
    for (lang, code) in [(Lang::ZhCn, "zh-CN"), (Lang::En, "en")] {
        prompts.extend(
            texts[code]
                .as_table()
                .unwrap()
                .keys()
                .map(|name| (lang, name.clone())),
        );
    }
    prompts
}

fn shipped() -> Flows {
    let mut files: Vec<PathBuf> = std::fs::read_dir(scripts())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.ends_with(".toml") && !name.ends_with(".test.toml")
    });
    files.sort();
    let files: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    let prompts = prompts();
    let surroundings = Surroundings {
        has_prompt: &|lang, name| prompts.contains(&(lang, name.to_owned())),
        queues: &["support", "sales"].map(str::to_owned).into(),
        numbers: &["1001", "1002", "2000", "2001"].map(str::to_owned).into(),
    };
    let (flows, diagnostics) = Flows::load(&files, &surroundings);
    let messages: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert!(messages.is_empty(), "{}", messages.join("\n"));
    flows
}

#[test]
fn every_flow_passes_its_tests_with_full_state_coverage() {
    let flows = shipped();
    for name in flows.names() {
        let path = scripts().join(format!("{name}.test.toml"));
        let text = std::fs::read_to_string(&path).unwrap();
        let report = ivr::testing::run(&flows, &text, &path);
        println!("{report}");
        assert!(report.passed(), "{report}");
        assert_eq!(report.coverage[0].states.percent(), 100);
        assert!(!report.tests.is_empty());
    }
}
