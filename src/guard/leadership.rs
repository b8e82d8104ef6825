//! Leading: takes the Lease, renews it, and lets it go at a clean stop.
//!
//! May import: its siblings, ports, telemetry. Invariant: what is told of leading
//! ends by itself, though the apiserver never answers again; the Lease is let go
//! only when nothing is being written any more.

use std::sync::Arc;

use tokio::{
    sync::{RwLock, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    at,
    election::{Election, Lead, Step, Times},
};
use crate::{
    ports::writes::{Lease, WriteError},
    telemetry::metrics::Metrics,
};

/// One replica that wants to lead.
pub(super) struct Leadership {
    lease: Arc<dyn Lease>,
    election: Election,
    told: watch::Sender<Option<Lead>>,
    /// Whoever writes has it for reading.
    writing: Arc<RwLock<()>>,
    metrics: Arc<Metrics>,
    /// The failure that was logged last.
    failure: Option<String>,
}

// === impl Leadership ===

impl Leadership {
    pub(super) fn new(
        lease: Arc<dyn Lease>,
        identity: Box<str>,
        times: Times,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            lease,
            election: Election::new(identity, times),
            told: watch::Sender::new(None),
            writing: Arc::default(),
            metrics,
            failure: None,
        }
    }

    /// Tells whether this replica leads; by the time it is read, it may not.
    pub(super) fn told(&self) -> watch::Receiver<Option<Lead>> {
        self.told.subscribe()
    }

    /// To be held for reading by whoever writes.
    pub(super) fn writing(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.writing)
    }

    /// Leads whenever it can until it is stopped; then lets the Lease go.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.turn() => {}
            }
        }
        self.tell(None);
        // What is under way is bounded, so this comes.
        drop(self.writing.write().await);
        self.let_go().await;
    }

    /// Looks at the Lease once, and rests until the next time.
    async fn turn(&mut self) {
        let times = self.election.times();
        let begun = Instant::now();
        let failure = self.bounded_attempt().await;
        self.note(failure);
        let lead = self.election.lead(Instant::now());
        self.tell(lead);
        let Some(lead) = lead else {
            sleep(times.retry).await;
            return;
        };
        let rest = match self.failure {
            // One that got no answer has waited already.
            Some(_) => times.retry.saturating_sub(begun.elapsed()),
            None => times.renew,
        };
        tokio::select! {
            () = sleep(rest) => {}
            () = sleep_until(lead.until) => {}
        }
    }

    /// One attempt, and why it failed. An apiserver that does not answer does not
    /// make it lead on.
    async fn bounded_attempt(&mut self) -> Option<String> {
        let longest = self.election.times().attempt;
        let ends = self.election.lead(Instant::now()).map(|lead| lead.until);
        let (told, metrics) = (self.told.clone(), Arc::clone(&self.metrics));
        let attempt = timeout(longest, self.attempt());
        tokio::pin!(attempt);
        let outcome = loop {
            tokio::select! {
                outcome = &mut attempt => break outcome,
                () = at(ends), if told.borrow().is_some() => {
                    told.send_replace(None);
                    metrics.leads(false);
                }
            }
        };
        match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the apiserver did not answer within {longest:?}")),
        }
    }

    async fn attempt(&mut self) -> Result<(), WriteError> {
        let asked = Instant::now();
        let seen = self.lease.read().await?;
        let Step::Write(holding) = self.election.read(seen.as_ref(), Instant::now()) else {
            return Ok(());
        };
        match self.lease.write(&holding, seen.as_ref()).await {
            Ok(()) => {
                self.election.written(asked, Instant::now());
                Ok(())
            }
            // Another candidate was faster, or somebody has changed its labels.
            Err(WriteError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn let_go(&mut self) {
        let (lease, election) = (&self.lease, &mut self.election);
        let times = election.times();
        let letting_go = async {
            let Some(seen) = lease.read().await? else {
                return Ok(());
            };
            match election.resign(&seen) {
                Some(free) => lease.write(&free, Some(&seen)).await,
                None => Ok(()),
            }
        };
        match timeout(times.attempt, letting_go).await {
            Ok(Ok(())) => tracing::info!("the Lease is let go"),
            // It ends by itself.
            Ok(Err(error)) => tracing::warn!("the Lease could not be let go: {error}"),
            Err(_) => tracing::warn!("the Lease could not be let go: no answer in time"),
        }
    }

    fn tell(&self, lead: Option<Lead>) {
        let before = self.told.send_replace(lead);
        match (before, lead) {
            (None, Some(_)) => tracing::info!("this replica leads: it writes"),
            (Some(_), None) => tracing::info!("this replica leads no more"),
            _ => {}
        }
        self.metrics.leads(lead.is_some());
    }

    /// Logs a failure when it begins or changes.
    fn note(&mut self, failure: Option<String>) {
        if self.failure != failure {
            match &failure {
                Some(what) => tracing::warn!("the Lease cannot be had: {what}"),
                None => tracing::info!("the Lease can be read and written again"),
            }
        }
        self.failure = failure;
    }
}
