//! Agents at fixed addresses: what their phones may do to an offer, and who gets the next one.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::api::Client;
use crate::centre::{Centre, wait_for};
use crate::hostile::still_fine;
use crate::raw::{Caller, PCMA, Phone, converse, fixed_agents};
use crate::sipp::{Sipp, free_port};

/// Queue 2000 answers at once, 2001 with the agent and rings for two seconds.
const QUEUES: &str = r#"
[[queue]]
name = "support"
number = "2000"
skills = { support = 1 }
ring = "20s"
wrap_up = "0s"
[[queue]]
name = "sales"
number = "2001"
skills = { sales = 3 }
ring = "2s"
wrap_up = "0s"
answer = "on_agent"
"#;

fn centre(agents: &[(&str, u16, &str)], set: &[&str]) -> (Centre, Client) {
    let centre = Centre::start_with(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", &fixed_agents(agents)),
        ],
        set,
    );
    let client = Client::sign_in_any(&centre);
    (centre, client)
}

fn ended(client: &Client, agent: &str) -> Value {
    client.wait_event("contact.offer_ended", |event| {
        event["data"]["agent"] == agent
    })
}

fn answered(client: &Client) -> String {
    let event = client.wait_event("contact.answered", |_| true);
    event["data"]["agent"]
        .as_str()
        .expect("an agent")
        .to_owned()
}

#[test]
fn sipp_answers_and_both_byes_end_the_call() {
    let (stays, leaves) = (free_port(), free_port());
    let (centre, client) = centre(
        &[("a1", stays, "support = 5"), ("a2", leaves, "sales = 5")],
        &[],
    );
    let agent = Sipp::serve("agent_answers", stays, 1, &["-rtp_echo"]);
    let caller = Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "300"]);
    caller.succeed();
    agent.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["cause"], "caller_bye", "{closed}");
    client.wait_agent("a1", "ready");
    let agent = Sipp::serve("agent_hangs_up", leaves, 1, &["-d", "300"]);
    let caller = Sipp::start(&centre, "caller_stays", "2001", &[]);
    caller.succeed();
    agent.succeed();
    let closed = client.wait_event("contact.closed", |event| event["data"]["queue"] == "sales");
    assert_eq!(closed["data"]["cause"], "agent_bye", "{closed}");
    client.wait_agent("a2", "ready");
    still_fine(&centre);
}

#[test]
fn busy_is_passed_over_and_tried_again_only_after_the_back_off() {
    let (mut first, mut second) = (Phone::new(), Phone::new());
    let (centre, client) = centre(
        &[
            ("a1", first.port(), "support = 5"),
            ("a2", second.port(), "support = 5"),
        ],
        &["limits.back_off=2s"],
    );
    // The one who has been idle longest is a1, by order; a2 takes a break, so that a1 is tried alone first.
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "not_ready", "reason": "break"}),
    );
    client.wait_agent("a2", "not_ready");
    let mut caller = Caller::new(&centre);
    caller.dial("2000");
    caller.answered();
    first.called();
    first.refuse("486 Busy Here", "");
    let refused = Instant::now();
    assert_eq!(ended(&client, "a1")["data"]["reason"], "busy");
    assert_eq!(client.get("/api/v1/agents/a1").1["state"], "ready");
    first.called();
    let waited = refused.elapsed();
    assert!(
        waited > Duration::from_millis(1900) && waited < Duration::from_secs(4),
        "tried again after {waited:?}"
    );
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "ready"}),
    );
    client.wait_agent("a2", "ready");
    first.refuse("480 Temporarily Unavailable", "");
    let refused = Instant::now();
    second.ring();
    assert!(
        refused.elapsed() < Duration::from_secs(1),
        "the next agent at once"
    );
    second.answer();
    assert_eq!(answered(&client), "a2");
    caller.hang_up();
    second.hung_up();
    still_fine(&centre);
}

