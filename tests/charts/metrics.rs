//! What alerts and dashboards read is what the programs expose, by name and by label.

use std::collections::{BTreeMap, BTreeSet};

use azp_scaler::telemetry::{
    agent::AGENT_METRICS,
    descriptions::{Description, Kind, METRICS},
};
use serde_json::{Value, json};

use super::{
    alerts::tested_rules,
    chart::{SCALER, alone, said, tool},
    fail_on,
    promql::names,
    render::{Document, items, map, renders, text},
};

/// Metrics that Prometheus itself makes.
const FOREIGN: &[&str] = &["up", "ALERTS"];

/// Labels that Prometheus gives to what it scrapes, and those of the makers of rules.
const SCRAPED: &[&str] = &[
    "job",
    "instance",
    "namespace",
    "pod",
    "service",
    "container",
    "endpoint",
    "node",
    "le",
];

/// What Prometheus puts before a metric's own label where the pod has one of the name.
const EXPORTED: &str = "exported_";

/// The series of every metric, with their labels.
fn series() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut series = BTreeMap::new();
    for metric in METRICS.iter().chain(AGENT_METRICS) {
        let ends: &[&str] = match metric.kind {
            Kind::Histogram => &["_bucket", "_sum", "_count"],
            Kind::Counter | Kind::Gauge => &[""],
        };
        for end in ends {
            series.insert(
                format!("{}{end}", metric.name),
                metric.labels.iter().copied().collect(),
            );
        }
    }
    series
}

/// Expressions, each with where it stands.
fn of_rules(rule: &Document) -> Vec<(String, String)> {
    let groups = items(&rule.value, "/spec/groups").iter();
    let rules = groups.flat_map(|group| items(group, "/rules"));
    rules
        .map(|rule| {
            (
                format!("{}{}", text(rule, "/alert"), text(rule, "/record")),
                text(rule, "/expr").to_owned(),
            )
        })
        .collect()
}

/// The dashboards of a document, each with its name.
fn dashboards(document: &Document) -> Vec<(&str, Value)> {
    let files = map(&document.value, "/data").iter();
    let json = files.filter(|(name, _)| name.ends_with(".json") && document.kind() == "ConfigMap");
    json.filter_map(|(name, text)| {
        let value: Value =
            serde_json::from_str(text.as_str()?).unwrap_or_else(|error| panic!("{name}: {error}"));
        value
            .get("panels")
            .is_some()
            .then_some((name.as_str(), value))
    })
    .collect()
}

/// Every expression in a dashboard, with the variables of Grafana filled in.
fn of_dashboard(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            let title = map.get("title").and_then(Value::as_str).unwrap_or(place);
            if let Some(Value::String(expression)) = map.get("expr") {
                let filled = ["$__rate_interval", "$__interval", "$__range"]
                    .iter()
                    .fold(expression.clone(), |text, name| text.replace(name, "5m"));
                found.push((title.to_owned(), filled));
            }
            map.values()
                .for_each(|inner| of_dashboard(inner, title, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|inner| of_dashboard(inner, place, found)),
        _ => {}
    }
}

/// What is wrong with the names of an expression.
fn unknown(expression: &str, recorded: &BTreeSet<&str>) -> Vec<String> {
    let series = series();
    let names = names(expression);
    let mut problems = Vec::new();
    let mut known: BTreeSet<&str> = SCRAPED.iter().copied().collect();
    for (metric, by) in &names.metrics {
        if FOREIGN.contains(&metric.as_str()) || recorded.contains(metric.as_str()) {
            continue;
        }
        let Some(labels) = series.get(metric) else {
            problems.push(format!("no program exposes {metric}"));
            continue;
        };
        known.extend(labels);
        let others = by
            .iter()
            .filter(|label| !labels.contains(label.as_str()) && !SCRAPED.contains(&label.as_str()));
        problems.extend(others.map(|label| format!("{metric} has no label {label}")));
    }
    // A rule may make labels of its own.
    let made = |label: &String| expression.contains(&format!("\"{label}\""));
    let others = names
        .labels
        .iter()
        .filter(|label| !known.contains(label.trim_start_matches(EXPORTED)) && !made(label));
    problems.extend(others.map(|label| format!("nothing that it reads has a label {label}")));
    // A date of the values is no metric.
    if names.metrics.is_empty() && !expression.contains("vector(") {
        problems.push("reads no metric".to_owned());
    }
    problems
}

