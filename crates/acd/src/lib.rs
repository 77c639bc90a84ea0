//! The distributor: queues, skills, agents, offers. It decides and never sends.
//!
//! [`Acd`] is one value with `handle`, `handle_timeout`, `poll_output`, `poll_timeout`. Inputs and outputs are plain, serialisable data:
//! the log keeps the inputs, and feeding them to the same configuration and seed gives the same outputs, byte for byte.
//!
//! Absent on purpose: telephones, customers, clocks, chance without a seed.

pub mod api;

pub use api::{
    Agent, Availability, Candidate, Config, ContactId, Decision, Enqueue, Excluded, Input, Name, OfferEnd, OfferResult, Output, Queue,
    State, Withdrawal, Work,
};
