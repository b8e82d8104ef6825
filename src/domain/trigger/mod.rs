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

use super::{organization::OrganizationUrl, pool::PoolRef, profile::Profile};

/// A trigger of a scaling object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The organization, where the trigger names one.
    pub organization: Option<OrganizationUrl>,
    /// The pool.
    pub pool: PoolRef,
    /// What the agents run and how they are counted.
    pub profile: Profile,
    /// Jobs for each agent: the metric's target.
    pub jobs_per_agent: u32,
    /// The scaling object is active when its number is above this.
    pub activation: u64,
    /// What is worth telling the user, though it is no error.
    pub notices: Vec<&'static str>,
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