#[test]
fn declining_twice_makes_not_ready_and_the_next_agent_gets_the_call() {
    let (declines, mut next) = (free_port(), Phone::new());
    let (centre, client) = centre(
        &[
            ("a1", declines, "support = 5"),
            ("a2", next.port(), "support = 5"),
        ],
        &["limits.back_off=500ms"],
    );
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "not_ready", "reason": "break"}),
    );
    client.wait_agent("a2", "not_ready");
    let agent = Sipp::serve("agent_declines", declines, 2, &[]);
    let mut caller = Caller::new(&centre);
    caller.dial("2000");
    caller.answered();
    agent.succeed();
    let state = client.wait_agent("a1", "not_ready");
    assert_eq!(state["reason"], "declined", "{state}");
    assert_eq!(ended(&client, "a1")["data"]["reason"], "declined");
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "ready"}),
    );
    next.ring();
    next.answer();
    assert_eq!(answered(&client), "a2");
    caller.hang_up();
    next.hung_up();
    still_fine(&centre);
}

#[test]
fn a_redirect_is_counted_and_never_followed() {
    let (redirects, mut elsewhere) = (free_port(), Phone::new());
    let (centre, client) = centre(
        &[("a1", redirects, "support = 5")],
        &["limits.back_off=500ms"],
    );
    let target = format!("127.0.0.1:{}", elsewhere.port());
    let agent = Sipp::serve(
        "agent_redirects",
        redirects,
        2,
        &["-key", "elsewhere", &target],
    );
    let mut caller = Caller::new(&centre);
    caller.dial("2000");
    caller.answered();
    agent.succeed();
    assert_eq!(ended(&client, "a1")["data"]["reason"], "redirected");
    let state = client.wait_agent("a1", "not_ready");
    assert_eq!(state["reason"], "declined", "{state}");
    caller.hang_up();
    client.wait_event("contact.closed", |_| true);
    let strays = elsewhere.line.drain();
    assert!(strays.is_empty(), "it was followed: {strays:?}");
    still_fine(&centre);
}

#[test]
fn a_closed_port_and_a_black_hole_cost_seconds_and_the_next_agent_rings() {
    let (mut hole, mut alive) = (Phone::new(), Phone::new());
    let dead = free_port();
    let (centre, client) = centre(
        &[
            ("a1", dead, "support = 5"),
            ("a2", hole.port(), "support = 5"),
            ("a3", alive.port(), "support = 5"),
        ],
        &[],
    );
    // One at a time, so that the order is known: the closed port first.
    for agent in ["a2", "a3"] {
        client.put(
            &format!("/api/v1/agents/{agent}/state"),
            serde_json::json!({"state": "not_ready", "reason": "break"}),
        );
        client.wait_agent(agent, "not_ready");
    }
    let mut caller = Caller::new(&centre);
    caller.dial("2000");
    caller.answered();
    let start = Instant::now();
    assert_eq!(ended(&client, "a1")["data"]["reason"], "unreachable");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "ICMP says at once that nobody is there"
    );
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "ready"}),
    );
    hole.called();
    let start = Instant::now();
    client.put(
        "/api/v1/agents/a3/state",
        serde_json::json!({"state": "ready"}),
    );
    alive.ring();
    let waited = start.elapsed();
    assert!(
        waited < Duration::from_secs(6),
        "{waited:?} for a dead phone"
    );
    assert_eq!(ended(&client, "a2")["data"]["reason"], "unreachable");
    alive.answer();
    assert_eq!(answered(&client), "a3");
    // RFC 3261 section 9.1: no CANCEL before a provisional; with the first sign of life, at once.
    let cancels = |line: &mut crate::raw::Line| {
        line.drain()
            .iter()
            .filter(|message| message.method() == "CANCEL")
            .count()
    };
    assert_eq!(
        cancels(&mut hole.line),
        0,
        "a CANCEL to a phone that never spoke"
    );
    hole.reply("180 Ringing", "", "");
    hole.cancelled();
    caller.hang_up();
    alive.hung_up();
    still_fine(&centre);
}

