//! The pods of scaling objects, as far as the guard needs them, and which pods of
//! Deployments are going.
//!
//! May import: its siblings, ports, domain. Invariants: nothing is told before every
//! list has come; a pod has ended only where it was there and was then seen to have
//! gone or ended: one whose scaling object, or whose namespace, is watched no more
//! has not.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
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
    rows::{MARKS, Pods, Row},
};
use crate::{
    domain::{
        declared::{Declarations, Kind, LeavingPods},
        profile::ScalingObject,
    },
    ports::writes::{AgentPod, AgentPodsSeen, PodName},
};

/// How long further changes are waited for.
const TOGETHER: Duration = Duration::from_millis(50);

/// How long a pod that has ended is remembered: Azure DevOps calls its job running
/// for longer than the guard waits to count it.
const ENDED_FOR: Duration = Duration::from_secs(10 * 60);

/// How many of them.
const MOST_ENDED: usize = 10_000;

/// A pod, of whomever.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    name: PodName,
    pod: Arc<AgentPod>,
    has_ended: bool,
}

/// The pods that are there.
#[derive(Debug, Default)]
struct Kept {
    /// Those of anybody that have not ended: which are agents', the scaling objects
    /// say, and those come and go.
    pods: BTreeMap<PodName, Arc<AgentPod>>,
    ended: VecDeque<Ended>,
}

/// A pod that has ended.
#[derive(Debug)]
struct Ended {
    at: Instant,
    name: PodName,
    /// Was it going before?
    was_leaving: bool,
}

/// The names that agents' pods begin with, by namespace.
type Named = BTreeSet<(Box<str>, Box<str>)>;

/// Those of them that are of Deployments, with whose they are.
type Deployments = BTreeMap<(Box<str>, Box<str>), Vec<ScalingObject>>;

/// A change, with the namespace of its list.
type News = (Option<Box<str>>, Change<Seen>);

/// Follows the pods for ever.
pub(super) async fn run(
    client: &Client,
    settings: &Settings,
    ledger: &Arc<Ledger>,
    mut declared: watch::Receiver<Option<Arc<Declarations>>>,
    told: &watch::Sender<Option<Arc<AgentPodsSeen>>>,
    leaving: &watch::Sender<Option<Arc<LeavingPods>>>,
) {
    let mut changes: SelectAll<BoxStream<'static, News>> = SelectAll::new();
    let mut awaited = BTreeSet::new();
    for namespace in settings.scopes() {
        awaited.insert(namespace.clone());
        let pods = Follow {
            client: client.clone(),
            namespace: namespace.clone(),
            labels: "",
            reduce: seen,
            ledger: Arc::clone(ledger),
        };
        let pods = pods.changes();
        changes.push(pods.map(move |change| (namespace.clone(), change)).boxed());
    }
    let mut kept = Kept::default();
    let mut named = Named::new();
    let mut deployments = Deployments::new();
    let mut due = None;
    loop {
        tokio::select! {
            Some((namespace, change)) = changes.next() => {
                kept.take(namespace.as_deref(), change, &named, Instant::now());
                awaited.remove(&namespace);
            }
            Ok(()) = declared.changed() => {
                let latest = declared.borrow_and_update().clone();
                named = latest.as_deref().map(names).unwrap_or_default();
                deployments = latest.as_deref().map(of_deployments).unwrap_or_default();
            }
            () = at(due) => {
                due = None;
                let now = Instant::now();
                tell(told, kept.of(&named, now));
                if settings.leaving_pods {
                    tell(leaving, kept.leaving(&named, &deployments));
                }
                continue;
            }
        }
        if awaited.is_empty() && declared.borrow().is_some() {
            due.get_or_insert_with(|| Instant::now() + TOGETHER);
        }
    }
}

/// Where it is any news.
fn tell<T: PartialEq>(told: &watch::Sender<Option<Arc<T>>>, now: T) {
    told.send_if_modified(|before| {
        let is_news = before.as_deref() != Some(&now);
        if is_news {
            *before = Some(Arc::new(now));
        }
        is_news
    });
}

fn names(declarations: &Declarations) -> Named {
    let declared = declarations.objects.values();
    declared
        .map(|declared| {
            let namespace = declared.object.namespace.clone();
            (namespace, declared.agents_named.clone())
        })
        .collect()
}

fn of_deployments(declarations: &Declarations) -> Deployments {
    let mut deployments = Deployments::new();
    for declared in declarations.objects.values() {
        if declared.kind == Kind::ScaledObject && declared.deployment.is_some() {
            let namespace = declared.object.namespace.clone();
            let begins = (namespace, declared.agents_named.clone());
            let objects = deployments.entry(begins).or_default();
            objects.push(declared.object.clone());
        }
    }
    deployments
}

