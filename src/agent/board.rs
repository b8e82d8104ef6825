//! The board: what this process does at the moment, for probes and people.
//!
//! May import: domain. Invariant: it is written where something happens and read
//! everywhere else; what it says of the server is what the server said last, with
//! the time when.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Writes. Clones are one.
#[derive(Clone, Debug)]
pub struct Board {
    status: watch::Sender<Status>,
}

/// Everything that is known of the agent here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of this program.
    pub version: String,
    /// The organization.
    pub organization: String,
    /// The agent pool.
    pub pool: String,
    /// The agent.
    pub agent: String,
    /// Its number in the pool, once it is registered.
    pub agent_id: Option<u32>,
    /// What it does.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// More about it, for people.
    pub detail: String,
    /// Since when a job runs.
    pub job_since: Option<Timestamp>,
    /// Jobs that were seen here.
    pub jobs: u64,
    /// Listeners that ended though they should not have.
    pub crashes: u64,
    /// Updates of the agent's software.
    pub updates: u64,
    /// When the process began.
    pub started: Timestamp,
    /// How the server sees the agent.
    pub session: Session,
    /// How often the server is asked.
    pub session_check_seconds: u64,
}

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It has begun, and makes its folder ready.
    Preparing,
    /// Its software comes from the server.
    Downloading,
    /// `config.sh` registers it.
    Registering,
    /// Its listener starts.
    Starting,
    /// Its listener waits for a job.
    Listening,
    /// A job runs.
    Working,
    /// It replaces its software.
    Updating,
    /// Its listener failed and starts again soon.
    Restarting,
    /// It has to go: the server is told, and a job is waited for.
    Draining,
    /// It is gone.
    Gone,
}

/// How the server sees the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When the server last said that the agent is online, or a job proved it.
    pub seen: Option<Timestamp>,
    /// When the server was last asked with success.
    pub asked: Option<Timestamp>,
    /// Since when the server has said that the agent is offline, each time.
    pub offline_since: Option<Timestamp>,
    /// Why the last asking failed.
    pub error: Option<String>,
}

/// An answer to a probe, with its reason.
pub type Verdict = Result<String, String>;

// === impl Board ===

impl Board {
    /// A board that says «preparing».
    #[must_use]
    pub fn new(organization: &str, pool: &str, agent: &str, session_check: Duration) -> Self {
        let now = Timestamp::now();
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            organization: organization.to_owned(),
            pool: pool.to_owned(),
            agent: agent.to_owned(),
            agent_id: None,
            phase: Phase::Preparing,
            since: now,
            detail: String::new(),
            job_since: None,
            jobs: 0,
            crashes: 0,
            updates: 0,
            started: now,
            session: Session::default(),
            session_check_seconds: session_check.as_secs(),
        };
        Self {
            status: watch::channel(status).0,
        }
    }

    /// Whoever wants to know when something changes.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The status now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Enters a phase, if it is not in it.
    pub(super) fn phase(&self, phase: Phase, detail: &str) {
        self.status.send_if_modified(|status| {
            let changed = status.phase != phase || status.detail != detail;
            if status.phase != phase {
                status.since = Timestamp::now();
            }
            status.phase = phase;
            detail.clone_into(&mut status.detail);
            changed
        });
    }

    /// A job has begun or ended here.
    pub(super) fn job(&self, runs: bool) {
        self.status.send_if_modified(|status| {
            let now = Timestamp::now();
            match (runs, status.job_since) {
                (true, None) => {
                    status.job_since = Some(now);
                }
                // The server took the job's word until now.
                (false, Some(_)) => {
                    status.job_since = None;
                    status.session.seen = Some(now);
                    status.session.offline_since = None;
                }
                _ => return false,
            }
            true
        });
    }

    /// So many jobs have been run here.
    pub(super) fn jobs(&self, jobs: u64) {
        self.status.send_if_modified(|status| {
            let changed = status.jobs != jobs;
            status.jobs = jobs;
            changed
        });
    }

    /// Changes anything else.
    pub(super) fn change(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }
}

