//! The agent's desk in a real browser, with real telephones: what can be clicked, what it does, and what it says when it does not work.

use serde_json::{Value, json};

use crate::api::Client;
use crate::baresip::Baresip;
use crate::browser::Page;
use crate::centre::{Centre, QUEUES, agents};

const CALLER: u32 = 440;
const FIRST: u32 = 1000;
const SECOND: u32 = 1400;

/// 1001 sits at the desk, 1002 has a telephone, and a customer talks with 1001.
struct Scene {
    page: Page,
    caller: Baresip,
    first: Baresip,
    second: Baresip,
    client: Client,
    contact: String,
    centre: Centre,
}

impl Scene {
    fn start() -> Scene {
        // Long enough to write a note.
        let queues = QUEUES.replace("wrap_up = \"1s\"", "wrap_up = \"60s\"");
        let files = [("queues.toml", &*queues), ("agents.toml", &agents())];
        let centre = Centre::start_with(&files, &[]);
        let client = Client::sign_in_any(&centre);
        client.import_customer("13800138000", "Zhang San", "A");
        let first = Baresip::start(&centre, "1001", Some("demo-1001"), FIRST, true);
        let second = Baresip::start(&centre, "1002", Some("demo-1002"), SECOND, true);
        for (agent, phone) in [("1001", &first), ("1002", &second)] {
            phone.registered();
            client.wait_agent(agent, "ready");
        }
        let page = signed_in(&centre);
        let caller = Baresip::start(&centre, "13800138000", None, CALLER, false);
        let contact = String::new();
        let mut scene = Scene {
            page,
            caller,
            first,
            second,
            client,
            contact,
            centre,
        };
        assert!(
            !scene.page.sees("#verbs"),
            "nothing to be done without a call"
        );
        scene.dial();
        scene
    }

    /// The customer calls and 1001's telephone takes it.
    fn dial(&mut self) {
        self.caller
            .command("dial", &format!("sip:2000@{}", self.centre.sip()));
        let before = std::mem::take(&mut self.contact);
        let new = |event: &Value| event["subject"] != *before && event["data"]["agent"] == "1001";
        let answered = self.client.wait_event("contact.answered", new);
        self.contact = answered["subject"].as_str().expect("a contact").to_owned();
        self.page.wait_text("#contact", "Zhang San");
        self.page.wait_text("#contact", "On a call");
        self.shows(&["#hold", "#where", "#keys", "#about"]);
    }

    /// Just these of what depends on the call can be seen.
    fn shows(&mut self, wanted: &[&str]) {
        for part in [
            "#hold",
            "#resume",
            "#where",
            "#consulting",
            "#keys",
            "#about",
            "#about-end",
        ] {
            self.page.wait_seen(part, wanted.contains(&part));
        }
    }

    fn event(&self, kind: &str) -> Value {
        self.client
            .wait_event(kind, |event| event["subject"] == *self.contact)
    }
}

/// Signs in as a person does, and comes to the desk.
fn signed_in(centre: &Centre) -> Page {
    let mut page = Page::open(&format!("{}/?next=/desk", centre.http()));
    page.write("input[name=user]", "1001");
    page.write("input[name=password]", "demo-1001");
    page.click("form button");
    page.wait("the desk", "location.pathname === '/desk'");
    page.wait_text("#state", "Ready");
    page
}

#[test]
fn an_agent_holds_presses_keys_and_says_what_it_was_about() {
    let mut scene = Scene::start();
    scene.page.picture("connected");
    scene.page.click("#hold");
    scene.event("contact.held");
    scene.shows(&["#resume", "#where", "#about"]);
    scene.page.wait_text("#contact", "On hold");
    scene.page.picture("held");
    scene.page.click("#resume");
    scene.event("contact.resumed");
    scene.shows(&["#hold", "#where", "#keys", "#about"]);
    // The same by the keyboard.
    scene.page.alt('H');
    scene.page.wait_seen("#resume", true);
    scene.page.alt('H');
    scene.page.wait_seen("#hold", true);

    scene.page.alt('K');
    scene.page.wait_seen("#keypad", true);
    scene.page.click("#keypad button:nth-child(5)");
    scene.page.key("#", "Digit3", 0);
    scene.page.wait_text("#pressed", "5#");
    scene.caller.wait("CALL_DTMF_START");
    scene.page.picture("keypad");

    scene.caller.command("hangup", "");
    scene.event("contact.closed");
    scene.shows(&["#about", "#about-end"]);
    scene.page.write("#note", "wants a new router");
    scene.page.picture("wrap_up");
    scene.page.click("#about-end");
    let told = scene.event("contact.disposition");
    assert_eq!(told["data"]["code"], "resolved", "{told}");
    scene.page.wait_text("#state", "Ready");
    scene.page.wait_seen("#verbs", false);
    assert_eq!(scene.page.complaints, Vec::<String>::new());
}

#[test]
fn an_agent_passes_a_caller_on_and_is_told_when_that_fails() {
    let mut scene = Scene::start();
    scene.page.alt('T');
    scene.page.write("#to", "nowhere");
    scene.page.click("#where button:not([type])");
    scene.page.wait_text(
        "#trouble",
        "That did not work: nowhere leads to no agent, queue or flow",
    );
    scene.page.picture("refused");
    scene.page.click("#language");
    scene.page.click("#where button:not([type])");
    scene
        .page
        .wait_text("#trouble", "操作失败：nowhere 不是坐席、队列或流程");
    scene.page.wait_text("#hold", "保持");
    scene.page.picture("chinese");
    scene.page.click("#language");

    scene.page.write("#to", "agent:1002");
    scene.page.click("#where button:not([type])");
    let moved = scene.event("contact.transferred");
    assert_eq!(
        (&moved["data"]["kind"], &moved["data"]["to"]),
        (&json!("blind"), &json!("agent:1002"))
    );
    scene.caller.wait_tone(SECOND);
    scene.shows(&["#about", "#about-end"]);
    scene.page.wait_seen("#trouble", false);
    scene.page.click("#about-end");
    scene.page.wait_seen("#verbs", false);
    scene.caller.command("hangup", "");
    scene.event("contact.closed");
    assert_eq!(scene.page.complaints, Vec::<String>::new());
}

#[test]
fn an_agent_consults_comes_back_consults_again_and_completes() {
    let mut scene = Scene::start();
    scene.page.write("#to", "1002");
    scene.page.click("#consult");
    scene.page.wait_text("#consulted", "Consulting 1002");
    scene.first.wait_tone(SECOND);
    scene.shows(&["#consulting", "#keys", "#about"]);
    scene.page.picture("consulting");
    scene.page.alt('B');
    scene.event("contact.resumed");
    scene.shows(&["#hold", "#where", "#keys", "#about"]);
    scene.first.wait_tone(CALLER);
    scene.client.wait_agent("1002", "ready");

    scene.page.alt('C');
    scene.page.wait_text("#consulted", "Consulting 1002");
    // Loaded anew in the middle of it, the page shows the same.
    scene.page.evaluate("location.reload()");
    scene.page.wait_text("#consulted", "Consulting 1002");
    scene.page.click("#complete");
    let moved = scene.event("contact.transferred");
    assert_eq!(
        (&moved["data"]["kind"], &moved["data"]["to"]),
        (&json!("consult"), &json!("agent:1002"))
    );
    scene.second.listen_anew();
    scene.second.wait_tone(CALLER);
    scene.shows(&["#about", "#about-end"]);
    scene.caller.command("hangup", "");
    scene.event("contact.closed");
    assert_eq!(scene.page.complaints, Vec::<String>::new());
}
