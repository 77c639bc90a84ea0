//! Signalling load on the queue path: INVITE → queue → agent's INVITE → bridge → BYE, calls of 2 s, 6,000 skilled agents.
//!
//! The centre is pinned to one core, this generator to the other. Prints calls/s, failures, INVITE→200 percentiles, CPU-seconds per 1000 calls and
//! peak memory, beside the budget. `cargo bench --bench queue_path -- [RATE…] [--seconds N] [--agents N]`.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod load;

use std::time::Duration;

use load::{Generator, TALK, cpu_seconds, memory_mb, percentile_ms};

/// What "clean" means: fewer failures than this share, and the 95th percentile below this.
const FAILURES_MAX: f64 = 0.001;
const P95_MAX: Duration = Duration::from_millis(100);
/// Budget of the design: calls/s on one core, CPU-seconds per 1000 calls, memory.
const BUDGET: &str = "budget: >= 2000 calls/s clean, <= 0.4 CPU-s per 1000 calls, <= 64 MB + 50 kB per call in progress";

struct Options {
    rates: Vec<u32>,
    seconds: u64,
    agents: usize,
}

fn options() -> Options {
    let mut options = Options {
        rates: vec![],
        seconds: 10,
        agents: 6000,
    };
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                options.seconds = arguments
                    .next()
                    .and_then(|value| value.parse().ok())
                    .expect("--seconds N")
            }
            "--agents" => {
                options.agents = arguments
                    .next()
                    .and_then(|value| value.parse().ok())
                    .expect("--agents N")
            }
            rate => options.rates.push(rate.parse().expect("a rate in calls/s")),
        }
    }
    if options.rates.is_empty() {
        options.rates = vec![250, 500, 1000, 1500, 2000, 2500];
    }
    options
}

fn main() {
    let options = options();
    let (server, mut generator) = Generator::start(options.agents);
    let pid = server.child.id();
    println!(
        "{} agents, calls of {TALK:?}, {} s a step; {BUDGET}",
        options.agents, options.seconds
    );
    println!(
        "{:>8} {:>8} {:>7} {:>9} {:>9} {:>9} {:>12} {:>8} {:>8}",
        "calls/s",
        "calls",
        "failed",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "CPU-s/1000",
        "RSS MB",
        "peak MB"
    );
    let mut clean = 0;
    for &rate in &options.rates {
        let before = cpu_seconds(pid);
        let mut run = generator.step(rate, options.seconds);
        let cpu = cpu_seconds(pid) - before;
        let mut percentile = |share| percentile_ms(&mut run.setup, share);
        let (p50, p95, p99) = (percentile(0.50), percentile(0.95), percentile(0.99));
        let failed = run.failed as f64 / run.started as f64;
        if failed < FAILURES_MAX && p95 < P95_MAX.as_secs_f64() * 1e3 {
            clean = clean.max(rate);
        }
        println!(
            "{rate:>8} {:>8} {:>7} {:>9.2} {:>9.2} {:>9.2} {:>12.3} {:>8.1} {:>8.1}",
            run.started,
            run.failed,
            p50,
            p95,
            p99,
            cpu / run.started as f64 * 1000.0,
            memory_mb(pid, "VmRSS"),
            memory_mb(pid, "VmHWM"),
        );
    }
    println!("highest clean rate: {clean} calls/s; {BUDGET}");
}
