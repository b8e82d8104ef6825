//! Agent pools: how a trigger names one, and the snapshot of its queue.
//!
//! May import: job requests. Invariant: a snapshot is whole. What could not be
//! read is an error and never a shorter list.

use std::fmt;

use super::job::{JobRequest, JobState};

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
    /// A queue of these jobs. A number that comes twice (a job that moved
    /// between two pages) counts once, in the state that has come further, or
    /// as its last row has it. Then finished jobs are left out, since the
    /// service sends them along under some queries.
    #[must_use]
    pub fn new(mut jobs: Vec<JobRequest>) -> Self {
        // The service promises no order.
        jobs.sort_by_key(|job| (job.id, progress(job.state)));
        jobs.reverse();
        jobs.dedup_by_key(|job| job.id);
        jobs.reverse();
        // Not before: a row that is over must outlive one that still runs.
        jobs.retain(|job| job.state.is_unfinished());
        jobs.shrink_to_fit();
        Self { jobs }
    }

    /// The jobs, lowest number first.
    #[must_use]
    pub fn jobs(&self) -> &[JobRequest] {
        &self.jobs
    }

    /// The jobs that run in this queue and did not in the one before.
    pub fn started_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a JobRequest> {
        let runs = |job: &&JobRequest| job.state == JobState::Running;
        self.jobs.iter().filter(runs).filter(move |job| {
            let known = before.jobs.binary_search_by_key(&job.id, |known| known.id);
            known.is_err() || known.is_ok_and(|known| before.jobs[known].state != JobState::Running)
        })
    }
}

// === impl PoolRef ===

impl PoolRef {
    /// Do both say the same? A name and a number are never the same, though
    /// they may lead to one pool.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Id(one), Self::Id(other)) => one == other,
            (Self::Name(one), Self::Name(other)) => same_name(one, other),
            _ => false,
        }
    }
}

// === impl Pool ===

impl Pool {
    /// Is this the pool that is meant?
    #[must_use]
    pub fn is_meant_by(&self, reference: &PoolRef) -> bool {
        match reference {
            PoolRef::Id(id) => *id == self.id,
            PoolRef::Name(name) => same_name(name, &self.name),
        }
    }
}

/// Names of pools differ by more than case, in any script.
#[must_use]
pub fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}

/// How far a state is on a job's way.
const fn progress(state: JobState) -> u8 {
    match state {
        JobState::Queued => 0,
        JobState::Assigned => 1,
        JobState::Running => 2,
        JobState::Finished(_) => 3,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::job::{JobResult, RequestId};

    const OVER: JobState = JobState::Finished(JobResult::Succeeded);

    fn row(id: u64, state: JobState, agent: &str) -> JobRequest {
        JobRequest {
            id: RequestId(id),
            state,
            demands: Arc::default(),
            queued_at: None,
            agent: Some(agent.into()),
            matched_agents: None,
            pipeline: None,
            run: None,
        }
    }

    #[test]
    fn of_two_rows_of_a_job_the_one_that_has_come_further_counts() {
        let order = [
            JobState::Queued,
            JobState::Assigned,
            JobState::Running,
            OVER,
        ];
        for (index, later) in order.into_iter().enumerate() {
            for earlier in order.into_iter().take(index) {
                let rows = || vec![row(7, earlier, "a"), row(7, later, "b")];
                let expected = if later == OVER {
                    vec![]
                } else {
                    vec![row(7, later, "b")]
                };
                assert_eq!(
                    Queue::new(rows()).jobs(),
                    expected,
                    "{earlier:?}, then {later:?}"
                );
                let back = rows().into_iter().rev().collect();
                assert_eq!(
                    Queue::new(back).jobs(),
                    expected,
                    "{later:?}, then {earlier:?}"
                );
            }
        }
    }

    #[test]
    fn of_two_rows_in_the_same_state_the_last_one_counts() {
        let rows = vec![
            row(7, JobState::Assigned, "a"),
            row(7, JobState::Assigned, "b"),
        ];
        assert_eq!(Queue::new(rows).jobs(), [row(7, JobState::Assigned, "b")]);
    }

    #[test]
    fn a_queue_has_the_unfinished_jobs_by_number() {
        let rows = vec![
            row(9, JobState::Queued, ""),
            row(8, OVER, ""),
            row(1, JobState::Running, ""),
            row(4, JobState::Assigned, ""),
        ];
        let queue = Queue::new(rows);
        let numbers: Vec<u64> = queue.jobs().iter().map(|job| job.id.0).collect();
        assert_eq!(numbers, [1, 4, 9]);
    }

    #[test]
    fn what_has_started_is_told_once() {
        let before = Queue::new(vec![
            row(1, JobState::Running, "a"),
            row(2, JobState::Queued, ""),
            row(3, JobState::Assigned, "b"),
            row(4, JobState::Queued, ""),
        ]);
        let now = Queue::new(vec![
            row(1, JobState::Running, "a"),
            row(2, JobState::Running, "c"),
            row(3, JobState::Running, "b"),
            row(4, JobState::Queued, ""),
            row(5, JobState::Running, "d"),
        ]);
        let numbers = |queue: &Queue, before| {
            let started = queue.started_since(before);
            started.map(|job| job.id.0).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&now, &before), [2, 3, 5]);
        assert_eq!(numbers(&now, &now), [0; 0]);
    }
}
