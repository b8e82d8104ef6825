//! Capabilities: what an agent has, and whether that meets a demand.
//!
//! May import: demands and versions. Invariant: names compare without regard to
//! case, as in Azure DevOps, and every refusal says what was found instead.

use std::{collections::BTreeMap, fmt};

use super::{
    demand::{Condition, Demand, Demands},
    version::DotNetVersion,
};

/// The capabilities of one agent, or of every agent of a profile.
///
/// Names are unique without regard to case; the spelling that came last wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    by_name: BTreeMap<Box<str>, Capability>,
}

/// One capability: a name and what is known of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The name as it was spelt.
    pub name: Box<str>,
    /// Its value.
    pub value: CapabilityValue,
}

/// What is known of a capability's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapabilityValue {
    /// This text.
    Text(Box<str>),
    /// It is there, but nobody said with which value: meets *exists* only.
    Present,
    /// It is there and newer than any demand: meets *exists* and `-gtVersion`.
    /// Used for `Agent.Version` where a profile does not tell its agents'.
    Newest,
}

/// Why a demand is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// There is no such capability.
    Missing,
    /// It has another value.
    Differs {
        /// The value that is there.
        have: Box<str>,
    },
    /// It is older than asked for, or no version at all.
    TooOld {
        /// The value that is there.
        have: Box<str>,
    },
    /// It is there, but its value was not declared.
    ValueUnknown,
}

/// Why a list of capabilities cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// A value without a name, as in `=17`.
    #[error("{0:?} lacks a name before the equals sign")]
    NoName(Box<str>),
    /// White space inside a name: no demand could ever ask for it.
    #[error("{0:?} has white space in its name; write NAME or NAME=VALUE, separated by commas")]
    SpaceInName(Box<str>),
    /// The same name twice, with two values.
    #[error("{0:?} is given twice")]
    Twice(Box<str>),
}

// === impl Capabilities ===

impl Capabilities {
    /// Reads `docker, java=17, Agent.OS=Linux`.
    ///
    /// # Errors
    /// Every problem of the list, not only the first.
    pub fn parse(text: &str) -> Result<Self, Vec<CapabilityError>> {
        let mut capabilities = Self::default();
        let mut problems = Vec::new();
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            match capability(item) {
                Ok(capability) if capabilities.get(&capability.name).is_some() => {
                    problems.push(CapabilityError::Twice(capability.name));
                }
                Ok(capability) => capabilities.put(capability),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(capabilities)
        } else {
            Err(problems)
        }
    }

    /// Adds or replaces a capability with a value.
    pub fn set(&mut self, name: &str, value: &str) {
        self.put(Capability {
            name: name.into(),
            value: CapabilityValue::Text(value.into()),
        });
    }

    /// The capability of this name, whatever its case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&CapabilityValue> {
        let found = self.by_name.get(name.to_lowercase().as_str())?;
        Some(&found.value)
    }

    /// Is there none at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// All capabilities, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Capability> {
        self.by_name.values()
    }

    /// Does this meet the demand, by the rules of Azure DevOps?
    ///
    /// # Errors
    /// What was found instead.
    pub fn meets(&self, demand: &Demand) -> Result<(), Unmet> {
        let value = self.get(demand.name()).ok_or(Unmet::Missing)?;
        match (demand.condition(), value) {
            (Condition::Exists, _) | (Condition::AtLeast(_), CapabilityValue::Newest) => Ok(()),
            (Condition::Equals(wanted), CapabilityValue::Text(have)) => {
                if wanted.to_lowercase() == have.to_lowercase() {
                    Ok(())
                } else {
                    Err(Unmet::Differs { have: have.clone() })
                }
            }
            // The service: a demand that is no version is met by anything.
            (Condition::AtLeast(None), _) => Ok(()),
            (Condition::AtLeast(wanted), CapabilityValue::Text(have)) => {
                if *wanted <= DotNetVersion::parse(have) {
                    Ok(())
                } else {
                    Err(Unmet::TooOld { have: have.clone() })
                }
            }
            (Condition::Equals(_) | Condition::AtLeast(_), _) => Err(Unmet::ValueUnknown),
        }
    }

    /// Every demand that is not met, with its reason; empty when all are.
    #[must_use]
    pub fn unmet<'a>(&self, demands: &'a Demands) -> Vec<(&'a Demand, Unmet)> {
        demands
            .iter()
            .filter_map(|demand| Some((demand, self.meets(demand).err()?)))
            .collect()
    }

    /// Adds what every agent in a Linux container has by itself, except where
    /// the profile says otherwise.
    ///
    /// Azure DevOps: the agent sends `Agent.Name`, `Agent.Version`,
    /// `Agent.ComputerName`, `Agent.HomeDirectory`, `Agent.OS`,
    /// `Agent.OSArchitecture` and `InteractiveSession`. Tools that it finds on
    /// its PATH depend on the image and have to be declared.
    #[must_use]
    pub fn with_implicit(mut self) -> Self {
        for (name, value) in implicit() {
            if self.get(name).is_none() {
                let name = name.into();
                self.put(Capability { name, value });
            }
        }
        self
    }

    /// What there is beyond that: what somebody has to say of an agent.
    #[must_use]
    pub fn without_implicit(&self) -> Self {
        let mut told = self.clone();
        for (name, value) in implicit() {
            let key = name.to_lowercase();
            if told.get(name) == Some(&value) {
                told.by_name.remove(key.as_str());
            }
        }
        told
    }

    fn put(&mut self, capability: Capability) {
        let key = capability.name.to_lowercase().into();
        self.by_name.insert(key, capability);
    }
}

