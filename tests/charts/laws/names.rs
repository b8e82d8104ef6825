//! Names of objects: such that Kubernetes takes them, and such that releases
//! do not take them from each other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::render::{Document, Render, map};

/// The longest label, and the longest name of what becomes a host's name or a label.
const LABEL: usize = 63;
const NAME: usize = 253;

/// Kinds whose name goes into a label or a host's name.
const SHORT: &[&str] = &[
    "Service",
    "Job",
    "Pod",
    "Deployment",
    "StatefulSet",
    "ScaledJob",
    "ScaledObject",
];

pub(super) fn valid(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for document in &render.documents {
        let name = document.name();
        let most = if SHORT.contains(&document.kind()) {
            LABEL
        } else {
            NAME
        };
        // Those of roles go into no path of a host or a file.
        let colon = document.kind().contains("Role");
        let part = |c: char| {
            c.is_ascii_lowercase()
                || c.is_ascii_digit()
                || matches!(c, '-' | '.')
                || colon && c == ':'
        };
        let ends =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let right =
            name.chars().all(part) && ends(name.chars().next()) && ends(name.chars().last());
        if !right || name.len() > most {
            problems.push(format!(
                "{}: the name cannot be: {} characters",
                document.about(),
                name.len()
            ));
        }
        problems.extend(
            labels(&document.value)
                .into_iter()
                .map(|what| format!("{}: {what}", document.about())),
        );
    }
    problems
}

/// What is wrong with labels, wherever in a document they are.
fn labels(value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for place in ["/metadata/labels", "/matchLabels"] {
        for (key, value) in map(value, place) {
            let Some(text) = value.as_str() else {
                problems.push(format!("label {key} is {value}, no text"));
                continue;
            };
            let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
            let right =
                text.chars().all(part) && ends(text.chars().next()) && ends(text.chars().last());
            if !right || text.len() > LABEL {
                problems.push(format!("label {key} cannot be {text}"));
            }
        }
    }
    let inner: Vec<&Value> = match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    problems.extend(inner.into_iter().flat_map(labels));
    problems
}

/// Names that pipelines and their pods know, and that a value changes: helm refuses
/// the second release that would make them.
const FIXED: &[(&str, &str)] = &[("ConfigMap", "awsconfig"), ("ConfigMap", "docker-config")];

/// What tells objects of a cluster apart.
fn identity<'a>(render: &'a Render, document: &'a Document) -> (&'a str, &'a str, &'a str) {
    (
        document.kind(),
        document.namespace_in(render),
        document.name(),
    )
}

pub(super) fn once(render: &Render) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let again = render
        .documents
        .iter()
        .filter(|document| !seen.insert(identity(render, document)));
    again
        .map(|document| format!("{} is there twice", document.about()))
        .collect()
}

/// Objects that two renders would both make, though neither's values name them.
///
/// Of one name in two namespaces, only roles of the whole cluster are compared: what
/// else lies outside of a release's namespace has its name from the values, or helm
/// says whose it is.
pub(super) fn shared(one: &Render, other: &Render) -> Vec<String> {
    let named = |render: &Render| render.chosen("fullnameOverride");
    if named(one) || named(other) {
        return Vec::new();
    }
    let of_other: BTreeSet<_> = other
        .own()
        .map(|document| identity(other, document))
        .collect();
    let far = one.namespace != other.namespace;
    let mut both = Vec::new();
    for identity in one.own().map(|document| identity(one, document)) {
        let (kind, namespace, name) = identity;
        let compared = !far || kind.starts_with("ClusterRole");
        let free = one.chosen(name) || FIXED.contains(&(kind, name));
        if compared && !free && of_other.contains(&identity) {
            let (about, with) = (one.about(), other.about());
            both.push(format!(
                "{about}, and {with}: both make {kind} {name} in {namespace:?}"
            ));
        }
    }
    both
}
