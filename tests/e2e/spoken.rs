//! What flows say: by grammar, read out, and in codecs of every packet time; sample for sample, without a gap.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use media::speech::{Currency, Date, Spoken};
use media::{
    Codec, Command, Direction, Event, Format, Item, Lang, Plane, PlaneConfig, PlayId, Port,
    Prompts, Rtcp, StreamId, Wishes,
};

use crate::baresip::Baresip;
use crate::centre::{Centre, QUEUES, agents};
use crate::hostile::still_fine;
use crate::raw::{Caller, EVENT, converse};

/// A centre whose number 1000 leads to this flow, with the shipped prompts.
fn centre(flow: &str, files: &[(&str, &str)], set: &[&str]) -> Centre {
    let directory = Arc::new(tempfile::tempdir().expect("a directory"));
    let put = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        if text.starts_with("#!") {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("rights");
        }
    };
    put("config/queues.toml", QUEUES);
    put("config/agents.toml", &agents());
    put("ivr-scripts/main.toml", flow);
    files.iter().for_each(|(name, text)| put(name, text));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-scripts/prompts");
    std::os::unix::fs::symlink(shipped, directory.path().join("ivr-scripts/prompts"))
        .expect("a link");
    let mut all = vec!["ivr.dir=../ivr-scripts"];
    all.extend(set);
    Centre::start_in(directory, &all)
}

/// What a plane sends for these items: its packets' payloads.
fn payloads(items: Vec<Item>) -> Vec<Vec<u8>> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-scripts/prompts");
    let (prompts, _): (Prompts, _) = server::prompts::load(&scripts);
    let mut plane = Plane::new(PlaneConfig::default(), Arc::new(prompts));
    let mut now = clock::Time::from_secs(1_000);
    let (stream, remote) = (StreamId(1), SocketAddr::from(([192, 0, 2, 1], 7_000)));
    let port = Port {
        plane: 0,
        number: 4_000,
    };
    plane.handle(
        now,
        Command::Open {
            stream,
            port,
            ssrc: 1,
        },
    );
    let format = Format {
        codec: Codec::Pcma,
        payload_type: 8,
        ptime: Duration::from_millis(20),
        telephone_event: Some(101),
        event_rate: 8_000,
        wishes: Wishes::default(),
    };
    let update = Command::Update {
        stream,
        remote,
        rtcp: Rtcp::Muxed,
        behind: None,
        format,
        direction: Direction::SendReceive,
    };
    plane.handle(now, update);
    let play = Command::Play {
        stream,
        play: PlayId(1),
        items: items.into(),
        barge_in: false,
    };
    plane.handle(now, play);
    let mut sent = Vec::new();
    loop {
        now = now.max(plane.poll_timeout().expect("it plays").0);
        plane.handle_timeout(now, &mut |_, _, packet| {
            if !media::rtp::is_rtcp(packet) {
                sent.push(packet[12..].to_vec());
            }
        });
        while let Some(event) = plane.poll_event() {
            if matches!(event, Event::Played { .. }) {
                return sent;
            }
        }
    }
}

