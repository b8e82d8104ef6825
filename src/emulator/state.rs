//! What all routes share: the organization behind one lock, the clock, the
//! fault that was ordered, the count of requests, the stop signal.
//!
//! May import: everything of the emulator but its routes. Invariant: nobody
//! sees the organization but as of now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use tokio::sync::watch;

use super::{
    authority::Authority, clock::Clock, faults::Fault, organization::Organization,
    requests::RequestLog,
};

/// What all routes share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    token: Mutex<Option<SecretString>>,
    organization: Mutex<Organization>,
    authority: Mutex<Authority>,
    fault: Mutex<Option<Fault>>,
    requests: Mutex<RequestLog>,
    stop: watch::Sender<bool>,
}

pub(super) type SharedState = Arc<Shared>;

/// Tells when the emulator stops.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

// === impl Shared ===

impl Shared {
    pub(super) fn new(
        token: Option<SecretString>,
        clock: Clock,
        organization: Organization,
    ) -> Self {
        Self {
            token: Mutex::new(token),
            clock,
            organization: Mutex::new(organization),
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
    pub(super) fn organization(&self) -> MutexGuard<'_, Organization> {
        let mut organization = lock(&self.organization);
        organization.advance(self.clock.now());
        organization
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
