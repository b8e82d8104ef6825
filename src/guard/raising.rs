//! The writer of scales: raises a Deployment to what the decision needs, at once.
//!
//! May import: its siblings, ports, telemetry. Invariants: it writes on an edge of
//! the decision upward only, and for a moment after it where somebody took it back,
//! and never a lower number than the Deployment has; what the decision needs is
//! bounded by `maxReplicaCount` where it was made.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    at,
    election::Lead,
    gate::{Gate, LONGEST_WRITE},
};
use crate::{
    domain::profile::ScalingObject,
    ports::writes::{Attempt, Need, Needs, Raise, Scales, WriteError},
    telemetry::metrics::{WriteOutcome, Writer},
};

/// Writes under way at once.
const AT_ONCE: usize = 8;

/// After how long one is tried again where somebody else was faster. While KEDA takes
/// a Deployment from 0 to 1 and its first pod comes, that is so several times.
const AGAIN_AFTER: [Duration; 5] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
];

/// When the Deployment is looked at again after an edge. KEDA 2.21 takes it from 0 to
/// 1 by what it read a moment before, over whatever it has become since. Kubernetes
/// 1.37: inside of its tolerance the HPA sets what the Deployment's status says,
/// which is behind while pods come.
const LOOKS: [Duration; 5] = [
    Duration::from_millis(150),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// How long one that is at zero is left to KEDA, which takes it to 1 by the same news:
/// measured, 10 to 38 ms after it was pushed. A raise in the midst of that fails KEDA's
/// write, which KEDA tells as an Event of type Warning.
const LEFT_TO_KEDA: Duration = Duration::from_millis(80);

/// After a write that failed, at first.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// At last.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The writer.
pub(super) struct Raising {
    pub(super) gate: Gate,
    pub(super) scales: Arc<dyn Scales>,
    pub(super) needs: Arc<dyn Needs>,
}

/// What this replica remembers of each scaling object in this term.
#[derive(Debug, Default)]
pub(super) struct Edges {
    term: u64,
    objects: BTreeMap<ScalingObject, Edge>,
}

#[derive(Debug)]
struct Edge {
    /// What the Deployment was last seen or made to have at least.
    reached: u32,
    is_writing: bool,
    failures: u32,
    not_before: Instant,
    /// When it rose, and how often it was looked at since; `None` where that was
    /// often enough.
    risen: Option<(Instant, usize)>,
}

/// What came of it; no outcome where the Deployment had as many already.
type Ended = (ScalingObject, u32, Option<WriteOutcome>);

// === impl Edges ===

impl Edges {
    /// What is to be raised now.
    pub(super) fn rising(
        &mut self,
        lead: Lead,
        needs: Vec<Need>,
        now: Instant,
    ) -> Vec<(ScalingObject, Raise)> {
        if self.term != lead.term {
            self.objects.clear();
            self.term = lead.term;
        }
        let mut rising = Vec::new();
        for need in needs {
            // What was read before it led, another may have acted on.
            let is_new = need.read_at.is_some_and(|read_at| read_at >= lead.since);
            let Some(raise) = need.raise else {
                // Paused, for one: whatever has become of it meanwhile is news.
                self.objects.remove(&need.object);
                continue;
            };
            if !is_new {
                continue;
            }
            let edge = self.objects.entry(need.object.clone()).or_insert(Edge {
                reached: 0,
                is_writing: false,
                failures: 0,
                not_before: now,
                risen: None,
            });
            if raise.replicas <= edge.reached {
                // Going down is KEDA's; from there on, up is an edge again.
                edge.reached = raise.replicas;
                let is_due = edge.look_at().is_some_and(|look_at| now >= look_at);
                if !is_due || raise.replicas == 0 {
                    continue;
                }
            }
            if !edge.is_writing && now >= edge.not_before {
                rising.push((need.object, raise));
            }
        }
        rising
    }

    fn begins(&mut self, object: &ScalingObject) {
        if let Some(edge) = self.objects.get_mut(object) {
            edge.is_writing = true;
        }
    }

    fn ended(&mut self, (object, replicas, outcome): Ended, now: Instant) {
        let Some(edge) = self.objects.get_mut(&object) else {
            return;
        };
        edge.is_writing = false;
        if matches!(
            outcome,
            None | Some(WriteOutcome::Done | WriteOutcome::DryRun)
        ) {
            let is_edge = replicas > edge.reached;
            edge.risen = match outcome {
                // Nothing has become of it.
                Some(WriteOutcome::DryRun) => None,
                Some(_) if is_edge => Some((now, 0)),
                _ => edge.risen.map(|(at, looks)| (at, looks + 1)),
            };
            edge.reached = replicas;
            edge.failures = 0;
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << edge.failures.min(10));
        edge.not_before = now + pause.min(LONGEST_PAUSE);
        edge.failures = edge.failures.saturating_add(1);
    }

    fn next_try(&self, now: Instant) -> Option<Instant> {
        let moments = self.objects.values().flat_map(|edge| {
            let not_before = Some(edge.not_before);
            [not_before, edge.look_at()].into_iter().flatten()
        });
        moments.filter(|moment| *moment > now).min()
    }
}

// === impl Edge ===

impl Edge {
    fn look_at(&self) -> Option<Instant> {
        let (at, looks) = self.risen?;
        Some(at + *LOOKS.get(looks)?)
    }
}

// === impl Raising ===

impl Raising {
    /// Raises for ever.
    pub(super) async fn run(&self) {
        let mut changes = self.needs.changes();
        let mut leads = self.gate.changes();
        let mut edges = Edges::default();
        let mut under_way: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
        let mut look_at = Some(Instant::now());
        loop {
            tokio::select! {
                () = at(look_at) => {}
                Some(ended) = under_way.next() => edges.ended(ended, Instant::now()),
                Ok(()) = changes.changed() => {}
                Ok(()) = leads.changed() => {}
                else => return,
            }
            look_at = None;
            let Some(lead) = self.gate.lead() else {
                continue;
            };
            let now = Instant::now();
            for (object, raise) in edges.rising(lead, self.needs.needs(), now) {
                if under_way.len() >= AT_ONCE {
                    // One that ends looks again.
                    break;
                }
                edges.begins(&object);
                let (gate, scales) = (self.gate.clone(), Arc::clone(&self.scales));
                under_way.push(Box::pin(async move {
                    let to_keda = LEFT_TO_KEDA;
                    let mut outcome =
                        raised(&gate, &scales, lead, (&object, &raise), to_keda).await;
                    for pause in AGAIN_AFTER {
                        if outcome != Some(WriteOutcome::Conflict) {
                            break;
                        }
                        sleep(pause).await;
                        let to_keda = Duration::ZERO;
                        outcome = raised(&gate, &scales, lead, (&object, &raise), to_keda).await;
                    }
                    (object, raise.replicas, outcome)
                }));
            }
            look_at = edges.next_try(now).or(look_at);
        }
    }
}

/// Raises one; nothing comes of it where the Deployment has as many already.
async fn raised(
    gate: &Gate,
    scales: &Arc<dyn Scales>,
    lead: Lead,
    (object, raise): (&ScalingObject, &Raise),
    left_to_keda: Duration,
) -> Option<WriteOutcome> {
    let (namespace, deployment) = (&*object.namespace, &*raise.deployment);
    let end = lead.until.min(Instant::now() + LONGEST_WRITE);
    let read = async || {
        let read = timeout_at(end, scales.scale(namespace, deployment)).await;
        read.unwrap_or_else(|_| {
            Err(WriteError::Failed {
                cause: "no answer in time".into(),
            })
        })
    };
    let replicas = raise.replicas;
    let mut read_scale = read().await;
    let is_at_zero = read_scale.as_ref().is_ok_and(|scale| scale.replicas == 0);
    if is_at_zero && !left_to_keda.is_zero() {
        sleep(left_to_keda).await;
        read_scale = read().await;
    }
    if read_scale
        .as_ref()
        .is_ok_and(|scale| scale.replicas >= replicas)
    {
        return None;
    }
    let what = format!("deployment {namespace}/{deployment} is raised to {replicas}");
    let write = || -> Attempt<'_, ()> {
        Box::pin(async move {
            // A reading that failed counts as the write that it was for.
            let scale = read_scale?;
            let written = scales.set_scale(namespace, deployment, &scale, replicas);
            written.await
        })
    };
    let written = gate.write(Writer::DirectScaleUp, lead, &what, write);
    Some(written.await)
}
