//! One question over HTTP, to whoever listens nearby: a scaler or an emulator.
//!
//! May import: nothing of ours. Invariant: one short request for each
//! connection, bounded in time, and no answer above a bound.

use std::{io, time::Duration};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// The largest answer, in bytes.
const LARGEST: u64 = 16 << 20;

/// How long an answer may take.
const LONGEST: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody listens there.
    #[error("cannot connect to {at}: {error}")]
    NoConnection { at: String, error: io::Error },
    /// The connection broke, or the answer is no text.
    #[error("{at} does not answer: {error}")]
    Broken { at: String, error: io::Error },
    /// Something listens there that answers otherwise than asked.
    #[error("{at} answered {answer:?}")]
    Refused { at: String, answer: String },
    /// It is no JSON, or not the one that was asked for.
    #[error("the answer of {at} is unreadable: {error}")]
    Unreadable {
        at: String,
        error: serde_json::Error,
    },
}

/// `GET`, and the answer out of its JSON.
pub(super) async fn get<T: DeserializeOwned>(at: &str, path: &str) -> Result<T, AskError> {
    read(at, &get_text(at, path).await?)
}

/// The JSON of an answer.
pub(super) fn read<T: DeserializeOwned>(at: &str, body: &str) -> Result<T, AskError> {
    serde_json::from_str(body).map_err(|error| AskError::Unreadable {
        at: at.to_owned(),
        error,
    })
}

/// `GET`, and the answer as it is.
pub(super) async fn get_text(at: &str, path: &str) -> Result<String, AskError> {
    ask(at, &format!("GET {path} HTTP/1.0\r\n"), "").await
}

/// HTTP/1.0, in which the answer ends with the connection and comes in one
/// piece. `at` is `HOST:PORT`; the head's last line is left to add.
pub(super) async fn ask(at: &str, head: &str, body: &str) -> Result<String, AskError> {
    let no_connection = |error| AskError::NoConnection {
        at: at.to_owned(),
        error,
    };
    let broken = |error| AskError::Broken {
        at: at.to_owned(),
        error,
    };
    let stream = timeout(LONGEST, TcpStream::connect(at)).await;
    let stream = stream.map_err(|late| no_connection(late.into()))?;
    let stream = stream.map_err(no_connection)?;
    let request = format!("{head}Host: {at}\r\n\r\n{body}");
    let answer = timeout(LONGEST, exchange(stream, &request)).await;
    let answer = answer.map_err(|late| broken(late.into()))?;
    let answer = answer.map_err(broken)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let first = head.lines().next().unwrap_or_default();
    let code = first.split(' ').nth(1).unwrap_or_default();
    if code.starts_with('2') {
        return Ok(body.to_owned());
    }
    let why = body.lines().next().unwrap_or_default();
    let answer = format!("{first} {why}").chars().take(200).collect();
    Err(AskError::Refused {
        at: at.to_owned(),
        answer,
    })
}

async fn exchange(mut stream: TcpStream, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer).await?;
    Ok(answer)
}
