//! KEDA and the horizontal pod autoscaler, as far as an external scaler sees
//! them: who asks what when, and what becomes of the answer.
//!
//! May import: grpc's client, the day, the replicas. Invariant: an answer that
//! is an error changes nothing, as in KEDA and in Kubernetes.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use futures::stream::{BoxStream, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    day::{NAMESPACE, POOL, Profile},
    replicas::Deployment,
};
use crate::grpc::{CallError, Client, proto::ScaledObjectRef};

/// What goes at which pace. In a cluster it would be the same, slower.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// How much faster than a cluster everything goes.
    pub(super) haste: f64,
    /// The `ScaledObject`'s `pollingInterval`, and the scaler's own.
    pub(super) polling: Duration,
    /// Kubernetes: the autoscaler's period, 15 s unless set.
    pub(super) autoscaler: Duration,
    /// `behavior.scaleDown.stabilizationWindowSeconds`.
    pub(super) stabilization: Duration,
    /// The `ScaledObject`'s `cooldownPeriod`.
    pub(super) cooldown: Duration,
    /// From a pod's beginning until its agent listens.
    pub(super) start_up: Duration,
}

/// How often was asked, by all scaling objects together.
#[derive(Debug, Default)]
pub(super) struct Asked {
    polling_rounds: AtomicU64,
    autoscaler: AtomicU64,
}

/// One `ScaledObject` in KEDA's hands.
#[derive(Debug)]
pub(super) struct ScaledObject<'a> {
    pub(super) client: &'a Client,
    pub(super) deployment: &'a Deployment,
    pub(super) asked: &'a Asked,
    pub(super) rhythm: Rhythm,
}

/// The horizontal pod autoscaler, with `behavior.scaleUp` set to tolerance 0 and
/// one step, as a scaling object of this scaler should have it.
#[derive(Debug)]
struct Autoscaler {
    stabilization: Duration,
    max: u32,
    /// What was wanted when, from the beginning on.
    recommendations: VecDeque<(Duration, u32)>,
}

/// Kubernetes: within a tenth of the target nothing is taken away.
const SCALE_DOWN_TOLERANCE: f64 = 0.1;

// === impl Rhythm ===

impl Rhythm {
    /// For a day of this length: five times as fast as a cluster where the day
    /// takes two minutes, and never slower than one.
    pub(super) fn of(length: Duration) -> Self {
        let haste = (600.0 / length.as_secs_f64()).clamp(1.0, 50.0);
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds / haste);
        Self {
            haste,
            polling: seconds(5.0),
            autoscaler: seconds(15.0),
            stabilization: seconds(30.0),
            cooldown: seconds(60.0),
            start_up: seconds(3.0),
        }
    }
}

// === impl Asked ===

impl Asked {
    /// What KEDA's own trigger would have sent to Azure DevOps for the same.
    ///
    /// KEDA 2.21: `azure-pipelines` asks for the job requests of the pool in each
    /// polling round of each scaling object, and again whenever the autoscaler
    /// asks.
    pub(super) fn requests_of_the_built_in_trigger(&self) -> u64 {
        self.polling_rounds.load(Relaxed) + self.autoscaler.load(Relaxed)
    }
}

// === impl ScaledObject ===