#[test]
fn ring_time_out_cancels_and_blames_the_agent_and_the_contact_rings_elsewhere() {
    let (rings, mut other) = (free_port(), Phone::new());
    let (centre, client) = centre(
        &[
            ("a1", rings, "sales = 5"),
            ("a2", other.port(), "sales = 4"),
        ],
        &[],
    );
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "not_ready", "reason": "break"}),
    );
    client.wait_agent("a2", "not_ready");
    let agent = Sipp::serve("agent_rings", rings, 1, &[]);
    let mut caller = Caller::new(&centre);
    caller.dial("2001");
    let ended = ended(&client, "a1");
    assert_eq!(
        (
            ended["data"]["reason"].as_str(),
            ended["data"]["requeued"].as_bool()
        ),
        (Some("ring_timeout"), Some(true)),
        "{ended}"
    );
    agent.succeed();
    let state = client.wait_agent("a1", "not_ready");
    assert_eq!(state["reason"], "rona", "{state}");
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "ready"}),
    );
    other.ring();
    other.answer();
    // 180 for the whole wait, 200 only with the agent.
    let ringing = caller
        .line
        .wait("180", |message| message.status() == Some(180));
    assert_eq!(ringing.body(), "");
    caller.answered();
    let offers: Vec<Value> = client
        .events()
        .into_iter()
        .filter(|event| event["type"] == "contact.offered")
        .collect();
    assert_eq!(offers.len(), 2);
    assert_eq!(
        offers[0]["data"]["visit"], offers[1]["data"]["visit"],
        "the same visit goes on"
    );
    caller.hang_up();
    other.hung_up();
    still_fine(&centre);
}

#[test]
fn a_200_that_crosses_the_cancel_is_acked_and_hung_up() {
    let mut phone = Phone::new();
    let (centre, client) = centre(&[("a1", phone.port(), "sales = 5")], &[]);
    let mut caller = Caller::new(&centre);
    caller.dial("2001");
    phone.ring();
    caller
        .line
        .wait("180", |message| message.status() == Some(180));
    caller.cancel();
    assert_eq!(caller.line.answer("CANCEL").status(), Some(200));
    assert_eq!(caller.refused().status(), Some(487));
    let cancel = phone.line.request("CANCEL");
    // The agent had just picked up.
    phone.pick_up();
    phone.line.reply(&cancel, "200 OK", "x", "", "");
    phone.line.request("ACK");
    phone.hung_up();
    let abandoned = client.wait_event("contact.abandoned", |_| true);
    assert_eq!(abandoned["data"]["stage"], "ring", "{abandoned}");
    client.wait_agent("a1", "ready");
    assert!(
        !client
            .events()
            .iter()
            .any(|event| event["type"] == "contact.answered"),
        "nobody was answered"
    );
    still_fine(&centre);
}

#[test]
fn an_agent_without_a_common_codec_is_let_go_and_the_contact_goes_on() {
    let (odd, mut good) = (free_port(), Phone::new());
    let (centre, client) = centre(
        &[
            ("a1", odd, "support = 5"),
            ("a2", good.port(), "support = 5"),
        ],
        &[],
    );
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "not_ready", "reason": "break"}),
    );
    client.wait_agent("a2", "not_ready");
    let agent = Sipp::serve("agent_without_common_codec", odd, 1, &[]);
    let mut caller = Caller::new(&centre);
    caller.dial("2000");
    caller.answered();
    agent.succeed();
    assert_eq!(ended(&client, "a1")["data"]["reason"], "failed");
    client.put(
        "/api/v1/agents/a2/state",
        serde_json::json!({"state": "ready"}),
    );
    good.ring();
    good.answer();
    assert_eq!(answered(&client), "a2");
    caller.hang_up();
    good.hung_up();
    still_fine(&centre);
}

#[test]
fn a_caller_without_an_offer_gets_ours_and_its_answer_counts() {
    let mut phone = Phone::new();
    let (centre, client) = centre(&[("a1", phone.port(), "support = 5")], &[]);
    let mut caller = Caller::new(&centre);
    let invite = caller.invite("2000", "");
    caller.send(invite);
    let answer = caller.line.answer("INVITE");
    assert_eq!(answer.status(), Some(200), "{}", answer.text);
    assert!(answer.body().contains("m=audio"), "{}", answer.text);
    caller.take(&answer);
    let sdp = crate::raw::sdp(caller.rtp.address(), &[PCMA]);
    caller.rtp.payload_type = PCMA;
    caller.ack(&sdp);
    phone.ring();
    phone.answer();
    answered(&client);
    converse(
        "both tones",
        &mut [(&mut caller.rtp, 440.0), (&mut phone.rtp, 1000.0)],
        |ends| ends[0].purity(1000.0) > 0.9 && ends[1].purity(440.0) > 0.9,
    );
    phone.hang_up();
    caller.hung_up();
    still_fine(&centre);
}

