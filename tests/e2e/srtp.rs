//! Encrypted media: baresip and Linphone under keys of theirs and ours, heard at both ends; hops that keys may not go over; bad packets; no key to be
//! seen anywhere.

use std::time::Duration;

use media::srtp::{Keys, MAX_SEALED, Master, Srtp as Protection, Suite as Profile};
use sip::sdes::{Key, Security, Srtp, Suite};
use sip::sdp::{self, Direction, Local, accept};

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::{Centre, agents, wait_for};
use crate::hostile::{metric, still_fine};
use crate::linphone::Linphone;
use crate::raw::Caller;
use crate::tls::{Ca, centre as tls_centre, tls_address};

const CALLER: u32 = 440;
const AGENT: u32 = 1000;
const G711: &str = r#"media.codecs=["PCMA", "PCMU"]"#;
const IN_CLEAR: &str = "media.srtp_keys_in_clear=true";

/// Packets that could not be opened.
fn bad(centre: &Centre) -> f64 {
    let reason = r#"reason="srtp""#;
    metric(centre, "cordboard_rtp_rejected_total", reason)
}

/// Packets have come, and every one of them could be opened.
pub fn none_is_bad(centre: &Centre) {
    let packets = metric(centre, "cordboard_rtp_packets_total", r#"direction="in""#);
    assert!(packets > 0.0);
    assert_eq!(bad(centre), 0.0);
}

/// What of a contact's ladder is told: with every key that passed masked.
fn ladder(client: &Client, contact: &str) -> String {
    let (status, ladder) = client.get(&format!("/api/v1/contacts/{contact}/ladder?raw=true"));
    assert_eq!(status, 200, "{ladder}");
    ladder.to_string()
}

fn assert_masked(ladder: &str) {
    let mut keys = ladder.split("inline:").skip(1).peekable();
    assert!(keys.peek().is_some(), "{ladder}");
    assert!(
        keys.all(|key| key.starts_with("******************")),
        "{ladder}"
    );
}

/// A caller in clear, and an agent's phone over TLS that encrypts: both are heard, through a hold.
fn agent_of_baresip(encryption: &str, setting: &str) {
    let ca = Ca::new();
    let agents = agents().replacen("id = \"1001\"\n", &format!("id = \"1001\"\n{setting}"), 1);
    let centre = tls_centre(&ca, &[("agents.toml", &agents)], &[]);
    let client = Client::sign_in_any(&centre);
    let registrar = format!("{};transport=tls", tls_address(&centre));
    let account = format!(";answermode=auto;mediaenc={encryption}");
    let mut agent = Baresip::start_as(&registrar, "1001", Some("demo-1001"), AGENT, &account);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start(&centre, "13800138000", None, CALLER, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    agent.wait_tone(CALLER);
    caller.wait_tone(AGENT);
    let answered = client.wait_event("contact.answered", |_| true);
    let contact = answered["data"]["contact"].as_str().expect("a contact");
    agent.command("hold", "");
    client.wait_event("contact.held", |_| true);
    agent.command("resume", "");
    client.wait_event("contact.resumed", |_| true);
    // After a hold of its own, baresip 1.0.0 records no more of what it is sent: it says whether it can open it.
    caller.listen_anew();
    caller.wait_tone(AGENT);
    assert!(!agent.said().contains("failed to decrypt"));
    let ladder = ladder(&client, contact);
    assert_masked(&ladder);
    caller.command("hangup", "");
    agent.wait("CALL_CLOSED");
    client.wait_event("contact.closed", |_| true);
    none_is_bad(&centre);
    assert!(!centre.log().contains("inline:"));
    still_fine(&centre);
}

#[test]
fn an_agents_baresip_encrypts_where_it_can() {
    agent_of_baresip("srtp", "");
}

#[test]
fn an_agents_baresip_that_must_encrypt_is_called_as_one_that_must() {
    agent_of_baresip("srtp-mand", "srtp = \"required\"\n");
}

#[test]
fn a_caller_who_must_encrypt_is_heard_over_tls_and_refused_where_keys_may_not_go() {
    let ca = Ca::new();
    let centre = tls_centre(&ca, &[], &[]);
    let client = Client::sign_in_any(&centre);
    let by_tls = format!("{};transport=tls", tls_address(&centre));
    let mut agent = Baresip::start_at(centre.sip(), "1001", Some("demo-1001"), AGENT, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let must = ";mediaenc=srtp-mand";
    let mut caller = Baresip::start_as(&by_tls, "13800138000", None, CALLER, must);
    caller.command("dial", &format!("sip:2000@{by_tls}"));
    caller.wait("CALL_ESTABLISHED");
    agent.wait_tone(CALLER);
    caller.wait_tone(AGENT);
    let answered = client.wait_event("contact.answered", |_| true);
    let contact = answered["data"]["contact"].as_str().expect("a contact");
    assert_masked(&ladder(&client, contact));
    caller.command("hangup", "");
    agent.wait("CALL_CLOSED");

    let mut open = Baresip::start_as(centre.sip(), "13800138001", None, CALLER, must);
    open.command("dial", &format!("sip:2000@{}", centre.sip()));
    let closed = open.wait("CALL_CLOSED");
    assert!(
        closed["param"]
            .as_str()
            .is_some_and(|why| why.contains("488")),
        "{closed}"
    );
    still_fine(&centre);
}

#[test]
fn an_agents_linphone_encrypts_with_aes_in_counter_mode() {
    let suite = "AES_CM_128_HMAC_SHA1_80";
    let ca = Ca::new();
    // One that insists on encryption wants to be called so: to it, an offer of both is one in clear.
    let agents = agents().replacen("id = \"1001\"\n", "id = \"1001\"\nsrtp = \"required\"\n", 1);
    let centre = tls_centre(&ca, &[("agents.toml", &agents)], &[G711]);
    let client = Client::sign_in_any(&centre);
    let registrar = tls_address(&centre).replace("127.0.0.1", "localhost");
    let root = ca.certificate.pem();
    let mut agent =
        Linphone::start_encrypting(&registrar, "tls", "1001", AGENT, Some(&root), suite);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut caller = Baresip::start(&centre, "13800138000", None, CALLER, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    agent.rings(1);
    agent.command("answer");
    client.wait_event("contact.answered", |_| true);
    agent.wait_tone(CALLER);
    caller.wait_tone(AGENT);
    agent.command("pause");
    client.wait_event("contact.held", |_| true);
    agent.logs("to LinphoneCallPaused", 1);
    agent.command("resume 1");
    client.wait_event("contact.resumed", |_| true);
    agent.listen_anew();
    caller.listen_anew();
    agent.wait_tone(CALLER);
    caller.wait_tone(AGENT);
    agent.command("terminate");
    let closed = client.wait_event("contact.closed", |_| true);
    let contact = closed["data"]["contact"].as_str().expect("a contact");
    let ladder = ladder(&client, contact);
    assert_masked(&ladder);
    assert!(ladder.contains(&format!(" {suite} inline:")), "{ladder}");
    none_is_bad(&centre);
    still_fine(&centre);
}

/// A far end of ours, to say what no telephone would.
struct Hostile {
    caller: Caller,
    protection: Protection,
}

fn local<'a>(caller: &Caller, keys: &'a [Key]) -> Local<'a> {
    Local {
        address: caller.rtp.address().ip(),
        port: caller.rtp.address().port(),
        session_id: 1,
        version: 1,
        codecs: &[sdp::Codec::Pcma],
        telephone_event: false,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        security: Security {
            srtp: Srtp::Required,
            keys,
            door: None,
        },
    }
}

impl Hostile {
    fn dial(centre: &Centre, number: &str) -> Hostile {
        let mut caller = Caller::new(centre);
        let keys = [Key::new(Suite::AesCm80, &[7; 44])];
        let offer = sdp::offer(&local(&caller, &keys));
        let invite = caller.invite(number, std::str::from_utf8(&offer).expect("text"));
        caller.send(invite);
        let answer = caller.answered();
        let agreed = accept(answer.body().as_bytes(), &local(&caller, &keys)).expect("it fits");
        let secured = agreed.secured.expect("keys");
        let master = |key: &Key| Master::new(key.octets());
        Hostile {
            caller,
            protection: Protection::new(Keys {
                suite: Profile::AesCm80,
                ours: master(&secured.ours),
                theirs: master(&secured.theirs),
            }),
        }
    }

    fn send(&self, packet: &[u8]) {
        let to = self.caller.rtp.remote.expect("an address");
        let _ = self.caller.rtp.socket.send_to(packet, to);
    }

    fn sealed(&mut self, sequence: u16) -> Vec<u8> {
        let header = media::rtp::Fixed {
            marker: false,
            payload_type: 8,
            sequence,
            timestamp: u32::from(sequence) * 160,
            ssrc: 7,
        };
        let packet = header.packet(&[sequence as u8; 160]);
        let mut buffer = [0; MAX_SEALED];
        buffer[..packet.len()].copy_from_slice(&packet);
        let length = self.protection.seal(&mut buffer, packet.len());
        buffer[..length.expect("room")].to_vec()
    }

    /// The number of what comes back, where it can be opened.
    fn hears(&mut self) -> Option<u8> {
        let mut buffer = [0; 2048];
        let (length, _) = self.caller.rtp.socket.recv_from(&mut buffer).ok()?;
        let length = self.protection.open(&mut buffer[..length]).ok()?;
        assert!(buffer[12..length].iter().all(|octet| *octet == buffer[12]));
        Some(buffer[12])
    }

    /// Speaks until the newest of what it has said comes back: the first ones may be there before the stream is.
    fn echoes(&mut self, sequence: &mut u16) -> Vec<u8> {
        let mut newest = Vec::new();
        wait_for("an echo", || {
            while let Some(heard) = self.hears() {
                if heard == *sequence as u8 {
                    return Some(());
                }
            }
            *sequence += 1;
            newest = self.sealed(*sequence);
            self.send(&newest);
            None
        });
        newest
    }
}

#[test]
fn thousands_of_bad_packets_are_counted_and_the_call_goes_on() {
    const BAD: u16 = 4_000;
    let centre = Centre::start_with(
        &[
            ("queues.toml", crate::centre::QUEUES),
            ("agents.toml", &crate::centre::agents()),
        ],
        &[IN_CLEAR],
    );
    let mut far = Hostile::dial(&centre, "9196");
    let mut sequence = 0;
    let first = far.echoes(&mut sequence);
    let refused = || bad(&centre);
    let mut clear = first[..172].to_vec();
    for n in 0..BAD {
        let mut forged = first.clone();
        match n % 4 {
            0 => far.send(&first),
            1 => {
                forged[2..4].copy_from_slice(&n.to_be_bytes());
                far.send(&forged);
            }
            2 => {
                forged[8..12].copy_from_slice(&u32::from(n).to_be_bytes());
                far.send(&forged);
            }
            _ => {
                clear[2..4].copy_from_slice(&n.to_be_bytes());
                far.send(&clear);
            }
        }
        // No faster than they are taken: what the kernel drops is not counted by us.
        if n % 100 == 99 {
            wait_for("the packets so far", || {
                (refused() >= f64::from(n + 1)).then_some(())
            });
        }
    }
    assert_eq!(refused(), f64::from(BAD));
    far.echoes(&mut sequence);
    far.caller.hang_up();
    assert!(!centre.log().contains("inline:"));
    still_fine(&centre);
}

#[test]
fn what_must_be_encrypted_is_called_and_answered_in_no_other_way() {
    let ca = Ca::new();
    let centre = tls_centre(&ca, &[], &["media.srtp=required"]);
    let client = Client::sign_in_any(&centre);
    let by_tls = format!("{};transport=tls", tls_address(&centre));
    let mut clear = Baresip::start(&centre, "13800138000", None, CALLER, false);
    clear.command("dial", &format!("sip:2000@{}", centre.sip()));
    clear.wait("CALL_CLOSED");
    let account = ";answermode=auto;mediaenc=srtp-mand";
    let mut agent = Baresip::start_as(&by_tls, "1001", Some("demo-1001"), AGENT, account);
    agent.registered();
    client.wait_agent("1001", "ready");
    let must = ";mediaenc=srtp-mand";
    let mut caller = Baresip::start_as(&by_tls, "13800138001", None, CALLER, must);
    caller.command("dial", &format!("sip:2000@{by_tls}"));
    caller.wait("CALL_ESTABLISHED");
    agent.wait_tone(CALLER);
    caller.wait_tone(AGENT);
    caller.command("hangup", "");
    agent.wait("CALL_CLOSED");
    still_fine(&centre);
}
