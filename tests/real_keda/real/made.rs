//! The Jobs that KEDA makes, as they come.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use azp_harness::{Cluster, Event, Lines};

use super::{Failure, Outcome};

/// All Jobs of a namespace since this was begun, those that are gone included.
#[derive(Debug)]
pub(crate) struct MadeJobs<'a> {
    cluster: &'a Cluster,
    namespace: String,
    lines: Lines,
    begun: Instant,
    /// Their moments, by the `ScaledJob`.
    made: BTreeMap<String, Vec<Instant>>,
}

impl<'a> MadeJobs<'a> {
    /// Begins to watch, before there are any.
    pub(crate) fn watch(cluster: &'a Cluster, namespace: &str) -> Result<MadeJobs<'a>, Failure> {
        Ok(MadeJobs {
            cluster,
            namespace: namespace.to_owned(),
            lines: cluster.watch_names("jobs", namespace)?,
            begun: Instant::now(),
            made: BTreeMap::new(),
        })
    }

    /// How many a `ScaledJob` has had so far.
    pub(crate) fn of(&self, scaled_job: &str) -> usize {
        self.made.get(scaled_job).map_or(0, Vec::len)
    }

    /// Waits until each of these has had so many.
    pub(crate) fn until(
        &mut self,
        scaled_jobs: &[&str],
        count: usize,
        within: Duration,
    ) -> Outcome {
        let deadline = Instant::now() + within;
        while !scaled_jobs.iter().all(|name| self.of(name) >= count) {
            if !self.next(deadline) {
                self.lines.check()?;
                let state = self.cluster.explain(&self.namespace);
                return Err(
                    format!("not {count} Jobs each within {within:?}; {self}\n{state}").into(),
                );
            }
        }
        Ok(())
    }

    /// Goes on watching for a span.
    pub(crate) fn during(&mut self, span: Duration) {
        let deadline = Instant::now() + span;
        while self.next(deadline) {}
    }

    /// Takes in one line; none came before the deadline where it says no.
    fn next(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some((at, line)) = self.lines.next_within(left) else {
            return false;
        };
        // KEDA 2.21: a Job's name is the ScaledJob's, a dash and five letters.
        if let Some(Event::Added(job)) = Event::parse(&line)
            && let Some((of, _)) = job.rsplit_once('-')
        {
            self.made.entry(of.to_owned()).or_default().push(at);
        }
        true
    }
}

impl fmt::Display for MadeJobs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jobs made:")?;
        for (of, made) in &self.made {
            write!(f, " {} of {of} at", made.len())?;
            // Those of one poll of KEDA's together.
            let mut made = made
                .iter()
                .map(|at| at.duration_since(self.begun).as_millis() / 100);
            let mut last = made.next().map(|at| (at, 1_u32));
            while let Some((at, count)) = last {
                last = match made.next() {
                    Some(next) if next == at => Some((at, count + 1)),
                    next => {
                        let seconds = Duration::from_millis(100) * u32::try_from(at).unwrap_or(0);
                        write!(f, " {:.1} s ×{count}", seconds.as_secs_f32())?;
                        next.map(|next| (next, 1))
                    }
                };
            }
            write!(f, ";")?;
        }
        Ok(())
    }
}
