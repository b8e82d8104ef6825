//! Plays the agents of a Deployment's pods, which never run since there is no
//! node: for each pod an agent of the pod's name, and for a pod that is gone an
//! idle agent less. It never kills a busy one; which pod dies is decided by
//! nobody yet who knows who is busy.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use azp_harness::{Cluster, Event, Lines};

use super::{Emulator, Failure};

/// Plays until it is dropped.
#[derive(Debug)]
pub(crate) struct AgentPlayer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AgentPlayer {
    /// Plays the pods of a namespace in a pool.
    pub(crate) fn start(
        cluster: &Cluster,
        namespace: &str,
        emulator: &Emulator,
        pool: &str,
    ) -> Result<AgentPlayer, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut stage = Stage {
            pods: BTreeSet::new(),
            events: cluster.watch_names("pods", namespace)?,
            emulator: emulator.clone(),
            pool: pool.to_owned(),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Err(error) = stage.step() {
                    // The scenario fails for want of agents; this says why.
                    eprintln!("the agent player stops: {error:?}");
                    break;
                }
            }
        });
        Ok(AgentPlayer {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for AgentPlayer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A player that panicked has printed its panic.
            let _ = thread.join();
        }
    }
}

struct Stage {
    pods: BTreeSet<String>,
    events: Lines,
    emulator: Emulator,
    pool: String,
}

impl Stage {
    /// Follows one event of the pods, or after a quiet moment looks whether
    /// agents beyond the pods have become idle.
    fn step(&mut self) -> Result<(), Failure> {
        if let Some((_, line)) = self.events.next_within(Duration::from_millis(200)) {
            match Event::parse(&line) {
                Some(Event::Added(pod)) => {
                    self.emulator.add_agent(&self.pool, &pod)?;
                    self.pods.insert(pod);
                }
                Some(Event::Deleted(pod)) => {
                    self.pods.remove(&pod);
                }
                None => {}
            }
            return Ok(());
        }
        self.events.check()?;
        let state = self.emulator.pool(&self.pool)?;
        let beyond = state.agents.saturating_sub(self.pods.len());
        let gone = state
            .idle_agents
            .iter()
            .filter(|name| !self.pods.contains(*name));
        for agent in gone.take(beyond) {
            self.emulator.remove_agent(&self.pool, agent)?;
        }
        Ok(())
    }
}
