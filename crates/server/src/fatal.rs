//! Threads whose death is the process's: a panic in one is loud and ends the process, instead of leaving a deaf one that still listens.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

/// Exit status after a panic in a thread that nothing can replace.
const PANICKED: i32 = 101;

/// Starts such a thread. The panic's message has been printed by the hook when the process ends with status 101; a supervisor restarts it,
/// and the log says what it was doing.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            tracing::error!(thread = name, "panicked: the process ends");
            std::process::exit(PANICKED);
        }
    })
}
