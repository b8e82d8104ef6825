//! A case: how a pool's queue came to be, and the trigger that is asked for it.
//!
//! May import: the emulator, proptest's strategies. Invariant: a case says
//! everything, so that the one which a failure prints can be tried again alone.

use std::{collections::BTreeMap, time::Duration};

use azp_scaler::{
    domain::demand::Demands,
    emulator::{EmulatorHandle, NewAgent, NewJobs},
};

/// The metadata of a trigger as a user writes it. In the values, `{pool}`,
/// `{id}` and `{url}` stand for the pool's name and number and the organization.
pub type Metadata = BTreeMap<String, String>;

/// One queue and one trigger.
#[derive(Clone, Debug)]
pub struct Case {
    /// What happened in the pool, in this order.
    pub past: Vec<Step>,
    /// The trigger that both sides are asked for.
    pub trigger: Metadata,
    /// Is there another scaling object on the pool, whose trigger says nothing
    /// of demands?
    pub neighbour: bool,
}

/// Something that happens in a pool. What the organization refuses, such as a
/// second agent of one name, has not happened.
#[derive(Clone, Debug)]
pub enum Step {
    /// An agent is registered; an online one takes a job that it can run.
    Agent {
        name: String,
        capabilities: Vec<(String, String)>,
        online: bool,
    },
    /// Jobs are queued. They take half an hour, or longer than any case.
    Jobs {
        count: u32,
        demands: Vec<String>,
        short: bool,
        /// Do they fail at once where no agent could run them?
        needs_agent: bool,
    },
    /// An hour passes: agents receive what they were given, short jobs end.
    Hour,
    /// The first job but so many is cancelled, wherever it stands.
    Cancel(usize),
    /// The agent dies, with what it runs.
    Kill(String),
}

/// How long an agent of the emulator takes from a job's assignment to its
/// reception, so that only a [`Step::Hour`] brings it about.
pub const PICKUP: Duration = Duration::from_secs(3600);

/// A trigger for the pool's jobs, and as many jobs with this demand.
pub fn with_jobs(count: u32, demand: &str) -> Case {
    let case = Case {
        past: vec![jobs(count, &[demand])],
        trigger: [].into(),
        neighbour: false,
    };
    case.with("poolName", "{pool}")
        .with("organizationURL", "{url}")
}

pub fn jobs(count: u32, demands: &[&str]) -> Step {
    Step::Jobs {
        count,
        demands: demands.iter().map(|demand| (*demand).to_owned()).collect(),
        short: false,
        needs_agent: false,
    }
}

pub fn agent(name: &str, capability: &str, online: bool) -> Step {
    Step::Agent {
        name: name.to_owned(),
        capabilities: vec![(capability.to_owned(), "1".to_owned())],
        online,
    }
}

// === impl Case ===

impl Case {
    /// How many job requests the pool has seen.
    pub fn jobs(&self) -> u64 {
        let counts = self.past.iter().map(|step| match step {
            Step::Jobs { count, .. } => u64::from(*count),
            _ => 0,
        });
        counts.sum()
    }

    /// A key's value as KEDA takes it: without white space around it, and none
    /// where nothing is left.
    pub fn value(&self, key: &str) -> Option<&str> {
        let value = self.trigger.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The same case with another key; an empty value takes the key away.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        if value.is_empty() {
            self.trigger.remove(key);
        } else {
            self.trigger.insert(key.to_owned(), value.to_owned());
        }
        self
    }

    /// Lets the pool live through its past.
    pub fn live(&self, emulator: &EmulatorHandle, pool: &str) {
        let mut jobs = Vec::new();
        for step in &self.past {
            match step {
                Step::Agent {
                    name,
                    capabilities,
                    online,
                } => {
                    let mut agent = NewAgent::in_pod(name, capabilities.clone());
                    agent.online = *online;
                    let _ = emulator.add_agent(pool, agent);
                }
                Step::Jobs {
                    count,
                    demands,
                    short,
                    needs_agent,
                } => {
                    let hours = if *short { 0.5 } else { 1_000_000.0 };
                    let new = NewJobs {
                        count: *count,
                        demands: Demands::read(demands),
                        duration: PICKUP.mul_f64(hours),
                        needs_agent: *needs_agent,
                        ..NewJobs::default()
                    };
                    jobs.extend(emulator.queue_jobs(pool, &new).unwrap());
                }
                Step::Hour => emulator.advance(PICKUP),
                Step::Cancel(index) => {
                    let job = jobs.get(*index);
                    let _ = job.map(|job| emulator.cancel_job(pool, *job));
                }
                Step::Kill(agent) => {
                    let _ = emulator.kill_agent(pool, agent);
                }
            }
        }
    }
}
