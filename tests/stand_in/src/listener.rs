//! `run`: waits for messages and does what they say, until it ends.
//!
//! Agent: `Agent.Listener/Agent.cs`, `RunAsync`, whose order of waiting this
//! keeps: an update that is under way is awaited before the end of the one job
//! of `--once`. Invariants: one job at a time; whatever way it ends, the running
//! job is cancelled and finished and the session deleted, unless it is killed.

use std::{collections::VecDeque, future::pending, pin::Pin, sync::Arc, time::Duration};

use rustix::process::{Signal, getpid, kill_process};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    capabilities,
    diag::note,
    dispatcher::{Dispatcher, Order},
    environment::Environment,
    input::Input,
    layout::{Folder, Identity},
    pace::Pace,
    server::ServerError,
    session::{NoSession, Session},
    terminal::{complain, say, say_now},
    update::Update,
    wire::{AgentRefresh, Crash, JobCancellation, JobRequest, Message},
};

/// Exit codes. Agent: `Constants.cs`, `ReturnCode`.
pub(crate) const SUCCESS: i32 = 0;
pub(crate) const TERMINATED_ERROR: i32 = 1;
pub(crate) const RETRYABLE_ERROR: i32 = 2;
const AGENT_UPDATING: i32 = 3;
const RUN_ONCE_AGENT_UPDATING: i32 = 4;

/// How long ending may take. Agent: `ExitOnUnloadTimeout`.
const END: Duration = Duration::from_secs(30);

/// Before the next poll after a message that was left where it is.
const AFTER_A_SKIPPED_ONE: Duration = Duration::from_secs(1);

/// A wait for the next message.
type Poll = Pin<Box<dyn Future<Output = Result<Message, ServerError>> + Send>>;

/// Why it no longer listens.
enum End {
    /// SIGTERM or SIGINT.
    Signal,
    /// The one job is done.
    Once,
    /// An update is about to be put in place.
    Updating,
    /// The server will not have it any more.
    Failed(ServerError),
}

struct Listener {
    session: Arc<Session>,
    dispatcher: Arc<Dispatcher>,
    once: bool,
    /// Whether the update has to start the agent again itself.
    restart_after_update: bool,
    job: Option<Running>,
    /// A job that came before the last one was quite done.
    waiting: VecDeque<JobRequest>,
    once_received: bool,
    busy: watch::Sender<bool>,
    update: Option<JoinHandle<bool>>,
    /// The last message that was left where it is.
    skipped: bool,
}

struct Running {
    job_id: String,
    request_id: i64,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

/// Listens; the exit code.
pub(crate) async fn run(folder: &Folder, input: &Input, environment: Environment) -> i32 {
    if !folder.is_configured() {
        complain("Agent is not configured.");
        return TERMINATED_ERROR;
    }
    match listen(folder, input, environment).await {
        Ok(code) => code,
        Err(error) => {
            complain(format_args!("An error occurred: {error}"));
            RETRYABLE_ERROR
        }
    }
}

async fn listen(
    folder: &Folder,
    input: &Input,
    environment: Environment,
) -> Result<i32, Box<dyn std::error::Error>> {
    let mut signals = Signals::new()?;
    let once = input.flag("once");
    let service = input.value("startuptype") == Some("service");
    let pace = Pace::read(&environment);
    say("Scanning for tool capabilities.");
    let identity: Identity = folder.identity()?;
    let name = &identity.settings.agent_name;
    let found = capabilities::scan(&environment, folder, name, service);
    let pool = identity.settings.pool_id;
    let work = folder.work(&identity.settings);
    let session = Arc::new(Session::new(folder, identity, found, pace)?);
    say("Connecting to the server.");
    let created = tokio::select! {
        created = session.create() => created,
        () = signals.next() => return Ok(SUCCESS),
    };
    match created {
        Ok(()) => say_now("Listening for Jobs"),
        Err(NoSession::GivenUp) => return Ok(TERMINATED_ERROR),
        Err(NoSession::TokenRevoked) => return Ok(SUCCESS),
    }
    let mut listener = Listener {
        dispatcher: Arc::new(Dispatcher {
            folder: folder.clone(),
            environment,
            server: session.server(),
            pool,
            pace,
        }),
        session,
        once,
        restart_after_update: !once && !service,
        job: None,
        waiting: VecDeque::new(),
        once_received: false,
        busy: watch::Sender::new(false),
        update: None,
        skipped: false,
    };
    let end = listener.take_messages(&mut signals, &work).await;
    listener.end().await;
    match end {
        End::Signal | End::Once => Ok(SUCCESS),
        End::Updating if once => Ok(RUN_ONCE_AGENT_UPDATING),
        End::Updating => Ok(AGENT_UPDATING),
        End::Failed(error) if error.token_revoked() => Ok(SUCCESS),
        End::Failed(error) => Err(error.into()),
    }
}

// === impl Listener ===

impl Listener {
    async fn take_messages(&mut self, signals: &mut Signals, work: &std::path::Path) -> End {
        let mut poll = self.poll();
        loop {
            tokio::select! {
                biased;
                () = signals.next() => return End::Signal,
                updated = ended(&mut self.update) => {
                    self.update = None;
                    if updated.unwrap_or(false) {
                        return End::Updating;
                    }
                    note!("there is no update to be put in place");
                }
                _ = ended_job(&mut self.job) => {
                    self.job = None;
                    self.start_waiting();
                }
                message = &mut poll => {
                    match message {
                        Ok(message) => self.take(message, work).await,
                        Err(error) => return End::Failed(error),
                    }
                    poll = self.poll();
                }
            }
            let idle = self.job.is_none() && self.update.is_none();
            if self.once_received && idle {
                return End::Once;
            }
        }
    }

