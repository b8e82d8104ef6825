//! The claim: which profile of a pool each job belongs to.
//!
//! May import: its siblings, profiles, jobs, queues, scaling objects' Jobs.
//! Invariant: each job is claimed by at most one of the profiles that share the
//! pool; the result depends on the queue and the profiles alone, not their order.
//!
//! A running job whose agent's pod has ended is nobody's any more; any other one
//! belongs to the profile whose agents bear its agent's name. The rest is placed
//! together: as many as the limits allow, then with the most specific profile,
//! then by priority, then by name. A limit is a scaling object's, so the places
//! are too, and which of its triggers has the job is asked last. Triggers that
//! follow KEDA's own rules (`demands`, `parent`) take no part and count for
//! themselves.

mod flow;
mod kinds;
mod objects;
mod placeholders;
mod set;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet},
};

pub(super) use self::placeholders::PlaceholderNames;
use self::{
    flow::{Kind, Placing},
    kinds::Fitting,
    objects::{Objects, Sharing},
    set::RankSet,
};
use super::{
    declared::JobPods,
    job::{JobRequest, JobState},
    pool::Queue,
    profile::{Matching, Profile, ScalingObject},
};

/// A profile that has a say in the claim.
#[derive(Clone, Copy, Debug)]
pub struct Contender<'a> {
    /// Whose profile it is.
    pub object: &'a ScalingObject,
    /// Tells two triggers of one scaling object apart.
    pub trigger: u64,
    /// The profile.
    pub profile: &'a Profile,
    /// Its agents' names begin with this and a dash.
    pub agents_named: &'a str,
    /// But not this one, which never comes online.
    pub placeholder: Option<&'a str>,
    /// How many jobs its scaling object may have at most; `None` where nobody
    /// said. Of several triggers of one object, the smallest limit counts.
    pub limit: Option<u32>,
    /// Its Jobs, where it makes Jobs and they are known.
    pub jobs: Option<&'a JobPods>,
    /// Its pods that are going, where it scales a Deployment and they are known. They
    /// are no replicas any more, so the jobs that they run need none.
    pub leaving: Option<&'a BTreeSet<Box<str>>>,
}

/// Who has a job, and how it came to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It runs on an agent that is named after this contender.
    Owned(usize),
    /// It was given to this contender.
    Placed(usize),
    /// It is said to run, but the pod of its agent has ended: it needs no agent
    /// any more, so nobody has it and nobody lacks it.
    Over,
    /// No contender takes it.
    Unclaimed,
}

// === impl Claim ===

impl Claim {
    /// The contender that has the job.
    #[must_use]
    pub const fn contender(self) -> Option<usize> {
        match self {
            Self::Owned(index) | Self::Placed(index) => Some(index),
            Self::Over | Self::Unclaimed => None,
        }
    }
}

// === impl Contender ===

impl Contender<'_> {
    /// The order in which contenders are preferred: a profile that requires
    /// more is more specific, then one that offers less, and one that takes
    /// any job comes last; then the higher priority, then the name.
    fn rank(&self) -> impl Ord + '_ {
        let (any, required, declared) = match &self.profile.matching {
            Matching::Capabilities(offer) => (false, offer.requires().len(), offer.declared()),
            _ => (true, 0, 0),
        };
        (
            (any, Reverse(required), declared),
            Reverse(self.profile.priority),
            (self.object, self.trigger),
        )
    }

    /// Does one of its pods run the job which is going already? A job that is only
    /// assigned may yet be given back, and would need an agent then.
    #[must_use]
    pub fn runs_on_the_way_out(&self, job: &JobRequest) -> bool {
        let leaving = self.leaving.zip(running_on(job));
        leaving.is_some_and(|(leaving, agent)| leaving.contains(agent))
    }
}

