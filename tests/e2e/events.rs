//! Events: their form, their order, what they hide, and what a `kill -9` may not take.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::api::{Client, get_text};
use crate::centre::{Centre, QUEUES, agents, wait_for};
use crate::sipp::{Sipp, free_port};

/// The contract's types, and those that this engine adds.
const TYPES: &[&str] = &[
    "contact.arrived",
    "contact.identified",
    "contact.queued",
    "contact.offered",
    "contact.offer_ended",
    "contact.answered",
    "contact.held",
    "contact.resumed",
    "contact.transferred",
    "contact.abandoned",
    "contact.closed",
    "agent.state",
    "queue.changed",
    "ivr.step",
    "recording.saved",
    "config.applied",
    "audit",
    "contact.left_queue",
    "node.started",
];

fn files(port: u16) -> String {
    agents()
        + &format!(
            "[[agent]]\nid = \"a1\"\nauto_ready = true\nwrap_up = \"0s\"\nskills = {{ support = 7 }}\ncontact = \"sip:a1@127.0.0.1:{port}\"\n"
        )
}

fn start(port: u16) -> Centre {
    Centre::start_with(
        &[("queues.toml", QUEUES), ("agents.toml", &files(port))],
        &[],
    )
}

fn gap_free(events: &[Value]) {
    for (index, event) in events.iter().enumerate() {
        assert_eq!(
            event["sequence"].as_u64(),
            Some(index as u64 + 1),
            "{event}"
        );
    }
}

#[test]
fn events_are_cloud_events_in_order_once_on_every_way() {
    let port = free_port();
    let _phone = Sipp::serve("agent_answers", port, 20, &[]);
    let centre = start(port);
    let client = Client::sign_in_any(&centre);
    client.import_customer("+8613800138000", "Zhang Wei", "A");
    let mut stream = client.stream("");
    let snapshot = stream.next();
    assert_eq!(snapshot["type"], "snapshot");
    let begins = snapshot["sequence"].as_u64().expect("a sequence");
    Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "10"]).succeed();
    Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "10"]).succeed();
    client.wait_event("agent.state", |event| {
        let closed = client
            .events()
            .iter()
            .filter(|event| event["type"] == "contact.closed")
            .count();
        closed == 2 && event["data"]["state"] == "ready"
    });
    let events = client.events();
    gap_free(&events);
    let mut ids = BTreeSet::new();
    for event in &events {
        assert_eq!(
            (&event["specversion"], &event["datacontenttype"]),
            (&json!("1.0"), &json!("application/json"))
        );
        for key in ["id", "source", "type", "subject", "time", "data"] {
            assert!(!event[key].is_null(), "{key} in {event}");
        }
        assert!(
            TYPES.contains(&event["type"].as_str().unwrap_or_default()),
            "{event}"
        );
        assert!(ids.insert(event["id"].to_string()), "{event}");
        let until = &event["data"]["until"];
        assert!(
            until.is_null() || until.as_str().is_some_and(|text| text.ends_with('Z')),
            "a time in words: {event}"
        );
    }
    // The stream had the same, from its snapshot on.
    let last = events
        .last()
        .and_then(|event| event["sequence"].as_u64())
        .expect("events");
    for sequence in begins + 1..=last {
        assert_eq!(stream.next(), events[sequence as usize - 1]);
    }
    // A page at a time, and a stream that resumes: the same again.
    let (_, kind, page) = client.send("GET", "/api/v1/events?after=3&limit=4", None);
    assert_eq!(kind, "application/x-ndjson");
    let page: Vec<Value> = page
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(page, events[3..7]);
    let mut resumed = client.stream("&after=5");
    let snapshot = resumed.next();
    assert_eq!(
        (&snapshot["sequence"], &snapshot["resumed"]),
        (&json!(5), &json!(true))
    );
    for sequence in 6..=last {
        assert_eq!(resumed.next(), events[sequence as usize - 1]);
    }
    let (_, metrics) = get_text(&centre, "/metrics");
    let pops = metrics
        .lines()
        .find_map(|line| line.strip_prefix("cordboard_screen_pop_duration_seconds_count "));
    assert_eq!(pops, Some("2"));
    // The pop says who calls, and of their calls before (those that have been indexed, which takes a moment).
    let contact = wait_for("a pop with a call before it", || {
        Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "10"]).succeed();
        let offered = client
            .events()
            .into_iter()
            .rfind(|event| event["type"] == "contact.offered")?;
        let pop = &offered["data"]["pop"];
        assert_eq!(pop["customers"][0]["name"], "Zhang Wei", "{pop}");
        assert_eq!(pop["customers"][0]["class"], "A", "{pop}");
        pop["last_contacts"][0]["contact"]
            .as_str()
            .map(str::to_owned)
    });
    assert_eq!(client.get(&format!("/api/v1/contacts/{contact}")).0, 200);
}

