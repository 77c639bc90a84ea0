//! The flows of `ivr.dir`, loaded and checked by `ivr`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ivr::{Diagnostic, Flows, Lang, Severity, Surroundings};

/// Extensions of prompt files, in the order in which they are looked for.
pub const PROMPT_EXTENSIONS: [&str; 4] = ["flac", "wav", "mp3", "ogg"];

/// What was found at `ivr.dir`.
#[derive(Clone, Debug, Default)]
pub struct FlowSet {
    pub flows: Arc<Flows>,
    pub names: BTreeSet<Arc<str>>,
}

/// Loads the flows of a directory (`*.toml`, not their `*.test.toml`); a configuration without one has none.
pub fn load(
    dir: Option<&Path>,
    queues: &BTreeSet<String>,
    numbers: &BTreeSet<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> FlowSet {
    let Some(dir) = dir else {
        return FlowSet::default();
    };
    let files = match files(dir) {
        Ok(files) => files,
        Err(error) => {
            diagnostics.push(Diagnostic {
                severity: Severity::Error,
                file: dir.to_path_buf(),
                line: 0,
                column: 0,
                message: format!("cannot be read: {error}"),
                hint: Some("a directory of *.toml that this user may read".to_owned()),
            });
            return FlowSet::default();
        }
    };
    let prompts = prompts(&dir.join("prompts"));
    let has_prompt = |lang: Lang, name: &str| {
        prompts
            .get(lang_dir(lang))
            .is_some_and(|names| names.contains(name))
    };
    let (flows, found) = Flows::load(
        &files,
        &Surroundings {
            has_prompt: &has_prompt,
            queues,
            numbers,
        },
    );
    diagnostics.extend(found);
    for (path, _) in &files {
        diagnostics.extend(untested(&flows, path));
    }
    diagnostics.extend(unspeakable(&flows, &prompts, &dir.join("prompts")));
    // A flow that is wrong is told as wrong, not as missing too.
    let names = files.iter().filter_map(|(path, text)| name(path, text));
    let names = names.chain(flows.names().map(Into::into)).collect();
    FlowSet {
        flows: Arc::new(flows),
        names,
    }
}

/// Most prompts of one kind that a complaint names.
const NAMED_MAX: usize = 5;

/// Numbers, dates and the like that flows say, where prompts for their words are missing.
fn unspeakable(
    flows: &Flows,
    prompts: &BTreeMap<String, BTreeSet<String>>,
    dir: &Path,
) -> Vec<Diagnostic> {
    let mut wanted: BTreeSet<(Lang, &'static str)> = BTreeSet::new();
    for flow in flows.names().filter_map(|name| flows.get(name)) {
        for lang in flow.languages() {
            wanted.extend(
                flow.grammar_folders()
                    .into_iter()
                    .map(|folder| (*lang, folder)),
            );
        }
    }
    let complaint = |(lang, folder): (Lang, &str)| {
        let known = prompts.get(lang_dir(lang));
        let lang_in_media = match lang {
            Lang::ZhCn => media::Lang::ZhCn,
            Lang::En => media::Lang::En,
        };
        let missing: Vec<&str> = media::speech::names(lang_in_media)
            .filter(|name| name.split_once('/').is_some_and(|(of, _)| of == folder))
            .filter(|name| !known.is_some_and(|known| known.contains(*name)))
            .collect();
        (!missing.is_empty()).then(|| {
            let named = missing[..missing.len().min(NAMED_MAX)].join(", ");
            let more = if missing.len() > NAMED_MAX { ", …" } else { "" };
            Diagnostic {
                severity: Severity::Error,
                file: dir.join(lang_dir(lang)),
                line: 0,
                column: 0,
                message: format!("a flow says numbers, dates or the like and has no words for it: {named}{more}"),
                hint: Some("copy their lines from the texts.toml that ships and run `make prompts`, or record them".to_owned()),
            }
        })
    };
    wanted.into_iter().filter_map(complaint).collect()
}

/// A flow that demands coverage loads when the tests beside it pass and walk through as much.
fn untested(flows: &Flows, path: &Path) -> Option<Diagnostic> {
    let flow = flows
        .names()
        .filter_map(|name| flows.get(name))
        .find(|flow| flow.file() == path)?;
    let demand = flow.demand()?;
    let tests = path.with_extension("test.toml");
    let text = std::fs::read_to_string(&tests).ok();
    let message = ivr::testing::lacks(flows, flow, text.as_deref(), &tests)?;
    Some(Diagnostic {
        severity: Severity::Error,
        file: path.to_path_buf(),
        line: demand.line,
        column: demand.column,
        message,
        hint: Some("`cordboard flow test` says what is not tested".to_owned()),
    })
}

/// A flow's name: the one it gives itself, or its file's where that cannot be read.
fn name(path: &Path, text: &str) -> Option<Arc<str>> {
    let (document, _) = toml::de::DeTable::parse_recoverable(text);
    let flow = document.get_ref().get("flow").map(toml::Spanned::get_ref);
    let given = flow.and_then(|flow| flow.get("name")?.get_ref().as_str());
    given.or_else(|| path.file_stem()?.to_str()).map(Into::into)
}

/// The flow files of a directory, by name.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn files(dir: &Path) -> std::io::Result<Vec<(PathBuf, String)>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    paths.retain(|path| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        name.ends_with(".toml") && !name.ends_with(".test.toml")
    });
    paths.sort();
    paths
        .into_iter()
        .map(|path| std::fs::read_to_string(&path).map(|text| (path, text)))
        .collect()
}

fn lang_dir(lang: Lang) -> &'static str {
    match lang {
        Lang::ZhCn => "zh-CN",
        Lang::En => "en",
    }
}

/// Names of the prompt files by language directory, as flows name them: `menu/main`.
fn prompts(dir: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for lang in [Lang::ZhCn, Lang::En].map(lang_dir) {
        let names = found.entry(lang.to_owned()).or_default();
        collect(&dir.join(lang), "", PROMPT_DEPTH_MAX, names);
    }
    found
}

/// Directories below a language that are looked into.
const PROMPT_DEPTH_MAX: usize = 4;

fn collect(dir: &Path, prefix: &str, depth: usize, names: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else {
            continue;
        };
        if path.is_dir() {
            if depth > 0 {
                collect(&path, &format!("{prefix}{stem}/"), depth - 1, names);
            }
        } else if path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| PROMPT_EXTENSIONS.contains(&extension))
        {
            names.insert(format!("{prefix}{stem}"));
        }
    }
}
