//! `kill -9` at any moment loses nothing that was acknowledged, and leaves no gap.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use common::{PATIENCE, personal_event, run};
use store::{DataDir, Log, LogWriter, Options, Store};

const DIR: &str = "CORDBOARD_TEST_KILLED_DIR";
const ROUNDS: u32 = 8;

/// Not a test by itself: the process that is killed. It appends for ever and prints each sequence that is on disk.
#[test]
#[ignore = "run by the test below"]
fn child_appends() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let data = DataDir::open(dir).unwrap();
    let store = Store::open(&data).unwrap();
    // Small segments, so that rotation is killed too.
    let (log, opened) = Log::open(
        &data,
        Options {
            segment_bytes: 40_000,
            ..Options::new("test")
        },
    )
    .unwrap();
    let acknowledge = |sequence: u64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {sequence}")
            .and_then(|()| out.flush())
            .unwrap();
    };
    let handle = LogWriter::spawn(
        log,
        &store,
        move |group| acknowledge(group.sequence),
        |_| {},
    )
    .unwrap();
    let mut sequence = opened.last_sequence;
    loop {
        // New persons all the time: their keys must be there when their records are.
        let batch = (0..sequence % 7 + 1).map(|_| {
            sequence += 1;
            personal_event(sequence, &format!("tel:+86138{:08}", sequence / 3))
        });
        handle.append(batch.collect()).unwrap();
        if sequence.is_multiple_of(50) {
            assert!(handle.flush(PATIENCE));
        }
        if handle
            .stats()
            .queued_bytes
            .load(std::sync::atomic::Ordering::Relaxed)
            > 64 << 10
        {
            assert!(handle.flush(PATIENCE));
        }
    }
}

fn start(dir: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_appends", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut child = start(dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after so many acknowledgements, at whatever it is doing then.
        let rounds = 1 + round * round * 2;
        let heard = |line: String| {
            line.rsplit_once("acknowledged ")
                .and_then(|(_, number)| number.parse::<u64>().ok())
        };
        let mut count = 0;
        while count < rounds {
            let line = lines
                .next()
                .expect("the child lives until it is killed")
                .unwrap();
            if let Some(sequence) = heard(line) {
                acknowledged = sequence;
                count += 1;
            }
        }
        child.kill().unwrap(); // SIGKILL
        // What it had said before it died counts too.
        for line in lines.map_while(Result::ok) {
            acknowledged = heard(line).unwrap_or(0).max(acknowledged);
        }
        child.wait().unwrap();

        let running = run(dir.path());
        assert_eq!(
            running.opened.boot,
            u64::from(round) * 2 + 2,
            "each open is a boot"
        );
        assert!(
            running.opened.last_sequence >= acknowledged,
            "{acknowledged} was acknowledged, {} is there",
            running.opened.last_sequence
        );
        let mut next = 1;
        for record in running.handle.reader().iterate_after(0) {
            let record = record.unwrap();
            assert_eq!(
                record,
                personal_event(
                    next,
                    &record.personal.as_ref().expect("its key is there").person
                )
            );
            next += 1;
        }
        assert_eq!(next, running.opened.last_sequence + 1);
        running.stop();
    }
}
