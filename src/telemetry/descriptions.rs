//! The metrics by name: the only source of names, labels and help texts.
//!
//! May import: nothing of ours. Invariant: a metric that is not in [`METRICS`]
//! does not exist; `docs/metrics.md` shows the same table, and a test compares
//! both with what a scrape prints.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Observations by bucket.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

macro_rules! describe {
    ($table:ident, $what:literal; $($constant:ident: $kind:ident $name:literal $labels:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: $crate::telemetry::descriptions::Description = $crate::telemetry::descriptions::Description {
                name: $name,
                kind: $crate::telemetry::descriptions::Kind::$kind,
                labels: &$labels,
                help: $help,
            };
        )*

        #[doc = $what]
        pub const $table: &[$crate::telemetry::descriptions::Description] = &[$($constant),*];
    };
}

pub(super) use describe;

describe! {
    METRICS, "Every metric of `azp-scaler`.";
    BUILD_INFO: Gauge "azp_build_info" ["version"],
        "Always 1; the label tells the version that runs.";
    GRPC_REQUESTS: Counter "azp_grpc_requests_total" ["rpc", "code"],
        "Calls answered, by RPC and gRPC code; a stream counts once, when it opens.";
    GRPC_SECONDS: Histogram "azp_grpc_request_seconds" ["rpc"],
        "Time until a call was answered or given up; for a stream, until it was open.";
    GRPC_STREAMS: Gauge "azp_grpc_streams" ["rpc"],
        "Streams open now.";
    TLS_HANDSHAKES: Counter "azp_tls_handshakes_total" ["outcome"],
        "TLS handshakes on the gRPC port, by how they ended.";
    TLS_CERTIFICATE_EXPIRY: Gauge "azp_tls_certificate_expiry_timestamp_seconds" [],
        "When the certificate of the gRPC port ends, in seconds since 1970; absent without TLS.";
    AZURE_REQUESTS: Counter "azp_azure_requests_total" ["route", "outcome"],
        "Requests to Azure DevOps, by route and by how they ended.";
    AZURE_SECONDS: Histogram "azp_azure_request_seconds" ["route"],
        "Time that requests to Azure DevOps took, the body included.";
    HOOKS: Counter "azp_hooks_total" ["outcome"],
        "Service hook deliveries, by how they were answered.";
    POOL_JOBS: Gauge "azp_pool_jobs" ["organization", "pool", "state"],
        "Unfinished jobs of a pool at its last reading, by state.";
    POOL_JOBS_UNCLAIMED: Gauge "azp_pool_jobs_unclaimed" ["organization", "pool", "reason"],
        "Jobs of a pool that no scaling object takes, by reason.";
    POOL_QUEUE_WAIT: Histogram "azp_pool_queue_wait_seconds" ["organization", "pool"],
        "Time from queueing until an agent had the job, seen at the next reading of the pool.";
    POOL_SNAPSHOT_AGE: Gauge "azp_pool_snapshot_age_seconds" ["organization", "pool"],
        "Time since a pool's queue was last read; absent until it has been.";
    POOL_FAILURES: Gauge "azp_pool_failures_in_a_row" ["organization", "pool"],
        "Readings of a pool that failed since the last good one.";
    SCALING_OBJECT_JOBS: Gauge "azp_scaling_object_jobs" ["namespace", "scaling_object", "pool", "state"],
        "Jobs that a scaling object has, by state.";
    SCALING_OBJECT_NUMBER: Gauge "azp_scaling_object_number" ["namespace", "scaling_object", "pool"],
        "The number that KEDA is told; the largest where several triggers ask for one pool.";
    PARALLEL_JOBS_LIMIT: Gauge "azp_parallel_jobs_limit" ["organization"],
        "How many jobs the organization may run at once on agents of its own; absent for no limit, and where it is not known.";
    PARALLEL_JOBS_USED: Gauge "azp_parallel_jobs_used" ["organization"],
        "How many of its parallel jobs are in use; absent where that is not known.";
    PARALLEL_JOBS_HELD_BACK: Gauge "azp_parallel_jobs_held_back" ["organization"],
        "Queued jobs that get no agent until there is a parallel job for them; absent where that is not known.";
    PARALLEL_JOBS_FAILURES: Gauge "azp_parallel_jobs_failures_in_a_row" ["organization"],
        "Readings of the parallel jobs that failed since the last good one.";
    WATCHERS: Gauge "azp_watchers" ["of"],
        "Tasks that read: one for each pool, and one for each way in which a pool is named.";
    CLUSTER_UNSEEN: Gauge "azp_cluster_unseen_seconds" [],
        "For how long a part of the cluster has not been seen, 0 while all of it is; absent where the scaler does without.";
    LEADER: Gauge "azp_leader" [],
        "1 while this replica is the one that may write, else 0.";
    WRITES: Counter "azp_writes_total" ["writer", "outcome"],
        "Writes to the cluster and to agent pools, by writer and by what came of them.";
    PLACEHOLDERS: Gauge "azp_placeholders" ["state"],
        "Placeholders that profiles should have, by how it stands with them; told by the replica that leads.";
    BUSY_AGENTS_LOST: Counter "azp_busy_agents_lost_total" [],
        "Jobs whose pod ended while Azure DevOps went on to call them running; noticed by the replica that leads.";
    CREDENTIAL_VALID: Gauge "azp_credential_valid" ["organization", "credential"],
        "1 where the service took the credential when it was last asked, 0 where it did not.";
    CREDENTIAL_EXPIRES: Gauge "azp_credential_expiry_timestamp_seconds" ["organization", "credential"],
        "When the credential, or the token made from it, ends; absent where that is not known.";
    RATE_LIMIT_LEFT: Gauge "azp_azure_rate_limit_remaining" ["organization", "credential"],
        "What is left of the service's limit, in its own units; absent until it has said so.";
}

// === impl Kind ===

impl Kind {
    /// As Prometheus calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}
