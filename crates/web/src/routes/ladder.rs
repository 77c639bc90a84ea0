//! `GET /api/v1/contacts/{id}/ladder`: what was on the wire.

use axum::Json;
use axum::extract::{Path, State};
use engine::{Answer, Command, ContactId, LadderMessage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::contacts::find;
use crate::app::App;
use crate::auth::Who;
use crate::cloud::rfc3339;
use crate::problem::{Problem, Query};

/// The SIP messages of a contact, of all its legs, in their order.
#[derive(Serialize, ToSchema)]
pub struct Ladder {
    contact: String,
    messages: Vec<LadderLine>,
}

/// One message.
#[derive(Serialize, ToSchema)]
pub struct LadderLine {
    at: String,
    /// `in` or `out`, seen from the engine.
    direction: &'static str,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`.
    transport: String,
    peer: String,
    /// Messages of the same number are of the same leg.
    leg: u64,
    /// Whose leg: an agent, or `caller`.
    party: String,
    /// The leg called us; otherwise we called it.
    inbound_leg: bool,
    /// Of the transaction.
    method: String,
    /// Of a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    summary: String,
    /// It has gone the same way before.
    retransmission: bool,
    /// The message as it was, credentials masked; when asked for with `raw=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Whole messages too.
    #[serde(default)]
    raw: bool,
}

/// What was on the wire (supervisors). Kept in memory until newer calls need the room: empty when it is gone.
#[utoipa::path(get, path = "/api/v1/contacts/{id}/ladder", tag = "contacts", params(("id" = String, Path), Wanted), responses((status = 200, body = Ladder), (status = "4XX", body = Problem)))]
pub async fn ladder(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Ladder>, Problem> {
    who.must_oversee()?;
    find(&app, &who, &id).await?;
    let contact = ContactId(id.as_str().into());
    let messages = match app.gateway.ask(Command::Ladder { contact }).await {
        Ok(Answer::Ladder(messages)) => messages,
        Ok(_) => Vec::new(),
        Err(problem) if problem.is_not_found() => Vec::new(),
        Err(problem) => return Err(problem),
    };
    Ok(Json(Ladder {
        contact: id,
        messages: messages
            .iter()
            .map(|message| line(message, wanted.raw))
            .collect(),
    }))
}

fn line(message: &LadderMessage, raw: bool) -> LadderLine {
    let (method, status) = message.kind();
    LadderLine {
        at: rfc3339(message.at),
        direction: if message.outbound { "out" } else { "in" },
        transport: format!("{:?}", message.peer.transport).to_ascii_lowercase(),
        peer: message.peer.remote.to_string(),
        leg: message.leg.0,
        party: message.party.to_string(),
        inbound_leg: message.inbound_leg,
        method,
        status,
        summary: message.summary(),
        retransmission: message.again,
        raw: raw.then(|| message.text()),
    }
}
