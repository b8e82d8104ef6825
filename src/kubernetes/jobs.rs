//! The Jobs of scaled jobs and their pods, as long as there are any to follow.
//!
//! May import: its siblings, domain. Invariants: nothing is watched while no
//! `ScaledJob` of ours is declared; the census is not known until every list has
//! come; a change is told within moments, since KEDA looks at the Jobs itself
//! right after it has asked.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{
    StreamExt as _,
    stream::{BoxStream, SelectAll},
};
use kube::Client;
use tokio::{sync::watch, time::Instant};

use super::{
    Settings, at,
    census::{self, Census, Job, Pod, job, pod},
    declared::WantedJobs,
    follow::{Change, Follow},
    health::Ledger,
    rows::{Jobs, Pods, Row, Rows},
};
use crate::domain::declared::JobCensus;

/// How long further changes are waited for: a list of Jobs and one of their pods
/// come together. As short as can be: KEDA 2.21 asks for the number first and
/// looks at the pods then, so with the strategy `accurate` a pod that starts in
/// between makes one Job too many, and this wait is the larger part of between.
const TOGETHER: Duration = Duration::from_millis(1);

/// The Jobs that KEDA made.
const OF_JOBS: &str = census::SCALED_JOB;

/// Their pods. KEDA 2.21 gives its label to the pods' template too, so that the
/// pods of all other Jobs stay away.
const OF_PODS: &str = "scaledjob.keda.sh/name,job-name";

/// A change of either kind, with the namespace of its list.
enum News {
    Jobs(Option<Box<str>>, Change<Job>),
    Pods(Option<Box<str>>, Change<Pod>),
}

/// Follows the Jobs whenever some are wanted, for ever.
pub(super) async fn run(
    client: &Client,
    settings: &Settings,
    ledger: &Arc<Ledger>,
    mut wanted: watch::Receiver<WantedJobs>,
    told: &watch::Sender<Option<Arc<JobCensus>>>,
) {
    while wanted.wait_for(|wanted| !wanted.is_empty()).await.is_ok() {
        follow_jobs(client, settings, ledger, &mut wanted, told).await;
        told.send_replace(None);
    }
}

/// Ends when none are wanted any more.
async fn follow_jobs(
    client: &Client,
    settings: &Settings,
    ledger: &Arc<Ledger>,
    wanted: &mut watch::Receiver<WantedJobs>,
    told: &watch::Sender<Option<Arc<JobCensus>>>,
) {
    let mut changes = changes(client, settings, ledger);
    let mut awaited: BTreeSet<_> = settings
        .scopes()
        .flat_map(|namespace| [(Jobs::PLURAL, namespace.clone()), (Pods::PLURAL, namespace)])
        .collect();
    let mut census = Census::default();
    let mut due = None;
    loop {
        let forgets_at = census.forgets_at();
        let whole = awaited.is_empty();
        tokio::select! {
            Some(news) = changes.next() => {
                awaited.remove(&news.list());
                news.enter(&mut census);
            }
            () = at(due), if whole => {
                due = None;
                tell(&mut census, wanted, told);
            }
            () = at(forgets_at), if whole => tell(&mut census, wanted, told),
            Ok(()) = wanted.changed() => {
                if wanted.borrow_and_update().is_empty() {
                    return;
                }
                // They may wait for other conditions than before.
                census.recount(None);
            }
        }
        if census.has_changed() || told.borrow().is_none() {
            due.get_or_insert_with(|| Instant::now() + TOGETHER);
        }
    }
}

fn tell(
    census: &mut Census,
    wanted: &watch::Receiver<WantedJobs>,
    told: &watch::Sender<Option<Arc<JobCensus>>>,
) {
    let counted = census.count(&wanted.borrow(), Instant::now());
    told.send_if_modified(|before| {
        let first = before.is_none().then(JobCensus::default);
        let Some(counted) = counted.or(first) else {
            return false;
        };
        *before = Some(Arc::new(counted));
        true
    });
}

fn changes(
    client: &Client,
    settings: &Settings,
    ledger: &Arc<Ledger>,
) -> SelectAll<BoxStream<'static, News>> {
    let mut changes: SelectAll<BoxStream<'static, News>> = SelectAll::new();
    for namespace in settings.scopes() {
        let of = namespace.clone();
        let jobs = follow(client, &namespace, ledger, OF_JOBS, job).changes();
        changes.push(
            jobs.map(move |change| News::Jobs(of.clone(), change))
                .boxed(),
        );
        let of = namespace.clone();
        let pods = follow(client, &namespace, ledger, OF_PODS, pod).changes();
        changes.push(
            pods.map(move |change| News::Pods(of.clone(), change))
                .boxed(),
        );
    }
    changes
}

fn follow<R: Rows, T>(
    client: &Client,
    namespace: &Option<Box<str>>,
    ledger: &Arc<Ledger>,
    labels: &'static str,
    reduce: fn(&Row<R>) -> T,
) -> Follow<R, T> {
    Follow {
        client: client.clone(),
        namespace: namespace.clone(),
        labels,
        reduce,
        ledger: Arc::clone(ledger),
    }
}

// === impl News ===

impl News {
    fn list(&self) -> (&'static str, Option<Box<str>>) {
        match self {
            Self::Jobs(namespace, _) => (Jobs::PLURAL, namespace.clone()),
            Self::Pods(namespace, _) => (Pods::PLURAL, namespace.clone()),
        }
    }

    fn enter(self, census: &mut Census) {
        match self {
            Self::Jobs(namespace, change) => census.take_jobs(namespace.as_deref(), change),
            Self::Pods(namespace, change) => {
                census.take_pods(namespace.as_deref(), change, Instant::now());
            }
        }
    }
}