/// Whether a file below this directory has these bytes.
fn holds(dir: &Path, needle: &str) -> bool {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return holds(&path, needle);
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
        })
}

#[test]
fn what_is_personal_is_sealed_and_erasing_leaves_the_numbers() {
    let port = free_port();
    let _phone = Sipp::serve("agent_answers", port, 1, &[]);
    let centre = start(port);
    let client = Client::sign_in_any(&centre);
    client.import_customer("+8613800138000", "Zhang Wei Unique", "A");
    let mut listens = client.stream("");
    Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "10"]).succeed();
    client.wait_event("contact.closed", |_| true);
    listens.next_of("contact.closed");
    let log = centre.data().join("log");
    for secret in ["13800138000", "Zhang Wei Unique"] {
        assert!(!holds(&log, secret), "{secret} in the clear in the log");
        let seen = client
            .events()
            .iter()
            .any(|event| event.to_string().contains(secret));
        assert!(seen, "{secret} in the events");
    }
    let (_, before) = client.get("/api/v1/queues/support");
    let (status, gone) = client.json("DELETE", "/api/v1/customers?phone=13800138000", None);
    // The sample customers have somebody on this number too.
    assert_eq!((status, &gone["customers"]), (200, &json!(2)), "{gone}");
    assert!(gone["keys"].as_u64() > Some(0), "{gone}");
    let silent = |client: &Client| {
        let (_, _, contacts) = client.send("GET", "/api/v1/contacts", None);
        let (_, _, events) = client.send("GET", "/api/v1/events?after=0&limit=10000", None);
        for text in [contacts, events] {
            assert!(
                !text.contains("13800138000") && !text.contains("Zhang Wei Unique"),
                "{text}"
            );
        }
    };
    silent(&client);
    let mut resumed = client.stream("&after=0");
    resumed.next();
    let arrived = resumed.next_of("contact.arrived");
    assert!(arrived["data"]["ani"].is_null(), "{arrived}");
    let (_, after) = client.get("/api/v1/queues/support");
    assert_eq!(before["today"], after["today"]);
    // For ever.
    let centre = Centre::start_in(centre.kill(), &[]);
    let client = Client::sign_in_any(&centre);
    silent(&client);
    assert_eq!(
        client.get("/api/v1/queues/support").1["today"],
        before["today"]
    );
}

