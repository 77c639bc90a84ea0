//! Simulated callers and agents for the demo: they phone in over real SIP (UDP) and RTP on loopback, so that every page and number lives.
//!
//! The traffic is a client of the outside. It shares a process with the demo centre and nothing else: signalling and speech go through
//! sockets, and an agent who let it ring comes back ready as a person does, by signing in at the HTTP API with their own password.
//!
//! * [`pace`]: how many agents and how long the talks are for a rate of calls.
//! * [`people`]: who calls and how patiently; how an agent takes a call. Everything random is here, from one seed.
//! * [`mod@line`]: a SIP endpoint, its sockets and the speech of its calls ([`voice`]); [`registration`] makes agents reachable.
//! * [`floor`]: one thread that lets it all happen; [`desk`]: a second one for the agents' HTTP.
//!
//! A person who registers as one of the demo's own agents gets some of these callers too; since nobody here can tell that person's voice from
//! music, such a caller hangs up when their patience ends.
//!
//! With the same seed the same callers call at the same times with the same intentions; what becomes of them is the centre's doing.

mod desk;
mod floor;
mod line;
pub mod pace;
mod people;
mod registration;
mod voice;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use pace::Pace;

/// Running traffic.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    floor: JoinHandle<floor::Tally>,
}

/// Where the centre is.
#[derive(Clone, Copy, Debug)]
pub struct Centre {
    pub sip: SocketAddr,
    pub http: SocketAddr,
}

impl Traffic {
    /// Registers the agents and lets the calls begin.
    ///
    /// # Errors
    /// When the system gives no socket or no thread.
    pub fn start(centre: Centre, pace: Pace, seed: u64) -> anyhow::Result<Traffic> {
        let stop = Arc::new(AtomicBool::new(false));
        let desk = desk::Desk::open(centre.http)?;
        let floor = floor::Floor::open(centre.sip, pace, seed, desk)?;
        let told = stop.clone();
        let floor = std::thread::Builder::new()
            .name("traffic".to_owned())
            .spawn(move || floor.run(&told))?;
        Ok(Traffic { stop, floor })
    }

    /// Everybody hangs up and the agents unregister; within a few seconds, whatever the centre does. Says what was seen.
    pub fn stop(self) -> String {
        self.stop.store(true, Ordering::Release);
        match self.floor.join() {
            Ok(tally) => tally.to_string(),
            Err(_) => "the traffic's thread had panicked".to_owned(),
        }
    }
}
