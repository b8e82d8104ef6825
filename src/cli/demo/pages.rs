//! Reads what anybody can read, over HTTP: the scaler's status page and the
//! emulator's pool; and delivers service hooks, as Azure DevOps would.
//!
//! May import: the day, asking. Invariant: nothing is read that a user could not
//! read.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Deserialize;

use super::day::POOL;
use crate::cli::{
    ask::{ask, get},
    status_page::{PoolStatus, StatusPage},
};

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
    let page: StatusPage = get(&scaler.to_string(), &format!("/status?pool={POOL}")).await?;
    // Before the first call there is no pool.
    Ok(page.pools.into_iter().next().unwrap_or_default())
}

/// The pool of the emulator that listens there.
pub(super) async fn pool(emulator: SocketAddr) -> anyhow::Result<Pool> {
    let path = format!("/_emulator/pools/{POOL}");
    Ok(get(&emulator.to_string(), &path).await?)
}

/// Tells the scaler that a job waits.
///
/// Azure DevOps: the event names neither the pool nor what the job asks for, so
/// it can only mean «look».
pub(super) async fn deliver_hook(scaler: SocketAddr, secret: &str) -> anyhow::Result<()> {
    let event =
        r#"{"eventType":"ms.vss-pipelines.job-state-changed-event","publisherId":"pipelines"}"#;
    let head = format!(
        "POST /hooks/azure-devops HTTP/1.0\r\nX-Azp-Hook-Secret: {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        event.len()
    );
    ask(&scaler.to_string(), &head, event).await?;
    Ok(())
}
