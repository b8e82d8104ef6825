//! Each law finds what breaks it: a sound pod, broken in one place after the other.

use super::LAWS;
use crate::{
    chart::{AGENT, Example},
    fail_on,
    render::{Render, documents},
};

/// A pod that keeps every law.
const SOUND: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: one-azp-agent
  labels:
    app.kubernetes.io/name: azp-agent
    app.kubernetes.io/instance: one
    app.kubernetes.io/component: agent
    app.kubernetes.io/version: 0.1.0
    app.kubernetes.io/part-of: azp-scaler
    app.kubernetes.io/managed-by: Helm
    helm.sh/chart: azp-agent-0.1.0
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: agent
    image: ghcr.io/azp-scaler/azp-agent:0.1.0
    args: [run]
    ports: [{name: metrics, containerPort: 9465}]
    volumeMounts: [{name: work, mountPath: /work}]
    livenessProbe: {httpGet: {port: metrics}}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
  volumes:
  - {name: work, emptyDir: {}}
";

/// What is done to the pod.
enum Breach {
    /// One text in it is replaced by another.
    Changed(&'static str, &'static str),
    /// An object stands beside it, of a kind and with these lines.
    Beside(&'static str, &'static str),
}

use Breach::{Beside, Changed};

/// A law, its breach, and what it then says.
const BREACHES: &[(&str, Breach, &str)] = &[
    (
        "standard labels",
        Changed("managed-by: Helm", "managed-by: me"),
        "app.kubernetes.io/managed-by",
    ),
    (
        "standard labels",
        Changed("instance: one", "instance: two"),
        "app.kubernetes.io/instance",
    ),
    (
        "stable selectors",
        Beside(
            "Service",
            "spec: {selector: {app.kubernetes.io/name: azp-agent, app.kubernetes.io/version: 0.1.0}}",
        ),
        "selects by app.kubernetes.io/version",
    ),
    (
        "stable selectors",
        Beside(
            "PodDisruptionBudget",
            "spec: {selector: {matchLabels: {app.kubernetes.io/name: azp-agent}}}",
        ),
        "lacks app.kubernetes.io/instance",
    ),
    (
        "selectors that select",
        Beside(
            "Service",
            "spec: {selector: {app.kubernetes.io/component: other}}",
        ),
        "selects nothing",
    ),
    (
        "selectors that select",
        Beside(
            "PodMonitor",
            "spec: {selector: {matchLabels: {app.kubernetes.io/component: agent}}, podMetricsEndpoints: [{port: http}]}",
        ),
        "port http",
    ),
    (
        "selectors that select",
        Beside(
            "ServiceMonitor",
            "spec: {selector: {matchLabels: {app.kubernetes.io/component: agent}}, endpoints: [{port: http}]}",
        ),
        "selects nothing",
    ),
    (
        "restricted pods",
        Changed("runAsNonRoot: true", "runAsUser: 0"),
        "runAsNonRoot",
    ),
    (
        "restricted pods",
        Changed("runAsNonRoot: true", "runAsUser: 0"),
        "runAsUser",
    ),
    (
        "restricted pods",
        Changed("drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]"),
        "SYS_ADMIN",
    ),
    (
        "restricted pods",
        Changed("drop: [ALL]", "drop: []"),
        "drop ALL",
    ),
    (
        "restricted pods",
        Changed("readOnlyRootFilesystem: true", "privileged: true"),
        "readOnlyRootFilesystem",
    ),
    (
        "restricted pods",
        Changed("readOnlyRootFilesystem: true", "privileged: true"),
        "is privileged",
    ),
    (
        "restricted pods",
        Changed("allowPrivilegeEscalation: false", "procMount: Unmasked"),
        "allowPrivilegeEscalation",
    ),
    (
        "restricted pods",
        Changed("emptyDir: {}", "hostPath: {path: /}"),
        "hostPath",
    ),
    (
        "restricted pods",
        Changed("containerPort", "hostPort: 1, containerPort"),
        "hostPort",
    ),
    (
        "restricted pods",
        Changed("spec:\n", "spec:\n  hostNetwork: true\n"),
        "hostNetwork",
    ),
    (
        "restricted pods",
        Changed("type: RuntimeDefault", "type: Unconfined"),
        "seccompProfile",
    ),
    (
        "no docker.sock",
        Changed("mountPath: /work", "mountPath: /var/run/docker.sock"),
        "docker.sock",
    ),
    (
        "token only for who asks the API",
        Changed(
            "automountServiceAccountToken: false",
            "serviceAccountName: default",
        ),
        "nothing is granted",
    ),
    (
        "known images",
        Changed("azp-agent:0.1.0\n", "azp-agent:latest\n"),
        "latest",
    ),
    (
        "known images",
        Changed("azp-agent:0.1.0\n", "azp-agent\n"),
        "has no tag",
    ),
    (
        "known images",
        Changed("[run]", "['<no value>']"),
        "<no value>",
    ),
    (
        "small rights",
        Beside(
            "Role",
            "rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]",
        ),
        "resourceNames",
    ),
    (
        "small rights",
        Beside(
            "ClusterRole",
            "rules: [{apiGroups: ['*'], resources: [pods], verbs: [get]}]",
        ),
        "every one",
    ),
    (
        "secrets in Secrets",
        Changed("[run]", "[run, --token=inline-token]"),
        "value token",
    ),
    (
        "secrets in Secrets",
        Beside("Secret", "data: {token: YXpwLWFnZW50}"),
        "data of Secret beside",
    ),
    (
        "what is named is there",
        Changed("emptyDir: {}", "configMap: {name: nowhere}"),
        "ConfigMap nowhere",
    ),
    (
        "what is named is there",
        Changed(
            "args: [run]",
            "env: [{name: A, valueFrom: {secretKeyRef: {name: there, key: b}}}]",
        ),
        "Secret there",
    ),
    (
        "what is named is there",
        Changed("args: [run]", "envFrom: [{configMapRef: {name: nowhere}}]"),
        "ConfigMap nowhere",
    ),
    (
        "what is named is there",
        Changed("spec:\n", "spec:\n  serviceAccountName: nobody\n"),
        "ServiceAccount nobody",
    ),
    (
        "what is named is there",
        Beside("RoleBinding", "roleRef: {kind: Role, name: nobody}"),
        "Role nobody",
    ),
    (
        "what is named is there",
        Beside("ScaledObject", "spec: {scaleTargetRef: {name: nobody}}"),
        "Deployment nobody",
    ),
    (
        "what is named is there",
        Beside(
            "ScaledJob",
            "spec: {triggers: [{authenticationRef: {name: nobody}}]}",
        ),
        "TriggerAuthentication nobody",
    ),
    (
        "pods fit together",
        Changed("name: work, mountPath", "name: works, mountPath"),
        "no volume works",
    ),
    (
        "pods fit together",
        Changed("name: work, mountPath", "name: works, mountPath"),
        "nobody mounts the volume work",
    ),
    (
        "pods fit together",
        Changed("port: metrics", "port: http"),
        "no port http",
    ),
    (
        "pods fit together",
        Changed("[run]", "[]\n    env: [{name: A}, {name: A}]"),
        "A twice",
    ),
    (
        "names that can be",
        Changed("name: one-azp-agent", "name: one_azp-agent"),
        "one_azp-agent",
    ),
    (
        "names that can be",
        Changed(
            "instance: one",
            "instance: a-release-that-is-longer-than-any-label-of-kubernetes-is-allowed-to-be",
        ),
        "label app.kubernetes.io/instance",
    ),
    (
        "every object once",
        Beside("Service", "---\nkind: Service\nmetadata: {name: beside}"),
        "twice",
    ),
];

