//! The API over real sockets, with a real store and log in a temporary directory.

#![allow(clippy::unwrap_used)] // helpers outside #[test] functions

mod common;

use std::time::Duration;

use common::{World, contact, now};
use engine::event::{AgentState, Outcome};
use engine::{Answer, Command, Refusal};
use serde_json::{Value, json};

/// A client that gives status, headers that matter, and body.
struct Caller {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

struct Got {
    status: u16,
    kind: String,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }
}

impl Caller {
    fn new(world: &World) -> Caller {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build()
            .into();
        Caller {
            base: format!("http://{}", world.address),
            token: None,
            agent,
        }
    }

    fn signed_in(world: &World, user: &str) -> Caller {
        let mut caller = Caller::new(world);
        let got = caller.send(
            "POST",
            "/api/v1/session",
            Some(json!({"user": user, "password": format!("demo-{user}")})),
        );
        assert_eq!(got.status, 200, "{}", got.body);
        caller.token = got.json()["token"].as_str().map(str::to_owned);
        caller
    }

    fn get(&self, path: &str) -> Got {
        self.send("GET", path, None)
    }

    fn send(&self, method: &str, path: &str, body: Option<Value>) -> Got {
        let mut headers = Vec::new();
        if let Some(token) = &self.token {
            headers.push(("authorization", format!("Bearer {token}")));
        }
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        self.raw(
            method,
            path,
            &headers,
            body.map(|body| body.to_string()).unwrap_or_default(),
        )
    }

    fn raw(&self, method: &str, path: &str, headers: &[(&str, String)], body: String) -> Got {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = self.agent.run(request.body(body).unwrap()).unwrap();
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Got {
            status: response.status().as_u16(),
            kind,
            body: response.body_mut().read_to_string().unwrap(),
        }
    }
}

#[test]
fn signing_in_and_out() {
    let world = World::new();
    let mut caller = Caller::new(&world);
    let unknown = caller.send(
        "POST",
        "/api/v1/session",
        Some(json!({"user": "nobody", "password": "x"})),
    );
    let wrong = caller.send(
        "POST",
        "/api/v1/session",
        Some(json!({"user": "1001", "password": "x"})),
    );
    assert_eq!(
        (unknown.status, &unknown.body),
        (401, &wrong.body),
        "the same answer for both"
    );
    assert_eq!(unknown.kind, "application/problem+json");
    assert_eq!(caller.get("/api/v1/queues").status, 401);
    caller.token = Some("0".repeat(64));
    assert_eq!(caller.get("/api/v1/queues").status, 401);

    let caller = Caller::signed_in(&world, "1001");
    assert_eq!(
        caller.get("/api/v1/session").json(),
        json!({"user": "1001", "role": "agent", "name": "Li Wei"})
    );
    assert_eq!(caller.get("/api/v1/queues").status, 200);
    assert_eq!(caller.send("DELETE", "/api/v1/session", None).status, 204);
    assert_eq!(caller.get("/api/v1/queues").status, 401);
}

#[test]
fn who_guesses_must_wait() {
    let world = World::new();
    let caller = Caller::new(&world);
    let guess = || {
        caller
            .send(
                "POST",
                "/api/v1/session",
                Some(json!({"user": "1001", "password": "guess"})),
            )
            .status
    };
    let statuses: Vec<u16> = (0..7).map(|_| guess()).collect();
    assert_eq!(statuses[..5], [401; 5]);
    assert_eq!(statuses[6], 429);
}

#[test]
fn a_cookie_writes_only_from_our_own_pages() {
    let world = World::new();
    let caller = Caller::signed_in(&world, "1900");
    let cookie = (
        "cookie",
        format!("cordboard_session={}", caller.token.clone().unwrap()),
    );
    let body = json!({"name": "Test"}).to_string();
    let json = ("content-type", "application/json".to_owned());
    assert_eq!(
        caller
            .raw(
                "GET",
                "/api/v1/queues",
                std::slice::from_ref(&cookie),
                String::new()
            )
            .status,
        200
    );
    let bare = caller.raw(
        "POST",
        "/api/v1/customers",
        &[cookie.clone(), json.clone()],
        body.clone(),
    );
    assert_eq!(bare.status, 403);
    let evil = ("origin", "http://evil.example".to_owned());
    assert_eq!(
        caller
            .raw(
                "POST",
                "/api/v1/customers",
                &[cookie.clone(), json.clone(), evil],
                body.clone()
            )
            .status,
        403
    );
    let ours = ("origin", format!("http://{}", world.address));
    assert_eq!(
        caller
            .raw("POST", "/api/v1/customers", &[cookie, json, ours], body)
            .status,
        201
    );
}

