//! The guard: the only part of the scaler that writes, to the cluster and to agent pools.
//!
//! May import: ports, domain, telemetry. Invariants: nothing is written unless it
//! was switched on, and then by one replica of all; all writes go through one gate,
//! which bounds and counts them. What to write is decided apart from writing it.
//!
//! [`election`] says who leads and [`leadership`] makes it so; [`gate`] is passed
//! by every write. [`marks`] and [`wanted`] say which pods are marked and how, and
//! [`marking`] marks them; [`raising`] raises scales; [`lost`] counts what was lost.
//! [`rounds`] looks at agent pools: [`book`], with a [`page`] for each, says which and what
//! there is to do, [`deed`] does it. [`suspects`] says which agents were left behind, and [`reaping`] takes them out.
//! [`edges`] says what is told of scaling objects, and [`telling`] tells it.

mod book;
mod deed;
mod edges;
mod election;
mod gate;
mod leadership;
mod lost;
mod marking;
pub mod marks;
mod page;
mod raising;
mod reaping;
mod rounds;
mod suspects;
mod telling;
mod wanted;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::future::OptionFuture;
use tokio::{
    sync::mpsc,
    time::{Instant, interval, sleep_until},
};

pub use self::election::{Lead, Times};
use self::{
    gate::Gate, leadership::Leadership, lost::Lost, marking::Marking, raising::Raising,
    reaping::Reaping, rounds::Rounds, telling::Telling,
};
use crate::{
    domain::keeper::Keeper,
    ports::{
        notices::{Events, Notices},
        stands::PoolStands,
        writes::{AgentPods, Lease, Needs, Scales},
    },
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
    /// How agent pools are written to; `None`: they are not.
    pub pools: Option<PoolSettings>,
}

/// How agent pools are written to.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Whose marks this scaler's are.
    pub keeper: Keeper,
    /// How often each pool is looked at.
    pub look_every: Duration,
    /// For how long nobody has wanted a placeholder before it is taken away.
    pub gone_for: Duration,
    /// For how long an agent was seen to be offline before it is taken out.
    pub offline_for: Duration,
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
    /// Who names which agent pools.
    pub stands: Arc<dyn PoolStands>,
    /// What keeps whom from scaling.
    pub notices: Arc<dyn Notices>,
    /// Where it is told.
    pub events: Arc<dyn Events>,
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
        let (placeholders, reaper) = (is_on(Writer::Placeholders), is_on(Writer::Reaper));
        let pools = settings.pools.as_ref().filter(|_| placeholders || reaper);
        let pools = pools.map(|pools| write_to_pools(pools, &gate, &world, [placeholders, reaper]));
        let telling = Telling {
            gate: gate.clone(),
            notices: Arc::clone(&world.notices),
            events: Arc::clone(&world.events),
            reporter: settings.identity.clone(),
        };
        let tells = is_on(Writer::Events);
        let (marks, raises) = (is_on(Writer::BusyMarks), is_on(Writer::DirectScaleUp));
        tokio::select! {
            () = leadership.run(stop) => {}
            () = marking.run(), if marks => {}
            () = count_lost(&gate, &world), if marks => {}
            () = raising.run(), if raises => {}
            () = telling.run(), if tells => {}
            () = keep(&gate, &*world.needs) => {}
            Some(()) = OptionFuture::from(pools) => {}
        }
    }
}

/// Goes the rounds of agent pools, for the writers that are on.
async fn write_to_pools(
    settings: &PoolSettings,
    gate: &Gate,
    world: &World,
    [placeholders, reaper]: [bool; 2],
) {
    let (looks, seen) = mpsc::channel(reaping::LOOKS);
    let rounds = Rounds {
        gate: gate.clone(),
        stands: Arc::clone(&world.stands),
        settings: settings.clone(),
        keeps: placeholders,
        looks: reaper.then_some(looks),
        metrics: Arc::clone(&world.metrics),
    };
    let reaping = Reaping {
        gate: gate.clone(),
        pods: Arc::clone(&world.pods),
        stands: Arc::clone(&world.stands),
        settings: settings.clone(),
    };
    tokio::select! {
        () = rounds.run() => {}
        () = reaping.run(seen), if reaper => {}
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
