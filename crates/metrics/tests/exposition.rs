//! `/metrics` as Prometheus reads it.

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use clock::Time;
use common::Feed;
use engine::api::Count;
use engine::event::{AgentState, Outcome};
use metrics::{Counters, Exposition, Labels};

fn labels() -> Labels {
    Labels {
        queues: vec!["support".into(), "sales".into()],
        agents: vec![
            ("1001".into(), "all".into()),
            ("1002".into(), "night".into()),
        ],
    }
}

fn counters() -> Counters {
    let mut counters = Counters::default();
    counters.apply(&Count::SipMessage {
        outbound: true,
        method: "INVITE",
        class: "2xx",
    });
    counters.apply(&Count::CallSetup { seconds: 0.003 });
    (counters.rtp_packets_in, counters.rtp_packets_out) = (5, 4);
    counters.rtp_lost = 1;
    counters.rtp_rejected.insert("source", 2);
    counters.apply(&Count::SipRefused {
        what: "nonce_replayed",
    });
    counters
}

fn fed() -> Feed {
    let mut feed = Feed::new(jiff::tz::TimeZone::UTC);
    let at = Time::from_secs;
    feed.agent(
        at(10),
        "1001",
        AgentState::LoggedOut,
        0,
        AgentState::Ready,
        None,
    );
    feed.arrived(at(20), 1);
    feed.queued(at(20), 1, "support", 1);
    feed.answered(at(27), 1, "support", "1001", 7_000);
    feed.agent(
        at(27),
        "1001",
        AgentState::Ready,
        17_000,
        AgentState::Connected,
        Some("support"),
    );
    feed.agent(
        at(57),
        "1001",
        AgentState::Connected,
        30_000,
        AgentState::Ready,
        None,
    );
    feed.closed(at(57), 1, Outcome::Answered, false);
    feed
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "no line {line}\n{text}");
}

#[test]
fn label_sets_exist_before_the_first_call() {
    let fold = metrics::Fold::new(jiff::tz::TimeZone::UTC);
    let text =
        Exposition::new(labels()).text(&fold, &Counters::default(), Time::from_secs(1), Vec::new());
    has(&text, r#"cordboard_queue_asa_seconds{queue="sales"} NaN"#);
    has(
        &text,
        r#"cordboard_queue_service_level_ratio{queue="support",definition="sl_long_abandon@1"} NaN"#,
    );
    has(
        &text,
        r#"cordboard_queue_abandoned_total{queue="sales",channel="voice",short="true"} 0"#,
    );
    has(
        &text,
        r#"cordboard_agents{group="night",state="logged_out"} 1"#,
    );
    has(
        &text,
        r#"cordboard_calls_total{direction="inbound",outcome="answered"} 0"#,
    );
    has(
        &text,
        r#"cordboard_agent_offers_total{group="all",result="ring_timeout"} 0"#,
    );
}

#[test]
fn a_call_is_counted_and_the_running_state_grows() {
    let feed = fed();
    let text =
        Exposition::new(labels()).text(&feed.fold, &counters(), Time::from_secs(100), Vec::new());
    has(
        &text,
        r#"cordboard_queue_answered_within_target_total{queue="support",channel="voice"} 1"#,
    );
    has(
        &text,
        r#"cordboard_queue_answer_wait_seconds_bucket{queue="support",le="5"} 0"#,
    );
    has(
        &text,
        r#"cordboard_queue_answer_wait_seconds_bucket{queue="support",le="10"} 1"#,
    );
    has(
        &text,
        r#"cordboard_queue_answer_wait_seconds_sum{queue="support"} 7"#,
    );
    has(
        &text,
        r#"cordboard_agent_state_seconds_total{group="all",state="ready"} 60"#,
    );
    has(
        &text,
        r#"cordboard_agent_occupancy_ratio{group="all",definition="occupancy@1"} 0.3333333333333333"#,
    );
    has(
        &text,
        r#"cordboard_agent_handle_seconds_sum{group="all",part="talk"} 30"#,
    );
    has(&text, r#"cordboard_agents{group="all",state="ready"} 1"#);
    has(
        &text,
        r#"cordboard_sip_messages_total{direction="out",method="INVITE",status_class="2xx"} 1"#,
    );
    has(
        &text,
        r#"cordboard_sip_refused_total{reason="nonce_replayed"} 1"#,
    );
}

/// Every name of KPI.md's list is there, and promtool finds nothing to complain of (skipped, and said, where it is not installed).
#[test]
fn promtool_reads_it_without_a_word() {
    let text =
        Exposition::new(labels()).text(&fed().fold, &counters(), Time::from_secs(100), Vec::new());
    let names = "calls_active calls_total call_setup_duration_seconds sip_messages_total queue_waiting_contacts queue_longest_wait_seconds \
        queue_offered_total queue_answered_total queue_abandoned_total queue_left_total queue_answered_within_target_total \
        queue_answer_wait_seconds queue_asa_seconds queue_abandonment_ratio queue_service_level_ratio queue_expected_wait_seconds agents \
        agent_state_seconds_total agent_occupancy_ratio agent_offers_total agent_handle_seconds screen_pop_duration_seconds \
        store_commit_duration_seconds rtp_streams_active rtp_packets_total rtp_lost_packets_total rtp_rejected_total events_sequence \
        websocket_clients overload_rejected_total";
    for name in names.split_whitespace() {
        assert!(
            text.contains(&format!("# TYPE cordboard_{name} ")),
            "{name}"
        );
    }
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("promtool is not installed: only the names were checked");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
