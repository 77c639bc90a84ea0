//! Recordings on disk: readable to the last whole chunk, by nobody without the person's key, and found by contact, age and person.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::fs;
use std::path::{Path, PathBuf};

use store::{Begun, DataDir, Ended, Store};

const DAY: u64 = 86_400_000_000_000;

fn begun(contact: &str, began: u64) -> Begun {
    Begun {
        contact: contact.to_owned(),
        began,
        queue: Some("support".to_owned()),
        agent: Some("1001".to_owned()),
    }
}

fn ended(at: u64) -> Ended {
    Ended {
        at,
        length_ms: 1_000,
        agents: vec!["1001".to_owned()],
        customers: vec!["C1".to_owned()],
        header: b"head".to_vec(),
        reason: None,
    }
}

fn open(dir: &Path) -> Store {
    Store::open(&DataDir::open(dir).unwrap()).unwrap()
}

/// Writes a whole one of three chunks; where its file is.
fn write(store: &Store, contact: &str, person: &str, at: u64) -> PathBuf {
    let mut writer = store
        .begin_recording(&begun(contact, at), &person.into())
        .unwrap();
    writer.append(10, b"first ").unwrap();
    writer.append(20, b"second ").unwrap();
    let closed = writer
        .finish(5, b"third")
        .map_err(|failed| failed.0)
        .unwrap();
    let kept = store.keep_recording(closed, &ended(at)).unwrap().unwrap();
    assert_eq!((kept.complete, kept.contact.as_str()), (true, contact));
    PathBuf::from(kept.file)
}

fn heard(store: &Store, contact: &str, from: u64) -> Vec<u8> {
    let mut playback = store.open_recording(contact).unwrap().unwrap();
    let mut heard = Vec::new();
    while from + (heard.len() as u64) < playback.octets() {
        heard.extend(playback.from(from + heard.len() as u64).unwrap());
    }
    heard
}

#[test]
fn what_was_written_is_read_from_any_place_and_is_not_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let file = write(&store, "cb1-1-1", "tel:1", 20_000 * DAY);
    let whole = b"headfirst second third";
    for from in 0..=whole.len() {
        assert_eq!(
            heard(&store, "cb1-1-1", from as u64),
            whole[from..],
            "from {from}"
        );
    }
    let path = dir.path().join("recordings").join(&file);
    assert!(path.ends_with("2024-10-04/cb1-1-1.cbr"), "{path:?}");
    let octets = fs::read(&path).unwrap();
    let has = |text: &[u8]| octets.windows(text.len()).any(|window| window == text);
    assert!(!has(b"first") && !has(b"tel:1"));
    let row = store.recording("cb1-1-1").unwrap().unwrap();
    assert_eq!(row.bytes, octets.len() as u64);
    let sum = std::process::Command::new("sha256sum")
        .arg(&path)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&sum.stdout).starts_with(&row.checksum));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(store.open_recording("cb1-1-2").unwrap().is_none());
}

#[test]
fn a_changed_moved_or_missing_chunk_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let file = write(&store, "cb1-1-1", "tel:1", DAY);
    let path = dir.path().join("recordings").join(file);
    let sound = fs::read(&path).unwrap();
    let all = |store: &Store| {
        let mut playback = store.open_recording("cb1-1-1")?.unwrap();
        let mut at = 0;
        while at < playback.octets() {
            at += playback.from(at)?.len() as u64;
        }
        Ok::<_, store::StoreError>(at)
    };
    assert_eq!(all(&store).unwrap(), 22);
    for n in 0..sound.len() {
        let mut bent = sound.clone();
        bent[n] ^= 0x40;
        fs::write(&path, &bent).unwrap();
        // A length that is bent may cut the file short; nothing of it is read otherwise than it was written.
        assert!(all(&store).map_or(true, |octets| octets < 22), "octet {n}");
    }
    // The chunks without the second one: the lengths say where they are.
    let chunk = |at: usize| 4 + u32::from_le_bytes(sound[at..at + 4].try_into().unwrap()) as usize;
    let last = 4 + 4 + 5 + 16;
    let second = 4 + 4 + 7 + 16;
    let at = sound.len() - last - second;
    assert_eq!(chunk(at), second);
    fs::write(&path, [&sound[..at], &sound[at + second..]].concat()).unwrap();
    assert!(all(&store).is_err());
    fs::write(&path, &sound).unwrap();
    assert_eq!(all(&store).unwrap(), 22);
}

