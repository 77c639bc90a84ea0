//! SIP over WebSocket on HTTP's `/sip` (RFC 7118): who may open one, and then it is a connection like any other.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use sip::Transport;

use super::keeper::Connections;

/// The subprotocol (section 4.1).
const SUBPROTOCOL: &str = "sip";
/// Largest message and frame, as over TCP.
const MESSAGE_MAX: usize = 64 * 1024;
/// What may wait to be written to a browser that does not read.
const WRITE_MAX: usize = 256 * 1024;

#[derive(Clone)]
struct Sip {
    connections: Connections,
    secure: bool,
}

/// The route. `secure` when HTTP is HTTPS.
pub fn router(connections: Connections, secure: bool) -> Router {
    let sip = Sip {
        connections,
        secure,
    };
    Router::new().route("/sip", any(upgrade)).with_state(sip)
}

async fn upgrade(
    State(sip): State<Sip>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !is_own(&headers) {
        return (StatusCode::FORBIDDEN, "a page of another site\n").into_response();
    }
    let offers = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().eq_ignore_ascii_case(SUBPROTOCOL));
    if !offers {
        let told = "this address speaks the WebSocket subprotocol `sip` (RFC 7118)\n";
        return (StatusCode::BAD_REQUEST, told).into_response();
    }
    let transport = if sip.secure {
        Transport::Wss
    } else {
        Transport::Ws
    };
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX)
        .max_write_buffer_size(WRITE_MAX)
        .on_upgrade(move |socket| async move {
            sip.connections.upgraded(transport, remote, socket).await
        })
}

/// A browser says which page asks; only our own may, since a foreign page would speak with the agent's network in hand. Who says nothing is no browser.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text(header::HOST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_our_own_may_open_it() {
        let asked = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "desk.example:8080".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            is_own(&headers)
        };
        assert!(asked(None));
        assert!(asked(Some("http://desk.example:8080")));
        assert!(asked(Some("https://desk.example:8080")));
        assert!(!asked(Some("http://desk.example")));
        assert!(!asked(Some("https://evil.example")));
        assert!(!asked(Some("null")));
    }
}
