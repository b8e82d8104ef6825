//! `azp-scaler emulator`: its flags and what they become.
//!
//! May import: its siblings. Invariant: it listens on this machine alone unless
//! it is told otherwise, since it lets everybody in who knows its token, or
//! everybody where it has none.

use std::{net::SocketAddr, path::PathBuf};

use secrecy::SecretString;

use super::{ConfigError, serve::address};

/// The flags of `emulator`, as text.
#[derive(Clone, Debug, clap::Args)]
pub struct EmulatorArgs {
    /// Where the organization listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8100")]
    listen: String,

    /// A pool that is there from the start; may be given again. Others come into being when they
    /// are first used through /_emulator.
    #[arg(long = "pool", value_name = "NAME")]
    pools: Vec<String>,

    /// The only token that is let in; any, when none is given. Not for a real one: everybody who
    /// can list processes sees it.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,

    /// A package of the agent that the organization offers; may be given again. As in
    /// linux-x64=4.260.0=agent.tar.gz.
    #[arg(long = "agent-package", value_name = "PLATFORM=VERSION=FILE")]
    packages: Vec<String>,
}

/// A package of the agent that is to be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedPackage {
    /// As in `linux-x64`.
    pub platform: Box<str>,
    /// As in `4.260.0`.
    pub version: Box<str>,
    /// A `.tar.gz` of the agent's folder.
    pub file: PathBuf,
}

/// What `emulator` needs to know.
#[derive(Clone, Debug)]
pub struct EmulatorConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The pools at the start.
    pub pools: Vec<String>,
    /// The token; `None` for any.
    pub token: Option<SecretString>,
    /// The packages of the agent.
    pub packages: Vec<OfferedPackage>,
}

// === impl EmulatorArgs ===

impl EmulatorArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// Every problem at once, each with its flag and a remedy.
    pub fn resolve(self) -> Result<EmulatorConfig, ConfigError> {
        let mut problems = ConfigError::default();
        let listen = problems.take("--listen", address(&self.listen));
        if self.pools.iter().any(|pool| pool.trim().is_empty()) {
            problems.add("--pool", "is empty; give the pool a name");
        }
        if self.token.as_ref().is_some_and(String::is_empty) {
            problems.add("--token", "is empty; leave it away to let any token in");
        }
        let packages = self.packages.iter().filter_map(|text| {
            let package = OfferedPackage::read(text);
            if package.is_none() {
                problems.add(
                    "--agent-package",
                    format!("is {text:?}; give it as in linux-x64=4.260.0=agent.tar.gz"),
                );
            }
            package
        });
        let packages = packages.collect();
        match listen {
            Some(listen) if problems.problems.is_empty() => Ok(EmulatorConfig {
                listen,
                pools: self.pools,
                token: self.token.map(SecretString::from),
                packages,
            }),
            _ => Err(problems),
        }
    }
}

// === impl OfferedPackage ===

impl OfferedPackage {
    /// Only a file's name may contain `=`.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '=').map(str::trim);
        let mut part = || parts.next().filter(|part| !part.is_empty());
        Some(Self {
            platform: part()?.into(),
            version: part()?.into(),
            file: part()?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: EmulatorArgs,
    }

    fn resolve(flags: &[&str]) -> Result<EmulatorConfig, ConfigError> {
        let program = Program::parse_from([&["azp-scaler"], flags].concat());
        program.args.resolve()
    }

    #[test]
    fn flags_become_a_configuration() {
        Program::command().debug_assert();
        let config = resolve(&["--pool", "linux", "--pool", "windows"]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8100");
        assert_eq!(config.pools, ["linux", "windows"]);
        assert!(config.token.is_none());
        assert!(config.packages.is_empty());
        let config = resolve(&["--agent-package", "linux-x64=4.260.0=/tmp/a=b.tar.gz"]).unwrap();
        let package = &config.packages[0];
        assert_eq!(
            (&*package.platform, &*package.version),
            ("linux-x64", "4.260.0")
        );
        assert_eq!(package.file.to_str(), Some("/tmp/a=b.tar.gz"));
    }

    #[test]
    fn every_problem_is_told() {
        let error = resolve(&[
            "--listen=here",
            "--pool=",
            "--token=",
            "--agent-package=linux-x64",
        ]);
        let error = error.unwrap_err();
        assert_eq!(error.problems().len(), 4, "{error}");
    }
}
