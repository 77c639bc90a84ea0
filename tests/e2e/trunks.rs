//! Trunks with a real Kamailio: calls out with digest, calls in by registration, failover, and a proxy in front; and registrations over a restart.

use serde_json::Value;

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, QUEUES, agents, wait_for};
use crate::dns::Dns;
use crate::kamailio::{self, PASSWORD, REALM, USER};
use crate::sipp::{Sipp, free_port};
use crate::tls::Ca;

/// Agent 1001 may call national numbers, where there is a way to any.
fn agents_who_call(trunks: &str) -> String {
    if !trunks.contains("[[outbound]]") {
        return agents();
    }
    agents().replacen(
        "id = \"1001\"\n",
        "id = \"1001\"\nmay_call = [\"national\"]\n",
        1,
    )
}

fn carrier(name: &str, port: u16, more: &str) -> String {
    format!(
        "[[trunk]]\nname = \"{name}\"\nuri = \"sip:127.0.0.1:{port}\"\nrealm = \"{REALM}\"\nusername = \"{USER}\"\npassword_file = \"carrier.secret\"\ncaller_id = \"+861065529988\"\n{more}\n"
    )
}

fn rule(trunks: &str) -> String {
    format!("[[outbound]]\nnumber = \"+86\"\nclass = \"national\"\ntrunks = [{trunks}]\n")
}

fn centre(trunks: &str) -> (Centre, Client) {
    let secret = format!("{PASSWORD}\n");
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &agents_who_call(trunks)),
            ("trunks.toml", trunks),
            ("carrier.secret", &secret),
        ],
        &[],
    );
    let client = Client::sign_in_any(&centre);
    (centre, client)
}

fn trunk_state(client: &Client, name: &str) -> Value {
    let (status, list) = client.get("/api/v1/trunks");
    assert_eq!(status, 200, "{list}");
    let items = list["items"].as_array().expect("a list");
    items
        .iter()
        .find(|trunk| trunk["name"] == name)
        .cloned()
        .unwrap_or(Value::Null)
}

#[test]
fn an_agent_calls_out_through_kamailio_with_digest() {
    let (port, subscriber) = (free_port(), free_port());
    let _carrier = kamailio::carrier(port, subscriber);
    let called = Sipp::serve("subscriber_answers", subscriber, 1, &["-rtp_echo"]);
    let trunks = carrier("carrier", port, "addresses = [\"127.0.0.1\"]") + &rule("\"carrier\"");
    let (centre, client) = centre(&trunks);
    client.import_customer("+861065520001", "Wang Fang", "A");
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 440, false);
    agent.registered();
    client.wait_agent("1001", "ready");
    agent.command("dial", &format!("sip:01065520001@{}", centre.sip()));
    agent.wait("CALL_ESTABLISHED");
    // The echo comes back from behind the carrier: both ways carry sound.
    agent.wait_tone(440);
    client.wait_agent("1001", "occupied");
    agent.command("hangup", "");
    called.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["direction"], "outbound", "{closed}");
    assert_eq!(closed["data"]["outcome"], "answered", "{closed}");
    assert_eq!(closed["data"]["agent"], "1001", "{closed}");
    assert_eq!(closed["data"]["customers"][0], "C1", "{closed}");
    let contact = closed["data"]["contact"].as_str().expect("a contact");
    let (_, contact) = client.get(&format!("/api/v1/contacts/{contact}"));
    assert_eq!(contact["dnis"], "+861065520001", "{contact}");
    client.wait_agent("1001", "ready");
    let state = trunk_state(&client, "carrier");
    assert_eq!(state["calls_out"], 1, "{state}");
    assert_eq!(state["calls"], 0, "{state}");
    let (_, effective) = client.get("/api/v1/config/effective");
    assert!(!effective.to_string().contains(PASSWORD), "{effective}");
}

