//! Agents' phones that are asked whether they live.

use std::time::Duration;

use crate::api::Client;
use crate::centre::{Centre, PATIENCE, QUEUES};
use crate::raw::{Caller, Phone, fixed_agents};

/// Answers questions until the agent is in this state.
fn live_until(phone: &mut Phone, client: &Client, state: &str) {
    let start = std::time::Instant::now();
    while client.get("/api/v1/agents/1001").1["state"] != state {
        assert!(start.elapsed() < PATIENCE, "not {state}");
        if let Some(question) = phone.line.receive_within(Duration::from_millis(100))
            && question.method() == "OPTIONS"
        {
            phone.line.reply(&question, "404 Not Found", "t", "", "");
        }
    }
}

#[test]
fn a_phone_that_falls_silent_gets_no_offers_until_it_is_back() {
    let mut phone = Phone::new();
    let agents = fixed_agents(&[("1001", phone.port(), "support = 5")]);
    let files = [("queues.toml", QUEUES), ("agents.toml", &agents)];
    let centre = Centre::start_with(&files, &["sip.phone_options=1s"]);
    let client = Client::sign_in_any(&centre);
    client.wait_agent("1001", "ready");
    let question = phone.line.request("OPTIONS");
    phone.line.reply(&question, "404 Not Found", "t", "", "");
    // Now it says nothing for as long as a transaction lasts.
    client.wait_agent("1001", "unreachable");
    let event = client.wait_event("agent.state", |event| {
        event["data"]["state"] == "unreachable"
    });
    assert_eq!(event["data"]["agent"], "1001", "{event}");
    let mut caller = Caller::new(&centre);
    caller.dial("2000");
    caller.answered();
    caller.ack("");
    client.wait_event("contact.queued", |_| true);
    let (_, waiting) = client.get("/api/v1/contacts?state=waiting");
    assert_eq!(
        waiting["items"].as_array().map(Vec::len),
        Some(1),
        "{waiting}"
    );
    // It lives again: the one who waits is offered at once.
    live_until(&mut phone, &client, "reserved");
    phone.called();
    phone.answer();
    client.wait_event("contact.answered", |event| event["data"]["agent"] == "1001");
    caller.hang_up();
    phone.hung_up();
}
