//! The watcher: one task that reads one pool's queue, again and again.
//!
//! May import: its siblings, domain, ports, telemetry. Invariant: a pool is
//! read by at most one watcher, and by none when nobody asks for it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    PoolKey,
    pace::{Allowance, Intervals, Pace},
    source::Source,
    view::View,
};
use crate::{
    domain::pool::{Pool, Queue},
    ports::ReadError,
    telemetry::{metrics::AzureRoute, waits::QueueWaits},
};

/// Hooks come in bursts, one for each job of a run; readings that they ask for
/// are at least this far apart.
const NUDGE_GAP: Duration = Duration::from_millis(200);

/// A pool that is being watched.
#[derive(Debug)]
pub struct WatchedPool {
    source: Arc<Source>,
    key: PoolKey,
    pool: Pool,
    views: watch::Sender<View>,
    /// Counts the readings of all pools.
    readings: watch::Sender<u64>,
    waits: QueueWaits,
    nudged: Notify,
    stale: Notify,
    wanted: Notify,
    /// When the step that the loop is at should be over, for liveness; a
    /// reading is given the patience of whoever asks.
    due: Mutex<Instant>,
    /// Its place in memory was taken away: forgotten, or taken by another.
    retired: CancellationToken,
    ended: CancellationToken,
}

// === impl WatchedPool ===

