//! The life of an agent: registered, listening, working, and gone.
//!
//! May import: its siblings, config, ports, domain. Invariant: however it ends,
//! it ends through [`super::leave`], once it may be registered.

use std::{ffi::OsString, io, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    after::{After, Backoff, after},
    aws::{self, Profiles},
    board::{Board, Phase},
    children::{Children, Exit},
    enabled::take_no_other,
    environment::environment,
    folder::{Folder, FolderError, Registered},
    listener::Listener,
    observer::Observer,
    processes::Home,
    session,
    software::Software,
};
use crate::{
    config::agent::{Mode, RunConfig},
    domain::{drain::Parting, job::JobResult, registration::AgentId},
    ports::{Tokens, registrations::Registrations},
};

/// What an agent's life needs from outside.
pub struct Surroundings {
    /// Its server.
    pub registrations: Arc<dyn Registrations>,
    /// The token for `config.sh`.
    pub tokens: Arc<dyn Tokens>,
    /// Where its software comes from, where none is baked in.
    pub software: Software,
    /// What it does is told here.
    pub board: Board,
    /// Cancelled when it has to go.
    pub stop: CancellationToken,
}

/// So long after its one job a listener may live on; an update that came with the
/// job would have it wait for another for ever.
const AFTER_JOB: Duration = Duration::from_secs(15);

/// One agent.
pub(super) struct Life {
    pub(super) config: RunConfig,
    pub(super) registrations: Arc<dyn Registrations>,
    pub(super) tokens: Arc<dyn Tokens>,
    pub(super) software: Software,
    pub(super) board: Board,
    pub(super) stop: CancellationToken,
    pub(super) children: Children,
    pub(super) observer: Observer,
    pub(super) folder: Folder,
    pub(super) home: Home,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) listener: Option<Listener>,
    pub(super) outcome: Option<JobResult>,
    pub(super) backoff: Backoff,
    /// Jobs of the listeners before this one.
    pub(super) jobs_before: u64,
    /// Updates in a row whose listeners lived for a moment only.
    pub(super) quick_updates: u32,
    /// The agent that an earlier process registered from this folder.
    pub(super) earlier: Option<AgentId>,
    /// Has a job run here, which could have changed every file of this user?
    worked: bool,
    session: Option<JoinHandle<()>>,
    pub(super) enabling: Option<JoinHandle<()>>,
}

/// Why the agent leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// This process was told to stop.
    Told,
    /// There was no job for as long as was set.
    Idle,
    /// Its only job is done.
    JobDone,
    /// Its listener fails again and again.
    Failing,
}

/// How an agent's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How it was left.
    pub parting: Parting,
    /// Could it not be kept running?
    pub failed: bool,
    /// Was a job run, as far as is known here?
    pub had_job: bool,
    /// What came of its last job, where that was asked for and is known.
    pub outcome: Option<JobResult>,
}

/// Why an agent's life could not begin, or go on.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// Its folder.
    #[error("{0}")]
    Folder(#[from] FolderError),
    /// The system.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        cause: io::Error,
    },
    /// Its software cannot be had.
    #[error("the agent's software cannot be had: {0}")]
    Software(String),
    /// `config.sh` does not register it.
    #[error("the agent cannot be registered: {0}")]
    Registration(String),
}

/// Lives, from the first step to the last.
///
/// # Errors
/// It could not be registered; nothing of it is left behind, as far as the
/// server could be asked.
pub async fn live(config: RunConfig, surroundings: Surroundings) -> Result<Ending, LifeError> {
    let system = |what| move |cause| LifeError::System { what, cause };
    let children = Children::adopt().map_err(system("cannot become the reaper of processes"))?;
    // It is made anyway, once the software is fetched; that it cannot be is told then.
    let _ = std::fs::create_dir_all(&config.home);
    let home = Home::new(&config.home);
    let observer = Observer::start(&children, home.clone());
    let mut life = Life {
        folder: Folder::new(&config.home, &config.work),
        environment: environment(&config.variables, &config.capabilities),
        registrations: surroundings.registrations,
        tokens: surroundings.tokens,
        software: surroundings.software,
        board: surroundings.board,
        stop: surroundings.stop,
        config,
        children,
        observer,
        home,
        listener: None,
        outcome: None,
        backoff: Backoff::default(),
        quick_updates: 0,
        jobs_before: 0,
        earlier: None,
        worked: false,
        session: None,
        enabling: None,
    };
    let ending = life.lives().await;
    life.stop_asking();
    life.board.phase(Phase::Gone, "");
    ending
}

