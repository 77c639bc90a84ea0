//! REST, WebSocket, sign-in, metrics and pages
