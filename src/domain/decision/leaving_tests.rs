//! Jobs on pods that are going, and what a Deployment needs without them.
//!
//! May import: the decision and what it is made of. Invariant: a number never falls
//! below what the jobs need that are on no such pod.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{prelude::*, sample::subsequence};

use super::*;
use crate::domain::{
    capability::Capabilities,
    demand::Demands,
    job::RequestId,
    legacy::{Compare, DemandsRule},
    profile::{Counting, Matching, Offer, ScalingObject},
};

/// Pods of `a`, then of `a-b`, then of nobody.
const AGENTS: [&str; 7] = ["a-1", "a-2", "a-3", "a-b-1", "a-b-2", "b-1", "own"];

fn job(id: u64, state: JobState, agent: Option<&str>) -> JobRequest {
    JobRequest {
        id: RequestId(id),
        state,
        demands: Arc::new(Demands::read(&["java"])),
        queued_at: None,
        agent: agent.map(Into::into),
        matched_agents: None,
        pipeline: None,
        run: None,
    }
}

fn java() -> Matching {
    Matching::Capabilities(Offer::new(Capabilities::parse("java").unwrap(), Vec::new()))
}

fn by_keda() -> Matching {
    Matching::Demands(DemandsRule::new("java", Compare::JobWithinTrigger, false))
}

/// The numbers of `a` and `a-b`, and how many jobs nobody counts.
fn decide(
    jobs: &[JobRequest],
    matching: [Matching; 2],
    limits: [Option<u32>; 2],
    leaving: Option<&BTreeSet<Box<str>>>,
) -> ([u64; 2], usize) {
    let profiles = matching.map(|matching| Profile {
        matching,
        counting: Counting::Unfinished,
        warm_agents: 0,
        priority: 0,
    });
    let objects = ["ci/a", "ci/a-b"].map(|name| ScalingObject::parse(name).unwrap());
    let contenders = [0, 1].map(|index| Contender {
        object: &objects[index],
        trigger: 0,
        profile: &profiles[index],
        agents_named: &objects[index].name,
        placeholder: None,
        limit: limits[index],
        jobs: None,
        leaving: leaving.filter(|_| index == 0),
    });
    let decision = Decision::new(&Queue::new(jobs.to_vec()), &contenders);
    let numbers = [0, 1].map(|index| decision.number(index, &profiles[index]).value());
    (numbers, decision.unclaimed())
}

#[test]
fn a_job_on_a_pod_that_is_going_needs_no_replica_and_no_place() {
    use JobState::{Assigned, Queued, Running};
    let jobs = [
        job(1, Running, Some("a-1")),
        job(2, Running, Some("a-2")),
        // It may yet be given back.
        job(3, Assigned, Some("a-3")),
        // It has the beginning of a name of `a`, and is another's.
        job(4, Running, Some("a-b-1")),
        job(5, Running, Some("own")),
        job(6, Queued, None),
    ];
    let check = |matching, limits, leaving: &[&str], expected| {
        let leaving = leaving.iter().map(|name| (*name).into()).collect();
        let told = format!("{matching:?} {limits:?} {leaving:?}");
        let got = decide(&jobs, matching, limits, Some(&leaving));
        assert_eq!(got, expected, "{told}");
    };
    let free = [None, None];
    let shared = || [java(), Matching::Any];
    check(shared(), free, &[], ([5, 1], 0));
    check(shared(), free, &["a-1"], ([4, 1], 0));
    check(shared(), free, &["a-1", "a-2"], ([3, 1], 0));
    check(shared(), free, &["a-3", "a-b-1", "own", "a-9"], ([5, 1], 0));
    // Of what has no place, one gets that of the pod that is going.
    check(shared(), [Some(2), Some(1)], &[], ([2, 1], 3));
    check(shared(), [Some(2), Some(1)], &["a-1"], ([2, 1], 2));
    check(shared(), [Some(2), Some(1)], &["a-1", "a-2"], ([2, 1], 1));
    // By KEDA's own rules, whoever's agent it is.
    let apart = || [by_keda(), by_keda()];
    check(apart(), free, &[], ([6, 6], 0));
    check(apart(), free, &["a-1", "a-3"], ([5, 6], 0));
}

/// Siblings count together, and so does what is going.
#[test]
fn triggers_of_one_scaling_object_leave_out_the_same() {
    let object = ScalingObject::parse("ci/a").unwrap();
    let profiles = [java(), Matching::Any].map(|matching| Profile {
        matching,
        counting: Counting::Unfinished,
        warm_agents: 0,
        priority: 0,
    });
    let leaving = BTreeSet::from(["a-1".into()]);
    let contenders = [0, 1].map(|index| Contender {
        object: &object,
        trigger: index as u64,
        profile: &profiles[index],
        agents_named: &object.name,
        placeholder: None,
        limit: Some(3),
        jobs: None,
        leaving: Some(&leaving),
    });
    let jobs = vec![
        job(1, JobState::Running, Some("a-1")),
        job(2, JobState::Running, Some("a-2")),
        job(3, JobState::Queued, None),
    ];
    let decision = Decision::new(&Queue::new(jobs), &contenders);
    let numbers = [0, 1].map(|index| decision.number(index, &profiles[index]));
    assert_eq!(numbers[0], numbers[1]);
    assert_eq!(numbers[0].value(), 2);
}

fn jobs() -> impl Strategy<Value = Vec<JobRequest>> {
    let state = prop_oneof![
        Just(JobState::Queued),
        Just(JobState::Assigned),
        Just(JobState::Running),
        Just(JobState::Running),
    ];
    let jobs = prop::collection::vec((state, 0..AGENTS.len()), 0..16);
    jobs.prop_map(|drawn| {
        let jobs = (1..).zip(drawn).map(|(id, (state, agent))| {
            let agent = (state != JobState::Queued).then_some(AGENTS[agent]);
            job(id, state, agent)
        });
        jobs.collect()
    })
}

proptest! {
    #[test]
    fn a_number_falls_by_no_more_than_what_is_going(
        jobs in jobs(),
        leaving in subsequence(AGENTS.as_slice(), 0..=AGENTS.len()),
        limits in [prop::option::of(0..6_u32), prop::option::of(0..6_u32)],
        kinds in [0..3_usize, 0..3_usize],
    ) {
        let matching = || kinds.map(|kind| match kind {
            0 => java(),
            1 => Matching::Any,
            _ => by_keda(),
        });
        let leaving: BTreeSet<Box<str>> = leaving.into_iter().map(Into::into).collect();
        let going = jobs.iter().filter(|job| {
            job.state == JobState::Running
                && job.agent.as_ref().is_some_and(|agent| leaving.contains(agent))
        });
        let going = going.count() as u64;
        let ([before, others], unclaimed) = decide(&jobs, matching(), limits, None);
        let ([now, others_now], unclaimed_now) = decide(&jobs, matching(), limits, Some(&leaving));
        prop_assert!(now <= before, "{now} > {before}");
        prop_assert!(now + going >= before, "{now} + {going} < {before}");
        prop_assert!(others_now <= others, "{others_now} > {others}");
        prop_assert!(unclaimed_now <= unclaimed);
        // What is given to others waits for no agent of theirs less.
        let lost = (before - now) + (others - others_now);
        prop_assert!(lost <= going, "{lost} jobs are counted by nobody, and {going} are going");
    }
}
