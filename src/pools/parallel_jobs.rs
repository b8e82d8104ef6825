//! The parallel jobs of an organization: one task that reads them with one
//! credential, for as long as a pool is watched with it.
//!
//! May import: its siblings, domain, ports, telemetry. Invariants: they cost one
//! request for each interval of a pool, however many pools there are, and none
//! where nobody asked for a cap; what fails here fails no pool.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::{
    pace::{Intervals, Pace},
    source::{Source, SourceId},
    view::Failure,
};
use crate::{domain::parallel_jobs::Usage, ports::ReadError, telemetry::metrics::AzureRoute};

/// What is known of them right now.
#[derive(Clone, Debug, Default)]
pub struct UsageView {
    /// The latest good reading.
    pub reading: Option<UsageReading>,
    /// Why the latest reading failed; `None` where it did not.
    pub failure: Option<Failure>,
}

/// One good reading.
#[derive(Clone, Debug)]
pub struct UsageReading {
    /// What was read. While it stays the same it stays the same allocation.
    pub usage: Arc<Usage>,
    /// When the service was asked.
    pub read_at: Instant,
}

/// The parallel jobs that one source reads.
#[derive(Debug, Default)]
pub struct ParallelJobs {
    views: watch::Sender<UsageView>,
    followed: AtomicBool,
    wanted: Notify,
}

// === impl UsageView ===

impl UsageView {
    /// Has anything been tried yet?
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.reading.is_some() || self.failure.is_some()
    }

    /// The latest reading, unless it is older than that: what is not known any
    /// more caps nothing.
    #[must_use]
    pub fn usage(&self, max_stale: Duration) -> Option<&Arc<Usage>> {
        let reading = self.reading.as_ref()?;
        (reading.read_at.elapsed() <= max_stale).then_some(&reading.usage)
    }

    fn after_reading(&self, usage: Usage, read_at: Instant) -> Self {
        let usage = match &self.reading {
            Some(before) if *before.usage == usage => Arc::clone(&before.usage),
            _ => Arc::new(usage),
        };
        Self {
            reading: Some(UsageReading { usage, read_at }),
            failure: None,
        }
    }

    fn after_failure(&self, error: ReadError, times: u32) -> Self {
        Self {
            reading: self.reading.clone(),
            failure: Some(Failure { error, times }),
        }
    }
}

// === impl ParallelJobs ===

impl ParallelJobs {
    /// The latest view.
    #[must_use]
    pub fn view(&self) -> UsageView {
        self.views.borrow().clone()
    }

    /// The latest view, and those to come.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<UsageView> {
        self.views.subscribe()
    }

    /// Somebody watches a pool of the source from now on. Is this the first time,
    /// so that somebody has to [`follow`] it?
    pub(super) fn is_wanted_first(&self) -> bool {
        self.wanted.notify_one();
        !self.followed.swap(true, Ordering::Relaxed)
    }
}

/// Reads them until the source is gone; `is_watched` tells whether any pool is
/// watched from it.
pub(super) async fn follow(
    source: Weak<Source>,
    intervals: Intervals,
    readings: watch::Sender<u64>,
    is_watched: impl Fn(&SourceId) -> bool,
) {
    let mut pace = Pace::new(intervals);
    while let Some(source) = source.upgrade() {
        let Some(parallel_jobs) = source.parallel_jobs() else {
            return;
        };
        if is_watched(source.id()) {
            read(&source, parallel_jobs, &mut pace).await;
            readings.send_modify(|count| *count += 1);
        }
        let failed = pace.failures() > 0;
        let wait = pace.wait(fastrand::f64());
        tokio::select! {
            () = sleep(wait) => {}
            // Not while it fails: the back-off holds whoever asks.
            () = parallel_jobs.wanted.notified(), if !failed => {}
        }
    }
}

async fn read(source: &Source, parallel_jobs: &ParallelJobs, pace: &mut Pace) {
    let asked = source
        .ask(AzureRoute::ParallelJobs, |api| api.parallel_jobs())
        .await;
    let before = parallel_jobs.view();
    let view = match asked.outcome {
        Ok(usage) => {
            if before.failure.is_some() {
                tracing::info!(
                    organization = %source.organization(),
                    "the parallel jobs can be read again"
                );
            }
            let view = before.after_reading(usage, asked.at);
            pace.read(!is_same(&before, &view));
            view
        }
        Err(error) => {
            pace.failed();
            tell(source, &before, &error);
            before.after_failure(error, pace.failures())
        }
    };
    parallel_jobs.views.send_replace(view);
}

fn is_same(before: &UsageView, now: &UsageView) -> bool {
    match (&before.reading, &now.reading) {
        (Some(before), Some(now)) => Arc::ptr_eq(&before.usage, &now.usage),
        _ => false,
    }
}

/// A failure is logged when it begins or changes, not at every turn.
fn tell(source: &Source, before: &UsageView, error: &ReadError) {
    let known = before.failure.as_ref().map(|failure| failure.error.kind());
    if known != Some(error.kind()) {
        tracing::warn!(
            organization = %source.organization(),
            kind = error.kind(),
            "the parallel jobs cannot be read, and cap nothing once the last reading is too old: \
             {error}"
        );
    }
}
