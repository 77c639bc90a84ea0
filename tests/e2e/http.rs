//! The HTTP API to the letter of its contract: forms, statuses, paging, roles.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::{Client, get_text};
use crate::centre::{Centre, QUEUES, agents, wait_for};
use crate::sipp::{Sipp, free_port};

/// A centre whose agent `a1` answers at once, for so many calls.
fn centre_with_phone(calls: u32) -> (Centre, Client, Sipp) {
    let port = free_port();
    let phone = Sipp::serve("agent_answers", port, calls, &[]);
    let agents = agents()
        + &format!(
            "[[agent]]\nid = \"a1\"\nname = \"Phone\"\ngroup = \"day\"\nauto_ready = true\nwrap_up = \"0s\"\nskills = {{ support = 7 }}\ncontact = \"sip:a1@127.0.0.1:{port}\"\n"
        );
    let centre = Centre::start_with(&[("queues.toml", QUEUES), ("agents.toml", &agents)], &[]);
    let client = Client::sign_in_any(&centre);
    (centre, client, phone)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .map(|object| object.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[track_caller]
fn has(value: &Value, wanted: &[&str]) {
    let found = keys(value);
    let missing: Vec<&&str> = wanted.iter().filter(|key| !found.contains(**key)).collect();
    assert!(missing.is_empty(), "{missing:?} missing in {value}");
}

#[test]
fn contacts_page_newest_first_and_why_explains_each() {
    let (centre, client, _phone) = centre_with_phone(5);
    client.import_customer("+8613800138000", "Zhang Wei", "A");
    for _ in 0..5 {
        Sipp::start(&centre, "caller_hangs_up", "2000", &["-d", "10"]).succeed();
    }
    wait_for("five closed contacts", || {
        let (_, page) = client.get("/api/v1/contacts?state=closed");
        (page["items"].as_array()?.len() == 5).then_some(())
    });
    let mut seen: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = client.get(&format!("/api/v1/contacts?limit=2{cursor}"));
        assert_eq!(status, 200);
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 2);
        seen.extend(items.iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5, "each once: {seen:?}");
    let arrived: Vec<&str> = seen
        .iter()
        .filter_map(|contact| contact["arrived"].as_str())
        .collect();
    assert!(arrived.is_sorted_by(|one, next| one > next), "{arrived:?}");
    let contact = &seen[0];
    has(
        contact,
        &[
            "id",
            "state",
            "channel",
            "direction",
            "ani",
            "dnis",
            "customer",
            "queue",
            "agent",
            "arrived",
            "answered",
            "ended",
            "outcome",
            "visits",
        ],
    );
    assert_eq!(
        json!([
            contact["state"],
            contact["channel"],
            contact["direction"],
            contact["ani"],
            contact["dnis"],
            contact["customer"],
            contact["queue"],
            contact["agent"],
            contact["outcome"]
        ]),
        json!([
            "closed",
            "voice",
            "inbound",
            "+8613800138000",
            "2000",
            "C1",
            "support",
            "a1",
            "answered"
        ])
    );
    let id = contact["id"].as_str().expect("an id");
    assert_eq!(client.get(&format!("/api/v1/contacts/{id}")).1, *contact);
    let count = |query: &str| {
        let (status, page) = client.get(&format!("/api/v1/contacts?limit=500&{query}"));
        assert_eq!(status, 200, "{query}: {page}");
        page["items"].as_array().map(Vec::len)
    };
    for (query, expected) in [
        ("state=closed", 5),
        ("state=open", 0),
        ("queue=support", 5),
        ("queue=sales", 0),
        ("customer=C1", 5),
        ("customer=C2", 0),
        ("agent=a1", 5),
        ("state=closed&queue=support&customer=C1", 5),
        ("limit=501", 5),
    ] {
        let query = query.replace("limit=501", "agent=a1");
        assert_eq!(count(&query), Some(expected), "{query}");
    }
    let (_, why) = client.get(&format!("/api/v1/contacts/{id}/why"));
    has(&why, &["contact", "decisions"]);
    let decision = &why["decisions"][0];
    has(
        decision,
        &[
            "at",
            "queue",
            "step",
            "chosen",
            "runner_up",
            "candidates",
            "excluded",
            "overtaken",
        ],
    );
    assert_eq!(
        (
            &decision["chosen"],
            &decision["runner_up"],
            &decision["queue"]
        ),
        (&json!("a1"), &Value::Null, &json!("support"))
    );
    has(&decision["candidates"][0], &["agent", "score", "terms"]);
    for excluded in decision["excluded"].as_array().expect("a list") {
        has(excluded, &["reason", "count", "examples"]);
    }
    let (status, ladder) = client.get(&format!("/api/v1/contacts/{id}/ladder"));
    assert!(
        status == 200 && ladder.to_string().contains("INVITE sip:2000@"),
        "{ladder}"
    );
    // The sums of every page, endpoint and command are the same.
    let (_, kpi) = client.get("/api/v1/kpi?by=queue");
    let row = kpi["rows"]
        .as_array()
        .and_then(|rows| rows.iter().find(|row| row["key"] == "support"))
        .expect("a row");
    assert_eq!(
        (&row["totals"]["offered"], &row["totals"]["answered"]),
        (&json!(5), &json!(5)),
        "{row}"
    );
    assert_eq!(row["values"]["sl_all@1"], 1.0);
    assert_eq!(keys(&row["totals"]["left"]).len(), 6);
    let (_, queue) = client.get("/api/v1/queues/support");
    assert_eq!(queue["today"], row["totals"]);
    let (_, metrics) = get_text(&centre, "/metrics");
    assert!(
        metrics.contains("cordboard_queue_offered_total{queue=\"support\",channel=\"voice\"} 5")
    );
    assert!(metrics.contains(
        "cordboard_queue_service_level_ratio{queue=\"support\",definition=\"sl_all@1\"} 1"
    ));
    let asa = metrics
        .lines()
        .find_map(|line| line.strip_prefix("cordboard_queue_asa_seconds{queue=\"support\"} "))
        .expect("asa");
    assert_eq!(asa.parse::<f64>().ok(), row["values"]["asa@1"].as_f64());
    let committed = metrics
        .lines()
        .find_map(|line| line.strip_prefix("cordboard_store_commit_duration_seconds_count "))
        .expect("commits");
    assert!(committed.parse::<u64>().expect("a number") > 0);
}

#[test]
fn what_is_wrong_is_a_problem_with_the_right_status() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let body = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    for (method, path, sent, status) in [
        ("GET", "/api/v1/nothing", None, 404),
        ("GET", "/api/v1/contacts/nobody", None, 404),
        ("GET", "/api/v1/contacts/nobody/why", None, 404),
        ("GET", "/api/v1/queues/nobody", None, 404),
        ("GET", "/api/v1/agents/nobody", None, 404),
        ("GET", "/api/v1/customers/nobody", None, 404),
        ("PATCH", "/api/v1/queues", None, 405),
        ("GET", "/api/v1/contacts?limit=some", None, 400),
        ("GET", "/api/v1/contacts?cursor=x", None, 400),
        ("GET", "/api/v1/contacts?state=gone", None, 400),
        ("GET", "/api/v1/contacts?sate=closed", None, 400),
        ("GET", "/api/v1/events?after=-1", None, 400),
        ("GET", "/api/v1/kpi?by=moon", None, 400),
        ("GET", "/api/v1/kpi?from=yesterday", None, 400),
        ("GET", "/api/v1/kpi?definition=asa@9", None, 400),
        (
            "PUT",
            "/api/v1/agents/1001/state",
            Some(json!({"state": "redy"})),
            422,
        ),
        (
            "PUT",
            "/api/v1/agents/1001/state",
            Some(json!({"state": "ready", "more": 1})),
            422,
        ),
        (
            "PUT",
            "/api/v1/agents/9999/state",
            Some(json!({"state": "ready"})),
            404,
        ),
        ("PUT", "/api/v1/agents/1001/state", None, 415),
        (
            "POST",
            "/api/v1/customers",
            Some(json!({"name": "X", "phones": ["12"]})),
            422,
        ),
        ("POST", "/api/v1/config/reload", None, 403),
        (
            "POST",
            "/api/v1/session",
            Some(json!({"user": "1900", "password": "wrong"})),
            401,
        ),
        (
            "POST",
            "/api/v1/session",
            Some(json!({"user": "nobody", "password": "wrong"})),
            401,
        ),
    ] {
        let (got, kind, text) = client.send(method, path, sent);
        assert_eq!(
            (got, kind.as_str()),
            (status, "application/problem+json"),
            "{method} {path}: {text}"
        );
        let problem = body(&text);
        has(&problem, &["type", "title", "status", "detail"]);
        assert_eq!(problem["status"], status);
    }
    for token in ["", "nonsense"] {
        let (status, kind, _) =
            Client::with_token(&centre, token).send("GET", "/api/v1/queues", None);
        assert_eq!((status, kind.as_str()), (401, "application/problem+json"));
    }
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 200),
        ("/desk", 200),
        ("/wallboard", 200),
    ] {
        assert_eq!(get_text(&centre, path).0, status, "{path}");
    }
}

