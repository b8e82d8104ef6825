//! What holds for any organization: several pools, all kinds of triggers.

mod cases;

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::{
    capability::Capabilities,
    claim::Contender,
    decision::Decision,
    demand::Demands,
    job::{JobRequest, JobState},
    legacy::{Compare, DemandsRule},
    number::{Cap, Number},
    pool::Queue,
    profile::{Counting, Matching, Offer, Profile, ScalingObject},
};

const DEMANDS: [&[&str]; 3] = [&[], &["java"], &["gpu"]];

#[derive(Clone, Debug)]
struct Trigger {
    object: ScalingObject,
    profile: Profile,
    limit: Option<u32>,
    per_agent: u32,
    starts_none: bool,
}

#[derive(Clone, Debug)]
struct Watched {
    id: PoolId,
    triggers: Vec<Trigger>,
    jobs: Vec<JobRequest>,
}

#[derive(Clone, Debug)]
struct Organization {
    pools: Vec<Watched>,
    usage: Usage,
}

/// What came out for one pool.
struct Outcome {
    queue: Queue,
    line: Line,
    held: Held,
    numbers: Vec<Number>,
}

// === impl Watched ===

impl Watched {
    fn contenders(&self) -> Vec<Contender<'_>> {
        self.triggers
            .iter()
            .map(|of| Contender {
                object: &of.object,
                trigger: u64::from(of.per_agent),
                profile: &of.profile,
                agents_named: &of.object.name,
                placeholder: None,
                limit: of.limit,
                jobs: None,
                leaving: None,
            })
            .collect()
    }

    fn askers(&self) -> Vec<Asker> {
        let asker = |trigger: &Trigger| Asker {
            jobs_per_agent: trigger.per_agent,
            starts_none: trigger.starts_none,
        };
        self.triggers.iter().map(asker).collect()
    }
}

// === impl Organization ===

impl Organization {
    fn decided(&self) -> (Option<Share>, Vec<Outcome>) {
        let decided: Vec<_> = self
            .pools
            .iter()
            .map(|pool| {
                let queue = Queue::new(pool.jobs.clone());
                let decision = Decision::new(&queue, &pool.contenders());
                let parts = (&*pool.contenders(), &*pool.askers());
                let line = Line::new(&queue, &decision, parts, &self.usage);
                (pool, queue, decision, line)
            })
            .collect();
        let lines = decided.iter().map(|(pool, _, _, line)| (pool.id, line));
        let share = Share::new(&self.usage, lines);
        let outcome = |(pool, queue, decision, line): (&Watched, Queue, Decision, Line)| {
            let parts = (&*pool.contenders(), &*pool.askers());
            let held = share.map_or_else(Held::default, |share| {
                Held::new(&queue, &decision, parts, &self.usage, &share)
            });
            let cap = Cap {
                limit: 0,
                in_use: 0,
            };
            let numbers = (0..).zip(&pool.triggers).map(|(index, trigger)| {
                let number = decision.number(index, &trigger.profile);
                number.with_held(held.of(index), cap)
            });
            Outcome {
                numbers: numbers.collect(),
                queue,
                line,
                held,
            }
        };
        (share, decided.into_iter().map(outcome).collect())
    }

    /// Each number, by what tells its trigger apart.
    fn numbers(&self) -> Vec<(u32, ScalingObject, u32, u64)> {
        let (_, outcomes) = self.decided();
        let mut numbers = Vec::new();
        for (pool, outcome) in self.pools.iter().zip(&outcomes) {
            for (trigger, number) in pool.triggers.iter().zip(&outcome.numbers) {
                let object = trigger.object.clone();
                numbers.push((pool.id.0, object, trigger.per_agent, number.value()));
            }
        }
        numbers.sort();
        numbers
    }
}

fn object(number: usize) -> ScalingObject {
    ScalingObject {
        namespace: "ci".into(),
        name: format!("agents{number}").into(),
    }
}

