//! `values.schema.json`: it knows every value and no other, and refuses values of
//! the wrong kind, unknown ones and impossible ones.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    chart::{AGENT, CHARTS, Chart, SCALER},
    fail_on,
    render::{map, template},
    values::{Entry, entries, find, leaves},
};

struct Schema(Value);

/// Whoever brings charts together puts there what he likes.
const OPEN: &[&str] = &["global"];

// === impl Schema ===

impl Schema {
    fn of(chart: Chart) -> Schema {
        let text = chart.read("values.schema.json");
        let schema = serde_json::from_str(&text);
        Schema(schema.unwrap_or_else(|error| panic!("{}/values.schema.json: {error}", chart.name)))
    }

    /// A part of the schema, or what it refers to: alone, or as the first of what
    /// has to hold together.
    fn resolved<'a>(&'a self, mut part: &'a Value) -> &'a Value {
        let reference = |part: &'a Value| {
            let own = part["$ref"].as_str();
            own.or_else(|| part["allOf"][0]["$ref"].as_str())
        };
        while let Some(reference) = reference(part) {
            let pointer = reference.trim_start_matches('#');
            part = self
                .0
                .pointer(pointer)
                .unwrap_or_else(|| panic!("there is no {reference}"));
        }
        part
    }

    /// What it says of the value at a path, if it knows it.
    fn at(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(self.resolved(&self.0), |part, name| {
            part["properties"].get(name).map(|part| self.resolved(part))
        })
    }

    /// The types that a part allows.
    fn types<'a>(&'a self, part: &'a Value) -> BTreeSet<&'a str> {
        let part = self.resolved(part);
        let own = match &part["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let values = part["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(part.get("const"));
        let by_value = values.map(|value| match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        });
        let choices = ["allOf", "anyOf", "oneOf"]
            .iter()
            .filter_map(|key| part[*key].as_array())
            .flatten();
        let by_choice = choices.flat_map(|choice| self.types(choice));
        own.into_iter().chain(by_value).chain(by_choice).collect()
    }

    /// Maps with known keys that are open to others, wherever they are.
    fn ajar(&self, part: &Value, place: &str, found: &mut Vec<String>) {
        let closed = |part: &Value| {
            ["additionalProperties", "unevaluatedProperties"]
                .iter()
                .any(|key| part[*key] == false)
        };
        if part["properties"].is_object() && !closed(part) {
            found.push(place.to_owned());
        }
        for key in ["properties", "definitions", "$defs", "patternProperties"] {
            for (name, inner) in map(part, &format!("/{key}")) {
                if !OPEN.contains(&name.as_str()) {
                    self.ajar(inner, &format!("{place}/{name}"), found);
                }
            }
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = part.get(key) {
                self.ajar(inner, &format!("{place}/{key}"), found);
            }
        }
    }

    /// The paths of all values that it knows, down to those in `stop`.
    fn paths(&self, part: &Value, path: &[String], stop: &[&Entry], found: &mut Vec<Vec<String>>) {
        for (name, inner) in map(self.resolved(part), "/properties") {
            let path = [path, std::slice::from_ref(name)].concat();
            found.push(path.clone());
            if !stop.iter().any(|leaf| leaf.path == path) {
                self.paths(inner, &path, stop, found);
            }
        }
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let mut problems = Vec::new();
    for chart in CHARTS {
        let (schema, values, entries) = (Schema::of(chart), chart.values(), entries(chart));
        let leaves = leaves(&entries);
        let mut say = |what: String| problems.push(format!("{}: {what}", chart.name));
        for entry in &leaves {
            match schema.at(&entry.path) {
                None => say(format!("the schema does not know {}", entry.path.join("."))),
                Some(part) if schema.types(part).is_empty() => {
                    say(format!(
                        "the schema says no type of {}",
                        entry.path.join(".")
                    ));
                }
                Some(_) => {}
            }
        }
        let mut paths = Vec::new();
        schema.paths(&schema.0, &[], &leaves, &mut paths);
        for path in paths.iter().filter(|path| find(&values, path).is_none()) {
            say(format!(
                "the schema knows {}, which is not in values.yaml",
                path.join(".")
            ));
        }
        let mut ajar = Vec::new();
        schema.ajar(&schema.0, "", &mut ajar);
        ajar.into_iter()
            .for_each(|place| say(format!("the schema is open at {place:?}")));
    }
    fail_on(&problems);
}

/// A value of a type that is not among these.
fn wrong(types: &BTreeSet<&str>) -> Value {
    let candidates = [
        ("object", json!({"wrong": 1})),
        ("array", json!([1])),
        ("boolean", json!(true)),
    ];
    let free = candidates
        .into_iter()
        .find(|(name, _)| !types.contains(name));
    free.map_or_else(|| json!(1.5), |(_, value)| value)
}

/// Puts a value to a path, making the maps on the way.
fn put(values: &mut Value, path: &[String], value: Value) {
    let mut at = values;
    for name in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[name.as_str()];
    }
    *at = value;
}

