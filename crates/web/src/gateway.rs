//! The way to the engine: commands go out over a bounded channel, answers come back after the commit.

use std::time::Duration;

use engine::{Answer, Command, ContactId, Refusal};
use tokio::sync::oneshot;

use crate::problem::Problem;

/// Commands that may wait for the engine; more are refused with 503.
const ASKS_MAX: usize = 1024;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command, and where its answer goes. The server answers when the log is on disk up to [`engine::Reply::after`], and after the events up
/// to there have been published to the hub.
#[derive(Debug)]
pub struct Ask {
    pub command: Command,
    pub reply: oneshot::Sender<Result<Answer, Refusal>>,
}

/// Asks the engine.
#[derive(Clone, Debug)]
pub struct Gateway {
    sender: crossbeam_channel::Sender<Ask>,
}

/// A gateway, and the engine's end of it. Give `sender` half to [`crate::Setup`]; select on the receiver in the engine's thread.
pub fn gateway() -> (Gateway, crossbeam_channel::Receiver<Ask>) {
    let (sender, receiver) = crossbeam_channel::bounded(ASKS_MAX);
    (Gateway { sender }, receiver)
}

impl Gateway {
    /// Waits until what was given to the engine before is done, on disk and published; false when that takes too long.
    pub async fn is_settled(&self) -> bool {
        self.settled().await.is_ok()
    }

    /// Waits until what was given to the engine before is done, on disk and published.
    pub(crate) async fn settled(&self) -> Result<(), Problem> {
        let nobody = Command::Why {
            contact: ContactId("".into()),
        };
        match self.ask(nobody).await {
            Err(problem) if !problem.is_not_found() => Err(problem),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&self, command: Command) -> Result<Answer, Problem> {
        let (reply, answer) = oneshot::channel();
        self.sender
            .try_send(Ask { command, reply })
            .map_err(|_| Problem::unavailable("the engine takes no more commands now"))?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(Refusal::NotFound(detail)))) => Err(Problem::not_found(detail)),
            Ok(Ok(Err(Refusal::Conflict(detail)))) => Err(Problem::conflict(detail)),
            Ok(Ok(Err(Refusal::Invalid(detail)))) => Err(Problem::unprocessable(detail)),
            Ok(Err(_)) => Err(Problem::unavailable(
                "no answer: the engine is stopping, or its log cannot be written",
            )),
            Err(_) => Err(Problem::unavailable(
                "the engine has not answered in time; the command may still take effect",
            )),
        }
    }
}
