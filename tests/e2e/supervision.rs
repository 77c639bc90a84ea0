//! Supervisors with real telephones: what is heard at each ear, what the supervisor's telephone is told, and the page with its buttons.

use serde_json::Value;

use crate::api::Client;
use crate::baresip::{Baresip, are_tones};
use crate::browser::Page;
use crate::centre::{Centre, QUEUES, agents};
use crate::raw::{Message, Phone, Rtp, converse, sdp};

const CALLER: u32 = 440;
const AGENT: u32 = 1000;
const SUPERVISOR: u32 = 1700;

/// A customer talks with 1001. The telephone of 1900 is a bare one that speaks all the time, whatever it is told: baresip 1.0.0 records nothing
/// of a call in which it may only receive.
struct Scene {
    centre: Centre,
    client: Client,
    caller: Baresip,
    agent: Baresip,
    supervisor: Phone,
    contact: String,
}

/// What an ear has heard of late has a tenth of a second of just these tones.
fn hears(samples: &[i16], hertz: &[u32]) -> bool {
    let mut parts = samples[samples.len().saturating_sub(8_000)..].chunks_exact(800);
    parts.any(|part| are_tones(part, hertz))
}

fn direction(message: &Message) -> String {
    let known = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let mut lines = message.body().lines();
    let found = lines.find_map(|line| {
        let word = line.strip_prefix("a=")?;
        known.contains(&word).then(|| word.to_owned())
    });
    found.expect("a direction")
}

impl Scene {
    fn start() -> Scene {
        let supervisor = Phone::new();
        let fixed = format!(
            "id = \"1900\"\ncontact = \"sip:1900@127.0.0.1:{}\"\n",
            supervisor.port()
        );
        let people = agents().replacen("id = \"1900\"\n", &fixed, 1);
        let files = [("queues.toml", QUEUES), ("agents.toml", &*people)];
        let centre = Centre::start_with(&files, &[]);
        let client = Client::sign_in_any(&centre);
        let agent = Baresip::start(&centre, "1001", Some("demo-1001"), AGENT, true);
        agent.registered();
        client.wait_agent("1001", "ready");
        let mut caller = Baresip::start(&centre, "13800138000", None, CALLER, false);
        caller.command("dial", &format!("sip:2000@{}", centre.sip()));
        caller.wait("CALL_ESTABLISHED");
        let answered = client.wait_event("contact.answered", |_| true);
        let contact = answered["subject"].as_str().expect("a contact").to_owned();
        caller.wait_tones(&[AGENT]);
        agent.wait_tones(&[CALLER]);
        Scene {
            centre,
            client,
            caller,
            agent,
            supervisor,
            contact,
        }
    }

    fn oversee(&mut self, how: &str) {
        let path = format!("/api/v1/contacts/{}/{how}", self.contact);
        let (status, answer) = self.client.json("POST", &path, None);
        assert_eq!(status, 202, "{answer}");
        self.audited("1900", how);
        self.listen_anew();
    }

    /// The supervisor's telephone is called and answers: the direction that it is told.
    fn answers(&mut self) -> String {
        let told = direction(&self.supervisor.called());
        self.supervisor.answer();
        told
    }

    /// The same for a call that is up.
    fn answers_again(&mut self) -> String {
        let phone = &mut self.supervisor;
        let known = phone
            .invite
            .as_ref()
            .expect("a call")
            .header("CSeq")
            .to_owned();
        let again = phone.line.wait("another INVITE", |message| {
            message.method() == "INVITE" && message.header("CSeq") != known
        });
        let told = direction(&again);
        phone.invite = Some(again);
        let body = sdp(phone.rtp.address(), &phone.codecs);
        phone.reply("200 OK", "", &body);
        phone.line.request("ACK");
        self.listen_anew();
        told
    }

