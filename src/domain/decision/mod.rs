//! The decision on one pool: who counts which job, and why.
//!
//! May import: the claim, jobs, numbers, profiles, queues. Invariant: the
//! numbers and the reasons come from the same claims, so that an explanation can
//! never contradict the number that it explains.

mod apart;

use std::collections::{BTreeSet, HashMap, HashSet};

use self::apart::CountedApart;
use super::{
    claim::{Claim, Contender, PlaceholderNames, claim},
    job::{JobRequest, JobState},
    number::{Number, Tally},
    pool::Queue,
    profile::{Profile, Refusal},
};

/// What was decided for one queue and the contenders of its pool; contenders
/// are told by their position.
#[derive(Clone, Debug)]
pub struct Decision {
    claims: Vec<Claim>,
    tallies: Vec<Tally>,
    /// How many of the running jobs are on pods that are going, for each contender.
    leaving: Vec<u32>,
    unclaimed: usize,
}

/// What became of one job, with the reason. Nobody is asked about a job that is
/// [`Claim::Over`], so all lists are empty then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Who has it among the contenders that share the pool.
    pub claim: Claim,
    /// Who could have had it, had the claim gone another way.
    pub others: Vec<usize>,
    /// Who counts it for itself, by KEDA's own rules.
    pub counted_apart_by: Vec<usize>,
    /// Who does not take it, and why.
    pub refusals: Vec<(usize, Refusal)>,
}

/// Why nobody counts a job: the reason that is the easiest to mend, of all
/// triggers that do not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyUnclaimed {
    /// A profile would take it, but has as many jobs as it may have.
    Limit,
    /// A profile could run it, but takes only jobs that ask for what it
    /// requires.
    NotAskedFor,
    /// No profile's agents meet its demands.
    Demands,
}

/// Queued jobs that nobody counts, all of one kind: no profile can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The position of the oldest of them in the queue.
    pub oldest: usize,
    /// How many there are.
    pub jobs: usize,
    /// Why nobody counts them.
    pub why: WhyUnclaimed,
}

/// More kinds of waiting jobs are not told.
const MOST_KINDS: usize = 100;

// === impl WhyUnclaimed ===

impl WhyUnclaimed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Limit, Self::NotAskedFor, Self::Demands];

    /// The reason's name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::NotAskedFor => "not-asked-for",
            Self::Demands => "demands",
        }
    }
}

// === impl Decision ===

