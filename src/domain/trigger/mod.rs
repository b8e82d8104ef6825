//! Triggers: the metadata of a scaling object, read once into a profile.
//!
//! May import: profiles and what they are made of. Invariant: a trigger is
//! either whole or refused with every problem that it has; a value that might
//! be a secret is in none of them.

mod parse;
#[cfg(test)]
mod tests;

pub mod keys;

use std::fmt;

use super::{
    declared::{Declared, Kind, Strategy},
    organization::OrganizationUrl,
    pool::PoolRef,
    profile::{Counting, Profile},
};

/// KEDA 2.21: sends the trigger's metadata as they are. There are about forty keys
/// that mean something here; what has more than this many is no trigger.
pub const MOST_KEYS: usize = 128;

/// A trigger of a scaling object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The organization, where the trigger names one.
    pub organization: Option<OrganizationUrl>,
    /// The pool.
    pub pool: PoolRef,
    /// The credential of the scaler's that it names.
    pub credential: Option<Box<str>>,
    /// The Secret that holds its own.
    pub secret: Option<SecretKey>,
    /// Does a token of its own come with each call? Where it is, only the
    /// metadata knows.
    pub brings_a_token: bool,
    /// What the agents run and how they are counted, by what the trigger says.
    pub profile: Profile,
    /// What it says of that by itself, for where the cluster knows better.
    pub says: Says,
    /// The agent that holds the place of its agents while there are none. It never
    /// comes online, and is none of them.
    pub placeholder: Option<Box<str>>,
    /// Is its Deployment to be raised without waiting for the horizontal pod
    /// autoscaler?
    pub direct_scale_up: bool,
    /// Jobs for each agent: the metric's target.
    pub jobs_per_agent: u32,
    /// The scaling object is active when its number is above this.
    pub activation: u64,
    /// What is worth telling the user, though it is no error.
    pub notices: Vec<&'static str>,
}

/// A key of a Secret in the scaling object's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretKey {
    /// The Secret's name.
    pub name: Box<str>,
    /// The key in it.
    pub key: Box<str>,
}

/// What a trigger says of how its jobs are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Says {
    /// `mode`.
    pub kind: Option<Kind>,
    /// `strategy`.
    pub strategy: Option<Strategy>,
    /// `scaleOnInFlight`, where it is `"false"`.
    pub without_running: bool,
}

/// Every problem of one trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerError {
    problems: Vec<Problem>,
}

/// One problem of a trigger: the key, and what is wrong with it and what to
/// write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    key: Box<str>,
    what: String,
}

// === impl Trigger ===

impl Trigger {
    /// The profile of this trigger where the cluster says what the scaling
    /// object is: that outweighs `mode` and `strategy`.
    #[must_use]
    pub fn profile_as(&self, declared: &Declared) -> Profile {
        Profile {
            counting: Counting::of(declared.kind, declared.strategy, self.says.without_running),
            ..self.profile.clone()
        }
    }

    /// What the trigger says of itself that the cluster knows to be otherwise.
    #[must_use]
    pub fn contradictions(&self, declared: &Declared) -> Vec<&'static str> {
        let mut contradictions = Vec::new();
        if self.says.kind.is_some_and(|kind| kind != declared.kind) {
            contradictions.push(match declared.kind {
                Kind::ScaledObject => "mode says job, but this is a ScaledObject; remove mode",
                Kind::ScaledJob => "mode says deployment, but this is a ScaledJob; remove mode",
            });
        }
        let strategy = self
            .says
            .strategy
            .filter(|_| declared.kind == Kind::ScaledJob);
        if strategy.is_some_and(|strategy| strategy != declared.strategy) {
            contradictions
                .push("strategy is not that of scalingStrategy, which counts; remove strategy");
        }
        contradictions
    }
}

// === impl Says ===

impl Says {
    /// How jobs are counted where the cluster says nothing.
    pub(super) fn counting(self) -> Counting {
        let kind = self.kind.unwrap_or(match self.strategy {
            Some(_) => Kind::ScaledJob,
            None => Kind::ScaledObject,
        });
        Counting::of(
            kind,
            self.strategy.unwrap_or_default(),
            self.without_running,
        )
    }
}

// === impl TriggerError ===

impl TriggerError {
    /// The problems, in the order of the keys.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for TriggerError {}

impl fmt::Display for TriggerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// More than this many problems are one: not a trigger of ours.
        const SHOWN: usize = 20;
        write!(f, "the trigger metadata cannot be used: ")?;
        for (index, problem) in self.problems.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        match self.problems.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

// === impl Problem ===

impl Problem {
    fn new(key: &str, what: impl Into<String>) -> Self {
        Self {
            key: shown(key).into(),
            what: what.into(),
        }
    }

    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong with it and what to write instead.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

/// A text of somebody else's, short and on one line.
fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
