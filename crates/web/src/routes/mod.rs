//! The HTTP API: one resource a file, each route documented where it is handled.

mod agents;
mod config;
mod contacts;
mod customers;
mod events;
mod health;
mod kpi;
mod queues;
mod session;

use std::sync::OnceLock;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
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
        .routes(routes!(agents::list))
        .routes(routes!(agents::one))
        .routes(routes!(agents::set_state))
        .routes(routes!(agents::end_wrap_up))
        .routes(routes!(contacts::list))
        .routes(routes!(contacts::one))
        .routes(routes!(contacts::why))
        .routes(routes!(contacts::ladder))
        .routes(routes!(contacts::hangup))
        .routes(routes!(customers::list, customers::add))
        .routes(routes!(
            customers::one,
            customers::change,
            customers::remove
        ))
        .routes(routes!(events::list))
        .routes(routes!(crate::stream::stream))
        .routes(routes!(kpi::kpi))
        .routes(routes!(config::effective))
        .routes(routes!(config::reload))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

/// Every route of the API.
pub fn router() -> Router<App> {
    let (router, _) = documented().split_for_parts();
    router.route(
        "/api/v1/openapi.json",
        get(async || ([(header::CONTENT_TYPE, "application/json")], openapi()).into_response()),
    )
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
        document.to_json().unwrap_or_default()
    })
}
