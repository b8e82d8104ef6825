//! Leftovers: which registered agents nobody will come back for.
//!
//! May import: agents, job requests. Invariant: what is not known for certain
//! keeps an agent. One that has a job, or a session, is never a leftover, whatever
//! else is said of it.
//!
//! Azure DevOps is not known to remove agents of ordinary pools, so that each pod
//! that was killed leaves one behind.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::{job::RequestId, registration::RegisteredAgent};

/// The system capability that azp-agent gives its agents. Its value is the
/// namespace of the pod, where that is known.
pub const OWNER: &str = "azp-agent";

/// The system capability by which azp-agent names the cluster of its pod, where it was
/// told and the agent is called like the pod.
pub const CLUSTER: &str = "azp-agent.cluster";

/// The capability of agents that are registered to keep jobs queued, and never
/// come online.
pub const PLACEHOLDER: &str = "azp-agent.placeholder";

/// Which agents are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftoverRule {
    /// The value of [`OWNER`]; `None` for any, as long as there is one.
    pub owner: Option<Box<str>>,
    /// How their names begin, without regard to case; empty for all.
    pub name_prefix: Box<str>,
    /// For how long they have been offline in the least.
    pub offline_for: Duration,
}

/// What is to be done with an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go.
    Leftover {
        /// For how long it has been offline.
        offline_for: Duration,
    },
    /// It stays.
    Kept(Reason),
}

/// Why an agent stays: the first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has a job.
    Busy {
        /// Which one.
        request: RequestId,
    },
    /// Its listener has a session, whether it may have jobs or not.
    Online,
    /// It is there so that jobs wait.
    Placeholder,
    /// It is none of azp-agent's, or of another owner.
    NotOurs,
    /// Its name begins otherwise.
    OtherName,
    /// The server does not say since when it is offline.
    TimeUnknown,
    /// It may yet come back.
    OfflineTooShort {
        /// For how long it has been offline.
        offline_for: Duration,
        /// For how long it has to be.
        least: Duration,
    },
}

// === impl LeftoverRule ===

impl LeftoverRule {
    /// What is to be done with an agent at this time. Its capabilities have to
    /// have been asked for: without them it is nobody's.
    #[must_use]
    pub fn judge(&self, agent: &RegisteredAgent, now: Timestamp) -> Verdict {
        if let Some(request) = agent.assigned {
            return Verdict::Kept(Reason::Busy { request });
        }
        if agent.online {
            return Verdict::Kept(Reason::Online);
        }
        if capability(agent, PLACEHOLDER).is_some() {
            return Verdict::Kept(Reason::Placeholder);
        }
        if !self.owns(agent) {
            return Verdict::Kept(Reason::NotOurs);
        }
        if !begins(&agent.name, &self.name_prefix) {
            return Verdict::Kept(Reason::OtherName);
        }
        // ASSUMPTION(never-online): an agent of which no change of status is told
        // has been offline since it was registered.
        let Some(since) = agent.status_changed.or(agent.created) else {
            return Verdict::Kept(Reason::TimeUnknown);
        };
        // A change that is yet to come is one by another clock, just now.
        let offline_for = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let least = self.offline_for;
        if offline_for < least {
            return Verdict::Kept(Reason::OfflineTooShort { offline_for, least });
        }
        Verdict::Leftover { offline_for }
    }

    fn owns(&self, agent: &RegisteredAgent) -> bool {
        match (capability(agent, OWNER), &self.owner) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(mark), Some(owner)) => *mark == **owner,
        }
    }
}

/// The value of a capability. Azure DevOps: their names compare without regard to case.
#[must_use]
pub fn capability<'a>(agent: &'a RegisteredAgent, name: &str) -> Option<&'a str> {
    let mut all = agent.capabilities.iter();
    let found = all.find(|(own, _)| own.eq_ignore_ascii_case(name));
    found.map(|(_, value)| &**value)
}

fn begins(name: &str, prefix: &str) -> bool {
    name.to_lowercase().starts_with(&prefix.to_lowercase())
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leftover { offline_for } => {
                write!(f, "left over, offline for {}", Rounded(*offline_for))
            }
            Self::Kept(reason) => write!(f, "kept: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { request } => write!(f, "it has job request {request}"),
            Self::Online => f.write_str("it is online"),
            Self::Placeholder => f.write_str("it is a placeholder"),
            Self::NotOurs => write!(f, "its capability {OWNER} is missing, or another owner's"),
            Self::OtherName => f.write_str("its name begins otherwise"),
            Self::TimeUnknown => f.write_str("the server does not say since when it is offline"),
            Self::OfflineTooShort { offline_for, least } => write!(
                f,
                "offline for {} only, of {}",
                Rounded(*offline_for),
                Rounded(*least)
            ),
        }
    }
}

/// A time as people read it: in its two largest units.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, ..) => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
#[path = "leftover_tests.rs"]
mod tests;
