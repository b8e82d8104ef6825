//! Agents: one or all of a pool, enabled, disabled, taken out.
//!
//! May import: its siblings, ports, domain. Invariants: what the service did not
//! say is never taken for "no job" or "offline"; an agent counts as taken out
//! only where the service itself says so; refusals are told apart by their type
//! key and never by their words.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Client,
    pages::List,
    record::Record,
    request::{Act, Ask, Refused},
    stream::{ELEMENT_CAP, Elements, shape},
    wire::{Text, decode_one, is_time},
};
use crate::{
    domain::{
        job::{JobResult, RequestId},
        pool::{PoolId, PoolRef, same_name},
        registration::{AgentId, FinishedRequest, RegisteredAgent},
    },
    ports::{
        ReadError,
        registrations::{Asked, Registrations, Removal},
    },
};

/// An agent alone may be as long as one in a list, in bytes.
const AGENT_CAP: u64 = ELEMENT_CAP as u64;

/// Longer values of capabilities are cut, in characters. Azure DevOps: the agent
/// itself tells none of 1024 or more.
const LONGEST_VALUE: usize = 1024;

const CAPABILITIES: (&str, &str) = ("includeCapabilities", "true");
const ASSIGNED: (&str, &str) = ("includeAssignedRequest", "true");
const LAST: (&str, &str) = ("includeLastCompletedRequest", "true");

/// ASSUMPTION(agent-type-keys): these are the service's names for an agent and a
/// pool that are not there; the agent's own source knows the first.
const NO_AGENT: &str = "TaskAgentNotFoundException";
const NO_POOL: &str = "TaskAgentPoolNotFoundException";

/// Azure DevOps: of an agent that has a job, with status 400.
const BUSY: &str = "TaskAgentJobStillRunningException";

/// One agent: the members that are needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    id: u32,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
    enabled: Option<bool>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    assigned_request: Option<RequestRow<'a>>,
    #[serde(borrow)]
    last_completed_request: Option<RequestRow<'a>>,
    #[serde(borrow)]
    created_on: Option<Text<'a>>,
    #[serde(borrow)]
    status_changed_on: Option<Text<'a>>,
    system_capabilities: Option<Capabilities>,
    user_capabilities: Option<Capabilities>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestRow<'a> {
    request_id: u64,
    #[serde(borrow)]
    result: Option<Text<'a>>,
}

type Capabilities = HashMap<Box<str>, Option<Box<str>>>;

/// The agents of one list, over all its pages.
#[derive(Default)]
struct AgentRows(Vec<RegisteredAgent>);

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
    fn of(self, pool: PoolId) -> Self {
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

// === impl AgentRows ===

impl Elements for AgentRows {
    fn take(&mut self, text: &[u8]) -> Result<Option<usize>, ReadError> {
        let decoded = decode_one::<Row<'_>>(text);
        let decoded = decoded.map_err(|error| no_agent(&error))?;
        Ok(decoded.map(|(row, length)| {
            self.0.push(row.agent());
            length
        }))
    }
}

// === impl Row ===

impl Row<'_> {
    fn agent(self) -> RegisteredAgent {
        let last = self.last_completed_request.and_then(|request| {
            let result = JobResult::read(&request.result?);
            let id = RequestId(request.request_id);
            Some(FinishedRequest { id, result })
        });
        RegisteredAgent {
            id: AgentId(self.id),
            name: (*self.name).into(),
            version: self.version.as_deref().unwrap_or_default().into(),
            // ASSUMPTION(disabled-is-told): a disabled agent has
            // `"enabled":false` rather than no such member.
            enabled: self.enabled.unwrap_or(true),
            // Azure DevOps: `online` or `offline`. A word that is new is no reason
            // to take it for dead.
            online: !self.status.eq_ignore_ascii_case("offline"),
            assigned: self.assigned_request.map(|row| RequestId(row.request_id)),
            last,
            created: time(self.created_on.as_deref()),
            status_changed: time(self.status_changed_on.as_deref()),
            capabilities: merged(
                self.system_capabilities.unwrap_or_default(),
                self.user_capabilities.unwrap_or_default(),
            ),
        }
    }
}

fn path(pool: PoolId, agent: AgentId) -> String {
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

/// Both, without regard to case: where a name is in both, the user's value.
///
/// ASSUMPTION(user-capabilities-win): as the emulator has it.
fn merged(system: Capabilities, user: Capabilities) -> BTreeMap<Box<str>, Box<str>> {
    let names: HashSet<String> = user.keys().map(|name| name.to_lowercase()).collect();
    let only = |(name, _): &(Box<str>, _)| !names.contains(&name.to_lowercase());
    let both = system.into_iter().filter(only).chain(user);
    both.filter_map(|(name, value)| Some((name, cut(value?))))
        .collect()
}

fn cut(value: Box<str>) -> Box<str> {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => value[..end].into(),
        None => value,
    }
}

/// A time that cannot be read is not known.
fn time(text: Option<&str>) -> Option<Timestamp> {
    text.filter(|text| is_time(text))?.parse().ok()
}

fn read(body: &[u8], agent: AgentId) -> Result<Row<'_>, ReadError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let row: Row<'_> = serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            let cause = "it ends within an agent".into();
            return ReadError::Cut { cause };
        }
        no_agent(&error)
    })?;
    if row.id != agent.0 {
        let detail = format!("agent {agent} was asked for, and agent {} came", row.id);
        return Err(shape(&detail));
    }
    Ok(row)
}

fn no_agent(error: &serde_json::Error) -> ReadError {
    shape(&format!("it describes no agent ({error})"))
}

#[cfg(test)]
#[path = "agents_tests.rs"]
mod tests;
