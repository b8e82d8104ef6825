//! Rosters: the triggers that name one pool in one way.
//!
//! May import: its siblings, domain. Invariant: whoever reads a roster at two
//! versions that are equal has read the same.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::registered::{ObjectKey, Registered};
use crate::domain::{organization::OrganizationUrl, pool::PoolRef};

/// What triggers name: an organization and a pool, in whatever letters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RosterKey {
    organization: Box<str>,
    pool: PoolRef,
}

/// The triggers that name one pool in one way.
#[derive(Default)]
pub(super) struct Roster {
    triggers: Mutex<BTreeMap<ObjectKey, Arc<Registered>>>,
    version: AtomicU64,
    changed: Notify,
}

/// All rosters.
#[derive(Default)]
pub(super) struct Rosters(Mutex<HashMap<RosterKey, Arc<Roster>>>);

// === impl RosterKey ===

impl RosterKey {
    pub(super) fn new(organization: &OrganizationUrl, pool: &PoolRef) -> Self {
        Self {
            organization: organization.identity().into(),
            pool: match pool {
                PoolRef::Name(name) => PoolRef::Name(name.to_lowercase().into()),
                PoolRef::Id(id) => PoolRef::Id(*id),
            },
        }
    }
}

// === impl Rosters ===

impl Rosters {
    /// The roster of this key; a new one is empty.
    pub(super) fn get(&self, key: RosterKey) -> Arc<Roster> {
        let mut rosters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody else holds is empty: triggers hold their roster.
        if rosters.len() >= 64 && rosters.len().is_power_of_two() {
            rosters.retain(|_, roster| Arc::strong_count(roster) > 1);
        }
        Arc::clone(rosters.entry(key).or_default())
    }
}

// === impl Roster ===

impl Roster {
    /// Puts a trigger on the roster, in the place of one with the same key.
    pub(super) fn insert(&self, registered: &Arc<Registered>) {
        let mut triggers = self.lock();
        let before = triggers.insert(registered.key.clone(), Arc::clone(registered));
        if before.is_none_or(|before| !Arc::ptr_eq(&before, registered)) {
            self.has_changed();
        }
        registered.set_listed(true);
    }

    /// Takes a trigger off, unless another has its key.
    pub(super) fn remove(&self, registered: &Registered) {
        let mut triggers = self.lock();
        let held = triggers.get(&registered.key);
        if held.is_some_and(|held| std::ptr::eq(&**held, registered)) {
            triggers.remove(&registered.key);
            self.has_changed();
        }
        registered.set_listed(false);
    }

    /// Takes off whatever is not wanted any more. Asks without a lock: the answer
    /// may take a trigger off by itself.
    pub(super) fn retain(&self, wanted: impl Fn(&Arc<Registered>) -> bool) {
        for registered in self.triggers() {
            if !wanted(&registered) {
                self.remove(&registered);
            }
        }
    }

    /// Everything on it.
    pub(super) fn triggers(&self) -> Vec<Arc<Registered>> {
        self.lock().values().cloned().collect()
    }

    /// Another number whenever something has changed.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Waits until it is not at this version any more.
    pub(super) async fn changes_from(&self, version: u64) {
        loop {
            let changed = self.changed.notified();
            if self.version() != version {
                return;
            }
            changed.await;
        }
    }

    fn has_changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Arc<Registered>>> {
        self.triggers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
