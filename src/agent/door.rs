//! The door: a socket at which a probe or a person asks how the agent does.
//!
//! May import: its siblings. Invariant: it answers from the board alone, to
//! whoever can reach the file, and holds nobody up; an answer proves that this
//! process still turns.
//!
//! One answer for each connection: the status as JSON, then the end.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::board::{Board, Status};

/// More than any status.
const LARGEST: u64 = 64 * 1024;

/// So long an answer may take on either side.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked whether the file is there.
const LOOK: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Nobody answers there.
    #[error("no azp-agent answers at {path}: {cause}; is azp-agent run running in this container?")]
    Nobody {
        /// The socket.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It does not answer in time.
    #[error("azp-agent does not answer within {PATIENCE:?}")]
    Late,
    /// What it says is not what this version knows.
    #[error("azp-agent's answer cannot be read: {0}")]
    Unknown(String),
}

/// Opens the door, in the place of one that an earlier process left.
///
/// # Errors
/// The file cannot be made there.
pub fn open(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Answers until it is dropped. A job may empty the folder that the file is in,
/// such as `/tmp`; it is made again then, so that no probe ends the job.
pub async fn answer(mut door: UnixListener, path: &Path, board: Board) {
    loop {
        let accepted = match timeout(LOOK, door.accept()).await {
            Ok(accepted) => accepted,
            Err(_) if path.exists() => continue,
            Err(_) => match open(path) {
                Ok(again) => {
                    tracing::warn!(path = %path.display(), "the socket was removed; it is back");
                    door = again;
                    continue;
                }
                Err(error) => Err(error),
            },
        };
        match accepted {
            // One after the other: an answer is short, and a slow asker is left.
            Ok((stream, _)) => {
                let _ = timeout(PATIENCE, tell(stream, &board.status())).await;
            }
            Err(error) => {
                tracing::debug!(%error, "a probe could not be let in");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn tell(mut stream: UnixStream, status: &Status) -> io::Result<()> {
    stream.write_all(&serde_json::to_vec(status)?).await?;
    stream.shutdown().await
}

/// Asks at a door.
///
/// # Errors
/// Nobody answers, not in time, or not understandably.
pub async fn ask(path: &Path) -> Result<Status, DoorError> {
    let asked = async {
        let nobody = |cause| DoorError::Nobody {
            path: path.display().to_string(),
            cause,
        };
        let stream = UnixStream::connect(path).await.map_err(nobody)?;
        let mut text = String::new();
        let mut stream = stream.take(LARGEST);
        stream.read_to_string(&mut text).await.map_err(nobody)?;
        serde_json::from_str(&text).map_err(|error| DoorError::Unknown(error.to_string()))
    };
    timeout(PATIENCE, asked)
        .await
        .unwrap_or(Err(DoorError::Late))
}
