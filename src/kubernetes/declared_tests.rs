//! What is read of a scaling object, and what of it is news.
//!
//! May import: its siblings, domain. Invariant: objects are given as the
//! apiserver sends them, in JSON.

use serde_json::{Value, json};

use super::*;

fn job(namespace: &str, name: &str, spec: Value) -> Seen {
    let mut spec = spec;
    let trigger = json!([{"type": "external", "metadata": {"poolName": "k8s"}}]);
    spec.as_object_mut()
        .unwrap()
        .entry("triggers")
        .or_insert(trigger);
    let row = json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec});
    seen_job(&serde_json::from_value(row).unwrap())
}

#[track_caller]
fn check_strategy(strategy: &Value, expected: Strategy) {
    let seen = job("ci", "a", json!({"scalingStrategy": strategy}));
    assert_eq!(seen.known.unwrap().declared.strategy, expected);
}

#[test]
fn a_strategy_is_read_as_keda_reads_it() {
    check_strategy(&json!({}), Strategy::Default);
    check_strategy(&json!({"strategy": "accurate"}), Strategy::Accurate);
    check_strategy(&json!({"strategy": "Accurate"}), Strategy::Default);
    check_strategy(&json!({"strategy": "eager"}), Strategy::Eager);
    check_strategy(&json!({"strategy": "custom"}), Strategy::Default);
    let custom = json!({"strategy": "custom", "customScalingRunningJobPercentage": "0.5"});
    check_strategy(&custom, Strategy::Custom);
}

#[test]
fn limits_are_kedas_where_they_are_not_given() {
    for (spec, expected) in [
        (json!({}), (0, 100)),
        (json!({"minReplicaCount": 2, "maxReplicaCount": 7}), (2, 7)),
        (
            json!({"minReplicaCount": -1, "maxReplicaCount": 1_i64 << 40}),
            (0, u32::MAX),
        ),
    ] {
        let declared = job("ci", "a", spec).known.unwrap().declared;
        assert_eq!((declared.min_agents, declared.max_agents), expected);
    }
}

#[test]
fn a_pause_is_read_as_keda_reads_it() {
    let replicas = "autoscaling.keda.sh/paused-replicas";
    let check = |annotations: Value, object: bool, job: bool| {
        let trigger = json!([{"type": "external", "metadata": {}}]);
        let shown = annotations.to_string();
        let metadata = json!({"namespace": "ci", "name": "a", "annotations": annotations});
        let row = json!({"metadata": metadata, "spec": {"triggers": trigger}});
        let seen = [
            seen_object(&serde_json::from_value(row.clone()).unwrap()),
            seen_job(&serde_json::from_value(row).unwrap()),
        ];
        let paused = seen.map(|seen| seen.known.unwrap().declared.paused);
        assert_eq!(paused, [object, job], "{shown}");
    };
    check(json!(null), false, false);
    check(
        json!({"autoscaling.keda.sh/paused-scale-out": "true"}),
        false,
        false,
    );
    for (word, paused) in [
        ("true", true),
        ("1", true),
        ("", true),
        ("no", true),
        ("false", false),
        ("False", false),
        ("0", false),
        ("fALSE", true),
    ] {
        check(json!({ PAUSED: word }), paused, paused);
    }
    check(json!({ PAUSED_REPLICAS: "3" }), true, false);
    check(json!({ replicas: "many", PAUSED: "false" }), true, false);
}

#[test]
fn what_is_being_deleted_is_declared_no_more() {
    let row = |metadata: Value| {
        let trigger = json!([{"type": "external", "metadata": {}}]);
        let row = json!({"metadata": metadata, "spec": {"triggers": trigger}});
        seen_job(&serde_json::from_value(row).unwrap())
    };
    assert!(row(json!({"name": "a"})).known.is_some());
    let going = json!({"name": "a", "deletionTimestamp": "2026-01-02T03:04:05Z"});
    assert!(row(going).known.is_none());
}

