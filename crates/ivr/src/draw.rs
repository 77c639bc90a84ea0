//! A flow as a picture: SVG in layers, from the first state down.
//!
//! The usual four steps (Sugiyama, Tagawa and Toda, 1981): turn back edges round, put states into layers, order each layer so that few edges
//! cross, then give places. Edges that pass layers get a bend in each. All of it depends on the flow alone, so that the same flow gives the same picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::flow::{Branch, Command, Flow, Say, Speech, StateId, Verb};

/// Passes over all layers that order them; more change nothing in flows of a hundred states.
const SWEEPS: usize = 12;
/// Passes that move states towards their neighbours.
const SHIFTS: usize = 40;
const NODE_HEIGHT: f64 = 44.0;
const LAYER_HEIGHT: f64 = 112.0;
const GAP: f64 = 26.0;
/// Of an edge that passes a layer.
const BEND_WIDTH: f64 = 12.0;
const MARGIN: f64 = 40.0;
/// A letter of the small and the larger type, on the average; a Chinese one is two.
const LETTER: f64 = 6.6;
/// Longest text in a state.
const MAX_LETTERS: usize = 34;

/// The flow as SVG.
///
/// ```
/// # use ivr::{Flows, Surroundings};
/// let text = "[flow]\nname = 'a'\nstart = 'bye'\n[state.bye]\nhangup = 'system/goodbye'\n";
/// # let (queues, numbers) = (Default::default(), Default::default());
/// # let surroundings = Surroundings { has_prompt: &|_, _| true, queues: &queues, numbers: &numbers };
/// let (flows, _) = Flows::load(&[("a.toml".into(), text.into())], &surroundings);
/// assert!(ivr::draw(flows.get("a").unwrap()).starts_with("<svg"));
/// ```
pub fn draw(flow: &Flow) -> String {
    let edges = edges(flow);
    let mut layout = Layout::new(flow, &edges);
    layout.order();
    layout.place();
    picture(flow, &layout)
}

/// All ways from one state to another, together.
struct Edge {
    from: StateId,
    to: StateId,
    labels: Vec<String>,
    /// Only what goes wrong leads this way.
    exceptional: bool,
}

fn edges(flow: &Flow) -> Vec<Edge> {
    let mut found: BTreeMap<(StateId, StateId), (Vec<String>, bool)> = BTreeMap::new();
    for (from, state) in flow.states.iter().enumerate() {
        let own = state.verb.branches(&flow.defaults).into_iter();
        let own = own.filter_map(|(branch, to)| Some((branch, to?)));
        for (branch, to) in own {
            let entry = found.entry((from, to)).or_insert((Vec::new(), true));
            entry.0.extend(label(&state.verb, branch));
            entry.1 &= is_exceptional(branch);
        }
    }
    let edge = |((from, to), (labels, exceptional))| Edge {
        from,
        to,
        labels,
        exceptional,
    };
    found.into_iter().map(edge).collect()
}

fn label(verb: &Verb, branch: Branch) -> Option<String> {
    match (branch, verb) {
        (Branch::Next, _) => None,
        (Branch::Key(key), Verb::Confirm { yes, .. }) if key == yes.0 => Some(format!("{key} yes")),
        (Branch::Key(key), Verb::Confirm { .. }) => Some(format!("{key} no")),
        (Branch::Key(key), _) => Some(key.to_string()),
        (Branch::Case(number), Verb::Decide { cases, .. }) => cases
            .get(number)
            .map(|(condition, _)| short(condition.source())),
        (branch, _) => Some(branch.to_string().trim_start_matches("on_").to_owned()),
    }
}

fn is_exceptional(branch: Branch) -> bool {
    matches!(
        branch,
        Branch::Unanswered
            | Branch::Returned(_)
            | Branch::Missing
            | Branch::Failed
            | Branch::TimedOut
            | Branch::Refused
            | Branch::Locked
    )
}

/// A state, or the bend of an edge in a layer that it passes.
struct Node {
    state: Option<StateId>,
    layer: usize,
    width: f64,
    /// Its middle.
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// An edge and the nodes that it goes through, from above downwards.
struct Route<'e> {
    edge: &'e Edge,
    through: Vec<usize>,
    /// It leads upwards.
    back: bool,
}

