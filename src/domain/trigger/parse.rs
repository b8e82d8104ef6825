//! Reads trigger metadata into a [`Trigger`].
//!
//! May import: its siblings. Invariant: reading goes on after a problem, so
//! that one message tells all of them.

use std::{collections::BTreeMap, str::FromStr};

use super::{Problem, Trigger, TriggerError, keys, shown};
use crate::domain::{
    capability::Capabilities,
    legacy::{Compare, DemandsRule},
    organization::OrganizationUrl,
    pool::{PoolId, PoolRef},
    profile::{Counting, Matching, Offer, Profile},
};

impl Trigger {
    /// Reads the metadata that KEDA sends along with each call.
    ///
    /// # Errors
    /// Every problem at once; an unknown key names the nearest known one.
    pub fn parse<'a>(
        metadata: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, TriggerError> {
        let mut reader = Reader::new(metadata);
        let organization = reader.organization();
        let pool = reader.pool();
        let matching = reader.matching();
        let counting = reader.counting();
        let warm_agents = reader.number("warmAgents", 0, "0 or more").unwrap_or(0);
        let priority = reader.number("priority", 0, "a whole number").unwrap_or(0);
        let jobs_per_agent = reader
            .number::<u32>("targetPipelinesQueueLength", 1, "1 or more")
            .unwrap_or(1);
        let activation = reader
            .number("activationTargetPipelinesQueueLength", 0, "0 or more")
            .unwrap_or(0);
        if jobs_per_agent == 0 {
            reader.problem(
                "targetPipelinesQueueLength",
                "\"0\" is no target; write 1 or more",
            );
        }
        if warm_agents > 0 && counting == Counting::Unclaimed {
            reader.problem(
                "warmAgents",
                "cannot be kept with the strategy accurate, which never counts an agent that \
                 already waits; use the strategy default",
            );
        }
        let (problems, notices) = reader.finish();
        match pool {
            Some(pool) if problems.is_empty() => Ok(Self {
                organization,
                pool,
                profile: Profile {
                    matching,
                    counting,
                    warm_agents,
                    priority,
                },
                jobs_per_agent,
                activation,
                notices,
            }),
            _ => Err(TriggerError { problems }),
        }
    }
}

