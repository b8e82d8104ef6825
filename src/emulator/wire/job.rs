//! Azure DevOps' JSON of a job request.
//!
//! May import: the organization, the envelope. Invariant: which members a row
//! has tells how far the job has come, as with the real service.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{
    Links, Site, Stamp,
    agent::AgentReference,
    guid::{Family, guid},
};
use crate::{
    domain::{
        demand::Demands,
        job::{JobResult, JobState},
    },
    emulator::organization::{Job, Pool, Run},
};

/// ASSUMPTION(matched-agents-bound): a row names the first 25 agents that match,
/// by number. The service's own bound, if it has one, is not known.
const MATCHED_AGENTS: usize = 25;

/// A job request, as `GET jobrequests` has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::emulator) struct JobRow<'a> {
    request_id: u64,
    queue_time: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    assign_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_until: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    service_owner: &'static str,
    host_id: String,
    scope_id: String,
    plan_type: &'static str,
    plan_id: String,
    job_id: String,
    #[serde(skip_serializing_if = "no_demands", serialize_with = "as_strings")]
    demands: &'a Demands,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_agent: Option<AgentReference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matched_agents: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    matches_all_agents_in_pool: bool,
    definition: Reference<'a>,
    owner: Reference<'a>,
    data: Data,
    pool_id: u32,
    orchestration_id: String,
    /// Azure DevOps: the one member that is there although it is the default.
    priority: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'a str>,
}

/// A pipeline or a run.
#[derive(Serialize)]
struct Reference<'a> {
    #[serde(rename = "_links")]
    links: Links,
    id: u64,
    name: &'a str,
}

/// Azure DevOps: these keys are in Pascal case, alone in the whole row.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Data {
    parallelism_tag: &'static str,
    is_scheduled_key: &'static str,
}

/// Who could run the unfinished jobs of a pool, written once for each kind.
#[derive(Default)]
pub(in crate::emulator) struct Matches<'a>(HashMap<&'a Demands, Matched>);

enum Matched {
    All,
    Some(Box<RawValue>),
    None,
}

// === impl Matches ===

impl<'a> Matches<'a> {
    /// Azure DevOps: `matchedAgents` has offline agents too; it is absent when
    /// there are none and when every agent of the pool matches.
    pub(in crate::emulator) fn of(pool: &'a Pool, site: Site<'_>) -> Self {
        let kinds = pool.kinds().map(|(demands, agents)| {
            let rows = agents.iter().take(MATCHED_AGENTS);
            let rows: Vec<_> = rows
                .map(|agent| AgentReference::matched(agent, pool, site))
                .collect();
            let matched = if rows.is_empty() {
                Matched::None
            } else if agents.len() == pool.agents().len() {
                Matched::All
            } else {
                serde_json::value::to_raw_value(&rows).map_or(Matched::None, Matched::Some)
            };
            (&**demands, matched)
        });
        Self(kinds.collect())
    }
}

// === impl JobRow ===

impl<'a> JobRow<'a> {
    pub(in crate::emulator) fn new(
        job: &'a Job,
        pool: &'a Pool,
        matches: &'a Matches<'a>,
        site: Site<'_>,
        now: Timestamp,
    ) -> Self {
        // ASSUMPTION(matches-while-unfinished): running jobs keep their matches
        // and finished ones have none.
        let matched = matches.0.get(&*job.demands);
        let matched = matched.filter(|_| job.state.is_unfinished());
        let (plan, id) = (guid(Family::Plan, job.run.number), job.id.0);
        let reserved = job.agent.as_deref();
        Self {
            request_id: id,
            queue_time: Stamp::stored(job.queued_at),
            assign_time: job.assigned_at.map(Stamp::stored),
            receive_time: job.received_at.map(Stamp::ticks),
            finish_time: job.finished_at.map(Stamp::ticks),
            locked_until: job.locked_until(now).map(Stamp::stored),
            result: result(job.state),
            service_owner: "00025394-6065-48ca-87d9-7f5672854ef7",
            host_id: guid(Family::Host, 1),
            scope_id: guid(Family::Project, 1),
            plan_type: "Build",
            orchestration_id: format!("{plan}.{}.job{id}.__default", job.run.pipeline),
            plan_id: plan,
            job_id: guid(Family::Job, id),
            demands: &job.demands,
            reserved_agent: reserved.map(|agent| AgentReference::reserved(agent, pool)),
            matched_agents: match matched {
                Some(Matched::Some(rows)) => Some(rows),
                _ => None,
            },
            matches_all_agents_in_pool: matches!(matched, Some(Matched::All)),
            definition: Reference::pipeline(&job.run, site),
            owner: Reference::run(&job.run, site),
            data: Data {
                parallelism_tag: "Private",
                is_scheduled_key: "False",
            },
            pool_id: pool.id.0,
            priority: 0,
            status_message: job.message.as_deref(),
        }
    }
}

impl<'a> Reference<'a> {
    fn pipeline(run: &'a Run, Site(base): Site<'_>) -> Self {
        let (id, project) = (pipeline_id(&run.pipeline), guid(Family::Project, 1));
        let web = format!("{base}/{project}/_build/definition?definitionId={id}");
        let own = format!("{base}/{project}/_apis/build/Definitions/{id}");
        Self {
            links: Links::new(own, Some(web)),
            id,
            name: &run.pipeline,
        }
    }

    fn run(run: &'a Run, Site(base): Site<'_>) -> Self {
        let (id, project) = (run.number, guid(Family::Project, 1));
        let web = format!("{base}/{project}/_build/results?buildId={id}");
        let own = format!("{base}/{project}/_apis/build/Builds/{id}");
        Self {
            links: Links::new(own, Some(web)),
            id,
            name: &run.name,
        }
    }
}

/// A pipeline's number, from its name alone: no table to keep.
fn pipeline_id(name: &str) -> u64 {
    let mixed = name.bytes().fold(7_u64, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    mixed % 9_000 + 1
}

/// A result in the service's words; `None` while there is none.
pub(in crate::emulator) fn result(state: JobState) -> Option<&'static str> {
    let JobState::Finished(result) = state else {
        return None;
    };
    Some(match result {
        JobResult::Failed => "failed",
        JobResult::Canceled => "canceled",
        JobResult::Skipped => "skipped",
        JobResult::Abandoned => "abandoned",
        JobResult::SucceededWithIssues => "succeededWithIssues",
        JobResult::Succeeded | JobResult::Other => "succeeded",
    })
}

// ASSUMPTION(no-demands-absent): a job without demands has no such member.
fn no_demands(demands: &&Demands) -> bool {
    demands.texts().next().is_none()
}

/// Azure DevOps: plain strings, whatever the typings of the client libraries say.
fn as_strings<S: Serializer>(demands: &&Demands, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(demands.texts())
}
