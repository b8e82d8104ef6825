//! Jobs with two kinds of demands, and where each has to run.

use std::time::Duration;

use super::{
    Failure, Outcome, SOON,
    emulator::{Emulator, JobState, Jobs},
    stage::{AGENTS, EMULATOR, POOL, Stage},
};

/// What lets jobs end that wait for it.
const GATE: &str = "gate";

/// What a job asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Demand {
    /// What the agents of the Deployment have.
    Java,
    /// What those of the ScaledJob have.
    Gpu,
}

impl Demand {
    const fn demands(self) -> [&'static str; 2] {
        match self {
            Self::Java => ["docker", "java -equals 17"],
            Self::Gpu => ["docker", "gpu"],
        }
    }

    /// How the agents are called that such a job may run on.
    fn agents(self) -> String {
        let profile = match self {
            Self::Java => "linux",
            Self::Gpu => "gpu",
        };
        format!("{AGENTS}-azp-agent-{profile}-")
    }
}

/// Jobs that were queued together.
pub(crate) struct Queued {
    emulator: Emulator,
    jobs: Vec<(i64, Demand)>,
}

pub(crate) fn queue(
    stage: &Stage,
    wanted: &[(u32, Demand)],
    seconds: u64,
) -> Result<Queued, Failure> {
    Queued::of(stage, wanted, |count, demand| {
        let lasting = Duration::from_secs(seconds);
        let demands = &demand.demands();
        let jobs = Jobs {
            count,
            demands,
            lasting,
        };
        stage.emulator.queue(POOL, jobs)
    })
}

/// Queues jobs that last until [`Queued::let_end`].
pub(crate) fn queue_gated(stage: &Stage, wanted: &[(u32, Demand)]) -> Result<Queued, Failure> {
    Queued::of(stage, wanted, |count, demand| {
        let gate = (EMULATOR, GATE);
        stage
            .emulator
            .queue_gated(POOL, count, &demand.demands(), gate)
    })
}

impl Queued {
    fn of(
        stage: &Stage,
        wanted: &[(u32, Demand)],
        queue: impl Fn(u32, Demand) -> Result<Vec<i64>, Failure>,
    ) -> Result<Queued, Failure> {
        let mut jobs = Vec::new();
        for &(count, demand) in wanted {
            jobs.extend(queue(count, demand)?.into_iter().map(|id| (id, demand)));
        }
        Ok(Queued {
            emulator: stage.emulator.clone(),
            jobs,
        })
    }

    /// Lets jobs behind the gate end.
    pub(crate) fn let_end(&self) -> Outcome {
        self.emulator.open(GATE)
    }

    /// Whether each is running now.
    pub(crate) fn all_run(&self) -> Result<bool, Failure> {
        Ok(self.states()?.iter().all(|job| job.state == "running"))
    }

    /// These jobs now, in the order in which they were queued.
    pub(crate) fn states(&self) -> Result<Vec<JobState>, Failure> {
        let all = self.emulator.jobs(POOL)?;
        let state = |(id, _): &(i64, Demand)| all.iter().find(|job| job.id == *id).cloned();
        let states: Option<Vec<_>> = self.jobs.iter().map(state).collect();
        states.ok_or_else(|| format!("jobs are missing from {all:?}").into())
    }

    /// Waits until all have ended; each must have succeeded, on an agent of the one
    /// profile that can do it.
    pub(crate) fn until_done(&self, stage: &Stage) -> Outcome {
        stage.until("the jobs to end", SOON, || {
            Ok(self.states()?.iter().all(|job| job.state == "finished"))
        })?;
        for (job, (_, demand)) in self.states()?.iter().zip(&self.jobs) {
            assert_eq!(job.result, "succeeded", "{demand:?}: {job:?}");
            assert!(
                job.agent.starts_with(&demand.agents()),
                "{demand:?}: {job:?}"
            );
        }
        let pool = self.emulator.pool(POOL)?;
        assert_eq!(pool.lost, 0, "jobs were lost");
        Ok(())
    }
}