fn implicit() -> [(&'static str, CapabilityValue); 7] {
    // ASSUMPTION(implicit-values): agents of a profile run on Linux, on
    // x86-64 and newer than any version demand, unless the profile says so.
    [
        ("Agent.Name", CapabilityValue::Present),
        ("Agent.ComputerName", CapabilityValue::Present),
        ("Agent.HomeDirectory", CapabilityValue::Present),
        ("Agent.Version", CapabilityValue::Newest),
        ("Agent.OS", CapabilityValue::Text("Linux".into())),
        ("Agent.OSArchitecture", CapabilityValue::Text("X64".into())),
        ("InteractiveSession", CapabilityValue::Text("False".into())),
    ]
}

fn capability(item: &str) -> Result<Capability, CapabilityError> {
    let (name, value) = match item.split_once('=') {
        Some((name, value)) => (
            name.trim_end(),
            CapabilityValue::Text(value.trim_start().into()),
        ),
        None => (item, CapabilityValue::Present),
    };
    if name.is_empty() {
        return Err(CapabilityError::NoName(item.into()));
    }
    if name.contains(char::is_whitespace) {
        return Err(CapabilityError::SpaceInName(item.into()));
    }
    let name = name.into();
    Ok(Capability { name, value })
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Capabilities {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut capabilities = Self::default();
        for (name, value) in pairs {
            capabilities.set(name.as_ref(), value.as_ref());
        }
        capabilities
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, capability) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match &capability.value {
                CapabilityValue::Text(value) => {
                    write!(f, "{separator}{}={value}", capability.name)?;
                }
                CapabilityValue::Present | CapabilityValue::Newest => {
                    write!(f, "{separator}{}", capability.name)?;
                }
            }
        }
        Ok(())
    }
}

// === impl Unmet ===

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "no such capability"),
            Self::Differs { have } => write!(f, "the agent has {have:?}"),
            Self::TooOld { have } => write!(f, "the agent has only {have:?}"),
            Self::ValueUnknown => {
                write!(
                    f,
                    "the capability is declared without a value; write NAME=VALUE"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(capabilities: &str, demand: &str, expected: &Result<(), Unmet>) {
        let parsed = Capabilities::parse(capabilities).unwrap();
        let met = parsed.meets(&Demand::parse(demand).unwrap());
        assert_eq!(&met, expected, "{capabilities:?} and {demand:?}");
    }

    #[test]
    fn matching_is_azures() {
        let differs = |have: &str| Err(Unmet::Differs { have: have.into() });
        let too_old = |have: &str| Err(Unmet::TooOld { have: have.into() });
        check("docker", "docker", &Ok(()));
        check("Docker=/usr/bin/docker", "dOCKER", &Ok(()));
        check("docker", "java", &Err(Unmet::Missing));
        check("java=17", "JAVA -equals 17", &Ok(()));
        check("team=Payments", "team -equals payments", &Ok(()));
        check("java=17", "java -equals 21", &differs("17"));
        check("java", "java -equals 17", &Err(Unmet::ValueUnknown));
        check("v=2.163.1", "v -gtVersion 2.163.1", &Ok(()));
        check("v=4.0", "v -gtVersion 2.163.1", &Ok(()));
        check("v=2.163", "v -gtVersion 2.163.0", &too_old("2.163"));
        check("v=new", "v -gtVersion 2.163", &too_old("new"));
        check("v=17", "v -gtVersion 8.0", &too_old("17"));
        check("v=anything", "v -gtVersion 8", &Ok(()));
        check("v", "v -gtVersion 8", &Ok(()));
        check("", "v -gtVersion 8", &Err(Unmet::Missing));
        check("v", "v -gtVersion 8.1", &Err(Unmet::ValueUnknown));
    }

    #[test]
    fn agents_have_what_every_agent_has() {
        let implicit = Capabilities::default().with_implicit();
        let check = |demand: &str, met: bool| {
            let demand = Demand::parse(demand).unwrap();
            assert_eq!(implicit.meets(&demand).is_ok(), met, "{demand}");
        };
        check("Agent.Version -gtVersion 99.1.2", true);
        check("agent.os -equals linux", true);
        check("Agent.OS -equals Windows_NT", false);
        check("Agent.Name", true);
        // It targets one agent that exists; a new one cannot help.
        check("Agent.Name -equals build-7", false);
        let told = Capabilities::parse("Agent.Version=2.1.0, Agent.OS=Windows_NT").unwrap();
        let told = told.with_implicit();
        let demand = Demand::parse("Agent.Version -gtVersion 3.0").unwrap();
        assert!(told.meets(&demand).is_err());
    }

    #[test]
    fn every_problem_of_a_list_is_told() {
        let problems = Capabilities::parse("=1, a b, docker, docker=2").unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    proptest! {
        #[test]
        fn more_capabilities_never_meet_fewer_demands(
            names in prop::collection::vec("[a-e]", 0..5),
            extra in "[a-e]",
            demands in prop::collection::vec("[a-e]", 0..4),
        ) {
            let few: Capabilities = names.iter().map(|name| (name, "1")).collect();
            let mut more = few.clone();
            more.set(&extra, "1");
            let demands = Demands::read(&demands);
            prop_assert!(more.unmet(&demands).len() <= few.unmet(&demands).len());
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,60}") {
            let _ = Capabilities::parse(&text);
        }
    }
}
