//! Objects as the apiserver sends them, reduced while they are read.
//!
//! May import: nothing of ours. Invariant: what is not used here is not kept,
//! not even for a moment: `managedFields` and pod templates are most of an
//! object, and there may be 10,000 of them. A member of an unknown form is one
//! that is not there; it never makes a whole list unreadable.

use std::{borrow::Cow, collections::BTreeMap, fmt::Debug};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Resource,
    core::{NamespaceResourceScope, ObjectMeta},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

/// A kind of objects, and the parts of them that are read.
pub(super) trait Rows: Clone + Debug + Send + Sync + 'static {
    /// The API group; empty for the core.
    const GROUP: &'static str;
    /// The version in the group.
    const VERSION: &'static str;
    /// The kind, as in `kind:`.
    const KIND: &'static str;
    /// The resource, as in URLs and in roles.
    const PLURAL: &'static str;
    /// What is read of `spec`.
    type Spec: Part;
    /// What is read of `status`.
    type Status: Part;
}

/// A part of an object; one that is not there is its default.
pub(super) trait Part: DeserializeOwned + Default + Clone + Debug + Send + Sync {}

impl<P: DeserializeOwned + Default + Clone + Debug + Send + Sync> Part for P {}

/// An object of a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = "R: Rows"))]
pub(super) struct Row<R: Rows> {
    /// Names, version, labels, pauses, marks and the deletion, and nothing else.
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: R::Spec,
    #[serde(default)]
    pub(super) status: R::Status,
}

/// KEDA 2.21: the annotation by which a scaling object is left as it is.
pub(super) const PAUSED: &str = "autoscaling.keda.sh/paused";

/// KEDA 2.21: the annotation by which a `ScaledObject` has just so many agents.
pub(super) const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";

/// KEDA 2.21: the annotation by which a `ScaledObject` gets no more agents.
pub(super) const PAUSED_SCALE_OUT: &str = "autoscaling.keda.sh/paused-scale-out";

/// The annotations that the guard may write to a pod.
pub(super) const MARKS: [&str; 4] = [
    "controller.kubernetes.io/pod-deletion-cost",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
    "karpenter.sh/do-not-disrupt",
    "azp-scaler/marks",
];

/// KEDA's `ScaledObject`.
#[derive(Clone, Debug)]
pub(super) struct ScaledObjects;

/// KEDA's `ScaledJob`.
#[derive(Clone, Debug)]
pub(super) struct ScaledJobs;

/// Kubernetes' Job.
#[derive(Clone, Debug)]
pub(super) struct Jobs;

/// Kubernetes' Pod.
#[derive(Clone, Debug)]
pub(super) struct Pods;

/// Kubernetes' Deployment.
#[derive(Clone, Debug)]
pub(super) struct Deployments;

