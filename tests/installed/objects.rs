//! Objects of the cluster: all that there are, and what the scaling ones complain of.

use std::collections::BTreeSet;

use super::{
    Failure,
    stage::{AGENTS, SCALER, Stage},
};

/// Objects as `NAMESPACE KIND.GROUP/NAME`.
pub(crate) type Objects = BTreeSet<String>;

/// What comes and goes by itself, and ends by itself.
const FLEETING: [&str; 6] = [
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "podmetrics.metrics.k8s.io",
    "nodemetrics.metrics.k8s.io",
    "componentstatuses",
];

/// Every object of every kind that can be listed, but for what comes and goes.
pub(crate) fn all(stage: &Stage) -> Result<Objects, Failure> {
    let kinds = stage
        .cluster
        .kubectl(&["api-resources", "--verbs=list", "--output=name"])?;
    let kinds: Vec<&str> = kinds
        .lines()
        .filter(|kind| !FLEETING.contains(kind) && !kind.ends_with("external.metrics.k8s.io"))
        .collect();
    let said = stage.cluster.kubectl(&[
        "get",
        &kinds.join(","),
        "--all-namespaces",
        "--ignore-not-found",
        r#"--output=jsonpath={range .items[*]}{.metadata.namespace} {.kind}/{.metadata.name}{"\n"}{end}"#,
    ])?;
    // Pods of what was there before may be other ones: KEDA's are no matter of ours.
    let others = |line: &&str| {
        let theirs = ["keda ", "kube-system ", "azure "];
        let come_and_go = [" Pod/", " ReplicaSet/"];
        theirs.iter().any(|start| line.starts_with(start))
            && come_and_go.iter().any(|kind| line.contains(kind))
    };
    Ok(said
        .lines()
        .filter(|line| !others(line))
        .map(str::to_owned)
        .collect())
}

/// What the pods of both charts are made of; another text after each upgrade.
pub(crate) fn templates(stage: &Stage) -> Result<[String; 3], Failure> {
    let template = |kind: &str, name: &str, namespace: &str, path: &str| {
        stage.cluster.kubectl(&[
            "get",
            kind,
            name,
            &format!("--namespace={namespace}"),
            &format!("--output=jsonpath={path}"),
        ])
    };
    let name = |profile| format!("{AGENTS}-azp-agent-{profile}");
    Ok([
        template("deployment", SCALER, SCALER, "{.spec.template}")?,
        template("deployment", &name("linux"), AGENTS, "{.spec.template}")?,
        template(
            "scaledjob",
            &name("gpu"),
            AGENTS,
            "{.spec.jobTargetRef.template}",
        )?,
    ])
}

/// The pods of agents that the scaler has marked as busy.
pub(crate) fn marked(stage: &Stage) -> Result<Vec<String>, Failure> {
    let said = stage.cluster.kubectl(&[
        "get",
        "pods",
        &format!("--namespace={AGENTS}"),
        r#"--output=jsonpath={range .items[*]}{.metadata.name} {.metadata.annotations.controller\.kubernetes\.io/pod-deletion-cost}{"\n"}{end}"#,
    ])?;
    let marked = said.lines().filter(|line| !line.ends_with(' '));
    Ok(marked.map(str::to_owned).collect())
}

/// What KEDA and the HPA said of scaling that failed, a line for each event and the
/// number of times that it was said.
pub(crate) fn failures(stage: &Stage) -> Result<Vec<String>, Failure> {
    let said = stage.cluster.kubectl(&[
        "get",
        "events",
        &format!("--namespace={AGENTS}"),
        "--field-selector=type=Warning",
        r#"--output=jsonpath={range .items[*]}{.reason} {.involvedObject.kind}/{.involvedObject.name} {.count}{.series.count}: {.message}{"\n"}{end}"#,
    ])?;
    let of_scaling = |line: &&str| {
        ["ScaledObject/", "ScaledJob/", "HorizontalPodAutoscaler/"]
            .iter()
            .any(|kind| line.contains(kind))
    };
    Ok(said.lines().filter(of_scaling).map(str::to_owned).collect())
}
