//! The scaling objects of the cluster: what they declare, and when that is news.
//!
//! May import: its siblings, domain. Invariants: nothing is published until every
//! namespace and kind has been listed once; then only when something that a
//! decision depends on has changed, and many changes at once are one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll},
};
use kube::Client;
use tokio::{sync::watch, time::Instant};

use super::{
    Settings, at,
    follow::{Change, Follow},
    health::Ledger,
    rows::{
        PAUSED, PAUSED_REPLICAS, PAUSED_SCALE_OUT, Row, Rows, ScaledJobs, ScaledObjects,
        ScalingSpec, ScalingStrategy,
    },
};
use crate::domain::{
    declared::{Declarations, Declared, Kind, Strategy},
    profile::ScalingObject,
};

/// How long further changes are waited for. `kubectl apply` of many objects, and
/// the lists of several namespaces, come within moments.
const TOGETHER: Duration = Duration::from_millis(50);

/// KEDA 2.21: `maxReplicaCount` where it is not given.
const DEFAULT_MAX: u32 = 100;

/// `ScaledJob`s whose Jobs are wanted, each with its `pendingPodConditions`.
pub(super) type WantedJobs = BTreeMap<ScalingObject, Arc<[Box<str>]>>;

/// A scaling object of whichever scaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    object: ScalingObject,
    kind: Kind,
    /// Where it has a trigger that may be ours.
    known: Option<Known>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    declared: Arc<Declared>,
    pending_pod_conditions: Arc<[Box<str>]>,
}

/// A list to be followed: a kind in a namespace, or in all.
type List = (Option<Box<str>>, Kind);

/// What has been seen so far.
#[derive(Debug, Default)]
struct Objects {
    known: BTreeMap<(ScalingObject, Kind), Known>,
    /// Lists that have not come yet.
    awaited: BTreeSet<List>,
}

/// Where what is seen is told.
pub(super) struct Told<'a> {
    pub(super) declared: &'a watch::Sender<Option<Arc<Declarations>>>,
    pub(super) wanted: &'a watch::Sender<WantedJobs>,
}

/// Follows the scaling objects for ever.
pub(super) async fn run(
    client: &Client,
    settings: &Settings,
    ledger: &Arc<Ledger>,
    told: Told<'_>,
) {
    let mut seen = Objects::default();
    let mut changes: SelectAll<BoxStream<'_, (List, Change<Seen>)>> = SelectAll::new();
    for namespace in settings.scopes() {
        let list = (namespace.clone(), Kind::ScaledObject);
        seen.awaited.insert(list.clone());
        let objects = follow::<ScaledObjects>(client, namespace.clone(), ledger, seen_object);
        changes.push(objects.changes().map(move |c| (list.clone(), c)).boxed());

        let list = (namespace.clone(), Kind::ScaledJob);
        seen.awaited.insert(list.clone());
        let jobs = follow::<ScaledJobs>(client, namespace, ledger, seen_job);
        changes.push(jobs.changes().map(move |c| (list.clone(), c)).boxed());
    }
    let mut due = None;
    loop {
        tokio::select! {
            Some((list, change)) = changes.next() => {
                if seen.take(&list, change) {
                    due.get_or_insert_with(|| Instant::now() + TOGETHER);
                }
            }
            () = at(due) => {
                due = None;
                seen.tell(settings, &told);
            }
        }
    }
}

fn follow<R: Rows>(
    client: &Client,
    namespace: Option<Box<str>>,
    ledger: &Arc<Ledger>,
    reduce: fn(&Row<R>) -> Seen,
) -> Follow<R, Seen> {
    Follow {
        client: client.clone(),
        namespace,
        labels: "",
        reduce,
        ledger: Arc::clone(ledger),
    }
}

// === impl Objects ===

impl Objects {
    /// Takes a change in; tells whether there is news to publish.
    fn take(&mut self, list: &List, change: Change<Seen>) -> bool {
        let news = match change {
            Change::All(all) => {
                let mut news = self.awaited.remove(list);
                let names: BTreeSet<_> = all.iter().map(|seen| seen.object.clone()).collect();
                let (namespace, kind) = list;
                self.known.retain(|(object, of), _| {
                    let listed = of == kind
                        && namespace
                            .as_ref()
                            .is_none_or(|only| *only == object.namespace);
                    let stays = !listed || names.contains(object);
                    news |= !stays;
                    stays
                });
                for seen in all {
                    news |= self.set(seen);
                }
                news
            }
            Change::Is(seen) => self.set(seen),
            Change::Gone(seen) => self.set(Seen {
                known: None,
                ..seen
            }),
        };
        // While lists are awaited, the last of them is the news.
        news && self.awaited.is_empty()
    }

    fn set(&mut self, seen: Seen) -> bool {
        let key = (seen.object, seen.kind);
        match seen.known {
            Some(known) if self.known.get(&key) == Some(&known) => false,
            Some(known) => {
                self.known.insert(key, known);
                true
            }
            None => self.known.remove(&key).is_some(),
        }
    }