#[test]
fn jobs_of_another_scaler_are_not_wanted() {
    let settings = |addresses: &[&str]| Settings {
        addresses: addresses.iter().map(|text| (*text).into()).collect(),
        ..Settings::default()
    };
    let own = settings(&["azp-scaler.keda:9090"]);
    for (address, ours) in [
        ("azp-scaler.keda:9090", true),
        ("azp-scaler.keda.svc.cluster.local:9090", true),
        ("azp-scaler.other:9090", false),
    ] {
        let metadata = json!({"scalerAddress": address});
        let triggers = json!([{"type": "external", "metadata": metadata}]);
        let declared = job("ci", "a", json!({"triggers": triggers}));
        let declared = declared.known.unwrap().declared;
        assert_eq!(own.may_be_ours(&declared), ours, "{address}");
        assert!(settings(&[]).may_be_ours(&declared), "{address}");
    }
}

#[test]
fn only_changes_that_matter_are_news() {
    let jobs: List = (Some("ci".into()), Kind::ScaledJob);
    let others: List = (Some("web".into()), Kind::ScaledJob);
    let plain = || job("ci", "a", json!({}));
    let edited = || job("ci", "a", json!({"maxReplicaCount": 5}));
    let foreign = || job("ci", "b", json!({"triggers": [{"type": "cron"}]}));
    let mut objects = Objects {
        awaited: [jobs.clone(), others.clone()].into(),
        ..Objects::default()
    };
    let mut check = |list: &List, change, news| {
        let shown = format!("{change:?}");
        assert_eq!(objects.take(list, change), news, "{shown}");
    };
    check(&jobs, Change::All(vec![plain(), foreign()]), false);
    check(&others, Change::All(vec![job("web", "a", json!({}))]), true);
    check(&jobs, Change::Is(plain()), false);
    check(&jobs, Change::Is(foreign()), false);
    check(&jobs, Change::Is(edited()), true);
    check(&jobs, Change::All(vec![edited()]), false);
    check(&jobs, Change::Gone(foreign()), false);
    check(&jobs, Change::All(vec![]), true);
    check(&others, Change::Gone(job("web", "a", json!({}))), true);
    assert!(objects.known.is_empty());
}

#[test]
fn a_deployment_is_raised_only_where_the_number_alone_says_how_far() {
    let check = |spec: Value, annotations: Value, expected: (Option<&str>, bool)| {
        let mut spec = spec;
        let trigger = json!([{"type": "external", "metadata": {}}]);
        spec.as_object_mut()
            .unwrap()
            .entry("triggers")
            .or_insert(trigger);
        let metadata = json!({"namespace": "ci", "name": "a", "annotations": annotations});
        let row = json!({"metadata": metadata, "spec": spec});
        let declared = seen_object(&serde_json::from_value(row).unwrap())
            .known
            .unwrap()
            .declared;
        let got = (declared.deployment.as_deref(), declared.scaling_out_paused);
        assert_eq!(got, expected, "{spec} {annotations}");
    };
    let target = json!({"name": "agents"});
    check(
        json!({"scaleTargetRef": target}),
        json!({}),
        (Some("agents"), false),
    );
    let full = json!({"name": "agents", "kind": "Deployment", "apiVersion": "apps/v1"});
    check(
        json!({"scaleTargetRef": full}),
        json!({}),
        (Some("agents"), false),
    );
    let other = json!({"name": "agents", "kind": "StatefulSet", "apiVersion": "apps/v1"});
    check(json!({"scaleTargetRef": other}), json!({}), (None, false));
    let formula = json!({"scalingModifiers": {"formula": "a + 1"}});
    check(
        json!({"scaleTargetRef": target, "advanced": formula}),
        json!({}),
        (None, false),
    );
    let value = json!([{"type": "external", "metricType": "Value", "metadata": {}}]);
    check(
        json!({"scaleTargetRef": target, "triggers": value}),
        json!({}),
        (None, false),
    );
    let paused = json!({"autoscaling.keda.sh/paused-scale-out": "true"});
    check(
        json!({"scaleTargetRef": target}),
        paused,
        (Some("agents"), true),
    );
}