// === impl Status ===

impl Status {
    /// Need the container not be started again? Never while a job runs, since
    /// that would lose it, nor while this process works on its own mending.
    ///
    /// # Errors
    /// Why it should be.
    pub fn live(&self, now: Timestamp) -> Verdict {
        if let Some(since) = self.job_since {
            return Ok(format!("a job runs since {since}"));
        }
        match (self.phase, self.session.offline_since) {
            (Phase::Listening, Some(since)) if now.duration_since(since) > self.patience() => {
                Err(format!(
                    "the listener lives, but the server has said since {since} that the agent is \
                     offline"
                ))
            }
            _ => Ok(self.words()),
        }
    }

    /// Does the agent take jobs, or run one?
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Verdict {
        match self.phase {
            Phase::Working => Ok(self.words()),
            Phase::Listening => match self.session.offline_since {
                Some(since) => Err(format!("the server has said offline since {since}")),
                None => Ok(self.words()),
            },
            _ => Err(self.words()),
        }
    }

    /// For how long the server may call a living listener offline: three times
    /// the interval of asking, and long enough for a listener to come back by
    /// itself. Azure Pipelines agent: it tries a lost connection again after at
    /// most a minute, and a session that it may not have for four.
    fn patience(&self) -> SignedDuration {
        let three = i64::try_from(3 * self.session_check_seconds).unwrap_or(i64::MAX);
        SignedDuration::from_secs(three.max(300))
    }

    fn words(&self) -> String {
        let phase = self.phase.name();
        if self.detail.is_empty() {
            format!("{phase} since {}", self.since)
        } else {
            format!("{phase} since {}: {}", self.since, self.detail)
        }
    }
}

// === impl Phase ===

impl Phase {
    /// Every phase, for metrics.
    pub const ALL: [Self; 10] = [
        Self::Preparing,
        Self::Downloading,
        Self::Registering,
        Self::Starting,
        Self::Listening,
        Self::Working,
        Self::Updating,
        Self::Restarting,
        Self::Draining,
        Self::Gone,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Downloading => "downloading",
            Self::Registering => "registering",
            Self::Starting => "starting",
            Self::Listening => "listening",
            Self::Working => "working",
            Self::Updating => "updating",
            Self::Restarting => "restarting",
            Self::Draining => "draining",
            Self::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(phase: Phase, job: bool, offline_minutes: Option<i64>) -> (Status, Timestamp) {
        let board = Board::new("o", "p", "a", Duration::from_secs(120));
        let now = Timestamp::now();
        board.phase(phase, "");
        board.job(job);
        board.change(|status| {
            status.session.offline_since =
                offline_minutes.map(|minutes| now - SignedDuration::from_mins(minutes));
        });
        (board.status(), now)
    }

    #[test]
    fn a_probe_never_ends_a_job_and_tells_a_lost_session() {
        // phase, a job runs, minutes that the server has said offline, live, ready
        let rows = [
            (Phase::Preparing, false, None, true, false),
            (Phase::Registering, false, None, true, false),
            (Phase::Listening, false, None, true, true),
            (Phase::Listening, false, Some(1), true, false),
            (Phase::Listening, false, Some(60), false, false),
            (Phase::Working, true, Some(60), true, true),
            (Phase::Listening, true, Some(60), true, false),
            (Phase::Draining, false, Some(60), true, false),
            (Phase::Restarting, false, Some(60), true, false),
        ];
        for (phase, job, offline, live, ready) in rows {
            let (status, now) = status(phase, job, offline);
            assert_eq!(
                status.live(now).is_ok(),
                live,
                "{phase:?} {job} {offline:?}"
            );
            assert_eq!(status.ready().is_ok(), ready, "{phase:?} {job} {offline:?}");
        }
    }
}
