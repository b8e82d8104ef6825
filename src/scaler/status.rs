//! The status page: pools, jobs, profiles, and who counts which job and why.
//!
//! May import: domain, telemetry. Invariant: it holds names, numbers and reasons, and
//! nothing that a tenant would keep to itself: no URL with a secret, no token.

use serde::Serialize;

use crate::{
    domain::profile::ScalingObject,
    telemetry::{
        scrape::{CredentialKnown, ParallelJobsKnown},
        waits::QueueWaits,
    },
};

/// What of it is asked for: everything, unless it is narrowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only pools of this name, whatever the case of its letters.
    pub pool: Option<String>,
    /// Only this scaling object, its pools, and the jobs that it counts.
    pub object: Option<ScalingObject>,
    /// Only job requests of this number.
    pub job: Option<u64>,
    /// Only jobs that nobody counts.
    pub unclaimed: bool,
}

/// Everything that the scaler knows, for people.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The scaler's version.
    pub version: &'static str,
    /// Seconds until it knows which scaling objects there are; absent once it
    /// does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_seconds_left: Option<f64>,
    /// Each pool that somebody asks for.
    pub pools: Vec<PoolStatus>,
    /// Scaling objects whose trigger was refused of late.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedStatus>,
}

/// A scaling object that gets no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedStatus {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The code by which it is told in an Event, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Every problem of its trigger.
    pub why: String,
}

/// One pool.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    /// The organization's address.
    pub organization: String,
    /// The pool's name, or what the trigger calls it while it is looked up.
    pub pool: String,
    /// Its number, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_id: Option<u32>,
    /// Seconds since the queue was last read; absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
    /// Why it cannot be read now; absent when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureStatus>,
    /// Jobs by how far they have come.
    pub queued: u64,
    /// See `queued`.
    pub assigned: u64,
    /// See `queued`.
    pub running: u64,
    /// Jobs that no profile takes.
    pub unclaimed: u64,
    /// The parallel jobs of the organization; absent where they cap nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_jobs: Option<ParallelJobsStatus>,
    /// The profiles that ask for this pool.
    pub profiles: Vec<ProfileStatus>,
    /// Its unfinished jobs, oldest first.
    pub jobs: Vec<JobStatus>,
    /// How many more jobs there are, of those that are asked for, than are shown.
    pub jobs_not_shown: u64,
}

/// The parallel jobs of an organization.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParallelJobsStatus {
    /// Are they known now? What is not known caps nothing.
    pub is_known: bool,
    /// How many there are; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// How many are in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use: Option<u32>,
    /// How many of them by jobs of pools that are not watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use_elsewhere: Option<u32>,
    /// Jobs of all watched pools that get no agent, since there is none for them.
    pub jobs_held_back: u32,
    /// Seconds since they were last read; absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
    /// Why they cannot be read now; absent when they can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureStatus>,
}

/// A failing pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureStatus {
    /// Its kind, from a closed list.
    pub kind: &'static str,
    /// The code by which it is told in Events, once it is.
    pub code: &'static str,
    /// What happened and what to do about it.
    pub message: String,
    /// How many readings failed in a row.
    pub times: u32,
}

/// One profile.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileStatus {
    /// The scaling object's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `ScaledObject` or `ScaledJob`, where the cluster tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Its `maxReplicaCount`, where the cluster tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_agents: Option<u32>,
    /// Jobs for each agent.
    pub jobs_per_agent: u32,
    /// How it matches jobs, in words.
    pub matches: String,
    /// The agent that holds the place of its agents, and is none of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// The number, once the pool was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// How the number came about, such as `3 = 1 queued + 2 running`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
    /// What is worth telling about the trigger, though it is no error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<&'static str>,
}

/// One job.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// The job request's number.
    pub id: u64,
    /// `queued`, `assigned` or `running`.
    pub state: &'static str,
    /// When it was queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<String>,
    /// What it asks for.
    pub demands: Vec<String>,
    /// The agent that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The scaling objects that count it, as `NAMESPACE/NAME`.
    pub counted_by: Vec<String>,
    /// Why it went there, or why it went nowhere.
    pub why: Vec<String>,
}

/// The same in numbers alone, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Each pool that somebody asks for.
    pub pools: Vec<PoolGauges>,
    /// Each profile, by its scaling object and pool.
    pub profiles: Vec<ProfileGauges>,
    /// Each credential at each organization.
    pub credentials: Vec<CredentialGauges>,
    /// The parallel jobs of each organization where they cap numbers.
    pub parallel_jobs: Vec<ParallelJobsGauges>,
    /// For how long a part of the cluster has not been seen; `None` where there
    /// is no cluster.
    pub cluster_unseen_seconds: Option<f64>,
    /// Pools that are read.
    pub watched: u64,
    /// Ways to name a pool that are looked up.
    pub lookups: u64,
}

/// The numbers of one pool.
#[derive(Clone, Debug)]
pub struct PoolGauges {
    /// The organization's name.
    pub organization: String,
    /// The pool's name.
    pub pool: String,
    /// Jobs by state: queued, assigned, running.
    pub jobs: [(&'static str, u64); 3],
    /// Jobs that no profile takes, by reason.
    pub unclaimed: [(&'static str, u64); 3],
    /// How long jobs waited; `None` while the pool is looked up.
    pub waits: Option<QueueWaits>,
    /// Seconds since the queue was last read; `None` for never.
    pub age_seconds: Option<f64>,
    /// Readings failed in a row.
    pub failures_in_a_row: u32,
}

/// The number of one profile.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileGauges {
    /// The scaling object's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The pool's name.
    pub pool: String,
    /// The number that KEDA is told; `None` while there is none to tell.
    pub number: Option<u64>,
    /// Its jobs by state: queued, assigned, running.
    pub jobs: [(&'static str, u64); 3],
}

/// What is known of one credential at one organization.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialGauges {
    /// The organization's name.
    pub organization: String,
    /// The credential's name.
    pub credential: String,
    /// That.
    pub known: CredentialKnown,
}

/// The parallel jobs of one organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParallelJobsGauges {
    /// The organization's name.
    pub organization: String,
    /// What is known of them.
    pub known: ParallelJobsKnown,
}

// === impl Wanted ===

impl Wanted {
    /// Is this scaling object asked for?
    pub(super) fn means(&self, object: &ScalingObject) -> bool {
        self.object.as_ref().is_none_or(|wanted| wanted == object)
    }
}
