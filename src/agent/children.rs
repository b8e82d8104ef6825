//! Children: every process that this one starts or inherits, and the only place
//! that waits for them.
//!
//! May import: nothing of ours. Invariant: each process that ends is waited for
//! exactly once, so that none stays a zombie and no status is lost: a child is
//! started under the lock that the reaper takes, so that its end cannot be
//! reaped before it is known.
//!
//! The process becomes the reaper of all its descendants, whether it is process
//! 1 or not: what a job leaves behind, and the agent's own update, come to it.

use std::{
    collections::HashMap,
    fmt, io,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group,
    set_child_subreaper, wait,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

/// Starts and reaps. Clones are one.
#[derive(Clone, Debug)]
pub struct Children {
    table: Arc<Mutex<Table>>,
    reaped: watch::Receiver<u64>,
}

/// Who waits for which process.
#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<i32, oneshot::Sender<Exit>>,
}

/// A process that was started here.
#[derive(Debug)]
pub struct Child {
    /// Its number.
    pub pid: Pid,
    exit: oneshot::Receiver<Exit>,
    known: Option<Exit>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It ended, and somebody else learnt how.
    Unknown,
}

// === impl Children ===

impl Children {
    /// Becomes the reaper, and reaps from now on. Call it once in a process.
    ///
    /// # Errors
    /// The system refuses the signal.
    pub fn adopt() -> io::Result<Self> {
        // Process 1 is it anyway; a kernel that knows no subreapers leaves
        // orphans to process 1, which is no harm.
        let _ = set_child_subreaper(Some(getpid()));
        let mut ends = signal(SignalKind::child())?;
        let table = Arc::new(Mutex::new(Table::default()));
        let (sender, reaped) = watch::channel(0);
        let children = Self {
            table: Arc::clone(&table),
            reaped,
        };
        tokio::spawn(async move {
            // One signal may stand for several ends.
            while ends.recv().await.is_some() {
                let ended = reap(&mut lock(&table));
                sender.send_modify(|count| *count += ended);
            }
        });
        Ok(children)
    }

    /// Starts a process.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, command: &mut Command) -> io::Result<(Child, std::process::Child)> {
        let mut table = lock(&self.table);
        let started = command.spawn()?;
        let pid = Pid::from_child(&started);
        let (sender, exit) = oneshot::channel();
        table.waiting.insert(pid.as_raw_nonzero().get(), sender);
        let child = Child {
            pid,
            exit,
            known: None,
        };
        // The second is for its pipes alone; nobody may wait on it.
        Ok((child, started))
    }

    /// Changes whenever processes have ended.
    #[must_use]
    pub fn ends(&self) -> watch::Receiver<u64> {
        self.reaped.clone()
    }
}

/// Reaps everything that has ended by now; tells how many those were.
fn reap(table: &mut Table) -> u64 {
    let mut ended = 0;
    // An error says that there are no children at all.
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        ended += 1;
        if let Some(waiting) = table.waiting.remove(&pid.as_raw_nonzero().get()) {
            // Whoever waited may have gone away.
            let _ = waiting.send(Exit::new(status));
        }
    }
    ended
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Child ===

impl Child {
    /// Waits for its end. May be called again.
    pub async fn ended(&mut self) -> Exit {
        if let Some(exit) = self.known {
            return exit;
        }
        let exit = (&mut self.exit).await.unwrap_or(Exit::Unknown);
        self.known = Some(exit);
        exit
    }

    /// Has it not ended yet, as far as is known?
    #[must_use]
    pub fn lives(&mut self) -> bool {
        if self.known.is_none() {
            self.known = match self.exit.try_recv() {
                Ok(exit) => Some(exit),
                Err(oneshot::error::TryRecvError::Empty) => None,
                Err(oneshot::error::TryRecvError::Closed) => Some(Exit::Unknown),
            };
        }
        self.known.is_none()
    }

    /// Kills it and all of its process group.
    pub fn kill_group(&self) {
        // It may be gone already.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

/// Sends SIGTERM to a process; one that is gone is no error.
pub(super) fn terminate(pid: Pid) {
    let _ = kill_process(pid, Signal::TERM);
}

/// Sends SIGKILL to a process; one that is gone is no error.
pub(super) fn kill(pid: Pid) {
    let _ = kill_process(pid, Signal::KILL);
}

// === impl Exit ===

impl Exit {
    fn new(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("an unknown status"),
        }
    }
}
