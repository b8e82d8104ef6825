//! Nodes by the dozen that run no process, by kwok, where hundreds of pods are
//! wanted: a pod on them is Running at once, and somebody has to play what is in it.
//!
//! Imports what starts processes and asks the apiserver. The invariant: only pods
//! that tolerate [`TAINT`] come onto these nodes, so that all others are where they
//! would be without them.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::control_plane::{START, Site};
use crate::error::{Doing, Result};
use crate::kubectl::Kubectl;
use crate::process::Process;

/// What becomes of nodes and pods.
const STAGES: &str = include_str!("kwok.yaml");

/// The label of the nodes, for `nodeSelector`: its name and its value.
pub const LABEL: (&str, &str) = ("azp-harness/node", "kwok");

/// The taint that a pod has to tolerate: its key.
pub const TAINT: &str = "azp-harness/kwok";

/// The label of a pod that ends when its player says so, by a delete without grace.
/// Pods without it are gone as soon as they are deleted.
pub const PLAYED: &str = "played";

/// How often a node's lease is renewed at the latest, as by a kubelet.
const LEASE: Duration = Duration::from_secs(40);

/// How the nodes are to be.
#[derive(Debug, Clone, Copy)]
pub struct KwokOptions {
    /// How many; they are called `kwok-0` and so on.
    pub nodes: u32,
    /// How many pods each takes.
    pub pods: u32,
}

/// Starts kwok, makes its nodes and waits until they are ready.
pub(crate) fn start(site: &Site<'_>, kubectl: &Kubectl, wanted: KwokOptions) -> Result<Process> {
    let stages = site.directory.join("kwok.yaml");
    fs::write(&stages, STAGES).doing(|| format!("writing {}", stages.display()))?;
    let kwok = site.start(
        "kwok",
        &[
            format!("--kubeconfig={}", site.kubeconfig()),
            format!("--config={}", stages.display()),
            format!("--manage-nodes-with-label-selector={}={}", LABEL.0, LABEL.1),
            format!("--node-lease-duration-seconds={}", LEASE.as_secs()),
            // Nobody asks these nodes for logs.
            "--node-port=0".to_owned(),
        ],
        &[],
    )?;
    // Created whole: an apply on the server's side would leave the status out.
    kubectl.run(&["create", "--filename=-"], &nodes(wanted))?;
    let ready = kubectl.run(
        &[
            "wait",
            "--for=condition=Ready",
            "nodes",
            &format!("--selector={}={}", LABEL.0, LABEL.1),
            &format!("--timeout={}s", START.as_secs()),
        ],
        "",
    );
    // The log of a kwok that died tells more than kubectl does.
    kwok.check()?;
    ready.map(|_| kwok)
}

fn nodes(wanted: KwokOptions) -> String {
    let mut yaml = String::new();
    for number in 0..wanted.nodes {
        // Writing to a String cannot fail.
        let _ = write!(
            yaml,
            "---
apiVersion: v1
kind: Node
metadata:
  name: kwok-{number}
  labels: {{{label}: {value}, kubernetes.io/hostname: kwok-{number}}}
spec:
  taints: [{{key: {TAINT}, effect: NoSchedule}}]
status:
  allocatable: {{cpu: 1k, memory: 1Ti, pods: {pods}}}
  capacity: {{cpu: 1k, memory: 1Ti, pods: {pods}}}
",
            label = LABEL.0,
            value = LABEL.1,
            pods = wanted.pods,
        );
    }
    yaml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_what_a_pod_must_ask_for() {
        let yaml = nodes(KwokOptions { nodes: 3, pods: 7 });
        assert_eq!(yaml.matches("kind: Node").count(), 3);
        assert_eq!(yaml.matches("azp-harness/node: kwok").count(), 3);
        assert_eq!(yaml.matches(TAINT).count(), 3);
        assert_eq!(yaml.matches("pods: 7").count(), 6);
        assert!(yaml.contains("name: kwok-2"), "{yaml}");
    }

    #[test]
    fn a_played_pod_is_left_to_its_player() {
        let delete = STAGES
            .split("---")
            .find(|stage| stage.contains("pod-delete"));
        let delete = delete.expect("a stage of that name");
        assert!(delete.contains(&format!(
            ".metadata.labels.{PLAYED}, operator: DoesNotExist"
        )));
        assert!(
            !STAGES.contains("phase: Succeeded"),
            "no pod ends by itself"
        );
    }
}
