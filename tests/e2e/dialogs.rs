//! Dialogs with SIPp as the caller: reliable provisionals, session timers, UPDATE before the answer, every form of hold, calls whose offer is
//! ours. The caller's media are a socket of the test's own, so that what is heard is known at both ends.

use std::net::SocketAddr;

use crate::api::Client;
use crate::centre::{Centre, QUEUES, wait_for};
use crate::raw::{Phone, Rtp, converse, fixed_agents};
use crate::sipp::Sipp;

const CALLER_HERTZ: f64 = 440.0;
const AGENT_HERTZ: f64 = 1000.0;

/// A centre whose one agent, of both queues, has a telephone of the test's own.
fn centre_of(phone: &Phone, set: &[&str]) -> Centre {
    let agents = fixed_agents(&[("a1", phone.port(), "support = 5, sales = 5")]);
    Centre::start_with(&[("queues.toml", QUEUES), ("agents.toml", &agents)], set)
}

/// A SIPp caller whose media are these; `more` are keys of the scenario.
fn caller(centre: &Centre, scenario: &str, number: &str, rtp: &Rtp, more: &[&str]) -> Sipp {
    let port = rtp.address().port().to_string();
    let mut keys = vec!["-key", "rtp", &port];
    keys.extend(more);
    Sipp::start(centre, scenario, number, &keys)
}

/// Where the centre has last told this caller to send.
fn remote_of(caller: &Sipp) -> SocketAddr {
    wait_for("a description", || caller.described())
}

/// Both ends speak until each hears the other.
fn hear_each_other(what: &str, caller: &mut Rtp, agent: &mut Rtp) {
    caller.heard.clear();
    agent.heard.clear();
    converse(
        what,
        &mut [(caller, CALLER_HERTZ), (agent, AGENT_HERTZ)],
        |ends| ends[0].purity(AGENT_HERTZ) > 0.9 && ends[1].purity(CALLER_HERTZ) > 0.9,
    );
}

/// The desk presses a key: the caller's cue for what its scenario does next.
fn cue(client: &Client, contact: &str) {
    let path = format!("/api/v1/contacts/{contact}/dtmf");
    let body = serde_json::json!({"digits": "1"});
    let (status, answer) = client.json("POST", &path, Some(body));
    assert!(status < 300, "{status} {answer}");
}

fn subject(event: &serde_json::Value) -> String {
    event["subject"].as_str().expect("a subject").to_owned()
}

#[test]
fn a_caller_that_requires_100rel_is_rung_reliably_and_heard() {
    let mut phone = Phone::new();
    let centre = centre_of(&phone, &[]);
    let client = Client::sign_in_any(&centre);
    let mut rtp = Rtp::new(0x0100);
    let caller = caller(&centre, "caller_pracks", "2001", &rtp, &[]);
    phone.ring();
    // The answer would not wait for the acknowledgement of a ringing that says nothing more.
    caller.wait_received("CSeq: 2 PRACK");
    phone.answer();
    client.wait_event("contact.answered", |_| true);
    rtp.remote = Some(remote_of(&caller));
    hear_each_other("a talk", &mut rtp, &mut phone.rtp);
    phone.hang_up();
    caller.succeed();
}

#[test]
fn a_caller_moves_its_media_by_update_before_any_answer() {
    let phone = Phone::new();
    let centre = centre_of(&phone, &["ivr.announce_unknown=true"]);
    let mut first = Rtp::new(0x0200);
    let mut second = Rtp::new(0x0201);
    let port = second.address().port().to_string();
    let caller = caller(
        &centre,
        "caller_updates_early",
        "5555",
        &first,
        &["-key", "rtp2", &port],
    );
    // The announcement goes where the UPDATE has moved it, and is heard before any answer.
    converse("the announcement", &mut [(&mut second, 0.0)], |ends| {
        let heard = ends[0].samples(25);
        heard.len() >= 25 * 160 && heard.iter().any(|sample| sample.unsigned_abs() > 500)
    });
    let moved = second.heard.len();
    first.listen();
    let before = first.heard.len();
    converse("it to end", &mut [(&mut second, 0.0)], |ends| {
        ends[0].heard.len() >= moved + 50
    });
    first.listen();
    assert_eq!(first.heard.len(), before, "the old address is left alone");
    caller.succeed();
}

/// Nothing here waits for a long interval: it is six seconds.
#[test]
fn a_caller_refreshes_its_session_and_is_ended_when_it_stops() {
    let phone = Phone::new();
    let centre = centre_of(&phone, &["sip.session_expires_min=2s"]);
    let client = Client::sign_in_any(&centre);
    let mut rtp = Rtp::new(0x0300);
    let caller = caller(&centre, "caller_refreshes", "9197", &rtp, &[]);
    converse("the tone", &mut [(&mut rtp, 0.0)], |ends| {
        ends[0].purity(1004.0) > 0.9
    });
    caller.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["cause"], "caller_lost", "{closed}");
}

#[test]
fn a_caller_that_allows_update_is_refreshed_by_it() {
    let phone = Phone::new();
    let centre = centre_of(
        &phone,
        &["sip.session_expires=6s", "sip.session_expires_min=2s"],
    );
    let mut rtp = Rtp::new(0x0400);
    let caller = caller(&centre, "caller_is_updated", "9197", &rtp, &[]);
    converse("the tone", &mut [(&mut rtp, 0.0)], |ends| {
        ends[0].purity(1004.0) > 0.9
    });
    caller.succeed();
}

