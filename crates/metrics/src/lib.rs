//! A fold of engine events into KPIs: what the numbers mean, in one place.
//!
//! * [`Fold`]: `apply` every [`engine::Event`] once and in order; replaying the log rebuilds every number. Serialisable, for snapshots.
//! * [`kpi`]: each definition of KPI.md as a function of plain [`QueueTotals`], [`AgentTotals`] or [`CentreTotals`], with its id.
//! * [`Paths`]: where callers go in flows, and where they drop out.
//! * [`Exposition`]: the fold as Prometheus metric families, and [`Counters`] for what is no event.
//!
//! Absent on purpose: clocks (queries take `now`), sockets, and anything personal: a fold needs no caller's number and no name.

pub mod counters;
pub mod exposition;
pub mod fold;
pub mod kpi;
pub mod paths;
pub mod query;
pub mod series;
pub mod totals;

pub use counters::{Counters, Histogram};
pub use exposition::{Exposition, Labels};
pub use fold::Fold;
pub use paths::{Paths, StateTotals};
pub use query::{Imbalance, QueueNow};
pub use series::{INTERVAL, KEPT_INTERVALS};
pub use totals::{AgentTotals, CentreTotals, Handling, OfferTotals, QueueTotals, StateMs};
