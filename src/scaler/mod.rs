//! The scaler: answers KEDA's questions from the latest snapshot of each pool.
//!
//! May import: pools, ports, domain, telemetry. Invariant: an answer is made
//! from memory, and both questions that KEDA asks are answered from one
//! snapshot; what has not been seen is an error, never 0.

pub mod answer;
pub mod answers;
pub mod newcomers;
pub mod status;

mod addresses;
mod codes;
mod declarations;
mod explain;
mod following;
mod gauges;
mod needs;
mod notices;
mod parallel_jobs;
mod pool_decision;
mod raised;
mod refusals;
mod registered;
mod registry;
mod roster;
mod route;
mod sources;
mod stands;
mod streams;

#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod invented_tests;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;
use moka::sync::Cache;
use tokio::{sync::watch, time::timeout};

pub use self::sources::{SourceParts, Sources};
use self::{
    addresses::Addresses,
    answer::{Answer, MetricSpec, Unanswered},
    answers::{Answers, Call},
    declarations::Known,
    parallel_jobs::Shares,
    pool_decision::{Decided, PodsSeen, PoolDecision},
    registered::Registered,
    registry::{Memory, Registry},
    route::Destination,
    status::{Gauges, Status, Wanted},
};
use crate::{
    domain::{
        declared::{JobCensus, LeavingPods, ScalerAddress},
        keeper::Keeper,
        organization::OrganizationUrl,
        pool::PoolRef,
    },
    pools::{Found, PoolHandle, PoolKey, Pools, Snapshot, WatchedPool},
    ports::{Cluster, Raised},
};

/// A first call for a pool waits this long for the first snapshot, so that a
/// new scaling object does not begin with an error.
const FIRST_SNAPSHOT_WAIT: Duration = Duration::from_secs(1);

/// After the start, a first call waits this long for the cluster to tell which
/// scaling objects there are.
const FIRST_DECLARATIONS_WAIT: Duration = Duration::from_secs(1);

/// How the scaler answers.
#[derive(Clone, Debug)]
pub struct ScalerSettings {
    /// How old a snapshot may be before it answers nothing any more.
    pub max_stale: Duration,
    /// How old one may be before a call has it read again.
    pub fresh: Duration,
    /// How long after its start the scaler learns which scaling objects share
    /// a pool before it answers for them.
    pub learn: Duration,
    /// A scaling object that nobody calls for this long is forgotten.
    pub forget_after: Duration,
    /// How many scaling objects there may be at most.
    pub max_scaling_objects: u64,
    /// Is a trigger that does not say what it is of to wait for the cluster,
    /// however long that takes to tell?
    pub cluster_required: bool,
    /// The addresses under which triggers name this scaler. Where there are
    /// none, they are learnt from calls.
    pub addresses: Vec<ScalerAddress>,
    /// Who keeps placeholders for the profiles, where this scaler does.
    pub keeper: Option<Keeper>,
}

/// Answers KEDA. Clones share everything.
#[derive(Clone)]
pub struct Scaler {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ScalerSettings,
    pools: Pools,
    registry: Registry,
    cluster: Option<Arc<dyn Cluster>>,
    /// The Jobs of scaled jobs, where there is a cluster.
    job_pods: Option<watch::Receiver<Option<Arc<JobCensus>>>>,
    /// When Deployments became larger, where there is a cluster.
    raised: Option<watch::Receiver<Arc<Raised>>>,
    /// The pods of Deployments that are going, where there is a cluster.
    leaving_pods: Option<watch::Receiver<Option<Arc<LeavingPods>>>>,
    decisions: Cache<PoolKey, Arc<PoolDecision>>,
    shares: Shares,
}

// === impl Scaler ===

