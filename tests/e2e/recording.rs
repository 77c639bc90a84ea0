//! Recordings through the real binary: to the sample, without what was paused, over transfers, crashes, broken disks and erasure.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use media::g711::{self, Law};
use serde_json::{Value, json};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::TrackType;
use symphonia::core::io::MediaSourceStream;

use crate::api::{Client, get_text};
use crate::baresip::Baresip;
use crate::browser::Page;
use crate::centre::{Centre, QUEUES, agents, wait_for, write_files};
use crate::hostile::{metric, still_fine};
use crate::raw::{Caller, PCMA, PCMU, Phone, Rtp, fixed_agents};

/// The two queues with this rule in each.
fn queues(rule: &str) -> String {
    QUEUES.replace("ring =", &format!("{rule}\nring ="))
}

const ALWAYS: &str = "record = \"always\"";

/// A caller in PCMU and the telephone of agent a1 in PCMA, in talk.
struct Scene {
    caller: Caller,
    phone: Phone,
    client: Client,
    contact: String,
    centre: Centre,
}

fn files(rule: &str, port: u16) -> [(&'static str, String); 2] {
    [
        ("queues.toml", queues(rule)),
        ("agents.toml", fixed_agents(&[("a1", port, "support = 5")])),
    ]
}

impl Scene {
    fn start(rule: &str, set: &[&str]) -> Scene {
        let phone = Phone::new();
        let files = files(rule, phone.port());
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
        let centre = Centre::start_with(&files, set);
        let client = Client::sign_in_any(&centre);
        let caller = Caller::new(&centre);
        let mut scene = Scene {
            caller,
            phone,
            client,
            contact: String::new(),
            centre,
        };
        scene.dial();
        scene
    }

    fn dial(&mut self) {
        self.caller.codecs = vec![PCMU];
        self.caller.dial("2000");
        self.caller.answered();
        self.phone.codecs = vec![PCMA];
        self.phone.ring();
        self.phone.answer();
        let before = std::mem::take(&mut self.contact);
        let new = |event: &Value| event["subject"] != *before;
        let answered = self.client.wait_event("contact.answered", new);
        self.contact = answered["subject"].as_str().expect("a contact").to_owned();
    }

    fn hang_up(&mut self) {
        self.caller.hang_up();
        self.phone.hung_up();
    }

    fn event(&self, kind: &str) -> Value {
        let event = self
            .client
            .wait_event(kind, |event| event["subject"] == *self.contact);
        event["data"].clone()
    }

    fn ask(&self, verb: &str) -> u16 {
        let path = format!("/api/v1/contacts/{}/{verb}", self.contact);
        self.client.json("POST", &path, None).0
    }

    /// Both speak these octets, at a telephone's pace. False where the machine stood still for so long that no telephone would have done so.
    fn speak(&mut self, caller: &[u8], agent: &[u8]) -> bool {
        let (mut next, mut steady) = (Instant::now(), true);
        for (left, right) in caller.chunks(160).zip(agent.chunks(160)) {
            say(&mut self.caller.rtp, left);
            say(&mut self.phone.rtp, right);
            next += Duration::from_millis(20);
            let now = Instant::now();
            steady &= now < next + Duration::from_millis(200);
            std::thread::sleep(next.saturating_duration_since(now));
        }
        steady
    }
}

fn say(rtp: &mut Rtp, octets: &[u8]) {
    let (payload_type, timestamp) = (rtp.payload_type, rtp.timestamp);
    rtp.send(payload_type, false, timestamp, octets);
    rtp.timestamp = timestamp.wrapping_add(160);
}

/// Noise without a stretch that is like another.
fn octets(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    };
    (0..count).map(|_| next()).collect()
}

fn decoded(law: Law, octets: &[u8]) -> Vec<i16> {
    octets
        .iter()
        .map(|octet| g711::decode(law, *octet))
        .collect()
}

/// Left and right, by a decoder that nobody here wrote.
fn channels(file: Vec<u8>) -> [Vec<i16>; 2] {
    let source = MediaSourceStream::new(Box::new(std::io::Cursor::new(file)), Default::default());
    let probe = symphonia::default::get_probe();
    let mut format = probe
        .probe(
            &Default::default(),
            source,
            Default::default(),
            Default::default(),
        )
        .expect("FLAC");
    let track = format.default_track(TrackType::Audio).expect("a track");
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio())
        .expect("audio");
    assert_eq!(parameters.sample_rate, Some(8_000));
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .expect("a decoder");
    let mut channels = [Vec::new(), Vec::new()];
    while let Some(packet) = format.next_packet().expect("a packet") {
        let mut interleaved: Vec<i16> = Vec::new();
        let buffer = decoder.decode(&packet).expect("a frame");
        buffer.copy_to_vec_interleaved(&mut interleaved);
        for pair in interleaved.chunks(2) {
            channels[0].push(pair[0]);
            channels[1].push(pair[1]);
        }
    }
    channels
}

