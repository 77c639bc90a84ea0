//! Calls that move: hold, transfer and consultation, by the telephone and by the API, listened to at both ends.

use serde_json::{Value, json};

use crate::api::Client;
use crate::baresip::{Baresip, is_tone};
use crate::centre::{Centre, QUEUES, agents, wait_for};
use crate::hostile::metric;
use crate::raw::{Caller, Message, Phone, Rtp, converse};
use crate::tls::{Ca, centre as tls_centre, tls_address};

/// What each is known by in the others' ears.
const CALLER: u32 = 440;
const FIRST: u32 = 1000;
const SECOND: u32 = 1400;
const MUSIC: u32 = 700;

/// A customer in talk with 1001, out of queue support; 1002 waits, of queue sales.
struct Scene {
    centre: Centre,
    client: Client,
    caller: Baresip,
    first: Baresip,
    second: Baresip,
    contact: String,
    _prompts: tempfile::TempDir,
}

impl Scene {
    fn start() -> Scene {
        Scene::over("udp")
    }

    /// Both agents' telephones are by this transport, the customer's by UDP.
    fn over(transport: &str) -> Scene {
        let prompts = musical();
        let flows = format!("ivr.dir={}", prompts.path().display());
        let centre = match transport {
            "tls" => tls_centre(&Ca::new(), &[], &[&flows]),
            _ => {
                let files = [("queues.toml", QUEUES), ("agents.toml", &agents())];
                Centre::start_with(&files, &[&flows])
            }
        };
        let client = Client::sign_in_any(&centre);
        let registrar = match transport {
            "tls" => format!("{};transport=tls", tls_address(&centre)),
            _ => format!("{};transport={transport}", centre.sip()),
        };
        let agent = |user: &str, hertz| {
            let password = format!("demo-{user}");
            Baresip::start_at(&registrar, user, Some(&password), hertz, true)
        };
        let (first, second) = (agent("1001", FIRST), agent("1002", SECOND));
        for (agent, phone) in [("1001", &first), ("1002", &second)] {
            phone.registered();
            client.wait_agent(agent, "ready");
        }
        let mut caller = Baresip::start(&centre, "13800138000", None, CALLER, false);
        caller.command("dial", &format!("sip:2000@{}", centre.sip()));
        caller.wait("CALL_ESTABLISHED");
        let answered = client.wait_event("contact.answered", |_| true);
        let contact = answered["subject"].as_str().expect("a contact").to_owned();
        let scene = Scene {
            centre,
            client,
            caller,
            first,
            second,
            contact,
            _prompts: prompts,
        };
        scene.talks_to_the_first();
        scene
    }

    /// What any of them has heard until now does not count any more.
    fn listen_anew(&mut self) {
        for phone in [&mut self.caller, &mut self.first, &mut self.second] {
            phone.listen_anew();
        }
    }

    fn talks_to_the_first(&self) {
        self.caller.wait_tone(FIRST);
        self.first.wait_tone(CALLER);
    }

    fn talks_to_the_second(&self) {
        self.caller.wait_tone(SECOND);
        self.second.wait_tone(CALLER);
    }

    /// A verb of the API on the contact; the status.
    fn ask(&self, verb: &str, body: Option<Value>) -> u16 {
        let path = format!("/api/v1/contacts/{}/{verb}", self.contact);
        self.client.json("POST", &path, body).0
    }

    /// An event about the customer's contact.
    fn event(&self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.client.wait_event(kind, |event| {
            event["subject"] == *self.contact && wanted(&event["data"])
        })
    }

    fn transferred(&self, kind: &str, to: &str) {
        let event = self.event("contact.transferred", |_| true);
        assert_eq!(event["data"]["kind"], kind, "{event}");
        assert_eq!(event["data"]["from"], "1001", "{event}");
        assert_eq!(event["data"]["to"], to, "{event}");
    }

    /// Everything to and from the agents' telephones went by this transport.
    fn went_by(&self, transport: &str) {
        let path = format!("/api/v1/contacts/{}/ladder", self.contact);
        let (_, ladder) = self.client.get(&path);
        let messages = ladder["messages"].as_array().expect("a list");
        let agents = |agent: &str| {
            let of = move |message: &&Value| message["party"] == *agent;
            messages.iter().filter(of).collect::<Vec<_>>()
        };
        let (first, second) = (agents("1001"), agents("1002"));
        assert!(!first.is_empty(), "{ladder}");
        for message in first.into_iter().chain(second) {
            assert_eq!(message["transport"], transport, "{message}");
        }
    }

