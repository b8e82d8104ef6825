//! `azp-scaler demo`: its flags and what they become.
//!
//! May import: nothing of ours. Invariant: it needs no configuration at all.

use std::time::Duration;

/// The flags of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// How long the working day takes, in seconds.
    #[arg(
        long = "for",
        value_name = "SECONDS",
        default_value_t = 120,
        value_parser = clap::value_parser!(u64).range(5..=3600)
    )]
    seconds: u64,

    /// Lines instead of a live table, as where there is no terminal.
    #[arg(long)]
    plain: bool,
}

/// What `demo` needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoConfig {
    /// How long the working day takes.
    pub length: Duration,
    /// Lines instead of a live table.
    pub plain: bool,
}

// === impl DemoArgs ===

impl DemoArgs {
    /// The same as plain data.
    #[must_use]
    pub const fn resolve(self) -> DemoConfig {
        DemoConfig {
            length: Duration::from_secs(self.seconds),
            plain: self.plain,
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
        args: DemoArgs,
    }

    #[test]
    fn flags_become_a_configuration() {
        Program::command().debug_assert();
        let resolve = |flags: &[&str]| {
            let flags = [&["azp-scaler"], flags].concat();
            Program::try_parse_from(flags).map(|program| program.args.resolve())
        };
        let config = resolve(&[]).unwrap();
        assert_eq!((config.length.as_secs(), config.plain), (120, false));
        let config = resolve(&["--for", "20", "--plain"]).unwrap();
        assert_eq!((config.length.as_secs(), config.plain), (20, true));
        assert!(resolve(&["--for", "0"]).is_err());
    }
}
