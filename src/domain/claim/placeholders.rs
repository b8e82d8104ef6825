//! The names of the pool's placeholders.
//!
//! May import: its siblings, the names that scalers give. Invariant: an agent of such a name is nobody's agent,
//! though the name may begin as those of a profile's pods do.

use std::collections::HashSet;

use super::Contender;
use crate::domain::keeper::is_given_name;

/// Which agents are placeholders, by what all triggers of the pool say.
pub(in crate::domain) struct PlaceholderNames(HashSet<String>);

// === impl PlaceholderNames ===

impl PlaceholderNames {
    pub(in crate::domain) fn new(contenders: &[Contender<'_>]) -> Self {
        let names = contenders
            .iter()
            .filter_map(|contender| contender.placeholder);
        Self(names.map(str::to_lowercase).collect())
    }

    /// ASSUMPTION(agent-name-case): names of agents compare without regard to case.
    pub(in crate::domain) fn have(&self, agent: &str) -> bool {
        let is_named = !self.0.is_empty() && self.0.contains(&agent.to_lowercase());
        is_named || is_given_name(agent)
    }
}
