//! The emulator's clock: tokio's, a faster one, or one that is moved by hand.
//!
//! May import: nothing of ours. Invariant: it never goes back, and nobody but
//! this module asks what time it is; a test that pauses tokio's clock therefore
//! drives the whole organization.

use std::{future::pending, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch, time::Instant};

/// What time it is in the organization. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Timestamp,
    started: Instant,
    factor: f64,
    /// How far hands have moved it.
    advanced: watch::Sender<Duration>,
}

// === impl Clock ===

impl Clock {
    /// Tokio's own time, from the wall clock's present on.
    #[must_use]
    pub fn tokio() -> Self {
        Self::scaled(1.0)
    }

    /// Goes `factor` times as fast as tokio's time: 240 makes a working day of
    /// two minutes. What is no positive number stands still.
    #[must_use]
    pub fn scaled(factor: f64) -> Self {
        let factor = if factor.is_finite() && factor > 0.0 {
            factor
        } else {
            0.0
        };
        Self::new(Timestamp::now(), factor)
    }

    /// Stands at `origin` until it is moved by [`Clock::advance`].
    #[must_use]
    pub fn manual(origin: Timestamp) -> Self {
        Self::new(origin, 0.0)
    }

    fn new(origin: Timestamp, factor: f64) -> Self {
        Self(Arc::new(Inner {
            origin,
            started: Instant::now(),
            factor,
            advanced: watch::Sender::default(),
        }))
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let inner = &*self.0;
        let advanced = *inner.advanced.borrow();
        let seconds = inner.started.elapsed().as_secs_f64() * inner.factor;
        let elapsed = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        later(inner.origin, elapsed.saturating_add(advanced))
    }

    /// Moves the present forward, whatever drives the clock otherwise.
    pub fn advance(&self, by: Duration) {
        self.0.advanced.send_modify(|advanced| {
            *advanced = advanced.saturating_add(by);
        });
    }

    /// Waits until this moment is there, by time or by hand.
    pub(super) async fn reached(&self, moment: Timestamp) {
        let mut advanced = self.0.advanced.subscribe();
        loop {
            advanced.mark_unchanged();
            let left = moment.duration_since(self.now());
            let Ok(left) = Duration::try_from(left) else {
                return;
            };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = self.passes(left) => {}
                // It cannot end before `self` does.
                _ = advanced.changed() => {}
            }
        }
    }

    /// Lets so much of its time go by.
    async fn passes(&self, time: Duration) {
        let factor = self.0.factor;
        if factor == 0.0 {
            return pending().await;
        }
        let seconds = time.as_secs_f64() / factor;
        let real = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        // A nanosecond more, so that a rounded time is not short of the moment.
        tokio::time::sleep(real.saturating_add(Duration::from_nanos(1))).await;
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::tokio()
    }
}

/// The moment `by` after `moment`, or the last one that there is.
pub(super) fn later(moment: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokios_time_drives_it_and_hands_may_help() {
        // the clock, seconds it goes in one of tokio's
        for (clock, factor) in [
            (Clock::tokio(), 1),
            (Clock::scaled(240.0), 240),
            (Clock::scaled(f64::NAN), 0),
            (Clock::manual(Timestamp::UNIX_EPOCH), 0),
        ] {
            let start = clock.now();
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(clock.now(), later(start, Duration::from_secs(factor)));
            clock.advance(Duration::from_secs(60));
            assert_eq!(clock.now(), later(start, Duration::from_secs(factor + 60)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_reached_by_time_or_by_hand() {
        let hour = Duration::from_secs(3600);
        for factor in [1.0, 1e-9, 1e9, 0.0] {
            let clock = Clock::scaled(factor);
            let moment = later(clock.now(), hour);
            clock.reached(clock.now()).await;
            let reached = clock.reached(moment);
            tokio::pin!(reached);
            assert!(futures::poll!(&mut reached).is_pending());
            if factor > 0.0 {
                reached.as_mut().await;
                assert!(clock.now() >= moment);
            }
            let moment = later(clock.now(), hour);
            let reached = clock.reached(moment);
            tokio::pin!(reached);
            assert!(futures::poll!(&mut reached).is_pending());
            clock.advance(hour / 2);
            assert!(futures::poll!(&mut reached).is_pending());
            clock.advance(hour / 2);
            reached.await;
        }
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
