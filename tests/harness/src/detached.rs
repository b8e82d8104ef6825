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
use crate::keeper::{Keeper, is_empty, marker};

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
                let Some(answer) = self.holder().doing(what)? else {
                    return self.state();
                };
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

    /// What the holder of the mark wrote into it; nothing when it is gone.
    fn holder(&self) -> std::io::Result<Option<String>> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match fs::read_to_string(marker(&self.directory)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                // Whoever has just locked it is about to write.
                Ok(text) if text.is_empty() && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                read => return read.map(Some),
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
    /// When the owner does not end within a minute, or something cannot be
    /// removed.
    pub fn down(&self) -> Result<State> {
        let state = self.state()?;
        match state {
            State::Absent => return Ok(state),
            State::Leftover => {}
            State::Running(owner) => self.end(owner)?,
        }
        // The owner's keeper is at work, or gave up, or was killed as well:
        // another one waits for it and does the rest.
        Keeper::clear_leftovers(&self.directory)?;
        self.until(&format!("{} to be gone", self.directory.display()), || {
            Ok(!self.directory.exists())
        })?;
        Ok(state)
    }

    /// Ends an owner, and waits until it holds the mark no more.
    fn end(&self, owner: u32) -> Result<()> {
        Command::new("kill")
            .arg(owner.to_string())
            .status()
            .doing(|| format!("ending the process {owner}"))?;
        self.until(&format!("the process {owner} to end"), || {
            Ok(self.state()? != State::Running(owner))
        })
    }

    /// What it waits for is done by processes that are no children of this one:
    /// nobody can wait for them, only for what they do.
    fn until(&self, what: &str, mut seen: impl FnMut() -> Result<bool>) -> Result<()> {
        let within = Duration::from_secs(60);
        let deadline = Instant::now() + within;
        while !seen()? {
            if Instant::now() > deadline {
                return Err(Error::Deadline {
                    what: what.to_owned(),
                    waited: within,
                    state: "it is still there".to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds the mark as a cluster's owner does, and has no keeper.
    const HOLDER: &str = r#"
        mkdir -p "$0/pids" && exec 8<>"$0/.azp-cluster" && flock 8
        printf $$ >"$0/.azp-cluster"
        echo 'step: holding'; echo ready; exec sleep 1000 >&-"#;

    #[test]
    fn down_clears_up_when_the_keeper_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("cluster");
        let cluster = Detached::new(&directory);
        assert_eq!(cluster.state().unwrap(), State::Absent);
        let mut holder = Command::new("bash");
        holder.args(["-c", HOLDER]).arg(&directory);
        let mut steps = Vec::new();
        cluster
            .up(holder, |step| steps.push(step.to_owned()))
            .unwrap();
        assert_eq!(steps, ["holding"]);
        fs::write(directory.join("tokens.csv"), "secret").unwrap();

        let begun = Instant::now();
        let was = cluster.down().unwrap();
        assert!(matches!(was, State::Running(_)), "{was:?}");
        assert!(!directory.exists());
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
