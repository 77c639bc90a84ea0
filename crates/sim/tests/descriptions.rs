//! Session descriptions inside whole calls: every form of hold, calls whose offer is ours, new codecs, lines that are refused.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

mod by_hand;

use by_hand::{AUDIO, EVENTS, Scene, scene, sdp};
use engine::Input;
use expect_test::expect;

impl Scene {
    fn starve(&mut self, stream: u64) {
        let stream = media::StreamId(stream);
        self.world
            .give(Input::Media(media::Event::Starved { stream }));
    }
}

// --- hold

/// One hold by this description, and the call taken back: what is answered, what both hear, what is told.
fn held_by(lines: &[&str]) -> String {
    let mut scene = scene(|_| {}).talking();
    scene.reoffer(2, lines);
    let held = scene.heard();
    // A held telephone sends nothing: that is no dead call.
    scene.starve(1);
    scene.reoffer(3, &[AUDIO, EVENTS]);
    let text = format!(
        "{}{}\n{}\n{}",
        scene.ladder(),
        held.join("\n"),
        scene.heard().join("\n"),
        scene.story()
    );
    scene.end();
    text
}

#[test]
fn hold_by_sendonly() {
    expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101 a=sendonly
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=recvonly
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        1.001  <- SIP/2.0 100 Trying
        1.001  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        1.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1: Silence, Pcma ReceiveOnly 10.0.1.9:4000
        2: Music { name: "default" }, Pcma SendReceive 10.0.2.1:4002
        1: with 2, Pcma SendReceive 10.0.1.9:4000
        2: with 1, Pcma SendReceive 10.0.2.1:4002
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=caller after=1000ms
        agent.state 1001 Held -> Connected
    "#]].assert_eq(&held_by(&[AUDIO, EVENTS, "a=sendonly"]));
}

#[test]
fn hold_by_inactive() {
    expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101 a=inactive
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=inactive
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        1.001  <- SIP/2.0 100 Trying
        1.001  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        1.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1: Silence, Pcma Inactive 10.0.1.9:4000
        2: Music { name: "default" }, Pcma SendReceive 10.0.2.1:4002
        1: with 2, Pcma SendReceive 10.0.1.9:4000
        2: with 1, Pcma SendReceive 10.0.2.1:4002
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=caller after=1000ms
        agent.state 1001 Held -> Connected
    "#]].assert_eq(&held_by(&[AUDIO, EVENTS, "a=inactive"]));
}

#[test]
fn hold_by_an_address_of_zeros() {
    expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 0.0.0.0 m=audio 4000 RTP/AVP 8 0 101
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=recvonly
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        1.001  <- SIP/2.0 100 Trying
        1.001  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        1.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1: Silence, Pcma ReceiveOnly 10.0.1.9:4000
        2: Music { name: "default" }, Pcma SendReceive 10.0.2.1:4002
        1: with 2, Pcma SendReceive 10.0.1.9:4000
        2: with 1, Pcma SendReceive 10.0.2.1:4002
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=caller after=1000ms
        agent.state 1001 Held -> Connected
    "#]].assert_eq(&held_by(&["c=IN IP4 0.0.0.0", AUDIO, EVENTS]));
}

#[test]
fn hold_by_an_ipv6_address_of_zeros() {
    expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP6 :: m=audio 4000 RTP/AVP 8 0 101 a=inactive
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=inactive
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        1.001  <- SIP/2.0 100 Trying
        1.001  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        1.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1: Silence, Pcma Inactive 10.0.1.9:4000
        2: Music { name: "default" }, Pcma SendReceive 10.0.2.1:4002
        1: with 2, Pcma SendReceive 10.0.1.9:4000
        2: with 1, Pcma SendReceive 10.0.2.1:4002
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=caller after=1000ms
        agent.state 1001 Held -> Connected
    "#]].assert_eq(&held_by(&["c=IN IP6 ::", AUDIO, EVENTS, "a=inactive"]));
}

