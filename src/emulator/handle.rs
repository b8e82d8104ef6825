//! The emulator in the same process: what tests, benches and the demo call.
//!
//! May import: the shared state and the organization. Invariant: whatever the
//! emulator's own routes can do, this can, since they are made of it.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    authority::{AuthorityFault, Exchanges},
    clock::Clock,
    faults::Fault,
    organization::{NewAgent, NewJobs, Order, Refusal},
    report::{AgentStatus, JobStatus, PoolCounts, PoolReport},
    requests::RequestCounts,
    state::SharedState,
};
use crate::domain::{job::RequestId, pool::PoolId};

/// A grip on a running emulator. Clones hold the same one.
#[derive(Clone, Debug)]
pub struct EmulatorHandle(pub(super) SharedState);

// === impl EmulatorHandle ===

impl EmulatorHandle {
    /// Makes the pool where there is none, and says its number.
    ///
    /// # Errors
    /// Where the name is unusable or there are too many pools.
    pub fn ensure_pool(&self, pool: &str) -> Result<PoolId, Refusal> {
        self.0.organization().ensure_pool(pool)
    }

    /// Makes a project's queue of this number, which leads to a pool that is
    /// made where there is none.
    ///
    /// # Errors
    /// As [`EmulatorHandle::ensure_pool`], or where there are too many queues.
    pub fn add_queue(&self, queue: u32, pool: &str) -> Result<(), Refusal> {
        let mut organization = self.0.organization();
        let pool = organization.ensure_pool(pool)?;
        organization.add_queue(queue, pool)
    }

    /// Whether a job fails at once that no registered agent of the pool could
    /// ever run, as in Azure DevOps. Off at first: a trial starts with no agent.
    ///
    /// # Errors
    /// As [`EmulatorHandle::ensure_pool`].
    pub fn set_strict(&self, pool: &str, strict: bool) -> Result<(), Refusal> {
        let mut organization = self.0.organization();
        let pool = organization.ensure_pool(pool)?;
        organization.set_strict(pool, strict)
    }

    /// How many jobs may be with an agent at once, over all pools; `None` for no
    /// limit, as at first. Jobs that run go on.
    pub fn set_parallel_jobs(&self, limit: Option<u32>) {
        self.0.organization().set_parallel_jobs_limit(limit);
    }

    /// Queues jobs, in a pool that is made where there is none, and says their
    /// numbers.
    ///
    /// # Errors
    /// Where the count is none or too many.
    pub fn queue_jobs(&self, pool: &str, jobs: &NewJobs) -> Result<Vec<RequestId>, Refusal> {
        let mut organization = self.0.organization();
        let pool = organization.ensure_pool(pool)?;
        let ids = organization.queue(pool, jobs)?;
        Ok(ids.map(RequestId).collect())
    }

    /// Cancels a job. One that a listener holds is over when that listener says
    /// so; any other one at once, wherever it stands.
    ///
    /// # Errors
    /// Where there is no such pool or job, or the job is over.
    pub fn cancel_job(&self, pool: &str, job: RequestId) -> Result<(), Refusal> {
        let mut organization = self.0.organization();
        let pool = organization.pool_named(pool)?.id;
        organization.cancel(pool, job)
    }

    /// Registers an agent, in a pool that is made where there is none, and says
    /// its number.
    ///
    /// # Errors
    /// Where the name is taken or the pool is full.
    pub fn add_agent(&self, pool: &str, agent: NewAgent) -> Result<u32, Refusal> {
        let mut organization = self.0.organization();
        let pool = organization.ensure_pool(pool)?;
        organization.register(pool, agent, None)
    }

    /// Kills an agent; a job that it runs is lost.
    ///
    /// # Errors
    /// Where there is no such pool or agent.
    pub fn kill_agent(&self, pool: &str, agent: &str) -> Result<(), Refusal> {
        let mut organization = self.0.organization();
        let pool = organization.pool_named(pool)?;
        let (pool, agent) = (pool.id, pool.agent_named(agent)?.identity.id);
        organization.kill(pool, agent)
    }

    /// Takes an idle agent out of its pool, as one that drains does.
    ///
    /// # Errors
    /// Where there is no such pool or agent, or the agent is busy.
    pub fn remove_agent(&self, pool: &str, agent: &str) -> Result<(), Refusal> {
        let mut organization = self.0.organization();
        let pool = organization.pool_named(pool)?;
        let (pool, agent) = (pool.id, pool.agent_named(agent)?.identity.id);
        organization.unregister(pool, agent)
    }

    /// Tells the agent's listener, or the one to come, to do something.
    ///
    /// # Errors
    /// Where there is no such pool or agent, the agent is simulated, or too many
    /// orders wait.
    pub fn order(&self, pool: &str, agent: &str, order: Order) -> Result<(), Refusal> {
        let mut organization = self.0.organization();
        let pool = organization.pool_named(pool)?;
        let (pool, agent) = (pool.id, pool.agent_named(agent)?.identity.id);
        organization.pool_mut(pool)?.order(agent, order)
    }

    /// How far a job has come.
    ///
    /// # Errors
    /// Where there is no such pool or job.
    pub fn job(&self, pool: &str, job: RequestId) -> Result<JobStatus, Refusal> {
        let organization = self.0.organization();
        let pool = organization.pool_named(pool)?;
        pool.job(job).map(JobStatus::of)
    }

