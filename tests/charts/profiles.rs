//! A profile of agents is said once: the trigger, the agents and the placeholder
//! have the same pool, organization and capabilities.

use serde_json::Value;

use super::{
    chart::{AGENT, yaml},
    fail_on,
    pods::{Pod, pods},
    render::{Document, Render, at, items, renders, text},
};

/// The value of a variable of the agent; none where it has none or it is a reference.
fn variable<'a>(pod: &Pod<'a>, name: &str) -> &'a str {
    let agent = pod.containers().find(|one| text(one, "/name") == "agent");
    let variables = agent.map_or(&[][..], |agent| items(agent, "/env"));
    let found = variables.iter().find(|one| text(one, "/name") == name);
    found.map_or("", |one| text(one, "/value"))
}

/// The pod that a scaling object starts.
fn pod_of<'a>(render: &'a Render, object: &Document) -> Option<Pod<'a>> {
    let (kind, name) = match object.kind() {
        "ScaledJob" => ("ScaledJob", object.name()),
        _ => ("Deployment", object.text("/spec/scaleTargetRef/name")),
    };
    let same = |pod: &Pod<'_>| (pod.document.kind(), pod.document.name()) == (kind, name);
    pods(render).into_iter().find(same)
}

/// The placeholders in the files of a render.
fn placeholders(render: &Render) -> Vec<Value> {
    let files = render
        .of_kind("ConfigMap")
        .map(|one| one.text("/data/placeholders.yaml"));
    let read = |text: &str| yaml(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let files = files.filter(|text| !text.is_empty()).map(read);
    files
        .flat_map(|file| items(&file, "/placeholders").to_vec())
        .collect()
}

/// What differs between a trigger, its pod and its placeholder.
fn differing(render: &Render, object: &Document, trigger: &Value, held: &[Value]) -> Vec<String> {
    let key = |name: &str| text(trigger, &format!("/metadata/{name}"));
    let mut problems = Vec::new();
    let mut same = |what: &str, one: &str, other: &str| {
        if one != other {
            problems.push(format!(
                "{what}: {one:?} in the trigger, {other:?} elsewhere"
            ));
        }
    };
    let Some(pod) = pod_of(render, object) else {
        return vec!["starts no pod".to_owned()];
    };
    same("pool", key("poolName"), variable(&pod, "AZP_POOL"));
    same(
        "organization",
        key("organizationURL"),
        variable(&pod, "AZP_URL"),
    );
    same(
        "capabilities",
        key("capabilities"),
        variable(&pod, "AZP_CAPABILITIES"),
    );
    if !key("placeholder").is_empty() {
        let own = held
            .iter()
            .find(|one| text(one, "/name") == key("placeholder"));
        let own = own.unwrap_or(&Value::Null);
        same("placeholder", key("placeholder"), text(own, "/name"));
        same(
            "pool of the placeholder",
            key("poolName"),
            text(own, "/pool"),
        );
        same(
            "capabilities of the placeholder",
            key("capabilities"),
            text(own, "/capabilities"),
        );
    }
    problems
}

#[test]
fn a_profile_is_said_once() {
    let mut problems = Vec::new();
    let mut with_placeholder = 0;
    for render in renders().iter().filter(|render| render.chart == AGENT) {
        let held = placeholders(render);
        let mut named = Vec::new();
        let objects = render
            .own()
            .filter(|one| ["ScaledObject", "ScaledJob"].contains(&one.kind()));
        for object in objects {
            for trigger in items(&object.value, "/spec/triggers") {
                named.push(text(trigger, "/metadata/placeholder"));
                let about = format!("{}: {}", render.about(), object.about());
                let found = differing(render, object, trigger, &held).into_iter();
                problems.extend(found.map(|what| format!("{about}: {what}")));
            }
        }
        with_placeholder += held.len();
        let idle = held
            .iter()
            .map(|one| text(one, "/name"))
            .filter(|name| !named.contains(name));
        problems.extend(idle.map(|name| format!("{}: no trigger names {name}", render.about())));
    }
    assert!(with_placeholder > 0, "no example has a placeholder");
    fail_on(&problems);
}

/// The number of agents is KEDA's, and a busy one is left in peace for its longest job.
#[test]
fn agents_are_scaled_by_keda_alone_and_left_in_peace() {
    let mut problems = Vec::new();
    for render in renders().iter().filter(|render| render.chart == AGENT) {
        for pod in pods(render)
            .iter()
            .filter(|pod| !variable(pod, "AZP_POOL").is_empty())
        {
            let mut say = |what: &str| {
                problems.push(format!(
                    "{}: {}: {what}",
                    render.about(),
                    pod.document.about()
                ));
            };
            if pod.document.value.pointer("/spec/replicas").is_some() {
                say("has replicas, which an upgrade would set anew");
            }
            let marks = [
                ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
                ("karpenter.sh/do-not-disrupt", "true"),
            ];
            let annotations = at(pod.metadata, "/annotations");
            let marked = marks.iter().all(|(key, value)| annotations[*key] == *value);
            if !marked && !render.chosen("evictionMarks") {
                say("lacks the marks against eviction");
            }
            let grace = at(pod.spec, "/terminationGracePeriodSeconds");
            if grace.as_u64().is_none_or(|seconds| seconds <= 120) {
                say("has no time for its job to end");
            }
        }
    }
    fail_on(&problems);
}
