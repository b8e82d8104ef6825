//! The Kubernetes objects of both sides: ours as the charts make them, the other one as
//! KEDA's and Microsoft's pages have it.
//!
//! May import: the names of the harness's nodes. Invariant: where ours differs from the
//! charts' defaults, the reason stands beside it.

use std::time::Duration;

use azp_harness::{KWOK_LABEL, KWOK_PLAYED, KWOK_TAINT};

use crate::{
    load::Kind,
    player::{LABEL, ONCE, STAYS},
};

/// The namespace and the pool of the side that is tried.
pub(crate) const OURS: &str = "ours";
/// Those of KEDA's own trigger.
pub(crate) const STOCK: &str = "stock";
/// The Lease of the replicas.
pub(crate) const LEASE: &str = "azp-scaler";

/// More than there are jobs at a time.
const MOST: u32 = 1000;

/// azp-agent's time to leave, which the agents' chart adds to the longest job.
const LEAVE: Duration = Duration::from_secs(120);

/// What is the same for all objects of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    /// The organization, for `AZP_URL`.
    pub(crate) organization: &'a str,
    /// Where KEDA reaches the scaler.
    pub(crate) scaler: &'a str,
    pub(crate) longest_job: Duration,
}

/// The Deployment or ScaledJob of a kind.
pub(crate) const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Deploy => "deploy",
        Kind::Build => "build",
    }
}

/// The kind of a pod, by its name.
pub(crate) fn kind(pod: &str) -> Kind {
    match pod.starts_with(name(Kind::Build)) {
        true => Kind::Build,
        false => Kind::Deploy,
    }
}

/// What jobs of a kind ask for, and its agents have.
pub(crate) const fn demand(kind: Kind) -> &'static str {
    match kind {
        Kind::Deploy => "kubectl",
        Kind::Build => "java",
    }
}

/// A Deployment for jobs that want an agent at once, a ScaledJob for all others.
pub(crate) fn ours(site: Site<'_>) -> String {
    let (deploy, build) = (name(Kind::Deploy), name(Kind::Build));
    let grace = (site.longest_job + LEAVE).as_secs();
    let Site {
        organization,
        scaler,
        ..
    } = site;
    let lease = format!(
        "apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {{namespace: {OURS}, name: {LEASE}}}
---
"
    );
    let deployment = deployment(OURS, deploy, &pod(deploy, STAYS, Some(grace), organization));
    // The charts leave agents be for five minutes, so that a cache may serve once more.
    // Here agents have none, and what idles is what is counted.
    let scaled_object = format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{namespace: {OURS}, name: {deploy}}}
spec:
  scaleTargetRef: {{name: {deploy}}}
  minReplicaCount: 0
  maxReplicaCount: {MOST}
  pollingInterval: 30
  cooldownPeriod: 300
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          tolerance: '0'
          stabilizationWindowSeconds: 0
          policies: [{{type: Pods, value: 1000, periodSeconds: 15}}]
        scaleDown:
          tolerance: '0'
          stabilizationWindowSeconds: 0
          policies: [{{type: Percent, value: 100, periodSeconds: 15}}]
  triggers:
  - type: external-push
    metadata:
      scalerAddress: '{scaler}'
      organizationURL: '{organization}'
      poolName: {OURS}
      capabilities: {deploy_has}
      mode: deployment
      directScaleUp: 'true'
---
",
        deploy_has = demand(Kind::Deploy),
    );
    let scaled_job = format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {{namespace: {OURS}, name: {build}}}
spec:
  minReplicaCount: 0
  maxReplicaCount: {MOST}
  pollingInterval: 5
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  rollout: {{strategy: gradual}}
  scalingStrategy: {{strategy: default}}
  jobTargetRef:
    parallelism: 1
    completions: 1
    backoffLimit: 0
    template:
{pod}
  triggers:
  - type: external
    metadata:
      scalerAddress: '{scaler}'
      organizationURL: '{organization}'
      poolName: {OURS}
      capabilities: {build_has}
      mode: job
      strategy: default
---
",
        pod = indented(&pod(build, ONCE, Some(grace), organization), 6),
        build_has = demand(Kind::Build),
    );
    [lease, deployment, scaled_object, scaled_job].concat()
}

/// Deployments of start.sh, and KEDA's trigger with nothing but what it needs.
pub(crate) fn stock(site: Site<'_>) -> String {
    let side = |kind: Kind| {
        let (name, demand) = (name(kind), demand(kind));
        let pod = pod(name, STAYS, None, site.organization);
        let scaled_object = format!(
            "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{namespace: {STOCK}, name: {name}}}
spec:
  scaleTargetRef: {{name: {name}}}
  minReplicaCount: 0
  maxReplicaCount: {MOST}
  triggers:
  - type: azure-pipelines
    metadata:
      organizationURLFromEnv: AZP_URL
      personalAccessTokenFromEnv: AZP_TOKEN
      poolName: {STOCK}
      demands: {demand}
---
"
        );
        deployment(STOCK, name, &pod) + &scaled_object
    };
    side(Kind::Deploy) + &side(Kind::Build)
}

fn deployment(namespace: &str, name: &str, pod: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  replicas: 0
  minReadySeconds: 10
  strategy: {{type: RollingUpdate, rollingUpdate: {{maxSurge: 25%, maxUnavailable: 1}}}}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
{pod}
---
",
        pod = indented(pod, 4)
    )
}

/// The template of a pod on kwok's nodes. Without a grace it has Kubernetes' own.
fn pod(name: &str, lives: &str, grace: Option<u64>, organization: &str) -> String {
    let grace = grace.map(|grace| format!("  terminationGracePeriodSeconds: {grace}\n"));
    let restart = match lives == ONCE {
        true => "  restartPolicy: Never\n",
        false => "",
    };
    format!(
        "metadata: {{labels: {{app: {name}, {LABEL}: {lives}, {KWOK_PLAYED}: 'true'}}}}
spec:
{grace}{restart}  nodeSelector: {{{label}: {value}}}
  tolerations: [{{key: {KWOK_TAINT}, operator: Exists}}]
  containers:
  - name: agent
    image: agent
    env:
    - {{name: AZP_URL, value: '{organization}'}}
    - {{name: AZP_TOKEN, value: token}}",
        grace = grace.unwrap_or_default(),
        label = KWOK_LABEL.0,
        value = KWOK_LABEL.1,
    )
}

fn indented(yaml: &str, by: usize) -> String {
    let lines = yaml.lines().map(|line| format!("{:by$}{line}", ""));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_known_by_its_name() {
        for of in [Kind::Deploy, Kind::Build] {
            assert_eq!(kind(&format!("{}-6d8f9c7b5-x2k4q", name(of))), of);
        }
    }

    #[test]
    fn ours_may_finish_a_job_and_the_other_side_has_the_default() {
        let site = Site {
            organization: "http://127.0.0.1:1/contoso",
            scaler: "127.0.0.1:2",
            longest_job: Duration::from_secs(300),
        };
        assert_eq!(
            ours(site)
                .matches("terminationGracePeriodSeconds: 420")
                .count(),
            2
        );
        assert!(!stock(site).contains("terminationGracePeriodSeconds"));
        assert_eq!(stock(site).matches("azure-pipelines").count(), 2);
    }
}
