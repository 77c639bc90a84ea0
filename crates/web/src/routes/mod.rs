//! The HTTP API: one resource a file, each route documented where it is handled.

mod agents;
mod config;
mod contacts;
pub mod customers;
mod events;
mod health;
pub mod kpi;
mod ladder;
mod oversight;
mod queues;
pub mod recording;
mod session;
mod trunks;
mod verbs;

use std::sync::OnceLock;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::Problem;

/// Most items of one page of a list.
pub const LIMIT_MAX: usize = 500;
const LIMIT: usize = 100;

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` for the page behind this one; null on the last.
    pub next: Option<String>,
}

/// A page's size: 1 to [`LIMIT_MAX`], [`LIMIT`] unless asked.
fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(LIMIT).clamp(1, LIMIT_MAX)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cordboard",
        description = "Call-centre CTI engine. Errors are RFC 9457 problem+json; lists page by cursor.",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct Document;

fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(
            session::sign_in,
            session::sign_out,
            session::who_am_i
        ))
        .routes(routes!(queues::list))
        .routes(routes!(queues::one))
        .routes(routes!(trunks::list))
        .routes(routes!(agents::list))
        .routes(routes!(agents::one))
        .routes(routes!(agents::set_state))
        .routes(routes!(agents::end_wrap_up))
        .routes(routes!(agents::extend_wrap_up))
        .routes(routes!(agents::why_idle))
        .routes(routes!(contacts::list))
        .routes(routes!(contacts::one))
        .routes(routes!(contacts::why))
        .routes(routes!(ladder::ladder))
        .routes(routes!(contacts::hangup))
        .routes(routes!(recording::recording))
        .routes(routes!(verbs::pause_recording))
        .routes(routes!(verbs::resume_recording))
        .routes(routes!(verbs::hold))
        .routes(routes!(verbs::resume))
        .routes(routes!(verbs::transfer))
        .routes(routes!(verbs::consult))
        .routes(routes!(verbs::conference))
        .routes(routes!(verbs::answer))
        .routes(routes!(verbs::dtmf))
        .routes(routes!(verbs::disposition))
        .routes(routes!(oversight::listen))
        .routes(routes!(oversight::whisper))
        .routes(routes!(oversight::barge))
        .routes(routes!(oversight::take_over))
        .routes(routes!(customers::list, customers::add, customers::erase))
        .routes(routes!(customers::put_many).layer(DefaultBodyLimit::max(customers::MANY_BODY_MAX)))
        .routes(routes!(
            customers::one,
            customers::change,
            customers::remove
        ))
        .routes(routes!(customers::set_pin))
        .routes(routes!(events::list))
        .routes(routes!(crate::stream::stream))
        .routes(routes!(kpi::kpi))
        .routes(routes!(config::effective))
        .routes(routes!(config::reload))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(document))
}

/// Every route of the API.
pub fn router() -> Router<App> {
    documented().split_for_parts().0
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "health", security(()), responses((status = 200, body = Object)))]
async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi()).into_response()
}

/// The OpenAPI 3.1 document.
pub fn openapi() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut document = documented().into_openapi();
        document.info.version = env!("CARGO_PKG_VERSION").to_owned();
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", scheme);
        document.security = Some(vec![SecurityRequirement::new(
            "token",
            Vec::<String>::new(),
        )]);
        let mut document = serde_json::to_value(document).unwrap_or_default();
        complete(&mut document);
        document.to_string()
    })
}

/// What the standard wants of every operation and the attributes do not say: a unique `operationId`, a description of each response, and
/// problem+json where the body is a problem.
fn complete(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.flat_map(|(_, path)| path.as_object_mut().into_iter().flatten());
    for (_, operation) in operations.filter(|(_, operation)| operation.is_object()) {
        let (tag, id) = (&operation["tags"][0], &operation["operationId"]);
        operation["operationId"] = match (tag.as_str(), id.as_str()) {
            (Some(tag), Some(id)) => format!("{tag}_{id}").into(),
            _ => continue,
        };
        let responses = operation["responses"].as_object_mut();
        for (status, response) in responses.into_iter().flatten() {
            let told = response["description"].as_str().unwrap_or_default();
            if told.is_empty() {
                response["description"] = meaning(status).into();
            }
            let content = response.get_mut("content").and_then(Value::as_object_mut);
            let problem = content.and_then(|content| {
                content
                    .get("application/json")
                    .is_some_and(|body| body["schema"]["$ref"] == PROBLEM)
                    .then(|| content.remove("application/json"))
                    .flatten()
            });
            if let Some(body) = problem {
                response["content"] = serde_json::json!({ "application/problem+json": body });
            }
        }
    }
}

const PROBLEM: &str = "#/components/schemas/Problem";

fn meaning(status: &str) -> &'static str {
    match status
        .parse()
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok())
    {
        Some(status) => status.canonical_reason().unwrap_or("Answer"),
        None => "Refused; the body says why",
    }
}
