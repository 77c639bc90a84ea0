//! Calls through the binary with SIPp as caller.

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::Centre;
use crate::sipp::Sipp;

#[test]
fn a_call_to_a_queue_is_answered_by_the_agent_and_ends_with_wrap_up() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let caller = Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "1500"]);
    agent.wait("CALL_ESTABLISHED");
    caller.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["outcome"], "answered", "{closed}");
    agent.wait("CALL_CLOSED");
    client.wait_event("agent.state", |event| {
        event["data"]["state"] == "ready" && event["data"]["was"] == "wrap_up"
    });
    let (status, page) = client.get("/api/v1/contacts");
    assert_eq!(status, 200);
    let contact = &page["items"][0];
    assert_eq!(
        (contact["queue"].as_str(), contact["agent"].as_str()),
        (Some("support"), Some("1001")),
        "{contact}"
    );
}

#[test]
fn the_agent_hangs_up_and_the_caller_gets_a_bye() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let caller = Sipp::start(&centre, "caller_stays", "2000", &[]);
    agent.wait("CALL_ESTABLISHED");
    client.wait_event("contact.answered", |_| true);
    agent.command("hangup", "");
    caller.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["cause"], "agent_bye", "{closed}");
}

#[test]
fn ring_time_out_is_rona_and_the_contact_keeps_its_place() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut agent = Baresip::start(&centre, "1002", Some("demo-1002"), 1000, false);
    agent.registered();
    client.wait_agent("1002", "ready");
    // Queue `sales` rings 3 s and answers the caller only with the agent.
    let caller = Sipp::start(&centre, "caller_cancels", "2001", &["-d", "5000"]);
    agent.wait("CALL_INCOMING");
    let ended = client.wait_event("contact.offer_ended", |_| true);
    assert_eq!(
        (
            ended["data"]["reason"].as_str(),
            ended["data"]["requeued"].as_bool()
        ),
        (Some("ring_timeout"), Some(true)),
        "{ended}"
    );
    client.wait_agent("1002", "not_ready");
    caller.succeed();
    let abandoned = client.wait_event("contact.abandoned", |_| true);
    assert_eq!(abandoned["data"]["stage"], "queue", "{abandoned}");
}

#[test]
fn the_caller_cancels_while_the_phone_rings_and_nobody_is_blamed() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut agent = Baresip::start(&centre, "1002", Some("demo-1002"), 1000, false);
    agent.registered();
    client.wait_agent("1002", "ready");
    let caller = Sipp::start(&centre, "caller_cancels", "2001", &["-d", "500"]);
    agent.wait("CALL_INCOMING");
    caller.succeed();
    agent.wait("CALL_CLOSED");
    let abandoned = client.wait_event("contact.abandoned", |_| true);
    assert_eq!(abandoned["data"]["stage"], "ring", "{abandoned}");
    client.wait_agent("1002", "ready");
}

#[test]
fn the_flow_is_steered_by_rfc_4733_digits_into_the_queue() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let caller = Sipp::start(&centre, "caller_presses", "1000", &[]);
    let queued = client.wait_event("contact.queued", |_| true);
    assert_eq!(queued["data"]["queue"], "support", "{queued}");
    agent.wait("CALL_ESTABLISHED");
    client.wait_event("contact.answered", |_| true);
    agent.command("hangup", "");
    caller.succeed();
    assert!(
        client
            .events()
            .iter()
            .filter(|event| event["type"] == "ivr.step")
            .count()
            >= 3
    );
}

#[test]
fn an_unknown_number_is_404() {
    let centre = Centre::start();
    Sipp::start(&centre, "unknown_number", "5555", &[]).succeed();
}

#[test]
fn extensions_call_each_other_and_are_occupied_by_it() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut callee = Baresip::start(&centre, "1002", Some("demo-1002"), 700, true);
    let mut caller = Baresip::start(&centre, "1001", Some("demo-1001"), 440, false);
    callee.registered();
    caller.registered();
    client.wait_agent("1002", "ready");
    caller.command("dial", &format!("sip:1002@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    client.wait_agent("1001", "occupied");
    client.wait_agent("1002", "occupied");
    callee.wait_tone(440);
    caller.wait_tone(700);
    caller.command("hangup", "");
    callee.wait("CALL_CLOSED");
    client.wait_agent("1001", "ready");
    client.wait_agent("1002", "ready");
}

#[test]
fn feature_codes_change_the_agents_state() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut phone = Baresip::start(&centre, "1001", Some("demo-1001"), 440, false);
    phone.registered();
    client.wait_agent("1001", "ready");
    phone.command("dial", &format!("sip:*12@{}", centre.sip()));
    let state = client.wait_agent("1001", "not_ready");
    assert_eq!(state["reason"], "break", "no reason digit: {state}");
    phone.wait("CALL_CLOSED");
    phone.events.clear();
    phone.command("dial", &format!("sip:*11@{}", centre.sip()));
    client.wait_agent("1001", "ready");
    phone.wait("CALL_CLOSED");
    phone.command("dial", &format!("sip:*14@{}", centre.sip()));
    client.wait_agent("1001", "logged_out");
}