/// What the API gives: status, headers that matter, octets.
fn download(
    client: &Client,
    centre: &Centre,
    contact: &str,
    range: Option<&str>,
) -> (u16, String, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let url = format!("{}/api/v1/contacts/{contact}/recording", centre.http());
    let mut request = agent
        .get(url)
        .header("Authorization", format!("Bearer {}", client.token()));
    if let Some(range) = range {
        request = request.header("Range", range);
    }
    let mut response = request.call().expect("an answer");
    let header = |name: &str| {
        let value = response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let headers = format!(
        "{} {} {}",
        header("content-type"),
        header("content-length"),
        header("content-range")
    );
    let body = response
        .body_mut()
        .with_config()
        .limit(1 << 30)
        .read_to_vec()
        .expect("a body");
    (response.status().as_u16(), headers, body)
}

fn heard(scene: &Scene) -> [Vec<i16>; 2] {
    let (status, headers, file) = download(&scene.client, &scene.centre, &scene.contact, None);
    assert_eq!(status, 200, "{headers}");
    channels(file)
}

/// Where one stretch of samples is in another.
fn find(all: &[i16], part: &[i16]) -> Option<usize> {
    all.windows(part.len()).position(|window| window == part)
}

#[test]
fn what_was_said_is_on_its_side_to_the_sample() {
    let mut scene = Scene::start(ALWAYS, &[]);
    let (left, right) = (octets(1, 16_000), octets(2, 16_000));
    let mut attempts = 0;
    while !scene.speak(&left, &right) {
        attempts += 1;
        assert!(attempts < 5, "this machine stands still all the time");
        scene.hang_up();
        scene.dial();
    }
    scene.hang_up();
    let saved = scene.event("recording.saved");
    assert_eq!(
        (&saved["complete"], &saved["queue"], &saved["agents"]),
        (&json!(true), &json!("support"), &json!(["a1"]))
    );
    let [customer, agent] = heard(&scene);
    let place =
        |all: &[i16], law, said: &[u8]| find(all, &decoded(law, said)).expect("every sample of it");
    let (one, other) = (
        place(&customer, Law::Mu, &left),
        place(&agent, Law::A, &right),
    );
    assert!(
        one.abs_diff(other) <= 8 * 200,
        "both began together: {one}, {other}"
    );
    let length = saved["length_ms"].as_u64().expect("a length");
    assert!(length.abs_diff(customer.len() as u64 / 8) <= 1, "{saved}");
    assert!((2_000..60_000).contains(&length), "{saved}");

    // The contact shows it, alone and in the list.
    let (_, shown) = scene
        .client
        .get(&format!("/api/v1/contacts/{}", scene.contact));
    let recording = &shown["recording"];
    assert_eq!(
        (&recording["state"], &recording["checksum"]),
        (&json!("saved"), &saved["checksum"]),
        "{shown}"
    );
    let (_, list) = scene.client.get("/api/v1/contacts?state=closed");
    assert!(
        list["items"]
            .as_array()
            .expect("items")
            .iter()
            .any(|one| one["recording"] == *recording),
        "{list}"
    );

    // The file on disk is sealed, and what its checksum says.
    let file = files_in(&scene.centre).pop().expect("a file");
    let sum = std::process::Command::new("sha256sum")
        .arg(&file)
        .output()
        .expect("sha256sum");
    assert!(
        String::from_utf8_lossy(&sum.stdout).starts_with(saved["checksum"].as_str().expect("hex"))
    );
    let sealed = std::fs::read(&file).expect("readable by us");
    assert_eq!(saved["bytes"], sealed.len());
    assert!(!sealed.windows(4).any(|four| four == b"fLaC"));

    // A part of it.
    let (_, headers, whole) = download(&scene.client, &scene.centre, &scene.contact, None);
    assert_eq!(headers, format!("audio/flac {} ", whole.len()));
    let middle = format!("bytes=1000-{}", whole.len() - 500);
    let (status, headers, part) =
        download(&scene.client, &scene.centre, &scene.contact, Some(&middle));
    assert_eq!(status, 206);
    assert!(
        headers.ends_with(&format!("bytes 1000-{}/{}", whole.len() - 500, whole.len())),
        "{headers}"
    );
    assert!(part == whole[1_000..=whole.len() - 500]);
    let beyond = format!("bytes={}-", whole.len());
    assert_eq!(
        download(&scene.client, &scene.centre, &scene.contact, Some(&beyond)).0,
        416
    );

    // Who listened is in the audit.
    scene.client.wait_event("audit", |event| {
        event["data"]["action"] == "recording_heard"
            && event["data"]["by"] == "1900"
            && event["subject"] == *scene.contact
    });
    assert_eq!(
        metric(&scene.centre, "cordboard_recordings_saved_total", ""),
        1.0 + f64::from(attempts)
    );
    assert_eq!(
        metric(&scene.centre, "cordboard_recordings_active", ""),
        0.0
    );
    assert_eq!(
        metric(&scene.centre, "cordboard_recordings_failed_total", ""),
        0.0
    );
    still_fine(&scene.centre);
}

/// The files of recordings that are done.
fn files_in(centre: &Centre) -> Vec<PathBuf> {
    let days = std::fs::read_dir(centre.data().join("recordings"));
    let days = days.into_iter().flatten().flatten().map(|day| day.path());
    let files = days.flat_map(|day| std::fs::read_dir(day).into_iter().flatten().flatten());
    files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|end| end == "cbr"))
        .collect()
}

