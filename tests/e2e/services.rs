//! Flows that ask services, by phone and key: the demonstration service answers, fails, is slow, and sees what it should.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::api::Client;
use crate::centre::{Centre, QUEUES, agents};
use crate::demonstration_service::{Log, Seen, serve};
use crate::hostile::still_fine;
use crate::raw::{Caller, Phone, converse, fixed_agents};

/// Of a finger between two keys.
const KEY_PAUSE: Duration = Duration::from_millis(60);

/// The service on a port of its own, and what it has seen.
struct Service {
    url: String,
    log: Log,
}

impl Service {
    fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let log = Log::default();
        let seen = log.clone();
        std::thread::spawn(move || serve(&listener, &seen));
        Service { url, log }
    }

    fn seen(&self) -> Vec<Seen> {
        self.log.lock().expect("nobody panics with it").clone()
    }

    fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

/// A centre whose 1010 leads to the flow of this name in `flows` (file name and text), with the shipped prompts.
fn centre(
    flow: &str,
    flows: &[(&str, String)],
    env: &[(&str, &str)],
) -> (Centre, Client, tempfile::TempDir) {
    centre_of(&agents(), flow, flows, env)
}

fn centre_of(
    agents: &str,
    flow: &str,
    flows: &[(&str, String)],
    env: &[(&str, &str)],
) -> (Centre, Client, tempfile::TempDir) {
    let scripts = tempfile::tempdir().expect("a directory");
    for (name, text) in flows {
        std::fs::write(scripts.path().join(name), text).expect("a file");
    }
    std::os::unix::fs::symlink(shipped("prompts"), scripts.path().join("prompts")).expect("a link");
    let routes = format!(
        "[[trunk]]\nname = \"loopback\"\naddresses = [\"127.0.0.1\"]\nmax_calls = 100\n[[route]]\nnumber = \"1010\"\nflow = \"{flow}\"\n"
    );
    let dir = format!("ivr.dir={}", scripts.path().display());
    let centre = Centre::start_with_env(
        &[
            ("queues.toml", QUEUES),
            ("agents.toml", agents),
            ("trunks.toml", &routes),
        ],
        &[&dir],
        env,
    );
    let client = Client::sign_in_any(&centre);
    (centre, client, scripts)
}

/// A shipped flow: its file's name and text.
fn flow(name: &str) -> (String, String) {
    let file = format!("{name}.toml");
    let text = std::fs::read_to_string(shipped(&file)).expect("a shipped flow");
    (file, text)
}

fn shipped(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("ivr-scripts")
        .join(name)
}

fn dialled(centre: &Centre) -> Caller {
    let mut caller = Caller::new(centre);
    caller.dial("1010");
    caller.answered();
    caller
}

/// Dials, and waits until the flow listens in this state: who keys before the call is up is not heard.
fn listening(centre: &Centre, client: &Client, state: &str) -> Caller {
    let heard = || {
        let events = client.events();
        let steps = events.iter().filter(|e| e["data"]["state"] == state);
        steps.count()
    };
    let before = heard();
    let caller = dialled(centre);
    crate::centre::wait_for(state, || (heard() > before).then_some(()));
    caller
}

/// Keys by RFC 4733, with the pauses of a finger.
pub(crate) fn keys(caller: &mut Caller, keys: &str) {
    for key in keys.chars() {
        let event = "0123456789*#".find(key).expect("a key") as u8;
        caller.rtp.press(event, 5, &[]);
        // Nothing is heard between the keys of one number: the pause is one of time.
        let until = Instant::now() + KEY_PAUSE;
        converse("a pause", &mut [(&mut caller.rtp, 0.0)], |_| {
            Instant::now() >= until
        });
    }
}

fn at_step(client: &Client, state: &str) -> serde_json::Value {
    client.wait_event("ivr.step", |event| event["data"]["state"] == state)
}