#[test]
fn errors_are_problems() {
    let world = World::new();
    let caller = Caller::signed_in(&world, "1900");
    let json_type = ("content-type", "application/json".to_owned());
    let auth = (
        "authorization",
        format!("Bearer {}", caller.token.clone().unwrap()),
    );
    let post = |body: &str, headers: &[(&str, String)]| {
        caller.raw("POST", "/api/v1/customers", headers, body.to_owned())
    };
    let both = [auth.clone(), json_type];
    for (got, status) in [
        (caller.get("/api/v1/nothing"), 404),
        (caller.get("/nothing"), 404),
        (caller.get("/api/v1/queues/none"), 404),
        (caller.get("/api/v1/contacts/n1-1-99"), 404),
        (caller.get("/api/v1/contacts?limit=many"), 400),
        (caller.get("/api/v1/contacts?state=odd"), 400),
        (caller.get("/api/v1/contacts?cursor=odd"), 400),
        (caller.get("/api/v1/kpi?by=moon"), 400),
        (caller.send("PATCH", "/api/v1/queues", None), 405),
        (post("{", &both), 400),
        (post("{\"nome\": 1}", &both), 422),
        (post("{}", &[auth]), 415),
        (
            post(&format!("{{\"name\": \"{}\"}}", "x".repeat(100_000)), &both),
            413,
        ),
        (post("{\"name\": \"x\", \"class\": \"Z\"}", &both), 422),
        (
            post("{\"name\": \"x\", \"phones\": [\"junk\"]}", &both),
            422,
        ),
    ] {
        assert_eq!(
            (got.status, got.kind.as_str()),
            (status, "application/problem+json"),
            "{}",
            got.body
        );
        assert_eq!(got.json()["status"], status);
    }
}

#[test]
fn customers_come_and_go() {
    let world = World::new();
    let caller = Caller::signed_in(&world, "1001");
    let added = caller.send("POST", "/api/v1/customers", Some(json!({"id": "C1", "name": "王小明", "class": "A", "phones": ["138 0013 8000"], "tags": ["VIP"]})));
    assert_eq!(
        (added.status, added.json()["phones"].clone()),
        (201, json!(["+8613800138000"]))
    );
    assert_eq!(
        caller
            .send(
                "POST",
                "/api/v1/customers",
                Some(json!({"id": "C1", "name": "x"}))
            )
            .status,
        409
    );
    // As DESIGN writes it: a plus sign that a query string reads as a space.
    assert_eq!(
        caller.get("/api/v1/customers?phone=+8613800138000").json()["items"][0]["name"],
        "王小明"
    );
    assert_eq!(
        caller.get("/api/v1/customers?phone=13800138000").json()["items"][0]["id"],
        "C1"
    );
    let changed = caller.send(
        "PATCH",
        "/api/v1/customers/C1",
        Some(json!({"class": "B", "tags": null, "attributes": {"city": "上海"}})),
    );
    assert_eq!(
        (
            changed.status,
            changed.json()["class"].clone(),
            changed.json()["tags"].clone()
        ),
        (200, json!("B"), json!([]))
    );
    assert_eq!(
        caller
            .send("PATCH", "/api/v1/customers/C1", Some(json!({"id": "C2"})))
            .status,
        422
    );
    assert_eq!(
        caller
            .send("PATCH", "/api/v1/customers/C9", Some(json!({"class": "B"})))
            .status,
        404
    );
    let made = caller
        .send("POST", "/api/v1/customers", Some(json!({"name": "No id"})))
        .json();
    assert!(made["id"].as_str().unwrap().starts_with('C'));
    let page = caller.get("/api/v1/customers?limit=1").json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let next = caller
        .get(&format!(
            "/api/v1/customers?limit=1&cursor={}",
            page["next"].as_str().unwrap()
        ))
        .json();
    assert_ne!(next["items"][0]["id"], page["items"][0]["id"]);
    assert_eq!(
        caller.send("DELETE", "/api/v1/customers/C1", None).status,
        403,
        "agents remove nobody"
    );
    let supervisor = Caller::signed_in(&world, "1900");
    assert_eq!(
        supervisor
            .send("DELETE", "/api/v1/customers/C1", None)
            .status,
        204
    );
    assert_eq!(
        supervisor
            .send("DELETE", "/api/v1/customers/C1", None)
            .status,
        404
    );
}

