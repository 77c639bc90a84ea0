//! Trunks now: who is up, registered, and how busy.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use axum::Json;
use axum::extract::State;
use metrics::counters::TrunkCounters;
use serde::Serialize;
use utoipa::ToSchema;

use super::List;
use crate::app::App;
use crate::auth::Who;
use crate::problem::Problem;

/// A trunk as it stands.
#[derive(Serialize, ToSchema)]
pub struct TrunkView {
    pub name: String,
    /// Calls are sent there before others.
    pub up: bool,
    /// Null where we don't register.
    pub registered: Option<bool>,
    /// In progress, both directions.
    pub calls: usize,
    /// Since the process began.
    pub calls_in: u64,
    pub calls_out: u64,
    /// Refused by the trunk's caps, by reason (`full`, `rate`).
    pub refused: BTreeMap<&'static str, u64>,
}

impl TrunkView {
    fn of(name: &str, counters: &TrunkCounters) -> TrunkView {
        let state = counters.state.as_ref();
        TrunkView {
            name: name.to_owned(),
            up: state.is_none_or(|state| state.up),
            registered: state.and_then(|state| state.registered),
            calls: state.map_or(0, |state| state.calls),
            calls_in: counters.calls[0],
            calls_out: counters.calls[1],
            refused: counters.refused.clone(),
        }
    }
}

/// Every trunk that has been configured since the process began, by name.
#[utoipa::path(get, path = "/api/v1/trunks", tag = "trunks", responses((status = 200, body = List<TrunkView>), (status = "4XX", body = Problem)))]
pub async fn list(State(app): State<App>, _: Who) -> Json<List<TrunkView>> {
    let counters = app.counters.lock().unwrap_or_else(PoisonError::into_inner);
    let trunks = counters.trunks.iter();
    let items = trunks
        .map(|(name, trunk)| TrunkView::of(name, trunk))
        .collect();
    Json(List { items, next: None })
}