    fn poll(&self) -> Poll {
        let pause = match self.skipped {
            true => AFTER_A_SKIPPED_ONE,
            false => Duration::ZERO,
        };
        Box::pin(Arc::clone(&self.session).next(pause))
    }

    /// Does what a message says, and takes it off the queue unless it is left to
    /// the next session.
    async fn take(&mut self, message: Message, work: &std::path::Path) {
        let kind = message.message_type.to_ascii_lowercase();
        self.skipped = false;
        match kind.as_str() {
            "agentrefresh" => {
                if let Some(refresh) = read::<AgentRefresh>(&message) {
                    self.refresh(refresh, work);
                }
            }
            "pipelineagentjobrequest" => {
                self.skipped = self.update.is_some() || self.once_received;
                if self.skipped {
                    // It may be one that was taken and could not be deleted.
                    self.skipped = !self.is_known(&message);
                } else if let Some(job) = read::<JobRequest>(&message) {
                    self.accept(job);
                }
            }
            "jobcancellation" => {
                if let Some(cancellation) = read::<JobCancellation>(&message) {
                    let cancelled = self.cancel(&cancellation);
                    let left = self.update.is_some() || self.once_received;
                    self.skipped = left && !cancelled;
                }
            }
            "standin" => {
                self.session.delete_message(&message).await;
                if let Some(crash) = read::<Crash>(&message) {
                    self.crash(&crash);
                }
                return;
            }
            _ => note!("messages of type {kind} are not supported"),
        }
        if self.skipped {
            note!("message {} is left where it is", message.message_id);
        } else {
            self.session.delete_message(&message).await;
        }
    }

    fn refresh(&mut self, refresh: AgentRefresh, work: &std::path::Path) {
        if self.update.is_some() {
            return note!("an update is under way already");
        }
        let disabled = self.dispatcher.environment.get("agent.disableupdate");
        if disabled.is_some_and(|value| !value.is_empty()) {
            return note!("updates are disabled by agent.disableupdate");
        }
        let update = Update {
            folder: self.dispatcher.folder.clone(),
            environment: self.dispatcher.environment.clone(),
            work: work.to_owned(),
            server: self.session.server(),
            restart: self.restart_after_update,
            pace: self.dispatcher.pace,
        };
        let busy = self.busy.subscribe();
        self.update = Some(tokio::spawn(update.run(refresh.target_version, busy)));
    }

    fn accept(&mut self, job: JobRequest) {
        if self.holds(job.request_id) {
            return note!("request {} came once more", job.request_id);
        }
        self.once_received = self.once;
        self.waiting.push_back(job);
        if self.job.is_none() {
            self.start_waiting();
        }
    }

    fn is_known(&self, message: &Message) -> bool {
        read::<JobRequest>(message).is_some_and(|job| self.holds(job.request_id))
    }

    fn holds(&self, request_id: i64) -> bool {
        let running = self.job.as_ref().map(|job| job.request_id);
        let mut waiting = self.waiting.iter().map(|job| job.request_id);
        running == Some(request_id) || waiting.any(|id| id == request_id)
    }

    fn start_waiting(&mut self) {
        let Some(job) = self.waiting.pop_front() else {
            self.busy.send_replace(false);
            return;
        };
        self.busy.send_replace(true);
        let (orders, receive) = mpsc::channel(4);
        self.job = Some(Running {
            job_id: job.job_id.clone(),
            request_id: job.request_id,
            orders,
            task: tokio::spawn(Arc::clone(&self.dispatcher).run(job, receive)),
        });
    }

    /// Whether there is such a job here.
    fn cancel(&mut self, cancellation: &JobCancellation) -> bool {
        let within = Duration::from_secs(cancellation.seconds());
        match &self.job {
            Some(running) if running.job_id == cancellation.job_id => {
                order(running, Order::Cancel(within));
                true
            }
            _ => false,
        }
    }

    fn crash(&self, crash: &Crash) {
        match crash {
            Crash::Exit { code } => std::process::exit(*code),
            Crash::Kill => {
                // A process may always kill itself.
                let _ = kill_process(getpid(), Signal::KILL);
            }
            Crash::KillWorker => {
                if let Some(running) = &self.job {
                    order(running, Order::KillWorker);
                }
            }
        }
    }

    /// Cancels what runs, and says good-bye to the server.
    async fn end(&mut self) {
        if let Some(update) = self.update.take() {
            update.abort();
        }
        let job = self.job.take();
        let session = &self.session;
        let ending = async {
            if let Some(mut running) = job {
                order(&running, Order::Shutdown);
                let _ = (&mut running.task).await;
            }
            session.delete().await;
        };
        if timeout(END, ending).await.is_err() {
            note!("it took longer than {} s to end", END.as_secs());
        }
    }
}

fn order(running: &Running, order: Order) {
    if let Err(error) = running.orders.try_send(order) {
        note!("the job takes no more orders: {error}");
    }
}

fn read<T: DeserializeOwned>(message: &Message) -> Option<T> {
    let read = serde_json::from_str(&message.body);
    read.inspect_err(|error| note!("message {} cannot be read: {error}", message.message_id))
        .ok()
}

async fn ended(task: &mut Option<JoinHandle<bool>>) -> Option<bool> {
    match task {
        Some(task) => task.await.ok(),
        None => pending().await,
    }
}

async fn ended_job(job: &mut Option<Running>) {
    match job {
        // What a task that broke left undone is found by the lock's end.
        Some(running) => drop((&mut running.task).await),
        None => pending().await,
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => note!("SIGTERM"),
            _ = self.interrupt.recv() => {
                say("Exiting...");
            }
        }
    }
}
