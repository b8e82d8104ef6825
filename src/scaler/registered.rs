//! A trigger that was read and may be answered for.
//!
//! May import: its siblings, domain, pools. Invariant: what it says never
//! changes; an edited trigger is another one.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;

use super::{answer::Unanswered, answers::Call, roster::Roster, route::Route};
use crate::{
    domain::{
        claim::Contender,
        declared::{self, Declared, JobPods, Kind},
        pool::PoolId,
        profile::{Counting, Profile, ScalingObject},
        trigger::Trigger,
    },
    pools::{PoolAddress, Source},
};

/// Kubernetes: no name or namespace is longer.
const LONGEST_NAME: usize = 253;

/// One trigger of one scaling object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectKey {
    pub(super) object: ScalingObject,
    /// KEDA does not tell which trigger of a scaling object it calls for, so
    /// triggers are told apart by what they say: see [`declared::identity`].
    pub(super) trigger: u64,
    /// And by what KEDA puts in for variables; 0 where there are none.
    pub(super) variables: u64,
}

/// A trigger that was read.
pub(super) struct Registered {
    pub(super) key: ObjectKey,
    pub(super) trigger: Trigger,
    /// Its profile, by what the cluster says of the scaling object if anything.
    pub(super) profile: Profile,
    /// That.
    pub(super) declared: Option<Arc<Declared>>,
    /// Where its pool is read from.
    pub(super) source: Arc<Source>,
    /// Its pool.
    pub(super) address: PoolAddress,
    /// Who names the pool in the same way.
    pub(super) roster: Arc<Roster>,
    /// When it was last called for, in the registry's milliseconds; 0: never.
    called_at: AtomicU64,
    /// Is it on its roster?
    listed: AtomicBool,
    /// The way to its pool, and when it was found.
    route: ArcSwapOption<(Arc<Route>, Instant)>,
    /// Was its pool looked for in vain at the last try?
    in_vain: AtomicBool,
}

/// What a [`Registered`] is made of.
pub(super) struct Parts {
    pub(super) key: ObjectKey,
    pub(super) trigger: Trigger,
    pub(super) declared: Option<Arc<Declared>>,
    pub(super) source: Arc<Source>,
    pub(super) roster: Arc<Roster>,
}

// === impl ObjectKey ===

impl ObjectKey {
    /// The key of a trigger as it is written in the cluster.
    pub(super) fn written<'a>(
        object: &ScalingObject,
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Self {
            object: object.clone(),
            trigger: declared::identity(metadata),
            variables: 0,
        }
    }

    /// The key of a call.
    ///
    /// # Errors
    /// Where the names are none that Kubernetes has.
    pub(super) fn called(call: &Call<'_>) -> Result<Self, Unanswered> {
        for (what, text) in [("the name", call.name), ("the namespace", call.namespace)] {
            if text.is_empty() || text.len() > LONGEST_NAME {
                return Err(Unanswered::ScalingObject(what));
            }
        }
        let (namespace, name) = (call.namespace.into(), call.name.into());
        let object = ScalingObject { namespace, name };
        Ok(Self {
            variables: variables(call.metadata),
            ..Self::written(&object, pairs(call.metadata))
        })
    }
}

/// Metadata as pairs, whether written or sent.
pub(super) fn pairs<'a>(
    metadata: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let pairs = metadata.into_iter();
    pairs.map(|(key, value)| (key.as_str(), value.as_str()))
}

/// The order of a map is not fixed, so the parts are summed up.
fn variables(metadata: &HashMap<String, String>) -> u64 {
    let parts = metadata.iter().filter(|(key, _)| key.ends_with("FromEnv"));
    parts.fold(0_u64, |sum, part| {
        let mut hasher = DefaultHasher::new();
        part.hash(&mut hasher);
        sum.wrapping_add(hasher.finish() | 1)
    })
}

// === impl Registered ===

