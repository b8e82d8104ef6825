//! Pods of a Deployment that are going, and the numbers meanwhile.
//!
//! May import: the scaler and what it is made of. Invariant: the numbers are asked
//! for as KEDA and the guard do.

use std::sync::atomic::Ordering;

use super::bench::{Bench, bench, declared};
use crate::{
    domain::{
        declared::{Declared, Kind},
        job::{JobRequest, JobState},
    },
    pools::scripted::{Says, queued},
    ports::writes::Needs as _,
    scaler::{Answers as _, Duration, Wanted},
};

const LINUX: &str = "poolName: linux; credential: one; directScaleUp: true";

/// Two that run, one that is assigned, and two that wait.
fn jobs() -> Vec<JobRequest> {
    let mut jobs = queued(5, &["java"]);
    let agents = [
        (JobState::Running, "linux-1"),
        (JobState::Running, "linux-2"),
        (JobState::Assigned, "linux-3"),
    ];
    for (job, (state, agent)) in jobs.iter_mut().zip(agents) {
        job.state = state;
        job.agent = Some(agent.into());
    }
    jobs
}

/// What KEDA is told, and to what the guard would raise the Deployment.
async fn told(bench: &Bench) -> (u64, Option<u32>) {
    let number = bench.number("linux", LINUX).await;
    let needs = bench.scaler.needs();
    let raise = needs[0].raise.as_ref();
    (number, raise.map(|raise| raise.replicas))
}

#[tokio::test(start_paused = true)]
async fn a_job_counts_until_its_pod_goes_and_its_end_changes_nothing() {
    let bench = bench(jobs());
    bench.declare([declared("linux", &[LINUX])]).await;
    assert_eq!(told(&bench).await, (5, Some(5)));
    bench.leave("linux", &["linux-1"]);
    assert_eq!(told(&bench).await, (4, Some(4)));
    let status = bench.scaler.status(&Wanted::default());
    let pool = &status.pools[0];
    assert_eq!(
        pool.profiles[0].sum.as_deref(),
        Some("4 = 2 queued + 1 assigned + 2 running - 1 on pods that are going")
    );
    let going = |position: usize| {
        let why = &pool.jobs[position].why;
        why.iter().any(|why| why.contains("no replica any more"))
    };
    assert!(going(0) && !going(1) && !going(2), "{:?}", pool.jobs);
    // The job is over; then the pod is forgotten.
    bench.script.now(Says::Jobs(jobs().split_off(1)));
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(told(&bench).await, (4, Some(4)));
    bench.leave("linux", &[]);
    assert_eq!(told(&bench).await, (4, Some(4)));
}

#[tokio::test(start_paused = true)]
async fn only_what_runs_on_a_deployments_own_pod_is_left_out() {
    let check = async |of: Declared, trigger: &str, leaving: &[&str], expected: [u64; 2]| {
        let bench = bench(jobs());
        let shown = format!("{of:?} {leaving:?}");
        bench.declare([of]).await;
        let before = bench.number("linux", trigger).await;
        bench.leave("linux", leaving);
        let after = bench.number("linux", trigger).await;
        assert_eq!([before, after], expected, "{shown}");
    };
    let linux = |trigger: &str| declared("linux", &[trigger]);
    let both = ["linux-1", "linux-2"];
    check(linux(LINUX), LINUX, &both, [5, 3]).await;
    // A job that is only assigned may be given back.
    check(linux(LINUX), LINUX, &["linux-3", "linux-4"], [5, 5]).await;
    for (keys, expected) in [
        ("warmAgents: 2", [7, 5]),
        ("demands: java", [5, 3]),
        ("scaleOnInFlight: false", [3, 3]),
    ] {
        let trigger = format!("poolName: linux; credential: one; {keys}");
        check(linux(&trigger), &trigger, &both, expected).await;
    }
    let stateful = Declared {
        deployment: None,
        ..linux(LINUX)
    };
    check(stateful, LINUX, &both, [5, 5]).await;
    let job = "poolName: linux; credential: one";
    let scaled_job = Declared {
        kind: Kind::ScaledJob,
        deployment: None,
        ..linux(job)
    };
    check(scaled_job, job, &both, [5, 5]).await;
    // A pod that is going leaves its place to a job that waits.
    let few = |max_agents| Declared {
        max_agents,
        ..linux(LINUX)
    };
    check(few(3), LINUX, &both, [3, 3]).await;
    check(few(4), LINUX, &both, [4, 3]).await;
}

/// A decision stays as long as nothing is going that it depends on.
#[tokio::test(start_paused = true)]
async fn nothing_is_decided_anew_for_the_pods_of_others() {
    let bench = bench(jobs());
    bench.declare([declared("linux", &[LINUX])]).await;
    let decided = async || {
        bench.number("linux", LINUX).await;
        let registry = &bench.scaler.inner.registry;
        registry.decisions.load(Ordering::Relaxed)
    };
    let before = decided().await;
    bench.leave("others", &["others-1"]);
    assert_eq!(decided().await, before);
    bench.leave("linux", &["linux-1"]);
    assert_eq!(decided().await, before + 1);
    bench.leave("linux", &["linux-1"]);
    assert_eq!([decided().await, decided().await], [before + 1; 2]);
}