    /// The supervisor speaks until the three have heard what they should.
    fn speaks_until(&mut self, what: &str, enough: impl Fn(&Rtp, &Baresip, &Baresip) -> bool) {
        let (caller, agent) = (&self.caller, &self.agent);
        let ears = &mut [(&mut self.supervisor.rtp, f64::from(SUPERVISOR))];
        // Looked at twice a second: whoever calculates cannot keep the pace of speech.
        let packets = std::cell::Cell::new(0u32);
        converse(what, ears, |ends| {
            packets.set(packets.get() + 1);
            packets.get().is_multiple_of(25) && enough(ends[0], caller, agent)
        });
    }

    fn audited(&self, by: &str, action: &str) -> Value {
        self.client.wait_event("audit", |event| {
            event["subject"] == *self.contact
                && event["data"]["by"] == by
                && event["data"]["action"] == action
        })
    }

    fn listen_anew(&mut self) {
        self.caller.listen_anew();
        self.agent.listen_anew();
        self.supervisor.rtp.listen();
        self.supervisor.rtp.heard.clear();
    }

    /// The two hear each other, and the supervisor does not disturb them.
    fn undisturbed(&mut self) {
        let two = |_: &Rtp, caller: &Baresip, agent: &Baresip| {
            hears(&caller.heard(), &[AGENT]) && hears(&agent.heard(), &[CALLER])
        };
        self.speaks_until("the two go on", two);
        // What was on its way before has been heard by now.
        self.listen_anew();
        self.speaks_until("the two go on", two);
        assert!(!self.caller.has_heard(SUPERVISOR) && !self.agent.has_heard(SUPERVISOR));
    }

    fn ends_as_one_record(&mut self, agent: &str) {
        self.caller.command("hangup", "");
        let closed = self.client.wait_event("contact.closed", |_| true);
        assert_eq!(closed["subject"], *self.contact, "{closed}");
        assert_eq!(closed["data"]["agent"], agent, "{closed}");
        let events = self.client.events();
        let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        assert_eq!((count("contact.arrived"), count("contact.closed")), (1, 1));
        assert_eq!(count("contact.queued"), 1);
    }
}

#[test]
fn a_supervisor_listens_whispers_and_barges_in() {
    let mut scene = Scene::start();
    scene.oversee("listen");
    assert_eq!(scene.answers(), "sendonly");
    scene.speaks_until("the supervisor hears both", |supervisor, _, _| {
        hears(&supervisor.samples(50), &[CALLER, AGENT])
    });
    scene.undisturbed();

    scene.oversee("whisper");
    assert_eq!(scene.answers_again(), "sendrecv");
    scene.speaks_until("the agent hears the whisper", |_, caller, agent| {
        hears(&agent.heard(), &[CALLER, SUPERVISOR]) && hears(&caller.heard(), &[AGENT])
    });
    assert!(!scene.caller.has_heard(SUPERVISOR), "it is the agent's");

    scene.oversee("barge");
    scene.speaks_until("the caller hears the supervisor", |_, caller, _| {
        hears(&caller.heard(), &[AGENT, SUPERVISOR])
    });
    scene.speaks_until("the agent hears the supervisor", |_, _, agent| {
        hears(&agent.heard(), &[CALLER, SUPERVISOR])
    });
    scene.speaks_until("the supervisor hears both", |supervisor, _, _| {
        hears(&supervisor.samples(50), &[CALLER, AGENT])
    });

    scene.oversee("listen");
    assert_eq!(scene.answers_again(), "sendonly");
    scene.undisturbed();

    // Hanging up ends supervision and nothing else.
    scene.supervisor.hang_up();
    scene.audited("1900", "supervision_ended");
    scene.undisturbed();
    scene.ends_as_one_record("1001");
}

