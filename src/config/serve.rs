//! `azp-scaler serve`: its flags and what they become.
//!
//! May import: its siblings, domain. Invariant: [`ServeConfig`] is plain data
//! that fits together; what is between flags (an interval longer than another) is
//! checked here too.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::{
    ClusterArgs, ClusterConfig, ConfigError, Environment, GuardConfig, Process, TenancyConfig,
    TlsFiles, guard::GuardArgs, quantity, secrets::Places, tenancy::TenancyArgs, tls::TlsArgs,
};

/// The flags of `serve`, as text.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap prints these comments as they are"
)]
#[command(after_help = "\
The token is a personal access token with the scope Agent Pools (Read). It comes from AZP_TOKEN or
from a file, never from a flag: everybody who can list processes would see it there.

The shortest start:
  AZP_URL=https://dev.azure.com/ORGANIZATION AZP_TOKEN=... azp-scaler serve")]
pub struct ServeArgs {
    #[command(flatten)]
    tenancy: TenancyArgs,

    #[command(flatten)]
    cluster: ClusterArgs,

    #[command(flatten)]
    guard: GuardArgs,

    /// Where KEDA asks (gRPC).
    #[arg(
        long,
        env = "AZP_GRPC_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9090"
    )]
    grpc_listen: String,

    #[command(flatten)]
    tls: TlsArgs,

    /// Where /metrics, /status, the probes and service hooks are (HTTP).
    #[arg(
        long,
        env = "AZP_HTTP_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    http_listen: String,

    /// How often a pool is read while its jobs move.
    #[arg(
        long,
        env = "AZP_POLL_INTERVAL",
        value_name = "DURATION",
        default_value = "5s"
    )]
    poll_interval: String,

    /// How often a pool is read while nothing moves.
    #[arg(
        long,
        env = "AZP_IDLE_INTERVAL",
        value_name = "DURATION",
        default_value = "15s"
    )]
    idle_interval: String,

    /// For how long the last reading answers while Azure DevOps fails; then KEDA is told an error.
    #[arg(
        long,
        env = "AZP_MAX_STALE",
        value_name = "DURATION",
        default_value = "5m"
    )]
    max_stale: String,

    /// How long after its start the scaler learns which scaling objects share a pool. KEDA's
    /// polling interval, or a little more.
    #[arg(
        long,
        env = "AZP_LEARN",
        value_name = "DURATION",
        default_value = "30s"
    )]
    learn: String,

    /// When a pool or scaling object that nobody asks for is forgotten.
    #[arg(
        long,
        env = "AZP_FORGET_AFTER",
        value_name = "DURATION",
        default_value = "10m"
    )]
    forget_after: String,

    /// How many pools there may be at a time.
    #[arg(
        long,
        env = "AZP_MAX_POOLS",
        value_name = "COUNT",
        default_value = "2000"
    )]
    max_pools: String,

    /// How many scaling objects there may be at a time.
    #[arg(
        long,
        env = "AZP_MAX_SCALING_OBJECTS",
        value_name = "COUNT",
        default_value = "10000"
    )]
    max_scaling_objects: String,

    /// How long one request to Azure DevOps may take.
    #[arg(
        long,
        env = "AZP_REQUEST_TIMEOUT",
        value_name = "DURATION",
        default_value = "30s"
    )]
    request_timeout: String,

    /// The largest answer of Azure DevOps that is read.
    #[arg(
        long,
        env = "AZP_BODY_CAP",
        value_name = "SIZE",
        default_value = "256MiB"
    )]
    body_cap: String,

    /// A file that holds the secret that service hooks send; instead of AZP_HOOK_SECRET. Without
    /// either, hooks are refused.
    #[arg(long, env = "AZP_HOOK_SECRET_FILE", value_name = "PATH")]
    hook_secret_file: Option<PathBuf>,

    /// How long calls are still answered after SIGTERM, while Kubernetes sends them elsewhere.
    #[arg(
        long,
        env = "AZP_DRAIN_DELAY",
        value_name = "DURATION",
        default_value = "5s"
    )]
    drain_delay: String,

    /// When after SIGTERM the process ends at the latest. Keep it below the pod's
    /// terminationGracePeriodSeconds.
    #[arg(
        long,
        env = "AZP_DRAIN_DEADLINE",
        value_name = "DURATION",
        default_value = "25s"
    )]
    drain_deadline: String,

    /// What is logged: a level, or targets with levels such as azp_scaler=debug,info.
    #[arg(long, env = "AZP_LOG", value_name = "FILTER", default_value = "info")]
    log: String,

    /// How it is logged: text or json; unset: json where standard error is no terminal.
    #[arg(long, env = "AZP_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
}

