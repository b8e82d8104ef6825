//! What the cluster declares, as far as it points at this scaler.
//!
//! May import: its siblings, domain, ports. Invariant: a trigger that is
//! declared has one form that stands for it, known before anybody calls, so
//! that a replica which has just started counts as one that runs for long.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::sync::watch;

use super::{
    addresses::Addresses,
    answer::Unanswered,
    registered::{ObjectKey, Registered, pairs},
    registry::{Declaring, Registry},
};
use crate::domain::{
    declared::{self, Declarations, Declared, Kind},
    profile::ScalingObject,
};

/// The declared triggers that point at this scaler.
#[derive(Default)]
pub(super) struct Known {
    addresses: Addresses,
    state: ArcSwapOption<State>,
    /// Held while declarations are read, one after another.
    reading: Mutex<()>,
    /// Held by whoever puts triggers on rosters or takes them off by what is
    /// known, so that nobody does so by a state that is about to go.
    turn: Mutex<()>,
    /// Has anything been taken up yet?
    told: watch::Sender<bool>,
    /// Counts that.
    takings: watch::Sender<u64>,
}

/// What the cluster declares, by what is known of it.
pub(super) struct AllDeclared {
    pub(super) declarations: Arc<Declarations>,
    /// Scaling objects that have a trigger which is not known to be this scaler's and
    /// to say what it means.
    pub(super) unclear: BTreeSet<ScalingObject>,
    pub(super) written: Vec<Arc<Registered>>,
}

struct State {
    declarations: Arc<Declarations>,
    /// When it was taken up, in the registry's milliseconds.
    at: u64,
    triggers: HashMap<TriggerKey, Entry>,
    /// Triggers of which a variable's value is wanted before they say anything.
    unresolved: usize,
}

pub(super) type TriggerKey = (ScalingObject, u64);

