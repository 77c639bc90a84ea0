//! What people and programs see of the centre: REST, WebSocket, sign-in, `/metrics` and pages.
//!
//! * [`Hub`]: committed events go in once; board, numbers and every client of the stream are served from there.
//! * [`Board`]: the contacts and agents of now, a fold of events, in the API's form through [`view`].
//! * [`Gateway`]: commands to the engine; an answer comes when what it caused is on disk.
//! * [`App`], [`serve`]: the HTTP server. `ui/` is in the binary and calls nothing but the API.
//!
//! Absent on purpose: decisions about calls, and any number of its own: those are `metrics`'.

pub mod accounts;
mod app;
mod auth;
pub mod board;
pub mod cloud;
pub mod gateway;
mod https;
pub mod hub;
mod index;
mod pages;
mod problem;
mod routes;
mod stream;
pub mod view;

pub use accounts::{Account, Accounts, Password, Role};
pub use app::{App, Hooks, OPERATOR, Setup, serve};
pub use board::Board;
pub use cloud::cloud_event;
pub use gateway::{Ask, Gateway, gateway};
pub use https::Keys;
pub use hub::Hub;
pub use index::index_closed;
pub use routes::customers::MANY_MAX;
pub use routes::kpi::{Wanted as KpiWanted, kpi_report, moment};
pub use routes::openapi;
