//! Placeholders: agents that are registered and never listen, so that jobs wait in
//! a pool in which no other agent is.
//!
//! May import: capabilities, agents, the mark of placeholders. Invariants: an agent
//! without the owner's mark is never changed or removed, whatever its name; what
//! has a job or a session stays.
//!
//! Azure DevOps: a job fails at once where no registered agent of its pool meets
//! its demands; where one does that is offline, the job waits.

use std::{collections::BTreeMap, fmt};

use super::{
    capability::{Capabilities, CapabilityValue},
    leftover::PLACEHOLDER,
    pool::same_name,
    registration::{AgentId, RegisteredAgent},
};

/// What every placeholder says that it is: newer than any demand for
/// `Agent.Version`, which nearly every job has.
pub const VERSION: &str = "99.999.9";

/// Names of capabilities and their values.
pub type CapabilityMap = BTreeMap<Box<str>, Box<str>>;

/// An agent that is to stand in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// Its name.
    pub name: Box<str>,
    /// What the agents have whose place it holds.
    pub capabilities: Capabilities,
}

/// What a placeholder is registered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its name.
    pub name: Box<str>,
    /// What every agent says of itself, and the mark: these stay as they are.
    pub system: CapabilityMap,
    /// What it holds the place of, and the mark: these may be changed later.
    pub user: CapabilityMap,
}

/// What there is to do in one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan<'a> {
    /// Those that are to be registered.
    pub missing: Vec<&'a Placeholder>,
    /// Those that are there and differ.
    pub changed: Vec<Change<'a>>,
    /// Those that are as they should be.
    pub right: Vec<&'a Placeholder>,
    /// Those of the owner that nobody names any more.
    pub surplus: Vec<Surplus>,
    /// Agents that have a placeholder's name and another owner, or none.
    pub foreign: Vec<Foreign>,
}

/// A placeholder that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Its number.
    pub id: AgentId,
    /// What it should be.
    pub placeholder: &'a Placeholder,
    /// Has it other capabilities?
    pub capabilities: bool,
    /// Is it disabled?
    pub disabled: bool,
}

/// A placeholder that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// Its number.
    pub id: AgentId,
    /// Its name.
    pub name: Box<str>,
    /// Somebody runs an agent by its name, so that it stays.
    pub in_use: bool,
}

/// An agent of a placeholder's name that is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its name.
    pub name: Box<str>,
    /// Its number.
    pub id: AgentId,
    /// Whose placeholder it is, if it is one.
    pub owner: Option<Box<str>>,
    /// Does it do all the same what the placeholder is for: is it enabled, and has
    /// what the placeholder has?
    pub holds: bool,
}

// === impl Placeholder ===

impl Placeholder {
    /// What it is registered with.
    #[must_use]
    pub fn registration(&self, owner: &str) -> Registration {
        Registration {
            name: self.name.clone(),
            system: self.system(owner),
            user: self.user(owner),
        }
    }

    /// What is told of it by people.
    #[must_use]
    pub fn user(&self, owner: &str) -> CapabilityMap {
        let told = self.capabilities.iter().map(|capability| {
            let value = match &capability.value {
                CapabilityValue::Text(text) => text.clone(),
                // ASSUMPTION(capability-value): as azp-agent declares it.
                CapabilityValue::Present | CapabilityValue::Newest => "true".into(),
            };
            (capability.name.clone(), value)
        });
        told.chain([(PLACEHOLDER.into(), owner.into())]).collect()
    }