#[test]
fn an_order_is_looked_up_and_its_answer_kept_for_a_while() {
    let service = Service::start();
    let flow = std::fs::read_to_string(shipped("order_status.toml")).expect("the shipped flow");
    let (centre, client, _scripts) = centre(
        "order_status",
        &[("order_status.toml", flow)],
        &[("CORDBOARD_SHOP_URL", &service.url)],
    );
    let mut caller = dialled(&centre);
    at_step(&client, "ask");
    keys(&mut caller, "10017#");
    at_step(&client, "on_the_way");
    assert_eq!(service.lines(), ["GET /orders/10017"]);
    assert_eq!(service.seen()[0].header("accept"), Some("application/json"));
    // Who asks the same within ten seconds is answered from what is known.
    let mut second = listening(&centre, &client, "ask");
    keys(&mut second, "10017#");
    crate::centre::wait_for("the second caller's answer", || {
        let events = client.events();
        let at = events.iter().filter(|e| e["data"]["state"] == "on_the_way");
        (at.count() == 2).then_some(())
    });
    assert_eq!(service.lines().len(), 1, "{:?}", service.lines());
    caller.hang_up();
    second.hang_up();
    // The goal was met: both have served themselves.
    let closed = client.wait_event("contact.closed", |event| event["data"]["goal"] == true);
    assert_eq!(closed["data"]["outcome"], "self_served", "{closed}");
    still_fine(&centre);
}

#[test]
fn a_service_that_fails_or_is_slow_leads_to_a_person() {
    let service = Service::start();
    let flow = std::fs::read_to_string(shipped("order_status.toml"))
        .expect("the shipped flow")
        .replace("timeout = \"3s\"", "timeout = \"400ms\"");
    let (centre, client, _scripts) = centre(
        "order_status",
        &[("order_status.toml", flow)],
        &[("CORDBOARD_SHOP_URL", &service.url)],
    );
    // 503, no JSON, hung up, too slow, too long: each is tried twice where that may help.
    for (number, tries) in [
        ("50003", 2),
        ("50000", 2),
        ("50001", 2),
        ("50002", 2),
        ("50004", 2),
    ] {
        let mut caller = listening(&centre, &client, "ask");
        keys(&mut caller, &format!("{number}#"));
        crate::centre::wait_for("the queue", || {
            let events = client.events();
            let state = |name: &str| {
                let steps = events.iter().filter(|e| e["data"]["state"] == name);
                steps.count()
            };
            (state("person") >= 1 && state("no_answer") == state("look")).then_some(())
        });
        let asked = service
            .lines()
            .iter()
            .filter(|line| line.ends_with(number))
            .count();
        assert!(asked >= tries, "{number}: {asked} tries");
        caller.hang_up();
    }
    // Nobody is there at all.
    drop(service);
    still_fine(&centre);
}

