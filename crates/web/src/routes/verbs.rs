//! What desks do with a contact: hold, transfer, consult, keys, and what it was about. Agents with their own contacts, supervisors with all.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use engine::{Command, ContactId, Verb};
use serde::Deserialize;
use utoipa::ToSchema;

use super::contacts::find;
use crate::app::App;
use crate::auth::Who;
use crate::problem::{Body, Problem};

/// Longest code and note of a disposition, in bytes.
const CODE_MAX: usize = 64;
const NOTE_MAX: usize = 4_096;
/// Longest name of a transfer's target.
const TARGET_MAX: usize = 128;

/// Where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// An extension or number that leads somewhere (`1002`, `2001`), `agent:1002` or `queue:sales`.
    to: String,
}

/// A transfer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// An extension or number that leads somewhere (`1002`, `2001`), `agent:1002`, `queue:sales` or `flow:main`; not with `complete`.
    to: Option<String>,
    #[serde(default)]
    mode: Mode,
}

/// `blind` passes the caller on without a word; `complete` ends a consultation by joining the two others.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Blind,
    Complete,
}

/// Keys to be pressed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// 1 to 32 of `0`-`9`, `*`, `#`, `A`-`D`.
    digits: String,
}

/// What the contact was about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Disposition {
    code: String,
    /// Sealed in the log with what else is personal.
    note: Option<String>,
    /// Ends the wrap-up as well.
    #[serde(default)]
    end_wrap_up: bool,
}

async fn ask(app: App, who: Who, id: &str, verb: Verb) -> Result<(), Problem> {
    find(&app, &who, id).await?;
    let command = Command::Contact {
        by: who.user,
        contact: ContactId(id.into()),
        verb,
    };
    app.gateway.ask(command).await?;
    Ok(())
}

fn target(to: String) -> Result<String, Problem> {
    if to.is_empty() || to.len() > TARGET_MAX || to.chars().any(char::is_control) {
        return Err(Problem::unprocessable(format!(
            "`to` has 1 to {TARGET_MAX} bytes and no control characters"
        )));
    }
    Ok(to)
}

/// Nothing of what is said from now on is kept, until `resume-recording` or another agent's turn; 409 when nothing is being recorded.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/pause-recording", tag = "contacts", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn pause_recording(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    ask(app, who, &id, Verb::PauseRecording).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Record again, or begin to, where the queue leaves that to the agent (`record = "on_demand"`); 409 where calls are never recorded, or the caller does
/// not want to be.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/resume-recording", tag = "contacts", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn resume_recording(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    ask(app, who, &id, Verb::ResumeRecording).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Music to the caller; the agent's leg stays up.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/hold", tag = "contacts", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn hold(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    ask(app, who, &id, Verb::Hold).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Back to the caller, from a hold of the desk's or from a consultation. A telephone's own hold ends at the telephone.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/resume", tag = "contacts", params(("id" = String, Path)), responses((status = 204), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn resume(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    ask(app, who, &id, Verb::Resume).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pass the caller on. A queue or flow has the caller when this is answered; an extension rings, and `contact.answered` or
/// `contact.transfer_failed` says how it went.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/transfer", tag = "contacts", params(("id" = String, Path)), request_body = Transfer, responses((status = 202), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn transfer(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Body(transfer): Body<Transfer>,
) -> Result<StatusCode, Problem> {
    let verb = match (transfer.mode, transfer.to) {
        (Mode::Blind, Some(to)) => Verb::Transfer { to: target(to)? },
        (Mode::Blind, None) => return Err(Problem::unprocessable("`to` is missing")),
        (Mode::Complete, None) => Verb::Complete,
        (Mode::Complete, Some(_)) => {
            return Err(Problem::unprocessable(
                "a transfer that completes a consultation goes to whom the agent consults: leave `to` out",
            ));
        }
    };
    ask(app, who, &id, verb).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Call somebody else while the caller hears music. Then `transfer` with mode `complete`, or `resume`.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/consult", tag = "contacts", params(("id" = String, Path)), request_body = Target, responses((status = 202), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn consult(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Body(wish): Body<Target>,
) -> Result<StatusCode, Problem> {
    let to = target(wish.to)?;
    ask(app, who, &id, Verb::Consult { to }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Press keys towards the caller: in RTP (RFC 4733), or by INFO where its telephone has none there.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/dtmf", tag = "contacts", params(("id" = String, Path)), request_body = Keys, responses((status = 204), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn dtmf(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Body(keys): Body<Keys>,
) -> Result<StatusCode, Problem> {
    let digits = keys.digits;
    ask(app, who, &id, Verb::Dtmf { digits }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say what it was about, during the contact or its wrap-up.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/disposition", tag = "contacts", params(("id" = String, Path)), request_body = Disposition, responses((status = 204), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn disposition(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Body(told): Body<Disposition>,
) -> Result<StatusCode, Problem> {
    let bad = |text: &str, max: usize| text.len() > max || text.contains('\0');
    if told.code.is_empty() || bad(&told.code, CODE_MAX) {
        let detail = format!("a code has 1 to {CODE_MAX} bytes");
        return Err(Problem::unprocessable(detail));
    }
    if told.note.as_deref().is_some_and(|note| bad(note, NOTE_MAX)) {
        let detail = format!("a note has at most {NOTE_MAX} bytes");
        return Err(Problem::unprocessable(detail));
    }
    let verb = Verb::Disposition {
        code: told.code.into(),
        note: told.note,
        end_wrap_up: told.end_wrap_up,
    };
    ask(app, who, &id, verb).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is to be added to a talk.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Conference {
    /// An extension or number that leads to somebody (`1002`, `agent:1002`); left out: whom the agent consults.
    to: Option<String>,
}

/// Add whom the agent consults to the talk, or call somebody to be added. Any number may be, one after the other; `contact.joined` says that
/// somebody is in it, `contact.left` that somebody has left, `contact.transfer_failed` that somebody did not come. When the agent leaves, the others go on.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/conference", tag = "contacts", params(("id" = String, Path)), request_body = Option<Conference>, responses((status = 202), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn conference(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Result<StatusCode, Problem> {
    let wish: Conference = match body.is_empty() {
        true => Conference::default(),
        false => serde_json::from_slice(&body)
            .map_err(|error| Problem::unprocessable(error.to_string()))?,
    };
    let to = wish.to.map(target).transpose()?;
    ask(app, who, &id, Verb::Conference { to }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Have the agent's telephone answer what it rings for, where it has said that it can be told to (`Allow-Events: talk` in its 180);
/// 409 where it has not. `contact.answered` says that it did.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/answer", tag = "contacts", params(("id" = String, Path)), responses((status = 202), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub async fn answer(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    ask(app, who, &id, Verb::Answer).await?;
    Ok(StatusCode::ACCEPTED)
}
