//! A flow's tests, run in virtual time.
//!
//! A test file stands next to its flow (`main.toml`, `main.test.toml`) and is a list of `[[test]]` tables, each a call told in steps,
//! one a line: `press 2`, `wait 8s`, `expect prompt main/menu`, `expect queue support`. `docs/flows.md` has them all.
//! Plays end by themselves, as fast as the next step asks for; nothing sleeps.

mod fuzz;
mod steps;
mod world;

pub use fuzz::{Fuzzed, Gone, fuzz};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use crate::api::{Diagnostic, Facts, Value};
use crate::flow::{Branch, Command, Flow, StateId, Verb};
use crate::load::{Flows, document};
use crate::parse::parse_language;
use crate::read::{Sink, Table, place, suggest};
use crate::session::Taken;
use steps::Step;

/// Most tests in a file and most steps in a test, so that a generated file cannot hold the command for ever.
const MAX_TESTS: usize = 10_000;
const MAX_STEPS: usize = 1_000;

/// What came of one test file.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub file: PathBuf,
    /// What is wrong with the test file itself.
    pub diagnostics: Vec<Diagnostic>,
    pub tests: Vec<Outcome>,
    /// The tested flow first, then those it calls.
    pub coverage: Vec<Coverage>,
    /// Demands of the file's `[coverage]` that are not met.
    pub unmet: Vec<String>,
}

impl Report {
    /// Whether all tests passed and all demands on coverage are met.
    pub fn passed(&self) -> bool {
        self.diagnostics.is_empty() && self.unmet.is_empty() && self.failed() == 0
    }

    /// How many tests failed.
    pub fn failed(&self) -> usize {
        self.tests
            .iter()
            .filter(|test| test.failure.is_some())
            .count()
    }
}

/// What came of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub name: String,
    pub failure: Option<Failure>,
}

/// The step that did not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub line: usize,
    pub message: String,
    /// What happened until then: states entered and prompts said.
    pub happened: Vec<String>,
}

/// How much of a flow the tests have walked.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    pub flow: String,
    pub states: Share,
    pub branches: Share,
}

/// Some of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    pub hit: usize,
    pub all: usize,
    /// Names of what is missing.
    pub missed: Vec<String>,
}

impl Share {
    /// From 0 to 100, rounded down; of nothing, all.
    pub fn percent(&self) -> usize {
        (self.hit * 100).checked_div(self.all).unwrap_or(100)
    }
}

/// Runs the tests in `text` against `flows`. `path` is the test file's: for messages, and `main.test.toml` tests flow `main`
/// where the file names no other.
pub fn run(flows: &Flows, text: &str, path: &Path) -> Report {
    let sink = Sink::new(path, text);
    let file = read(flows, text, path, &sink);
    let diagnostics = sink.finish();
    let mut report = Report {
        file: path.into(),
        diagnostics,
        tests: Vec::new(),
        coverage: Vec::new(),
        unmet: Vec::new(),
    };
    let Some(file) = file.filter(|_| report.diagnostics.is_empty()) else {
        return report;
    };
    let mut walked = Walked::default();
    for test in &file.tests {
        let failure = world::call(flows, test, &mut walked);
        report.tests.push(Outcome {
            name: test.name.clone(),
            failure,
        });
    }
    report.coverage = reachable(flows, &file.flow)
        .into_iter()
        .map(|flow| coverage(&flow, &walked))
        .collect();
    for coverage in &report.coverage {
        for (what, share, wanted) in [
            ("state", &coverage.states, file.states),
            ("branch", &coverage.branches, file.branches),
        ] {
            if share.percent() < wanted {
                let (flow, percent) = (&coverage.flow, share.percent());
                report.unmet.push(format!(
                    "{what} coverage of `{flow}` is {percent} %, {wanted} % is demanded"
                ));
            }
        }
    }
    report
}

/// What keeps a flow that demands coverage from loading; `text` and `path` are its test file's. Nothing when it demands none.
pub fn lacks(flows: &Flows, flow: &Flow, text: Option<&str>, path: &Path) -> Option<String> {
    let demand = flow.demand()?;
    let name = path.display();
    let Some(text) = text else {
        return Some(format!(
            "it demands coverage by tests, but there is no {name}"
        ));
    };
    let report = run(flows, text, path);
    if !report.diagnostics.is_empty() || report.failed() > 0 {
        return Some(format!("its tests in {name} do not pass"));
    }
    let own = report.coverage.iter().find(|own| own.flow == flow.name());
    let share = |what: fn(&Coverage) -> &Share| own.map_or(0, |own| what(own).percent());
    let found = [
        ("state", share(|own| &own.states), demand.states),
        ("branch", share(|own| &own.branches), demand.branches),
    ];
    found
        .into_iter()
        .find(|(_, percent, wanted)| percent < wanted)
        .map(|(what, percent, wanted)| {
            format!("{what} coverage by {name} is {percent} %, {wanted} % is demanded")
        })
}

