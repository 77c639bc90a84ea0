//! What customers cost: an import of a million, and a look-up by phone among them.
//!
//! `cargo run --release -p store --example measure_customers [CUSTOMERS]`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement talks to a person"
)]

use std::fmt::Write;
use std::time::Instant;

use crm::Number;
use store::{DataDir, Store};

const BATCH: usize = 10_000;
const LOOK_UPS: usize = 100_000;

fn main() {
    let count: u64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let start = Instant::now();
    crm::warm_up();
    println!(
        "warm-up of the number plans: {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );
    for raw in [
        "+8613800138000",
        "13800138000",
        "010-65529988",
        "+12127365000",
    ] {
        let start = Instant::now();
        (0..10_000).for_each(|_| drop(std::hint::black_box(Number::parse(raw, "CN"))));
        println!(
            "parse {raw}: {:.2} µs",
            start.elapsed().as_secs_f64() * 100.0
        );
    }
    let mut file = String::from("id,name,class,phones,language,tags,notes,city\n");
    for n in 0..count {
        // Scattered over the index, as real numbers are.
        writeln!(
            file,
            "C{n},客户 {n},{},{},zh-CN,vip;renewal,一些备注,上海",
            ["A", "B", "C", ""][n as usize % 4],
            phone(n)
        )
        .unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    let store = Store::open(&data).unwrap();
    let start = Instant::now();
    let before = cpu();
    let mut batch = Vec::with_capacity(BATCH);
    for customer in crm::read_customers(file.as_bytes(), "CN") {
        batch.push(customer.unwrap());
        if batch.len() == BATCH {
            store.put_customers(&batch).unwrap();
            batch.clear();
        }
    }
    store.put_customers(&batch).unwrap();
    let size = std::fs::metadata(dir.path().join("tables.redb"))
        .unwrap()
        .len();
    println!(
        "import of {count}: {:.1} s, of which {:.1} s of CPU (budget 60 s for a million), {} MB on disk",
        start.elapsed().as_secs_f64(),
        cpu() - before,
        size >> 20
    );
    drop(file);
    drop(store);
    let start = Instant::now();
    let store = Store::open(&data).unwrap();
    println!(
        "opening: {:.0} ms (budget of the whole start 5 s)",
        start.elapsed().as_secs_f64() * 1e3
    );
    for round in ["first", "warm"] {
        let mut took: Vec<u128> = (0..LOOK_UPS as u64)
            .map(|n| {
                let number = Number {
                    e164: Some(format!("+86{}", phone(n.wrapping_mul(7_919) % count))),
                    raw: String::new(),
                };
                let start = Instant::now();
                let found = store.customers_by_phone(&number).unwrap();
                let took = start.elapsed().as_nanos();
                assert!(!found.is_empty());
                took
            })
            .collect();
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize] as f64 / 1e3;
        println!(
            "{round} look-ups: median {:.1} µs, p99 {:.1} µs (budget 50 µs warm), p99.9 {:.1} µs",
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
    let resident = std::fs::read_to_string("/proc/self/status").unwrap();
    println!(
        "{}",
        resident
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap_or_default()
    );
}

/// CPU seconds of this process; the clock ticks 100 times a second.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn phone(n: u64) -> u64 {
    13_800_000_000 + n.wrapping_mul(48_271) % 99_999_989
}
