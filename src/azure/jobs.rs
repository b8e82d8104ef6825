//! Job requests: from rows of JSON to the domain's own type.
//!
//! May import: ports, domain. Invariants: members that nobody needs may be
//! anything or absent, and `null` is absent; a member that is needed and has
//! another type is an error that names it. What many rows share (demands,
//! matched agents, names) is decoded once and shared.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    stream::{Elements, ListReader, shape},
    wire::{Text, decode_one, is_time},
};
use crate::{
    domain::{
        demand::Demands,
        job::{JobRequest, JobResult, JobState, RequestId},
    },
    ports::ReadError,
};

/// Decoded demands and lists of agents are remembered by their JSON text, up
/// to this many bytes of it. Beyond, sharing starts afresh.
const REMEMBERED: usize = 8 << 20;

/// The size of the pieces in which [`decode_jobs`] takes a body, that of a
/// good read from a socket.
const PIECE: usize = 32 << 10;

/// One row: the members that are needed, of some 25.
///
/// Azure DevOps: all but `requestId` are absent at their default value.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    request_id: u64,
    #[serde(borrow)]
    queue_time: Option<Text<'a>>,
    #[serde(borrow)]
    assign_time: Option<Text<'a>>,
    #[serde(borrow)]
    receive_time: Option<Text<'a>>,
    #[serde(borrow)]
    result: Option<Text<'a>>,
    /// Plain strings on the wire, whatever the typings of the SDKs say.
    #[serde(borrow)]
    demands: Option<&'a RawValue>,
    #[serde(borrow)]
    matched_agents: Option<&'a RawValue>,
    #[serde(borrow)]
    reserved_agent: Option<Named<'a>>,
    #[serde(borrow)]
    definition: Option<Named<'a>>,
    #[serde(borrow)]
    owner: Option<Named<'a>>,
}

/// An object of which only the name is needed.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

/// The job requests of one reading, over all its pages.
#[derive(Default)]
pub(super) struct JobRows {
    jobs: Vec<JobRequest>,
    shared: Shared,
    warned_of_time: bool,
}

/// What rows share, by its JSON text or by name.
#[derive(Default)]
struct Shared {
    demands: HashMap<Box<str>, Arc<Demands>>,
    agents: HashMap<Box<str>, Arc<[Box<str>]>>,
    names: HashSet<Arc<str>>,
    none: Arc<Demands>,
    remembered: usize,
}

/// Decodes a whole body of job requests, by the same path as one that comes
/// over the network, piece by piece.
///
/// # Errors
/// [`ReadError::Cut`] where the body ends early, [`ReadError::UnknownShape`]
/// where it is anything else than a list of job requests.
pub fn decode_jobs(body: &[u8]) -> Result<Vec<JobRequest>, ReadError> {
    let mut reader = ListReader::new(JobRows::default());
    for piece in body.chunks(PIECE) {
        reader.feed(piece)?;
    }
    Ok(reader.finish()?.jobs)
}

// === impl JobRows ===

impl Elements for JobRows {
    fn take(&mut self, text: &[u8]) -> Result<Option<usize>, ReadError> {
        match decode_one::<Row<'_>>(text) {
            Ok(Some((row, length))) => {
                let job = self.job(&row)?;
                self.jobs.push(job);
                Ok(Some(length))
            }
            Ok(None) => Ok(None),
            Err(error) => diagnose(text, &error),
        }
    }
}

impl JobRows {
    /// The jobs, in the order in which they came.
    pub(super) fn into_jobs(self) -> Vec<JobRequest> {
        self.jobs
    }

    fn job(&mut self, row: &Row<'_>) -> Result<JobRequest, ReadError> {
        let id = row.request_id;
        let queued_at = row
            .queue_time
            .as_deref()
            .and_then(|text| self.time(id, text));
        let agent = row.reserved_agent.as_ref();
        let demands = match row.demands {
            Some(raw) => self.shared.demands(id, raw.get())?,
            None => Arc::clone(&self.shared.none),
        };
        let matched_agents = match row.matched_agents {
            Some(raw) => Some(self.shared.agents(id, raw.get())?),
            None => None,
        };
        let mut name = |named: &Option<Named<'_>>| {
            let name = named.as_ref()?.name.as_deref()?;
            Some(self.shared.name(name))
        };
        Ok(JobRequest {
            id: RequestId(id),
            state: row.state(),
            demands,
            queued_at,
            agent: agent.and_then(|agent| agent.name.as_deref().map(Into::into)),
            matched_agents,
            pipeline: name(&row.definition),
            run: name(&row.owner),
        })
    }

    /// A time that cannot be read is lost, and no more: the job still counts.
    fn time(&mut self, id: u64, text: &str) -> Option<Timestamp> {
        let time = text.parse().ok();
        if time.is_none() && !self.warned_of_time {
            self.warned_of_time = true;
            let text: String = text.chars().take(40).collect();
            tracing::warn!(
                request_id = id,
                queue_time = ?text,
                "a job request's queue time cannot be read; its age will not be known"
            );
        }
        time
    }
}

