//! Between two listeners: what the last one left, an update, a pause.
//!
//! May import: its siblings, ports. Invariant: the next listener starts when no
//! worker of the last one lives, and never twice for the same reason without a
//! pause.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    board::Phase,
    children::{Exit, kill},
    folder::Registered,
    life::{Life, Reason},
    processes::below_this,
};

/// How long an update may take. Azure Pipelines agent: the script waits for the
/// listener's end, moves two folders and ends.
const LONGEST_UPDATE: Duration = Duration::from_secs(300);

/// So often is it looked for what a job left running.
const MOST_ROUNDS: u32 = 20;

/// A listener that is updated within so short a time has done nothing else.
const MOMENT: Duration = Duration::from_secs(60);

/// So many of those in a row are believed.
const MOST_QUICK_UPDATES: u32 = 3;

impl Life {
    /// Lets a listener go that has ended; its jobs stay counted.
    pub(super) fn part_with_listener(&mut self) {
        if let Some(ended) = self.listener.take() {
            self.jobs_before += ended.jobs();
            self.board.jobs(self.jobs_before);
        }
    }

    /// A worker outlives its listener for a moment only: it ends when it cannot
    /// reach it. A listener outlives its script when somebody kills that, and goes
    /// on to run jobs. Another listener may not come in the way of either.
    pub(super) async fn wait_for_the_last(&mut self) {
        let mut family = self.observer.family();
        tokio::select! {
            // The observer lives as long as this does.
            _ = family.wait_for(|family| family.workers.is_empty() && family.listener.is_none()) => {
                self.board.job(false);
            }
            // Leaving waits for them, too.
            () = self.stop.cancelled() => {}
        }
    }

    /// A package that is no better than the one before it would be installed for
    /// ever.
    pub(super) fn updates_too_often(&mut self, lived: Duration) -> bool {
        self.quick_updates = if lived < MOMENT {
            self.quick_updates + 1
        } else {
            0
        };
        self.quick_updates > MOST_QUICK_UPDATES
    }

    /// Between two jobs: nothing of the first may reach the second.
    pub(super) async fn make_clean(&self) {
        let mut ended = 0;
        // What is killed may have started others meanwhile.
        for _ in 0..MOST_ROUNDS {
            let left = below_this(&self.home);
            if left.all.is_empty() {
                break;
            }
            if !left.workers.is_empty() {
                tracing::warn!("a worker still lives; nothing is cleaned");
                return;
            }
            ended += left.all.len();
            left.all.into_iter().for_each(kill);
            sleep(Duration::from_millis(10)).await;
        }
        if ended > 0 {
            tracing::info!(processes = ended, "what the job left running is ended");
        }
        if let Err(error) = self.declare() {
            tracing::warn!(%error, "the next job finds what the last one declared");
        }
        match self.folder.clean_work() {
            Ok(()) => tracing::debug!("the work folder is empty"),
            Err(error) => tracing::warn!(%error, "the next job finds a folder that is not empty"),
        }
        self.write_profiles();
    }

    /// The listener ended so that its software can be replaced.
    pub(super) async fn update(&self, exit: Exit) {
        self.board.change(|status| status.updates += 1);
        self.board
            .phase(Phase::Updating, "the agent replaces its own software");
        tracing::info!(%exit, "the agent replaces its own software");
        let end = Instant::now() + LONGEST_UPDATE;
        let mut family = self.observer.family();
        loop {
            let updating = below_this(&self.home).updating;
            if !updating && self.folder.has_listener() {
                tracing::info!("the update is over");
                return;
            }
            tokio::select! {
                _ = family.changed() => {}
                () = sleep(Duration::from_millis(200)) => {}
                () = sleep_until(end) => {
                    tracing::warn!("the update is not over after {LONGEST_UPDATE:?}; going on");
                    return;
                }
            }
        }
    }

    /// The listener failed: waits before the next, unless it has failed too often.
    pub(super) async fn crashed(
        &mut self,
        exit: Exit,
        lived: Duration,
        had_job: bool,
    ) -> Option<Reason> {
        self.board.change(|status| status.crashes += 1);
        let Some(pause) = self.backoff.next(lived, had_job) else {
            tracing::error!(%exit, "the listener fails again and again; giving up");
            return Some(Reason::Failing);
        };
        let detail = format!("the listener ended with {exit}; it starts again after {pause:?}");
        tracing::warn!(%exit, ?lived, ?pause, "the listener ended; it starts again");
        self.board.phase(Phase::Restarting, &detail);
        tokio::select! {
            () = sleep(pause) => None,
            () = self.stop.cancelled() => Some(Reason::Told),
        }
    }

    /// Does the server say that there is no such agent? Azure Pipelines agent: its
    /// listener ends with an error when somebody deletes it.
    pub(super) async fn is_gone(&self, registered: &Registered) -> bool {
        let Registered { agent, pool, .. } = *registered;
        let gone = matches!(self.registrations.agent(pool, agent).await, Ok(None));
        if gone {
            tracing::warn!(%agent, "the agent was taken out of its pool");
        }
        gone
    }
}
