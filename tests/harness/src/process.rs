//! The processes of a cluster.
//!
//! Imports no other part of a cluster. The invariant: each process leads a group
//! of its own, writes its log into the cluster's directory and notes its pid there
//! before it becomes the program, so that the keeper (`keeper.rs`) can end it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, TrySendError};
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Result};

/// How much of a log an error shows.
const TAIL_LINES: usize = 25;
/// Lines of a program that wait for a reader; what nobody reads is dropped.
const UNREAD_LINES: usize = 10_000;

/// A command for a program of a cluster: noted for the keeper, in a group of its
/// own. Nothing but PATH is handed down, so that no variable of the person who
/// runs the tests can change a test.
pub(crate) fn command(directory: &Path, name: &str, program: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        // The note is written by the process that then becomes the program: no
        // moment is left in which it runs and the keeper does not know it.
        .args(["-c", r#"echo $$ >"$0" && exec "$@""#])
        .arg(note(directory, name))
        .arg(program)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", directory)
        .env("AZP_HARNESS_DIRECTORY", directory)
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// Where the pid of a program is noted.
pub(crate) fn note(directory: &Path, name: &str) -> PathBuf {
    directory.join("pids").join(name)
}

/// A running program of a cluster. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    command: Mutex<Command>,
    child: Mutex<Child>,
    /// What it writes to stdout, line by line; behind a lock so that a cluster
    /// can be shared by the tests of a file.
    lines: Mutex<Receiver<(Instant, String)>>,
}

impl Process {
    /// Starts a program in a cluster's directory, with nothing in its
    /// environment but PATH, HOME and `environment`.
    pub(crate) fn start<A: AsRef<OsStr>>(
        directory: &Path,
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &str)],
    ) -> Result<Process> {
        let log = directory.join("logs").join(format!("{name}.log"));
        let mut command = command(directory, name, program);
        command.args(arguments).envs(environment.iter().copied());
        let (child, lines) = spawn(&mut command, name, &log)?;
        Ok(Process {
            name: name.to_owned(),
            log,
            command: Mutex::new(command),
            child: Mutex::new(child),
            lines: Mutex::new(lines),
        })
    }

    /// Starts a program again that was killed, as it was started before.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&self) -> Result<()> {
        let (child, lines) = spawn(&mut lock(&self.command), &self.name, &self.log)?;
        *lock(&self.child) = child;
        *lock(&self.lines) = lines;
        Ok(())
    }

    /// What it was started as.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The next line on stdout and the moment it came; `None` at the deadline,
    /// or when the program has closed its stdout.
    pub fn line(&self, deadline: Instant) -> Option<(Instant, String)> {
        let left = deadline.saturating_duration_since(Instant::now());
        lock(&self.lines).recv_timeout(left).ok()
    }

    /// Waits for a line on stdout that begins with `prefix`; gives the rest.
    ///
    /// # Errors
    /// When the line does not come within `within`; the error shows the log.
    pub fn line_after(&self, prefix: &str, within: Duration) -> Result<String> {
        let deadline = Instant::now() + within;
        while let Some((_, line)) = self.line(deadline) {
            if let Some(rest) = line.strip_prefix(prefix) {
                return Ok(rest.trim().to_owned());
            }
        }
        Err(self.failure(format!("did not print {prefix:?}")))
    }

    /// Fails when the program has ended.
    ///
    /// # Errors
    /// With its status and the end of its log.
    pub fn check(&self) -> Result<()> {
        let ended = lock(&self.child)
            .try_wait()
            .doing(|| format!("looking at {}", self.name))?;
        ended.map_or(Ok(()), |status| {
            Err(self.failure(format!("ended with {status}")))
        })
    }

    /// Asks `ready` every 50 ms until it says yes.
    ///
    /// # Errors
    /// When the program ends, or the deadline passes.
    pub(crate) fn until_ready(
        &self,
        within: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + within;
        while !ready() {
            self.check()?;
            if Instant::now() > deadline {
                return Err(self.failure(format!("was not ready within {} s", within.as_secs())));
            }
            // A server that is not up yet has no event to wait for.
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The last lines that the program wrote.
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }

    fn failure(&self, what: String) -> Error {
        Error::Program {
            program: self.name.clone(),
            what,
            log: self.log_tail(),
        }
    }

    /// Kills the program and waits until it is gone.
    pub fn kill(&self) {
        let mut child = lock(&self.child);
        // Both fail only when it is gone already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a log; nothing when it cannot be read.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Its stderr goes to the log, its stdout to the log and to whoever reads.
fn spawn(
    command: &mut Command,
    name: &str,
    log: &Path,
) -> Result<(Child, Receiver<(Instant, String)>)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(append(log)?)
        .spawn()
        .doing(|| format!("starting {name}"))?;
    let lines = follow(child.stdout.take(), append(log)?);
    Ok((child, lines))
}

fn append(log: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(log)
        .doing(|| format!("opening {}", log.display()))
}

/// Hands the lines of a program's stdout on, and keeps them in its log as well.
fn follow(
    stdout: Option<impl Read + Send + 'static>,
    mut log: File,
) -> Receiver<(Instant, String)> {
    let (send, receive) = mpsc::sync_channel(UNREAD_LINES);
    let Some(stdout) = stdout else { return receive };
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(|line| line.ok()) {
            // A log that cannot be written is no reason to stop a program.
            let _ = writeln!(log, "{line}");
            match send.try_send((Instant::now(), line)) {
                // Nobody has to listen, but the pipe has to be emptied.
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
    });
    receive
}

/// A lock that a panic elsewhere does not take away: the tests of a file share
/// a cluster, and one that fails must not fail the others.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