/// What its name begins with, where it is an agent's: the longest of the names that fit.
fn owner(named: &Named, pod: &PodName) -> Option<(Box<str>, Box<str>)> {
    let dashes = pod.name.rmatch_indices('-');
    dashes
        .map(|(dash, _)| (pod.namespace.clone(), pod.name[..dash].into()))
        .find(|begins| named.contains(begins))
}

/// Is it an agent's?
fn is_named(named: &Named, pod: &PodName) -> bool {
    owner(named, pod).is_some()
}

fn seen(row: &Row<Pods>) -> Seen {
    let annotation = |key: &str| Some((key.into(), row.annotation(key)?.into()));
    Seen {
        name: PodName::new(row.namespace(), row.name()),
        pod: Arc::new(AgentPod {
            uid: row.metadata.uid.as_deref().unwrap_or_default().into(),
            annotations: MARKS.into_iter().filter_map(annotation).collect(),
            is_leaving: row.is_going(),
        }),
        has_ended: row.has_ended(),
    }
}

// === impl Kept ===

impl Kept {
    fn take(&mut self, namespace: Option<&str>, change: Change<Seen>, named: &Named, now: Instant) {
        match change {
            Change::All(all) => {
                let listed: BTreeSet<_> = all.iter().map(|seen| &seen.name).collect();
                let of_list =
                    |name: &PodName| namespace.is_none_or(|only| only == &*name.namespace);
                let names = self.pods.keys();
                let gone = names.filter(|name| of_list(name) && !listed.contains(name));
                let gone: Vec<_> = gone.cloned().collect();
                gone.iter()
                    .for_each(|name| self.lose(name, false, named, now));
                for seen in all {
                    self.set(seen, named, now);
                }
            }
            Change::Is(seen) => self.set(seen, named, now),
            Change::Gone(seen) => self.lose(&seen.name, seen.pod.is_leaving, named, now),
        }
    }

    fn set(&mut self, seen: Seen, named: &Named, now: Instant) {
        let before = self.pods.get(&seen.name);
        let is_another = before.is_some_and(|before| before.uid != seen.pod.uid);
        if seen.has_ended || is_another {
            let is_leaving = seen.pod.is_leaving && !is_another;
            self.lose(&seen.name, is_leaving, named, now);
        }
        if !seen.has_ended {
            self.pods.insert(seen.name, seen.pod);
        }
    }

    /// One that was not there has not ended now.
    fn lose(&mut self, name: &PodName, is_leaving: bool, named: &Named, now: Instant) {
        let before = self.pods.remove(name);
        if let Some(before) = before.filter(|_| is_named(named, name)) {
            self.ended.push_back(Ended {
                at: now,
                name: name.clone(),
                was_leaving: is_leaving || before.is_leaving,
            });
        }
        self.forget(now);
    }

    /// Also while nothing is told, since a list does not come.
    fn forget(&mut self, now: Instant) {
        let is_old = |ended: &Ended| ended.at + ENDED_FOR <= now;
        while self.ended.front().is_some_and(is_old) || self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
    }

    fn of(&mut self, named: &Named, now: Instant) -> AgentPodsSeen {
        self.forget(now);
        let pods = self.pods.iter().filter(|(name, _)| is_named(named, name));
        let ended = self.ended.iter();
        let ended = ended.map(|ended| (ended.name.clone(), ended.at));
        AgentPodsSeen {
            pods: pods
                .map(|(name, pod)| (name.clone(), Arc::clone(pod)))
                .collect(),
            ended: ended.collect(),
            named: named.clone(),
        }
    }

    /// Pods of Deployments that are going, and those that were and have gone of late:
    /// Azure DevOps may call their jobs running for a moment yet, in which they would
    /// count again.
    fn leaving(&self, named: &Named, deployments: &Deployments) -> LeavingPods {
        let here = self.pods.iter().filter(|(_, pod)| pod.is_leaving);
        let here = here.map(|(name, _)| name);
        let gone = self.ended.iter().filter(|ended| ended.was_leaving);
        let gone = gone.map(|ended| &ended.name);
        // One that is there again under its name is another.
        let gone = gone.filter(|name| !self.pods.contains_key(name));
        let mut leaving: HashMap<ScalingObject, BTreeSet<Box<str>>> = HashMap::new();
        for pod in here.chain(gone) {
            let objects = owner(named, pod).and_then(|begins| deployments.get(&begins));
            for object in objects.into_iter().flatten() {
                let pods = leaving.entry(object.clone()).or_default();
                pods.insert(pod.name.clone());
            }
        }
        let leaving = leaving.into_iter();
        leaving
            .map(|(object, pods)| (object, Arc::new(pods)))
            .collect()
    }
}

#[cfg(test)]
#[path = "agent_pods_tests.rs"]
mod tests;
