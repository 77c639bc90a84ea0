//! `cordboard simulate`: the shipped example, its seeds, its tables, and what is wrong with a forecast.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config");

fn simulate(arguments: &[&str]) -> Output {
    let forecast = format!("{CONFIG}/demo-forecast.csv");
    Command::new(env!("CARGO_BIN_EXE_cordboard"))
        .args(["simulate", "--config", CONFIG, "--forecast", &forecast])
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn json(output: &Output) -> Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_the_numbers_add_up() {
    let one = simulate(&["--seed", "7", "--runs", "3", "--json"]);
    assert_eq!(
        one.stdout,
        simulate(&["--seed", "7", "--runs", "3", "--json"]).stdout
    );
    assert_ne!(
        one.stdout,
        simulate(&["--seed", "8", "--runs", "3", "--json"]).stdout
    );
    let lines = json(&one)["lines"].as_array().expect("lines").clone();
    assert_eq!(
        lines.len(),
        36 + 3,
        "each interval and queue, each queue's day, and all"
    );
    let offered = |wanted: &dyn Fn(&Value) -> bool| -> f64 {
        let of = lines.iter().filter(|line| wanted(line));
        of.map(|line| line["offered"]["mean"].as_f64().expect("a number"))
            .sum()
    };
    let intervals = offered(&|line| line["interval_start"] != "day");
    let day = offered(&|line| line["queue"] == "all");
    assert!((intervals - day).abs() < 1e-6, "{intervals} and {day}");
    assert!(day > 1_000.0);
}

#[test]
fn another_configuration_with_the_same_callers() {
    let dir = tempfile::tempdir().expect("a directory");
    for file in [
        "cordboard.toml",
        "agents.toml",
        "trunks.toml",
        "demo-customers.csv",
    ] {
        std::fs::copy(Path::new(CONFIG).join(file), dir.path().join(file)).expect("a copy");
    }
    let queues = std::fs::read_to_string(Path::new(CONFIG).join("queues.toml")).expect("queues");
    let queues = queues.replace("ring = \"20s\"", "max_wait = \"10s\"\nring = \"20s\"");
    std::fs::write(dir.path().join("queues.toml"), queues).expect("queues");
    let flows = concat!(env!("CARGO_MANIFEST_DIR"), "/ivr-scripts");
    let centre = std::fs::read_to_string(dir.path().join("cordboard.toml")).expect("centre");
    let centre = match centre.contains("[ivr]") {
        true => centre.replacen("[ivr]", &format!("[ivr]\ndir = \"{flows}\""), 1),
        false => format!("{centre}\n[ivr]\ndir = \"{flows}\"\n"),
    };
    std::fs::write(dir.path().join("cordboard.toml"), centre).expect("centre");
    let other = dir.path().to_str().expect("UTF-8");
    let told = json(&simulate(&["--vs", other, "--runs", "5", "--json"]));
    let all = told["differences"]
        .as_array()
        .and_then(|all| all.last())
        .expect("a day");
    assert_eq!(all["offered"]["mean"], 0.0, "the same callers: {all}");
    assert!(
        all["turned_away"]["mean"].as_f64().expect("a number") > 0.0,
        "{all}"
    );
}

#[test]
fn a_first_staffing() {
    let output = simulate(&["--staff", "80/20", "--json"]);
    let told = json(&output);
    let row = &told["staff"][0];
    assert_eq!(
        (row["queue"].as_str(), row["interval_start"].as_str()),
        (Some("support"), Some("09:00"))
    );
    // 38 calls of 210 s in half an hour are 4.43 erlangs: 7 agents answer 84 % within 20 s, 6 only 65 %.
    assert_eq!(row["agents"], 7);
    let table = simulate(&["--staff", "80/20"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("erlangs"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("plan.csv");
    let header = "interval_start,queue,arrivals,aht_seconds,patience_seconds,staff";
    let run = |text: &str| {
        std::fs::write(&file, format!("{header}\n{text}\n")).expect("a file");
        let output = Command::new(env!("CARGO_BIN_EXE_cordboard"))
            .args(["simulate", "--config", CONFIG, "--forecast"])
            .arg(&file)
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(run("09:00,support,1,1,1").contains("plan.csv:2:1: 5 cells instead of 6"));
    assert!(run("09:00,billing,1,1,1,1").contains("no queue `billing`"));
    let neither = Command::new(env!("CARGO_BIN_EXE_cordboard"))
        .args(["simulate", "--config", CONFIG])
        .output()
        .expect("the binary runs");
    assert_eq!(
        neither.status.code(),
        Some(2),
        "neither a forecast nor a log"
    );
}
