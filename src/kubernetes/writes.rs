//! What is written: the Lease, pods' annotations, scales.
//!
//! May import: its siblings, ports. Invariants: a write changes what it names and
//! leaves the rest, and fails where the object is another than the one that it was
//! decided for; nothing here decides or tries again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    failure::{Failure, Rule},
    rows::{Pods, Row},
};
use crate::ports::writes::{
    AgentPod, Annotations, Attempt, Holding, Lease, LeaseRecord, LeaseSeen, PodName, Scale,
    WriteError,
};

/// Who writes, in `managedFields`.
pub(super) const FIELD_MANAGER: &str = "azp-scaler";

/// One Lease.
pub(super) struct LeaseAt {
    leases: Api<v1::Lease>,
    namespace: Box<str>,
    name: Box<str>,
}

// === impl LeaseAt ===

impl LeaseAt {
    pub(super) fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    fn rule(&self, verbs: &'static [&'static str], named: bool) -> Rule {
        Rule {
            group: "coordination.k8s.io",
            resource: "leases",
            verbs,
            name: named.then(|| self.name.clone()),
            namespace: Some(self.namespace.clone()),
        }
    }

    async fn create(&self, spec: Value) -> Result<(), WriteError> {
        let name = &*self.name;
        let lease = json!({"metadata": {"name": name}, "spec": spec});
        let lease = serde_json::from_value(lease).map_err(|error| WriteError::Failed {
            cause: error.to_string().into(),
        })?;
        let post = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let made = self.leases.create(&post, &lease).await;
        // Kubernetes: no name can be given to the right to create.
        made.map_err(|error| write_error(&error, &self.rule(&["create"], false)))?;
        Ok(())
    }
}

impl Lease for LeaseAt {
    fn read(&self) -> Attempt<'_, Option<LeaseSeen>> {
        Box::pin(async move {
            let read = self.leases.get_opt(&self.name).await;
            let rule = self.rule(&["get", "patch"], true);
            let lease = read.map_err(|error| write_error(&error, &rule))?;
            Ok(lease.map(|lease| seen(&lease)))
        })
    }

    fn write<'a>(&'a self, holding: &'a Holding, over: Option<&'a LeaseSeen>) -> Attempt<'a, ()> {
        Box::pin(async move {
            let spec = spec(holding, Timestamp::now());
            let Some(over) = over else {
                return self.create(spec).await;
            };
            // Nothing but this, so that labels and owners stay whose they are.
            let patch = json!({"metadata": {"resourceVersion": over.version}, "spec": spec});
            let rule = self.rule(&["get", "patch"], true);
            let (params, patch) = (params(), Patch::Merge(patch));
            let written = self.leases.patch(&self.name, &params, &patch).await;
            written.map_err(|error| write_error(&error, &rule))?;
            Ok(())
        })
    }
}

fn seen(lease: &v1::Lease) -> LeaseSeen {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
    let count = |number: Option<i32>| u32::try_from(number.unwrap_or_default()).unwrap_or_default();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
    LeaseSeen {
        version: lease
            .metadata
            .resource_version
            .as_deref()
            .unwrap_or_default()
            .into(),
        record: LeaseRecord {
            holder: spec
                .and_then(|spec| spec.holder_identity.as_deref())
                .unwrap_or_default()
                .into(),
            duration: Duration::from_secs(u64::from(count(seconds))),
            renewed: renewed
                .map(|renewed| renewed.0.to_string())
                .unwrap_or_default()
                .into(),
            transitions: count(spec.and_then(|spec| spec.lease_transitions)),
        },
    }
}

/// Kubernetes: times of a Lease have just six digits of a second, and one that
/// nobody holds has no holder.
fn spec(holding: &Holding, now: Timestamp) -> Value {
    let now = format!("{now:.6}");
    let holder = (!holding.holder.is_empty()).then_some(&holding.holder);
    let mut spec = json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": holding.duration.as_secs().max(1),
        "renewTime": now,
        "leaseTransitions": holding.transitions,
    });
    if holding.is_new {
        spec["acquireTime"] = now.into();
    }
    spec
}

/// Changes annotations of a pod, unless it is another of that name by now.
pub(super) async fn annotate(
    client: Client,
    name: &PodName,
    pod: &AgentPod,
    changes: &Annotations,
) -> Result<(), WriteError> {
    let pods: Api<Row<Pods>> = Api::namespaced(client, &name.namespace);
    let metadata = json!({"uid": pod.uid, "annotations": changes});
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let rule = Rule {
        group: "",
        resource: "pods",
        verbs: &["patch"],
        name: None,
        namespace: Some(name.namespace.clone()),
    };
    let written = pods.patch(&name.name, &params(), &patch).await;
    written.map_err(|error| write_error(&error, &rule))?;
    Ok(())
}

