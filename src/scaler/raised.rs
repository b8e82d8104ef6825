//! Readings that a raised Deployment has overtaken.
//!
//! May import: its siblings, pools, ports. Invariant: where another replica may raise
//! a Deployment, nobody is told what was read before it became larger: KEDA would
//! take back what was made for jobs that this replica has not seen yet.

use tokio::time::{Instant, timeout};

use super::{FIRST_SNAPSHOT_WAIT, Inner, registered::Registered};
use crate::pools::{Snapshot, View, WatchedPool};

/// A view, and whether its snapshot may be told.
pub(super) struct Latest {
    pub(super) view: View,
    raised_at: Option<Instant>,
}

// === impl Latest ===

impl Latest {
    /// Was it read before the Deployment became larger?
    pub(super) fn is_overtaken(&self, snapshot: &Snapshot) -> bool {
        self.raised_at
            .is_some_and(|raised_at| snapshot.read_at < raised_at)
    }
}

// === impl Inner ===

impl Inner {
    /// The view to answer from; waits a moment for one that nothing has overtaken.
    pub(super) async fn latest(&self, registered: &Registered, watched: &WatchedPool) -> Latest {
        let raised_at = self.raised_at(registered);
        let read_since = |view: &View| match (raised_at, &view.snapshot) {
            (Some(raised_at), Some(snapshot)) => snapshot.read_at >= raised_at,
            _ => view.is_known(),
        };
        if !read_since(&watched.view()) {
            if raised_at.is_some() {
                watched.read_soon();
            }
            let mut views = watched.views();
            let read = views.wait_for(|view| read_since(view) || view.failure.is_some());
            // Time out or not, what is there then is what counts.
            let _ = timeout(FIRST_SNAPSHOT_WAIT, read).await;
        }
        Latest {
            view: watched.view(),
            raised_at,
        }
    }

    /// When its Deployment became larger, where that may have been by the guard of
    /// another replica.
    fn raised_at(&self, registered: &Registered) -> Option<Instant> {
        let declared = registered.declared.as_ref()?;
        let deployment = declared.deployment.as_ref();
        let deployment = deployment.filter(|_| registered.trigger.direct_scale_up)?;
        let name = (declared.object.namespace.clone(), deployment.clone());
        self.raised.as_ref()?.borrow().get(&name).copied()
    }
}
