//! The configuration: four files, overrides over them, every fault told at once, and one value out of it.
//!
//! The way: [`read`] (text to form, against the schema) → [`compile`] (forms to [`Compiled`], checks across files). An absent `cordboard.toml` or
//! `trunks.toml` is the built-in one; without a directory all four are, which is the demo centre.

mod check;
mod check_agents;
mod check_centre;
pub mod check_listeners;
mod check_queues;
mod check_routes;
mod check_speech;
mod check_srtp;
mod check_trunks;
pub mod compile;
pub mod credential;
pub mod difference;
pub mod flows;
pub mod form;
pub mod read;
pub mod source;
pub mod value;
pub mod walk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use compile::{Account, Compiled, Import, Password, RtpSettings, Settings};
pub use form::Role;
pub use ivr::{Diagnostic, Severity};
pub use source::{Override, render};

use compile::{Base, Sources};
use form::Forms;
use source::Source;

/// The built-in files: those of `config/` when this was compiled.
const BUILT_IN: [(&str, &str); 4] = [
    (
        read::CENTRE,
        include_str!("../../../../config/cordboard.toml"),
    ),
    (read::QUEUES, include_str!("../../../../config/queues.toml")),
    (read::AGENTS, include_str!("../../../../config/agents.toml")),
    (read::TRUNKS, include_str!("../../../../config/trunks.toml")),
];

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The demo centre, built in.
    Demo,
    /// The demo centre with further agents: these lines stand behind its `agents.toml`.
    DemoWith { agents: String },
    /// A directory that must exist.
    Dir(PathBuf),
}

impl Origin {
    /// The directory given, else `config/` here, else the demo centre.
    pub fn given_or_default(dir: Option<PathBuf>) -> Self {
        match dir {
            Some(dir) => Origin::Dir(dir),
            None if Path::new("config").is_dir() => Origin::Dir(PathBuf::from("config")),
            None => Origin::Demo,
        }
    }
}

/// What loading gave.
#[derive(Debug)]
pub struct Loaded {
    /// `None` when there was an error.
    pub compiled: Option<Compiled>,
    /// By file and place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// How many of the diagnostics are errors.
    pub fn errors(&self) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .count()
    }
}

/// Reads, checks and compiles a configuration with what is put over it.
pub fn load(origin: &Origin, overrides: &[Override]) -> Loaded {
    let mut diagnostics = Vec::new();
    let sources = sources(origin, overrides, &mut diagnostics);
    let forms = Forms {
        centre: read::read(read::CENTRE, &sources.centre, &mut diagnostics),
        queues: read::read(read::QUEUES, &sources.queues, &mut diagnostics),
        agents: read::read(read::AGENTS, &sources.agents, &mut diagnostics),
        trunks: read::read(read::TRUNKS, &sources.trunks, &mut diagnostics),
    };
    let (dir, built_in) = match origin {
        Origin::Demo | Origin::DemoWith { .. } => (Path::new("config"), true),
        Origin::Dir(dir) => (dir.as_path(), false),
    };
    let base = Base {
        dir,
        ivr_dir: ivr_dir(&forms, &sources, dir, built_in, &mut diagnostics),
    };
    let queues: BTreeSet<String> = forms
        .queues
        .queue
        .iter()
        .map(|queue| queue.name.value.clone())
        .collect();
    let flows = flows::load(
        base.ivr_dir.as_deref(),
        &queues,
        &numbers(&forms),
        &mut diagnostics,
    );
    let compiled = compile::compile(&forms, &sources, &flows, &base, &mut diagnostics);
    diagnostics.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    diagnostics.dedup();
    let broken = diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    Loaded {
        compiled: (!broken).then_some(compiled),
        diagnostics,
    }
}

