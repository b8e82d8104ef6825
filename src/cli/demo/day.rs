//! The working day: who can run what, and what happens when.
//!
//! May import: the domain. Invariant: pure, and the same day every time, so that
//! two people who run the demo see the same.

use std::time::Duration;

use crate::domain::{capability::Capabilities, demand::Demands};

/// When the day begins, in minutes after midnight.
pub(super) const OPENS: u32 = 7 * 60;
/// When it ends.
pub(super) const CLOSES: u32 = 19 * 60;

/// The pool that everything happens in.
pub(super) const POOL: &str = "builds";
/// Where the scaling objects live.
pub(super) const NAMESPACE: &str = "ci";

/// A scaling object, and the agents that its pods bring.
#[derive(Debug)]
pub(super) struct Profile {
    /// Of the `ScaledObject` and of the Deployment that it scales.
    pub(super) name: &'static str,
    /// The trigger's `capabilities`.
    pub(super) capabilities: &'static str,
    /// The trigger's `requires`; empty for none.
    pub(super) requires: &'static str,
    /// The `ScaledObject`'s `maxReplicaCount`.
    pub(super) max_replicas: u32,
}

/// Something that happens.
#[derive(Debug)]
pub(super) struct Event {
    /// In minutes after midnight.
    pub(super) at: u32,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// A pipeline runs.
    Jobs(Wave),
    /// Somebody cancels the last job of this pipeline.
    Cancel(&'static str),
    /// Azure DevOps begins to answer 503.
    Fails,
    /// It no longer does.
    Recovers,
}

/// The jobs of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wave {
    pub(super) pipeline: &'static str,
    pub(super) count: u32,
    pub(super) demands: &'static [&'static str],
    /// How long each runs.
    pub(super) minutes: u32,
    /// Does a service hook tell the scaler? Else it finds out by polling.
    pub(super) hook: bool,
}

pub(super) const PROFILES: [Profile; 3] = [
    Profile {
        name: "linux",
        capabilities: "docker, java=17",
        requires: "",
        max_replicas: 20,
    },
    Profile {
        name: "gpu",
        capabilities: "docker, gpu=a10",
        requires: "gpu",
        max_replicas: 4,
    },
    Profile {
        name: "release",
        capabilities: "docker, java=17, signing",
        requires: "signing",
        max_replicas: 2,
    },
];

const DOCKER: &[&str] = &["docker"];
const JAVA: &[&str] = &["java -equals 17"];
const GPU: &[&str] = &["gpu"];
const SIGNING: &[&str] = &["signing"];

/// In the order in which it happens.
pub(super) const DAY: &[Event] = &[
    polled(at(7, 10), "smoke-tests", 1, &[], 25),
    polled(at(7, 45), "docs", 1, DOCKER, 20),
    hooked(at(8, 30), "web", 4, DOCKER, 40),
    hooked(at(9, 0), "api", 6, JAVA, 45),
    polled(at(9, 10), "mainframe", 1, &["cobol"], 30),
    polled(at(9, 30), "web", 3, DOCKER, 40),
    hooked(at(9, 45), "train-model", 2, GPU, 100),
    hooked(at(10, 10), "pull-requests", 7, DOCKER, 45),
    Event {
        at: at(10, 35),
        what: What::Cancel("pull-requests"),
    },
    Event {
        at: at(11, 0),
        what: What::Fails,
    },
    polled(at(11, 15), "web", 3, DOCKER, 40),
    Event {
        at: at(11, 30),
        what: What::Recovers,
    },
    hooked(at(11, 40), "release", 1, SIGNING, 40),
    polled(at(12, 20), "docs", 1, DOCKER, 20),
    hooked(at(13, 20), "api", 4, JAVA, 45),
    hooked(at(13, 50), "web", 5, DOCKER, 40),
    hooked(at(14, 0), "train-model", 3, GPU, 90),
    hooked(at(14, 20), "pull-requests", 8, &[], 35),
    polled(at(14, 50), "api", 6, JAVA, 45),
    hooked(at(15, 10), "release", 2, SIGNING, 45),
    hooked(at(15, 30), "integration", 26, DOCKER, 30),
    polled(at(16, 40), "hotfix", 1, SIGNING, 30),
    hooked(at(17, 0), "web", 2, DOCKER, 35),
    polled(at(17, 40), "docs", 1, DOCKER, 20),
];

const fn at(hour: u32, minute: u32) -> u32 {
    60 * hour + minute
}

const fn hooked(
    at: u32,
    pipeline: &'static str,
    count: u32,
    demands: &'static [&'static str],
    minutes: u32,
) -> Event {
    let wave = Wave {
        pipeline,
        count,
        demands,
        minutes,
        hook: true,
    };
    let what = What::Jobs(wave);
    Event { at, what }
}

const fn polled(
    at: u32,
    pipeline: &'static str,
    count: u32,
    demands: &'static [&'static str],
    minutes: u32,
) -> Event {
    let mut event = hooked(at, pipeline, count, demands, minutes);
    if let What::Jobs(wave) = &mut event.what {
        wave.hook = false;
    }
    event
}

/// How much faster the day passes than a real one.
pub(super) fn factor(length: Duration) -> f64 {
    f64::from((CLOSES - OPENS) * 60) / length.as_secs_f64()
}

/// As on a clock.
pub(super) fn time(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// How many jobs of the day no profile can run: they wait until its end.
pub(super) fn never_run() -> u64 {
    let waves = DAY.iter().filter_map(|event| match &event.what {
        What::Jobs(wave) => Some(wave),
        _ => None,
    });
    let never = waves.filter(|wave| {
        let mut profiles = PROFILES.iter();
        !profiles.any(|profile| profile.meets(wave.demands))
    });
    never.map(|wave| u64::from(wave.count)).sum()
}

// === impl Profile ===

impl Profile {
    /// What the agent of a pod registers: names and values.
    pub(super) fn agent(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.capabilities.split(',').map(|capability| {
            let (name, value) = capability.split_once('=').unwrap_or((capability, ""));
            (name.trim(), value.trim())
        })
    }

    fn meets(&self, demands: &[&str]) -> bool {
        let capabilities = Capabilities::parse(self.capabilities).unwrap_or_default();
        capabilities.unmet(&Demands::read(demands)).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::trigger::Trigger;

    #[test]
    fn the_day_is_in_order_and_leaves_time_to_finish() {
        assert!(DAY.is_sorted_by_key(|event| event.at));
        assert!(DAY.iter().all(|event| event.at >= OPENS));
        let ends = DAY.iter().map(|event| match &event.what {
            What::Jobs(wave) => event.at + wave.minutes,
            _ => event.at,
        });
        assert!(ends.max() < Some(CLOSES - 30));
    }

    #[test]
    fn one_job_can_be_run_by_nobody() {
        assert_eq!(never_run(), 1);
    }

    #[test]
    fn every_profile_is_a_trigger_that_the_scaler_takes() {
        for profile in &PROFILES {
            let mut metadata = vec![("poolName", POOL), ("capabilities", profile.capabilities)];
            if !profile.requires.is_empty() {
                metadata.push(("requires", profile.requires));
            }
            assert_eq!(Trigger::parse(metadata).map(|_| ()), Ok(()));
        }
    }
}
