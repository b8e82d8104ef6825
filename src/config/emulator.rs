//! `azp-scaler emulator`: its flags and what they become.
//!
//! May import: its siblings. Invariant: it listens on this machine alone unless
//! it is told otherwise, since it lets everybody in who knows its token, or
//! everybody where it has none.

use std::net::SocketAddr;

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
        match listen {
            Some(listen) if problems.problems.is_empty() => Ok(EmulatorConfig {
                listen,
                pools: self.pools,
                token: self.token.map(SecretString::from),
            }),
            _ => Err(problems),
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
    }

    #[test]
    fn every_problem_is_told() {
        let error = resolve(&["--listen=here", "--pool=", "--token="]).unwrap_err();
        assert_eq!(error.problems().len(), 3, "{error}");
    }
}
