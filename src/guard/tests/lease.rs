//! A Lease in memory, and the ways of replicas to it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::super::*;
use crate::ports::writes::{Attempt, Holding, LeaseRecord, LeaseSeen, WriteError};

/// A Lease that all replicas share; each has its own way to it.
#[derive(Default)]
pub(super) struct Record {
    seen: Mutex<Option<(u64, LeaseRecord)>>,
}

/// One replica's way to the Lease.
pub(super) struct Way {
    record: Arc<Record>,
    /// Nobody answers, for ever.
    pub(super) cut: AtomicBool,
    /// Answers are errors.
    pub(super) fails: AtomicBool,
}

impl Record {
    pub(super) fn way(self: &Arc<Self>) -> Arc<Way> {
        Arc::new(Way {
            record: Arc::clone(self),
            cut: AtomicBool::new(false),
            fails: AtomicBool::new(false),
        })
    }

    pub(super) fn holder(&self) -> String {
        let seen = self.seen.lock().unwrap();
        seen.as_ref()
            .map(|(_, record)| record.holder.to_string())
            .unwrap_or_default()
    }

    /// Something else of it changes, as its labels do at an upgrade.
    pub(super) fn touch(&self) {
        if let Some((version, _)) = &mut *self.seen.lock().unwrap() {
            *version += 1;
        }
    }
}

impl Way {
    async fn pass(&self) -> Result<(), WriteError> {
        if self.cut.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        match self.fails.load(Ordering::SeqCst) {
            true => Err(WriteError::Failed {
                cause: "odd".into(),
            }),
            false => Ok(()),
        }
    }
}

impl Lease for Way {
    fn read(&self) -> Attempt<'_, Option<LeaseSeen>> {
        Box::pin(async move {
            self.pass().await?;
            let seen = self.record.seen.lock().unwrap().clone();
            Ok(seen.map(|(version, record)| LeaseSeen {
                version: version.to_string().into(),
                record,
            }))
        })
    }

    fn write<'a>(&'a self, holding: &'a Holding, over: Option<&'a LeaseSeen>) -> Attempt<'a, ()> {
        Box::pin(async move {
            self.pass().await?;
            let mut seen = self.record.seen.lock().unwrap();
            let version = seen.as_ref().map(|(version, _)| version.to_string());
            if over.map(|over| &*over.version) != version.as_deref() {
                return Err(WriteError::Conflict);
            }
            let next = seen.as_ref().map_or(1, |(version, _)| version + 1);
            let record = LeaseRecord {
                holder: holding.holder.clone(),
                duration: holding.duration,
                renewed: next.to_string().into(),
                transitions: holding.transitions,
            };
            *seen = Some((next, record));
            Ok(())
        })
    }
}
