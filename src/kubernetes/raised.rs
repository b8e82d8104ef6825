//! When Deployments became larger, by whomever.
//!
//! May import: its siblings, ports. Invariants: a Deployment became larger only where
//! it was seen with fewer replicas before; one that was raised while nothing could
//! be watched is told as raised at the moment when that is seen.

use std::{collections::BTreeMap, sync::Arc};

use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll},
};
use kube::Client;
use tokio::{sync::watch, time::Instant};

use super::{
    Settings,
    follow::{Change, Follow},
    health::Ledger,
    rows::{Deployments, Row},
};
use crate::ports::Raised;

/// A Deployment, of whomever: its namespace and name.
type Name = (Box<str>, Box<str>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    name: Name,
    replicas: u32,
}

/// The Deployments that are there, and when each was raised at last.
#[derive(Debug, Default)]
struct Kept(BTreeMap<Name, (u32, Option<Instant>)>);

/// A change, with the namespace of its list.
type News = (Option<Box<str>>, Change<Seen>);

/// Follows the Deployments for ever.
pub(super) async fn run(
    client: &Client,
    settings: &Settings,
    ledger: &Arc<Ledger>,
    told: &watch::Sender<Arc<Raised>>,
) {
    let mut changes: SelectAll<BoxStream<'static, News>> = SelectAll::new();
    for namespace in settings.scopes() {
        let deployments = Follow {
            client: client.clone(),
            namespace: namespace.clone(),
            labels: "",
            reduce: seen,
            ledger: Arc::clone(ledger),
        };
        let deployments = deployments.changes();
        let named = deployments.map(move |change| (namespace.clone(), change));
        changes.push(named.boxed());
    }
    let mut kept = Kept::default();
    while let Some((namespace, change)) = changes.next().await {
        // At once: whoever asks now may be told what was read before.
        if kept.take(namespace.as_deref(), change, Instant::now()) {
            told.send_replace(Arc::new(kept.raised()));
        }
    }
}

fn seen(row: &Row<Deployments>) -> Seen {
    Seen {
        name: (row.namespace().into(), row.name().into()),
        // Kubernetes: 1 where it is not given, which the apiserver writes out.
        replicas: row.spec.replicas.unwrap_or(1),
    }
}

// === impl Kept ===

impl Kept {
    /// Takes a change in; tells whether one has become larger.
    fn take(&mut self, namespace: Option<&str>, change: Change<Seen>, now: Instant) -> bool {
        match change {
            Change::All(all) => {
                self.0.retain(|name, _| {
                    let of_list = namespace.is_none_or(|only| only == &*name.0);
                    !of_list || all.iter().any(|seen| seen.name == *name)
                });
                let set = |larger, seen| self.set(seen, now) | larger;
                all.into_iter().fold(false, set)
            }
            Change::Is(seen) => self.set(seen, now),
            Change::Gone(seen) => {
                self.0.remove(&seen.name);
                false
            }
        }
    }

    fn set(&mut self, seen: Seen, now: Instant) -> bool {
        let kept = self.0.entry(seen.name).or_insert((seen.replicas, None));
        let is_larger = seen.replicas > kept.0;
        kept.0 = seen.replicas;
        if is_larger {
            kept.1 = Some(now);
        }
        is_larger
    }

    fn raised(&self) -> Raised {
        let raised = self.0.iter();
        raised
            .filter_map(|(name, (_, raised_at))| Some((name.clone(), (*raised_at)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(namespace: &str, name: &str, replicas: u32) -> Seen {
        Seen {
            name: (namespace.into(), name.into()),
            replicas,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_is_raised_only_where_it_was_seen_with_fewer() {
        let begun = Instant::now();
        let mut kept = Kept::default();
        // The list, what came, whether one became larger, and when `ci/a` did at last.
        for (second, list, change, expected, raised_at) in [
            (0, None, Change::All(vec![seen("ci", "a", 3)]), false, None),
            (1, None, Change::Is(seen("ci", "a", 1)), false, None),
            (2, None, Change::Is(seen("ci", "a", 2)), true, Some(2)),
            (3, None, Change::Is(seen("ci", "a", 2)), false, Some(2)),
            (4, None, Change::Is(seen("ci", "a", 0)), false, Some(2)),
            (5, None, Change::Is(seen("ci", "b", 9)), false, Some(2)),
            // After the watch was broken.
            (
                6,
                None,
                Change::All(vec![seen("ci", "a", 4)]),
                true,
                Some(6),
            ),
            (7, Some("build"), Change::All(vec![]), false, Some(6)),
            (8, Some("ci"), Change::All(vec![]), false, None),
            (9, None, Change::Is(seen("ci", "a", 5)), false, None),
            (10, None, Change::Is(seen("ci", "a", 6)), true, Some(10)),
            (11, None, Change::Gone(seen("ci", "a", 6)), false, None),
        ] {
            let at = |second| begun + Duration::from_secs(second);
            let shown = format!("{second}: {change:?}");
            assert_eq!(kept.take(list, change, at(second)), expected, "{shown}");
            let raised = kept.raised();
            let raised = raised.get(&("ci".into(), "a".into())).copied();
            assert_eq!(raised, raised_at.map(at), "{shown}");
        }
    }
}