    /// Azure DevOps: what every agent sends by itself; see
    /// [`Capabilities::with_implicit`]. The mark is among it, so that a placeholder
    /// is known from the instant of its registration.
    fn system(&self, owner: &str) -> CapabilityMap {
        let own = [
            ("Agent.Name", &*self.name),
            ("Agent.ComputerName", &self.name),
            ("Agent.HomeDirectory", "/azp/agent"),
            // ASSUMPTION(agent-version-field): beside the field of that name, in
            // case a demand is held against the capability alone.
            ("Agent.Version", VERSION),
            ("Agent.OS", "Linux"),
            ("Agent.OSArchitecture", "X64"),
            ("InteractiveSession", "False"),
            (PLACEHOLDER, owner),
        ];
        let pairs = own.into_iter();
        pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    /// Has this agent the capabilities that it should have?
    ///
    /// ASSUMPTION(user-capabilities-win): the value that is told is the user's.
    fn is_told_by(&self, agent: &RegisteredAgent, owner: &str) -> bool {
        let system = self.system(owner);
        let mut wanted: BTreeMap<String, Box<str>> = lowered(&self.user(owner)).collect();
        let mut told = lowered(&agent.capabilities);
        let same = told.all(|(name, value)| match wanted.remove(&name) {
            Some(wanted) => wanted == value,
            // What it says by itself is as it was registered.
            None => system.keys().any(|own| own.to_lowercase() == name),
        });
        same && wanted.is_empty()
    }

    /// Has this agent, of whomever, what the placeholder has? Whatever it has beside.
    fn is_met_by(&self, agent: &RegisteredAgent) -> bool {
        let told: BTreeMap<String, Box<str>> = lowered(&agent.capabilities).collect();
        let user = self.user("");
        let mut wanted = lowered(&user).filter(|(name, _)| name != PLACEHOLDER);
        wanted.all(|(name, value)| {
            let there = told.get(&name);
            there.is_some_and(|there| there.to_lowercase() == value.to_lowercase())
        })
    }
}

/// Names of capabilities compare without regard to case.
fn lowered(map: &CapabilityMap) -> impl Iterator<Item = (String, Box<str>)> {
    map.iter()
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
}

/// Whose placeholder this agent is.
#[must_use]
pub fn owner_of(agent: &RegisteredAgent) -> Option<&str> {
    let mut all = agent.capabilities.iter();
    let mark = all.find(|(name, _)| name.eq_ignore_ascii_case(PLACEHOLDER));
    mark.map(|(_, owner)| &**owner)
}

/// What there is to do in a pool that has these agents, so that the owner's
/// placeholders there are the wanted ones and no others.
#[must_use]
pub fn plan<'a>(
    owner: &str,
    wanted: impl IntoIterator<Item = &'a Placeholder>,
    agents: &[RegisteredAgent],
) -> Plan<'a> {
    let mut plan = Plan::default();
    let mut named = Vec::new();
    for placeholder in wanted {
        let there = agents
            .iter()
            .find(|agent| same_name(&agent.name, &placeholder.name));
        let Some(agent) = there else {
            plan.missing.push(placeholder);
            continue;
        };
        named.push(agent.id);
        if owner_of(agent) != Some(owner) {
            plan.foreign.push(Foreign {
                name: agent.name.clone(),
                id: agent.id,
                owner: owner_of(agent).map(Into::into),
                holds: agent.enabled && placeholder.is_met_by(agent),
            });
            continue;
        }
        let change = Change {
            id: agent.id,
            placeholder,
            capabilities: !placeholder.is_told_by(agent, owner),
            disabled: !agent.enabled,
        };
        if change.capabilities || change.disabled {
            plan.changed.push(change);
        } else {
            plan.right.push(placeholder);
        }
    }
    let surplus = agents
        .iter()
        .filter(|agent| owner_of(agent) == Some(owner) && !named.contains(&agent.id));
    plan.surplus.extend(surplus.map(|agent| Surplus {
        id: agent.id,
        name: agent.name.clone(),
        in_use: agent.online || agent.assigned.is_some(),
    }));
    plan
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent {:?} ({}) is ", &*self.name, self.id)?;
        match &self.owner {
            Some(owner) => write!(f, "the placeholder of {owner:?}"),
            None => f.write_str("no placeholder"),
        }
    }
}

#[cfg(test)]
#[path = "placeholder_tests.rs"]
mod tests;
