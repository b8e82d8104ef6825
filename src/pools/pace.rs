//! How long a watcher waits before it reads again.
//!
//! May import: nothing of ours. Invariant: pure; the clock and the dice are the
//! watcher's.

use std::time::Duration;

/// The two intervals between which a watcher moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Between readings while jobs move: how fresh an answer is.
    pub busy: Duration,
    /// Between readings when nothing has moved for a while.
    pub idle: Duration,
}

/// Failures never space readings out further than this, so that a pool comes
/// back within a minute of Azure DevOps.
pub(super) const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// The state from which the next wait follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    intervals: Intervals,
    unmoved: u32,
    failures: u32,
}

// === impl Pace ===

impl Pace {
    pub(super) const fn new(intervals: Intervals) -> Self {
        Self {
            intervals,
            unmoved: 0,
            failures: 0,
        }
    }

    /// The queue was read; `moved` tells whether it differs from before.
    pub(super) fn read(&mut self, moved: bool) {
        self.failures = 0;
        self.unmoved = if moved {
            0
        } else {
            self.unmoved.saturating_add(1)
        };
    }

    /// The queue could not be read.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// How many readings failed in a row.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// The wait before the next reading. `chance`, between 0 and 1, spreads it
    /// by a tenth to either side, so that the pools of a restarted scaler do
    /// not stay in step.
    pub(super) fn wait(&self, chance: f64) -> Duration {
        self.plain_wait()
            .mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
    }

    fn plain_wait(&self) -> Duration {
        let Intervals { busy, idle } = self.intervals;
        if self.failures > 0 {
            let doubled = busy.saturating_mul(1 << (self.failures - 1).min(16));
            return doubled.min(LONGEST_BACK_OFF.max(busy));
        }
        // A queue often rests for a reading or two in the middle of a day's
        // work; only then does the wait begin to grow, by a half each time.
        let steps = self.unmoved.saturating_sub(2).min(16);
        busy.mul_f64(1.5_f64.powf(f64::from(steps))).min(idle)
    }
}

/// How many readings beyond the interval's service hooks may ask for: a few at
/// once, then two in each interval. A hook names no pool, so one run's events
/// reach every pool of its organization.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    left: f64,
    most: f64,
    /// In this time one comes back.
    each: Duration,
}

// === impl Allowance ===

impl Allowance {
    pub(super) fn new(intervals: Intervals) -> Self {
        const AT_ONCE: f64 = 4.0;
        Self {
            left: AT_ONCE,
            most: AT_ONCE,
            each: intervals.busy / 2,
        }
    }

    /// Takes one, `passed` after the last one was taken; tells how long the
    /// reading has to wait for it.
    pub(super) fn take(&mut self, passed: Duration) -> Duration {
        let each = self.each.as_secs_f64().max(f64::MIN_POSITIVE);
        self.left = (self.left + passed.as_secs_f64() / each).min(self.most) - 1.0;
        self.each.mul_f64((-self.left).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVALS: Intervals = Intervals {
        busy: Duration::from_secs(5),
        idle: Duration::from_secs(15),
    };

    fn waits(turns: &[&str]) -> Vec<f64> {
        let mut pace = Pace::new(INTERVALS);
        turns
            .iter()
            .map(|turn| {
                match *turn {
                    "moved" => pace.read(true),
                    "same" => pace.read(false),
                    _ => pace.failed(),
                }
                pace.wait(0.5).as_secs_f64()
            })
            .collect()
    }

    #[test]
    fn it_is_short_while_jobs_move_and_grows_while_nothing_does() {
        let turns = ["moved", "same", "same", "same", "same", "same", "moved"];
        assert_eq!(waits(&turns), [5.0, 5.0, 5.0, 7.5, 11.25, 15.0, 5.0]);
    }

    #[test]
    fn it_doubles_with_each_failure_up_to_a_minute() {
        let turns = [
            "moved", "failed", "failed", "failed", "failed", "failed", "moved",
        ];
        assert_eq!(waits(&turns), [5.0, 5.0, 10.0, 20.0, 40.0, 60.0, 5.0]);
    }

    #[test]
    fn a_storm_of_hooks_gets_a_few_readings_at_once_and_then_two_in_an_interval() {
        let mut allowance = Allowance::new(INTERVALS);
        let waits: Vec<f64> = (0..6)
            .map(|_| allowance.take(Duration::ZERO).as_secs_f64())
            .collect();
        assert_eq!(waits, [0.0, 0.0, 0.0, 0.0, 2.5, 5.0]);
        assert_eq!(allowance.take(Duration::from_secs(3600)), Duration::ZERO);
    }

    #[test]
    fn chance_spreads_it_by_a_tenth() {
        let pace = Pace::new(INTERVALS);
        assert_eq!(pace.wait(0.0), Duration::from_millis(4_500));
        assert_eq!(pace.wait(1.0), Duration::from_millis(5_500));
    }
}
