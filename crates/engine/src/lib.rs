//! The engine: composes SIP, media, IVR, ACD and CRM into calls, legs, contacts and bridges. It knows all five and no socket.
//!
//! [`Engine`] is one value with `handle`, `handle_timeout`, `poll_output`, `poll_timeout`.
//!
//! Absent on purpose: sockets, threads, files, clocks. A decision is data that can be logged, explained and replayed.

pub mod api;
pub mod event;

pub use api::{Command, Config, Input, Output, Refusal, Reply, Route, Token};
pub use event::{ContactId, Event, EventKind, EventRecord};