impl Decision {
    /// Decides the queue for these contenders.
    #[must_use]
    pub fn new(queue: &Queue, contenders: &[Contender<'_>]) -> Self {
        let claims = claim(queue, contenders);
        let not_free = NotFree::new(queue, contenders);
        let mut tallies = vec![Tally::default(); contenders.len()];
        for (job, claim) in queue.jobs().iter().zip(&claims) {
            if let Some(index) = claim.contender() {
                tallies[index].add(tally(job, &not_free));
            }
        }
        share_with_siblings(contenders, &mut tallies);
        let leaving = leaving(queue, &claims, contenders);
        let mut apart = CountedApart::new(queue, &claims, &not_free);
        for (contender, tally) in contenders.iter().zip(&mut tallies) {
            if !contender.profile.shares_the_pool() {
                *tally = apart.tally(contender.profile);
            }
        }
        let unclaimed = |(job, claim): &(&JobRequest, &Claim)| {
            **claim == Claim::Unclaimed && !apart.counts(job)
        };
        let unclaimed = queue.jobs().iter().zip(&claims).filter(unclaimed).count();
        Self {
            claims,
            tallies,
            leaving,
            unclaimed,
        }
    }

    /// The number of a contender.
    #[must_use]
    pub fn number(&self, contender: usize, profile: &Profile) -> Number {
        Number::new(profile, self.tallies[contender]).with_leaving(self.leaving[contender])
    }

    /// Who has the job at this position of the queue, among the contenders that
    /// share the pool.
    #[must_use]
    pub fn claim(&self, position: usize) -> Claim {
        self.claims[position]
    }

    /// How many jobs nobody counts, so that no agent is started for them.
    #[must_use]
    pub fn unclaimed(&self) -> usize {
        self.unclaimed
    }

    /// How many jobs nobody counts, by reason. The arguments are those that the
    /// decision was made from.
    #[must_use]
    pub fn unclaimed_by_reason(
        &self,
        queue: &Queue,
        contenders: &[Contender<'_>],
    ) -> [(WhyUnclaimed, usize); 3] {
        let mut counts = WhyUnclaimed::ALL.map(|why| (why, 0));
        // Jobs share in memory what profiles look at, so each is asked about once.
        let mut known: HashMap<(usize, usize), Option<WhyUnclaimed>> = HashMap::new();
        for (job, claim) in queue.jobs().iter().zip(&self.claims) {
            if *claim != Claim::Unclaimed {
                continue;
            }
            let why = known
                .entry(shared(job))
                .or_insert_with(|| why_unclaimed(job, contenders));
            for (reason, count) in &mut counts {
                *count += usize::from(Some(*reason) == *why);
            }
        }
        counts
    }

    /// The queued jobs that nobody counts, by kind, that of the oldest job first. The
    /// arguments are those that the decision was made from.
    #[must_use]
    pub fn waiting(&self, queue: &Queue, contenders: &[Contender<'_>]) -> Vec<Waiting> {
        let mut waiting: Vec<Waiting> = Vec::new();
        // A kind that somebody counts apart has no place among them.
        let mut places: HashMap<(usize, usize), Option<usize>> = HashMap::new();
        for (position, (job, claim)) in queue.jobs().iter().zip(&self.claims).enumerate() {
            if *claim != Claim::Unclaimed || job.state != JobState::Queued {
                continue;
            }
            let kind = (apart::demands(job), apart::matched_agents(job));
            let place = match places.get(&kind) {
                Some(place) => *place,
                None if waiting.len() >= MOST_KINDS => None,
                None => {
                    let why = why_unclaimed(job, contenders);
                    let place = why.map(|why| {
                        waiting.push(Waiting {
                            oldest: position,
                            jobs: 0,
                            why,
                        });
                        waiting.len() - 1
                    });
                    places.insert(kind, place);
                    place
                }
            };
            if let Some(place) = place {
                waiting[place].jobs += 1;
            }
        }
        waiting
    }

    /// Who counts the job at this position of the queue, without the reasons.
    /// The arguments are those that the decision was made from.
    pub fn counted_by(
        &self,
        job: &JobRequest,
        position: usize,
        contenders: &[Contender<'_>],
    ) -> impl Iterator<Item = usize> {
        let claim = self.claims[position];
        let claimed = claim.contender();
        let apart = contenders.iter().enumerate().filter(move |(_, contender)| {
            claim != Claim::Over
                && !contender.profile.shares_the_pool()
                && contender.profile.fits(job).is_ok()
        });
        claimed.into_iter().chain(apart.map(|(index, _)| index))
    }

    /// Why the job at this position of the queue went where it went. The
    /// arguments are those that the decision was made from.
    #[must_use]
    pub fn verdict(
        &self,
        job: &JobRequest,
        position: usize,
        contenders: &[Contender<'_>],
    ) -> Verdict {
        let claim = self.claims[position];
        let mut verdict = Verdict {
            claim,
            others: Vec::new(),
            counted_apart_by: Vec::new(),
            refusals: Vec::new(),
        };
        if claim == Claim::Over {
            return verdict;
        }
        for (index, contender) in contenders.iter().enumerate() {
            if claim.contender() == Some(index) {
                continue;
            }
            match (contender.profile.fits(job), claim) {
                (Ok(()), _) if !contender.profile.shares_the_pool() => {
                    verdict.counted_apart_by.push(index);
                }
                (Ok(()), Claim::Unclaimed) => verdict.refusals.push((index, Refusal::Full)),
                (Ok(()), _) => verdict.others.push(index),
                (Err(refusal), _) => verdict.refusals.push((index, refusal)),
            }
        }
        verdict
    }
}

/// The address of what profiles look at: jobs that share it are alike to them.
pub(super) fn shared(job: &JobRequest) -> (usize, usize) {
    (apart::demands(job), apart::matched_agents(job))
}

/// Triggers of one scaling object serve the same pods, and KEDA takes the
/// largest of their numbers and not the sum: so each of them counts what any of
/// them has. Between scaling objects, each job still counts once.
fn share_with_siblings(contenders: &[Contender<'_>], tallies: &mut [Tally]) {
    let mut sums: HashMap<_, Tally> = HashMap::new();
    for (contender, tally) in contenders.iter().zip(&*tallies) {
        sums.entry(contender.object).or_default().add(*tally);
    }
    for (contender, tally) in contenders.iter().zip(tallies) {
        *tally = sums[contender.object];
    }
}

/// How many jobs each contender counts that run on its own pods which are going.
/// Triggers of one scaling object count together, as in [`share_with_siblings`], and
/// KEDA's own rules count for themselves.
fn leaving(queue: &Queue, claims: &[Claim], contenders: &[Contender<'_>]) -> Vec<u32> {
    let counts = |contender: &Contender<'_>| {
        // Nearly always: nothing is looked through then.
        if contender.leaving.is_none_or(BTreeSet::is_empty) {
            return 0;
        }
        let jobs = queue.jobs().iter().zip(claims);
        let counted = jobs.filter(|(job, claim)| {
            let is_counted = match claim {
                Claim::Over => false,
                _ if !contender.profile.shares_the_pool() => contender.profile.fits(job).is_ok(),
                // Not where it was placed, though its agent has the name of a pod of
                // its own: then that name is another's too, or another's agent has it.
                Claim::Owned(owner) => contenders[*owner].object == contender.object,
                Claim::Placed(_) | Claim::Unclaimed => false,
            };
            is_counted && contender.runs_on_the_way_out(job)
        });
        u32::try_from(counted.count()).unwrap_or(u32::MAX)
    };
    contenders.iter().map(counts).collect()
}

/// `None` where a trigger counts it by KEDA's own rules.
fn why_unclaimed(job: &JobRequest, contenders: &[Contender<'_>]) -> Option<WhyUnclaimed> {
    let mut why = WhyUnclaimed::Demands;
    for contender in contenders {
        let reason = match contender.profile.fits(job) {
            Ok(()) if !contender.profile.shares_the_pool() => return None,
            Ok(()) => WhyUnclaimed::Limit,
            Err(Refusal::NotAskedFor(_)) => WhyUnclaimed::NotAskedFor,
            Err(_) => continue,
        };
        why = why.min(reason);
    }
    Some(why)
}

/// Agents that take no job that they are given now.
struct NotFree<'a> {
    /// Those that run one.
    busy: HashSet<&'a str>,
    /// Those that never come.
    placeholders: PlaceholderNames,
}

// === impl NotFree ===

impl<'a> NotFree<'a> {
    fn new(queue: &'a Queue, contenders: &[Contender<'_>]) -> Self {
        let running = queue
            .jobs()
            .iter()
            .filter(|job| job.state == JobState::Running);
        Self {
            busy: running.filter_map(|job| job.agent.as_deref()).collect(),
            placeholders: PlaceholderNames::new(contenders),
        }
    }

    fn have(&self, agent: &str) -> bool {
        self.busy.contains(agent) || self.placeholders.have(agent)
    }
}

/// What one job adds to a tally.
///
/// Azure DevOps may reserve an agent that is still busy with another job: such
/// a job is not served, so it counts as queued. One for a placeholder would not
/// be served either.
fn tally(job: &JobRequest, not_free: &NotFree<'_>) -> Tally {
    let served = job
        .agent
        .as_deref()
        .is_none_or(|agent| !not_free.have(agent));
    let mut tally = Tally::default();
    match job.state {
        JobState::Running => tally.running = 1,
        JobState::Assigned if served => tally.assigned = 1,
        JobState::Assigned | JobState::Queued => tally.queued = 1,
        JobState::Finished(_) => {}
    }
    tally
}

#[cfg(test)]
mod leaving_tests;
#[cfg(test)]
mod tests;
