//! A cluster that outlives the command that started it, for a person.
//!
//! `up` starts a second process of the same program, which starts the cluster
//! and holds it; `down` ends that process, and the keeper does the rest. The
//! directory is the only thing that the two share: its mark is locked by the
//! holder, so a killed one is told apart from a running one without guessing.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Result};
use crate::process::{Keeper, is_empty, marker};

/// The last line of a holder whose cluster is ready.
pub const READY: &str = "ready";

/// How a line begins in which a holder tells what it is at.
pub const STEP: &str = "step: ";

/// What lies in the directory of a detached cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// A cluster, held by this process.
    Running(u32),
    /// What a killed cluster left.
    Leftover,
}

/// A cluster in a fixed directory.
#[derive(Debug, Clone)]
pub struct Detached {
    directory: PathBuf,
}

impl Detached {
    /// The cluster in `directory`, running or not.
    pub fn new(directory: &Path) -> Detached {
        Detached {
            directory: directory.to_owned(),
        }
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is there now.
    ///
    /// # Errors
    /// When the directory belongs to something else.
    pub fn state(&self) -> Result<State> {
        let what = || format!("looking at {}", self.directory.display());
        let mark = match File::open(marker(&self.directory)) {
            Ok(mark) => mark,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return match is_empty(&self.directory) {
                    true => Ok(State::Absent),
                    false => Err(Error::ForeignDirectory(self.directory.clone())),
                };
            }
            Err(error) => return Err(error).doing(what),
        };
        match mark.try_lock() {
            Ok(()) => Ok(State::Leftover),
            Err(TryLockError::Error(error)) => Err(error).doing(what),
            Err(TryLockError::WouldBlock) => {
                let answer = fs::read_to_string(marker(&self.directory)).doing(what)?;
                // Not the owner, who is dead: its keeper is at work.
                if answer.starts_with("ending") {
                    return Ok(State::Leftover);
                }
                let owner = answer.trim().parse();
                owner.map(State::Running).map_err(|_| Error::Answer {
                    what: what(),
                    answer,
                })
            }
        }
    }

    /// Clears what a killed cluster left, then runs `holder` (this program, with
    /// the arguments that make it hold a cluster) and waits until it says
    /// [`READY`]. `progress` is told the rest of every line that begins with
    /// [`STEP`].
    ///
    /// # Errors
    /// With what the holder said when it ends before that.
    pub fn up(&self, mut holder: Command, mut progress: impl FnMut(&str)) -> Result<()> {
        if self.state()? == State::Leftover {
            Keeper::clear_leftovers(&self.directory)?;
        }
        let what = || "starting the cluster's holder".to_owned();
        let mut child = holder
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Whatever the holder keeps open, its starter's reader waits for:
            // `make cluster | cat` has to come to its end.
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .doing(what)?;
        let mut said = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
                if line == READY {
                    return Ok(());
                }
                match line.strip_prefix(STEP) {
                    Some(step) => progress(step),
                    None => said.push(line),
                }
            }
        }
        let status = child.wait().doing(what)?;
        Err(Error::Program {
            program: "the cluster's holder".to_owned(),
            what: format!("ended with {status}"),
            log: said.join("\n"),
        })
    }

    /// Ends the cluster and waits until its directory is gone. Gives what was
    /// there.
    ///
    /// # Errors
    /// When it is still there after five minutes.
    pub fn down(&self) -> Result<State> {
        let state = self.state()?;
        match state {
            State::Absent => return Ok(state),
            State::Leftover => Keeper::clear_leftovers(&self.directory)?,
            State::Running(owner) => {
                let what = || format!("ending the process {owner}");
                Command::new("kill")
                    .arg(owner.to_string())
                    .status()
                    .doing(what)?;
            }
        }
        // A second, unless a node's images are on a disk that is busy.
        let within = Duration::from_secs(300);
        let deadline = Instant::now() + within;
        // The keeper is a child of a process that is gone: nobody can wait for
        // it, only for what it does.
        while self.directory.exists() {
            if Instant::now() > deadline {
                return Err(Error::Deadline {
                    what: format!("{} to be gone", self.directory.display()),
                    waited: within,
                    state: "it is still there".to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(state)
    }
}
