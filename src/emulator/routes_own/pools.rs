//! The emulator's own routes of pools: jobs, agents, orders.
//!
//! May import: the handle, the bodies' reader. Invariant: that of its parent.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};

use super::{Answer, Wrong, read, seconds};
use crate::{
    domain::{
        demand::{Demand, Demands},
        job::{JobResult, RequestId},
    },
    emulator::{
        handle::EmulatorHandle,
        organization::{NewAgent, NewJobs, Order},
        wire,
    },
};

/// What a body may say that comes of a job.
const OUTCOMES: [&str; 3] = ["succeeded", "succeededWithIssues", "failed"];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolBody {
    strict: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobsBody {
    count: Option<u32>,
    #[serde(default)]
    demands: Vec<String>,
    duration_seconds: Option<f64>,
    pipeline: Option<Box<str>>,
    #[serde(default)]
    needs_agent: bool,
    #[serde(default)]
    steps: Vec<Box<str>>,
    outcome: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AgentBody {
    name: Box<str>,
    #[serde(default)]
    capabilities: BTreeMap<String, String>,
    version: Option<Box<str>>,
    enabled: Option<bool>,
    #[serde(default)]
    once: bool,
}

#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
enum OrderBody {
    Update { version: Box<str> },
    Exit { code: i32 },
    Kill {},
    KillWorker {},
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Queued {
    request_ids: Vec<u64>,
}

pub(super) async fn show_pool(
    State(emulator): State<EmulatorHandle>,
    Path(pool): Path<String>,
) -> Answer {
    Ok(emulator.report(&pool, |report| wire::answer(StatusCode::OK, report))?)
}

pub(super) async fn set_pool(
    State(emulator): State<EmulatorHandle>,
    Path(pool): Path<String>,
    body: Body,
) -> Answer {
    let body: PoolBody = read(body, true, r#"{"strict":true}"#).await?;
    emulator.ensure_pool(&pool)?;
    if let Some(strict) = body.strict {
        emulator.set_strict(&pool, strict)?;
    }
    Ok(emulator.report(&pool, |report| wire::answer(StatusCode::OK, report))?)
}

pub(super) async fn queue_jobs(
    State(emulator): State<EmulatorHandle>,
    Path(pool): Path<String>,
    body: Body,
) -> Answer {
    const EXAMPLE: &str = r#"{"count":3,"demands":["java -equals 17"],"durationSeconds":60}"#;
    let body: JobsBody = read(body, true, EXAMPLE).await?;
    for (index, text) in body.demands.iter().enumerate() {
        Demand::parse(text)
            .map_err(|error| Wrong::body(format!("demands[{index}] cannot be read: {error}")))?;
    }
    let standard = NewJobs::default();
    let outcome = match body.outcome.as_deref() {
        None => standard.outcome,
        Some(word) => outcome(word)?,
    };
    let duration = body
        .duration_seconds
        .map(|duration| seconds("durationSeconds", duration));
    let jobs = NewJobs {
        count: body.count.unwrap_or(standard.count),
        demands: Demands::read(&body.demands),
        duration: duration.transpose()?.unwrap_or(standard.duration),
        pipeline: body.pipeline.unwrap_or(standard.pipeline),
        needs_agent: body.needs_agent,
        steps: body.steps,
        outcome,
    };
    let ids = emulator.queue_jobs(&pool, &jobs)?;
    let request_ids = ids.into_iter().map(|id| id.0).collect();
    Ok(wire::answer(StatusCode::OK, &Queued { request_ids }))
}

pub(super) async fn cancel_job(
    State(emulator): State<EmulatorHandle>,
    Path((pool, id)): Path<(String, String)>,
) -> Answer {
    emulator.cancel_job(&pool, request(&id)?)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn job_log(
    State(emulator): State<EmulatorHandle>,
    Path((pool, id)): Path<(String, String)>,
) -> Answer {
    Ok(emulator.log(&pool, request(&id)?)?.into_response())
}

fn request(id: &str) -> Result<RequestId, Wrong> {
    let number = id.parse().map(RequestId);
    number.map_err(|_| Wrong::body(format!("job request {id:?} is no number")))
}

pub(super) async fn add_agent(
    State(emulator): State<EmulatorHandle>,
    Path(pool): Path<String>,
    body: Body,
) -> Answer {
    let example = r#"{"name":"agent-1","capabilities":{"java":"17"}}"#;
    let body: AgentBody = read(body, false, example).await?;
    if body.name.trim().is_empty() {
        return Err(Wrong::body("name is empty; give the agent one".into()));
    }
    let mut agent = NewAgent::in_pod(&body.name, body.capabilities);
    if let Some(version) = body.version {
        let key = "Agent.Version".to_owned();
        agent
            .system_capabilities
            .insert(key, version.clone().into());
        agent.version = version;
    }
    agent.enabled = body.enabled.unwrap_or(true);
    agent.once = body.once;
    let id = emulator.add_agent(&pool, agent)?;
    let added = serde_json::json!({"id": id, "name": body.name});
    Ok(wire::answer(StatusCode::OK, &added))
}

pub(super) async fn kill_agent(
    State(emulator): State<EmulatorHandle>,
    Path((pool, agent)): Path<(String, String)>,
) -> Answer {
    emulator.kill_agent(&pool, &agent)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn order(
    State(emulator): State<EmulatorHandle>,
    Path((pool, agent)): Path<(String, String)>,
    body: Body,
) -> Answer {
    let body: OrderBody = read(body, false, r#"{"order":"update","version":"4.261.0"}"#).await?;
    let order = match body {
        OrderBody::Update { version } => Order::Update { version },
        OrderBody::Exit { code } => Order::Exit { code },
        OrderBody::Kill {} => Order::Kill,
        OrderBody::KillWorker {} => Order::KillWorker,
    };
    emulator.order(&pool, &agent, order)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn outcome(word: &str) -> Result<JobResult, Wrong> {
    if !OUTCOMES.contains(&word) {
        let all = OUTCOMES.join(", ");
        return Err(Wrong::body(format!(
            "outcome is {word:?}; there are: {all}"
        )));
    }
    Ok(JobResult::read(word))
}
