//! The stream of events over real sockets.

#![allow(clippy::unwrap_used)] // helpers outside #[test] functions

mod common;

use std::net::TcpStream;
use std::time::Duration;

use common::{World, now};
use engine::event::{AgentState, Outcome};
use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

fn token(world: &World, user: &str) -> String {
    let body = json!({"user": user, "password": format!("demo-{user}")});
    let mut response = ureq::post(format!("http://{}/api/v1/session", world.address))
        .send_json(&body)
        .unwrap();
    response.body_mut().read_json::<Value>().unwrap()["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn connect(world: &World, token: &str, query: &str) -> Socket {
    let (socket, _) = tungstenite::connect(format!(
        "ws://{}/api/v1/stream?token={token}{query}",
        world.address
    ))
    .unwrap();
    if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
    }
    socket
}

fn next(socket: &mut Socket) -> Value {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
}

fn sequences(socket: &mut Socket, count: u64) -> Vec<u64> {
    (0..count)
        .map(|_| next(socket)["sequence"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_snapshot_then_every_event_once_and_the_same_from_any_sequence() {
    let mut world = World::new();
    world.queue(now(), "support");
    world.arrives(now(), 1, "+8613800138000", "support");
    let token = token(&world, "1900");
    let mut live = connect(&world, &token, "");
    let snapshot = next(&mut live);
    assert_eq!(
        (snapshot["type"].clone(), snapshot["sequence"].clone()),
        (json!("snapshot"), json!(4))
    );
    assert_eq!(
        (
            snapshot["queues"][0]["waiting"].clone(),
            snapshot["contacts"][0]["state"].clone()
        ),
        (json!(1), json!("waiting"))
    );
    assert_eq!(snapshot["agents"].as_array().unwrap().len(), 3);
    world.arrives(now(), 2, "+8613800138001", "support");
    world.abandoned(now(), 1, "support", 1_000);
    assert_eq!(sequences(&mut live, 4), [5, 6, 7, 8]);

    // From the log (nobody listened at 2), from memory (6), from now, and from a sequence that is not of this log.
    for after in [2, 6, 8] {
        let mut resumed = connect(&world, &token, &format!("&after={after}"));
        let snapshot = next(&mut resumed);
        assert_eq!(
            (
                snapshot["sequence"].clone(),
                snapshot["resumed"].clone(),
                snapshot["as_of"].clone()
            ),
            (json!(after), json!(true), json!(8))
        );
        let expected: Vec<u64> = (after + 1..=8).collect();
        assert_eq!(sequences(&mut resumed, expected.len() as u64), expected);
    }
    let mut fresh = connect(&world, &token, "&after=999999");
    let snapshot = next(&mut fresh);
    assert_eq!(
        (snapshot["sequence"].clone(), snapshot["resumed"].clone()),
        (json!(8), json!(false))
    );
    world.queue(now(), "sales");
    assert_eq!(sequences(&mut fresh, 1), [9]);
}

#[test]
fn the_pop_is_delivered_before_the_engine_hears_so() {
    let mut world = World::new();
    world.arrives(now(), 1, "+8613800138000", "support");
    assert_eq!(
        world.delivered.try_iter().last(),
        Some(3),
        "with nobody listening at once"
    );
    let mut desk = connect(&world, &token(&world, "1001"), "");
    next(&mut desk);
    assert_eq!(world.audience.recv_timeout(Duration::from_secs(10)), Ok(1));
    let sequence = world.offered(now(), 1, "+8613800138000", "support", "1001");
    assert_eq!(
        world.delivered.recv_timeout(Duration::from_secs(10)),
        Ok(sequence)
    );
    let event = next(&mut desk);
    assert_eq!(
        event["data"]["pop"]["customers"][0]["name"],
        "王小明 Wang Xiaoming"
    );
    drop(desk);
    world.queue(now(), "sales");
    assert_eq!(
        world.audience.recv_timeout(Duration::from_secs(10)),
        Ok(0),
        "a socket that is gone is noticed"
    );
}

#[test]
fn an_agent_hears_of_their_own_contacts_and_queues() {
    let mut world = World::new();
    let mut desk = connect(&world, &token(&world, "1001"), "");
    assert_eq!(next(&mut desk)["agents"].as_array().unwrap().len(), 1);
    world.arrives(now(), 1, "+8613800138000", "sales"); // not theirs
    world.arrives(now(), 2, "+8613800138001", "support"); // the queue's: without the number
    world.offered(now(), 1, "+8613800138000", "sales", "1003");
    world.agent(
        now(),
        "1003",
        AgentState::Reserved,
        AgentState::Ready,
        5,
        Some((1, "sales")),
    );
    world.offered(now(), 2, "+8613800138001", "support", "1001");
    world.closed(now(), 1, Outcome::AbandonedInRing, "sales", Some("1003"));
    world.closed(now(), 2, Outcome::AbandonedInRing, "support", Some("1001"));
    let heard: Vec<Value> = (0..3).map(|_| next(&mut desk)).collect();
    let heard: Vec<(&str, &str)> = heard
        .iter()
        .map(|event| {
            (
                event["type"].as_str().unwrap(),
                event["subject"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        heard,
        [
            ("contact.queued", "n1-1-2"),
            ("contact.offered", "n1-1-2"),
            ("contact.closed", "n1-1-2")
        ]
    );
}

#[test]
fn a_client_that_cannot_keep_up_is_closed_and_delays_nobody() {
    let mut world = World::new();
    let token = token(&world, "1900");
    let mut slow = connect(&world, &token, "");
    next(&mut slow);
    let mut events = Vec::new();
    for n in 1..=60_000 {
        let kind = engine::EventKind::Audit {
            by: "1900".into(),
            action: "test".into(),
            subject: "x".repeat(600).into(),
            detail: None,
        };
        events.push(engine::Event {
            sequence: n,
            at: now(),
            person: None,
            kind,
        });
    }
    for batch in events.chunks(20) {
        world.hub.publish(batch);
        if world.hub.clients() == 0 {
            break;
        }
    }
    assert_eq!((world.hub.clients(), world.hub.slow_closed()), (0, 1));
    // It reads what was on its way, and then why.
    let code = loop {
        match slow.read().unwrap() {
            Message::Close(frame) => break frame.map(|frame| u16::from(frame.code)),
            _ => continue,
        }
    };
    assert_eq!(code, Some(4008));
    let _ = &mut world;
}

#[test]
fn a_stream_needs_a_sign_in_and_ends_with_the_server() {
    let world = World::new();
    let refused = tungstenite::connect(format!("ws://{}/api/v1/stream", world.address));
    assert!(matches!(refused, Err(tungstenite::Error::Http(response)) if response.status() == 401));
}
