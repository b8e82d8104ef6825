//! The scaler's status page, as it is read: by `explain`, and by the demo.
//!
//! May import: nothing of ours. Invariant: a member that is not there is a
//! default, so that a scaler of another version is understood as well.

use serde::Deserialize;

/// All that is on it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StatusPage {
    pub(super) version: String,
    pub(super) learning_seconds_left: Option<f64>,
    pub(super) pools: Vec<PoolStatus>,
    pub(super) refused: Vec<RefusedStatus>,
}

/// A scaling object that gets no answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RefusedStatus {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) why: String,
}

/// A pool.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PoolStatus {
    pub(super) organization: String,
    pub(super) pool: String,
    pub(super) age_seconds: Option<f64>,
    pub(super) failure: Option<Failure>,
    pub(super) queued: u64,
    pub(super) assigned: u64,
    pub(super) running: u64,
    pub(super) unclaimed: u64,
    pub(super) parallel_jobs: Option<ParallelJobs>,
    pub(super) profiles: Vec<ProfileStatus>,
    pub(super) jobs: Vec<JobStatus>,
    pub(super) jobs_not_shown: u64,
}

/// The parallel jobs of its organization.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ParallelJobs {
    pub(super) is_known: bool,
    pub(super) limit: Option<u64>,
    pub(super) in_use: Option<u64>,
    pub(super) in_use_elsewhere: Option<u64>,
    pub(super) jobs_held_back: u64,
    pub(super) age_seconds: Option<f64>,
    pub(super) failure: Option<Failure>,
}

/// Why a pool cannot be read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) times: u32,
}

/// A profile.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ProfileStatus {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) kind: Option<String>,
    pub(super) max_agents: Option<u32>,
    pub(super) jobs_per_agent: u32,
    pub(super) matches: String,
    pub(super) placeholder: Option<String>,
    pub(super) number: Option<u64>,
    pub(super) sum: Option<String>,
    pub(super) notices: Vec<String>,
}

/// A job.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct JobStatus {
    pub(super) id: u64,
    pub(super) state: String,
    pub(super) queued_at: Option<String>,
    pub(super) demands: Vec<String>,
    pub(super) agent: Option<String>,
    pub(super) pipeline: Option<String>,
    pub(super) run: Option<String>,
    pub(super) counted_by: Vec<String>,
    pub(super) why: Vec<String>,
}
