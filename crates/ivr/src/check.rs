//! What a flow's paths must hold: every state can be reached, no loop turns without the caller, and every variable is set
//! before it is read.
//!
//! That every path ends follows from the second: each state but the ends has a way on that needs no key of the caller, so
//! whoever says nothing comes to an end after finitely many states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::expr::{BUILT_IN, CALL_FIELDS, CUSTOMER_FIELDS};
use crate::flow::{Branch, Command, Flow, StateId, Verb};
use crate::parse::{Parsed, Use, code};
use crate::read::{Sink, suggest};

/// A way from one state to another.
struct Edge {
    branch: Branch,
    to: StateId,
    /// Only a key of the caller leads this way.
    by_caller: bool,
}

/// Checks the paths of one flow by itself.
pub(crate) fn paths(parsed: &Parsed, sink: &Sink<'_>) {
    let flow = &parsed.flow;
    if flow.states.is_empty() {
        return;
    }
    let edges: Vec<Vec<Edge>> = (0..flow.states.len())
        .map(|state| edges(flow, state))
        .collect();
    let reached = reached(flow, &edges);
    for (number, state) in flow.states.iter().enumerate() {
        if !reached.contains(&number) {
            let hint = Some("lead a path to it, or take it out".to_owned());
            sink.error_with(
                state.span.clone(),
                format!("no path leads to state `{}`", state.name),
                hint,
            );
        }
    }
    silent_loops(flow, &edges, &reached, sink);
    variables(parsed, &edges, sink);
}

fn edges(flow: &Flow, state: StateId) -> Vec<Edge> {
    let verb = &flow.states[state].verb;
    let asks = verb.asking().is_some();
    let by_caller = |branch: Branch| asks && branch != Branch::Unanswered;
    let own = verb.branches(&flow.defaults).into_iter();
    let mut edges: Vec<Edge> = own
        .filter_map(|(branch, to)| {
            Some(Edge {
                branch,
                to: to?,
                by_caller: by_caller(branch),
            })
        })
        .collect();
    if asks {
        edges.extend(flow.keys.iter().filter_map(|(key, command)| match command {
            Command::Go(to) if hears(verb, *key) => Some(Edge {
                branch: Branch::Key(*key),
                to: *to,
                by_caller: true,
            }),
            Command::Go(_) | Command::Repeat | Command::Back => None,
        }));
    }
    edges
}

/// Whether a key of the whole flow means anything in a state, or the state takes it for itself.
pub(crate) fn hears(verb: &Verb, key: char) -> bool {
    match verb {
        Verb::Menu { keys, .. } => !keys.contains_key(&key),
        Verb::Collect { collect, .. } => !collect.takes(key) && collect.terminator != Some(key),
        Verb::Authenticate { authenticate, .. } => {
            !key.is_ascii_digit() && authenticate.collect.terminator != Some(key)
        }
        Verb::Confirm { yes, no, .. } => key != yes.0 && key != no.0,
        Verb::Say { .. }
        | Verb::Decide { .. }
        | Verb::Set { .. }
        | Verb::Hours { .. }
        | Verb::LookUp(_)
        | Verb::Message(_)
        | Verb::Survey { .. }
        | Verb::Queue { .. }
        | Verb::Transfer { .. }
        | Verb::Call { .. }
        | Verb::Return { .. }
        | Verb::Hangup { .. } => false,
    }
}

/// Where a call can begin: the start, and the error path, which every state can take.
fn roots(flow: &Flow) -> Vec<StateId> {
    [Some(flow.start), flow.defaults.on_error]
        .into_iter()
        .flatten()
        .collect()
}

fn reached(flow: &Flow, edges: &[Vec<Edge>]) -> BTreeSet<StateId> {
    let mut reached = BTreeSet::new();
    let mut open = roots(flow);
    while let Some(state) = open.pop() {
        if reached.insert(state) {
            open.extend(edges[state].iter().map(|edge| edge.to));
        }
    }
    reached
}

/// A loop of states that no key of the caller turns would hold a silent call for ever, and is the only way not to come to an end.
fn silent_loops(flow: &Flow, edges: &[Vec<Edge>], reached: &BTreeSet<StateId>, sink: &Sink<'_>) {
    let mut done = BTreeSet::new();
    for root in reached {
        // Depth first with its own stack: (state, next edge to look at); `path` is the stack's states.
        let mut stack = vec![(*root, 0)];
        let mut path = vec![*root];
        if done.contains(root) {
            continue;
        }
        while let Some((state, at)) = stack.last_mut() {
            let Some(edge) = edges[*state].get(*at) else {
                done.insert(*state);
                stack.pop();
                path.pop();
                continue;
            };
            *at += 1;
            if edge.by_caller {
                continue;
            }
            if let Some(first) = path.iter().position(|state| *state == edge.to) {
                let names: Vec<&str> = path[first..]
                    .iter()
                    .chain([&edge.to])
                    .map(|state| &*flow.states[*state].name)
                    .collect();
                let hint =
                    Some("end it, or put a state that listens to the caller into it".to_owned());
                let message = format!("this loop turns without the caller: {}", names.join(" → "));
                sink.error_with(flow.states[edge.to].span.clone(), message, hint);
            } else if !done.contains(&edge.to) {
                stack.push((edge.to, 0));
                path.push(edge.to);
            }
        }
    }
}

