//! The flags about what is written, to the cluster and to agent pools.
//!
//! May import: its siblings, domain, telemetry (for the writers' names). Invariant: nothing
//! writes unless it is named, and what is named has all that it needs.

use std::path::Path;

use super::{
    ClusterConfig, ConfigError, Environment,
    pool_writes::{PoolArgs, PoolWritesConfig},
    quantity,
};
use crate::telemetry::metrics::Writer;

/// The flags, as text.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct GuardArgs {
    /// What may write: busy-marks (on the pods of busy agents), direct-scale-up (raises Deployments
    /// whose trigger says directScaleUp), placeholders (keeps one for each profile in its agent
    /// pool), reaper (takes agents out of it whose pods are gone), events (on scaling objects, of
    /// what keeps them from scaling); unset: nothing is written.
    #[arg(long, env = "AZP_WRITERS", value_name = "NAMES")]
    writers: Option<String>,

    /// Whether all that would be written is only decided, logged and counted.
    #[arg(
        long,
        env = "AZP_DRY_RUN",
        value_name = "WHETHER",
        default_value = "false",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true
    )]
    dry_run: String,

    /// The Lease by which one of all replicas writes; unset: azp-scaler in the pod's namespace.
    #[arg(long, env = "AZP_LEASE", value_name = "NAMESPACE/NAME")]
    lease: Option<String>,

    /// Who this replica is in the Lease; unset: the host's name, which is the pod's.
    #[arg(long, env = "AZP_IDENTITY", value_name = "NAME")]
    identity: Option<String>,

    /// How many pods are marked a second at most.
    #[arg(
        long,
        env = "AZP_MARKS_PER_SECOND",
        value_name = "COUNT",
        default_value = "20"
    )]
    marks_per_second: String,

    #[command(flatten)]
    pools: PoolArgs,
}

/// What is written to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardConfig {
    /// What writes; at least one.
    pub writers: Vec<Writer>,
    /// Is all to be decided, logged and counted, and nothing written but the Lease?
    pub dry_run: bool,
    /// The namespace of the Lease.
    pub lease_namespace: Box<str>,
    /// Its name.
    pub lease_name: Box<str>,
    /// Who this replica is.
    pub identity: Box<str>,
    /// How many pods are marked a second at most.
    pub marks_per_second: u32,
    /// How agent pools are written to; `None` where they are not.
    pub pools: Option<PoolWritesConfig>,
}

/// What is known of where the program runs.
#[derive(Clone, Copy, Debug, Default)]
struct Place<'a> {
    namespace: Option<&'a str>,
    host: Option<&'a str>,
}

const LEASE_NAME: &str = "azp-scaler";

/// Kubernetes: where a pod reads its namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Linux: the host's name, which in a pod is the pod's.
const HOST_FILE: &str = "/proc/sys/kernel/hostname";

// === impl GuardArgs ===

impl GuardArgs {
    /// `None` only where a problem was noted; `Some(None)` where nothing writes.
    pub(super) fn read(
        &self,
        environment: &impl Environment,
        cluster: Option<&ClusterConfig>,
        problems: &mut ConfigError,
    ) -> Option<Option<GuardConfig>> {
        let namespace = line(NAMESPACE_FILE);
        let host = environment.variable("HOSTNAME").or_else(|| line(HOST_FILE));
        let place = Place {
            namespace: namespace.as_deref(),
            host: host.as_deref(),
        };
        self.read_at(place, cluster, problems)
    }

    fn read_at(
        &self,
        place: Place<'_>,
        cluster: Option<&ClusterConfig>,
        problems: &mut ConfigError,
    ) -> Option<Option<GuardConfig>> {
        let writers = problems.take("--writers", writers(self.writers.as_deref()));
        let dry_run = problems.take("--dry-run", truth(&self.dry_run));
        let marks = quantity::count(&self.marks_per_second, 1..=1000);
        let marks = problems.take("--marks-per-second", marks);
        let lease = self.lease.as_deref().map(lease).transpose();
        let lease = problems.take("--lease", lease);
        let identity = self.identity.as_deref().map(identity).transpose();
        let identity = problems.take("--identity", identity);
        let pools = self
            .pools
            .read(writers.as_deref().unwrap_or_default(), problems);
        if writers.as_ref()?.is_empty() {
            let (_, _, _, _, _) = (dry_run?, marks?, lease?, identity?, pools?);
            return Some(None);
        }
        if cluster.is_some_and(|cluster| cluster.access.is_none()) {
            let what = "needs the cluster, and there is none: give --kubeconfig, check \
                        automountServiceAccountToken of the pod and that --cluster is not off, \
                        or name no writers";
            problems.add("--writers", what);
        }
        let lease = lease?.or_else(|| Some((place.namespace?.into(), LEASE_NAME.into())));
        if lease.is_none() {
            let what = "is needed with --writers outside of a pod; write NAMESPACE/NAME, such as \
                        keda/azp-scaler";
            problems.add("--lease", what);
        }
        let identity = identity?.or_else(|| place.host.and_then(|host| identity_of(host).ok()));
        if identity.is_none() {
            let what = "is needed with --writers, since the host has no name; name this replica";
            problems.add("--identity", what);
        }
        let (lease_namespace, lease_name) = lease?;
        Some(Some(GuardConfig {
            writers: writers?,
            dry_run: dry_run?,
            lease_namespace,
            lease_name,
            identity: identity?,
            marks_per_second: u32::try_from(marks?).unwrap_or(u32::MAX),
            pools: pools?,
        }))
    }
}

