//! The standing decision on one pool: made once for each change of the queue,
//! of the triggers or of their pods, and read by every call.
//!
//! May import: its siblings, pools, domain. Invariant: a number that is given
//! out was decided with every trigger known at that time, and for the queue of
//! the view that was asked about. It outlives watchers: who asks for the pool
//! does not change with who reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{parallel_jobs::CapMemory, registered::Registered, registry::Registry, roster::Roster};
use crate::{
    domain::{
        claim::Contender,
        decision::Decision,
        declared::{JobCensus, JobPods, LeavingPods},
        number::Number,
        pool::{PoolRef, Queue},
    },
    pools::{PoolKey, Snapshot},
};

/// The triggers of a pool, and what was last decided for them by the readings of
/// one credential. Those of another take part too: a job counts once, whoever
/// reads the pool.
pub(super) struct PoolDecision {
    pool: PoolKey,
    max_stale: Duration,
    state: Mutex<State>,
    /// What the cap makes of it.
    pub(super) caps: CapMemory,
    /// Counts changes of the triggers, so that streams can await them.
    triggers_changed: watch::Sender<u64>,
}

struct State {
    /// Every way in which triggers name the pool, each at the version at which
    /// the decision was made.
    rosters: Vec<(Arc<Roster>, u64)>,
    /// The reading at which forgotten triggers were last taken off.
    swept_at: Option<Instant>,
    /// All on the rosters, in the order of their keys.
    triggers: Vec<Arc<Registered>>,
    /// Do they alone say what is decided: none that another credential reads
    /// for, and none that makes Jobs?
    plain: bool,
    /// The pods that are going, when the decision was last found to be made of them.
    leaving: Option<Arc<LeavingPods>>,
    decided: Option<Arc<Decided>>,
}

/// What the cluster says of pods, where it is known.
#[derive(Default)]
pub(super) struct PodsSeen {
    pub(super) jobs: Option<Arc<JobCensus>>,
    pub(super) leaving: Option<Arc<LeavingPods>>,
}

/// The pods of one trigger, as far as its number depends on them.
#[derive(PartialEq, Eq)]
struct Pods {
    /// Its Jobs, where it makes Jobs and they are known.
    jobs: Option<Arc<JobPods>>,
    /// Those that are going, where it scales a Deployment and has any.
    leaving: Option<Arc<BTreeSet<Box<str>>>>,
}

/// A decision, with all that it was made from.
pub(super) struct Decided {
    pub(super) queue: Arc<Queue>,
    pub(super) triggers: Vec<Arc<Registered>>,
    pub(super) decision: Decision,
    /// The pods of each trigger.
    pods: Vec<Pods>,
}

// === impl PoolDecision ===

impl PoolDecision {
    /// The decision on a pool, with those who name it by name or number.
    pub(super) fn new(registry: &Registry, pool: PoolKey, name: &str, max_stale: Duration) -> Self {
        let organization = &pool.source.organization;
        let by_name = registry.roster(organization, &PoolRef::Name(name.into()));
        let by_number = registry.roster(organization, &PoolRef::Id(pool.id));
        let rosters = [by_name, by_number].map(|roster| (roster, u64::MAX));
        Self {
            pool,
            max_stale,
            state: Mutex::new(State {
                rosters: rosters.into(),
                swept_at: None,
                triggers: Vec::new(),
                plain: true,
                leaving: None,
                decided: None,
            }),
            caps: CapMemory::default(),
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
        seen: &PodsSeen,
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
            state.triggers = state.listed();
            state.plain = state.triggers.iter().all(|registered| {
                registered.address.source == self.pool.source && !registered.makes_jobs()
            });
            state.decided = None;
            self.triggers_changed.send_modify(|version| *version += 1);
        }
        let pods = |registered: &Arc<Registered>| Pods::of(registered, seen);
        let same_leaving = is_same(state.leaving.as_ref(), seen.leaving.as_ref());
        let standing = state.decided.as_ref().filter(|decided| {
            Arc::ptr_eq(&decided.queue, &snapshot.queue)
                && (state.plain && same_leaving
                    || decided.is_made_of(self.contending(&state, asking), pods))
        });
        if let Some(decided) = standing.cloned() {
            // What was compared once is the same at the next call, at a glance.
            if !same_leaving {
                state.leaving.clone_from(&seen.leaving);
            }
            return decided;
        }
        let triggers = self.contending(&state, asking).cloned().collect();
        let queue = Arc::clone(&snapshot.queue);
        let decided = Arc::new(Decided::new(queue, triggers, pods));
        state.decided = Some(Arc::clone(&decided));
        state.leaving.clone_from(&seen.leaving);
        registry.decisions.fetch_add(1, Ordering::Relaxed);
        decided
    }

