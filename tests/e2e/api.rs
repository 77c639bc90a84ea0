//! The outside API as a client sees it.

use std::net::TcpStream;

use serde_json::Value;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::centre::{Centre, wait_for};

/// A signed-in client.
pub struct Client {
    base: String,
    token: String,
    agent: ureq::Agent,
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into()
}

/// A GET without a token: status and text.
pub fn get_text(centre: &Centre, path: &str) -> (u16, String) {
    let mut response = agent()
        .get(format!("{}{path}", centre.http()))
        .call()
        .expect("an answer");
    let status = response.status().as_u16();
    (
        status,
        response.body_mut().read_to_string().expect("a body"),
    )
}

impl Client {
    /// Signs in.
    pub fn sign_in(centre: &Centre, user: &str, password: &str) -> Client {
        let agent = agent();
        let mut response = agent
            .post(format!("{}/api/v1/session", centre.http()))
            .send_json(serde_json::json!({"user": user, "password": password}))
            .expect("an answer");
        let body: Value = response.body_mut().read_json().expect("JSON");
        assert!(
            response.status().is_success(),
            "sign-in as {user}: {} {body}",
            response.status()
        );
        Client {
            base: centre.http(),
            token: body["token"].as_str().expect("a token").to_owned(),
            agent,
        }
    }

    /// Signs in as the test centres' supervisor.
    pub fn sign_in_any(centre: &Centre) -> Client {
        Client::sign_in(centre, "1900", "demo-1900")
    }

    /// Puts one customer into the store.
    pub fn import_customer(&self, phone: &str, name: &str, class: &str) {
        let mut response = self
            .agent
            .post(format!("{}/api/v1/customers", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .send_json(serde_json::json!({"id": "C1", "name": name, "class": class, "phones": [phone], "tags": ["vip"]}))
            .expect("an answer");
        let body = response.body_mut().read_to_string().unwrap_or_default();
        assert!(
            response.status().is_success(),
            "{}: {body}",
            response.status()
        );
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        let mut response = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .call()
            .expect("an answer");
        (
            response.status().as_u16(),
            response.body_mut().read_json().unwrap_or(Value::Null),
        )
    }

    pub fn put(&self, path: &str, body: Value) -> (u16, Value) {
        let mut response = self
            .agent
            .put(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .send_json(body)
            .expect("an answer");
        (
            response.status().as_u16(),
            response.body_mut().read_json().unwrap_or(Value::Null),
        )
    }

    /// Any request: status, content type, and the body as text.
    pub fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String, String) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token));
        let sent = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                self.agent
                    .run(request.body(body.to_string()).expect("a request"))
            }
            // Without a length of nought the body would have none, and the connection could not be used again.
            None if matches!(method, "POST" | "PUT" | "PATCH") => {
                self.agent.run(request.body("").expect("a request"))
            }
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let mut response = sent.expect("an answer");
        let kind = response.headers().get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let (status, kind) = (response.status().as_u16(), kind.to_owned());
        let body = response.body_mut().read_to_string().unwrap_or_default();
        (status, kind, body)
    }

    /// [`Client::send`] where the body is JSON, or nothing.
    pub fn json(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, _, body) = self.send(method, path, body);
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// A client with another's token, for example over a restart.
    pub fn with_token(centre: &Centre, token: &str) -> Client {
        Client {
            base: centre.http(),
            token: token.to_owned(),
            agent: agent(),
        }
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Value> {
        let mut response = self
            .agent
            .get(format!("{}/api/v1/events?after=0&limit=10000", self.base))
            .header("Authorization", format!("Bearer {}", self.token))
            .call()
            .expect("an answer");
        let text = response.body_mut().read_to_string().expect("NDJSON");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect()
    }

    /// Waits for an event of this type for which `wanted` holds.
    pub fn wait_event(&self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("event {kind}"), || {
            self.events()
                .into_iter()
                .find(|event| event["type"] == kind && wanted(event))
        })
    }

    /// Waits until an agent is in a state.
    pub fn wait_agent(&self, agent: &str, state: &str) -> Value {
        wait_for(&format!("agent {agent} to be {state}"), || {
            let (status, body) = self.get(&format!("/api/v1/agents/{agent}"));
            (status == 200 && body["state"] == state).then_some(body)
        })
    }

    /// The live stream.
    pub fn stream(&self, query: &str) -> Stream {
        let url = format!(
            "{}/api/v1/stream?token={}{query}",
            self.base.replace("http://", "ws://"),
            self.token
        );
        let (socket, _) = tungstenite::connect(url).expect("the stream opens");
        Stream { socket }
    }
}

/// A WebSocket on the stream.
pub struct Stream {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Stream {
    /// The next message.
    pub fn next(&mut self) -> Value {
        loop {
            match self.socket.read().expect("the stream stays open") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(frame) => panic!("the stream was closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The next event of a type.
    pub fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next();
            if message["type"] == kind {
                return message;
            }
        }
    }
}
