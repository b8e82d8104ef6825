//! What the cluster declares, as far as it points at this scaler.
//!
//! May import: its siblings, domain, ports. Invariant: a trigger that is
//! declared has one form that stands for it, known before anybody calls, so
//! that a replica which has just started counts as one that runs for long.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::watch;

use super::{
    Inner,
    registered::{ObjectKey, Parts, Registered, pairs},
    registry::{Declaring, Registry},
};
use crate::domain::{
    declared::{self, Declarations, Declared, Kind},
    profile::ScalingObject,
};

/// More addresses than this are not learnt: a scaler has a few names.
const MOST_ADDRESSES: usize = 16;

/// The declared triggers that point at this scaler.
#[derive(Default)]
pub(super) struct Known {
    addresses: Addresses,
    state: ArcSwapOption<State>,
    /// Held by whoever puts triggers on rosters or takes them off by what is
    /// known, so that nobody does so by a state that is about to go.
    turn: Mutex<()>,
    /// Has anything been taken up yet?
    told: watch::Sender<bool>,
}

/// Under which addresses triggers name this scaler.
#[derive(Default)]
pub(super) struct Addresses {
    configured: BTreeSet<String>,
    /// Where none are configured: those of calls that the cluster confirms.
    learnt: Mutex<BTreeSet<String>>,
}

struct State {
    declarations: Arc<Declarations>,
    /// When it was taken up, in the registry's milliseconds.
    at: u64,
    triggers: HashMap<TriggerKey, Entry>,
    /// Triggers of which a variable's value is wanted before they say anything.
    unresolved: usize,
}

type TriggerKey = (ScalingObject, u64);

struct Entry {
    declared: Arc<Declared>,
    /// The form that stands for it: as it is written or, where variables are in
    /// it, as KEDA last called for it.
    stands: ArcSwapOption<Registered>,
}

// === impl Addresses ===

impl Addresses {
    pub(super) fn new<'a>(configured: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            configured: configured.into_iter().map(bare).collect(),
            learnt: Mutex::default(),
        }
    }

    fn are_known(&self) -> bool {
        !self.configured.is_empty()
    }

    fn include(&self, address: &str) -> bool {
        let address = bare(address);
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        self.configured.contains(&address) || learnt.contains(&address)
    }

    /// Tells whether it is new.
    fn learn(&self, address: &str) -> bool {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.len() < MOST_ADDRESSES && learnt.insert(bare(address))
    }
}

/// The address of a service in the one form that all its names have in common.
/// Kubernetes: `NAME.NAMESPACE`, `….svc` and `….svc.CLUSTER-DOMAIN` are one.
fn bare(address: &str) -> String {
    let address = address.trim().to_lowercase();
    // gRPC: a target may name its resolver.
    let address = address.strip_prefix("dns:").unwrap_or(&address);
    let address = address.trim_start_matches('/');
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let host = host.trim_end_matches('.');
    let host = host
        .split_once(".svc.")
        .map_or(host, |(service, _)| service);
    let host = host.strip_suffix(".svc").unwrap_or(host);
    format!("{host}:{port}")
}

// === impl Known ===

