//! The agents' desks: each signs in with their own password when they first need to, and says through the HTTP API that they are ready
//! or have a break.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use server::config::credential::demo_password;

/// Wishes that may wait; those beyond are dropped, and [`Wish::Return`] comes again.
const WAITING_MAX: usize = 256;
/// The longest that one request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// What an agent wants of their desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Ready, if they are not: after a ring in vain, a pause, or for no known reason.
    Return,
    /// A pause.
    Pause,
}

/// A way to the desks; never waits.
pub struct Desk(SyncSender<(String, Wish)>);

impl Desk {
    /// Starts the thread; it ends with this value.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open(http: SocketAddr) -> std::io::Result<Desk> {
        let (tell, told) = sync_channel(WAITING_MAX);
        let mut desks = Desks {
            base: format!("http://{http}/api/v1"),
            http: ureq::Agent::config_builder()
                .timeout_global(Some(REQUEST))
                .http_status_as_error(false)
                .build()
                .into(),
            tokens: BTreeMap::new(),
        };
        std::thread::Builder::new()
            .name("traffic-desks".to_owned())
            .spawn(move || desks.run(&told))?;
        Ok(Desk(tell))
    }

    /// Asks for something; forgotten when too much is asked for already.
    pub fn wish(&self, agent: &str, wish: Wish) {
        let _ = self.0.try_send((agent.to_owned(), wish));
    }
}

struct Desks {
    base: String,
    http: ureq::Agent,
    /// Of sessions, by agent.
    tokens: BTreeMap<String, String>,
}

impl Desks {
    fn run(&mut self, told: &Receiver<(String, Wish)>) {
        while let Ok((agent, wish)) = told.recv() {
            if let Err(error) = self.grant(&agent, wish) {
                // The session may have ended: the next wish signs in again.
                self.tokens.remove(&agent);
                tracing::debug!(agent, ?wish, "the desk: {error:#}");
            }
        }
    }

    fn grant(&mut self, agent: &str, wish: Wish) -> anyhow::Result<()> {
        let token = match self.tokens.get(agent) {
            Some(token) => token.clone(),
            None => self.sign_in(agent)?,
        };
        let bearer = format!("Bearer {token}");
        let url = format!("{}/agents/{agent}", self.base);
        let state = match wish {
            Wish::Pause => json!({"state": "not_ready", "reason": "break"}),
            Wish::Return => {
                let answer = self.http.get(&url).header("Authorization", &bearer).call();
                let state = body(answer)?["state"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                if state != "not_ready" && state != "logged_out" {
                    return Ok(());
                }
                json!({"state": "ready"})
            }
        };
        let url = format!("{url}/state");
        body(
            self.http
                .put(&url)
                .header("Authorization", &bearer)
                .send_json(state),
        )?;
        Ok(())
    }

    fn sign_in(&mut self, agent: &str) -> anyhow::Result<String> {
        let url = format!("{}/session", self.base);
        let who = json!({"user": agent, "password": demo_password(agent)});
        let session = body(self.http.post(&url).send_json(who))?;
        let token = session["token"].as_str().context("no token")?.to_owned();
        self.tokens.insert(agent.to_owned(), token.clone());
        Ok(token)
    }
}

fn body(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Value> {
    let mut answer = answer?;
    let status = answer.status();
    anyhow::ensure!(status.is_success(), "{status}");
    Ok(answer.body_mut().read_json().unwrap_or(Value::Null))
}