/// Decides who has each job of the queue; the result is parallel to
/// [`Queue::jobs`] and holds positions in `contenders`.
#[must_use]
pub fn claim(queue: &Queue, contenders: &[Contender<'_>]) -> Vec<Claim> {
    let mut claims = vec![Claim::Unclaimed; queue.jobs().len()];
    set_aside_ended(queue, contenders, &mut claims);
    let mut objects = Objects::new(contenders);
    if !objects.triggers.is_empty() {
        let placeholders = PlaceholderNames::new(contenders);
        claim_owned(queue, &placeholders, &mut objects, &mut claims);
        place(queue, &objects, &mut claims);
    }
    claims
}

/// Finds the jobs that run on an agent whose pod has ended, of whatever contender.
/// The service is late then, or the snapshot: KEDA does not count the pod's Job
/// any more, so a number that counted the job would make one Job too many.
fn set_aside_ended(queue: &Queue, contenders: &[Contender<'_>], claims: &mut [Claim]) {
    let pods = contenders.iter().filter_map(|contender| contender.jobs);
    let ended: HashSet<&str> = pods
        .flat_map(|jobs| &jobs.ended)
        .map(|pod| &**pod)
        .collect();
    if ended.is_empty() {
        return;
    }
    for (job, claim) in queue.jobs().iter().zip(claims) {
        if running_on(job).is_some_and(|agent| ended.contains(agent)) {
            *claim = Claim::Over;
        }
    }
}

/// The agent that runs the job now.
fn running_on(job: &JobRequest) -> Option<&str> {
    let agent = job.agent.as_deref();
    agent.filter(|_| job.state == JobState::Running)
}

/// Gives running jobs to the contender whose agents bear the agent's name.
///
/// Pods of a Deployment or Job are named `NAME-…`, so the longest such name
/// that the agent's name begins with is its owner. A name that
/// several scaling objects have owns nothing; its jobs go by their demands. So do
/// those of a placeholder: whatever runs by its name is nobody's pod.
fn claim_owned(
    queue: &Queue,
    placeholders: &PlaceholderNames,
    objects: &mut Objects<'_>,
    claims: &mut [Claim],
) {
    let mut owners: HashMap<&str, Option<&Sharing<'_>>> = HashMap::new();
    for trigger in &objects.triggers {
        let owner = owners
            .entry(trigger.contender.agents_named)
            .or_insert(Some(trigger));
        // Two triggers of one scaling object are no two owners.
        if owner.is_some_and(|owner| owner.object != trigger.object) {
            *owner = None;
        }
    }
    for (job, claim) in queue.jobs().iter().zip(claims) {
        if *claim != Claim::Unclaimed {
            continue;
        }
        let agent = running_on(job).filter(|agent| !placeholders.have(agent));
        let owner = agent.and_then(|agent| {
            let ends = agent.rmatch_indices('-').map(|(end, _)| end);
            ends.into_iter().find_map(|end| owners.get(&agent[..end]))
        });
        if let Some(Some(owner)) = owner {
            *claim = Claim::Owned(owner.position);
            // What is going is no replica, and leaves its place to another.
            if !owner.contender.runs_on_the_way_out(job) {
                let room = &mut objects.room[owner.object];
                *room = room.saturating_sub(1);
            }
        }
    }
}

/// Places the jobs that nobody owns.
fn place(queue: &Queue, objects: &Objects<'_>, claims: &mut [Claim]) {
    let mut fitting = Fitting::new(objects);
    let mut numbers: HashMap<RankSet, usize> = HashMap::new();
    let mut kinds: Vec<Kind> = Vec::new();
    let mut jobs: Vec<Vec<usize>> = Vec::new();
    for (position, job) in queue.jobs().iter().enumerate() {
        if claims[position] != Claim::Unclaimed {
            continue;
        }
        let set = &fitting.of(&job.demands).objects;
        if set.is_empty() {
            continue;
        }
        let kind = match numbers.get(set) {
            Some(kind) => *kind,
            None => {
                numbers.insert(set.clone(), kinds.len());
                kinds.push(Kind {
                    fitting: set.clone(),
                    count: 0,
                });
                jobs.push(Vec::new());
                kinds.len() - 1
            }
        };
        kinds[kind].count += 1;
        jobs[kind].push(position);
    }
    let placing = Placing::new(&kinds, &objects.room);
    for (kind, mut positions) in jobs.into_iter().enumerate() {
        // A job that runs has its agent already, so it is the last to be left
        // without a place; then the older one is served first.
        positions.sort_by_key(|position| order_of(&queue.jobs()[*position]));
        let mut positions = positions.into_iter();
        for (object, count) in placing.of(kind) {
            for position in positions.by_ref().take(count as usize) {
                let demands = &queue.jobs()[position].demands;
                if let Some(trigger) = fitting.first_trigger(object, demands) {
                    claims[position] = Claim::Placed(trigger.position);
                }
            }
        }
    }
}

fn order_of(job: &JobRequest) -> impl Ord + use<> {
    let waiting = job.state != JobState::Running;
    (waiting, job.id)
}

#[cfg(test)]
mod tests;
