//! Reads what anybody can read, over HTTP: the scaler's status page and the
//! emulator's pool; and delivers service hooks, as Azure DevOps would.
//!
//! May import: the day. Invariant: one short request for each connection, and no
//! answer above a bound.

use std::net::SocketAddr;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::day::POOL;

/// The largest answer, in bytes.
const LARGEST: u64 = 16 << 20;

/// The scaler's status page, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StatusPage {
    pub(super) pools: Vec<PoolStatus>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct PoolStatus {
    pub(super) failure: Option<Failure>,
    pub(super) profiles: Vec<ProfileStatus>,
    pub(super) jobs: Vec<JobStatus>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ProfileStatus {
    pub(super) name: String,
    pub(super) sum: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobStatus {
    pub(super) id: u64,
    pub(super) state: String,
    pub(super) pipeline: Option<String>,
    pub(super) counted_by: Vec<String>,
    pub(super) why: Vec<String>,
}

/// The emulator's pool, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Pool {
    pub(super) counts: Counts,
    pub(super) agents: Vec<Agent>,
    pub(super) jobs: Vec<Job>,
}

/// Jobs by what has become of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) queued: u64,
    pub(super) assigned: u64,
    pub(super) running: u64,
    pub(super) succeeded: u64,
    pub(super) canceled: u64,
    pub(super) lost: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Agent {
    pub(super) name: String,
    pub(super) request_id: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Job {
    pub(super) queue_time: Timestamp,
    pub(super) receive_time: Option<Timestamp>,
}

/// The status page of the scaler that listens there.
pub(super) async fn status(scaler: SocketAddr) -> anyhow::Result<PoolStatus> {
    let page: StatusPage = get(scaler, &format!("/status?pool={POOL}")).await?;
    // Before the first call there is no pool.
    Ok(page.pools.into_iter().next().unwrap_or_default())
}

/// The pool of the emulator that listens there.
pub(super) async fn pool(emulator: SocketAddr) -> anyhow::Result<Pool> {
    get(emulator, &format!("/_emulator/pools/{POOL}")).await
}

/// Tells the scaler that a job waits.
///
/// Azure DevOps: the event names neither the pool nor what the job asks for, so
/// it can only mean «look».
pub(super) async fn deliver_hook(scaler: SocketAddr, secret: &str) -> anyhow::Result<()> {
    let event =
        r#"{"eventType":"ms.vss-pipelines.job-state-changed-event","publisherId":"pipelines"}"#;
    let request = format!(
        "POST /hooks/azure-devops HTTP/1.0\r\nX-Azp-Hook-Secret: {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
        event.len()
    );
    exchange(scaler, &request).await?;
    Ok(())
}

async fn get<T: DeserializeOwned>(address: SocketAddr, path: &str) -> anyhow::Result<T> {
    let body = exchange(address, &format!("GET {path} HTTP/1.0\r\n\r\n")).await?;
    serde_json::from_str(&body).with_context(|| format!("http://{address}{path} is unreadable"))
}

/// HTTP/1.0, in which the answer ends with the connection and comes in one piece.
async fn exchange(address: SocketAddr, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer).await?;
    let first = answer.lines().next().unwrap_or_default();
    anyhow::ensure!(
        first
            .split(' ')
            .nth(1)
            .is_some_and(|code| code.starts_with('2')),
        "http://{address} answered {first:?}"
    );
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(body.to_owned())
}
