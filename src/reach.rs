//! How a command reaches what it asks for: a running engine over HTTP, or the data directory of one that is stopped.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;
use server::config::{Compiled, Origin, load, render};
use server::control;

use crate::ConfigArgs;

/// Where `--user` and `--token` alone lead.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";
/// Longest wait for one answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Which engine, as whom; or whose data.
#[derive(Args)]
pub struct Reach {
    /// The data directory, instead of the configuration's. The engine that has it is asked; when none runs, its files are read.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    /// An engine elsewhere, as --user or with --token [default with these: http://127.0.0.1:8080].
    #[arg(long, value_name = "URL", env = "CORDBOARD_URL")]
    url: Option<String>,
    /// A token of POST /api/v1/session.
    #[arg(long, env = "CORDBOARD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Sign in as this user; the password is CORDBOARD_PASSWORD in the environment.
    #[arg(long)]
    user: Option<String>,
}

/// What was reached.
pub enum Reached {
    Engine(Client),
    /// No engine runs on it.
    Data {
        dir: PathBuf,
        compiled: Box<Compiled>,
    },
}

impl Reach {
    /// Finds the engine or the data.
    pub fn resolve(self) -> anyhow::Result<Reached> {
        if self.url.is_some() || self.token.is_some() || self.user.is_some() {
            let url = self.url.unwrap_or_else(|| DEFAULT_URL.to_owned());
            return Client::new(&url, self.token, self.user.as_deref()).map(Reached::Engine);
        }
        let nothing_said = self.data_dir.is_none() && self.config.says_nothing();
        let (origin, overrides) = self.config.resolve();
        let compiled = compiled(&origin, &overrides)?;
        let dir = self
            .data_dir
            .unwrap_or_else(|| compiled.settings.data_dir.clone());
        if let Some(found) = control::reach(&dir) {
            return Client::new(&found.url, Some(found.token), None).map(Reached::Engine);
        }
        if nothing_said && let Some(demo) = control::demo() {
            eprintln!("the demo at {} (process {})", demo.url, demo.pid);
            return Client::new(&demo.url, Some(demo.token), None).map(Reached::Engine);
        }
        Ok(Reached::Data {
            dir,
            compiled: Box::new(compiled),
        })
    }
}

impl Reach {
    /// The data directory itself, whoever has it: its log may be read while it is written.
    pub fn data(self) -> anyhow::Result<(PathBuf, Compiled)> {
        if self.url.is_some() {
            bail!("this is read from the log: give --data-dir on the engine's own machine");
        }
        let (origin, overrides) = self.config.resolve();
        let compiled = compiled(&origin, &overrides)?;
        let dir = self.data_dir;
        let dir = dir.unwrap_or_else(|| compiled.settings.data_dir.clone());
        Ok((dir, compiled))
    }
}

/// The configuration, or its faults on stderr.
pub fn compiled(
    origin: &Origin,
    overrides: &[server::config::Override],
) -> anyhow::Result<Compiled> {
    let loaded = load(origin, overrides);
    let errors = loaded.errors();
    let Some(compiled) = loaded.compiled else {
        loaded
            .diagnostics
            .iter()
            .for_each(|diagnostic| eprintln!("{}", render(diagnostic, None)));
        bail!("the configuration has {}", counted(errors, "error"));
    };
    Ok(compiled)
}

/// `1 error`, `2 errors`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A signed-in client of an engine.
pub struct Client {
    url: String,
    token: String,
    agent: ureq::Agent,
}

impl Client {
    fn new(url: &str, token: Option<String>, user: Option<&str>) -> anyhow::Result<Client> {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build()
            .into();
        let mut client = Client {
            url: url.trim_end_matches('/').to_owned(),
            token: String::new(),
            agent,
        };
        client.token = match (token, user) {
            (Some(token), _) => token,
            (None, Some(user)) => client.sign_in(user)?,
            (None, None) => bail!(
                "who asks? give --token (CORDBOARD_TOKEN), or --user with CORDBOARD_PASSWORD; on the engine's own machine, leave --url out"
            ),
        };
        Ok(client)
    }

    fn sign_in(&self, user: &str) -> anyhow::Result<String> {
        let password =
            std::env::var("CORDBOARD_PASSWORD").context("CORDBOARD_PASSWORD is not set")?;
        let sent = self
            .agent
            .post(format!("{}/api/v1/session", self.url))
            .send_json(serde_json::json!({"user": user, "password": password}));
        let body = self.answer("sign-in", sent)?;
        body["token"]
            .as_str()
            .map(str::to_owned)
            .context("the engine gave no token")
    }

    /// A GET.
    pub fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let request = self.agent.get(format!("{}{path}", self.url));
        self.answer(path, self.known(request, query).call())
    }

    /// A PUT of JSON.
    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.agent.put(format!("{}{path}", self.url));
        self.answer(path, self.known(request, &[]).send_json(body))
    }

    /// A DELETE.
    pub fn delete(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        let request = self.agent.delete(format!("{}{path}", self.url));
        self.answer(path, self.known(request, query).call())
    }

    fn known<B>(
        &self,
        request: ureq::RequestBuilder<B>,
        query: &[(&str, String)],
    ) -> ureq::RequestBuilder<B> {
        let mut request = request.header("authorization", format!("Bearer {}", self.token));
        for (key, value) in query {
            request = request.query(key, value);
        }
        request
    }

    fn answer(
        &self,
        what: &str,
        sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<Value> {
        let mut response = sent.with_context(|| format!("no engine answers at {}", self.url))?;
        let status = response.status();
        let text = response.body_mut().read_to_string().unwrap_or_default();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let told = body["detail"].as_str().or(body["title"].as_str());
        bail!("{what}: {status}: {}", told.unwrap_or("no reason given"))
    }
}