/// A trigger that is declared.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) declared: Arc<Declared>,
    /// The trigger as it is written, where that can be read. Where variables are
    /// in it, forms that KEDA has called for count beside it: they are triggers
    /// of one scaling object.
    pub(super) written: Option<Arc<Registered>>,
    /// Why it cannot be used.
    pub(super) refused: Option<Arc<Unanswered>>,
    /// Another kind of the same name, with the same trigger.
    pub(super) twin: Option<Arc<Declared>>,
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
        named(&state.declarations, object).next().cloned()
    }

    /// Does the cluster declare this very trigger?
    pub(super) fn has(&self, key: &ObjectKey) -> bool {
        entry(&self.state.load(), &key.object, key.trigger).is_some()
    }

    /// The declared trigger of just this key.
    pub(super) fn written(&self, called: &ObjectKey) -> Option<Arc<Registered>> {
        let state = self.state.load();
        let written = entry(&state, &called.object, called.trigger)?
            .written
            .clone()?;
        (written.key == *called).then_some(written)
    }

    /// Is there another form in its place, or does the cluster say otherwise of
    /// its scaling object by now?
    pub(super) fn is_outdated(&self, registered: &Arc<Registered>) -> bool {
        let key = &registered.key;
        let written = self.written(key);
        written.is_some_and(|written| !Arc::ptr_eq(&written, registered))
            || self.of(&key.object, key.trigger) != registered.declared
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
            // What came in place of variables is for KEDA to say.
            Some(_) if key.variables != 0 => None,
            Some(entry) => {
                let written = entry.written.as_ref();
                Some(written.is_some_and(|written| Arc::ptr_eq(written, registered)))
            }
            // Its trigger was edited, or names this scaler as nobody has told it
            // to: then it is for KEDA to say.
            None if named(&known.declarations, &key.object).next().is_some() => None,
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
        if self.addresses.include(address) {
            return;
        }
        if self.addresses.are_known() {
            if self.addresses.learn_stranger(address) {
                tracing::warn!(
                    scaling_object = %object,
                    %address,
                    "a trigger names this scaler by an address that --scaler-address does not have; until it does, the trigger is not known before KEDA calls for it"
                );
            }
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
        let confirmed = named(&declarations, object)
            .flat_map(|declared| &declared.triggers)
            .any(|written| declared::identity(pairs(written)) == asked);
        if confirmed && self.addresses.learn(address) {
            tracing::info!(%address, "triggers with this address point at this scaler");
            self.take_up(registry, declarations);
        }
    }

    /// Takes up what the cluster declares now.
    pub(super) fn take_up(&self, registry: &Registry, declarations: Arc<Declarations>) {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.state.load_full();
        let state = self.read(registry, before.as_deref(), declarations);
        tracing::info!(
            triggers = state.triggers.len(),
            unresolved = state.unresolved,
            "the cluster declares triggers of this scaler"
        );
        let _turn = self.steady();
        for written in state.written() {
            written.roster.insert(written);
        }
        self.state.store(Some(Arc::new(state)));
        for registered in before.iter().flat_map(|before| before.written()) {
            if self.knows(registered) != Some(true) {
                registered.roster.remove(registered);
            }
        }
        registry.forget_outdated();
        self.told.send_replace(true);
        self.takings.send_modify(|count| *count += 1);
    }

    /// Reads what is new; what has stayed is what it was.
    fn read(
        &self,
        registry: &Registry,
        before: Option<&State>,
        declarations: Arc<Declarations>,
    ) -> State {
        let mut triggers: HashMap<TriggerKey, Entry> = HashMap::new();
        let mut unresolved = 0;
        // Objects come in the order of names and kinds, so that of a ScaledObject
        // and a ScaledJob that say the same, every replica takes the first.
        for declared in declarations.objects.values() {
            for (index, written) in declared.triggers.iter().enumerate() {
                let address = written.get("scalerAddress");
                let key = (declared.object.clone(), declared::identity(pairs(written)));
                if !address.is_some_and(|address| self.addresses.include(address)) {
                    continue;
                }
                if let Some(entry) = triggers.get_mut(&key) {
                    if entry.declared.kind != declared.kind {
                        entry.twin = Some(Arc::clone(declared));
                        registry
                            .refusals
                            .note(&declared.object, &Unanswered::OneName);
                    }
                    continue;
                }
                let old = before.and_then(|before| before.triggers.get(&key));
                let mut refused = None;
                let written = match old.and_then(|old| old.written.as_ref()) {
                    Some(written) => Some(written.declared_as(Some(declared))),
                    None => match registry.declare(declared, index) {
                        Declaring::Read(registered) => Some(registered),
                        Declaring::Refused(unanswered) => {
                            refused = Some(unanswered);
                            None
                        }
                        Declaring::Unresolved => {
                            unresolved += 1;
                            None
                        }
                    },
                };
                let entry = Entry {
                    declared: Arc::clone(declared),
                    written,
                    refused,
                    twin: None,
                };
                triggers.insert(key, entry);
            }
        }
        State {
            declarations,
            at: registry.now(),
            triggers,
            unresolved,
        }
    }

    /// Every declared trigger, with its scaling object.
    pub(super) fn declared_triggers(&self) -> Vec<(TriggerKey, Arc<Declared>)> {
        let state = self.state.load();
        let entries = state.iter().flat_map(|state| &state.triggers);
        entries
            .map(|(key, entry)| (key.clone(), Arc::clone(&entry.declared)))
            .collect()
    }

    /// Every declared trigger; `None` until the cluster has told them.
    pub(super) fn entries(&self) -> Option<Vec<(TriggerKey, Entry)>> {
        let state = self.state.load();
        let entries = state.as_ref()?.triggers.iter();
        Some(
            entries
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect(),
        )
    }

    /// Every declared trigger, as far as it says what it means as it is written.
    pub(super) fn all_written(&self) -> Vec<Arc<Registered>> {
        let state = self.state.load();
        let written = state.iter().flat_map(|state| state.written());
        written.cloned().collect()
    }

    /// All that the cluster declares, with the triggers that say what they mean, and
    /// the scaling objects of which one does not, or may be another scaler's.
    pub(super) fn all_declared(&self) -> Option<AllDeclared> {
        let state = self.state.load();
        let state = state.as_ref()?;
        let is_clear = |declared: &Declared, trigger: &BTreeMap<String, String>| {
            let key = (declared.object.clone(), declared::identity(pairs(trigger)));
            let entry = state.triggers.get(&key);
            entry.is_some_and(|entry| {
                entry.declared.kind == declared.kind && entry.written.is_some()
            })
        };
        let declared = state.declarations.objects.values();
        let unclear = declared.filter(|declared| {
            let mut triggers = declared.triggers.iter();
            triggers.any(|trigger| !is_clear(declared, trigger))
        });
        Some(AllDeclared {
            declarations: Arc::clone(&state.declarations),
            unclear: unclear.map(|declared| declared.object.clone()).collect(),
            written: state.written().cloned().collect(),
        })
    }

    /// Counts what was taken up.
    pub(super) fn takings(&self) -> watch::Receiver<u64> {
        self.takings.subscribe()
    }

    /// Declared triggers that bring a token of their own.
    pub(super) fn with_own_tokens(&self) -> Vec<Arc<Registered>> {
        let mut written = self.all_written();
        written.retain(|written| written.source.is_of_a_trigger());
        written
    }
}

// === impl State ===

impl State {
    fn written(&self) -> impl Iterator<Item = &Arc<Registered>> {
        self.triggers
            .values()
            .filter_map(|entry| entry.written.as_ref())
    }
}

/// What the cluster has under this name, whatever its triggers say.
fn named<'a>(
    declarations: &'a Declarations,
    object: &ScalingObject,
) -> impl Iterator<Item = &'a Arc<Declared>> {
    let kinds = [Kind::ScaledObject, Kind::ScaledJob].into_iter();
    kinds.filter_map(|kind| declarations.objects.get(&(object.clone(), kind)))
}

fn entry<'a>(
    state: &'a Guard<Option<Arc<State>>>,
    object: &ScalingObject,
    trigger: u64,
) -> Option<&'a Entry> {
    state.as_ref()?.triggers.get(&(object.clone(), trigger))
}