/// The render of a text, by values with the inline token `inline-token` and another
/// profile that may write to its root.
fn render(text: &str) -> Render {
    let text = format!("# Source: azp-agent/templates/pod.yaml{text}");
    Render {
        chart: AGENT,
        example: Example {
            name: "breach".to_owned(),
            files: vec![(
                "none".into(),
                "credentials: {token: inline-token}\n\
                 profiles: {other: {readOnlyRootFilesystem: false}}\n"
                    .to_owned(),
            )],
        },
        release: "one",
        namespace: "ci",
        documents: documents(&text).unwrap(),
        text,
    }
}

#[test]
fn every_law_finds_its_breach() {
    let sound = render(SOUND);
    let found: Vec<String> = LAWS.iter().flat_map(|(_, law)| law(&sound)).collect();
    fail_on(&found);
    for (name, law) in LAWS {
        let breaches: Vec<_> = BREACHES.iter().filter(|(of, ..)| of == name).collect();
        assert!(!breaches.is_empty(), "{name} has no breach");
        for (_, breach, expected) in breaches {
            let broken = match breach {
                Changed(from, to) => {
                    assert!(SOUND.contains(from), "{from}");
                    SOUND.replace(from, to)
                }
                Beside(kind, lines) => {
                    format!("{SOUND}---\nkind: {kind}\nmetadata: {{name: beside}}\n{lines}\n")
                }
            };
            let found = law(&render(&broken));
            let told = found.iter().any(|what| what.contains(expected));
            assert!(told, "{name}: {broken} gives {found:?}, not {expected:?}");
        }
    }
}
