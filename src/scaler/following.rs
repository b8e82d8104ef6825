//! Following the cluster: what it declares is taken up as it changes.
//!
//! May import: its siblings, domain. Invariant: it ends with the scaler; a trigger
//! that stays what it was keeps when it was called.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::{
    Inner,
    registered::{Parts, Registered},
};
use crate::domain::declared::{Declarations, Declared};

// === impl Registered ===

impl Registered {
    /// The same trigger, of a scaling object of which the cluster says this.
    pub(super) fn declared_as(self: &Arc<Self>, declared: Option<&Arc<Declared>>) -> Arc<Self> {
        if self.declared.as_ref() == declared {
            return Arc::clone(self);
        }
        let registered = Self::new(Parts {
            key: self.key.clone(),
            trigger: self.trigger.clone(),
            declared: declared.cloned(),
            source: Arc::clone(&self.source),
            roster: Arc::clone(&self.roster),
        });
        registered.called(self.called_at());
        Arc::new(registered)
    }
}

/// Follows the cluster for as long as the scaler is there.
pub(super) async fn follow(
    inner: Weak<Inner>,
    mut declared: watch::Receiver<Option<Arc<Declarations>>>,
) {
    loop {
        let latest = declared.borrow_and_update().clone();
        if let Some(latest) = latest {
            let Some(inner) = inner.upgrade() else {
                return;
            };
            inner.registry.known.take_up(&inner.registry, latest);
            inner.pools.readings().send_modify(|count| *count += 1);
            // A token that nobody vouches for counts once it has found the pool.
            for registered in inner.registry.known.with_own_tokens() {
                let inner = Arc::clone(&inner);
                tokio::spawn(async move {
                    let _ = inner.destination(&registered).await;
                });
            }
        }
        if declared.changed().await.is_err() {
            return;
        }
    }
}
