//! The organization: its pools and numbers, and every rule of Azure DevOps'
//! queue, as plain synchronous state.
//!
//! May import: the domain, the clock's arithmetic. Invariant: it knows no time
//! but that of [`Organization::advance`], and its memory is bounded: see the
//! `MAX_` numbers. What it refuses, it refuses with a [`Refusal`] and unchanged.

mod agent;
mod assignment;
mod credential;
mod job;
mod lock;
mod message;
mod output;
mod parallel;
mod pool;
mod refusal;
mod session;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Duration,
};

use jiff::Timestamp;

pub use self::{
    agent::NewAgent,
    job::NewJobs,
    message::Order,
    output::{MAX_LINES, MAX_OUTPUT},
    refusal::Refusal,
};
pub(super) use self::{
    agent::{
        AGENT_VERSION, Agent, AgentChange, AgentId, AgentIdentity, CapabilityMap, LastRequest,
    },
    credential::{ClientId, PublicKey, TOKEN_LIFETIME},
    job::{Job, Run},
    lock::LockToken,
    message::{Message, MessageKind},
    pool::Pool,
    session::{NewSession, Session, SessionId},
};
use self::{credential::TokenKeys, parallel::ParallelJobs};
use crate::domain::{job::RequestId, pool::PoolId};

/// The most jobs that one call may queue.
pub const MAX_JOBS_AT_ONCE: u32 = 100_000;
/// The most unfinished jobs of a pool.
pub const MAX_UNFINISHED: usize = 500_000;
/// The finished jobs that a pool remembers; older ones are forgotten.
pub const MAX_FINISHED: usize = 10_000;
/// The most agents of a pool.
pub const MAX_AGENTS: usize = 50_000;
/// The most orders that wait for an agent.
pub const MAX_ORDERS: usize = 100;
/// The longest name of a pool, in bytes.
const MAX_POOL_NAME: usize = 256;
/// The most pools.
pub const MAX_POOLS: usize = 10_000;
/// The most queues of projects.
const MAX_QUEUES: usize = 10_000;

/// An Azure DevOps organization, as far as agent pools go.
#[derive(Debug)]
pub(super) struct Organization {
    pools: BTreeMap<PoolId, Pool>,
    pool_names: HashMap<String, PoolId>,
    queues: BTreeMap<u32, PoolId>,
    rules: Rules,
    tokens: TokenKeys,
    parallel_jobs: ParallelJobs,
    now: Timestamp,
    /// Counts changes, so that who waits for one knows that there was one.
    revision: u64,
    next_pool: u32,
    next_agent: AgentId,
    next_request: u64,
    next_run: u64,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// From the moment that a simulated agent is given a job until it has it.
    pub(super) pickup: Duration,
    /// How long a listener holds a job from the last renewal.
    pub(super) lock: Duration,
    /// How long a session lives without a poll.
    pub(super) silence: Duration,
}

// === impl Organization ===

impl Organization {
    /// An empty one.
    pub(super) fn new(now: Timestamp, rules: Rules) -> Self {
        Self {
            pools: BTreeMap::new(),
            pool_names: HashMap::new(),
            queues: BTreeMap::new(),
            rules,
            tokens: TokenKeys::default(),
            parallel_jobs: ParallelJobs::unlimited(),
            now,
            revision: 0,
            next_pool: 27,
            next_agent: 310,
            next_request: 90_401,
            next_run: 5_501,
        }
    }