impl Row<'_> {
    /// Azure DevOps: the members that are there tell how far a job has come.
    fn state(&self) -> JobState {
        // Azure DevOps leaves out what is default; a word for «none» is none.
        let result = self
            .result
            .as_ref()
            .filter(|word| !matches!(&***word, "" | "none"));
        if let Some(result) = result {
            JobState::Finished(JobResult::read(result))
        } else if was_reached(self.receive_time.as_ref()) {
            JobState::Running
        } else if was_reached(self.assign_time.as_ref()) || self.reserved_agent.is_some() {
            JobState::Assigned
        } else {
            JobState::Queued
        }
    }
}

/// Was the step of this time reached?
fn was_reached(time: Option<&Text<'_>>) -> bool {
    time.is_some_and(|time| is_time(time))
}

// === impl Shared ===

impl Shared {
    fn demands(&mut self, id: u64, json: &str) -> Result<Arc<Demands>, ReadError> {
        if let Some(demands) = self.demands.get(json) {
            return Ok(Arc::clone(demands));
        }
        let texts: Vec<Option<Text<'_>>> = serde_json::from_str(json)
            .map_err(|_| wrong(Some(id), "demands", "a list of texts"))?;
        let texts: Vec<&str> = texts.iter().flatten().map(|text| &**text).collect();
        let demands = Arc::new(Demands::read(&texts));
        self.remember(json.len());
        self.demands.insert(json.into(), Arc::clone(&demands));
        Ok(demands)
    }

    fn agents(&mut self, id: u64, json: &str) -> Result<Arc<[Box<str>]>, ReadError> {
        if let Some(agents) = self.agents.get(json) {
            return Ok(Arc::clone(agents));
        }
        let agents: Vec<Named<'_>> = serde_json::from_str(json)
            .map_err(|_| wrong(Some(id), "matchedAgents", "a list of agents with names"))?;
        let names = agents.iter().filter_map(|agent| agent.name.as_deref());
        let names: Arc<[Box<str>]> = names.map(Into::into).collect();
        self.remember(json.len());
        self.agents.insert(json.into(), Arc::clone(&names));
        Ok(names)
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = name.into();
        self.names.insert(Arc::clone(&shared));
        shared
    }

    fn remember(&mut self, length: usize) {
        self.remembered += length;
        if self.remembered > REMEMBERED {
            self.remembered = length;
            self.demands.clear();
            self.agents.clear();
        }
    }
}

/// A row's member, what it should be, and whether it is.
type Probe = (&'static str, &'static str, fn(&RawValue) -> bool);

const PROBES: [Probe; 8] = [
    ("requestId", "a whole number", number),
    ("queueTime", "a text", text),
    ("assignTime", "a text", text),
    ("receiveTime", "a text", text),
    ("result", "a text", text),
    ("reservedAgent", "an agent with a name", named),
    ("definition", "an object with a name", named),
    ("owner", "an object with a name", named),
];

fn number(raw: &RawValue) -> bool {
    serde_json::from_str::<u64>(raw.get()).is_ok()
}

fn text(raw: &RawValue) -> bool {
    serde_json::from_str::<Option<Text<'_>>>(raw.get()).is_ok()
}

fn named(raw: &RawValue) -> bool {
    serde_json::from_str::<Option<Named<'_>>>(raw.get()).is_ok()
}

/// Says which member of a row is wrong; `None` where the row is not whole yet
/// and that cannot be told. Off the usual path, so it may decode again.
fn diagnose(text: &[u8], error: &serde_json::Error) -> Result<Option<usize>, ReadError> {
    if !error.is_data() {
        return Err(shape("a job request in it is no JSON"));
    }
    let members = match decode_one::<HashMap<String, &RawValue>>(text) {
        Ok(Some((members, _))) => members,
        Ok(None) => return Ok(None),
        Err(_) => return Err(shape("a job request in it is no JSON")),
    };
    let id = members.get("requestId");
    let id = id.and_then(|raw| raw.get().parse().ok());
    for (name, kind, holds) in PROBES {
        match members.get(name) {
            Some(raw) if !holds(raw) => return Err(wrong(id, name, kind)),
            None if name == "requestId" => {
                return Err(shape("a job request has no member requestId"));
            }
            _ => {}
        }
    }
    // Left over: a member that comes twice.
    let id = id.map_or_else(|| "?".into(), |id: u64| id.to_string());
    Err(shape(&format!("job request {id} has a member twice")))
}

fn wrong(id: Option<u64>, member: &str, kind: &str) -> ReadError {
    let job = id.map_or_else(|| "a job request".into(), |id| format!("job request {id}"));
    shape(&format!("the member {member} of {job} is not {kind}"))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
