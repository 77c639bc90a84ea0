//! The sockets of SIP: datagrams by a blocking thread, connections by tokio, and the one door to the engine between them.

pub mod connection;
pub mod dns;
pub mod door;
pub mod guard;
pub mod keeper;
pub mod outgoing;
pub mod queue;
mod repeats;
mod shut;
pub mod udp;
pub mod websocket;