/// What all tests of a file have walked through.
#[derive(Default)]
struct Walked {
    states: BTreeSet<(Arc<str>, Arc<str>)>,
    branches: BTreeSet<Taken>,
}

/// The flow and those it calls, each once.
fn reachable(flows: &Flows, name: &str) -> Vec<Arc<Flow>> {
    let mut found: Vec<Arc<Flow>> = flows.shared(name).into_iter().collect();
    let mut at = 0;
    while let Some(flow) = found.get(at).cloned() {
        for called in flow.calls() {
            if !found.iter().any(|flow| &*flow.name == called) {
                found.extend(flows.shared(called));
            }
        }
        at += 1;
    }
    found
}

fn coverage(flow: &Flow, walked: &Walked) -> Coverage {
    let mut coverage = Coverage {
        flow: flow.name.to_string(),
        states: Share::default(),
        branches: Share::default(),
    };
    let taken = |state: StateId, branch: Branch| {
        walked
            .branches
            .contains(&(flow.name.clone(), state, branch))
    };
    for (number, state) in flow.states.iter().enumerate() {
        let hit = walked
            .states
            .contains(&(flow.name.clone(), state.name.clone()));
        coverage.states.add(hit, || state.name.to_string());
        for (branch, _) in state.verb.branches(&flow.defaults) {
            coverage.branches.add(taken(number, branch), || {
                format!("{}: {branch}", state.name)
            });
        }
    }
    for (key, command) in &flow.keys {
        if matches!(command, Command::Go(_)) {
            // Once is enough: the key does the same everywhere.
            let own = |verb: &Verb| {
                verb.branches(&flow.defaults)
                    .iter()
                    .any(|(branch, _)| *branch == Branch::Key(*key))
            };
            let mut states = flow.states.iter().enumerate();
            let hit =
                states.any(|(number, state)| !own(&state.verb) && taken(number, Branch::Key(*key)));
            coverage.branches.add(hit, || format!("[keys]: {key}"));
        }
    }
    coverage
}

impl Share {
    fn add(&mut self, hit: bool, name: impl FnOnce() -> String) {
        self.all += 1;
        match hit {
            true => self.hit += 1,
            false => self.missed.push(name()),
        }
    }
}

struct File {
    flow: String,
    states: usize,
    branches: usize,
    tests: Vec<Test>,
}

struct Test {
    name: String,
    flow: String,
    at: clock::Time,
    facts: Facts,
    steps: Vec<(usize, Step)>,
}

fn read(flows: &Flows, text: &str, path: &Path, sink: &Sink<'_>) -> Option<File> {
    let document = document(text, sink)?;
    let mut root = Table::root(&document);
    let stem = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let stem = stem.split('.').next().unwrap_or_default();
    let mut flow = stem.to_owned();
    let mut span = root.span.clone();
    if let Some(value) = root.take("flow") {
        flow = sink.string("flow", value)?.to_owned();
        span = value.span();
    }
    if flows.get(&flow).is_none() {
        let hint = suggest(&flow, flows.names()).or_else(|| {
            Some("name it with `flow = …`; a flow with errors cannot be tested".to_owned())
        });
        sink.error_with(span, format!("there is no flow `{flow}` to test"), hint);
    }
    let (mut states, mut branches) = (0, 0);
    if let Some(mut demands) = root
        .take("coverage")
        .and_then(|value| sink.table("coverage", value))
    {
        let mut demand = |key| {
            demands
                .take(key)
                .and_then(|value| sink.integer(key, value, 0..101))
                .unwrap_or(0)
        };
        (states, branches) = (demand("states") as usize, demand("branches") as usize);
        demands.finish(sink, "`[coverage]`");
    }
    let tests = root.need(sink, "test", "add a `[[test]]` table");
    root.finish(sink, "a test file");
    let tests = tests
        .map(|value| sink.array("test", value))
        .unwrap_or_default();
    let tests = tests
        .iter()
        .take(MAX_TESTS)
        .filter_map(|value| test(value, text, &flow, sink))
        .collect();
    Some(File {
        flow,
        states,
        branches,
        tests,
    })
}

