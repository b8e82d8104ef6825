//! The count of Jobs and pods, as KEDA counts them.
//!
//! May import: its siblings, domain. Invariant: the numbers are those that KEDA
//! 2.21 (`pkg/scaling/executor/scale_jobs.go`) would find if it looked now; what
//! is kept is bounded by what the cluster holds, and a number of ended pods.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    declared::WantedJobs,
    follow::Change,
    rows::{Jobs, Pods, Row, Rows, Status},
};
use crate::domain::{
    declared::{JobCensus, JobPods},
    profile::ScalingObject,
};

/// KEDA 2.21: on each Job of a `ScaledJob` and on the pods' template.
pub(super) const SCALED_JOB: &str = "scaledjob.keda.sh/name";

/// Kubernetes: the Job's name, on its pods. KEDA 2.21 looks for this one.
pub(super) const JOB_NAME: &str = "job-name";

/// How long a pod that has ended is remembered: by then Azure DevOps has noticed
/// that its agent is gone.
const ENDED_FOR: Duration = Duration::from_secs(10 * 60);

/// How many of them, over all `ScaledJob`s.
const MOST_ENDED: usize = 10_000;

/// A Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    of: ScalingObject,
    name: Box<str>,
    finished: bool,
}

/// A pod of a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    of: ScalingObject,
    name: Box<str>,
    is: Reduced,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Reduced {
    job: Box<str>,
    phase: Phase,
    /// Its conditions that are true.
    conditions: Box<[Box<str>]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Succeeded,
    Failed,
    /// `Pending`, or not known.
    Other,
}

/// The unfinished Jobs and the pods of every `ScaledJob`.
#[derive(Debug, Default)]
pub(super) struct Census {
    groups: BTreeMap<ScalingObject, Group>,
    /// By the time of their end.
    ended: VecDeque<(Instant, ScalingObject, Box<str>)>,
    changed: BTreeSet<ScalingObject>,
    counted: JobCensus,
}

#[derive(Debug, Default)]
struct Group {
    unfinished: HashSet<Box<str>>,
    pods: HashMap<Box<str>, Reduced>,
    ended: BTreeSet<Box<str>>,
}

pub(super) fn job(row: &Row<Jobs>) -> Job {
    Job {
        of: scaled_job(row),
        name: row.name().into(),
        finished: is_finished(&row.status),
    }
}

pub(super) fn pod(row: &Row<Pods>) -> Pod {
    let status = &row.status;
    let holds = status
        .conditions
        .iter()
        .filter(|condition| condition.status == "True");
    Pod {
        of: scaled_job(row),
        name: row.name().into(),
        is: Reduced {
            job: row.label(JOB_NAME).unwrap_or_default().into(),
            phase: match status.phase.as_str() {
                "Running" => Phase::Running,
                "Succeeded" => Phase::Succeeded,
                "Failed" => Phase::Failed,
                _ => Phase::Other,
            },
            conditions: holds
                .map(|condition| condition.r#type.as_str().into())
                .collect(),
        },
    }
}

fn scaled_job<R: Rows>(row: &Row<R>) -> ScalingObject {
    ScalingObject {
        namespace: row.namespace().into(),
        name: row.label(SCALED_JOB).unwrap_or_default().into(),
    }
}

/// KEDA 2.21, `isJobFinished`.
fn is_finished(status: &Status) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|condition| {
        matches!(condition.r#type.as_str(), "Complete" | "Failed") && condition.status == "True"
    })
}

// === impl Phase ===

impl Phase {
    const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

// === impl Census ===

impl Census {
    /// Takes a change of Jobs in, of one namespace or of all.
    pub(super) fn take_jobs(&mut self, namespace: Option<&str>, change: Change<Job>) {
        match change {
            Change::All(all) => {
                self.recount(namespace);
                for of in &self.changed {
                    // A group that is to be counted anew, and is not of this
                    // list, keeps its Jobs.
                    if namespace.is_none_or(|only| only == &*of.namespace)
                        && let Some(group) = self.groups.get_mut(of)
                    {
                        group.unfinished.clear();
                    }
                }
                all.into_iter().for_each(|job| self.set_job(job));
            }
            Change::Is(job) => self.set_job(job),
            Change::Gone(job) => self.set_job(Job {
                finished: true,
                ..job
            }),
        }
    }

    /// Takes a change of pods in, of one namespace or of all.
    pub(super) fn take_pods(&mut self, namespace: Option<&str>, change: Change<Pod>, now: Instant) {
        match change {
            Change::All(all) => {
                let listed: HashSet<_> = all.iter().map(|pod| (&pod.of, &pod.name)).collect();
                let mut gone = Vec::new();
                for (of, group) in &self.groups {
                    if namespace.is_none_or(|only| only == &*of.namespace) {
                        let names = group.pods.keys();
                        let names = names.filter(|name| !listed.contains(&(of, *name)));
                        gone.extend(names.map(|name| (of.clone(), name.clone())));
                    }
                }
                for (of, name) in gone {
                    self.lose_pod(of, name, now);
                }
                all.into_iter().for_each(|pod| self.set_pod(pod, now));
            }
            Change::Is(pod) => self.set_pod(pod, now),
            Change::Gone(pod) => self.lose_pod(pod.of, pod.name, now),
        }
    }

