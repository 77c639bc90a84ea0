//! IVR flows: parse, check, run. A flow is named states, each with exactly one verb; `docs/flows.md` is the language's reference.
//!
//! [`Flows::load`] takes the texts of flow files and what they may refer to, and gives a checked set with every error found.
//! [`Session`] runs one caller through it with `handle`, `handle_timeout`, `poll_output`, `poll_timeout`.
//! [`testing::run`] runs a flow's tests in virtual time, [`testing::fuzz`] callers who press anything; [`draw()`] makes a picture of a flow.
//!
//! Absent on purpose: media, telephones, customers' records, files, clocks.

pub mod api;
mod check;
mod digits;
mod draw;
mod expr;
mod flow;
mod hours;
mod load;
mod parse;
mod read;
mod session;
mod spoken;
pub mod testing;

pub use api::{
    Answer, Currency, Diagnostic, Exit, Facts, Header, HttpRequest, Input, Lang, LookUpToken,
    Output, Pin, PlayToken, Prompt, Request, Severity, Spoken, Value,
};
pub use draw::draw;
pub use flow::{Demand, Flow, version};
pub use hours::Calendar;
pub use load::{Flows, Surroundings};
pub use session::Session;
