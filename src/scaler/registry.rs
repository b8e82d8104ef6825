//! The triggers that the scaler answers for: those that the cluster declares, and
//! those that KEDA has called for.
//!
//! May import: its siblings, domain, ports. Invariants: a trigger is read once
//! and granted before it has a source. One that the cluster declares counts
//! exactly as long as it is declared, whoever calls; one that it does not (not
//! yet, or nowhere that is watched) counts while it is called for, and an edited
//! one is passed over as soon as KEDA has called for its successor and not for
//! it for a while.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use tokio::time::Instant;

use super::{
    answer::Unanswered,
    answers::Call,
    declarations::Known,
    newcomers::Newcomers,
    refusals::Refusals,
    registered::{ObjectKey, Parts, Registered, pairs},
    roster::{Roster, RosterKey, Rosters},
    sources::{Asking, Sources},
};
use crate::domain::{
    declared::Declared, organization::OrganizationUrl, pool::PoolRef, profile::ScalingObject,
    trigger::Trigger,
};

/// KEDA asks for every trigger once in a polling interval, 30 s unless set; one
/// that it has not asked for in two of them, while it asks for another of the
/// same scaling object, was edited away.
const SHORTEST_SUCCESSION: Duration = Duration::from_secs(60);

/// What came of a trigger that the cluster declares.
pub(super) enum Declaring {
    Read(Arc<Registered>),
    /// It cannot be used; the reason was told.
    Refused(Arc<Unanswered>),
    /// It says nothing before KEDA calls with the values of its variables.
    Unresolved,
}

/// How the registry remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// A scaling object that nobody calls for this long is forgotten.
    pub(super) forget_after: Duration,
    /// How many there may be at most that the cluster does not declare.
    pub(super) limit: u64,
    /// How long it takes to learn which there are: a polling interval.
    pub(super) learn: Duration,
}

/// All of them.
pub(super) struct Registry {
    pub(super) sources: Arc<Sources>,
    pub(super) rosters: Rosters,
    /// What the cluster declares.
    pub(super) known: Arc<Known>,
    memory: Memory,
    newcomers: Newcomers,
    /// By the keys of calls.
    pub(super) called: Cache<ObjectKey, Arc<Registered>>,
    pub(super) refusals: Refusals,
    /// The triggers of each scaling object that was called for.
    siblings: Mutex<HashMap<ScalingObject, Vec<Weak<Registered>>>>,
    started: Instant,
    /// Counts the decisions that were made anew, of whichever pool.
    pub(super) decisions: AtomicU64,
    /// Milliseconds at which learning began, and of the latest call (0: none).
    learning_since: AtomicU64,
    called_at: AtomicU64,
}

// === impl Registry ===

impl Registry {
    pub(super) fn new(sources: Arc<Sources>, memory: Memory, known: Known) -> Self {
        let known = Arc::new(known);
        Self {
            called: called(memory, Arc::clone(&known)),
            sources,
            memory,
            newcomers: newcomers(memory.limit),
            rosters: Rosters::default(),
            known,
            refusals: Refusals::new(memory.forget_after),
            siblings: Mutex::new(HashMap::new()),
            started: Instant::now(),
            decisions: AtomicU64::new(0),
            learning_since: AtomicU64::new(0),
            called_at: AtomicU64::new(0),
        }
    }

    /// The trigger of a call; read and kept if it is new.
    pub(super) fn note(&self, call: &Call<'_>) -> Result<Arc<Registered>, Unanswered> {
        let key = ObjectKey::called(call)?;
        self.notice_silence();
        let registered = match self.called.get(&key) {
            Some(registered) => registered,
            None => match self.register(&key, call) {
                Ok(registered) => registered,
                Err(unanswered) => {
                    self.refusals.note(&key.object, &unanswered);
                    return Err(unanswered);
                }
            },
        };
        self.has_called(&registered);
        Ok(registered)
    }

    /// An open stream is as good as a call. The trigger as it is by now; `None`
    /// where it is not any more, or was edited.
    pub(super) fn touch(&self, registered: &Arc<Registered>) -> Option<Arc<Registered>> {
        let key = &registered.key;
        let registered = match self.known.written(key) {
            Some(written) => written,
            None => {
                let declared = self.known.of(&key.object, key.trigger);
                if declared.is_none() && registered.declared.is_some() {
                    return None;
                }
                registered.declared_as(declared.as_ref())
            }
        };
        let known = self.called.get(key);
        if known.is_none_or(|known| !Arc::ptr_eq(&known, &registered)) {
            self.called.insert(key.clone(), Arc::clone(&registered));
            self.remember(&registered);
        }
        self.has_called(&registered);
        Some(registered)
    }

