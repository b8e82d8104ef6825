//! A lane: a namespace with its own Azure DevOps, and Deployments that each have a
//! pool of their own name.
//!
//! May import: its siblings. Invariant: a wait begins before the job is queued, and
//! ends when the watch tells of the pod.

use std::time::{Duration, Instant};

use azp_harness::Cluster;

use super::{Emulator, Failure, Jobs, Scaler, objects, watched::Watched};

/// For what takes a few periods of KEDA and the HPA, on a machine that is busy.
const SOON: Duration = Duration::from_secs(150);

/// Longer than the bench.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// From queueing jobs to the pods that are made for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) first: Duration,
    pub(super) last: Duration,
}

/// The place of a few rounds.
pub(super) struct Lane<'a> {
    cluster: &'a Cluster,
    space: &'a str,
    names: Vec<String>,
    emulator: Emulator,
    watched: Watched,
    begun: Instant,
}

// === impl Lane ===

impl<'a> Lane<'a> {
    /// An organization, and watches; no Deployment yet.
    pub(super) fn begin(
        cluster: &'a Cluster,
        space: &'a str,
        names: &[String],
    ) -> Result<Self, Failure> {
        cluster.apply(&objects::namespace(space))?;
        let emulator = Emulator::start(cluster, space, &names[0])?;
        for name in names {
            emulator.add_pool(name)?;
        }
        let watched = Watched::begin(cluster, space, &emulator)?;
        Ok(Self {
            cluster,
            space,
            names: names.to_vec(),
            emulator,
            watched,
            begun: Instant::now(),
        })
    }

    pub(super) fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    /// Makes the Deployments, and waits until KEDA has made an HPA of each.
    pub(super) fn deploy(
        &self,
        replicas: u32,
        trigger: impl Fn(&str) -> String,
    ) -> Result<(), Failure> {
        let url = self.emulator.url();
        let yaml =
            |name: &String| objects::deployment(self.space, name, replicas, &url, &trigger(name));
        self.cluster
            .apply(&self.names.iter().map(yaml).collect::<String>())?;
        self.wait_for("scaledobject", "condition=Ready")
    }

    /// Waits until KEDA has asked each trigger once.
    pub(super) fn until_asked(&self) -> Result<(), Failure> {
        self.wait_for("scaledobject", "condition=Active=False")
    }

    /// Waits until each HPA has found one job for each agent.
    pub(super) fn until_settled(&self) -> Result<(), Failure> {
        const AVERAGE: &str =
            "jsonpath={.status.currentMetrics[0].external.current.averageValue}=1";
        self.wait_for("hpa", AVERAGE)
    }

    fn wait_for(&self, kind: &str, what: &str) -> Result<(), Failure> {
        self.cluster.kubectl(&[
            "wait",
            kind,
            "--all",
            &format!("--for={what}"),
            &format!("--namespace={}", self.space),
            &format!("--timeout={}s", SOON.as_secs()),
        ])?;
        Ok(())
    }

    /// Waits until this replica of the scaler may write, and KEDA follows it.
    pub(super) fn until_it_leads(&self, scaler: &Scaler) -> Result<(), Failure> {
        self.until("the scaler to lead", || {
            Ok(scaler.metric("azp_leader")? > 0.0)
        })?;
        let names = &self.names;
        self.until("all numbers to be told", || {
            let mut numbers = names.iter().map(|name| scaler.number(self.space, name));
            numbers.try_fold(true, |all, number| Ok(all && number? == Some(0)))
        })?;
        self.until_asked()
    }

    /// Waits until so many agents of a pool have a job.
    pub(super) fn until_busy(&self, pool: &str, count: u64) -> Result<(), Failure> {
        self.until("all agents to be busy", || {
            let pool = self.emulator.pool(pool)?;
            Ok(pool.running == count && pool.queued == 0)
        })
    }

