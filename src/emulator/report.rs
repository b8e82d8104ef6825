//! What a pool looks like to its user: counts, agents, jobs, whole.
//!
//! May import: the organization, the wire's timestamps. Invariant: this shape
//! is the emulator's own and stays stable; members are only ever added.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    organization::{Agent, Job, Pool},
    wire::{self, Stamp},
};
use crate::domain::job::{JobResult, JobState, RequestId};

/// How many of what a pool has. Finished jobs count since the start, those
/// included that the pool no longer remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolCounts {
    /// Jobs that wait for an agent.
    pub queued: u64,
    /// Jobs that were given to an agent which has yet to take them.
    pub assigned: u64,
    /// Jobs that an agent runs, those included whose agent was killed and whose
    /// lock has not run out.
    pub running: u64,
    /// Jobs that ended as they should.
    pub succeeded: u64,
    /// Jobs that failed because no registered agent could ever run them.
    pub failed: u64,
    /// Cancelled jobs.
    pub canceled: u64,
    /// Jobs whose lock ran out after their agent was killed.
    pub abandoned: u64,
    /// Jobs whose agent was killed while they ran: abandoned, or yet to be.
    pub lost: u64,
    /// Agents that listen.
    pub agents_online: u64,
    /// Agents that have a job.
    pub agents_busy: u64,
    /// All registered agents.
    pub agents: u64,
}

/// How far a job has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStatus {
    /// Queued, assigned, running or finished.
    pub state: JobState,
    /// The agent that it was given to, by name.
    pub agent: Option<Box<str>>,
    /// The worker's own word on the result, which decides nothing.
    pub worker_said: Option<Box<str>>,
}

/// A registered agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStatus {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: Box<str>,
    /// The version that it told last.
    pub version: Box<str>,
    /// Is it given jobs?
    pub enabled: bool,
    /// Does it listen?
    pub online: bool,
    /// The job that it has.
    pub assigned: Option<RequestId>,
    /// The job that it ended last.
    pub last: Option<RequestId>,
}

/// A pool, whole.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolReport<'a> {
    id: u32,
    name: &'a str,
    strict: bool,
    now: Stamp,
    counts: PoolCounts,
    agents: Vec<AgentReport<'a>>,
    jobs: Vec<JobReport<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentReport<'a> {
    id: u32,
    name: &'a str,
    version: &'a str,
    online: bool,
    enabled: bool,
    /// The job that it has; `null` when it is idle.
    request_id: Option<u64>,
    capabilities: BTreeMap<&'a str, &'a str>,
    /// Has it a listener, beyond what is simulated?
    listens: bool,
    /// What its listener has yet to take note of.
    messages: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobReport<'a> {
    request_id: u64,
    state: &'static str,
    result: Option<&'static str>,
    message: Option<&'a str>,
    demands: Vec<&'a str>,
    pipeline: &'a str,
    duration_seconds: f64,
    agent: Option<&'a str>,
    /// Its agent was killed while it ran.
    lost: bool,
    queue_time: Stamp,
    assign_time: Option<Stamp>,
    receive_time: Option<Stamp>,
    finish_time: Option<Stamp>,
    /// The worker's own word on the result.
    worker_said: Option<&'a str>,
}

// === impl PoolCounts ===

impl PoolCounts {
    pub(super) fn of(pool: &Pool) -> Self {
        let totals = pool.totals();
        let mut counts = Self {
            succeeded: totals.succeeded,
            failed: totals.failed,
            canceled: totals.canceled,
            abandoned: totals.abandoned,
            lost: totals.lost,
            ..Self::default()
        };
        for job in pool.unfinished() {
            match job.state {
                JobState::Queued => counts.queued += 1,
                JobState::Assigned => counts.assigned += 1,
                JobState::Running | JobState::Finished(_) => counts.running += 1,
            }
        }
        for agent in pool.agents() {
            counts.agents += 1;
            counts.agents_online += u64::from(agent.online);
            counts.agents_busy += u64::from(agent.job.is_some());
        }
        counts
    }

    /// Jobs that have not ended.
    #[must_use]
    pub const fn unfinished(&self) -> u64 {
        self.queued + self.assigned + self.running
    }
}

// === impl JobStatus ===

impl JobStatus {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            state: job.state,
            agent: job.agent.as_ref().map(|agent| agent.name.clone()),
            worker_said: job.output.completed.clone(),
        }
    }

    /// How it ended; `None` while it has not.
    #[must_use]
    pub const fn result(&self) -> Option<JobResult> {
        match self.state {
            JobState::Finished(result) => Some(result),
            JobState::Queued | JobState::Assigned | JobState::Running => None,
        }
    }
}

// === impl AgentStatus ===

impl AgentStatus {
    pub(super) fn of(agent: &Agent) -> Self {
        Self {
            id: agent.identity.id,
            name: agent.identity.name.clone(),
            version: agent.identity.version.clone(),
            enabled: agent.enabled,
            online: agent.online,
            assigned: agent.job,
            last: agent.last.map(|last| last.id),
        }
    }
}

// === impl PoolReport ===

impl<'a> PoolReport<'a> {
    pub(super) fn of(pool: &'a Pool, now: jiff::Timestamp) -> Self {
        let jobs = pool.unfinished().chain(pool.finished());
        Self {
            id: pool.id.0,
            name: &pool.name,
            strict: pool.strict,
            now: Stamp::ticks(now),
            counts: PoolCounts::of(pool),
            agents: pool.agents().map(AgentReport::of).collect(),
            jobs: jobs.map(JobReport::of).collect(),
        }
    }
}

impl<'a> AgentReport<'a> {
    fn of(agent: &'a Agent) -> Self {
        let both = agent
            .system_capabilities
            .iter()
            .chain(&agent.user_capabilities);
        Self {
            id: agent.identity.id,
            name: &agent.identity.name,
            version: &agent.identity.version,
            online: agent.online,
            enabled: agent.enabled,
            request_id: agent.job.map(|id| id.0),
            capabilities: both
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            listens: agent.session.is_some(),
            messages: agent.messages.len(),
        }
    }
}

impl<'a> JobReport<'a> {
    fn of(job: &'a Job) -> Self {
        Self {
            request_id: job.id.0,
            state: job.state.name(),
            result: wire::result(job.state),
            message: job.message.as_deref(),
            demands: job.demands.texts().collect(),
            pipeline: &job.run.pipeline,
            duration_seconds: job.duration.as_secs_f64(),
            agent: job.agent.as_ref().map(|agent| &*agent.name),
            lost: job.lost_until.is_some(),
            queue_time: Stamp::ticks(job.queued_at),
            assign_time: job.assigned_at.map(Stamp::ticks),
            receive_time: job.received_at.map(Stamp::ticks),
            finish_time: job.finished_at.map(Stamp::ticks),
            worker_said: job.output.completed.as_deref(),
        }
    }
}
