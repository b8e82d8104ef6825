//! One job, as the listener sees it: lock, worker, result.
//!
//! Agent: `Agent.Listener/JobDispatcher.cs`. Invariants: no worker without a
//! lock; when this ends, or is dropped, no worker is left; a job that was begun
//! is finished on the server as long as the server can be reached at all.

use std::{
    future::pending,
    io,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, ChildStdin, Command},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    channel::{self, ToWorker},
    diag::note,
    environment::Environment,
    feed,
    layout::Folder,
    pace::Pace,
    renewal,
    server::Server,
    terminal::say_now,
    wire::{JobRequest, JobResult, RequestUpdate},
};

/// How often it is tried to finish a job on the server.
const FINISH_ATTEMPTS: u32 = 5;

/// The shortest time in which a cancelled job may end, and how much of it is
/// kept for what comes after the worker.
const SHORTEST_CANCELLATION: Duration = Duration::from_secs(60);
const KEPT: Duration = Duration::from_secs(15);

/// How long a worker has when the agent is told to end: it ends within 30 s.
const SHUTDOWN: Duration = Duration::from_secs(25);

/// What is kept of the worker's own output, which should be none.
const LAST_WORDS: usize = 64 << 10;

/// How long output is waited for that the worker left behind.
const OUTPUT: Duration = Duration::from_secs(1);

/// What a listener orders while a job runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// The server cancelled the job; it may take so long.
    Cancel(Duration),
    /// The agent ends.
    Shutdown,
    /// A crash on demand.
    KillWorker,
}

/// Everything that a job needs from its listener.
pub(crate) struct Dispatcher {
    pub(crate) folder: Folder,
    pub(crate) environment: Environment,
    pub(crate) server: Arc<Server>,
    pub(crate) pool: i64,
    pub(crate) pace: Pace,
}

/// A worker process. Dropping it kills it.
struct Worker {
    child: Child,
    pipe: Option<ChildStdin>,
    output: JoinSet<String>,
}

/// Why the worker is being ended, and when it is killed.
struct Ending {
    result: JobResult,
    kill_at: Instant,
}

// === impl Dispatcher ===

impl Dispatcher {
    /// Runs a job to its end.
    pub(crate) async fn run(self: Arc<Self>, job: JobRequest, mut orders: mpsc::Receiver<Order>) {
        let job = Arc::new(job);
        let name = &job.job_display_name;
        say_now(format_args!("Running job: {name}"));
        let (held, first) = oneshot::channel();
        let mut lock = JoinSet::new();
        let (server, pace) = (Arc::clone(&self.server), self.pace);
        lock.spawn(renewal::keep(
            server,
            self.pool,
            Arc::clone(&job),
            pace,
            held,
        ));
        let begun = tokio::select! {
            held = first => held.is_ok(),
            () = cancelled(&mut orders) => {
                lock.abort_all();
                return self.finish(&job, JobResult::Canceled).await;
            }
        };
        if !begun {
            note!("request {} was never locked; no worker", job.request_id);
            return;
        }
        let result = self.work(&job, &mut lock, &mut orders).await;
        say_now(format_args!("Job {name} completed with result: {result:?}"));
        lock.abort_all();
        self.finish(&job, result).await;
    }

