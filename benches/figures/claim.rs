//! Claiming: 10,000 jobs over 100 profiles, and how the time grows with jobs.
//!
//! The queue is a busy team's: 200 different lists of demands, a tenth of the
//! jobs running on agents that bear a profile's name, the profiles from plain
//! to special. A second queue is the worst that can come: every job with
//! demands of its own, and limits that bind.

use std::{hint::black_box, sync::Arc};

use azp_scaler::domain::{
    capability::Capabilities,
    claim::Contender,
    decision::Decision,
    demand::Demands,
    job::{JobRequest, JobState, RequestId},
    pool::Queue,
    profile::{Counting, Matching, Offer, Profile, ScalingObject},
};

use crate::report::{Row, median_time, ms};

const TOOLS: usize = 40;

struct Named {
    object: ScalingObject,
    profile: Profile,
}

fn profiles(count: usize) -> Vec<Named> {
    (0..count)
        .map(|n| {
            // Every profile has a handful of tools; each tenth one has them all.
            let has = |tool: &usize| n % 10 == 0 || (tool + n).is_multiple_of(7);
            let capabilities: Capabilities = (0..TOOLS)
                .filter(has)
                .map(|tool| (format!("tool{tool}"), "1"))
                .collect();
            ScalingObject {
                namespace: "ci".into(),
                name: format!("profile{n}").into(),
            }
            .with(Matching::Capabilities(Offer::new(capabilities, Vec::new())))
        })
        .collect()
}

trait With {
    fn with(self, matching: Matching) -> Named;
}

impl With for ScalingObject {
    fn with(self, matching: Matching) -> Named {
        let counting = Counting::Unfinished;
        let profile = Profile {
            matching,
            counting,
            warm_agents: 0,
            priority: 0,
        };
        Named {
            object: self,
            profile,
        }
    }
}

fn contenders(profiles: &[Named], limit: Option<u32>) -> Vec<Contender<'_>> {
    profiles
        .iter()
        .map(|named| Contender {
            object: &named.object,
            trigger: 0,
            profile: &named.profile,
            agents_named: &named.object.name,
            placeholder: None,
            limit,
            jobs: None,
            leaving: None,
        })
        .collect()
}

fn demands(n: usize, kinds: usize) -> Vec<String> {
    let kind = n % kinds;
    let mut demands = vec![
        format!("tool{}", kind % TOOLS),
        format!("tool{}", (kind + 7) % TOOLS),
        "Agent.Version -gtVersion 2.182.1".to_owned(),
    ];
    if kinds > TOOLS * 5 {
        demands.push(format!("Agent.Version -gtVersion 2.{kind}.0"));
    }
    demands
}

fn queue(jobs: usize, kinds: usize) -> Queue {
    // As the client hands them over: equal lists of demands are one in memory.
    let lists: Vec<Arc<Demands>> = (0..kinds)
        .map(|kind| Arc::new(Demands::read(&demands(kind, kinds))))
        .collect();
    let job = |n: usize| {
        let running = n.is_multiple_of(10);
        JobRequest {
            id: RequestId(n as u64 + 1),
            state: if running {
                JobState::Running
            } else {
                JobState::Queued
            },
            demands: Arc::clone(&lists[n % kinds]),
            queued_at: None,
            agent: running.then(|| format!("profile{}-6d4cf-{n:x}", n % 100).into()),
            matched_agents: None,
            pipeline: None,
            run: None,
        }
    };
    Queue::new((0..jobs).map(job).collect())
}

/// The rows of this bench.
pub fn run() -> Vec<Row> {
    let profiles = profiles(100);
    let unlimited = contenders(&profiles, None);
    let time = |jobs: usize, kinds: usize, contenders: &[Contender<'_>]| {
        let queue = queue(jobs, kinds);
        median_time(31, || {
            black_box(Decision::new(black_box(&queue), contenders));
        })
    };
    let ten = time(10_000, 200, &unlimited);
    let hundred = time(100_000, 200, &unlimited);
    let growth = hundred.as_secs_f64() / ten.as_secs_f64();
    let worst = time(10_000, 10_000, &contenders(&profiles, Some(90)));
    vec![
        Row::new("claim 10,000 jobs over 100 profiles", ms(ten))
            .goal("at most 5 ms", ten.as_millis() < 5),
        Row::new(
            "claim 100,000 jobs, times as long",
            format!("{growth:.1} ({})", ms(hundred)),
        )
        .goal("linear: at most 12", growth <= 12.0),
        Row::new(
            "claim 10,000 jobs that all differ, limits that bind",
            ms(worst),
        ),
    ]
}
