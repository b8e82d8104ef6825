//! The pods and the replicas of a lane's Deployments, each change with the moment
//! at which its watch told it; and the player of the agents.
//!
//! May import: the emulator. Invariant: a moment is that of the watch's line, so
//! that whatever is done with a pod afterwards takes none of the figure's time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use azp_harness::{Cluster, Event, Lines};

use super::{Emulator, Failure};

/// How often a watch that is quiet is looked after.
const QUIET: Duration = Duration::from_millis(200);

/// What the watches of a lane have told.
pub(super) struct Watched {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    stop: AtomicBool,
}

/// By the Deployments' names.
#[derive(Default)]
pub(super) struct Seen {
    /// When each pod came.
    pub(super) pods: BTreeMap<String, Vec<Instant>>,
    /// Pods that went.
    pub(super) gone: Vec<String>,
    /// What `spec.replicas` was, in turn.
    pub(super) replicas: BTreeMap<String, Vec<(Instant, u32)>>,
    failure: Option<String>,
}

// === impl Watched ===

impl Watched {
    /// Begins both watches of a namespace. Each pod becomes an agent, in the pool
    /// of its Deployment's name.
    pub(super) fn begin(
        cluster: &Cluster,
        space: &str,
        emulator: &Emulator,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let pods = cluster.watch_names("pods", space)?;
        let replicas = cluster.watch(&[
            "get",
            "deployments",
            &format!("--namespace={space}"),
            "--watch",
            r#"--output=jsonpath={.metadata.name} {.spec.replicas}{"\n"}"#,
        ])?;
        let emulator = emulator.clone();
        let threads = vec![
            follow(&shared, pods, move |shared, at, line| {
                take_pod(shared, &emulator, at, line)
            }),
            follow(&shared, replicas, |shared, at, line| {
                take_replicas(shared, at, line);
                Ok(())
            }),
        ];
        Ok(Self { shared, threads })
    }

    /// What has been told so far.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen()
    }

    /// Waits until `wanted` gives something; `None` where it does not in time.
    pub(super) fn until<T>(
        &self,
        within: Duration,
        mut wanted: impl FnMut(&Seen) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let deadline = Instant::now() + within;
        let mut seen = self.seen();
        loop {
            if let Some(failure) = &seen.failure {
                return Err(failure.clone().into());
            }
            if let Some(found) = wanted(&seen) {
                return Ok(Some(found));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = self.shared.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has printed its panic.
            let _ = thread.join();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn follow(
    shared: &Arc<Shared>,
    lines: Lines,
    mut take: impl FnMut(&Shared, Instant, &str) -> Result<(), Failure> + Send + 'static,
) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        while !shared.stop.load(Ordering::Relaxed) {
            let taken = match lines.next_within(QUIET) {
                Some((at, line)) => take(&shared, at, &line),
                None => lines.check().map_err(Failure::from),
            };
            if let Err(failure) = taken {
                shared.seen().failure = Some(format!("{failure:?}"));
                shared.changed.notify_all();
                return;
            }
            shared.changed.notify_all();
        }
    })
}

fn take_pod(shared: &Shared, emulator: &Emulator, at: Instant, line: &str) -> Result<(), Failure> {
    match Event::parse(line) {
        Some(Event::Added(pod)) => {
            // DEPLOYMENT-HASH-LETTERS.
            let deployment = pod.rsplitn(3, '-').nth(2).unwrap_or_default().to_owned();
            let mut seen = shared.seen();
            seen.pods.entry(deployment.clone()).or_default().push(at);
            drop(seen);
            shared.changed.notify_all();
            emulator.add_agent(&deployment, &pod)
        }
        Some(Event::Deleted(pod)) => {
            shared.seen().gone.push(pod);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Lines that repeat the replicas, such as those for the status, are passed over.
fn take_replicas(shared: &Shared, at: Instant, line: &str) {
    let Some((deployment, replicas)) = line.split_once(' ') else {
        return;
    };
    let Ok(replicas) = replicas.trim().parse() else {
        return;
    };
    let mut seen = shared.seen();
    let history = seen.replicas.entry(deployment.to_owned()).or_default();
    if history.last().is_none_or(|(_, last)| *last != replicas) {
        history.push((at, replicas));
    }
}
