//! One scaling object: its triggers, and what of its own spec makes a right
//! number useless.
//!
//! May import: domain, its siblings. Invariant: an object without a trigger of
//! ours is none of our business, and nothing is found in it.

use crate::domain::{
    declared::ScalerAddress,
    profile::{Matching, Profile},
    trigger::Trigger,
};

use super::{
    findings::{File, Finding, Level, Report},
    trigger,
    yaml::{Node, Place},
};

/// What a scaling object is.
pub(super) enum Kind {
    ScaledObject,
    /// With its `scalingStrategy.strategy`.
    ScaledJob {
        strategy: String,
    },
}

/// A trigger that the scaler would take, to be compared with others.
pub(super) struct Placed {
    pub(super) object: String,
    pub(super) file: String,
    pub(super) at: Place,
    /// Scaler, organization and pool: triggers with the same share jobs.
    pub(super) shares: (ScalerAddress, String),
    pub(super) profile: Profile,
    /// Which jobs its agents run, without regard to case.
    pub(super) offers: String,
}

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) address: Option<&'a ScalerAddress>,
}

struct Object<'a> {
    file: File<'a>,
    node: &'a Node,
    kind: Kind,
    name: String,
    findings: Vec<Finding>,
}

/// Checks a document: a scaling object, a list of them, or something else.
pub(super) fn check(
    file: File<'_>,
    document: &Node,
    wanted: Wanted<'_>,
    report: &mut Report,
    findings: &mut Vec<Finding>,
) -> Vec<Placed> {
    let kind = document.get("kind").and_then(Node::text);
    let kind = match kind {
        Some("List" | "ScaledObjectList" | "ScaledJobList") => {
            let items = document.get("items").and_then(Node::list);
            let items = items.unwrap_or_default().iter();
            return items
                .flat_map(|item| check(file, item, wanted, report, findings))
                .collect();
        }
        Some("ScaledObject") => Kind::ScaledObject,
        Some("ScaledJob") => Kind::ScaledJob {
            // KEDA: an unknown one is the default one; the API server lets none in.
            strategy: document
                .path(&["spec", "scalingStrategy", "strategy"])
                .and_then(Node::text)
                .unwrap_or("default")
                .to_owned(),
        },
        _ => {
            report.other_documents += 1;
            return Vec::new();
        }
    };
    report.scaling_objects += 1;
    let metadata = |member| document.path(&["metadata", member]).and_then(Node::text);
    let name = metadata("name").unwrap_or("?");
    let mut object = Object {
        file,
        node: document,
        kind,
        name: match metadata("namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        },
        findings: Vec::new(),
    };
    let placed = object.triggers(wanted, report);
    findings.append(&mut object.findings);
    placed
}

/// Profiles on one pool of which one gets every job that both could take: a
/// notice at the later one.
pub(super) fn twins(file: File<'_>, placed: &[Placed], earlier: &[Placed]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, one) in placed.iter().enumerate() {
        let before = earlier.iter().chain(&placed[..index]);
        let twin = before.rev().find(|other| one.is_twin_of(other));
        if let Some(twin) = twin {
            let first = (&one.object).min(&twin.object);
            let what = format!(
                "offers the same as {} ({}:{}) on the same pool: a job that both could take goes \
                 to {first}, by name alone; tell them apart by capabilities, requires or priority",
                twin.object, twin.file, twin.at.line,
            );
            let finding = file.finding(&one.object, one.at, Level::Notice, "metadata", what);
            findings.push(finding);
        }
    }
    findings
}

// === impl Placed ===

impl Placed {
    fn is_twin_of(&self, other: &Self) -> bool {
        self.object != other.object
            && self.shares == other.shares
            && self.profile.shares_the_pool()
            && other.profile.shares_the_pool()
            && self.profile.priority == other.profile.priority
            && self.offers == other.offers
    }
}

// === impl Object ===

