//! The scaling objects that KEDA has named, each with its parsed trigger.
//!
//! May import: domain, pools. Invariant: a trigger is parsed once, and a scaling
//! object that nobody calls for any more is forgotten, at the latest after the
//! time-to-idle. An edited trigger is passed over as soon as KEDA has called for
//! its successor and not for it for a while.

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use tokio::time::Instant;

use super::{answer::Unanswered, answers::Call, route::Route};
use crate::{
    domain::{profile::ScalingObject, trigger::Trigger},
    pools::{PoolAddress, SourceId},
};

/// Kubernetes: no name or namespace is longer.
const LONGEST_NAME: usize = 253;

/// KEDA asks for every trigger once in a polling interval, 30 s unless set; one
/// that it has not asked for in two of them, while it asks for another of the
/// same scaling object, was edited away.
const SHORTEST_SUCCESSION: Duration = Duration::from_secs(60);

/// More refused triggers than this are not remembered.
const REFUSED_SHOWN: u64 = 1_000;

/// One trigger of one scaling object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectKey {
    pub(super) object: ScalingObject,
    /// KEDA does not tell which trigger of a scaling object it calls for, so
    /// triggers are told apart by what they say.
    pub(super) trigger: u64,
}

/// A scaling object that KEDA calls for.
pub(super) struct Registered {
    pub(super) key: ObjectKey,
    pub(super) trigger: Trigger,
    /// Its pool.
    pub(super) address: PoolAddress,
    /// When it was last called for, in the registry's milliseconds.
    called_at: AtomicU64,
    /// The way to its pool, and when it was found.
    route: ArcSwapOption<(Arc<Route>, Instant)>,
}

/// How the registry remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// A scaling object that nobody calls for this long is forgotten.
    pub(super) forget_after: Duration,
    /// How many there may be at most.
    pub(super) limit: u64,
    /// How long it takes to learn which there are: a polling interval.
    pub(super) learn: Duration,
}

/// All of them.
pub(super) struct Registry {
    /// The only source that a trigger may name.
    source: SourceId,
    memory: Memory,
    registered: Cache<ObjectKey, Arc<Registered>>,
    /// Scaling objects whose trigger was refused, with the reason.
    refused: Cache<ScalingObject, Arc<str>>,
    /// The triggers of each scaling object.
    triggers: Mutex<HashMap<ScalingObject, Vec<Weak<Registered>>>>,
    started: Instant,
    /// Milliseconds at which learning began, and of the latest call (0: none).
    learning_since: AtomicU64,
    called_at: AtomicU64,
}

// === impl Registered ===

impl Registered {
    /// The way to its pool, if it was found no longer ago than this.
    pub(super) fn route(&self, longest: Duration) -> Option<Arc<Route>> {
        let route = self.route.load();
        let (route, found_at) = route.as_deref()?;
        (found_at.elapsed() < longest).then(|| Arc::clone(route))
    }

