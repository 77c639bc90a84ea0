//! What there is beside running a flow: pictures, callers who press anything, demands on coverage.

// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;

use ivr::{Flows, Surroundings, testing};

fn load(text: &str) -> Flows {
    let surroundings = Surroundings {
        has_prompt: &|_, _| true,
        queues: &["support", "sales"].map(str::to_owned).into(),
        numbers: &["1001".to_owned()].into(),
    };
    let (flows, diagnostics) = Flows::load(&[("main.toml".into(), text.into())], &surroundings);
    assert!(diagnostics.is_empty(), "{}", diagnostics[0]);
    flows
}

fn main_flow() -> Flows {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ivr-scripts/main.toml");
    load(&std::fs::read_to_string(path).unwrap())
}

/// Left side, top and width of the states.
fn boxes(svg: &str) -> Vec<(f64, f64, f64)> {
    let number = |line: &str, name: &str| -> f64 {
        let rest = line.split(&format!(" {name}=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap().parse().unwrap()
    };
    svg.lines()
        .filter(|line| line.contains("rx=\"7\""))
        .map(|line| (number(line, "x"), number(line, "y"), number(line, "width")))
        .collect()
}

#[test]
fn a_picture_has_every_state_and_none_upon_another() {
    let flows = main_flow();
    let flow = flows.get("main").unwrap();
    let svg = ivr::draw(flow);
    let boxes = boxes(&svg);
    assert_eq!(boxes.len(), flow.states().count());
    for state in flow.states() {
        let plain = svg.contains(&format!(">{state}<"));
        assert!(plain || svg.contains(&format!("★ {state}<")), "{state}");
    }
    for (at, (x, y, width)) in boxes.iter().enumerate() {
        for (other_x, other_y, other_width) in &boxes[..at] {
            let beside = *x >= other_x + other_width || *other_x >= x + width;
            assert!(y != other_y || beside, "two states at {x}, {y}");
        }
    }
    assert!(
        svg.contains("customer.class == 'A'"),
        "conditions stand at their ways"
    );
    assert_eq!(svg, ivr::draw(flow), "the same picture each time");
}

#[test]
fn texts_in_a_picture_are_escaped() {
    let flows = load(
        r#"
[flow]
name = "main"
start = "a"
[variables]
n = 1
[state.a]
decide = [{ if = "n < 2 and 'x&y' != '<'", next = "b" }]
otherwise = "b"
[state.b]
hangup = true
"#,
    );
    let svg = ivr::draw(flows.get("main").unwrap());
    assert!(svg.contains("n &lt; 2 and 'x&amp;y'"), "{svg}");
}

#[test]
fn callers_who_press_anything_walk_through_the_main_flow() {
    let flows = main_flow();
    let fuzzed = testing::fuzz(&flows, "main", 7, 500).unwrap();
    assert_eq!(fuzzed.failures, []);
    let (states, branches) = (&fuzzed.coverage.states, &fuzzed.coverage.branches);
    assert_eq!(states.percent(), 100, "{:?}", states.missed);
    assert!(branches.percent() >= 90, "{:?}", branches.missed);
    let again = testing::fuzz(&flows, "main", 7, 500).unwrap();
    assert_eq!(fuzzed, again, "a seed repeats");
}

#[test]
fn an_expression_that_can_fail_is_found() {
    let flows = load(
        r#"
[flow]
name = "main"
start = "ask"
[state.ask]
collect = "n"
prompt = "ask"
max = 3
next = "word"
[state.word]
set = { word = "{{ n ~ 'x' }}" }
next = "which"
[state.which]
decide = [{ if = "n == '7' or n == '77'", next = "say" }]
otherwise = "bye"
[state.say]
say = { number = "{{ word }}" }
next = "bye"
[state.bye]
hangup = true
"#,
    );
    let fuzzed = testing::fuzz(&flows, "main", 1, 5_000).unwrap();
    let failure = &fuzzed.failures[0];
    assert!(
        failure.message.contains("an expression failed"),
        "{failure:?}"
    );
    let pressed = |line: &String| line == "pressed 7";
    assert!(failure.happened.iter().any(pressed), "{failure:?}");
}

#[test]
fn a_demand_on_coverage_is_met_or_not() {
    let flows = load(
        r#"
[flow]
name = "main"
start = "a"
coverage = { states = 100, branches = 100 }
[state.a]
menu = "m"
keys = { 1 = "b" }
[state.b]
hangup = true
"#,
    );
    let main = flows.get("main").unwrap();
    let demand = main.demand().unwrap();
    assert_eq!((demand.line, demand.column), (5, 12));
    let lacks = |text: Option<&str>| {
        let path = Path::new("main.test.toml");
        testing::lacks(&flows, main, text, path).unwrap_or_default()
    };
    let test = |steps: &str| format!("[[test]]\nname = 'x'\nsteps = \"\"\"\n{steps}\n\"\"\"\n");
    assert_eq!(
        lacks(None),
        "it demands coverage by tests, but there is no main.test.toml"
    );
    assert_eq!(
        lacks(Some(&test("press 2\nexpect hangup"))),
        "its tests in main.test.toml do not pass"
    );
    assert_eq!(
        lacks(Some(&test("press 1\nexpect hangup"))),
        "branch coverage by main.test.toml is 50 %, 100 % is demanded"
    );
    let both = test("press 1\nexpect hangup") + &test("wait 60s\nexpect hangup");
    assert_eq!(lacks(Some(&both)), "");
}
