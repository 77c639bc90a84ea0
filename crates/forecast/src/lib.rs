//! A day of a centre in virtual time: what a forecast and a configuration would give, by the very distributor that routes calls.
//!
//! [`plan`] reads a forecast, [`logged`] makes a day of a log; [`day`] draws its callers and sends them through [`acd::Acd`]; [`report`] sums runs up with confidence
//! intervals, and two configurations by paired differences: both get the same callers, with the same handling times and patience.
//! [`erlang`] has the formulas that a first staffing comes from, and that the simulation is checked against.
//!
//! Absent on purpose: clocks, files, telephones, flows. The same seed gives the same bytes.

pub mod day;
pub mod dice;
pub mod erlang;
pub mod logged;
pub mod plan;
pub mod report;
