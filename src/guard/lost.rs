//! Busy agents that were lost, noticed from outside.
//!
//! May import: ports. Invariant: a job is counted once, and only where a reading
//! that began well after its pod had ended still calls it running: a job that ends
//! properly, or whose pod is only not watched any more, is never counted.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::ports::writes::{AgentPodsSeen, Need, PodName};

/// How long the end of a job may take to be told, when all is well. Azure DevOps
/// gives a job up whose agent is silent many minutes later only.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// The jobs that were counted, each for as long as its pod is remembered.
#[derive(Debug, Default)]
pub(super) struct Lost {
    counted: BTreeMap<(PodName, u64), Instant>,
}

/// A job that was lost with its pod.
pub(super) type LostJob = (PodName, u64);

// === impl Lost ===

impl Lost {
    /// The jobs that are found to be lost now.
    pub(super) fn found(&mut self, needs: &[Need], seen: &AgentPodsSeen) -> Vec<LostJob> {
        self.counted
            .retain(|(name, _), ended| seen.ended.get(name) == Some(ended));
        let mut found = Vec::new();
        for (name, ended) in &seen.ended {
            // Another pod of this name may run jobs by now.
            if seen.pods.contains_key(name) {
                continue;
            }
            for need in needs.iter().filter(|need| need.has(name)) {
                let knows = |read_at: Instant| read_at >= *ended + TOLD_WITHIN;
                if !need.read_at.is_some_and(knows) {
                    continue;
                }
                for job in need.runs(&name.name) {
                    let key = (name.clone(), job);
                    if self.counted.insert(key.clone(), *ended).is_none() {
                        found.push(key);
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;
    use crate::{
        domain::profile::ScalingObject,
        ports::writes::{AgentPod, Busy},
    };

    fn need(read_at: Option<Instant>, jobs: &[(&str, u64)]) -> Need {
        let mut busy = Busy::new();
        for (agent, job) in jobs {
            busy.entry((*agent).into()).or_default().insert(*job);
        }
        Need {
            object: ScalingObject::parse("ci/agents").unwrap(),
            agents_named: "agents".into(),
            read_at,
            busy: vec![Arc::new(busy)],
            raise: None,
        }
    }

    fn ended(name: &str) -> AgentPodsSeen {
        AgentPodsSeen {
            ended: [(PodName::new("ci", name), Instant::now())].into(),
            ..AgentPodsSeen::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_goes_on_without_its_pod_is_counted_once() {
        let mut lost = Lost::default();
        let seen = ended("agents-1");
        let running = |read_at| [need(read_at, &[("agents-1", 7), ("agents-2", 8)])];
        assert!(lost.found(&running(Some(Instant::now())), &seen).is_empty());
        advance(TOLD_WITHIN).await;
        assert!(lost.found(&running(None), &seen).is_empty(), "not known");
        let now = Some(Instant::now());
        assert_eq!(
            lost.found(&running(now), &seen),
            [(PodName::new("ci", "agents-1"), 7)]
        );
        assert!(lost.found(&running(now), &seen).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_ended_and_a_pod_of_anothers_are_not_counted() {
        let mut lost = Lost::default();
        let seen = ended("agents-1");
        advance(TOLD_WITHIN).await;
        let now = Some(Instant::now());
        assert!(
            lost.found(&[need(now, &[("agents-2", 8)])], &seen)
                .is_empty()
        );
        let others = ended("others-1");
        advance(TOLD_WITHIN).await;
        let now = Some(Instant::now());
        assert!(
            lost.found(&[need(now, &[("others-1", 8)])], &others)
                .is_empty()
        );
        // One that is there again under its name.
        let mut again = ended("agents-1");
        advance(TOLD_WITHIN).await;
        let pod = AgentPod {
            uid: "u".into(),
            annotations: BTreeMap::new(),
            is_leaving: false,
        };
        again
            .pods
            .insert(PodName::new("ci", "agents-1"), Arc::new(pod));
        let now = Some(Instant::now());
        assert!(
            lost.found(&[need(now, &[("agents-1", 8)])], &again)
                .is_empty()
        );
    }
}