    fn tell(&self, settings: &Settings, told: &Told<'_>) {
        let declared = |(key, known): (&(ScalingObject, Kind), &Known)| {
            (key.clone(), Arc::clone(&known.declared))
        };
        let declarations = Declarations {
            objects: self.known.iter().map(declared).collect(),
            namespaces: settings.namespaces.clone(),
        };
        let wanted: WantedJobs = self
            .known
            .iter()
            .filter(|((_, kind), known)| {
                *kind == Kind::ScaledJob && settings.may_be_ours(&known.declared)
            })
            .map(|((object, _), known)| (object.clone(), Arc::clone(&known.pending_pod_conditions)))
            .collect();
        told.declared.send_replace(Some(Arc::new(declarations)));
        told.wanted.send_if_modified(|before| {
            let changed = *before != wanted;
            *before = wanted;
            changed
        });
    }
}

fn seen_object(row: &Row<ScaledObjects>) -> Seen {
    let target = row.spec.scale_target_ref.as_ref();
    let agents_named = target.map_or_else(|| row.name(), |target| &target.name);
    seen(
        row,
        &row.spec,
        Kind::ScaledObject,
        Strategy::Default,
        agents_named,
    )
}

fn seen_job(row: &Row<ScaledJobs>) -> Seen {
    let strategy = strategy(&row.spec.scaling_strategy);
    seen(row, &row.spec, Kind::ScaledJob, strategy, row.name())
}

fn seen<R: Rows>(
    row: &Row<R>,
    spec: &ScalingSpec,
    kind: Kind,
    strategy: Strategy,
    agents_named: &str,
) -> Seen {
    let object = ScalingObject {
        namespace: row.namespace().into(),
        name: row.name().into(),
    };
    // KEDA 2.21, scalers_builder.go: the types of an external scaler.
    let external = |kind: &str| matches!(kind, "external" | "external-push");
    let triggers = spec
        .triggers
        .iter()
        .filter(|trigger| external(&trigger.r#type));
    let triggers: Vec<_> = triggers.map(|trigger| trigger.metadata.clone()).collect();
    let conditions = &spec.scaling_strategy.pending_pod_conditions;
    // KEDA scales no more what is being deleted, however long a finalizer takes.
    let scales = !triggers.is_empty() && !row.is_going();
    let known = scales.then(|| Known {
        declared: Arc::new(Declared {
            object: object.clone(),
            kind,
            uid: row.metadata.uid.as_deref().unwrap_or_default().into(),
            strategy,
            agents_named: agents_named.into(),
            min_agents: count(spec.min_replica_count, 0),
            max_agents: count(spec.max_replica_count, DEFAULT_MAX),
            paused: is_paused(row, kind),
            deployment: deployment(spec, kind),
            scaling_out_paused: row.annotation(PAUSED_SCALE_OUT).is_some_and(is_true),
            triggers,
        }),
        pending_pod_conditions: conditions.iter().map(|name| name.as_str().into()).collect(),
    });
    Seen {
        object,
        kind,
        known,
    }
}

/// KEDA 2.21, `NeedToBePausedByAnnotation` of either kind: a number of agents
/// pauses a `ScaledObject`, whatever it is; a word is a pause, unless Go reads
/// it as false.
fn is_paused<R: Rows>(row: &Row<R>, kind: Kind) -> bool {
    let fixed = kind == Kind::ScaledObject && row.annotation(PAUSED_REPLICAS).is_some();
    fixed || row.annotation(PAUSED).is_some_and(is_true)
}

/// As KEDA reads the word of a pause: all is true but what Go reads as false.
fn is_true(word: &str) -> bool {
    !matches!(word, "0" | "f" | "F" | "false" | "FALSE" | "False")
}

/// KEDA 2.21: a target without a kind is a Deployment. A formula makes another
/// number of the triggers' numbers, and so does the HPA of a metric of type Value.
fn deployment(spec: &ScalingSpec, kind: Kind) -> Option<Box<str>> {
    let target = spec.scale_target_ref.as_ref()?;
    let is_one = matches!(target.kind.as_str(), "" | "Deployment")
        && matches!(target.api_version.as_str(), "" | "apps/v1");
    let is_plain = spec.advanced.scaling_modifiers.formula.is_empty()
        && spec
            .triggers
            .iter()
            .all(|trigger| trigger.metric_type != "Value");
    (kind == Kind::ScaledObject && is_one && is_plain).then(|| target.name.as_str().into())
}

/// KEDA 2.21, `NewScalingStrategy`: `custom` with a percentage that is no number
/// is `default`.
fn strategy(declared: &ScalingStrategy) -> Strategy {
    let percentage = &declared.custom_scaling_running_job_percentage;
    match Strategy::read(&declared.strategy) {
        Strategy::Custom if percentage.parse::<f64>().is_err() => Strategy::Default,
        strategy => strategy,
    }
}

/// KEDA's kinds let no negative number in.
fn count(given: Option<i64>, default: u32) -> u32 {
    given.map_or(default, |given| {
        u32::try_from(given.max(0)).unwrap_or(u32::MAX)
    })
}

#[cfg(test)]
#[path = "declared_tests.rs"]
mod tests;
