//! Reloading: one checked difference in one step, by the API and by SIGHUP.

use serde_json::{Value, json};

use crate::api::{Client, get_text};
use crate::centre::{Centre, agents, wait_for};
use crate::sipp::{Sipp, free_port};

const QUEUES: &str = "[[queue]]\nname = \"support\"\nnumber = \"2000\"\nskills = { support = 1 }\nwrap_up = \"0s\"\n";

/// The shipped flow needs queues that these tests take away.
const NO_FLOWS: (&str, &str) = ("flows/keep", "");

fn admin() -> String {
    agents().replace("role = \"supervisor\"", "role = \"admin\"")
}

fn phone_of(id: &str, port: u16) -> String {
    format!(
        "[[agent]]\nid = \"{id}\"\nauto_ready = true\nwrap_up = \"0s\"\nskills = {{ support = 5 }}\ncontact = \"sip:{id}@127.0.0.1:{port}\"\n"
    )
}

fn put(centre: &Centre, name: &str, text: &str) {
    std::fs::write(centre.path().join("config").join(name), text).expect("a file");
}

fn reload(client: &Client) -> (u16, Value) {
    client.json("POST", "/api/v1/config/reload", None)
}

fn hang_up(centre: &Centre) {
    let pid = centre.ready["pid"].to_string();
    let status = std::process::Command::new("kill")
        .args(["-HUP", &pid])
        .status()
        .expect("kill runs");
    assert!(status.success());
}

#[test]
fn a_difference_is_applied_and_told_and_a_wrong_file_changes_nothing() {
    let centre = Centre::start_with(
        &[NO_FLOWS, ("queues.toml", QUEUES), ("agents.toml", &admin())],
        &["ivr.dir=flows"],
    );
    let client = Client::sign_in_any(&centre);
    assert_eq!(reload(&client), (200, json!({"changes": []})));
    wait_for("the difference on stderr", || {
        centre
            .log()
            .contains("configuration: nothing changed")
            .then_some(())
    });
    let sales = "[[queue]]\nname = \"sales\"\nnumber = \"2001\"\nskills = { sales = 1 }\n";
    let changed = QUEUES.replace("wrap_up", "service_level = \"15s\"\nwrap_up");
    put(&centre, "queues.toml", &format!("{changed}{sales}"));
    let (status, answer) = reload(&client);
    assert_eq!(
        (status, &answer["changes"]),
        (
            200,
            &json!([
                "queue sales: added",
                "queue support: service_level 20s → 15s"
            ])
        )
    );
    // In force and on disk when answered: no waiting here.
    let (_, queue) = client.get("/api/v1/queues/support");
    assert_eq!(queue["target_seconds"], 15.0);
    let applied = client
        .events()
        .into_iter()
        .filter(|event| event["type"] == "config.applied");
    let applied: Vec<Value> = applied.collect();
    assert_eq!(applied.last().expect("an event")["data"]["by"], "1900");
    assert_eq!(
        applied.last().expect("an event")["data"]["summary"],
        answer["changes"]
    );
    let (_, metrics) = get_text(&centre, "/metrics");
    assert!(metrics.contains("cordboard_queue_offered_total{queue=\"sales\",channel=\"voice\"} 0"));
    // Wrong: every fault is told, nothing changes.
    put(
        &centre,
        "queues.toml",
        &format!("{changed}{sales}rong = \"5s\"\n[[queue]]\nnumber = \"1001\"\n"),
    );
    let (status, kind, body) = client.send("POST", "/api/v1/config/reload", None);
    assert_eq!((status, kind.as_str()), (422, "application/problem+json"));
    assert!(
        body.contains("queues.toml:11:1: error: unknown key `rong`")
            && body.contains("`name` is missing"),
        "{body}"
    );
    hang_up(&centre);
    wait_for("the refusal on stderr", || {
        centre.log().contains("nothing changed").then_some(())
    });
    let (_, queues) = client.get("/api/v1/queues");
    assert_eq!(queues["items"].as_array().map(Vec::len), Some(2));
    // SIGHUP does what the API does.
    put(
        &centre,
        "queues.toml",
        &format!("{changed}{}", sales.replace("2001", "2002")),
    );
    hang_up(&centre);
    let event = client.wait_event("config.applied", |event| {
        event["data"]["summary"] == json!(["queue sales: number 2001 → 2002"])
    });
    assert_eq!(event["data"]["by"], "signal");
    wait_for("the difference on stderr", || {
        centre
            .log()
            .contains("configuration: queue sales: number 2001 → 2002")
            .then_some(())
    });
    // Only administrators, and what needs a restart is said.
    let (status, answer) = {
        put(
            &centre,
            "cordboard.toml",
            "[limits]\ndrain = \"9s\"\n[locale]\ntime_zone = \"UTC\"\n",
        );
        reload(&client)
    };
    assert_eq!(status, 200);
    let told = answer["changes"].to_string();
    assert!(
        told.contains("drain")
            && told.contains("at the next start only")
            && told.contains("time_zone"),
        "{told}"
    );
}

#[test]
fn a_removed_agent_finishes_and_a_removed_queue_serves_those_it_has() {
    let (first, second) = (free_port(), free_port());
    let admin = admin();
    let supervisor = &admin[admin
        .rfind("[[agent]]")
        .expect("the last is the administrator")..];
    let centre = Centre::start_with(
        &[
            NO_FLOWS,
            ("queues.toml", QUEUES),
            (
                "agents.toml",
                &format!("{supervisor}{}", phone_of("a1", first)),
            ),
        ],
        &["ivr.dir=flows"],
    );
    let client = Client::sign_in_any(&centre);
    let _one = Sipp::serve("agent_answers", first, 1, &[]);
    let _two = Sipp::serve("agent_answers", second, 1, &[]);
    let talks = Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "2500"]);
    client.wait_event("contact.answered", |_| true);
    let waits = Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "3000"]);
    wait_for("one to wait", || {
        let (_, queue) = client.get("/api/v1/queues/support");
        (queue["waiting"] == 1).then_some(())
    });
    // The agent who talks is no more, the queue is no more; another agent comes.
    put(
        &centre,
        "agents.toml",
        &format!("{supervisor}{}", phone_of("a2", second)),
    );
    put(&centre, "queues.toml", "");
    let (status, answer) = reload(&client);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["changes"],
        json!([
            "queue support: removed",
            "agent a2: added",
            "agent a1: removed"
        ])
    );
    // A new caller finds nobody under the number.
    Sipp::start(&centre, "unknown_number", "2000", &[]).succeed();
    // Whoever waited is served by the agent who is there, and who talked went on talking.
    let answered = client.wait_event("contact.answered", |event| event["data"]["agent"] == "a2");
    let (_, open) = client.get("/api/v1/contacts?state=connected&agent=a1");
    let still = open["items"]
        .as_array()
        .is_some_and(|items| items.len() == 1);
    waits.succeed();
    talks.succeed();
    for agent in ["a1", "a2"] {
        let closed = client.wait_event("contact.closed", |event| event["data"]["agent"] == agent);
        assert_eq!(closed["data"]["outcome"], "answered", "{closed}");
    }
    assert!(still, "the removed agent talked on when {answered} came");
    wait_for("the removed agent to be gone", || {
        let (_, agents) = client.get("/api/v1/agents");
        (!agents.to_string().contains("\"a1\"")).then_some(())
    });
}
