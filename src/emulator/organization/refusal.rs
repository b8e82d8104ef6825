//! What the organization does not do, and why.
//!
//! May import: the bounds of the organization. Invariant: whoever reads one
//! knows what was wrong and what to do about it.

use super::{
    MAX_AGENTS, MAX_JOBS_AT_ONCE, MAX_ORDERS, MAX_POOL_NAME, MAX_POOLS, MAX_QUEUES, MAX_UNFINISHED,
};
use crate::domain::job::RequestId;

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
    /// The listener's session ended: it was deleted, or not heard of for too long.
    #[error("the session is over; open another one")]
    NoSuchSession,
    /// An agent has one session at a time.
    #[error("agent {agent:?} in pool {pool:?} already has a session; end it first")]
    SessionConflict {
        /// The agent.
        agent: Box<str>,
        /// Its pool.
        pool: Box<str>,
    },
    /// The job is not, or no more, held by the lock of this token.
    #[error("the lock token is none of job request {id} in pool {pool:?}; the job was taken away")]
    LockLost {
        /// The job's number.
        id: RequestId,
        /// Its pool.
        pool: Box<str>,
    },
    /// The agent only exists in here.
    #[error("agent {agent:?} in pool {pool:?} is simulated; only a listener takes orders")]
    Simulated {
        /// The agent.
        agent: Box<str>,
        /// Its pool.
        pool: Box<str>,
    },
    /// [`MAX_ORDERS`] orders wait for the agent.
    #[error("{MAX_ORDERS} orders wait for agent {agent:?} in pool {pool:?}; let it take them")]
    TooManyOrders {
        /// The agent.
        agent: Box<str>,
        /// Its pool.
        pool: Box<str>,
    },
    /// An agent's token is good for that agent's own affairs.
    #[error("the token of agent {0} is not good for that; use one of a person")]
    NotItsOwn(u32),
    /// The client is none that an agent was registered with, or its key another.
    #[error("the client is unknown or its assertion is wrong; register the agent again")]
    NoSuchClient,
    /// A package of the agent cannot be offered.
    #[error("the agent's package {file:?} {why}")]
    Package {
        /// Its file.
        file: Box<str>,
        /// What is wrong with it, and a remedy.
        why: Box<str>,
    },
    /// There are [`MAX_QUEUES`] queues.
    #[error("there are {MAX_QUEUES} queues; start another emulator")]
    TooManyQueues,
    /// The organization has [`MAX_POOLS`] pools.
    #[error("there are {MAX_POOLS} pools; start another emulator")]
    TooManyPools,
}
