//! What supervisors do with a talk by their telephone: listen, whisper, barge in, take over.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::{Command, ContactId, Oversight, Verb};
use serde::Deserialize;
use utoipa::IntoParams;

use super::contacts::find;
use crate::app::App;
use crate::auth::Who;
use crate::problem::{Problem, Query};

/// Longest extension.
const PHONE_MAX: usize = 64;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct By {
    /// The extension whose telephone is called, unless it is that of whoever asks.
    phone: Option<String>,
}

async fn oversee(
    app: App,
    who: Who,
    id: &str,
    by: By,
    how: Oversight,
) -> Result<StatusCode, Problem> {
    who.must_oversee()?;
    find(&app, &who, id).await?;
    let phone = by.phone.filter(|phone| !phone.is_empty());
    if phone.as_ref().is_some_and(|phone| phone.len() > PHONE_MAX) {
        let detail = format!("`phone` has at most {PHONE_MAX} bytes");
        return Err(Problem::unprocessable(detail));
    }
    let phone = phone.map(Into::into);
    let command = Command::Contact {
        by: who.user,
        contact: ContactId(id.into()),
        verb: Verb::Oversee { how, phone },
    };
    app.gateway.ask(command).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Hear the talk, and be heard by nobody: the supervisor's telephone is called, and told that it may only receive. On a telephone that
/// supervises the contact already, another of these verbs changes how. `audit` events say who supervises what.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/listen", tag = "contacts", params(("id" = String, Path), By), responses((status = 202), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn listen(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Query(by): Query<By>,
) -> Result<StatusCode, Problem> {
    oversee(app, who, &id, by, Oversight::Listen).await
}

/// Hear the talk, and be heard by its agent alone.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/whisper", tag = "contacts", params(("id" = String, Path), By), responses((status = 202), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn whisper(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Query(by): Query<By>,
) -> Result<StatusCode, Problem> {
    oversee(app, who, &id, by, Oversight::Whisper).await
}

/// Hear the talk, and be heard by all.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/barge", tag = "contacts", params(("id" = String, Path), By), responses((status = 202), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn barge(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Query(by): Query<By>,
) -> Result<StatusCode, Problem> {
    oversee(app, who, &id, by, Oversight::Barge).await
}

/// Take the agent's place: the agent goes to wrap-up, the contact goes on as one. `contact.transferred` with kind `take_over` says that it is done.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/take-over", tag = "contacts", operation_id = "take_over", params(("id" = String, Path), By), responses((status = 202), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn take_over(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Query(by): Query<By>,
) -> Result<StatusCode, Problem> {
    oversee(app, who, &id, by, Oversight::TakeOver).await
}
