//! The flags about the cluster that the scaler runs in, or looks at.
//!
//! May import: its siblings, domain. Invariant: there is a way to the cluster, or it is
//! said that there is none; which of the two does not depend on whether the
//! apiserver can be reached.

use std::{collections::BTreeSet, path::PathBuf};

use super::{ConfigError, Environment, Process};
use crate::domain::declared::ScalerAddress;

/// The flags, as text.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// Whether the scaling objects are read in the cluster: auto (where there is a service account
    /// or --kubeconfig), off, or required (nothing is guessed until they have been read).
    #[arg(
        long,
        env = "AZP_CLUSTER",
        value_name = "WHETHER",
        default_value = "auto"
    )]
    cluster: String,

    /// How to reach the apiserver from outside of the cluster; instead of the service account.
    #[arg(long, env = "AZP_KUBECONFIG", value_name = "PATH")]
    kubeconfig: Option<PathBuf>,

    /// The namespaces that are watched, such as ci,build; unset: all. Then a Role in each is
    /// enough.
    #[arg(long, env = "AZP_NAMESPACES", value_name = "NAMES")]
    namespaces: Option<String>,

    /// The addresses under which triggers name this scaler in scalerAddress, such as
    /// azp-scaler.keda:9090; unset: they are learnt from calls, which takes --learn after each start.
    #[arg(long, env = "AZP_SCALER_ADDRESS", value_name = "HOST:PORT,...")]
    scaler_address: Option<String>,
}

/// What is to be known of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The way there; `None` to do without.
    pub access: Option<ClusterAccess>,
    /// Is nothing to be answered by guess while the cluster has not told?
    pub required: bool,
    /// The namespaces that are watched; `None` for all.
    pub namespaces: Option<BTreeSet<Box<str>>>,
    /// This scaler's addresses in triggers; learnt from calls where it is empty.
    pub addresses: BTreeSet<ScalerAddress>,
}

/// A way to the apiserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterAccess {
    /// As the pod's service account.
    InCluster,
    /// As the current context of this file says.
    Kubeconfig(PathBuf),
}

/// Kubernetes: where the token of a pod's service account is.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Kubernetes: in every pod, the apiserver's address.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";

// === impl ClusterArgs ===

impl ClusterArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// Every problem at once, each with its flag and a remedy.
    pub fn resolve(&self) -> Result<ClusterConfig, ConfigError> {
        let mut problems = ConfigError::default();
        self.read(&Process, &mut problems).ok_or(problems)
    }

    /// As [`Self::resolve`], beside other flags. `None` only where a problem was noted.
    pub(super) fn read(
        &self,
        environment: &impl Environment,
        problems: &mut ConfigError,
    ) -> Option<ClusterConfig> {
        let in_pod = environment.variable(SERVICE_HOST).is_some()
            && std::path::Path::new(TOKEN_FILE).exists();
        self.read_where(in_pod, problems)
    }

    fn read_where(&self, in_pod: bool, problems: &mut ConfigError) -> Option<ClusterConfig> {
        let namespaces = self.namespaces.as_deref().map(namespaces).transpose();
        let namespaces = problems.take("--namespaces", namespaces);
        let addresses = self.scaler_address.as_deref().map(addresses).transpose();
        let addresses = problems.take("--scaler-address", addresses);
        let access = problems.take("--cluster", self.access(in_pod));
        Some(ClusterConfig {
            access: access?,
            required: self.cluster == "required",
            namespaces: namespaces?,
            addresses: addresses?.unwrap_or_default(),
        })
    }

    fn access(&self, in_pod: bool) -> Result<Option<ClusterAccess>, String> {
        let file = self.kubeconfig.clone().map(ClusterAccess::Kubeconfig);
        let found = file.or_else(|| in_pod.then_some(ClusterAccess::InCluster));
        match (self.cluster.as_str(), found) {
            ("off", _) => Ok(None),
            ("auto", found) => Ok(found),
            ("required", Some(found)) => Ok(Some(found)),
            ("required", None) => Err(format!(
                "is required, but there is neither a service account ({TOKEN_FILE}) nor \
                 --kubeconfig; check automountServiceAccountToken of the pod"
            )),
            (other, _) => Err(format!(
                "{other:?} is none of its values; write auto, off or required"
            )),
        }
    }
}

// === impl ClusterConfig ===

impl ClusterConfig {
    /// No cluster.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            access: None,
            required: false,
            namespaces: None,
            addresses: BTreeSet::new(),
        }
    }
}

