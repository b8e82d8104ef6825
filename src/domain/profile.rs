//! Profiles: what one scaling object's agents can run, and how they are counted.
//!
//! May import: capabilities, demands, job requests. Invariant: a profile is what
//! its trigger says; who calls for it and when is not known here.

use std::fmt;

use super::{
    capability::{Capabilities, Unmet},
    declared::{Kind, Strategy},
    demand::{Demand, Demands},
    job::JobRequest,
    legacy::DemandsRule,
};

/// The name of a `ScaledObject` or `ScaledJob`. KEDA does not say which it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScalingObject {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// One trigger of a scaling object, as far as jobs and numbers go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Which jobs its agents run.
    pub matching: Matching,
    /// How many agents that means.
    pub counting: Counting,
    /// Agents to keep beyond what the queue needs.
    pub warm_agents: u32,
    /// The higher one of equally specific profiles gets the job.
    pub priority: i32,
}

/// Which jobs the agents of a profile run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Any job; the trigger says nothing of demands.
    Any,
    /// The jobs whose demands these capabilities meet.
    Capabilities(Offer),
    /// KEDA's own rule for `demands`: text, counted apart from other profiles.
    Demands(DemandsRule),
    /// KEDA's own rule for `parent`: jobs that Azure DevOps matched to this
    /// agent, counted apart from other profiles.
    Parent(Box<str>),
}

/// What a profile's agents have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    capabilities: Capabilities,
    declared: usize,
    requires: Box<[Box<str>]>,
}

/// Which of a profile's jobs make its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// All that are not finished: a Deployment needs an agent for each, and so
    /// does a `ScaledJob` of the strategies `default` and `custom`, from whose
    /// number KEDA takes the Jobs off that there are.
    Unfinished,
    /// Those that no agent has received: KEDA's `scaleOnInFlight: "false"`.
    NotReceived,
    /// Those without a Job that has started: the strategy `accurate`, where
    /// KEDA only takes off Jobs that are still pending. Where the Jobs are not
    /// known, those that no agent will take.
    Unclaimed,
    /// Those without a Job: the strategy `eager`, where KEDA takes nothing off
    /// below the maximum. Where the Jobs are not known, as `Unclaimed`.
    Unbacked,
}

/// Why a profile does not take a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Demands that its agents cannot meet.
    Unmet(Vec<(Demand, Unmet)>),
    /// The job does not ask for a capability that the profile requires.
    NotAskedFor(Box<str>),
    /// The text of the demands differs, by KEDA's rule.
    DemandsDiffer,
    /// Azure DevOps did not match the job to the profile's parent.
    ParentNotMatched,
    /// It fits, but the profile has all the jobs that it may have.
    Full,
}

// === impl Counting ===

impl Counting {
    /// How the jobs of a scaling object are counted, so that KEDA makes one
    /// agent for each.
    #[must_use]
    pub const fn of(kind: Kind, strategy: Strategy, without_running: bool) -> Self {
        match (kind, strategy) {
            (Kind::ScaledJob, Strategy::Accurate) => Self::Unclaimed,
            (Kind::ScaledJob, Strategy::Eager) => Self::Unbacked,
            _ if without_running => Self::NotReceived,
            _ => Self::Unfinished,
        }
    }
}

// === impl Profile ===

impl Profile {
    /// Are its jobs decided together with those of other profiles, so that
    /// each counts once?
    #[must_use]
    pub const fn shares_the_pool(&self) -> bool {
        matches!(self.matching, Matching::Any | Matching::Capabilities(_))
    }

    /// Could its agents run this job?
    ///
    /// # Errors
    /// Why not.
    pub fn fits(&self, job: &JobRequest) -> Result<(), Refusal> {
        match &self.matching {
            Matching::Any => Ok(()),
            Matching::Capabilities(offer) => offer.fits(&job.demands),
            Matching::Demands(rule) if rule.fits(&job.demands) => Ok(()),
            Matching::Demands(_) => Err(Refusal::DemandsDiffer),
            // KEDA 2.21 looks at the names alone; `matchesAllAgentsInPool`
            // does not count there, so it does not count here.
            Matching::Parent(parent) => {
                let matched = job.matched_agents.as_deref().unwrap_or_default();
                if matched.contains(parent) {
                    Ok(())
                } else {
                    Err(Refusal::ParentNotMatched)
                }
            }
        }
    }
}

// === impl Offer ===

impl Offer {
    /// Agents that have these capabilities, and those that every agent has by
    /// itself; they take only jobs that ask for everything in `requires`.
    #[must_use]
    pub fn new(capabilities: Capabilities, requires: Vec<Box<str>>) -> Self {
        Self {
            declared: capabilities.len(),
            capabilities: capabilities.with_implicit(),
            requires: requires.into(),
        }
    }

    /// What the agents have, implicit capabilities included.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What the agents have beyond what each has by itself.
    #[must_use]
    pub fn told(&self) -> Capabilities {
        self.capabilities.without_implicit()
    }

    /// How many capabilities the trigger itself names.
    #[must_use]
    pub fn declared(&self) -> usize {
        self.declared
    }

    /// Names that a job must ask for.
    #[must_use]
    pub fn requires(&self) -> &[Box<str>] {
        &self.requires
    }

    /// # Errors
    /// Why the agents cannot or may not run a job with these demands.
    pub fn fits(&self, demands: &Demands) -> Result<(), Refusal> {
        let unmet = self.capabilities.unmet(demands);
        if !unmet.is_empty() {
            let unmet = unmet.into_iter().map(|(demand, why)| (demand.clone(), why));
            return Err(Refusal::Unmet(unmet.collect()));
        }
        let asked = |name: &str| {
            demands
                .iter()
                .any(|demand| demand.name().to_lowercase() == name.to_lowercase())
        };
        match self.requires.iter().find(|name| !asked(name)) {
            Some(name) => Err(Refusal::NotAskedFor(name.clone())),
            None => Ok(()),
        }
    }
}

// === impl Refusal ===

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmet(unmet) => {
                for (index, (demand, why)) in unmet.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}demand \"{demand}\" is not met: {why}")?;
                }
                Ok(())
            }
            Self::NotAskedFor(name) => {
                write!(
                    f,
                    "the profile requires that a job asks for {name:?}, and this one does not"
                )
            }
            Self::DemandsDiffer => {
                write!(
                    f,
                    "the job's demands differ from the trigger's, compared as text as KEDA does"
                )
            }
            Self::ParentNotMatched => {
                write!(
                    f,
                    "Azure DevOps did not match the job to the trigger's parent agent"
                )
            }
            Self::Full => write!(f, "the profile has as many jobs as it may have agents"),
        }
    }
}

// === impl ScalingObject ===

impl ScalingObject {
    /// Reads `NAMESPACE/NAME`, as it is shown; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        let is_name = |text: &str| !text.is_empty() && !text.contains('/');
        (is_name(namespace) && is_name(name)).then(|| Self {
            namespace: namespace.into(),
            name: name.into(),
        })
    }
}

impl fmt::Display for ScalingObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
