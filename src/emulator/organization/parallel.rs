//! Parallel jobs: how many jobs of all pools may be with an agent at once.
//!
//! May import: nothing of ours. Invariant: as many are in use as there are
//! unfinished jobs that were given to an agent, never more than the limit was
//! when each was given.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

/// Those of one organization; clones are the same. Only ever touched under the
/// organization's lock: the atomics are there to be shared by its pools.
#[derive(Clone, Debug)]
pub(super) struct ParallelJobs(Arc<State>);

#[derive(Debug)]
struct State {
    /// `u32::MAX` for no limit.
    limit: AtomicU32,
    used: AtomicU32,
    /// Has one come free since the pools were last asked?
    freed: AtomicBool,
}

// === impl ParallelJobs ===

impl ParallelJobs {
    /// No limit, none in use.
    pub(super) fn unlimited() -> Self {
        Self(Arc::new(State {
            limit: AtomicU32::new(u32::MAX),
            used: AtomicU32::new(0),
            freed: AtomicBool::new(false),
        }))
    }

    pub(super) fn limit(&self) -> Option<u32> {
        let limit = self.0.limit.load(Relaxed);
        (limit != u32::MAX).then_some(limit)
    }

    /// Jobs that run go on, however low the new limit is.
    pub(super) fn set_limit(&self, limit: Option<u32>) {
        self.0.limit.store(limit.unwrap_or(u32::MAX), Relaxed);
        self.0.freed.store(true, Relaxed);
    }

    pub(super) fn used(&self) -> u32 {
        self.0.used.load(Relaxed)
    }

    /// Takes one, if there is one.
    pub(super) fn take(&self) -> bool {
        let used = self.used();
        let free = used < self.0.limit.load(Relaxed);
        if free {
            self.0.used.store(used + 1, Relaxed);
        }
        free
    }

    pub(super) fn give_back(&self) {
        self.0.used.store(self.used().saturating_sub(1), Relaxed);
        self.0.freed.store(true, Relaxed);
    }

    /// Has one come free since this was last asked, in whichever pool?
    pub(super) fn has_freed(&self) -> bool {
        self.0.freed.swap(false, Relaxed)
    }
}