/// Is a pod of this name there that has not ended? It is listed, and not got, so that
/// no other right is needed than the watch has; and the apiserver is asked for what is
/// so now, and not for what it remembers.
pub(super) async fn is_there(client: Client, name: &PodName) -> Result<bool, WriteError> {
    let pods: Api<Row<Pods>> = Api::namespaced(client, &name.namespace);
    let of_name = ListParams::default().fields(&format!("metadata.name={}", name.name));
    let rule = Rule {
        group: "",
        resource: "pods",
        verbs: &["list", "watch"],
        name: None,
        namespace: Some(name.namespace.clone()),
    };
    let listed = pods.list(&of_name).await;
    let listed = listed.map_err(|error| write_error(&error, &rule))?;
    Ok(listed.items.iter().any(|pod| !pod.has_ended()))
}

/// How many pods a Deployment is to have.
pub(super) async fn scale(
    client: Client,
    namespace: &str,
    deployment: &str,
) -> Result<Scale, WriteError> {
    let deployments: Api<Deployment> = Api::namespaced(client, namespace);
    let read = deployments.get_scale(deployment).await;
    let scale = read.map_err(|error| write_error(&error, &scale_rule(namespace)))?;
    let replicas = scale.spec.and_then(|spec| spec.replicas);
    Ok(Scale {
        version: scale.metadata.resource_version.unwrap_or_default().into(),
        replicas: u32::try_from(replicas.unwrap_or_default()).unwrap_or_default(),
    })
}

/// Sets it, unless somebody else has meanwhile.
pub(super) async fn set_scale(
    client: Client,
    namespace: &str,
    deployment: &str,
    over: &Scale,
    replicas: u32,
) -> Result<(), WriteError> {
    let deployments: Api<Deployment> = Api::namespaced(client, namespace);
    let metadata = json!({"resourceVersion": over.version});
    let patch = Patch::Merge(json!({"metadata": metadata, "spec": {"replicas": replicas}}));
    let written = deployments.patch_scale(deployment, &params(), &patch).await;
    written.map_err(|error| write_error(&error, &scale_rule(namespace)))?;
    Ok(())
}

fn scale_rule(namespace: &str) -> Rule {
    Rule {
        group: "apps",
        resource: "deployments/scale",
        verbs: &["get", "patch"],
        name: None,
        namespace: Some(namespace.into()),
    }
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Why a write failed, or a reading before one.
pub(super) fn write_error(error: &kube::Error, rule: &Rule) -> WriteError {
    if let kube::Error::Api(status) = error {
        match status.code {
            404 => return WriteError::Gone,
            409 => return WriteError::Conflict,
            _ => {}
        }
    }
    match Failure::of(error, rule) {
        Some(Failure::Forbidden { rule }) => WriteError::Forbidden {
            rule: rule.to_string().into(),
        },
        Some(failure) => WriteError::Failed {
            cause: failure.to_string().into(),
        },
        None => WriteError::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_lease_is_written_as_kubernetes_reads_it() {
        let mut holding = Holding {
            holder: "me".into(),
            duration: Duration::from_secs(15),
            transitions: 3,
            is_new: true,
        };
        let now = "2026-01-02T03:04:05.1Z".parse().unwrap();
        let time = "2026-01-02T03:04:05.100000Z";
        assert_eq!(
            spec(&holding, now),
            json!({
                "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 3,
                "acquireTime": time, "renewTime": time,
            })
        );
        holding.holder = "".into();
        holding.is_new = false;
        let free = spec(&holding, now);
        assert!(free["holderIdentity"].is_null() && free.get("acquireTime").is_none());

        // One that the chart made says nothing yet.
        let empty = json!({"metadata": {"resourceVersion": "7"}});
        let empty = seen(&serde_json::from_value(empty).unwrap());
        assert_eq!(
            (&*empty.version, empty.record),
            ("7", LeaseRecord::default())
        );
    }

    #[test]
    fn why_it_failed_is_told_by_its_kind() {
        let rule = Rule {
            group: "",
            resource: "pods",
            verbs: &["patch"],
            name: None,
            namespace: Some("ci".into()),
        };
        let error = |code: u16| {
            let status = Status::failure("its words", "").with_code(code).boxed();
            write_error(&kube::Error::Api(status), &rule)
        };
        assert_eq!(error(404), WriteError::Gone);
        assert_eq!(error(409), WriteError::Conflict);
        let shown = error(403).to_string();
        assert!(shown.contains(r#"resources: ["pods"], verbs: ["patch"]} in namespace ci"#));
        assert!(matches!(error(500), WriteError::Failed { .. }));
    }
}
