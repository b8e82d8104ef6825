//! After a listener: what its end means, and what follows.
//!
//! May import: its siblings. Invariant: an end that nobody asked for is never
//! taken for success.
//!
//! Azure Pipelines agent: the listener ends with 0 (success), 1 (an error that
//! ends it), 2 (an error that may pass), 3 (it is being updated), 4 (the same,
//! with `--once`). It ends with 0, too, when its token was revoked.

use std::time::Duration;

use super::children::Exit;

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Its only job is done.
    JobDone,
    /// Its job is done, and the next listener starts at once.
    NextJob,
    /// It is being updated; the next listener starts when that is over.
    Update,
    /// It failed; the next listener starts after a pause.
    Crash,
}

/// What follows this end of a listener. `once`: it was told to take one job;
/// `single`: there is to be no other; `had_job`: it took one.
#[must_use]
pub(super) fn after(exit: Exit, once: bool, single: bool, had_job: bool) -> After {
    match exit {
        // However it ended: a second job may not follow. What became of the
        // first, the server knows.
        _ if single && had_job => After::JobDone,
        Exit::Code(3 | 4) => After::Update,
        Exit::Code(0) if once && had_job => After::NextJob,
        _ => After::Crash,
    }
}

/// Pauses between listeners that fail one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

/// A listener that lived for so long was well.
const WELL: Duration = Duration::from_secs(300);

/// So many failures in a row are told to the kubelet, which has a longer breath.
const MOST_FAILURES: u32 = 10;

// === impl Backoff ===

impl Backoff {
    /// The pause before the next listener: 1 s, twice as long each time, at most
    /// a minute; `None` when it has failed too often.
    pub(super) fn next(&mut self, lived: Duration, had_job: bool) -> Option<Duration> {
        if had_job || lived >= WELL {
            self.failures = 0;
        }
        self.failures += 1;
        let pause = Duration::from_secs(1 << (self.failures - 1).min(6));
        (self.failures <= MOST_FAILURES).then_some(pause.min(Duration::from_secs(60)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_listener_has_its_consequence() {
        // exit, once, single, had a job, what follows
        let rows = [
            (Exit::Code(0), true, true, true, After::JobDone),
            (Exit::Code(0), true, false, true, After::NextJob),
            (Exit::Code(0), true, true, false, After::Crash),
            (Exit::Code(0), false, false, true, After::Crash),
            (Exit::Code(1), true, true, true, After::JobDone),
            (Exit::Code(1), true, false, true, After::Crash),
            (Exit::Code(2), false, false, false, After::Crash),
            (Exit::Code(3), false, false, false, After::Update),
            (Exit::Code(4), true, true, false, After::Update),
            (Exit::Signal(9), true, true, true, After::JobDone),
            (Exit::Unknown, false, false, false, After::Crash),
        ];
        for (exit, once, single, had_job, expected) in rows {
            let got = after(exit, once, single, had_job);
            assert_eq!(got, expected, "{exit} {once} {single} {had_job}");
        }
    }

    #[test]
    fn pauses_grow_to_a_minute_and_end_and_a_job_starts_anew() {
        let mut backoff = Backoff::default();
        let short = Duration::from_secs(1);
        let pauses: Vec<_> = std::iter::from_fn(|| backoff.next(short, false))
            .map(|pause| pause.as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(backoff.next(short, true), Some(short));
        assert_eq!(backoff.next(WELL, false), Some(short));
    }
}
