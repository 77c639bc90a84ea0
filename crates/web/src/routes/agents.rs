//! Agents now and today, and their state.

use axum::Json;
use axum::extract::{Path, State};
use engine::Command;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::List;
use crate::app::App;
use crate::auth::Who;
use crate::problem::{Body, Problem, Query};
use crate::view::{self, AgentView};

/// Longest reason.
const REASON_MAX: usize = 64;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    cursor: Option<String>,
    /// At most 500.
    limit: Option<usize>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    Ready,
    NotReady,
    LoggedOut,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateWish {
    state: Wish,
    /// For `not_ready`; `other` unless given.
    reason: Option<String>,
}

/// Agents by id: all for whoever oversees, themselves for agents.
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", params(Page), responses((status = 200, body = List<AgentView>), (status = "4XX", body = Problem)))]
pub async fn list(
    State(app): State<App>,
    who: Who,
    Query(page): Query<Page>,
) -> Result<Json<List<AgentView>>, Problem> {
    let (now, accounts, limit) = (app.now(), app.accounts(), super::limit(page.limit));
    let mut items: Vec<AgentView> = app.hub.read(|state| {
        let ids = view::agent_ids(&state.board, &accounts);
        let ids = ids
            .into_iter()
            .filter(|id| page.cursor.as_deref().is_none_or(|cursor| &***id > cursor));
        let ids = ids
            .filter(|id| who.role.oversees() || **id == who.user)
            .take(limit + 1);
        ids.filter_map(|id| view::agent(&state.board, &state.fold, &accounts, id, now))
            .collect()
    });
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(List { items, next }))
}

/// One agent.
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "agents", params(("id" = String, Path)), responses((status = 200, body = AgentView), (status = "4XX", body = Problem)))]
pub async fn one(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Json<AgentView>, Problem> {
    who.must_be_or_oversee(&id)?;
    find(&app, &id)
}

/// Ask for a state. During a contact it takes effect after wrap-up. Answered when it is on disk, with the agent as they are then.
#[utoipa::path(put, path = "/api/v1/agents/{id}/state", tag = "agents", params(("id" = String, Path)), request_body = StateWish,
    responses((status = 200, body = AgentView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn set_state(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Body(wish): Body<StateWish>,
) -> Result<Json<AgentView>, Problem> {
    who.must_be_or_oversee(&id)?;
    let reason = wish.reason.unwrap_or_else(|| "other".to_owned());
    if reason.is_empty() || reason.len() > REASON_MAX || reason.chars().any(char::is_control) {
        return Err(Problem::unprocessable(format!(
            "a reason has 1 to {REASON_MAX} bytes and no control characters"
        )));
    }
    let availability = match wish.state {
        Wish::Ready => acd::Availability::Ready,
        Wish::NotReady => acd::Availability::NotReady {
            reason: reason.into(),
        },
        Wish::LoggedOut => acd::Availability::LoggedOut,
    };
    app.gateway
        .ask(Command::SetAgentState {
            by: who.user,
            agent: id.as_str().into(),
            availability,
        })
        .await?;
    find(&app, &id)
}

/// End wrap-up before its time.
#[utoipa::path(post, path = "/api/v1/agents/{id}/end-wrap-up", tag = "agents", params(("id" = String, Path)),
    responses((status = 200, body = AgentView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn end_wrap_up(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Json<AgentView>, Problem> {
    who.must_be_or_oversee(&id)?;
    app.gateway
        .ask(Command::EndWrapUp {
            by: who.user,
            agent: id.as_str().into(),
        })
        .await?;
    find(&app, &id)
}

fn find(app: &App, id: &str) -> Result<Json<AgentView>, Problem> {
    let (now, accounts) = (app.now(), app.accounts());
    let agent = app
        .hub
        .read(|state| view::agent(&state.board, &state.fold, &accounts, id, now));
    agent
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no agent {id}")))
}
