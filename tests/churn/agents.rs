//! Agents in pods that run no process, played as what they would be.
//!
//! - **`azp-agent`** by its own code: what it does next is decided by its own
//!   [`next`], and what it tells the server goes through its own client, over HTTP and
//!   through whatever faults there are. Played are its worker and its listener.
//! - **`start.sh`** as Microsoft's documentation has it (docs/coming-from-start-sh.md):
//!   told to stop, it calls `config.sh remove` at once and every 30 s, which fails while
//!   a job runs; nothing keeps the server from giving it the next job meanwhile.
//!
//! Either way Kubernetes kills what is left when the grace is over, and the job with it.
//!
//! May import: the crate's own leaving, the view, the diary. Invariant: an agent's
//! process ends here and nowhere else, once.

use std::{sync::Arc, time::Duration};

use azp_scaler::{
    azure::Client,
    domain::{
        drain::{Parting, Sight, Standing, Step, next},
        pool::PoolId,
        registration::AgentId,
    },
    emulator::{EmulatorHandle, NewAgent},
    ports::{
        ReadError,
        registrations::{Registrations as _, Removal},
    },
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{diary::Diary, load::Kind, view::View};

/// Whose entry point it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    AzpAgent,
    StartSh,
}

/// How long things take that a pod's own process takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// From the container's start to an agent that listens.
    pub(crate) start: Duration,
    /// From the last word of the server to the end of the process.
    pub(crate) leave: Duration,
    /// azp-agent's `--idle-timeout`, in ScaledJobs alone.
    pub(crate) idle: Duration,
}

/// What the kubelet would tell the process, and what becomes of its pod.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Word {
    /// SIGTERM came, and SIGKILL comes then.
    pub(crate) killed_at: Option<Instant>,
    /// The pod is gone without any of that, as with its node.
    pub(crate) is_gone: bool,
}

/// Where agents work: what all of one side share.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) entry: Entry,
    pub(crate) pool: &'static str,
    pub(crate) pool_id: PoolId,
    pub(crate) pace: Pace,
    pub(crate) emulator: EmulatorHandle,
    pub(crate) client: Arc<Client>,
    pub(crate) view: View,
    pub(crate) diary: Diary,
}

/// One agent.
pub(crate) struct Agent {
    pub(crate) work: Work,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) capabilities: Vec<(&'static str, &'static str)>,
    pub(crate) word: watch::Receiver<Word>,
}

/// azp-agent's `--leave-within`.
const LEAVE_WITHIN: Duration = Duration::from_secs(120);
/// azp-agent's pauses between two questions.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
/// azp-agent believes so many refusals in a row.
const MOST_REFUSALS: u32 = 4;
/// start.sh's pause between two tries of `config.sh remove`.
const TRIES: Duration = Duration::from_secs(30);

impl Agent {
    /// The whole life of its process.
    pub(crate) async fn live(self) {
        let how = tokio::select! {
            biased;
            () = self.is_killed() => {
                self.kill();
                "it is killed"
            }
            how = self.works() => how,
        };
        self.work.diary.ends(&self.name, how);
    }

