//! Triggers that were refused, with the reason.
//!
//! May import: its siblings, domain. Invariant: KEDA shows nobody why a trigger
//! was refused, so it is told here: once in the log, and in the status for as
//! long as it lasts. What strangers send takes no other's place.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use tokio::time::Instant;

use super::answer::Unanswered;
use crate::domain::profile::ScalingObject;

/// More are not remembered.
const MOST: u64 = 1_000;

/// That there are too many scaling objects is told this often.
const CROWD_TOLD_EVERY: Duration = Duration::from_secs(60);

/// All of them.
pub(super) struct Refusals {
    by_object: Cache<ScalingObject, Arc<Unanswered>>,
    crowd_told_at: Mutex<Option<Instant>>,
}

// === impl Refusals ===

impl Refusals {
    /// None yet; each is forgotten when it has not come again for this long.
    pub(super) fn new(forget_after: Duration) -> Self {
        Self {
            by_object: Cache::builder()
                .time_to_idle(forget_after)
                .max_capacity(MOST)
                .build(),
            crowd_told_at: Mutex::default(),
        }
    }

    /// A trigger of this scaling object was refused.
    pub(super) fn note(&self, object: &ScalingObject, unanswered: &Unanswered) {
        if matches!(
            unanswered,
            Unanswered::Crowded(_) | Unanswered::TooMany { .. }
        ) {
            // Of strangers there may be any number, and each would push a
            // refusal out that somebody wants to read.
            self.tell_crowd(object, unanswered);
            return;
        }
        if self.by_object.get(object).as_deref() != Some(unanswered) {
            tracing::warn!(scaling_object = %object, "a trigger is refused: {unanswered}");
            let why = Arc::new(unanswered.clone());
            self.by_object.insert(object.clone(), why);
        }
    }

    /// It was mended.
    pub(super) fn forget(&self, object: &ScalingObject) {
        self.by_object.invalidate(object);
    }

    /// All that came of late, with the reason.
    pub(super) fn all(&self) -> Vec<(ScalingObject, Arc<Unanswered>)> {
        self.by_object.run_pending_tasks();
        let refused = self.by_object.iter();
        refused
            .map(|(object, why)| ((*object).clone(), why))
            .collect()
    }

    fn tell_crowd(&self, object: &ScalingObject, unanswered: &Unanswered) {
        let mut told_at = self
            .crowd_told_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|at| at.elapsed() > CROWD_TOLD_EVERY) {
            *told_at = Some(Instant::now());
            tracing::warn!(scaling_object = %object, "not taken up: {unanswered}");
        }
    }
}