    /// Does everything that is due by `now`. Everything else happens then.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        for pool in self.pools.values_mut() {
            if pool.advance(self.now) {
                self.revision += 1;
            }
        }
        // What one pool has given back may be what another waits for. Who of several
        // gets it in Azure DevOps is not known; here it goes by their numbers.
        if self.parallel_jobs.has_freed() {
            let used = self.parallel_jobs.used();
            for pool in self.pools.values_mut() {
                pool.assign(self.now);
            }
            self.revision += u64::from(self.parallel_jobs.used() != used);
        }
    }

    /// How many jobs may be with an agent at once; `None` for no limit.
    pub(super) fn parallel_jobs_limit(&self) -> Option<u32> {
        self.parallel_jobs.limit()
    }

    /// Changes that. Jobs that run go on.
    pub(super) fn set_parallel_jobs_limit(&mut self, limit: Option<u32>) {
        self.parallel_jobs.set_limit(limit);
        self.advance(self.now);
    }

    /// Another number than before once something has changed.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// When something happens by itself; `None` for never.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.pools.values().filter_map(Pool::next_due).min()
    }

    /// The moment of the last [`Organization::advance`].
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// By number.
    pub(super) fn pools(&self) -> impl ExactSizeIterator<Item = &Pool> {
        self.pools.values()
    }

    pub(super) fn pool(&self, id: PoolId) -> Result<&Pool, Refusal> {
        let unknown = || Refusal::NoSuchPool(id.to_string().into());
        self.pools.get(&id).ok_or_else(unknown)
    }

    // ASSUMPTION(pool-name-case): pool names compare whole and without regard
    // to case; no wildcards.
    pub(super) fn pool_named(&self, name: &str) -> Result<&Pool, Refusal> {
        let id = self.pool_names.get(&name.to_lowercase());
        let pool = id.and_then(|id| self.pools.get(id));
        pool.ok_or_else(|| Refusal::NoSuchPool(name.into()))
    }

    /// The pool of this name, made where there is none.
    pub(super) fn ensure_pool(&mut self, name: &str) -> Result<PoolId, Refusal> {
        if let Ok(pool) = self.pool_named(name) {
            return Ok(pool.id);
        }
        if name.trim().is_empty() || name.len() > MAX_POOL_NAME {
            return Err(Refusal::PoolName(name.chars().take(64).collect()));
        }
        if self.pools.len() >= MAX_POOLS {
            return Err(Refusal::TooManyPools);
        }
        let id = PoolId(self.next_pool);
        self.next_pool += 1;
        self.revision += 1;
        self.pool_names.insert(name.to_lowercase(), id);
        let parallel_jobs = self.parallel_jobs.clone();
        let pool = Pool::new(id, name, (self.rules, parallel_jobs), self.now);
        self.pools.insert(id, pool);
        Ok(id)
    }

    /// The agent of this number, in whichever pool it is.
    pub(super) fn agent(&self, id: AgentId) -> Option<&Agent> {
        self.pools.values().find_map(|pool| pool.agents.get(&id))
    }

    /// The pool of a job request; numbers are unique in the organization.
    pub(super) fn pool_of_job(&self, id: RequestId) -> Result<&Pool, Refusal> {
        let mut pools = self.pools.values();
        let pool = pools.find(|pool| pool.job(id).is_ok());
        pool.ok_or_else(|| Refusal::NoSuchJob {
            id,
            pool: "any".into(),
        })
    }

    /// Makes a project's queue of this number, which leads to a pool.
    pub(super) fn add_queue(&mut self, queue: u32, pool: PoolId) -> Result<(), Refusal> {
        if self.queues.len() >= MAX_QUEUES && !self.queues.contains_key(&queue) {
            return Err(Refusal::TooManyQueues);
        }
        self.queues.insert(queue, pool);
        Ok(())
    }

    pub(super) fn pool_of_queue(&self, queue: u32) -> Result<&Pool, Refusal> {
        let pool = self.queues.get(&queue).ok_or(Refusal::NoSuchQueue(queue))?;
        self.pool(*pool)
    }

    pub(super) fn set_strict(&mut self, pool: PoolId, strict: bool) -> Result<(), Refusal> {
        self.pool_mut(pool)?.strict = strict;
        Ok(())
    }

    /// Queues jobs and says their numbers.
    pub(super) fn queue(&mut self, pool: PoolId, new: &NewJobs) -> Result<Range<u64>, Refusal> {
        if new.count == 0 || new.count > MAX_JOBS_AT_ONCE {
            return Err(Refusal::Count(new.count));
        }
        let ids = self.next_request..self.next_request + u64::from(new.count);
        let (now, number) = (self.now, self.next_run);
        let run = Run {
            number,
            name: format!("{}.{}", now.strftime("%Y%m%d"), number % 1000).into(),
            pipeline: new.pipeline.clone(),
            steps: new.steps.clone(),
            outcome: new.outcome,
        };
        self.pool_mut(pool)?.queue(ids.clone(), new, run, now)?;
        self.next_request = ids.end;
        self.next_run += 1;
        Ok(ids)
    }

    pub(super) fn cancel(&mut self, pool: PoolId, job: RequestId) -> Result<(), Refusal> {
        let now = self.now;
        self.pool_mut(pool)?.cancel(job, now)
    }

    /// Registers an agent; with a key where a listener is to come.
    pub(super) fn register(
        &mut self,
        pool: PoolId,
        new: NewAgent,
        key: Option<PublicKey>,
    ) -> Result<AgentId, Refusal> {
        let (id, now) = (self.next_agent, self.now);
        self.pool_mut(pool)?.register(id, new, key, now)?;
        self.next_agent += 1;
        Ok(id)
    }

    pub(super) fn change(
        &mut self,
        pool: PoolId,
        agent: AgentId,
        change: AgentChange,
    ) -> Result<(), Refusal> {
        let now = self.now;
        self.pool_mut(pool)?.change(agent, change, now)
    }

    /// Takes an agent out of the pool; refused while it is busy.
    pub(super) fn unregister(&mut self, pool: PoolId, agent: AgentId) -> Result<(), Refusal> {
        self.pool_mut(pool)?.unregister(agent)
    }

    /// Kills an agent; a job that it runs is lost.
    pub(super) fn kill(&mut self, pool: PoolId, agent: AgentId) -> Result<(), Refusal> {
        let now = self.now;
        self.pool_mut(pool)?.kill(agent, now)
    }

    /// Registers a listener anew in the place of an idle agent.
    pub(super) fn replace(
        &mut self,
        pool: PoolId,
        agent: AgentId,
        change: AgentChange,
        key: Option<PublicKey>,
    ) -> Result<(), Refusal> {
        let now = self.now;
        self.pool_mut(pool)?.replace(agent, change, key, now)
    }

    /// To change it. What asks for it has changed it, as far as anybody knows.
    pub(super) fn pool_mut(&mut self, id: PoolId) -> Result<&mut Pool, Refusal> {
        let unknown = || Refusal::NoSuchPool(id.to_string().into());
        let pool = self.pools.get_mut(&id).ok_or_else(unknown)?;
        self.revision += 1;
        Ok(pool)
    }
}
