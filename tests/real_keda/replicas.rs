//! Replicas of the scaler, and one that has just started: the same numbers.

use std::time::Duration;

use azp_harness::Cluster;

use crate::real::{
    Emulator, Failure, HPA_PERIOD, Outcome, SOON, Scaler, Setup, cluster, free_address, namespace,
    steps::{POOL, clear, deploy_with, until, waiting},
};

const JAVA: &[(&str, &str)] = &[
    ("poolName", POOL),
    ("capabilities", "java"),
    ("requires", "java"),
];
const ANY: &[(&str, &str)] = &[("poolName", POOL)];

/// Two scaling objects share a pool, and KEDA asks one replica for the one and the
/// other replica for the other, as a Service would spread its calls. Neither hears
/// of both, and both are started anew while jobs wait.
#[test]
fn replicas_that_have_just_started_count_each_job_once() -> Outcome {
    let (cluster, _turn) = cluster()?;
    let space = "replicas";
    cluster.apply(&namespace(space))?;
    let emulator = Emulator::start(cluster, space, POOL)?;
    let addresses = [free_address()?, free_address()?];
    let [one, other] = start(cluster, space, "", &emulator, &addresses)?;
    deploy_with(cluster, (space, "java"), &emulator, &one, None, JAVA)?;
    deploy_with(cluster, (space, "any"), &emulator, &other, None, ANY)?;
    let mut java = cluster.watch_replicas(space, "java")?;
    let mut any = cluster.watch_replicas(space, "any")?;

    emulator.queue(POOL, waiting(3, &["java"]))?;
    emulator.queue(POOL, waiting(4, &[]))?;
    java.until("3 replicas", SOON, |replicas| replicas == 3)?;
    any.until("4 replicas", SOON, |replicas| replicas == 4)?;
    until_both_say(cluster, space, [&one, &other], [3, 4])?;

    drop((one, other));
    let [one, other] = start(cluster, space, "-again", &emulator, &addresses)?;
    emulator.queue(POOL, waiting(1, &["java"]))?;
    emulator.queue(POOL, waiting(1, &[]))?;
    java.until("4 replicas", SOON, |replicas| replicas == 4)?;
    any.until("5 replicas", SOON, |replicas| replicas == 5)?;
    until_both_say(cluster, space, [&one, &other], [4, 5])?;
    java.during(2 * HPA_PERIOD);
    any.during(HPA_PERIOD);
    for (watch, most) in [(&java, 4), (&any, 5)] {
        let mut history = watch.history().windows(2);
        let rises = history.all(|pair| pair[0].replicas < pair[1].replicas);
        assert!(rises && watch.replicas() == most, "{watch}");
        println!("{watch}");
    }
    clear(cluster, space)
}

fn start(
    cluster: &Cluster,
    space: &str,
    which: &str,
    emulator: &Emulator,
    [one, other]: &[String; 2],
) -> Result<[Scaler; 2], Failure> {
    let start = |name: &str, address: &str, replica: &str| {
        let setup = Setup {
            poll: Duration::from_millis(500),
            address: Some(address),
            watched: Some(space),
            replica: Some(replica),
            ..Setup::default()
        };
        Scaler::start_with(cluster, &format!("{name}{which}-{space}"), emulator, setup)
    };
    Ok([start("one", one, other)?, start("other", other, one)?])
}

/// Each of the replicas has these numbers for both scaling objects.
fn until_both_say(
    cluster: &Cluster,
    space: &str,
    scalers: [&Scaler; 2],
    [java, any]: [u64; 2],
) -> Outcome {
    for scaler in scalers {
        until(cluster, space, "a replica to have the numbers", || {
            let numbers = [scaler.number(space, "java")?, scaler.number(space, "any")?];
            Ok(numbers == [Some(java), Some(any)])
        })?;
    }
    Ok(())
}
