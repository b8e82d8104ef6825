//! A source: one organization read with one credential.
//!
//! May import: domain, ports. Invariant: while the service wants to be left
//! alone, no watcher of the source reads, whichever pool was told so.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{domain::organization::OrganizationUrl, ports::AgentPools};

/// Where pools are read from.
pub struct Source {
    organization: OrganizationUrl,
    api: Arc<dyn AgentPools>,
    quiet_until: Mutex<Option<Instant>>,
}

// === impl Source ===

impl Source {
    /// A source that reads through `api`.
    #[must_use]
    pub fn new(organization: OrganizationUrl, api: Arc<dyn AgentPools>) -> Self {
        Self {
            organization,
            api,
            quiet_until: Mutex::new(None),
        }
    }

    /// The organization that it reads.
    #[must_use]
    pub fn organization(&self) -> &OrganizationUrl {
        &self.organization
    }

    pub(super) fn api(&self) -> &dyn AgentPools {
        &*self.api
    }

    /// The service asked for a pause; an earlier, longer one stays.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut quiet = self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *quiet = Some(quiet.map_or(until, |before| before.max(until)));
    }

    /// Waits until the service may be asked again. Watchers that waited for
    /// the same moment are spread over `spread` after it.
    pub(super) async fn wait(&self, spread: Duration) {
        while let Some(until) = self.quiet_until() {
            sleep_until(until + spread.mul_f64(fastrand::f64())).await;
        }
    }

    fn quiet_until(&self) -> Option<Instant> {
        let quiet = self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        quiet.filter(|until| *until > Instant::now())
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("organization", &self.organization)
            .finish_non_exhaustive()
    }
}