#[test]
fn every_metric_of_the_alerts_is_exposed() {
    let mut problems = Vec::new();
    let tested = tested_rules();
    let rendered = renders()
        .iter()
        .flat_map(|render| render.of_kind("PrometheusRule"));
    for rule in rendered.chain([&tested]) {
        let expressions = of_rules(rule);
        let recorded: BTreeSet<&str> = expressions.iter().map(|(name, _)| name.as_str()).collect();
        for (name, expression) in &expressions {
            let found = unknown(expression, &recorded);
            problems.extend(
                found
                    .into_iter()
                    .map(|what| format!("{name}: {what}: {expression}")),
            );
        }
    }
    problems.sort();
    problems.dedup();
    fail_on(&problems);
}

#[test]
fn every_dashboard_reads_what_is_exposed() {
    let mut problems = Vec::new();
    let mut seen = 0;
    for render in renders() {
        for (name, dashboard) in render.own().flat_map(dashboards) {
            let mut expressions = Vec::new();
            of_dashboard(&dashboard, name, &mut expressions);
            seen += expressions.len();
            for (title, expression) in &expressions {
                let found = unknown(expression, &BTreeSet::new());
                problems.extend(
                    found
                        .into_iter()
                        .map(|what| format!("{name}, {title}: {what}: {expression}")),
                );
            }
            problems.extend(parsed(&expressions));
        }
    }
    assert!(
        seen > 10,
        "{seen} expressions in the dashboards of the examples"
    );
    problems.sort();
    problems.dedup();
    fail_on(&problems);
}

/// What promtool says to expressions, each made a rule.
fn parsed(expressions: &[(String, String)]) -> Option<String> {
    let rules: Vec<Value> = expressions
        .iter()
        .enumerate()
        .map(|(number, (_, expression))| json!({"record": format!("panel:{number}"), "expr": expression}))
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(file.path(), groups.to_string()).unwrap();
    let output = alone(tool("promtool"))
        .args(["check", "rules"])
        .arg(file.path())
        .output()
        .unwrap();
    (!output.status.success()).then(|| said(&output))
}

/// The metrics' own labels must not give way to those of the pod.
#[test]
fn monitors_keep_the_labels_of_the_metrics() {
    let meets = |metrics: &[Description]| {
        let mut labels = metrics.iter().flat_map(|metric| metric.labels);
        labels.any(|label| SCRAPED.contains(label))
    };
    assert!(
        meets(METRICS),
        "no label of the scaler's is one of Prometheus' own"
    );
    let mut problems = Vec::new();
    let mut seen = 0;
    for render in renders() {
        let metrics = if render.chart == SCALER {
            METRICS
        } else {
            AGENT_METRICS
        };
        let monitors = render
            .own()
            .filter(|one| ["ServiceMonitor", "PodMonitor"].contains(&one.kind()));
        for monitor in monitors.filter(|_| meets(metrics)) {
            let endpoints = ["/spec/endpoints", "/spec/podMetricsEndpoints"];
            for endpoint in endpoints.map(|place| items(&monitor.value, place)).concat() {
                seen += 1;
                if endpoint["honorLabels"] != true {
                    let (about, which) = (render.about(), monitor.about());
                    problems.push(format!("{about}: {which}: honorLabels is not true"));
                }
            }
        }
    }
    assert!(seen > 0, "no example has a monitor");
    fail_on(&problems);
}