/// What helm says to a chart with these values on top of its minimal example.
fn refused(chart: Chart, values: &str) -> String {
    match template(chart, &chart.minimal(), values, ("one", "ci")) {
        Ok(_) => panic!("{} takes {values}", chart.name),
        Err(said) => said,
    }
}

#[test]
fn every_value_of_a_wrong_kind_is_refused() {
    let mut problems = Vec::new();
    for chart in CHARTS {
        let (schema, entries) = (Schema::of(chart), entries(chart));
        let leaves = leaves(&entries);
        let mut values = json!({});
        for leaf in &leaves {
            if let Some(part) = schema.at(&leaf.path) {
                put(&mut values, &leaf.path, wrong(&schema.types(part)));
            }
        }
        let said = refused(chart, &values.to_string());
        for leaf in &leaves {
            let pointer = format!("'/{}", leaf.path.join("/"));
            let told = said
                .match_indices(&pointer)
                .any(|(at, _)| said[at + pointer.len()..].starts_with(['\'', '/']));
            if !told {
                problems.push(format!(
                    "{}: {} may be anything",
                    chart.name,
                    leaf.path.join(".")
                ));
            }
        }
    }
    fail_on(&problems);
}

#[test]
fn every_unknown_value_is_refused() {
    let mut problems = Vec::new();
    for chart in CHARTS {
        let (schema, entries) = (Schema::of(chart), entries(chart));
        let mut maps: Vec<Vec<String>> = entries
            .iter()
            .filter(|entry| {
                schema
                    .at(&entry.path)
                    .is_some_and(|part| part["properties"].is_object())
            })
            .map(|entry| entry.path.clone())
            .filter(|path| !OPEN.contains(&path[0].as_str()))
            .collect();
        maps.push(Vec::new());
        let mut values = json!({});
        for path in &maps {
            put(
                &mut values,
                &[path.as_slice(), &["unknownOne".to_owned()]].concat(),
                json!(1),
            );
        }
        let said = refused(chart, &values.to_string());
        for path in maps {
            let pointer = path
                .iter()
                .map(|name| format!("/{name}"))
                .collect::<String>();
            let line = format!("at '{pointer}': additional properties 'unknownOne' not allowed");
            if !said.contains(&line) {
                problems.push(format!(
                    "{}: {} may hold anything",
                    chart.name,
                    path.join(".")
                ));
            }
        }
    }
    fail_on(&problems);
}

/// Values that cannot be, and a part of what helm then says.
const IMPOSSIBLE: &[(Chart, &str, &str)] = &[
    (SCALER, "replicas: -1", "/replicas"),
    (SCALER, "replicas: 1.5", "/replicas"),
    (SCALER, "tls: {mode: clear}", "/tls/mode"),
    (SCALER, "organization: {url: contoso}", "/organization/url"),
    (
        SCALER,
        "config: {pollInterval: '5'}",
        "/config/pollInterval",
    ),
    (SCALER, "config: {maxPools: 0}", "/config/maxPools"),
    (SCALER, "config: {logFormat: xml}", "/config/logFormat"),
    (
        SCALER,
        "image: {pullPolicy: Sometimes}",
        "/image/pullPolicy",
    ),
    (SCALER, "image: {digest: 'sha256:short'}", "/image/digest"),
    (
        SCALER,
        "credentialSecrets: [{namespace: ci}]",
        "/credentialSecrets/0",
    ),
    (
        SCALER,
        "metrics: {prometheusRule: {rules: {AzpScalerDown: {for: soon}}}}",
        "/AzpScalerDown/for",
    ),
    (
        AGENT,
        "profiles: {Upper_Case: {pool: linux}}",
        "invalid propertyName 'Upper_Case'",
    ),
    (
        AGENT,
        "profiles: {linux: {pool: linux, kind: StatefulSet}}",
        "/profiles/linux/kind",
    ),
    (
        AGENT,
        "profiles: {linux: {pool: linux, unknownOne: 1}}",
        "unknownOne",
    ),
    (
        AGENT,
        "profiles: {linux: {pool: linux, max: 0}}",
        "/profiles/linux/max",
    ),
    (
        AGENT,
        "profiles: {linux: {pool: linux, min: -1}}",
        "/profiles/linux/min",
    ),
    (
        AGENT,
        "profiles: {linux: {pool: linux, longestJob: soon}}",
        "/profiles/linux/longestJob",
    ),
    (
        AGENT,
        "profiles: {linux: {pool: linux, arch: mips}}",
        "/profiles/linux/arch",
    ),
    (AGENT, "scaler: {type: cron}", "/scaler/type"),
    (AGENT, "organization: {url: contoso}", "/organization/url"),
    (AGENT, "image: {digest: 'sha256:short'}", "/image/digest"),
];

#[test]
fn what_cannot_be_is_refused() {
    let mut problems = Vec::new();
    for (chart, values, expected) in IMPOSSIBLE {
        let said = refused(*chart, values);
        if !(said.contains(expected)
            && said.contains("values don't meet the specifications of the schema"))
        {
            problems.push(format!("{}, {values}: {said}", chart.name));
        }
    }
    fail_on(&problems);
}