struct Layout<'e> {
    nodes: Vec<Node>,
    routes: Vec<Route<'e>>,
    /// Nodes of each layer from left to right.
    layers: Vec<Vec<usize>>,
}

impl<'e> Layout<'e> {
    fn new(flow: &Flow, edges: &'e [Edge]) -> Self {
        let (down, order) = without_circles(flow, edges);
        let layer_of = layers(flow.states.len(), &down, &order);
        let mut nodes: Vec<Node> = flow
            .states
            .iter()
            .enumerate()
            .map(|(state, _)| Node {
                state: Some(state),
                layer: layer_of[state],
                width: width(flow, state),
                x: 0.0,
                above: Vec::new(),
                below: Vec::new(),
            })
            .collect();
        let mut routes = Vec::new();
        for (edge, (upper, lower, back)) in edges.iter().zip(down) {
            let mut through = vec![upper];
            for layer in layer_of[upper] + 1..layer_of[lower] {
                through.push(nodes.len());
                nodes.push(Node {
                    state: None,
                    layer,
                    width: BEND_WIDTH,
                    x: 0.0,
                    above: Vec::new(),
                    below: Vec::new(),
                });
            }
            through.push(lower);
            for pair in through.windows(2).filter(|pair| pair[0] != pair[1]) {
                nodes[pair[0]].below.push(pair[1]);
                nodes[pair[1]].above.push(pair[0]);
            }
            routes.push(Route {
                edge,
                through,
                back,
            });
        }
        let count = nodes.iter().map(|node| node.layer + 1).max().unwrap_or(0);
        let mut layers = vec![Vec::new(); count];
        for state in order.into_iter().chain(flow.states.len()..nodes.len()) {
            layers[nodes[state].layer].push(state);
        }
        Layout {
            nodes,
            routes,
            layers,
        }
    }

    /// Each layer in the order of the middles of its neighbours: down, up, down, …
    fn order(&mut self) {
        for sweep in 0..SWEEPS {
            let mut place = vec![0.0; self.nodes.len()];
            for layer in &self.layers {
                let width = layer.len().max(1) as f64;
                for (at, node) in layer.iter().enumerate() {
                    place[*node] = (at as f64 + 0.5) / width;
                }
            }
            let downwards = sweep % 2 == 0;
            for layer in &mut self.layers {
                let key = |node: &usize| {
                    let node_of = &self.nodes[*node];
                    let near = if downwards {
                        &node_of.above
                    } else {
                        &node_of.below
                    };
                    match near.len() {
                        0 => place[*node],
                        count => near.iter().map(|near| place[*near]).sum::<f64>() / count as f64,
                    }
                };
                layer.sort_by(|a, b| key(a).total_cmp(&key(b)));
                let width = layer.len().max(1) as f64;
                for (at, node) in layer.iter().enumerate() {
                    place[*node] = (at as f64 + 0.5) / width;
                }
            }
        }
    }

    /// Gives every node its place: near the middle of its neighbours, in the layer's order and not upon another.
    fn place(&mut self) {
        for layer in &self.layers {
            let mut x = 0.0;
            for node in layer {
                let node = &mut self.nodes[*node];
                node.x = x + node.width / 2.0;
                x += node.width + GAP;
            }
        }
        for shift in 0..SHIFTS {
            for at in 0..self.layers.len() {
                let at = if shift % 2 == 0 {
                    at
                } else {
                    self.layers.len() - 1 - at
                };
                self.shift(at);
            }
        }
        let left = |node: &Node| node.x - node.width / 2.0;
        let least = self.nodes.iter().map(left).fold(f64::INFINITY, f64::min);
        let least = if least.is_finite() { least } else { 0.0 };
        for node in &mut self.nodes {
            node.x += MARGIN - least;
        }
    }