fn job(id: u64, state: JobState, demands: &[&str]) -> JobRequest {
    let agent = (state != JobState::Queued).then(|| format!("agents0-x{id}").into());
    JobRequest {
        id: RequestId(id),
        state,
        demands: Arc::new(Demands::read(demands)),
        queued_at: None,
        agent,
        matched_agents: None,
        pipeline: None,
        run: None,
    }
}

fn trigger() -> impl Strategy<Value = Trigger> {
    let limit = prop::option::weighted(0.4, 0..6u32);
    (0..3usize, 0..4u8, -1..2i32, limit, 1..3u32).prop_map(
        |(name, kind, priority, limit, per_agent)| Trigger {
            object: object(name),
            profile: Profile {
                matching: match kind {
                    0 => Matching::Any,
                    1 => Matching::Capabilities(Offer::new(
                        Capabilities::parse("java").unwrap(),
                        Vec::new(),
                    )),
                    _ => Matching::Demands(DemandsRule::new("java", Compare::Same, false)),
                },
                counting: Counting::Unfinished,
                warm_agents: 0,
                priority,
            },
            limit,
            per_agent,
            starts_none: false,
        },
    )
}

/// Jobs have numbers that no other pool has.
fn pool(number: u32) -> impl Strategy<Value = Watched> {
    let triggers = prop::collection::vec(trigger(), 0..4);
    let jobs = prop::collection::vec((0..4u8, 0..DEMANDS.len()), 0..12);
    (triggers, jobs).prop_map(move |(mut triggers, rows)| {
        // Contenders come in the order of their keys, each there once.
        triggers.sort_by_key(|trigger| (trigger.object.clone(), trigger.per_agent));
        triggers.dedup_by_key(|trigger| (trigger.object.clone(), trigger.per_agent));
        let jobs = (0..).zip(rows).map(|(index, (state, demands))| {
            let state = match state {
                0 => JobState::Running,
                1 => JobState::Assigned,
                _ => JobState::Queued,
            };
            job(10 * index + u64::from(number), state, DEMANDS[demands])
        });
        Watched {
            id: PoolId(number),
            triggers,
            jobs: jobs.collect(),
        }
    })
}

