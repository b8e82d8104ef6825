//! The standing decision on one pool: made once for each change of the queue or
//! of the profiles, and read by every call.
//!
//! May import: its siblings, pools, domain. Invariant: a number that is given
//! out was decided with every profile known at that time, and for the queue of
//! the view that was asked about. It outlives watchers: who asks for the pool
//! does not change with who reads it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::watch, time::Instant};

use super::registry::{ObjectKey, Registered};
use crate::{
    domain::{claim::Contender, decision::Decision, number::Number, pool::Queue},
    pools::Snapshot,
};

/// The profiles of a pool, and what was last decided for them.
#[derive(Default)]
pub(super) struct PoolDecision {
    state: Mutex<State>,
    /// Counts changes of the profiles, so that streams can await them.
    profiles_changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    profiles: BTreeMap<ObjectKey, Arc<Registered>>,
    /// The reading at which forgotten profiles were last taken out.
    swept_at: Option<Instant>,
    /// `None` where the profiles have changed since.
    decided: Option<Arc<Decided>>,
}

/// A decision, with all that it was made from.
pub(super) struct Decided {
    pub(super) queue: Arc<Queue>,
    pub(super) profiles: Vec<Arc<Registered>>,
    pub(super) decision: Decision,
}

// === impl PoolDecision ===

impl PoolDecision {
    /// Tells when a profile came or went.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.profiles_changed.subscribe()
    }

    /// The decision for this snapshot, with this profile among the others.
    /// Profiles that are not called for any more are left out.
    pub(super) fn decide(
        &self,
        snapshot: &Snapshot,
        asking: Option<&Arc<Registered>>,
        called_for: impl Fn(&Registered) -> bool,
    ) -> Arc<Decided> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        if let Some(asking) = asking {
            let known = state.profiles.get(&asking.key);
            if !known.is_some_and(|known| Arc::ptr_eq(known, asking)) {
                // One that was forgotten meanwhile says the same, but nobody
                // would see any more when it is called for.
                changed = known.is_none();
                let key = asking.key.clone();
                state.profiles.insert(key, Arc::clone(asking));
            }
        }
        // A profile that is gone must not keep its claims, even on a queue
        // that rests; once for each reading is enough.
        if state.swept_at != Some(snapshot.read_at) {
            let before = state.profiles.len();
            let asking = asking.map(|asking| &asking.key);
            state
                .profiles
                .retain(|key, profile| Some(key) == asking || called_for(profile));
            changed |= state.profiles.len() != before;
            state.swept_at = Some(snapshot.read_at);
        }
        if changed {
            state.decided = None;
            self.profiles_changed.send_modify(|version| *version += 1);
        }
        match &state.decided {
            Some(decided) if Arc::ptr_eq(&decided.queue, &snapshot.queue) => Arc::clone(decided),
            _ => {
                let profiles = state.profiles.values().cloned().collect();
                let decided = Arc::new(Decided::new(Arc::clone(&snapshot.queue), profiles));
                state.decided = Some(Arc::clone(&decided));
                decided
            }
        }
    }

    /// The profiles that have asked for this pool.
    pub(super) fn profiles(&self) -> Vec<Arc<Registered>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.profiles.values().cloned().collect()
    }
}

// === impl Decided ===

impl Decided {
    fn new(queue: Arc<Queue>, profiles: Vec<Arc<Registered>>) -> Self {
        let decision = Decision::new(&queue, &contenders(&profiles));
        Self {
            queue,
            profiles,
            decision,
        }
    }

    /// The contenders, in the order that the decision numbers them.
    pub(super) fn contenders(&self) -> Vec<Contender<'_>> {
        contenders(&self.profiles)
    }

    /// The number of a profile; `None` where it took no part.
    pub(super) fn number(&self, registered: &Registered) -> Option<Number> {
        let key = |profile: &Arc<Registered>| profile.key.cmp(&registered.key);
        let index = self.profiles.binary_search_by(key).ok()?;
        Some(
            self.decision
                .number(index, &self.profiles[index].trigger.profile),
        )
    }
}

fn contenders(profiles: &[Arc<Registered>]) -> Vec<Contender<'_>> {
    profiles
        .iter()
        .map(|registered| Contender {
            object: &registered.key.object,
            trigger: registered.key.trigger,
            profile: &registered.trigger.profile,
            agents_named: &registered.key.object.name,
            limit: None,
            jobs: None,
        })
        .collect()
}
