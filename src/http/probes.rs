//! Probes: is the process alive, and should it be asked?
//!
//! May import: scaler's questions. Invariant: neither depends on Azure DevOps. A
//! scaler that cannot read answers from its last snapshot, or says why it
//! cannot; restarting it would only lose the snapshot.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{extract::State, http::StatusCode};

use super::Shared;
use crate::scaler::answers::Answers;

/// Shut until somebody opens it, and open from then on. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Latch(Arc<AtomicBool>);

// === impl Latch ===

impl Latch {
    /// Opens it.
    pub fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// 503 when a loop is stuck, which only a restart can end.
pub(super) async fn livez<A: Answers>(
    State(shared): State<Arc<Shared<A>>>,
) -> (StatusCode, String) {
    match shared.site.answers.is_stuck() {
        None => (StatusCode::OK, "alive\n".to_owned()),
        Some(what) => {
            let message = format!("stuck: {what}\n");
            (StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }
}

/// 503 until every server listens, and again while the scaler drains.
pub(super) async fn readyz<A: Answers>(
    State(shared): State<Arc<Shared<A>>>,
) -> (StatusCode, &'static str) {
    if shared.site.shutdown.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n")
    } else if shared.site.ready.is_open() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}
