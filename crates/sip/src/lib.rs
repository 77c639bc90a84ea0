//! SIP without I/O: messages, SDP offer/answer, transactions, dialogs, registrar, digest (RFC 3261 and friends).
//!
//! The whole protocol is one value, [`Endpoint`], with the four methods every pure crate here has:
//! `handle`, `handle_timeout`, `poll_output`, `poll_timeout`. One mutation, then drain the outputs.
//!
//! Absent on purpose: sockets, threads, clocks, media, and any idea of queues or agents.

pub mod api;
mod dialog;
pub mod digest;
pub mod endpoint;
pub mod framing;
pub mod identity;
pub mod info;
pub mod locate;
pub mod message;
pub mod registrar;
pub mod sdes;
pub mod sdp;
mod source;
pub mod stun;
mod transaction;
mod tries;
pub mod trunk;
pub mod webrtc;

pub use api::{
    Access, Algorithm, Auth, Caller, Cause, Command, Config, Credentials, DialogRules, Edge, Event,
    FlowId, HostNow, HostState, Identity, Incoming, Input, Invite, LegId, Listener, Output, Peer,
    Referral, Registration, Reliable, Replaced, Target, Through, Transport,
};
pub use endpoint::{
    Counts, DialogName, Endpoint, PhoneRules, TRUNK_HOSTS_MAX, Urgency, acknowledges_refusal,
    is_new_work, nearest, overload_response, urgency,
};
pub use identity::Signalled;
pub use source::subscriber;
pub use tries::Suspect;
pub use trunk::{Account, Carrier, Net, Secret, Trunk, TrunkState, Trust};
