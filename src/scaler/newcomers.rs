//! A rate for scaling objects that nobody has seen before.
//!
//! May import: nothing of ours. Invariant: whoever invents names makes no more
//! of them known than the rate allows, whatever he sends, and it costs one time
//! to remember; scaling objects that are known are not asked for here, so he
//! takes nothing from them.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How many new scaling objects are let in: some at once, and after that so many
/// a second.
#[derive(Debug)]
pub struct Newcomers {
    at_once: NonZeroU32,
    per_second: NonZeroU32,
    /// When all places are free again, if nobody comes. A newcomer puts it off
    /// by what one place takes; that is the whole bucket.
    free_at: Mutex<Instant>,
}

/// Too many came; this one is to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "more scaling objects come at once than ever before: {at_once} that are new are taken up at once and {per_second} a \
     second after that; this one is taken up when it is asked for again, in {wait:.1?} at the earliest; if nobody \
     invents names, there is nothing to do but wait"
)]
pub struct Crowded {
    /// How many are taken up at once.
    pub at_once: NonZeroU32,
    /// How many a second after that.
    pub per_second: NonZeroU32,
    /// When there is a place again, if nobody else comes.
    pub wait: Duration,
}

// === impl Newcomers ===

impl Newcomers {
    /// All places are free.
    #[must_use]
    pub fn new(at_once: NonZeroU32, per_second: NonZeroU32) -> Self {
        Self {
            at_once,
            per_second,
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Lets one in.
    ///
    /// # Errors
    /// Where there is no place now. That takes no place from the next one.
    pub fn admit(&self) -> Result<(), Crowded> {
        let now = Instant::now();
        let each = Duration::from_secs(1) / self.per_second.get();
        let all = each * self.at_once.get();
        // Nothing is left half done under the lock.
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*free_at).max(now) + each;
        let wait = next.duration_since(now).saturating_sub(all);
        if wait > Duration::ZERO {
            return Err(Crowded {
                at_once: self.at_once,
                per_second: self.per_second,
                wait,
            });
        }
        *free_at = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn newcomers() -> Newcomers {
        let of = |n| NonZeroU32::new(n).unwrap();
        Newcomers::new(of(200), of(20))
    }

    /// How many of those who come now are let in.
    fn admitted(newcomers: &Newcomers, come: u32) -> usize {
        (0..come).filter(|_| newcomers.admit().is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn some_are_let_in_at_once_and_then_so_many_a_second() {
        let newcomers = newcomers();
        assert_eq!(admitted(&newcomers, 100_000), 200);
        for (pass, let_in) in [(49, 0), (1, 1), (1_000, 20), (5_000, 100), (100_000, 200)] {
            advance(Duration::from_millis(pass)).await;
            assert_eq!(admitted(&newcomers, 1_000), let_in, "after {pass} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_calm_time_saves_up_no_more_than_all_places() {
        let newcomers = newcomers();
        advance(Duration::from_secs(3600)).await;
        assert_eq!(admitted(&newcomers, 1_000), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_turned_away_is_told_when_to_come_again() {
        let newcomers = newcomers();
        assert_eq!(admitted(&newcomers, 200), 200);
        advance(Duration::from_millis(20)).await;
        let crowded = newcomers.admit().unwrap_err();
        assert_eq!(crowded.wait, Duration::from_millis(30));
        let told = crowded.to_string();
        for part in ["200 that are new", "20 a second", "in 30.0ms"] {
            assert!(told.contains(part), "no {part:?} in {told}");
        }
        advance(crowded.wait).await;
        assert_eq!(newcomers.admit(), Ok(()));
    }
}
