//! The organization: its pools and numbers, and every rule of Azure DevOps'
//! queue, as plain synchronous state.
//!
//! May import: the domain, the clock's arithmetic. Invariant: it knows no time
//! but that of [`Organization::advance`], and its memory is bounded: see the
//! `MAX_` numbers. What it refuses, it refuses with a [`Refusal`] and unchanged.

mod agent;
mod assignment;
mod job;
mod pool;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Duration,
};

use jiff::Timestamp;

pub use self::{agent::NewAgent, job::NewJobs};
pub(super) use self::{
    agent::{AGENT_VERSION, Agent, AgentChange, AgentId, AgentIdentity, CapabilityMap},
    job::{Job, Run},
    pool::Pool,
};
use crate::domain::{job::RequestId, pool::PoolId};

/// The most jobs that one call may queue.
pub const MAX_JOBS_AT_ONCE: u32 = 100_000;
/// The most unfinished jobs of a pool.
pub const MAX_UNFINISHED: usize = 500_000;
/// The finished jobs that a pool remembers; older ones are forgotten.
pub const MAX_FINISHED: usize = 10_000;
/// The most agents of a pool.
pub const MAX_AGENTS: usize = 50_000;
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
    pickup: Duration,
    now: Timestamp,
    next_pool: u32,
    next_agent: AgentId,
    next_request: u64,
    next_run: u64,
}

/// What the organization does not do, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No pool of this name or number.
    #[error("there is no pool {0:?}; queue a job or add an agent to make it")]
    NoSuchPool(Box<str>),
    /// A pool's name that is empty or longer than [`MAX_POOL_NAME`].
    #[error("the pool's name {0:?} is empty or longer than {MAX_POOL_NAME} bytes; choose another")]
    PoolName(Box<str>),
    /// No such agent.
    #[error("there is no agent {agent:?} in pool {pool:?}")]
    NoSuchAgent {
        /// Its name or number.
        agent: Box<str>,
        /// The pool that was searched.
        pool: Box<str>,
    },
    /// No such job request, or one that was forgotten.
    #[error("there is no job request {id} in pool {pool:?}")]
    NoSuchJob {
        /// Its number.
        id: RequestId,
        /// The pool that was searched.
        pool: Box<str>,
    },
    /// The job is over.
    #[error("job request {id} in pool {pool:?} is already finished")]
    AlreadyFinished {
        /// Its number.
        id: RequestId,
        /// Its pool.
        pool: Box<str>,
    },
    /// Agent names are unique in a pool.
    #[error("pool {pool:?} already has an agent {agent:?}; delete it first or choose another name")]
    NameTaken {
        /// The name.
        agent: Box<str>,
        /// The pool.
        pool: Box<str>,
    },
    /// A busy agent cannot be taken out of its pool.
    #[error("agent {agent:?} is running a job for pool {pool:?}")]
    AgentBusy {
        /// The agent.
        agent: Box<str>,
        /// The pool.
        pool: Box<str>,
    },
    /// More jobs at once than [`MAX_JOBS_AT_ONCE`], or none.
    #[error("count is {0}; give 1 to {MAX_JOBS_AT_ONCE}")]
    Count(u32),
    /// The pool has [`MAX_UNFINISHED`] jobs.
    #[error("pool {pool:?} would have more than {MAX_UNFINISHED} unfinished jobs; cancel some")]
    TooManyJobs {
        /// The pool.
        pool: Box<str>,
    },
    /// The pool has [`MAX_AGENTS`] agents.
    #[error("pool {pool:?} has {MAX_AGENTS} agents; delete some")]
    TooManyAgents {
        /// The pool.
        pool: Box<str>,
    },
    /// No project has a queue of this number.
    #[error("there is no queue {0}; make it first")]
    NoSuchQueue(u32),
    /// There are [`MAX_QUEUES`] queues.
    #[error("there are {MAX_QUEUES} queues; start another emulator")]
    TooManyQueues,
    /// The organization has [`MAX_POOLS`] pools.
    #[error("there are {MAX_POOLS} pools; start another emulator")]
    TooManyPools,
}

// === impl Organization ===

impl Organization {
    /// An empty one. `pickup` is how long an agent takes from being given a
    /// job to having it.
    pub(super) fn new(now: Timestamp, pickup: Duration) -> Self {
        Self {
            pools: BTreeMap::new(),
            pool_names: HashMap::new(),
            queues: BTreeMap::new(),
            pickup,
            now,
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
            pool.advance(self.now);
        }
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
        self.pool_names.insert(name.to_lowercase(), id);
        let pool = Pool::new(id, name, self.pickup, self.now);
        self.pools.insert(id, pool);
        Ok(id)
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

    pub(super) fn register(&mut self, pool: PoolId, new: NewAgent) -> Result<AgentId, Refusal> {
        let (id, now) = (self.next_agent, self.now);
        self.pool_mut(pool)?.register(id, new, now)?;
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

    fn pool_mut(&mut self, id: PoolId) -> Result<&mut Pool, Refusal> {
        let unknown = || Refusal::NoSuchPool(id.to_string().into());
        self.pools.get_mut(&id).ok_or_else(unknown)
    }
}
