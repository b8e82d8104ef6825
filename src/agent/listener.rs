//! The listener of the agent, from its start to its end.
//!
//! May import: its siblings. Invariant: it and what it starts are a process group
//! of their own, so that a signal to this process (such as Ctrl-C in a terminal)
//! never reaches a job.
//!
//! Azure Pipelines agent: it prints «Listening for Jobs» once it has a session,
//! and «Running job: NAME», see [`super::words`]. These lines are a hint to look; what counts is which
//! processes live and what the server says.
//!
//! It is started without `run.sh`, which starts a second one by itself when the
//! first ends with 4: one that would take another job, or wait for one for ever.

use std::{
    ffi::OsString,
    io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::Pid;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    children::{Child, Children, Exit},
    folder::{Folder, LISTENER},
    words::Words,
};

/// A line that is longer is cut into several.
const LONGEST_LINE: u64 = 64 * 1024;

/// How long the last lines may take after the end: what a job left running may
/// hold the pipe for ever.
const LAST_LINES: Duration = Duration::from_millis(300);

/// A listener that was started.
#[derive(Debug)]
pub(super) struct Listener {
    child: Child,
    heard: Arc<Heard>,
}

/// What the listener has said.
#[derive(Debug)]
pub(super) struct Heard {
    words: Words,
    listening: AtomicBool,
    job: AtomicBool,
    jobs: AtomicU64,
    something: Notify,
}

/// A script of the agent with its output on this process's own.
pub(super) struct Script {
    pub(super) child: Child,
    pub(super) output: oneshot::Receiver<()>,
}

// === impl Listener ===

impl Listener {
    /// Starts it. Azure Pipelines agent: with another type of startup than
    /// `service` its update starts a listener, too, in the way of the next one
    /// here; and a service has the capability `InteractiveSession=False`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(
        children: &Children,
        folder: &Folder,
        environment: &[(OsString, OsString)],
        once: bool,
        nudge: Arc<Notify>,
    ) -> io::Result<Self> {
        let once: &[&str] = if once { &["--once"] } else { &[] };
        let heard = Arc::new(Heard::new(Words::of(folder, environment)));
        let hears = Arc::clone(&heard);
        let script = Script::start(
            children,
            command(folder, LISTENER, environment)
                .args(["run", "--startuptype", "service"])
                .args(once),
            move |line| {
                hears.hear(line);
                nudge.notify_one();
            },
        )?;
        Ok(Self {
            child: script.child,
            heard,
        })
    }

    /// Its process.
    #[must_use]
    pub(super) fn pid(&self) -> Pid {
        self.child.pid
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> Exit {
        self.child.ended().await
    }

    /// Has it not ended yet, as far as is known?
    pub(super) fn is_alive(&mut self) -> bool {
        self.child.lives()
    }

    /// Has it said that it waits for jobs?
    #[must_use]
    pub(super) fn is_listening(&self) -> bool {
        self.heard.listening.load(Ordering::Relaxed)
    }

    /// Has it had a job, as it says or as was noted?
    #[must_use]
    pub(super) fn had_job(&self) -> bool {
        self.heard.job.load(Ordering::Relaxed)
    }

    /// How many jobs it has had: as many as it said, and at least the one that was
    /// noted. The shortest are over before anybody has looked for their workers.
    pub(super) fn jobs(&self) -> u64 {
        let said = self.heard.jobs.load(Ordering::Relaxed);
        said.max(u64::from(self.had_job()))
    }

    /// Notes that it has a job.
    pub(super) fn note_job(&self) {
        self.heard.job.store(true, Ordering::Relaxed);
    }

    /// What it says, for whoever waits for more.
    pub(super) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// Kills it and everything in its group.
    pub(super) fn kill(&self) {
        self.child.kill_group();
    }
}

impl Heard {
    fn new(words: Words) -> Self {
        Self {
            words,
            listening: AtomicBool::new(false),
            jobs: AtomicU64::new(0),
            job: AtomicBool::new(false),
            something: Notify::new(),
        }
    }

    fn hear(&self, line: &str) {
        if line.contains(&self.words.listening) {
            self.listening.store(true, Ordering::Relaxed);
        } else if line.contains(&self.words.job) {
            self.job.store(true, Ordering::Relaxed);
            self.jobs.fetch_add(1, Ordering::Relaxed);
        }
        self.something.notify_one();
    }

    /// Waits until it has said something.
    pub(super) async fn something(&self) {
        self.something.notified().await;
    }
}

/// A program or script of the agent, in its folder and with this environment
/// alone.
pub(super) fn command(
    folder: &Folder,
    program: &str,
    environment: &[(OsString, OsString)],
) -> Command {
    let mut command = Command::new(folder.root().join(program));
    command
        .current_dir(folder.root())
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .process_group(0);
    command
}

// === impl Script ===

impl Script {
    /// Starts it; each line that it writes goes to standard output, and to `hear`.
    pub(super) fn start(
        children: &Children,
        command: &mut Command,
        hear: impl Fn(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command.stderr(writer.try_clone()?).stdout(writer);
        let started = children.spawn(command);
        // What is left of the writing end here would keep the reader waiting.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (child, _pipes) = started?;
        let (done, output) = oneshot::channel();
        thread::Builder::new()
            .name("agent-output".to_owned())
            .spawn(move || {
                forward(reader, &hear);
                // Nobody may wait for it.
                let _ = done.send(());
            })?;
        Ok(Self { child, output })
    }

    /// Waits for its end and for what it wrote last.
    pub(super) async fn ended(&mut self) -> Exit {
        let exit = self.child.ended().await;
        // Either way the end is what counts.
        let _ = timeout(LAST_LINES, &mut self.output).await;
        exit
    }
}

/// Reads lines to the end.
fn forward(reader: PipeReader, hear: &impl Fn(&str)) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        hear(&String::from_utf8_lossy(&line));
        // Nobody reads it: the agent has to go on all the same.
        let _ = io::stdout().lock().write_all(&line);
    }
}
