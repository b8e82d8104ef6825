//! Nodes that run no process: pods that ask for them run at once, others stay away,
//! and a played pod is there until its player says that it has ended.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use azp_harness::{Cluster, KWOK_LABEL, KWOK_PLAYED, KWOK_TAINT, KwokOptions, Options, Result};

/// A Deployment of pods on these nodes.
fn deployment(name: &str, replicas: u32, labels: &str) -> String {
    let (label, value) = KWOK_LABEL;
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}{labels}}}}}
    spec:
      nodeSelector: {{{label}: {value}}}
      tolerations: [{{key: {KWOK_TAINT}, operator: Exists}}]
      containers: [{{name: it, image: none}}]
---
"
    )
}

#[test]
fn pods_run_on_nodes_without_processes() -> Result<()> {
    let cluster = Cluster::start(&Options {
        keda: false,
        kwok: Some(KwokOptions { nodes: 2, pods: 30 }),
        ..Options::default()
    })?;
    let played = format!(", {KWOK_PLAYED}: 'true'");
    cluster.apply(&(deployment("plain", 20, "") + &deployment("played", 20, &played)))?;
    let wait = |what: &[&str]| cluster.kubectl(&[&["wait", "--timeout=60s"], what].concat());
    wait(&[
        "--for=condition=Available",
        "deployment/plain",
        "deployment/played",
    ])?;

    // Evicted or deleted, a pod without a player is gone, and one with a player stays.
    for app in ["plain", "played"] {
        cluster.kubectl(&["scale", "deployment", app, "--replicas=0"])?;
    }
    wait(&["--for=delete", "pod", "--selector=app=plain"])?;
    let pods = ["get", "pods", "--selector=app=played", "--output=name"];
    let names = cluster.kubectl(&pods)?;
    assert_eq!(names.lines().count(), 20, "{names}");
    let of = "--selector=app=played";
    cluster.kubectl(&[
        "delete",
        "pod",
        of,
        "--grace-period=0",
        "--force",
        "--wait=false",
    ])?;
    wait(&["--for=delete", "pod", of])?;

    // A pod that does not ask for these nodes is Pending for want of others.
    let stray = "apiVersion: v1\nkind: Pod\nmetadata: {name: stray, namespace: default}\n\
                 spec: {containers: [{name: it, image: none}]}\n";
    cluster.apply(stray)?;
    wait(&["--for=condition=PodScheduled=false", "pod/stray"])?;
    cluster.check()
}
