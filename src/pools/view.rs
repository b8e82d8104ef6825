//! What a watcher knows of its pool's queue right now.
//!
//! May import: domain, ports. Invariant: a queue is here only if it was read
//! whole; a failure stands beside the last good queue and never replaces it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{domain::pool::Queue, ports::ReadError};

/// The latest snapshot of a pool's queue, and what has happened since.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The queue when it was last read; `None` before the first reading.
    pub snapshot: Option<Snapshot>,
    /// Why the latest reading failed; `None` where it did not.
    pub failure: Option<Failure>,
}

/// A queue, and when it was like that.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The queue. While it stays the same it stays the same allocation, so
    /// that nobody decides it again.
    pub queue: Arc<Queue>,
    /// When it was last seen to be like that: the start of the reading, since
    /// the service may have made its answer up at any time after.
    pub read_at: Instant,
}

/// A reading that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Why.
    pub error: ReadError,
    /// How many failed in a row.
    pub times: u32,
}

// === impl View ===

impl View {
    /// The view after a good reading.
    #[must_use]
    pub(super) fn after_reading(&self, queue: Queue, read_at: Instant) -> Self {
        let snapshot = match &self.snapshot {
            Some(before) if *before.queue == queue => Snapshot {
                read_at,
                ..before.clone()
            },
            _ => Snapshot {
                queue: Arc::new(queue),
                read_at,
            },
        };
        Self {
            snapshot: Some(snapshot),
            failure: None,
        }
    }

    /// The view after a reading that failed.
    #[must_use]
    pub(super) fn after_failure(&self, error: ReadError, times: u32) -> Self {
        Self {
            snapshot: self.snapshot.clone(),
            failure: Some(Failure { error, times }),
        }
    }

    /// Do both show the same queue?
    #[must_use]
    pub(super) fn is_same_queue(&self, other: &Self) -> bool {
        match (&self.snapshot, &other.snapshot) {
            (Some(a), Some(b)) => Arc::ptr_eq(&a.queue, &b.queue),
            (a, b) => a.is_none() && b.is_none(),
        }
    }

    /// Has anything been tried yet?
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.snapshot.is_some() || self.failure.is_some()
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// How old it is.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.read_at.elapsed()
    }

    /// Is it too old to be answered from?
    #[must_use]
    pub fn is_stale(&self, max_stale: Duration) -> bool {
        self.age() > max_stale
    }
}
