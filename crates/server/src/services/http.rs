//! One HTTP request with JSON in and out.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::clock::Time;
use anyhow::{Context as _, anyhow};
use axum::http;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ivr::{Answer, Header, HttpRequest, Value};

use super::cache::Cache;
use super::sign;

/// Longest body that is read: a flow wants a few fields.
const BODY_MAX: usize = 64 * 1024;
/// Connections kept to one host without work.
const IDLE_MAX: usize = 16;
const IDLE_FOR: Duration = Duration::from_secs(60);
/// The caller waits: an address that does not answer in this time is taken as dead, whatever patience is left.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Keeps connections between requests. Redirects are not followed: a service is where the flow says.
pub(super) struct Client {
    plain: Pool<HttpConnector, Full<Bytes>>,
    /// Made with the first https: reading the system's roots takes memory that most centres need not spend.
    tls: OnceLock<Pool<HttpsConnector<HttpConnector>, Full<Bytes>>>,
    cache: Cache,
}

impl Client {
    pub(super) fn new() -> Client {
        Client {
            plain: builder().build(connector()),
            tls: OnceLock::new(),
            cache: Cache::default(),
        }
    }

    /// `id` names what is sent more than once.
    pub(super) async fn ask(
        &self,
        asked: HttpRequest,
        now: Time,
        id: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let cache = asked.cache;
        let key = cache.map(|_| key(&asked));
        if let Some(known) = key
            .as_ref()
            .and_then(|key| self.cache.get(key, Instant::now()))
        {
            return Ok(known);
        }
        let request = request(asked, now, id)?;
        let response = if request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            self.tls.get_or_init(tls).request(request).await
        } else {
            self.plain.request(request).await
        };
        let response = response.map_err(|error| {
            // The pool's own words say little; their cause says which.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            anyhow!("{error}: {}", cause.unwrap_or_default())
        })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_MAX);
        let body = body
            .collect()
            .await
            .map_err(|error| anyhow!("its body: {error}"))?;
        let answer = Answer::Reply {
            status,
            body: json(status, &body.to_bytes())?,
        };
        if let (Some(key), Some(time), 200..=299) = (key, cache, status) {
            let now = Instant::now();
            self.cache.put(key, now + time, answer.clone(), now);
        }
        Ok(answer)
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Pool::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_FOR);
    builder
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    connector
}

fn tls() -> Pool<HttpsConnector<HttpConnector>, Full<Bytes>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector());
    builder().build(connector)
}

/// What makes two questions the same. Secrets are the service's, not the caller's, and have no part in it.
fn key(asked: &HttpRequest) -> String {
    let mut key = format!("{} {}{}", asked.method, asked.base, asked.path);
    for (name, value) in &asked.headers {
        if let Header::Text(text) = value {
            key.push_str(&format!("\n{name}: {text}"));
        }
    }
    key
}

fn request(
    asked: HttpRequest,
    now: Time,
    id: Option<&str>,
) -> anyhow::Result<http::Request<Full<Bytes>>> {
    let base = asked
        .base_from
        .as_deref()
        .and_then(|name| std::env::var(name).ok());
    let base = base
        .as_deref()
        .unwrap_or(&asked.base)
        .trim_end_matches('/')
        .to_owned();
    let mut request = http::Request::builder()
        .method(asked.method)
        .uri(format!("{base}{}", asked.path))
        .header(http::header::ACCEPT, "application/json")
        .header(
            http::header::USER_AGENT,
            concat!("cordboard/", env!("CARGO_PKG_VERSION")),
        );
    for (name, value) in asked.headers {
        let value = match value {
            Header::Text(text) => http::HeaderValue::from_str(&text),
            Header::Secret { before, variable } => {
                let secret = secret(&variable)?;
                http::HeaderValue::from_str(&format!("{before}{secret}")).map(|mut value| {
                    value.set_sensitive(true);
                    value
                })
            }
        };
        request = request.header(&*name, value.with_context(|| format!("header {name}"))?);
    }
    let body = match asked.body {
        Some(body) => {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
            Bytes::from(serde_json::to_vec(&body)?)
        }
        None => Bytes::new(),
    };
    if let Some(variable) = &asked.signed_by {
        for (name, value) in sign::headers(&secret(variable)?, id, now, &body)? {
            request = request.header(name, value);
        }
    }
    Ok(request.body(Full::new(body))?)
}

fn secret(variable: &str) -> anyhow::Result<String> {
    std::env::var(variable).with_context(|| format!("the environment has no {variable}"))
}

/// A body of a good answer must be JSON, or nothing; what an error says of itself does not matter.
fn json(status: u16, body: &[u8]) -> anyhow::Result<Value> {
    if body.is_empty() || !(200..=299).contains(&status) {
        return Ok(Value::Nothing);
    }
    serde_json::from_slice(body).context("its body is no JSON")
}