/// RFC 3264 section 8: a description that is only repeated is the same, its version as well.
#[test]
fn a_caller_without_update_is_refreshed_by_the_same_description() {
    let phone = Phone::new();
    let centre = centre_of(
        &phone,
        &["sip.session_expires=4s", "sip.session_expires_min=2s"],
    );
    let mut rtp = Rtp::new(0x0500);
    let caller = caller(&centre, "caller_is_reinvited", "9197", &rtp, &[]);
    converse("the tone", &mut [(&mut rtp, 0.0)], |ends| {
        ends[0].purity(1004.0) > 0.9
    });
    caller.succeed();
}

#[test]
fn each_form_of_hold_gives_the_agent_music_and_the_caller_silence() {
    let mut phone = Phone::new();
    let centre = centre_of(&phone, &[]);
    let client = Client::sign_in_any(&centre);
    for (n, (connection, port, direction)) in [
        ("127.0.0.1", None, "sendonly"),
        ("127.0.0.1", None, "inactive"),
        ("0.0.0.0", None, "sendrecv"),
        ("127.0.0.1", Some("0"), "sendrecv"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rtp = Rtp::new(0x0600 + n as u32);
        let own = rtp.address().port().to_string();
        let keys = [
            "-key",
            "connection",
            connection,
            "-key",
            "port",
            port.unwrap_or(&own),
            "-key",
            "direction",
            direction,
        ];
        let caller = caller(&centre, "caller_holds", "2000", &rtp, &keys);
        phone.ring();
        phone.answer();
        let nth = |kind: &str| {
            let found = client.wait_event(kind, |_| {
                let events = client.events();
                events.iter().filter(|event| event["type"] == kind).count() > n
            });
            subject(&found)
        };
        nth("contact.answered");
        let answered = client.events();
        let last = answered
            .iter()
            .rfind(|event| event["type"] == "contact.answered");
        let contact = subject(last.expect("it was answered"));
        rtp.remote = Some(remote_of(&caller));
        hear_each_other("a talk", &mut rtp, &mut phone.rtp);
        cue(&client, &contact);
        nth("contact.held");
        // What was on its way when the hold began may still come.
        converse("the hold", &mut [(&mut phone.rtp, AGENT_HERTZ)], |ends| {
            ends[0].heard.len() >= 10
        });
        rtp.listen();
        rtp.heard.clear();
        phone.rtp.heard.clear();
        converse("music", &mut [(&mut phone.rtp, AGENT_HERTZ)], |ends| {
            ends[0].heard.len() >= 25 && ends[0].purity(CALLER_HERTZ) < 0.5
        });
        rtp.listen();
        assert!(
            rtp.heard.is_empty(),
            "{direction} at {connection}: a held phone hears nothing"
        );
        cue(&client, &contact);
        nth("contact.resumed");
        hear_each_other("the talk again", &mut rtp, &mut phone.rtp);
        cue(&client, &contact);
        phone.hung_up();
        caller.succeed();
        client.wait_agent("a1", "ready");
    }
}

#[test]
fn a_caller_without_an_offer_answers_ours_and_changes_its_codec() {
    let mut phone = Phone::new();
    let centre = centre_of(&phone, &[]);
    let client = Client::sign_in_any(&centre);
    let mut rtp = Rtp::new(0x0700);
    let caller = caller(&centre, "caller_without_offer", "2000", &rtp, &[]);
    phone.ring();
    phone.answer();
    let contact = subject(&client.wait_event("contact.answered", |_| true));
    rtp.remote = Some(remote_of(&caller));
    hear_each_other("PCMA", &mut rtp, &mut phone.rtp);
    assert_eq!(rtp.heard.last().map(|packet| packet.payload_type), Some(8));
    cue(&client, &contact);
    // The answer in the ACK has another codec: both still hear each other.
    wait_for("PCMU", || {
        rtp.listen();
        let last = rtp.heard.last().map(|packet| packet.payload_type);
        phone.rtp.speak(AGENT_HERTZ);
        (last == Some(0)).then_some(())
    });
    rtp.payload_type = crate::raw::PCMU;
    hear_each_other("PCMU", &mut rtp, &mut phone.rtp);
    // A codec that we have not got is refused, and all stays as it was.
    cue(&client, &contact);
    hear_each_other("after the 488", &mut rtp, &mut phone.rtp);
    assert_eq!(rtp.heard.last().map(|packet| packet.payload_type), Some(0));
    cue(&client, &contact);
    phone.hung_up();
    caller.succeed();
}

#[test]
fn a_caller_that_never_answers_our_offer_is_ended() {
    let phone = Phone::new();
    let centre = centre_of(&phone, &[]);
    let client = Client::sign_in_any(&centre);
    let rtp = Rtp::new(0x0800);
    caller(&centre, "caller_never_answers", "9197", &rtp, &[]).succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["cause"], "no_common_codec", "{closed}");
}

#[test]
fn a_flow_is_steered_by_keys_that_come_by_info() {
    let mut phone = Phone::new();
    let centre = centre_of(&phone, &[]);
    let client = Client::sign_in_any(&centre);
    let mut rtp = Rtp::new(0x0900);
    let caller = caller(&centre, "caller_informs", "1000", &rtp, &[]);
    let queued = client.wait_event("contact.queued", |_| true);
    assert_eq!(queued["data"]["queue"], "support", "{queued}");
    phone.ring();
    phone.answer();
    client.wait_event("contact.answered", |_| true);
    rtp.remote = Some(remote_of(&caller));
    hear_each_other("a talk", &mut rtp, &mut phone.rtp);
    phone.hang_up();
    caller.succeed();
    let (_, metrics) = crate::api::get_text(&centre, "/metrics");
    for reason in ["info_body", "info_type"] {
        let line = format!("sip_refused_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}
