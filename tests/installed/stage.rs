//! The stage: a cluster with a node, the emulator in it, and helm beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use azp_harness::{Cluster, NodeOptions, Options, Tools};
use tempfile::TempDir;

use super::{
    Failure, Outcome, SOON,
    built_images::Built,
    charts::{self, Change},
    emulator::Emulator,
};

/// The pool of both profiles.
pub(crate) const POOL: &str = "builds";
/// The emulator, as pods reach it.
pub(crate) const EMULATOR: &str = "http://emulator.azure.svc:8100";
/// The scaler's release and its namespace.
pub(crate) const SCALER: &str = "azp-scaler";
/// The agents' release and its namespace.
pub(crate) const AGENTS: &str = "agents";
/// The image whose emulator the cluster runs: the one that is tried.
const IMAGE: &str = concat!("ghcr.io/azp-scaler/azp-scaler:", env!("CARGO_PKG_VERSION"));

pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) emulator: Emulator,
    /// The only token that the organization takes.
    pub(crate) token: String,
    helm: PathBuf,
    /// helm's caches, and files of values.
    pub(crate) folder: TempDir,
}

impl Stage {
    pub(crate) fn start() -> Result<Stage, Failure> {
        let began = Instant::now();
        let built = Built::make()?;
        told("both images are built", began);
        let cluster = Cluster::start(&Options {
            hpa_sync_period: Duration::from_secs(2),
            node: Some(NodeOptions {
                images: vec![built.scaler, built.agent],
                emulator: Some(IMAGE.to_owned()),
            }),
            ..Options::default()
        })?;
        let node = cluster.node().ok_or("the cluster has no node")?;
        let emulator = Emulator::at(&node.emulator_url().ok_or("no emulator runs")?);
        let token = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        emulator.add_pool(POOL)?;
        emulator.set_token(&token)?;
        for namespace in [SCALER, AGENTS] {
            cluster.kubectl(&["create", "namespace", namespace])?;
            // What both charts promise holds where it is enforced.
            let enforce = "pod-security.kubernetes.io/enforce=restricted";
            cluster.kubectl(&["label", "namespace", namespace, enforce])?;
            // The controllers' own objects come a moment after a namespace.
            for own in ["serviceaccount/default", "configmap/kube-root-ca.crt"] {
                let of = format!("--namespace={namespace}");
                cluster.kubectl(&["wait", "--for=create", own, &of, "--timeout=60s"])?;
            }
        }
        Ok(Stage {
            emulator,
            token,
            helm: Tools::locate()?.path("helm")?.to_owned(),
            folder: tempfile::tempdir()?,
            cluster,
        })
    }

    /// Installs both charts, or upgrades them, as a person does: one after the other.
    pub(crate) fn install(&self, change: Change) -> Outcome {
        for (release, values) in [
            (SCALER, charts::scaler(self, change)),
            (AGENTS, charts::agents(self, change)),
        ] {
            let file = self.folder.path().join(format!("{release}.json"));
            fs::write(&file, values.to_string())?;
            let chart = charts::path(release);
            let (chart, file) = (chart.display().to_string(), file.display().to_string());
            self.helm(&[
                "upgrade",
                "--install",
                release,
                &chart,
                "--namespace",
                release,
                "--values",
                &file,
                "--wait",
                "--timeout",
                "3m",
            ])?;
        }
        Ok(())
    }

    /// Runs helm and gives what it printed.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<String, Failure> {
        let home = self.folder.path();
        let output = Command::new(&self.helm)
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", home)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        Err(format!(
            "helm {}: {}{said}\n{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr),
            self.state()
        )
        .into())
    }

    /// Asks again and again until it is so; fails with the state of everything.
    pub(crate) fn until(
        &self,
        what: &str,
        within: Duration,
        mut is: impl FnMut() -> Result<bool, Failure>,
    ) -> Outcome {
        let seen = || match is() {
            Ok(true) => Ok(Some(())),
            Ok(false) => Ok(None),
            Err(error) => Err(azp_harness::Error::Answer {
                what: what.to_owned(),
                answer: format!("{error:?}"),
            }),
        };
        self.cluster
            .until(AGENTS, what, within, seen)
            .map_err(|error| format!("{error}\n{}", self.state()).into())
    }

    /// Waits until no pod of an agent and no agent but the placeholders is there.
    pub(crate) fn until_no_agents(&self) -> Outcome {
        self.until("the agents to be gone", SOON, || {
            let pods = self.pods(AGENTS)?;
            let agents = self.emulator.pool(POOL)?.agents;
            Ok(pods.is_empty() && agents == 2)
        })
    }

    /// The names of a namespace's pods.
    pub(crate) fn pods(&self, namespace: &str) -> Result<Vec<String>, Failure> {
        let namespace = format!("--namespace={namespace}");
        let said = self
            .cluster
            .kubectl(&["get", "pods", &namespace, "--output=name"])?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// What a reader of a failure needs beside the cluster's own account.
    fn state(&self) -> String {
        let mut text = String::new();
        for question in [
            &["get", "pods", "--all-namespaces", "--output=wide"][..],
            &[
                "get",
                "events",
                "--namespace",
                SCALER,
                "--sort-by=.lastTimestamp",
            ],
            &[
                "get",
                "events",
                "--namespace",
                AGENTS,
                "--sort-by=.lastTimestamp",
            ],
            &[
                "logs",
                "--namespace",
                SCALER,
                "--selector=app.kubernetes.io/name=azp-scaler",
                "--tail=30",
            ],
            &[
                "logs",
                "--namespace",
                AGENTS,
                "--selector=app.kubernetes.io/name=azp-agent",
                "--tail=30",
            ],
        ] {
            text += &format!("$ kubectl {}\n", question.join(" "));
            text += &self
                .cluster
                .kubectl(question)
                .unwrap_or_else(|error| error.to_string());
        }
        text
    }
}

/// The path of a file of the tree.
pub(crate) fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Prints how long a chapter took.
pub(crate) fn told(what: &str, since: Instant) {
    println!("{:6.1} s: {what}", since.elapsed().as_secs_f32());
}
