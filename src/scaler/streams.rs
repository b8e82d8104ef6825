//! Streams of activity: the state at the start, then its edges.
//!
//! May import: its siblings, pools. Invariant: a stream says nothing that a call
//! at the same moment would not say; while a call would be an error, the stream
//! is silent.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::{sync::watch, time::sleep};

use super::{Inner, registered::Registered, roster::Roster};
use crate::pools::{Found, ParallelJobs, UsageView, View};

/// What a stream remembers.
struct Activity {
    inner: Arc<Inner>,
    registered: Arc<Registered>,
    told: Option<bool>,
}

/// The activity of a scaling object as soon as it is known, then each change.
pub(super) fn activity(inner: Arc<Inner>, registered: Arc<Registered>) -> BoxStream<'static, bool> {
    let activity = Activity {
        inner,
        registered,
        told: None,
    };
    stream::unfold(activity, |mut activity| async move {
        let active = activity.next().await?;
        Some((active, activity))
    })
    .boxed()
}

// === impl Activity ===

impl Activity {
    /// `None` where the trigger is not any more: KEDA opens another stream for
    /// what it has become.
    async fn next(&mut self) -> Option<bool> {
        loop {
            self.registered = self.inner.registry.touch(&self.registered)?;
            // Listen before looking, so that no change falls between.
            let change = Change::of(&self.inner, &self.registered);
            if let Ok(answer) = self.inner.answer(&self.registered).await
                && self.told != Some(answer.active)
            {
                self.told = Some(answer.active);
                return Some(answer.active);
            }
            self.wait(change).await;
        }
    }

    /// Waits for whatever could change the answer; now and then also for
    /// nothing, so that the scaling object and its pool are not forgotten.
    async fn wait(&self, change: Change) {
        let touch_every = self.inner.settings.forget_after / 4;
        let longest = self
            .inner
            .registry
            .learning_left()
            .map_or(touch_every, |left| left.min(touch_every));
        tokio::select! {
            () = change.happens() => {}
            () = sleep(longest) => {}
        }
    }
}

/// Everything that an answer depends on.
#[derive(Default)]
struct Change {
    found: Option<watch::Receiver<Found>>,
    views: Option<watch::Receiver<View>>,
    parallel_jobs: Option<watch::Receiver<UsageView>>,
    triggers: Option<watch::Receiver<u64>>,
    roster: Option<(Arc<Roster>, u64)>,
}

// === impl Change ===

impl Change {
    fn of(inner: &Inner, registered: &Registered) -> Self {
        let Ok(handle) = inner.handle(registered) else {
            return Self::default();
        };
        let mut change = Self {
            found: Some(handle.changes()),
            roster: Some((Arc::clone(&registered.roster), registered.roster.version())),
            ..Self::default()
        };
        if let Found::Yes(watched) = handle.found() {
            change.views = Some(watched.views());
            let parallel_jobs = watched.source().parallel_jobs();
            change.parallel_jobs = parallel_jobs.map(ParallelJobs::views);
            change.triggers = Some(inner.decision(&watched).changes());
        }
        change
    }

    async fn happens(self) {
        tokio::select! {
            () = changed(self.found) => {}
            () = changed(self.views) => {}
            () = changed(self.parallel_jobs) => {}
            () = changed(self.triggers) => {}
            () = async {
                match &self.roster {
                    Some((roster, version)) => roster.changes_from(*version).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

async fn changed<T>(receiver: Option<watch::Receiver<T>>) {
    match receiver {
        // The sender's end means that the pool is gone: look again.
        Some(mut receiver) => drop(receiver.changed().await),
        None => std::future::pending().await,
    }
}