    /// What a job's worker wrote so far, line by line.
    ///
    /// # Errors
    /// Where there is no such pool or job.
    pub fn log(&self, pool: &str, job: RequestId) -> Result<String, Refusal> {
        let organization = self.0.organization();
        let pool = organization.pool_named(pool)?;
        pool.job(job).map(|job| job.output.text())
    }

    /// The registered agents of a pool, by number.
    ///
    /// # Errors
    /// Where there is no such pool.
    pub fn agents(&self, pool: &str) -> Result<Vec<AgentStatus>, Refusal> {
        let organization = self.0.organization();
        let pool = organization.pool_named(pool)?;
        Ok(pool.agents().map(AgentStatus::of).collect())
    }

    /// Another number than before once something has changed: a job, an agent,
    /// a session, a line of output.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.0.organization().revision()
    }

    /// Waits for a change since this revision, and says the new one. What time
    /// brings about is one as well.
    pub async fn changed(&self, since: u64) -> u64 {
        self.0.changed(since).await
    }

    /// Waits until `look` finds something, looking again after each change.
    pub async fn until<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            let seen = self.revision();
            if let Some(found) = look(self) {
                return found;
            }
            self.changed(seen).await;
        }
    }

    /// How many of what the pool has.
    ///
    /// # Errors
    /// Where there is no such pool.
    pub fn counts(&self, pool: &str) -> Result<PoolCounts, Refusal> {
        let organization = self.0.organization();
        organization.pool_named(pool).map(PoolCounts::of)
    }

    /// The pool, whole, for `show` to look at.
    pub(super) fn report<T>(
        &self,
        pool: &str,
        show: impl FnOnce(&PoolReport<'_>) -> T,
    ) -> Result<T, Refusal> {
        let organization = self.0.organization();
        let pool = organization.pool_named(pool)?;
        Ok(show(&PoolReport::of(pool, organization.now())))
    }

    /// Orders wrong answers, in place of those that were ordered before.
    pub fn set_fault(&self, fault: Fault) {
        *self.0.fault() = Some(fault);
    }

    /// Lifts the order. What hangs already goes on hanging.
    pub fn clear_faults(&self) {
        *self.0.fault() = None;
    }

    /// The Azure requests so far.
    #[must_use]
    pub fn requests(&self) -> RequestCounts {
        self.0.requests().counts()
    }

    /// From now on only this token is let in, as after a rotation.
    pub fn set_token(&self, token: SecretString) {
        *self.0.token() = Some(token);
    }

    /// What becomes of the next requests to the authority; `None` for a token.
    pub fn set_authority_fault(&self, fault: Option<AuthorityFault>) {
        self.0.authority().fault = fault;
    }

    /// How long the tokens live that the authority gives out from now on.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.0.authority().lifetime = lifetime;
    }

    /// The requests to the authority so far.
    #[must_use]
    pub fn exchanges(&self) -> Exchanges {
        self.0.authority().exchanges
    }

    /// The organization's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::job::JobResult,
        emulator::{Emulator, Settings},
    };

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_of_what_others_do_and_of_what_time_brings() {
        let emulator = Emulator::new(Settings::default()).unwrap().handle();
        let seen = emulator.revision();
        let changed = emulator.changed(seen);
        tokio::pin!(changed);
        assert!(futures::poll!(&mut changed).is_pending());
        let jobs = NewJobs {
            outcome: JobResult::SucceededWithIssues,
            ..NewJobs::default()
        };
        let job = emulator.queue_jobs("linux", &jobs).unwrap()[0];
        assert_ne!(changed.await, seen);
        let none: [(&str, &str); 0] = [];
        emulator
            .add_agent("linux", NewAgent::in_pod("a", none))
            .unwrap();
        let result = emulator.until(|emulator| emulator.job("linux", job).unwrap().result());
        let hour = Duration::from_secs(3600);
        let result = tokio::time::timeout(hour, result).await.unwrap();
        assert_eq!(result, JobResult::SucceededWithIssues);
        let agent = &emulator.agents("linux").unwrap()[0];
        assert_eq!((agent.assigned, agent.last), (None, Some(job)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_tokio_clock_drives_a_pools_life() {
        let emulator = Emulator::new(Settings::default()).unwrap().handle();
        let jobs = NewJobs {
            count: 2,
            ..NewJobs::default()
        };
        emulator.queue_jobs("linux", &jobs).unwrap();
        let none: [(&str, &str); 0] = [];
        let agent = NewAgent::in_pod("a", none);
        emulator.add_agent("linux", agent).unwrap();
        // seconds that pass, then queued, assigned, running and succeeded jobs
        for (seconds, expected) in [
            (0.0, (1, 1, 0, 0)),
            (0.5, (1, 0, 1, 0)),
            (60.0, (0, 1, 0, 1)),
            (0.5, (0, 0, 1, 1)),
            (60.0, (0, 0, 0, 2)),
        ] {
            tokio::time::advance(Duration::from_secs_f64(seconds)).await;
            let now = emulator.counts("LINUX").unwrap();
            let got = (now.queued, now.assigned, now.running, now.succeeded);
            assert_eq!(got, expected);
        }
        emulator.remove_agent("linux", "A").unwrap();
        assert_eq!(emulator.counts("linux").unwrap().agents, 0);
    }
}
