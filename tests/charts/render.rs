//! What helm makes of a chart and its values: documents, and how to ask them.
//!
//! Invariant: every document of a render is here, in helm's order, and one that
//! cannot be read fails the test.

use std::{ffi::OsString, fs, sync::LazyLock};

use serde_json::{Map, Value};

use super::chart::{CHARTS, Chart, Example, helm, said, yaml};

/// One document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// The template that it came from.
    pub(crate) source: String,
    pub(crate) value: Value,
}

/// A chart with values, under one release.
#[derive(Clone, Debug)]
pub(crate) struct Render {
    pub(crate) chart: Chart,
    pub(crate) example: Example,
    pub(crate) release: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) documents: Vec<Document>,
    /// As helm printed it.
    pub(crate) text: String,
}

/// The releases of each example: two in one namespace, and one of them in another
/// namespace too. A fourth has the longest name that the chart takes.
const RELEASES: [(&str, &str); 3] = [("one", "ci"), ("two", "ci"), ("one", "elsewhere")];

const SHORTER: &str = "write a shorter name or a shorter fullnameOverride";

/// Every chart with every example under every release.
pub(crate) fn renders() -> &'static [Render] {
    static ALL: LazyLock<Result<Vec<Render>, String>> = LazyLock::new(|| {
        // Two at a time.
        let charts = std::thread::scope(|scope| {
            let threads = CHARTS.map(|chart| scope.spawn(move || every(chart)));
            threads.map(|thread| thread.join().unwrap())
        });
        let (mut renders, mut problems) = (Vec::new(), Vec::new());
        for render in charts.into_iter().flatten() {
            match render {
                Ok(render) => renders.push(render),
                Err(problem) => problems.push(problem),
            }
        }
        match problems.is_empty() {
            true => Ok(renders),
            false => Err(problems.join("\n")),
        }
    });
    ALL.as_ref().unwrap_or_else(|problems| panic!("{problems}"))
}

fn every(chart: Chart) -> Vec<Result<Render, String>> {
    let releases = RELEASES.into_iter().chain([(chart.longest, "ci")]);
    let releases: Vec<_> = releases.collect();
    let examples = chart.examples().into_iter();
    let all = examples.flat_map(|example| {
        releases
            .iter()
            .map(move |release| (example.clone(), *release))
    });
    all.filter_map(|(example, release)| {
        let render = Render::new(chart, &example, release);
        // A chart may have less room for the longest name than helm, and says so.
        let refused = release.0 == chart.longest
            && render
                .as_ref()
                .is_err_and(|problem| problem.contains(SHORTER));
        (!refused).then_some(render)
    })
    .collect()
}

/// What helm says to a chart with values on top of an example.
pub(crate) fn template(
    chart: Chart,
    example: &Example,
    values: &str,
    release: (&str, &str),
) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), values).unwrap();
    let (release, namespace) = release;
    let mut arguments: Vec<OsString> = ["template", release, "--namespace", namespace]
        .map(Into::into)
        .into();
    arguments.push(chart.dir().into());
    arguments.extend(example.flags());
    arguments.extend(["--values".into(), file.path().into()]);
    let output = helm(arguments);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(said(&output))
    }
}

/// The documents of what helm printed.
pub(crate) fn documents(text: &str) -> Result<Vec<Document>, String> {
    let mut documents = Vec::new();
    // Within a document every such line is indented.
    for part in format!("\n{text}").split("\n---\n") {
        let source = part
            .lines()
            .find_map(|line| line.strip_prefix("# Source: "));
        let source = source.unwrap_or_default().to_owned();
        let value = yaml(part).map_err(|error| format!("{source}: {error}\n{part}"))?;
        if !value.is_null() {
            documents.push(Document { source, value });
        }
    }
    Ok(documents)
}

// === impl Render ===

impl Render {
    fn new(
        chart: Chart,
        example: &Example,
        (release, namespace): (&'static str, &'static str),
    ) -> Result<Render, String> {
        let about = |error| format!("{} with {}: {error}", chart.name, example.name);
        let text = template(chart, example, "{}", (release, namespace)).map_err(about)?;
        let documents = documents(&text).map_err(about)?;
        let example = example.clone();
        Ok(Render {
            chart,
            example,
            release,
            namespace,
            documents,
            text,
        })
    }

    /// How a problem in it begins.
    pub(crate) fn about(&self) -> String {
        let (chart, example) = (self.chart.name, &self.example.name);
        let (release, namespace) = (self.release, self.namespace);
        format!("{chart}, {example}, release {release} in {namespace}")
    }

    /// The documents that the chart itself wrote.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(|document| !document.extra())
    }

    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Document> {
        self.documents
            .iter()
            .filter(move |document| document.kind() == kind)
    }

    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Document> {
        self.of_kind(kind)
            .find(|document| document.name() == name && (document.namespace_in(self) == namespace))
    }

    /// Is this word one of the example's, chosen by whoever wrote it?
    pub(crate) fn chosen(&self, word: &str) -> bool {
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let mut texts = self.example.files.iter().map(|(_, text)| text);
        texts.any(|text| text.split(|c| !part(c)).any(|one| one == word))
    }
}

// === impl Document ===

/// Kinds that have no namespace.
const CLUSTER_WIDE: &[&str] = &[
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTriggerAuthentication",
    "ClusterIssuer",
    "PriorityClass",
    "Namespace",
];

impl Document {
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(crate) fn cluster_wide(&self) -> bool {
        CLUSTER_WIDE.contains(&self.kind())
    }

    /// Its namespace, empty where it has none.
    pub(crate) fn namespace_in<'a>(&'a self, render: &'a Render) -> &'a str {
        match self.text("/metadata/namespace") {
            _ if self.cluster_wide() => "",
            "" => render.namespace,
            namespace => namespace,
        }
    }

    /// Is it one of `extraObjects`, which are not the chart's?
    pub(crate) fn extra(&self) -> bool {
        self.source.contains("extra")
    }

    /// How a problem in it begins.
    pub(crate) fn about(&self) -> String {
        format!("{} {} ({})", self.kind(), self.name(), self.source)
    }

    pub(crate) fn at(&self, pointer: &str) -> &Value {
        at(&self.value, pointer)
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        text(&self.value, pointer)
    }
}

/// What is there, or null.
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The text there, or none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).as_str().unwrap_or_default()
}

/// The items there, or none.
pub(crate) fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).as_array().map_or(&[], Vec::as_slice)
}

/// The map there, or an empty one.
pub(crate) fn map<'a>(value: &'a Value, pointer: &str) -> &'a Map<String, Value> {
    static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
    at(value, pointer).as_object().unwrap_or(&EMPTY)
}

/// Every text in a value, keys aside.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
