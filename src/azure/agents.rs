//! Agents: one or all of a pool, enabled, disabled, taken out.
//!
//! May import: its siblings, ports, domain. Invariants: an agent counts as taken
//! out only where the service itself says so; refusals are told apart by their
//! type key and never by their words.
//!
//! [`rows`] knows what a row says.

mod rows;

use futures::future::{BoxFuture, FutureExt as _};

use self::rows::{AgentRows, read};
use super::{
    Client,
    pages::List,
    record::Record,
    request::{Act, Ask, Refused},
    stream::{ELEMENT_CAP, shape},
};
use crate::{
    domain::{
        pool::{PoolId, PoolRef, same_name},
        registration::{AgentId, RegisteredAgent},
    },
    ports::{
        ReadError,
        registrations::{Asked, Registrations, Removal},
    },
};

/// An agent alone may be as long as one in a list, in bytes.
pub(super) const AGENT_CAP: u64 = ELEMENT_CAP as u64;

const CAPABILITIES: (&str, &str) = ("includeCapabilities", "true");
const ASSIGNED: (&str, &str) = ("includeAssignedRequest", "true");
const LAST: (&str, &str) = ("includeLastCompletedRequest", "true");

/// ASSUMPTION(agent-type-keys): these are the service's names for an agent and a
/// pool that are not there; the agent's own source knows the first.
const NO_AGENT: &str = "TaskAgentNotFoundException";
const NO_POOL: &str = "TaskAgentPoolNotFoundException";

/// Azure DevOps: of an agent that has a job, with status 400.
const BUSY: &str = "TaskAgentJobStillRunningException";

// === impl Client ===

impl Client {
    async fn read_agent(
        &self,
        pool: PoolId,
        agent: AgentId,
        record: &mut Record,
    ) -> Result<Option<RegisteredAgent>, ReadError> {
        let ask = Ask {
            act: Act::Read,
            path: &path(pool, agent),
            query: &[CAPABILITIES, ASSIGNED, LAST],
            pool: None,
        };
        let answer = match self.requests.ask(ask, record).await {
            Err(refused) => return refused.of(pool).is(NO_AGENT).map(|_| None),
            Ok(answer) => answer,
        };
        let body = answer.whole(AGENT_CAP).await?;
        read(&body, agent).map(|row| Some(row.agent()))
    }

    /// The agents of a pool; those of this name alone, where there is one.
    async fn read_agents(
        &self,
        pool: &PoolRef,
        name: Option<&str>,
        record: &mut Record,
    ) -> Result<(PoolId, Vec<RegisteredAgent>), ReadError> {
        let id = match pool {
            PoolRef::Id(id) => *id,
            PoolRef::Name(_) => self.read_pool(pool, record).await?.id,
        };
        let mut query = vec![CAPABILITIES, ASSIGNED];
        // A pool's list is not made longer by what only the agent itself needs.
        query.extend(name.map(|_| LAST));
        query.extend(name.map(|name| ("agentName", name)));
        let list = List {
            path: &format!("pools/{id}/agents"),
            query: &query,
            pool: &pool.to_string(),
            cap: self.body_cap,
        };
        let read = self.requests.list(list, AgentRows::default(), record).await;
        match read {
            Ok(AgentRows(agents)) => Ok((id, agents)),
            Err(missing @ ReadError::PoolNotFound { .. }) => {
                // One more look, at whether the number is that of a queue.
                Err(self.read_pool(pool, record).await.err().unwrap_or(missing))
            }
            Err(error) => Err(error),
        }
    }

    async fn change_enabled(
        &self,
        pool: PoolId,
        agent: AgentId,
        name: &str,
        enabled: bool,
        record: &mut Record,
    ) -> Result<(), ReadError> {
        // Azure DevOps: the body must repeat the number; the name beside it is safe.
        let body = serde_json::json!({"id": agent.0, "name": name, "enabled": enabled});
        let ask = Ask {
            act: Act::Change(&body.to_string()),
            path: &path(pool, agent),
            query: &[],
            pool: None,
        };
        let answer = match self.requests.ask(ask, record).await {
            // It gets no more jobs, wherever it went.
            Err(refused) if !enabled => return refused.of(pool).is(NO_AGENT).map(|_| ()),
            Err(refused) => return Err(refused.of(pool).error),
            Ok(answer) => answer,
        };
        let body = answer.whole(AGENT_CAP).await?;
        match read(&body, agent)?.enabled {
            Some(told) if told != enabled => Err(shape(&format!(
                "agent {agent} was to have enabled={enabled}, and has enabled={told}"
            ))),
            _ => Ok(()),
        }
    }