/// The metadata, and the problems found in it so far.
struct Reader<'a> {
    metadata: BTreeMap<&'a str, &'a str>,
    problems: Vec<Problem>,
    notices: Vec<&'static str>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn new(metadata: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut reader = Self {
            metadata: metadata.into_iter().collect(),
            problems: Vec::new(),
            notices: Vec::new(),
        };
        reader.unknown_keys();
        reader.without_effect();
        reader
    }

    fn finish(mut self) -> (Vec<Problem>, Vec<&'static str>) {
        self.problems.sort_by(|a, b| a.key.cmp(&b.key));
        (self.problems, self.notices)
    }

    fn problem(&mut self, key: &str, what: impl Into<String>) {
        self.problems.push(Problem::new(key, what));
    }

    /// The value of a key; one that is empty counts as not given, as in KEDA.
    fn text(&self, key: &str) -> Option<&'a str> {
        debug_assert!(keys::find(key).is_some(), "{key} is not in the table");
        self.metadata
            .get(key)
            .copied()
            .filter(|value| !value.is_empty())
    }

    fn unknown_keys(&mut self) {
        let unknown: Vec<&str> = self
            .metadata
            .keys()
            .filter(|key| keys::find(key).is_none())
            .copied()
            .collect();
        for key in unknown {
            let what = match keys::nearest(key) {
                Some(nearest) => format!("is no known key; did you mean {nearest}?"),
                None => "is no known key; remove it".to_owned(),
            };
            self.problem(key, what);
        }
    }

    /// Keys that are KEDA's, mean something there, and change nothing here.
    fn without_effect(&mut self) {
        if self.text("personalAccessTokenFromEnv").is_some() {
            self.notices
                .push("personalAccessTokenFromEnv is not read: the scaler uses its own credential");
        }
        // KEDA refuses these pairs, so a trigger that has one never worked.
        for other in ["parent", "fetchUnfinishedJobsOnly"] {
            if self.text("jobsToFetch").is_some() && self.text(other).is_some() {
                self.problem(
                    "jobsToFetch",
                    format!("cannot go with {other}; remove one of them"),
                );
            }
        }
        let _: Option<u32> = self.number("jobsToFetch", 250, "a whole number");
        let _ = self.flag("fetchUnfinishedJobsOnly", false);
    }

    fn organization(&mut self) -> Option<OrganizationUrl> {
        let key = ["organizationURL", "organizationURLFromEnv"]
            .into_iter()
            .find(|key| self.text(key).is_some())?;
        match OrganizationUrl::parse(self.text(key)?) {
            Ok(organization) => Some(organization),
            Err(error) => {
                self.problem(key, error.to_string());
                None
            }
        }
    }

    fn pool(&mut self) -> Option<PoolRef> {
        if let Some(name) = self.text("poolName") {
            return Some(PoolRef::Name(name.into()));
        }
        if self.text("poolID").is_some() {
            let id = self.number::<u32>("poolID", 0, "the pool's number in the organization")?;
            if id > 0 {
                return Some(PoolRef::Id(PoolId(id)));
            }
        }
        self.problem(
            "poolName",
            "is missing; name the agent pool here, or give its poolID",
        );
        None
    }

    fn matching(&mut self) -> Matching {
        let same = self.flag("requireAllDemands", false);
        let within_job = self.flag("requireAllDemandsAndIgnoreOthers", false);
        let ignore_case = self.flag("caseInsensitiveDemandsProcessing", false);
        let compare = match (same, within_job) {
            // KEDA asks for this one first.
            (true, _) => Compare::Same,
            (false, true) => Compare::TriggerWithinJob,
            (false, false) => Compare::JobWithinTrigger,
        };
        let offer = self.offer();
        let rivals: Vec<_> = ["demands", "parent"]
            .into_iter()
            .filter(|key| self.text(key).is_some())
            .collect();
        match (offer, self.text("parent"), self.text("demands")) {
            (Some(offer), None, None) => Matching::Capabilities(offer),
            (Some(_), ..) => {
                let rivals = rivals.join(" and ");
                self.problem(
                    "capabilities",
                    format!("cannot go with {rivals}; keep capabilities"),
                );
                Matching::Any
            }
            (None, Some(parent), _) => Matching::Parent(parent.into()),
            (None, None, Some(demands)) => {
                Matching::Demands(DemandsRule::new(demands, compare, ignore_case))
            }
            (None, None, None) => Matching::Any,
        }
    }

    fn offer(&mut self) -> Option<Offer> {
        let requires = self.text("requires");
        let Some(text) = self.text("capabilities") else {
            if requires.is_some() {
                self.problem("requires", "needs capabilities beside it");
            }
            return None;
        };
        let capabilities = match Capabilities::parse(text) {
            Ok(capabilities) => capabilities,
            Err(problems) => {
                for problem in problems.iter().take(5) {
                    self.problem("capabilities", shown(&problem.to_string()));
                }
                Capabilities::default()
            }
        };
        let requires = requires.unwrap_or_default().split(',').map(str::trim);
        let requires: Vec<Box<str>> = requires
            .filter(|name| !name.is_empty())
            .map(Into::into)
            .collect();
        let lacking = requires
            .iter()
            .filter(|name| capabilities.get(name).is_none());
        for name in lacking.take(5) {
            let what = format!(
                "\"{}\" is not among the capabilities; add it there",
                shown(name)
            );
            self.problem("requires", what);
        }
        Some(Offer::new(capabilities, requires))
    }

    fn counting(&mut self) -> Counting {
        let strategy = self.word("strategy", &["default", "eager", "custom", "accurate"]);
        let mode = self.word("mode", &["deployment", "job"]);
        if strategy.is_some() && mode == Some("deployment") {
            self.problem("strategy", "belongs to mode: job; remove it");
        }
        let in_flight = self.flag("scaleOnInFlight", true);
        match strategy {
            Some("accurate") => Counting::Unclaimed,
            _ if in_flight => Counting::Unfinished,
            _ => Counting::NotReceived,
        }
    }

    fn word(&mut self, key: &str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(key)?;
        let known = words
            .iter()
            .find(|word| word.eq_ignore_ascii_case(text.trim()));
        if known.is_none() {
            let what = format!("\"{}\" is none of {}", shown(text), words.join(", "));
            self.problem(key, what);
        }
        known.copied()
    }

    /// A flag, with the words that Go's `strconv.ParseBool` takes.
    fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.text(key).map(str::trim) {
            None => default,
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some(other) => {
                let what = format!("\"{}\" is neither \"true\" nor \"false\"", shown(other));
                self.problem(key, what);
                default
            }
        }
    }

    fn number<N: FromStr>(&mut self, key: &str, default: N, wanted: &str) -> Option<N> {
        let Some(text) = self.text(key) else {
            return Some(default);
        };
        let number = text.trim().parse().ok();
        if number.is_none() {
            self.problem(key, format!("\"{}\" is not {wanted}", shown(text)));
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(metadata: &[(&str, &str)]) -> Result<Trigger, TriggerError> {
        Trigger::parse(metadata.iter().copied())
    }

    #[test]
    fn a_trigger_of_kedas_own_is_read() {
        let trigger = parse(&[
            ("scalerAddress", "azp-scaler.keda:9090"),
            ("organizationURLFromEnv", "https://dev.azure.com/contoso/"),
            ("personalAccessTokenFromEnv", "s3cret"),
            ("poolName", "k8s linux"),
            ("poolID", "27"),
            ("demands", "java,docker"),
            ("requireAllDemands", "True"),
            ("targetPipelinesQueueLength", "2"),
            ("activationTargetPipelinesQueueLength", "5"),
            ("fetchUnfinishedJobsOnly", "true"),
        ])
        .unwrap();
        assert_eq!(trigger.organization.as_ref().unwrap().name(), "contoso");
        assert_eq!(trigger.pool, PoolRef::Name("k8s linux".into()));
        assert_eq!((trigger.jobs_per_agent, trigger.activation), (2, 5));
        let rule = DemandsRule::new("java,docker", Compare::Same, false);
        assert_eq!(trigger.profile.matching, Matching::Demands(rule));
        assert_eq!(trigger.profile.counting, Counting::Unfinished);
        assert_eq!(trigger.notices.len(), 1);
        assert!(!format!("{trigger:?}").contains("s3cret"));
    }

    #[test]
    fn how_jobs_are_counted() {
        let check = |metadata: &[(&str, &str)], expected: Counting| {
            let metadata = [&[("poolID", "27")], metadata].concat();
            assert_eq!(
                parse(&metadata).unwrap().profile.counting,
                expected,
                "{metadata:?}"
            );
        };
        check(&[], Counting::Unfinished);
        check(&[("scaleOnInFlight", "false")], Counting::NotReceived);
        check(&[("mode", "job")], Counting::Unfinished);
        check(
            &[("mode", "job"), ("strategy", "eager")],
            Counting::Unfinished,
        );
        check(
            &[("mode", "job"), ("strategy", "accurate")],
            Counting::Unclaimed,
        );
    }

    fn check_problems(metadata: &[(&str, &str)], expected: &[&str]) {
        let error = parse(metadata).unwrap_err();
        let message = error.to_string();
        assert_eq!(error.problems().len(), expected.len(), "{message}");
        for part in expected {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert!(!message.contains("s3cret"), "{message}");
    }

    #[test]
    fn all_problems_are_told_together() {
        let pool = ("poolName", "linux");
        check_problems(&[], &["poolName: is missing"]);
        check_problems(
            &[
                ("poolname", "linux"),
                ("organizationURL", "ftp://x"),
                ("mode", "pods"),
            ],
            &[
                "poolname: is no known key; did you mean poolName?",
                "poolName: is missing",
                "organizationURL: has the scheme",
                "mode: \"pods\" is none of deployment, job",
            ],
        );
        check_problems(
            &[pool, ("apiToken", "s3cret")],
            &["apiToken: is no known key"],
        );
        check_problems(
            &[
                pool,
                ("targetPipelinesQueueLength", "0"),
                ("priority", "high"),
            ],
            &[
                "\"0\" is no target",
                "priority: \"high\" is not a whole number",
            ],
        );
        check_problems(
            &[pool, ("capabilities", "a b, =1"), ("requires", "gpu")],
            &[
                "white space",
                "lacks a name",
                "\"gpu\" is not among the capabilities",
            ],
        );
        check_problems(
            &[
                pool,
                ("capabilities", "a"),
                ("demands", "a"),
                ("parent", "b"),
            ],
            &["cannot go with demands and parent"],
        );
        check_problems(&[pool, ("requires", "gpu")], &["needs capabilities"]);
        check_problems(
            &[
                pool,
                ("jobsToFetch", "9"),
                ("parent", "p"),
                ("fetchUnfinishedJobsOnly", "true"),
            ],
            &[
                "cannot go with parent",
                "cannot go with fetchUnfinishedJobsOnly",
            ],
        );
        check_problems(
            &[
                pool,
                ("mode", "job"),
                ("strategy", "accurate"),
                ("warmAgents", "2"),
            ],
            &["warmAgents: cannot be kept with the strategy accurate"],
        );
        check_problems(
            &[
                pool,
                ("mode", "deployment"),
                ("strategy", "eager"),
                ("scaleOnInFlight", "maybe"),
            ],
            &["strategy: belongs to mode: job", "\"maybe\" is neither"],
        );
        check_problems(&[("poolID", "-1")], &["poolID: \"-1\" is not"]);
    }

    #[test]
    fn a_message_stays_short_whatever_comes_in() {
        let long = "x".repeat(100_000);
        let many: Vec<String> = (0..1_000).map(|n| format!("{n}-{long}")).collect();
        let metadata = many.iter().map(|key| (key.as_str(), long.as_str()));
        let message = Trigger::parse(metadata).unwrap_err().to_string();
        assert!(message.len() < 4_000, "{}", message.len());
    }

    proptest! {
        #[test]
        fn any_metadata_is_read_or_refused_without_a_panic(
            values in prop::collection::vec((0..keys::KEYS.len(), ".{0,20}"), 0..8),
        ) {
            let metadata = values.iter().map(|(key, value)| (keys::KEYS[*key].name, value.as_str()));
            let _ = Trigger::parse(metadata);
        }
    }
}
