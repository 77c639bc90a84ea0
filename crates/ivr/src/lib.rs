//! IVR flows: parse, check, run. A flow is named states, each with exactly one verb.
//!
//! [`Session`] runs one caller through a [`Flows`] set with `handle`, `handle_timeout`, `poll_output`, `poll_timeout`.
//!
//! Absent on purpose: media, telephones, customers' records, clocks.

pub mod api;

pub use api::{Diagnostic, Exit, Facts, Input, Lang, Output, PlayToken, Prompt, Severity, Value};

/// A checked set of flows by name.
#[derive(Clone, Debug, Default)]
pub struct Flows {}
