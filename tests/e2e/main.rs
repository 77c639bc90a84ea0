//! End to end: the real binary, and telephones that nobody here wrote (SIPp and baresip from Debian's packages).
//!
//! Every test starts its own centre on ports that the kernel picks, waits for events and never for luck, and ends what it started.

#![allow(
    dead_code,
    reason = "the harness offers a little more than today's tests use"
)]

mod agents;
mod api;
mod baresip;
mod browser;
mod calls;
mod centre;
mod codecs;
mod command_line;
mod configuration;
mod demonstration_service;
mod desk;
mod dialogs;
mod dns;
mod events;
mod guard;
mod health;
mod hostile;
mod http;
mod identity;
mod ipv6;
mod ivr;
mod kamailio;
mod limits;
mod linphone;
mod moves;
mod quality;
mod raw;
mod recording;
mod registration;
mod rtp;
mod services;
mod simulate;
mod sipp;
mod sipsak;
mod slow;
mod softphones;
mod spoken;
mod srtp;
mod supervision;
mod survival;
mod talk;
mod tls;
mod traffic;
mod trunks;
mod watching;
mod webrtc;
mod websocket;
mod wss;