fn line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(Path::new(path)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn writers(text: Option<&str>) -> Result<Vec<Writer>, String> {
    let mut writers = Vec::new();
    for name in text.unwrap_or_default().split(',').map(str::trim) {
        if name.is_empty() {
            continue;
        }
        let known = Writer::ALL.iter().find(|writer| writer.as_str() == name);
        let Some(writer) = known else {
            let all: Vec<_> = Writer::ALL.iter().map(|writer| writer.as_str()).collect();
            let (last, others) = all.split_last().unwrap_or((&"", &[]));
            let others = others.join(", ");
            return Err(format!(
                "{name:?} is no writer; there are {others} and {last}"
            ));
        };
        if !writers.contains(writer) {
            writers.push(*writer);
        }
    }
    Ok(writers)
}

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        other => Err(format!("{other:?} is neither true nor false")),
    }
}

fn lease(text: &str) -> Result<(Box<str>, Box<str>), String> {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let is_name = |name: &str| {
        let ends = [name.chars().next(), name.chars().last()];
        let ends = ends.iter().flatten().all(char::is_ascii_alphanumeric);
        (1..=253).contains(&name.len()) && name.chars().all(part) && ends
    };
    match text.split_once('/') {
        Some((namespace, name)) if is_name(namespace) && is_name(name) => {
            Ok((namespace.into(), name.into()))
        }
        _ => Err(format!(
            "{text:?} is no NAMESPACE/NAME of a Lease; write it such as keda/azp-scaler"
        )),
    }
}

fn identity(text: &str) -> Result<Box<str>, String> {
    identity_of(text).map_err(|()| {
        format!("{text:?} is no name; write 1 to 200 letters, digits, dashes and dots")
    })
}

fn identity_of(text: &str) -> Result<Box<str>, ()> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let is_name = (1..=200).contains(&text.len()) && text.chars().all(part);
    is_name.then(|| text.into()).ok_or(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser, builder::Resettable};

    use super::*;
    use crate::config::ClusterAccess;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: GuardArgs,
    }

    const POD: Place<'_> = Place {
        namespace: Some("keda"),
        host: Some("azp-scaler-7f9c-x1"),
    };

    fn read(
        flags: &[&str],
        place: Place<'_>,
        in_cluster: bool,
    ) -> Result<Option<GuardConfig>, ConfigError> {
        // The variables of whoever runs the tests must not decide them.
        let command = Program::command().mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.get_matches_from([&["azp-scaler"], flags].concat());
        let program = Program::from_arg_matches(&matches).unwrap();
        let mut problems = ConfigError::default();
        let cluster = ClusterConfig {
            access: in_cluster.then_some(ClusterAccess::InCluster),
            ..ClusterConfig::off()
        };
        let config = program.args.read_at(place, Some(&cluster), &mut problems);
        match config {
            Some(config) if problems.problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    #[track_caller]
    fn check_refused(flags: &[&str], place: Place<'_>, in_cluster: bool, expected: &[&str]) {
        let error = read(flags, place, in_cluster).unwrap_err();
        assert_eq!(error.problems().len(), expected.len(), "{error}");
        for (problem, part) in error.problems().iter().zip(expected) {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn nothing_writes_unless_it_is_named() {
        assert_eq!(read(&[], POD, true).unwrap(), None);
        assert_eq!(read(&["--writers="], POD, false).unwrap(), None);
        assert_eq!(read(&["--dry-run"], Place::default(), false).unwrap(), None);
    }

    #[test]
    fn what_is_named_has_what_it_needs() {
        let config = read(&["--writers=direct-scale-up, busy-marks"], POD, true);
        let expected = GuardConfig {
            writers: vec![Writer::DirectScaleUp, Writer::BusyMarks],
            dry_run: false,
            lease_namespace: "keda".into(),
            lease_name: "azp-scaler".into(),
            identity: "azp-scaler-7f9c-x1".into(),
            marks_per_second: 20,
            pools: None,
        };
        assert_eq!(config.unwrap().unwrap(), expected);
        let flags = [
            "--writers=busy-marks,busy-marks",
            "--dry-run",
            "--lease=ci/guard",
            "--identity=one",
            "--marks-per-second=5",
        ];
        let config = read(&flags, Place::default(), true).unwrap().unwrap();
        assert_eq!(config.writers, [Writer::BusyMarks]);
        assert!(config.dry_run);
        assert_eq!(
            (&*config.lease_namespace, &*config.lease_name),
            ("ci", "guard")
        );
        assert_eq!((&*config.identity, config.marks_per_second), ("one", 5));
    }

    #[test]
    fn every_problem_is_told_with_its_remedy() {
        check_refused(
            &["--writers=busy-mark"],
            POD,
            true,
            &[
                "--writers: \"busy-mark\" is no writer; there are busy-marks, direct-scale-up, placeholders, reaper and events",
            ],
        );
        check_refused(
            &["--writers=busy-marks"],
            POD,
            false,
            &["--writers: needs the cluster"],
        );
        check_refused(
            &["--writers=busy-marks"],
            Place::default(),
            true,
            &["--lease: is needed", "--identity: is needed"],
        );
        check_refused(
            &[
                "--writers=busy-marks",
                "--dry-run=maybe",
                "--marks-per-second=0",
                "--lease=Guard",
                "--identity=a b",
            ],
            POD,
            true,
            &[
                "\"maybe\"",
                "--marks-per-second",
                "\"Guard\" is no",
                "\"a b\"",
            ],
        );
    }
}