impl Scaler {
    /// A scaler that reads these pools from these sources. Where there is a
    /// cluster, it follows what that declares, from within the runtime.
    #[must_use]
    pub fn new(
        settings: ScalerSettings,
        sources: Arc<Sources>,
        pools: Pools,
        cluster: Option<&Arc<dyn Cluster>>,
    ) -> Self {
        let memory = Memory {
            forget_after: settings.forget_after,
            limit: settings.max_scaling_objects,
            learn: settings.learn,
        };
        let known = Known::new(Addresses::new(settings.addresses.iter().cloned()));
        let inner = Arc::new(Inner {
            pools,
            registry: Registry::new(sources, memory, known),
            cluster: cluster.cloned(),
            job_pods: cluster.map(|cluster| cluster.job_pods()),
            raised: cluster.map(|cluster| cluster.raised()),
            leaving_pods: cluster.map(|cluster| cluster.leaving_pods()),
            decisions: Cache::builder().time_to_idle(settings.forget_after).build(),
            shares: Shares::default(),
            settings,
        });
        if let Some(cluster) = cluster {
            tokio::spawn(following::follow(
                Arc::downgrade(&inner),
                cluster.declared(),
            ));
        }
        Self { inner }
    }
}

impl std::fmt::Debug for Scaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scaler")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

impl Answers for Scaler {
    fn spec(&self, call: &Call<'_>) -> Result<MetricSpec, Unanswered> {
        let registered = self.inner.registry.note(call)?;
        let trigger = &registered.trigger;
        // KEDA's own trigger puts the pool's number here, which takes a
        // request to learn; the pool as the trigger names it does as well.
        let pool = match &trigger.pool {
            PoolRef::Id(id) => id.to_string(),
            PoolRef::Name(name) => metric_name_part(name),
        };
        Ok(MetricSpec {
            name: format!("azure-pipelines-{pool}"),
            target: trigger.jobs_per_agent,
        })
    }

    async fn answer(&self, call: &Call<'_>) -> Result<Answer, Unanswered> {
        let registered = self.inner.registry.note(call)?;
        self.inner.answer(&registered).await
    }

    fn activity(&self, call: &Call<'_>) -> Result<BoxStream<'static, bool>, Unanswered> {
        let registered = self.inner.registry.note(call)?;
        Ok(streams::activity(Arc::clone(&self.inner), registered))
    }

    fn nudge(&self, organization: Option<&OrganizationUrl>) -> usize {
        let pools = self.inner.pools.all();
        let meant = |pool: &&Arc<WatchedPool>| {
            organization.is_none_or(|asked| pool.source().organization().is_same(asked))
        };
        pools.iter().filter(meant).map(|pool| pool.nudge()).count()
    }

    fn status(&self, wanted: &Wanted) -> Status {
        explain::status(&self.inner, wanted)
    }

    fn gauges(&self) -> Gauges {
        gauges::gauges(&self.inner)
    }

    fn is_stuck(&self) -> Option<String> {
        let pool = self.inner.pools.stuck()?;
        Some(format!("the watcher of pool {pool}"))
    }
}

// === impl Inner ===

impl Inner {
    async fn answer(&self, registered: &Arc<Registered>) -> Result<Answer, Unanswered> {
        self.first_declarations().await;
        let pool = &registered.trigger.pool;
        let Destination { watched, decision } = self.destination(registered).await?;
        let latest = self.latest(registered, &watched).await;
        self.first_usage(&watched).await;
        let is_good = |snapshot: &Snapshot| {
            !snapshot.is_stale(self.settings.max_stale) && !latest.is_overtaken(snapshot)
        };
        let snapshot = match (&latest.view.snapshot, latest.view.failure.clone()) {
            (Some(snapshot), _) if is_good(snapshot) => snapshot,
            (snapshot, Some(failure)) => {
                return Err(Unanswered::Unreadable {
                    pool: pool.to_string(),
                    last_read: snapshot.as_ref().map(crate::pools::Snapshot::age),
                    cause: failure.error,
                });
            }
            (Some(snapshot), None) => {
                return Err(Unanswered::Late {
                    pool: pool.to_string(),
                    age: snapshot.age(),
                    pause: registered.source.pause_left(),
                });
            }
            (None, None) => {
                return Err(Unanswered::NotReadYet {
                    pool: pool.to_string(),
                });
            }
        };
        watched.call_was_stale_if_older_than(self.settings.fresh);
        let decided = self.decide(&decision, snapshot, Some(registered));
        self.check_learning(registered)?;
        let told = self.told(&watched, &decision, decided);
        let Some(number) = told.number(registered) else {
            return Err(Unanswered::NotReadYet {
                pool: pool.to_string(),
            });
        };
        let active = number.value() > registered.trigger.activation;
        Ok(Answer { number, active })
    }

