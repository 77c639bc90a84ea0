//! The main flow by ear and key: greeting, barge-in, silence, wrong keys, queue with music and position.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::Client;
use crate::centre::Centre;
use crate::hostile::still_fine;
use crate::raw::{Caller, PTIME, converse};

/// A queue where nobody is signed in, with the position at once and each second.
const QUEUES: &str = r#"
[[queue]]
name = "support"
number = "2000"
skills = { support = 1 }
announce_every = "1s"
[[queue]]
name = "sales"
number = "2001"
skills = { sales = 1 }
"#;

fn centre() -> (Centre, Client) {
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &crate::centre::agents()),
        ],
        &[],
    );
    let client = Client::sign_in_any(&centre);
    (centre, client)
}

fn dialled(centre: &Centre) -> Caller {
    let mut caller = Caller::new(centre);
    caller.dial("1000");
    caller.answered();
    caller
}

/// Listens (silently, as a muted phone) until so many packets more have come.
fn listen(caller: &mut Caller, packets: usize) {
    let wanted = caller.rtp.heard.len() + packets;
    converse("speech", &mut [(&mut caller.rtp, 0.0)], |ends| {
        ends[0].heard.len() >= wanted
    });
}

fn steps(client: &Client) -> Vec<String> {
    client
        .events()
        .iter()
        .filter(|event| event["type"] == "ivr.step")
        .filter_map(|event| event["data"]["state"].as_str().map(str::to_owned))
        .collect()
}

fn at_step(client: &Client, state: &str) -> Value {
    client.wait_event("ivr.step", |event| event["data"]["state"] == state)
}

