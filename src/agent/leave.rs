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
    domain::drain::{Parting, Sight, Standing, Step, next},
    ports::{
        ReadError,
        registrations::{Asked, Removal},
    },
};

/// So many listeners are started for a job that the server has given away.
const MOST_RESTARTS: u32 = 5;

/// So many refusals for want of rights, one after the other and with growing
/// pauses (some two seconds in all), are believed: a token that is just being
/// renewed, or a sign-in page in the wrong place, passes.
pub(super) const MOST_REFUSALS: u32 = 4;

/// So long a listener may take to end. Azure Pipelines agent: at most 30 s.
const LISTENER_ENDS: Duration = Duration::from_secs(40);

/// The pauses between two questions that were not answered as hoped for.
pub(super) const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// A request gets so long in the least, however little time there is left.
const LEAST_ANSWER: Duration = Duration::from_secs(1);

/// How far the leaving has come.
struct Leaving {
    server: Standing,
    /// Until when a silent server is asked: later and later, while a job runs here
    /// or the server says that there is one.
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
            let family = processes::below_this(&self.home);
            self.note(&family, &mut leaving);
            let step = next(&self.sight(&family, &leaving));
            leaving.log(step, &registered.name);
            match step {
                Step::Disable | Step::DisableBesideJob => {
                    self.disable(registered, &mut leaving).await;
                }
                Step::Wait => self.wait_for_job().await,
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
        if let Some(listener) = &self.listener {
            if works {
                listener.note_job();
            }
            self.board.jobs(self.jobs_before + listener.jobs());
        }
        if works && leaving.server == Standing::Refuses {
            leaving.refused_beside_job = true;
        } else if leaving.refused_beside_job {
            leaving.refused_beside_job = false;
            leaving.server = Standing::GivesJobs;
            leaving.answered();
        }
        if works {
            leaving.until = Instant::now() + self.config.leave_within;
        }
    }

    async fn disable(&mut self, registered: &Registered, leaving: &mut Leaving) {
        let Registered { agent, pool, name } = registered;
        let asked = self.registrations.set_enabled(*pool, *agent, name, false);
        match leaving.in_time(asked).await {
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
            self.read_outcome(registered, leaving).await;
        }
        match leaving
            .in_time(self.registrations.remove(pool, agent))
            .await
        {
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
                // As long as it goes on saying so, it is waited for.
                leaving.until = Instant::now() + self.config.leave_within;
            }
            Err(error) => self.unanswered("deregister", &error, leaving).await,
        }
    }

    /// What came of the last job, while the server still knows the agent.
    async fn read_outcome(&mut self, registered: &Registered, leaving: &Leaving) {
        let Registered { agent, pool, .. } = *registered;
        match leaving.in_time(self.registrations.agent(pool, agent)).await {
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

    async fn wait_for_job(&mut self) {
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
        if leaving.server == Standing::Refuses
            && self.has_job_all_the_same(registered, leaving).await
        {
            self.unchanged_for(PAUSES[1]).await;
            return;
        }
        let end = Instant::now() + LISTENER_ENDS;
        let mut told = None;
        while Instant::now() < end {
            let family = processes::below_this(&self.home);
            if !family.workers.is_empty() {
                return;
            }
            let script = self.listener.as_mut();
            let script = script.and_then(|script| script.is_alive().then(|| script.pid()));
            let Some(pid) = family.listener.or(script) else {
                self.part_with_listener();
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
        let family = processes::below_this(&self.home);
        if family.workers.is_empty() {
            family.listener.into_iter().for_each(kill);
            if let Some(listener) = self.listener.take() {
                listener.kill();
            }
        }
    }

    /// A credential that may change nothing may often still read.
    async fn has_job_all_the_same(&self, registered: &Registered, leaving: &Leaving) -> bool {
        let Registered { agent, pool, .. } = *registered;
        let agent = leaving.in_time(self.registrations.agent(pool, agent)).await;
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

    /// An answer that hangs takes no longer than there is time left.
    async fn in_time<T>(&self, asked: impl Future<Output = Asked<T>>) -> Asked<T> {
        let left = self.until.saturating_duration_since(Instant::now());
        let limit = left.max(LEAST_ANSWER);
        let answered = timeout(limit, asked).await;
        answered.unwrap_or(Err(ReadError::TimedOut { limit }))
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