/// What `serve` needs to know.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Organizations, credentials, and who may use which.
    pub tenancy: TenancyConfig,
    /// The cluster, where there is one to be asked.
    pub cluster: ClusterConfig,
    /// What is written to the cluster, if anything.
    pub guard: Option<GuardConfig>,
    /// Where gRPC listens.
    pub grpc_listen: SocketAddr,
    /// TLS on that port; without it everybody there speaks in clear text.
    pub tls: Option<TlsFiles>,
    /// Where HTTP listens.
    pub http_listen: SocketAddr,
    /// Between two readings while jobs move.
    pub poll_interval: Duration,
    /// Between two readings while nothing moves; at least `poll_interval`.
    pub idle_interval: Duration,
    /// How old an answer may be; at least twice `idle_interval`.
    pub max_stale: Duration,
    /// How long other scaling objects are waited for after the start.
    pub learn: Duration,
    /// When what nobody asks for is forgotten.
    pub forget_after: Duration,
    /// Pools at a time.
    pub max_pools: u64,
    /// Scaling objects at a time.
    pub max_scaling_objects: u64,
    /// For one request to Azure DevOps.
    pub request_timeout: Duration,
    /// The largest answer of Azure DevOps, in bytes.
    pub body_cap: u64,
    /// What service hooks must know; without it they are refused.
    pub hook_secret: Option<SecretString>,
    /// From the signal until nothing new is accepted.
    pub drain_delay: Duration,
    /// From the signal until the end; above `drain_delay`.
    pub drain_deadline: Duration,
    /// What is logged.
    pub log: String,
    /// As JSON? `None`: where standard error is no terminal.
    pub log_json: Option<bool>,
}

const fn seconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
const DAY: u64 = 24 * 3600;

// === impl ServeArgs ===

impl ServeArgs {
    /// Checks everything, and reads the secrets.
    ///
    /// # Errors
    /// Every problem at once, each with its flag or variable and a remedy.
    pub fn resolve(self) -> Result<ServeConfig, ConfigError> {
        self.resolve_in(&Process)
    }

