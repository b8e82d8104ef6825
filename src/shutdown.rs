//! Shutdown: from the signal to the end, in three steps that everybody can
//! await.
//!
//! May import: nothing of ours. Invariant: the steps come in their order, each
//! once, and whoever asks late learns what has already come.
//!
//! 1. *Draining*: not ready, streams end, hooks are refused; calls are still
//!    answered, since Kubernetes takes a moment to send them elsewhere.
//! 2. *Stop*: nothing new is accepted; what is under way is finished.
//! 3. *Cut*: what is still under way is given up.

use std::{future::Future, io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long the steps take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// From the signal until nothing new is accepted.
    pub delay: Duration,
    /// From the signal until what is left is cut. Kubernetes: should be below
    /// the pod's `terminationGracePeriodSeconds` (30 s unless set).
    pub deadline: Duration,
}

/// The steps. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    stop: CancellationToken,
    cut: CancellationToken,
}

// === impl Shutdown ===

impl Shutdown {
    /// Nothing has come yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the steps once SIGTERM or SIGINT has come; a second signal skips
    /// the waiting. Ends with the last step.
    ///
    /// # Errors
    /// Signals cannot be listened to.
    pub async fn run_on_signal(&self, grace: Grace) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut either = async move || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = either().await;
        tracing::info!(signal, "shutting down: draining");
        tokio::select! {
            () = self.run(grace) => {}
            signal = either() => {
                tracing::warn!(signal, "a second signal: ending at once");
                self.cut_now();
            }
        }
        Ok(())
    }

    /// As [`Self::run_on_signal`], once this future has ended.
    pub async fn run_after(&self, asked: impl Future<Output = ()>, grace: Grace) {
        asked.await;
        self.run(grace).await;
    }

    /// Takes the steps, from now on.
    async fn run(&self, grace: Grace) {
        self.begin_draining();
        sleep(grace.delay).await;
        self.begin_stop();
        sleep(grace.deadline.saturating_sub(grace.delay)).await;
        self.cut_now();
    }

    /// Takes the first step now.
    pub fn begin_draining(&self) {
        self.draining.cancel();
    }

    /// Takes the first two steps now.
    pub fn begin_stop(&self) {
        self.begin_draining();
        self.stop.cancel();
    }

    /// Takes all steps now.
    pub fn cut_now(&self) {
        self.begin_stop();
        self.cut.cancel();
    }

    /// Has draining begun?
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Ends when draining begins.
    pub fn draining(&self) -> WaitForCancellationFutureOwned {
        self.draining.clone().cancelled_owned()
    }

    /// Ends when nothing new may be accepted.
    pub fn stop(&self) -> WaitForCancellationFutureOwned {
        self.stop.clone().cancelled_owned()
    }

    /// Ends when what is still under way must be given up.
    pub fn cut(&self) -> WaitForCancellationFutureOwned {
        self.cut.clone().cancelled_owned()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_steps_come_in_their_order_and_time() {
        let shutdown = Shutdown::new();
        let start = Instant::now();
        let grace = Grace {
            delay: Duration::from_secs(5),
            deadline: Duration::from_secs(25),
        };
        let at = async |step: WaitForCancellationFutureOwned| {
            step.await;
            start.elapsed().as_secs()
        };
        assert!(!shutdown.is_draining());
        let ((), draining, stop, cut) = tokio::join!(
            shutdown.run_after(sleep(Duration::from_secs(1)), grace),
            at(shutdown.draining()),
            at(shutdown.stop()),
            at(shutdown.cut()),
        );
        assert_eq!((draining, stop, cut), (1, 6, 26));
        assert!(shutdown.is_draining());
    }

    #[tokio::test]
    async fn a_step_takes_those_before_it() {
        let shutdown = Shutdown::new();
        shutdown.begin_stop();
        tokio::join!(shutdown.draining(), shutdown.stop());
        assert!(futures::poll!(Box::pin(shutdown.cut())).is_pending());
        shutdown.cut_now();
        shutdown.cut().await;
    }
}