/// Of a scaling object, of either kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ScalingSpec {
    pub(super) scale_target_ref: Option<TargetRef>,
    pub(super) min_replica_count: Option<i64>,
    pub(super) max_replica_count: Option<i64>,
    pub(super) scaling_strategy: ScalingStrategy,
    pub(super) triggers: Vec<Trigger>,
    pub(super) advanced: Advanced,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TargetRef {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) api_version: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Advanced {
    pub(super) scaling_modifiers: ScalingModifiers,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ScalingModifiers {
    pub(super) formula: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ScalingStrategy {
    pub(super) strategy: String,
    pub(super) custom_scaling_running_job_percentage: String,
    pub(super) pending_pod_conditions: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Trigger {
    pub(super) r#type: String,
    pub(super) metric_type: String,
    #[serde(deserialize_with = "texts")]
    pub(super) metadata: BTreeMap<String, String>,
}

/// Of a Deployment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DeploymentSpec {
    pub(super) replicas: Option<u32>,
}

/// Of a Job and of a Pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) phase: String,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    pub(super) r#type: String,
    pub(super) status: String,
}

// === impl Rows ===

impl Rows for ScaledObjects {
    const GROUP: &'static str = "keda.sh";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "ScaledObject";
    const PLURAL: &'static str = "scaledobjects";
    type Spec = ScalingSpec;
    type Status = IgnoredAny;
}

impl Rows for ScaledJobs {
    const GROUP: &'static str = "keda.sh";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "ScaledJob";
    const PLURAL: &'static str = "scaledjobs";
    type Spec = ScalingSpec;
    type Status = IgnoredAny;
}

impl Rows for Jobs {
    const GROUP: &'static str = "batch";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Job";
    const PLURAL: &'static str = "jobs";
    type Spec = IgnoredAny;
    type Status = Status;
}

impl Rows for Pods {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Pod";
    const PLURAL: &'static str = "pods";
    type Spec = IgnoredAny;
    type Status = Status;
}

impl Rows for Deployments {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Deployment";
    const PLURAL: &'static str = "deployments";
    type Spec = DeploymentSpec;
    type Status = IgnoredAny;
}

// === impl Row ===

impl<R: Rows> Row<R> {
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Has somebody deleted it, though it may still be there for a while?
    pub(super) const fn is_going(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Of the annotations, those about pauses and [`MARKS`] are read.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(key).map(String::as_str)
    }
}

impl Row<Pods> {
    /// Kubernetes: a pod of these phases runs nothing any more, and never will.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

impl<R: Rows> Resource for Row<R> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        R::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        R::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        R::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        R::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<Annotations>,
        deletion_timestamp: Option<Time>,
    }
    // By their names, so that the others, a whole copy of the object among
    // them, are passed over.
    #[derive(Deserialize)]
    struct Annotations {
        #[serde(rename = "autoscaling.keda.sh/paused")]
        paused: Option<String>,
        #[serde(rename = "autoscaling.keda.sh/paused-replicas")]
        paused_replicas: Option<String>,
        #[serde(rename = "autoscaling.keda.sh/paused-scale-out")]
        paused_scale_out: Option<String>,
        #[serde(rename = "controller.kubernetes.io/pod-deletion-cost")]
        deletion_cost: Option<String>,
        #[serde(rename = "cluster-autoscaler.kubernetes.io/safe-to-evict")]
        safe_to_evict: Option<String>,
        #[serde(rename = "karpenter.sh/do-not-disrupt")]
        do_not_disrupt: Option<String>,
        #[serde(rename = "azp-scaler/marks")]
        marks: Option<String>,
    }
    let read = Metadata::deserialize(from)?;
    let annotations = read.annotations.map(|read| {
        let pairs = [
            (PAUSED, read.paused),
            (PAUSED_REPLICAS, read.paused_replicas),
            (PAUSED_SCALE_OUT, read.paused_scale_out),
            (MARKS[0], read.deletion_cost),
            (MARKS[1], read.safe_to_evict),
            (MARKS[2], read.do_not_disrupt),
            (MARKS[3], read.marks),
        ];
        let given = |(key, value): (&str, Option<String>)| Some((key.to_owned(), value?));
        pairs.into_iter().filter_map(given)
    });
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        labels: read.labels,
        annotations: annotations.map(|annotations| annotations.collect()),
        deletion_timestamp: read.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

/// KEDA 2.21: the schema of its kinds lets nothing but text in; a value of
/// another form, from another version, is left out.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    use serde_json::Value;
    let read = Option::<BTreeMap<String, Value>>::deserialize(from)?;
    let texts = read
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match value {
            Value::String(text) => Some((key, text)),
            _ => None,
        });
    Ok(texts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_without_its_noise() {
        let text = r#"{
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob",
            "metadata": {
                "name": "agents", "namespace": "ci", "resourceVersion": "7", "uid": "u",
                "labels": {"team": "a"},
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{}",
                    "autoscaling.keda.sh/paused": "true"
                },
                "deletionTimestamp": "2026-01-02T03:04:05Z",
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
            },
            "spec": {
                "jobTargetRef": {"template": {"spec": {"containers": []}}},
                "maxReplicaCount": 5,
                "scalingStrategy": {"strategy": "accurate"},
                "triggers": [
                    {"type": "external", "metadata": {"poolName": "k8s", "odd": 5, "none": null}},
                    {"type": "cron", "metadata": null}
                ]
            },
            "status": {"conditions": "of another form"}
        }"#;
        let row: Row<ScaledJobs> = serde_json::from_str(text).unwrap();
        assert_eq!((row.namespace(), row.name()), ("ci", "agents"));
        assert_eq!(row.label("team"), Some("a"));
        assert_eq!(row.annotation(PAUSED), Some("true"));
        assert_eq!(row.metadata.annotations.as_ref().unwrap().len(), 1);
        assert!(row.is_going() && row.metadata.managed_fields.is_none());
        assert_eq!(row.spec.max_replica_count, Some(5));
        assert_eq!(row.spec.scaling_strategy.strategy, "accurate");
        let metadata: Vec<_> = row.spec.triggers[0].metadata.iter().collect();
        assert_eq!(metadata, [(&"poolName".to_owned(), &"k8s".to_owned())]);
        assert!(row.spec.triggers[1].metadata.is_empty());
    }
}
