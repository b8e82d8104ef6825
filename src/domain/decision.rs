//! The decision on one pool: who counts which job, and why.
//!
//! May import: the claim, numbers, profiles, queues. Invariant: the numbers and
//! the reasons come from the same claims, so that an explanation can never
//! contradict the number that it explains.

use std::collections::{HashMap, HashSet};

use super::{
    claim::{Claim, Contender, claim},
    job::{JobRequest, JobState},
    number::{Number, Tally},
    pool::Queue,
    profile::{Matching, Profile, Refusal},
};

/// What was decided for one queue and the contenders of its pool; contenders
/// are told by their position.
#[derive(Clone, Debug)]
pub struct Decision {
    claims: Vec<Claim>,
    tallies: Vec<Tally>,
}

/// What became of one job, with the reason.
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

// === impl Decision ===

impl Decision {
    /// Decides the queue for these contenders.
    #[must_use]
    pub fn new(queue: &Queue, contenders: &[Contender<'_>]) -> Self {
        let claims = claim(queue, contenders);
        let busy = busy_agents(queue);
        let mut tallies = vec![Tally::default(); contenders.len()];
        for (job, claim) in queue.jobs().iter().zip(&claims) {
            if let Some(contender) = claim.contender() {
                tallies[contender].add(tally(job, &busy));
            }
        }
        let mut apart = CountedApart::new(queue, &busy);
        for (contender, tally) in contenders.iter().zip(&mut tallies) {
            if !contender.profile.shares_the_pool() {
                *tally = apart.tally(contender.profile);
            }
        }
        Self { claims, tallies }
    }

    /// The number of a contender.
    #[must_use]
    pub fn number(&self, contender: usize, profile: &Profile) -> Number {
        Number::new(profile, self.tallies[contender])
    }

    /// The jobs that no contender sharing the pool takes.
    #[must_use]
    pub fn unclaimed(&self) -> usize {
        self.claims
            .iter()
            .filter(|claim| **claim == Claim::Unclaimed)
            .count()
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

/// Agents that run a job now.
fn busy_agents(queue: &Queue) -> HashSet<&str> {
    let running = queue
        .jobs()
        .iter()
        .filter(|job| job.state == JobState::Running);
    running.filter_map(|job| job.agent.as_deref()).collect()
}

/// What one job adds to a tally.
///
/// Azure DevOps may reserve an agent that is still busy with another job: such
/// a job is not served, so it counts as queued.
fn tally(job: &JobRequest, busy: &HashSet<&str>) -> Tally {
    let served = job
        .agent
        .as_deref()
        .is_none_or(|agent| !busy.contains(agent));
    let mut tally = Tally::default();
    match job.state {
        JobState::Running => tally.running = 1,
        JobState::Assigned if served => tally.assigned = 1,
        JobState::Assigned | JobState::Queued => tally.queued = 1,
        JobState::Finished(_) => {}
    }
    tally
}

/// Counts for KEDA's own rules. Jobs with the same demands (or matched agents)
/// share them in memory, so each rule is asked once for each list and not once
/// for each job.
struct CountedApart<'a> {
    queue: &'a Queue,
    busy: &'a HashSet<&'a str>,
    by_demands: Option<Vec<(&'a JobRequest, Tally)>>,
    by_matched_agents: Option<Vec<(&'a JobRequest, Tally)>>,
}

// === impl CountedApart ===

impl<'a> CountedApart<'a> {
    fn new(queue: &'a Queue, busy: &'a HashSet<&'a str>) -> Self {
        Self {
            queue,
            busy,
            by_demands: None,
            by_matched_agents: None,
        }
    }

    fn tally(&mut self, profile: &Profile) -> Tally {
        let (queue, busy) = (self.queue, self.busy);
        let groups = match profile.matching {
            Matching::Parent(_) => self.by_matched_agents.get_or_insert_with(|| {
                let address = |job: &JobRequest| {
                    job.matched_agents
                        .as_ref()
                        .map_or(0, |agents| agents.as_ptr().addr())
                };
                grouped(queue, busy, address)
            }),
            _ => self.by_demands.get_or_insert_with(|| {
                grouped(queue, busy, |job| {
                    std::sync::Arc::as_ptr(&job.demands).addr()
                })
            }),
        };
        let mut sum = Tally::default();
        for (job, tally) in groups {
            if profile.fits(job).is_ok() {
                sum.add(*tally);
            }
        }
        sum
    }
}

fn grouped<'a>(
    queue: &'a Queue,
    busy: &HashSet<&str>,
    address: impl Fn(&JobRequest) -> usize,
) -> Vec<(&'a JobRequest, Tally)> {
    let mut groups: HashMap<usize, (&JobRequest, Tally)> = HashMap::new();
    for job in queue.jobs() {
        let (_, sum) = groups
            .entry(address(job))
            .or_insert((job, Tally::default()));
        sum.add(tally(job, busy));
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{
        capability::Capabilities,
        demand::Demands,
        job::RequestId,
        legacy::{Compare, DemandsRule},
        profile::{Counting, Offer, ScalingObject},
    };

    fn job(id: u64, state: JobState, agent: Option<&str>, demands: &[&str]) -> JobRequest {
        JobRequest {
            id: RequestId(id),
            state,
            demands: Arc::new(Demands::read(demands)),
            queued_at: None,
            agent: agent.map(Into::into),
            matched_agents: Some(Arc::from([Box::from("template")])),
            matches_all_agents: false,
            pipeline: None,
            run: None,
        }
    }

    fn profile(matching: Matching) -> Profile {
        Profile {
            matching,
            counting: Counting::Unfinished,
            warm_agents: 0,
            priority: 0,
        }
    }

    fn queue() -> Queue {
        Queue::new(vec![
            job(1, JobState::Running, Some("a-1"), &["java"]),
            job(2, JobState::Assigned, Some("a-2"), &["java"]),
            // its agent is still busy with job 1
            job(3, JobState::Assigned, Some("a-1"), &["java"]),
            job(4, JobState::Queued, None, &["java"]),
            job(5, JobState::Queued, None, &["cobol"]),
        ])
    }

    fn decide(profiles: &[Profile]) -> (Decision, Vec<Number>, Vec<Verdict>) {
        let objects: Vec<ScalingObject> = (0..profiles.len())
            .map(|n| ScalingObject {
                namespace: "ci".into(),
                name: format!("p{n}").into(),
            })
            .collect();
        let contenders: Vec<Contender<'_>> = profiles
            .iter()
            .zip(&objects)
            .map(|(profile, object)| Contender {
                object,
                trigger: 0,
                profile,
                limit: None,
            })
            .collect();
        let queue = queue();
        let decision = Decision::new(&queue, &contenders);
        let numbers = profiles
            .iter()
            .enumerate()
            .map(|(n, p)| decision.number(n, p))
            .collect();
        let jobs = queue.jobs().iter().enumerate();
        let verdicts = jobs
            .map(|(n, job)| decision.verdict(job, n, &contenders))
            .collect();
        (decision, numbers, verdicts)
    }

    fn java() -> Matching {
        Matching::Capabilities(Offer::new(Capabilities::parse("java").unwrap(), Vec::new()))
    }

    #[test]
    fn jobs_are_counted_by_how_far_they_have_come() {
        let (decision, numbers, _) = decide(&[profile(java())]);
        assert_eq!(
            numbers[0].tally(),
            Tally {
                queued: 2,
                assigned: 1,
                running: 1
            }
        );
        assert_eq!(decision.unclaimed(), 1);
    }

    #[test]
    fn every_verdict_has_its_reason() {
        let (_, _, verdicts) = decide(&[profile(java()), profile(Matching::Any)]);
        assert_eq!(verdicts[3].claim, Claim::Placed(0));
        assert_eq!(verdicts[3].others, [1]);
        assert_eq!(verdicts[4].claim, Claim::Placed(1));
        let (contender, refusal) = &verdicts[4].refusals[0];
        let message = refusal.to_string();
        assert!(
            *contender == 0 && message.contains("\"cobol\" is not met"),
            "{message}"
        );
    }

    #[test]
    fn kedas_own_rules_count_beside_the_claim() {
        let rule = DemandsRule::new("java", Compare::JobWithinTrigger, false);
        let (_, numbers, verdicts) = decide(&[
            profile(Matching::Demands(rule)),
            profile(Matching::Parent("template".into())),
            profile(Matching::Parent("other".into())),
            profile(Matching::Any),
        ]);
        let values: Vec<u64> = numbers.iter().map(Number::value).collect();
        assert_eq!(values, [4, 5, 0, 5]);
        assert_eq!(verdicts[3].counted_apart_by, [0, 1]);
    }
}
