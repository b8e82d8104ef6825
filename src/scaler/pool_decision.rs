//! The standing decision on one pool: made once for each change of the queue,
//! of the triggers or of their Jobs, and read by every call.
//!
//! May import: its siblings, pools, domain. Invariant: a number that is given
//! out was decided with every trigger known at that time, and for the queue of
//! the view that was asked about. It outlives watchers: who asks for the pool
//! does not change with who reads it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::watch, time::Instant};

use super::{registered::Registered, registry::Registry, roster::Roster};
use crate::{
    domain::{
        claim::Contender,
        decision::Decision,
        declared::{JobCensus, JobPods},
        number::Number,
        organization::OrganizationUrl,
        pool::{Pool, PoolId, PoolRef, Queue},
    },
    pools::Snapshot,
};

/// What has one decision: a pool, whoever reads it with whichever credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DecisionKey {
    organization: Box<str>,
    pool: PoolId,
}

/// The triggers of a pool, and what was last decided for them.
pub(super) struct PoolDecision {
    state: Mutex<State>,
    /// Counts changes of the triggers, so that streams can await them.
    triggers_changed: watch::Sender<u64>,
}

struct State {
    /// Every way in which triggers name the pool, each at the version at which
    /// the decision was made.
    rosters: Vec<(Arc<Roster>, u64)>,
    /// The reading at which forgotten triggers were last taken off.
    swept_at: Option<Instant>,
    decided: Option<Arc<Decided>>,
}

/// A decision, with all that it was made from.
pub(super) struct Decided {
    pub(super) queue: Arc<Queue>,
    pub(super) triggers: Vec<Arc<Registered>>,
    pub(super) decision: Decision,
    census: Option<Arc<JobCensus>>,
    /// The Jobs of who has none.
    none: JobPods,
}

// === impl DecisionKey ===

impl DecisionKey {
    pub(super) fn new(organization: &OrganizationUrl, pool: PoolId) -> Self {
        Self {
            organization: organization.identity().into(),
            pool,
        }
    }
}

// === impl PoolDecision ===

impl PoolDecision {
    /// The decision on a pool, with those who name it by name or number.
    pub(super) fn new(registry: &Registry, organization: &OrganizationUrl, pool: &Pool) -> Self {
        let by_name = registry.roster(organization, &PoolRef::Name(pool.name.clone()));
        let by_number = registry.roster(organization, &PoolRef::Id(pool.id));
        let rosters = [by_name, by_number].map(|roster| (roster, u64::MAX));
        Self {
            state: Mutex::new(State {
                rosters: rosters.into(),
                swept_at: None,
                decided: None,
            }),
            triggers_changed: watch::Sender::default(),
        }
    }

    /// Tells when a trigger came or went.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.triggers_changed.subscribe()
    }

    /// The decision for this snapshot, with this trigger among the others.
    /// Triggers that do not count any more are left out.
    pub(super) fn decide(
        &self,
        snapshot: &Snapshot,
        asking: Option<&Arc<Registered>>,
        census: Option<&Arc<JobCensus>>,
        registry: &Registry,
    ) -> Arc<Decided> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asking) = asking {
            state.know(&asking.roster);
        }
        // A trigger that is gone must not keep its claims, even on a queue that
        // rests; once for each reading is enough.
        if state.swept_at != Some(snapshot.read_at) {
            registry.sweep(state.rosters.iter().map(|(roster, _)| roster), asking);
            state.swept_at = Some(snapshot.read_at);
        }
        if state.have_changed() {
            state.decided = None;
            self.triggers_changed.send_modify(|version| *version += 1);
        }
        match &state.decided {
            Some(decided) if decided.is_of(snapshot, census) => Arc::clone(decided),
            _ => {
                let triggers = state.triggers();
                let queue = Arc::clone(&snapshot.queue);
                let decided = Arc::new(Decided::new(queue, triggers, census.cloned()));
                state.decided = Some(Arc::clone(&decided));
                decided
            }
        }
    }

    /// The triggers that name this pool.
    pub(super) fn triggers(&self) -> Vec<Arc<Registered>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.triggers()
    }
}

// === impl State ===

impl State {
    /// A pool that was renamed is still named by its old name.
    fn know(&mut self, roster: &Arc<Roster>) {
        let known = self
            .rosters
            .iter()
            .any(|(known, _)| Arc::ptr_eq(known, roster));
        if !known {
            self.rosters.push((Arc::clone(roster), u64::MAX));
        }
    }

    /// Notes the versions; tells whether any is another than before.
    fn have_changed(&mut self) -> bool {
        let mut changed = false;
        for (roster, noted) in &mut self.rosters {
            let version = roster.version();
            changed |= *noted != version;
            *noted = version;
        }
        changed
    }

    /// In the order of their keys, whatever roster they are on.
    fn triggers(&self) -> Vec<Arc<Registered>> {
        let rosters = self.rosters.iter();
        let triggers = rosters.flat_map(|(roster, _)| roster.triggers());
        let sorted: BTreeMap<_, _> = triggers
            .map(|registered| (registered.key.clone(), registered))
            .collect();
        sorted.into_values().collect()
    }
}

// === impl Decided ===

impl Decided {
    fn new(
        queue: Arc<Queue>,
        triggers: Vec<Arc<Registered>>,
        census: Option<Arc<JobCensus>>,
    ) -> Self {
        let none = JobPods::default();
        let decision = Decision::new(&queue, &contenders(&triggers, census.as_deref(), &none));
        Self {
            queue,
            triggers,
            decision,
            census,
            none,
        }
    }

    fn is_of(&self, snapshot: &Snapshot, census: Option<&Arc<JobCensus>>) -> bool {
        let same_census = match (&self.census, census) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        };
        same_census && Arc::ptr_eq(&self.queue, &snapshot.queue)
    }

    /// The contenders, in the order that the decision numbers them.
    pub(super) fn contenders(&self) -> Vec<Contender<'_>> {
        contenders(&self.triggers, self.census.as_deref(), &self.none)
    }

    /// The number of a trigger; `None` where it took no part.
    pub(super) fn number(&self, registered: &Registered) -> Option<Number> {
        let key = |other: &Arc<Registered>| other.key.cmp(&registered.key);
        let index = self.triggers.binary_search_by(key).ok()?;
        let registered = &self.triggers[index];
        let number = self.decision.number(index, &registered.profile);
        Some(
            match jobs_of(registered, self.census.as_deref(), &self.none) {
                Some(jobs) => number.with_backed(registered.backed(jobs)),
                None => number,
            },
        )
    }
}

fn contenders<'a>(
    triggers: &'a [Arc<Registered>],
    census: Option<&'a JobCensus>,
    none: &'a JobPods,
) -> Vec<Contender<'a>> {
    let contender =
        |registered: &'a Arc<Registered>| registered.contender(jobs_of(registered, census, none));
    triggers.iter().map(contender).collect()
}

/// The Jobs of a trigger that makes Jobs, where they are known.
fn jobs_of<'a>(
    registered: &Registered,
    census: Option<&'a JobCensus>,
    none: &'a JobPods,
) -> Option<&'a JobPods> {
    if !registered.makes_jobs() {
        return None;
    }
    let jobs = census?.get(&registered.key.object);
    Some(jobs.map_or(none, |jobs| jobs))
}
