//! Looking a pool up: from the name or number in a trigger to its watcher.
//!
//! May import: its siblings, domain, ports, telemetry. Invariant: a pool that
//! cannot be found is an error with a reason, asked for again at a growing
//! interval however often KEDA calls; it is never an empty queue.

use std::sync::Arc;

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{PoolAddress, Pools, pace::Pace, source::Source, view::Failure, watcher::WatchedPool};
use crate::{ports::ReadError, telemetry::metrics::AzureRoute};

/// A pool as a trigger names it, found or not.
#[derive(Debug)]
pub struct PoolHandle {
    found: watch::Sender<Found>,
    /// Forgotten, or its place taken by another.
    retired: CancellationToken,
}

/// How far the search for a pool has come.
#[derive(Clone, Debug)]
pub enum Found {
    /// It goes on.
    NotYet,
    /// The last attempt failed.
    No(Failure),
    /// It is watched.
    Yes(Arc<WatchedPool>),
}

/// The task that looks a pool up, and again when the pool has gone.
pub(super) struct Lookup {
    pools: Pools,
    source: Arc<Source>,
    address: PoolAddress,
}

// === impl PoolHandle ===

impl PoolHandle {
    pub(super) fn new() -> Self {
        Self {
            found: watch::Sender::new(Found::NotYet),
            retired: CancellationToken::new(),
        }
    }

    /// Ends the search for it.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    /// How far the search has come.
    #[must_use]
    pub fn found(&self) -> Found {
        self.found.borrow().clone()
    }

    /// The same, and what comes of it.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Found> {
        self.found.subscribe()
    }
}

// === impl Lookup ===

impl Lookup {
    pub(super) fn new(pools: Pools, source: Arc<Source>, address: PoolAddress) -> Self {
        Self {
            pools,
            source,
            address,
        }
    }

    /// Looks the pool up until it is found; then waits until it is gone.
    pub(super) async fn run(self, handle: Arc<PoolHandle>) {
        let mut pace = Pace::new(self.pools.settings.intervals);
        while !handle.retired.is_cancelled() && self.pools.handles.contains_key(&self.address) {
            match self.look().await {
                Ok(watched) => {
                    pace.read(true);
                    handle.found.send_replace(Found::Yes(Arc::clone(&watched)));
                    self.wait_until_gone(&handle, &watched).await;
                    handle.found.send_replace(Found::NotYet);
                }
                Err(error) => {
                    pace.failed();
                    self.tell(&handle, &error);
                    let failure = Failure {
                        error,
                        times: pace.failures(),
                    };
                    handle.found.send_replace(Found::No(failure));
                    let wait = sleep(pace.wait(fastrand::f64()));
                    tokio::select! {
                        () = wait => {}
                        () = handle.retired.cancelled() => return,
                    }
                }
            }
        }
    }

    async fn look(&self) -> Result<Arc<WatchedPool>, ReadError> {
        self.source.wait(self.pools.settings.intervals.busy).await;
        let started = Instant::now();
        let outcome = self.source.api().pool(&self.address.pool).await;
        let metrics = &self.pools.metrics;
        metrics.azure_request(AzureRoute::Pool, outcome.as_ref().err(), started.elapsed());
        if let Some(pause) = outcome
            .as_ref()
            .map_or_else(ReadError::retry_after, |reading| reading.pause)
        {
            self.source.pause(pause);
        }
        let pool = outcome?.value;
        tracing::info!(
            pool = %pool.name,
            id = %pool.id,
            organization = %self.source.organization(),
            "watching the pool"
        );
        Ok(self.pools.watch(&self.source, pool))
    }

    /// A pool may be deleted and made anew under the same name, with another
    /// number; and its watcher may have ended while this name was not asked for.
    async fn wait_until_gone(&self, handle: &PoolHandle, watched: &WatchedPool) {
        let mut views = watched.views();
        while !watched.has_ended() {
            let gone = |view: &super::View| {
                view.failure
                    .as_ref()
                    .is_some_and(|failure| matches!(failure.error, ReadError::PoolNotFound { .. }))
            };
            if gone(&views.borrow_and_update()) {
                self.pools.watched.invalidate(watched.key());
                return;
            }
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                () = watched.ended() => return,
                () = handle.retired.cancelled() => return,
            }
        }
    }

    fn tell(&self, handle: &PoolHandle, error: &ReadError) {
        let known =
            matches!(handle.found(), Found::No(before) if before.error.kind() == error.kind());
        if !known {
            let PoolAddress { organization, pool } = &self.address;
            tracing::warn!(%pool, %organization, kind = error.kind(), "the pool cannot be looked up: {error}");
        }
    }
}