    fn until(
        &self,
        what: &str,
        mut holds: impl FnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        self.cluster.until(self.space, what, SOON, || {
            let holds = holds().map_err(|failure| azp_harness::Error::Answer {
                what: "a program of the bench".to_owned(),
                answer: format!("{failure:?}"),
            })?;
            Ok(holds.then_some(()))
        })?;
        Ok(())
    }

    /// Lets time pass: nothing tells of a hook's allowance, or of a period without
    /// a change.
    pub(super) fn rest(&self, span: Duration) {
        std::thread::sleep(span);
    }

    /// Queues jobs, before there is anybody to measure.
    pub(super) fn fill(&self, pool: &str, count: u32) -> Result<(), Failure> {
        self.emulator.queue(
            pool,
            Jobs {
                count,
                demands: &[],
                lasting: FOR_EVER,
            },
        )?;
        Ok(())
    }

    /// Queues jobs, tells of them by `hook`, and waits for as many pods more.
    pub(super) fn queue(
        &self,
        name: &str,
        count: u32,
        hook: &dyn Fn() -> Result<(), Failure>,
    ) -> Result<Wait, Failure> {
        let before = self.pods(name);
        let queued = Instant::now();
        self.fill(name, count)?;
        hook()?;
        self.pods_after(name, before, queued, count, SOON)?
            .ok_or_else(|| {
                let replicas = self.history(name, queued);
                let state = self.cluster.explain(self.space);
                format!("not {count} pods more of {name} within {SOON:?}; {replicas}\n{state}")
                    .into()
            })
    }

    /// The same without a hook; `None` where they do not come in time.
    pub(super) fn queue_within(
        &self,
        name: &str,
        count: u32,
        within: Duration,
    ) -> Result<Option<Wait>, Failure> {
        let (before, queued) = (self.pods(name), Instant::now());
        self.fill(name, count)?;
        self.pods_after(name, before, queued, count, within)
    }

    fn pods(&self, name: &str) -> usize {
        self.watched.seen().pods.get(name).map_or(0, Vec::len)
    }

    fn pods_after(
        &self,
        name: &str,
        before: usize,
        queued: Instant,
        count: u32,
        within: Duration,
    ) -> Result<Option<Wait>, Failure> {
        self.watched.until(within, |seen| {
            let more = seen.pods.get(name)?.get(before..)?;
            let last = more.get(count as usize - 1)?;
            Some(Wait {
                first: more[0].duration_since(queued),
                last: last.duration_since(queued),
            })
        })
    }

    fn history(&self, name: &str, since: Instant) -> String {
        let seen = self.watched.seen();
        let history = seen.replicas.get(name).into_iter().flatten();
        let told = history.map(|(at, replicas)| {
            let at = at.saturating_duration_since(since).as_secs_f64();
            format!(" {replicas} at {at:.3} s")
        });
        format!("replicas:{}", told.collect::<String>())
    }

    /// Each Deployment has only ever been raised, to what is expected of it, and no
    /// pod has gone. Gives how long that was watched.
    pub(super) fn never_lowered(
        &self,
        expected: impl Iterator<Item = u32>,
    ) -> Result<Duration, Failure> {
        let watched = self.begun.elapsed();
        // Fails where a watch has ended.
        self.watched.until(Duration::ZERO, |_| Some(()))?;
        let only_rose = |(name, expected): (&String, u32)| {
            let seen = self.watched.seen();
            let history = seen.replicas.get(name).into_iter().flatten();
            let history: Vec<u32> = history.map(|(_, replicas)| *replicas).collect();
            history.is_sorted() && history.last() == Some(&expected)
        };
        let gone = self.watched.seen().gone.join(" ");
        if self.names.iter().zip(expected).all(only_rose) && gone.is_empty() {
            return Ok(watched);
        }
        let told = self.names.iter();
        let told = told.map(|name| format!("\n{name}: {}", self.history(name, self.begun)));
        let told = told.collect::<String>();
        Err(format!("a Deployment was lowered; pods that went: {gone}{told}").into())
    }
}
