//! The way from a scaling object to the decision on its pool, remembered.
//!
//! May import: its siblings, pools. Invariant: a remembered way is walked only
//! while it still leads to the pool's present watcher, and never for so long
//! that what lies on it could be forgotten for want of use.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Inner, answer::Unanswered, pool_decision::PoolDecision, registered::Registered};
use crate::{
    domain::pool::PoolId,
    pools::{Found, PoolHandle, WatchedPool},
};

/// A scaling object is called for many times a second; once in this time is
/// enough to keep its pool from being forgotten.
const WALKED_FOR: Duration = Duration::from_secs(1);

/// How a scaling object remembers its pool. The decision holds the scaling
/// objects that take part in it, so it is not held in turn.
pub(super) struct Route {
    handle: Arc<PoolHandle>,
    watched: Arc<WatchedPool>,
    decision: Weak<PoolDecision>,
}

/// What a call needs of its pool.
pub(super) struct Destination {
    pub(super) watched: Arc<WatchedPool>,
    pub(super) decision: Arc<PoolDecision>,
}

// === impl Route ===

impl Route {
    /// Where it leads; `None` where that is not the pool any more.
    fn destination(&self) -> Option<Destination> {
        let Found::Yes(watched) = self.handle.found() else {
            return None;
        };
        let decision = self.decision.upgrade()?;
        let still = Arc::ptr_eq(&watched, &self.watched) && !watched.has_ended();
        still.then_some(Destination { watched, decision })
    }
}

impl Route {
    /// Does it lead to this pool, and was that read of late? `None` where nobody
    /// has walked it for so long that nothing is known.
    pub(super) fn reads(&self, pool: PoolId, max_stale: Duration) -> Option<bool> {
        if self.watched.has_ended() {
            return None;
        }
        let view = self.watched.view();
        let reads = match (&view.snapshot, &view.failure) {
            (None, None) => return None,
            (snapshot, _) => snapshot
                .as_ref()
                .is_some_and(|snapshot| !snapshot.is_stale(max_stale)),
        };
        Some(reads && self.watched.pool().id == pool)
    }
}

// === impl Inner ===

impl Inner {
    /// The pool of a scaling object; the way to it is found anew now and then.
    pub(super) async fn destination(
        &self,
        registered: &Registered,
    ) -> Result<Destination, Unanswered> {
        let longest = WALKED_FOR.min(self.settings.forget_after / 4);
        let remembered = registered.route(longest);
        if let Some(destination) = remembered.and_then(|route| route.destination()) {
            return Ok(destination);
        }
        let handle = self.handle(registered)?;
        let watched = match self.found(&handle, registered).await {
            Ok(watched) => watched,
            Err(unanswered) => {
                if matches!(unanswered, Unanswered::Unreadable { .. }) {
                    registered.looked_in_vain();
                }
                return Err(unanswered);
            }
        };
        let decision = self.decision(&watched);
        registered.remember_route(Arc::new(Route {
            handle,
            watched: Arc::clone(&watched),
            decision: Arc::downgrade(&decision),
        }));
        Ok(Destination { watched, decision })
    }
}
