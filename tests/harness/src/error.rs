//! What can go wrong with a cluster, each with what a reader needs to go on:
//! the name of the program, the end of its log, the remedy.

use std::path::PathBuf;
use std::time::Duration;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a cluster, or a question to it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program of the cluster has not been built.
    #[error("{name} is not there: looked for {path}; run make tools")]
    ToolMissing {
        /// Its name in `tools/build --list`.
        name: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// `tools/build --list` did not say where the programs are.
    #[error("tools/build --list failed: {0}")]
    ToolList(String),
    /// A program ended, or was not ready in time.
    #[error("{program} {what}; the end of its log:\n{log}")]
    Program {
        /// Which one.
        program: String,
        /// What it did, or failed to do.
        what: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// kubectl refused.
    #[error("kubectl {arguments} failed: {stderr}")]
    Kubectl {
        /// What it was asked.
        arguments: String,
        /// What it said.
        stderr: String,
    },
    /// Something awaited did not come.
    #[error("waited {} s for {what}; {state}", .waited.as_secs_f32())]
    Deadline {
        /// What was awaited.
        what: String,
        /// How long.
        waited: Duration,
        /// What was seen instead: the objects and the ends of KEDA's logs.
        state: String,
    },
    /// An answer that is not what this crate can read.
    #[error("{what}: {answer:?} is not what was expected")]
    Answer {
        /// Whose answer.
        what: String,
        /// The answer.
        answer: String,
    },
    /// The directory belongs to something else.
    #[error("{0} is not empty and not a cluster's directory; name another one with --dir")]
    ForeignDirectory(PathBuf),
    /// Somebody else's cluster is in the directory.
    #[error(
        "a cluster is starting or running in {0}; end it by azp-cluster down with the same --dir, or name another directory"
    )]
    DirectoryTaken(PathBuf),
    /// A cluster's keeper could not remove everything.
    #[error(
        "what a cluster left in {0} cannot be removed: something is mounted or written there, or the disk refuses; see what is in it and in /proc/mounts, then run azp-cluster down with the same --dir"
    )]
    Uncleared(PathBuf),
    /// A certificate could not be made.
    #[error("making a certificate failed: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A cluster with a node did not come to its end of starting.
    #[error("{why}\nwhat there was:\n{state}")]
    Start {
        /// What failed.
        why: String,
        /// The node, its pods, the events and the ends of the logs.
        state: String,
    },
    /// containerd refused.
    #[error("ctr {arguments} failed: {stderr}")]
    Containerd {
        /// What it was asked.
        arguments: String,
        /// What it said.
        stderr: String,
    },
    /// A node is started by root alone.
    #[error(
        "a node needs root: it mounts and makes links; start as root, or without a node (--no-node)"
    )]
    NotRoot,
    /// A program that the system brings is not there.
    #[error(
        "{program} is not on the PATH, and a node needs it: install the package {package} (apt-get install {package}), or start without a node (--no-node)"
    )]
    SystemProgramMissing {
        /// Which one.
        program: &'static str,
        /// Debian's package of it.
        package: &'static str,
    },
    /// All places of nodes are taken.
    #[error(
        "no place for another node: each of 10.200.0.0/16 to 10.215.0.0/16 belongs to a running node, or is routed elsewhere by a route of its own or a broader one such as 10.0.0.0/8 (ip route show table all match 10.200.0.0/16); stop a node, leave the VPN, or start without a node (--no-node)"
    )]
    NoPlace,
    /// What a killed run left cannot be removed.
    #[error(
        "what a killed node left cannot be removed: its processes are those in the cgroups named {0}; end them and start again"
    )]
    Leftover(String),
    /// A node cannot have its files there.
    #[error(
        "a node cannot have its files in {directory}: {why}; name another directory with --dir"
    )]
    UnfitDirectory {
        /// Where they were to be.
        directory: PathBuf,
        /// Why not.
        why: String,
    },
    /// A node would not find a program of its own.
    #[error(
        "a node cannot start {name} at {path}: it has a {covered} of its own; set AZP_TOOLS_DIR to another place and run make tools, or start without a node (--no-node)"
    )]
    CoveredTool {
        /// Its name in `tools/build --list`.
        name: String,
        /// Where it lies.
        path: PathBuf,
        /// What the node puts others over.
        covered: &'static str,
    },
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The refusal.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether a program found its port taken: between the moment a port was
    /// found free and the moment it is bound, anybody can take it.
    pub(crate) fn is_port_taken(&self) -> bool {
        let said = match self {
            Error::Program { log, .. } => log,
            Error::Start { why, .. } => why,
            _ => return false,
        };
        said.contains("address already in use")
    }
}

/// Adds what was being done to a refusal of the system.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io {
            what: what(),
            source,
        })
    }
}
