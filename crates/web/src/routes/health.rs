//! For Prometheus and whoever watches the process: no token on loopback, a configured one elsewhere.

use std::sync::PoisonError;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::core::Collector;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::{Peer, token_of};
use crate::problem::{Problem, blocking};

/// The process runs.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub async fn healthz(
    State(app): State<App>,
    Peer(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    may(&app, peer, &headers).await?;
    Ok(Json(
        json!({ "status": "ok", "node": &*app.node, "version": &*app.version }),
    ))
}

/// Ready for calls; 503 with everything that is wrong: the store's trouble first.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, body = Object), (status = 503, body = Problem), (status = "4XX", body = Problem)))]
pub async fn readyz(
    State(app): State<App>,
    Peer(peer): Peer,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    may(&app, peer, &headers).await?;
    let asked = app.clone();
    let troubles = blocking(move || Ok::<_, Problem>((asked.hooks.troubles)())).await?;
    if troubles.is_empty() {
        let sequence = app.hub.read(|state| state.board.sequence());
        Ok(Json(json!({ "status": "ready", "sequence": sequence })))
    } else {
        Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            troubles.join("\n"),
        ))
    }
}

/// Every number for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", security(()), responses((status = 200, content_type = "text/plain", body = String), (status = "4XX", body = Problem)))]
pub async fn metrics(
    State(app): State<App>,
    Peer(peer): Peer,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    may(&app, peer, &headers).await?;
    let text = blocking(move || {
        let mut counters = app
            .counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        (app.hooks.measure)(&mut counters);
        counters.websocket_clients = app.hub.clients() as u64;
        counters.websocket_slow_closed = app.hub.slow_closed();
        let process = prometheus::process_collector::ProcessCollector::for_self().collect();
        let (now, exposition) = (app.now(), app.exposition());
        let text = app.hub.read(|state| {
            counters.events_sequence = state.board.sequence();
            exposition.text(&state.fold, &counters, now, process)
        });
        Ok::<_, Problem>(text)
    });
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text.await?,
    )
        .into_response())
}

async fn may(app: &App, peer: std::net::IpAddr, headers: &HeaderMap) -> Result<(), Problem> {
    if peer.is_loopback() {
        return Ok(());
    }
    let (token, _) = token_of(headers).ok_or_else(Problem::unauthorized)?;
    if app
        .metrics_token
        .as_deref()
        .is_some_and(|known| crate::auth::same(known, &token))
    {
        return Ok(());
    }
    app.who(token).await?.must_oversee()
}
