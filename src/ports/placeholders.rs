//! Ports: what it takes to keep placeholders in a pool, beside what
//! [`Registrations`] has.
//!
//! May import: domain and its sibling. Invariant: a name that is taken is told
//! apart from a failure, since only a look at the pool says whose it is.

use futures::future::BoxFuture;

use super::registrations::{Asked, Registrations};
use crate::domain::{
    placeholder::{CapabilityMap, Registration},
    pool::PoolId,
    registration::AgentId,
};

/// Registers agents that nobody runs, and says what they have.
pub trait Placeholders: Registrations {
    /// Registers an agent, enabled and offline.
    fn register<'a>(
        &'a self,
        pool: PoolId,
        registration: &'a Registration,
    ) -> BoxFuture<'a, Asked<Registering>>;

    /// Says what people tell of an agent's capabilities, in the place of all that
    /// they told before. One that is gone is an error.
    fn tell_capabilities<'a>(
        &'a self,
        pool: PoolId,
        agent: AgentId,
        capabilities: &'a CapabilityMap,
    ) -> BoxFuture<'a, Asked<()>>;
}

/// What came of registering an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registering {
    /// It is there now.
    Registered(AgentId),
    /// Another one of its name is there. Azure DevOps: status 409.
    NameTaken,
}
