//! Simulated replicas: a Deployment whose pods bring agents to the pool.
//!
//! May import: the emulator, the day. Invariant: an agent with a job is never
//! taken away. A pod is ended only while it starts or once the pool has let go of
//! its agent, which it refuses as long as the agent is busy.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant, MissedTickBehavior, interval};

use super::day::{POOL, Profile};
use crate::emulator::{EmulatorHandle, NewAgent};

/// Kubernetes: the letters of which a pod's name ends are none that make words.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A Deployment that KEDA scales. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct Deployment(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    profile: &'static Profile,
    /// Of the `ReplicaSet`, in its pods' names.
    hash: String,
    wanted: u32,
    pods: Vec<Pod>,
}

#[derive(Debug)]
struct Pod {
    name: String,
    /// Until when it starts; `None` once its agent is registered.
    starts_until: Option<Instant>,
}

// === impl Deployment ===

impl Deployment {
    /// One without replicas.
    pub(super) fn new(profile: &'static Profile) -> Self {
        Self(Arc::new(Mutex::new(State {
            profile,
            hash: letters(10),
            wanted: 0,
            pods: Vec::new(),
        })))
    }

    pub(super) fn profile(&self) -> &'static Profile {
        self.state().profile
    }

    /// What its scale says.
    pub(super) fn wanted(&self) -> u32 {
        self.state().wanted
    }

    /// Sets its scale.
    pub(super) fn scale(&self, wanted: u32) {
        self.state().wanted = wanted;
    }

    /// All of its pods, and those of them that still start.
    pub(super) fn pods(&self) -> (u32, u32) {
        let state = self.state();
        let starting = state.pods.iter().filter(|pod| pod.starts_until.is_some());
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        (count(state.pods.len()), count(starting.count()))
    }

    /// Brings the pods to what the scale says, again and again.
    ///
    /// # Errors
    /// Where the pool does not take an agent.
    pub(super) async fn run(
        &self,
        emulator: &EmulatorHandle,
        start_up: Duration,
    ) -> anyhow::Result<()> {
        let mut turns = interval(start_up / 8);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = turns.tick().await;
            self.state().turn(emulator, now, start_up)?;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn turn(
        &mut self,
        emulator: &EmulatorHandle,
        now: Instant,
        start_up: Duration,
    ) -> anyhow::Result<()> {
        while self.pods.len() < self.wanted as usize {
            self.pods.push(Pod {
                name: format!("{}-{}-{}", self.profile.name, self.hash, letters(5)),
                starts_until: Some(now + start_up),
            });
        }
        self.end_surplus(emulator);
        for pod in &mut self.pods {
            if pod.starts_until.is_some_and(|until| until <= now) {
                emulator.add_agent(POOL, NewAgent::in_pod(&pod.name, self.profile.agent()))?;
                pod.starts_until = None;
            }
        }
        Ok(())
    }

    /// The youngest first, as a `ReplicaSet` does among equals.
    fn end_surplus(&mut self, emulator: &EmulatorHandle) {
        let mut surplus = self.pods.len().saturating_sub(self.wanted as usize);
        let mut position = self.pods.len();
        while surplus > 0 && position > 0 {
            position -= 1;
            let pod = &self.pods[position];
            let starts = pod.starts_until.is_some();
            // A refusal means that the agent is busy: it is asked again.
            if starts || emulator.remove_agent(POOL, &pod.name).is_ok() {
                self.pods.remove(position);
                surplus -= 1;
            }
        }
    }
}

fn letters(count: usize) -> String {
    let letter = || char::from(LETTERS[fastrand::usize(..LETTERS.len())]);
    std::iter::repeat_with(letter).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::demo::day::PROFILES,
        emulator::{Emulator, NewJobs, Settings},
    };

    #[tokio::test(start_paused = true)]
    async fn a_busy_agent_stays_until_its_job_is_done() {
        let emulator = Emulator::new(Settings::default()).unwrap().handle();
        let jobs = NewJobs {
            duration: Duration::from_secs(60),
            ..NewJobs::default()
        };
        emulator.queue_jobs(POOL, &jobs).unwrap();
        let deployment = Deployment::new(&PROFILES[0]);
        let after = |seconds| {
            let now = Instant::now() + Duration::from_secs(seconds);
            let turn = deployment
                .state()
                .turn(&emulator, now, Duration::from_secs(3));
            turn.unwrap();
            deployment.pods()
        };
        deployment.scale(3);
        assert_eq!(after(0), (3, 3));
        assert_eq!(after(3), (3, 0));
        deployment.scale(0);
        assert_eq!(after(4), (1, 0), "one has the job");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(after(0), (0, 0));
        let counts = emulator.counts(POOL).unwrap();
        assert_eq!((counts.succeeded, counts.lost, counts.agents), (1, 0, 0));
    }
}
