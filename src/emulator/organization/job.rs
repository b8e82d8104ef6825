//! Job requests as the organization keeps them: what was asked for, when each
//! step came, how it ended.
//!
//! May import: the domain's demands and job states, the clock's arithmetic.
//! Invariant: a moment is there exactly when its step was reached.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    agent::AgentIdentity,
    lock::Lock,
    output::Output,
    pool::{Step, What},
};
use crate::{
    domain::{
        demand::Demands,
        job::{JobResult, JobState, RequestId},
    },
    emulator::clock::later,
};

/// Azure DevOps: an agent holds a job by a lock of ten minutes …
const LOCK: Duration = Duration::from_secs(600);
/// … that it renews every 60 seconds.
const RENEWAL: Duration = Duration::from_secs(60);

/// Jobs to be queued: one run of one pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJobs {
    /// How many; 1 to [`super::MAX_JOBS_AT_ONCE`].
    pub count: u32,
    /// What each asks of its agent.
    pub demands: Demands,
    /// How long each runs, from the moment that its agent takes it.
    pub duration: Duration,
    /// The pipeline's name.
    pub pipeline: Box<str>,
    /// What its agent's shell is to do, one after the other. None for a job that
    /// only lasts; simulated agents take no notice of them.
    pub steps: Vec<Box<str>>,
    /// What comes of it, where nothing but its duration decides.
    pub outcome: JobResult,
    /// Fail at once where no registered agent could ever match, even in a
    /// pool that is not strict.
    pub needs_agent: bool,
}

/// One run of a pipeline: what its jobs share.
#[derive(Debug)]
pub(in crate::emulator) struct Run {
    pub(in crate::emulator) number: u64,
    pub(in crate::emulator) name: Box<str>,
    pub(in crate::emulator) pipeline: Box<str>,
    pub(in crate::emulator) steps: Vec<Box<str>>,
    pub(in crate::emulator) outcome: JobResult,
}

/// One job request.
#[derive(Debug)]
pub(in crate::emulator) struct Job {
    pub(in crate::emulator) id: RequestId,
    pub(in crate::emulator) run: Arc<Run>,
    pub(in crate::emulator) demands: Arc<Demands>,
    pub(in crate::emulator) duration: Duration,
    pub(in crate::emulator) state: JobState,
    pub(in crate::emulator) queued_at: Timestamp,
    pub(in crate::emulator) assigned_at: Option<Timestamp>,
    pub(in crate::emulator) received_at: Option<Timestamp>,
    pub(in crate::emulator) finished_at: Option<Timestamp>,
    /// Who it was given to, as that agent was then.
    pub(in crate::emulator) agent: Option<Arc<AgentIdentity>>,
    /// Its agent was killed while it ran: until when the last lock holds.
    pub(in crate::emulator) lost_until: Option<Timestamp>,
    /// By what a listener holds it; `None` while it waits or a simulated agent has it.
    pub(in crate::emulator) lock: Option<Lock>,
    /// What its worker wrote.
    pub(in crate::emulator) output: Output,
    /// Why it failed without ever running.
    pub(in crate::emulator) message: Option<Box<str>>,
    /// Counts assignments, so that a step that was planned for an earlier one
    /// is told from one of now.
    pub(super) attempt: u32,
}

// === impl Job ===

impl Job {
    pub(super) fn new(
        id: RequestId,
        run: &Arc<Run>,
        demands: &Arc<Demands>,
        duration: Duration,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            run: Arc::clone(run),
            demands: Arc::clone(demands),
            duration,
            state: JobState::Queued,
            queued_at: at,
            assigned_at: None,
            received_at: None,
            finished_at: None,
            agent: None,
            lost_until: None,
            lock: None,
            output: Output::default(),
            message: None,
            attempt: 0,
        }
    }

    /// Gives it to an agent, which has yet to take it.
    pub(super) fn assign(&mut self, agent: Arc<AgentIdentity>, at: Timestamp) {
        self.state = JobState::Assigned;
        self.assigned_at = Some(at);
        self.agent = Some(agent);
        self.attempt += 1;
    }

    /// The agent went away before it took the job: it waits again.
    pub(super) fn unassign(&mut self) {
        self.state = JobState::Queued;
        self.assigned_at = None;
        self.agent = None;
        self.lock = None;
    }

    /// This step of the attempt of now.
    pub(super) fn step(&self, step: Step) -> What {
        What::Job {
            id: self.id,
            attempt: self.attempt,
            step,
        }
    }

    /// The agent takes it.
    pub(super) fn receive(&mut self, at: Timestamp) {
        self.state = JobState::Running;
        self.received_at = Some(at);
    }

    /// The agent was killed; says when the service will have noticed.
    pub(super) fn lose(&mut self, at: Timestamp) -> Timestamp {
        let until = self.locked_until(at).unwrap_or(at);
        self.lost_until = Some(until);
        until
    }

    pub(super) fn finish(&mut self, result: JobResult, at: Timestamp) {
        self.state = JobState::Finished(result);
        self.finished_at = Some(at);
    }

    /// Until when the service trusts the agent, as of `now`; nothing before
    /// the job was taken.
    pub(in crate::emulator) fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        if self.lost_until.is_some() {
            return self.lost_until;
        }
        let received = self.received_at?;
        if let Some(lock) = &self.lock {
            return Some(lock.until);
        }
        let held = self.finished_at.unwrap_or(now).duration_since(received);
        let held = Duration::try_from(held).unwrap_or_default();
        let renewed = Duration::from_secs(held.as_secs() - held.as_secs() % RENEWAL.as_secs());
        Some(later(received, renewed.saturating_add(LOCK)))
    }
}

impl Default for NewJobs {
    fn default() -> Self {
        Self {
            count: 1,
            demands: Demands::default(),
            duration: Duration::from_secs(60),
            pipeline: "ci".into(),
            steps: Vec::new(),
            outcome: JobResult::Succeeded,
            needs_agent: false,
        }
    }
}