#[test]
fn agents_see_and_change_only_themselves() {
    let centre = Centre::start();
    let agent = Client::sign_in(&centre, "1001", "demo-1001");
    let (_, list) = agent.get("/api/v1/agents");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(
        agent
            .put(
                "/api/v1/agents/1001/state",
                json!({"state": "not_ready", "reason": "lunch"})
            )
            .0,
        200
    );
    for (method, path, body) in [
        (
            "PUT",
            "/api/v1/agents/1002/state",
            Some(json!({"state": "ready"})),
        ),
        ("GET", "/api/v1/agents/1002", None),
        ("GET", "/api/v1/events?after=0", None),
        ("GET", "/api/v1/config/effective", None),
        ("POST", "/api/v1/config/reload", None),
        ("DELETE", "/api/v1/customers/C1", None),
        ("DELETE", "/api/v1/customers?phone=13800138000", None),
        ("PUT", "/api/v1/customers", Some(json!({"items": []}))),
    ] {
        assert_eq!(agent.json(method, path, body).0, 403, "{method} {path}");
    }
    assert_eq!(agent.get("/api/v1/queues").0, 200);
    assert_eq!(agent.get("/api/v1/contacts").0, 200);
    assert_eq!(agent.json("DELETE", "/api/v1/session", None).0, 204);
    assert_eq!(agent.get("/api/v1/queues").0, 401, "signed out is out");
}

