//! `Agent.Worker`: runs the steps of one job and says how it ended.
//!
//! Agent: `Agent.Worker/Worker.cs`, `JobRunner.cs`. Invariants: without its
//! listener it does not live on, and neither does what it runs; SIGINT is not
//! for it, since Ctrl-C reaches the whole group and the listener decides.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    channel::{self, ToWorker},
    diag::note,
    environment::Environment,
    feed::{self, Feed},
    job_folder::JobFolder,
    layout::{Folder, Identity},
    logging_command::{Completion, LoggingCommand, environment_name},
    orphans,
    pace::Pace,
    server::Server,
    step::{Step, Stop, stopped},
    token::Credential,
    wire::{JobRequest, JobResult},
};

/// How long the listener may take to say which job it is.
const FIRST_MESSAGE: Duration = Duration::from_secs(30);

/// The exit code of a worker that broke.
const BROKEN: i32 = 1;

const SHUTDOWN: &str = "The agent has received a shutdown signal. This can happen when the agent \
                        service is stopped, or a manually started agent is canceled.";

/// A job and what its steps get from one another.
struct Runner {
    job: Arc<JobRequest>,
    environment: Environment,
    folder: JobFolder,
    feed: Feed,
    /// Texts that are hidden in the output.
    secrets: Vec<String>,
}

/// Runs the job that the listener names; the exit code.
pub(crate) async fn run(folder: &Folder, environment: Environment) -> i32 {
    match start(folder, environment).await {
        Ok(code) => code,
        Err(error) => {
            // The listener adds it to the job's output.
            crate::terminal::say(&error);
            note!("{error}");
            BROKEN
        }
    }
}

async fn start(
    folder: &Folder,
    environment: Environment,
) -> Result<i32, Box<dyn std::error::Error>> {
    // As long as this is held, SIGINT does nothing.
    let _interrupts = signal(SignalKind::interrupt())?;
    let mut messages = channel::hear();
    let first = timeout(FIRST_MESSAGE, messages.recv()).await?;
    let Some(ToWorker::NewJobRequest(job)) = first else {
        return Err("the listener named no job".into());
    };
    let identity: Identity = folder.identity()?;
    let pace = Pace::read(&environment);
    let credential = Credential::own(identity.credentials.data.clone(), identity.key.clone());
    let server = Arc::new(Server::new(&identity.settings.server_url, credential)?);
    let job: Arc<JobRequest> = Arc::from(job);
    note!("request {}, job {}", job.request_id, job.job_id);

    let runner = Runner::prepare(folder, &identity, &job, environment, &server, pace)?;
    let lookup = runner.folder.lookup.clone();
    let (stop, stops) = watch::channel(Stop::No);
    let work = runner.run(stops);
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            heard = messages.recv() => match heard {
                Some(ToWorker::CancelRequest) => _ = stop.send_replace(Stop::Cancelled),
                Some(ToWorker::AgentShutdown) => _ = stop.send_replace(Stop::Shutdown),
                Some(ToWorker::NewJobRequest(_)) => note!("there is a job already"),
                None => {
                    // What is dropped here kills the step that runs.
                    note!("the listener is gone");
                    orphans::kill(&lookup);
                    return Ok(BROKEN);
                }
            }
        }
    };
    feed::completed(&server, &job, result, pace).await;
    note!("request {} ended as {result:?}", job.request_id);
    Ok(result.exit_code())
}

// === impl Runner ===

impl Runner {
    fn prepare(
        folder: &Folder,
        identity: &Identity,
        job: &Arc<JobRequest>,
        mut environment: Environment,
        server: &Arc<Server>,
        pace: Pace,
    ) -> io::Result<Self> {
        let settings = &identity.settings;
        let job_folder = JobFolder::prepare(&folder.work(settings))?;
        job_folder.describe(folder, settings, job, &mut environment);
        Ok(Self {
            job: Arc::clone(job),
            environment,
            folder: job_folder,
            feed: Feed::start(Arc::clone(server), Arc::clone(job), pace),
            secrets: Vec::new(),
        })
    }

