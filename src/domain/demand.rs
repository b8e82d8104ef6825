//! Demands: what a job asks of an agent, in Azure's own grammar.
//!
//! May import: the version order. Invariant: a demand keeps the text that it
//! was read from, so that rules which compare text (KEDA's) and rules which
//! compare meaning (Azure's) both have what they need.

use std::fmt;

use super::version::DotNetVersion;

/// One demand of a job request.
///
/// Azure DevOps: `NAME`, `NAME -equals VALUE` or `NAME -gtVersion VALUE`.
/// Operators are case-sensitive; names and values are not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    text: Box<str>,
    name: Box<str>,
    condition: Condition,
}

/// What a demand says about the capability that it names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// The capability is there; its value does not matter.
    Exists,
    /// The capability has this value, ignoring case.
    Equals(Box<str>),
    /// The capability's version is this one *or newer*, whatever the
    /// operator's name (`-gtVersion`) suggests. `None` where the text is no
    /// version: the service then accepts any value.
    AtLeast(Option<DotNetVersion>),
}

/// Why a text is no demand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DemandError {
    /// Nothing but white space.
    #[error("a demand needs a name")]
    Empty,
    /// Something follows the name that is no known operator.
    #[error(
        "{0:?} is no demand: after the name comes -equals or -gtVersion (in this spelling) and a value"
    )]
    Operator(Box<str>),
    /// An operator without a value.
    #[error("{0:?} lacks the value after its operator")]
    NoValue(Box<str>),
}

/// All demands of one job request, read once and shared by the jobs that ask
/// for the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Demands {
    demands: Box<[Demand]>,
    unreadable: Box<[Box<str>]>,
}

// === impl Demand ===

impl Demand {
    /// Reads one demand.
    ///
    /// # Errors
    /// Where the text does not follow the grammar of Azure DevOps.
    pub fn parse(text: &str) -> Result<Self, DemandError> {
        let trimmed = text.trim();
        let (name, rest) = match trimmed.split_once(char::is_whitespace) {
            Some((name, rest)) => (name, rest.trim_start()),
            None => (trimmed, ""),
        };
        if name.is_empty() {
            return Err(DemandError::Empty);
        }
        let condition = match rest.split_once(char::is_whitespace) {
            None if rest.is_empty() => Condition::Exists,
            None if matches!(rest, "-equals" | "-gtVersion") => {
                return Err(DemandError::NoValue(text.into()));
            }
            None => return Err(DemandError::Operator(text.into())),
            Some((operator, value)) => condition(operator, value.trim_start(), text)?,
        };
        Ok(Self {
            text: text.into(),
            name: name.into(),
            condition,
        })
    }

    /// The capability that is asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is asked of it.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The text as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn condition(operator: &str, value: &str, text: &str) -> Result<Condition, DemandError> {
    match operator {
        "-equals" | "-gtVersion" if value.is_empty() => Err(DemandError::NoValue(text.into())),
        "-equals" => Ok(Condition::Equals(value.into())),
        "-gtVersion" => Ok(Condition::AtLeast(DotNetVersion::parse(value))),
        _ => Err(DemandError::Operator(text.into())),
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Demands ===

impl Demands {
    /// Reads the demands of one job request. What is no demand is kept aside:
    /// the service's own reader drops it (its converter yields null), so it
    /// keeps no job from an agent.
    #[must_use]
    pub fn read<S: AsRef<str>>(texts: &[S]) -> Self {
        let mut demands = Vec::with_capacity(texts.len());
        let mut unreadable = Vec::new();
        for text in texts {
            match Demand::parse(text.as_ref()) {
                Ok(demand) => demands.push(demand),
                Err(_) => unreadable.push(text.as_ref().into()),
            }
        }
        Self {
            demands: demands.into(),
            unreadable: unreadable.into(),
        }
    }

    /// The demands that could be read, in the order of the job.
    pub fn iter(&self) -> std::slice::Iter<'_, Demand> {
        self.demands.iter()
    }

    /// Texts that are no demands; they take no part in Azure's matching.
    #[must_use]
    pub fn unreadable(&self) -> &[Box<str>] {
        &self.unreadable
    }

    /// Every text of the job, readable or not: what KEDA compares.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let readable = self.demands.iter().map(Demand::text);
        readable.chain(self.unreadable.iter().map(AsRef::as_ref))
    }
}

impl<'a> IntoIterator for &'a Demands {
    type Item = &'a Demand;
    type IntoIter = std::slice::Iter<'a, Demand>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(&str, Condition), &str>) {
        match (Demand::parse(text), expected) {
            (Ok(demand), Ok((name, condition))) => {
                assert_eq!((demand.name(), demand.condition()), (name, &condition));
                assert_eq!(demand.text(), text);
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{text:?}: {error}");
            }
            (got, expected) => panic!("{text:?}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn the_grammar_is_azures() {
        let equals = |value: &str| Condition::Equals(value.into());
        check("java", Ok(("java", Condition::Exists)));
        check("java -equals 17", Ok(("java", equals("17"))));
        check("os   -equals   Red Hat 9", Ok(("os", equals("Red Hat 9"))));
        check(
            "Agent.Version -gtVersion 2.163.1",
            Ok((
                "Agent.Version",
                Condition::AtLeast(DotNetVersion::parse("2.163.1")),
            )),
        );
        check("x -gtVersion 7", Ok(("x", Condition::AtLeast(None))));
        check("", Err("needs a name"));
        check("   ", Err("needs a name"));
        check("java -Equals 17", Err("is no demand"));
        check("java 17", Err("is no demand"));
        check("java -lessThan 3", Err("is no demand"));
        check("java -equals", Err("lacks the value"));
        check("java -equals   ", Err("lacks the value"));
    }

    #[test]
    fn what_is_no_demand_is_kept_aside() {
        let demands = Demands::read(&["java", "java -Equals 17"]);
        assert_eq!(
            demands.iter().map(Demand::name).collect::<Vec<_>>(),
            ["java"]
        );
        assert_eq!(demands.unreadable(), ["java -Equals 17".into()]);
        assert_eq!(demands.texts().count(), 2);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in ".{0,60}") {
            let _ = Demand::parse(&text);
        }

        #[test]
        fn canonical_text_is_read_back(name in "[A-Za-z.]{1,12}", value in "[A-Za-z0-9][A-Za-z0-9 .]{0,10}[a-z]") {
            let demand = Demand::parse(&format!("{name} -equals {value}")).unwrap();
            prop_assert_eq!(demand.name(), name.as_str());
            prop_assert_eq!(demand.condition(), &Condition::Equals(value.as_str().into()));
        }
    }
}
