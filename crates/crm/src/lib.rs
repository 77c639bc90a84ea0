//! Customers, phone numbers, value classes, contact history; and what of them an agent sees before the phone is answered.
//!
//! * [`number`]: raw text to E.164.
//! * [`customer`]: what a sound record is, its order by class, and the facts that a flow reads.
//! * [`pop`]: the screen pop.
//! * [`pin`]: what callers prove themselves with.
//! * [`csv`]: customers in and out as a spreadsheet's file.
//!
//! Plain data and pure functions: where customers are kept is `store`'s business, when they are looked up is `engine`'s.

pub mod api;
pub mod csv;
pub mod customer;
pub mod number;
pub mod pin;
pub mod pop;

pub use api::{Customer, CustomerId, LastContact, Number, Pop, PopCustomer};
pub use csv::{ImportError, read_customers, write_customers};
pub use customer::FieldError;
pub use number::{is_country, warm_up};
