//! From texts of files to a checked set of flows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use crate::api::{Diagnostic, Lang, Severity};
use crate::flow::{Flow, version};
use crate::parse::Parsed;
use crate::read::Sink;
use crate::{check, parse};

/// What flows may refer to outside themselves.
pub struct Surroundings<'a> {
    /// Whether a prompt of this name can be played in this language.
    pub has_prompt: &'a dyn Fn(Lang, &str) -> bool,
    pub queues: &'a BTreeSet<String>,
    /// Numbers of this centre that a transfer may lead to: extensions, and what queues and flows answer.
    pub numbers: &'a BTreeSet<String>,
}

/// A checked set of flows by name; a clone is a reference to the same set.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    set: Arc<Set>,
}

#[derive(Debug, Default)]
struct Set {
    flows: BTreeMap<Arc<str>, Arc<Flow>>,
    numbers: BTreeSet<String>,
}

impl Flows {
    /// Parses and checks `files` (path and text; paths are only for messages). Flows with an error are left out of the set;
    /// every error of every file is reported, in the order of the files and of their lines.
    ///
    /// ```
    /// use ivr::{Flows, Surroundings};
    /// let text = "[flow]\nname = 'a'\nstart = 'bye'\n[state.bye]\nhangup = 'system/goodbye'\n";
    /// let (queues, numbers) = (Default::default(), Default::default());
    /// let surroundings = Surroundings { has_prompt: &|_, _| true, queues: &queues, numbers: &numbers };
    /// let (flows, diagnostics) = Flows::load(&[("a.toml".into(), text.into())], &surroundings);
    /// assert!(diagnostics.is_empty());
    /// assert_eq!(flows.names().collect::<Vec<_>>(), ["a"]);
    /// ```
    pub fn load(
        files: &[(PathBuf, String)],
        surroundings: &Surroundings<'_>,
    ) -> (Flows, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let mut documents = Vec::new();
        let mut names = BTreeSet::new();
        for (path, text) in files {
            let sink = Sink::new(path, text);
            if let Some(document) = document(text, &sink) {
                let name = parse::name(&document).map(|(name, span)| (name.to_owned(), span));
                match name {
                    Some((name, span)) if !names.insert(name.clone()) => {
                        sink.error(span, format!("another file has a flow `{name}` already"));
                    }
                    Some(_) | None => documents.push((path.as_path(), text.as_str(), document)),
                }
            }
            diagnostics.extend(sink.finish());
        }
        let mut read: Vec<Read<'_>> = documents
            .iter()
            .map(|(path, text, document)| read(path, text, document, surroundings, &names))
            .collect();
        check_calls(&mut read);
        let mut flows = BTreeMap::new();
        for Read { flow, sink } in read {
            let found = sink.finish();
            if let Some(flow) = flow.filter(|_| found.is_empty()) {
                flows.insert(flow.name.clone(), Arc::new(flow));
            }
            diagnostics.extend(found);
        }
        drop_calls_of_missing(&mut flows);
        diagnostics.sort_by_key(|found: &Diagnostic| {
            files.iter().position(|(path, _)| *path == found.file)
        });
        (
            Flows {
                set: Arc::new(Set {
                    flows,
                    numbers: surroundings.numbers.clone(),
                }),
            },
            diagnostics,
        )
    }

    /// Names of all flows, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.set.flows.keys().map(|name| &**name)
    }

    /// One flow by its name.
    pub fn get(&self, name: &str) -> Option<&Flow> {
        self.set.flows.get(name).map(|flow| &**flow)
    }

    pub(crate) fn shared(&self, name: &str) -> Option<Arc<Flow>> {
        self.set.flows.get(name).cloned()
    }

    /// Whether a number belongs to this centre.
    pub(crate) fn is_internal(&self, number: &str) -> bool {
        self.set.numbers.contains(number)
    }
}

/// A file's document, or a complaint for every place where it is no TOML.
pub(crate) fn document<'t>(text: &'t str, sink: &Sink<'_>) -> Option<Spanned<DeTable<'t>>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        match error.span() {
            Some(span) => sink.error(span, error.message()),
            None => sink.error_in_file(error.message(), None),
        }
    }
    errors.is_empty().then_some(document)
}

struct Read<'t> {
    flow: Option<Flow>,
    sink: Sink<'t>,
}

fn read<'t>(
    path: &'t Path,
    text: &'t str,
    document: &Spanned<DeTable<'_>>,
    surroundings: &Surroundings<'_>,
    names: &BTreeSet<String>,
) -> Read<'t> {
    let sink = Sink::new(path, text);
    let parsed = parse::flow(document, path, &sink, surroundings, names);
    if let Some(parsed) = &parsed {
        check::names(parsed, &sink);
        check::types(&parsed.flow, &sink);
        // Paths through wrong targets would only repeat what was said already.
        if parsed.whole {
            check::paths(parsed, &sink);
        }
    }
    let flow = parsed.map(|Parsed { flow, .. }| Flow {
        version: version(text),
        ..flow
    });
    Read { flow, sink }
}

fn check_calls(read: &mut [Read<'_>]) {
    let all: BTreeMap<Arc<str>, &Flow> = read
        .iter()
        .filter_map(|read| read.flow.as_ref())
        .map(|flow| (flow.name.clone(), flow))
        .collect();
    for Read { flow, sink } in read.iter() {
        if let Some(flow) = flow {
            check::calls(flow, &all, sink);
        }
    }
}

/// A flow whose callee has errors cannot run either; the callee's errors are the message.
fn drop_calls_of_missing(flows: &mut BTreeMap<Arc<str>, Arc<Flow>>) {
    loop {
        let broken = flows.values().find(|flow| {
            let mut needed = flow.calls().chain(flow.surveys());
            needed.any(|name| !flows.contains_key(name))
        });
        let Some(name) = broken.map(|flow| flow.name.clone()) else {
            return;
        };
        flows.remove(&name);
    }
}

impl std::fmt::Display for Diagnostic {
    /// `file:line:column: error: message`, and the hint in a second line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let file = self.file.display();
        match self.line {
            0 => write!(f, "{file}: {severity}: {}", self.message)?,
            line => write!(
                f,
                "{file}:{line}:{}: {severity}: {}",
                self.column, self.message
            )?,
        }
        match &self.hint {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}
