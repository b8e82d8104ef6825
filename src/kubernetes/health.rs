//! Which watches are broken, and since when.
//!
//! May import: its siblings. Invariant: a watch that breaks is told in the log
//! once, and once more when it is well again; an apiserver that goes away breaks
//! all of them at once and is told as one.

use std::collections::BTreeMap;

use tokio::{sync::watch, time::Instant};

use super::failure::{Failure, Rule};

/// What of the cluster is not seen at the moment; the last that was seen stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    broken: BTreeMap<Rule, Broken>,
}

/// A watch that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Since when.
    pub since: Instant,
    /// Why, as it is now.
    pub failure: Failure,
}

/// Where watches note how they are.
#[derive(Debug, Default)]
pub(super) struct Ledger(watch::Sender<Health>);

// === impl Health ===

impl Health {
    /// Is every watch at work, so that what is known is what is?
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.broken.is_empty()
    }

    /// Since when something is not seen.
    #[must_use]
    pub fn broken_since(&self) -> Option<Instant> {
        self.broken.values().map(|broken| broken.since).min()
    }

    /// The watches that are broken, each by the right that it needs.
    pub fn broken(&self) -> impl Iterator<Item = (&Rule, &Broken)> {
        self.broken.iter()
    }

    fn is_unreachable(&self) -> bool {
        let mut broken = self.broken.values();
        broken.any(|broken| broken.failure.is_unreachable())
    }
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn subscribe(&self) -> watch::Receiver<Health> {
        self.0.subscribe()
    }

    /// A watch has failed, once more or for the first time.
    pub(super) fn broke(&self, rule: &Rule, failure: Failure) {
        self.0.send_if_modified(|health| {
            let before = health.broken.get(rule);
            let known = before.is_some_and(|broken| broken.failure.kind() == failure.kind());
            if known {
                return false;
            }
            if failure.is_unreachable() && !health.is_unreachable() {
                tracing::warn!(
                    kind = failure.kind(),
                    "the last state of the cluster stays: {failure}"
                );
            } else if !failure.is_unreachable() {
                let Rule {
                    resource,
                    namespace,
                    ..
                } = rule;
                tracing::warn!(
                    kind = failure.kind(),
                    resource,
                    namespace = namespace.as_deref(),
                    "{resource} cannot be watched: {failure}"
                );
            }
            let since = before.map_or_else(Instant::now, |broken| broken.since);
            let broken = Broken { since, failure };
            health.broken.insert(rule.clone(), broken);
            true
        });
    }

    /// A watch works.
    pub(super) fn is_well(&self, rule: &Rule) {
        self.0.send_if_modified(|health| {
            let Some(broken) = health.broken.remove(rule) else {
                return false;
            };
            if !broken.failure.is_unreachable() {
                let Rule {
                    resource,
                    namespace,
                    ..
                } = rule;
                tracing::info!(
                    resource,
                    namespace = namespace.as_deref(),
                    "{resource} can be watched again"
                );
            } else if !health.is_unreachable() {
                tracing::info!("the apiserver can be reached again, and all has been read anew");
            }
            true
        });
    }

    /// A watch is not wanted any more.
    pub(super) fn forget(&self, rule: &Rule) {
        self.0
            .send_if_modified(|health| health.broken.remove(rule).is_some());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    fn rule(resource: &'static str) -> Rule {
        Rule {
            group: "",
            resource,
            verbs: &["list", "watch"],
            name: None,
            namespace: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_broken_is_so_since_it_first_failed() {
        let ledger = Ledger::default();
        let health = ledger.subscribe();
        let start = Instant::now();
        let away = || Failure::Unreachable {
            cause: "refused".into(),
        };
        let strange = Failure::Unreadable {
            detail: "odd".into(),
        };
        assert!(health.borrow().is_current());
        ledger.broke(&rule("jobs"), away());
        sleep(Duration::from_secs(1)).await;
        ledger.broke(&rule("pods"), away());
        ledger.broke(&rule("jobs"), strange);
        assert_eq!(health.borrow().broken_since(), Some(start));
        ledger.is_well(&rule("jobs"));
        let later = start + Duration::from_secs(1);
        assert_eq!(health.borrow().broken_since(), Some(later));
        ledger.forget(&rule("pods"));
        assert!(health.borrow().is_current());
    }
}
