//! Configuration: flags and environment, read once into plain data.
//!
//! May import: domain. Invariant: the environment is read here and nowhere else,
//! and so are files, but for those whose content may change while they are in
//! use; a configuration is either whole or refused with every problem that it
//! has; a secret stands in no message and behind no flag that would show it to
//! everybody who can list processes.

pub mod agent;
mod check;
mod cluster;
mod demo;
mod emulator;
mod explain;
mod guard;
mod pool_writes;
mod probe;
mod quantity;
mod secrets;
mod serve;
mod tenancy;
mod tls;
mod tree;

use std::{env, fmt};

pub use check::{CheckArgs, CheckConfig};
pub use cluster::{ClusterAccess, ClusterArgs, ClusterConfig};
pub use demo::{DemoArgs, DemoConfig};
pub use emulator::{EmulatorArgs, EmulatorConfig};
pub use explain::{ExplainArgs, ExplainConfig, Subject};
pub use guard::GuardConfig;
pub use pool_writes::PoolWritesConfig;
pub use probe::{ProbeArgs, ProbeConfig, ProbeTls};
pub use serve::{ServeArgs, ServeConfig};
pub use tenancy::{
    Application, ConnectionConfig, ConnectionSettings, CredentialConfig, DEFAULT_CREDENTIAL,
    IdentityConfig, IdentityEndpoint, ParallelJobs, ProxyConfig, ProxyLogin, SecretSource,
    TenancyArgs, TenancyConfig, TokenConfig,
};
pub use tls::TlsFiles;

/// Every problem of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

/// The environment.
trait Environment {
    /// A variable's value; `None` when it is not set.
    fn variable(&self, name: &str) -> Option<String>;
}

/// That of this process.
struct Process;

// === impl ConfigError ===

impl ConfigError {
    /// The problems, each with the flag or variable, what is wrong, and what to
    /// do.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    fn add(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    /// The value, or the problem noted.
    fn take<T, E: fmt::Display>(&mut self, name: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(name, error)).ok()
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

// === impl Process ===

impl Environment for Process {
    fn variable(&self, name: &str) -> Option<String> {
        // A value that is no UTF-8 becomes one that fails its checks.
        env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}