    fn decide(
        &self,
        decision: &PoolDecision,
        snapshot: &Snapshot,
        asking: Option<&Arc<Registered>>,
    ) -> Arc<Decided> {
        let job_pods = self.job_pods.as_ref();
        let leaving = self.leaving_pods.as_ref();
        let seen = PodsSeen {
            jobs: job_pods.and_then(|job_pods| job_pods.borrow().clone()),
            leaving: leaving.and_then(|leaving| leaving.borrow().clone()),
        };
        decision.decide(snapshot, asking, &seen, &self.registry)
    }

    /// Waits a moment for the cluster, which may well be slower than KEDA's
    /// first call.
    async fn first_declarations(&self) {
        if self.job_pods.is_none() || self.registry.learning_left().is_none() {
            return;
        }
        let mut told = self.registry.known.told();
        // Time out or not, what is known then is what counts.
        let _ = timeout(FIRST_DECLARATIONS_WAIT, told.wait_for(|told| *told)).await;
    }

    /// For a while after the start, profiles that share the pool may be
    /// missing, and their jobs would be counted for those that are here.
    fn check_learning(&self, registered: &Registered) -> Result<(), Unanswered> {
        let says_what_it_is = registered.trigger.says.kind.is_some();
        if self.settings.cluster_required
            && !says_what_it_is
            && !*self.registry.known.told().borrow()
        {
            return Err(Unanswered::Blind);
        }
        match self.registry.learning_left() {
            Some(left) if registered.trigger.profile.shares_the_pool() => {
                Err(Unanswered::Learning {
                    pool: registered.trigger.pool.to_string(),
                    left,
                })
            }
            _ => Ok(()),
        }
    }

    fn handle(&self, registered: &Registered) -> Result<Arc<PoolHandle>, Unanswered> {
        self.pools
            .handle(&registered.source, &registered.address)
            .map_err(|_| Unanswered::TooMany {
                what: "pools",
                limit: self.pools.limit(),
                flag: "--max-pools",
            })
    }

    /// The watched pool; waits a moment for a search that has just begun.
    async fn found(
        &self,
        handle: &PoolHandle,
        registered: &Registered,
    ) -> Result<Arc<WatchedPool>, Unanswered> {
        let mut found = handle.found();
        if matches!(found, Found::NotYet) {
            let mut changes = handle.changes();
            let known = changes.wait_for(|found| !matches!(found, Found::NotYet));
            // Time out or not, what is there now is what counts.
            let _ = timeout(FIRST_SNAPSHOT_WAIT, known).await;
            found = handle.found();
        }
        let pool = || registered.trigger.pool.to_string();
        match found {
            Found::Yes(watched) => Ok(watched),
            Found::NotYet => Err(Unanswered::NotReadYet { pool: pool() }),
            Found::No(failure) => Err(Unanswered::Unreadable {
                pool: pool(),
                last_read: None,
                cause: failure.error,
            }),
        }
    }

    fn decision(&self, watched: &WatchedPool) -> Arc<PoolDecision> {
        let max_stale = self.settings.max_stale;
        let new = || {
            let (pool, name) = (watched.key().clone(), &watched.pool().name);
            Arc::new(PoolDecision::new(&self.registry, pool, name, max_stale))
        };
        self.decisions.get_with_by_ref(watched.key(), new)
    }
}

/// KEDA makes label values of metric names, so only letters, digits and dashes
/// stay; everything else becomes a dash.
fn metric_name_part(name: &str) -> String {
    const LONGEST: usize = 100;
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    name.chars().take(LONGEST).map(safe).collect()
}
