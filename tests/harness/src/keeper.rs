//! The keeper of a cluster's directory, which ends and removes what is in it.
//!
//! Imports no other part of a cluster. The keeper (`keeper.sh`) holds the other
//! end of a pipe: when the owner is gone, it kills what the notes of processes
//! name and removes the directory. So no signal, no panic and no `static` that is
//! never dropped can leave anything behind. The invariant: a directory has one
//! owner at a time, which holds the lock of the mark in it.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::error::{Doing, Error, Result};

const KEEPER: &str = concat!(include_str!("node/clear.sh"), include_str!("keeper.sh"));
/// The name of the file by which a cluster's directory is known.
const MARK: &str = ".azp-cluster";
/// The keeper's status when somebody holds the directory.
const OWNER_LIVES: i32 = 2;

/// The directory of a cluster and the keeper that ends it.
#[derive(Debug)]
pub(crate) struct Keeper {
    directory: PathBuf,
    /// Taken at the end; the keeper acts when it is closed.
    pipe: Option<ChildStdin>,
    child: Child,
    /// Locked as long as the owner lives, so that anybody can see that it does;
    /// the keeper wants the lock in its turn.
    mark: Option<File>,
}

impl Keeper {
    /// Puts an empty or absent directory under a keeper. What a killed cluster
    /// left in it is cleared first.
    pub(crate) fn take(directory: &Path) -> Result<Keeper> {
        let mark = take_mark(directory)?;
        // The keys and the admin's token are nobody else's.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
            .doing(|| format!("closing {}", directory.display()))?;
        let directory = directory
            .canonicalize()
            .doing(|| format!("resolving {}", directory.display()))?;
        for part in ["pids", "logs"] {
            let path = directory.join(part);
            fs::create_dir(&path).doing(|| format!("making {}", path.display()))?;
        }
        let mut child = keeper_command(&directory)
            .stdin(Stdio::piped())
            .spawn()
            .doing(|| "starting the keeper (bash)".to_owned())?;
        let pipe = child.stdin.take();
        Ok(Keeper {
            directory,
            pipe,
            child,
            mark: Some(mark),
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends what is left of a cluster whose owner is gone.
    pub(crate) fn clear_leftovers(directory: &Path) -> Result<()> {
        // As in `take`: the mark on the processes is the resolved path.
        let Ok(directory) = directory.canonicalize() else {
            // Another keeper was faster.
            return Ok(());
        };
        let status = keeper_command(&directory)
            .stdin(Stdio::null())
            .status()
            .doing(|| "running the keeper (bash)".to_owned())?;
        match status.code() {
            _ if is_empty(&directory) => Ok(()),
            Some(0) => Ok(()),
            Some(OWNER_LIVES) => Err(Error::DirectoryTaken(directory)),
            _ if marker(&directory).exists() => Err(Error::Uncleared(directory)),
            _ => Err(Error::ForeignDirectory(directory)),
        }
    }

    /// Lets the keeper act and waits until it is done.
    pub(crate) fn end(&mut self) {
        drop(self.mark.take());
        drop(self.pipe.take());
        // It ignores signals and always comes to its end; there is nothing to
        // be done about a failure of waiting for it.
        let _ = self.child.wait();
    }
}

/// Whether there is nothing in a directory, or no directory.
pub(crate) fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}

fn keeper_command(directory: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-c", KEEPER, "keeper"])
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C goes to the owner's group; the keeper has to outlive it.
        .process_group(0);
    command
}

/// The file by which a keeper knows that a directory may be removed. It holds
/// the owner's pid, which is true as long as the file is locked.
pub(crate) fn marker(directory: &Path) -> PathBuf {
    directory.join(MARK)
}

/// Makes the directory and holds the mark in it, which then is all that it has.
fn take_mark(directory: &Path) -> Result<File> {
    let path = marker(directory);
    let what = || format!("marking {}", directory.display());
    loop {
        fs::create_dir_all(directory).doing(|| format!("making {}", directory.display()))?;
        // The mark is made first and removed last, so one look tells.
        let entries = entries(directory).doing(what)?;
        if !entries.is_empty() && !entries.contains(&MARK.into()) {
            return Err(Error::ForeignDirectory(directory.to_owned()));
        }
        let mut options = File::options();
        // The text of somebody who holds it must stay.
        options.read(true).write(true).create(true).truncate(false);
        let mut mark = match options.open(&path) {
            // Its keeper has just removed the directory.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => opened.doing(what)?,
        };
        match mark.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::DirectoryTaken(directory.to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error).doing(what),
        }
        // A keeper may have removed it between the two.
        let locked = mark.metadata().doing(what)?.ino();
        if !fs::metadata(&path).is_ok_and(|file| file.ino() == locked) {
            continue;
        }
        if self::entries(directory).doing(what)?.len() > 1 {
            drop(mark);
            Keeper::clear_leftovers(directory)?;
            continue;
        }
        mark.set_len(0)
            .and_then(|()| mark.write_all(std::process::id().to_string().as_bytes()))
            .doing(what)?;
        return Ok(mark);
    }
}

fn entries(directory: &Path) -> std::io::Result<Vec<OsString>> {
    let entries = fs::read_dir(directory)?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::process::Process;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("cluster");
        let mut first = Keeper::take(&directory).unwrap();
        let said = Keeper::take(&directory).unwrap_err().to_string();
        assert!(said.contains("starting or running in"), "{said}");
        assert!(said.contains("by azp-cluster down"), "{said}");
        let owner = fs::read_to_string(marker(&directory)).unwrap();
        assert_eq!(owner, std::process::id().to_string());
        // Nor does another start's clearing wait for the owner, or harm it.
        let cleared = Keeper::clear_leftovers(&directory);
        assert!(
            matches!(cleared, Err(Error::DirectoryTaken(_))),
            "{cleared:?}"
        );
        assert!(directory.join("pids").exists());
        first.end();
        assert!(!directory.exists());
    }

