//! Registrations: what a pool knows of one of its agents.
//!
//! May import: pools and job requests. Invariant: what the server did not say
//! stays unknown, and is never taken for "no".

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;

use super::job::{JobResult, RequestId};

/// An agent's number in its pool. Azure DevOps: an integer, unique in the pool.
/// ASSUMPTION(agent-id-once): it is never given to another agent, so that what is
/// asked of a number is asked of this agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub u32);

/// An agent as its pool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredAgent {
    /// Its number.
    pub id: AgentId,
    /// Its name, unique in the pool without regard to case.
    pub name: Box<str>,
    /// The version of its software, as it was last told; empty when it was not.
    pub version: Box<str>,
    /// Does the server give it jobs?
    pub enabled: bool,
    /// Has a listener of it a session now?
    pub online: bool,
    /// The job request that it was given and has not finished.
    pub assigned: Option<RequestId>,
    /// The job request that it finished last, where the server said.
    pub last: Option<FinishedRequest>,
    /// When it was registered.
    pub created: Option<Timestamp>,
    /// When it came online or went offline last; `None` where it never did, or
    /// the server did not say.
    pub status_changed: Option<Timestamp>,
    /// Its capabilities, those of the system and of the user, where they were
    /// asked for. Names as they were spelt.
    pub capabilities: BTreeMap<Box<str>, Box<str>>,
}

/// A job request that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRequest {
    /// Its number.
    pub id: RequestId,
    /// What came of it.
    pub result: JobResult,
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
