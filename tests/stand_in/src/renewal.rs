//! The lock on a job: taken before the worker starts, renewed while it runs.
//!
//! Agent: `JobDispatcher.cs`, `RenewJobRequestAsync`. Invariant: it comes to an
//! end only when the job is lost; who no longer needs the lock drops it.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use tokio::{sync::oneshot, time::sleep};

use crate::{
    diag::note,
    pace::Pace,
    server::{Server, ServerError},
    wire::{JobRequest, Renewed, RequestUpdate},
};

/// How often the first renewal is tried again.
const FIRST_RETRIES: u32 = 5;

/// How long after the lock's end a renewal is still tried.
const AFTER_THE_END: SignedDuration = SignedDuration::from_mins(5);

/// A lock of this length is assumed where the server says none.
const USUAL_LOCK: SignedDuration = SignedDuration::from_mins(10);

/// Keeps the lock until the job is lost. `first` fires when it is first held.
pub(crate) async fn keep(
    server: Arc<Server>,
    pool: i64,
    job: Arc<JobRequest>,
    pace: Pace,
    first: oneshot::Sender<()>,
) {
    let mut first = Some(first);
    let mut failures = 0;
    let mut until = Timestamp::now();
    loop {
        let wait = match renew(&server, pool, &job).await {
            Ok(renewed) => {
                failures = 0;
                until = renewed.locked_until.unwrap_or_else(|| from_now(USUAL_LOCK));
                note!("request {} is locked until {until}", job.request_id);
                // The receiver is dropped when the job is cancelled meanwhile.
                first.take().map(|first| first.send(()));
                pace.renew()
            }
            Err(error) if error.job_is_lost() => {
                note!("request {} is no longer ours: {error}", job.request_id);
                return;
            }
            Err(error) => {
                failures += 1;
                note!("request {} was not renewed: {error}", job.request_id);
                let held = first.is_none();
                match held {
                    false if failures <= FIRST_RETRIES => pace.first_renewal(),
                    true if Timestamp::now() < after(until) => pace.renewal(failures),
                    _ => return,
                }
            }
        };
        sleep(wait).await;
    }
}

async fn renew(server: &Server, pool: i64, job: &JobRequest) -> Result<Renewed, ServerError> {
    let body = RequestUpdate {
        request_id: job.request_id,
        finish_time: None,
        result: None,
    };
    update(server, pool, job, &body).await
}

/// Changes the job request on the server.
pub(crate) async fn update(
    server: &Server,
    pool: i64,
    job: &JobRequest,
    body: &RequestUpdate,
) -> Result<Renewed, ServerError> {
    let (pool, id) = (pool.to_string(), job.request_id.to_string());
    let path = ["distributedtask", "pools", &pool, "jobrequests", &id];
    let query = [("lockToken", job.lock_token.as_str())];
    let request = server.request(Method::PATCH, &path, &query).body(body);
    request.within(Duration::from_secs(30)).read().await
}

fn from_now(length: SignedDuration) -> Timestamp {
    Timestamp::now()
        .saturating_add(length)
        .unwrap_or(Timestamp::MAX)
}

fn after(end: Timestamp) -> Timestamp {
    end.saturating_add(AFTER_THE_END).unwrap_or(Timestamp::MAX)
}
