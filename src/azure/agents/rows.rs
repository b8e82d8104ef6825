//! Rows of agents: from JSON to the domain's own type.
//!
//! May import: its siblings, ports, domain. Invariant: what the service did not
//! say is never taken for "no job" or "offline"; members that nobody needs may be
//! anything or absent.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    azure::{
        stream::{Elements, shape},
        wire::{Text, decode_one, is_time},
    },
    domain::{
        job::{JobResult, RequestId},
        registration::{AgentId, FinishedRequest, RegisteredAgent},
    },
    ports::ReadError,
};

/// Longer values of capabilities are cut, in characters. Azure DevOps: the agent
/// itself tells none of 1024 or more.
pub(super) const LONGEST_VALUE: usize = 1024;

/// One agent: the members that are needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row<'a> {
    id: u32,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
    pub(super) enabled: Option<bool>,
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
pub(super) struct AgentRows(pub(super) Vec<RegisteredAgent>);

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
    pub(super) fn agent(self) -> RegisteredAgent {
        let last = self.last_completed_request.and_then(|request| {
            let result = JobResult::read(&request.result?);
            let id = RequestId(request.request_id);
            Some(FinishedRequest { id, result })
        });
        let status_changed = time(self.status_changed_on.as_deref());
        // Who has no last change may be taken to have had none. One that cannot be
        // read must not look like that: then no time is known.
        let created = match status_changed {
            Ok(_) => time(self.created_on.as_deref()).unwrap_or_default(),
            Err(_) => None,
        };
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
            created,
            status_changed: status_changed.unwrap_or_default(),
            capabilities: merged(
                self.system_capabilities.unwrap_or_default(),
                self.user_capabilities.unwrap_or_default(),
            ),
        }
    }
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

fn time(text: Option<&str>) -> Result<Option<Timestamp>, jiff::Error> {
    text.filter(|text| is_time(text))
        .map(str::parse)
        .transpose()
}

/// The row of this agent.
pub(super) fn read(body: &[u8], agent: AgentId) -> Result<Row<'_>, ReadError> {
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
