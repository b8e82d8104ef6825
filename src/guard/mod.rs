//! The guard: the only part that writes to the cluster.
//!
//! May import: ports, domain, telemetry. Invariants: nothing is written unless it
//! was switched on, and then by one replica of all; all writes go through one gate,
//! which bounds and counts them. What to write is decided apart from writing it.
//!
//! [`election`] says who leads and [`leadership`] makes it so; [`gate`] is passed
//! by every write. [`marks`] and [`wanted`] say which pods are marked and how, and
//! [`marking`] marks them; [`raising`] raises scales; [`lost`] counts what was lost.

mod election;
mod gate;
mod leadership;
mod lost;
mod marking;
pub mod marks;
mod raising;
mod wanted;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, interval, sleep_until};

pub use self::election::{Lead, Times};
use self::{gate::Gate, leadership::Leadership, lost::Lost, marking::Marking, raising::Raising};
use crate::{
    ports::writes::{AgentPods, Lease, Needs, Scales},
    telemetry::metrics::{Metrics, Writer},
};

/// How often whoever leads has all pools read: less than any time after which one
/// that nobody asks for is forgotten.
const KEEP_EVERY: Duration = Duration::from_secs(15);

/// How the guard is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What may write.
    pub writers: Vec<Writer>,
    /// Is all to be decided, logged and counted, and nothing written?
    pub dry_run: bool,
    /// How many pods may be marked a second.
    pub marks_per_second: u32,
    /// Who this replica is; nobody else may be called so.
    pub identity: Box<str>,
    /// How long leading takes.
    pub times: Times,
}

/// What the guard works on.
#[derive(Clone)]
pub struct World {
    /// By what one of all replicas leads.
    pub lease: Arc<dyn Lease>,
    /// Where busy agents are, and are marked.
    pub pods: Arc<dyn AgentPods>,
    /// What is raised.
    pub scales: Arc<dyn Scales>,
    /// Who needs what.
    pub needs: Arc<dyn Needs>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

/// The guard of one replica.
pub struct Guard {
    leadership: Leadership,
    gate: Gate,
    settings: Settings,
    world: World,
}

// === impl Guard ===

impl Guard {
    /// A guard that does nothing yet.
    #[must_use]
    pub fn new(settings: Settings, world: World) -> Self {
        let leadership = Leadership::new(
            Arc::clone(&world.lease),
            settings.identity.clone(),
            settings.times,
            Arc::clone(&world.metrics),
        );
        let gate = Gate::new(
            leadership.told(),
            leadership.writing(),
            settings.dry_run,
            Arc::clone(&world.metrics),
        );
        Self {
            leadership,
            gate,
            settings,
            world,
        }
    }

    /// Guards until it is stopped. What is being written then is finished, and the
    /// Lease let go.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self {
            leadership,
            gate,
            settings,
            world,
        } = self;
        let is_on = |writer| settings.writers.contains(&writer);
        let marking = Marking {
            gate: gate.clone(),
            pods: Arc::clone(&world.pods),
            needs: Arc::clone(&world.needs),
            per_second: settings.marks_per_second,
        };
        let raising = Raising {
            gate: gate.clone(),
            scales: Arc::clone(&world.scales),
            needs: Arc::clone(&world.needs),
        };
        let (marks, raises) = (is_on(Writer::BusyMarks), is_on(Writer::DirectScaleUp));
        tokio::select! {
            () = leadership.run(stop) => {}
            () = marking.run(), if marks => {}
            () = count_lost(&gate, &world), if marks => {}
            () = raising.run(), if raises => {}
            () = keep(&gate, &*world.needs) => {}
        }
    }
}

/// Has every pool read while this replica leads, though KEDA may ask another.
async fn keep(gate: &Gate, needs: &dyn Needs) {
    let mut changes = gate.changes();
    let mut ticks = interval(KEEP_EVERY);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = changes.changed() => {}
        }
        if gate.lead().is_some() {
            needs.keep();
        }
    }
}

/// Counts the busy agents that are lost while this replica leads.
async fn count_lost(gate: &Gate, world: &World) {
    let seen = world.pods.agent_pods();
    let mut changes = world.needs.changes();
    let mut lost = Lost::default();
    // The end of a pod is told by a reading well after it.
    while changes.changed().await.is_ok() {
        let Some(seen) = seen.borrow().clone() else {
            continue;
        };
        if gate.lead().is_none() || seen.ended.is_empty() {
            continue;
        }
        for (pod, job) in lost.found(&world.needs.needs(), &seen) {
            world.metrics.busy_agent_lost();
            tracing::warn!(%pod, job, "a busy agent was lost: its pod has ended, and Azure DevOps still calls its job running");
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