type Names = BTreeSet<Arc<str>>;

fn writes(verb: &Verb) -> Names {
    match verb {
        Verb::Collect { collect, .. } => [collect.variable.clone()].into(),
        Verb::Set {
            values, constants, ..
        } => values
            .iter()
            .map(|(name, _)| name)
            .chain(constants.iter().map(|(name, _)| name))
            .cloned()
            .collect(),
        Verb::Call { results, .. } => results.iter().map(|(name, _)| name.clone()).collect(),
        Verb::LookUp(look_up) => look_up
            .results
            .iter()
            .map(|wanted| wanted.variable.clone())
            .collect(),
        Verb::Say { .. }
        | Verb::Menu { .. }
        | Verb::Confirm { .. }
        | Verb::Decide { .. }
        | Verb::Hours { .. }
        | Verb::Authenticate { .. }
        | Verb::Message(_)
        | Verb::Survey { .. }
        | Verb::Queue { .. }
        | Verb::Transfer { .. }
        | Verb::Return { .. }
        | Verb::Hangup { .. } => Names::new(),
    }
}

/// For each reached state, the variables that every path to it has set.
fn set_before(flow: &Flow, edges: &[Vec<Edge>]) -> BTreeMap<StateId, Names> {
    let declared: Names = flow
        .arguments
        .keys()
        .chain(flow.variables.keys())
        .cloned()
        .collect();
    let mut set: BTreeMap<StateId, Names> = roots(flow)
        .into_iter()
        .map(|root| (root, declared.clone()))
        .collect();
    let mut open = roots(flow);
    while let Some(state) = open.pop() {
        let before = set[&state].clone();
        let mut after = before.clone();
        after.extend(writes(&flow.states[state].verb));
        for edge in &edges[state] {
            let carried = if edge.branch == Branch::Next {
                &after
            } else {
                &before
            };
            let merged: Names = match set.get(&edge.to) {
                Some(known) => known.intersection(carried).cloned().collect(),
                None => carried.clone(),
            };
            if set.get(&edge.to) != Some(&merged) {
                set.insert(edge.to, merged);
                open.push(edge.to);
            }
        }
    }
    set
}

/// Names that nothing ever sets, and fields that do not exist.
pub(crate) fn names(parsed: &Parsed, sink: &Sink<'_>) {
    let flow = &parsed.flow;
    let mut ever: Names = flow
        .arguments
        .keys()
        .chain(flow.variables.keys())
        .cloned()
        .collect();
    flow.states
        .iter()
        .for_each(|state| ever.extend(writes(&state.verb)));
    for usage in &parsed.uses {
        let mut parts = usage.name.split('.');
        let (head, field) = (parts.next().unwrap_or_default(), parts.next());
        match head {
            "customer" => check_field(usage, field, &CUSTOMER_FIELDS, sink),
            "call" => check_field(usage, field, &CALL_FIELDS, sink),
            "language" | "language_known" => {}
            name if !ever.contains(name) => {
                let known = ever.iter().map(|name| &**name).chain(BUILT_IN);
                let hint = suggest(name, known)
                    .or_else(|| Some("give it a first value in `[variables]`".to_owned()));
                sink.error_with(
                    usage.span.clone(),
                    format!("no state sets the variable `{name}`"),
                    hint,
                );
            }
            _ => {}
        }
    }
}

/// Names that some path reads before it sets them.
fn variables(parsed: &Parsed, edges: &[Vec<Edge>], sink: &Sink<'_>) {
    let flow = &parsed.flow;
    let before = set_before(flow, edges);
    let declared: Names = flow
        .arguments
        .keys()
        .chain(flow.variables.keys())
        .cloned()
        .collect();
    let ever: Names = flow
        .states
        .iter()
        .flat_map(|state| writes(&state.verb))
        .collect();
    for usage in &parsed.uses {
        let name = usage.name.split('.').next().unwrap_or_default();
        // What is said in `[defaults]` may be said anywhere; a state that no path reaches has its own complaint.
        let set = usage
            .state
            .map_or(Some(&declared), |state| before.get(&state));
        if ever.contains(name) && set.is_some_and(|set| !set.contains(name)) {
            let hint = Some("give it a first value in `[variables]`".to_owned());
            sink.error_with(
                usage.span.clone(),
                format!("`{name}` is not set on every path to here"),
                hint,
            );
        }
    }
}

/// What a variable holds, as far as the file says.
fn type_of(value: &minijinja::Value) -> &'static str {
    use minijinja::value::ValueKind;
    match value.kind() {
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        _ => "a text",
    }
}

