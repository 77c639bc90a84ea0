//! What is written comes back, in order, from anywhere, while it is being written, and over restarts.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use common::{event, input, options, personal_event, run, run_with, segments};
use proptest::prelude::*;
use store::{LogReader, Options, Personal, Record, RecordKind, Store, StoreError};

#[test]
fn a_new_log_is_empty_and_counts_its_boots() {
    let dir = tempfile::tempdir().unwrap();
    for boot in 1..4 {
        let running = run(dir.path());
        assert_eq!(
            (
                running.opened.boot,
                running.opened.last_sequence,
                running.opened.last_at
            ),
            (boot, 0, 0)
        );
        assert!(running.sequences().is_empty());
        running.stop();
    }
    assert!(segments(dir.path()).is_empty());
    std::fs::write(dir.path().join("log/boot"), "smudged").unwrap();
    let running = run(dir.path());
    running.write(vec![event(1)]);
    running.stop();
    std::fs::write(dir.path().join("log/boot"), "smudged").unwrap();
    assert_eq!(run(dir.path()).opened.boot, 2, "the segment's header knows");
}

#[test]
fn records_of_all_kinds_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let first = vec![
        input(0, "seed"),
        event(1),
        input(1, "a"),
        personal_event(2, "tel:+8613800138000"),
    ];
    let second = vec![input(2, "b"), event(3)];
    let running = run(dir.path());
    running.write(first.clone());
    assert_eq!(*running.committed.lock().unwrap(), first);
    running.stop();
    let running = run(dir.path());
    assert_eq!(
        (
            running.opened.last_sequence,
            running.opened.last_at,
            running.opened.truncated_bytes
        ),
        (2, 1_002, 0)
    );
    running.write(second.clone());
    let reader = running.handle.reader();
    let all: Vec<Record> = reader.iterate_after(0).collect::<Result<_, _>>().unwrap();
    assert_eq!(all, [first, second].concat());
    assert_eq!(segments(dir.path()).len(), 1);

    let after = |sequence| {
        reader
            .iterate_after(sequence)
            .map(|record| record.unwrap().json.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(after(1), ["a", r#"{"n":2}"#, "b", r#"{"n":3}"#]);
    assert_eq!(after(2), ["b", r#"{"n":3}"#]);
    assert!(after(3).is_empty());
    let from = |sequence| {
        reader
            .iterate_from(sequence)
            .map(|record| record.unwrap().json.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(from(2), [r#"{"n":2}"#, "b", r#"{"n":3}"#]);
    assert_eq!(from(0).len(), 6);
    assert_eq!(
        reader.read(1, 1).unwrap(),
        [personal_event(2, "tel:+8613800138000")]
    );
    assert_eq!(reader.last_sequence(), 3);
}

#[test]
fn segments_rotate_and_every_place_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options {
        segment_bytes: 200_000,
        ..options()
    };
    let running = run_with(dir.path(), small.clone()).unwrap();
    let mut sequence = 0;
    for _ in 0..100 {
        let batch = (0..100).map(|_| {
            sequence += 1;
            event(sequence)
        });
        running.write(batch.collect());
    }
    assert!(segments(dir.path()).len() >= 3);
    let check = |reader: &LogReader| {
        for after in (0..10_000).step_by(97).chain([9_999, 10_000, 20_000]) {
            let got: Vec<u64> = reader
                .read(after, 3)
                .unwrap()
                .iter()
                .map(|record| record.sequence)
                .collect();
            assert_eq!(
                got,
                (after + 1..=10_000).take(3).collect::<Vec<_>>(),
                "after {after}"
            );
        }
        assert_eq!(reader.iterate_after(0).count(), 10_000);
    };
    check(&running.handle.reader());
    running.stop();
    let running = run_with(dir.path(), small).unwrap();
    assert_eq!(running.opened.last_sequence, 10_000);
    check(&running.handle.reader());
    // From outside the process, while it is held: everything but what is personal.
    check(&LogReader::open(dir.path(), None).unwrap());
}

#[test]
fn a_reader_follows_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let running = run_with(
        dir.path(),
        Options {
            segment_bytes: 50_000,
            ..options()
        },
    )
    .unwrap();
    let mut records = running.handle.reader().iterate_after(0);
    assert!(records.next().is_none());
    let reader = running.handle.reader();
    let follower = std::thread::spawn(move || {
        let mut next = 1;
        let mut records = reader.iterate_after(0);
        while next <= 20_000 {
            match records.next() {
                Some(record) => {
                    assert_eq!(record.unwrap().sequence, next);
                    next += 1;
                }
                None => std::thread::yield_now(),
            }
        }
    });
    for sequence in 1..=20_000u64 {
        running.handle.append(vec![event(sequence)]).unwrap();
    }
    follower.join().unwrap();
    assert_eq!(
        records.next().unwrap().unwrap().sequence,
        1,
        "the end was not the end for ever"
    );
    assert_eq!(running.committed.lock().unwrap().len(), 20_000);
    let commits = running
        .handle
        .stats()
        .commits
        .load(std::sync::atomic::Ordering::Relaxed);
    assert!(
        commits < 10_000,
        "{commits} commits for 20,000 batches: groups are written together"
    );
    running.stop();
}

#[test]
fn erasing_a_person_makes_their_part_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let running = run(dir.path());
    running.write(vec![
        personal_event(1, "tel:+8613800138000"),
        personal_event(2, "tel:+8613911112222"),
        event(3),
    ]);
    let bytes = std::fs::read(&segments(dir.path())[0]).unwrap();
    assert!(
        !bytes.windows(11).any(|window| window == b"13800138000"),
        "sealed"
    );
    assert!(running.store.erase_person("tel:+8613800138000").unwrap());
    let people = |reader: LogReader| {
        reader
            .read(0, 9)
            .unwrap()
            .into_iter()
            .map(|record| record.personal.map(|personal| personal.person.to_string()))
            .collect::<Vec<_>>()
    };
    let expected = [None, Some("tel:+8613911112222".to_owned()), None];
    assert_eq!(people(running.handle.reader()), expected);
    running.write(vec![personal_event(4, "tel:+8613800138000")]);
    running.stop();
    let running = run(dir.path());
    assert_eq!(people(running.handle.reader())[..3], expected);
    assert_eq!(
        people(running.handle.reader())[3].as_deref(),
        Some("tel:+8613800138000"),
        "who calls again has a new key"
    );
}

#[test]
fn faults_of_the_caller_are_refused_and_noted() {
    let dir = tempfile::tempdir().unwrap();
    let running = run(dir.path());
    running.write(vec![event(1), event(2), event(2), event(1), event(3)]);
    assert_eq!(running.sequences(), [1, 2, 3]);
    let kinds: Vec<_> = running
        .handle
        .reader()
        .iterate_after(0)
        .map(|record| record.unwrap())
        .filter(|record| record.kind == RecordKind::Lost)
        .collect();
    assert_eq!(kinds.len(), 1);
    assert_eq!(&*kinds[0].json, r#"{"records":2,"from":2,"to":2}"#);
    running.write(vec![Record {
        json: "x".repeat(5_000_000).into(),
        ..event(4)
    }]);
    running.write(vec![Record {
        personal: Some(Personal {
            person: "x".repeat(70_000).into(),
            json: "{}".into(),
        }),
        ..event(4)
    }]);
    assert_eq!(running.sequences(), [1, 2, 3]);
    assert_eq!(
        running
            .handle
            .stats()
            .lost
            .load(std::sync::atomic::Ordering::Relaxed),
        4
    );
    assert_eq!(
        running
            .handle
            .stats()
            .queued_bytes
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
    running.stop();
}

#[test]
fn a_log_belongs_to_one_node_and_a_directory_to_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let running = run(dir.path());
    running.write(vec![event(1)]);
    assert!(matches!(
        run_with(dir.path(), options()),
        Err(StoreError::Locked { .. })
    ));
    running.stop();
    drop(running_store_free(dir.path()));
    assert!(matches!(
        run_with(dir.path(), Options::new("other")),
        Err(StoreError::OtherNode { .. })
    ));
    run(dir.path()).stop();
}

fn running_store_free(dir: &std::path::Path) -> Store {
    Store::open(&store::DataDir::open(dir).unwrap()).unwrap()
}

#[test]
fn after_close_nothing_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let running = run(dir.path());
    let handle = running.handle.clone();
    running.write(vec![event(1)]);
    running.stop();
    assert!(handle.append(vec![event(2)]).is_err());
    assert!(!handle.flush(common::PATIENCE));
    assert_eq!(
        handle
            .stats()
            .lost
            .load(std::sync::atomic::Ordering::Relaxed),
        1
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn any_records_come_back(
        batches in prop::collection::vec(prop::collection::vec((any::<bool>(), ".{0,40}", prop::option::of((".{0,12}", ".{0,40}")), any::<u64>()), 0..8), 1..8),
        segment_bytes in 300u64..4_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let running = run_with(dir.path(), Options { segment_bytes, ..options() }).unwrap();
        let mut sequence = 0;
        let mut all = Vec::new();
        for batch in batches {
            let records: Vec<Record> = batch.into_iter().map(|(is_event, json, personal, at)| {
                sequence += u64::from(is_event);
                let kind = if is_event { RecordKind::Event } else { RecordKind::AcdDecision };
                let personal = personal.map(|(person, json)| Personal { person: person.into(), json: json.into() });
                Record { kind, sequence, at, json: json.into(), personal }
            }).collect();
            all.extend(records.iter().cloned());
            running.handle.append(records).unwrap();
        }
        assert!(running.handle.flush(common::PATIENCE));
        let live: Vec<Record> = running.handle.reader().iterate_after(0).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&live, &all);
        running.stop();
        let running = run(dir.path());
        let again: Vec<Record> = running.handle.reader().iterate_after(0).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(&again, &all);
        running.stop();
    }
}
