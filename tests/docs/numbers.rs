//! The numbers in the pages, made by the code that makes them in earnest.

use std::{cmp::Ordering, sync::Arc};

use azp_scaler::domain::{
    claim::Contender,
    decision::Decision,
    declared::{Kind, Strategy},
    demand::Demands,
    job::{JobRequest, JobState, RequestId},
    number::{Number, Tally},
    pool::Queue,
    profile::{Counting, Profile, ScalingObject},
    trigger::Trigger,
};

use super::check_table;

fn profile(keys: &[&str]) -> Profile {
    let metadata = keys.iter().map(|key| key.split_once(": ").unwrap());
    Trigger::parse(metadata).unwrap().profile
}

#[test]
fn the_page_about_matching_tells_what_limits_do() {
    let profiles = ["docker", "docker, java"].map(|capabilities| {
        let capabilities = format!("capabilities: {capabilities}");
        profile(&["poolName: linux", &capabilities])
    });
    let objects =
        ["docker", "java"].map(|name| ScalingObject::parse(&format!("ci/{name}")).unwrap());
    let limits = [2, 3];
    let contenders: Vec<Contender<'_>> = (0..2)
        .map(|index| Contender {
            object: &objects[index],
            trigger: 0,
            profile: &profiles[index],
            agents_named: &objects[index].name,
            placeholder: None,
            limit: Some(limits[index]),
            jobs: None,
            leaving: None,
        })
        .collect();
    let mut table = vec![
        "| Jobs that ask for `docker` | for `java` | `capabilities: docker`, `maxReplicaCount: 2` | \
         `capabilities: docker, java`, `maxReplicaCount: 3` | nobody |"
            .to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for (docker, java) in [(2, 0), (4, 0), (2, 2), (4, 2), (6, 2), (1, 4)] {
        let asked = std::iter::repeat_n("docker", docker).chain(std::iter::repeat_n("java", java));
        let job = |(id, demand): (u64, &str)| JobRequest {
            id: RequestId(id),
            state: JobState::Queued,
            demands: Arc::new(Demands::read(&[demand])),
            queued_at: None,
            matched_agents: None,
            agent: None,
            pipeline: None,
            run: None,
        };
        let queue = Queue::new((1..).zip(asked).map(job).collect());
        let decision = Decision::new(&queue, &contenders);
        let [one, other] = [0, 1].map(|index| decision.number(index, &profiles[index]).value());
        let nobody = decision.unclaimed();
        table.push(format!(
            "| {docker} | {java} | {one} | {other} | {nobody} |"
        ));
    }
    check_table("docs/how-jobs-are-matched.md", "limits", &table);
}

/// The jobs of the pages' example.
const TALLY: Tally = Tally {
    queued: 3,
    assigned: 0,
    running: 2,
};

/// Its Jobs: those that are not finished, and those of them that have started.
const EXISTING: u32 = 3;
const STARTED: u32 = 2;

/// Jobs that have no agent yet, and no Job that would bring one.
const WITHOUT_AGENT: u64 = 2;

fn number(counting: Counting, backed: Option<u32>) -> Number {
    let profile = profile(&["poolName: linux"]);
    let number = Number::new(
        &Profile {
            counting,
            ..profile
        },
        TALLY,
    );
    backed.map_or(number, |backed| number.with_backed(backed))
}

/// What KEDA makes of a number. KEDA 2.21, `pkg/scaling/executor/scale_jobs.go`,
/// far below the maximum.
fn new_jobs(strategy: Strategy, number: u64) -> String {
    let taken_off = match strategy {
        Strategy::Default => (EXISTING, "not finished"),
        Strategy::Accurate => (EXISTING - STARTED, "pending"),
        Strategy::Eager => return told(number, ""),
        Strategy::Custom => return format!("{number} − deduction − {EXISTING} × percentage"),
    };
    let (count, what) = taken_off;
    told(
        number - u64::from(count),
        &format!("{number} − {count} {what} = "),
    )
}

fn told(made: u64, sum: &str) -> String {
    let off = match made.cmp(&WITHOUT_AGENT) {
        Ordering::Equal => String::new(),
        Ordering::Less => format!(", {} too few", WITHOUT_AGENT - made),
        Ordering::Greater => format!(", {} too many", made - WITHOUT_AGENT),
    };
    format!("{sum}{made} new Jobs{off}")
}

#[test]
fn the_page_about_matching_has_the_number_of_each_strategy() {
    let mut table = vec![
        "| Scaling object | Number | KEDA makes of it |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    for (words, without_running) in [
        ("ScaledObject", false),
        ("… with `scaleOnInFlight: \"false\"`", true),
    ] {
        let counting = Counting::of(Kind::ScaledObject, Strategy::Default, without_running);
        let number = number(counting, None);
        table.push(format!(
            "| {words} | {number} | {} replicas |",
            number.value()
        ));
    }
    let leaving = number(Counting::Unfinished, None).with_leaving(1);
    table.push(format!(
        "| … with a job on a pod that is going | {leaving} | {} replicas |",
        leaving.value()
    ));
    for (word, strategy, backed) in [
        ("`default`", Strategy::Default, None),
        ("`custom`", Strategy::Custom, None),
        ("`accurate`", Strategy::Accurate, Some(STARTED)),
        ("`eager`", Strategy::Eager, Some(EXISTING)),
        ("`accurate`, Jobs not seen", Strategy::Accurate, None),
        ("`eager`, Jobs not seen", Strategy::Eager, None),
    ] {
        let number = number(Counting::of(Kind::ScaledJob, strategy, false), backed);
        let made = new_jobs(strategy, number.value());
        table.push(format!("| ScaledJob, {word} | {number} | {made} |"));
    }
    check_table("docs/how-jobs-are-matched.md", "numbers", &table);
}

#[test]
fn the_moving_guide_has_the_new_jobs_of_each_strategy() {
    let mut table = vec![
        "| `scalingStrategy.strategy` | KEDA's own trigger | … with `scaleOnInFlight: \"false\"` | azp-scaler |"
            .to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    // KEDA 2.21: its own trigger knows no strategy; it counts what a Deployment
    // would need.
    let theirs = |without_running| {
        let counting = Counting::of(Kind::ScaledObject, Strategy::Default, without_running);
        number(counting, None).value()
    };
    for (word, strategy, backed) in [
        ("default", Strategy::Default, None),
        ("accurate", Strategy::Accurate, Some(STARTED)),
        ("eager", Strategy::Eager, Some(EXISTING)),
    ] {
        let ours = number(Counting::of(Kind::ScaledJob, strategy, false), backed).value();
        let [all, queued, ours] =
            [theirs(false), theirs(true), ours].map(|n| new_jobs(strategy, n));
        table.push(format!("| `{word}` | {all} | {queued} | {ours} |"));
    }
    check_table("docs/moving-from-keda.md", "strategies", &table);
}