#[test]
fn an_agents_state_is_asked_for_through_the_engine() {
    let world = World::new();
    let caller = Caller::signed_in(&world, "1001");
    let engine = world.answer(|command| {
        let availability = acd::Availability::NotReady {
            reason: "lunch".into(),
        };
        assert_eq!(
            command,
            Command::SetAgentState {
                by: "1001".into(),
                agent: "1001".into(),
                availability
            }
        );
        Ok(Answer::Done)
    });
    let got = caller.send(
        "PUT",
        "/api/v1/agents/1001/state",
        Some(json!({"state": "not_ready", "reason": "lunch"})),
    );
    assert_eq!(
        (got.status, got.json()["name"].clone()),
        (200, json!("Li Wei"))
    );
    engine.join().unwrap();
    assert_eq!(
        caller
            .send(
                "PUT",
                "/api/v1/agents/1002/state",
                Some(json!({"state": "ready"}))
            )
            .status,
        403
    );
    assert_eq!(
        caller
            .send(
                "PUT",
                "/api/v1/agents/1001/state",
                Some(json!({"state": "asleep"}))
            )
            .status,
        422
    );

    let supervisor = Caller::signed_in(&world, "1900");
    let engine = world.answer(|_| Err(Refusal::NotFound("there is no agent 9999".into())));
    assert_eq!(
        supervisor
            .send(
                "PUT",
                "/api/v1/agents/9999/state",
                Some(json!({"state": "ready"}))
            )
            .status,
        404
    );
    engine.join().unwrap();
}