    async fn run(mut self, mut stop: watch::Receiver<Stop>) -> JobResult {
        let job = Arc::clone(&self.job);
        let result = match job.steps.is_empty() {
            true => self.last(&mut stop).await,
            false => self.steps(&job.steps, &mut stop).await,
        };
        if *stop.borrow() == Stop::Shutdown {
            self.feed.line(format!("##[error]{SHUTDOWN}")).await;
        }
        for (pid, name) in orphans::kill(&self.folder.lookup) {
            let line = format!("Terminate orphan process: pid ({pid}) ({name})");
            self.feed.line(line).await;
        }
        self.feed.close().await;
        result
    }

    /// A job without steps lasts as long as it was told to.
    async fn last(&mut self, stop: &mut watch::Receiver<Stop>) -> JobResult {
        let duration = Duration::try_from_secs_f64(self.job.duration).unwrap_or_default();
        tokio::select! {
            () = sleep(duration) => self.job.outcome.unwrap_or(JobResult::Succeeded),
            () = stopped(stop) => JobResult::Canceled,
        }
    }

    async fn steps(&mut self, texts: &[String], stop: &mut watch::Receiver<Stop>) -> JobResult {
        let mut result = JobResult::Succeeded;
        for (index, text) in texts.iter().enumerate() {
            let number = index + 1;
            self.feed
                .line(format!("##[section]Starting: Step {number}"))
                .await;
            let completion = self.step(number, text, stop).await;
            self.feed
                .line(format!("##[section]Finishing: Step {number}"))
                .await;
            if *stop.borrow() != Stop::No {
                return JobResult::Canceled;
            }
            match completion {
                Completion::Succeeded => {}
                Completion::SucceededWithIssues => result = JobResult::SucceededWithIssues,
                Completion::Failed => return JobResult::Failed,
            }
        }
        result
    }

    async fn step(
        &mut self,
        number: usize,
        text: &str,
        stop: &mut watch::Receiver<Stop>,
    ) -> Completion {
        let step = Step {
            script: self.folder.temp.join(format!("step{number}.sh")),
            folder: self.folder.sources.clone(),
            environment: self.environment.clone(),
        };
        let running = match step.start(text) {
            Ok(running) => running,
            Err(error) => {
                let line = format!("##[error]The step cannot be started: {error}");
                self.feed.line(line).await;
                return Completion::Failed;
            }
        };
        let mut completion = None;
        let take = async |line: String| self.take(line, &mut completion).await;
        let code = running.finish(stop, take).await;
        if code != 0 {
            let line = format!("##[error]Bash exited with code '{code}'.");
            self.feed.line(line).await;
            return Completion::Failed;
        }
        completion.unwrap_or(Completion::Succeeded)
    }

    /// Does what a line says, or shows it.
    async fn take(&mut self, line: String, completion: &mut Option<Completion>) {
        match LoggingCommand::read(&line) {
            Some(LoggingCommand::SetVariable {
                value,
                secret: true,
                ..
            })
            | Some(LoggingCommand::SetSecret(value)) => self.hide(&value),
            Some(LoggingCommand::SetVariable { name, value, .. }) => {
                self.environment.set(environment_name(&name), value);
            }
            Some(LoggingCommand::PrependPath(folder)) => {
                let path = self.environment.get("PATH").unwrap_or_default();
                let path = format!("{folder}:{path}");
                self.environment.set("PATH", path);
            }
            Some(LoggingCommand::Complete(said)) => *completion = Some(said),
            Some(LoggingCommand::LogIssue { kind, text }) => {
                self.show(format!("##[{kind}]{text}")).await;
            }
            None => self.show(line).await,
        }
    }

    fn hide(&mut self, secret: &str) {
        let parts = secret.lines().filter(|part| !part.trim().is_empty());
        self.secrets.extend(parts.map(str::to_owned));
    }

    async fn show(&self, line: String) {
        let hide = |line: String, secret: &String| line.replace(secret.as_str(), "***");
        self.feed.line(self.secrets.iter().fold(line, hide)).await;
    }
}