    /// The groups of a namespace, or all, are counted anew.
    pub(super) fn recount(&mut self, namespace: Option<&str>) {
        let of = self.groups.keys();
        let of = of.filter(|of| namespace.is_none_or(|only| only == &*of.namespace));
        self.changed.extend(of.cloned());
    }

    fn set_job(&mut self, job: Job) {
        let group = self.groups.entry(job.of.clone()).or_default();
        // A finished Job counts nowhere, and there may be hundreds.
        let changed = if job.finished {
            group.unfinished.remove(&job.name)
        } else {
            group.unfinished.insert(job.name)
        };
        if changed {
            self.changed.insert(job.of);
        }
    }

    fn set_pod(&mut self, pod: Pod, now: Instant) {
        let group = self.groups.entry(pod.of.clone()).or_default();
        if group.pods.get(&pod.name) == Some(&pod.is) {
            return;
        }
        let has_ended = pod.is.phase.has_ended();
        group.pods.insert(pod.name.clone(), pod.is);
        self.changed.insert(pod.of.clone());
        if has_ended {
            self.note_end(pod.of, pod.name, now);
        }
    }

    fn lose_pod(&mut self, of: ScalingObject, name: Box<str>, now: Instant) {
        if let Some(group) = self.groups.get_mut(&of) {
            group.pods.remove(&name);
        }
        self.changed.insert(of.clone());
        self.note_end(of, name, now);
    }

    fn note_end(&mut self, of: ScalingObject, name: Box<str>, now: Instant) {
        let group = self.groups.entry(of.clone()).or_default();
        if group.ended.insert(name.clone()) {
            self.ended.push_back((now, of, name));
        }
    }

    /// When the next ended pod is forgotten.
    pub(super) fn forgets_at(&self) -> Option<Instant> {
        self.ended.front().map(|(at, ..)| *at + ENDED_FOR)
    }

    fn forget_ended(&mut self, now: Instant) {
        while let Some((at, ..)) = self.ended.front() {
            if *at + ENDED_FOR > now && self.ended.len() <= MOST_ENDED {
                break;
            }
            if let Some((_, of, name)) = self.ended.pop_front() {
                if let Some(group) = self.groups.get_mut(&of) {
                    group.ended.remove(&name);
                }
                self.changed.insert(of);
            }
        }
    }

    /// Is there something to count?
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Counts what has changed; `None` where that is no news.
    pub(super) fn count(&mut self, wanted: &WantedJobs, now: Instant) -> Option<JobCensus> {
        self.forget_ended(now);
        let mut news = false;
        for of in std::mem::take(&mut self.changed) {
            let counted = self.groups.get(&of).filter(|group| !group.is_empty());
            let counted = counted.map(|group| {
                let conditions = wanted.get(&of);
                group.count(conditions.map_or(&[], |conditions| &conditions[..]))
            });
            if let Some(counted) = counted {
                let before = self.counted.get(&of);
                if before.is_none_or(|before| **before != counted) {
                    self.counted.insert(of, Arc::new(counted));
                    news = true;
                }
            } else {
                self.groups.remove(&of);
                news |= self.counted.remove(&of).is_some();
            }
        }
        news.then(|| self.counted.clone())
    }
}

// === impl Group ===

impl Group {
    fn is_empty(&self) -> bool {
        self.unfinished.is_empty() && self.pods.is_empty() && self.ended.is_empty()
    }

    fn count(&self, conditions: &[Box<str>]) -> JobPods {
        let started = self.pods.values().filter(|pod| pod.has_started(conditions));
        let started: HashSet<&str> = started.map(|pod| &*pod.job).collect();
        let with_one = self
            .unfinished
            .iter()
            .filter(|job| started.contains(&***job));
        JobPods {
            existing: count(self.unfinished.len()),
            started: count(with_one.count()),
            ended: self.ended.clone(),
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

// === impl Reduced ===

impl Reduced {
    /// KEDA 2.21, `isAnyPodRunningOrCompleted`, or with `pendingPodConditions`
    /// `areAllPendingPodConditionsFulfilled`: as many different ones are true as
    /// are listed. So one that is listed twice is never fulfilled.
    fn has_started(&self, conditions: &[Box<str>]) -> bool {
        if conditions.is_empty() {
            return matches!(self.phase, Phase::Running | Phase::Succeeded);
        }
        let fulfilled = conditions
            .iter()
            .filter(|name| self.conditions.contains(name));
        fulfilled.collect::<BTreeSet<_>>().len() == conditions.len()
    }
}

#[cfg(test)]
#[path = "census_tests.rs"]
mod tests;
