//! What helm tells after an installation: what it says to apply is right, and no
//! secret is in it.

use std::ffi::OsString;

use serde_json::json;

use super::{
    chart::{Chart, SCALER, helm, said},
    conform::checked,
    fail_on,
    laws::secrets::secrets,
    render::{Render, renders},
};

/// The notes of a render, by an installation that only pretends.
fn notes(render: &Render) -> String {
    let dir: OsString = render.chart.dir().into();
    let namespace = render.namespace;
    let mut arguments: Vec<OsString> = ["install", render.release, "--dry-run=client"]
        .map(Into::into)
        .into();
    arguments.extend(["--namespace".into(), namespace.into(), dir]);
    arguments.extend(render.example.flags());
    let output = helm(arguments);
    assert!(
        output.status.success(),
        "{}: {}",
        render.about(),
        said(&output)
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    let (_, notes) = printed
        .rsplit_once("\nNOTES:\n")
        .expect("both charts have notes");
    notes.to_owned()
}

/// The manifest in it: from its first line to the next empty one.
fn manifest(notes: &str) -> Option<&str> {
    let at = notes.find("apiVersion:")?;
    notes[at..].split("\n\n").next()
}

#[test]
fn notes_are_right_and_keep_secrets() {
    let mut problems = Vec::new();
    for render in renders() {
        if (render.release, render.namespace) != ("one", "ci") {
            continue;
        }
        let mut say = |what: String| problems.push(format!("{}: {what}", render.about()));
        let notes = notes(render);
        for (whose, text) in secrets(render) {
            if notes.contains(&text) {
                say(format!("the notes show {whose}"));
            }
        }
        if render.chart == SCALER {
            let report = checked(manifest(&notes).unwrap_or_default());
            if report["triggers"] != 1
                || report["errors"] != json!(0)
                || report["warnings"] != json!(0)
            {
                say(format!("the scaling object of the notes: {report}"));
            }
            if !notes.contains(&address(render)) {
                say(format!("the notes do not name {}", address(render)));
            }
        }
    }
    fail_on(&problems);
}

/// The address of the Service that KEDA should ask.
fn address(render: &Render) -> String {
    let chart: Chart = render.chart;
    let replicas = render
        .of_kind("Deployment")
        .map(|one| one.at("/spec/replicas").as_u64());
    let several = replicas.max().flatten().is_some_and(|count| count > 1);
    let mut services = render.of_kind("Service").map(|one| one.name());
    let service = services.find(|name| name.ends_with("-headless") == several);
    let name = service.unwrap_or(chart.name);
    format!("{name}.{}.svc:", render.namespace)
}
