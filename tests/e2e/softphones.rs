//! Linphone and baresip beside each other, over UDP, TCP and TLS: calls, holds and transfers, heard at both ends.

use serde_json::Value;

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, QUEUES, agents};
use crate::linphone::Linphone;
use crate::tls::{Ca, centre as tls_centre, tls_address};

/// Linphone would choose Opus, and record at its rate: these tests are of calls, `codecs` has those of codecs.
const G711: &str = r#"media.codecs=["PCMA", "PCMU"]"#;

/// What each party speaks, in hertz.
const CALLER: u32 = 440;
const FIRST: u32 = 1000;
const SECOND: u32 = 620;

/// Agent 1001 on Linphone, agent 1002 on a baresip that answers by itself, and a customer on another.
struct Floor {
    transport: &'static str,
    registrar: String,
    first: Linphone,
    second: Baresip,
    caller: Baresip,
    client: Client,
    centre: Centre,
}

impl Floor {
    fn open(transport: &'static str, set: &[&str]) -> Floor {
        let ca = Ca::new();
        let set = [set, &[G711]].concat();
        let set = &set[..];
        let (centre, registrar, root) = match transport {
            "tls" => {
                let centre = tls_centre(&ca, &[], set);
                // Linphone looks for names in certificates, not for addresses.
                let registrar = tls_address(&centre).replace("127.0.0.1", "localhost");
                (centre, registrar, Some(ca.certificate.pem()))
            }
            _ => {
                let files = [("queues.toml", QUEUES), ("agents.toml", &agents())];
                let centre = Centre::start_with(&files, set);
                let registrar = centre.sip().to_owned();
                (centre, registrar, None)
            }
        };
        let client = Client::sign_in_any(&centre);
        let first = Linphone::start(&registrar, transport, "1001", FIRST, root.as_deref());
        let second = match transport {
            "tcp" => {
                let by_tcp = format!("{registrar};transport=tcp");
                Baresip::start_at(&by_tcp, "1002", Some("demo-1002"), SECOND, true)
            }
            _ => Baresip::start(&centre, "1002", Some("demo-1002"), SECOND, true),
        };
        first.registered();
        second.registered();
        client.wait_agent("1001", "ready");
        client.wait_agent("1002", "ready");
        Floor {
            transport,
            registrar,
            first,
            second,
            caller: Baresip::start(&centre, "13800138000", None, CALLER, false),
            client,
            centre,
        }
    }

    /// The customer calls the queue of 1001; both are heard.
    fn talk(&mut self) -> String {
        self.caller
            .command("dial", &format!("sip:2000@{}", self.centre.sip()));
        self.caller.wait("CALL_ESTABLISHED");
        self.first.rings(1);
        self.first.command("answer");
        let answered = self.client.wait_event("contact.answered", |_| true);
        self.first.wait_tone(CALLER);
        self.caller.wait_tone(FIRST);
        answered["data"]["contact"]
            .as_str()
            .expect("a contact")
            .to_owned()
    }

    fn address(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.registrar)
    }

    /// The contact is the second agent's, and both are heard.
    fn moved(&mut self) {
        self.client.wait_event("contact.transferred", |event| {
            event["data"]["to"] == "agent:1002"
        });
        self.caller.listen_anew();
        self.second.listen_anew();
        self.second.wait_tone(CALLER);
        self.caller.wait_tone(SECOND);
        self.client.wait_agent("1001", "ready");
    }

    /// Everything to the first agent's phone went by the transport that is meant.
    fn went_by_its_transport(&self, contact: &str) {
        let (_, ladder) = self
            .client
            .get(&format!("/api/v1/contacts/{contact}/ladder"));
        let messages = ladder["messages"].as_array().expect("a list");
        let of_first = |message: &&Value| message["party"] == "1001";
        assert!(
            messages.iter().any(|message| of_first(&message)),
            "{ladder}"
        );
        for message in messages.iter().filter(of_first) {
            assert_eq!(message["transport"], self.transport, "{message}");
        }
    }
}

fn hold_resume_and_blind_transfer(transport: &'static str) {
    let mut floor = Floor::open(transport, &[]);
    let contact = floor.talk();
    floor.first.command("pause");
    let held = floor.client.wait_event("contact.held", |_| true);
    assert_eq!(held["data"]["by"], "1001", "{held}");
    floor.client.wait_agent("1001", "held");
    floor.first.logs("to LinphoneCallPaused", 1);
    floor.first.command("resume 1");
    floor.client.wait_event("contact.resumed", |_| true);
    floor.first.listen_anew();
    floor.caller.listen_anew();
    floor.first.wait_tone(CALLER);
    floor.caller.wait_tone(FIRST);
    let to = floor.address("1002");
    floor.first.command(&format!("transfer {to}"));
    floor.moved();
    floor.went_by_its_transport(&contact);
    floor.caller.command("hangup", "");
    let closed = floor.client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["agent"], "1002", "{closed}");
}

fn attended_transfer(transport: &'static str) {
    let mut floor = Floor::open(transport, &[]);
    floor.talk();
    floor.first.command("pause");
    floor.client.wait_agent("1001", "held");
    floor.first.logs("to LinphoneCallPaused", 1);
    let to = floor.address("1002");
    floor.first.command(&format!("call {to}"));
    floor.second.wait("CALL_ESTABLISHED");
    floor.first.listen_anew();
    floor.first.wait_tone(SECOND);
    floor.second.wait_tone(FIRST);
    floor.first.command("transfer 1 --to-call 2");
    floor.moved();
    floor.caller.command("hangup", "");
    let of_customer = |event: &Value| event["data"]["direction"] == "inbound";
    let closed = floor.client.wait_event("contact.closed", of_customer);
    assert_eq!(closed["data"]["agent"], "1002", "{closed}");
}

#[test]
fn linphone_holds_resumes_and_transfers_blind_over_udp() {
    hold_resume_and_blind_transfer("udp");
}

#[test]
fn linphone_holds_resumes_and_transfers_blind_over_tcp() {
    hold_resume_and_blind_transfer("tcp");
}

#[test]
fn linphone_holds_resumes_and_transfers_blind_over_tls() {
    hold_resume_and_blind_transfer("tls");
}

#[test]
fn linphone_transfers_attended_over_udp() {
    attended_transfer("udp");
}

#[test]
fn linphone_transfers_attended_over_tcp() {
    attended_transfer("tcp");
}

#[test]
fn linphone_transfers_attended_over_tls() {
    attended_transfer("tls");
}

#[test]
fn linphone_calls_a_queue() {
    let mut floor = Floor::open("tcp", &[]);
    floor.first.command("call 2001");
    let answered = floor.client.wait_event("contact.answered", |_| true);
    assert_eq!(answered["data"]["agent"], "1002", "{answered}");
    floor.first.wait_tone(SECOND);
    floor.second.wait_tone(FIRST);
    floor.first.command("terminate");
    floor.second.wait("CALL_CLOSED");
}

#[test]
fn linphone_is_asked_to_answer_by_itself() {
    // Its library reads the header; the console of Debian leaves what to do about it to whoever sits there.
    let mut floor = Floor::open("udp", &["sip.auto_answer=call-info"]);
    floor.talk();
    floor
        .first
        .logs("Call-Info: <sip:cordboard>;answer-after=0", 1);
    floor.caller.command("hangup", "");
    floor.client.wait_event("contact.closed", |_| true);
}
