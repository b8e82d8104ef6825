//! Parallel jobs: how many jobs an organization may run at once on agents of its
//! own, and which waiting jobs get an agent while there are fewer than that.
//!
//! May import: job requests, pools; [`line`] the decision too. Invariants: pure,
//! so that every replica that read the same decides the same; a job that an agent
//! has is never held back, so a cap takes no busy agent; where the limit is not
//! known there is no cap.
//!
//! Azure DevOps gives an agent no job while all parallel jobs are in use, so an
//! agent that is started then idles. Whoever holds one is told by the service, job
//! by job: those of pools that are watched are passed over there, since the pool's
//! own snapshot tells of them, and no job is taken off twice, whichever of the two
//! was read first.

mod line;

use std::{cmp::Reverse, collections::HashSet};

pub use self::line::{Asker, Held, Line};
use super::{job::RequestId, pool::PoolId};

/// What the service says of an organization's parallel jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are; `None` for no limit.
    pub limit: Option<u32>,
    /// How many are in use, by the service's own count.
    pub used: u32,
    /// The jobs that use them, by number, as far as the service names them.
    pub holders: Vec<Holder>,
}

/// A job that uses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The job request.
    pub job: RequestId,
    /// Its pool; `None` where the service does not say.
    pub pool: Option<PoolId>,
}

/// A waiting job's place in the line for parallel jobs; the lowest is first: the
/// highest priority, then the job that was queued first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    priority: Reverse<i32>,
    job: RequestId,
}

/// How the parallel jobs of an organization are shared among those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How many there are.
    pub limit: u32,
    /// In use by jobs of pools that nobody watches here.
    pub elsewhere: u32,
    /// In use by jobs of pools that are watched.
    pub here: u32,
    /// Jobs of watched pools that could use one.
    pub waiting: u32,
    /// The first that gets none; `None` where there is one for each.
    first_held: Option<Place>,
}

// === impl Usage ===

impl Usage {
    /// Does this job use one already, whatever its state is said to be?
    #[must_use]
    pub fn holds(&self, job: RequestId) -> bool {
        let found = self.holders.binary_search_by_key(&job, |holder| holder.job);
        found.is_ok()
    }

    /// How many are used by jobs of other pools than these. A job whose pool is
    /// not told is taken for one of them: a cap that is too high costs an idle
    /// agent, one that is too low keeps a job waiting.
    fn elsewhere(&self, watched: &HashSet<PoolId>) -> u32 {
        let pools = self.holders.iter().filter_map(|holder| holder.pool);
        count(pools.filter(|pool| !watched.contains(pool)).count())
    }
}

// === impl Place ===

impl Place {
    /// The place of this job, where this is the highest priority of those who
    /// count it.
    #[must_use]
    pub const fn new(priority: i32, job: RequestId) -> Self {
        Self {
            priority: Reverse(priority),
            job,
        }
    }
}

// === impl Share ===

impl Share {
    /// Shares out what is free. Each line is that of another pool. `None` where
    /// there is no limit.
    #[must_use]
    pub fn new<'a>(
        usage: &Usage,
        lines: impl IntoIterator<Item = (PoolId, &'a Line)>,
    ) -> Option<Self> {
        let limit = usage.limit?;
        let (mut watched, mut here, mut places) = (HashSet::new(), 0_u32, Vec::new());
        for (pool, line) in lines {
            watched.insert(pool);
            here = here.saturating_add(line.in_use());
            places.extend_from_slice(line.places());
        }
        let elsewhere = usage.elsewhere(&watched);
        let free = limit.saturating_sub(elsewhere.saturating_add(here)) as usize;
        let waiting = count(places.len());
        let first_held = (free < places.len()).then(|| {
            let (_, first, _) = places.select_nth_unstable(free);
            *first
        });
        Some(Self {
            limit,
            elsewhere,
            here,
            waiting,
            first_held,
        })
    }

    /// How many are in use.
    #[must_use]
    pub const fn in_use(&self) -> u32 {
        self.elsewhere.saturating_add(self.here)
    }

    /// Are there fewer than jobs that could use one?
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.first_held.is_some()
    }

    /// How many of those who wait get none.
    #[must_use]
    pub const fn without(&self) -> u32 {
        let free = self.limit.saturating_sub(self.in_use());
        self.waiting.saturating_sub(free)
    }

    /// Does the job at this place get none?
    #[must_use]
    pub fn holds_back(&self, place: Place) -> bool {
        self.first_held.is_some_and(|first| place >= first)
    }
}

/// There are fewer jobs than that.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
