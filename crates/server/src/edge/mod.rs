//! The sockets of SIP: datagrams by a blocking thread, streams by tokio, and the one door to the engine between them.

pub mod door;
pub mod tcp;
pub mod udp;
