//! The scaler: answers KEDA's questions from the latest snapshot of each pool.
//!
//! May import: pools, ports, domain, telemetry. Invariant: an answer is made
//! from memory, and both questions that KEDA asks are answered from one
//! snapshot; what has not been seen is an error, never 0.

pub mod answer;
pub mod answers;
pub mod status;

mod explain;
mod pool_decision;
mod registry;
mod route;
mod streams;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::stream::BoxStream;
use moka::sync::Cache;
use tokio::time::timeout;

use self::{
    answer::{Answer, MetricSpec, Unanswered},
    answers::{Answers, Call},
    pool_decision::PoolDecision,
    registry::{Memory, Registered, Registry},
    route::Destination,
    status::{Gauges, Status},
};
use crate::{
    domain::{organization::OrganizationUrl, pool::PoolRef},
    pools::{Found, PoolHandle, PoolKey, Pools, Source, View, WatchedPool},
};

/// A first call for a pool waits this long for the first snapshot, so that a
/// new scaling object does not begin with an error.
const FIRST_SNAPSHOT_WAIT: Duration = Duration::from_secs(1);

/// How the scaler answers.
#[derive(Clone, Copy, Debug)]
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
}

/// Answers KEDA. Clones share everything.
#[derive(Clone)]
pub struct Scaler {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ScalerSettings,
    source: Arc<Source>,
    pools: Pools,
    registry: Registry,
    decisions: Cache<PoolKey, Arc<PoolDecision>>,
}

// === impl Scaler ===

impl Scaler {
    /// A scaler that reads these pools.
    #[must_use]
    pub fn new(settings: ScalerSettings, source: Arc<Source>, pools: Pools) -> Self {
        let inner = Inner {
            pools,
            registry: Registry::new(
                source.id().clone(),
                Memory {
                    forget_after: settings.forget_after,
                    limit: settings.max_scaling_objects,
                    learn: settings.learn,
                },
            ),
            decisions: Cache::builder().time_to_idle(settings.forget_after).build(),
            source,
            settings,
        };
        Self {
            inner: Arc::new(inner),
        }
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

    fn status(&self, pool: Option<&str>) -> Status {
        explain::status(&self.inner, pool)
    }

    fn gauges(&self) -> Gauges {
        explain::gauges(&self.inner)
    }

    fn is_stuck(&self) -> Option<String> {
        let pool = self.inner.pools.stuck()?;
        Some(format!("the watcher of pool {pool}"))
    }
}

// === impl Inner ===

impl Inner {
    async fn answer(&self, registered: &Arc<Registered>) -> Result<Answer, Unanswered> {
        let pool = &registered.trigger.pool;
        let Destination { watched, decision } = self.destination(registered).await?;
        let view = first_view(&watched).await;
        let snapshot = match (&view.snapshot, view.failure) {
            (Some(snapshot), _) if snapshot.age() <= self.settings.max_stale => snapshot,
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
                    pause: self.source.pause_left(),
                });
            }
            (None, None) => {
                return Err(Unanswered::NotReadYet {
                    pool: pool.to_string(),
                });
            }
        };
        watched.call_was_stale_if_older_than(self.settings.fresh);
        let called_for = |profile: &Registered| self.registry.is_called_for(profile);
        let decided = decision.decide(snapshot, Some(registered), called_for);
        self.check_learning(registered)?;
        let Some(number) = decided.number(registered) else {
            return Err(Unanswered::NotReadYet {
                pool: pool.to_string(),
            });
        };
        let active = number.value() > registered.trigger.activation;
        Ok(Answer { number, active })
    }

    /// For a while after the start, profiles that share the pool may be
    /// missing, and their jobs would be counted for those that are here.
    fn check_learning(&self, registered: &Registered) -> Result<(), Unanswered> {
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
            .handle(&self.source, &registered.address)
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

    fn decision(&self, pool: &PoolKey) -> Arc<PoolDecision> {
        self.decisions.get_with_by_ref(pool, Arc::default)
    }
}

async fn first_view(watched: &WatchedPool) -> View {
    let view = watched.view();
    if view.is_known() {
        return view;
    }
    let mut views = watched.views();
    let _ = timeout(FIRST_SNAPSHOT_WAIT, views.wait_for(View::is_known)).await;
    watched.view()
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
