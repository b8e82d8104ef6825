//! The cap, where the cluster says what a scaling object is.

use super::bench::{Bench, bench_capped, declared};
use crate::{
    domain::{
        declared::{Declared, Kind, Strategy},
        job::{JobRequest, JobState},
        parallel_jobs::Usage,
    },
    pools::scripted::queued,
    ports::writes::Needs as _,
    scaler::Duration,
};

const TRIGGER: &str = "poolName: linux; credential: one";

/// Two run on agents of `linux`, six wait.
fn jobs() -> Vec<JobRequest> {
    let mut jobs = queued(8, &[]);
    for (index, job) in jobs.iter_mut().take(2).enumerate() {
        job.state = JobState::Running;
        job.agent = Some(format!("linux-{index}").into());
    }
    jobs
}

fn usage(limit: u32) -> Usage {
    Usage {
        limit: Some(limit),
        ..Usage::default()
    }
}

async fn number(bench: &Bench, of: Declared) -> u64 {
    bench.declare([of]).await;
    bench.ask("linux", TRIGGER).await.unwrap()
}

/// So many Jobs there are, of which so many have started.
type Jobs = (u32, u32);

#[tokio::test(start_paused = true)]
async fn one_job_makes_one_agent_under_a_cap_too() {
    use Strategy::{Accurate, Default, Eager};
    let table: [(Strategy, Jobs, u32, u64); 9] = [
        // KEDA takes all Jobs off what `default` is told: 2 run, 3 may be added.
        (Default, (2, 2), 5, 5),
        (Default, (2, 2), 2, 2),
        // Of `eager` none is taken off, so they are here.
        (Eager, (2, 2), 5, 3),
        (Eager, (4, 2), 5, 1),
        // Two Jobs wait for jobs that may not run now: they make up for others.
        (Eager, (4, 2), 3, 0),
        (Eager, (2, 2), 1, 0),
        // Of `accurate` KEDA takes off those that have not started.
        (Accurate, (2, 2), 5, 3),
        (Accurate, (4, 2), 5, 3),
        (Accurate, (4, 4), 5, 1),
    ];
    for (strategy, (existing, started), limit, expected) in table {
        let bench = bench_capped(jobs(), usage(limit));
        bench.jobs("linux", existing, started, &[]);
        let of = Declared {
            kind: Kind::ScaledJob,
            strategy,
            ..declared("linux", &[TRIGGER])
        };
        let number = number(&bench, of).await;
        assert_eq!(
            number, expected,
            "{strategy:?} with {existing} Jobs ({started} started), {limit} parallel jobs"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_raised_to_the_capped_number() {
    const DIRECT: &str = "poolName: linux; credential: one; directScaleUp: true";
    for (limit, replicas) in [(100, 8), (5, 5), (1, 2)] {
        let bench = bench_capped(jobs(), usage(limit));
        bench.declare([declared("linux", &[DIRECT])]).await;
        bench.scaler.keep();
        tokio::time::sleep(Duration::from_secs(12)).await;
        let needs = bench.scaler.needs();
        let raise = needs[0].raise.as_ref();
        let told = raise.map(|raise| raise.replicas);
        assert_eq!(told, Some(replicas), "{limit} parallel jobs");
    }
}
