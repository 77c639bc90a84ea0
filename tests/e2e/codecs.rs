//! Telephones with other codecs than G.711, and with two that differ.

use crate::api::Client;
use crate::baresip::Baresip;
use crate::centre::Centre;
use crate::hostile::still_fine;

/// A caller and an agent whose baresips have these codecs alone: each hears the other, and the caller hears the music before.
fn talk(centre: &Centre, client: &Client, caller_codec: &str, agent_codec: &str) {
    let agent_has = format!(";answermode=auto;audio_codecs={agent_codec}");
    let agent = Baresip::start_as(centre.sip(), "1001", Some("demo-1001"), 1000, &agent_has);
    let mut agent = agent;
    agent.registered();
    client.wait_agent("1001", "ready");
    let caller_has = format!(";audio_codecs={caller_codec}");
    let mut caller = Baresip::start_as(centre.sip(), "13800138000", None, 440, &caller_has);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    caller.wait("CALL_ESTABLISHED");
    agent.wait_tone(440);
    caller.wait_tone(1000);
    let answered = client.wait_event("contact.answered", |_| true);
    let contact = answered["data"]["contact"].as_str().expect("a contact");
    let (status, ladder) = client.get(&format!("/api/v1/contacts/{contact}/ladder?raw=true"));
    assert_eq!(status, 200, "{ladder}");
    for codec in [caller_codec, agent_codec] {
        let name = codec.split('/').next().expect("a name");
        assert!(
            ladder.to_string().contains(&format!(" {name}/")),
            "{ladder}"
        );
    }
    caller.command("hangup", "");
    agent.wait("CALL_CLOSED");
    let closed = client.wait_event("contact.closed", |event| {
        event["data"]["contact"] == contact
    });
    for leg in closed["data"]["quality"].as_array().expect("legs") {
        assert!(leg["mos"].as_f64() > Some(3.5), "{closed}");
    }
    still_fine(centre);
}

#[test]
fn g722_with_a_g711_agent() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    talk(&centre, &client, "G722/16000/1", "PCMA");
}

#[cfg(feature = "opus")]
#[test]
fn opus_with_a_g711_agent() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    talk(&centre, &client, "opus/48000/2", "PCMU");
}

#[cfg(feature = "opus")]
#[test]
fn opus_with_a_g722_agent() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    talk(&centre, &client, "opus/48000/2", "G722/16000/1");
}

#[cfg(feature = "opus")]
#[test]
fn opus_on_both_sides_and_the_test_tone_in_it() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    talk(&centre, &client, "opus/48000/2", "opus/48000/2");
    for codec in ["opus/48000/2", "G722/16000/1"] {
        let has = format!(";audio_codecs={codec}");
        let mut caller = Baresip::start_as(centre.sip(), "13900139000", None, 620, &has);
        caller.command("dial", &format!("sip:9197@{}", centre.sip()));
        caller.wait("CALL_ESTABLISHED");
        caller.wait_tone(1004);
    }
}
