//! The alerts: promtool takes them and they fire as the chart's own tests say, and
//! each leads to its runbook.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    chart::{SCALER, alone, entries, said, tool, yaml},
    fail_on, page,
    render::{Document, Render, documents, items, map, renders, template, text},
};

/// What Prometheus reads: the groups of the rules. JSON is YAML.
fn plain(rule: &Document) -> String {
    json!({"groups": rule.at("/spec/groups")}).to_string()
}

/// The chart's tests of its rules, and the values that the rules are rendered with
/// for them.
const TESTS: &str = "tests/alerts";

/// The rules as the chart's tests have them.
pub(crate) fn tested_rules() -> Document {
    let values = SCALER.read(&format!("{TESTS}/values.yaml"));
    let rendered = template(SCALER, &SCALER.minimal(), &values, ("azp-scaler", "azp"));
    let documents = documents(&rendered.unwrap_or_else(|error| panic!("{error}")));
    let mut documents = documents
        .unwrap_or_else(|error| panic!("{error}"))
        .into_iter();
    let rule = documents.find(|one| one.kind() == "PrometheusRule");
    rule.expect("the values ask for it")
}

/// All rules that alert.
fn alerts(rule: &Document) -> Vec<&Value> {
    let groups = items(&rule.value, "/spec/groups").iter();
    let rules = groups.flat_map(|group| items(group, "/rules"));
    rules.filter(|rule| rule.get("alert").is_some()).collect()
}

fn promtool(arguments: &[&str], files: &[PathBuf]) -> Result<String, String> {
    let output = alone(tool("promtool"))
        .args(arguments)
        .args(files)
        .output()
        .unwrap();
    let said = said(&output);
    if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}

#[test]
fn promtool_takes_the_rules() {
    let folder = tempfile::tempdir().unwrap();
    let rules = renders()
        .iter()
        .flat_map(|render: &Render| render.of_kind("PrometheusRule"));
    let mut files = Vec::new();
    for (number, rule) in rules.enumerate() {
        let file = folder.path().join(format!("{number}.yaml"));
        fs::write(&file, plain(rule)).unwrap();
        files.push(file);
    }
    assert!(!files.is_empty(), "no example has a PrometheusRule");
    let arguments = ["check", "rules", "--lint=all", "--lint-fatal"];
    promtool(&arguments, &files).unwrap_or_else(|said| panic!("{said}"));
    // And it finds faults.
    let wrong = folder.path().join("wrong.yaml");
    fs::write(
        &wrong,
        "groups: [{name: a, rules: [{alert: A, expr: 'sum by ('}]}]",
    )
    .unwrap();
    assert!(promtool(&arguments, &[wrong]).is_err());
}

