//! The Kubernetes objects of a scenario, as a user would write them.

use std::fmt::Write;

/// A namespace, as YAML.
pub(crate) fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
}

/// A Deployment of agents at zero, whose container has the two variables that
/// the agent itself wants and KEDA's trigger reads.
pub(crate) fn deployment(namespace: &str, name: &str, organization: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  replicas: 0
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
"
    )
}

/// A `ScaledJob` that asks every second, whose agents come from the pool of its own
/// name. `strategy` is a flow mapping.
pub(crate) fn scaled_job(
    namespace: &str,
    name: &str,
    strategy: &str,
    organization: &str,
    scaler: &str,
) -> String {
    format!(
        "apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  pollingInterval: 1
  maxReplicaCount: 50
  rollout: {{strategy: gradual}}
  scalingStrategy: {strategy}
  jobTargetRef:
    template:
      spec:
        restartPolicy: Never
        containers:
        - name: agent
          image: agent
          env:
          - {{name: AZP_URL, value: '{organization}'}}
          - {{name: AZP_TOKEN, value: token}}
  triggers:
  - type: external
    metadata: {{scalerAddress: '{scaler}', poolName: {name}}}
---
"
    )
}

/// A ScaledObject for the Deployment of the same name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaling<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// The trigger's `type`.
    pub(crate) trigger: &'a str,
    /// The trigger's metadata.
    pub(crate) metadata: &'a [(&'a str, &'a str)],
    /// The `TriggerAuthentication`, if any.
    pub(crate) authentication: Option<&'a str>,
}

impl Scaling<'_> {
    /// As YAML. Upwards without tolerance and in one step, downwards at once:
    /// what the numbers say is then what the Deployment gets.
    pub(crate) fn yaml(&self) -> String {
        let Scaling {
            namespace,
            name,
            trigger,
            ..
        } = self;
        let mut yaml = format!(
            "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{namespace: {namespace}, name: {name}}}
spec:
  scaleTargetRef: {{name: {name}}}
  minReplicaCount: 0
  maxReplicaCount: 50
  pollingInterval: 2
  cooldownPeriod: 1
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          tolerance: '0'
          stabilizationWindowSeconds: 0
          policies: [{{type: Pods, value: 1000, periodSeconds: 1}}]
        scaleDown:
          stabilizationWindowSeconds: 0
          policies: [{{type: Pods, value: 1000, periodSeconds: 1}}]
  triggers:
  - type: {trigger}
    metadata:
"
        );
        for (key, value) in self.metadata {
            // Writing to a String cannot fail.
            let _ = writeln!(yaml, "      {key}: '{value}'");
        }
        if let Some(authentication) = self.authentication {
            let _ = writeln!(yaml, "    authenticationRef: {{name: {authentication}}}");
        }
        yaml
    }
}
