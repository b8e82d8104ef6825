//! Leaving: the steps of [`crate::domain::drain`], taken one after the other.
//!
//! May import: its siblings, ports, domain. Invariants: before each step it is
//! looked anew who lives; every step is logged with its reason, once for each
//! time that it is entered; what the server does not answer is asked again with
//! growing pauses, for a bounded time in which no job is known.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{
    board::Phase,
    children::{kill, terminate},
    folder::Registered,
    life::{Ending, Life, Reason},
    processes::{self, Family},
};
use crate::{
    domain::{
        drain::{Parting, Sight, Standing, Step, Waiting, next},
        pool::PoolRef,
    },
    ports::{ReadError, registrations::Removal},
};

/// So many listeners are started for a job that the server has given away.
const MOST_RESTARTS: u32 = 5;

/// So many refusals for want of rights, one after the other and with growing
/// pauses (some four seconds in all), are believed: a token that is just being
/// renewed, or a sign-in page in the wrong place, passes.
const MOST_REFUSALS: u32 = 4;

/// So long a listener may take to end. Azure Pipelines agent: at most 30 s.
const LISTENER_ENDS: Duration = Duration::from_secs(40);

/// The pauses between two questions that were not answered as hoped for.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// How far the leaving has come.
struct Leaving {
    server: Standing,
    /// No time passes while a job is known.
    until: Instant,
    restarts: u32,
    pause: Duration,
    /// Refusals for want of rights, one after the other.
    refusals: u32,
    /// It was refused while a job ran; asked anew after it, which may be hours
    /// later.
    refused_beside_job: bool,
    last: Option<Step>,
}

impl Life {
    /// Leaves, without losing a job.
    pub(super) async fn leaves(&mut self, registered: &Registered, reason: Reason) -> Ending {
        self.board.phase(Phase::Draining, reason.text());
        tracing::info!(agent = %registered.name, reason = reason.text(), "leaving");
        self.done_enabling().await;
        let mut leaving = Leaving::new(self.config.leave_within);
        let parting = loop {
            let family = processes::below_this();
            self.note(&family, &mut leaving);
            let step = next(&self.sight(&family, &leaving));
            leaving.log(step, &registered.name);
            match step {
                Step::Disable | Step::DisableBesideJob => {
                    self.disable(registered, &mut leaving).await;
                }
                Step::Wait(waiting) => self.wait(waiting).await,
                Step::StartListener => self.take_job(&mut leaving).await,
                Step::Remove => self.remove(registered, &mut leaving).await,
                Step::RemoveAgain => {
                    if self.unchanged_for(leaving.pause).await {
                        self.remove(registered, &mut leaving).await;
                    }
                }
                Step::StopListener => self.stop_listener(registered, &mut leaving).await,
                Step::Done(parting) => break parting,
            }
        };
        if parting == Parting::Removed {
            // The next process in this container registers anew anyway.
            let _ = self.folder.forget_registration();
        }
        self.ending(parting, reason)
    }

