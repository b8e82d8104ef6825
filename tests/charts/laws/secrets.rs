//! Secret text stands in Secrets and nowhere else.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    chart::yaml,
    render::{Render, map, texts},
};

/// Keys of a Secret that hold what everybody may see.
const PUBLIC: &[&str] = &["ca.crt", "tls.crt"];

/// Keys of values that hold a secret where they hold text.
const INLINE: &[&str] = &[
    "token",
    "secret",
    "clientSecret",
    "password",
    "personalAccessToken",
];

/// Shorter ones are found everywhere.
const SHORTEST: usize = 6;

/// Every secret of a render: whose it is, and its text.
pub(crate) fn secrets(render: &Render) -> Vec<(String, String)> {
    let mut secrets: Vec<(String, String)> = Vec::new();
    for secret in render.of_kind("Secret") {
        for place in ["/stringData", "/data"] {
            for (key, value) in map(&secret.value, place) {
                let Some(text) = value.as_str().filter(|_| !PUBLIC.contains(&key.as_str())) else {
                    continue;
                };
                let text = match place {
                    "/stringData" => text.to_owned(),
                    _ => String::from_utf8_lossy(&BASE64_STANDARD.decode(text).unwrap_or_default())
                        .into_owned(),
                };
                secrets.push((format!("{} of Secret {}", &place[1..], secret.name()), text));
            }
        }
    }
    for (path, text) in &render.example.files {
        let values = yaml(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        inline(&values, &mut secrets);
    }
    secrets.retain(|(_, text)| text.len() >= SHORTEST);
    secrets
}

pub(super) fn nowhere_else(render: &Render) -> Vec<String> {
    let secrets = secrets(render);
    let mut problems = Vec::new();
    for document in render.documents.iter().filter(|one| one.kind() != "Secret") {
        for (whose, text) in &secrets {
            if texts(&document.value)
                .iter()
                .any(|one| one.contains(text.as_str()))
            {
                problems.push(format!("{} shows {whose}", document.about()));
            }
        }
    }
    problems
}

/// Gathers the secrets that stand in values.
fn inline(values: &Value, secrets: &mut Vec<(String, String)>) {
    let inner: Vec<(&str, &Value)> = match values {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect(),
        Value::Array(items) => items.iter().map(|value| ("", value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        match value.as_str() {
            Some(text) if INLINE.contains(&key) => {
                secrets.push((format!("value {key}"), text.to_owned()));
            }
            _ => inline(value, secrets),
        }
    }
}