    pub(super) fn remember_route(&self, route: Arc<Route>) {
        self.route.store(Some(Arc::new((route, Instant::now()))));
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

// === impl Registry ===

impl Registry {
    pub(super) fn new(source: SourceId, memory: Memory) -> Self {
        Self {
            source,
            memory,
            registered: Cache::builder().time_to_idle(memory.forget_after).build(),
            refused: Cache::builder()
                .time_to_idle(memory.forget_after)
                .max_capacity(REFUSED_SHOWN)
                .build(),
            triggers: Mutex::new(HashMap::new()),
            started: Instant::now(),
            learning_since: AtomicU64::new(0),
            called_at: AtomicU64::new(0),
        }
    }

    /// The scaling object of a call; parsed and kept if it is new.
    pub(super) fn note(&self, call: &Call<'_>) -> Result<Arc<Registered>, Unanswered> {
        let key = key_of(call)?;
        self.notice_silence();
        let registered = match self.registered.get(&key) {
            Some(registered) => registered,
            None => match self.register(&key, call) {
                Ok(registered) => registered,
                Err(unanswered) => {
                    self.refuse(&key.object, &unanswered);
                    return Err(unanswered);
                }
            },
        };
        registered.called_at.store(self.now(), Ordering::Relaxed);
        Ok(registered)
    }

    /// The scaling objects whose trigger was refused of late, with the reason.
    pub(super) fn refused(&self) -> Vec<(ScalingObject, Arc<str>)> {
        let refused = self.refused.iter();
        refused
            .map(|(object, why)| ((*object).clone(), why))
            .collect()
    }

    /// An open stream is as good as a call.
    pub(super) fn touch(&self, registered: &Arc<Registered>) {
        let key = &registered.key;
        if self.registered.get(key).is_none() {
            self.registered.insert(key.clone(), Arc::clone(registered));
            self.remember(registered);
        }
        registered.called_at.store(self.now(), Ordering::Relaxed);
    }

    /// Is it still called for, and not followed by another trigger of the same
    /// scaling object?
    pub(super) fn is_called_for(&self, registered: &Registered) -> bool {
        if !self.registered.contains_key(&registered.key) {
            return false;
        }
        let triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        let siblings = triggers.get(&registered.key.object).into_iter().flatten();
        let latest = siblings
            .filter_map(Weak::upgrade)
            .map(|sibling| sibling.called_at.load(Ordering::Relaxed))
            .max();
        let own = registered.called_at.load(Ordering::Relaxed);
        let succession = SHORTEST_SUCCESSION.max(2 * self.memory.learn);
        latest.is_none_or(|latest| latest.saturating_sub(own) <= millis(succession))
    }

    /// How long yet until every scaling object has been heard of.
    pub(super) fn learning_left(&self) -> Option<Duration> {
        let since = Duration::from_millis(self.learning_since.load(Ordering::Relaxed));
        let left = (since + self.memory.learn).checked_sub(self.started.elapsed())?;
        (!left.is_zero()).then_some(left)
    }

    /// After a silence in which everything was forgotten, KEDA itself was away:
    /// what is there has to be learnt anew.
    fn notice_silence(&self) {
        let now = self.now();
        let before = self.called_at.swap(now, Ordering::Relaxed);
        if before != 0 && now.saturating_sub(before) > millis(self.memory.forget_after) {
            tracing::info!("KEDA calls again after a long silence; learning its scaling objects");
            self.learning_since.store(now, Ordering::Relaxed);
        }
    }

    fn register(&self, key: &ObjectKey, call: &Call<'_>) -> Result<Arc<Registered>, Unanswered> {
        let metadata = call.metadata.iter();
        let trigger = Trigger::parse(metadata.map(|(key, value)| (key.as_str(), value.as_str())))?;
        self.check_organization(&trigger)?;
        self.registered.run_pending_tasks();
        let limit = self.memory.limit;
        if self.registered.entry_count() >= limit {
            return Err(Unanswered::TooMany {
                what: "scaling objects",
                limit,
                flag: "--max-scaling-objects",
            });
        }
        tracing::info!(scaling_object = %key.object, pool = %trigger.pool, "a scaling object calls");
        let address = PoolAddress {
            source: self.source.clone(),
            pool: trigger.pool.clone(),
        };
        let registered = || {
            Arc::new(Registered {
                key: key.clone(),
                trigger,
                address,
                called_at: AtomicU64::new(self.now()),
                route: ArcSwapOption::empty(),
            })
        };
        let registered = self.registered.get_with_by_ref(key, registered);
        self.refused.invalidate(&key.object);
        self.remember(&registered);
        Ok(registered)
    }

    /// KEDA shows nobody why a trigger was refused, so it is told here: once
    /// in the log, and in the status for as long as it lasts.
    fn refuse(&self, object: &ScalingObject, unanswered: &Unanswered) {
        let why = unanswered.to_string();
        if self.refused.get(object).as_deref() != Some(&*why) {
            tracing::warn!(scaling_object = %object, "a trigger is refused: {why}");
            self.refused.insert(object.clone(), why.into());
        }
    }

    fn check_organization(&self, trigger: &Trigger) -> Result<(), Unanswered> {
        let configured = &self.source.organization;
        match &trigger.organization {
            Some(asked) if !asked.is_same(configured) => Err(Unanswered::UnknownOrganization {
                asked: asked.clone(),
                configured: configured.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Puts it beside the other triggers of its scaling object.
    fn remember(&self, registered: &Arc<Registered>) {
        let mut triggers = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        // Dead entries are cleared away before they outnumber the living.
        if triggers.len() as u64 > 2 * self.registered.entry_count() + 16 {
            triggers.retain(|_, siblings| {
                siblings.retain(|sibling| sibling.strong_count() > 0);
                !siblings.is_empty()
            });
        }
        let siblings = triggers.entry(registered.key.object.clone()).or_default();
        siblings.retain(|sibling| {
            sibling
                .upgrade()
                .is_some_and(|sibling| !Arc::ptr_eq(&sibling, registered))
        });
        siblings.push(Arc::downgrade(registered));
    }

    fn now(&self) -> u64 {
        // Never 0, which means «not yet».
        millis(self.started.elapsed()) + 1
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1)
}

fn key_of(call: &Call<'_>) -> Result<ObjectKey, Unanswered> {
    for (what, text) in [("the name", call.name), ("the namespace", call.namespace)] {
        if text.is_empty() || text.len() > LONGEST_NAME {
            return Err(Unanswered::ScalingObject(what));
        }
    }
    // The order of a map is not fixed, so the parts are summed up. The hasher
    // has fixed keys: every replica of one version computes the same.
    let parts = call
        .metadata
        .iter()
        .filter(|(key, _)| *key != "personalAccessTokenFromEnv");
    let trigger = parts.fold(0_u64, |sum, part| {
        let mut hasher = DefaultHasher::new();
        part.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    });
    let (namespace, name) = (call.namespace.into(), call.name.into());
    Ok(ObjectKey {
        object: ScalingObject { namespace, name },
        trigger,
    })
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