#[test]
fn calls_come_in_through_kamailio_where_we_have_registered() {
    let (port, nobody) = (free_port(), free_port());
    let proxy = kamailio::carrier(port, nobody);
    let trunks = carrier(
        "carrier",
        port,
        "addresses = [\"127.0.0.1\"]\nregister = true\noptions = \"2s\"",
    );
    let (centre, client) = centre(&trunks);
    wait_for("the registration at the carrier", || {
        (trunk_state(&client, "carrier")["registered"] == true).then_some(())
    });
    let agent = Baresip::start(&centre, "1001", Some("demo-1001"), 440, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let caller = Sipp::start_to(
        &proxy.address(),
        "subscriber_calls",
        "2000",
        &["-rtp_echo", "-d", "4000"],
    );
    let arrived = client.wait_event("contact.arrived", |_| true);
    assert_eq!(arrived["data"]["trunk"], "carrier", "{arrived}");
    assert_eq!(
        arrived["data"]["ani"], "+8613900139000",
        "the asserted identity: {arrived}"
    );
    client.wait_event("contact.answered", |_| true);
    agent.wait_tone(440);
    caller.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["cause"], "caller_bye", "{closed}");
    assert_eq!(trunk_state(&client, "carrier")["calls_in"], 1);
}

#[test]
fn a_dead_trunk_is_followed_by_the_next_and_shows_as_down() {
    let (dead, port, subscriber) = (free_port(), free_port(), free_port());
    let _carrier = kamailio::carrier(port, subscriber);
    let called = Sipp::serve("subscriber_answers", subscriber, 1, &["-rtp_echo"]);
    let trunks = carrier("first", dead, "options = \"1s\"")
        + &carrier("second", port, "options = \"1s\"")
        + &rule("\"first\", \"second\"");
    let (centre, client) = centre(&trunks);
    wait_for("the first trunk to be down", || {
        (trunk_state(&client, "first")["up"] == false).then_some(())
    });
    assert_eq!(trunk_state(&client, "second")["up"], true);
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 440, false);
    agent.registered();
    client.wait_agent("1001", "ready");
    agent.command("dial", &format!("sip:+861065520001@{}", centre.sip()));
    agent.wait("CALL_ESTABLISHED");
    agent.wait_tone(440);
    agent.command("hangup", "");
    called.succeed();
    assert_eq!(trunk_state(&client, "second")["calls_out"], 1);
}

#[test]
fn without_the_class_an_agents_call_goes_nowhere() {
    let (port, subscriber) = (free_port(), free_port());
    let _carrier = kamailio::carrier(port, subscriber);
    let trunks = carrier("carrier", port, "addresses = [\"127.0.0.1\"]") + &rule("\"carrier\"");
    let (centre, client) = centre(&trunks);
    let mut barred = Baresip::start(&centre, "1002", Some("demo-1002"), 440, false);
    barred.registered();
    barred.command("dial", &format!("sip:01065520001@{}", centre.sip()));
    let closed = barred.wait("CALL_CLOSED");
    assert!(closed.to_string().contains("403"), "{closed}");
    // Nor by a caller from the trunk itself: to it there is no such number.
    let mut caller = crate::raw::Caller::new(&centre);
    caller.dial("01065520001");
    assert_eq!(caller.refused().status(), Some(404));
    assert_eq!(trunk_state(&client, "carrier")["calls_out"], 0);
}

