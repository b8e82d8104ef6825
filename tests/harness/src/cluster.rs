//! A cluster as its user sees it: start it, ask it, stop it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::control_plane;
use crate::error::{Doing, Error, Result};
use crate::keeper::Keeper;
use crate::kubectl::Kubectl;
use crate::kwok::KwokOptions;
use crate::node::{Node, NodeOptions};
use crate::process::{Process, log_tail};
use crate::start::Parts;
use crate::tools::Tools;
use crate::watch::{Lines, Watch};

/// How a cluster is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often the HPA looks. Kubernetes' default is 15 s, which people have
    /// and figures are measured with; tests take 2 s.
    pub hpa_sync_period: Duration,
    /// Where its files lie while it runs; a new directory under the system's
    /// temporary one when `None`. Must be absent or empty, or be what a killed
    /// cluster left, which is cleared.
    pub directory: Option<PathBuf>,
    /// Whether KEDA runs: as pods where there is a node, else as processes.
    /// Without it there are its kinds, and nobody who acts on them.
    pub keda: bool,
    /// The node, if there is to be one. Without it pods stay Pending, and the
    /// start takes a third of the time.
    pub node: Option<NodeOptions>,
    /// Nodes that run no process, if there are to be any; beside a real node or
    /// without one.
    pub kwok: Option<KwokOptions>,
    /// Is told what the start is at.
    pub progress: fn(&str),
}

impl Default for Options {
    fn default() -> Options {
        Options {
            hpa_sync_period: Duration::from_secs(15),
            directory: None,
            keda: true,
            node: None,
            kwok: None,
            progress: |_| {},
        }
    }
}

/// A running cluster. Dropping it ends and removes all of it.
#[derive(Debug)]
pub struct Cluster {
    // Dropped, and so killed, before the keeper removes the directory.
    parts: Parts,
    kubectl: Kubectl,
    keeper: Keeper,
}

/// How often a start is tried when somebody else took one of its ports.
const TRIES: u32 = 3;

impl Cluster {
    /// Starts a cluster and waits until the HPA can read KEDA's metrics.
    ///
    /// # Errors
    /// When a program is missing (`make tools`), ends or is not ready in time.
    pub fn start(options: &Options) -> Result<Cluster> {
        let tools = Tools::locate()?;
        let mut tried = 1;
        loop {
            match Cluster::start_once(options, &tools) {
                Err(error) if error.is_port_taken() && tried < TRIES => tried += 1,
                other => return other,
            }
        }
    }

    fn start_once(options: &Options, tools: &Tools) -> Result<Cluster> {
        let directory = match &options.directory {
            Some(directory) => directory.clone(),
            None => tempfile::Builder::new()
                .prefix("azp-cluster-")
                .tempdir()
                .doing(|| "making a temporary directory".to_owned())?
                .keep(),
        };
        let keeper = Keeper::take(&directory)?;
        if options.node.is_some() {
            Node::check_machine(keeper.directory(), tools)?;
        }
        let kubectl = Kubectl::new(tools.path("kubectl")?, keeper.directory());
        // From here on a failure drops the cluster, and with it what has started.
        let mut cluster = Cluster {
            parts: Parts::default(),
            kubectl,
            keeper,
        };
        let directory = cluster.keeper.directory();
        cluster
            .parts
            .start(options, tools, directory, &cluster.kubectl)?;
        Ok(cluster)
    }