    fn resolve_in(&self, environment: &impl Environment) -> Result<ServeConfig, ConfigError> {
        let mut problems = ConfigError::default();
        match self.read(environment, &mut problems) {
            Some(config) if problems.problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    /// `None` only where a problem was noted. Everything is read before the
    /// first `?`, so that all problems are.
    fn read(
        &self,
        environment: &impl Environment,
        problems: &mut ConfigError,
    ) -> Option<ServeConfig> {
        let tenancy = self.tenancy.read(environment, problems);
        let cluster = self.cluster.read(environment, problems);
        let guard = self.guard.read(environment, cluster.as_ref(), problems);
        let hook_secret = self.hook_secret(environment, problems);
        let grpc_listen = problems.take("--grpc-listen", address(&self.grpc_listen));
        let tls = self.tls.resolve(problems);
        let http_listen = problems.take("--http-listen", address(&self.http_listen));
        let log_json = problems.take("--log-format", log_json(self.log_format.as_deref()));
        let mut duration =
            |flag, text: &str, bounds| problems.take(flag, quantity::duration(text, bounds));
        let poll_interval = duration("--poll-interval", &self.poll_interval, INTERVAL);
        let idle_interval = duration("--idle-interval", &self.idle_interval, INTERVAL);
        let max_stale = duration("--max-stale", &self.max_stale, seconds(1, DAY));
        let learn = duration("--learn", &self.learn, seconds(0, 3600));
        let forget_after = duration("--forget-after", &self.forget_after, seconds(60, DAY));
        let request_timeout = duration("--request-timeout", &self.request_timeout, seconds(1, 600));
        let drain_delay = duration("--drain-delay", &self.drain_delay, seconds(0, 600));
        let drain_deadline = duration("--drain-deadline", &self.drain_deadline, seconds(0, 3600));
        let mut count =
            |flag, text: &str, most| problems.take(flag, quantity::count(text, 1..=most));
        let max_pools = count("--max-pools", &self.max_pools, 100_000);
        let max_scaling_objects = count(
            "--max-scaling-objects",
            &self.max_scaling_objects,
            1_000_000,
        );
        let body_cap = quantity::size(&self.body_cap, 1 << 20..=4 << 30);
        let body_cap = problems.take("--body-cap", body_cap);
        let config = ServeConfig {
            tenancy: tenancy?,
            cluster: cluster?,
            guard: guard?,
            grpc_listen: grpc_listen?,
            tls,
            http_listen: http_listen?,
            poll_interval: poll_interval?,
            idle_interval: idle_interval?,
            max_stale: max_stale?,
            learn: learn?,
            forget_after: forget_after?,
            max_pools: max_pools?,
            max_scaling_objects: max_scaling_objects?,
            request_timeout: request_timeout?,
            body_cap: body_cap?,
            hook_secret,
            drain_delay: drain_delay?,
            drain_deadline: drain_deadline?,
            log: self.log.clone(),
            log_json: log_json?,
        };
        config.check_together(problems);
        Some(config)
    }

    fn hook_secret(
        &self,
        environment: &impl Environment,
        problems: &mut ConfigError,
    ) -> Option<SecretString> {
        let places = Places {
            variable: "AZP_HOOK_SECRET",
            file_flag: "AZP_HOOK_SECRET_FILE or --hook-secret-file",
            file: self.hook_secret_file.as_deref(),
        };
        places.read(environment, problems)
    }
}

// === impl ServeConfig ===

impl ServeConfig {
    /// What no flag can tell alone.
    fn check_together(&self, problems: &mut ConfigError) {
        if self.idle_interval < self.poll_interval {
            let what = format!(
                "{:?} is below --poll-interval ({:?}); make it equal or longer",
                self.idle_interval, self.poll_interval
            );
            problems.add("--idle-interval", what);
        }
        if self.max_stale < 2 * self.idle_interval {
            let what = format!(
                "{:?} is below twice --idle-interval ({:?}), so that one late reading would be an \
                 error; make it longer",
                self.max_stale, self.idle_interval
            );
            problems.add("--max-stale", what);
        }
        if self.drain_deadline <= self.drain_delay {
            let what = format!(
                "{:?} is not above --drain-delay ({:?}), so that nothing under way could end",
                self.drain_deadline, self.drain_delay
            );
            problems.add("--drain-deadline", what);
        }
        if self.grpc_listen == self.http_listen && self.grpc_listen.port() != 0 {
            let what = format!(
                "{} is --grpc-listen too; choose another port",
                self.http_listen
            );
            problems.add("--http-listen", what);
        }
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no address; write IP:PORT, such as 0.0.0.0:9090 or [::]:9090")
    })
}

pub(super) fn log_json(format: Option<&str>) -> Result<Option<bool>, String> {
    match format {
        None => Ok(None),
        Some("text") => Ok(Some(false)),
        Some("json") => Ok(Some(true)),
        Some(other) => Err(format!("{other:?} is no format; write text or json")),
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
