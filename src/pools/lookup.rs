//! Looking a pool up: from the name or number in a trigger to its watcher.
//!
//! May import: its siblings, domain, ports, telemetry. Invariant: a pool that
//! cannot be found is an error with a reason, asked for again at a growing
//! interval however often KEDA calls; it is never an empty queue.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{PoolAddress, Pools, pace::Pace, source::Source, view::Failure, watcher::WatchedPool};
use crate::{domain::pool::Pool, ports::ReadError, telemetry::metrics::AzureRoute};

/// Pools are seldom renamed.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(600);

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

    /// Looks the pool up until it is found, and again when it seems to be gone.
    pub(super) async fn run(self, handle: Arc<PoolHandle>) {
        let mut pace = Pace::new(self.pools.settings.intervals);
        // The kind of the failure that lasts, which was told when it began.
        let mut told = None;
        while !handle.retired.is_cancelled() && self.pools.handles.contains_key(&self.address) {
            let outcome = self.look().await;
            let looked_at = Instant::now();
            match outcome {
                Ok(pool) => {
                    pace.read(true);
                    told = None;
                    let watched = self.watched(&handle, pool);
                    self.wait_until_gone(&handle, &watched).await;
                }
                Err(error) => {
                    pace.failed();
                    if told.replace(error.kind()) != Some(error.kind()) {
                        self.tell(&error);
                    }
                    not_found(&handle, error, pace.failures());
                    self.pools.readings.send_modify(|count| *count += 1);
                }
            }
            // Whatever the service says, a name is not looked up more often
            // than a queue is read.
            tokio::select! {
                () = sleep_until(looked_at + pace.wait(fastrand::f64())) => {}
                () = handle.retired.cancelled() => {}
            }
        }
    }

    async fn look(&self) -> Result<Pool, ReadError> {
        let pool = &self.address.pool;
        self.source
            .ask(AzureRoute::Pool, |api| api.pool(pool))
            .await
            .outcome
    }

    /// The watcher of the pool that was found: the one that there is, unless
    /// the pool was made anew and has another number.
    fn watched(&self, handle: &PoolHandle, pool: Pool) -> Arc<WatchedPool> {
        if let Found::Yes(watched) = handle.found() {
            if watched.pool().id == pool.id && !watched.has_ended() {
                return watched;
            }
            self.pools.forget(&watched);
        }
        tracing::info!(
            pool = %pool.name,
            id = %pool.id,
            organization = %self.source.organization(),
            "watching the pool"
        );
        let watched = self.pools.watch(&self.source, pool);
        handle.found.send_replace(Found::Yes(Arc::clone(&watched)));
        watched
    }

    /// Waits until a reading says that the pool is not there, or until its
    /// watcher has ended while this name was not asked for; and not for ever,
    /// since the name may go over to another pool.
    async fn wait_until_gone(&self, handle: &PoolHandle, watched: &WatchedPool) {
        let mut views = watched.views();
        let again = sleep(LOOK_AGAIN_AFTER);
        tokio::pin!(again);
        loop {
            tokio::select! {
                () = &mut again => return,
                changed = views.changed() => if changed.is_err() { return },
                () = watched.ended() => return,
                () = handle.retired.cancelled() => return,
            }
            let view = views.borrow_and_update();
            let error = view.failure.as_ref().map(|failure| &failure.error);
            if matches!(error, Some(ReadError::PoolNotFound { .. })) {
                return;
            }
        }
    }

    fn tell(&self, error: &ReadError) {
        let (organization, pool) = (self.source.organization(), &self.address.pool);
        tracing::warn!(%pool, %organization, kind = error.kind(), "the pool cannot be looked up: {error}");
    }
}

/// A pool that was found once keeps its last snapshot: whether that is too old
/// is not decided here.
fn not_found(handle: &PoolHandle, error: ReadError, times: u32) {
    if !matches!(handle.found(), Found::Yes(_)) {
        let failure = Failure { error, times };
        handle.found.send_replace(Found::No(failure));
    }
}
