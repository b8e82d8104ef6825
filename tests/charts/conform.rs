//! Every document as the server would take it, by kubeconform; every scaling
//! object as the scaler would take it, by its own check.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    chart::{AGENT, SCALER, alone, said, tool, version},
    fail_on,
    render::{items, renders, text},
    schemas,
};

/// A ScaledJob with a misspelt field, and a Service with a number for a text:
/// kubeconform has to find both, or it looks at nothing.
const WRONG: &str = "
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: wrong}
spec: {jobTargetRef: {template: {spec: {containers: [{name: a, imagePullPolice: Never}]}}}, triggers: []}
---
apiVersion: v1
kind: Service
metadata: {name: wrong}
spec: {ports: [{port: 1, name: 2}]}
";

#[test]
fn kubeconform_finds_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, files) = (folder.path().join("schemas"), folder.path().join("files"));
    fs::create_dir_all(&files).unwrap();
    let mut types: BTreeSet<_> = [("v1", "Service"), ("keda.sh/v1alpha1", "ScaledJob")]
        .map(|(api, kind)| (api.to_owned(), kind.to_owned()))
        .into();
    for (number, render) in renders().iter().enumerate() {
        let file = format!(
            "{number}-{}-{}.yaml",
            render.chart.name, render.example.name
        );
        fs::write(files.join(file), &render.text).unwrap();
        let of = |document: &super::render::Document| {
            (
                document.text("/apiVersion").to_owned(),
                document.kind().to_owned(),
            )
        };
        types.extend(render.documents.iter().map(of));
    }
    fs::write(files.join("wrong.yaml"), WRONG).unwrap();
    schemas::write(&layout, &types);

    let location = layout.join("{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json");
    let output = alone(tool("kubeconform"))
        .args(["-strict", "-output", "json", "-schema-location"])
        .arg(location)
        .arg(&files)
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("kubeconform: {error}: {}", said(&output)));
    let (mut problems, mut seen) = (Vec::new(), 0);
    for found in items(&report, "/resources") {
        let file = text(found, "/filename")
            .rsplit('/')
            .next()
            .unwrap_or_default();
        if file == "wrong.yaml" {
            seen += 1;
            continue;
        }
        let about = ["/kind", "/name", "/status", "/msg"]
            .map(|key| text(found, key))
            .join(" ");
        problems.push(format!("{file}: {about}"));
    }
    assert_eq!(seen, 2, "what is wrong was not found: {report}");
    fail_on(&problems);
}

#[test]
fn the_schemas_are_of_the_kubernetes_that_the_tests_run() {
    assert_eq!(version("schemas"), version("kube-apiserver"));
}

/// What `azp-scaler check` says of a text.
pub(crate) fn checked(text: &str) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_azp-scaler"))
        .args(["check", "--strict", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let clean = report["errors"] == 0 && report["warnings"] == 0;
    assert_eq!(output.status.success(), clean, "{report}");
    report
}

#[test]
fn the_scaler_finds_no_fault_with_a_scaling_object() {
    let mut problems = Vec::new();
    for render in renders() {
        let report = checked(&render.text);
        for found in items(&report, "/findings")
            .iter()
            .filter(|one| text(one, "/level") != "notice")
        {
            problems.push(format!("{}: {found}", render.about()));
        }
        // Each profile of agents is one, and the scaler's chart has none.
        let triggers = report["triggers"].as_u64().unwrap_or_default();
        if (render.chart == AGENT) != (triggers > 0) {
            problems.push(format!(
                "{}: {triggers} triggers of the scaler's",
                render.about()
            ));
        }
    }
    assert!(renders().iter().any(|render| render.chart == SCALER));
    fail_on(&problems);
}