    fn has_called(&self, registered: &Arc<Registered>) {
        registered.called(self.now());
        if registered.is_listed() {
            return;
        }
        // Taken off while it was silent; or the cluster knows it by another
        // form of itself, which stands for it.
        let _steady = self.known.steady();
        if !self.known.is_outdated(registered) {
            registered.roster.insert(registered);
        }
    }

    /// Does it count now?
    pub(super) fn is_current(&self, registered: &Arc<Registered>) -> bool {
        match self.known.knows(registered) {
            Some(current) => current,
            None => self.is_called_for(registered),
        }
    }

    /// Takes off what does not count any more, but for the one that asks.
    pub(super) fn sweep<'a>(
        &self,
        rosters: impl IntoIterator<Item = &'a Arc<Roster>>,
        asking: Option<&Arc<Registered>>,
    ) {
        let _steady = self.known.steady();
        for roster in rosters {
            roster.retain(|registered| {
                asking.is_some_and(|asking| Arc::ptr_eq(asking, registered))
                    || self.is_current(registered)
            });
        }
    }

    /// Is it still called for, and not followed by another trigger of the same
    /// scaling object?
    pub(super) fn is_called_for(&self, registered: &Registered) -> bool {
        if !self.called.contains_key(&registered.key) {
            return false;
        }
        let siblings = self.siblings.lock().unwrap_or_else(PoisonError::into_inner);
        let siblings = siblings.get(&registered.key.object).into_iter().flatten();
        let latest = siblings
            .filter_map(Weak::upgrade)
            .map(|sibling| sibling.called_at())
            .max();
        let own = registered.called_at();
        let succession = SHORTEST_SUCCESSION.max(2 * self.memory.learn);
        latest.is_none_or(|latest| latest.saturating_sub(own) <= millis(succession))
    }

    /// How long yet until every scaling object has been heard of; `None` where
    /// the cluster has told them all.
    pub(super) fn learning_left(&self) -> Option<Duration> {
        let since = Duration::from_millis(self.learning_since.load(Ordering::Relaxed));
        let left = (since + self.memory.learn).checked_sub(self.started.elapsed())?;
        (!left.is_zero() && !self.known.is_complete()).then_some(left)
    }

    /// The roster of a pool as it is named.
    pub(super) fn roster(&self, organization: &OrganizationUrl, pool: &PoolRef) -> Arc<Roster> {
        self.rosters.get(RosterKey::new(organization, pool))
    }

    /// Reads a trigger that the cluster declares. A key that holds the name of a
    /// variable says nothing yet.
    pub(super) fn declare(&self, declared: &Arc<Declared>, index: usize) -> Declaring {
        let written = &declared.triggers[index];
        let is_said = |key: &str| !key.ends_with("FromEnv");
        let has_variables = written.keys().any(|key| !is_said(key));
        let said = || pairs(written).filter(|(key, _)| is_said(key));
        let key = ObjectKey::written(&declared.object, said());
        match self.read(key, said(), Some(declared), None, false) {
            Ok(registered) => Declaring::Read(registered),
            Err(Unanswered::Denied(_)) if has_variables => Declaring::Unresolved,
            Err(unanswered) => {
                self.refusals.note(&declared.object, &unanswered);
                Declaring::Refused(Arc::new(unanswered))
            }
        }
    }

    /// Forgets the calls for triggers that the cluster declares otherwise now:
    /// the next one is for what stands for it.
    pub(super) fn forget_outdated(&self) {
        for (key, registered) in &self.called {
            if self.known.is_outdated(&registered) {
                registered.roster.remove(&registered);
                self.called.invalidate(&*key);
            }
        }
    }

    /// Milliseconds since the start; never 0, which means «not yet».
    pub(super) fn now(&self) -> u64 {
        millis(self.started.elapsed()) + 1
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
        self.known.learn(self, &key.object, call.metadata);
        let read = match self.known.written(key) {
            Some(written) => written,
            None => self.read_call(key, call)?,
        };
        tracing::info!(scaling_object = %key.object, pool = %read.trigger.pool, "a scaling object calls");
        // What the cluster has told meanwhile counts.
        let _steady = self.known.steady();
        let declared = self.known.of(&key.object, key.trigger);
        let written = self.known.written(key);
        let read = written.unwrap_or_else(|| read.declared_as(declared.as_ref()));
        let registered = self.called.get_with_by_ref(key, || read);
        self.refusals.forget(&key.object);
        self.remember(&registered);
        registered.roster.insert(&registered);
        Ok(registered)
    }

    fn read_call(&self, key: &ObjectKey, call: &Call<'_>) -> Result<Arc<Registered>, Unanswered> {
        // What the cluster has, nobody has invented. What came in place of
        // variables, anybody may have.
        if key.variables != 0 || !self.known.has(key) {
            self.check_room()?;
            // While it learns who there is, everybody is new.
            if self.learning_left().is_none() {
                self.newcomers.admit()?;
            }
        }
        let declared = self.known.of(&key.object, key.trigger);
        let token = call.metadata.get("personalAccessTokenFromEnv");
        let token = token.map(String::as_str).filter(|token| !token.is_empty());
        let metadata = pairs(call.metadata);
        self.read(
            key.clone(),
            metadata,
            declared.as_ref(),
            token,
            call.encrypted,
        )
    }

    fn check_room(&self) -> Result<(), Unanswered> {
        self.called.run_pending_tasks();
        let limit = self.memory.limit;
        if self.called.entry_count() >= limit {
            return Err(Unanswered::TooMany {
                what: "scaling objects",
                limit,
                flag: "--max-scaling-objects",
            });
        }
        Ok(())
    }

    fn read<'a>(
        &self,
        key: ObjectKey,
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
        declared: Option<&Arc<Declared>>,
        token: Option<&str>,
        encrypted: bool,
    ) -> Result<Arc<Registered>, Unanswered> {
        let trigger = Trigger::parse(metadata)?;
        let source = self.sources.source(&Asking {
            namespace: &key.object.namespace,
            trigger: &trigger,
            token,
            encrypted,
        })?;
        let roster = self.roster(source.organization(), &trigger.pool);
        Ok(Arc::new(Registered::new(Parts {
            key,
            trigger,
            declared: declared.cloned(),
            source,
            roster,
        })))
    }

    /// Puts it beside the other triggers of its scaling object.
    fn remember(&self, registered: &Arc<Registered>) {
        let mut siblings = self.siblings.lock().unwrap_or_else(PoisonError::into_inner);
        // Dead entries are cleared away before they outnumber the living.
        if siblings.len() as u64 > 2 * self.called.entry_count() + 16 {
            siblings.retain(|_, siblings| {
                siblings.retain(|sibling| sibling.strong_count() > 0);
                !siblings.is_empty()
            });
        }
        let siblings = siblings.entry(registered.key.object.clone()).or_default();
        siblings.retain(|sibling| {
            sibling
                .upgrade()
                .is_some_and(|sibling| !Arc::ptr_eq(&sibling, registered))
        });
        siblings.push(Arc::downgrade(registered));
    }
}

/// The triggers that KEDA calls for. One that is forgotten leaves its roster too,
/// unless the cluster declares it: no pool need ever be read for it.
fn called(memory: Memory, known: Arc<Known>) -> Cache<ObjectKey, Arc<Registered>> {
    Cache::builder()
        .time_to_idle(memory.forget_after)
        .eviction_listener(move |_, registered: Arc<Registered>, _| {
            if known.knows(&registered) != Some(true) {
                registered.roster.remove(&registered);
            }
        })
        .build()
}

/// After a restart KEDA calls for all that it has within a polling interval: a
/// tenth of what there may be comes in at once (a hundred at least), and a tenth
/// of that each second later. Whoever invents names makes no more of them known.
fn newcomers(limit: u64) -> Newcomers {
    const FEWEST: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");
    const FEWEST_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("it is not 0");
    let part = |of: u64| NonZeroU32::new(u32::try_from(limit / of).unwrap_or(u32::MAX));
    Newcomers::new(
        part(10).map_or(FEWEST, |part| part.max(FEWEST)),
        part(100).map_or(FEWEST_PER_SECOND, |part| part.max(FEWEST_PER_SECOND)),
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