fn sum(metrics: &str, name: &str, queue: &str) -> f64 {
    metrics
        .lines()
        .filter(|line| line.starts_with(&format!("cordboard_{name}{{queue=\"{queue}\"")))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// KPI.md's invariant, from outside.
fn balanced(centre: &Centre) -> f64 {
    let (_, metrics) = get_text(centre, "/metrics");
    let of = |name: &str| sum(&metrics, name, "support");
    let offered = of("queue_offered_total");
    let ends = of("queue_answered_total") + of("queue_abandoned_total") + of("queue_left_total");
    assert_eq!(offered, ends + of("queue_waiting_contacts"), "{metrics}");
    offered
}

#[test]
fn kill_9_in_the_middle_of_traffic_loses_nothing_that_was_told() {
    let port = free_port();
    let _phone = Sipp::serve("agent_answers", port, 10_000, &["-timeout", "120"]);
    let mut centre = start(port);
    let token = Client::sign_in_any(&centre).token().to_owned();
    let mut known: Vec<Value> = Vec::new();
    let mut offered = 0.0;
    for round in 0..3u64 {
        let client = Client::with_token(&centre, &token);
        assert_eq!(
            client.get("/api/v1/queues").0,
            200,
            "tokens outlive the engine"
        );
        let calls = Sipp::start(
            &centre,
            "caller_hangs_up",
            "2000",
            &["-d", "30", "-m", "400", "-r", "80"],
        );
        // Killed after some events, at another place each time.
        let wanted = known.len() + 150 + 37 * round as usize;
        known = wait_for("events", || {
            let events = client.events();
            (events.len() > wanted).then_some(events)
        });
        // An answered command is on disk.
        let reason = format!("round{round}");
        let (status, _) = client.put(
            "/api/v1/agents/1001/state",
            json!({"state": "not_ready", "reason": reason}),
        );
        assert_eq!(status, 200);
        let directory = centre.kill();
        drop(calls);
        centre = Centre::start_in(directory, &[]);
        let client = Client::with_token(&centre, &token);
        let events = client.events();
        gap_free(&events);
        assert_eq!(
            &events[..known.len()],
            &known[..],
            "nothing told is lost or changed"
        );
        assert!(
            events
                .iter()
                .any(|event| event["data"]["reason"] == reason.as_str()),
            "the answered command of {reason}"
        );
        let now = balanced(&centre);
        assert!(now > offered, "{now}");
        offered = now;
        let (_, open) = client.get("/api/v1/contacts?state=open");
        assert_eq!(
            open["items"],
            json!([]),
            "calls of the dead process are closed"
        );
        known = events;
    }
    // The report of the running engine, of the API and of the log's replay are one.
    let client = Client::with_token(&centre, &token);
    let (_, kpi) = client.get("/api/v1/kpi?by=queue");
    let report = |centre_data: &Path, directory: &Path| -> Value {
        let config = directory.join("config").display().to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_cordboard"))
            .args([
                "report", "kpi", "--by", "queue", "--format", "json", "--config", &config,
            ])
            .arg("--data-dir")
            .arg(centre_data)
            .output()
            .expect("the binary runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let running = report(&centre.data(), centre.path());
    assert_eq!(running["rows"], kpi["rows"]);
    let (data, directory) = (centre.data(), centre.kill());
    assert_eq!(
        report(&data, directory.path())["rows"],
        kpi["rows"],
        "without an engine"
    );
}

#[test]
fn a_torn_end_of_the_log_is_left_out_and_said() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    for reason in ["one", "two"] {
        client.put(
            "/api/v1/agents/1001/state",
            json!({"state": "not_ready", "reason": reason}),
        );
    }
    let known = client.events();
    let log = centre.data().join("log");
    let directory = centre.kill();
    let mut segments: Vec<_> = std::fs::read_dir(&log)
        .expect("a directory")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    segments.sort();
    let last = segments.last().expect("a segment");
    let bytes = std::fs::read(last).expect("the segment");
    // Half of the last record, as a power cut leaves it.
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("something is in it");
    std::fs::write(last, &bytes[..end - 20]).expect("it is written");
    let centre = Centre::start_in(directory, &[]);
    let client = Client::sign_in_any(&centre);
    let events = client.events();
    gap_free(&events);
    let kept = known
        .iter()
        .zip(&events)
        .take_while(|(one, other)| one == other)
        .count();
    assert!(
        kept + 2 >= known.len() && kept < known.len(),
        "only the torn end is gone: {kept} of {}",
        known.len()
    );
    assert!(
        centre.log().contains("WARN"),
        "and it is said: {}",
        centre.log()
    );
}

/// A file system of its own that is small, where this may be made.
struct Small<'a>(&'a Path);

impl Small<'_> {
    fn mount(path: &Path) -> Option<Small<'_>> {
        std::fs::create_dir_all(path).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(path)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Small(path))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_is_loud_and_calls_are_answered_all_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().join("small");
    let Some(small) = Small::mount(&place) else {
        eprintln!("skipped: no file system may be mounted here");
        return;
    };
    let data = format!("data_dir={}/data", small.0.display());
    let port = free_port();
    let _phone = Sipp::serve("agent_answers", port, 500, &[]);
    let centre = Centre::start_with(
        &[("queues.toml", QUEUES), ("agents.toml", &files(port))],
        &[&data],
    );
    let client = Client::sign_in_any(&centre);
    let mut calls = 0;
    let mut call = || {
        Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "10"]).succeed();
        calls += 1;
    };
    call();
    let fill = small.0.join("fill");
    let _ = std::fs::write(&fill, vec![1; 8 << 20]);
    // The last page of the log has some room yet.
    wait_for("the trouble to be told", || {
        call();
        (get_text(&centre, "/readyz").0 == 503).then_some(())
    });
    let (_, metrics) = get_text(&centre, "/metrics");
    assert!(metrics.contains("cordboard_store_failing 1"));
    assert!(centre.log().contains("No space left on device"));
    call();
    std::fs::remove_file(&fill).expect("there is room again");
    wait_for("the log to be written again", || {
        (get_text(&centre, "/readyz").0 == 200).then_some(())
    });
    wait_for("every call in the log", || {
        let events = client.events();
        let closed = events
            .iter()
            .filter(|event| event["type"] == "contact.closed");
        (closed.count() == calls).then_some(())
    });
    gap_free(&client.events());
    drop(centre);
}
