//! Agents now and today, and their state.

use axum::Json;
use axum::extract::{Path, State};
use engine::{Answer, Command};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::List;
use crate::app::App;
use crate::auth::Who;
use crate::cloud::rfc3339;
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct More {
    /// 1 to 3600.
    seconds: u64,
}

/// More time for after-call work; at most an hour from now.
#[utoipa::path(post, path = "/api/v1/agents/{id}/extend-wrap-up", tag = "agents", params(("id" = String, Path)), request_body = More,
    responses((status = 200, body = AgentView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn extend_wrap_up(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Body(more): Body<More>,
) -> Result<Json<AgentView>, Problem> {
    who.must_be_or_oversee(&id)?;
    if !(1..=3_600).contains(&more.seconds) {
        return Err(Problem::unprocessable("seconds: 1 to 3600"));
    }
    app.gateway
        .ask(Command::ExtendWrapUp {
            by: who.user,
            agent: id.as_str().into(),
            more: std::time::Duration::from_secs(more.seconds),
        })
        .await?;
    find(&app, &id)
}

/// Why an agent has nothing to do.
#[derive(Serialize, ToSchema)]
pub struct WhyIdle {
    agent: String,
    /// `ready`, or what keeps the agent from contacts.
    state: String,
    /// Of a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// When the state ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_since: Option<String>,
    /// No offers until then: some in a row were busy or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    resting_until: Option<String>,
    /// Contacts that wait, in all queues.
    waiting: u32,
    /// Why this agent has none of them.
    passed: Vec<Passed>,
}

/// Contacts that an agent cannot have, by reason: `skill`, `level`, `back_off`, `wanted` (they wait for another agent), `detached` (they wait to
/// be called back), `state` (the agent's own).
#[derive(Serialize, ToSchema)]
pub struct Passed {
    reason: String,
    count: u32,
    examples: Vec<String>,
}

/// Why an agent is idle while contacts wait.
#[utoipa::path(get, path = "/api/v1/agents/{id}/why-idle", tag = "agents", params(("id" = String, Path)),
    responses((status = 200, body = WhyIdle), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn why_idle(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Json<WhyIdle>, Problem> {
    who.must_be_or_oversee(&id)?;
    let agent = id.as_str().into();
    match app.gateway.ask(Command::WhyIdle { agent }).await? {
        Answer::WhyIdle(idle) => Ok(Json(why_idle_form(&app.node, id, *idle))),
        _ => Err(Problem::not_found(format!("there is no agent {id}"))),
    }
}

fn why_idle_form(node: &str, agent: String, idle: acd::Idle) -> WhyIdle {
    use acd::State;
    let (state, reason, until) = match &idle.state {
        State::LoggedOut => ("logged_out", None, None),
        State::NotReady { reason } => ("not_ready", Some(reason), None),
        State::Ready if idle.resting_until.is_some() => ("resting", None, idle.resting_until),
        State::Ready => ("ready", None, None),
        State::Unreachable => ("unreachable", None, None),
        State::Reserved { until, .. } => ("reserved", None, Some(*until)),
        State::Connected { .. } => ("connected", None, None),
        State::WrapUp { until, .. } => ("wrap_up", None, Some(*until)),
        State::Occupied { .. } => ("occupied", None, None),
    };
    let passed = idle.passed.into_iter().map(|passed| Passed {
        reason: passed.reason.to_string(),
        count: passed.count,
        examples: passed
            .examples
            .into_iter()
            .map(|contact| super::contacts::contact_name(node, contact))
            .collect(),
    });
    WhyIdle {
        agent,
        state: state.to_owned(),
        reason: reason.map(ToString::to_string),
        until: until.map(rfc3339),
        idle_since: idle.idle_since.map(rfc3339),
        resting_until: idle.resting_until.map(rfc3339),
        waiting: idle.waiting,
        passed: passed.collect(),
    }
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