/// Kubernetes: a namespace is a DNS label.
fn namespaces(text: &str) -> Result<BTreeSet<Box<str>>, String> {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let names = parts(text, "such as ci,build")?;
    for name in &names {
        if name.len() > 63
            || !name.chars().all(part)
            || name.starts_with('-')
            || name.ends_with('-')
        {
            return Err(format!("{name:?} cannot be the name of a namespace"));
        }
    }
    Ok(names)
}

/// What KEDA dials, by any of the names of the service.
fn addresses(text: &str) -> Result<BTreeSet<ScalerAddress>, String> {
    let addresses = parts(text, "such as azp-scaler.keda:9090")?;
    for address in &addresses {
        let port = address.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse::<u16>().ok()?;
            (!host.is_empty() && !host.contains('/')).then_some(port)
        });
        if port.is_none_or(|port| port == 0) {
            return Err(format!(
                "{address:?} is no HOST:PORT; write it as scalerAddress has it, such as azp-scaler.keda:9090"
            ));
        }
    }
    Ok(addresses
        .iter()
        .map(|address| (&**address).into())
        .collect())
}

fn parts(text: &str, example: &str) -> Result<BTreeSet<Box<str>>, String> {
    let parts: BTreeSet<Box<str>> = text.split(',').map(|part| part.trim().into()).collect();
    match parts.contains("") {
        true => Err(format!(
            "{text:?} has an empty part; write names with commas between, {example}"
        )),
        false => Ok(parts),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser, builder::Resettable};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: ClusterArgs,
    }

    fn read(flags: &[&str], in_pod: bool) -> Result<ClusterConfig, ConfigError> {
        // The variables of whoever runs the tests must not decide them.
        let command = Program::command().mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.get_matches_from([&["azp-scaler"], flags].concat());
        let program = Program::from_arg_matches(&matches).unwrap();
        let mut problems = ConfigError::default();
        let config = program.args.read_where(in_pod, &mut problems);
        config.ok_or(problems)
    }

    #[track_caller]
    fn check(flags: &[&str], in_pod: bool, expected: Option<&ClusterAccess>) {
        let access = read(flags, in_pod).unwrap().access;
        assert_eq!(access.as_ref(), expected, "{flags:?}");
    }

    #[track_caller]
    fn check_refused(flags: &[&str], expected: &[&str]) {
        let error = read(flags, false).unwrap_err();
        assert_eq!(error.problems().len(), expected.len(), "{error}");
        for (problem, part) in error.problems().iter().zip(expected) {
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn there_is_a_way_to_the_cluster_or_it_is_done_without() {
        let file = ClusterAccess::Kubeconfig("k".into());
        Program::command().debug_assert();
        check(&[], false, None);
        check(&[], true, Some(&ClusterAccess::InCluster));
        check(&["--kubeconfig=k"], false, Some(&file));
        check(&["--kubeconfig=k"], true, Some(&file));
        check(&["--kubeconfig=k", "--cluster=off"], true, None);
        check(
            &["--cluster=required"],
            true,
            Some(&ClusterAccess::InCluster),
        );
        check(
            &["--cluster=required", "--kubeconfig=k"],
            false,
            Some(&file),
        );
    }

    #[test]
    fn lists_are_read() {
        let flags = [
            "--namespaces=ci, build",
            "--scaler-address=azp-scaler.keda:9090,[::1]:9",
        ];
        let config = read(&flags, false).unwrap();
        assert_eq!(
            config.namespaces,
            Some(["build".into(), "ci".into()].into())
        );
        let addresses = ["[::1]:9".into(), "azp-scaler.keda:9090".into()];
        assert_eq!(config.addresses, addresses.into());
        let config = read(&[], false).unwrap();
        assert_eq!((config.namespaces, config.addresses.len()), (None, 0));
    }

    #[test]
    fn every_problem_is_told() {
        check_refused(&["--cluster=on"], &["\"on\" is none of its values"]);
        check_refused(&["--cluster=required"], &["neither a service account"]);
        check_refused(
            &[
                "--cluster=on",
                "--namespaces=ci,",
                "--scaler-address=azp-scaler",
            ],
            &[
                "--namespaces: \"ci,\" has an empty part",
                "--scaler-address: \"azp-scaler\" is no",
                "--cluster",
            ],
        );
        for namespaces in ["--namespaces=CI", "--namespaces=a/b", "--namespaces=-a"] {
            check_refused(&[namespaces], &["cannot be the name of a namespace"]);
        }
        for address in [
            "--scaler-address=http://a:1",
            "--scaler-address=:1",
            "--scaler-address=a:0",
        ] {
            check_refused(&[address], &["is no HOST:PORT"]);
        }
    }
}