#[test]
fn a_delayed_offer_that_is_never_answered_ends_the_call() {
    let (centre, client) = centre(&[("a1", free_port(), "sales = 5")], &[]);
    let mut caller = Caller::new(&centre);
    let invite = caller.invite("2000", "");
    caller.send(invite);
    let answer = caller.line.answer("INVITE");
    caller.take(&answer);
    caller.ack("");
    caller.hung_up();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["cause"], "no_common_codec", "{closed}");
    still_fine(&centre);
}

#[test]
fn no_common_codec_with_the_caller_is_488() {
    let (centre, _) = centre(&[("a1", free_port(), "sales = 5")], &[]);
    let mut caller = Caller::new(&centre);
    caller.codecs = vec![18];
    caller.dial("2000");
    assert_eq!(caller.refused().status(), Some(488));
    still_fine(&centre);
}

#[test]
fn repeated_messages_are_one_call() {
    let mut phone = Phone::new();
    let (centre, client) = centre(&[("a1", phone.port(), "sales = 5")], &[]);
    let mut caller = Caller::new(&centre);
    let sdp = crate::raw::sdp(caller.rtp.address(), &caller.codecs);
    let invite = caller.invite("2001", &sdp);
    for _ in 0..3 {
        caller.send(&invite);
    }
    phone.ring();
    caller.send(&invite);
    // The phone repeats its 200 until it sees the ACK; each gets one.
    for _ in 0..3 {
        phone.pick_up();
    }
    for _ in 0..3 {
        phone.line.request("ACK");
    }
    // No ACK of ours for a while: the 200 comes again, the same each time.
    let first = caller.line.answer("INVITE");
    let again = caller.line.answer("INVITE");
    assert_eq!(first.text, again.text, "a repetition is the same message");
    caller.take(&again);
    caller.send(&invite);
    caller.ack("");
    caller.ack("");
    client.wait_event("contact.answered", |_| true);
    let bye = caller.text("BYE", "");
    for _ in 0..3 {
        caller.send(&bye);
    }
    let answers: Vec<String> = (0..3)
        .map(|_| {
            caller
                .line
                .wait("200 to BYE", |message| message.of() == "BYE")
                .text
        })
        .collect();
    assert!(answers[0].starts_with("SIP/2.0 200"), "{answers:?}");
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    phone.hung_up();
    client.wait_event("contact.closed", |_| true);
    let count = |kind: &str| {
        client
            .events()
            .iter()
            .filter(|event| event["type"] == kind)
            .count()
    };
    assert_eq!(count("contact.arrived"), 1);
    assert_eq!(count("contact.offered"), 1);
    assert_eq!(count("contact.answered"), 1);
    assert_eq!(count("contact.closed"), 1);
    let strays: Vec<_> = phone
        .line
        .drain()
        .into_iter()
        .filter(|message| message.method() == "INVITE")
        .map(|message| message.header("Call-ID").to_owned())
        .collect();
    assert!(
        strays
            .iter()
            .all(|id| id == phone.invite.as_ref().expect("a call").header("Call-ID")),
        "{strays:?}"
    );
    still_fine(&centre);
}

#[test]
fn a_lossy_caller_still_gets_through() {
    let port = free_port();
    let (centre, client) = centre(&[("a1", port, "support = 5")], &[]);
    let agent = Sipp::serve("agent_answers", port, 1, &[]);
    // Every fourth message of the caller is lost in both directions; SIPp and we repeat.
    Sipp::start(
        &centre,
        "caller_hangs_up",
        "2000",
        &["-d", "300", "-lost", "25"],
    )
    .succeed();
    agent.succeed();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["outcome"], "answered", "{closed}");
    still_fine(&centre);
}

