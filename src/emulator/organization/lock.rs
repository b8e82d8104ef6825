//! Locks: by what a listener holds a job.
//!
//! May import: the pool's own parts, the clock's arithmetic. Invariant: only who
//! has the token of the present attempt renews or ends the job; a lock that was
//! not renewed in time ends it as abandoned.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Refusal,
    job::Job,
    pool::{Pool, Step},
};
use crate::{
    domain::job::{JobResult, RequestId},
    emulator::clock::later,
};

/// Which assignment of which job: a token is good for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) struct LockToken(pub(in crate::emulator) u64);

/// A job in the hands of a listener.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) struct Lock {
    pub(in crate::emulator) token: LockToken,
    pub(in crate::emulator) until: Timestamp,
}

// === impl Job ===

impl Job {
    /// Locks it, from now on for so long; says until when.
    pub(super) fn hold(&mut self, lock: Duration, at: Timestamp) -> Timestamp {
        let (token, until) = (self.lock_token(), later(at, lock));
        self.lock = Some(Lock { token, until });
        until
    }

    fn lock_token(&self) -> LockToken {
        LockToken(self.id.0 << 8 | u64::from(self.attempt & 0xff))
    }
}

// === impl Pool ===

impl Pool {
    /// The listener still has the job.
    pub(in crate::emulator) fn renew(
        &mut self,
        id: RequestId,
        token: LockToken,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let lock = self.rules.lock;
        self.held(id, token)?.hold(lock, at);
        Ok(())
    }

    /// The listener has done the job.
    pub(in crate::emulator) fn complete(
        &mut self,
        id: RequestId,
        token: LockToken,
        result: JobResult,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        self.held(id, token)?;
        self.finish(id, result, at);
        self.assign(at);
        Ok(())
    }

    /// The job, if this token holds it and its agent is still there.
    fn held(&mut self, id: RequestId, token: LockToken) -> Result<&mut Job, Refusal> {
        let missing = self.no_job(id);
        let lost = Refusal::LockLost {
            id,
            pool: self.name.clone(),
        };
        let job = self.unfinished.get_mut(&id).ok_or(missing)?;
        let good = job.lock.is_some_and(|lock| lock.token == token) && job.lost_until.is_none();
        if good { Ok(job) } else { Err(lost) }
    }

    /// The end of a lock has come, or was put off by a renewal.
    pub(super) fn expire(&mut self, id: RequestId, at: Timestamp) {
        let Some(job) = self.unfinished.get(&id) else {
            return;
        };
        match job.lock {
            Some(lock) if lock.until > at => {
                let what = job.step(Step::Expire);
                self.plan(lock.until, what);
            }
            Some(_) => {
                self.finish(id, JobResult::Abandoned, at);
                self.assign(at);
            }
            None => {}
        }
    }
}
