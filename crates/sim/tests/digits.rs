//! Keys in calls: by INFO into a flow and on to the other side, and as each far end takes them.

#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

mod by_hand;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use by_hand::{AUDIO, EVENTS, Scene, scene, sdp};
use engine::{Command, ContactId, Input, Token, Verb};
use expect_test::expect;

const RELAY: &str = "Content-Type: application/dtmf-relay\r\n";

/// The shipped main flow at 1000, and the hand-written caller's number.
fn with_flow(config: &mut engine::Config) {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../ivr-scripts/main.toml"
    ));
    let text = std::fs::read_to_string(&path).unwrap();
    let queues: BTreeSet<String> = ["support", "sales"].map(str::to_owned).into();
    let numbers: BTreeSet<String> = ["1001", "2000", "2001"].map(str::to_owned).into();
    let surroundings = ivr::Surroundings {
        has_prompt: &|_, _| true,
        queues: &queues,
        numbers: &numbers,
    };
    let (flows, _) = ivr::Flows::load(&[(path, text)], &surroundings);
    config.flows = Arc::new(flows);
    config
        .routes
        .insert("2000".into(), engine::Route::Flow("main".into()));
}

impl Scene {
    fn press(&mut self, kind: &str, body: &str) {
        self.request("INFO", kind, body);
        self.run(0.29);
    }

    /// Keys that go to a stream in RTP.
    fn in_rtp(&self) -> Vec<String> {
        let keys = self
            .world
            .commands
            .iter()
            .filter_map(|command| match command {
                media::Command::SendDtmf { stream, digits } => {
                    Some(format!("{}: {digits}", stream.0))
                }
                _ => None,
            });
        keys.collect()
    }

    /// The bodies of INFOs to the caller.
    fn by_info(&self) -> Vec<String> {
        let to_caller = self.world.wire.iter().filter(|message| {
            message.to == by_hand::CALLER && message.start_line.starts_with("INFO")
        });
        to_caller
            .map(|message| {
                let text = String::from_utf8_lossy(&message.bytes).into_owned();
                text.split("\r\n\r\n").nth(1).unwrap().replace("\r\n", " ")
            })
            .collect()
    }

    fn pressed_in_rtp(&mut self, stream: u64, digit: char) {
        let stream = media::StreamId(stream);
        self.world
            .give(Input::Media(media::Event::Dtmf { stream, digit }));
        self.run(0.1);
    }

    fn desk(&mut self, digits: &str) -> String {
        let command = Command::Contact {
            by: "1001".into(),
            contact: ContactId("n-1-1".into()),
            verb: Verb::Dtmf {
                digits: digits.into(),
            },
        };
        let token = Token(1);
        self.world.give(Input::Command { token, command });
        self.run(0.1);
        format!("{:?}", self.world.replies.last().unwrap().result)
    }
}

