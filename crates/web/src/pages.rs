//! The pages, in the binary.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use crate::app::App;
use crate::problem::Problem;

/// Nothing but our own files; no inline script, no frame around us.
pub const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; media-src 'self'; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "ui/"]
struct Files;

/// `/`, `/desk`, `/wallboard` and the files that they need.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(async || file("index.html")))
        .route("/desk", get(async || file("desk.html")))
        .route("/wallboard", get(async || file("wallboard.html")))
        .route(
            "/ui/{file}",
            get(async |Path(name): Path<String>| file(&name)),
        )
}

fn file(name: &str) -> Response {
    let Some(found) = Files::get(name) else {
        return Problem::not_found("there is no such file").into_response();
    };
    let kind = match name.rsplit_once('.').map(|(_, kind)| kind) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    // Small files that change with the binary: always asked for anew.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, found.data).into_response()
}
