//! The gate: every write to the cluster, or to an agent pool, goes through it.
//!
//! May import: its siblings, ports, telemetry. Invariants: nothing is written
//! unless this replica leads, still in the term in which it was decided, and then
//! within a bounded time that ends before its leading does; every write is counted
//! by what came of it; in a dry run nothing is written.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{RwLock, watch},
    time::{Instant, timeout_at},
};

use super::election::Lead;
use crate::{
    ports::writes::{Attempt, WriteError},
    telemetry::metrics::{Metrics, WriteOutcome, Writer},
};

/// How long one write may take.
pub(super) const LONGEST_WRITE: Duration = Duration::from_secs(5);

/// The gate. Clones are one.
#[derive(Clone)]
pub(super) struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    lead: watch::Receiver<Option<Lead>>,
    writing: Arc<RwLock<()>>,
    dry_run: bool,
    metrics: Arc<Metrics>,
    /// What was told in the log since the last good write of each writer.
    logged: Mutex<BTreeSet<(usize, String)>>,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(
        lead: watch::Receiver<Option<Lead>>,
        writing: Arc<RwLock<()>>,
        dry_run: bool,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                lead,
                writing,
                dry_run,
                metrics,
                logged: Mutex::default(),
            }),
        }
    }

    /// May this replica write now?
    pub(super) fn lead(&self) -> Option<Lead> {
        let lead = *self.inner.lead.borrow();
        lead.filter(|lead| Instant::now() < lead.until)
    }

    /// When at the latest what was decided in that term has to be done, should it
    /// begin now; `None` where it may not begin any more.
    pub(super) fn end(&self, decided: Lead) -> Option<Instant> {
        let lead = self.lead().filter(|lead| lead.term == decided.term)?;
        Some(lead.until.min(Instant::now() + LONGEST_WRITE))
    }

    /// Tells when this replica begins or ends to lead.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Lead>> {
        self.inner.lead.clone()
    }

    /// Writes what was decided in that term, if it may.
    pub(super) async fn write<'a>(
        &self,
        writer: Writer,
        decided: Lead,
        what: &(dyn fmt::Display + Sync),
        write: impl FnOnce() -> Attempt<'a, ()>,
    ) -> WriteOutcome {
        let outcome = self.attempt(writer, decided, what, write).await;
        self.inner.metrics.wrote(writer, outcome);
        outcome
    }

    async fn attempt<'a>(
        &self,
        writer: Writer,
        decided: Lead,
        what: &(dyn fmt::Display + Sync),
        write: impl FnOnce() -> Attempt<'a, ()>,
    ) -> WriteOutcome {
        let inner = &self.inner;
        let _writing = inner.writing.read().await;
        // Only now: it may have waited while the Lease was let go.
        let Some(end) = self.end(decided) else {
            return WriteOutcome::NotLeader;
        };
        if inner.dry_run {
            tracing::info!(
                writer = writer.as_str(),
                "a dry run, so not written: {what}"
            );
            return WriteOutcome::DryRun;
        }
        let (outcome, why) = match timeout_at(end, write()).await {
            Ok(Ok(())) => {
                tracing::info!(writer = writer.as_str(), "written: {what}");
                self.logged().retain(|(of, _)| *of != writer as usize);
                return WriteOutcome::Done;
            }
            Ok(Err(error)) => (outcome(&error), error.to_string()),
            Err(_) => (WriteOutcome::TimedOut, "no answer in time".to_owned()),
        };
        self.tell(writer, what, &why);
        outcome
    }

    /// A failure that befalls every pod is told once.
    fn tell(&self, writer: Writer, what: &dyn fmt::Display, why: &str) {
        let is_new = self.logged().insert((writer as usize, why.to_owned()));
        let writer = writer.as_str();
        match is_new {
            true => tracing::warn!(writer, "not written: {what}: {why}"),
            false => tracing::debug!(writer, "not written: {what}: {why}"),
        }
    }

    fn logged(&self) -> std::sync::MutexGuard<'_, BTreeSet<(usize, String)>> {
        /// More kinds of failures than there are.
        const MOST: usize = 1000;
        let logged = self.inner.logged.lock();
        let mut logged = logged.unwrap_or_else(PoisonError::into_inner);
        if logged.len() > MOST {
            logged.clear();
        }
        logged
    }
}

const fn outcome(error: &WriteError) -> WriteOutcome {
    match error {
        WriteError::Forbidden { .. } | WriteError::Refused { .. } => WriteOutcome::Forbidden,
        WriteError::Conflict => WriteOutcome::Conflict,
        WriteError::Gone => WriteOutcome::Gone,
        WriteError::Failed { .. } => WriteOutcome::Failed,
    }
}