    fn shift(&mut self, layer: usize) {
        let layer = &self.layers[layer];
        let wanted: Vec<f64> = layer
            .iter()
            .map(|node| {
                let node = &self.nodes[*node];
                let near = node.above.iter().chain(&node.below);
                let count = near.clone().count();
                match count {
                    0 => node.x,
                    _ => near.map(|near| self.nodes[*near].x).sum::<f64>() / count as f64,
                }
            })
            .collect();
        let apart = |a: usize, b: usize| (self.nodes[a].width + self.nodes[b].width) / 2.0 + GAP;
        // As far left as wanted and possible, as far right as wanted and possible, and the middle of both.
        let (mut lefts, mut rights) = (wanted.clone(), wanted);
        for at in 1..layer.len() {
            lefts[at] = lefts[at].max(lefts[at - 1] + apart(layer[at - 1], layer[at]));
        }
        for at in (1..layer.len()).rev() {
            rights[at - 1] = rights[at - 1].min(rights[at] - apart(layer[at - 1], layer[at]));
        }
        for (at, node) in layer.iter().enumerate() {
            self.nodes[*node].x = (lefts[at] + rights[at]) / 2.0;
        }
    }
}

/// Edges as (upper, lower, turned round), and the states in the order of a walk from the start on which every edge leads on.
fn without_circles(flow: &Flow, edges: &[Edge]) -> (Vec<(StateId, StateId, bool)>, Vec<StateId>) {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        OnTheWay,
        Done,
    }
    let mut seen = vec![Seen::Not; flow.states.len()];
    let mut back = vec![false; edges.len()];
    let mut order = Vec::new();
    let roots = std::iter::once(flow.start).chain(0..flow.states.len());
    for root in roots {
        if seen[root] != Seen::Not {
            continue;
        }
        seen[root] = Seen::OnTheWay;
        // Depth first with its own stack: (state, next edge to look at).
        let mut stack = vec![(root, 0)];
        while let Some((state, at)) = stack.last_mut() {
            let Some(edge) = edges.get(*at) else {
                seen[*state] = Seen::Done;
                order.push(*state);
                stack.pop();
                continue;
            };
            let number = *at;
            *at += 1;
            if edge.from != *state {
                continue;
            }
            match seen[edge.to] {
                Seen::Not => {
                    seen[edge.to] = Seen::OnTheWay;
                    stack.push((edge.to, 0));
                }
                Seen::OnTheWay => back[number] = true,
                Seen::Done => {}
            }
        }
    }
    order.reverse();
    let down = edges.iter().zip(&back).map(|(edge, back)| match back {
        true => (edge.to, edge.from, true),
        false => (edge.from, edge.to, false),
    });
    (down.collect(), order)
}

/// A state lies below all that lead to it.
fn layers(count: usize, down: &[(StateId, StateId, bool)], order: &[StateId]) -> Vec<usize> {
    let mut layer = vec![0; count];
    for state in order {
        for (upper, lower, _) in down
            .iter()
            .filter(|(upper, lower, _)| upper == state && upper != lower)
        {
            layer[*lower] = layer[*lower].max(layer[*upper] + 1);
        }
    }
    layer
}

fn lines(flow: &Flow, state: StateId) -> (String, String) {
    let state = &flow.states[state];
    let what = match &state.verb {
        Verb::Say { speech, .. } | Verb::Menu { speech, .. } | Verb::Confirm { speech, .. } => {
            said(speech)
        }
        Verb::Collect { collect, .. } => collect.variable.to_string(),
        Verb::Authenticate { .. } => "PIN".to_owned(),
        Verb::LookUp(look_up) => look_up.question.told(),
        Verb::Message(message) => message.kind.to_string(),
        Verb::Set {
            values,
            constants,
            language,
            ..
        } => {
            let names = values
                .iter()
                .map(|(name, _)| name)
                .chain(constants.iter().map(|(name, _)| name));
            let mut names: Vec<&str> = names.map(|name| &**name).collect();
            names.extend(language.iter().map(|_| "language"));
            names.join(", ")
        }
        Verb::Queue { queue, .. } => queue.to_string(),
        Verb::Transfer { to, .. } => to.constant().unwrap_or("…").to_owned(),
        Verb::Call { flow, .. } | Verb::Survey { flow, .. } => flow.to_string(),
        Verb::Hangup { speech } => speech.as_ref().map(said).unwrap_or_default(),
        Verb::Decide { .. } | Verb::Hours { .. } | Verb::Return { .. } => String::new(),
    };
    let star = if state.goal { "★ " } else { "" };
    let verb = state.verb.name();
    (
        format!("{star}{}", state.name),
        short(format!("{verb} {what}").trim()),
    )
}

