//! What the guard needs of the cluster, as traits: to be the only one that writes,
//! and to write.
//!
//! May import: domain, errors of pools' servers. Invariants: a write says what it is based on, so that it
//! fails where somebody else was faster; an error has a kind from a closed list
//! and says what to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{sync::watch, time::Instant};

use super::ReadError;
use crate::domain::profile::ScalingObject;

/// What comes of a write, or of a reading before one.
pub type Attempt<'a, T> = BoxFuture<'a, Result<T, WriteError>>;

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A right is missing.
    #[error("not allowed; give a role {rule}")]
    Forbidden {
        /// The rule, as a role would have it.
        rule: Box<str>,
    },
    /// The server of an agent pool does not let it.
    #[error("{why}")]
    Refused {
        /// Why, and what to do.
        why: Box<str>,
    },
    /// Somebody else has changed it meanwhile, or it is another of that name.
    #[error("somebody else has changed it meanwhile")]
    Conflict,
    /// It is not there any more.
    #[error("it is not there")]
    Gone,
    /// Anything else: nobody answers, or with an error.
    #[error("{cause}")]
    Failed {
        /// What, and what to do.
        cause: Box<str>,
    },
}

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who has it; empty where nobody has.
    pub holder: Box<str>,
    /// For how long after each renewal.
    pub duration: Duration,
    /// When it was renewed, by the clock of whoever has it: compared with what it
    /// was before, and never with a clock of our own.
    pub renewed: Box<str>,
    /// How often it went from one to another.
    pub transitions: u32,
}

/// A Lease, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSeen {
    /// What a write of it is based on.
    pub version: Box<str>,
    /// What it says.
    pub record: LeaseRecord,
}

/// What a Lease is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Who has it; empty to let it go.
    pub holder: Box<str>,
    /// For how long.
    pub duration: Duration,
    /// How often it went from one to another.
    pub transitions: u32,
    /// Does it go from another to this one?
    pub is_new: bool,
}

/// The Lease by which one of all replicas leads.
pub trait Lease: Send + Sync + 'static {
    /// Reads it; `None` where it is not there.
    fn read(&self) -> Attempt<'_, Option<LeaseSeen>>;

    /// Writes it over what was read, or makes it where nothing was. Its labels and
    /// all that is not in [`Holding`] stay as they are.
    fn write<'a>(&'a self, holding: &'a Holding, over: Option<&'a LeaseSeen>) -> Attempt<'a, ()>;
}

/// A pod by its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name, which is its agent's too.
    pub name: Box<str>,
}

/// A pod that may have an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPod {
    /// What tells it from another of the same name.
    pub uid: Box<str>,
    /// Those of its annotations that the guard may write.
    pub annotations: BTreeMap<Box<str>, Box<str>>,
    /// Is it going, by its `deletionTimestamp`, though it may still finish a job?
    pub is_leaving: bool,
}

/// The pods of the scaling objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentPodsSeen {
    /// Those that are there and have not ended.
    pub pods: BTreeMap<PodName, Arc<AgentPod>>,
    /// Those that were there and have ended of late, and when that was seen. One
    /// that is only not watched any more is not among them.
    pub ended: BTreeMap<PodName, Instant>,
    /// Whose pods are among them: namespaces, and what names begin with before a
    /// dash. A pod of another name may be there all the same.
    pub named: BTreeSet<(Box<str>, Box<str>)>,
}

/// Changes of a pod's annotations; `None` takes one away.
pub type Annotations = BTreeMap<Box<str>, Option<Box<str>>>;

/// The pods that may have agents.
pub trait AgentPods: Send + Sync + 'static {
    /// They; `None` until all of them have been read once.
    fn agent_pods(&self) -> watch::Receiver<Option<Arc<AgentPodsSeen>>>;

    /// Changes annotations of just this pod.
    fn annotate<'a>(
        &'a self,
        name: &'a PodName,
        pod: &'a AgentPod,
        changes: &'a Annotations,
    ) -> Attempt<'a, ()>;

    /// Is a pod of this name there that has not ended? Asked of the cluster now, and
    /// not of what was seen.
    fn is_there<'a>(&'a self, name: &'a PodName) -> Attempt<'a, bool>;
}

/// How many pods a Deployment is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// What a write of it is based on.
    pub version: Box<str>,
    /// The number.
    pub replicas: u32,
}

/// The scales of Deployments.
pub trait Scales: Send + Sync + 'static {
    /// Reads one.
    fn scale<'a>(&'a self, namespace: &'a str, deployment: &'a str) -> Attempt<'a, Scale>;

    /// Writes one over what was read.
    fn set_scale<'a>(
        &'a self,
        namespace: &'a str,
        deployment: &'a str,
        over: &'a Scale,
        replicas: u32,
    ) -> Attempt<'a, ()>;
}

/// What one scaling object needs, by one reading of its pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The scaling object.
    pub object: ScalingObject,
    /// The names of its pods begin with this and a dash.
    pub agents_named: Box<str>,
    /// When the oldest of the readings began that this was made from; `None` while
    /// one of its pools is not read, or not well: then nobody knows who is idle.
    pub read_at: Option<Instant>,
    /// The agents of each of its pools that have a job.
    pub busy: Vec<Arc<Busy>>,
    /// What its Deployment's scale may be raised to.
    pub raise: Option<Raise>,
}

/// The agents of a pool that have a job, by their names in lower case: the numbers
/// of the job requests that each of them runs. None, where it is only about to.
pub type Busy = BTreeMap<Box<str>, BTreeSet<u64>>;

/// A scale that may be raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// The Deployment, in the scaling object's namespace.
    pub deployment: Box<str>,
    /// What the decision needs, and no more than `maxReplicaCount`.
    pub replicas: u32,
}

/// Who needs what, by the latest snapshots.
pub trait Needs: Send + Sync + 'static {
    /// All that is known now. A scaling object of which nothing may be told is not
    /// among them.
    fn needs(&self) -> Vec<Need>;

    /// Counts what may change them: readings and declarations.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Keeps the pools of all scaling objects read, though KEDA asks another
    /// replica: wanted now and then by whoever leads.
    fn keep(&self);
}

// === impl WriteError ===

impl From<ReadError> for WriteError {
    /// What the server of an agent pool says.
    fn from(error: ReadError) -> Self {
        let told = error.to_string().into();
        match error.is_refusal() {
            true => Self::Refused { why: told },
            false => Self::Failed { cause: told },
        }
    }
}

// === impl Need ===

impl Need {
    /// Is it one of its pods?
    #[must_use]
    pub fn has(&self, pod: &PodName) -> bool {
        let rest = pod.name.strip_prefix(&*self.agents_named);
        pod.namespace == self.object.namespace && rest.is_some_and(|rest| rest.starts_with('-'))
    }

    /// Has the agent of this name a job?
    #[must_use]
    pub fn is_busy(&self, agent: &str) -> bool {
        self.busy.iter().any(|busy| busy.contains_key(agent))
    }

    /// The jobs that the agent of this name runs.
    pub fn runs<'a>(&'a self, agent: &'a str) -> impl Iterator<Item = u64> + 'a {
        let jobs = self.busy.iter().filter_map(move |busy| busy.get(agent));
        jobs.flatten().copied()
    }
}

// === impl PodName ===

impl PodName {
    /// A pod of this name.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl std::fmt::Display for PodName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