#[test]
fn a_supervisor_takes_over_and_the_agent_wraps_up() {
    let mut scene = Scene::start();
    scene.oversee("listen");
    assert_eq!(scene.answers(), "sendonly");
    scene.oversee("take-over");
    assert_eq!(scene.answers_again(), "sendrecv");
    scene.agent.wait("CALL_CLOSED");
    let moved = scene.client.wait_event("contact.transferred", |_| true);
    assert_eq!(moved["data"]["kind"], "take_over", "{moved}");
    assert_eq!(moved["data"]["to"], "agent:1900", "{moved}");
    scene.speaks_until("the two talk", |supervisor, caller, _| {
        hears(&caller.heard(), &[SUPERVISOR]) && hears(&supervisor.samples(50), &[CALLER])
    });
    scene.client.wait_event("agent.state", |event| {
        event["data"]["agent"] == "1001" && event["data"]["state"] == "wrap_up"
    });
    scene.ends_as_one_record("1900");
    scene.supervisor.hung_up();
}

#[test]
fn agents_supervise_nobody_and_nobody_supervises_what_is_over() {
    let mut scene = Scene::start();
    let agent = Client::sign_in(&scene.centre, "1001", "demo-1001");
    for how in ["listen", "whisper", "barge", "take-over"] {
        let path = format!("/api/v1/contacts/{}/{how}", scene.contact);
        let (status, problem) = agent.json("POST", &path, None);
        assert_eq!(status, 403, "{how}: {problem}");
        let (status, problem) = scene
            .client
            .json("POST", &format!("{path}?phone=1001"), None);
        assert_eq!(status, 409, "{how}: {problem}");
    }
    scene.caller.command("hangup", "");
    scene.client.wait_event("contact.closed", |_| true);
    let path = format!("/api/v1/contacts/{}/listen", scene.contact);
    assert_eq!(scene.client.json("POST", &path, None).0, 404);
}

#[test]
fn a_supervisor_clicks_on_the_wallboard() {
    let mut scene = Scene::start();
    let mut page = Page::open(&format!("{}/?next=/wallboard", scene.centre.http()));
    page.write("input[name=user]", "1900");
    page.write("input[name=password]", "demo-1900");
    page.click("form button");
    page.wait("the wallboard", "location.pathname === '/wallboard'");
    let pressed = |how: &str| format!("[data-how='{how}'][aria-pressed=true]");
    page.click("[data-how=listen]");
    page.wait_seen(&pressed("listen"), true);
    assert_eq!(scene.answers(), "sendonly");
    scene.speaks_until("the supervisor hears both", |supervisor, _, _| {
        hears(&supervisor.samples(50), &[CALLER, AGENT])
    });
    page.picture("listening");
    page.click("[data-how=whisper]");
    page.wait_seen(&pressed("whisper"), true);
    assert_eq!(scene.answers_again(), "sendrecv");
    scene.speaks_until("the agent hears the whisper", |_, _, agent| {
        hears(&agent.heard(), &[CALLER, SUPERVISOR])
    });
    assert!(!scene.caller.has_heard(SUPERVISOR));
    page.click("#language");
    page.wait_text("[data-how=barge]", "强插");
    page.click("[data-how=barge]");
    page.wait_seen(&pressed("barge"), true);
    scene.speaks_until("the caller hears the supervisor", |_, caller, _| {
        hears(&caller.heard(), &[AGENT, SUPERVISOR])
    });
    page.picture("barging");
    page.click("[data-how=take-over]");
    scene.agent.wait("CALL_CLOSED");
    // What is one's own is not supervised.
    page.wait_seen("[data-how=listen]", false);
    assert_eq!(page.complaints, Vec::<String>::new());
    scene.ends_as_one_record("1900");
}

#[test]
fn a_telephone_that_refuses_supervises_nothing() {
    let mut scene = Scene::start();
    scene.oversee("listen");
    scene.supervisor.called();
    scene.supervisor.refuse("486 Busy Here", "");
    scene.audited("1900", "supervision_ended");
    scene.undisturbed();
    scene.ends_as_one_record("1001");
}