impl Life {
    async fn lives(&mut self) -> Result<Ending, LifeError> {
        if !self.prepare().await? {
            return Ok(self.ending(Parting::Removed, Reason::Told));
        }
        loop {
            let registered = match self.register().await {
                Ok(Some(registered)) => registered,
                Ok(None) => {
                    let parting = self.leave_unregistered().await;
                    return Ok(self.ending(parting, Reason::Told));
                }
                Err(error) => {
                    self.take_back().await;
                    return Err(error);
                }
            };
            self.ask_for_session(&registered);
            self.make_enabled(&registered);
            if let Some(reason) = self.listens(&registered).await {
                return Ok(self.leaves(&registered, reason).await);
            }
            // Only an agent that the server does not know any more comes here.
            if self.worked {
                tracing::error!(
                    "the agent was taken out of its pool after a job; the job could have changed \
                     the scripts that would get the token, so that the container has to start anew"
                );
                return Ok(self.ending(Parting::Removed, Reason::Failing));
            }
        }
    }

    /// Makes everything ready that needs no server; `false` when it has to go
    /// already.
    async fn prepare(&mut self) -> Result<bool, LifeError> {
        if !self.folder.has_agent() {
            let fetched = self.software.fetch(&self.folder, &self.board);
            tokio::select! {
                fetched = fetched => fetched.map_err(LifeError::Software)?,
                () = self.stop.cancelled() => return Ok(false),
            }
        }
        self.folder.make_work()?;
        self.declare()?;
        self.write_profiles();
        Ok(!self.stop.is_cancelled())
    }

    /// Writes what the agent declares.
    pub(super) fn declare(&self) -> Result<(), FolderError> {
        let RunConfig {
            capabilities,
            variables,
            owner,
            cluster,
            ..
        } = &self.config;
        let of = (owner.as_deref(), cluster.as_deref());
        self.folder.declare(capabilities, variables, of)
    }

    /// A job that needs no AWS works without them, so that a failure is told and
    /// no more.
    pub(super) fn write_profiles(&self) {
        let home = self.config.user_home.as_deref();
        match aws::profiles(&self.config.aws_config, home) {
            Ok(Profiles::None) => {}
            Ok(Profiles::Written { to, profiles }) => {
                tracing::info!(file = %to.display(), profiles, "AWS profiles are in place");
            }
            Ok(Profiles::Kept { at }) => tracing::warn!(
                file = %at.display(),
                "AWS profiles are mounted, but a config of somebody else is there; it stays"
            ),
            Err(error) => tracing::warn!(%error, "AWS profiles cannot be put in place"),
        }
    }

