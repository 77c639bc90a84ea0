//! The engine's real world: the clock, configuration, sockets, threads, and how they are put together.
//!
//! * [`config`]: four files to one checked value.
//! * [`edge`]: SIP over datagrams and connections, its DNS, and the one door to the engine; [`tls`]: certificates for it and for HTTP.
//! * [`engine_thread`]: the one thread that owns all signalling state; [`journal`] and [`publish`] behind it, [`look_up`] and [`media_thread`] beside it; [`browsers`]: ICE ([`stun`]) and [`dtls`] at the media threads' shared ports.
//! * [`recovery`]: what a restart must know.
//! * [`run`]: all of it put together, drained and stopped.
//!
//! Absent on purpose: any decision about a call. What a message means is `sip`'s, what happens then is `engine`'s.

mod bindings;
pub mod browsers;
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod dtls;
pub mod durable;
pub mod edge;
pub mod engine_thread;
pub mod fatal;
pub mod hep;
pub mod journal;
pub mod limits;
pub mod listeners;
pub mod live;
pub mod look_up;
pub mod media_thread;
pub mod outside;
pub mod people;
pub mod prompts;
pub mod publish;
pub mod recorder;
pub mod recovery;
pub mod replay;
pub mod run;
pub mod services;
pub mod speech;
pub mod stun;
pub mod tls;
pub mod versions;

pub use web::MANY_MAX as CUSTOMERS_MAX;
pub use web::{KpiWanted, kpi_report, moment};

/// For [`moment`], where times have their offset.
pub fn utc() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::UTC
}
