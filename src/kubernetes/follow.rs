//! One watch: the objects of a kind, in one namespace or in all, as a stream of
//! changes that never ends.
//!
//! May import: its siblings. Invariants: after a failure everything is listed
//! anew, so that what happened meanwhile is not missed; a list is handed on when
//! it is whole; until then what was known stays.

use std::{sync::Arc, time::Duration};

use futures::{
    StreamExt as _,
    stream::{BoxStream, unfold},
};
use kube::{
    Api, Client,
    runtime::watcher::{self, Event, watcher},
};
use tokio::time::sleep;

use super::{
    failure::{Failure, Rule},
    health::Ledger,
    rows::{Row, Rows},
};

/// How long one watch request may last. A connection that died without a word is
/// found out that late, so it is much less than Kubernetes' usual five minutes.
pub(super) const WATCH_SECONDS: u32 = 60;

/// Between two tries, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Between two tries, at last: an apiserver comes back within minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// As above, where somebody has to give a right or install KEDA.
const LONGEST_PAUSE_FOR_PEOPLE: Duration = Duration::from_secs(30);

/// What has become of the objects, each reduced to a `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change<T> {
    /// These are all there are.
    All(Vec<T>),
    /// One is new, or not as it was.
    Is(T),
    /// One is gone; this is how it was at last.
    Gone(T),
}

/// What a watch needs.
pub(super) struct Follow<R: Rows, T> {
    pub(super) client: Client,
    /// All namespaces where there is none.
    pub(super) namespace: Option<Box<str>>,
    /// Which objects, by their labels; all where it is empty.
    pub(super) labels: &'static str,
    /// What is kept of an object.
    pub(super) reduce: fn(&Row<R>) -> T,
    pub(super) ledger: Arc<Ledger>,
}

struct Follower<R: Rows, T> {
    api: Api<Row<R>>,
    config: watcher::Config,
    reduce: fn(&Row<R>) -> T,
    ledger: Arc<Ledger>,
    rule: Rule,
    watch: Option<BoxStream<'static, watcher::Result<Event<Row<R>>>>>,
    /// A list on its way.
    listing: Vec<T>,
    failures: u32,
}

// === impl Follow ===

impl<R: Rows, T: Send + 'static> Follow<R, T> {
    /// The changes, beginning with [`Change::All`].
    pub(super) fn changes(self) -> BoxStream<'static, Change<T>> {
        let rule = Rule {
            group: R::GROUP,
            resource: R::PLURAL,
            verbs: &["list", "watch"],
            name: None,
            namespace: self.namespace.clone(),
        };
        let api = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client, namespace),
            None => Api::all(self.client),
        };
        let follower = Follower {
            api,
            config: watcher::Config::default()
                .labels(self.labels)
                .timeout(WATCH_SECONDS),
            reduce: self.reduce,
            ledger: self.ledger,
            rule,
            watch: None,
            listing: Vec::new(),
            failures: 0,
        };
        unfold(follower, |mut follower| async {
            let change = follower.next().await;
            Some((change, follower))
        })
        .boxed()
    }
}

// === impl Follower ===

impl<R: Rows, T> Follower<R, T> {
    async fn next(&mut self) -> Change<T> {
        loop {
            let (api, config) = (&self.api, &self.config);
            let begin = || watcher(api.clone(), config.clone()).boxed();
            match self.watch.get_or_insert_with(begin).next().await {
                Some(Ok(event)) => {
                    if let Some(change) = self.take(event) {
                        return change;
                    }
                }
                Some(Err(error)) => self.failed(&error).await,
                None => self.watch = None,
            }
        }
    }

    fn take(&mut self, event: Event<Row<R>>) -> Option<Change<T>> {
        match event {
            Event::Init => {
                self.listing = Vec::new();
                None
            }
            Event::InitApply(row) => {
                self.listing.push((self.reduce)(&row));
                None
            }
            Event::InitDone => {
                self.failures = 0;
                self.ledger.is_well(&self.rule);
                Some(Change::All(std::mem::take(&mut self.listing)))
            }
            Event::Apply(row) => Some(Change::Is((self.reduce)(&row))),
            Event::Delete(row) => Some(Change::Gone((self.reduce)(&row))),
        }
    }

    /// Notes the failure and waits a while. The watch begins anew: going on where
    /// it broke off would not tell when it is well again.
    async fn failed(&mut self, error: &watcher::Error) {
        self.watch = None;
        self.listing = Vec::new();
        let Some(failure) = Failure::of_watch(error, &self.rule) else {
            return;
        };
        let pause = pause(self.failures, &failure);
        self.failures = self.failures.saturating_add(1);
        self.ledger.broke(&self.rule, failure);
        sleep(pause).await;
    }
}

impl<R: Rows, T> Drop for Follower<R, T> {
    fn drop(&mut self) {
        self.ledger.forget(&self.rule);
    }
}

/// How long to wait after this many failures before this one; a part of it is
/// left to chance, so that replicas do not come back all at once.
pub(super) fn pause(failures: u32, failure: &Failure) -> Duration {
    let longest = match failure {
        Failure::Forbidden { .. } | Failure::NotServed { .. } => LONGEST_PAUSE_FOR_PEOPLE,
        _ => LONGEST_PAUSE,
    };
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.min(16));
    doubled.min(longest).mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_no_further() {
        let away = Failure::Unreachable { cause: "".into() };
        for (failures, most) in [
            (0, 500),
            (1, 1000),
            (3, 4000),
            (5, 10_000),
            (u32::MAX, 10_000),
        ] {
            let pause = pause(failures, &away);
            let most = Duration::from_millis(most);
            assert!(most / 2 <= pause && pause <= most, "{failures}: {pause:?}");
        }
    }
}
