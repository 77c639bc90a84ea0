//! Signing in and out.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::Role;
use crate::app::App;
use crate::auth::{COOKIE, Peer, SESSION_LASTS, Who};
use crate::problem::{Body, Problem};

/// Longest user name and password looked at.
const WORD_MAX: usize = 256;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    user: String,
    password: String,
}

#[derive(Serialize, ToSchema)]
pub struct SignedIn {
    /// For `Authorization: Bearer …`; the same is set as a cookie.
    token: String,
    role: Role,
    user: String,
    name: String,
}

#[derive(Serialize, ToSchema)]
pub struct Me {
    user: String,
    role: Role,
    name: String,
}

/// Sign in.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = SignIn, security(()), responses(
    (status = 200, body = SignedIn), (status = 401, body = Problem), (status = 429, body = Problem, description = "this source guesses"), (status = "4XX", body = Problem)
))]
pub async fn sign_in(
    State(app): State<App>,
    Peer(source): Peer,
    Body(body): Body<SignIn>,
) -> Result<Response, Problem> {
    if body.user.len() > WORD_MAX || body.password.len() > WORD_MAX {
        return Err(Problem::unprocessable(format!(
            "user and password have at most {WORD_MAX} bytes"
        )));
    }
    let (token, role) = app.sign_in(&body.user, &body.password, source).await?;
    let cookie = format!(
        "{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}",
        SESSION_LASTS.as_secs()
    );
    let name = name_of(&app, &body.user);
    Ok((
        [(header::SET_COOKIE, cookie)],
        Json(SignedIn {
            token,
            role,
            user: body.user,
            name,
        }),
    )
        .into_response())
}

/// Sign out: the token ends here and now.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204), (status = "4XX", body = Problem)))]
pub async fn sign_out(State(app): State<App>, who: Who) -> Result<Response, Problem> {
    app.sign_out(&who).await?;
    let cookie = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, body = Me), (status = "4XX", body = Problem)))]
pub async fn who_am_i(State(app): State<App>, who: Who) -> Json<Me> {
    let name = name_of(&app, &who.user);
    Json(Me {
        user: who.user.to_string(),
        role: who.role,
        name,
    })
}

fn name_of(app: &App, user: &str) -> String {
    app.accounts()
        .find(user)
        .map_or_else(|| user.to_owned(), |account| account.name.clone())
}