#[test]
fn customers_are_kept_as_e164_and_found_by_any_form() {
    let centre = Centre::start();
    let client = Client::sign_in_any(&centre);
    let (status, made) = client.json("POST", "/api/v1/customers", Some(json!({"id": "K1", "name": "李雷", "class": "B", "phones": ["021-64280001", "139 1111 2222"]})));
    assert_eq!(
        (status, &made["phones"]),
        (201, &json!(["+8613911112222", "+862164280001"])),
        "{made}"
    );
    assert_eq!(
        client
            .json(
                "POST",
                "/api/v1/customers",
                Some(json!({"id": "K1", "name": "x"}))
            )
            .0,
        409
    );
    let (status, second) = client.json(
        "POST",
        "/api/v1/customers",
        Some(json!({"name": "韩梅梅", "phones": ["+862164280001"]})),
    );
    assert!(
        status == 201 && !second["id"].as_str().unwrap_or_default().is_empty(),
        "{second}"
    );
    for form in [
        "%2B862164280001",
        "+862164280001",
        "02164280001",
        "021-6428%200001",
        "00862164280001",
    ] {
        let (_, page) = client.get(&format!("/api/v1/customers?phone={form}"));
        assert_eq!(
            page["items"].as_array().map(Vec::len),
            Some(2),
            "{form}: {page}"
        );
    }
    let (status, changed) = client.json(
        "PATCH",
        "/api/v1/customers/K1",
        Some(json!({"class": "A", "notes": null, "tags": ["vip"]})),
    );
    assert_eq!(
        (
            status,
            &changed["class"],
            &changed["tags"],
            &changed["name"]
        ),
        (200, &json!("A"), &json!(["vip"]), &json!("李雷"))
    );
    assert_eq!(
        client
            .json("PATCH", "/api/v1/customers/K1", Some(json!({"clas": "A"})))
            .0,
        422
    );
    let many: Vec<Value> = (0..5).map(|n| json!({"id": format!("M{n}"), "name": "m", "phones": [format!("+86139000000{n}0")]})).collect();
    assert_eq!(
        client.json("PUT", "/api/v1/customers", Some(json!({"items": many}))),
        (200, json!({"taken": 5}))
    );
    let bad =
        json!({"items": [{"id": "N1", "name": "n"}, {"id": "N2", "name": "n", "phones": ["x"]}]});
    assert_eq!(client.json("PUT", "/api/v1/customers", Some(bad)).0, 422);
    assert_eq!(client.get("/api/v1/customers/N1").0, 404, "all or none");
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = client.get(&format!("/api/v1/customers?limit=3{cursor}"));
        ids.extend(
            page["items"]
                .as_array()
                .expect("items")
                .iter()
                .map(|one| one["id"].to_string()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert!(
        unique.len() == ids.len()
            && unique.contains(&"\"K1\"".to_owned())
            && unique.contains(&"\"M4\"".to_owned()),
        "{ids:?}"
    );
    assert_eq!(client.json("DELETE", "/api/v1/customers/K1", None).0, 204);
    assert_eq!(client.json("DELETE", "/api/v1/customers/K1", None).0, 404);
}

#[test]
fn every_documented_address_answers_and_the_document_says_how() {
    let centre = Centre::start();
    let (status, text) = get_text(&centre, "/api/v1/openapi.json");
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    let nobody = Client::with_token(&centre, "nonsense");
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let address = path.replace("{id}", "x").replace("{name}", "x");
        for (method, operation) in operations.as_object().expect("operations") {
            let (status, _, body) = nobody.send(&method.to_uppercase(), &address, None);
            assert!(
                !body.contains("nothing at this address") && status != 405,
                "{method} {path}: {status} {body}"
            );
            let open = operation["security"] == json!([]) || operation["security"] == json!([{}]);
            assert_eq!(
                status == 401,
                !open,
                "{method} {path}: {status}, security {}",
                operation["security"]
            );
        }
    }
    // And what answers is documented.
    for path in [
        "queues",
        "agents",
        "contacts",
        "customers",
        "events",
        "stream",
        "kpi",
        "session",
        "config/effective",
        "openapi.json",
    ] {
        assert!(
            document["paths"].get(format!("/api/v1/{path}")).is_some(),
            "{path}"
        );
    }
}
