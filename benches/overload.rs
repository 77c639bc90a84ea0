//! A storm of ten times the load: who is served goes on being served, who is refused hears it at once, and afterwards all is as before (issue 3).
//!
//! 1x is the load at 80 % of a core, found by measuring. `cargo bench --bench overload -- [--seconds N] [--agents N] [--rate CALLS_PER_SECOND]`.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod load;

use load::{Generator, Run, cpu_seconds, memory_mb, percentile_ms};

/// How busy the core of 1x is.
const BUSY: f64 = 0.8;
const STORM: u32 = 10;
/// Calls that were there before the storm, and have to be there after it.
const ESTABLISHED: u32 = 200;
/// The rate at which a call's price is found.
const PROBE: u32 = 200;
/// All is as before so long after the storm.
const RECOVERED_AFTER: u64 = 10;
const GOODPUT_MIN: f64 = 0.9;
const REFUSED_P99_MAX_MS: f64 = 50.0;
/// DESIGN section 7: the centre, and each call in progress.
const MEMORY_MB: f64 = 64.0;
const MEMORY_MB_PER_CALL: f64 = 0.05;

struct Options {
    seconds: u64,
    agents: usize,
    /// 1x, instead of finding it.
    rate: Option<u32>,
}

fn options() -> Options {
    let mut options = Options {
        seconds: 60,
        agents: 6000,
        rate: None,
    };
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let value: u64 = arguments
            .next()
            .and_then(|value| value.parse().ok())
            .expect("a number");
        match argument.as_str() {
            "--seconds" => options.seconds = value,
            "--agents" => options.agents = value as usize,
            "--rate" => options.rate = Some(value as u32),
            other => panic!("{other}: --seconds, --agents or --rate"),
        }
    }
    options
}

fn main() {
    let options = options();
    let (server, mut generator) = Generator::start(options.agents);
    let pid = server.child.id();
    let one = options
        .rate
        .unwrap_or_else(|| find_one(&mut generator, pid));
    let short = (options.seconds / 4).max(3);

    generator.holding = true;
    let held = generator.step(ESTABLISHED, 1).setup.len() as u64;
    generator.holding = false;
    let (mut before, busy) = measured(&mut generator, pid, one, short);
    let rss = memory_mb(pid, "VmRSS");
    show("1x", &mut before, busy, rss);
    let (mut storm, busy) = measured(&mut generator, pid, one * STORM, options.seconds);
    show("storm", &mut storm, busy, memory_mb(pid, "VmRSS"));
    generator.rest(RECOVERED_AFTER);
    let (mut after, busy) = measured(&mut generator, pid, one, short);
    let rss_after = memory_mb(pid, "VmRSS");
    show("after", &mut after, busy, rss_after);
    let kept = generator.release();

    let ceiling = MEMORY_MB + MEMORY_MB_PER_CALL * (storm.most as f64 + held as f64);
    let peak = memory_mb(pid, "VmHWM");
    let share = storm.goodput() / before.goodput();
    let refused = percentile_ms(&mut storm.refused, 0.99);
    let unheard = storm.failed - storm.refused.len() as u64;
    let p95 = |run: &mut Run| percentile_ms(&mut run.setup, 0.95);
    let (p95_before, p95_after) = (p95(&mut before), p95(&mut after));
    println!("{:<46} {:>12} {:>22}", "", "measured", "budget");
    row(
        "really sent, times 1x",
        storm.rate() / before.rate(),
        9.5,
        true,
    );
    row(
        "goodput in the storm, share of 1x",
        share,
        GOODPUT_MIN,
        true,
    );
    println!(
        "refusals came after p50 {:.1}, p95 {:.1} ms",
        percentile_ms(&mut storm.refused, 0.50),
        percentile_ms(&mut storm.refused, 0.95),
    );
    row("refusal within, p99 ms", refused, REFUSED_P99_MAX_MS, false);
    row(
        "different Retry-After",
        storm.retry_after.len() as f64,
        2.0,
        true,
    );
    row(
        "neither served nor refused, share",
        unheard as f64 / storm.started as f64,
        0.001,
        false,
    );
    row(
        "established calls lost",
        (generator.lost + held - kept) as f64,
        0.0,
        false,
    );
    row("peak memory, MB", peak, ceiling, false);
    row(
        "failed afterwards, share",
        after.failed as f64 / after.started as f64,
        0.001,
        false,
    );
    row(
        "set-up p95 afterwards, ms",
        p95_after,
        (2.0 * p95_before).max(p95_before + 5.0),
        false,
    );
}

/// The rate at which the centre has its core busy as far as 1x says.
fn find_one(generator: &mut Generator, pid: u32) -> u32 {
    generator.step(PROBE, 3);
    let cpu = cpu_seconds(pid);
    let run = generator.step(PROBE, 5);
    let of_a_call = (cpu_seconds(pid) - cpu) / run.started as f64;
    let one = (BUSY / of_a_call) as u32;
    println!(
        "a call takes {:.3} ms of CPU: 1x is {one} calls/s",
        of_a_call * 1e3
    );
    one
}

/// A step, and how busy the centre's core was.
fn measured(generator: &mut Generator, pid: u32, rate: u32, seconds: u64) -> (Run, f64) {
    let cpu = cpu_seconds(pid);
    let run = generator.step(rate, seconds);
    // With the end of the last calls, which is a little more than was begun in this time.
    let busy = (cpu_seconds(pid) - cpu) / run.seconds;
    (run, busy)
}

fn show(name: &str, run: &mut Run, busy: f64, rss: f64) {
    println!(
        "{name:>6}: {:.0} calls/s begun, {:.0} answered, {} refused, {} failed; set-up p50 {:.1} p95 {:.1} p99 {:.1} ms; core {:.0} %, {rss:.0} MB",
        run.rate(),
        run.goodput(),
        run.refused.len(),
        run.failed - run.refused.len() as u64,
        percentile_ms(&mut run.setup, 0.50),
        percentile_ms(&mut run.setup, 0.95),
        percentile_ms(&mut run.setup, 0.99),
        busy * 100.0,
    );
}

fn row(what: &str, measured: f64, budget: f64, at_least: bool) {
    let (sign, good) = if at_least {
        (">=", measured >= budget)
    } else {
        ("<=", measured <= budget)
    };
    let verdict = if good { "" } else { "MISSED" };
    println!("{what:<46} {measured:>12.3} {sign:>10} {budget:>11.3} {verdict}");
}