impl ScaledObject<'_> {
    /// Asks and scales for as long as it is polled.
    ///
    /// # Errors
    /// Where the trigger is refused, which is a mistake of the demo.
    pub(super) async fn run(&self) -> Result<(), CallError> {
        let object = reference(self.deployment.profile());
        let metric = self.client.metric_spec(&object).await?;
        let mut polling = steady(self.rhythm.polling);
        let mut autoscaling = steady(self.rhythm.autoscaler);
        let start = Instant::now();
        let mut active_at = start;
        let mut autoscaler = Autoscaler {
            stabilization: self.rhythm.stabilization,
            max: self.deployment.profile().max_replicas,
            recommendations: VecDeque::new(),
        };
        let mut pushed: Option<BoxStream<'_, Result<bool, CallError>>> = None;
        loop {
            tokio::select! {
                told = next(&mut pushed) => match told {
                    Some(Ok(true)) => self.activate(&mut active_at),
                    Some(Ok(false)) => {}
                    // KEDA opens the stream anew; here with the next round.
                    Some(Err(_)) | None => pushed = None,
                },
                _ = polling.tick() => {
                    if pushed.is_none() {
                        pushed = self.client.stream_is_active(&object).await.ok();
                    }
                    self.poll(&object, &metric.name, &mut active_at).await;
                }
                // KEDA: at 0 replicas the autoscaler rests.
                now = autoscaling.tick() => if let current @ 1.. = self.deployment.wanted() {
                    self.asked.autoscaler.fetch_add(1, Relaxed);
                    if let Ok(value) = self.client.metric_value(&object, &metric.name).await {
                        let since = now.duration_since(start);
                        let wanted = autoscaler.decide(since, current, value / metric.target);
                        self.deployment.scale(wanted);
                    }
                },
            }
        }
    }

    /// KEDA: a pushed `true` takes a Deployment from zero at once.
    fn activate(&self, active_at: &mut Instant) {
        *active_at = Instant::now();
        if self.deployment.wanted() == 0 {
            self.deployment.scale(1);
        }
    }

    /// KEDA 2.21: a polling round asks an external scaler for the value and for
    /// the activity; scales from zero, and after the cool-down to zero.
    async fn poll(&self, object: &ScaledObjectRef, metric: &str, active_at: &mut Instant) {
        self.asked.polling_rounds.fetch_add(1, Relaxed);
        let value = self.client.metric_value(object, metric).await;
        let active = self.client.is_active(object).await;
        match (value, active) {
            (Ok(_), Ok(true)) => self.activate(active_at),
            (Ok(_), Ok(false)) if active_at.elapsed() >= self.rhythm.cooldown => {
                self.deployment.scale(0);
            }
            _ => {}
        }
    }
}

/// The `ScaledObject` as KEDA sends it along with each call.
fn reference(profile: &Profile) -> ScaledObjectRef {
    let metadata = [
        ("poolName", POOL),
        ("capabilities", profile.capabilities),
        ("requires", profile.requires),
    ];
    let given = metadata.into_iter().filter(|(_, value)| !value.is_empty());
    ScaledObjectRef {
        name: profile.name.to_owned(),
        namespace: NAMESPACE.to_owned(),
        scaler_metadata: given
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<HashMap<_, _>>(),
    }
}

fn steady(period: Duration) -> tokio::time::Interval {
    let mut turns = interval(period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

/// The next of a stream; never, while there is none.
async fn next<T>(stream: &mut Option<BoxStream<'_, T>>) -> Option<T> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

// === impl Autoscaler ===

impl Autoscaler {
    /// How many replicas there should be, where `needed` of them would be right.
    ///
    /// Kubernetes: inside the tolerance all stays as it is; and nothing is taken
    /// away that was wanted at any time in the stabilization window.
    fn decide(&mut self, since: Duration, current: u32, needed: f64) -> u32 {
        let ratio = needed / f64::from(current);
        let tolerated = 1.0 - SCALE_DOWN_TOLERANCE..=1.0;
        let wanted = if tolerated.contains(&ratio) {
            current
        } else {
            whole(needed)
        };
        let wanted = wanted.clamp(1, self.max);
        let oldest = since.saturating_sub(self.stabilization);
        self.recommendations.push_back((since, wanted));
        self.recommendations.retain(|(at, _)| *at >= oldest);
        let recent = self.recommendations.iter().map(|(_, wanted)| *wanted);
        let highest = recent.max().unwrap_or(wanted);
        if wanted < current {
            highest.min(current)
        } else {
            wanted
        }
    }
}

/// Upwards. A cast of a float ends at the type's bounds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "see above"
)]
const fn whole(needed: f64) -> u32 {
    needed.ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_up_at_once_and_down_when_nothing_has_been_wanted_for_a_while() {
        let mut autoscaler = Autoscaler {
            stabilization: Duration::from_secs(30),
            max: 20,
            recommendations: VecDeque::new(),
        };
        // seconds, replicas, needed, replicas from then on
        for (seconds, current, needed, expected) in [
            (0, 1, 6.0, 6),
            (15, 6, 6.2, 7),
            (30, 7, 2.0, 7),
            (45, 7, 3.0, 7),
            (60, 7, 3.0, 3),
            (75, 3, 22.0, 20),
            (90, 20, 19.0, 20),
            (150, 20, 0.0, 1),
        ] {
            let wanted = autoscaler.decide(Duration::from_secs(seconds), current, needed);
            assert_eq!(wanted, expected, "after {seconds} s");
        }
    }
}