    /// The customer hangs up: the contact is one record, the last agent's, and both agents are free again.
    fn ends_as_one_record(&mut self, agent: &str) {
        self.caller.command("hangup", "");
        let closed = self.event("contact.closed", |_| true);
        assert_eq!(closed["data"]["cause"], "caller_bye", "{closed}");
        assert_eq!(closed["data"]["agent"], agent, "{closed}");
        let events = self.client.events();
        let of_customers = |kind: &str| {
            let this =
                |event: &&Value| event["type"] == kind && event["data"]["direction"] != "internal";
            events.iter().filter(this).count()
        };
        assert_eq!(of_customers("contact.arrived"), 1);
        assert_eq!(of_customers("contact.closed"), 1);
        for each in ["1001", "1002"] {
            self.client.wait_agent(each, "ready");
        }
        let (status, contact) = self
            .client
            .get(&format!("/api/v1/contacts/{}", self.contact));
        assert_eq!(status, 200, "{contact}");
        assert_eq!(contact["state"], "closed", "{contact}");
        assert_eq!(contact["agent"], agent, "{contact}");
    }
}

/// The shipped flows and prompts, but the music is a sine that can be told from every telephone's.
fn musical() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ivr-scripts");
    let (flow, prompts) = ("main.toml", directory.path().join("prompts"));
    std::fs::copy(shipped.join(flow), directory.path().join(flow)).expect("a copy");
    std::fs::create_dir_all(prompts.join("music")).expect("a folder");
    for language in ["zh-CN", "en"] {
        let from = shipped.join("prompts").join(language);
        std::os::unix::fs::symlink(from, prompts.join(language)).expect("a link");
    }
    std::fs::write(prompts.join("music/default.wav"), wave(MUSIC)).expect("a file");
    directory
}

/// A WAV file of ten seconds of a sine: PCM of 16 bits, 8000 Hz, one channel.
fn wave(hertz: u32) -> Vec<u8> {
    const SAMPLES: u32 = 80_000;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + 2 * SAMPLES).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(8_000u32.to_le_bytes());
    file.extend(16_000u32.to_le_bytes());
    file.extend([2, 0, 16, 0]);
    file.extend(b"data");
    file.extend((2 * SAMPLES).to_le_bytes());
    let step = std::f64::consts::TAU * f64::from(hertz) / 8_000.0;
    for n in 0..SAMPLES {
        let sample = ((step * f64::from(n)).sin() * 8_000.0) as i16;
        file.extend(sample.to_le_bytes());
    }
    file
}

fn refers_the_customer_to_an_extension(transport: &str) {
    let mut scene = Scene::over(transport);
    let to = format!("sip:1002@{}", scene.centre.sip());
    scene.first.command("transfer", &to);
    scene.first.wait("CALL_CLOSED");
    scene.transferred("blind", "agent:1002");
    scene.talks_to_the_second();
    scene.went_by(transport);
    scene.ends_as_one_record("1002");
}

#[test]
fn a_phone_refers_the_customer_to_an_extension() {
    refers_the_customer_to_an_extension("udp");
}

#[test]
fn a_phone_refers_the_customer_to_an_extension_over_tcp() {
    refers_the_customer_to_an_extension("tcp");
}

#[test]
fn a_phone_refers_the_customer_to_an_extension_over_tls() {
    refers_the_customer_to_an_extension("tls");
}

fn holds_and_resumes(transport: &str) {
    let mut scene = Scene::over(transport);
    scene.first.command("hold", "");
    let held = scene.event("contact.held", |_| true);
    assert_eq!(held["data"]["by"], "1001", "{held}");
    scene.caller.wait_tone(MUSIC);
    scene.client.wait_agent("1001", "held");
    scene.first.command("resume", "");
    scene.listen_anew();
    let resumed = scene.event("contact.resumed", |_| true);
    assert_eq!(resumed["data"]["by"], "1001", "{resumed}");
    // After a hold of its own, baresip 1.0.0 records no more of what it is sent: only the customer can be listened to.
    scene.caller.wait_tone(FIRST);
    scene.went_by(transport);
    scene.ends_as_one_record("1001");
}

#[test]
fn a_phone_holds_and_resumes() {
    holds_and_resumes("udp");
}

#[test]
fn a_phone_holds_and_resumes_over_tcp() {
    holds_and_resumes("tcp");
}

#[test]
fn a_phone_holds_and_resumes_over_tls() {
    holds_and_resumes("tls");
}