#[test]
fn the_longest_idle_agent_with_the_skills_gets_the_longest_waiting_caller() {
    let (mut one, mut two, mut novice) = (Phone::new(), Phone::new(), Phone::new());
    let (centre, client) = centre(
        &[
            ("a1", one.port(), "support = 5, sales = 3"),
            ("a2", two.port(), "support = 5"),
            ("a3", novice.port(), "sales = 2"),
        ],
        &[],
    );
    // a1 is made the fresher one.
    for state in ["not_ready", "ready"] {
        client.put(
            "/api/v1/agents/a1/state",
            serde_json::json!({"state": state, "reason": "break"}),
        );
        client.wait_agent("a1", state);
    }
    let mut first = Caller::new(&centre);
    first.dial("2000");
    first.answered();
    two.ring();
    two.answer();
    let mut second = Caller::new(&centre);
    second.dial("2000");
    second.answered();
    one.ring();
    one.answer();
    // Both are busy now: three wait in the order of their coming, the third for sales, which only a1 may serve.
    let mut waiting: Vec<Caller> = Vec::new();
    for number in ["2001", "2000", "2000"] {
        let mut caller = Caller::new(&centre);
        caller.dial(number);
        if number == "2000" {
            caller.answered();
        } else {
            caller
                .line
                .wait("180", |message| message.status() == Some(180));
        }
        let count = waiting.len() + 1;
        wait_for("everyone waits", || {
            let queued = client
                .events()
                .iter()
                .filter(|event| event["type"] == "contact.queued")
                .count();
            (queued == count + 2).then_some(())
        });
        waiting.push(caller);
    }
    // a2 has no sales skill: the first support caller of those who wait is hers, though the sales caller waits longer.
    first.hang_up();
    two.hung_up();
    two.ring();
    two.answer();
    let contact = |index: usize| {
        client
            .events()
            .iter()
            .filter(|event| event["type"] == "contact.arrived")
            .nth(index)
            .expect("it arrived")["subject"]
            .clone()
    };
    let answers = |count: usize| -> Vec<(Value, Value)> {
        wait_for("answers", || {
            let answers: Vec<(Value, Value)> = client
                .events()
                .iter()
                .filter(|event| event["type"] == "contact.answered")
                .map(|event| (event["subject"].clone(), event["data"]["agent"].clone()))
                .collect();
            (answers.len() == count).then_some(answers)
        })
    };
    assert_eq!(answers(3)[2], (contact(3), "a2".into()));
    // a1 may serve both queues: the longest waiting is the sales caller.
    one.hang_up();
    second.hung_up();
    one.ring();
    one.answer();
    assert_eq!(answers(4)[3], (contact(2), "a1".into()));
    waiting[0].answered();
    waiting[0].hang_up();
    one.hung_up();
    one.ring();
    one.answer();
    assert_eq!(answers(5)[4], (contact(4), "a1".into()));
    assert!(
        novice.line.drain().is_empty(),
        "a level below the queue's is not asked"
    );
    still_fine(&centre);
}

/// Whoever says `Allow-Events: talk` when they ring are told to answer; nobody else is.
#[test]
fn a_telephone_is_answered_from_outside_where_it_says_that_it_can_be() {
    let mut phone = Phone::new();
    let (centre, client) = centre(&[("a1", phone.port(), "support = 5")], &[]);
    let mut last = None;
    for allows in ["", "Allow-Events: talk, hold\r\n"] {
        let mut caller = Caller::new(&centre);
        caller.dial("2000");
        phone.called();
        phone.reply("180 Ringing", allows, "");
        let told = !allows.is_empty();
        let offered = client.wait_event("contact.offered", |event| {
            Some(&event["subject"]) != last.as_ref()
        });
        last = Some(offered["subject"].clone());
        let contact = offered["subject"].as_str().expect("a contact").to_owned();
        let path = format!("/api/v1/contacts/{contact}/answer");
        // The 180 is on its way.
        let (status, answer) = crate::centre::wait_for("the 180", || {
            let (status, answer) = client.json("POST", &path, None);
            (!told || status == 202).then_some((status, answer))
        });
        assert_eq!(status, if told { 202 } else { 409 }, "{answer}");
        if told {
            let notify = phone.line.request("NOTIFY");
            assert_eq!(notify.header("Event"), "talk");
            phone.line.reply(&notify, "200 OK", "", "", "");
        }
        phone.answer();
        client.wait_event("contact.answered", |event| event["subject"] == *contact);
        caller.answered();
        caller.hang_up();
        phone.hung_up();
        client.wait_event("contact.closed", |event| event["subject"] == *contact);
    }
}
