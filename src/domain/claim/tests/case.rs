//! Random cases: profiles of several scaling objects, and a queue for them.
//!
//! May import: the module above. Invariant: whatever may tell two cases apart
//! comes up often: names that two namespaces have, several triggers of one
//! object, limits of none, agents that bear a name and agents that do not, and
//! some whose pods have ended.

use std::collections::HashMap;

use proptest::{prelude::*, sample::subsequence};

use super::*;

/// What profiles may declare; the last one meets some of the demands below and
/// not others.
const CAPABILITIES: [&str; 6] = ["a", "b=1", "c=2", "d", "E", "Agent.OS=Windows_NT"];

/// What jobs may ask for; the last one is no demand at all.
const DEMANDS: [&str; 12] = [
    "a",
    "A",
    "b",
    "b -equals 1",
    "b -equals 2",
    "c",
    "c -gtVersion 1.0",
    "D",
    "e",
    "Agent.OS -equals linux",
    "Agent.Version -gtVersion 3.1",
    "a -Equals 1",
];

const NAMES: [&str; 4] = ["linux", "linux-big", "gpu", "any"];

/// Names of agents, some of which a name above owns.
const AGENTS: [&str; 6] = [
    "linux-6d8-x1",
    "linux-big-6d8-x2",
    "gpu-x3",
    "linux",
    "any-",
    "elsewhere-1",
];

/// One trigger of one scaling object.
#[derive(Clone, Debug)]
pub(super) struct Entrant {
    pub(super) object: ScalingObject,
    pub(super) trigger: u64,
    pub(super) profile: Profile,
    pub(super) limit: Option<u32>,
    pub(super) jobs: Option<JobPods>,
}

/// A pool: who shares it, and its queue.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) entrants: Vec<Entrant>,
    pub(super) jobs: Vec<JobRequest>,
}

/// Who has a job, told without a position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Owner((ScalingObject, u64)),
    Place((ScalingObject, u64)),
    NeedsNone,
    Nobody,
}

// === impl Entrant ===

impl Entrant {
    fn contender(&self) -> Contender<'_> {
        Contender {
            object: &self.object,
            trigger: self.trigger,
            profile: &self.profile,
            agents_named: &self.object.name,
            placeholder: None,
            limit: self.limit,
            jobs: self.jobs.as_ref(),
            leaving: None,
        }
    }
}

// === impl Case ===

impl Case {
    pub(super) fn queue(&self) -> Queue {
        Queue::new(self.jobs.clone())
    }

    pub(super) fn contenders(&self) -> Vec<Contender<'_>> {
        self.entrants.iter().map(Entrant::contender).collect()
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        claim(&self.queue(), &self.contenders())
    }

    /// How many jobs somebody should have, and has not.
    pub(super) fn left_out(&self) -> usize {
        let claims = self.claims();
        claims.iter().filter(|c| **c == Claim::Unclaimed).count()
    }

    /// Who has each job, whatever the order of the profiles.
    pub(super) fn holders(&self) -> Vec<(u64, Holder)> {
        let holder = |claim: Claim| {
            let of = |index: usize| {
                let entrant = &self.entrants[index];
                (entrant.object.clone(), entrant.trigger)
            };
            match claim {
                Claim::Owned(index) => Holder::Owner(of(index)),
                Claim::Placed(index) => Holder::Place(of(index)),
                Claim::Over => Holder::NeedsNone,
                Claim::Unclaimed => Holder::Nobody,
            }
        };
        let queue = self.queue();
        let jobs = queue.jobs().iter().map(|job| job.id.0);
        jobs.zip(self.claims().into_iter().map(holder)).collect()
    }

    /// The same case in another order.
    pub(super) fn shuffled(&self, random: &mut fastrand::Rng) -> Self {
        let mut other = self.clone();
        random.shuffle(&mut other.entrants);
        random.shuffle(&mut other.jobs);
        other
    }
}