    /// Leaves while nobody knows whether `config.sh` has registered the agent: it
    /// is looked up by its name.
    pub(super) async fn leave_unregistered(&mut self) -> Parting {
        self.board.phase(Phase::Draining, Reason::Told.text());
        if let Ok(registered) = self.folder.registration() {
            return self.leaves(&registered, Reason::Told).await.parting;
        }
        let pool = PoolRef::Name(self.config.pool.clone());
        let until = Instant::now() + self.config.leave_within;
        let mut pause = PAUSES[0];
        loop {
            match self
                .registrations
                .agent_named(&pool, &self.config.name)
                .await
            {
                // Somebody else's listener bears this name: it is his.
                Ok((_, Some(agent))) if agent.online => {
                    tracing::warn!(name = %agent.name, "an agent of this name is online; it stays");
                    return Parting::Removed;
                }
                Ok((pool, Some(agent))) => {
                    let registered = Registered {
                        agent: agent.id,
                        pool,
                        name: agent.name,
                    };
                    return self.leaves(&registered, Reason::Told).await.parting;
                }
                Ok((_, None)) => return Parting::Removed,
                Err(error) if error.is_refusal() => return Parting::NoRights,
                Err(error) if Instant::now() >= until => {
                    tracing::error!(%error, "cannot ask whether the agent is registered");
                    return Parting::NoAnswer;
                }
                Err(error) => tracing::warn!(%error, ?pause, "asked again soon"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// Takes back what `config.sh` may have registered before it failed. An agent
    /// of this name that is online, or has a job, is somebody else's; so long as
    /// the server does not answer, it is asked a few times.
    pub(super) async fn take_back(&self) {
        let pool = PoolRef::Name(self.config.pool.clone());
        let mut pause = PAUSES[0];
        for _ in 0..MOST_REFUSALS {
            let asked = async {
                let named = self.registrations.agent_named(&pool, &self.config.name);
                match named.await? {
                    (pool, Some(agent)) if !agent.online && agent.assigned.is_none() => {
                        self.registrations.remove(pool, agent.id).await.map(Some)
                    }
                    _ => Ok(None),
                }
            };
            match timeout(self.config.leave_within, asked).await {
                Ok(Ok(Some(Removal::Removed))) => {
                    tracing::info!(name = self.config.name, "what was registered is taken back");
                    return;
                }
                Ok(Ok(_)) => return,
                // There is nothing that could be asked again.
                Ok(Err(error @ ReadError::PoolNotFound { .. })) => {
                    tracing::debug!(%error, "nothing is registered");
                    return;
                }
                Ok(Err(error)) if error.is_refusal() => {
                    tracing::warn!(%error, "cannot ask whether the agent is registered");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%error, ?pause, "asked again soon"),
                Err(_) => tracing::warn!(?pause, "no answer in time; asked again soon"),
            }
            sleep(pause).await;
            pause *= 2;
        }
        tracing::error!(
            name = self.config.name,
            "the agent may stay registered; remove it later, for example with azp-agent clean"
        );
    }

    fn sight(&mut self, family: &Family, leaving: &Leaving) -> Sight {
        let script = self
            .listener
            .as_mut()
            .is_some_and(super::listener::Listener::is_alive);
        Sight {
            worker: !family.workers.is_empty(),
            listener: script || family.listener.is_some(),
            updating: family.updating || !self.folder.has_listener(),
            server: leaving.server,
            time_left: Instant::now() < leaving.until,
            restarts_left: leaving.restarts < MOST_RESTARTS,
        }
    }

    /// Notes what is seen of a job.
    fn note(&mut self, family: &Family, leaving: &mut Leaving) {
        let works = !family.workers.is_empty();
        self.board.job(works);
        if works && let Some(listener) = &self.listener {
            listener.note_job();
        }
        if works && leaving.server == Standing::Refuses {
            leaving.refused_beside_job = true;
        } else if leaving.refused_beside_job {
            leaving.refused_beside_job = false;
            leaving.server = Standing::GivesJobs;
            leaving.answered();
        }
        if works || leaving.server == Standing::HasJob {
            leaving.until = Instant::now() + self.config.leave_within;
        }
    }

    async fn disable(&mut self, registered: &Registered, leaving: &mut Leaving) {
        let Registered { agent, pool, name } = registered;
        match self
            .registrations
            .set_enabled(*pool, *agent, name, false)
            .await
        {
            Ok(()) => {
                leaving.answered();
                leaving.server = Standing::GivesNoMore;
            }
            Err(error) => self.unanswered("disable", &error, leaving).await,
        }
    }

    async fn remove(&mut self, registered: &Registered, leaving: &mut Leaving) {
        let Registered { agent, pool, .. } = *registered;
        if self.config.job_outcome {
            self.read_outcome(registered).await;
        }
        match self.registrations.remove(pool, agent).await {
            Ok(Removal::Removed | Removal::WasGone) => leaving.server = Standing::Gone,
            Ok(Removal::Busy { message }) => {
                if leaving.server != Standing::HasJob {
                    leaving.pause = PAUSES[0];
                    tracing::info!(agent = %registered.name, server = %message, "not yet");
                } else {
                    leaving.longer();
                }
                leaving.refusals = 0;
                leaving.server = Standing::HasJob;
            }
            Err(error) => self.unanswered("deregister", &error, leaving).await,
        }
    }

    /// What came of the last job, while the server still knows the agent.
    async fn read_outcome(&mut self, registered: &Registered) {
        let Registered { agent, pool, .. } = *registered;
        match self.registrations.agent(pool, agent).await {
            Ok(Some(agent)) => self.outcome = agent.last.map(|last| last.result).or(self.outcome),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the job's outcome cannot be read"),
        }
    }

    /// A step that the server refused or did not answer.
    async fn unanswered(&mut self, step: &str, error: &ReadError, leaving: &mut Leaving) {
        if error.is_refusal() {
            leaving.refusals += 1;
            if leaving.refusals >= MOST_REFUSALS {
                tracing::error!(step, %error, "refused; giving up");
                leaving.server = Standing::Refuses;
                return;
            }
        }
        tracing::warn!(step, %error, pause = ?leaving.pause, "not done; tried again");
        self.unchanged_for(leaving.pause).await;
        leaving.longer();
    }

    /// Waits for so long, or until other processes live; tells whether it waited
    /// to the end.
    async fn unchanged_for(&self, pause: Duration) -> bool {
        let mut family = self.observer.family();
        let before = family.borrow_and_update().clone();
        let changed =
            family.wait_for(|now| now.workers != before.workers || now.listener != before.listener);
        timeout(pause, changed).await.is_err()
    }

    async fn wait(&mut self, waiting: Waiting) {
        if waiting == Waiting::Update {
            return self.update(super::children::Exit::Unknown).await;
        }
        let mut family = self.observer.family();
        // Looked at again now and then, whatever the observer tells.
        let ended = family.wait_for(|family| family.workers.is_empty());
        let _ = timeout(PAUSES[1], ended).await;
    }

    /// A listener for the job that the server has given this agent.
    async fn take_job(&mut self, leaving: &mut Leaving) {
        if leaving.restarts > 0 {
            sleep(leaving.pause).await;
            leaving.longer();
        }
        leaving.restarts += 1;
        if let Err(error) = self.start_listener(true) {
            tracing::error!(%error, "the job cannot be taken");
        }
        self.board.phase(Phase::Draining, "a last job");
    }

    /// Stops the listener, which has no worker: that is looked at again here.
    async fn stop_listener(&mut self, registered: &Registered, leaving: &mut Leaving) {
        if leaving.server == Standing::Refuses && self.has_job_all_the_same(registered).await {
            self.unchanged_for(PAUSES[1]).await;
            return;
        }
        let end = Instant::now() + LISTENER_ENDS;
        let mut told = None;
        while Instant::now() < end {
            let family = processes::below_this();
            if !family.workers.is_empty() {
                return;
            }
            let script = self.listener.as_mut();
            let script = script.and_then(|script| script.is_alive().then(|| script.pid()));
            let Some(pid) = family.listener.or(script) else {
                self.listener = None;
                return;
            };
            // The script first, where it has not yet started the listener; then
            // the listener that came all the same.
            if told != Some(pid) {
                terminate(pid);
                told = Some(pid);
            }
            self.unchanged_for(Duration::from_millis(50)).await;
        }
        tracing::warn!("the listener does not end within {LISTENER_ENDS:?}; it is killed");
        let family = processes::below_this();
        if family.workers.is_empty() {
            family.listener.into_iter().for_each(kill);
            if let Some(listener) = self.listener.take() {
                listener.kill();
            }
        }
    }

    /// A credential that may change nothing may often still read.
    async fn has_job_all_the_same(&self, registered: &Registered) -> bool {
        let Registered { agent, pool, .. } = *registered;
        let agent = self.registrations.agent(pool, agent).await;
        matches!(agent, Ok(Some(agent)) if agent.assigned.is_some())
    }
}

// === impl Leaving ===

impl Leaving {
    fn new(within: Duration) -> Self {
        Self {
            server: Standing::GivesJobs,
            until: Instant::now() + within,
            restarts: 0,
            pause: PAUSES[0],
            refusals: 0,
            refused_beside_job: false,
            last: None,
        }
    }

    fn log(&mut self, step: Step, agent: &str) {
        if self.last != Some(step) {
            tracing::info!(agent, %step, reason = step.reason(), "leaving");
        }
        self.last = Some(step);
    }

    fn answered(&mut self) {
        self.refusals = 0;
        self.pause = PAUSES[0];
    }

    fn longer(&mut self) {
        self.pause = (self.pause * 2).min(PAUSES[1]);
    }
}

// === impl Reason ===

impl Reason {
    /// For the log and the board.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Told => "this process was told to stop",
            Self::Idle => "there was no job for as long as was set",
            Self::JobDone => "its one job is done",
            Self::Failing => "its listener fails again and again",
        }
    }
}