fn loudness(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

#[test]
fn the_greeting_is_speech_in_one_even_stream() {
    let (centre, _) = centre();
    let mut caller = dialled(&centre);
    listen(&mut caller, 100);
    caller.rtp.assert_one_stream();
    let loud = loudness(&caller.rtp.samples(90));
    assert!(loud > 200.0, "a greeting of {loud} rms");
    assert!(caller.rtp.purity(1004.0) < 0.5, "speech is no tone");
    crate::rtp::assert_paced(&caller.rtp.heard);
    caller.hang_up();
    still_fine(&centre);
}

#[test]
fn a_key_cuts_the_prompt_off_at_once() {
    let (centre, client) = centre();
    let mut caller = dialled(&centre);
    listen(&mut caller, 25);
    // A prompt begins with the marker; the greeting goes on for seconds.
    let heard = caller.rtp.heard.len();
    let pressed = Instant::now();
    // One start packet is enough; its end is still to come.
    let start = caller.rtp.timestamp;
    caller
        .rtp
        .send(crate::raw::EVENT, true, start, &[2, 10, 0, 160]);
    converse("the next prompt", &mut [(&mut caller.rtp, 0.0)], |ends| {
        ends[0].heard[heard..].iter().any(|packet| packet.marker)
    });
    let next = heard
        + caller.rtp.heard[heard..]
            .iter()
            .position(|packet| packet.marker)
            .expect("a new spurt");
    // 40 ms and one packet more; counted in packets, which a busy machine does not stretch.
    assert!(
        next - heard <= 3,
        "{} packets of the old prompt",
        next - heard
    );
    let took = caller.rtp.heard[next].at - pressed;
    assert!(took < 40 * Duration::from_millis(1) + 8 * PTIME, "{took:?}");
    caller.rtp.assert_one_stream();
    at_step(&client, "menu");
    caller.hang_up();
    still_fine(&centre);
}

#[test]
fn keys_lead_to_the_queue_with_music_and_position() {
    let (centre, client) = centre();
    let mut caller = dialled(&centre);
    listen(&mut caller, 10);
    caller.rtp.press(2, 5, &[]);
    at_step(&client, "menu");
    listen(&mut caller, 10);
    caller.rtp.press(1, 5, &[]);
    let queued = client.wait_event("contact.queued", |_| true);
    assert_eq!(queued["data"]["queue"], "support", "{queued}");
    assert_eq!(queued["data"]["position"], 1, "{queued}");
    // A second caller comes behind.
    let mut second = dialled(&centre);
    second.rtp.press(2, 5, &[]);
    listen(&mut second, 5);
    second.rtp.press(1, 5, &[]);
    let queued = client.wait_event("contact.queued", |event| event["data"]["position"] == 2);
    assert_eq!(queued["data"]["queue"], "support");
    // "You are number one", music, and again after a second: each begins a spurt.
    caller.rtp.listen();
    let heard = caller.rtp.heard.len();
    converse(
        "two announcements over the music",
        &mut [(&mut caller.rtp, 0.0)],
        |ends| {
            ends[0].heard[heard..]
                .iter()
                .filter(|packet| packet.marker)
                .count()
                >= 3
        },
    );
    caller.rtp.assert_one_stream();
    assert!(loudness(&caller.rtp.samples(100)) > 50.0, "silence");
    assert_eq!(
        steps(&client)
            .iter()
            .filter(|step| *step == "support")
            .count(),
        2
    );
    caller.hang_up();
    second.hang_up();
    still_fine(&centre);
}

#[test]
fn lost_packets_of_an_event_do_not_lose_or_double_the_key() {
    let (centre, client) = centre();
    // Sent packets of one press: 1 to 5, and the end twice more (6, 7).
    for lost in [
        &[1u16][..],
        &[1, 2, 3],
        &[5, 6],
        &[2, 3, 4, 5, 6, 7],
        &[1, 2, 3, 4, 5, 6],
    ] {
        let mut caller = dialled(&centre);
        let before = steps(&client).len();
        listen(&mut caller, 5);
        caller.rtp.press(2, 5, lost);
        // English is chosen once: the menu is next, and a doubled 2 would be `sales`.
        crate::centre::wait_for("the menu", || {
            steps(&client)[before..]
                .iter()
                .any(|step| step == "menu")
                .then_some(())
        });
        listen(&mut caller, 20);
        let walked = steps(&client)[before..].to_vec();
        assert!(
            !walked.iter().any(|step| step == "sales"),
            "{lost:?} lost: pressed twice, {walked:?}"
        );
        caller.hang_up();
    }
    still_fine(&centre);
}

#[test]
fn wrong_keys_are_forgiven_and_silence_leads_to_a_person() {
    // A flow of the same shape with shorter patience.
    let flow = r#"
[flow]
name = "short"
start = "ask"
languages = ["zh-CN", "en"]
[defaults]
first_digit = "400ms"
inter_digit = "300ms"
retries = 2
no_input = "queue/position_before"
on_retries = "person"
[state.ask]
menu = "queue/position_before"
keys = { 1 = "person", 3 = "gone" }
[state.gone]
hangup = "system/goodbye"
[state.person]
queue = "support"
"#;
    let scripts = tempfile::tempdir().expect("a directory");
    std::fs::write(scripts.path().join("short.toml"), flow).expect("a file");
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-scripts/prompts");
    std::os::unix::fs::symlink(shipped, scripts.path().join("prompts")).expect("a link");
    let dir = format!("ivr.dir={}", scripts.path().display());
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &crate::centre::agents()),
            (
                "trunks.toml",
                "[[trunk]]\nname = \"loopback\"\naddresses = [\"127.0.0.1\"]\nmax_calls = 100\n[[route]]\nnumber = \"1000\"\nflow = \"short\"\n",
            ),
        ],
        &[&dir],
    );
    let client = Client::sign_in_any(&centre);
    let mut wrong = dialled(&centre);
    for key in [7, 9] {
        listen(&mut wrong, 5);
        wrong.rtp.press(key, 4, &[]);
    }
    listen(&mut wrong, 5);
    assert_eq!(steps(&client), ["ask"], "two wrong keys are forgiven");
    wrong.rtp.press(3, 4, &[]);
    at_step(&client, "gone");
    // The goodbye is spoken to its end, then BYE.
    listen(&mut wrong, 10);
    wrong.hung_up();
    // Silence: asked three times in all, then a person; music is no silence any more.
    let mut silent = dialled(&centre);
    let asked = Instant::now();
    let queued = || {
        client
            .events()
            .iter()
            .find(|event| event["type"] == "contact.queued")
            .cloned()
    };
    converse("questions", &mut [(&mut silent.rtp, 0.0)], |ends| {
        ends[0].heard.iter().filter(|packet| packet.marker).count() >= 3
    });
    assert!(queued().is_none(), "not all patience is used up");
    let queued = client.wait_event("contact.queued", |_| true);
    assert_eq!(queued["data"]["queue"], "support", "{queued}");
    assert!(
        asked.elapsed() > 3 * Duration::from_millis(400),
        "three times of patience"
    );
    listen(&mut silent, 25);
    silent.rtp.assert_one_stream();
    silent.hang_up();
    still_fine(&centre);
}

/// Key 2, twice, of a telephone that offers no events: 697 with 1336 Hz (ITU-T Q.23) for 100 ms. Silence would lead to support.
#[test]
fn keys_of_a_phone_without_events_are_heard_in_its_sound() {
    let (centre, client) = centre();
    let mut caller = Caller::new(&centre);
    caller.codecs = vec![crate::raw::PCMA];
    caller.dial("1000");
    let answer = caller.answered();
    assert!(
        !answer.body().contains("telephone-event"),
        "{}",
        answer.text
    );
    listen(&mut caller, 10);
    caller.rtp.press_by_sound(697.0, 1336.0, 5);
    at_step(&client, "menu");
    listen(&mut caller, 50);
    caller.rtp.press_by_sound(697.0, 1336.0, 5);
    at_step(&client, "sales");
    caller.hang_up();
    still_fine(&centre);
}