/// Cases of at most so many profiles and jobs.
pub(super) fn case(profiles: usize, jobs: usize) -> impl Strategy<Value = Case> {
    let profiles = prop::collection::vec(profile(1.0 / profiles as f64), 1..=profiles);
    let jobs = prop::collection::vec(row(), 0..=jobs);
    (profiles, jobs).prop_map(|(profiles, rows)| Case {
        entrants: entrants(profiles),
        jobs: queue(rows),
    })
}

/// Name and namespace, the profile, its limit, and its Jobs.
type Drawn = (usize, usize, Profile, Option<u32>, Option<JobPods>);

/// Two profiles in three can be the same but for what the test is about.
/// `ended` is how often one has pods that have ended: about once in a case.
fn profile(ended: f64) -> impl Strategy<Value = Drawn> {
    let declared = subsequence(CAPABILITIES.as_slice(), 0..=4);
    let rest = (0..3usize, 0..8u8, 0..2i32, 0..2u32);
    let limit = prop::option::weighted(0.7, 0..5u32);
    let place = (0..NAMES.len(), 0..2usize);
    let ended = prop::option::weighted(ended, subsequence(AGENTS.as_slice(), 0..=2));
    (place, declared, rest, limit, ended).prop_map(
        |((name, namespace), declared, (required, kind, priority, warm_agents), limit, ended)| {
            let names = declared.iter().filter_map(|c| c.split('=').next());
            let requires = names.take(required.saturating_sub(1)).map(Into::into);
            let matching = match kind {
                0 => Matching::Any,
                1 => Matching::Parent("template".into()),
                _ => Matching::Capabilities(Offer::new(
                    Capabilities::parse(&declared.join(",")).unwrap(),
                    requires.collect(),
                )),
            };
            let profile = Profile {
                matching,
                counting: Counting::Unfinished,
                warm_agents,
                priority,
            };
            let jobs = ended.map(|ended| JobPods {
                ended: ended.into_iter().map(Into::into).collect(),
                ..JobPods::default()
            });
            (name, namespace, profile, limit, jobs)
        },
    )
}

/// Profiles with one name are triggers of one scaling object.
fn entrants(drawn: Vec<Drawn>) -> Vec<Entrant> {
    let mut triggers: HashMap<ScalingObject, u64> = HashMap::new();
    let entrant = |(name, namespace, profile, limit, jobs): Drawn| {
        let object = ScalingObject {
            namespace: ["ci", "team"][namespace].into(),
            name: NAMES[name].into(),
        };
        let trigger = triggers.entry(object.clone()).or_default();
        *trigger += 1;
        Entrant {
            object,
            trigger: *trigger,
            profile,
            limit,
            jobs,
        }
    };
    drawn.into_iter().map(entrant).collect()
}

/// Demands, how far it has come, and its agent.
type Row = (Vec<&'static str>, u8, usize);

fn row() -> impl Strategy<Value = Row> {
    let demands = subsequence(DEMANDS.as_slice(), 0..=2);
    (demands, 0..5u8, 0..AGENTS.len())
}

/// Lists of demands are shared by every second job, as readings share them.
fn queue(rows: Vec<Row>) -> Vec<JobRequest> {
    let mut shared: HashMap<Vec<&str>, Arc<Demands>> = HashMap::new();
    let job = |(id, (demands, state, agent)): (u64, Row)| {
        let read = Arc::new(Demands::read(&demands));
        let demands = if id % 2 == 0 {
            Arc::clone(shared.entry(demands).or_insert(read))
        } else {
            read
        };
        let (state, agent) = match state {
            0 => (JobState::Running, Some(AGENTS[agent])),
            // The service has no such row, and the claim no fault by it.
            1 => (JobState::Running, None),
            2 => (JobState::Assigned, Some(AGENTS[agent])),
            _ => (JobState::Queued, None),
        };
        JobRequest {
            state,
            demands,
            agent: agent.map(Into::into),
            ..super::job(id, "", None)
        }
    };
    (1..).zip(rows).map(job).collect()
}
