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
    /// A certificate could not be made.
    #[error("making a certificate failed: {0}")]
    Certificate(#[from] rcgen::Error),
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
        matches!(self, Error::Program { log, .. } if log.contains("address already in use"))
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
