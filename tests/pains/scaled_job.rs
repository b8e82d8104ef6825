//! KEDA's executor for a `ScaledJob`, as far as numbers go.
//!
//! KEDA 2.21: `pkg/scaling/executor/scale_jobs.go` (`GetEffectiveMaxScale`) and
//! `pkg/scaling/scaledjob/metrics.go`. Pods have `pendingPodConditions: Ready`,
//! so that a Job is pending until its agent listens.

use std::fmt::Write as _;

use futures::future::join_all;

use super::set::{POOL, Set};

/// How KEDA goes from the number to new Jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Strategy {
    Default,
    /// With no deduction and a running percentage of 1.
    Custom,
    Accurate,
    /// KEDA takes no Job off below the maximum, so the scaler has to.
    Eager,
}

/// A `ScaledJob` and the Jobs that were made for it.
pub(crate) struct ScaledJob<'a> {
    set: &'a Set,
    name: &'static str,
    trigger: String,
    strategy: Strategy,
    max_replicas: i64,
    /// Agents of Jobs whose pod is not ready.
    pending: Vec<String>,
    /// Agents of Jobs whose pod is.
    ready: Vec<String>,
    /// All Jobs that were ever made.
    pub(crate) made: usize,
}

/// Plays a scenario with each strategy, all at the same time.
pub(crate) async fn with_each_strategy(scenario: impl AsyncFn(Strategy)) {
    let strategies = [
        Strategy::Default,
        Strategy::Custom,
        Strategy::Accurate,
        Strategy::Eager,
    ];
    join_all(strategies.map(|strategy| scenario(strategy))).await;
}

// === impl Strategy ===

impl Strategy {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Custom => "custom",
            Self::Accurate => "accurate",
            Self::Eager => "eager",
        }
    }

    fn new_jobs(self, number: i64, max: i64, running: i64, pending: i64) -> i64 {
        let max_scale = number.min(max);
        let most = match self {
            Self::Default => max_scale - running,
            Self::Custom => (max_scale - running).min(max),
            Self::Accurate if max_scale + running - pending > max => max - running,
            Self::Accurate => max_scale - pending,
            Self::Eager => return max_scale.min(max - running - pending).max(0),
        };
        most.min(number).max(0)
    }
}

// === impl ScaledJob ===

impl<'a> ScaledJob<'a> {
    pub(crate) fn new(set: &'a Set, strategy: Strategy, more_keys: &str) -> Self {
        let mut trigger = format!("mode: job; strategy: {}", strategy.name());
        write!(trigger, "; {more_keys}").unwrap();
        Self {
            set,
            name: "agents",
            trigger,
            strategy,
            max_replicas: 100,
            pending: Vec::new(),
            ready: Vec::new(),
            made: 0,
        }
    }

    pub(crate) fn with_max_replicas(self, max_replicas: i64) -> Self {
        Self {
            max_replicas,
            ..self
        }
    }

    /// One polling interval of KEDA's.
    pub(crate) async fn poll(&mut self) {
        let answer = self.set.answer(self.name, &self.trigger).await;
        let (pending, running) = (self.pending.len(), self.pending.len() + self.ready.len());
        let number = match self.strategy {
            // As the scaler does where it sees the Jobs of the cluster.
            Strategy::Eager => answer.number.with_backed(u32::try_from(running).unwrap()),
            _ => answer.number,
        };
        if number.value() == 0 {
            return;
        }
        let count = |count| i64::try_from(count).unwrap();
        let (pending, running) = (count(pending), count(running));
        let number = i64::try_from(number.value()).unwrap();
        let new = self
            .strategy
            .new_jobs(number, self.max_replicas, running, pending);
        for _ in 0..new {
            self.made += 1;
            self.pending.push(format!("{}-{}", self.name, self.made));
        }
    }

    /// Every pod that was pending becomes ready, and its agent takes a job.
    pub(crate) fn pods_start(&mut self) {
        for name in self.pending.drain(..) {
            self.set.agent(&name, &["java"]);
            self.ready.push(name);
        }
        self.set.seconds_pass(1);
    }

    /// All jobs that run end, and so do their Jobs.
    pub(crate) fn jobs_end(&mut self) {
        self.set.seconds_pass(60);
        for name in self.ready.drain(..) {
            self.set.organization.remove_agent(POOL, &name).unwrap();
        }
    }
}
