//! Direct scale-ups beside KEDA and the HPA, which know nothing of them.

use std::time::Duration;

use azp_harness::{Cluster, Watch};

use crate::real::{
    AgentPlayer, Emulator, Failure, HPA_PERIOD, Outcome, SOON, Scaler, Setup, cluster,
    free_address, namespace,
    steps::{POOL, clear, deploy_with, until, until_pool, waiting},
};

const RAISED: &[(&str, &str)] = &[("poolName", POOL), ("directScaleUp", "true")];

/// So seldom that nothing but a hook makes it read.
const SELDOM: Duration = Duration::from_secs(60);

/// KEDA asks one replica of the scaler, and a service hook reaches the other one,
/// which leads: it raises while the first still says that there is nothing to do,
/// with no cooldown to speak of and no window of the HPA to keep anybody from acting
/// on that.
#[test]
fn a_raise_holds_where_keda_asks_a_replica_that_has_not_read_since() -> Outcome {
    let (cluster, _turn) = cluster()?;
    let space = "raised-late";
    cluster.apply(&namespace(space))?;
    let emulator = Emulator::start(cluster, space, POOL)?;
    let addresses = [free_address()?, free_address()?];
    let early = start(cluster, space, "early", &emulator, &addresses)?;
    until(cluster, space, "one to lead", || {
        Ok(early.metric("azp_leader")? > 0.0)
    })?;
    let [one, other] = addresses;
    let late = start(cluster, space, "late", &emulator, &[other, one])?;
    deploy_with(cluster, (space, space), &emulator, &late, None, RAISED)?;
    until(cluster, space, "both to have read", || {
        let numbers = [early.number(space, space)?, late.number(space, space)?];
        Ok(numbers == [Some(0), Some(0)])
    })?;
    let _agents = AgentPlayer::start(cluster, space, &emulator, POOL)?;
    let mut watch = cluster.watch_replicas(space, space)?;

    emulator.queue(POOL, waiting(20, &[]))?;
    early.hook()?;
    watch.until("20 replicas", SOON, |replicas| replicas == 20)?;
    until_pool(cluster, space, &emulator, "20 running jobs", |pool| {
        pool.running == 20
    })?;
    // KEDA asks every 2 s.
    watch.during(5 * HPA_PERIOD);
    println!("{watch}");
    holds(&watch, 20)?;
    clear(cluster, space)
}

/// KEDA goes from `idleReplicaCount` to `minReplicaCount` where the decision is for
/// more, and for fewer.
#[test]
fn a_raise_goes_with_a_minimum_and_none_while_idle() -> Outcome {
    let (cluster, _turn) = cluster()?;
    let space = "raised-idle";
    cluster.apply(&namespace(space))?;
    let emulator = Emulator::start(cluster, space, POOL)?;
    let addresses = [free_address()?, free_address()?];
    let scaler = start(cluster, space, "only", &emulator, &addresses)?;
    until(cluster, space, "it to lead", || {
        Ok(scaler.metric("azp_leader")? > 0.0)
    })?;
    deploy_with(cluster, (space, space), &emulator, &scaler, None, RAISED)?;
    cluster.kubectl(&[
        "patch",
        "scaledobject",
        space,
        &format!("--namespace={space}"),
        "--type=merge",
        r#"--patch={"spec":{"minReplicaCount":5,"idleReplicaCount":0}}"#,
    ])?;
    let _agents = AgentPlayer::start(cluster, space, &emulator, POOL)?;
    let mut watch = cluster.watch_replicas(space, space)?;
    watch.until("none while idle", SOON, |replicas| replicas == 0)?;
    until(cluster, space, "it to have read", || {
        Ok(scaler.number(space, space)? == Some(0))
    })?;

    for (jobs, expected) in [(1, 5), (8, 9)] {
        emulator.queue(POOL, waiting(jobs, &[]))?;
        scaler.hook()?;
        let what = format!("{expected} replicas");
        watch.until(&what, SOON, |replicas| replicas == expected)?;
        watch.during(2 * HPA_PERIOD);
        println!("{watch}");
        holds(&watch, expected)?;
    }
    clear(cluster, space)
}

fn start(
    cluster: &Cluster,
    space: &str,
    name: &str,
    emulator: &Emulator,
    [address, replica]: &[String; 2],
) -> Result<Scaler, Failure> {
    let (lease, identity) = (
        format!("--lease={space}/guard"),
        format!("--identity={name}"),
    );
    let setup = Setup {
        poll: SELDOM,
        address: Some(address),
        watched: Some(space),
        replica: Some(replica),
        flags: &["--writers=direct-scale-up", &lease, &identity],
    };
    Scaler::start_with(cluster, &format!("{name}-{space}"), emulator, setup)
}

/// It was only ever raised, to just this number.
fn holds(watch: &Watch<'_>, expected: u32) -> Outcome {
    let rises = watch.history().is_sorted_by_key(|change| change.replicas);
    match rises && watch.replicas() == expected {
        true => Ok(()),
        false => Err(format!("it was lowered, or is not at {expected}: {watch}").into()),
    }
}