    async fn work(
        &self,
        job: &Arc<JobRequest>,
        lock: &mut JoinSet<()>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> JobResult {
        let mut worker = match Worker::start(&self.folder, &self.environment) {
            Ok(worker) => worker,
            Err(error) => {
                self.report(job, &format!("The worker cannot be started: {error}"))
                    .await;
                return JobResult::Failed;
            }
        };
        worker
            .tell(&ToWorker::NewJobRequest(Box::new(JobRequest::clone(job))))
            .await;
        let mut ending: Option<Ending> = None;
        loop {
            tokio::select! {
                ended = worker.child.wait() => {
                    return match ending {
                        Some(ending) => ending.result,
                        None => self.judge(job, ended, &mut worker).await,
                    };
                }
                Some(_) = lock.join_next(), if ending.is_none() => {
                    worker.tell(&ToWorker::CancelRequest).await;
                    let kill_at = Instant::now() + SHORTEST_CANCELLATION - KEPT;
                    ending = Some(Ending { result: JobResult::Abandoned, kill_at });
                }
                Some(order) = orders.recv() => {
                    ending = worker.obey(order, ending).await;
                }
                () = at(ending.as_ref().map(|ending| ending.kill_at)) => {
                    note!("the worker did not end in time");
                    worker.kill();
                    if let Some(ending) = &mut ending {
                        ending.kill_at += SHORTEST_CANCELLATION;
                    }
                }
            }
        }
    }

    /// What a worker's end means for its job.
    async fn judge(
        &self,
        job: &JobRequest,
        ended: io::Result<ExitStatus>,
        worker: &mut Worker,
    ) -> JobResult {
        use std::os::unix::process::ExitStatusExt as _;
        let code = ended.ok().and_then(|status| {
            // As a shell tells it, and .NET.
            status
                .code()
                .or_else(|| status.signal().map(|signal| 128 + signal))
        });
        note!("the worker ended with {code:?}");
        if let Some(result) = code.and_then(JobResult::of_exit_code) {
            return result;
        }
        let words = match code {
            Some(137) => {
                "The agent worker exited with code 137, which means it ran out of memory. \
                          Make sure the agent (container) host has sufficient memory configured."
                    .to_owned()
            }
            code => format!(
                "The worker ended with {code:?}.\n{}",
                worker.last_words().await
            ),
        };
        self.report(job, &words).await;
        JobResult::Failed
    }

    /// Adds what the worker can no longer say to the job's output.
    async fn report(&self, job: &JobRequest, words: &str) {
        note!("request {}: {words}", job.request_id);
        let lines: Vec<_> = words
            .lines()
            .map(|line| format!("##[error]{line}"))
            .collect();
        if let Err(error) = feed::post(&self.server, job, &lines).await {
            note!("the job's output lacks this: {error}");
        }
    }

    async fn finish(&self, job: &JobRequest, result: JobResult) {
        for attempt in 1..=FINISH_ATTEMPTS {
            let body = RequestUpdate {
                request_id: job.request_id,
                finish_time: Some(Timestamp::now().to_string()),
                result: Some(result),
            };
            match renewal::update(&self.server, self.pool, job, &body).await {
                Ok(_) => return note!("request {} finished as {result:?}", job.request_id),
                Err(error) => {
                    note!("request {} was not finished: {error}", job.request_id);
                    if error.job_is_lost() {
                        return;
                    }
                }
            }
            if attempt < FINISH_ATTEMPTS {
                sleep(self.pace.finish()).await;
            }
        }
    }
}

// === impl Worker ===

impl Worker {
    fn start(folder: &Folder, environment: &Environment) -> io::Result<Self> {
        let mut child = Command::new(folder.bin().join("Agent.Worker"))
            // The numbers are those of the real agent's pipes.
            .args(["spawnclient", "0", "1"])
            .current_dir(folder.bin())
            .env_clear()
            .envs(environment.all())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut output = JoinSet::new();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        output.spawn(async { last_of(stdout).await });
        output.spawn(async { last_of(stderr).await });
        Ok(Self {
            pipe: child.stdin.take(),
            child,
            output,
        })
    }

    async fn tell(&mut self, message: &ToWorker) {
        let Some(pipe) = &mut self.pipe else { return };
        if let Err(error) = channel::tell(pipe, message).await {
            // It has ended; that is seen elsewhere.
            note!("the worker cannot be told: {error}");
        }
    }

    fn kill(&mut self) {
        if let Err(error) = self.child.start_kill() {
            note!("the worker cannot be killed: {error}");
        }
    }

    async fn obey(&mut self, order: Order, ending: Option<Ending>) -> Option<Ending> {
        let (message, after) = match order {
            Order::Cancel(within) => {
                let within = within.max(SHORTEST_CANCELLATION) - KEPT;
                (ToWorker::CancelRequest, within)
            }
            Order::Shutdown => (ToWorker::AgentShutdown, SHUTDOWN),
            Order::KillWorker => {
                self.kill();
                return ending;
            }
        };
        self.tell(&message).await;
        let kill_at = Instant::now() + after;
        let before = ending.as_ref().map(|ending| ending.kill_at);
        Some(Ending {
            result: ending.map_or(JobResult::Canceled, |ending| ending.result),
            kill_at: before.map_or(kill_at, |before| before.min(kill_at)),
        })
    }

    /// What it wrote; only a worker that breaks writes anything.
    async fn last_words(&mut self) -> String {
        let mut words = String::new();
        while let Ok(Some(Ok(more))) = timeout(OUTPUT, self.output.join_next()).await {
            words.push_str(&more);
        }
        words
    }
}

/// Reads to the end; of a long text, the last part.
async fn last_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else {
        return String::new();
    };
    let mut words = Vec::new();
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut part).await {
        words.extend_from_slice(&part[..read]);
        let surplus = words.len().saturating_sub(LAST_WORDS);
        words.drain(..surplus);
    }
    String::from_utf8_lossy(&words).into_owned()
}

async fn cancelled(orders: &mut mpsc::Receiver<Order>) {
    loop {
        match orders.recv().await {
            Some(Order::Cancel(_) | Order::Shutdown) => return,
            Some(Order::KillWorker) => {}
            None => pending().await,
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