#[test]
fn the_api_transfers_to_a_queue() {
    let mut scene = Scene::start();
    let status = scene.ask("transfer", Some(json!({"to": "queue:sales"})));
    assert_eq!(status, 202);
    scene.first.wait("CALL_CLOSED");
    scene.transferred("to_queue", "queue:sales");
    let queued = scene.event("contact.queued", |data| data["queue"] == "sales");
    assert_eq!(queued["data"]["visit"], 2, "{queued}");
    scene.event("contact.answered", |data| data["agent"] == "1002");
    scene.talks_to_the_second();
    scene.ends_as_one_record("1002");
}

#[test]
fn the_api_transfers_to_an_agent() {
    let mut scene = Scene::start();
    let status = scene.ask("transfer", Some(json!({"to": "agent:1002"})));
    assert_eq!(status, 202);
    scene.first.wait("CALL_CLOSED");
    scene.transferred("blind", "agent:1002");
    scene.talks_to_the_second();
    scene.ends_as_one_record("1002");
}

/// baresip 1.0.0 has no attended transfer of its own: the desk's, by our re-INVITEs to it.
fn the_desk_consults_and_completes(transport: &str) {
    let mut scene = Scene::over(transport);
    let status = scene.ask("consult", Some(json!({"to": "1002"})));
    assert_eq!(status, 202);
    scene.caller.wait_tone(MUSIC);
    scene.first.wait_tone(SECOND);
    scene.second.wait_tone(FIRST);
    let status = scene.ask("transfer", Some(json!({"mode": "complete"})));
    assert_eq!(status, 202);
    scene.first.wait("CALL_CLOSED");
    scene.transferred("consult", "agent:1002");
    scene.talks_to_the_second();
    scene.went_by(transport);
    scene.ends_as_one_record("1002");
}

#[test]
fn the_api_consults_and_completes() {
    the_desk_consults_and_completes("udp");
}

#[test]
fn the_api_consults_and_completes_over_tcp() {
    the_desk_consults_and_completes("tcp");
}

#[test]
fn the_api_consults_and_completes_over_tls() {
    the_desk_consults_and_completes("tls");
}

#[test]
fn the_api_adds_whom_the_agent_consults_and_the_agent_leaves() {
    let mut scene = Scene::start();
    assert_eq!(scene.ask("conference", None), 409);
    let status = scene.ask("consult", Some(json!({"to": "1002"})));
    assert_eq!(status, 202);
    scene.first.wait_tones(&[SECOND]);
    scene.listen_anew();
    assert_eq!(scene.ask("conference", None), 202);
    let joined = scene.event("contact.joined", |_| true);
    assert_eq!(joined["data"]["party"], "agent:1002", "{joined}");
    scene.caller.wait_tones(&[FIRST, SECOND]);
    scene.first.wait_tones(&[CALLER, SECOND]);
    scene.second.wait_tones(&[CALLER, FIRST]);
    scene.listen_anew();
    scene.first.command("hangup", "");
    scene.transferred("conference", "agent:1002");
    scene.talks_to_the_second();
    scene.ends_as_one_record("1002");
}

#[test]
fn the_api_holds_and_resumes() {
    let mut scene = Scene::start();
    assert_eq!(scene.ask("hold", None), 204);
    scene.event("contact.held", |_| true);
    scene.caller.wait_tone(MUSIC);
    assert_eq!(scene.ask("resume", None), 204);
    scene.listen_anew();
    scene.event("contact.resumed", |_| true);
    scene.talks_to_the_first();
    scene.ends_as_one_record("1001");
}

#[test]
fn a_callers_refer_is_refused_and_counted() {
    let mut scene = Scene::start();
    assert_eq!(refers_refused(&scene.centre), 0.0);
    let to = format!("sip:1002@{}", scene.centre.sip());
    scene.caller.command("transfer", &to);
    wait_for("baresip to be refused", || {
        scene.caller.said().contains("403 Forbidden").then_some(())
    });
    assert_eq!(refers_refused(&scene.centre), 1.0);
    // baresip 1.0.0 hangs up of itself after a transfer that failed.
    scene.ends_as_one_record("1001");
    let moved = |event: &Value| event["type"] == "contact.transferred";
    assert!(!scene.client.events().iter().any(moved));
}