#[test]
fn a_crash_leaves_what_was_written_up_to_the_last_whole_chunk() {
    for cut in 0..70 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let mut writer = store
            .begin_recording(&begun("cb1-1-1", DAY), &"tel:1".into())
            .unwrap();
        writer.append(8_000, b"first ").unwrap();
        writer.append(8_000, b"second").unwrap();
        drop(writer);
        let path = dir.path().join("recordings/1970-01-02/cb1-1-1.part");
        let length = fs::metadata(&path).unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length - cut).unwrap();
        drop(store);
        let store = open(dir.path());
        let recovered = store
            .recover_recordings(8_000, |samples| format!("{samples}:").into())
            .unwrap();
        let expected: &[u8] = match cut {
            0 => b"16000:first second",
            1..=30 => b"8000:first ",
            _ => b"",
        };
        if expected.is_empty() {
            assert!(recovered.is_empty() && !path.exists(), "{cut}");
            continue;
        }
        let [one] = recovered.as_slice() else {
            panic!("{recovered:?}")
        };
        assert_eq!(
            (one.complete, one.reason.as_deref()),
            (false, Some("interrupted"))
        );
        assert_eq!(one.length_ms, if cut == 0 { 2_000 } else { 1_000 });
        assert_eq!(heard(&store, "cb1-1-1", 0), expected, "{cut}");
        assert!(
            store
                .recover_recordings(8_000, |_| vec![])
                .unwrap()
                .is_empty(),
            "once"
        );
    }
}

#[test]
fn erasing_a_person_removes_their_voice_and_makes_copies_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let file = write(&store, "cb1-1-1", "tel:1", DAY);
    write(&store, "cb1-1-2", "tel:2", DAY);
    let path = dir.path().join("recordings").join(file);
    let copy = fs::read(&path).unwrap();
    // One is being recorded meanwhile.
    let mut writer = store
        .begin_recording(&begun("cb1-1-3", DAY), &"tel:1".into())
        .unwrap();
    writer.append(1, b"x").unwrap();
    assert!(store.erase_person("tel:1").unwrap());
    assert!(!path.exists());
    assert!(store.recording("cb1-1-1").unwrap().is_none());
    let closed = writer.finish(1, b"y").map_err(|failed| failed.0).unwrap();
    assert_eq!(store.keep_recording(closed, &ended(DAY)).unwrap(), None);
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "the other one's"
    );
    assert_eq!(heard(&store, "cb1-1-2", 0), b"headfirst second third");
    // A copy of the file from a backup does not speak either.
    let back = path.with_file_name("cb1-1-9.part");
    fs::write(&back, copy).unwrap();
    assert!(
        store
            .recover_recordings(8_000, |_| vec![])
            .unwrap()
            .is_empty()
    );
    assert!(!back.exists());
}

#[test]
fn the_old_ones_are_found_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for (n, day) in [5, 1, 3, 2].into_iter().enumerate() {
        write(&store, &format!("cb1-1-{n}"), "tel:1", day * DAY);
    }
    assert_eq!(
        store.recordings_before(3 * DAY, 10).unwrap(),
        ["cb1-1-1", "cb1-1-3"]
    );
    assert_eq!(store.recordings_before(30 * DAY, 3).unwrap().len(), 3);
    assert!(store.delete_recording("cb1-1-1").unwrap());
    assert!(!store.delete_recording("cb1-1-1").unwrap());
    assert_eq!(store.recordings_before(3 * DAY, 10).unwrap(), ["cb1-1-3"]);
    assert!(store.open_recording("cb1-1-1").unwrap().is_none());
}

#[test]
fn what_could_not_be_written_on_stays_up_to_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut writer = store
        .begin_recording(&begun("cb1-1-1", DAY), &"tel:1".into())
        .unwrap();
    writer.append(10, b"first").unwrap();
    let mut facts = ended(DAY);
    facts.reason = Some("disk_full".to_owned());
    let kept = store
        .keep_recording(writer.give_up(), &facts)
        .unwrap()
        .unwrap();
    assert!(!kept.complete);
    assert_eq!(heard(&store, "cb1-1-1", 0), b"headfirst");
    assert!(
        store
            .begin_recording(&begun("cb1-1-1", DAY), &"tel:1".into())
            .is_ok(),
        "its name is free again"
    );
}
