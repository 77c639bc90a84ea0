//! The demo with traffic: simulated people over real SIP and RTP, and numbers that add up.

use serde_json::Value;

use crate::api::{Client, get_text};
use crate::centre::{Centre, wait_for};

/// What is told of one queue today.
fn today(queue: &Value, what: &str) -> u64 {
    queue["today"][what].as_u64().expect("a count")
}

/// Both queues; every contact that was ever offered is somewhere.
fn queues(client: &Client) -> Vec<Value> {
    let (status, page) = client.get("/api/v1/queues");
    assert_eq!(status, 200, "{page}");
    let queues = page["items"].as_array().expect("items").clone();
    assert_eq!(queues.len(), 2, "{page}");
    for queue in &queues {
        let left = queue["today"]["left"].as_object().expect("exits by kind");
        let left: u64 = left.values().filter_map(Value::as_u64).sum();
        let waiting = queue["waiting"].as_u64().expect("a count");
        let accounted = today(queue, "answered") + today(queue, "abandoned") + left + waiting;
        assert_eq!(today(queue, "offered"), accounted, "{queue}");
    }
    queues
}

/// The sum of a metric's lines.
fn metric(text: &str, name: &str) -> f64 {
    let lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn traffic_brings_the_demo_to_life_and_every_number_adds_up() {
    let mut centre = Centre::demo(&["--traffic", "240", "--seed", "7"]);
    let client = Client::sign_in_any(&centre);
    let sum =
        |queues: &[Value], what: &str| queues.iter().map(|queue| today(queue, what)).sum::<u64>();
    let answered = wait_for("calls answered in both queues, and one abandoned", || {
        let queues = queues(&client);
        let lively = queues.iter().all(|queue| today(queue, "answered") >= 3);
        (lively && sum(&queues, "abandoned") >= 1).then(|| sum(&queues, "answered"))
    });
    client.wait_event("contact.abandoned", |_| true);
    // Digits led through the flow, and pops found customers.
    client.wait_event("contact.queued", |event| event["data"]["queue"] == "sales");
    client.wait_event("contact.closed", |event| {
        event["data"]["entered_ivr"] == true && event["data"]["outcome"] == "answered"
    });
    client.wait_event("contact.offered", |event| {
        event["data"]["pop"]["customers"][0]["name"].is_string()
    });
    let (_, metrics) = get_text(&centre, "/metrics");
    assert!(metric(&metrics, "cordboard_queue_answered_total") >= answered as f64);
    assert!(metric(&metrics, "cordboard_rtp_packets_total") > 0.0);
    // The people of the demo keep their places.
    let (_, agent) = client.get("/api/v1/agents/1001");
    assert_eq!(agent["state"], "logged_out", "{agent}");
    assert_eq!(centre.terminate(), 0);
    let log = centre.log();
    assert!(
        log.contains("traffic: ") && log.contains("; 0 calls left over"),
        "{log}"
    );
    assert!(!log.contains(" 0 heard"), "{log}");
    assert!(log.contains("every call has ended"), "{log}");
}
