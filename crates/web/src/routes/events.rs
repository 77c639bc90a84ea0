//! The log as NDJSON.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::auth::Who;
use crate::cloud::cloud_event;
use crate::problem::{Problem, Query, blocking};
use crate::stream::event;

/// Most events of one answer.
const LIMIT_MAX: usize = 10_000;
const LIMIT: usize = 1_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Sequence of the last event seen; 0 and the default: from the beginning.
    #[serde(default)]
    after: u64,
    /// At most 10000.
    limit: Option<usize>,
}

/// Events on disk after a sequence, one CloudEvent a line (supervisors). Fewer than `limit` lines: that was all.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Wanted), responses((status = 200, content_type = "application/x-ndjson", body = String), (status = "4XX", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    who: Who,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    who.must_oversee()?;
    let (log, node) = (app.log.clone(), app.node.clone());
    let limit = wanted.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let text = blocking(move || {
        let mut text = String::new();
        for record in log.read(wanted.after, limit)? {
            if let Some(event) = event(&record) {
                text.push_str(&cloud_event(&event, &node));
                text.push('\n');
            }
        }
        Ok::<_, store::StoreError>(text)
    });
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        text.await?,
    )
        .into_response())
}
