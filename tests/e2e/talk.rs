//! What people hear: tones at each far end, and the pop before the ring.

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::Centre;

#[test]
fn caller_and_agent_hear_each_other() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start(&centre, "13800138000", None, 440, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    client.wait_event("contact.answered", |_| true);
    agent.wait_tone(440);
    caller.wait_tone(1000);
    caller.command("hangup", "");
    agent.wait("CALL_CLOSED");
}

#[test]
fn the_test_tone_is_1004_hz_and_the_echo_returns_the_callers_own() {
    let centre = Centre::start();
    let mut caller = Baresip::start(&centre, "13800138000", None, 620, false);
    caller.command("dial", &format!("sip:9197@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    caller.wait_tone(1004);
    let mut echo = Baresip::start(&centre, "13900139000", None, 620, false);
    echo.command("dial", &format!("sip:9196@{}", centre.sip()));
    echo.wait("CALL_ESTABLISHED");
    echo.wait_tone(620);
}

#[test]
fn the_pop_is_on_the_stream_before_the_phone_rings() {
    let centre = Centre::start();
    let customers =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo-customers.csv");
    let client = Client::sign_in_any(&centre);
    client.import_customer("13800138000", "Wang Fang", "A");
    assert!(customers.exists());
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, false);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut stream = client.stream("");
    let mut caller = Baresip::start(&centre, "13800138000", None, 440, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    let offered = stream.next_of("contact.offered");
    let pop = &offered["data"]["pop"];
    assert_eq!(pop["customers"][0]["name"], "Wang Fang", "{offered}");
    assert_eq!(pop["customers"][0]["class"], "A", "{offered}");
    let seen = std::time::SystemTime::now();
    agent.wait("CALL_INCOMING");
    let offered_at = offered["time"].as_str().expect("a time");
    // The INVITE left after the pop: the ladder's times tell it, whatever this test's own speed.
    let contact = offered["subject"].as_str().expect("a subject");
    let (status, ladder) = client.get(&format!("/api/v1/contacts/{contact}/ladder"));
    assert_eq!(status, 200, "{ladder}");
    assert!(
        ladder.to_string().contains("INVITE sip:1001"),
        "offered {offered_at}, seen {seen:?}: {ladder}"
    );
}
