//! The steps that scenarios share.

use std::time::Duration;

use azp_harness::Cluster;

use super::{
    Emulator, Failure, Jobs, Outcome, PoolState, SOON, Scaler, Scaling, deployment, namespace,
};

/// The pool of every scenario that needs one only.
pub(crate) const POOL: &str = "k8s-linux";

/// Takes a scenario's objects away, so that KEDA asks no scaler that has ended.
pub(crate) fn clear(cluster: &Cluster, space: &str) -> Outcome {
    cluster.kubectl(&["delete", "namespace", space, "--wait=false"])?;
    Ok(())
}

/// As [`deploy_in`], in a namespace of the same name.
pub(crate) fn deploy(
    cluster: &Cluster,
    name: &str,
    emulator: &Emulator,
    scaler: &Scaler,
) -> Outcome {
    cluster.apply(&namespace(name))?;
    deploy_in(cluster, name, name, emulator, scaler)
}

/// A Deployment, its `external-push` ScaledObject, and KEDA at work on it.
pub(crate) fn deploy_in(
    cluster: &Cluster,
    space: &str,
    name: &str,
    emulator: &Emulator,
    scaler: &Scaler,
) -> Outcome {
    deploy_with(
        cluster,
        (space, name),
        emulator,
        scaler,
        None,
        &[("poolName", POOL)],
    )
}

/// The same with the trigger's own metadata and `TriggerAuthentication`.
pub(crate) fn deploy_with(
    cluster: &Cluster,
    (space, name): (&str, &str),
    emulator: &Emulator,
    scaler: &Scaler,
    authentication: Option<&str>,
    metadata: &[(&str, &str)],
) -> Outcome {
    apply_with(
        cluster,
        (space, name),
        emulator,
        scaler,
        authentication,
        metadata,
    )?;
    let ready = cluster.kubectl(&[
        "wait",
        "--for=condition=Ready",
        &format!("scaledobject/{name}"),
        &format!("--namespace={space}"),
        "--timeout=60s",
    ]);
    ready.map_err(|error| -> Failure {
        format!(
            "{error}\n{}\nthe scaler's log:\n{}",
            cluster.explain(space),
            scaler.log()
        )
        .into()
    })?;
    Ok(())
}

/// The same without waiting for KEDA.
pub(crate) fn apply_with(
    cluster: &Cluster,
    (space, name): (&str, &str),
    emulator: &Emulator,
    scaler: &Scaler,
    authentication: Option<&str>,
    metadata: &[(&str, &str)],
) -> Outcome {
    let metadata = [&[("scalerAddress", scaler.address.as_str())], metadata].concat();
    let scaling = Scaling {
        namespace: space,
        name,
        trigger: "external-push",
        metadata: &metadata,
        authentication,
    };
    cluster.apply(&format!(
        "{}---\n{}",
        deployment(space, name, &emulator.url()),
        scaling.yaml()
    ))?;
    Ok(())
}

/// A number of jobs that nobody ends, for the agents that are not played.
pub(crate) fn waiting<'a>(count: u32, demands: &'a [&'a str]) -> Jobs<'a> {
    Jobs {
        count,
        demands,
        lasting: Duration::from_secs(3600),
    }
}

/// Waits for what only the scaler can tell.
pub(crate) fn until(
    cluster: &Cluster,
    space: &str,
    what: &str,
    mut seen: impl FnMut() -> Result<bool, Failure>,
) -> Outcome {
    cluster.until(space, what, SOON, || {
        let seen = seen().map_err(|failure| as_harness_error(&failure))?;
        Ok(seen.then_some(()))
    })?;
    Ok(())
}

/// Waits until the pool of every scenario is as `wanted`.
pub(crate) fn until_pool(
    cluster: &Cluster,
    space: &str,
    emulator: &Emulator,
    what: &str,
    wanted: impl Fn(&PoolState) -> bool,
) -> Outcome {
    until_pool_of(cluster, (space, POOL), emulator, what, wanted)
}

/// Waits until a pool is as `wanted`.
pub(crate) fn until_pool_of(
    cluster: &Cluster,
    (space, pool): (&str, &str),
    emulator: &Emulator,
    what: &str,
    wanted: impl Fn(&PoolState) -> bool,
) -> Outcome {
    cluster.until(space, what, SOON, || {
        let state = emulator
            .pool(pool)
            .map_err(|failure| as_harness_error(&failure))?;
        Ok(wanted(&state).then_some(()))
    })?;
    Ok(())
}

/// For a closure that [`Cluster::until`] asks.
pub(crate) fn as_harness_error(failure: &Failure) -> azp_harness::Error {
    azp_harness::Error::Answer {
        what: "a program of the scenario".to_owned(),
        answer: format!("{failure:?}"),
    }
}
