//! The rules of the distributor, one by one, on a virtual clock.

mod agents;
mod complaints;
mod configuration;
mod desk;
mod explanation;
mod offers;
mod order;
mod waiting;
