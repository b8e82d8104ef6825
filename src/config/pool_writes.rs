//! The flags of the writers that write to agent pools.
//!
//! May import: its siblings, telemetry (for the writers' names). Invariant: no agent
//! pool is written to without the cluster's name: without it, nothing tells what is
//! this cluster's from what is another's that uses the same pool.

use std::time::Duration;

use super::{ConfigError, quantity};
use crate::telemetry::metrics::Writer;

/// The flags, as text.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PoolArgs {
    /// What tells this cluster from others that use the same agent pools: needed with the writers
    /// placeholders and reaper.
    #[arg(long, env = "AZP_CLUSTER_NAME", value_name = "NAME")]
    cluster_name: Option<String>,

    /// For how long nobody has wanted a placeholder before it is removed.
    #[arg(
        long,
        env = "AZP_PLACEHOLDERS_GONE_FOR",
        value_name = "DURATION",
        default_value = "10m"
    )]
    placeholders_gone_for: String,

    /// For how long an agent without its pod was seen offline before it is taken out of its pool.
    #[arg(
        long,
        env = "AZP_REAP_AFTER",
        value_name = "DURATION",
        default_value = "10m"
    )]
    reap_after: String,
}

/// How agent pools are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolWritesConfig {
    /// What tells this cluster from others.
    pub cluster_name: Box<str>,
    /// For how long nobody has wanted a placeholder before it is removed.
    pub placeholders_gone_for: Duration,
    /// For how long an agent was seen offline before it is taken out.
    pub reap_after: Duration,
}

/// The longest name, in characters: it stands in the names of agents.
const LONGEST_NAME: usize = 63;

// === impl PoolArgs ===

impl PoolArgs {
    /// `None` only where a problem was noted; `Some(None)` where no such writer is on.
    pub(super) fn read(
        &self,
        writers: &[Writer],
        problems: &mut ConfigError,
    ) -> Option<Option<PoolWritesConfig>> {
        let given = self.cluster_name.as_deref().map(str::trim);
        let name = given.filter(|name| !name.is_empty());
        let name = problems.take("--cluster-name", name.map(cluster_name).transpose());
        // The longest is what a restart may cost: the time is counted from anew.
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let bounds = || minutes(1)..=minutes(24 * 60);
        let gone_for = quantity::duration(&self.placeholders_gone_for, bounds());
        let gone_for = problems.take("--placeholders-gone-for", gone_for);
        let reap_after = quantity::duration(&self.reap_after, bounds());
        let reap_after = problems.take("--reap-after", reap_after);
        let mut pools = writers
            .iter()
            .filter(|writer| matches!(writer, Writer::Placeholders | Writer::Reaper));
        let Some(first) = pools.next() else {
            let (_, _, _) = (name?, gone_for?, reap_after?);
            return Some(None);
        };
        let name = name?;
        if name.is_none() {
            let what = format!(
                "is needed with the writer {}: it tells this cluster's agents from those of \
                 another one that uses the same pool; write a name such as west, and the same as \
                 clusterName of the agents' chart",
                first.as_str()
            );
            problems.add("--cluster-name", what);
        }
        Some(Some(PoolWritesConfig {
            cluster_name: name?,
            placeholders_gone_for: gone_for?,
            reap_after: reap_after?,
        }))
    }
}

/// As the agents' chart takes it.
pub(super) fn cluster_name(text: &str) -> Result<Box<str>, String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = text.starts_with(letter) && text.ends_with(letter);
    let is_name = text.len() <= LONGEST_NAME && text.chars().all(|c| letter(c) || c == '-');
    match ends && is_name {
        true => Ok(text.into()),
        false => Err(format!(
            "{text:?} is no cluster's name; write 1 to {LONGEST_NAME} small letters, digits and \
             dashes, such as west"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser, builder::Resettable};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: PoolArgs,
    }

    fn read(flags: &[&str], writers: &[Writer]) -> Result<Option<PoolWritesConfig>, ConfigError> {
        // The variables of whoever runs the tests must not decide them.
        let command = Program::command().mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.get_matches_from([&["azp-scaler"], flags].concat());
        let program = Program::from_arg_matches(&matches).unwrap();
        let mut problems = ConfigError::default();
        match program.args.read(writers, &mut problems) {
            Some(config) if problems.problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    #[track_caller]
    fn check_refused(flags: &[&str], writers: &[Writer], expected: &[&str]) {
        let error = read(flags, writers).unwrap_err();
        assert_eq!(error.problems().len(), expected.len(), "{error}");
        for (problem, part) in error.problems().iter().zip(expected) {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn nothing_is_needed_where_no_pool_is_written_to() {
        for writers in [&[][..], &[Writer::BusyMarks, Writer::DirectScaleUp]] {
            assert_eq!(read(&[], writers).unwrap(), None);
            assert_eq!(read(&["--cluster-name=west"], writers).unwrap(), None);
        }
    }

    #[test]
    fn a_pool_is_written_to_under_the_clusters_name_alone() {
        let flags = ["--cluster-name= west-2", "--reap-after=1h"];
        let config = read(&flags, &[Writer::Reaper]).unwrap().unwrap();
        let expected = PoolWritesConfig {
            cluster_name: "west-2".into(),
            placeholders_gone_for: Duration::from_secs(600),
            reap_after: Duration::from_secs(3600),
        };
        assert_eq!(config, expected);
        for writer in [Writer::Placeholders, Writer::Reaper] {
            let told = format!(
                "--cluster-name: is needed with the writer {}",
                writer.as_str()
            );
            check_refused(&[], &[writer], &[&told]);
            check_refused(&["--cluster-name="], &[writer], &[&told]);
        }
    }

    #[test]
    fn every_problem_is_told_with_its_remedy() {
        let flags = [
            "--cluster-name=West:1",
            "--placeholders-gone-for=1s",
            "--reap-after=soon",
        ];
        let expected = [
            "\"West:1\" is no cluster's name",
            "--placeholders-gone-for",
            "\"soon\"",
        ];
        check_refused(&flags, &[Writer::Placeholders], &expected);
        check_refused(&flags, &[], &expected);
        let long = format!("--cluster-name={}", "a".repeat(64));
        check_refused(&[&long], &[], &["1 to 63"]);
        for name in ["-a", "a-", "a_b", "a b", "ä"] {
            let flag = format!("--cluster-name={name}");
            check_refused(&[&flag], &[], &["is no cluster's name"]);
        }
    }
}
