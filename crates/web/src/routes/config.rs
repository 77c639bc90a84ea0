//! The configuration, as far as it goes through HTTP.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::Who;
use crate::problem::{Problem, blocking};

/// What a reload changed.
#[derive(Serialize, ToSchema)]
pub struct Applied {
    changes: Vec<String>,
}

/// The configuration in force, without secrets (supervisors).
#[utoipa::path(get, path = "/api/v1/config/effective", tag = "config", responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub async fn effective(State(app): State<App>, who: Who) -> Result<Json<Value>, Problem> {
    who.must_oversee()?;
    blocking(move || Ok::<_, Problem>((app.hooks.effective)()))
        .await
        .map(Json)
}

/// Read the files again and apply the difference in one step (administrators): in force and on disk when answered; a wrong file changes nothing and gives 422 with every error.
#[utoipa::path(post, path = "/api/v1/config/reload", tag = "config", responses((status = 200, body = Applied), (status = 422, body = Problem), (status = "4XX", body = Problem)))]
pub async fn reload(State(app): State<App>, who: Who) -> Result<Json<Applied>, Problem> {
    who.must_administer()?;
    let asked = app.clone();
    let changes = blocking(move || {
        (asked.hooks.reload)(&who.user).map_err(|errors| Problem::unprocessable(errors.join("\n")))
    })
    .await?;
    app.gateway.settled().await?;
    Ok(Json(Applied { changes }))
}
