//! What all routes share: the organization behind one lock, the clock, the
//! fault that was ordered, the count of requests, the stop signal.
//!
//! May import: everything of the emulator but its routes. Invariant: nobody
//! sees the organization but as of now.

use std::{
    future::pending,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use tokio::sync::watch;

use super::{
    authority::Authority, clock::Clock, faults::Fault, organization::Organization,
    packages::Package, requests::RequestLog,
};

/// What all routes share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    token: Mutex<Option<SecretString>>,
    organization: Mutex<Organization>,
    /// The number of the organization's last change, for those who wait for one.
    revision: watch::Sender<u64>,
    /// How long a poll stays open without a message.
    pub(super) poll: Duration,
    /// Packages of the agent, the newest version first.
    pub(super) packages: Vec<Package>,
    authority: Mutex<Authority>,
    fault: Mutex<Option<Fault>>,
    requests: Mutex<RequestLog>,
    stop: watch::Sender<bool>,
}

pub(super) type SharedState = Arc<Shared>;

/// The organization as of now. Who waits for a change is told of it when this
/// is dropped.
pub(super) struct Present<'a> {
    organization: MutexGuard<'a, Organization>,
    revision: &'a watch::Sender<u64>,
}

/// Tells when the emulator stops.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

// === impl Shared ===

impl Shared {
    pub(super) fn new(
        token: Option<SecretString>,
        clock: Clock,
        organization: Organization,
        poll: Duration,
        packages: Vec<Package>,
    ) -> Self {
        Self {
            token: Mutex::new(token),
            clock,
            revision: watch::Sender::new(organization.revision()),
            organization: Mutex::new(organization),
            poll,
            packages,
            authority: Mutex::default(),
            fault: Mutex::default(),
            requests: Mutex::default(),
            stop: watch::Sender::new(false),
        }
    }

    /// The only token that is let in; `None` for any.
    pub(super) fn token(&self) -> MutexGuard<'_, Option<SecretString>> {
        lock(&self.token)
    }

    /// The organization as of now.
    pub(super) fn organization(&self) -> Present<'_> {
        let mut organization = lock(&self.organization);
        organization.advance(self.clock.now());
        Present {
            organization,
            revision: &self.revision,
        }
    }

    /// Waits until something has changed since this revision, and says the new one.
    ///
    /// Nothing happens by itself unless somebody looks; so who waits looks when
    /// something is due.
    pub(super) async fn changed(&self, since: u64) -> u64 {
        let mut revisions = self.revision.subscribe();
        loop {
            let (revision, due) = {
                let organization = self.organization();
                (organization.revision(), organization.next_due())
            };
            if revision != since {
                return revision;
            }
            let due = async {
                match due {
                    Some(due) => self.clock.reached(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                // It cannot end before `self` does.
                _ = revisions.wait_for(|revision| *revision != since) => {}
                () = due => {}
            }
        }
    }

    pub(super) fn authority(&self) -> MutexGuard<'_, Authority> {
        lock(&self.authority)
    }

    pub(super) fn fault(&self) -> MutexGuard<'_, Option<Fault>> {
        lock(&self.fault)
    }

    pub(super) fn requests(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.requests)
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn stop_signal(&self) -> Stop {
        Stop(self.stop.subscribe())
    }
}

/// A panic elsewhere leaves at worst a half-told story, not a broken rule.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Present ===

impl Deref for Present<'_> {
    type Target = Organization;

    fn deref(&self) -> &Organization {
        &self.organization
    }
}

impl DerefMut for Present<'_> {
    fn deref_mut(&mut self) -> &mut Organization {
        &mut self.organization
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        let revision = self.organization.revision();
        self.revision.send_if_modified(|known| {
            let changed = *known != revision;
            *known = revision;
            changed
        });
    }
}

// === impl Stop ===

impl Stop {
    /// Waits for the end.
    pub(super) async fn stopped(&mut self) {
        // An error means that the emulator is gone, which is an end as well.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}