    #[test]
    fn a_start_takes_what_is_empty_or_left_over_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let precious = parent.path().join("precious");
        fs::write(&precious, "data").unwrap();
        let taken = Keeper::take(parent.path());
        assert!(
            matches!(taken, Err(Error::ForeignDirectory(_))),
            "{taken:?}"
        );
        assert_eq!(entries(parent.path()).unwrap(), ["precious"]);

        let directory = parent.path().join("cluster");
        fs::create_dir_all(directory.join("pids")).unwrap();
        fs::write(directory.join("kubeconfig"), "old").unwrap();
        fs::write(marker(&directory), "1").unwrap();
        Keeper::take(&directory).unwrap().end();
        assert!(!directory.exists());
    }

    #[test]
    fn the_killed_are_dead_when_the_keeper_is_done() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().canonicalize().unwrap().join("cluster");
        let mut keeper = Keeper::take(&directory).unwrap();
        // A child that is in no note, and takes a while to die: it holds memory.
        let script = "exec 3>&1; { head -c 256M /dev/zero; echo held >&3; sleep 1000; } |
            sh -c 'echo child $$ >&3; exec tail -c 256M'";
        let bash = Path::new("bash");
        let program = Process::start(&directory, "bash", bash, ["-c", script], &[]).unwrap();
        let within = Duration::from_secs(30);
        let child = program.line_after("child ", within).unwrap();
        program.line_after("held", within).unwrap();
        let begun = Instant::now();
        keeper.end();
        // Nobody has waited for the leader yet, and that is no reason to wait.
        assert!(begun.elapsed() < Duration::from_secs(9));
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        let is_dead = status.is_empty() || status.contains("\nState:\tZ");
        assert!(is_dead, "{status}");
        assert!(!directory.exists());
    }
}
