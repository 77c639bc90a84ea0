//! Commands from outside on their way to the engine, and their answers on the way back.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use crossbeam_channel::Receiver;
use engine::api::{Answer, Refusal, Reply, Token};
use tokio::sync::oneshot;
use web::Ask;

use crate::clock::Clock;
use crate::edge::door::Door;
use crate::fatal;
use crate::publish::lock;

/// Commands whose answers are awaited. Who asked has given up long before there are so many; the oldest are then forgotten.
const AWAITED_MAX: usize = 4_096;

type Waiting = oneshot::Sender<Result<Answer, Refusal>>;

/// Who waits for which answer.
#[derive(Clone, Default)]
pub struct Awaited {
    waiting: Arc<Mutex<HashMap<Token, Waiting>>>,
}

impl Awaited {
    /// Gives an answer whose events are on disk and published.
    pub fn answer(&self, reply: Reply) {
        if let Some(waiting) = lock(&self.waiting).remove(&reply.token) {
            // Who asked may have gone.
            let _ = waiting.send(reply.result);
        }
    }

    /// Gives none (the gateway answers 503): what the command caused could not be written down.
    pub fn refuse(&self, reply: &Reply) {
        lock(&self.waiting).remove(&reply.token);
    }

    fn add(&self, token: Token, reply: Waiting) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= AWAITED_MAX {
            waiting.retain(|_, reply| !reply.is_closed());
        }
        waiting.insert(token, reply);
    }
}

/// Starts the thread between the gateway and the door. It ends with the gateway or the engine.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(asks: Receiver<Ask>, awaited: Awaited, door: Door, clock: Clock) -> io::Result<()> {
    fatal::spawn("commands", move || {
        let mut last = 0;
        while let Ok(Ask { command, reply }) = asks.recv() {
            last += 1;
            let token = Token(last);
            awaited.add(token, reply);
            if !door.send(clock.now(), engine::Input::Command { token, command }) {
                return;
            }
        }
    })?;
    Ok(())
}