#[test]
fn hold_by_port_zero() {
    expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 m=audio 0 RTP/AVP 8 0 101
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 0 RTP/AVP 8 0 101
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        1.001  <- SIP/2.0 100 Trying
        1.001  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        1.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1: Silence, Pcma Inactive 10.0.1.9:4000
        2: Music { name: "default" }, Pcma SendReceive 10.0.2.1:4002
        1: with 2, Pcma SendReceive 10.0.1.9:4000
        2: with 1, Pcma SendReceive 10.0.2.1:4002
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=caller after=1000ms
        agent.state 1001 Held -> Connected
    "#]].assert_eq(&held_by(&["m=audio 0 RTP/AVP 8 0 101", EVENTS]));
}

/// The agent's telephone holds in each form: the caller hears music, and the answer mirrors the offer.
#[test]
fn every_form_of_hold_by_the_agents_telephone() {
    let mut scene = scene(|_| {}).talking();
    let leg = scene.world.phones[&scene.agent].up().unwrap();
    let mut told = String::new();
    for (n, lines) in [
        &["c=IN IP4 10.0.2.1", AUDIO, EVENTS, "a=sendonly"][..],
        &["c=IN IP4 10.0.2.1", AUDIO, EVENTS, "a=inactive"],
        &["c=IN IP4 0.0.0.0", AUDIO, EVENTS],
        &["c=IN IP4 0.0.0.0", AUDIO, EVENTS, "a=sendonly"],
        &["c=IN IP4 10.0.2.1", "m=audio 0 RTP/AVP 8", EVENTS],
    ]
    .into_iter()
    .enumerate()
    {
        for lines in [lines, &["c=IN IP4 10.0.2.1", AUDIO, EVENTS]] {
            let (now, text) = (scene.world.now, sdp(n as u32, lines));
            scene.world.with_phone(scene.agent, |phone| {
                phone.reoffer_with(now, leg, text.into());
            });
            scene.run(1.0);
            let answer = scene.world.wire.iter().rev();
            let answer = answer
                .clone()
                .find(|message| message.to == "agent" && message.start_line.contains(" 200 "));
            let text = String::from_utf8_lossy(&answer.unwrap().bytes).into_owned();
            let said = text.lines().filter(|line| {
                line.starts_with("m=") || line.starts_with("a=") && !line.contains(':')
            });
            told += &format!("{}\n", said.collect::<Vec<_>>().join(" "));
            told += &format!("  {}\n", scene.heard().join("; "));
        }
    }
    expect![[r#"
        m=audio 10002 RTP/AVP 8 101 a=recvonly
          1: Music { name: "default" }, Pcma SendReceive 10.0.1.9:4000; 2: Silence, Pcma ReceiveOnly 10.0.2.1:4000
        m=audio 10002 RTP/AVP 8 101 a=sendrecv
          1: with 2, Pcma SendReceive 10.0.1.9:4000; 2: with 1, Pcma SendReceive 10.0.2.1:4000
        m=audio 10002 RTP/AVP 8 101 a=inactive
          1: Music { name: "default" }, Pcma SendReceive 10.0.1.9:4000; 2: Silence, Pcma Inactive 10.0.2.1:4000
        m=audio 10002 RTP/AVP 8 101 a=sendrecv
          1: with 2, Pcma SendReceive 10.0.1.9:4000; 2: with 1, Pcma SendReceive 10.0.2.1:4000
        m=audio 10002 RTP/AVP 8 101 a=recvonly
          1: Music { name: "default" }, Pcma SendReceive 10.0.1.9:4000; 2: Silence, Pcma ReceiveOnly 10.0.2.1:4000
        m=audio 10002 RTP/AVP 8 101 a=sendrecv
          1: with 2, Pcma SendReceive 10.0.1.9:4000; 2: with 1, Pcma SendReceive 10.0.2.1:4000
        m=audio 10002 RTP/AVP 8 101 a=recvonly
          1: Music { name: "default" }, Pcma SendReceive 10.0.1.9:4000; 2: Silence, Pcma ReceiveOnly 10.0.2.1:4000
        m=audio 10002 RTP/AVP 8 101 a=sendrecv
          1: with 2, Pcma SendReceive 10.0.1.9:4000; 2: with 1, Pcma SendReceive 10.0.2.1:4000
        m=audio 0 RTP/AVP 8
          1: Music { name: "default" }, Pcma SendReceive 10.0.1.9:4000; 2: Silence, Pcma Inactive 10.0.2.1:4000
        m=audio 10002 RTP/AVP 8 101 a=sendrecv
          1: with 2, Pcma SendReceive 10.0.1.9:4000; 2: with 1, Pcma SendReceive 10.0.2.1:4000
    "#]].assert_eq(&told);
    scene.end();
}

/// What a far end answers to our refresh may be a hold as well.
#[test]
fn a_refresh_that_is_answered_by_a_hold() {
    let mut scene = scene(|_| {}).talking();
    scene.run(898.1);
    scene.agree_with(&sdp(2, &[AUDIO, EVENTS, "a=sendonly"]));
    scene.run(1.0);
    expect![[r#"
        [
            "1: Silence, Pcma ReceiveOnly 10.0.1.9:4000",
            "2: Music { name: \"default\" }, Pcma SendReceive 10.0.2.1:4002",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.check(expect![[r#"
        898.001 <- INVITE sip:x@10.0.1.9:5060 SIP/2.0 | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        898.100 -> SIP/2.0 200 OK | v2 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101 a=sendonly
        898.101 <- ACK sip:x@10.0.1.9:5060 SIP/2.0
    "#]], expect![[r#"
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
    "#]]);
    scene.end();
}

#[test]
fn the_direction_of_the_session_holds_unless_the_line_has_its_own() {
    let mut scene = scene(|_| {}).talking();
    let session = |lines: &[&str]| sdp(2, lines).replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n");
    scene.invite("", &session(&[AUDIO, EVENTS]));
    scene.ack("");
    scene.invite("", &session(&[AUDIO, EVENTS, "a=sendrecv"]));
    scene.ack("");
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 a=sendonly m=audio 4000 RTP/AVP 8 0 101
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=recvonly
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        0.020  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 a=sendonly m=audio 4000 RTP/AVP 8 0 101 a=sendrecv
        0.021  <- SIP/2.0 100 Trying
        0.021  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        0.030  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
    "#]], expect![[r#"
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=caller after=20ms
        agent.state 1001 Held -> Connected
    "#]]);
    scene.end();
}

/// Both hold, in either order of letting go; and a hold by another form on top of a hold is the same hold.
#[test]
fn a_hold_of_a_hold() {
    let mut scene = scene(|_| {}).talking();
    scene.reoffer(2, &[AUDIO, EVENTS, "a=sendonly"]);
    let (now, leg) = (
        scene.world.now,
        scene.world.phones[&scene.agent].up().unwrap(),
    );
    scene.world.with_phone(scene.agent, |phone| {
        phone.reoffer(now, leg, sip::sdp::Direction::SendOnly);
    });
    scene.run(1.0);
    let both = scene.heard();
    scene.reoffer(3, &["c=IN IP4 0.0.0.0", AUDIO, EVENTS, "a=inactive"]);
    scene.reoffer(4, &[AUDIO, EVENTS]);
    let theirs = scene.heard();
    let now = scene.world.now;
    scene.world.with_phone(scene.agent, |phone| {
        phone.reoffer(now, leg, sip::sdp::Direction::SendRecv);
    });
    scene.run(1.0);
    expect![[r#"
        [
            [
                "1: Music { name: \"default\" }, Pcma ReceiveOnly 10.0.1.9:4000",
                "2: Music { name: \"default\" }, Pcma ReceiveOnly 10.0.2.1:4002",
            ],
            [
                "1: Music { name: \"default\" }, Pcma SendReceive 10.0.1.9:4000",
                "2: Silence, Pcma ReceiveOnly 10.0.2.1:4002",
            ],
            [
                "1: with 2, Pcma SendReceive 10.0.1.9:4000",
                "2: with 1, Pcma SendReceive 10.0.2.1:4002",
            ],
        ]
    "#]]
    .assert_debug_eq(&[both, theirs, scene.heard()]);
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101 a=sendonly
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=recvonly
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        2.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP4 0.0.0.0 m=audio 4000 RTP/AVP 8 0 101 a=inactive
        2.001  <- SIP/2.0 100 Trying
        2.001  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=inactive
        2.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        3.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v4 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        3.001  <- SIP/2.0 100 Trying
        3.001  <- SIP/2.0 200 OK | v4 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        3.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
    "#]], expect![[r#"
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=1001 after=4000ms
        agent.state 1001 Held -> Connected
    "#]]);
    scene.end();
}

/// A caller who holds while waiting: what the agent meets is a hold, not silence that ends the call.
#[test]
fn a_caller_on_hold_before_the_agent_answers() {
    let mut scene = scene(|_| {});
    scene.invite("", &sdp(1, &[AUDIO, EVENTS]));
    scene.ack("");
    scene.invite("", &sdp(2, &[AUDIO, EVENTS, "a=sendonly"]));
    scene.ack("");
    // Nor is it a caller who has left the queue.
    scene.starve(1);
    scene.run(1.98);
    scene.starve(1);
    expect![[r#"
        [
            "1: Silence, Pcma ReceiveOnly 10.0.1.9:4000",
            "2: Music { name: \"default\" }, Pcma SendReceive 10.0.2.1:4002",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.reoffer(3, &[AUDIO, EVENTS]);
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        0.020  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101 a=sendonly
        0.021  <- SIP/2.0 100 Trying
        0.021  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=recvonly
        0.030  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        2.020  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        2.021  <- SIP/2.0 100 Trying
        2.021  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        2.030  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
    "#]], expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        contact.held n-1-1 by=caller
        agent.state 1001 Reserved -> Connected
        agent.state 1001 Connected -> Held
        contact.resumed n-1-1 by=caller after=1517ms
        agent.state 1001 Held -> Connected
    "#]]);
    scene.end();
}

// --- the offer is ours

#[test]
fn a_caller_without_an_offer_answers_in_its_ack() {
    let mut scene = scene(|_| {});
    scene.invite("", "");
    scene.ack(&sdp(1, &["m=audio 4000 RTP/AVP 0 101", EVENTS]));
    scene.run(1.0);
    expect![[r#"
        [
            "1: with 2, Pcmu SendReceive 10.0.1.9:4000",
            "2: with 1, Pcma SendReceive 10.0.2.1:4002",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 0 101 a=sendrecv
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 0 101
    "#]], expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
    "#]]);
    scene.end();
}

#[test]
fn an_ack_without_an_answer_or_with_none_that_we_speak_ends_the_call() {
    for body in ["", &sdp(1, &["m=audio 4000 RTP/AVP 18"]), "nonsense"] {
        let mut scene = scene(|_| {});
        scene.invite("", "");
        scene.ack(body);
        scene.agree();
        scene.run(1.0);
        assert!(scene.ladder().contains("<- BYE"), "{}", scene.ladder());
        assert!(
            scene.story().contains("cause=no_common_codec"),
            "{}",
            scene.story()
        );
        scene.end();
    }
}

/// RFC 3262 section 5: to a caller without an offer the first reliable provisional has ours, and the PRACK its answer.
#[test]
fn a_caller_without_an_offer_that_rings_reliably() {
    let mut scene = scene(|config| {
        config
            .queues
            .values_mut()
            .for_each(|queue| queue.answer_on_agent = true);
    });
    scene.invite("Supported: 100rel\r\n", "");
    let rseq = scene.rseq();
    scene.request(
        "PRACK",
        &format!("RAck: {rseq} 1 INVITE\r\n"),
        &sdp(1, &["m=audio 4000 RTP/AVP 0 101", EVENTS]),
    );
    scene.run(1.0);
    scene.ack("");
    expect![[r#"
        [
            "1: with 2, Pcmu SendReceive 10.0.1.9:4000",
            "2: with 1, Pcma SendReceive 10.0.2.1:4002",
        ]
    "#]]
    .assert_debug_eq(&scene.heard());
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 180 Ringing | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 0 101 a=sendrecv
        0.010  -> PRACK sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 0 101
        0.011  <- SIP/2.0 200 OK
        0.504  <- SIP/2.0 200 OK
        1.004  <- SIP/2.0 200 OK
        1.020  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
    "#]], expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
    "#]]);
    scene.end();
}

#[test]
fn a_prack_whose_answer_we_do_not_speak_is_the_end() {
    let mut scene = scene(|config| {
        config
            .queues
            .values_mut()
            .for_each(|queue| queue.answer_on_agent = true);
    });
    scene.invite("Require: 100rel\r\n", "");
    let rseq = scene.rseq();
    scene.request(
        "PRACK",
        &format!("RAck: {rseq} 1 INVITE\r\n"),
        &sdp(1, &["m=audio 4000 RTP/AVP 18"]),
    );
    scene.ack("");
    scene.run(1.0);
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 180 Ringing | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 0 101 a=sendrecv
        0.010  -> PRACK sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 18
        0.011  <- SIP/2.0 200 OK
        0.011  <- SIP/2.0 488 Not Acceptable Here
        0.020  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
    "#]], expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.offer_ended n-1-1 agent=1001 Moved requeued=false
        contact.left_queue n-1-1 support SystemError
        agent.state 1001 Reserved -> Ready
        contact.closed n-1-1 SystemError agent=None cause=no_common_codec
    "#]]);
    scene.end();
}

/// Our offer in the 200 keeps the lines of the call in their places, with what we speak now in the one that is used; held or not, we want to talk.
#[test]
fn a_reinvite_without_an_offer_is_offered_what_the_call_has() {
    let mut scene = scene(|_| {});
    let lines = [
        "m=video 7000 RTP/AVP 31",
        "m=audio 4000 RTP/AVP 0 97",
        "a=rtpmap:97 telephone-event/8000",
        "m=audio 4100 RTP/AVP 8",
    ];
    scene.invite("", &sdp(1, &lines));
    scene.ack("");
    scene.run(1.0);
    scene.invite("", "");
    scene.ack(&sdp(
        2,
        &[
            "m=video 0 RTP/AVP 31",
            "m=audio 4000 RTP/AVP 8 97",
            "a=rtpmap:97 telephone-event/8000",
            "m=audio 0 RTP/AVP 8",
        ],
    ));
    scene.run(1.0);
    let changed = scene.heard();
    // The same again changes nothing, not even the version; an ACK without an answer leaves all as it was.
    scene.invite("", "");
    scene.ack("");
    assert_eq!(scene.heard(), changed);
    // Their answer may be a hold.
    scene.invite("", "");
    scene.ack(&sdp(
        3,
        &[
            "m=video 0 RTP/AVP 31",
            "m=audio 0 RTP/AVP 8",
            "m=audio 0 RTP/AVP 8",
        ],
    ));
    expect![[r#"
        [
            [
                "1: with 2, Pcma SendReceive 10.0.1.9:4000",
                "2: with 1, Pcmu SendReceive 10.0.2.1:4002",
            ],
            [
                "1: Silence, Pcma Inactive 10.0.1.9:4000",
                "2: Music { name: \"default\" }, Pcmu SendReceive 10.0.2.1:4002",
            ],
        ]
    "#]]
    .assert_debug_eq(&[changed, scene.heard()]);
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=video 7000 RTP/AVP 31 m=audio 4000 RTP/AVP 0 97 m=audio 4100 RTP/AVP 8
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v1 c=IN IP4 10.0.0.1 m=video 0 RTP/AVP 31 m=audio 10000 RTP/AVP 0 97 a=sendrecv m=audio 0 RTP/AVP 8
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1.020  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0
        1.021  <- SIP/2.0 100 Trying
        1.021  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=video 0 RTP/AVP 31 m=audio 10000 RTP/AVP 8 0 97 a=sendrecv m=audio 0 RTP/AVP 8
        1.030  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 m=video 0 RTP/AVP 31 m=audio 4000 RTP/AVP 8 97 m=audio 0 RTP/AVP 8
        2.040  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0
        2.041  <- SIP/2.0 100 Trying
        2.041  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=video 0 RTP/AVP 31 m=audio 10000 RTP/AVP 8 0 97 a=sendrecv m=audio 0 RTP/AVP 8
        2.050  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        2.060  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0
        2.061  <- SIP/2.0 100 Trying
        2.061  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=video 0 RTP/AVP 31 m=audio 10000 RTP/AVP 8 0 97 a=sendrecv m=audio 0 RTP/AVP 8
        2.070  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP4 10.0.1.9 m=video 0 RTP/AVP 31 m=audio 0 RTP/AVP 8 m=audio 0 RTP/AVP 8
    "#]], expect![[r#"
        contact.arrived n-1-1 queue:support Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
    "#]]);
    scene.end();
}

// --- other media

#[test]
fn another_codec_by_reinvite_and_one_that_we_do_not_speak() {
    let mut scene = scene(|_| {}).talking();
    scene.reoffer(2, &["m=audio 4000 RTP/AVP 0 101", EVENTS]);
    let changed = scene.heard();
    scene.reoffer(3, &["c=IN IP6 2001:db8::9", "m=audio 4000 RTP/AVP 18"]);
    assert_eq!(
        scene.heard(),
        changed,
        "a refused offer leaves the session as it was"
    );
    // And what it offered is not taken for the call's address family.
    scene.invite("", "");
    scene.ack("");
    expect![[r#"
        [
            "1: with 2, Pcmu SendReceive 10.0.1.9:4000",
            "2: with 1, Pcma SendReceive 10.0.2.1:4002",
        ]
    "#]]
    .assert_debug_eq(&changed);
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 0 101
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 0 101 a=sendrecv
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v3 c=IN IP6 2001:db8::9 m=audio 4000 RTP/AVP 18
        1.001  <- SIP/2.0 100 Trying
        1.001  <- SIP/2.0 488 Not Acceptable Here
        1.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        2.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0
        2.001  <- SIP/2.0 100 Trying
        2.001  <- SIP/2.0 200 OK | v3 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 0 101 a=sendrecv
        2.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
    "#]], expect![[r#""#]]);
    scene.end();
}

/// A session that is only refreshed is described as before, in the same version (RFC 3264 section 8, RFC 4028 section 7.4).
#[test]
fn a_refresh_that_changes_nothing_has_the_same_version() {
    let mut scene = scene(|_| {}).talking();
    scene.reoffer(1, &[AUDIO, EVENTS]);
    scene.reoffer(1, &[AUDIO, EVENTS]);
    scene.request("UPDATE", "", &sdp(1, &[AUDIO, EVENTS]));
    scene.reoffer(2, &[AUDIO, EVENTS, "a=sendonly"]);
    // Ours, half of the interval later, by re-INVITE, as this caller does not allow UPDATE.
    scene.run(900.0);
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        1.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        1.001  <- SIP/2.0 100 Trying
        1.001  <- SIP/2.0 200 OK | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        1.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        2.000  -> UPDATE sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        2.001  <- SIP/2.0 200 OK | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=sendrecv
        2.010  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v2 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101 a=sendonly
        2.011  <- SIP/2.0 100 Trying
        2.011  <- SIP/2.0 200 OK | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=recvonly
        2.020  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        902.011 <- INVITE sip:x@10.0.1.9:5060 SIP/2.0 | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=recvonly
        902.511 <- INVITE sip:x@10.0.1.9:5060 SIP/2.0 | v2 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 101 a=recvonly
    "#]], expect![[r#"
        contact.held n-1-1 by=caller
        agent.state 1001 Connected -> Held
    "#]]);
    scene.agree();
    scene.end();
}
