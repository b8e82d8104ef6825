//! Reads trigger metadata into a [`Trigger`].
//!
//! May import: its siblings. Invariant: reading goes on after a problem, so
//! that one message tells all of them.

use std::collections::BTreeMap;

use super::{Problem, Says, SecretKey, Trigger, TriggerError, keys, shown};
use crate::domain::{
    capability::Capabilities,
    declared::{Kind, Strategy},
    legacy::{Compare, DemandsRule},
    organization::OrganizationUrl,
    pool::{PoolId, PoolRef},
    profile::{Counting, Matching, Offer, Profile},
};

/// The key under which a token of the trigger's own comes.
pub(super) const OWN_TOKEN: &str = "personalAccessTokenFromEnv";

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
        let says = reader.says();
        let counting = says.counting();
        let credential = reader.credential();
        let secret = reader.secret();
        let brings_a_token = reader.text(OWN_TOKEN).is_some();
        let warm_agents = reader.number("warmAgents", 0, "0 or more").unwrap_or(0);
        let priority = reader.number("priority", 0, "a whole number").unwrap_or(0);
        let placeholder = reader.text("placeholder");
        let placeholder =
            placeholder.and_then(|name| reader.one_line("placeholder", "agent", name));
        let direct_scale_up = reader.flag("directScaleUp", false);
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
        if warm_agents > 0 && matches!(counting, Counting::Unclaimed | Counting::Unbacked) {
            reader.problem(
                "warmAgents",
                "cannot be kept with the strategies accurate and eager, which never take off an \
                 agent that already waits; use the strategy default",
            );
        }
        let (problems, notices) = reader.finish();
        match pool {
            Some(pool) if problems.is_empty() => Ok(Self {
                organization,
                pool,
                credential,
                secret,
                brings_a_token,
                says,
                profile: Profile {
                    matching,
                    counting,
                    warm_agents,
                    priority,
                },
                placeholder,
                direct_scale_up,
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
        reader.size();
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

    /// The value of a key without the white space around it; one that is then
    /// empty counts as not given. KEDA 2.21: the same for every key.
    fn text(&self, key: &str) -> Option<&'a str> {
        debug_assert!(keys::find(key).is_some(), "{key} is not in the table");
        let value = self.metadata.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// What is kept of a trigger is kept for as long as KEDA calls for it, so
    /// its size is bounded, far above what anybody writes by hand.
    fn size(&mut self) {
        const LARGEST: usize = 16 * 1024;
        let size: usize = self
            .metadata
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if size > LARGEST {
            let what = format!("has {size} bytes together; keep it below {LARGEST}");
            self.problem("the metadata", what);
        }
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
        // KEDA refuses these pairs, so a trigger that has one never worked. It
        // looks before it takes the white space off.
        let given = |key| {
            self.metadata
                .get(key)
                .is_some_and(|value| !value.is_empty())
        };
        let rivals = ["parent", "fetchUnfinishedJobsOnly"]
            .map(|other| (given("jobsToFetch") && given(other)).then_some(other));
        for other in rivals.into_iter().flatten() {
            let what = format!("cannot go with {other}; remove one of them");
            self.problem("jobsToFetch", what);
        }
        let _: Option<u64> = self.number("jobsToFetch", 250, "a whole number");
        let _ = self.flag("fetchUnfinishedJobsOnly", false);
    }

    fn organization(&mut self) -> Option<OrganizationUrl> {
        // KEDA 2.21: the environment goes before the trigger's own text.
        let key = ["organizationURLFromEnv", "organizationURL"]
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
        let id = self.number("poolID", 0, "the pool's number in the organization");
        if let Some(name) = self.text("poolName") {
            let name = self.one_line("poolName", "pool", name);
            return name.map(PoolRef::Name);
        }
        match id {
            Some(0) => {}
            id => return id.map(|id| PoolRef::Id(PoolId(id))),
        }
        self.problem(
            "poolName",
            "is missing; name the agent pool here, or give its poolID",
        );
        None
    }

    /// A name in Azure DevOps stands in logs and messages, so it is one short line.
    fn one_line(&mut self, key: &str, whose: &str, name: &str) -> Option<Box<str>> {
        const LONGEST: usize = 256;
        if name.chars().count() > LONGEST || name.chars().any(char::is_control) {
            let what = format!(
                "\"{}\" is no {whose}'s name: more than {LONGEST} characters, or a line break",
                shown(name)
            );
            self.problem(key, what);
            return None;
        }
        Some(name.into())
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
                self.not_too_many("demands", demands);
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
        self.not_too_many("capabilities", text);
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

    /// Each item of a list takes many times its text in memory.
    fn not_too_many(&mut self, key: &str, list: &str) {
        const MOST: usize = 500;
        let count = list.split(',').count();
        if count > MOST {
            self.problem(key, format!("lists {count} items; {MOST} are the most"));
        }
    }

    fn says(&mut self) -> Says {
        let strategy = self.word("strategy", &["default", "eager", "custom", "accurate"]);
        let mode = self.word("mode", &["deployment", "job"]);
        if strategy.is_some() && mode == Some("deployment") {
            self.problem("strategy", "belongs to mode: job; remove it");
        }
        Says {
            kind: mode.map(|mode| match mode {
                "job" => Kind::ScaledJob,
                _ => Kind::ScaledObject,
            }),
            strategy: strategy.map(Strategy::read),
            without_running: !self.flag("scaleOnInFlight", true),
        }
    }

    /// The name of a credential of the scaler's.
    fn credential(&mut self) -> Option<Box<str>> {
        let name = self.text("credential")?;
        if self.text("secretName").is_some() {
            self.problem(
                "secretName",
                "cannot go with credential; remove one of them",
            );
        }
        self.name("credential", name)
    }

    /// The Secret that holds the trigger's own token.
    fn secret(&mut self) -> Option<SecretKey> {
        /// KEDA's documentation of its own trigger calls the key so.
        const USUAL_KEY: &str = "personalAccessToken";
        let Some(name) = self.text("secretName") else {
            if self.text("secretKey").is_some() {
                self.problem("secretKey", "needs secretName beside it");
            }
            return None;
        };
        let key = self.text("secretKey").unwrap_or(USUAL_KEY);
        let name = self.name("secretName", name)?;
        let key = self.name("secretKey", key)?;
        Some(SecretKey { name, key })
    }

    /// A name as Kubernetes and the scaler's configuration have them.
    fn name(&mut self, key: &str, name: &str) -> Option<Box<str>> {
        const LONGEST: usize = 253;
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > LONGEST || !name.chars().all(part) {
            let what = format!(
                "\"{}\" is no name; write letters, digits, dashes and dots",
                shown(name)
            );
            self.problem(key, what);
            return None;
        }
        Some(name.into())
    }

    fn word(&mut self, key: &str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(key)?;
        let known = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        if known.is_none() {
            let what = format!("\"{}\" is none of {}", shown(text), words.join(", "));
            self.problem(key, what);
        }
        known.copied()
    }

    /// A flag, with the words that Go's `strconv.ParseBool` takes.
    fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.text(key) {
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

    /// A number as JSON has it, which is how KEDA 2.21 reads one: 64 bits, no
    /// plus sign, no zero before other digits.
    fn number<N: TryFrom<i64>>(&mut self, key: &str, default: N, wanted: &str) -> Option<N> {
        let Some(text) = self.text(key) else {
            return Some(default);
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
        let number = text.parse().ok().filter(|_| is_plain);
        let number = number.and_then(|number: i64| N::try_from(number).ok());
        if number.is_none() {
            self.problem(key, format!("\"{}\" is not {wanted}", shown(text)));
        }
        number
    }
}
