//! What the guard is told.

use tokio::time::Instant;

use super::bench::{Bench, bench, bench_of, declared, rules};
use crate::{
    domain::{
        declared::Declared,
        job::{JobRequest, JobState},
    },
    pools::scripted::{Says, organization, queued},
    ports::{
        ReadError,
        writes::{Need, Needs as _, Raise},
    },
    scaler::Duration,
};

const DIRECT: &str = "poolName: linux; credential: one; directScaleUp: true";

fn jobs() -> Vec<JobRequest> {
    let mut jobs = queued(4, &[]);
    jobs[0].state = JobState::Running;
    jobs[0].agent = Some("Linux-1".into());
    jobs[1].state = JobState::Assigned;
    jobs[1].agent = Some("linux-2".into());
    jobs
}

/// What is told once the pools that are wanted have been read.
async fn needs(bench: &Bench) -> Vec<Need> {
    bench.scaler.keep();
    tokio::time::sleep(Duration::from_secs(12)).await;
    bench.scaler.needs()
}

async fn need(bench: &Bench, of: Declared) -> Need {
    bench.declare([of]).await;
    let mut needs = needs(bench).await;
    assert_eq!(needs.len(), 1, "{needs:?}");
    needs.remove(0)
}

fn raise(replicas: u32) -> Option<Raise> {
    Some(Raise {
        deployment: "linux".into(),
        replicas,
    })
}

#[tokio::test(start_paused = true)]
async fn pools_are_read_for_whoever_leads_though_nobody_calls() {
    let bench = bench(jobs());
    let need = need(&bench, declared("linux", &[DIRECT])).await;
    assert!(
        need.read_at
            .is_some_and(|at| at.elapsed() < Duration::from_secs(6))
    );
    assert!(need.is_busy("linux-1") && need.is_busy("linux-2") && !need.is_busy("linux-3"));
    assert_eq!(need.runs("linux-1").count(), 1);
    assert_eq!(need.runs("linux-2").count(), 0, "it is about to");
    assert_eq!(need.raise, raise(4));
}

#[tokio::test(start_paused = true)]
async fn a_number_is_told_only_where_it_may_be_raised() {
    let bench = bench(jobs());
    let linux = |trigger: &str| declared("linux", &[trigger]);
    let check = async |of: Declared, expected: Option<Raise>| {
        let shown = format!("{of:?}");
        assert_eq!(need(&bench, of).await.raise, expected, "{shown}");
    };
    check(linux("poolName: linux; credential: one"), None).await;
    let few = Declared {
        max_agents: 2,
        ..linux(DIRECT)
    };
    check(few, raise(2)).await;
    let paused = Declared {
        paused: true,
        ..linux(DIRECT)
    };
    check(paused, None).await;
    let paused = Declared {
        scaling_out_paused: true,
        ..linux(DIRECT)
    };
    check(paused, None).await;
    let other = Declared {
        deployment: None,
        ..linux(DIRECT)
    };
    check(other, None).await;
    let two_each = format!("{DIRECT}; targetPipelinesQueueLength: 3");
    check(linux(&two_each), raise(2)).await;
    let inactive = format!("{DIRECT}; activationTargetPipelinesQueueLength: 4");
    check(linux(&inactive), raise(0)).await;
}

#[tokio::test(start_paused = true)]
async fn while_a_pool_cannot_be_read_nobody_is_known_to_be_idle() {
    let bench = bench(jobs());
    let both = [DIRECT, "poolName: elsewhere; credential: one"];
    bench.declare([declared("linux", &both)]).await;
    let needs_of_both = needs(&bench).await;
    assert_eq!((needs_of_both.len(), needs_of_both[0].read_at), (1, None));
    assert!(
        need(&bench, declared("linux", &[DIRECT]))
            .await
            .read_at
            .is_some()
    );
    bench.script.now(Says::Fails(ReadError::Throttled));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let needs = needs(&bench).await;
    assert_eq!((needs[0].read_at, &needs[0].raise), (None, &None));
}

/// The value of a variable decides which organization is meant, and only KEDA
/// knows it.
#[tokio::test(start_paused = true)]
async fn a_trigger_with_its_organization_in_a_variable_acts_once_keda_has_called() {
    let bench = bench(jobs());
    let with = |value: &str| format!("{DIRECT}; organizationURLFromEnv: {value}");
    let of = || declared("linux", &[&with("AZP_URL")]);
    let before = need(&bench, of()).await;
    assert_eq!((before.read_at, before.raise), (None, None));
    let url = organization().to_string();
    bench.ask("linux", &with(&url)).await.unwrap();
    let after = need(&bench, of()).await;
    assert!(
        after.read_at.is_some() && after.raise == raise(4),
        "{after:?}"
    );
}

/// As long as profiles may be missing, the number may be too high.
#[tokio::test(start_paused = true)]
async fn nothing_is_raised_while_the_scaler_learns() {
    let bench = bench_of(jobs(), rules(), &[]);
    let started = Instant::now();
    let shared = format!("{DIRECT}; capabilities: docker");
    bench.declare([declared("linux", &[&shared])]).await;
    let needs = needs(&bench).await;
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(needs.iter().all(|need| need.raise.is_none()), "{needs:?}");
}
