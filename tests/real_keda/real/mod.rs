//! What the scenarios on the real KEDA share: one cluster for the file, and the
//! programs and objects that each scenario brings.
//!
//! May import: the harness and `serde_json`; nothing of the scaler, which is here
//! the program that users get. Invariant: a scenario awaits events or states
//! with a deadline; a span is watched only to see that nothing happens in it.

mod agents;
mod api;
mod certificates;
#[path = "../../support/emulator.rs"]
mod emulator;
#[path = "../../support/failure.rs"]
mod failure;
mod made;
mod objects;
mod pods;
mod scaler;
pub(crate) mod steps;

use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use azp_harness::{Cluster, Options};

pub(crate) use agents::AgentPlayer;
pub(crate) use certificates::{Authority, Identity};
pub(crate) use emulator::{Emulator, Jobs, PoolState};
pub(crate) use failure::{Failure, Outcome};
pub(crate) use made::MadeJobs;
pub(crate) use objects::{Scaling, deployment, namespace, scaled_job};
pub(crate) use pods::{Pace, PodPlayer};
pub(crate) use scaler::{Scaler, Setup, free_address};

/// How often the HPA looks, in these tests.
pub(crate) const HPA_PERIOD: Duration = Duration::from_secs(2);

/// For what takes a few of the HPA's periods, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Held by each scenario: by one alone where it promises a time or takes the
/// cluster away from the others.
static TURN: RwLock<()> = RwLock::new(());

/// The file's cluster, beside other scenarios.
pub(crate) fn cluster() -> Result<(&'static Cluster, RwLockReadGuard<'static, ()>), Failure> {
    let turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
    Ok((running()?, turn))
}

/// The file's cluster, for this scenario alone.
pub(crate) fn cluster_alone() -> Result<(&'static Cluster, RwLockWriteGuard<'static, ()>), Failure>
{
    let turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
    Ok((running()?, turn))
}

fn running() -> Result<&'static Cluster, Failure> {
    // Never dropped: when this process is gone, the cluster's keeper ends it.
    static CLUSTER: LazyLock<azp_harness::Result<Cluster>> = LazyLock::new(|| {
        Cluster::start(&Options {
            hpa_sync_period: HPA_PERIOD,
            ..Options::default()
        })
    });
    let cluster = CLUSTER.as_ref().map_err(ToString::to_string)?;
    cluster.check()?;
    Ok(cluster)
}