#[test]
fn phones_register_and_are_called_through_a_kamailio_in_front() {
    let (centre, client) = centre("[[trunk]]\nname = \"local\"\naddresses = [\"127.0.0.1\"]\n");
    let proxy = kamailio::edge(free_port(), centre.sip());
    let mut agent = Baresip::start_at(&proxy.address(), "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start(&centre, "13800138000", None, 440, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    client.wait_event("contact.answered", |_| true);
    agent.wait_tone(440);
    caller.wait_tone(1000);
    // By the Path of its registration, not straight to the phone.
    let event = client.wait_event("contact.answered", |_| true);
    let contact = event["subject"].as_str().expect("a subject");
    let (_, ladder) = client.get(&format!("/api/v1/contacts/{contact}/ladder"));
    let messages = ladder["messages"].as_array().expect("a list");
    let by_proxy = messages.iter().any(|message| {
        let summary = message["summary"].as_str().unwrap_or_default();
        message["direction"] == "out"
            && message["peer"] == *proxy.address()
            && summary.starts_with("INVITE sip:1001")
    });
    assert!(by_proxy, "{ladder}");
    caller.command("hangup", "");
    agent.wait("CALL_CLOSED");
}

#[test]
fn a_registration_outlives_kill_9() {
    let port = format!("sip.port={}", free_port());
    let centre = Centre::start_with(
        &[("queues.toml", QUEUES), ("agents.toml", &agents())],
        &[&port],
    );
    let agent = Baresip::start(&centre, "1001", Some("demo-1001"), 1000, true);
    agent.registered();
    let client = Client::sign_in_any(&centre);
    client.wait_agent("1001", "ready");
    // The REGISTER is on disk a moment after its answer.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let directory = centre.kill();
    let centre = Centre::start_in(directory, &[&port]);
    let client = Client::sign_in_any(&centre);
    // The phone refreshes after minutes: it is the kept binding that makes the agent ready.
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start(&centre, "13800138000", None, 440, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    client.wait_event("contact.answered", |_| true);
    agent.wait_tone(440);
    caller.wait_tone(1000);
}

/// The first carrier's name leads to a server that cannot prove it: nothing is said to it, the log says why, and the call takes the other trunk.
#[test]
fn a_call_out_over_tls_goes_to_who_proves_the_name_and_to_nobody_else() {
    let ca = Ca::new();
    let (impostor, carrier, subscriber) = (free_port(), free_port(), free_port());
    let others = ca.pair(&["somebody.test"]);
    let _impostor = kamailio::tls_carrier(impostor, &others, &ca, subscriber);
    let named = ca.pair(&["carrier.test"]);
    let _carrier = kamailio::tls_carrier(carrier, &named, &ca, subscriber);
    let dns = Dns::start(&[
        "--host-record=first.test,127.0.0.1".to_owned(),
        "--host-record=carrier.test,127.0.0.1".to_owned(),
        "--local=/test/".to_owned(),
    ]);
    let trunk = |name: &str, host: &str, port: u16| {
        format!(
            "[[trunk]]\nname = \"{name}\"\nuri = \"sip:{host}:{port};transport=tls\"\ncaller_id = \"+861065529988\"\noptions = \"1s\"\n"
        )
    };
    let trunks = trunk("first", "first.test", impostor)
        + &trunk("second", "carrier.test", carrier)
        + &rule("\"first\", \"second\"");
    let called = Sipp::serve("subscriber_answers", subscriber, 1, &["-rtp_echo"]);
    let agents = agents_who_call(&trunks);
    let root = ca.certificate.pem();
    let ours = ca.pair(&["localhost", "127.0.0.1"]);
    let files = [
        ("queues.toml", QUEUES),
        ("agents.toml", &agents),
        ("trunks.toml", &trunks),
        ("certificate.pem", &ours.certificate),
        ("key.pem", &ours.key),
        ("ca.pem", &root),
    ];
    let servers = dns.setting();
    let set = [&crate::tls::SET[..], &["sip.tls.ca=ca.pem", &servers]].concat();
    let centre = Centre::start_with(&files, &set);
    let client = Client::sign_in_any(&centre);
    wait_for("the impostor to be down", || {
        (trunk_state(&client, "first")["up"] == false).then_some(())
    });
    let log = centre.log();
    let told = log.lines().find(|line| line.contains("first.test"));
    let told = told.unwrap_or_else(|| panic!("nothing of it: {log}"));
    for word in ["WARN", "TLS with a SIP server failed", "not valid for name"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(trunk_state(&client, "second")["up"], true);
    calls_by_the_second(&centre, &client);
    called.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["outcome"], "answered", "{closed}");
    let contact = closed["subject"].as_str().expect("a subject");
    let (_, ladder) = client.get(&format!("/api/v1/contacts/{contact}/ladder"));
    let messages = ladder["messages"].as_array().expect("a list");
    let with_carrier: Vec<&Value> = messages
        .iter()
        .filter(|message| message["party"] == "second")
        .collect();
    assert!(!with_carrier.is_empty(), "{ladder}");
    for message in with_carrier {
        assert_eq!(message["transport"], "tls", "{message}");
    }
}

/// A carrier that refuses our certificate: with TLS 1.3 it takes the connection first, and the call that waits on it.
#[test]
fn a_carrier_that_refuses_our_certificate_is_passed_over_and_told_of() {
    let (ca, others) = (Ca::new(), Ca::new());
    let (strict, port, subscriber) = (free_port(), free_port(), free_port());
    let named = ca.pair(&["127.0.0.1"]);
    // It believes another authority than the one that has signed ours.
    let _strict = kamailio::tls_carrier(strict, &named, &others, subscriber);
    let _carrier = kamailio::carrier(port, subscriber);
    let called = Sipp::serve("subscriber_answers", subscriber, 1, &["-rtp_echo"]);
    let (centre, client) = by_tls_first(&ca, strict, port);
    calls_by_the_second(&centre, &client);
    called.succeed();
    let log = centre.log();
    let told = log.lines().find(|line| line.contains("without a word"));
    let told = told.unwrap_or_else(|| panic!("nothing of it: {log}"));
    assert!(told.contains("WARN") && told.contains("alert"), "{told}");
}

/// A centre whose calls go to the trunk `first` at this TLS port, else to `second`.
fn by_tls_first(ca: &Ca, first: u16, second: u16) -> (Centre, Client) {
    let first = format!(
        "[[trunk]]\nname = \"first\"\nuri = \"sip:127.0.0.1:{first};transport=tls\"\ncaller_id = \"+861065529988\"\n"
    );
    let trunks = first + &carrier("second", second, "") + &rule("\"first\", \"second\"");
    let secret = format!("{PASSWORD}\n");
    let (agents, root) = (agents_who_call(&trunks), ca.certificate.pem());
    let ours = ca.pair(&["localhost", "127.0.0.1"]);
    let files = [
        ("queues.toml", QUEUES),
        ("agents.toml", &agents),
        ("trunks.toml", &trunks),
        ("carrier.secret", &secret),
        ("certificate.pem", &ours.certificate),
        ("key.pem", &ours.key),
        ("ca.pem", &root),
    ];
    let set = [&crate::tls::SET[..], &["sip.tls.ca=ca.pem"]].concat();
    let centre = Centre::start_with(&files, &set);
    let client = Client::sign_in_any(&centre);
    (centre, client)
}

/// An agent's call comes about by the trunk `second`, and is heard.
fn calls_by_the_second(centre: &Centre, client: &Client) {
    let mut agent = Baresip::start(centre, "1001", Some("demo-1001"), 440, false);
    agent.registered();
    client.wait_agent("1001", "ready");
    agent.command("dial", &format!("sip:+861065520001@{}", centre.sip()));
    agent.wait("CALL_ESTABLISHED");
    agent.wait_tone(440);
    agent.command("hangup", "");
    client.wait_event("contact.closed", |_| true);
    assert_eq!(trunk_state(client, "second")["calls_out"], 1);
}

/// Before it is known to be down, a trunk that cannot prove its name costs a call no more than the handshake.
#[test]
fn a_call_fails_over_from_a_trunk_with_a_wrong_certificate() {
    let ca = Ca::new();
    let (impostor, port, subscriber) = (free_port(), free_port(), free_port());
    // Another authority has signed for the right name.
    let named = Ca::new().pair(&["localhost", "127.0.0.1"]);
    let _impostor = kamailio::tls_carrier(impostor, &named, &ca, subscriber);
    let _carrier = kamailio::carrier(port, subscriber);
    let called = Sipp::serve("subscriber_answers", subscriber, 1, &["-rtp_echo"]);
    let (centre, client) = by_tls_first(&ca, impostor, port);
    calls_by_the_second(&centre, &client);
    called.succeed();
    let log = centre.log();
    assert!(log.contains("invalid peer certificate"), "{log}");
}