impl Object<'_> {
    fn find(&mut self, at: Place, level: Level, key: &str, what: impl Into<String>) {
        let finding = self.file.finding(&self.name, at, level, key, what);
        self.findings.push(finding);
    }

    /// Where something is missing: at the nearest member that is there.
    fn near(&self, names: &[&str]) -> Place {
        let mut at = self.node.at;
        let mut node = self.node;
        for name in names {
            let Some((key, value)) = node.entry(name) else {
                break;
            };
            (at, node) = (key.at, value);
        }
        at
    }

    fn triggers(&mut self, wanted: Wanted<'_>, report: &mut Report) -> Vec<Placed> {
        let node = self.node;
        let Some(triggers) = node.path(&["spec", "triggers"]).and_then(Node::list) else {
            let what = "is missing or no list; KEDA wants one trigger at least";
            self.find(
                self.near(&["spec", "triggers"]),
                Level::Error,
                "spec.triggers",
                what,
            );
            return Vec::new();
        };
        let mut placed = Vec::new();
        let mut ours = 0;
        for (index, trigger) in triggers.iter().enumerate() {
            let Some((at, kind)) = typed(trigger) else {
                continue;
            };
            let metadata = trigger.entry("metadata");
            let Some((key, metadata)) =
                metadata.filter(|(_, metadata)| trigger::is_ours(metadata, wanted.address))
            else {
                report.other_triggers += 1;
                continue;
            };
            ours += 1;
            self.beside_metadata(index, at, kind, trigger);
            let checked = trigger::check(self.file, &self.name, &self.kind, key.at, metadata);
            self.findings.extend(checked.findings);
            if let Some(trigger) = &checked.trigger {
                self.placeholder(key.at, trigger);
            }
            placed.extend(checked.trigger.map(|trigger| Placed {
                object: self.name.clone(),
                file: self.file.name.to_owned(),
                at: key.at,
                shares: shares(metadata, &trigger.pool.to_string()),
                offers: offers(&trigger.profile.matching),
                profile: trigger.profile,
            }));
        }
        report.triggers += ours;
        if ours > 0 {
            self.spec();
        }
        placed
    }

    /// Azure DevOps: where no registered agent meets its demands, a job fails at once.
    fn placeholder(&mut self, at: Place, trigger: &Trigger) {
        let counts = |member| {
            let count = self.node.path(&["spec", member]);
            count.map(|count| count.at.scalar(self.file.text) != "0")
        };
        let least = counts("minReplicaCount").unwrap_or(false);
        let idle = counts("idleReplicaCount").unwrap_or(true);
        // A parent is an agent that is always registered.
        let parent = matches!(trigger.profile.matching, Matching::Parent(_));
        if (least && idle) || parent || trigger.placeholder.is_some() {
            return;
        }
        let what = "is missing, and there may be no agent at all: then a job fails at once, unless \
            another agent of the pool is registered that has what it asks for; register one that \
            stays (azp-agent placeholder), and name it here";
        self.find(at, Level::Notice, "placeholder", what);
    }

    /// The members of a trigger that KEDA keeps to itself.
    fn beside_metadata(&mut self, index: usize, at: Place, kind: &str, trigger: &Node) {
        let is_job = matches!(self.kind, Kind::ScaledJob { .. });
        if is_job && kind == "external-push" {
            let what = "is external-push, which KEDA does not support for a ScaledJob: it never \
                gets a Job; write external, and a short pollingInterval";
            self.find(
                at,
                Level::Error,
                &format!("spec.triggers[{index}].type"),
                what,
            );
        }
        let metric_type = trigger.entry("metricType");
        if let Some((key, value)) = metric_type
            && value.text() == Some("Value")
            && !is_job
        {
            let what = "is Value, by which the HPA multiplies the number of jobs with that of its \
                pods; write AverageValue, or remove it";
            let name = format!("spec.triggers[{index}].metricType");
            self.find(key.at, Level::Warning, &name, what);
        }
    }

    /// What keeps a right number from becoming the right number of agents.
    fn spec(&mut self) {
        let node = self.node;
        if node.path(&["spec", "maxReplicaCount"]).is_none() {
            let what = "is missing, so it is KEDA's default, 100";
            self.find(
                self.near(&["spec"]),
                Level::Notice,
                "spec.maxReplicaCount",
                what,
            );
        }
        match self.kind {
            Kind::ScaledObject => self.tolerance(),
            Kind::ScaledJob { .. } => self.rollout(),
        }
    }

    /// Kubernetes: within the tolerance, a tenth by default, the HPA does nothing.
    fn tolerance(&mut self) {
        let path = [
            "spec",
            "advanced",
            "horizontalPodAutoscalerConfig",
            "behavior",
            "scaleUp",
            "tolerance",
        ];
        if self.node.path(&path).is_none() {
            let what = "is missing, so the HPA does nothing within a tenth of what it has: two jobs \
                beside twenty busy agents wait; write \"0\" (Kubernetes 1.35)";
            let name = "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.tolerance";
            self.find(self.near(&path), Level::Notice, name, what);
        }
    }

    /// KEDA 2.21: the older member goes first; what is neither is immediate.
    fn rollout(&mut self) {
        let node = self.node;
        let older = node.path(&["spec", "rolloutStrategy"]);
        let older = older.filter(|node| node.text().is_some_and(|text| !text.is_empty()));
        let path: &[&str] = match older {
            Some(_) => &["spec", "rolloutStrategy"],
            None => &["spec", "rollout", "strategy"],
        };
        if node.path(path).and_then(Node::text) != Some("gradual") {
            let what = "is not gradual, so KEDA deletes the running Jobs, and what they build, \
                when this ScaledJob is edited; write gradual";
            self.find(self.near(path), Level::Warning, &path.join("."), what);
        }
    }
}

/// The type of an external trigger and where it is.
fn typed(trigger: &Node) -> Option<(Place, &str)> {
    let (key, kind) = trigger.entry("type")?;
    let kind = kind.text()?;
    matches!(kind, "external" | "external-push").then_some((key.at, kind))
}

fn shares(metadata: &Node, pool: &str) -> (ScalerAddress, String) {
    let text = |key| metadata.get(key).and_then(Node::text).unwrap_or_default();
    let url = |key| text(key).trim_end_matches('/').to_lowercase();
    let pool = [
        url("organizationURL"),
        text("organizationURLFromEnv").to_owned(),
        pool.to_lowercase(),
    ];
    (text("scalerAddress").into(), pool.join("\n"))
}

fn offers(matching: &Matching) -> String {
    match matching {
        Matching::Capabilities(offer) => {
            let mut requires: Vec<_> = offer.requires().iter().map(|name| &**name).collect();
            requires.sort_unstable();
            format!("{}\n{}", offer.capabilities(), requires.join(",")).to_lowercase()
        }
        Matching::Any | Matching::Demands(_) | Matching::Parent(_) => String::new(),
    }
}
