//! Agent pools: how a trigger names one, and the snapshot of its queue.
//!
//! May import: job requests. Invariant: a snapshot is whole. What could not be
//! read is an error and never a shorter list.

use std::fmt;

use super::job::JobRequest;

/// A pool's number in its organization. Not the number of a project's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);

/// How a trigger names its pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolRef {
    /// By name (`poolName`).
    Name(Box<str>),
    /// By number (`poolID`).
    Id(PoolId),
}

/// A pool as the service describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// Its name.
    pub name: Box<str>,
    /// Microsoft runs its agents, so nobody can scale it.
    pub is_hosted: bool,
}

/// The unfinished job requests of a pool at one moment, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    jobs: Vec<JobRequest>,
}

// === impl Queue ===

impl Queue {
    /// A queue of these jobs. Finished ones are left out, since the service
    /// sends them along under some queries; a number that comes twice (a job
    /// that moved between two pages) counts once, in its later state.
    #[must_use]
    pub fn new(mut jobs: Vec<JobRequest>) -> Self {
        jobs.retain(|job| job.state.is_unfinished());
        // The service promises no order.
        jobs.sort_by_key(|job| job.id);
        jobs.reverse();
        jobs.dedup_by_key(|job| job.id);
        jobs.reverse();
        jobs.shrink_to_fit();
        Self { jobs }
    }

    /// The jobs, lowest number first.
    #[must_use]
    pub fn jobs(&self) -> &[JobRequest] {
        &self.jobs
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PoolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Id(id) => write!(f, "#{id}"),
        }
    }
}