#[test]
fn a_pause_leaves_nothing_and_on_demand_begins_when_asked() {
    let mut scene = Scene::start("record = \"on_demand\"", &[]);
    // Levels that tell when something was said.
    let level = |octet: u8| g711::decode(Law::Mu, octet);
    let said = |octet: u8| vec![octet; 160 * 40];
    scene.speak(&said(0x10), &said(0x10));
    assert_eq!(scene.ask("pause-recording"), 409, "nothing is recorded yet");
    let (_, shown) = scene
        .client
        .get(&format!("/api/v1/contacts/{}", scene.contact));
    assert_eq!(shown["recording"], Value::Null, "{shown}");
    assert_eq!(scene.ask("resume-recording"), 204);
    scene.speak(&said(0x20), &said(0x20));
    let (_, shown) = scene
        .client
        .get(&format!("/api/v1/contacts/{}", scene.contact));
    assert_eq!(shown["recording"]["state"], "on", "{shown}");
    assert_eq!(scene.ask("pause-recording"), 204);
    let (_, shown) = scene
        .client
        .get(&format!("/api/v1/contacts/{}", scene.contact));
    assert_eq!(shown["recording"]["state"], "paused", "{shown}");
    scene.speak(&said(0x30), &said(0x30));
    assert_eq!(scene.ask("resume-recording"), 204);
    assert_eq!(scene.ask("resume-recording"), 409);
    scene.speak(&said(0x40), &said(0x40));
    let (status, _, _) = download(&scene.client, &scene.centre, &scene.contact, None);
    assert_eq!(status, 409, "it is not over");
    scene.hang_up();
    let saved = scene.event("recording.saved");
    let [customer, agent] = heard(&scene);
    let has = |octet: u8| customer.contains(&level(octet));
    assert_eq!(
        [0x10, 0x20, 0x30, 0x40].map(has),
        [false, true, false, true]
    );
    let a_law = |octet: u8| agent.contains(&g711::decode(Law::A, octet));
    assert_eq!(
        [0x10, 0x20, 0x30, 0x40].map(a_law),
        [false, true, false, true]
    );
    assert_eq!(saved["complete"], true);
    // Who asked for it is told.
    scene.client.wait_event("contact.recording", |event| {
        event["data"]["state"] == "paused" && event["data"]["by"] == "1900"
    });
    still_fine(&scene.centre);
}

#[test]
fn strangers_learn_nothing() {
    let mut scene = Scene::start(ALWAYS, &[]);
    scene.speak(&octets(1, 1_600), &octets(2, 1_600));
    scene.hang_up();
    scene.event("recording.saved");
    let path = format!("/api/v1/contacts/{}/recording", scene.contact);
    let (status, body) = get_text(&scene.centre, &path);
    assert_eq!(status, 401, "{body}");
    let nobody = download(&scene.client, &scene.centre, "cb1-1-999", None);
    assert_eq!(nobody.0, 404);
}

