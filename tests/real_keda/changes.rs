//! What changes under a running scaler: the token in a Secret, and the apiserver
//! that goes away.

use std::fs;
use std::time::Duration;

use crate::real::{
    Emulator, HPA_PERIOD, Outcome, SOON, Scaler, Setup, cluster, cluster_alone, namespace,
    steps::{POOL, clear, deploy_with, until, waiting},
};

const ON_POOL: &[(&str, &str)] = &[("poolName", POOL)];

/// The token of a Secret beside the scaling object.
#[test]
fn a_secret_is_rotated_and_lost_under_a_running_scaler() -> Outcome {
    let (cluster, _turn) = cluster()?;
    let space = "secrets";
    cluster.apply(&namespace(space))?;
    let secret = |token: &str| {
        cluster.apply(&format!(
            "apiVersion: v1
kind: Secret
metadata: {{namespace: {space}, name: azure-pipelines}}
stringData: {{personalAccessToken: {token}}}
"
        ))
    };
    let emulator = Emulator::start(cluster, space, POOL)?;
    emulator.set_token("first")?;
    secret("first")?;
    let tenancy = cluster.directory().join("tenancy-secrets.yaml");
    let file = format!(
        "organizations: [{{url: '{}'}}]\nownTokens: {{namespaces: [{space}]}}\n",
        emulator.url()
    );
    fs::write(&tenancy, file)?;
    let setup = Setup {
        poll: Duration::from_millis(500),
        watched: Some(space),
        flags: &[&format!("--tenancy={}", tenancy.display())],
        ..Setup::default()
    };
    let scaler = Scaler::start_with(cluster, space, &emulator, setup)?;
    let trigger = [("poolName", POOL), ("secretName", "azure-pipelines")];
    deploy_with(cluster, (space, space), &emulator, &scaler, None, &trigger)?;
    let mut watch = cluster.watch_replicas(space, space)?;
    emulator.queue(POOL, waiting(2, &[]))?;
    watch.until("2 replicas", SOON, |replicas| replicas == 2)?;

    emulator.set_token("second")?;
    emulator.queue(POOL, waiting(1, &[]))?;
    assert_eq!(watch.during(HPA_PERIOD), [], "the old token: {watch}");
    secret("second")?;
    watch.until("3 replicas", SOON, |replicas| replicas == 3)?;

    let in_namespace = format!("--namespace={space}");
    cluster.kubectl(&["delete", "secret", "azure-pipelines", &in_namespace])?;
    emulator.queue(POOL, waiting(1, &[]))?;
    assert_eq!(watch.during(3 * HPA_PERIOD), [], "no token: {watch}");
    secret("second")?;
    watch.until("4 replicas", SOON, |replicas| replicas == 4)?;
    println!("{watch}");
    scaler.check()?;
    clear(cluster, space)
}

/// What the scaler knows of the cluster it goes on using.
#[test]
fn the_apiserver_goes_away_and_comes_back() -> Outcome {
    let (cluster, _turn) = cluster_alone()?;
    let space = "no-apiserver";
    cluster.apply(&namespace(space))?;
    let emulator = Emulator::start(cluster, space, POOL)?;
    let setup = Setup {
        poll: Duration::from_millis(500),
        watched: Some(space),
        ..Setup::default()
    };
    let scaler = Scaler::start_with(cluster, space, &emulator, setup)?;
    deploy_with(
        cluster,
        (space, "before"),
        &emulator,
        &scaler,
        None,
        ON_POOL,
    )?;
    emulator.queue(POOL, waiting(2, &[]))?;
    let mut watch = cluster.watch_replicas(space, "before")?;
    watch.until("2 replicas", SOON, |replicas| replicas == 2)?;
    drop(watch);

    cluster.stop_api_server()?;
    emulator.queue(POOL, waiting(1, &[]))?;
    until(cluster, space, "the number of 3", || {
        Ok(scaler.number(space, "before")? == Some(3))
    })?;
    scaler.check()?;
    cluster.start_api_server()?;

    let mut watch = cluster.watch_replicas(space, "before")?;
    watch.until("3 replicas", SOON, |replicas| replicas == 3)?;
    let other = [("poolName", "other")];
    deploy_with(cluster, (space, "after"), &emulator, &scaler, None, &other)?;
    emulator.queue("other", waiting(2, &[]))?;
    let mut after = cluster.watch_replicas(space, "after")?;
    after.until("2 replicas", SOON, |replicas| replicas == 2)?;
    println!("{watch} {after}");
    scaler.check()?;
    cluster.check()?;
    clear(cluster, space)
}