#[test]
fn after_a_refused_refer_the_call_goes_on() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let agent = Baresip::start(&centre, "1001", Some("demo-1001"), FIRST, true);
    agent.registered();
    client.wait_agent("1001", "ready");
    let mut caller = Caller::new(&centre);
    caller.dial("2000");
    caller.answered();
    client.wait_event("contact.answered", |_| true);
    caller.more = format!("Refer-To: <sip:1002@{}>\r\n", centre.sip());
    let refer = caller.text("REFER", "");
    caller.send(refer);
    assert_eq!(caller.line.answer("REFER").status(), Some(403));
    assert_eq!(refers_refused(&centre), 1.0);
    caller.more.clear();
    let both_hear = |ends: &[&Rtp]| {
        let heard = agent.heard();
        let last = &heard[heard.len().saturating_sub(4000)..];
        ends[0].purity(f64::from(FIRST)) > 0.8 && last.len() == 4000 && is_tone(last, CALLER)
    };
    let ears = &mut [(&mut caller.rtp, f64::from(CALLER))];
    converse("the two go on", ears, both_hear);
    caller.hang_up();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["cause"], "caller_bye", "{closed}");
}

fn refers_refused(centre: &Centre) -> f64 {
    metric(centre, "cordboard_sip_refused_total", "\"refer\"")
}

/// The telephone of 1001 is a bare one: baresip 1.0.0 cannot refer with Replaces.
#[test]
fn a_phone_consults_on_a_second_line_and_refers_with_replaces() {
    let mut first = Phone::new();
    let fixed = format!(
        "id = \"1001\"\ncontact = \"sip:1001@127.0.0.1:{}\"\n",
        first.port()
    );
    let people = agents().replacen("id = \"1001\"\n", &fixed, 1);
    let centre = Centre::start_with(&[("queues.toml", QUEUES), ("agents.toml", &people)], &[]);
    let client = Client::sign_in_any(&centre);
    let second = Baresip::start(&centre, "1002", Some("demo-1002"), SECOND, true);
    second.registered();
    client.wait_agent("1001", "ready");
    client.wait_agent("1002", "ready");
    let mut caller = Baresip::start(&centre, "13800138000", None, CALLER, false);
    caller.command("dial", &format!("sip:2000@{}", centre.sip()));
    first.called();
    first.answer();
    let answered = client.wait_event("contact.answered", |_| true);

    let mut line = second_line(&centre);
    let (ours, theirs) = (tag(&line.from), tag(&line.to));
    let refer_to = format!(
        "Refer-To: <sip:1002@{}?Replaces={}%3Bto-tag%3D{theirs}%3Bfrom-tag%3D{ours}>\r\n",
        centre.sip(),
        line.call_id
    );
    first.send("REFER", 8, &refer_to);
    assert_eq!(first.line.answer("REFER").status(), Some(202));
    let bye = line.line.request("BYE");
    line.line.reply(&bye, "200 OK", "", "", "");
    assert_eq!(told(&mut first).body().trim(), "SIP/2.0 100 Trying");
    let last = told(&mut first);
    assert_eq!(last.body().trim(), "SIP/2.0 200 OK");
    let state = last.header("Subscription-State");
    assert!(state.starts_with("terminated"), "{state}");
    first.hung_up();

    caller.wait_tone(SECOND);
    second.wait_tone(CALLER);
    let moved = client.wait_event("contact.transferred", |_| true);
    assert_eq!(moved["subject"], answered["subject"], "{moved}");
    assert_eq!(moved["data"]["kind"], "consult", "{moved}");
    assert_eq!(moved["data"]["to"], "agent:1002", "{moved}");
    caller.command("hangup", "");
    let closed = client.wait_event("contact.closed", |event| {
        event["subject"] == answered["subject"]
    });
    assert_eq!(closed["data"]["agent"], "1002", "{closed}");
}

/// 1001 calls 1002 on another line and is answered.
fn second_line(centre: &Centre) -> Caller {
    let mut line = Caller::new(centre);
    line.from = line.from.replace("13800138000", "1001");
    line.dial("1002");
    let refused = line.refused();
    assert_eq!(refused.status(), Some(401), "{}", refused.text);
    let challenge = sip::digest::DigestChallenge::parse(refused.header("WWW-Authenticate"))
        .expect("a challenge");
    let answer = sip::digest::ClientAuth {
        challenge: &challenge,
        username: "1001",
        ha1: &sip::digest::ha1("1001", "cordboard", "demo-1001", sip::Algorithm::Md5),
        method: &sip::message::Method::Invite,
        uri: &format!("sip:1002@{}", centre.sip()),
        nc: 1,
        cnonce: "0a4f113b",
    };
    line.more = format!("Authorization: {answer}\r\n");
    line.dial("1002");
    line.answered();
    line
}

fn tag(address: &str) -> String {
    let (_, tag) = address.split_once(";tag=").expect("a tag");
    tag.split(';').next().unwrap_or_default().to_owned()
}

/// The next NOTIFY, answered.
fn told(phone: &mut Phone) -> Message {
    let notify = phone.line.request("NOTIFY");
    phone.line.reply(&notify, "200 OK", "", "", "");
    notify
}
