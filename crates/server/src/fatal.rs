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
    name: impl Into<String>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let name = name.into();
    Builder::new().name(name.clone()).spawn(move || {
        if catch_unwind(AssertUnwindSafe(body)).is_err() {
            end(&name, "it panicked");
        }
    })
}

/// Ends the process, as a panic does.
pub fn end(who: &str, why: &str) -> ! {
    tracing::error!(thread = who, why, "the process ends");
    std::process::exit(PANICKED)
}

/// Held by a task, or by a thread that somebody else starts: a panic there that drops it ends the process.
#[derive(Debug)]
pub struct Vital(pub &'static str);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end(self.0, "it panicked");
        }
    }
}