    /// Listens until there is a reason to leave; `None` when the server does not
    /// know the agent any more.
    async fn listens(&mut self, registered: &Registered) -> Option<Reason> {
        let once = self.config.mode != Mode::Keep;
        let mut dirty = false;
        loop {
            if self.stop.is_cancelled() {
                return Some(Reason::Told);
            }
            if dirty && self.config.mode == Mode::OnceLoop {
                self.make_clean().await;
                dirty = false;
            }
            let begun = Instant::now();
            let followed = match self.start_listener(once) {
                Ok(()) => self.follow_listener(registered).await,
                Err(error) => {
                    tracing::error!(%error, "the listener cannot be started");
                    if self.worked {
                        // A job may have removed it: the container starts anew.
                        return Some(Reason::Failing);
                    }
                    Followed::Ended(Exit::Unknown)
                }
            };
            let had_job = self.listener.as_ref().is_some_and(Listener::had_job);
            self.worked |= had_job;
            dirty |= had_job;
            let exit = match followed {
                Followed::Leave(reason) => return Some(reason),
                Followed::Ended(exit) => exit,
            };
            self.part_with_listener();
            self.wait_for_the_last().await;
            let single = self.config.mode == Mode::Once;
            let lived = begun.elapsed();
            match after(exit, once, single, had_job) {
                After::JobDone => return Some(Reason::JobDone),
                After::NextJob => {}
                After::Update => {
                    tokio::select! {
                        () = self.update(exit) => {}
                        () = self.stop.cancelled() => continue,
                    }
                    if self.updates_too_often(lived)
                        && let Some(reason) = self.crashed(exit, Duration::ZERO, had_job).await
                    {
                        return Some(reason);
                    }
                }
                After::Crash => {
                    let reason = self.crashed(exit, lived, had_job).await;
                    if reason.is_some() || self.is_gone(registered).await {
                        return reason;
                    }
                }
            }
        }
    }

    pub(super) fn start_listener(&mut self, once: bool) -> io::Result<()> {
        self.board.phase(Phase::Starting, "");
        let nudge = self.observer.nudge();
        let started = Listener::start(&self.children, &self.folder, &self.environment, once, nudge);
        // One that ended while this agent was leaving is replaced here.
        self.part_with_listener();
        self.listener = Some(started?);
        Ok(())
    }

    /// Follows the listener to its end, or to a reason to leave.
    async fn follow_listener(&mut self, registered: &Registered) -> Followed {
        let mut family = self.observer.family();
        let mut idle_since = Instant::now();
        let mut closed = false;
        loop {
            let works = !family.borrow_and_update().workers.is_empty();
            let Some(listener) = &mut self.listener else {
                return Followed::Ended(Exit::Unknown);
            };
            if works {
                idle_since = Instant::now();
                listener.note_job();
            }
            show(&self.board, listener, works);
            self.board.jobs(self.jobs_before + listener.jobs());
            if works && self.config.mode == Mode::Once && !closed {
                closed = true;
                take_no_other(Arc::clone(&self.registrations), registered.clone());
            }
            let heard = listener.heard();
            let idle = self.config.idle_timeout.filter(|_| !works);
            let idle = idle.map(|timeout| idle_since + timeout);
            let over = (closed && !works).then(|| idle_since + AFTER_JOB);
            tokio::select! {
                exit = listener.ended() => return Followed::Ended(exit),
                () = self.stop.cancelled() => return Followed::Leave(Reason::Told),
                () = at(idle) => return Followed::Leave(Reason::Idle),
                () = at(over) => return Followed::Leave(Reason::JobDone),
                _ = family.changed() => {}
                () = heard.something() => {}
            }
        }
    }

    fn ask_for_session(&mut self, registered: &Registered) {
        self.stop_asking();
        self.board
            .change(|status| status.agent_id = Some(registered.agent.0));
        self.session = Some(tokio::spawn(session::follow(
            Arc::clone(&self.registrations),
            registered.clone(),
            self.board.clone(),
            self.config.session_check,
        )));
    }

    fn stop_asking(&mut self) {
        if let Some(session) = self.session.take() {
            session.abort();
        }
    }

    pub(super) fn ending(&self, parting: Parting, reason: Reason) -> Ending {
        Ending {
            parting,
            failed: reason == Reason::Failing,
            had_job: self.board.status().jobs > 0 || reason == Reason::JobDone,
            outcome: self.outcome,
        }
    }
}

/// How following a listener ended.
enum Followed {
    Ended(Exit),
    Leave(Reason),
}

fn show(board: &Board, listener: &Listener, works: bool) {
    board.job(works);
    match (works, listener.is_listening()) {
        (true, _) => board.phase(Phase::Working, ""),
        (false, true) => board.phase(Phase::Listening, ""),
        (false, false) => {}
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