impl Registered {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            key,
            trigger,
            declared,
            source,
            roster,
        } = parts;
        let profile = match &declared {
            Some(declared) => trigger.profile_as(declared),
            None => trigger.profile.clone(),
        };
        let address = PoolAddress {
            source: source.id().clone(),
            pool: trigger.pool.clone(),
        };
        Self {
            key,
            trigger,
            profile,
            declared,
            source,
            address,
            roster,
            called_at: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            route: ArcSwapOption::empty(),
            in_vain: AtomicBool::new(false),
        }
    }

    /// Notes a call.
    pub(super) fn called(&self, now: u64) {
        self.called_at.store(now, Ordering::Relaxed);
    }

    /// When it was last called for; 0: never.
    pub(super) fn called_at(&self) -> u64 {
        self.called_at.load(Ordering::Relaxed)
    }

    pub(super) fn set_listed(&self, listed: bool) {
        self.listed.store(listed, Ordering::Relaxed);
    }

    pub(super) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    /// The way to its pool, if it was found no longer ago than this.
    pub(super) fn route(&self, longest: Duration) -> Option<Arc<Route>> {
        let route = self.route.load();
        let (route, found_at) = route.as_deref()?;
        (found_at.elapsed() < longest).then(|| Arc::clone(route))
    }

    pub(super) fn remember_route(&self, route: Arc<Route>) {
        self.route.store(Some(Arc::new((route, Instant::now()))));
        self.in_vain.store(false, Ordering::Relaxed);
    }

    /// Its pool cannot be found.
    pub(super) fn looked_in_vain(&self) {
        self.in_vain.store(true, Ordering::Relaxed);
    }

    /// May it have jobs of this pool, which was read with another credential? Not
    /// where its own cannot read the pool: then nobody would start agents for
    /// them. One that was not tried yet is trusted if the scaler holds it.
    pub(super) fn can_read(&self, pool: PoolId, max_stale: Duration) -> bool {
        if self.in_vain.load(Ordering::Relaxed) {
            return false;
        }
        let route = self.route.load();
        let walked = route
            .as_deref()
            .and_then(|(route, _)| route.reads(pool, max_stale));
        walked.unwrap_or(!self.source.is_of_a_trigger())
    }

    /// Its part in the decision on its pool.
    pub(super) fn contender<'a>(
        &'a self,
        jobs: Option<&'a JobPods>,
        leaving: Option<&'a BTreeSet<Box<str>>>,
    ) -> Contender<'a> {
        let declared = self.declared.as_ref();
        let named = declared.map_or(&self.key.object.name, |declared| &declared.agents_named);
        let per_agent = self.trigger.jobs_per_agent;
        // One that is paused keeps the jobs on its agents, and gets no others.
        let most = |of: &Arc<Declared>| if of.paused { 0 } else { of.max_agents };
        Contender {
            object: &self.key.object,
            trigger: self.key.trigger,
            profile: &self.profile,
            agents_named: named,
            placeholder: self.trigger.placeholder.as_deref(),
            limit: declared.map(|declared| most(declared).saturating_mul(per_agent)),
            jobs,
            leaving,
        }
    }

    /// Does it make Jobs, as far as the cluster says?
    pub(super) fn makes_jobs(&self) -> bool {
        let declared = self.declared.as_ref();
        declared.is_some_and(|declared| declared.kind == Kind::ScaledJob)
    }

    /// Does it count agents for a Deployment, which are no replicas once their pods
    /// are going? Where a formula or another kind of target is between, nobody knows
    /// what a smaller number would come to.
    pub(super) fn counts_replicas(&self) -> bool {
        let declared = self.declared.as_ref();
        self.profile.counting == Counting::Unfinished
            && declared.is_some_and(|declared| {
                declared.kind == Kind::ScaledObject && declared.deployment.is_some()
            })
    }

    /// For how many jobs there is a Job that KEDA does not take off the number.
    /// KEDA 2.21: leaves `minReplicaCount` of the Jobs out of all sums.
    pub(super) fn backed(&self, jobs: &JobPods) -> u32 {
        let jobs = match self.profile.counting {
            Counting::Unclaimed => jobs.started,
            _ => jobs.existing,
        };
        let kept = self.declared.as_ref().map_or(0, |of| of.min_agents);
        jobs.saturating_sub(kept)
            .saturating_mul(self.trigger.jobs_per_agent)
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
