//! What a crash leaves half-written is cut off; what is broken otherwise is loud, and the rest can be read by choice.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::fs;
use std::path::Path;

use common::{event, options, personal_event, run, run_with, segments, skipping};
use store::{OnDamage, Options, StoreError};

/// Writes events in separate groups.
fn written(dir: &Path, events: u64, options: &Options) {
    let running = run_with(dir, options.clone()).unwrap();
    for sequence in 1..=events {
        running.write(vec![event(sequence)]);
    }
    running.stop();
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let running = run(dir.path());
    running.write(vec![event(1), event(2)]);
    let path = segments(dir.path())[0].clone();
    let two = fs::metadata(&path).unwrap().len();
    running.write(vec![personal_event(3, "tel:+8613800138000")]);
    running.stop();
    let whole = fs::read(&path).unwrap();
    for end in two as usize..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let running = run(dir.path());
        assert_eq!(running.opened.last_sequence, 2, "torn at {end}");
        assert_eq!(running.opened.truncated_bytes, end as u64 - two);
        assert_eq!(running.opened.truncated_file.is_some(), end as u64 > two);
        running.write(vec![event(3)]);
        assert_eq!(running.sequences(), [1, 2, 3]);
        running.stop();
    }
    // A file that grew without its contents, as after a power cut.
    fs::write(&path, [&whole[..], &[0; 5_000]].concat()).unwrap();
    let running = run(dir.path());
    assert_eq!(
        (running.opened.last_sequence, running.opened.truncated_bytes),
        (3, 5_000)
    );
    running.stop();
}

#[test]
fn a_torn_first_record_or_header_leaves_an_empty_log() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 1, &options());
    let path = segments(dir.path())[0].clone();
    let whole = fs::read(&path).unwrap();
    for end in 0..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let running = run(dir.path());
        assert_eq!(running.opened.last_sequence, 0, "torn at {end}");
        running.write(vec![event(1)]);
        assert_eq!(running.sequences(), [1]);
        running.stop();
    }
}

#[test]
fn a_crash_at_rotation_goes_on_in_the_old_segment() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options {
        segment_bytes: 200,
        ..options()
    };
    written(dir.path(), 9, &small);
    let last = segments(dir.path()).pop().unwrap();
    let whole = fs::read(&last).unwrap();
    fs::write(&last, &whole[..30]).unwrap();
    let running = run_with(dir.path(), small).unwrap();
    let before = running.opened.last_sequence;
    assert!(
        (6..9).contains(&before) && running.opened.truncated_bytes == 30,
        "{:?}",
        running.opened
    );
    running.write((before + 1..=12).map(event).collect());
    assert_eq!(running.sequences(), (1..=12).collect::<Vec<_>>());
    running.stop();
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    written(
        dir.path(),
        6,
        &Options {
            segment_bytes: 250,
            ..options()
        },
    );
    let paths = segments(dir.path());
    assert!(paths.len() >= 2);
    let (first, last) = (&paths[0], &paths[paths.len() - 1]);
    let whole = fs::read(first).unwrap();
    for byte in (0..whole.len()).step_by(3) {
        let mut bent = whole.clone();
        bent[byte] ^= 0x10;
        fs::write(first, &bent).unwrap();
        let error = match run_with(dir.path(), options()) {
            // The header, which opening reads.
            Err(error) => error,
            // A record, which the reader meets.
            Ok(running) => {
                let error = running
                    .handle
                    .reader()
                    .iterate_after(0)
                    .find_map(Result::err)
                    .expect("damage is met");
                running.stop();
                error
            }
        };
        let StoreError::Damaged(damage) = &error else {
            panic!("byte {byte}: {error}")
        };
        assert_eq!(&damage.file, first);
        assert!(
            error
                .to_string()
                .contains(&format!("byte {}", damage.offset))
        );
    }
    fs::write(first, &whole).unwrap();

    // In the last segment the last group may be a torn write; before that it is damage.
    let whole = fs::read(last).unwrap();
    let running = run(dir.path());
    running.write(vec![event(7)]);
    running.stop();
    let longer = fs::read(last).unwrap();
    assert!(longer.len() > whole.len(), "the same segment");
    for byte in (0..whole.len()).step_by(3) {
        let mut bent = longer.clone();
        bent[byte] ^= 0x01;
        fs::write(last, &bent).unwrap();
        assert!(
            matches!(
                run_with(dir.path(), options()),
                Err(StoreError::Damaged(_) | StoreError::Newer { .. })
            ),
            "byte {byte}"
        );
        assert_eq!(fs::read(last).unwrap(), bent, "nothing is touched");
    }
}

#[test]
fn the_rest_is_readable_by_choice() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options {
        segment_bytes: 400,
        ..options()
    };
    written(dir.path(), 30, &small);
    let paths = segments(dir.path());
    assert!(paths.len() >= 4);
    let mut bent = fs::read(&paths[1]).unwrap();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    fs::write(&paths[1], &bent).unwrap();
    let running = run_with(dir.path(), small).unwrap();
    let reader = running.handle.reader();
    assert!(reader.read(0, usize::MAX).is_err());
    let rest: Vec<u64> = reader
        .clone()
        .on_damage(OnDamage::SkipSegment)
        .read(0, usize::MAX)
        .unwrap()
        .iter()
        .map(|record| record.sequence)
        .collect();
    assert!(
        rest.len() < 30 && rest.first() == Some(&1) && rest.last() == Some(&30) && rest.is_sorted()
    );
    assert_eq!(
        reader.read(25, 9).unwrap().len(),
        5,
        "what does not touch the damage is read as ever"
    );
    drop(reader);
    running.stop();

    // A segment that is missing altogether is met too.
    fs::remove_file(&paths[1]).unwrap();
    let running = run(dir.path());
    assert!(matches!(
        running.handle.reader().read(0, usize::MAX),
        Err(StoreError::Damaged(_))
    ));
    running.stop();
}

#[test]
fn a_node_goes_on_past_damage_by_choice() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 9, &options());
    let path = segments(dir.path())[0].clone();
    let mut bent = fs::read(&path).unwrap();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    fs::write(&path, &bent).unwrap();
    assert!(run_with(dir.path(), options()).is_err());
    let running = run_with(dir.path(), skipping()).unwrap();
    assert_eq!(
        (running.opened.last_sequence, running.opened.damaged.len()),
        (9, 1),
        "the end is known from behind the damage"
    );
    running.write(vec![event(10)]);
    assert_eq!(segments(dir.path()).len(), 2);
    assert_eq!(
        fs::read(&path).unwrap(),
        bent,
        "the damaged file stays as it is"
    );
    let rest = running
        .handle
        .reader()
        .on_damage(OnDamage::SkipSegment)
        .read(0, usize::MAX)
        .unwrap();
    assert_eq!(rest.last().unwrap().sequence, 10);
    assert_eq!(running.handle.reader().read(9, 9).unwrap(), [event(10)]);
    running.stop();
    // The next start has no damage in the last segment, and needs no choice.
    let running = run(dir.path());
    assert_eq!(running.opened.last_sequence, 10);
    running.stop();

    // The same with a header.
    bent[3] ^= 1;
    fs::write(&path, &bent).unwrap();
    assert!(run_with(dir.path(), options()).is_err());
    let running = run_with(dir.path(), skipping()).unwrap();
    assert_eq!(
        (running.opened.last_sequence, running.opened.damaged.len()),
        (10, 1)
    );
    running.stop();
}
