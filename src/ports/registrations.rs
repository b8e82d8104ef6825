//! Ports: what the first process of an agent's pod, and who cleans up after such
//! pods, asks of the server about agents.
//!
//! May import: domain and its sibling. Invariant: a refusal says whether waiting
//! helps (the agent is busy) or not (rights), since that decides whether a job
//! is lost.

use futures::future::BoxFuture;

use super::ReadError;
use crate::domain::{
    pool::{PoolId, PoolRef},
    registration::{AgentId, RegisteredAgent},
};

/// Reads and changes the agents of one organization's pools.
pub trait Registrations: Send + Sync + 'static {
    /// Every agent of a pool, as [`Registrations::agent`] tells it but for the
    /// last job, and the pool's number.
    fn agents<'a>(
        &'a self,
        pool: &'a PoolRef,
    ) -> BoxFuture<'a, Asked<(PoolId, Vec<RegisteredAgent>)>>;

    /// One agent with its job, its last job and its capabilities; `None` where
    /// there is none of that number.
    fn agent(&self, pool: PoolId, agent: AgentId) -> BoxFuture<'_, Asked<Option<RegisteredAgent>>>;

    /// The agent of this name in this pool, as [`Registrations::agent`] tells it,
    /// and the pool's number.
    fn agent_named<'a>(
        &'a self,
        pool: &'a PoolRef,
        name: &'a str,
    ) -> BoxFuture<'a, Asked<(PoolId, Option<RegisteredAgent>)>>;

    /// Lets the server give this agent jobs, or no more. Azure DevOps: a job that
    /// it has goes on. One that is gone gets no more, so that this is done;
    /// that it should get some is an error then.
    fn set_enabled<'a>(
        &'a self,
        pool: PoolId,
        agent: AgentId,
        name: &'a str,
        enabled: bool,
    ) -> BoxFuture<'a, Asked<()>>;

    /// Takes the agent out of its pool, unless it has a job.
    fn remove(&self, pool: PoolId, agent: AgentId) -> BoxFuture<'_, Asked<Removal>>;
}

/// What the server answered, or why it did not.
pub type Asked<T> = Result<T, ReadError>;

/// What came of taking an agent out of its pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It was there and is gone.
    Removed,
    /// There was none.
    WasGone,
    /// It has a job: nothing was changed. Azure DevOps: 400 with
    /// `TaskAgentJobStillRunningException`; the lock that every drain relies on.
    Busy {
        /// The service's own words, shortened.
        message: Box<str>,
    },
}
