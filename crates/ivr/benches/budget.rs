//! The budgets of flows, each printed beside what was measured: `cargo bench -p ivr`.

// A bench talks to whoever runs it.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use clock::Time;
use ivr::{Facts, Flows, Input, Session, Surroundings};

fn load(files: &[(PathBuf, String)]) -> Flows {
    let queues = ["support", "sales"].map(str::to_owned).into();
    let surroundings = Surroundings {
        has_prompt: &|_, _| true,
        queues: &queues,
        numbers: &Default::default(),
    };
    let (flows, diagnostics) = Flows::load(files, &surroundings);
    assert!(diagnostics.is_empty());
    flows
}

fn drain(session: &mut Session) -> usize {
    std::iter::from_fn(|| session.poll_output()).count()
}

/// One call through the main flow in ten steps; the number of outputs.
fn call(flows: &Flows) -> usize {
    let facts = Facts {
        ani: "+8613800138000".into(),
        dnis: "1000".into(),
        ..Facts::default()
    };
    let mut session = Session::new(flows, "main", facts).unwrap();
    let mut outputs = 0;
    let inputs = [Input::Start, Input::Customer(Default::default())].into_iter();
    for (second, input) in inputs
        .chain("2399*131".chars().map(Input::Digit))
        .enumerate()
    {
        session.handle(Time::from_secs(1_700_000_000 + second as u64), input);
        outputs += drain(&mut session);
    }
    outputs
}

fn main() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivr-scripts");
    let text = std::fs::read_to_string(scripts.join("main.toml")).unwrap();
    let test = std::fs::read_to_string(scripts.join("main.test.toml")).unwrap();
    let flows = load(&[("main.toml".into(), text.clone())]);

    let calls = 20_000;
    let start = Instant::now();
    let outputs: usize = (0..calls).map(|_| call(&flows)).sum();
    let step = start.elapsed() / (calls * 10);
    // A caller steps every two seconds or so: 1,000 sessions take 500 steps a second.
    let share = step.as_secs_f64() * 500.0 * 100.0;
    println!(
        "session step: {step:?} ({} outputs a call); 1,000 sessions: {share:.3} % of a core, budget 1 %",
        outputs / calls as usize
    );

    let many: Vec<(PathBuf, String)> = (0..100)
        .map(|n| {
            (
                format!("flow{n}.toml").into(),
                text.replace("name = \"main\"", &format!("name = \"flow{n}\"")),
            )
        })
        .collect();
    let start = Instant::now();
    load(&many);
    println!("check of 100 flows: {:?}, budget 200 ms", start.elapsed());

    let start = Instant::now();
    let mut tests = 0;
    while tests < 1_000 {
        let report = ivr::testing::run(&flows, &test, Path::new("main.test.toml"));
        assert!(report.passed());
        tests += report.tests.len();
    }
    println!("{tests} flow tests: {:?}, budget 1 s", start.elapsed());
}
