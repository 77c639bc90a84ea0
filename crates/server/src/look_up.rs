//! Customer look-ups, on a thread of their own: the engine never waits for the disk.

use std::io;

use crossbeam_channel::{Sender, TrySendError, bounded};

use crate::clock::Clock;
use crate::edge::door::Door;
use crate::fatal;

/// Look-ups that may wait: at 20 µs each this is 80 ms, well inside the engine's patience of 300 ms. More are answered at once with nothing.
const WAITING_MAX: usize = 4_096;

/// The engine thread's end.
#[derive(Clone)]
pub struct LookUps {
    sender: Sender<(u64, crm::Number)>,
}

impl LookUps {
    /// Asks; the answer comes through the door. False when it will not: the engine should be told so.
    pub fn ask(&self, look_up: u64, number: crm::Number) -> bool {
        match self.sender.try_send((look_up, number)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Starts the thread. It ends when the last [`LookUps`] is dropped.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    find: impl Fn(&crm::Number) -> Option<crm::Pop> + Send + 'static,
    door: Door,
    clock: Clock,
) -> io::Result<LookUps> {
    let (sender, receiver) = bounded::<(u64, crm::Number)>(WAITING_MAX);
    fatal::spawn("look-up", move || {
        while let Ok((look_up, number)) = receiver.recv() {
            let pop = find(&number);
            if !door.send(clock.now(), engine::Input::LookedUp { look_up, pop }) {
                return;
            }
        }
    })?;
    Ok(LookUps { sender })
}