#[test]
fn secrets_come_from_the_environment_and_requests_are_signed() {
    let service = Service::start();
    let flow = format!(
        r#"
[flow]
name = "signed"
start = "post"
[services.crm]
url = "{}"
headers = {{ Authorization = {{ before = "Bearer ", env = "CRM_TOKEN" }} }}
signed_by = "CRM_SECRET"
[state.post]
lookup = "POST /complaints"
body = {{ kind = 3, by = "{{{{ call.ani }}}}" }}
headers = {{ Accept-Language = "{{{{ language }}}}" }}
results = {{ number = "number" }}
next = "say"
on_failed = "support"
[state.say]
hangup = {{ digits = "{{{{ number }}}}" }}
[state.support]
queue = "support"
"#,
        service.url
    );
    let (centre, client, _scripts) = centre(
        "signed",
        &[("signed.toml", flow)],
        &[
            ("CRM_TOKEN", "s3cr3t-t0k3n"),
            ("CRM_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ],
    );
    let mut caller = dialled(&centre);
    at_step(&client, "say");
    caller.hang_up();
    let seen = service.seen().remove(0);
    assert_eq!(seen.line, "POST /complaints");
    assert_eq!(seen.header("authorization"), Some("Bearer s3cr3t-t0k3n"));
    assert_eq!(seen.header("accept-language"), Some("zh-CN"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert!(
        seen.body.starts_with(r#"{"by":"#) && seen.body.contains(r#""kind":3"#),
        "{}",
        seen.body
    );
    assert!(
        seen.header("webhook-id")
            .is_some_and(|id| id.starts_with("msg_"))
    );
    assert!(
        seen.header("webhook-signature")
            .is_some_and(|s| s.starts_with("v1,"))
    );
    // The secret is nowhere but on the wire.
    let everything = format!("{:?}{}", client.events(), centre.log());
    assert!(!everything.contains("s3cr3t"), "{everything}");
    still_fine(&centre);
}

#[test]
fn a_pin_opens_the_account_and_five_wrong_ones_lock_it_for_every_call() {
    let service = Service::start();
    let (file, text) = flow("account_balance");
    let (centre, client, _scripts) = centre(
        "account_balance",
        &[(&file, text)],
        &[("CORDBOARD_SHOP_URL", &service.url)],
    );
    client.import_customer("13800138000", "Wang Fang", "A");
    let pin = serde_json::json!({ "pin": "471199" });
    let (status, answer) = client.json("PUT", "/api/v1/customers/C1/pin", Some(pin));
    assert_eq!((status, &answer["set"]), (200, &true.into()), "{answer}");
    let bad = serde_json::json!({ "pin": "47" });
    assert_eq!(
        client.json("PUT", "/api/v1/customers/C1/pin", Some(bad)).0,
        422
    );
    assert_eq!(
        client
            .json(
                "PUT",
                "/api/v1/customers/C9/pin",
                Some(serde_json::json!({ "pin": "4711" }))
            )
            .0,
        404
    );
    let mut caller = dialled(&centre);
    at_step(&client, "prove");
    keys(&mut caller, "471199#");
    let step = at_step(&client, "ask");
    assert_eq!(step["data"]["input"], "****", "{step}");
    at_step(&client, "tell");
    assert_eq!(service.lines(), ["GET /accounts/C1"]);
    caller.hang_up();
    // Three in a call, two in the next; then nobody may, with the right one neither.
    let refused = |number: usize| {
        crate::centre::wait_for("a person", || {
            let events = client.events();
            let to_person = events.iter().filter(|e| e["data"]["state"] == "person");
            (to_person.count() == number).then_some(())
        });
    };
    for (calls, wrong) in [(1, 3), (2, 2)] {
        let mut caller = listening(&centre, &client, "prove");
        for _ in 0..wrong {
            keys(&mut caller, "000000#");
            std::thread::sleep(Duration::from_millis(300)); // the hash is slow, and keys meanwhile would be dropped with the wrong PIN
        }
        if wrong == 2 {
            keys(&mut caller, "471199#");
        }
        refused(calls);
        caller.hang_up();
    }
    let everything = format!("{:?}{}", client.events(), centre.log());
    assert!(!everything.contains("471199"), "a PIN in events or log");
    assert_eq!(service.lines().len(), 1, "{:?}", service.lines());
    still_fine(&centre);
}

#[test]
fn a_message_is_sent_while_the_call_goes_on() {
    let service = Service::start();
    let (file, text) = flow("parcel_tracking");
    let (centre, client, _scripts) = centre(
        "parcel_tracking",
        &[(&file, text)],
        &[("CORDBOARD_SHOP_URL", &service.url)],
    );
    let mut caller = dialled(&centre);
    at_step(&client, "ask");
    keys(&mut caller, "6901234567892#");
    at_step(&client, "on_the_way");
    // Said, or cut off by a key.
    keys(&mut caller, "1");
    at_step(&client, "tell");
    let message = crate::centre::wait_for("the message", || {
        service
            .seen()
            .into_iter()
            .find(|seen| seen.line == "POST /messages")
    });
    let body: serde_json::Value = serde_json::from_str(&message.body).expect("JSON");
    assert_eq!(body["type"], "sms", "{body}");
    assert_eq!(body["to"], "+8613800138000", "{body}");
    assert_eq!(body["language"], "zh-CN", "{body}");
    caller.hung_up();
    still_fine(&centre);
}

#[test]
fn after_the_agent_has_hung_up_the_caller_gives_a_mark() {
    let mut phone = Phone::new();
    let agents = fixed_agents(&[("1001", phone.port(), "support = 5")]);
    let (first, second) = (flow("agent_number"), flow("survey"));
    let (centre, client, _scripts) = centre_of(
        &agents,
        "agent_number",
        &[(&first.0, first.1), (&second.0, second.1)],
        &[],
    );
    client.wait_agent("1001", "ready");
    let mut caller = dialled(&centre);
    phone.ring();
    phone.answer();
    client.wait_event("contact.answered", |_| true);
    // Who is talking is announced to the caller alone, then they hear each other.
    converse(
        "the announcement, then the agent",
        &mut [(&mut caller.rtp, 440.0), (&mut phone.rtp, 1000.0)],
        |ends| ends[0].purity(1000.0) > 0.8 && ends[1].purity(440.0) > 0.8,
    );
    phone.hang_up();
    at_step(&client, "ask");
    client.wait_agent("1001", "ready");
    keys(&mut caller, "4");
    let surveyed = client.wait_event("contact.surveyed", |_| true);
    assert_eq!(surveyed["data"]["answers"]["score"], 4, "{surveyed}");
    assert_eq!(surveyed["data"]["agent"], "1001", "{surveyed}");
    assert_eq!(surveyed["data"]["queue"], "support", "{surveyed}");
    caller.hung_up();
    let closed = client.wait_event("contact.closed", |_| true);
    assert_eq!(closed["data"]["outcome"], "answered", "{closed}");
    assert_eq!(closed["data"]["cause"], "flow_end", "{closed}");
    still_fine(&centre);
}

/// SIGHUP, and what the centre says of it.
fn reload(centre: &Centre, told: &str) {
    let pid = centre.ready["pid"].to_string();
    let status = std::process::Command::new("kill")
        .args(["-HUP", &pid])
        .status()
        .expect("kill runs");
    assert!(status.success());
    crate::centre::wait_for(told, || centre.log().contains(told).then_some(()));
}

/// Calls in progress finish on the flow that they began with; a broken file changes nothing.
#[test]
fn a_reload_in_mid_call_is_for_the_next_caller() {
    let before = r#"
[flow]
name = "versions"
start = "ask"
[state.ask]
menu = "queue/position_before"
keys = { 1 = "old" }
retries = 9
[state.old]
hangup = "system/goodbye"
"#;
    let (centre, client, scripts) =
        centre("versions", &[("versions.toml", before.to_owned())], &[]);
    let path = scripts.path().join("versions.toml");
    let mut first = dialled(&centre);
    at_step(&client, "ask");
    std::fs::write(
        &path,
        before.replace("keys = { 1 = \"old\" }", "keys = { 1 = \"nowhere\" }"),
    )
    .expect("a broken file");
    reload(&centre, "no state `nowhere`");
    std::fs::write(&path, before.replace("old", "new")).expect("a new version");
    reload(&centre, "flow versions: version ");
    let mut second = dialled(&centre);
    crate::centre::wait_for("the second caller", || {
        let events = client.events();
        let asked = events.iter().filter(|e| e["data"]["state"] == "ask");
        (asked.count() == 2).then_some(())
    });
    keys(&mut first, "1");
    at_step(&client, "old");
    keys(&mut second, "1");
    let step = at_step(&client, "new");
    assert_eq!(step["data"]["via"], "key 1", "{step}");
    first.hang_up();
    second.hang_up();
    still_fine(&centre);
}

/// Wherever a caller hangs up, the call is over at once and nothing is left of it.
#[test]
fn a_caller_may_hang_up_in_each_state() {
    let service = Service::start();
    let (file, text) = flow("order_status");
    let (centre, client, _scripts) = centre(
        "order_status",
        &[(&file, text)],
        &[("CORDBOARD_SHOP_URL", &service.url)],
    );
    // The last of them is asked while the service thinks.
    for (number, (pressed, state)) in [
        ("", "ask"),
        ("9999#", "say_unknown"),
        ("10017#", "on_the_way"),
        ("10018#", "delivered"),
        ("10019#", "in_work"),
        ("50003#", "no_answer"),
        ("50002#", "look"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut caller = listening(&centre, &client, "ask");
        keys(&mut caller, pressed);
        let contact = at_step(&client, state)["subject"].clone();
        caller.hang_up();
        crate::centre::wait_for("contact.closed", || {
            let events = client.events();
            let closed = events.iter().filter(|e| e["type"] == "contact.closed");
            (closed.count() == number + 1).then_some(())
        });
        assert!(contact.is_string(), "{contact}");
    }
    still_fine(&centre);
}