fn sources(origin: &Origin, overrides: &[Override], diagnostics: &mut Vec<Diagnostic>) -> Sources {
    if let Origin::Dir(dir) = origin
        && !dir.is_dir()
    {
        diagnostics.push(Diagnostic {
            severity: Severity::Error,
            file: dir.clone(),
            line: 0,
            column: 0,
            message: "there is no such configuration directory".to_owned(),
            hint: Some("a directory with agents.toml and queues.toml; cordboard.toml and trunks.toml may be absent".to_owned()),
        });
    }
    let mut source = |name: &str| {
        let mut source = text(origin, name, diagnostics);
        overrides
            .iter()
            .filter(|over| read::file_of(over) == name)
            .for_each(|over| source.put_over(over.clone()));
        source
    };
    Sources {
        centre: source(read::CENTRE),
        queues: source(read::QUEUES),
        agents: source(read::AGENTS),
        trunks: source(read::TRUNKS),
    }
}

fn text(origin: &Origin, name: &str, diagnostics: &mut Vec<Diagnostic>) -> Source {
    let built_in = BUILT_IN
        .iter()
        .find(|(file, _)| *file == name)
        .map_or("", |(_, text)| *text);
    let of_demo = |more: &str| {
        let file = PathBuf::from(format!("built-in {name}"));
        Source::new(file, format!("{built_in}{more}"), true)
    };
    let dir = match origin {
        Origin::Demo => return of_demo(""),
        Origin::DemoWith { agents } if name == read::AGENTS => return of_demo(agents),
        Origin::DemoWith { .. } => return of_demo(""),
        Origin::Dir(dir) => dir,
    };
    let file = dir.join(name);
    match std::fs::read_to_string(&file) {
        Ok(text) => Source::new(file, text, false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let whole = name == read::CENTRE || name == read::TRUNKS;
            Source::new(
                PathBuf::from(format!("built-in {name}")),
                if whole {
                    built_in.to_owned()
                } else {
                    String::new()
                },
                true,
            )
        }
        Err(error) => {
            let message = format!("cannot be read: {error}");
            diagnostics.push(Diagnostic {
                severity: Severity::Error,
                file: file.clone(),
                line: 0,
                column: 0,
                message,
                hint: Some("a text in UTF-8 that this user may read".to_owned()),
            });
            Source::new(file, String::new(), false)
        }
    }
}

/// What a flow may transfer to.
fn numbers(forms: &Forms) -> BTreeSet<String> {
    let agents = forms
        .agents
        .agent
        .iter()
        .filter(|agent| matches!(agent.role, Role::Agent | Role::Supervisor))
        .map(|agent| agent.id.value.clone());
    let queues = forms
        .queues
        .queue
        .iter()
        .filter_map(|queue| queue.number.as_ref())
        .map(|number| number.value.clone());
    agents
        .chain(queues)
        .chain(
            forms
                .trunks
                .route
                .iter()
                .map(|route| route.number.value.clone()),
        )
        .collect()
}

/// `ivr.dir`, else `ivr-scripts` beside the configuration directory if there is one.
fn ivr_dir(
    forms: &Forms,
    sources: &Sources,
    dir: &Path,
    built_in: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<PathBuf> {
    if let Some(given) = &forms.centre.ivr.dir {
        let found = if given.is_absolute() {
            given.value.clone()
        } else {
            dir.join(&given.value)
        };
        if !found.is_dir() {
            let message = format!("there is no directory {}", found.display());
            diagnostics.push(sources.centre.diagnostic(
                Severity::Error,
                &given.span,
                message,
                Some("relative to the configuration directory".to_owned()),
            ));
            return None;
        }
        return Some(found);
    }
    let beside = |dir: &Path| {
        dir.parent()
            .map(|parent| parent.join("ivr-scripts"))
            .filter(|found| found.is_dir())
    };
    // The demo may be started from anywhere: then its flows are those of the checkout that the binary was built from.
    let of_checkout = || {
        Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivr-scripts"))
            .filter(|found| found.is_dir())
    };
    // As the directory was given, so that messages name files the same way.
    let dir_of_path = if dir.is_absolute() || dir.file_name().is_some() {
        dir.to_path_buf()
    } else {
        std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf())
    };
    beside(&dir_of_path).or_else(|| if built_in { of_checkout() } else { None })
}

#[cfg(test)]
mod tests;
