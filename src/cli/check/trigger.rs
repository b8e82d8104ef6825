//! One trigger: is it ours, what would the scaler say of it, and does it fit
//! the scaling object that it stands in?
//!
//! May import: domain, its siblings. Invariant: what the scaler would say comes
//! from the scaler's own reader, [`Trigger::parse`]; here is only what it
//! cannot see: how YAML took the values, the kind of the object, places.

use crate::domain::{
    declared::ScalerAddress,
    trigger::{
        MOST_KEYS, Trigger,
        keys::{self, Origin},
    },
};

use super::{
    findings::{File, Finding, Level},
    object::Kind,
    yaml::{Node, Place, Value},
};

/// A trigger of ours.
pub(super) struct OurTrigger<'a> {
    file: File<'a>,
    object: &'a str,
    kind: &'a Kind,
    /// Where its metadata begins.
    at: Place,
    metadata: &'a Node,
    /// What the scaler would be given.
    texts: Vec<(&'a str, String)>,
    findings: Vec<Finding>,
}

/// What came of a trigger.
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// The trigger, if the scaler would take it.
    pub(super) trigger: Option<Trigger>,
}

/// Keys that nobody else's trigger has by chance, so that a misspelt one tells
/// a trigger of ours as well.
const TELLING: &[&str] = &["poolName", "poolID", "organizationURL", "capabilities"];

const UNQUOTED: &str = "and KEDA wants text; quote it:";

/// Is this external trigger meant for azp-scaler?
pub(super) fn is_ours(metadata: &Node, address: Option<&ScalerAddress>) -> bool {
    if let Some(address) = address {
        let theirs = metadata.get("scalerAddress").and_then(Node::text);
        return theirs.is_some_and(|theirs| ScalerAddress::from(theirs) == *address);
    }
    let entries = metadata.map().unwrap_or_default();
    entries.iter().any(|(key, _)| match keys::find(&key.name) {
        Some(key) => key.origin != Origin::Connection,
        None => keys::nearest(&key.name).is_some_and(|near| TELLING.contains(&near)),
    })
}

/// Checks a trigger of ours.
pub(super) fn check(
    file: File<'_>,
    object: &str,
    kind: &Kind,
    at: Place,
    metadata: &Node,
) -> Checked {
    let mut trigger = OurTrigger {
        file,
        object,
        kind,
        at,
        metadata,
        texts: Vec::new(),
        findings: Vec::new(),
    };
    let keys = metadata.map().map_or(0, <[_]>::len);
    if keys > MOST_KEYS {
        let what = format!("has {keys} keys; the scaler reads {MOST_KEYS} at most");
        trigger.find(Level::Error, "metadata", what);
        return Checked {
            findings: trigger.findings,
            trigger: None,
        };
    }
    trigger.values();
    trigger.connection();
    trigger.kind();
    let parsed = trigger.parse();
    Checked {
        findings: trigger.findings,
        trigger: parsed,
    }
}

// === impl OurTrigger ===

impl<'a> OurTrigger<'a> {
    fn find(&mut self, level: Level, key: &str, what: impl Into<String>) {
        let at = self.metadata.entry(key).map_or(self.at, |(key, _)| key.at);
        let finding = self.file.finding(self.object, at, level, key, what);
        self.findings.push(finding);
    }