impl Known {
    pub(super) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            ..Self::default()
        }
    }

    /// Nothing is taken up for as long as this is held.
    pub(super) fn steady(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the cluster told anything yet, and when it does.
    pub(super) fn told(&self) -> watch::Receiver<bool> {
        self.told.subscribe()
    }

    /// Has the cluster told every trigger there is?
    pub(super) fn is_complete(&self) -> bool {
        let state = self.state.load();
        self.addresses.are_known() && state.as_ref().is_some_and(|state| state.unresolved == 0)
    }

    /// What the cluster says of the scaling object of this trigger; where the
    /// trigger was edited a moment ago, it still says what it is.
    pub(super) fn of(&self, object: &ScalingObject, trigger: u64) -> Option<Arc<Declared>> {
        let state = self.state.load();
        let state = state.as_ref()?;
        if let Some(entry) = state.triggers.get(&(object.clone(), trigger)) {
            return Some(Arc::clone(&entry.declared));
        }
        let kinds = [Kind::ScaledObject, Kind::ScaledJob].into_iter();
        kinds
            .filter_map(|kind| state.declarations.objects.get(&(object.clone(), kind)))
            .next()
            .cloned()
    }

    /// Does the cluster declare this very trigger?
    pub(super) fn has(&self, key: &ObjectKey) -> bool {
        entry(&self.state.load(), &key.object, key.trigger).is_some()
    }

    /// The form that stands for a declared trigger, if it has this key.
    pub(super) fn standing_for(&self, called: &ObjectKey) -> Option<Arc<Registered>> {
        let state = self.state.load();
        let entry = entry(&state, &called.object, called.trigger)?;
        let stands = entry.stands.load_full()?;
        (stands.key == *called).then_some(stands)
    }

    /// Does another form stand for the trigger?
    pub(super) fn has_another_for(&self, registered: &Arc<Registered>) -> bool {
        let state = self.state.load();
        let entry = entry(&state, &registered.key.object, registered.key.trigger);
        let stands = entry.and_then(|entry| entry.stands.load_full());
        stands.is_some_and(|stands| !Arc::ptr_eq(&stands, registered))
    }

    /// KEDA has called for it: it stands for its trigger from now on.
    pub(super) fn called(&self, registered: &Arc<Registered>) {
        let state = self.state.load();
        let key = &registered.key;
        let Some(entry) = entry(&state, &key.object, key.trigger) else {
            return;
        };
        let before = entry.stands.swap(Some(Arc::clone(registered)));
        if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, registered)) {
            registered.roster.insert(registered);
            before.roster.remove(&before);
        }
    }

    /// Does it count, by what the cluster declares? `None` where that says
    /// nothing of it.
    pub(super) fn knows(&self, registered: &Arc<Registered>) -> Option<bool> {
        let state = self.state.load();
        let known = state.as_ref()?;
        let key = &registered.key;
        if !known.declarations.cover(&key.object.namespace) {
            return None;
        }
        match entry(&state, &key.object, key.trigger) {
            Some(entry) => {
                let stands = entry.stands.load();
                Some(
                    stands
                        .as_ref()
                        .is_some_and(|stands| Arc::ptr_eq(stands, registered)),
                )
            }
            // KEDA may hear of an object a moment before this scaler does.
            None if registered.called_at() >= known.at => None,
            None => Some(false),
        }
    }

    /// A call came for an address that was not known. It is one of this
    /// scaler's, if the cluster has just this trigger.
    pub(super) fn learn(
        &self,
        registry: &Registry,
        object: &ScalingObject,
        metadata: &HashMap<String, String>,
    ) {
        let Some(address) = metadata.get("scalerAddress") else {
            return;
        };
        if self.addresses.are_known() || self.addresses.include(address) {
            return;
        }
        let Some(declarations) = self
            .state
            .load()
            .as_ref()
            .map(|s| Arc::clone(&s.declarations))
        else {
            return;
        };
        let asked = declared::identity(pairs(metadata));
        let confirmed = [Kind::ScaledObject, Kind::ScaledJob]
            .into_iter()
            .any(|kind| {
                let declared = declarations.objects.get(&(object.clone(), kind));
                let mut triggers = declared.iter().flat_map(|declared| &declared.triggers);
                triggers.any(|written| declared::identity(text(written)) == asked)
            });
        if confirmed && self.addresses.learn(address) {
            tracing::info!(%address, "triggers with this address point at this scaler");
            self.take_up(registry, declarations);
        }
    }

    /// Takes up what the cluster declares now.
    pub(super) fn take_up(&self, registry: &Registry, declarations: Arc<Declarations>) {
        let _turn = self.steady();
        let before = self.state.load_full();
        let mut triggers: HashMap<TriggerKey, Entry> = HashMap::new();
        let mut unresolved = 0;
        // Objects come in the order of names and kinds, so that of a ScaledObject
        // and a ScaledJob that say the same, every replica takes the first.
        for declared in declarations.objects.values() {
            for (index, written) in declared.triggers.iter().enumerate() {
                let address = written.get("scalerAddress");
                let key = (declared.object.clone(), declared::identity(text(written)));
                if !address.is_some_and(|address| self.addresses.include(address))
                    || triggers.contains_key(&key)
                {
                    continue;
                }
                let old = before.as_ref().and_then(|before| before.triggers.get(&key));
                let stands = match old.and_then(|old| old.stands.load_full()) {
                    Some(stands) if stands.declared.as_ref() == Some(declared) => Some(stands),
                    Some(stands) => Some(stands.declared_as(declared)),
                    None => match registry.declare(declared, index) {
                        Declaring::Read(registered) => Some(registered),
                        Declaring::Refused => None,
                        Declaring::Unresolved => {
                            unresolved += 1;
                            None
                        }
                    },
                };
                if let Some(stands) = &stands {
                    stands.roster.insert(stands);
                }
                let declared = Arc::clone(declared);
                let stands = ArcSwapOption::new(stands);
                triggers.insert(key, Entry { declared, stands });
            }
        }
        tracing::info!(
            triggers = triggers.len(),
            unresolved,
            "the cluster declares triggers of this scaler"
        );
        self.state.store(Some(Arc::new(State {
            declarations,
            at: registry.now(),
            triggers,
            unresolved,
        })));
        self.take_off_what_stood(before.as_deref());
        registry.forget_outdated();
        self.told.send_replace(true);
    }

    fn take_off_what_stood(&self, before: Option<&State>) {
        let entries = before
            .into_iter()
            .flat_map(|before| before.triggers.values());
        for registered in entries.filter_map(|entry| entry.stands.load_full()) {
            if self.knows(&registered) != Some(true) {
                registered.roster.remove(&registered);
            }
        }
    }
}

fn entry<'a>(
    state: &'a Guard<Option<Arc<State>>>,
    object: &ScalingObject,
    trigger: u64,
) -> Option<&'a Entry> {
    state.as_ref()?.triggers.get(&(object.clone(), trigger))
}

fn text(written: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> + Clone {
    written
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
}

// === impl Registered ===

impl Registered {
    /// The same trigger, of a scaling object that was edited.
    fn declared_as(&self, declared: &Arc<Declared>) -> Arc<Self> {
        let registered = Self::new(Parts {
            key: self.key.clone(),
            trigger: self.trigger.clone(),
            declared: Some(Arc::clone(declared)),
            source: Arc::clone(&self.source),
            roster: Arc::clone(&self.roster),
        });
        registered.called(self.called_at());
        Arc::new(registered)
    }
}

/// Follows the cluster for as long as the scaler is there.
pub(super) async fn follow(
    inner: Weak<Inner>,
    mut declared: watch::Receiver<Option<Arc<Declarations>>>,
) {
    loop {
        let latest = declared.borrow_and_update().clone();
        if let Some(latest) = latest {
            let Some(inner) = inner.upgrade() else {
                return;
            };
            inner.registry.known.take_up(&inner.registry, latest);
        }
        if declared.changed().await.is_err() {
            return;
        }
    }
}