#[test]
fn a_flow_is_steered_by_info() {
    let mut scene = scene(with_flow);
    scene.invite("", &sdp(1, &[AUDIO]));
    scene.ack("");
    scene.run(0.5);
    scene.press(RELAY, "Signal=2\r\nDuration=160\r\n");
    scene.press("Content-Type: application/dtmf\r\n", "1");
    scene.run(1.0);
    scene.check(expect![[r#"
        0.000  -> INVITE sip:2000@10.0.0.1:5060 SIP/2.0 | v1 c=IN IP4 10.0.1.9 m=audio 4000 RTP/AVP 8 0 101
        0.001  <- SIP/2.0 100 Trying
        0.001  <- SIP/2.0 200 OK | v1 c=IN IP4 10.0.0.1 m=audio 10000 RTP/AVP 8 a=sendrecv
        0.010  -> ACK sip:2000@10.0.0.1:5060 SIP/2.0
        0.520  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        0.521  <- SIP/2.0 200 OK
        0.820  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        0.821  <- SIP/2.0 200 OK
    "#]], expect![[r#"
        contact.arrived n-1-1 flow:main Inbound
        contact.identified n-1-1 customers=0 class=None late=false
        ivr.step n-1-1 main/greeting say
        ivr.step n-1-1 main/language_known decide
        ivr.step n-1-1 main/language menu
        ivr.step n-1-1 main/english set
        ivr.step n-1-1 main/identify decide
        ivr.step n-1-1 main/menu menu
        ivr.step n-1-1 main/support queue
        contact.queued n-1-1 support visit=1 position=1
        contact.offered n-1-1 agent=1001 offer=1 pop=-
        agent.state 1001 Ready -> Reserved
        contact.answered n-1-1 agent=1001 queue=Some("support") wait=502ms
        agent.state 1001 Reserved -> Connected
    "#]]);
    scene.end();
}

#[test]
fn a_key_by_info_goes_on_to_the_other_side() {
    let mut scene = scene(|_| {}).talking();
    scene.press(RELAY, "Signal=5\r\nDuration=160\r\n");
    scene.press("Content-Type: application/dtmf\r\n", "#");
    // In RTP the plane passes them on by itself.
    scene.pressed_in_rtp(1, '7');
    assert_eq!(scene.in_rtp(), ["2: 5", "2: #"]);
    // A held side hears nothing.
    scene.reoffer(2, &[AUDIO, EVENTS, "a=sendonly"]);
    scene.press(RELAY, "Signal=6\r\n");
    assert_eq!(scene.in_rtp().len(), 2);
    scene.end();
}

#[test]
fn bodies_that_are_no_key() {
    let mut scene = scene(|_| {}).talking();
    for (headers, body) in [
        ("", ""),
        (RELAY, ""),
        (RELAY, "Duration=160\r\n"),
        (RELAY, "Signal=X\r\n"),
        (RELAY, "Signal=hf\r\n"),
        ("Content-Type: application/dtmf\r\n", "12345"),
        ("Content-Type: application/media_control+xml\r\n", "<x/>"),
        (
            "Info-Package: foo\r\nContent-Type: application/dtmf\r\n",
            "1",
        ),
    ] {
        scene.press(headers, body);
    }
    assert!(scene.in_rtp().is_empty());
    scene.check(
        expect![[r#"
        0.000  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        0.001  <- SIP/2.0 200 OK
        0.300  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        0.301  <- SIP/2.0 400 Bad Request
        0.600  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        0.601  <- SIP/2.0 400 Bad Request
        0.900  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        0.901  <- SIP/2.0 400 Bad Request
        1.200  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        1.201  <- SIP/2.0 200 OK
        1.500  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        1.501  <- SIP/2.0 400 Bad Request
        1.800  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        1.801  <- SIP/2.0 415 Unsupported Media Type
        2.100  -> INFO sip:2000@10.0.0.1:5060 SIP/2.0
        2.101  <- SIP/2.0 469 Bad Info Package
    "#]],
        expect![[r#""#]],
    );
    scene.end();
}

/// A far end without keys in RTP gets them by INFO, one after the other: from the desk, and from the agent's telephone.
#[test]
fn a_far_end_without_events_gets_keys_by_info() {
    let mut scene = scene(|_| {});
    scene.invite(
        "Allow: INVITE, ACK, BYE, INFO\r\n",
        &sdp(1, &["m=audio 4000 RTP/AVP 8"]),
    );
    scene.ack("");
    scene.run(1.0);
    assert_eq!(scene.desk("1*"), "Ok(Done)");
    // The next waits for the answer to the one before.
    assert_eq!(scene.by_info(), ["Signal=1 Duration=160 "]);
    scene.agree();
    scene.agree();
    scene.pressed_in_rtp(2, '7');
    scene.agree();
    assert_eq!(
        scene.by_info(),
        [
            "Signal=1 Duration=160 ",
            "Signal=* Duration=160 ",
            "Signal=7 Duration=160 "
        ]
    );
    assert!(scene.in_rtp().is_empty());
    scene.end();
}

/// What takes neither events nor INFO hears tones: its stream is told the keys, and makes them.
#[test]
fn a_far_end_without_events_and_info_hears_tones() {
    let mut scene = scene(|_| {});
    scene.invite(
        "Allow: INVITE, ACK, BYE\r\n",
        &sdp(1, &["m=audio 4000 RTP/AVP 8"]),
    );
    scene.ack("");
    scene.run(1.0);
    assert_eq!(scene.desk("1"), "Ok(Done)");
    scene.pressed_in_rtp(2, '7');
    assert!(scene.by_info().is_empty());
    assert_eq!(scene.in_rtp(), ["1: 1", "1: 7"]);
    // Its own keys are in its sound, which the agent hears: sent as well, they would be there twice.
    scene.pressed_in_rtp(1, '5');
    assert_eq!(scene.in_rtp(), ["1: 1", "1: 7"]);
    scene.end();
}