fn organization() -> impl Strategy<Value = Organization> {
    let holder = (0..120u64, prop::option::of(0..6u32)).prop_map(|(job, pool)| Holder {
        job: RequestId(job),
        pool: pool.map(PoolId),
    });
    let holders = prop::collection::btree_set(holder, 0..8);
    let limit = prop::option::weighted(0.9, 0..25u32);
    (pool(1), pool(2), pool(3), holders, limit).prop_map(|(a, b, c, holders, limit)| {
        let mut holders: Vec<Holder> = holders.into_iter().collect();
        holders.dedup_by_key(|holder| holder.job);
        Organization {
            pools: vec![a, b, c],
            usage: Usage {
                limit,
                used: count(holders.len()),
                holders,
            },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_free_is_given_out_and_no_more(of in organization()) {
        let (share, outcomes) = of.decided();
        let Some(share) = share else {
            prop_assert!(of.usage.limit.is_none());
            return Ok(());
        };
        let waiting: Vec<Place> = outcomes.iter().flat_map(|o| o.line.places().to_vec()).collect();
        let given = waiting.iter().filter(|place| !share.holds_back(**place)).count();
        let free = share.limit.saturating_sub(share.in_use()) as usize;
        prop_assert_eq!(given, free.min(waiting.len()));
        prop_assert_eq!(share.without() as usize, waiting.len() - given);
        // Whoever gets one comes before whoever gets none.
        for one in &waiting {
            for other in &waiting {
                if !share.holds_back(*one) && share.holds_back(*other) {
                    prop_assert!(one < other);
                }
            }
        }
    }

    #[test]
    fn what_an_agent_has_is_never_held_back(of in organization()) {
        let (_, outcomes) = of.decided();
        for outcome in &outcomes {
            for number in &outcome.numbers {
                let tally = number.tally();
                prop_assert!(number.held() <= tally.queued);
                prop_assert!(number.value() >= u64::from(tally.assigned + tally.running));
            }
            for (position, job) in outcome.queue.jobs().iter().enumerate() {
                let has_one = job.state != JobState::Queued || of.usage.holds(job.id);
                prop_assert!(!(has_one && outcome.held.has(position)));
            }
        }
    }

    #[test]
    fn more_parallel_jobs_lower_no_number(of in organization(), more in 1..5u32) {
        let mut richer = of.clone();
        richer.usage.limit = of.usage.limit.map(|limit| limit + more);
        for (before, after) in of.numbers().into_iter().zip(richer.numbers()) {
            prop_assert!(before.3 <= after.3, "{:?} became {:?}", before, after);
        }
    }

    #[test]
    fn enough_parallel_jobs_are_as_good_as_no_limit(of in organization()) {
        let mut plenty = of.clone();
        plenty.usage.limit = Some(1_000);
        let mut unlimited = of;
        unlimited.usage.limit = None;
        prop_assert_eq!(plenty.numbers(), unlimited.numbers());
    }

    #[test]
    fn the_order_of_what_was_read_changes_nothing(of in organization(), seed in any::<u64>()) {
        let mut other = of.clone();
        let mut random = fastrand::Rng::with_seed(seed);
        random.shuffle(&mut other.pools);
        for pool in &mut other.pools {
            random.shuffle(&mut pool.jobs);
            random.shuffle(&mut pool.triggers);
        }
        prop_assert_eq!(of.numbers(), other.numbers());
    }

    /// With one job for each agent and no limits of their own, a trigger has what
    /// stands among the first in the line of the whole organization.
    #[test]
    fn it_is_what_counting_by_hand_gives(mut of in organization()) {
        for trigger in of.pools.iter_mut().flat_map(|pool| &mut pool.triggers) {
            trigger.limit = None;
            trigger.per_agent = 1;
        }
        for pool in &mut of.pools {
            pool.triggers.dedup_by_key(|trigger| trigger.object.clone());
        }
        let Some(limit) = of.usage.limit else { return Ok(()) };
        let (_, outcomes) = of.decided();
        let watched = [1, 2, 3].map(PoolId);
        let holders = of.usage.holders.iter();
        let elsewhere = holders.filter(|h| h.pool.is_some_and(|pool| !watched.contains(&pool)));
        let mut free = i64::from(limit) - i64::try_from(elsewhere.count()).unwrap();
        let mut line = Vec::new();
        for (number, pool) in of.pools.iter().enumerate() {
            let queue = Queue::new(pool.jobs.clone());
            let contenders = pool.contenders();
            let decision = Decision::new(&queue, &contenders);
            for (position, job) in queue.jobs().iter().enumerate() {
                if job.state != JobState::Queued || of.usage.holds(job.id) {
                    free -= 1;
                    continue;
                }
                let by: Vec<usize> = decision.counted_by(job, position, &contenders).collect();
                if let Some(most) = by.iter().map(|c| contenders[*c].profile.priority).max() {
                    line.push((Reverse(most), job.id, number, by));
                }
            }
        }
        line.sort();
        let mut held = of.pools.iter().map(|pool| vec![0; pool.triggers.len()]).collect::<Vec<_>>();
        for (_, _, pool, by) in line.into_iter().skip(usize::try_from(free).unwrap_or(0)) {
            for trigger in by {
                held[pool][trigger] += 1;
            }
        }
        for (pool, outcome) in outcomes.iter().enumerate() {
            let told: Vec<u32> = outcome.numbers.iter().map(Number::held).collect();
            prop_assert_eq!(&told, &held[pool]);
        }
    }
}