/// The test files, beside the rules that they name.
fn laid_out(rules: &str, folder: &Path) -> Vec<(PathBuf, Value)> {
    let mut tests = Vec::new();
    for path in entries(&SCALER.dir().join(TESTS)) {
        let name = path.file_name().unwrap();
        if name == "values.yaml" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let test = yaml(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for rule_file in items(&test, "/rule_files").iter().filter_map(Value::as_str) {
            fs::write(folder.join(rule_file), rules).unwrap();
        }
        fs::write(folder.join(name), text).unwrap();
        tests.push((folder.join(name), test));
    }
    tests
}

/// What a case says of alerts: of which ones (none: of all), and which of them fire.
fn told(case: &Value) -> Option<(Option<String>, BTreeSet<String>)> {
    let of = |text: &str| {
        let (_, rest) = text.split_once("alertname=\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    if let Some(name) = case["alertname"].as_str() {
        let fires = !items(case, "/exp_alerts").is_empty();
        return Some((
            Some(name.to_owned()),
            fires.then(|| name.to_owned()).into_iter().collect(),
        ));
    }
    let expression = text(case, "/expr");
    let samples = items(case, "/exp_samples").iter();
    let firing = samples
        .filter_map(|sample| of(text(sample, "/labels")))
        .collect();
    expression
        .contains("ALERTS{")
        .then(|| (of(expression), firing))
}

/// The alerts of a test that fire in one case of it, and those of them that are
/// silent in another.
fn seen(test: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let cases = ["/alert_rule_test", "/promql_expr_test"].map(|key| items(test, key));
    let told: Vec<_> = cases.concat().iter().filter_map(told).collect();
    let fire: BTreeSet<String> = told.iter().flat_map(|(_, firing)| firing.clone()).collect();
    let silent = |name: &&String| {
        told.iter()
            .any(|(of, firing)| of.as_ref().is_none_or(|of| of == *name) && !firing.contains(*name))
    };
    let silent = fire.iter().filter(silent).cloned().collect();
    (fire, silent)
}

#[test]
fn the_alerts_fire_as_their_tests_say() {
    let folder = tempfile::tempdir().unwrap();
    let rule = tested_rules();
    let (files, tests): (Vec<_>, Vec<_>) =
        laid_out(&plain(&rule), folder.path()).into_iter().unzip();
    assert!(!files.is_empty(), "the chart has no tests of its rules");
    promtool(&["test", "rules"], &files).unwrap_or_else(|said| panic!("{said}"));

    // Each alert fires in a test, and in the same one it begins or ends.
    let (mut fire, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for test in tests.iter().flat_map(|file| items(file, "/tests")) {
        let (firing, quiet) = seen(test);
        fire.extend(firing);
        silent.extend(quiet);
    }
    let names = alerts(&rule)
        .into_iter()
        .map(|rule| text(rule, "/alert").to_owned());
    let names: BTreeSet<String> = names.collect();
    assert!(names.len() > 5, "{names:?}");
    assert_eq!(
        names, fire,
        "alerts (left), those that fire in a test (right)"
    );
    assert_eq!(
        names, silent,
        "alerts (left), those that fire and are silent in one test (right)"
    );
}

#[test]
fn every_alert_leads_to_its_runbook() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md");
    let page = fs::read_to_string(page).unwrap();
    let anchors = page::anchors(&page);
    let mut problems = Vec::new();
    let rule = tested_rules();
    for alert in alerts(&rule) {
        let name = text(alert, "/alert");
        let mut say = |what: &str| problems.push(format!("{name}: {what}"));
        let url = text(alert, "/annotations/runbook_url");
        match url.split_once("/docs/alerts.md#") {
            Some((_, anchor)) if anchors.contains(anchor) && anchor == name.to_lowercase() => {}
            _ => say(&format!(
                "its runbook {url:?} is no section of docs/alerts.md"
            )),
        }
        for key in ["summary", "description"] {
            if map(alert, "/annotations")
                .get(key)
                .is_none_or(|text| text == "")
            {
                say(&format!("has no {key}"));
            }
        }
        if !["critical", "warning", "info"].contains(&text(alert, "/labels/severity")) {
            say("has no severity");
        }
    }
    // And no section tells of an alert that is gone.
    let names: BTreeSet<&str> = alerts(&rule)
        .into_iter()
        .map(|rule| text(rule, "/alert"))
        .collect();
    let headings = page.lines().filter_map(|line| {
        Some(line.trim_start_matches('#').trim()).filter(|_| line.starts_with('#'))
    });
    let gone = headings.filter(|heading| heading.starts_with("Azp") && !names.contains(heading));
    problems.extend(gone.map(|heading| format!("docs/alerts.md: {heading} is no alert")));
    fail_on(&problems);
}

#[test]
fn every_alert_can_be_changed_and_turned_off() {
    let values = SCALER.values();
    let mut problems = Vec::new();
    let all = map(&values, "/metrics/prometheusRule/rules");
    assert!(all.len() > 5, "{all:?}");
    // Two of them mean something only with these.
    let tokens = json!([{"name": "default", "ends": "1970-01-16"}]);
    let writers = json!({"busyMarks": {"enabled": true}});
    let change = |change: Value| {
        let names = all.keys().map(|name| (name.clone(), change.clone()));
        let rules: serde_json::Map<_, _> = names.collect();
        let rule = json!({"enabled": true, "tokens": tokens, "rules": rules});
        let values = json!({"metrics": {"prometheusRule": rule}, "writers": writers}).to_string();
        let rendered = template(SCALER, &SCALER.minimal(), &values, ("one", "ci"));
        documents(&rendered.unwrap_or_else(|error| panic!("{error}"))).unwrap()
    };
    let changed = change(json!({"for": "47m", "severity": "info"}));
    let rule = changed
        .iter()
        .find(|one| one.kind() == "PrometheusRule")
        .expect("it is enabled");
    assert_eq!(alerts(rule).len(), all.len(), "alerts, and their values");
    for alert in alerts(rule) {
        if text(alert, "/for") != "47m" || text(alert, "/labels/severity") != "info" {
            problems.push(format!("cannot be changed: {alert}"));
        }
    }
    let off = change(json!({"enabled": false}));
    let left = off
        .iter()
        .filter(|one| one.kind() == "PrometheusRule")
        .flat_map(alerts);
    problems.extend(left.map(|alert| format!("cannot be turned off: {alert}")));
    fail_on(&problems);
}
