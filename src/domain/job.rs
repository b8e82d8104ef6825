//! Job requests: one row of a pool's queue, and the state that its members tell.
//!
//! May import: demands. Invariant: a job request is what the service said and
//! nothing else; whose job it is stands in the decision, not here.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use super::demand::Demands;

/// The number by which Azure DevOps knows a job request in its organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One job request of a pool.
///
/// Strings that many jobs of a queue share (demands, pipeline names) are
/// shared in memory too: a queue of 100,000 jobs has few kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    /// Its number.
    pub id: RequestId,
    /// How far it has come.
    pub state: JobState,
    /// What it asks of an agent.
    pub demands: Arc<Demands>,
    /// When it was queued; `None` where the service did not say.
    pub queued_at: Option<Timestamp>,
    /// The agent that it was given to, by name.
    pub agent: Option<Box<str>>,
    /// Agents that the service itself says could run it, by name; offline
    /// ones included. `None` where the answer has no such member.
    pub matched_agents: Option<Arc<[Box<str>]>>,
    /// The pipeline's name.
    pub pipeline: Option<Arc<str>>,
    /// The run's name, such as `20260601.4`.
    pub run: Option<Arc<str>>,
}

/// How far a job request has come.
///
/// Azure DevOps tells it by which members are there: `assignTime` and
/// `reservedAgent`, then `receiveTime`, then `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// It waits for an agent.
    Queued,
    /// An agent was chosen, but has not taken it yet. That agent may still be
    /// busy with another job.
    Assigned,
    /// An agent runs it.
    Running,
    /// It is over.
    Finished(JobResult),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobResult {
    /// As it should.
    Succeeded,
    /// With warnings.
    SucceededWithIssues,
    /// It failed.
    Failed,
    /// Somebody cancelled it.
    Canceled,
    /// It was left out.
    Skipped,
    /// Its agent went away.
    Abandoned,
    /// A result that this version does not know.
    Other,
}

// === impl JobState ===

impl JobState {
    /// The state's name in status pages and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Finished(_) => "finished",
        }
    }

    /// Is there still work to be done or being done?
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        !matches!(self, Self::Finished(_))
    }
}

// === impl JobResult ===

impl JobResult {
    /// Reads the service's word; one that is not known is [`Self::Other`], so
    /// that a new one never breaks the reading of a queue.
    #[must_use]
    pub fn read(word: &str) -> Self {
        const KNOWN: [(&str, JobResult); 6] = [
            ("succeeded", JobResult::Succeeded),
            ("succeededWithIssues", JobResult::SucceededWithIssues),
            ("failed", JobResult::Failed),
            ("canceled", JobResult::Canceled),
            ("skipped", JobResult::Skipped),
            ("abandoned", JobResult::Abandoned),
        ];
        let known = KNOWN
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word));
        known.map_or(Self::Other, |(_, result)| *result)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
