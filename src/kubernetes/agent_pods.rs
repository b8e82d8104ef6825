//! The pods of scaling objects, as far as the guard needs them.
//!
//! May import: its siblings, ports, domain. Invariants: nothing is told before every
//! list has come; a pod has ended only where it was there and was then seen to have
//! gone or ended: one whose scaling object, or whose namespace, is watched no more
//! has not.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
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
    domain::declared::Declarations,
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
    ended: VecDeque<(Instant, PodName)>,
}

/// The names that agents' pods begin with, by namespace.
type Named = BTreeSet<(Box<str>, Box<str>)>;

/// A change, with the namespace of its list.
type News = (Option<Box<str>>, Change<Seen>);

/// Follows the pods for ever.
pub(super) async fn run(
    client: &Client,
    settings: &Settings,
    ledger: &Arc<Ledger>,
    mut declared: watch::Receiver<Option<Arc<Declarations>>>,
    told: &watch::Sender<Option<Arc<AgentPodsSeen>>>,
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
            }
            () = at(due) => {
                due = None;
                let now = Instant::now();
                let seen = kept.of(&named, now);
                told.send_if_modified(|before| {
                    let is_news = before.as_deref() != Some(&seen);
                    if is_news {
                        *before = Some(Arc::new(seen));
                    }
                    is_news
                });
                continue;
            }
        }
        if awaited.is_empty() && declared.borrow().is_some() {
            due.get_or_insert_with(|| Instant::now() + TOGETHER);
        }
    }
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

/// Is it an agent's?
fn is_named(named: &Named, pod: &PodName) -> bool {
    let dashes = pod.name.match_indices('-');
    dashes
        .map(|(dash, _)| (pod.namespace.clone(), pod.name[..dash].into()))
        .any(|begins| named.contains(&begins))
}

fn seen(row: &Row<Pods>) -> Seen {
    let annotation = |key: &str| Some((key.into(), row.annotation(key)?.into()));
    Seen {
        name: PodName::new(row.namespace(), row.name()),
        pod: Arc::new(AgentPod {
            uid: row.metadata.uid.as_deref().unwrap_or_default().into(),
            annotations: MARKS.into_iter().filter_map(annotation).collect(),
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
                gone.iter().for_each(|name| self.lose(name, named, now));
                for seen in all {
                    self.set(seen, named, now);
                }
            }
            Change::Is(seen) => self.set(seen, named, now),
            Change::Gone(seen) => self.lose(&seen.name, named, now),
        }
    }

    fn set(&mut self, seen: Seen, named: &Named, now: Instant) {
        let before = self.pods.get(&seen.name);
        if seen.has_ended || before.is_some_and(|before| before.uid != seen.pod.uid) {
            self.lose(&seen.name, named, now);
        }
        if !seen.has_ended {
            self.pods.insert(seen.name, seen.pod);
        }
    }

    /// One that was not there has not ended now.
    fn lose(&mut self, name: &PodName, named: &Named, now: Instant) {
        if self.pods.remove(name).is_some() && is_named(named, name) {
            self.ended.push_back((now, name.clone()));
        }
        self.forget(now);
    }

    /// Also while nothing is told, since a list does not come.
    fn forget(&mut self, now: Instant) {
        let is_old = |(at, _): &(Instant, PodName)| *at + ENDED_FOR <= now;
        while self.ended.front().is_some_and(is_old) || self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
    }

    fn of(&mut self, named: &Named, now: Instant) -> AgentPodsSeen {
        self.forget(now);
        let pods = self.pods.iter().filter(|(name, _)| is_named(named, name));
        let ended = self.ended.iter().map(|(at, name)| (name.clone(), *at));
        AgentPodsSeen {
            pods: pods
                .map(|(name, pod)| (name.clone(), Arc::clone(pod)))
                .collect(),
            ended: ended.collect(),
            named: named.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, uid: &str, has_ended: bool) -> Seen {
        Seen {
            name: PodName::new(namespace, name),
            pod: Arc::new(AgentPod {
                uid: uid.into(),
                annotations: BTreeMap::new(),
            }),
            has_ended,
        }
    }

    fn named() -> Named {
        let names = [("ci", "agents"), ("build", "a-b")];
        names
            .map(|(namespace, name)| (namespace.into(), name.into()))
            .into()
    }

    #[test]
    fn a_pod_is_an_agents_by_the_beginning_of_its_name() {
        for (namespace, name, expected) in [
            ("ci", "agents-7f9c-x1", true),
            ("ci", "agents-1", true),
            ("ci", "agents", false),
            ("ci", "agents2-1", false),
            ("build", "a-b-c", true),
            ("build", "a-c", false),
            ("build", "agents-1", false),
        ] {
            let got = is_named(&named(), &PodName::new(namespace, name));
            assert_eq!(got, expected, "{namespace}/{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_has_ended_only_where_it_was_seen_to() {
        let now = Instant::now();
        let mut kept = Kept::default();
        let mut take = |namespace, change| {
            kept.take(namespace, change, &named(), now);
            kept.of(&named(), now)
        };
        let one = |has_ended| pod("ci", "agents-1", "u", has_ended);
        let other = || pod("build", "a-b-1", "v", false);
        // What had ended before it was known tells nothing.
        let seen = take(
            None,
            Change::All(vec![pod("ci", "agents-0", "u", true), one(false)]),
        );
        assert_eq!((seen.pods.len(), seen.ended.len()), (1, 0));
        let seen = take(Some("build"), Change::All(vec![other()]));
        assert_eq!((seen.pods.len(), seen.ended.len()), (2, 0));
        // A list of another namespace says nothing of it.
        let seen = take(Some("build"), Change::All(vec![]));
        assert_eq!(seen.ended.into_keys().collect::<Vec<_>>(), [other().name]);
        let seen = take(None, Change::Is(one(true)));
        assert!(seen.ended.contains_key(&one(true).name) && seen.pods.is_empty());
        // Another of the same name.
        take(None, Change::Is(one(false)));
        let seen = take(None, Change::Is(pod("ci", "agents-1", "w", false)));
        assert_eq!((seen.pods.len(), seen.ended.len()), (1, 2));
        // Whose scaling object is gone.
        kept.take(
            None,
            Change::Gone(pod("ci", "agents-1", "w", false)),
            &Named::new(),
            now,
        );
        assert_eq!(kept.ended.len(), 3);
        assert!(kept.of(&named(), now + ENDED_FOR).ended.is_empty());
    }
}
