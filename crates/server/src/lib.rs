//! The engine's real world: the clock, configuration, sockets, threads, and how they are put together.
//!
//! Absent on purpose: any decision about a call. What a message means is `sip`'s, what happens then is `engine`'s.

pub mod clock;
pub mod config;
