//! What the log costs: microseconds of CPU for each record, and how long a commit takes, at 40,000 records a second.
//!
//! `cargo run --release -p store --example measure_log [SECONDS]`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement talks to a person"
)]

use std::time::{Duration, Instant};

use store::{DataDir, Log, LogWriter, Options, Personal, Record, RecordKind, Store};

const RECORDS_PER_SECOND: u64 = 40_000;
const BATCH: u64 = 4;
/// An event as long as `contact.offered` without its pop.
const JSON: &str = r#"{"type":"contact.offered","data":{"contact":"n1-1-123456","queue":"support","visit":1,"offer":1,"agent":"1001","group":"day","ring_ms":20000,"dnis":"2000"}}"#;
const PERSONAL: &str = r#"{"ani":"+8613800138000","pop":{"customers":[{"id":"C1001","name":"张伟","class":"A","language":"zh-CN","tags":["vip"]}],"last_contacts":[]}}"#;

fn main() {
    let seconds: u64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(5);
    println!("target: 40,000 records/s in half a core: 12.5 µs of CPU a record");
    measure("nothing personal", seconds, |_| None);
    measure("1 of 4 personal, 10,000 callers", seconds, |n| {
        (n % 4 == 0).then_some(n / 4 % 10_000)
    });
    measure("1 of 4 personal, 1 of 20 a new caller", seconds, |n| {
        (n % 4 == 0).then_some(n / 20)
    });
    seal(500_000);
}

fn record(sequence: u64, person: Option<u64>) -> Record {
    let personal = person.map(|person| Personal {
        person: format!("tel:+86138{person:08}").into(),
        json: PERSONAL.into(),
    });
    Record {
        kind: RecordKind::Event,
        sequence,
        at: sequence,
        json: JSON.into(),
        personal,
    }
}

fn measure(what: &str, seconds: u64, person: impl Fn(u64) -> Option<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let store = Store::open(&data).unwrap();
    let (log, _) = Log::open(&data, Options::new("measure")).unwrap();
    let handle = LogWriter::spawn(log, &store, drop, |_| {}).unwrap();
    let (start, before) = (Instant::now(), cpu("/proc/self/task", "log-writer"));
    let mut sequence = 0;
    while sequence < seconds * RECORDS_PER_SECOND {
        let due = (start.elapsed().as_micros() as u64) * RECORDS_PER_SECOND / 1_000_000;
        while sequence < due {
            let batch = (0..BATCH).map(|_| {
                sequence += 1;
                record(sequence, person(sequence))
            });
            handle.append(batch.collect()).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(handle.flush(Duration::from_secs(60)));
    let took = start.elapsed();
    let used = cpu("/proc/self/task", "log-writer") - before;
    let stats = handle.stats();
    let commits = stats.commits.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "{what}: {sequence} records in {:.1} s, {:.2} µs of the writer's CPU a record, {commits} commits of {:.2} ms on average, {} bytes a record",
        took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / sequence as f64,
        stats.commit_seconds() * 1e3 / commits as f64,
        stats.bytes.load(std::sync::atomic::Ordering::Relaxed) / sequence,
    );
    handle.close(Duration::from_secs(5));
}

fn seal(count: u32) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&DataDir::open(dir.path()).unwrap()).unwrap();
    let people: Vec<Personal> = (0..1000)
        .filter_map(|person| record(1, Some(person)).personal)
        .collect();
    let mut out = Vec::new();
    let mut run = |count: u32| {
        let before = cpu("/proc/self/task", "measure_log");
        for n in 0..count {
            out.clear();
            store
                .keys()
                .seal(
                    &people[n as usize % people.len()],
                    b"associated data of 28 bytes.",
                    &mut out,
                )
                .unwrap();
        }
        (cpu("/proc/self/task", "measure_log") - before).as_secs_f64() * 1e6 / f64::from(count)
    };
    run(1000);
    println!(
        "sealing {} bytes under a key at hand: {:.2} µs of CPU (budget 3 µs)",
        PERSONAL.len(),
        run(count)
    );
}

/// CPU time of this process's threads of that name; the clock ticks 100 times a second.
fn cpu(tasks: &str, name: &str) -> Duration {
    let ticks = |stat: &str| {
        let (head, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        head.ends_with(name)
            .then(|| fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap())
    };
    let tasks = std::fs::read_dir(tasks).unwrap();
    let sum: u64 = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok())
        .filter_map(|stat| ticks(&stat))
        .sum();
    Duration::from_millis(sum * 10)
}
