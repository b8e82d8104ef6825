//! What a listener tells its worker: lines of JSON into the worker's standard
//! input.
//!
//! Agent: `ProcessChannel.cs`, over two pipes whose numbers are arguments. Here
//! standard input is one pipe, and its end means the same: the listener is gone.
//! Invariant: nobody else holds the writing end, so that no death goes unseen.

use std::{
    io::{self, BufRead as _},
    thread,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::wire::JobRequest;

/// A word to the worker.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "messageType", content = "body")]
pub(crate) enum ToWorker {
    /// The first one, and never again.
    NewJobRequest(Box<JobRequest>),
    /// The job was cancelled.
    CancelRequest,
    /// The listener is about to end.
    AgentShutdown,
}

/// Sends a message.
pub(crate) async fn tell(
    pipe: &mut (impl AsyncWrite + Unpin),
    message: &ToWorker,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    pipe.write_all(&line).await?;
    pipe.flush().await
}

/// The messages that come on standard input, until it ends.
pub(crate) fn hear() -> mpsc::Receiver<ToWorker> {
    let (send, receive) = mpsc::channel(4);
    // Reading cannot be cancelled; a thread that nobody waits for may stay at it.
    thread::spawn(move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        for message in lines.map_while(|line| serde_json::from_str(&line).ok()) {
            if send.blocking_send(message).is_err() {
                break;
            }
        }
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_one_line() {
        for (message, expected) in [
            (
                ToWorker::CancelRequest,
                "{\"messageType\":\"CancelRequest\"}\n",
            ),
            (
                ToWorker::AgentShutdown,
                "{\"messageType\":\"AgentShutdown\"}\n",
            ),
        ] {
            let mut pipe = Vec::new();
            tell(&mut pipe, &message).await.unwrap();
            assert_eq!(String::from_utf8(pipe).unwrap(), expected);
            serde_json::from_str::<ToWorker>(expected).unwrap();
        }
    }
}
