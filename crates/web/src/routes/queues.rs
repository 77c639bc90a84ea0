//! Queues now and today.

use axum::Json;
use axum::extract::{Path, State};

use super::List;
use crate::app::App;
use crate::auth::Who;
use crate::problem::Problem;
use crate::view::{self, QueueView};

/// Every queue, by name.
#[utoipa::path(get, path = "/api/v1/queues", tag = "queues", responses((status = 200, body = List<QueueView>), (status = "4XX", body = Problem)))]
pub async fn list(State(app): State<App>, _: Who) -> Json<List<QueueView>> {
    let now = app.now();
    let items = app.hub.read(|state| {
        state
            .fold
            .queues()
            .filter_map(|name| view::queue(&state.fold, name, now))
            .collect()
    });
    Json(List { items, next: None })
}

/// One queue.
#[utoipa::path(get, path = "/api/v1/queues/{name}", tag = "queues", params(("name" = String, Path)), responses((status = 200, body = QueueView), (status = "4XX", body = Problem)))]
pub async fn one(
    State(app): State<App>,
    _: Who,
    Path(name): Path<String>,
) -> Result<Json<QueueView>, Problem> {
    let now = app.now();
    let queue = app.hub.read(|state| view::queue(&state.fold, &name, now));
    queue
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no queue {name}")))
}