#[test]
fn contacts_page_through_open_ones_board_and_index() {
    let mut world = World::new();
    world.queue(now(), "support");
    for n in 1..=12 {
        world.arrives(now(), n, "+8613800138000", "support");
    }
    for n in 1..=6 {
        world.answered(now(), n, "support", "1001", 1000);
        world.closed(now(), n, Outcome::Answered, "support", Some("1001"));
        if n == 4 {
            web::index_closed(&world.hub, &world.store).unwrap();
        }
    }
    let caller = Caller::signed_in(&world, "1900");
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = caller
            .get(&format!("/api/v1/contacts?limit=4{cursor}"))
            .json();
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["ani"], "+8613800138000", "{item}");
            ids.push(item["id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (7..=12)
        .rev()
        .chain((1..=6).rev())
        .map(|n| contact(n).0.to_string())
        .collect();
    assert_eq!(ids, expected, "newest first, each once");

    let count = |query: &str| {
        caller.get(&format!("/api/v1/contacts?{query}")).json()["items"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        (
            count("state=closed"),
            count("state=waiting"),
            count("state=open&queue=support"),
            count("queue=sales")
        ),
        (6, 6, 6, 0)
    );
    assert_eq!(count("customer=C1001&limit=500"), 12);
    let closed = caller.get("/api/v1/contacts/n1-1-2").json();
    assert_eq!(
        (
            closed["state"].clone(),
            closed["outcome"].clone(),
            closed["visits"][0]["exit"].clone()
        ),
        (json!("closed"), json!("answered"), json!("answered"))
    );

    let agent = Caller::signed_in(&world, "1002");
    assert_eq!(
        agent.get("/api/v1/contacts").json()["items"],
        json!([]),
        "an agent sees their own"
    );
    assert_eq!(agent.get("/api/v1/contacts/n1-1-2").status, 404);
    assert_eq!(
        Caller::signed_in(&world, "1001")
            .get("/api/v1/contacts/n1-1-2")
            .status,
        200
    );
}

#[test]
fn why_and_ladder_and_hangup() {
    let mut world = World::new();
    world.arrives(now(), 1, "+8613800138000", "support");
    let caller = Caller::signed_in(&world, "1900");
    let engine = world.answer(|command| {
        assert_eq!(
            command,
            Command::Why {
                contact: contact(1)
            }
        );
        let decision = acd::Decision {
            step: 0,
            chosen: "1001".into(),
            runner_up: None,
            candidates: vec![acd::Candidate {
                agent: "1001".into(),
                score: 1.5,
                terms: [("idle".into(), 1.5)].into(),
            }],
            excluded: vec![acd::Excluded {
                reason: "skill".into(),
                count: 1,
                examples: vec!["1002".into()],
            }],
            overtaken: vec![acd::ContactId(1 << 40 | 7)],
            overtaken_by: Default::default(),
        };
        Ok(Answer::Why {
            decisions: vec![(now(), "support".into(), decision)],
            waiting: Some(Box::new(acd::Waiting {
                queue: "support".into(),
                position: 2,
                step: 1,
                next_step: Some(now()),
                skills: [("support".into(), 1)].into(),
                held_for: Some(("1001".into(), now())),
                detached: false,
                excluded: vec![],
                overtaken_by: [("skill".into(), 3)].into(),
            })),
        })
    });
    let why = caller.get("/api/v1/contacts/n1-1-1/why").json();
    engine.join().unwrap();
    assert_eq!(why["decisions"][0]["chosen"], "1001");
    assert_eq!(why["decisions"][0]["excluded"][0]["reason"], "skill");
    assert_eq!(why["decisions"][0]["overtaken"], json!(["n1-1-7"]));
    assert_eq!(why["waiting"]["position"], 2);
    assert_eq!(why["waiting"]["held_for"]["agent"], "1001");
    assert_eq!(why["waiting"]["overtaken_by"], json!({ "skill": 3 }));
    let engine = world.answer(|command| {
        let agent = "1001".into();
        assert_eq!(command, Command::WhyIdle { agent });
        Ok(Answer::WhyIdle(Box::new(acd::Idle {
            state: acd::State::NotReady {
                reason: "rona".into(),
            },
            idle_since: None,
            resting_until: None,
            waiting: 3,
            passed: vec![acd::Passed {
                reason: "state".into(),
                count: 3,
                examples: vec![acd::ContactId(1 << 40 | 7)],
            }],
        })))
    });
    let why = caller.get("/api/v1/agents/1001/why-idle").json();
    engine.join().unwrap();
    assert_eq!(
        (&why["state"], &why["reason"]),
        (&json!("not_ready"), &json!("rona"))
    );
    assert_eq!(why["passed"][0]["examples"], json!(["n1-1-7"]));
    let message = engine::LadderMessage {
        at: now(),
        outbound: false,
        peer: engine::Peer {
            transport: engine::Transport::Udp,
            remote: "10.0.0.1:5060".parse().unwrap(),
            flow: None,
        },
        leg: engine::LegId(7),
        party: "caller".into(),
        inbound_leg: true,
        again: true,
        bytes: "BYE sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 BYE\r\nAuthorization: Digest secret\r\n\r\n".into(),
    };
    let given = message.clone();
    let engine = world.answer(move |_| Ok(Answer::Ladder(vec![given.clone()])));
    let ladder = caller.get("/api/v1/contacts/n1-1-1/ladder").json();
    let line = &ladder["messages"][0];
    let brief = [
        &line["direction"],
        &line["transport"],
        &line["peer"],
        &line["party"],
        &line["method"],
        &line["summary"],
    ];
    assert_eq!(
        json!(brief),
        json!([
            "in",
            "udp",
            "10.0.0.1:5060",
            "caller",
            "BYE",
            "BYE sip:h SIP/2.0 (again)"
        ])
    );
    assert_eq!(
        (&line["leg"], &line["retransmission"], &line["raw"]),
        (&json!(7), &json!(true), &json!(null))
    );
    engine.join().unwrap();
    let engine = world.answer(move |_| Ok(Answer::Ladder(vec![message.clone()])));
    let ladder = caller.get("/api/v1/contacts/n1-1-1/ladder?raw=true").json();
    let raw = ladder["messages"][0]["raw"].as_str().unwrap();
    assert!(
        raw.contains("CSeq: 1 BYE") && !raw.contains("secret"),
        "{raw}"
    );
    engine.join().unwrap();
    let engine = world.answer(|command| {
        assert_eq!(
            command,
            Command::Hangup {
                by: "1900".into(),
                contact: contact(1)
            }
        );
        Ok(Answer::Done)
    });
    assert_eq!(
        caller
            .send("POST", "/api/v1/contacts/n1-1-1/hangup", None)
            .status,
        204
    );
    engine.join().unwrap();
}

#[test]
fn a_telephone_is_answered_from_the_desk_where_it_can_be() {
    let mut world = World::new();
    world.arrives(now(), 1, "+8613800138000", "support");
    world.offered(now(), 1, "+8613800138000", "support", "1001");
    let caller = Caller::signed_in(&world, "1001");
    let path = "/api/v1/contacts/n1-1-1/answer";
    let engine = world.answer(|command| {
        let (by, contact) = ("1001".into(), contact(1));
        let verb = engine::Verb::Answer;
        assert_eq!(command, Command::Contact { by, contact, verb });
        Ok(Answer::Done)
    });
    assert_eq!(caller.send("POST", path, None).status, 202);
    engine.join().unwrap();
    let why = "the telephone has not said that it can be told to answer";
    let engine = world.answer(move |_| Err(Refusal::Conflict(why.into())));
    let refused = caller.send("POST", path, None);
    assert_eq!(
        (refused.status, refused.json()["detail"].clone()),
        (409, json!(why))
    );
    engine.join().unwrap();
    let other = Caller::signed_in(&world, "1002");
    assert_eq!(other.send("POST", path, None).status, 404);
}

#[test]
fn numbers_events_and_health() {
    let mut world = World::new();
    world.queue(now(), "support");
    world.agent(
        now(),
        "1001",
        AgentState::Ready,
        AgentState::LoggedOut,
        0,
        None,
    );
    world.arrives(now(), 1, "+8613800138000", "support");
    world.answered(now(), 1, "support", "1001", 7_000);
    world.closed(now(), 1, Outcome::Answered, "support", Some("1001"));
    let caller = Caller::signed_in(&world, "1900");
    let queue = caller.get("/api/v1/queues/support").json();
    assert_eq!(
        (
            queue["today"]["answered"].clone(),
            queue["kpi"]["asa@1"].clone(),
            queue["kpi"]["aht@1"].clone()
        ),
        (json!(1), json!(7.0), json!(0.0))
    );
    // The interval of now may have begun before the default start of the span only at midnight.
    let kpi = caller
        .get("/api/v1/kpi?by=queue&definition=asa@1,sl_all@1")
        .json();
    assert_eq!(
        kpi["rows"][0]["values"],
        json!({"asa@1": 7.0, "sl_all@1": 1.0})
    );
    let past = caller
        .get("/api/v1/kpi?from=2026-01-01&to=2026-01-02&definition=asa@1")
        .json();
    assert_eq!(
        (past["from"].clone(), past["rows"][0]["values"].clone()),
        (json!("2025-12-31T16:00:00.000Z"), json!({"asa@1": null}))
    );
    assert_eq!(
        caller.get("/api/v1/kpi?by=agent").json()["rows"][0]["key"],
        "1001"
    );
    assert_eq!(
        caller.get("/api/v1/kpi?by=centre").json()["rows"][0]["values"]["self_service@1"],
        0.0
    );

    let events = caller.get("/api/v1/events?after=2&limit=3");
    assert_eq!(events.kind, "application/x-ndjson");
    let lines: Vec<Value> = events
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines
            .iter()
            .map(|line| line["sequence"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [3, 4, 5]
    );
    assert_eq!(
        (lines[0]["type"].clone(), lines[0]["data"]["ani"].clone()),
        (json!("contact.arrived"), json!("+8613800138000"))
    );
    assert_eq!(
        Caller::signed_in(&world, "1001")
            .get("/api/v1/events")
            .status,
        403
    );

    let anybody = Caller::new(&world);
    assert_eq!(anybody.get("/healthz").status, 200);
    assert_eq!(anybody.get("/readyz").json()["sequence"], world.sequence);
    world
        .troubles
        .lock()
        .unwrap()
        .push("the log cannot be written: No space left on device".into());
    let loud = anybody.get("/readyz");
    assert_eq!(loud.status, 503);
    assert!(loud.body.contains("No space left"));
    let metrics = anybody.get("/metrics").body;
    assert!(
        metrics.contains("cordboard_queue_answered_total{queue=\"support\",channel=\"voice\"} 1")
    );
    assert!(metrics.contains("process_resident_memory_bytes"));
    assert!(metrics.contains("cordboard_rtp_packets_total{direction=\"in\"} 7"));
    assert_eq!(
        caller.get("/api/v1/config/effective").json()["http"]["port"],
        8080
    );
    assert_eq!(
        caller.send("POST", "/api/v1/config/reload", None).status,
        403
    );
    // The answer waits until the engine has done it.
    let engine = world.answer(|command| {
        assert!(matches!(command, Command::Why { .. }), "{command:?}");
        Err(Refusal::NotFound("no such contact".into()))
    });
    let reloaded = Caller::signed_in(&world, "admin")
        .send("POST", "/api/v1/config/reload", None)
        .json();
    engine.join().unwrap();
    assert_eq!(reloaded["changes"][0], "queue support: ring 20s → 25s");
}

#[test]
fn a_restart_keeps_numbers_and_sign_ins() {
    let dir = tempfile::tempdir().unwrap();
    let (token, before) = {
        let mut world = World::at(dir.path(), "127.0.0.1:0");
        world.queue(now(), "support");
        world.arrives(now(), 1, "+8613800138000", "support");
        world.abandoned(now(), 1, "support", 3_000);
        world.closed(now(), 1, Outcome::AbandonedInQueue, "support", None);
        let caller = Caller::signed_in(&world, "1900");
        (
            caller.token.clone(),
            caller.get("/api/v1/queues/support").body,
        )
    };
    let world = World::at(dir.path(), "127.0.0.1:0");
    let mut caller = Caller::new(&world);
    caller.token = token;
    assert_eq!(caller.get("/api/v1/queues/support").body, before);
    assert_eq!(
        caller.get("/api/v1/contacts/n1-1-1").json()["outcome"],
        "abandoned_in_queue"
    );
}

#[test]
fn every_route_is_documented() {
    let document: Value = serde_json::from_str(web::openapi()).unwrap();
    assert_eq!(
        document["openapi"]
            .as_str()
            .unwrap()
            .split('.')
            .take(2)
            .collect::<Vec<_>>(),
        ["3", "1"]
    );
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "session",
        "queues",
        "queues/{name}",
        "agents",
        "agents/{id}",
        "agents/{id}/state",
        "agents/{id}/why-idle",
        "agents/{id}/extend-wrap-up",
        "contacts",
        "contacts/{id}",
        "contacts/{id}/why",
        "contacts/{id}/ladder",
        "contacts/{id}/hangup",
        "customers",
        "customers/{id}",
        "events",
        "stream",
        "kpi",
        "config/effective",
        "config/reload",
    ] {
        assert!(paths.contains_key(&format!("/api/v1/{path}")), "{path}");
    }
    let mut ids = std::collections::BTreeSet::new();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{method} {path}: operationId is not unique");
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert_ne!(
                    response["description"], "",
                    "{method} {path} {status}: no description"
                );
                let problem = response["content"]["application/json"]["schema"]["$ref"]
                    == "#/components/schemas/Problem";
                assert!(!problem, "{method} {path} {status}: problem+json");
                let content = response.get("content");
                assert!(
                    content.is_none_or(Value::is_object),
                    "{method} {path} {status}: {content:?}"
                );
            }
        }
    }
    let world = World::new();
    assert_eq!(
        Caller::new(&world).get("/api/v1/openapi.json").json(),
        document
    );
    for page in ["/", "/desk", "/wallboard"] {
        let got = Caller::new(&world).get(page);
        assert_eq!(
            (got.status, got.kind.as_str()),
            (200, "text/html; charset=utf-8"),
            "{page}"
        );
    }
}

#[test]
fn a_reload_ends_the_sessions_of_who_is_gone_or_has_another_password() {
    let world = World::new();
    let [gone, changed, stays] =
        ["1001", "1002", "1900"].map(|user| Caller::signed_in(&world, user));
    let mut accounts = common::accounts();
    accounts.0.remove("1001");
    if let Some(account) = accounts.0.get_mut("1002") {
        account.password = web::Password::Demo("another".into());
    }
    if let Some(account) = accounts.0.get_mut("1900") {
        account.role = web::Role::Agent;
    }
    world.app.configure(accounts, metrics::Labels::default());
    assert_eq!(gone.get("/api/v1/session").status, 401);
    assert_eq!(changed.get("/api/v1/session").status, 401);
    let who = stays.get("/api/v1/session");
    assert_eq!((who.status, &who.json()["role"]), (200, &json!("agent")));
}
