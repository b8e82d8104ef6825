//! The JSON of a message for a listener.
//!
//! May import: the organization, the envelope. Invariant: the body is JSON in a
//! text, as with the real service; a job's is our own and as small as can be.

use serde::Serialize;
use serde_json::json;

use super::{
    guid::{Family, guid},
    job,
};
use crate::{
    domain::job::JobState,
    emulator::organization::{Agent, Job, LockToken, Message, MessageKind, Order, Pool},
};

/// A message, as `GET messages` has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::emulator) struct MessageRow {
    message_id: u64,
    message_type: &'static str,
    body: String,
}

// === impl MessageRow ===

impl MessageRow {
    /// A message to this agent. One of a job that is gone says nothing of it but
    /// its number, and such messages are dropped with the job.
    pub(in crate::emulator) fn new(message: &Message, agent: &Agent, pool: &Pool) -> Self {
        let (message_type, body) = match &message.kind {
            // The service's own is far larger: variables, endpoints, tasks.
            MessageKind::Job(id) => (
                "PipelineAgentJobRequest",
                pool.job(*id).map(run).unwrap_or_default(),
            ),
            MessageKind::Cancel(id) => (
                "JobCancellation",
                json!({"jobId": guid(Family::Job, id.0), "timeout": "00:05:00"}),
            ),
            MessageKind::Order(Order::Update { version }) => (
                "AgentRefresh",
                json!({"agentId": agent.identity.id, "targetVersion": version}),
            ),
            MessageKind::Order(Order::Exit { code }) => (OWN, json!({"do": "exit", "code": code})),
            MessageKind::Order(Order::Kill) => (OWN, json!({"do": "kill"})),
            MessageKind::Order(Order::KillWorker) => (OWN, json!({"do": "kill-worker"})),
        };
        Self {
            message_id: message.id,
            message_type,
            body: body.to_string(),
        }
    }
}

/// The type of the messages that the service does not have.
const OWN: &str = "StandIn";

fn run(job: &Job) -> serde_json::Value {
    let lock = job.lock.map_or(LockToken(0), |lock| lock.token);
    json!({
        "requestId": job.id.0,
        "jobId": guid(Family::Job, job.id.0),
        "jobDisplayName": format!("{} {}", job.run.pipeline, job.id),
        "planId": guid(Family::Plan, job.run.number),
        "lockToken": guid(Family::Lock, lock.0),
        "steps": job.run.steps,
        "duration": job.duration.as_secs_f64(),
        "outcome": job::result(JobState::Finished(job.run.outcome)),
    })
}