fn said(speech: &Speech) -> String {
    let first = speech.items.iter().find_map(|item| match item {
        Say::File { name, .. } => Some(name.to_string()),
        Say::Spoken { .. } | Say::Text(_) | Say::Silence { .. } | Say::Agent => None,
    });
    first.unwrap_or_default()
}

fn short(text: &str) -> String {
    if text.chars().count() <= MAX_LETTERS {
        return text.to_owned();
    }
    text.chars().take(MAX_LETTERS - 1).chain(['…']).collect()
}

fn letters(text: &str) -> usize {
    text.chars()
        .map(|letter| if letter.is_ascii() { 1 } else { 2 })
        .sum()
}

fn width(flow: &Flow, state: StateId) -> f64 {
    let (name, what) = lines(flow, state);
    letters(&name).max(letters(&what)) as f64 * LETTER + 24.0
}

/// Fill of a state by what its verb does.
fn colour(verb: &Verb) -> &'static str {
    match verb {
        Verb::Menu { .. }
        | Verb::Collect { .. }
        | Verb::Confirm { .. }
        | Verb::Authenticate { .. } => "#dbeafe",
        Verb::Say { .. } => "#ffffff",
        Verb::Decide { .. } | Verb::Set { .. } | Verb::Hours { .. } => "#fef3c7",
        Verb::LookUp(_) | Verb::Message(_) => "#ede9fe",
        Verb::Queue { .. } | Verb::Transfer { .. } | Verb::Survey { .. } => "#dcfce7",
        Verb::Call { .. } | Verb::Return { .. } => "#f3f4f6",
        Verb::Hangup { .. } => "#fee2e2",
    }
}

fn picture(flow: &Flow, layout: &Layout<'_>) -> String {
    let right = layout
        .nodes
        .iter()
        .map(|node| node.x + node.width / 2.0)
        .fold(0.0, f64::max);
    let legend = keys(flow);
    let width = (right + MARGIN).max(legend.chars().count() as f64 * LETTER + 2.0 * MARGIN);
    let height = layout.layers.len() as f64 * LAYER_HEIGHT + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\">\n\
         <title>{name}</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path d=\"M0 0 8 4 0 8z\" fill=\"#374151\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"{MARGIN}\" y=\"26\" font-size=\"15\" font-weight=\"bold\">{name}</text>\n",
        name = escaped(&flow.name),
    );
    if !legend.is_empty() {
        let _ = writeln!(
            svg,
            "<text x=\"{MARGIN}\" y=\"{:.0}\" font-size=\"11\" fill=\"#374151\">{}</text>",
            height - 14.0,
            escaped(&legend)
        );
    }
    layout
        .routes
        .iter()
        .for_each(|route| line(&mut svg, layout, route));
    for node in &layout.nodes {
        if let Some(state) = node.state {
            draw_state(&mut svg, flow, state, node);
        }
    }
    // Labels last, so that nothing lies over them.
    for route in &layout.routes {
        caption(&mut svg, layout, route, nth(layout, route));
    }
    svg.push_str("</svg>\n");
    svg
}

/// What keys do everywhere.
fn keys(flow: &Flow) -> String {
    let keys = flow.keys.iter().map(|(key, command)| match command {
        Command::Go(to) => format!("{key} → {}", flow.states[*to].name),
        Command::Repeat => format!("{key} repeats"),
        Command::Back => format!("{key} goes back"),
    });
    let keys: Vec<String> = keys.collect();
    if keys.is_empty() {
        return String::new();
    }
    format!("wherever the flow listens: {}", keys.join(", "))
}

fn top(node: &Node) -> f64 {
    node.layer as f64 * LAYER_HEIGHT + MARGIN
}

fn draw_state(svg: &mut String, flow: &Flow, state: StateId, node: &Node) {
    let (name, what) = lines(flow, state);
    let (x, y) = (node.x - node.width / 2.0, top(node));
    let border = if state == flow.start { 2.5 } else { 1.0 };
    let _ = write!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{NODE_HEIGHT}\" rx=\"7\" fill=\"{}\" stroke=\"#374151\" stroke-width=\"{border}\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" font-weight=\"bold\" text-anchor=\"middle\">{}</text>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"#374151\" text-anchor=\"middle\">{}</text>\n",
        node.width,
        colour(&flow.states[state].verb),
        node.x,
        y + 18.0,
        escaped(&name),
        node.x,
        y + 34.0,
        escaped(&what),
    );
}

