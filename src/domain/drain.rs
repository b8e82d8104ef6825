//! Draining: what an agent that has to go does next, so that no job is lost.
//!
//! May import: nothing of ours. Invariants, each a law of the tests below: the
//! listener is never told to stop while a worker lives; what has no job and a
//! server that answers ends without a registration; every way ends.
//!
//! The order is: disable at the server, wait for the job, take the agent out of
//! its pool, stop the listener. The server's refusal to take out a busy agent is
//! the only lock that there is: whatever this process sees for itself may be a
//! moment old, while a job that the server has given away is always known there.

use std::fmt;

/// What is known at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Does a worker live here? It runs a job.
    pub worker: bool,
    /// Does the listener live?
    pub listener: bool,
    /// Does the agent replace its own software? No listener can start then.
    pub updating: bool,
    /// How the server stands.
    pub server: Standing,
    /// Is there time left for a server that does not answer? No time passes while
    /// a job runs here, or while the server goes on saying that there is one.
    pub time_left: bool,
    /// May a listener be started (again) for a job that the server has given
    /// this agent? No more, after several that ended without taking it.
    pub restarts_left: bool,
}

/// How the server stands towards the agent, as it last said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may give the agent a job at any moment.
    GivesJobs,
    /// It gives the agent no more jobs; whether it gave one before is not known.
    GivesNoMore,
    /// It refused to take the agent out of the pool: the agent has a job.
    HasJob,
    /// The agent is not in the pool any more.
    Gone,
    /// It refuses these changes to this credential.
    Refuses,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tell the server to give no more jobs, and do not wait for anything else.
    Disable,
    /// Tell the server to give no more jobs, while the job goes on.
    DisableBesideJob,
    /// Wait for the job that runs here, then look again.
    Wait,
    /// Start a listener for the job that the server has given this agent.
    StartListener,
    /// Ask the server to take the agent out of the pool.
    /// ASSUMPTION(delete-online): it does so while a listener without a job is
    /// connected, as it does for one that is not.
    Remove,
    /// Wait, then ask again.
    RemoveAgain,
    /// Tell the listener to stop, and wait for its end.
    StopListener,
    /// There is nothing left to do.
    Done(Parting),
}

/// How the agent is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Its registration is gone.
    Removed,
    /// Its registration stays: the credential may not remove it.
    NoRights,
    /// Its registration stays: the server did not answer in time.
    NoAnswer,
    /// Its registration stays: the server says that it has a job, and no
    /// listener could take it.
    JobNotTaken,
}

/// The next step of an agent that has to go.
#[must_use]
pub fn next(sight: &Sight) -> Step {
    if sight.worker {
        return beside_job(sight);
    }
    match sight.server {
        Standing::Gone => part(sight, Parting::Removed),
        Standing::Refuses => part(sight, Parting::NoRights),
        _ if !sight.time_left => part(sight, Parting::NoAnswer),
        Standing::HasJob => given_job(sight),
        Standing::GivesJobs => Step::Disable,
        Standing::GivesNoMore => Step::Remove,
    }
}

/// A job runs here: nothing may stop it.
fn beside_job(sight: &Sight) -> Step {
    match sight.server {
        Standing::GivesJobs => Step::DisableBesideJob,
        _ => Step::Wait,
    }
}

/// The server has given the agent a job, and no worker is seen: it comes, or has
/// just ended.
fn given_job(sight: &Sight) -> Step {
    if sight.listener || sight.updating {
        Step::RemoveAgain
    } else if sight.restarts_left {
        Step::StartListener
    } else {
        Step::Done(Parting::JobNotTaken)
    }
}

fn part(sight: &Sight, parting: Parting) -> Step {
    if sight.listener {
        Step::StopListener
    } else {
        Step::Done(parting)
    }
}

impl Step {
    /// Why, for the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Disable => "so that the server gives no more jobs",
            Self::DisableBesideJob => "so that no job follows the one that runs",
            Self::Wait => "a job runs here; it is waited for, however long it takes",
            Self::StartListener => "the server has given this agent a job, and no listener lives",
            Self::Remove => "no job runs here and no new one comes",
            Self::RemoveAgain => "the server says that this agent has a job; asked again soon",
            Self::StopListener => "nothing can come any more",
            Self::Done(parting) => parting.reason(),
        }
    }
}

impl Parting {
    /// What is left behind, for the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Removed => "the agent is no longer registered",
            Self::NoRights => {
                "the agent stays registered: the credential may not remove it; it needs the scope \
                 Agent Pools (Read & manage) and the role Administrator on the pool"
            }
            Self::NoAnswer => {
                "the agent stays registered: the server did not answer in time; remove it later, \
                 for example with azp-agent clean"
            }
            Self::JobNotTaken => {
                "the agent stays registered: the server says that it has a job, but no listener \
                 could take it; look at the listener's log"
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable | Self::DisableBesideJob => "disable",
            Self::Wait => "wait",
            Self::StartListener => "start a listener",
            Self::Remove | Self::RemoveAgain => "deregister",
            Self::StopListener => "stop the listener",
            Self::Done(_) => "done",
        })
    }
}

#[cfg(test)]
#[path = "drain_tests.rs"]
mod tests;
