//! Numbers and verdicts from one decision.

use std::sync::Arc;

use super::*;
use crate::domain::{
    capability::Capabilities,
    declared::JobPods,
    demand::Demands,
    job::RequestId,
    legacy::{Compare, DemandsRule},
    profile::{Counting, Matching, Offer, ScalingObject},
};

fn job(id: u64, state: JobState, agent: Option<&str>, demands: &[&str]) -> JobRequest {
    JobRequest {
        id: RequestId(id),
        state,
        demands: Arc::new(Demands::read(demands)),
        queued_at: None,
        agent: agent.map(Into::into),
        matched_agents: Some(Arc::from([Box::from("template")])),
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

#[test]
fn triggers_of_one_scaling_object_count_together() {
    let object = ScalingObject {
        namespace: "ci".into(),
        name: "both".into(),
    };
    let profiles = [profile(java()), profile(Matching::Any)];
    let contenders: Vec<Contender<'_>> = (0..)
        .zip(&profiles)
        .map(|(trigger, profile)| Contender {
            object: &object,
            trigger,
            profile,
            agents_named: &object.name,
            placeholder: None,
            limit: None,
            jobs: None,
            leaving: None,
        })
        .collect();
    let decision = Decision::new(&queue(), &contenders);
    let numbers = [0, 1].map(|index| decision.number(index, &profiles[index]).value());
    assert_eq!(numbers, [5, 5], "KEDA takes the larger one");
}

/// Nobody comes for a job that was given to a placeholder, so that it still needs an
/// agent: also where those that were given away are left out of the number.
#[test]
fn a_job_of_a_placeholder_still_waits() {
    let object = ScalingObject::parse("ci/a").unwrap();
    let queue = Queue::new(vec![
        job(1, JobState::Assigned, Some("A-Placeholder"), &["java"]),
        job(2, JobState::Assigned, Some("a-2"), &["java"]),
    ]);
    for matching in [
        java(),
        Matching::Demands(DemandsRule::new("java", Compare::Same, false)),
    ] {
        let profile = Profile {
            counting: Counting::Unclaimed,
            ..profile(matching)
        };
        let number = |placeholder| {
            let contender = Contender {
                object: &object,
                trigger: 0,
                profile: &profile,
                agents_named: &object.name,
                placeholder,
                limit: None,
                jobs: None,
                leaving: None,
            };
            Decision::new(&queue, &[contender])
                .number(0, &profile)
                .value()
        };
        assert_eq!(number(None), 0);
        assert_eq!(number(Some("a-placeholder")), 1);
    }
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
            agents_named: &object.name,
            placeholder: None,
            limit: None,
            jobs: None,
            leaving: None,
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

#[test]
fn what_keda_s_own_rules_count_is_not_unclaimed() {
    let rule = DemandsRule::new("java", Compare::JobWithinTrigger, false);
    let check = |matching: Matching, expected: usize| {
        let (decision, _, _) = decide(&[profile(matching)]);
        assert_eq!(decision.unclaimed(), expected);
    };
    check(Matching::Demands(rule), 1);
    check(Matching::Parent("template".into()), 0);
    check(Matching::Parent("other".into()), 5);
}

/// A job whose pod has ended though the service still calls it running: nobody
/// has it, by whatever rule, and nobody lacks it.
#[test]
fn a_job_whose_pod_has_ended_needs_no_agent() {
    let jobs = JobPods {
        existing: 3,
        started: 1,
        ended: ["a-1".into(), "never-seen".into()].into(),
    };
    let object = ScalingObject {
        namespace: "ci".into(),
        name: "a".into(),
    };
    let rule = DemandsRule::new("java", Compare::TriggerWithinJob, false);
    let check = |matching: &[Matching], jobs, expected: (Vec<u64>, usize)| {
        let profiles: Vec<Profile> = matching.iter().cloned().map(profile).collect();
        let contenders: Vec<Contender<'_>> = (0..)
            .zip(&profiles)
            .map(|(trigger, profile)| Contender {
                object: &object,
                trigger,
                profile,
                agents_named: &object.name,
                placeholder: None,
                limit: Some(3),
                jobs,
                leaving: None,
            })
            .collect();
        let queue = queue();
        let decision = Decision::new(&queue, &contenders);
        let of = |index| decision.number(index, &profiles[index]).value();
        let numbers = (0..profiles.len()).map(of).collect();
        assert_eq!((numbers, decision.unclaimed()), expected, "{matching:?}");
        let by_reason = decision.unclaimed_by_reason(&queue, &contenders);
        let sum: usize = by_reason.iter().map(|(_, count)| count).sum();
        assert_eq!(sum, decision.unclaimed());
        let nobody = Verdict {
            claim: Claim::Over,
            others: Vec::new(),
            counted_apart_by: Vec::new(),
            refusals: Vec::new(),
        };
        for (position, job) in queue.jobs().iter().enumerate() {
            let is_over = jobs.is_some() && job.id == RequestId(1);
            let verdict = decision.verdict(job, position, &contenders);
            assert_eq!(verdict == nobody, is_over, "{verdict:?}");
            assert_eq!(verdict.claim, decision.claim(position));
            let mut told: Vec<usize> = verdict.claim.contender().into_iter().collect();
            told.extend(verdict.counted_apart_by);
            let counted: Vec<usize> = decision.counted_by(job, position, &contenders).collect();
            assert_eq!(counted, told);
        }
    };
    let parent = Matching::Parent("template".into());
    let all = [java(), Matching::Demands(rule), parent];
    for (of, before, after) in [
        (0..1, (vec![3], 2), (vec![3], 1)),
        (1..2, (vec![4], 1), (vec![3], 1)),
        (2..3, (vec![5], 0), (vec![4], 0)),
        (0..3, (vec![3, 4, 5], 0), (vec![3, 3, 4], 0)),
    ] {
        check(&all[of.clone()], None, before);
        check(&all[of], Some(&jobs), after);
    }
}

#[test]
fn what_nobody_takes_has_a_reason() {
    let jobs = ["java", "java", "gpu", "cobol", "cobol"];
    let jobs = (1..)
        .zip(jobs)
        .map(|(id, demand)| job(id, JobState::Queued, None, &[demand]));
    let queue = Queue::new(jobs.collect());
    let gpu = Offer::new(Capabilities::parse("gpu, big").unwrap(), vec!["big".into()]);
    let object = ScalingObject {
        namespace: "ci".into(),
        name: "a".into(),
    };
    let profiles = [profile(java()), profile(Matching::Capabilities(gpu))];
    let contenders = profiles.each_ref().map(|profile| Contender {
        object: &object,
        trigger: 0,
        profile,
        agents_named: &object.name,
        placeholder: None,
        limit: Some(1),
        jobs: None,
        leaving: None,
    });
    let decision = Decision::new(&queue, &contenders);
    let counts = decision.unclaimed_by_reason(&queue, &contenders);
    assert_eq!(
        counts.map(|(why, count)| (why.name(), count)),
        [("limit", 1), ("not-asked-for", 1), ("demands", 2)]
    );
}

/// Two jobs share their demands in memory, but only one has the parent's name.
#[test]
fn reasons_and_the_number_without_one_agree_where_only_the_parent_differs() {
    let counted = job(1, JobState::Queued, None, &["java"]);
    let left = JobRequest {
        id: RequestId(2),
        matched_agents: None,
        ..counted.clone()
    };
    let object = ScalingObject {
        namespace: "ci".into(),
        name: "a".into(),
    };
    let profile = profile(Matching::Parent("template".into()));
    let contenders = [Contender {
        object: &object,
        trigger: 0,
        profile: &profile,
        agents_named: &object.name,
        placeholder: None,
        limit: None,
        jobs: None,
        leaving: None,
    }];
    for jobs in [[counted.clone(), left.clone()], [left, counted]] {
        let queue = Queue::new(jobs.into());
        let decision = Decision::new(&queue, &contenders);
        let reasons = decision.unclaimed_by_reason(&queue, &contenders);
        let sum: usize = reasons.iter().map(|(_, count)| count).sum();
        assert_eq!((sum, decision.unclaimed()), (1, 1));
    }
}
