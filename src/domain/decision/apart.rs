//! Counting by KEDA's own rules, apart from the claim.
//!
//! May import: its siblings, the claim, jobs, numbers, profiles, queues.
//! Invariant: each rule counts for itself, as one KEDA trigger knows nothing of
//! another; what is over counts by none.

use std::{collections::HashMap, sync::Arc};

use super::{NotFree, tally};
use crate::domain::{
    claim::Claim,
    job::JobRequest,
    number::Tally,
    pool::Queue,
    profile::{Matching, Profile},
};

/// Counts for KEDA's own rules. Jobs with the same demands (or matched agents)
/// share them in memory, so each rule is asked once for each list and not once
/// for each job.
pub(super) struct CountedApart<'a> {
    queue: &'a Queue,
    /// Parallel to the queue.
    claims: &'a [Claim],
    not_free: &'a NotFree<'a>,
    by_demands: Option<Groups<'a>>,
    by_matched_agents: Option<Groups<'a>>,
}

/// Jobs by the address of what they share.
type Groups<'a> = HashMap<usize, Group<'a>>;

struct Group<'a> {
    /// One of them, for all.
    job: &'a JobRequest,
    tally: Tally,
    /// Does any profile count them?
    counted: bool,
}

// === impl CountedApart ===

impl<'a> CountedApart<'a> {
    pub(super) fn new(queue: &'a Queue, claims: &'a [Claim], not_free: &'a NotFree<'a>) -> Self {
        Self {
            queue,
            claims,
            not_free,
            by_demands: None,
            by_matched_agents: None,
        }
    }

    pub(super) fn tally(&mut self, profile: &Profile) -> Tally {
        let (queue, claims, not_free) = (self.queue, self.claims, self.not_free);
        let groups = match profile.matching {
            Matching::Parent(_) => self
                .by_matched_agents
                .get_or_insert_with(|| grouped(queue, claims, not_free, matched_agents)),
            _ => self
                .by_demands
                .get_or_insert_with(|| grouped(queue, claims, not_free, demands)),
        };
        let mut sum = Tally::default();
        for group in groups.values_mut() {
            if profile.fits(group.job).is_ok() {
                sum.add(group.tally);
                group.counted = true;
            }
        }
        sum
    }

    /// Does any of the profiles that were tallied count this job?
    pub(super) fn counts(&self, job: &JobRequest) -> bool {
        let counted = |groups: &Option<Groups<'_>>, address: fn(&JobRequest) -> usize| {
            let group = groups.as_ref().and_then(|groups| groups.get(&address(job)));
            group.is_some_and(|group| group.counted)
        };
        counted(&self.by_demands, demands) || counted(&self.by_matched_agents, matched_agents)
    }
}

/// The address of what such jobs share.
pub(super) fn demands(job: &JobRequest) -> usize {
    Arc::as_ptr(&job.demands).addr()
}

/// The address of what such jobs share; 0 where it was not told.
pub(super) fn matched_agents(job: &JobRequest) -> usize {
    let agents = job.matched_agents.as_ref();
    agents.map_or(0, |agents| agents.as_ptr().addr())
}

fn grouped<'a>(
    queue: &'a Queue,
    claims: &[Claim],
    not_free: &NotFree<'_>,
    address: fn(&JobRequest) -> usize,
) -> Groups<'a> {
    let mut groups = Groups::new();
    let jobs = queue.jobs().iter().zip(claims);
    for (job, _) in jobs.filter(|(_, claim)| **claim != Claim::Over) {
        let group = groups.entry(address(job)).or_insert_with(|| Group {
            job,
            tally: Tally::default(),
            counted: false,
        });
        group.tally.add(tally(job, not_free));
    }
    groups
}