/// Each variable holds one type, wherever the file says which: first values, constants, collected digits, defaults of results.
pub(crate) fn types(flow: &Flow, sink: &Sink<'_>) {
    let mut known: BTreeMap<&str, (&'static str, String)> = BTreeMap::new();
    for (table, values) in [
        ("arguments", &flow.arguments),
        ("variables", &flow.variables),
    ] {
        for (name, value) in values {
            known.insert(name, (type_of(value), format!("in `[{table}]`")));
        }
    }
    for state in &flow.states {
        for (name, is) in types_set(&state.verb) {
            let place = format!("in state `{}`", state.name);
            let (was, first) = known.entry(name).or_insert((is, place));
            if *was != is {
                let hint = Some("comparisons of a text with a number are never true: keep to one, or use another variable; `| int` makes a number".to_owned());
                let message = format!("`{name}` is {is} here, but {was} {first}");
                sink.error_with(state.span.clone(), message, hint);
            }
        }
    }
}

fn types_set(verb: &Verb) -> Vec<(&str, &'static str)> {
    match verb {
        Verb::Collect { collect, .. } => vec![(&collect.variable, "a text")],
        Verb::Set {
            values, constants, ..
        } => {
            let constants = constants
                .iter()
                .map(|(name, value)| (&**name, type_of(value)));
            // A lone expression may give anything; with words around it, it gives a text.
            let mixed = values.iter().filter(|(_, text)| text.is_mixed());
            constants
                .chain(mixed.map(|(name, _)| (&**name, "a text")))
                .collect()
        }
        Verb::LookUp(look_up) => look_up
            .results
            .iter()
            .filter_map(|wanted| Some((&*wanted.variable, type_of(wanted.otherwise.as_ref()?))))
            .collect(),
        _ => Vec::new(),
    }
}

fn check_field(usage: &Use, field: Option<&str>, known: &[&str], sink: &Sink<'_>) {
    let Some(field) = field else { return };
    if !known.contains(&field) {
        let hint = suggest(field, known.iter().copied())
            .or_else(|| Some(format!("there are: {}", known.join(", "))));
        sink.error_with(
            usage.span.clone(),
            format!("there is no `{}`", usage.name),
            hint,
        );
    }
}

/// Checks one flow's calls of others: arguments, results, languages, and that no flow calls itself through others.
pub(crate) fn calls(flow: &Flow, all: &BTreeMap<Arc<str>, &Flow>, sink: &Sink<'_>) {
    for state in &flow.states {
        let (name, with, results): (_, &[_], &[_]) = match &state.verb {
            Verb::Call {
                flow,
                with,
                results,
                ..
            } => (flow, with, results),
            Verb::Survey { flow, .. } => (flow, &[], &[]),
            _ => continue,
        };
        let Some(called) = all.get(name) else {
            continue;
        };
        let span = || state.span.clone();
        for (argument, _) in with
            .iter()
            .filter(|(argument, _)| !called.arguments.contains_key(argument))
        {
            let hint = suggest(argument, called.arguments.keys().map(|name| &**name));
            sink.error_with(
                span(),
                format!("flow `{name}` takes no argument `{argument}`"),
                hint,
            );
        }
        for (_, result) in results {
            if let Some(lacking) = lacking_result(called, result) {
                let message =
                    format!("flow `{name}` does not return `{result}` in its state `{lacking}`");
                sink.error(span(), message);
            }
        }
        for language in flow
            .languages
            .iter()
            .filter(|language| !called.languages.contains(language))
        {
            sink.error(
                span(),
                format!("flow `{name}` does not speak {}", code(*language)),
            );
        }
        let survey = matches!(state.verb, Verb::Survey { .. });
        if !survey && calls_back(called, &flow.name, all, &mut BTreeSet::new()) {
            let hint = Some("a flow may not call itself; lead to a state instead".to_owned());
            sink.error_with(
                span(),
                format!("flow `{name}` leads back to `{}`", flow.name),
                hint,
            );
        }
    }
}

fn lacking_result<'f>(called: &'f Flow, result: &str) -> Option<&'f str> {
    let mut returns = called.states.iter().filter_map(|state| match &state.verb {
        Verb::Return { results } => Some((state, results)),
        _ => None,
    });
    let lacking = returns.find(|(_, results)| !results.iter().any(|(name, _)| &**name == result));
    lacking.map(|(state, _)| &*state.name)
}

fn calls_back(
    from: &Flow,
    to: &str,
    all: &BTreeMap<Arc<str>, &Flow>,
    seen: &mut BTreeSet<Arc<str>>,
) -> bool {
    if &*from.name == to {
        return true;
    }
    seen.insert(from.name.clone())
        && from.states.iter().any(|state| match &state.verb {
            Verb::Call { flow, .. } => all
                .get(flow)
                .is_some_and(|called| calls_back(called, to, all, seen)),
            _ => false,
        })
}
