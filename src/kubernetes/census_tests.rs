//! Tests of the census: what KEDA would count.

use tokio::time::advance;

use super::*;

fn of(name: &str) -> ScalingObject {
    ScalingObject {
        namespace: "ci".into(),
        name: name.into(),
    }
}

fn job(name: &str, finished: bool) -> Job {
    Job {
        of: of("agents"),
        name: name.into(),
        finished,
    }
}

fn pod(name: &str, job: &str, phase: Phase, conditions: &[&str]) -> Pod {
    Pod {
        of: of("agents"),
        name: name.into(),
        is: Reduced {
            job: job.into(),
            phase,
            conditions: conditions.iter().map(|&name| name.into()).collect(),
        },
    }
}

/// R, R - P, and the ended.
type Counted<'a> = (u32, u32, &'a [&'a str]);

#[track_caller]
fn check(census: &JobCensus, expected: Counted<'_>) {
    let seen = census.get(&of("agents")).cloned().unwrap_or_default();
    let ended: Vec<&str> = seen.ended.iter().map(|name| &**name).collect();
    assert_eq!((seen.existing, seen.started, &ended[..]), expected);
}

#[tokio::test(start_paused = true)]
async fn jobs_and_pods_are_counted_as_keda_counts_them() {
    use Phase::{Failed, Other, Running, Succeeded};
    // Jobs that are not finished, their pods, the conditions that the ScaledJob
    // waits for, and what is counted.
    type Row<'a> = (
        &'a [&'a str],
        &'a [(&'a str, Phase, &'a [&'a str])],
        &'a [&'a str],
        (u32, u32),
    );
    let rows: [Row<'_>; 10] = [
        (&[], &[], &[], (0, 0)),
        (&["a", "b"], &[], &[], (2, 0)),
        (
            &["a", "b"],
            &[("a", Other, &[]), ("b", Running, &[])],
            &[],
            (2, 1),
        ),
        (
            &["a"],
            &[("a", Failed, &[]), ("a", Other, &[])],
            &[],
            (1, 0),
        ),
        (
            &["a"],
            &[("a", Failed, &[]), ("a", Running, &[])],
            &[],
            (1, 1),
        ),
        (&["a"], &[("a", Succeeded, &[])], &[], (1, 1)),
        // A pod of a finished Job makes no other one started.
        (&["a"], &[("b", Running, &[])], &[], (1, 0)),
        (
            &["a"],
            &[("a", Running, &["Ready"])],
            &["Ready", "Custom"],
            (1, 0),
        ),
        (
            &["a"],
            &[("a", Other, &["Ready", "Custom"])],
            &["Custom", "Ready"],
            (1, 1),
        ),
        (
            &["a"],
            &[("a", Running, &["Ready"])],
            &["Ready", "Ready"],
            (1, 0),
        ),
    ];
    for (jobs, pods, conditions, (existing, started)) in rows {
        let now = Instant::now();
        let mut census = Census::default();
        let all = jobs.iter().map(|name| job(name, false)).collect();
        census.take_jobs(None, Change::All(all));
        for (number, (job, phase, holds)) in pods.iter().enumerate() {
            let pod = pod(&format!("{job}-{number}"), job, *phase, holds);
            census.take_pods(None, Change::Is(pod), now);
        }
        let wanted = [(
            of("agents"),
            conditions.iter().map(|&name| name.into()).collect(),
        )];
        let counted = census.count(&wanted.into(), now).unwrap_or_default();
        let seen = counted.get(&of("agents")).cloned().unwrap_or_default();
        assert_eq!(
            (seen.existing, seen.started),
            (existing, started),
            "{jobs:?} {pods:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_is_remembered_for_a_while() {
    let wanted = WantedJobs::default();
    let mut census = Census::default();
    let mut now = Instant::now();
    census.take_jobs(None, Change::All(vec![job("a", false), job("b", true)]));
    let running = || pod("a-1", "a", Phase::Running, &[]);
    census.take_pods(None, Change::All(vec![running()]), now);
    check(&census.count(&wanted, now).unwrap(), (1, 1, &[]));

    // The same again is no news, and neither is a pod that is being deleted.
    census.take_pods(None, Change::Is(running()), now);
    census.take_jobs(Some("elsewhere"), Change::All(vec![]));
    assert!(!census.has_changed());
    census.take_pods(
        None,
        Change::Is(pod("a-1", "a", Phase::Succeeded, &[])),
        now,
    );
    check(&census.count(&wanted, now).unwrap(), (1, 1, &["a-1"]));
    census.take_jobs(None, Change::Is(job("a", true)));
    census.take_pods(None, Change::Gone(running()), now);
    check(&census.count(&wanted, now).unwrap(), (0, 0, &["a-1"]));

    // A list without a pod tells that it has gone while nobody looked.
    advance(ENDED_FOR / 2).await;
    now = Instant::now();
    census.take_pods(None, Change::Is(pod("c-1", "c", Phase::Other, &[])), now);
    census.take_pods(Some("ci"), Change::All(vec![]), now);
    check(
        &census.count(&wanted, now).unwrap(),
        (0, 0, &["a-1", "c-1"]),
    );

    let forgets_at = census.forgets_at().unwrap();
    check(
        &census.count(&wanted, forgets_at).unwrap(),
        (0, 0, &["c-1"]),
    );
    let forgets_at = census.forgets_at().unwrap();
    assert_eq!(forgets_at, now + ENDED_FOR);
    assert_eq!(
        census.count(&wanted, forgets_at),
        Some(JobCensus::default())
    );
    assert!(census.groups.is_empty() && census.forgets_at().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_list_of_one_namespace_says_nothing_of_another() {
    let wanted = WantedJobs::default();
    let mut census = Census::default();
    census.take_jobs(Some("ci"), Change::All(vec![job("a", false)]));
    census.take_jobs(Some("web"), Change::All(vec![]));
    check(&census.count(&wanted, Instant::now()).unwrap(), (1, 0, &[]));
    census.take_jobs(Some("web"), Change::All(vec![]));
    assert_eq!(census.count(&wanted, Instant::now()), None);
    census.take_jobs(Some("ci"), Change::All(vec![]));
    assert_eq!(
        census.count(&wanted, Instant::now()),
        Some(JobCensus::default())
    );
}

#[tokio::test(start_paused = true)]
async fn the_number_of_remembered_pods_is_bounded() {
    let now = Instant::now();
    let mut census = Census::default();
    for number in 0..MOST_ENDED + 5 {
        let name = format!("a-{number}");
        census.take_pods(None, Change::Gone(pod(&name, "a", Phase::Other, &[])), now);
    }
    let counted = census.count(&WantedJobs::default(), now).unwrap();
    let ended = &counted[&of("agents")].ended;
    assert_eq!(ended.len(), MOST_ENDED);
    assert!(!ended.contains("a-4") && ended.contains("a-5"));
}