    /// A value as the scaler gets it.
    fn given(&self, key: &str) -> Option<&str> {
        let (_, text) = self.texts.iter().find(|(name, _)| *name == key)?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// Kubernetes: the metadata of a trigger is a map of texts; anything else
    /// is refused. The check goes on with what was most likely meant.
    fn values(&mut self) {
        for (key, value) in self.metadata.map().unwrap_or_default() {
            let name = key.name.as_str();
            if value.text().is_some_and(|text| text.contains("{{")) {
                self.find(
                    Level::Error,
                    name,
                    "is a template, not a value; render it first: \
                     helm template CHART | azp-scaler check -",
                );
                continue;
            }
            let text = match &value.value {
                Value::Text(text) => text.clone(),
                Value::Number => {
                    let text = value.at.scalar(self.file.text).to_owned();
                    let what = format!("{text} is a number to YAML, {UNQUOTED} \"{text}\"");
                    self.find(Level::Error, name, what);
                    text
                }
                Value::Bool(meant) => {
                    let text = value.at.scalar(self.file.text);
                    let meant_too = match meant.to_string() {
                        meant if meant.eq_ignore_ascii_case(text) => String::new(),
                        meant => format!(", or \"{meant}\" where that is meant"),
                    };
                    let what =
                        format!("{text} is a boolean to YAML, {UNQUOTED} \"{text}\"{meant_too}");
                    self.find(Level::Error, name, what);
                    meant.to_string()
                }
                Value::Null => {
                    let what = "has no value, and KEDA wants text; write one in quotes, \
                        or remove the key";
                    self.find(Level::Error, name, what);
                    continue;
                }
                Value::List(_) | Value::Map(_) => {
                    let what = "is a list or a map, and KEDA wants one text; \
                        write its items between quotes, separated by commas";
                    self.find(Level::Error, name, what);
                    continue;
                }
            };
            // KEDA: resolves it, and drops the key where it cannot.
            if name.ends_with("FromEnv") && keys::find(name).is_some() {
                let what = "names an environment variable of the scale target, \
                    whose value is known in the cluster alone; it is not checked";
                self.find(Level::Notice, name, what);
                continue;
            }
            self.texts.push((name, text));
        }
    }

    /// What KEDA itself reads.
    fn connection(&mut self) {
        if self.metadata.get("scalerAddress").is_none() {
            let what = "is missing; KEDA asks the scaler there, such as azp-scaler.keda:9090";
            self.find(Level::Error, "scalerAddress", what);
        }
        // KEDA 2.21: these are read from the authentication parameters alone.
        for key in ["caCert", "tlsClientCert", "tlsClientKey"] {
            if self.metadata.get(key).is_some() {
                let what = "is not read from here; put it into a TriggerAuthentication";
                self.find(Level::Warning, key, what);
            }
        }
        if self.metadata.get("tlsCertFile").is_some() {
            let what =
                "is read by older versions of KEDA alone; use caCert of a TriggerAuthentication";
            self.find(Level::Warning, "tlsCertFile", what);
        }
    }

    /// Does it say what the object is?
    fn kind(&mut self) {
        let mode = self.given("mode").map(str::to_lowercase);
        let strategy = self.given("strategy").map(str::to_lowercase);
        let counts_running = !matches!(
            self.given("scaleOnInFlight"),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False")
        );
        match self.kind {
            Kind::ScaledObject => {
                if mode.as_deref() == Some("job") {
                    let what =
                        "is job, and this is a ScaledObject; write \"deployment\", or remove it";
                    self.find(Level::Error, "mode", what);
                }
                if strategy.is_some() && mode.as_deref() != Some("deployment") {
                    let what = "belongs to a ScaledJob, and this is a ScaledObject; remove it";
                    self.find(Level::Error, "strategy", what);
                }
                if !counts_running {
                    let what = "leaves busy agents out of the number, so that the HPA takes them away; \
                        remove it";
                    self.find(Level::Warning, "scaleOnInFlight", what);
                }
            }
            Kind::ScaledJob { strategy: scaling } => {
                if mode.as_deref() == Some("deployment") {
                    let what = "is deployment, and this is a ScaledJob; write \"job\"";
                    self.find(Level::Error, "mode", what);
                }
                self.strategy(strategy.as_deref(), scaling);
                // KEDA 2.21: takes the running Jobs off by itself.
                if !counts_running && !is_told_apart(scaling) {
                    let what = format!(
                        "starts too few Jobs with the strategy {scaling}, by which KEDA takes off \
                         the running ones once more; remove it"
                    );
                    self.find(Level::Warning, "scaleOnInFlight", what);
                }
            }
        }
    }

    fn strategy(&mut self, told: Option<&str>, scaling: &str) {
        match told {
            Some(told) if told != scaling => {
                let what = format!(
                    "is {told}, and the ScaledJob's scalingStrategy.strategy is {scaling}; \
                     write \"{scaling}\""
                );
                self.find(Level::Error, "strategy", what);
            }
            None if is_told_apart(scaling) => {
                let what = format!(
                    "is missing, and the ScaledJob's scalingStrategy.strategy is {scaling}: a \
                     scaler that cannot see the ScaledJob counts running jobs, for which KEDA then \
                     starts Jobs again; write \"{scaling}\""
                );
                self.find(Level::Warning, "strategy", what);
            }
            _ => {}
        }
    }

    /// What the scaler says of it.
    fn parse(&mut self) -> Option<Trigger> {
        let texts = self.texts.iter().map(|(key, text)| (*key, text.as_str()));
        match Trigger::parse(texts) {
            Ok(trigger) => {
                for notice in &trigger.notices {
                    let (key, what) = notice.split_once(' ').unwrap_or(("metadata", notice));
                    self.find(Level::Notice, key, what);
                }
                Some(trigger)
            }
            Err(error) => {
                for problem in error.problems() {
                    // A key that is told of already because of its value.
                    if self.metadata.get(problem.key()).is_some()
                        && self.given(problem.key()).is_none()
                    {
                        continue;
                    }
                    self.find(Level::Error, problem.key(), problem.what());
                }
                None
            }
        }
    }
}

/// KEDA 2.21: by these strategies it does not take the running Jobs off, so that
/// the number must.
fn is_told_apart(strategy: &str) -> bool {
    matches!(strategy, "accurate" | "eager")
}
