//! Customers, phone numbers, value classes, contact history; and what of them an agent sees before the phone is answered.
//!
//! Plain data and pure functions: where customers are kept is `store`'s business, when they are looked up is `engine`'s.

pub mod api;

pub use api::{Customer, CustomerId, LastContact, Number, Pop, PopCustomer};