    /// The file for `KUBECONFIG`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory().join("kubeconfig")
    }

    /// The node, if the cluster was started with one.
    pub fn node(&self) -> Option<&Node> {
        self.parts.node.as_ref()
    }

    /// The addresses of the pods that a selector such as `app=agent` names; those
    /// that have none yet are left out. This machine reaches them.
    ///
    /// # Errors
    /// With kubectl's own message when it refuses.
    pub fn pod_ips(&self, namespace: &str, selector: &str) -> Result<Vec<String>> {
        let answer = self.kubectl(&[
            "get",
            "pods",
            &format!("--namespace={namespace}"),
            &format!("--selector={selector}"),
            "--output=jsonpath={.items[*].status.podIP}",
        ])?;
        Ok(answer.split_whitespace().map(str::to_owned).collect())
    }

    /// Where the cluster's files are; its logs under `logs/`.
    pub fn directory(&self) -> &Path {
        self.keeper.directory()
    }

    /// Runs kubectl and gives what it printed.
    ///
    /// # Errors
    /// With kubectl's own message when it refuses.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.kubectl.run(arguments, "")
    }

    /// Applies objects, given as YAML.
    ///
    /// # Errors
    /// With kubectl's own message when it refuses.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        self.kubectl
            .run(&["apply", "--server-side", "--filename=-"], yaml)
            .map(|_| ())
    }

    /// The `spec.replicas` of a Deployment now.
    ///
    /// # Errors
    /// When there is no such Deployment.
    pub fn replicas(&self, namespace: &str, deployment: &str) -> Result<u32> {
        let answer = self.kubectl(&[
            "get",
            "deployment",
            deployment,
            &format!("--namespace={namespace}"),
            "--output=jsonpath={.spec.replicas}",
        ])?;
        answer.trim().parse().map_err(|_| Error::Answer {
            what: format!("the replicas of {namespace}/{deployment}"),
            answer,
        })
    }

    /// Watches the `spec.replicas` of a Deployment, which must be there.
    ///
    /// # Errors
    /// When the watch does not begin.
    pub fn watch_replicas(&self, namespace: &str, deployment: &str) -> Result<Watch<'_>> {
        Watch::begin(self, namespace, deployment)
    }

    /// Watches the objects of a kind, such as `pods`, in a namespace; each line
    /// reads as an [`Event`](crate::Event) or as nothing.
    ///
    /// # Errors
    /// When kubectl cannot be started.
    pub fn watch_names(&self, kind: &str, namespace: &str) -> Result<Lines> {
        self.watch(&[
            "get",
            kind,
            &format!("--namespace={namespace}"),
            "--watch",
            "--output-watch-events",
            r#"--output=jsonpath={.type} {.object.metadata.name}{"\n"}"#,
        ])
    }

    /// Starts a kubectl that goes on printing.
    ///
    /// # Errors
    /// When kubectl cannot be started.
    pub fn watch(&self, arguments: &[&str]) -> Result<Lines> {
        self.kubectl.start(arguments).map(Lines::new)
    }

    /// Starts a program of the test's own beside the cluster: its log lies with
    /// the others, and it ends with the cluster at the latest. `name` must be
    /// used once; [`Cluster::explain`] shows the logs of names that end in a
    /// `-` and the namespace. Of the environment it gets PATH and `environment`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(
        &self,
        name: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Process> {
        Process::start(self.directory(), name, program, arguments, environment)
    }

    /// Asks `seen` every 100 ms until it gives something. For states outside of
    /// the cluster; a change inside is awaited with a watch.
    ///
    /// # Errors
    /// What `seen` fails with, or [`Error::Deadline`] with the state of the
    /// namespace and the ends of KEDA's logs.
    pub fn until<T>(
        &self,
        namespace: &str,
        what: &str,
        within: Duration,
        mut seen: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(value) = seen()? {
                return Ok(value);
            }
            if Instant::now() > deadline {
                return Err(Error::Deadline {
                    what: what.to_owned(),
                    waited: within,
                    state: self.explain(namespace),
                });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What a reader of a failed test needs: the objects of a namespace, its
    /// events, and the ends of the logs of KEDA, of the HPA's controller and of
    /// the namespace's own programs.
    pub fn explain(&self, namespace: &str) -> String {
        let in_namespace = format!("--namespace={namespace}");
        let questions: [&[&str]; 2] = [
            &[
                "get",
                "deployment,scaledobject,hpa,scaledjob,job",
                "--output=wide",
                &in_namespace,
            ],
            &[
                "get",
                "events",
                "--sort-by=.lastTimestamp",
                // Said of every pod, since there is no node.
                "--field-selector=reason!=FailedScheduling",
                &in_namespace,
            ],
        ];
        let mut text = String::from("the cluster now:\n");
        for question in questions {
            text += &self
                .kubectl(question)
                .unwrap_or_else(|error| format!("{error}\n"));
        }
        let own = format!("-{namespace}");
        let told = ["keda-operator", "keda-adapter", "kube-controller-manager"];
        for (name, path) in self.logs() {
            if told.contains(&name.as_str()) || name.ends_with(&own) {
                text += &format!("the end of {name}'s log:\n{}\n", log_tail(&path));
            }
        }
        text
    }

    /// The logs by the names of their programs.
    fn logs(&self) -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(self.directory().join("logs"));
        let paths = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        let name = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
        let mut logs: Vec<_> = paths
            .filter_map(|path| Some((name(&path)?, path)))
            .collect();
        logs.sort();
        logs
    }

    /// Fails when one of the cluster's programs has ended.
    ///
    /// # Errors
    /// With the program's name and the end of its log.
    pub fn check(&self) -> Result<()> {
        self.node().map_or(Ok(()), Node::check)?;
        self.parts.programs.iter().try_for_each(Process::check)
    }

    /// Kills the apiserver; all the others stay, and miss it.
    ///
    /// # Errors
    /// When there is none.
    pub fn stop_api_server(&self) -> Result<()> {
        self.program(control_plane::API_SERVER).map(Process::kill)
    }

    /// Starts it again, on the same port, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, or not in time.
    pub fn start_api_server(&self) -> Result<()> {
        let api_server = self.program(control_plane::API_SERVER)?;
        api_server.start_again()?;
        control_plane::until_ready(api_server, &self.kubectl)
    }

    /// One of the cluster's programs that run beside it, such as `keda-operator`
    /// where there is no real node: to be killed and started again.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn program(&self, name: &str) -> Result<&Process> {
        let mut programs = self.parts.programs.iter();
        let found = programs.find(|program| program.name() == name);
        found.ok_or_else(|| Error::Answer {
            what: "the cluster's programs".to_owned(),
            answer: format!("no {name}"),
        })
    }

    /// Ends all programs and removes all files, and returns when that is done.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(std::mem::take(&mut self.parts));
        self.keeper.end();
    }
}
