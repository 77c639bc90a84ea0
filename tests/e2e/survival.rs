//! What remains after `kill -9`, and how the centre goes when it is asked to.

use crate::api::{Client, get_text};
use crate::baresip::Baresip;
use crate::centre::{Centre, wait_for};
use crate::sipp::Sipp;

#[test]
fn after_kill_9_every_number_of_today_adds_up() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "300"]).succeed();
    client.wait_event("contact.closed", |_| true);
    // One who talks and one who waits while the process dies.
    let _talks = Sipp::start(&centre, "caller_stays", "2000", &[]);
    client.wait_event("contact.answered", |event| {
        event["sequence"].as_u64()
            > client
                .events()
                .iter()
                .find(|event| event["type"] == "contact.closed")
                .and_then(|event| event["sequence"].as_u64())
    });
    let _waits = Sipp::start(&centre, "caller_stays", "2000", &[]);
    wait_for("a waiting contact", || {
        let (_, queue) = client.get("/api/v1/queues/support");
        (queue["waiting"].as_u64() == Some(1)).then_some(())
    });
    let before = client.events();
    let directory = centre.kill();
    let centre = Centre::start_in(directory, &[]);
    let client = Client::sign_in_any(&centre);
    let after = client.events();
    for (index, event) in after.iter().enumerate() {
        assert_eq!(
            event["sequence"].as_u64(),
            Some(index as u64 + 1),
            "gap-free over the restart"
        );
    }
    assert_eq!(
        &after[..before.len()],
        &before[..],
        "nothing that was told is lost or changed"
    );
    let outcomes: Vec<&str> = after
        .iter()
        .filter(|event| event["type"] == "contact.closed")
        .filter_map(|event| event["data"]["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, ["answered", "system_error", "system_error"]);
    let (_, metrics) = get_text(&centre, "/metrics");
    assert_eq!(
        sum(&metrics, "cordboard_queue_offered_total"),
        3.0,
        "offered"
    );
    assert_eq!(
        sum(&metrics, "cordboard_queue_answered_total"),
        2.0,
        "answered"
    );
    assert_eq!(
        sum(&metrics, "cordboard_queue_left_total"),
        1.0,
        "left by system error"
    );
    assert_eq!(
        sum(&metrics, "cordboard_queue_waiting_contacts"),
        0.0,
        "waiting"
    );
}

fn sum(metrics: &str, name: &str) -> f64 {
    metrics
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn sigterm_lets_the_call_finish_and_exits_0() {
    let mut centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let caller = Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "3000"]);
    client.wait_event("contact.answered", |_| true);
    centre.begin_drain();
    caller.succeed();
    assert_eq!(centre.wait(), 0);
}

#[test]
fn sigterm_of_an_idle_centre_exits_0_at_once() {
    let mut centre = Centre::start();
    assert_eq!(centre.terminate(), 0);
}

#[test]
fn metrics_are_valid_for_prometheus() {
    use std::io::Write;
    let centre = Centre::start();
    let (status, text) = get_text(&centre, "/metrics");
    assert_eq!(status, 200);
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool is installed (make test installs it)");
    promtool
        .stdin
        .take()
        .expect("stdin")
        .write_all(text.as_bytes())
        .expect("it reads");
    let output = promtool.wait_with_output().expect("it ends");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