/// Calls, hears all, and gives the payloads; every packet is 20 ms after the one before by its time stamp.
fn heard(centre: &Centre) -> Vec<Vec<u8>> {
    let mut caller = Caller::new(centre);
    caller.dial("1000");
    caller.answered();
    let start = std::time::Instant::now();
    let mut before = 0;
    // Until nothing more comes: the flow has hung up.
    loop {
        converse("speech", &mut [(&mut caller.rtp, 440.0)], |_| true);
        let now = caller.rtp.heard.len();
        if now > 50 && now == before {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it never ends");
        if caller
            .rtp
            .heard
            .last()
            .is_some_and(|packet| packet.at.elapsed() > Duration::from_secs(2))
        {
            before = now;
        }
    }
    caller.rtp.assert_one_stream();
    for pair in caller.rtp.heard.windows(2).filter(|pair| !pair[1].marker) {
        assert_eq!(
            pair[1].timestamp.wrapping_sub(pair[0].timestamp),
            160,
            "a gap in what is said"
        );
    }
    let spurts = caller
        .rtp
        .heard
        .iter()
        .filter(|packet| packet.marker)
        .count();
    assert_eq!(spurts, 1, "all of it is one piece");
    (caller.rtp.heard.iter())
        .filter(|packet| packet.payload_type != EVENT)
        .map(|packet| packet.payload.clone())
        .collect()
}

#[test]
fn a_date_a_time_a_sum_and_an_agent_are_said_without_a_gap() {
    let flow = r#"
[flow]
name = "main"
start = "told"
languages = ["zh-CN"]
[state.told]
hangup = [
  { date = "2026-11-24T15:05:00+08:00" }, { time = "2026-11-24T15:05:00+08:00" },
  { money = "{{ 12.5 * 2 }}", currency = "CNY" }, { agent = 1001 },
]
"#;
    let centre = centre(flow, &[], &[]);
    let lang = Lang::ZhCn;
    let said = [
        Spoken::Date(Date {
            year: Some(2026),
            month: 11,
            day: 24,
            weekday: Some(2),
        }),
        Spoken::Time {
            hour: 15,
            minute: 5,
        },
        Spoken::Money {
            negative: false,
            units: 25,
            hundredths: 0,
            currency: Currency::Cny,
        },
        Spoken::Agent("1001".into()),
    ];
    let items = said.map(|what| Item::Spoken { lang, what }).into();
    let wanted = payloads(items);
    assert!(wanted.len() > 200, "{} packets", wanted.len());
    assert!(
        heard(&centre) == wanted,
        "sample for sample what the prompts are"
    );
    still_fine(&centre);
}

/// A speech engine: a tone of 900 Hz for each text of yuan, nothing for a slow one.
const ENGINE: &str = r#"#!/usr/bin/env python3
import math, struct, sys, time
if "--version" in sys.argv:
    print("tone 1"); sys.exit()
text = sys.stdin.read()
open(sys.argv[1], "a").write(text + "\n")
if "slow" in text:
    time.sleep(60)
samples = b"".join(struct.pack("<h", int(9000 * math.sin(n * 900 / 16000 * math.tau))) for n in range(16000))
sys.stdout.buffer.write(b"RIFF\xff\xff\xff\x7fWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16) + b"data\xff\xff\xff\x7f" + samples)
"#;

const READS: &str = r#"
[flow]
name = "main"
start = "read"
languages = ["en"]
[state.read]
say = { text = "You have {{ call.dnis }} yuan" }
next = "fixed"
[state.fixed]
say = { text = "yuan" }
next = "slow"
[state.slow]
hangup = { text = "slow {{ call.dnis }}" }
"#;

#[test]
fn texts_are_read_out_kept_on_disk_and_replaced_when_they_take_too_long() {
    let directory = tempfile::tempdir().expect("a directory");
    let texts = directory.path().join("texts");
    let command = format!(
        "speech.command=[\"{}\", \"{}\", \"{{voice}}\"]",
        directory.path().join("speak").display(),
        texts.display()
    );
    let speak = directory.path().join("speak");
    std::fs::write(&speak, ENGINE).expect("a programme");
    std::fs::set_permissions(&speak, PermissionsExt::from_mode(0o755)).expect("rights");
    let set = [
        command.as_str(),
        "speech.timeout=2s",
        "speech.otherwise=system/error",
    ];
    let centre = centre(READS, &[], &set);
    for call in 1..=2 {
        let mut caller = Baresip::start_as(centre.sip(), "13800138000", None, 440, "");
        caller.command("dial", &format!("sip:1000@{}", centre.sip()));
        caller.wait("CALL_ESTABLISHED");
        caller.wait_tone(900);
        caller.wait("CALL_CLOSED");
        let made = std::fs::read_to_string(&texts).expect("what was made");
        let of = |text: &str| made.lines().filter(|line| *line == text).count();
        assert_eq!(
            (of("You have 1000 yuan"), of("yuan")),
            (1, 1),
            "call {call}: {made}"
        );
        assert_eq!(of("slow 1000"), call, "what failed is tried again");
    }
    assert!(centre.log().contains("longer than 2 s"), "{}", centre.log());
    let kept = std::fs::read_dir(centre.data().join("speech")).expect("the cache");
    assert_eq!(kept.count(), 2);
    still_fine(&centre);
}

#[test]
fn espeak_ng_reads_out_in_both_languages() {
    let flow = r#"
[flow]
name = "main"
start = "read"
[state.read]
hangup = { text = { zh-CN = "您的余额是十二元", en = "You have twelve yuan" } }
every_language = true
"#;
    let centre = centre(flow, &[], &[]);
    let said = heard(&centre);
    let samples = media::tone::decode(media::g711::Law::A, &said.concat());
    let loud = samples
        .chunks(800)
        .filter(|part| part.iter().any(|sample| sample.abs() > 2_000));
    assert!(loud.count() > 15, "more than 1.5 s of speech");
    let kept = std::fs::read_dir(centre.data().join("speech")).expect("the cache");
    assert_eq!(kept.count(), 2);
    still_fine(&centre);
}

#[test]
fn check_tells_a_missing_engine_a_missing_voice_and_a_file_that_is_no_sound() {
    let directory = tempfile::tempdir().expect("a directory");
    let put = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    put("config/queues.toml", QUEUES);
    put("config/agents.toml", &agents());
    put("ivr-scripts/main.toml", READS);
    for name in ["no_input", "invalid", "goodbye", "error"] {
        put(
            &format!("ivr-scripts/prompts/en/system/{name}.wav"),
            "no sound",
        );
    }
    let speak = directory.path().join("speak");
    put(
        "speak",
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 1 && exit\necho no such voice >&2\nexit 1\n",
    );
    std::fs::set_permissions(&speak, PermissionsExt::from_mode(0o755)).expect("rights");
    let check = |command: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cordboard"))
            .arg("check")
            .arg("--config")
            .arg(directory.path().join("config"))
            .args(["--set", command])
            .output()
            .expect("it runs");
        assert!(!output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    let told = check("speech.command=[\"/nowhere/espeak-ng\"]");
    assert!(
        told.contains("the speech engine cannot be run: `/nowhere/espeak-ng --version`"),
        "{told}"
    );
    let told = check(&format!(
        "speech.command=[\"{}\", \"{{voice}}\"]",
        speak.display()
    ));
    assert!(told.contains("its voice (en-us) cannot speak"), "{told}");
    assert!(told.contains("no such voice"), "{told}");
    put(
        "ivr-scripts/main.toml",
        "[flow]\nname = \"main\"\nstart = \"a\"\nlanguages = [\"en\"]\n[state.a]\nhangup = true\n",
    );
    let told = check("rtp.threads=1");
    assert!(
        told.contains("error.wav") && told.contains("not a WAV"),
        "{told}"
    );
}

#[test]
fn every_packet_time_of_either_side_is_served() {
    let centre = Centre::start();
    for ptime in [10u32, 30, 40, 60] {
        let mut caller = Caller::new(&centre);
        let sdp = crate::raw::sdp(caller.rtp.address(), &[8, EVENT]);
        let sdp = sdp.replace("ptime:20", &format!("ptime:{ptime}"));
        let invite = caller.invite("9197", &sdp);
        caller.send(invite);
        caller.answered();
        converse("the tone", &mut [(&mut caller.rtp, 440.0)], |ends| {
            let heard = &ends[0].heard;
            heard.len() >= 10
        });
        let octets = ptime as usize * 8;
        for pair in caller.rtp.heard.windows(2) {
            assert_eq!(pair[1].payload.len(), octets, "{ptime} ms");
            assert_eq!(
                pair[1].timestamp.wrapping_sub(pair[0].timestamp),
                octets as u32
            );
        }
        let samples = caller.rtp.samples(10);
        assert!(
            media::tone::purity(&samples, 1004.0, 8000) > 0.98,
            "{ptime} ms"
        );
        caller.hang_up();
    }
    still_fine(&centre);
}