fn test(value: &Spanned<DeValue<'_>>, text: &str, flow: &str, sink: &Sink<'_>) -> Option<Test> {
    let mut table = sink.table("test", value)?;
    let name = table
        .need(sink, "name", "say what is tested")
        .and_then(|value| sink.string("name", value));
    let mut string = |key| {
        table
            .take(key)
            .and_then(|value| Some((sink.string(key, value)?, value.span())))
    };
    let ani = string("ani")
        .map(|(text, _)| text.to_owned())
        .unwrap_or_default();
    let dnis = string("dnis")
        .map(|(text, _)| text.to_owned())
        .unwrap_or_default();
    let lang = string("language").and_then(|(text, span)| {
        let language = parse_language(text);
        if language.is_none() {
            sink.error(span, format!("`{text}` is no language known here"));
        }
        language
    });
    let at = string("at").map_or(clock::Time::ZERO, |(text, span)| {
        let nanos = text
            .parse::<jiff::Timestamp>()
            .ok()
            .and_then(|at| u64::try_from(at.as_nanosecond()).ok());
        if nanos.is_none() {
            sink.error_with(
                span,
                format!("`{text}` is no moment"),
                Some("write `2026-11-23T10:00:00+08:00`".to_owned()),
            );
        }
        clock::Time::from_nanos(nanos.unwrap_or_default())
    });
    let customer = table.take("customer").and_then(|value| record(value, sink));
    let steps = table
        .need(sink, "steps", "tell the call, a step a line")
        .map(|value| lines(value, text, sink));
    table.finish(sink, "a test");
    let steps = steps.unwrap_or_default().into_iter().take(MAX_STEPS);
    let steps = steps.filter_map(|(line, span, step)| match steps::parse(step) {
        Ok(step) => Some((line, step)),
        Err(message) => {
            sink.error_with(span, message, steps::hint(step));
            None
        }
    });
    let steps = steps.collect();
    let facts = Facts {
        ani,
        dnis,
        lang,
        customer,
    };
    Some(Test {
        name: name?.to_owned(),
        flow: flow.to_owned(),
        at,
        facts,
        steps,
    })
}

/// The lines of `steps` with their numbers and places; empty ones and comments left out.
fn lines<'t>(
    value: &Spanned<DeValue<'_>>,
    text: &'t str,
    sink: &Sink<'_>,
) -> Vec<(usize, Range<usize>, &'t str)> {
    if sink.string("steps", value).is_none() {
        return Vec::new();
    }
    let span = value.span();
    let Some(raw) = text.get(span.clone()) else {
        return Vec::new();
    };
    let body = raw.trim_start_matches(['\'', '"']);
    let mut at = span.start + raw.len() - body.len();
    let mut found = Vec::new();
    for line in body.trim_end_matches(['\'', '"']).split('\n') {
        let step = line.trim();
        if !step.is_empty() && !step.starts_with('#') {
            let start = at + line.len() - line.trim_start().len();
            found.push((place(text, start).0, start..start + step.len(), step));
        }
        at += line.len() + 1;
    }
    found
}

/// A customer's record.
fn record(value: &Spanned<DeValue<'_>>, sink: &Sink<'_>) -> Option<BTreeMap<String, Value>> {
    let entries = sink.table("customer", value)?.entries();
    Some(
        entries
            .into_iter()
            .filter_map(|(name, _, value)| Some((name.to_owned(), plain(value.get_ref())?)))
            .collect(),
    )
}

fn plain(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::Text(text.to_string())),
        DeValue::Integer(_) => {
            crate::read::integer(value).map(|number| Value::Number(number as f64))
        }
        DeValue::Float(number) => number.as_str().parse().ok().map(Value::Number),
        DeValue::Boolean(truth) => Some(Value::Bool(*truth)),
        DeValue::Array(items) => Some(Value::List(
            items
                .iter()
                .filter_map(|item| plain(item.get_ref()))
                .collect(),
        )),
        DeValue::Table(fields) => Some(Value::Record(
            fields
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.get_ref().to_string(), plain(value.get_ref())?))
                })
                .collect(),
        )),
        DeValue::Datetime(_) => None,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        for Outcome { name, failure } in &self.tests {
            match failure {
                None => writeln!(f, "ok      {name}")?,
                Some(failure) => {
                    writeln!(
                        f,
                        "FAILED  {name}\n    {file}:{}: {}",
                        failure.line, failure.message
                    )?;
                    failure
                        .happened
                        .iter()
                        .try_for_each(|line| writeln!(f, "        {line}"))?;
                }
            }
        }
        for Coverage {
            flow,
            states,
            branches,
        } in &self.coverage
        {
            writeln!(
                f,
                "flow {flow}: states {}/{} ({} %), branches {}/{} ({} %)",
                states.hit,
                states.all,
                states.percent(),
                branches.hit,
                branches.all,
                branches.percent()
            )?;
            for (what, share) in [("state", states), ("branch", branches)] {
                share
                    .missed
                    .iter()
                    .try_for_each(|missed| writeln!(f, "    {what} not tested: {missed}"))?;
            }
        }
        for unmet in &self.unmet {
            writeln!(f, "{file}: error: {unmet}")?;
        }
        let (all, failed) = (self.tests.len(), self.failed());
        write!(f, "{file}: {} of {all} tests passed", all - failed)
    }
}
