//! One step: a shell text, its output line by line, its end.
//!
//! Agent: `Bash@3` writes the text into a file of `_temp` and has bash run it;
//! `Util/ProcessInvoker.cs` ends a cancelled one with SIGINT, then SIGTERM, then
//! SIGKILL. Here the signals go to the step's whole group, so that what the
//! shell waits for ends as well. Invariant: when this is dropped, the group is killed.

use std::{
    fs,
    future::pending,
    io,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use crate::{diag::note, environment::Environment};

/// What a cancelled step gets, and how long it then has.
const SIGNALS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_millis(7500)),
    (Signal::TERM, Duration::from_millis(2500)),
    (Signal::KILL, Duration::from_millis(2500)),
];

/// How long output is waited for when the step has ended: a process in the
/// background may hold it open.
const OUTPUT: Duration = Duration::from_secs(5);

/// A line without an end is cut here.
const LONGEST_LINE: usize = 64 << 10;

/// Lines that wait to be looked at.
const WAITING: usize = 256;

/// Whether a job is to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stop {
    No,
    /// The job was cancelled.
    Cancelled,
    /// The agent ends.
    Shutdown,
}

/// A step to be run.
pub(crate) struct Step {
    pub(crate) script: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) environment: Environment,
}

/// A step that runs.
pub(crate) struct Running {
    child: Child,
    group: Group,
    lines: mpsc::Receiver<String>,
}

/// The processes of a step. Dropping it kills them.
struct Group(Option<Pid>);

// === impl Step ===

impl Step {
    /// Starts it, in bash or, where there is none, in sh.
    pub(crate) fn start(&self, text: &str) -> io::Result<Running> {
        fs::write(&self.script, text)?;
        let mut child = match self.spawn("bash", &["--noprofile", "--norc", "-e"]) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.spawn("sh", &["-e"]),
            spawned => spawned,
        }?;
        let (send, lines) = mpsc::channel(WAITING);
        tokio::spawn(read(child.stdout.take(), send.clone()));
        tokio::spawn(read(child.stderr.take(), send));
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Running {
            group: Group(id.and_then(Pid::from_raw)),
            child,
            lines,
        })
    }

    fn spawn(&self, shell: &str, options: &[&str]) -> io::Result<Child> {
        Command::new(shell)
            .args(options)
            .arg(&self.script)
            .current_dir(&self.folder)
            .env_clear()
            .envs(self.environment.all())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
    }
}

// === impl Running ===

impl Running {
    /// Runs to the end, which `stop` hastens; every line goes to `take`. The exit
    /// code is as a shell tells it.
    pub(crate) async fn finish(
        mut self,
        stop: &mut watch::Receiver<Stop>,
        mut take: impl AsyncFnMut(String),
    ) -> i32 {
        let (tell, told) = oneshot::channel::<()>();
        let end = async {
            let code = end(&mut self.child, &mut self.group, stop).await;
            drop(tell);
            code
        };
        let output = async {
            let given_up = async {
                let _ = told.await;
                sleep(OUTPUT).await;
            };
            tokio::pin!(given_up);
            loop {
                tokio::select! {
                    line = self.lines.recv() => match line {
                        Some(line) => take(line).await,
                        None => return,
                    },
                    () = &mut given_up => {
                        return note!("the step has ended and its output is still open; it is left");
                    }
                }
            }
        };
        // Side by side: output that nobody takes must not keep signals away.
        let (code, ()) = tokio::join!(end, output);
        code
    }
}

async fn end(child: &mut Child, group: &mut Group, stop: &mut watch::Receiver<Stop>) -> i32 {
    tokio::select! {
        ended = child.wait() => return group.ended(&ended),
        () = stopped(stop) => {}
    }
    for (signal, wait) in SIGNALS {
        group.signal(signal);
        if let Ok(ended) = timeout(wait, child.wait()).await {
            return group.ended(&ended);
        }
    }
    note!("the step does not even end by SIGKILL");
    137
}

/// Waits for an order to stop; for ever where it cannot come any more.
pub(crate) async fn stopped(stop: &mut watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop != Stop::No).await.is_err() {
        pending::<()>().await;
    }
}

// === impl Group ===

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            let sent = kill_process_group(group, signal);
            note!("{signal:?} to the step: {sent:?}");
        }
    }

    /// The shell has ended. What it left in the background goes on, as with the
    /// real agent, until the job ends.
    fn ended(&mut self, status: &io::Result<ExitStatus>) -> i32 {
        self.0 = None;
        let Ok(status) = status else { return 1 };
        let by_signal = status.signal().map(|signal| 128 + signal);
        status.code().or(by_signal).unwrap_or(1)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.signal(Signal::KILL);
        }
    }
}

/// Sends the lines of a stream on, until it ends.
async fn read(stream: Option<impl AsyncRead + Unpin>, lines: mpsc::Sender<String>) {
    let Some(mut stream) = stream else { return };
    let mut held = Vec::new();
    let mut part = [0; 8192];
    while let Ok(read @ 1..) = stream.read(&mut part).await {
        held.extend_from_slice(&part[..read]);
        while let Some(length) = line_end(&held) {
            let line: Vec<u8> = held.drain(..length).collect();
            if lines.send(text(&line)).await.is_err() {
                return;
            }
        }
    }
    if !held.is_empty() {
        // Nobody listens any more when this fails.
        let _ = lines.send(text(&held)).await;
    }
}

/// How much of what is held is a line, with its end.
fn line_end(held: &[u8]) -> Option<usize> {
    let end = held.iter().position(|byte| *byte == b'\n');
    end.map(|at| at + 1)
        .or((held.len() >= LONGEST_LINE).then_some(LONGEST_LINE))
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end_matches(['\r', '\n'])
        .to_owned()
}