impl WatchedPool {
    pub(super) fn new(
        source: Arc<Source>,
        key: PoolKey,
        pool: Pool,
        readings: watch::Sender<u64>,
    ) -> Self {
        Self {
            waits: QueueWaits::new(source.organization().label(), &pool.name),
            source,
            key,
            pool,
            views: watch::Sender::new(View::default()),
            readings,
            nudged: Notify::new(),
            stale: Notify::new(),
            wanted: Notify::new(),
            due: Mutex::new(Instant::now()),
            retired: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    /// The pool, as the service describes it.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What it is known by.
    #[must_use]
    pub fn key(&self) -> &PoolKey {
        &self.key
    }

    /// How long its jobs waited.
    #[must_use]
    pub fn waits(&self) -> &QueueWaits {
        &self.waits
    }

    /// Where it is read from.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The latest view, and the views to come.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<View> {
        self.views.subscribe()
    }

    /// The latest view.
    #[must_use]
    pub fn view(&self) -> View {
        self.views.borrow().clone()
    }

    /// Somebody knows that the queue has moved: read it now.
    pub fn nudge(&self) {
        // Stored if a reading is under way: that one may have missed it.
        self.nudged.notify_one();
    }

    /// Somebody is told an answer from the latest snapshot: if it is older than
    /// `fresh`, the watcher does not rest on.
    pub fn call_was_stale_if_older_than(&self, fresh: Duration) {
        let views = self.views.borrow();
        if views
            .snapshot
            .as_ref()
            .is_some_and(|snapshot| snapshot.age() > fresh)
        {
            // Not stored: a reading that is under way is all that is wanted.
            self.stale.notify_waiters();
        }
    }

    /// Somebody waits for a reading that begins from now on.
    pub fn read_soon(&self) {
        // Stored if a reading is under way: that one has begun before.
        self.wanted.notify_one();
    }

    /// Has its watcher ended, since nobody asked?
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Ends its watcher. Without it one that rests could be overtaken: by the
    /// time it looks whether anybody asks, somebody asks another watcher.
    pub(super) fn retire(&self) {
        self.retired.cancel();
    }

    /// Waits until its watcher ends.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Should the loop have come round this long ago, with nothing to hold it?
    pub(super) fn is_late_by(&self, patience: Duration) -> bool {
        let due = *self.due.lock().unwrap_or_else(PoisonError::into_inner);
        !self.has_ended() && due.elapsed() > patience && self.source.was_open_for(patience)
    }

    /// Reads the queue until nobody is interested any more.
    pub(super) async fn run(&self, intervals: Intervals, interested: impl Fn() -> bool) {
        let mut pace = Pace::new(intervals);
        let mut hooks = Hooks {
            allowance: Allowance::new(intervals),
            last: Instant::now(),
        };
        while !self.retired.is_cancelled() && interested() {
            self.expect_turn_within(Duration::ZERO);
            let read_at = self.read(&mut pace).await;
            let wait = pace.wait(fastrand::f64());
            self.expect_turn_within(wait);
            self.rest(read_at, wait, pace.failures() > 0, &mut hooks)
                .await;
        }
        self.ended.cancel();
        tracing::info!(pool = %self.pool.name, "nobody asks for this pool any more; watching ends");
    }

    /// One reading; tells when the service was asked.
    async fn read(&self, pace: &mut Pace) -> Instant {
        let id = self.pool.id;
        let asked = self
            .source
            .ask(AzureRoute::UnfinishedJobs, |api| api.unfinished_jobs(id))
            .await;
        let before = self.view();
        match asked.outcome {
            Ok(jobs) => {
                let queue = Queue::new(jobs);
                self.note_waits(&before, &queue);
                let view = before.after_reading(queue, asked.at);
                pace.read(!view.is_same_queue(&before));
                if before.failure.is_some() {
                    tracing::info!(pool = %self.pool.name, "the pool can be read again");
                }
                self.views.send_replace(view);
            }
            Err(error) => {
                pace.failed();
                self.tell(&before, &error);
                self.views
                    .send_replace(before.after_failure(error, pace.failures()));
            }
        }
        self.readings.send_modify(|count| *count += 1);
        asked.at
    }

    /// Jobs that were running at the first reading may have waited at any time,
    /// so they tell nothing.
    fn note_waits(&self, before: &View, queue: &Queue) {
        let Some(before) = &before.snapshot else {
            return;
        };
        let now = Timestamp::now();
        for job in queue.started_since(&before.queue) {
            // A clock that runs ahead of the service's must not make a wait of it.
            let wait = job
                .queued_at
                .map(|at| now.duration_since(at).max(jiff::SignedDuration::ZERO));
            if let Some(wait) = wait {
                self.waits.waited(wait.unsigned_abs());
            }
        }
    }

    /// A failure is logged when it begins or changes, not at every turn.
    fn tell(&self, before: &View, error: &ReadError) {
        let known = before.failure.as_ref().map(|failure| failure.error.kind());
        if known != Some(error.kind()) {
            tracing::warn!(
                pool = %self.pool.name,
                organization = %self.source.organization(),
                kind = error.kind(),
                "the pool cannot be read: {error}"
            );
        }
    }

    /// Waits for the next turn, or for a reason to take it earlier. While the
    /// service fails, the back-off holds whoever asks.
    async fn rest(&self, read_at: Instant, wait: Duration, failed: bool, hooks: &mut Hooks) {
        let next = read_at + wait;
        tokio::select! {
            () = sleep_until(next) => {}
            () = self.retired.cancelled() => {}
            () = self.nudged.notified(), if !failed => {
                let may = hooks.next().max(read_at + NUDGE_GAP);
                pass(may.min(next)).await;
            }
            () = self.stale.notified(), if !failed => pass(read_at + NUDGE_GAP).await,
            () = self.wanted.notified(), if !failed => pass(read_at + NUDGE_GAP).await,
        }
    }

    fn expect_turn_within(&self, longest: Duration) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = Instant::now() + longest;
    }
}

/// Waits for a moment that most often has passed already; a timer would take a
/// millisecond to say so.
async fn pass(moment: Instant) {
    if moment > Instant::now() {
        sleep_until(moment).await;
    }
}

/// What hooks have asked for, and may yet.
struct Hooks {
    allowance: Allowance,
    last: Instant,
}

// === impl Hooks ===

impl Hooks {
    /// When the reading that a hook asks for may come.
    fn next(&mut self) -> Instant {
        let now = Instant::now();
        let wait = self.allowance.take(now - self.last);
        self.last = now;
        now + wait
    }
}
