//! The Kubernetes objects of a round, as a user would write them.
//!
//! May import: nothing of ours. Invariant: ours is as the README has it, and as the
//! chart of the agents makes it; of KEDA's own all is left out that can be.

use std::time::Duration;

/// Kubernetes' default, with which the cluster is started.
pub(super) const HPA_PERIOD: Duration = Duration::from_secs(15);

/// KEDA's default of `pollingInterval`.
pub(super) const KEDA_PERIOD: Duration = Duration::from_secs(30);

/// A trigger of ours, on the pool of the Deployment's name.
pub(super) fn ours(scaler: &str, pool: &str) -> String {
    format!(
        "type: external-push
    metadata: {{scalerAddress: '{scaler}', poolName: {pool}, directScaleUp: 'true'}}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          tolerance: '0'
          stabilizationWindowSeconds: 0
          policies:
          - {{type: Pods, value: 1000, periodSeconds: 15}}"
    )
}

/// KEDA's own.
pub(super) fn theirs(pool: &str) -> String {
    format!(
        "type: azure-pipelines
    metadata:
      organizationURLFromEnv: AZP_URL
      personalAccessTokenFromEnv: AZP_TOKEN
      poolName: {pool}"
    )
}

pub(super) fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
}

/// A Deployment of agents and its ScaledObject.
pub(super) fn deployment(
    namespace: &str,
    name: &str,
    replicas: u32,
    organization: &str,
    trigger: &str,
) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: agent
        image: agent
        env:
        - {{name: AZP_URL, value: '{organization}'}}
        - {{name: AZP_TOKEN, value: token}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  scaleTargetRef: {{name: {name}}}
  maxReplicaCount: 50
  triggers:
  - {trigger}
"
    )
}