/// The points of an edge: from the lower side of the upper state to the upper side of the lower one. A state that leads to itself has a loop at its right.
fn points(layout: &Layout<'_>, route: &Route<'_>) -> Vec<(f64, f64)> {
    let last = route.through.len() - 1;
    let point = |(at, node): (usize, &usize)| {
        let node = &layout.nodes[*node];
        match at {
            0 => (node.x, top(node) + NODE_HEIGHT),
            at if at == last => (node.x, top(node)),
            _ => (node.x, top(node) + NODE_HEIGHT / 2.0),
        }
    };
    route.through.iter().enumerate().map(point).collect()
}

fn line(svg: &mut String, layout: &Layout<'_>, route: &Route<'_>) {
    let style = match (route.edge.exceptional, route.back) {
        (true, _) => "stroke=\"#9ca3af\" stroke-dasharray=\"4 3\"",
        (false, true) => "stroke=\"#2563eb\"",
        (false, false) => "stroke=\"#374151\"",
    };
    let mut path = String::new();
    if route.edge.from == route.edge.to {
        let node = &layout.nodes[route.edge.from];
        let (x, y) = (node.x + node.width / 2.0, top(node) + NODE_HEIGHT / 2.0);
        let _ = write!(
            path,
            "M{x:.1} {:.1} C{:.1} {:.1} {:.1} {:.1} {x:.1} {:.1}",
            y + 8.0,
            x + 34.0,
            y + 24.0,
            x + 34.0,
            y - 24.0,
            y - 8.0
        );
    } else {
        let points = points(layout, route);
        let _ = write!(path, "M{:.1} {:.1}", points[0].0, points[0].1);
        for pair in points.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            let bow = (y1 - y0) / 2.0;
            let _ = write!(
                path,
                " C{x0:.1} {:.1} {x1:.1} {:.1} {x1:.1} {y1:.1}",
                y0 + bow,
                y1 - bow
            );
        }
    }
    let tip = if route.back {
        "marker-start"
    } else {
        "marker-end"
    };
    let _ = writeln!(
        svg,
        "<path d=\"{path}\" fill=\"none\" {style} {tip}=\"url(#tip)\"/>"
    );
}

/// Which of its state's edges it is, from the left: the captions of neighbours stand at different heights.
fn nth(layout: &Layout<'_>, route: &Route<'_>) -> usize {
    let next = |route: &Route<'_>| {
        let mut through = route.through.clone();
        if route.back {
            through.reverse();
        }
        through.get(1).map_or(0.0, |node| layout.nodes[*node].x)
    };
    let own = next(route);
    let same = layout
        .routes
        .iter()
        .filter(|other| other.edge.from == route.edge.from);
    same.filter(|other| next(other) < own).count()
}

/// Near the state that the edge leaves, where its neighbours have parted from it.
fn caption(svg: &mut String, layout: &Layout<'_>, route: &Route<'_>, nth: usize) {
    if route.edge.labels.is_empty() {
        return;
    }
    let (x, y) = if route.edge.from == route.edge.to {
        let node = &layout.nodes[route.edge.from];
        (
            node.x + node.width / 2.0 + 30.0,
            top(node) + NODE_HEIGHT / 2.0,
        )
    } else {
        let mut points = points(layout, route);
        if route.back {
            points.reverse();
        }
        let ((x0, y0), (x1, y1)) = (points[0], points[1]);
        // On the curve itself: its control points lie straight below and above its ends, half the way between them.
        let t: f64 = [0.3, 0.48, 0.66][nth % 3];
        let (early, late) = (3.0 * (1.0 - t) * (1.0 - t) * t, 3.0 * (1.0 - t) * t * t);
        let end = t * t * t;
        (
            x0 + (x1 - x0) * (late + end),
            y0 + (y1 - y0) * ((early + late) / 2.0 + end),
        )
    };
    let fill = if route.edge.exceptional {
        "#6b7280"
    } else {
        "#111827"
    };
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"10.5\" fill=\"{fill}\" text-anchor=\"middle\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\">{}</text>",
        escaped(&route.edge.labels.join(", "))
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
