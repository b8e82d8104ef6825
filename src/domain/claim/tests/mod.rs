//! The claim against what it promises: one example for each rule here, random
//! cases against an oracle in `properties`.
//!
//! May import: the module above. Invariant: the oracle shares no code with the
//! claim; all that both know is whether a profile fits a job.

mod case;
mod oracle;
mod properties;

use std::sync::Arc;

use super::*;
use crate::domain::{
    capability::Capabilities,
    demand::Demands,
    job::RequestId,
    profile::{Counting, Offer},
};

/// A profile in short: `name: capabilities`, `name: capabilities ! requires`,
/// or `name: *` for one that takes any job.
#[derive(Debug)]
struct Contestant {
    object: ScalingObject,
    profile: Profile,
    limit: Option<u32>,
}

fn contestant(text: &str, priority: i32, limit: Option<u32>) -> Contestant {
    let (name, offer) = text.split_once(':').unwrap();
    let (capabilities, requires) = offer.split_once('!').unwrap_or((offer, ""));
    let matching = if capabilities.trim() == "*" {
        Matching::Any
    } else {
        let requires = requires.split_whitespace().map(Into::into).collect();
        Matching::Capabilities(Offer::new(
            Capabilities::parse(capabilities).unwrap(),
            requires,
        ))
    };
    Contestant {
        object: ScalingObject {
            namespace: "ci".into(),
            name: name.trim().into(),
        },
        profile: Profile {
            matching,
            counting: Counting::Unfinished,
            warm_agents: 0,
            priority,
        },
        limit,
    }
}

fn job(id: u64, demands: &str, agent: Option<&str>) -> JobRequest {
    let demands: Vec<&str> = demands
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty())
        .collect();
    JobRequest {
        id: RequestId(id),
        state: if agent.is_some() {
            JobState::Running
        } else {
            JobState::Queued
        },
        demands: Arc::new(Demands::read(&demands)),
        queued_at: None,
        agent: agent.map(Into::into),
        matched_agents: None,
        pipeline: None,
        run: None,
    }
}

fn contenders(contestants: &[Contestant]) -> Vec<Contender<'_>> {
    contestants
        .iter()
        .map(|contestant| Contender {
            object: &contestant.object,
            trigger: 0,
            profile: &contestant.profile,
            agents_named: &contestant.object.name,
            placeholder: None,
            limit: contestant.limit,
            jobs: None,
            leaving: None,
        })
        .collect()
}

fn claimants(contestants: &[Contestant], jobs: Vec<JobRequest>) -> Vec<String> {
    let name = |index: usize| contestants[index].object.name.to_string();
    claim(&Queue::new(jobs), &contenders(contestants))
        .into_iter()
        .map(|claim| claim.contender().map_or_else(|| "-".to_owned(), name))
        .collect()
}

fn check(contestants: &[Contestant], jobs: Vec<JobRequest>, expected: &[&str]) {
    assert_eq!(claimants(contestants, jobs), expected);
}

/// What runs by a placeholder's name is nobody's pod, whoever of the pool names it.
#[test]
fn a_placeholder_is_no_agent_of_the_profile_whose_name_it_bears() {
    let profiles = [
        contestant("linux: docker", 0, None),
        contestant("other: java", 0, None),
    ];
    let jobs = vec![
        job(1, "java", Some("linux-Placeholder")),
        job(2, "java", Some("linux-x")),
    ];
    check(&profiles, jobs.clone(), &["linux", "linux"]);
    for named_by in 0..2 {
        let mut contenders = contenders(&profiles);
        contenders[named_by].placeholder = Some("linux-placeholder");
        let claims = claim(&Queue::new(jobs.clone()), &contenders);
        assert_eq!(claims, [Claim::Placed(1), Claim::Owned(0)]);
    }
}

#[test]
fn the_most_specific_profile_gets_the_job() {
    let profiles = [
        contestant("any: *", 9, None),
        contestant("plain: java", 0, None),
        contestant("rich: java, docker, gpu", 0, None),
        contestant("gpu: java, gpu ! gpu", 0, None),
    ];
    let jobs = vec![
        job(1, "java", None),
        job(2, "docker", None),
        job(3, "gpu", None),
        job(4, "", None),
        job(5, "cobol", None),
    ];
    check(&profiles, jobs, &["plain", "rich", "gpu", "plain", "any"]);
}

#[test]
fn then_priority_decides_then_the_name() {
    let profiles = [
        contestant("a: java", 0, None),
        contestant("b: java", 5, None),
        contestant("c: java", 5, None),
    ];
    check(&profiles, vec![job(1, "java", None)], &["b"]);
}

