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
    use std::{
        io,
        sync::{Arc, Mutex},
        time::Duration,
    };

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

    /// Runs it and gives what it logged, line by line.
    fn logged(run: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Lines(Arc::clone(&lines));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || written.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, run);
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[derive(Clone)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[track_caller]
    fn check(lines: &[String], expected: &[(&str, &str)]) {
        assert_eq!(lines.len(), expected.len(), "{lines:#?}");
        for (line, (level, part)) in lines.iter().zip(expected) {
            assert!(line.contains(level) && line.contains(part), "{line}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_breaks_is_told_once_and_once_more_when_it_is_well() {
        let ledger = Ledger::default();
        let all = [rule("jobs"), rule("pods")];
        let away = || Failure::Unreachable {
            cause: "refused".into(),
        };
        let lines = logged(|| {
            for rule in all.iter().cycle().take(6) {
                ledger.broke(rule, away());
            }
            all.iter().for_each(|rule| ledger.is_well(rule));
            all.iter().for_each(|rule| ledger.is_well(rule));
        });
        let expected = [
            ("WARN", "the last state of the cluster stays"),
            ("INFO", "the apiserver can be reached again"),
        ];
        check(&lines, &expected);

        // A right may be missing here and not there.
        let lines = logged(|| {
            for rule in all.iter().cycle().take(6) {
                ledger.broke(rule, Failure::Forbidden { rule: rule.clone() });
            }
            ledger.is_well(&all[0]);
            ledger.forget(&all[1]);
        });
        let expected = [
            ("WARN", "jobs cannot be watched: not allowed; give a role"),
            ("WARN", "pods cannot be watched: not allowed; give a role"),
            ("INFO", "jobs can be watched again"),
        ];
        check(&lines, &expected);
    }
}
