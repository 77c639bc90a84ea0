//! Answering from the desk: the telephone that rings is told to, if it can be.
#![allow(clippy::unwrap_used, reason = "the scenes of a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use engine::{Command, ContactId, Input, Token, Verb};
use sim::centre::{centre, one_agent};
use sim::phone::Manner;
use sim::world::World;
use sip::message::{Builder, HeaderName, Message};

const CALLER: &str = "10.0.1.1:5060";
/// No simulated phone is there: the test speaks for it.
const AGENT: &str = "10.0.2.1:5060";
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.2.1\r\ns=-\r\nc=IN IP4 10.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

struct Scene {
    world: World,
    agent: SocketAddr,
    tokens: u64,
}

impl Scene {
    /// A caller whom the agent's telephone is rung for.
    fn ringing(allows: &str) -> Scene {
        let mut world = World::new(centre(&one_agent()), 1);
        let patient = Manner::Answers {
            after: Duration::ZERO,
            talks: None,
        };
        let caller = world.phone("caller", CALLER, patient);
        world.dial(caller, "2000", "13800138000");
        let mut scene = Scene {
            world,
            agent: AGENT.parse().unwrap(),
            tokens: 0,
        };
        scene.run(2);
        let extra = [("Allow-Events", allows)];
        scene.respond("INVITE", 180, if allows.is_empty() { &[] } else { &extra });
        scene.run(1);
        scene
    }

    fn run(&mut self, seconds: u64) {
        self.world.run(Duration::from_secs(seconds));
    }

    /// The last request of this method to the agent's telephone.
    fn request(&self, method: &str) -> Option<Message> {
        let sent = self.world.wire.iter().rev();
        let mut sent = sent.filter(|sent| sent.to == AGENT && sent.start_line.starts_with(method));
        sent.next()
            .map(|sent| Message::parse(sent.bytes.clone()).unwrap())
    }

    fn respond(&mut self, method: &str, status: u16, headers: &[(&str, &str)]) {
        let request = self.request(method).unwrap();
        let mut builder = Builder::response_to(&request, status, "Said", Some("agent"))
            .header(HeaderName::Contact, format_args!("<sip:1001@{AGENT}>"));
        for (name, value) in headers {
            builder = builder.raw_header(name, value);
        }
        if (status, method) == (200, "INVITE") {
            builder = builder.body("application/sdp", SDP.as_bytes());
        }
        let text = String::from_utf8(builder.finish().to_vec()).unwrap();
        self.world.send_by_hand(self.agent, &text);
    }

    fn answer(&mut self, by: &str) -> String {
        self.tokens += 1;
        let command = Command::Contact {
            by: by.into(),
            contact: ContactId("n-1-1".into()),
            verb: Verb::Answer,
        };
        let token = Token(self.tokens);
        self.world.give(Input::Command { token, command });
        let reply = self.world.replies.iter().find(|reply| reply.token == token);
        format!("{:?}", reply.unwrap().result)
    }
}

#[test]
fn the_desk_answers_by_a_telephone_that_can_be_told() {
    let mut scene = Scene::ringing("conference,talk,hold");
    assert_eq!(scene.answer("1001"), "Ok(Done)");
    scene.run(1);
    let notify = scene.request("NOTIFY").unwrap();
    assert_eq!(notify.header(HeaderName::Event), Some("talk"));
    scene.respond("NOTIFY", 200, &[]);
    scene.respond("INVITE", 200, &[]);
    scene.run(1);
    let story = scene.world.story(0);
    assert!(
        story.contains("contact.answered n-1-1 agent=1001"),
        "{story}"
    );
    assert_eq!(
        scene.answer("1001"),
        r#"Err(Conflict("no telephone rings for the contact"))"#
    );
}

#[test]
fn a_telephone_that_cannot_be_told_is_answered_by_hand() {
    let mut scene = Scene::ringing("");
    let refused = scene.answer("1001");
    assert!(
        refused.starts_with(r#"Err(Conflict("the telephone has not said"#),
        "{refused}"
    );
    scene.run(1);
    assert!(scene.request("NOTIFY").is_none());
    scene.respond("INVITE", 200, &[]);
    scene.run(1);
    assert!(
        scene
            .world
            .story(0)
            .contains("contact.answered n-1-1 agent=1001")
    );
}

/// A supervisor may, for an agent; it is noted.
#[test]
fn a_supervisor_answers_for_an_agent() {
    let mut scene = Scene::ringing("talk");
    assert_eq!(scene.answer("1900"), "Ok(Done)");
    scene.run(1);
    assert!(scene.request("NOTIFY").is_some());
    let noted = scene.world.events.iter().any(|event| {
        matches!(&event.kind, engine::EventKind::Audit { action, .. } if &**action == "answer")
    });
    assert!(noted);
}

/// Who calls a colleague cannot have the colleague's telephone answer.
#[test]
fn a_caller_does_not_answer_for_whom_they_call() {
    let mut config = centre(&one_agent());
    config.agents.insert("1002".into(), {
        let mut account = config.agents["1001"].clone();
        account.id = "1002".into();
        account
    });
    let ha1 = sip::digest::ha1("1002", "cordboard", "secret", sip::Algorithm::Md5);
    let credentials = sip::Credentials {
        md5: Some(ha1),
        sha256: None,
    };
    config.sip.users = std::sync::Arc::new([("1002".into(), credentials)].into());
    let mut world = World::new(config, 1);
    let colleague: SocketAddr = "10.0.9.2:5060".parse().unwrap();
    let invite = |extra: &str, cseq: u32| {
        format!(
            "INVITE sip:1001@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {colleague};branch=z9hG4bKpick{cseq};rport\r\nMax-Forwards: 70\r\nFrom: <sip:1002@cordboard>;tag=c\r\n\
             To: <sip:1001@cordboard>\r\nCall-ID: colleague\r\nCSeq: {cseq} INVITE\r\nContact: <sip:1002@{colleague}>\r\n{extra}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        )
    };
    world.send_by_hand(colleague, &invite("", 1));
    world.run(Duration::from_secs(1));
    let challenge = world
        .wire
        .iter()
        .rev()
        .find(|sent| sent.start_line.contains(" 401 ") || sent.start_line.contains(" 407 "))
        .unwrap();
    let challenge = Message::parse(challenge.bytes.clone()).unwrap();
    let asked = challenge
        .header_named("WWW-Authenticate")
        .or(challenge.header_named("Proxy-Authenticate"))
        .unwrap();
    let asked = sip::digest::DigestChallenge::parse(asked).unwrap();
    let ha1 = sip::digest::ha1("1002", "cordboard", "secret", sip::Algorithm::Md5);
    let auth = sip::digest::ClientAuth {
        challenge: &asked,
        username: "1002",
        ha1: &ha1,
        method: &sip::message::Method::Invite,
        uri: "sip:1001@10.0.0.1",
        nc: 1,
        cnonce: "c",
    };
    let name = if challenge.status() == Some(401) {
        "Authorization"
    } else {
        "Proxy-Authorization"
    };
    world.send_by_hand(colleague, &invite(&format!("{name}: {auth}\r\n"), 2));
    let mut scene = Scene {
        world,
        agent: AGENT.parse().unwrap(),
        tokens: 0,
    };
    scene.run(1);
    scene.respond("INVITE", 180, &[("Allow-Events", "talk")]);
    scene.run(1);
    assert_eq!(
        scene.answer("1002"),
        r#"Err(Conflict("it is 1001 who is called"))"#
    );
    assert_eq!(scene.answer("1001"), "Ok(Done)");
}