#[test]
fn a_running_job_belongs_to_its_agents_profile() {
    let profiles = [
        contestant("linux: java", 0, None),
        contestant("linux-big: java, big", 0, None),
    ];
    let jobs = vec![
        job(1, "java", Some("linux-big-5d8f7-x2x2x")),
        job(2, "java", Some("linux-5d8f7-x2x2x")),
        // by its demands, since no profile bears the name
        job(3, "big", Some("elsewhere-1")),
        // an agent's name is never a profile's own name
        job(4, "big", Some("linux")),
    ];
    check(
        &profiles,
        jobs,
        &["linux-big", "linux", "linux-big", "linux-big"],
    );
}

#[test]
fn a_name_that_two_profiles_have_owns_nothing() {
    let mut other = contestant("linux: big", 0, None);
    other.object.namespace = "other".into();
    let profiles = [contestant("linux: java", 0, None), other];
    let contenders = contenders(&profiles);
    let claims = claim(
        &Queue::new(vec![job(1, "big", Some("linux-1-a"))]),
        &contenders,
    );
    assert_eq!(claims, [Claim::Placed(1)]);
}

#[test]
fn limits_pass_jobs_on_to_profiles_with_room() {
    let profiles = [
        contestant("small: java", 0, Some(1)),
        contestant("large: java, docker", 0, Some(2)),
    ];
    let jobs = vec![
        job(1, "java", None),
        job(2, "java", None),
        job(3, "docker", None),
        job(4, "java", None),
    ];
    // Which of several jobs is left out is not promised; that it is one, is.
    let mut claimants = claimants(&profiles, jobs);
    claimants.sort();
    assert_eq!(claimants, ["-", "large", "large", "small"]);
}

/// `maxReplicaCount` is the scaling object's.
#[test]
fn triggers_of_one_object_have_one_limit() {
    let mut profiles = [
        contestant("both: java", 0, Some(2)),
        contestant("both: docker", 0, Some(2)),
        contestant("roomy: java, docker, x", 0, Some(9)),
    ];
    let demands = ["java", "docker", "java", "docker", "docker"];
    let jobs = || (1..).zip(demands).map(|(id, d)| job(id, d, None)).collect();
    let check = |profiles: &[Contestant], expected: [usize; 4]| {
        let mut contenders = contenders(profiles);
        contenders[1].trigger = 1;
        let claims = claim(&Queue::new(jobs()), &contenders);
        let of = |holder| claims.iter().filter(|c| c.contender() == holder).count();
        let counts = [Some(0), Some(1), Some(2), None].map(of);
        assert_eq!(
            [counts[0] + counts[1], counts[1], counts[2], counts[3]],
            expected
        );
    };
    check(&profiles, [2, 1, 3, 0]);
    profiles[2].limit = Some(1);
    check(&profiles, [2, 1, 1, 2]);
    // Where they differ, the smallest one: KEDA asks for the most agents.
    profiles[1].limit = Some(1);
    check(&profiles, [1, 0, 1, 3]);
}

#[test]
fn an_agent_whose_pod_has_ended_takes_no_place() {
    let profiles = [contestant("linux: java", 0, Some(1))];
    let jobs = JobPods {
        ended: ["linux-1".into()].into(),
        ..JobPods::default()
    };
    let mut contenders = contenders(&profiles);
    let queue = Queue::new(vec![
        job(1, "java", Some("linux-1")),
        job(2, "java", Some("linux-2")),
        job(3, "java", None),
    ]);
    let check = |contenders: &[Contender<'_>], expected: [Claim; 3]| {
        assert_eq!(claim(&queue, contenders), expected);
    };
    use Claim::{Over, Owned, Unclaimed};
    check(&contenders, [Owned(0), Owned(0), Unclaimed]);
    contenders[0].jobs = Some(&jobs);
    check(&contenders, [Over, Owned(0), Unclaimed]);
    contenders[0].limit = Some(2);
    check(&contenders, [Over, Owned(0), Claim::Placed(0)]);
}

#[test]
fn a_job_moves_over_where_that_places_one_more() {
    // `narrow` would be preferred for both kinds, but only `wide` has docker.
    let profiles = [
        contestant("first: java, git", 0, Some(1)),
        contestant("second: java, docker, x", 0, Some(1)),
    ];
    let jobs = vec![job(1, "java", None), job(2, "git", None)];
    check(&profiles, jobs, &["second", "first"]);
}

#[test]
fn kedas_own_rules_take_no_part() {
    let mut legacy = contestant("legacy: *", 0, None);
    legacy.profile.matching = Matching::Parent("template".into());
    check(&[legacy], vec![job(1, "", None)], &["-"]);
}