#[test]
fn agents_hear_their_own_only_where_that_is_allowed() {
    for (set, expected) in [
        (&[][..], 403),
        (&["recording.agents_may_listen=true"][..], 200),
    ] {
        let files = [
            ("queues.toml", &*queues(ALWAYS)),
            ("agents.toml", &*agents()),
        ];
        let centre = Centre::start_with(&files, set);
        let supervisor = Client::sign_in_any(&centre);
        let agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
        agent.registered();
        supervisor.wait_agent("1001", "ready");
        let mut caller = Baresip::start(&centre, "13800138000", None, 440, false);
        caller.command("dial", &format!("sip:2000@{}", centre.sip()));
        caller.wait_tone(1000);
        caller.command("hangup", "");
        let saved = supervisor.wait_event("recording.saved", |_| true);
        let contact = saved["subject"].as_str().expect("a contact");
        let own = Client::sign_in(&centre, "1001", "demo-1001");
        assert_eq!(download(&own, &centre, contact, None).0, expected);
        let other = Client::sign_in(&centre, "1002", "demo-1002");
        assert_eq!(
            download(&other, &centre, contact, None).0,
            404,
            "it is none of theirs"
        );
    }
}

#[test]
fn it_follows_the_customer_through_hold_and_transfer() {
    let agents = agents();
    let queues = queues(ALWAYS);
    let files = [("queues.toml", &*queues), ("agents.toml", &*agents)];
    let centre = Centre::start_with(&files, &[]);
    let client = Client::sign_in_any(&centre);
    let first = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    let second = Baresip::start(&centre, "1002", Some("demo-1002"), 1400, true);
    for (agent, phone) in [("1001", &first), ("1002", &second)] {
        phone.registered();
        client.wait_agent(agent, "ready");
    }
    let mut caller = Baresip::start(&centre, "13800138000", None, 440, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    let answered = client.wait_event("contact.answered", |_| true);
    let contact = answered["subject"].as_str().expect("a contact").to_owned();
    let ask = |verb: &str, body: Option<Value>| {
        client
            .json("POST", &format!("/api/v1/contacts/{contact}/{verb}"), body)
            .0
    };
    caller.wait_tone(1000);
    assert_eq!(ask("hold", None), 204);
    client.wait_event("contact.held", |_| true);
    assert_eq!(ask("resume", None), 204);
    assert_eq!(ask("transfer", Some(json!({"to": "agent:1002"}))), 202);
    caller.wait_tone(1400);
    caller.command("hangup", "");
    let saved = client.wait_event("recording.saved", |_| true);
    assert_eq!(saved["subject"], *contact);
    assert_eq!(saved["data"]["agents"], json!(["1001", "1002"]), "{saved}");
    let (_, _, file) = download(&client, &centre, &contact, None);
    let [customer, agent] = channels(file);
    let has = |side: &[i16], hertz: f64| {
        side.chunks(1_600)
            .any(|part| media::tone::purity(part, hertz, 8000) > 0.9)
    };
    assert!(has(&customer, 440.0) && !has(&customer, 1_000.0) && !has(&customer, 1_400.0));
    assert!(has(&agent, 1_000.0) && has(&agent, 1_400.0) && !has(&agent, 440.0));
    let at = |hertz: f64| {
        let mut parts = agent.chunks(1_600);
        parts.position(|part| media::tone::purity(part, hertz, 8000) > 0.9)
    };
    assert!(at(1_000.0) < at(1_400.0), "one agent after the other");
    still_fine(&centre);
}

#[test]
fn kill_nine_leaves_what_was_said_until_then() {
    let mut scene = Scene::start(ALWAYS, &[]);
    let (left, right) = (octets(5, 8_000 * 6), octets(6, 8_000 * 6));
    scene.speak(&left, &right);
    let contact = scene.contact.clone();
    let centre = Centre::start_in(scene.centre.kill(), &[]);
    let client = Client::sign_in_any(&centre);
    let saved = client.wait_event("recording.saved", |event| event["subject"] == *contact);
    let data = &saved["data"];
    assert_eq!(
        (&data["complete"], &data["reason"]),
        (&json!(false), &json!("interrupted")),
        "{saved}"
    );
    let (status, _, file) = download(&client, &centre, &contact, None);
    assert_eq!(status, 200);
    let [customer, agent] = channels(file);
    // Chunks are of two seconds, and nothing is written in the first moment after it was said.
    assert!(customer.len() >= 8_000 * 2, "{} samples", customer.len());
    for (side, law, said) in [(&customer, Law::Mu, &left), (&agent, Law::A, &right)] {
        assert!(
            find(side, &decoded(law, &said[..8_000])).is_some(),
            "the first second is there"
        );
    }
    assert_eq!(files_in(&centre).len(), 1);
    let parts =
        std::fs::read_dir(files_in(&centre)[0].parent().expect("a day")).expect("a directory");
    assert_eq!(parts.count(), 1, "nothing is left unfinished");
}

#[test]
fn a_disk_that_takes_nothing_loses_no_call_and_is_loud() {
    let phone = Phone::new();
    let files = files(ALWAYS, phone.port());
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let centre = Centre::start_with(&files, &[]);
    // A file where the directory should be made.
    std::fs::write(centre.data().join("recordings"), "").expect("a file");
    let client = Client::sign_in_any(&centre);
    let mut scene = Scene {
        caller: Caller::new(&centre),
        phone,
        client,
        contact: String::new(),
        centre,
    };
    scene.dial();
    scene.speak(&octets(1, 8_000), &octets(2, 8_000));
    scene.caller.rtp.listen();
    assert!(scene.caller.rtp.heard.len() > 40, "the call goes on");
    let (status, troubles) = get_text(&scene.centre, "/readyz");
    assert_eq!(status, 503, "{troubles}");
    assert!(
        troubles.contains("recordings cannot be written"),
        "{troubles}"
    );
    scene.hang_up();
    let failed = scene.event("recording.failed");
    assert_eq!(failed["reason"], "io", "{failed}");
    let closed = scene.event("contact.closed");
    assert_eq!(closed["outcome"], "answered");
    assert_eq!(
        metric(
            &scene.centre,
            "cordboard_recordings_failed_total",
            "reason=\"io\""
        ),
        1.0
    );
    assert!(scene.centre.log().contains("recordings cannot be written"));
    // As soon as it can be written again, it is, and all is well.
    std::fs::remove_file(scene.centre.data().join("recordings")).expect("removed");
    scene.dial();
    scene.speak(&octets(1, 8_000), &octets(2, 8_000));
    scene.hang_up();
    scene.event("recording.saved");
    assert_eq!(get_text(&scene.centre, "/readyz").0, 200);
}

#[test]
fn a_full_disk_keeps_what_it_has_and_the_call_goes_on() {
    let phone = Phone::new();
    let files = files(ALWAYS, phone.port());
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    let directory = std::sync::Arc::new(tempfile::tempdir().expect("a directory"));
    write_files(&directory, &files);
    // Noise cannot be compressed: two seconds of it are 64 KB, and four are too much.
    let centre = Centre::start_cramped(directory, "100k");
    let client = Client::sign_in_any(&centre);
    let mut scene = Scene {
        caller: Caller::new(&centre),
        phone,
        client,
        contact: String::new(),
        centre,
    };
    scene.dial();
    scene.speak(&octets(1, 8_000 * 6), &octets(2, 8_000 * 6));
    let (status, troubles) = get_text(&scene.centre, "/readyz");
    assert_eq!(status, 503, "{troubles}");
    scene.caller.rtp.listen();
    let before = scene.caller.rtp.heard.len();
    scene.speak(&octets(3, 8_000), &octets(4, 8_000));
    scene.caller.rtp.listen();
    assert!(
        scene.caller.rtp.heard.len() >= before + 40,
        "the call goes on"
    );
    scene.hang_up();
    let saved = scene.event("recording.saved");
    assert_eq!(
        (&saved["complete"], &saved["reason"]),
        (&json!(false), &json!("disk_full")),
        "{saved}"
    );
    assert_eq!(
        metric(
            &scene.centre,
            "cordboard_recordings_failed_total",
            "reason=\"disk_full\""
        ),
        1.0
    );
    let [customer, _] = heard(&scene);
    assert!(
        (8_000..40_000).contains(&customer.len()),
        "{} samples",
        customer.len()
    );
    // With room again, all is well.
    let (_, shown) = scene
        .client
        .get(&format!("/api/v1/contacts/{}", scene.contact));
    let ani = shown["ani"].as_str().expect("a number").replace('+', "%2B");
    let erased = scene
        .client
        .json("DELETE", &format!("/api/v1/customers?phone={ani}"), None);
    assert_eq!(erased.0, 200, "{}", erased.1);
    scene.dial();
    scene.speak(&octets(5, 8_000), &octets(6, 8_000));
    scene.hang_up();
    assert_eq!(scene.event("recording.saved")["complete"], true);
    assert_eq!(get_text(&scene.centre, "/readyz").0, 200);
}

#[test]
fn erasing_a_number_removes_its_recordings_and_old_ones_go_by_themselves() {
    let mut scene = Scene::start(ALWAYS, &[]);
    let number = "13800138000";
    scene.speak(&octets(1, 4_000), &octets(2, 4_000));
    scene.hang_up();
    scene.event("recording.saved");
    assert_eq!(files_in(&scene.centre).len(), 1);
    let (_, shown) = scene
        .client
        .get(&format!("/api/v1/contacts/{}", scene.contact));
    let ani = shown["ani"].as_str().unwrap_or(number).replace('+', "%2B");
    let (status, gone) =
        scene
            .client
            .json("DELETE", &format!("/api/v1/customers?phone={ani}"), None);
    assert_eq!(status, 200, "{gone}");
    assert!(files_in(&scene.centre).is_empty());
    assert_eq!(
        download(&scene.client, &scene.centre, &scene.contact, None).0,
        404
    );
    let (_, shown) = scene
        .client
        .get(&format!("/api/v1/contacts/{}", scene.contact));
    assert_eq!(shown["recording"], Value::Null, "{shown}");

    // Another one, and a centre that keeps them for a second.
    scene.dial();
    scene.speak(&octets(1, 4_000), &octets(2, 4_000));
    scene.hang_up();
    scene.event("recording.saved");
    let contact = scene.contact.clone();
    assert_eq!(scene.centre.terminate(), 0);
    std::thread::sleep(Duration::from_secs(1));
    let centre = Centre::start_in(scene.centre.directory.clone(), &["recording.keep=1s"]);
    let client = Client::sign_in_any(&centre);
    let removed = client.wait_event("audit", |event| {
        event["data"]["action"] == "recording_removed"
    });
    assert_eq!(
        (&removed["subject"], &removed["data"]["by"]),
        (&json!(contact), &json!("retention"))
    );
    wait_for("the file to go", || {
        files_in(&centre).is_empty().then_some(())
    });
}

#[test]
fn the_desk_shows_it_and_pauses_and_the_wallboard_plays_it() {
    let files = [
        ("queues.toml", &*queues(ALWAYS)),
        ("agents.toml", &*agents()),
    ];
    let centre = Centre::start_with(&files, &[]);
    let client = Client::sign_in_any(&centre);
    let agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut page = Page::open(&format!("{}/?next=/desk", centre.http()));
    page.write("input[name=user]", "1001");
    page.write("input[name=password]", "demo-1001");
    page.click("form button");
    page.wait("the desk", "location.pathname === '/desk'");
    let mut caller = Baresip::start(&centre, "13800138000", None, 440, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait_tone(1000);
    page.wait_text("#recording", "Recording");
    page.wait_seen("#record", false);
    page.picture("recording");
    page.click("#pause");
    page.wait_text("#recording", "Recording paused");
    page.picture("recording-paused");
    page.click("#record");
    page.wait_seen("#pause", true);
    client.wait_event("contact.recording", |event| {
        event["data"]["by"] == "1001" && event["data"]["state"] == "on"
    });
    assert_eq!(page.complaints, Vec::<String>::new());
    caller.command("hangup", "");
    let saved = client.wait_event("recording.saved", |_| true);

    let mut page = Page::open(&format!("{}/?next=/wallboard", centre.http()));
    page.write("input[name=user]", "1900");
    page.write("input[name=password]", "demo-1900");
    page.click("form button");
    page.wait("the wallboard", "location.pathname === '/wallboard'");
    let contact = saved["subject"].as_str().expect("a contact");
    page.click(&format!("[data-recording='{contact}']"));
    // The browser has decoded it: it knows how long it is.
    let length = saved["data"]["length_ms"].as_f64().expect("a length") / 1000.0;
    page.wait(
        "the sound",
        &format!("Math.abs(document.querySelector('#player audio').duration - {length}) < 0.1"),
    );
    page.picture("wallboard-recording");
    assert_eq!(page.complaints, Vec::<String>::new());
}

#[test]
fn a_queue_that_never_records_has_nothing_to_be_heard() {
    let mut scene = Scene::start("record = \"never\"", &[]);
    assert_eq!(scene.ask("resume-recording"), 409);
    scene.hang_up();
    scene.event("contact.closed");
    assert_eq!(
        download(&scene.client, &scene.centre, &scene.contact, None).0,
        404
    );
    assert!(files_in(&scene.centre).is_empty());
}