    async fn works(&self) -> &'static str {
        let Work {
            pace,
            emulator,
            pool,
            view,
            ..
        } = &self.work;
        tokio::select! {
            () = sleep(pace.start) => {}
            () = self.is_told() => return "told to stop before it was registered",
        }
        let is_once = self.kind == Kind::Build && self.work.entry == Entry::AzpAgent;
        let mut agent = NewAgent::in_pod(&self.name, self.capabilities.iter().copied());
        agent.once = is_once;
        let id = match emulator.add_agent(pool, agent) {
            Ok(id) => AgentId(id),
            Err(refusal) => {
                self.note(format!("it is not registered: {refusal}"));
                return "it has no name";
            }
        };
        self.work.diary.listens(&self.name);
        view.until(&self.name, |agent| agent.is_online).await;
        tokio::select! {
            () = self.is_told() => self.note("told to stop"),
            () = view.until(&self.name, |agent| !agent.is_online) => self.note("its one job is done"),
            () = self.idles(), if is_once => self.note("no job came"),
        }
        match self.work.entry {
            Entry::AzpAgent => {
                let parting = self.leaves(id).await;
                self.note(parting.reason());
            }
            Entry::StartSh => self.removes(id).await,
        }
        sleep(pace.leave).await;
        "it has left"
    }

    /// Comes back after so long without a job.
    async fn idles(&self) {
        let Work { view, pace, .. } = &self.work;
        loop {
            let job = view.until(&self.name, |agent| agent.has_job);
            if timeout(pace.idle, job).await.is_err() {
                return;
            }
            view.until(&self.name, |agent| !agent.has_job).await;
        }
    }

    async fn is_told(&self) {
        let mut word = self.word.clone();
        // An error means that the run is over.
        let _ = word.wait_for(|word| word.killed_at.is_some()).await;
    }

    async fn is_killed(&self) {
        let mut word = self.word.clone();
        loop {
            let Word { killed_at, is_gone } = *word.borrow_and_update();
            if is_gone {
                return;
            }
            let killed = async {
                match killed_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = killed => return,
                changed = word.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Its listener, and its worker with it, is there no more.
    fn kill(&self) {
        let seen = self.work.view.agent(&self.name);
        self.note(format!("its process ends; {seen:?}"));
        // One that is not in the pool (any more) has nothing to lose.
        let _ = self.work.emulator.kill_agent(self.work.pool, &self.name);
    }

    fn note(&self, what: impl Into<String>) {
        self.work.diary.note(&self.name, what);
    }
}

// === azp-agent ===

/// How far it has come.
struct Leaving {
    server: Standing,
    until: Instant,
    pause: Duration,
    refusals: u32,
    refused_beside_job: bool,
    last: Option<Step>,
}

impl Agent {
    /// As `Life::leaves` of azp-agent.
    async fn leaves(&self, id: AgentId) -> Parting {
        let Work {
            client,
            pool_id,
            view,
            ..
        } = &self.work;
        let mut leaving = Leaving {
            server: Standing::GivesJobs,
            until: Instant::now() + LEAVE_WITHIN,
            pause: PAUSES[0],
            refusals: 0,
            refused_beside_job: false,
            last: None,
        };
        loop {
            let seen = view.agent(&self.name);
            leaving.look(seen.works);
            self.work.diary.leaves(&self.name, !seen.has_job);
            let step = next(&Sight {
                worker: seen.works,
                listener: seen.is_online,
                updating: false,
                server: leaving.server,
                time_left: Instant::now() < leaving.until,
                restarts_left: true,
            });
            if leaving.last != Some(step) {
                self.note(format!("{step}: {}", step.reason()));
                leaving.last = Some(step);
            }
            match step {
                Step::Disable | Step::DisableBesideJob => {
                    match client.set_enabled(*pool_id, id, &self.name, false).await {
                        Ok(()) => leaving.answered(Standing::GivesNoMore),
                        Err(error) => self.unanswered(&error, &mut leaving).await,
                    }
                }
                Step::Wait => {
                    let _ = timeout(PAUSES[1], view.until(&self.name, |agent| !agent.works)).await;
                }
                Step::Remove => self.remove(id, &mut leaving).await,
                Step::RemoveAgain | Step::StartListener => {
                    let changed = view.until(&self.name, |agent| agent.works != seen.works);
                    if timeout(leaving.pause, changed).await.is_err() {
                        self.remove(id, &mut leaving).await;
                    }
                }
                Step::StopListener if leaving.server == Standing::Refuses && seen.has_job => {
                    let changed = view.until(&self.name, |agent| agent != seen);
                    let _ = timeout(PAUSES[1], changed).await;
                }
                Step::StopListener => {
                    self.kill();
                    view.until(&self.name, |agent| !agent.is_online).await;
                }
                Step::Done(parting) => return parting,
            }
        }
    }

    async fn remove(&self, id: AgentId, leaving: &mut Leaving) {
        match self.work.client.remove(self.work.pool_id, id).await {
            Ok(Removal::Removed | Removal::WasGone) => {
                leaving.server = Standing::Gone;
                self.work
                    .view
                    .until(&self.name, |agent| !agent.is_online)
                    .await;
            }
            Ok(Removal::Busy { .. }) => {
                if leaving.server == Standing::HasJob {
                    leaving.longer();
                }
                leaving.refusals = 0;
                leaving.server = Standing::HasJob;
                leaving.until = Instant::now() + LEAVE_WITHIN;
            }
            Err(error) => self.unanswered(&error, leaving).await,
        }
    }

    async fn unanswered(&self, error: &ReadError, leaving: &mut Leaving) {
        self.note(format!("not done: {error}"));
        if error.is_refusal() {
            leaving.refusals += 1;
            if leaving.refusals >= MOST_REFUSALS {
                leaving.server = Standing::Refuses;
                return;
            }
        }
        sleep(leaving.pause).await;
        leaving.longer();
    }
}

impl Leaving {
    /// As `Life::note` of azp-agent.
    fn look(&mut self, works: bool) {
        if works && self.server == Standing::Refuses {
            self.refused_beside_job = true;
        } else if self.refused_beside_job {
            self.refused_beside_job = false;
            self.answered(Standing::GivesJobs);
        }
        if works {
            self.until = Instant::now() + LEAVE_WITHIN;
        }
    }

    fn answered(&mut self, server: Standing) {
        self.server = server;
        self.refusals = 0;
        self.pause = PAUSES[0];
    }

    fn longer(&mut self) {
        self.pause = (self.pause * 2).min(PAUSES[1]);
    }
}

// === start.sh ===

impl Agent {
    /// `cleanup()`: again and again until the server lets it.
    async fn removes(&self, id: AgentId) {
        loop {
            let seen = self.work.view.agent(&self.name);
            self.work.diary.leaves(&self.name, !seen.has_job);
            match self.work.client.remove(self.work.pool_id, id).await {
                Ok(Removal::Removed | Removal::WasGone) => return,
                Ok(Removal::Busy { .. }) => self.note("config.sh remove fails: a job runs"),
                Err(error) => self.note(format!("config.sh remove fails: {error}")),
            }
            sleep(TRIES).await;
        }
    }
}
