//! The prompts that ship: every text has been spoken, every file can be played, every number can be said.
#![allow(clippy::unwrap_used)] // the helpers of a test are part of it

use std::path::{Path, PathBuf};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clock::Time;
use media::{
    Codec, Command, Direction, Event, Format, Item, Lang, Plane, PlaneConfig, PlayId, Port,
    Prompts, Rtcp, StreamId, Wishes, rtp, speech,
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivr-scripts/prompts")
}

/// Names and files below a directory, without the extension.
fn files(directory: &Path, prefix: &str, found: &mut Vec<(String, PathBuf)>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap());
        if path.is_dir() {
            files(&path, &format!("{name}/"), found);
        } else {
            found.push((name, path));
        }
    }
}

fn load() -> Prompts {
    let mut prompts = Prompts::default();
    for (lang, folder, prefix) in [
        (Some(Lang::ZhCn), "zh-CN", ""),
        (Some(Lang::En), "en", ""),
        (None, "music", "music/"),
    ] {
        let mut found = Vec::new();
        files(&directory().join(folder), prefix, &mut found);
        for (name, path) in found {
            let file = std::fs::read(&path).unwrap();
            let extension = path.extension().unwrap().to_str().unwrap();
            prompts
                .insert(lang, &name, &file, extension)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    prompts
}

/// Talk-off: nothing that the shipped voices say is a key, though the line has no events and the plane listens for tones.
#[test]
fn no_word_of_the_prompts_is_taken_for_a_key() {
    let prompts = load();
    let spoken: Vec<(Lang, String)> = prompts
        .names()
        .filter_map(|(lang, name)| Some((lang?, name.to_owned())))
        .collect();
    let mut plane = Plane::new(PlaneConfig::default(), Arc::new(prompts));
    let mut now = Time::from_secs(1_000);
    let phone = SocketAddr::from(([192, 0, 2, 1], 7_000));
    for stream in [1, 2] {
        let open = Command::Open {
            stream: StreamId(stream),
            port: Port {
                plane: 0,
                number: 4_000 + stream as u16 * 2,
            },
            ssrc: stream as u32,
        };
        plane.handle(now, open);
        let update = Command::Update {
            stream: StreamId(stream),
            remote: phone,
            rtcp: Rtcp::Muxed,
            behind: None,
            format: Format {
                codec: Codec::Pcmu,
                payload_type: 0,
                ptime: Duration::from_millis(20),
                telephone_event: None,
                event_rate: 8_000,
                wishes: Wishes::default(),
            },
            direction: Direction::SendReceive,
        };
        plane.handle(now, update);
    }
    let (mut packets, mut keys) = (0u64, Vec::new());
    for (number, (lang, name)) in spoken.iter().enumerate() {
        let item = Item::Prompt {
            lang: *lang,
            name: name.as_str().into(),
        };
        let play = Command::Play {
            stream: StreamId(1),
            play: PlayId(number as u64),
            items: [item].into(),
            barge_in: false,
        };
        plane.handle(now, play);
        let mut over = false;
        while !over {
            let mut said = Vec::new();
            now = now.max(plane.poll_timeout().expect("it plays").0);
            plane.handle_timeout(now, &mut |port, _, packet| {
                if port.number == 4_002 && !rtp::is_rtcp(packet) {
                    said.push(packet.to_vec());
                }
            });
            for mut packet in said {
                packets += 1;
                plane.receive(now, 4_004, phone, &mut packet, &mut |_, _, _| {});
            }
            while let Some(event) = plane.poll_event() {
                match event {
                    Event::Dtmf { digit, .. } => keys.push((name, digit)),
                    Event::Played { .. } => over = true,
                    _ => {}
                }
            }
        }
    }
    let seconds = packets / 50;
    assert!(
        seconds > 60,
        "{seconds} s of speech in {} prompts",
        spoken.len()
    );
    assert_eq!(keys, [], "in {seconds} s of speech");
}

#[test]
fn every_text_is_spoken_and_can_be_played() {
    let prompts = load();
    let texts = std::fs::read_to_string(directory().join("texts.toml")).unwrap();
    let mut lang = None;
    let mut count = 0;
    for line in texts.lines() {
        match line {
            "[zh-CN]" => lang = Some(Lang::ZhCn),
            "[en]" => lang = Some(Lang::En),
            _ if line.starts_with('#') || line.is_empty() => {}
            _ => {
                let (name, text) = line.split_once(" = ").unwrap();
                let (lang, name, text) = (
                    lang.expect("a table comes first"),
                    name.trim_matches('"'),
                    text.trim_matches('"'),
                );
                let length = prompts
                    .duration(lang, name)
                    .unwrap_or_else(|| panic!("{lang:?} {name}: run `make prompts`"));
                let expected =
                    text.chars().count() as f64 * if lang == Lang::ZhCn { 0.1 } else { 0.03 };
                assert!(
                    length.as_secs_f64() > expected.min(3.0),
                    "{name}: {length:?} for {text}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 90 && prompts.has_music("music/default"));
}

#[test]
fn every_number_can_be_said() {
    let prompts = load();
    for lang in [Lang::ZhCn, Lang::En] {
        for name in speech::names(lang) {
            assert!(prompts.has(lang, name), "{lang:?} {name}");
        }
    }
}