    /// The triggers that may have jobs, the one that asks among them.
    fn contending<'a>(
        &'a self,
        state: &'a State,
        asking: Option<&'a Arc<Registered>>,
    ) -> impl Iterator<Item = &'a Arc<Registered>> {
        state.triggers.iter().filter(move |registered| {
            registered.address.source == self.pool.source
                || asking.is_some_and(|asking| Arc::ptr_eq(asking, registered))
                || registered.can_read(self.pool.id, self.max_stale)
        })
    }

    /// The triggers that name this pool.
    pub(super) fn triggers(&self) -> Vec<Arc<Registered>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.listed()
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
    fn listed(&self) -> Vec<Arc<Registered>> {
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
        pods: impl Fn(&Arc<Registered>) -> Pods,
    ) -> Self {
        let pods: Vec<_> = triggers.iter().map(pods).collect();
        let decision = Decision::new(&queue, &contenders(&triggers, &pods));
        Self {
            queue,
            triggers,
            decision,
            pods,
        }
    }

    /// Was it made of these triggers, with their pods as they are?
    fn is_made_of<'a>(
        &self,
        triggers: impl Iterator<Item = &'a Arc<Registered>>,
        pods: impl Fn(&Arc<Registered>) -> Pods,
    ) -> bool {
        let own = self.triggers.iter().zip(&self.pods);
        let mut others = triggers;
        for (registered, own_pods) in own {
            let same = others
                .next()
                .is_some_and(|other| Arc::ptr_eq(registered, other))
                && *own_pods == pods(registered);
            if !same {
                return false;
            }
        }
        others.next().is_none()
    }

    /// The contenders, in the order that the decision numbers them.
    pub(super) fn contenders(&self) -> Vec<Contender<'_>> {
        contenders(&self.triggers, &self.pods)
    }

    /// Where the decision has a trigger; `None` where it took no part.
    pub(super) fn index(&self, registered: &Registered) -> Option<usize> {
        let key = |other: &Arc<Registered>| other.key.cmp(&registered.key);
        self.triggers.binary_search_by(key).ok()
    }

    /// The number of a trigger before any cap, and its position; `None` where it
    /// took no part.
    pub(super) fn uncapped_number(&self, registered: &Registered) -> Option<(usize, Number)> {
        let index = self.index(registered)?;
        let registered = &self.triggers[index];
        let number = self.decision.number(index, &registered.profile);
        let number = match &self.pods[index].jobs {
            Some(jobs) => number.with_backed(registered.backed(jobs)),
            None => number,
        };
        Some((index, number))
    }
}

fn contenders<'a>(triggers: &'a [Arc<Registered>], pods: &'a [Pods]) -> Vec<Contender<'a>> {
    let contenders = triggers.iter().zip(pods);
    contenders
        .map(|(registered, pods)| {
            registered.contender(pods.jobs.as_deref(), pods.leaving.as_deref())
        })
        .collect()
}

// === impl Pods ===

impl Pods {
    fn of(registered: &Registered, seen: &PodsSeen) -> Self {
        let leaving = seen.leaving.as_ref();
        let leaving = leaving.and_then(|leaving| leaving.get(&registered.key.object));
        Self {
            jobs: jobs_of(registered, seen.jobs.as_deref()),
            leaving: leaving.filter(|_| registered.counts_replicas()).cloned(),
        }
    }
}

/// At a glance: are they the very same, or none at all?
fn is_same(one: Option<&Arc<LeavingPods>>, other: Option<&Arc<LeavingPods>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// The Jobs of a trigger that makes Jobs, where they are known; that it has none
/// is known as well.
fn jobs_of(registered: &Registered, census: Option<&JobCensus>) -> Option<Arc<JobPods>> {
    if !registered.makes_jobs() {
        return None;
    }
    let jobs = census?.get(&registered.key.object);
    Some(jobs.cloned().unwrap_or_default())
}