    async fn take_out(
        &self,
        pool: PoolId,
        agent: AgentId,
        record: &mut Record,
    ) -> Result<Removal, ReadError> {
        let ask = Ask {
            act: Act::Remove,
            path: &path(pool, agent),
            query: &[],
            pool: None,
        };
        let refused = match self.requests.ask(ask, record).await {
            Ok(_) => return Ok(Removal::Removed),
            Err(refused) => refused.of(pool),
        };
        match refused.is(BUSY) {
            Ok(message) => Ok(Removal::Busy {
                message: record.shown(message),
            }),
            Err(_) => refused.is(NO_AGENT).map(|_| Removal::WasGone),
        }
    }
}

impl Registrations for Client {
    fn agents<'a>(
        &'a self,
        pool: &'a PoolRef,
    ) -> BoxFuture<'a, Asked<(PoolId, Vec<RegisteredAgent>)>> {
        async move {
            let mut record = Record::default();
            let outcome = self.read_agents(pool, None, &mut record).await;
            self.told(outcome, &record).outcome
        }
        .boxed()
    }

    fn agent(&self, pool: PoolId, agent: AgentId) -> BoxFuture<'_, Asked<Option<RegisteredAgent>>> {
        async move {
            let mut record = Record::default();
            let outcome = self.read_agent(pool, agent, &mut record).await;
            self.told(outcome, &record).outcome
        }
        .boxed()
    }

    fn agent_named<'a>(
        &'a self,
        pool: &'a PoolRef,
        name: &'a str,
    ) -> BoxFuture<'a, Asked<(PoolId, Option<RegisteredAgent>)>> {
        async move {
            let mut record = Record::default();
            let outcome = self.read_agents(pool, Some(name), &mut record).await;
            let outcome = outcome.map(|(id, agents)| (id, of_name(agents, name)));
            self.told(outcome, &record).outcome
        }
        .boxed()
    }

    fn set_enabled<'a>(
        &'a self,
        pool: PoolId,
        agent: AgentId,
        name: &'a str,
        enabled: bool,
    ) -> BoxFuture<'a, Asked<()>> {
        async move {
            let mut record = Record::default();
            let change = self.change_enabled(pool, agent, name, enabled, &mut record);
            let outcome = change.await;
            self.told(outcome, &record).outcome
        }
        .boxed()
    }

    fn remove(&self, pool: PoolId, agent: AgentId) -> BoxFuture<'_, Asked<Removal>> {
        async move {
            let mut record = Record::default();
            let outcome = self.take_out(pool, agent, &mut record).await;
            self.told(outcome, &record).outcome
        }
        .boxed()
    }
}

// === impl Refused ===

impl Refused {
    /// The refusal of what was asked about an agent of this pool.
    pub(super) fn of(self, pool: PoolId) -> Self {
        match self.is(NO_POOL) {
            Ok(_) => ReadError::PoolNotFound {
                pool: PoolRef::Id(pool).to_string().into(),
            }
            .into(),
            Err(_) => self,
        }
    }

    /// The service's words, where this is its refusal of that name; the error
    /// where it is another. What stands before the service knows no such names.
    fn is(&self, type_key: &str) -> Result<Box<str>, ReadError> {
        match &self.error {
            ReadError::Status { message, .. } if self.type_key.as_deref() == Some(type_key) => {
                Ok(message.clone())
            }
            error => Err(error.clone()),
        }
    }
}

pub(super) fn path(pool: PoolId, agent: AgentId) -> String {
    format!("pools/{pool}/agents/{agent}")
}

/// The one of this name, whatever the service's filter means by equal. The
/// spelling decides where there are two.
///
/// ASSUMPTION(agent-name-case): names of agents compare without regard to case.
fn of_name(agents: Vec<RegisteredAgent>, name: &str) -> Option<RegisteredAgent> {
    let named = |agent: &RegisteredAgent| same_name(&agent.name, name);
    let mut agents: Vec<_> = agents.into_iter().filter(named).collect();
    let exact = agents.iter().position(|agent| &*agent.name == name);
    (!agents.is_empty()).then(|| agents.swap_remove(exact.unwrap_or(0)))
}

#[cfg(test)]
mod tests;
