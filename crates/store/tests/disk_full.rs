//! A disk that takes no more: records wait in memory, the state is loud, and nothing is lost when there is room again.
//!
//! A limit on the size of files stands in for the full disk: writes beyond it fail with EFBIG, in the log and in the databases alike.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use common::{PATIENCE, event, personal_event, run};
use store::{DataDir, Log, LogWriter, Options, Store};

const DIR: &str = "CORDBOARD_TEST_FULL_DIR";
const EVENTS: u64 = 20_000;

/// Not a test by itself: the process whose files cannot grow until its parent lets them.
#[test]
#[ignore = "run by the test below"]
fn child_on_a_full_disk() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let say = |text: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "child: {text}")
            .and_then(|()| out.flush())
            .unwrap();
    };
    let data = DataDir::open(dir).unwrap();
    let store = Store::open(&data).unwrap();
    let (log, _) = Log::open(&data, Options::new("test")).unwrap();
    let handle = LogWriter::spawn(
        log,
        &store,
        |_| {},
        move |trouble| say(if trouble.is_some() { "trouble" } else { "well" }),
    )
    .unwrap();
    for sequence in 1..=EVENTS {
        // Some of a person each, so that the keys' database must grow as well.
        let record = if sequence % 4 == 0 {
            personal_event(sequence, &format!("tel:{sequence}"))
        } else {
            event(sequence)
        };
        handle.append(vec![record]).unwrap();
    }
    assert!(handle.flush(PATIENCE));
    assert!(handle.trouble().is_none());
    assert_eq!(
        handle
            .stats()
            .lost
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
    assert!(
        handle
            .stats()
            .errors
            .load(std::sync::atomic::Ordering::Relaxed)
            > 0
    );
    assert!(handle.close(PATIENCE));
    say("done");
}

#[test]
fn records_wait_for_room() {
    for limit_kib in [600, 1_200] {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path()).stop(); // the databases exist
        let mut child = Command::new("sh")
            // The limit's signal is ignored, so that the write fails instead; `ulimit -f` counts blocks of 512 bytes.
            .args([
                "-c",
                r#"trap '' XFSZ; ulimit -S -f "$1"; shift; exec "$@""#,
                "sh",
                &(limit_kib * 2).to_string(),
            ])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_on_a_full_disk",
                "--ignored",
                "--nocapture",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(|line| line.unwrap())
            .filter_map(|line| line.split_once("child: ").map(|(_, text)| text.to_owned()));
        assert_eq!(
            said.next().as_deref(),
            Some("trouble"),
            "at {limit_kib} KiB"
        );
        let room = Command::new("prlimit")
            .args([
                "--pid",
                &child.id().to_string(),
                "--fsize=unlimited:unlimited",
            ])
            .status()
            .unwrap();
        assert!(room.success());
        let rest: Vec<String> = said.collect();
        assert!(child.wait().unwrap().success(), "{rest:?}");
        assert_eq!(rest.last().map(String::as_str), Some("done"));

        let running = run(dir.path());
        assert_eq!(running.opened.truncated_bytes, 0);
        let mut next = 1;
        for record in running.handle.reader().iterate_after(0) {
            let record = record.unwrap();
            assert_eq!(record.sequence, next);
            assert_eq!(record.personal.is_some(), next % 4 == 0);
            next += 1;
        }
        assert_eq!(next, EVENTS + 1);
        running.stop();
    }
}
