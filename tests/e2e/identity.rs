//! Who calls and how the call came here, from a trunk's headers to the desk; and what trunks are told of ours.

use serde_json::Value;

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, QUEUES, agents};
use crate::sipp::{Sipp, free_port};

/// A centre whose agent 1001 has a telephone at a fixed port, or one that registers.
fn centre(phone: Option<u16>, trunks: &str) -> Centre {
    let more = match phone {
        Some(port) => format!("id = \"1001\"\ncontact = \"sip:1001@127.0.0.1:{port}\"\n"),
        None => "id = \"1001\"\nmay_call = [\"national\"]\n".to_owned(),
    };
    let agents = agents().replacen("id = \"1001\"\n", &more, 1);
    let files = [
        ("queues.toml", QUEUES),
        ("agents.toml", &agents),
        ("trunks.toml", trunks),
    ];
    Centre::start_with(&files, &[])
}

/// The call of `trunk_diverts` through a centre: the contact as its agent and as a supervisor see it, the messages of it, and the centre.
fn diverted(trusted: bool) -> (Value, Value, String, Centre) {
    let phone = free_port();
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\naddresses = [\"127.0.0.1\"]\ntrusted = {trusted}\n"
    );
    let centre = centre(Some(phone), &trunks);
    let client = Client::sign_in_any(&centre);
    client.import_customer("+8613900139000", "Wang Fang", "A");
    let agent = Sipp::serve("agent_answers", phone, 1, &["-rtp_echo"]);
    let caller = Sipp::start(&centre, "trunk_diverts", "2000", &["-d", "1000"]);
    caller.succeed();
    agent.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    let id = closed["data"]["contact"]
        .as_str()
        .expect("a contact")
        .to_owned();
    let desk = Client::sign_in(&centre, "1001", "demo-1001");
    let path = format!("/api/v1/contacts/{id}");
    let (_, seen) = desk.get(&path);
    let (_, known) = client.get(&path);
    let (_, ladder) = client.get(&format!("{path}/ladder?raw=true"));
    (seen, known, ladder.to_string(), centre)
}

#[test]
fn a_withheld_number_finds_the_customer_and_stays_withheld_from_the_agent() {
    let (seen, known, ladder, centre) = diverted(true);
    for contact in [&seen, &known] {
        assert_eq!(contact["ani"], Value::Null, "{contact}");
        assert_eq!(contact["withheld"], true, "{contact}");
        assert_eq!(contact["customer"], "C1", "{contact}");
        let way = &contact["signalling"];
        let diversion =
            serde_json::json!({"from": "+861065529988", "reason": "no-answer", "counter": 1});
        assert_eq!(way["diversions"][0], diversion, "{contact}");
        assert_eq!(way["history"][1]["index"], "1.1", "{contact}");
        assert_eq!(way["history"][1]["reason"], "SIP;cause=408", "{contact}");
    }
    assert_eq!(seen["signalling"]["asserted"], Value::Null, "{seen}");
    assert_eq!(known["signalling"]["asserted"], "+8613900139000", "{known}");
    let shown = "From: \\\"Wang Fang\\\" <sip:anonymous@anonymous.invalid>";
    assert!(
        ladder.contains(shown),
        "the agent's telephone shows the name alone: {ladder}"
    );
    let desk = Client::sign_in(&centre, "1001", "demo-1001");
    let (_, _, events) =
        Client::sign_in_any(&centre).send("GET", "/api/v1/events?after=0&limit=100", None);
    let offer = events
        .lines()
        .find(|line| line.contains("\"contact.offered\""))
        .expect("an offer");
    let offer: Value = serde_json::from_str(offer).expect("JSON");
    assert_eq!(offer["data"]["withheld"], true, "{offer}");
    assert_eq!(
        offer["data"]["signalling"]["asserted"],
        Value::Null,
        "{offer}"
    );
    assert_eq!(
        offer["data"]["signalling"]["diversions"][0]["from"], "+861065529988",
        "{offer}"
    );
    let (_, list) = desk.get("/api/v1/contacts");
    assert!(!list.to_string().contains("13900139000"), "{list}");
}

#[test]
fn a_trunk_that_is_not_trusted_asserts_nothing() {
    let (seen, known, _, _centre) = diverted(false);
    for contact in [&seen, &known] {
        assert_eq!(
            (&contact["ani"], &contact["withheld"]),
            (&Value::Null, &true.into()),
            "{contact}"
        );
        assert_eq!(contact["customer"], Value::Null, "{contact}");
        assert_eq!(contact["signalling"]["asserted"], Value::Null, "{contact}");
        assert_eq!(
            contact["signalling"]["diversions"][0]["from"], "+861065529988",
            "a claim, kept as one: {contact}"
        );
    }
}

#[test]
fn a_trusted_trunk_is_told_who_calls() {
    let port = free_port();
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nuri = \"sip:127.0.0.1:{port}\"\ncaller_id = \"+861065529988\"\nformat = \"e164\"\n\
         [[outbound]]\nnumber = \"+86\"\nclass = \"national\"\ntrunks = [\"carrier\"]\n"
    );
    let centre = centre(None, &trunks);
    let carrier = Sipp::serve("trunk_is_told", port, 1, &["-rtp_echo"]);
    let mut agent = Baresip::start(&centre, "1001", Some("demo-1001"), 440, false);
    agent.registered();
    Client::sign_in_any(&centre).wait_agent("1001", "ready");
    agent.command("dial", &format!("sip:01065520001@{}", centre.sip()));
    agent.wait("CALL_ESTABLISHED");
    agent.wait_tone(440);
    agent.command("hangup", "");
    carrier.succeed();
}
