//! Labels: those that every object has, and those that objects find each other by.

use serde_json::{Map, Value};

use crate::{
    pods::pods,
    render::{Document, Render, items, map, text},
};

/// Labels that never change while a release lives.
const STABLE: &[&str] = &[
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
];

pub(super) fn standard(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for document in render.own() {
        let labels = map(&document.value, "/metadata/labels");
        let has = |key: &str, value: Option<&str>| match (labels.get(key), value) {
            (Some(Value::String(is)), Some(wanted)) => is == wanted,
            (Some(Value::String(is)), None) => !is.is_empty(),
            _ => false,
        };
        let chart = format!("{}-0.1.0", render.chart.name);
        for (key, value) in [
            ("app.kubernetes.io/instance", Some(render.release)),
            ("app.kubernetes.io/managed-by", Some("Helm")),
            ("app.kubernetes.io/name", None),
            ("app.kubernetes.io/component", None),
            ("app.kubernetes.io/version", None),
            ("app.kubernetes.io/part-of", None),
            ("helm.sh/chart", Some(chart.as_str())),
        ] {
            if !has(key, value) {
                let is = labels.get(key).unwrap_or(&Value::Null);
                problems.push(format!("{}: {key} is {is}", document.about()));
            }
        }
    }
    problems
}

/// Where each kind says what it selects, and the label map there.
fn selectors(document: &Document) -> Vec<(&'static str, &Map<String, Value>)> {
    let places: &[&str] = match document.kind() {
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "PodDisruptionBudget"
        | "PodMonitor"
        | "ServiceMonitor" => &["/spec/selector/matchLabels"],
        "Service" => &["/spec/selector"],
        "NetworkPolicy" => &["/spec/podSelector/matchLabels"],
        _ => &[],
    };
    let labels = |place: &&'static str| (*place, map(&document.value, place));
    places.iter().map(labels).collect()
}

/// Does this label tell the profiles of one release apart?
fn of_profile(label: &str) -> bool {
    label.ends_with("/profile")
}

pub(super) fn stable(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for document in render.own() {
        for (_, labels) in selectors(document) {
            let about = document.about();
            // What a policy for all agents is for has no component.
            for needed in &STABLE[..2] {
                if !labels.contains_key(*needed) {
                    problems.push(format!("{about}: its selector lacks {needed}"));
                }
            }
            let others = labels.keys().filter(|key| {
                !STABLE.contains(&key.as_str()) && !of_profile(key) && !render.chosen(key)
            });
            problems.extend(others.map(|key| format!("{about}: selects by {key}")));
        }
    }
    problems
}

pub(super) fn selecting(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for document in render.own() {
        for (_, wanted) in selectors(document) {
            let found = if document.kind() == "ServiceMonitor" {
                services(document, wanted, render)
            } else {
                pods_and_ports(document, wanted, render)
            };
            problems.extend(found.map(|what| format!("{}: {what}", document.about())));
        }
    }
    problems
}

fn selects(wanted: &Map<String, Value>, labels: &Map<String, Value>) -> bool {
    let has = |(key, value): (&String, &Value)| labels.get(key) == Some(value);
    wanted.iter().all(has)
}

/// What is wrong with whom a selector of Services finds.
fn services(monitor: &Document, wanted: &Map<String, Value>, render: &Render) -> Option<String> {
    let labels = |service: &&Document| selects(wanted, map(&service.value, "/metadata/labels"));
    let services: Vec<&Document> = render.of_kind("Service").filter(labels).collect();
    if services.is_empty() {
        return Some("selects nothing".to_owned());
    }
    let named = |port: &str| {
        let has = |service: &&&Document| {
            let ports = items(&service.value, "/spec/ports");
            ports.iter().any(|one| text(one, "/name") == port)
        };
        services.iter().filter(has).count()
    };
    let mut ports = items(&monitor.value, "/spec/endpoints").iter();
    ports.find_map(
        |one| match (text(one, "/port"), named(text(one, "/port"))) {
            (_, 1) => None,
            (port, 0) => Some(format!("there is no port {port}")),
            (port, count) => Some(format!(
                "scrapes port {port} of {count} Services, each pod so often"
            )),
        },
    )
}

/// What is wrong with whom a selector of pods finds.
fn pods_and_ports(
    document: &Document,
    wanted: &Map<String, Value>,
    render: &Render,
) -> Option<String> {
    let all = pods(render);
    let own = matches!(document.kind(), "Deployment" | "StatefulSet" | "DaemonSet");
    let chosen: Vec<_> = all
        .iter()
        .filter(|pod| !own || std::ptr::eq(pod.document, document))
        .filter(|pod| selects(wanted, map(pod.metadata, "/labels")))
        .collect();
    if chosen.is_empty() {
        return Some("selects nothing".to_owned());
    }
    let (ports, key) = match document.kind() {
        "Service" => (items(&document.value, "/spec/ports"), "/targetPort"),
        "PodMonitor" => (items(&document.value, "/spec/podMetricsEndpoints"), "/port"),
        _ => return None,
    };
    let names: Vec<&str> = ports.iter().map(|port| text(port, key)).collect();
    let missing = names.iter().filter(|name| !name.is_empty()).find(|name| {
        let has = |container| {
            let ports = items(container, "/ports");
            ports.iter().any(|port| text(port, "/name") == **name)
        };
        !chosen.iter().any(|pod| pod.containers().any(has))
    });
    missing.map(|name| format!("no pod that it selects has a port {name}"))
}
