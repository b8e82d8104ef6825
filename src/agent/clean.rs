//! Cleaning: takes agents out of a pool that nobody will come back for.
//!
//! May import: ports, domain. Invariants: what the rule keeps is never touched;
//! the server's refusal to take out a busy agent stands; one request at a time,
//! and none after the server has refused the credential.

use std::fmt;

use jiff::Timestamp;

use crate::{
    domain::{
        leftover::{LeftoverRule, Verdict},
        pool::{PoolId, PoolRef},
        registration::AgentId,
    },
    ports::{
        ReadError,
        registrations::{Asked, Registrations, Removal},
    },
};

/// So many failures one after the other are taken for a server that is down.
const MOST_FAILURES: usize = 3;

/// What became of the agents of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The pool's number.
    pub pool: PoolId,
    /// All its agents, in the order in which the server told them.
    pub agents: Vec<Cleaned>,
    /// Why it went no further, where it did not.
    pub stopped: Option<ReadError>,
}

/// What became of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// Its number.
    pub id: AgentId,
    /// Its name.
    pub name: Box<str>,
    /// What the rule says of it.
    pub verdict: Verdict,
    /// What was done.
    pub fate: Fate,
}

/// What was done with an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was to be kept, and was not touched.
    Kept,
    /// It would have been removed; nothing was asked for.
    WouldBeRemoved,
    /// It is gone.
    Removed,
    /// It was gone already.
    WasGone,
    /// It came back and has a job: it is kept after all.
    CameBack {
        /// The service's own words, shortened.
        message: Box<str>,
    },
    /// The server did not do it.
    Failed(ReadError),
    /// It went no further before.
    NotTried,
}

/// Takes the leftovers out of a pool, or with `dry_run` tells which they are.
///
/// # Errors
/// The agents cannot be listed. What fails after that stands in the report.
pub async fn clean(
    registrations: &dyn Registrations,
    pool: &PoolRef,
    rule: &LeftoverRule,
    now: Timestamp,
    dry_run: bool,
) -> Asked<Report> {
    let (pool, agents) = registrations.agents(pool).await?;
    let mut report = Report {
        pool,
        agents: Vec::with_capacity(agents.len()),
        stopped: None,
    };
    let mut failures = 0;
    for agent in agents {
        let verdict = rule.judge(&agent, now);
        let fate = match verdict {
            Verdict::Kept(_) => Fate::Kept,
            Verdict::Leftover { .. } if dry_run => Fate::WouldBeRemoved,
            Verdict::Leftover { .. } if report.stopped.is_some() => Fate::NotTried,
            Verdict::Leftover { .. } => Fate::of(registrations.remove(pool, agent.id).await),
        };
        match &fate {
            Fate::Failed(error) => {
                failures += 1;
                if error.is_refusal() || failures == MOST_FAILURES {
                    report.stopped = Some(error.clone());
                }
            }
            Fate::Removed | Fate::WasGone | Fate::CameBack { .. } => failures = 0,
            Fate::Kept | Fate::WouldBeRemoved | Fate::NotTried => {}
        }
        let (id, name) = (agent.id, agent.name);
        report.agents.push(Cleaned {
            id,
            name,
            verdict,
            fate,
        });
    }
    Ok(report)
}

// === impl Report ===

impl Report {
    /// Was everything done that was to be done?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let undone = |agent: &Cleaned| matches!(agent.fate, Fate::Failed(_) | Fate::NotTried);
        !self.agents.iter().any(undone)
    }
}

// === impl Fate ===

impl Fate {
    fn of(asked: Asked<Removal>) -> Self {
        match asked {
            Ok(Removal::Removed) => Self::Removed,
            Ok(Removal::WasGone) => Self::WasGone,
            Ok(Removal::Busy { message }) => Self::CameBack { message },
            Err(error) => Self::Failed(error),
        }
    }
}

impl fmt::Display for Cleaned {
    /// One line, without the agent's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = &self.verdict;
        match &self.fate {
            Fate::Kept => write!(f, "{verdict}"),
            Fate::WouldBeRemoved => write!(f, "{verdict}; would be removed"),
            Fate::Removed => write!(f, "{verdict}; removed"),
            Fate::WasGone => write!(f, "{verdict}; was gone already"),
            Fate::CameBack { message } => write!(f, "kept: it came back and has a job ({message})"),
            Fate::Failed(error) => write!(f, "{verdict}; not removed: {error}"),
            Fate::NotTried => write!(f, "{verdict}; not tried any more"),
        }
    }
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
