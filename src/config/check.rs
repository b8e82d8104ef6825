//! `azp-scaler check`: its flags and what they become.
//!
//! May import: its siblings, domain. Invariant: it asks nobody: neither the
//! environment nor a cluster changes what it says of a file.

use std::path::PathBuf;

use super::ConfigError;
use crate::domain::declared::ScalerAddress;

/// The flags of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckArgs {
    /// Files of YAML, each with any number of documents; - for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Only triggers with this scalerAddress, by any name of the service, whatever their keys. Else every external trigger
    /// that has a key of azp-scaler's.
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,

    /// Warnings are problems too.
    #[arg(long)]
    strict: bool,

    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// What `check` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckConfig {
    /// The files; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// The `scalerAddress` of the triggers that are meant; `None` for each that
    /// looks like one of ours.
    pub address: Option<ScalerAddress>,
    /// Do warnings make the exit code 1?
    pub strict: bool,
    /// JSON instead of lines.
    pub json: bool,
}

// === impl CheckArgs ===

impl CheckArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// Each flag that cannot be used, with a remedy.
    pub fn resolve(self) -> Result<CheckConfig, ConfigError> {
        let mut problems = ConfigError::default();
        let address = self.address.as_deref().map(str::trim);
        if address.is_some_and(|address| address.is_empty() || address.contains("://")) {
            problems.add(
                "--address",
                "is no HOST:PORT; write it as in the triggers, such as azp-scaler.keda:9090",
            );
        }
        if problems.problems.is_empty() {
            Ok(CheckConfig {
                address: address.map(ScalerAddress::from),
                files: self.files,
                strict: self.strict,
                json: self.json,
            })
        } else {
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: CheckArgs,
    }

    fn resolve(flags: &[&str]) -> Result<CheckConfig, ConfigError> {
        Program::parse_from([&["azp-scaler"], flags].concat())
            .args
            .resolve()
    }

    #[test]
    fn flags_become_a_configuration() {
        Program::command().debug_assert();
        let config = resolve(&["a.yaml", "-", "--address", "azp-scaler.keda:9090"]).unwrap();
        assert_eq!(config.files, [PathBuf::from("a.yaml"), PathBuf::from("-")]);
        assert_eq!(config.address, Some("azp-scaler.keda:9090".into()));
        assert!(!config.strict && !config.json);
    }

    #[test]
    fn an_address_is_host_and_port() {
        for address in ["", "http://azp-scaler:9090"] {
            let error = resolve(&["-", "--address", address]).unwrap_err();
            assert!(error.to_string().contains("--address: is no HOST:PORT"));
        }
    }
}
