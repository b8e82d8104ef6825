//! Plays what becomes of the pods of `ScaledJob`s, which never run since there is
//! no node: a pod is Pending for a while, runs for a while until its agent
//! listens, and has succeeded soon after the agent's one job is over. Each
//! `ScaledJob` has its agents in a pool of its own name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use azp_harness::{Cluster, Event, Lines};

use super::{Emulator, Failure, Outcome, api::Api};

/// How long a pod takes from one step to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// From the pod to its first container, as an image is pulled.
    pub(crate) pending: Duration,
    /// From the container to an agent that listens.
    pub(crate) booting: Duration,
    /// From the end of the agent's job to the end of its container.
    pub(crate) leaving: Duration,
}

/// Plays until it is dropped.
#[derive(Debug)]
pub(crate) struct PodPlayer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PodPlayer {
    /// Plays the pods of `scaled_jobs`; `pace` tells that of the n-th pod of any
    /// of them, from 0.
    pub(crate) fn start(
        cluster: &Cluster,
        namespace: &str,
        emulator: &Emulator,
        scaled_jobs: &[&str],
        pace: fn(usize) -> Pace,
    ) -> Result<PodPlayer, Failure> {
        let none = |&name: &&str| (name.to_owned(), BTreeMap::new());
        let mut play = Play {
            namespace: namespace.to_owned(),
            scaled_jobs: scaled_jobs.iter().map(none).collect(),
            pace,
            events: cluster.watch_names("pods", namespace)?,
            api: Api::open(cluster)?,
            emulator: emulator.clone(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Err(error) = play.step() {
                    // The scenario fails for want of agents; this says why.
                    eprintln!("the pod player stops: {error:?}");
                    break;
                }
            }
        });
        Ok(PodPlayer {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for PodPlayer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A player that panicked has printed its panic.
            let _ = thread.join();
        }
    }
}

/// What is next for a pod.
#[derive(Debug, Clone, Copy)]
enum Next {
    Runs(Instant),
    Listens(Instant),
    /// Whenever the agent's job is over.
    Finishes,
    Succeeds(Instant),
    Nothing,
}

struct Play {
    namespace: String,
    /// The pods of each, by their names.
    scaled_jobs: BTreeMap<String, BTreeMap<String, (Pace, Next)>>,
    pace: fn(usize) -> Pace,
    events: Lines,
    api: Api,
    emulator: Emulator,
}

impl Play {
    /// Takes in the events of a moment, then looks whose time has come.
    fn step(&mut self) -> Outcome {
        let look = Instant::now() + Duration::from_millis(100);
        let left = || look.saturating_duration_since(Instant::now());
        while let Some((at, line)) = self.events.next_within(left()) {
            if let Some(Event::Added(pod)) = Event::parse(&line) {
                self.add(pod, at);
            }
        }
        self.events.check()?;
        for (pool, pods) in &mut self.scaled_jobs {
            let waits = |(_, next): &(Pace, Next)| matches!(next, Next::Finishes);
            let over = match pods.values().any(waits) {
                true => self.emulator.pool(pool)?.offline_agents,
                false => Vec::new(),
            };
            let now = Instant::now();
            for (pod, (pace, next)) in pods {
                match *next {
                    Next::Runs(at) if at <= now => {
                        self.api.set_pod_phase(&self.namespace, pod, "Running")?;
                        *next = Next::Listens(now + pace.booting);
                    }
                    Next::Listens(at) if at <= now => {
                        self.emulator.add_agent_for_one_job(pool, pod)?;
                        *next = Next::Finishes;
                    }
                    Next::Finishes if over.contains(pod) => {
                        *next = Next::Succeeds(now + pace.leaving);
                    }
                    Next::Succeeds(at) if at <= now => {
                        self.api.set_pod_phase(&self.namespace, pod, "Succeeded")?;
                        self.emulator.remove_agent(pool, pod)?;
                        *next = Next::Nothing;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, pod: String, at: Instant) {
        // Kubernetes: a Job's pod is named after the Job, KEDA's Job after the
        // ScaledJob.
        let mut scaled_jobs = self.scaled_jobs.iter_mut();
        let of = scaled_jobs.find(|(name, _)| pod.starts_with(&format!("{name}-")));
        if let Some((_, pods)) = of {
            let pace = (self.pace)(pods.len());
            pods.insert(pod, (pace, Next::Runs(at + pace.pending)));
        }
    }
}
