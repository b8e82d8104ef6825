//! The output of a job on its way to the server, in batches.
//!
//! Agent: `JobServerQueue.cs`: lines are sent when they come, several at a time,
//! and given up when the server does not take them. Invariant: memory is
//! bounded: a step that writes faster than the server takes is slowed down.

use std::sync::Arc;

use reqwest::Method;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Duration, sleep, timeout},
};

use crate::{
    diag::note,
    pace::Pace,
    server::{Server, ServerError},
    wire::{FeedLines, JobCompleted, JobRequest, JobResult},
};

/// Lines that wait, and what is sent at once, in lines and in bytes.
const WAITING: usize = 1000;
const BATCH: usize = 200;
const BATCH_BYTES: usize = 128 << 10;

/// Of a longer line the beginning is sent, in bytes.
const LONGEST_LINE: usize = 8 << 10;

/// How often a batch is tried.
const ATTEMPTS: u32 = 5;

/// How long the last lines may take, all in all.
const LAST_LINES: Duration = Duration::from_secs(30);

/// The way of a job's lines to the server.
pub(crate) struct Feed {
    lines: mpsc::Sender<String>,
    task: JoinHandle<()>,
}

// === impl Feed ===

impl Feed {
    pub(crate) fn start(server: Arc<Server>, job: Arc<JobRequest>, pace: Pace) -> Self {
        let (lines, receive) = mpsc::channel(WAITING);
        Self {
            lines,
            task: tokio::spawn(send(server, job, pace, receive)),
        }
    }

    pub(crate) async fn line(&self, line: impl Into<String>) {
        let mut line = line.into();
        line.truncate(line.floor_char_boundary(LONGEST_LINE));
        // It takes lines until it is closed.
        let _ = self.lines.send(line).await;
    }

    /// Waits until all is sent or given up.
    pub(crate) async fn close(self) {
        drop(self.lines);
        if timeout(LAST_LINES, self.task).await.is_err() {
            note!("the last lines were not sent in time");
        }
    }
}

async fn send(
    server: Arc<Server>,
    job: Arc<JobRequest>,
    pace: Pace,
    mut lines: mpsc::Receiver<String>,
) {
    while let Some(line) = lines.recv().await {
        let mut bytes = line.len();
        let mut batch = vec![line];
        while bytes < BATCH_BYTES && batch.len() < BATCH {
            let Ok(line) = lines.try_recv() else { break };
            bytes += line.len();
            batch.push(line);
        }
        for attempt in 1..=ATTEMPTS {
            let Err(error) = post(&server, &job, &batch).await else {
                break;
            };
            note!("attempt {attempt} to send {} lines: {error}", batch.len());
            if attempt < ATTEMPTS {
                sleep(pace.brief()).await;
            }
        }
    }
}

/// Sends lines, once.
pub(crate) async fn post(
    server: &Server,
    job: &JobRequest,
    lines: &[String],
) -> Result<(), ServerError> {
    let (plan, record) = (job.plan_id.as_str(), job.job_id.as_str());
    let hub = ["distributedtask", "hubs", "build", "plans", plan];
    // Of the plan's timelines only one is ever used here; any name will do.
    let path = hub
        .into_iter()
        .chain(["timelines", plan, "records", record, "feed"]);
    let path: Vec<_> = path.collect();
    let body = FeedLines {
        count: lines.len(),
        value: lines,
    };
    let request = server.request(Method::POST, &path, &[]).body(&body);
    request.send().await.map(drop)
}

/// Says how the job ended, as the worker sees it.
pub(crate) async fn completed(server: &Server, job: &JobRequest, result: JobResult, pace: Pace) {
    let plan = job.plan_id.as_str();
    let path = ["distributedtask", "hubs", "build", "plans", plan, "events"];
    let body = JobCompleted {
        name: "JobCompleted",
        job_id: &job.job_id,
        request_id: job.request_id,
        result,
    };
    for attempt in 1..=ATTEMPTS {
        let request = server.request(Method::POST, &path, &[]).body(&body);
        let Err(error) = request.send().await else {
            return;
        };
        note!("attempt {attempt} to say that the job is done: {error}");
        if attempt < ATTEMPTS {
            sleep(pace.brief()).await;
        }
    }
}
