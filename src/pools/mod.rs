//! Pools: one watcher for each pool that somebody asks for, and its latest
//! snapshot in memory.
//!
//! May import: domain, ports, telemetry. Invariant: however many scaling
//! objects read a pool, and whether they name it by name or by number, it costs
//! one request for each interval.

mod lookup;
mod pace;
mod parallel_jobs;
mod source;
mod view;
mod watcher;

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;
use tokio::sync::watch;

pub use self::{
    lookup::{Found, PoolHandle},
    pace::Intervals,
    parallel_jobs::{ParallelJobs, UsageReading, UsageView},
    source::{Quota, Source, SourceId, SourceSettings},
    view::{Failure, Snapshot, View},
    watcher::WatchedPool,
};
use crate::domain::pool::{Pool, PoolId, PoolRef};

/// How pools are watched.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// How often they are read.
    pub intervals: Intervals,
    /// A pool that nobody has asked for this long is watched no more.
    pub forget_after: Duration,
    /// How many pools there may be at most.
    pub max_pools: u64,
}

/// There are as many pools as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPools;

/// A pool as a trigger names it: one pool may have several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolAddress {
    /// Where it is read from.
    pub source: SourceId,
    /// The name or number there.
    pub pool: PoolRef,
}

/// What a pool has one of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// Where it is read from.
    pub source: SourceId,
    /// The number there.
    pub id: PoolId,
}

/// All pools that somebody asks for.
///
/// Clones share the same pools.
#[derive(Clone)]
pub struct Pools {
    settings: PoolSettings,
    /// moka keeps both by time: what nobody has read for a while is gone.
    handles: Cache<PoolAddress, Arc<PoolHandle>>,
    watched: Cache<PoolKey, Arc<WatchedPool>>,
    /// Counts readings, of whichever pool.
    readings: watch::Sender<u64>,
}

// === impl Pools ===

impl Pools {
    /// No pools yet.
    #[must_use]
    pub fn new(settings: PoolSettings) -> Self {
        Self {
            handles: Cache::builder()
                .time_to_idle(settings.forget_after)
                .eviction_listener(|_, handle: Arc<PoolHandle>, _| handle.retire())
                .build(),
            watched: Cache::builder()
                .time_to_idle(settings.forget_after)
                .eviction_listener(|_, watched: Arc<WatchedPool>, _| watched.retire())
                .build(),
            readings: watch::Sender::default(),
            settings,
        }
    }

    /// The pool that a trigger names; it is watched from now on, for as long as
    /// somebody goes on asking.
    ///
    /// # Errors
    /// Where there are too many pools already.
    pub fn handle(
        &self,
        source: &Arc<Source>,
        address: &PoolAddress,
    ) -> Result<Arc<PoolHandle>, TooManyPools> {
        if let Some(handle) = self.handles.get(address) {
            if let Found::Yes(watched) = handle.found() {
                // Keeps the watcher as well, by its number.
                let _ = self.watched.get(watched.key());
            }
            return Ok(handle);
        }
        self.handles.run_pending_tasks();
        if self.handles.entry_count() >= self.settings.max_pools {
            return Err(TooManyPools);
        }
        let entry = self.handles.entry(address.clone());
        let entry = entry.or_insert_with(|| Arc::new(PoolHandle::new()));
        if entry.is_fresh() {
            // Only now: the task ends when the cache does not hold its pool, and
            // the cache holds nothing before an initializer has returned.
            let looking = lookup::Lookup::new(self.clone(), Arc::clone(source), address.clone());
            tokio::spawn(looking.run(Arc::clone(entry.value())));
        }
        Ok(entry.into_value())
    }

    /// Counts readings of all pools, good ones or not, and searches in vain, so that
    /// any can be awaited.
    #[must_use]
    pub fn readings(&self) -> &watch::Sender<u64> {
        &self.readings
    }

    /// How many pools there may be at most.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.settings.max_pools
    }

    /// Every pool that is being watched.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<WatchedPool>> {
        self.watched.iter().map(|(_, watched)| watched).collect()
    }

    /// How many ways to name a pool are looked up.
    #[must_use]
    pub fn lookups(&self) -> u64 {
        self.handles.iter().count() as u64
    }

    /// The name of a pool whose watcher should have come round long ago. A
    /// service that fails slowly, or wants a pause, is no watcher's fault.
    #[must_use]
    pub fn stuck(&self) -> Option<String> {
        let pools = self.all();
        let late = |pool: &&Arc<WatchedPool>| pool.is_late_by(pool.source().patience(pools.len()));
        let stuck = pools.iter().find(late)?;
        Some(stuck.pool().name.to_string())
    }

    /// Every pool that is named but not found yet, with the reason.
    #[must_use]
    pub fn not_found(&self) -> Vec<(PoolAddress, Option<Failure>)> {
        let handles = self.ways().into_iter().filter_map(|(address, found)| {
            let failure = match found {
                Found::Yes(_) => return None,
                Found::NotYet => None,
                Found::No(failure) => Some(failure),
            };
            Some((address, failure))
        });
        handles.collect()
    }

    /// Every way in which a pool is named, and how far the search for it has come.
    #[must_use]
    pub fn ways(&self) -> Vec<(PoolAddress, Found)> {
        let handles = self.handles.iter();
        handles
            .map(|(address, handle)| ((*address).clone(), handle.found()))
            .collect()
    }

    /// The watcher of a pool; the same for every name that the pool has.
    fn watch(&self, source: &Arc<Source>, pool: Pool) -> Arc<WatchedPool> {
        let key = PoolKey {
            source: source.id().clone(),
            id: pool.id,
        };
        let entry = self.watched.entry(key.clone());
        let entry = entry.or_insert_with(|| {
            let readings = self.readings.clone();
            Arc::new(WatchedPool::new(
                Arc::clone(source),
                key.clone(),
                pool,
                readings,
            ))
        });
        if entry.is_fresh() {
            self.follow_parallel_jobs(source);
            let (cache, task) = (self.watched.clone(), Arc::clone(entry.value()));
            let intervals = self.settings.intervals;
            tokio::spawn(async move {
                // Not a read of the cache, so it does not count as asking.
                task.run(intervals, || cache.contains_key(&key)).await;
            });
        }
        entry.into_value()
    }

    /// Has the parallel jobs of a source read, where they are to cap anything.
    fn follow_parallel_jobs(&self, source: &Arc<Source>) {
        let parallel_jobs = source.parallel_jobs();
        if parallel_jobs.is_some_and(ParallelJobs::is_wanted_first) {
            let watched = self.watched.clone();
            let is_watched = move |id: &SourceId| watched.iter().any(|(key, _)| key.source == *id);
            tokio::spawn(parallel_jobs::follow(
                Arc::downgrade(source),
                self.settings.intervals,
                self.readings.clone(),
                is_watched,
            ));
        }
    }

    /// Ends a watcher whose pool is gone, unless another has its place.
    fn forget(&self, watched: &Arc<WatchedPool>) {
        let held = self.watched.get(watched.key());
        if held.is_some_and(|held| Arc::ptr_eq(&held, watched)) {
            self.watched.invalidate(watched.key());
        }
    }
}

impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pools")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
