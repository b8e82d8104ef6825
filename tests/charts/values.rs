//! `values.yaml` as its readers see it: every key with the comment above it.
//!
//! A leaf is what a row of the README tells of: a scalar, a list, an empty map,
//! or a map with a comment of its own and none inside.

use serde_json::Value;

use super::chart::Chart;

/// A key of a map, at any depth.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: Vec<String>,
    pub(crate) value: Value,
    /// What the comment above it says after `# -- `.
    pub(crate) meaning: Option<String>,
}

/// Every key of the values, in the order of the file.
pub(crate) fn entries(chart: Chart) -> Vec<Entry> {
    read(&chart.read("values.yaml"), &chart.values())
}

fn read(text: &str, values: &Value) -> Vec<Entry> {
    let mut found = Vec::new();
    // The keys that are open, with their indents.
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        let inner = line.trim_start();
        if let Some(rest) = inner.strip_prefix('#') {
            comment.push(rest);
            continue;
        }
        let above = std::mem::take(&mut comment);
        let Some((key, rest)) = inner.split_once(':') else {
            continue;
        };
        if !(rest.is_empty() || rest.starts_with(' ')) {
            continue;
        }
        let indent = line.len() - inner.len();
        let mut path: Vec<(usize, String)> = open.clone();
        path.retain(|(of, _)| *of < indent);
        path.push((indent, key.trim_matches('"').to_owned()));
        let names: Vec<String> = path.iter().map(|(_, name)| name.clone()).collect();
        // A line of a text or of a list's item only looks like a key.
        let Some(value) = find(values, &names) else {
            continue;
        };
        open = path;
        found.push(Entry {
            path: names,
            value: value.clone(),
            meaning: meaning(&above),
        });
    }
    found
}

/// What is at a path through maps.
pub(crate) fn find<'a, S: AsRef<str>>(values: &'a Value, path: &[S]) -> Option<&'a Value> {
    path.iter()
        .try_fold(values, |value, name| value.as_object()?.get(name.as_ref()))
}

/// From the mark on, to the end or to an empty line of the comment.
fn meaning(comment: &[&str]) -> Option<String> {
    let start = comment.iter().rposition(|line| line.starts_with(" -- "))?;
    let lines = comment[start..].iter().map(|line| line.trim());
    let lines: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    Some(lines.join(" ").trim_start_matches("-- ").to_owned())
}

/// The entries of which the README has a row.
pub(crate) fn leaves(entries: &[Entry]) -> Vec<&Entry> {
    let mut leaves: Vec<&Entry> = Vec::new();
    for entry in entries {
        let inside = leaves.iter().any(|leaf| entry.path.starts_with(&leaf.path));
        let told_inside = entries.iter().any(|other| {
            other.meaning.is_some()
                && other.path.len() > entry.path.len()
                && other.path.starts_with(&entry.path)
        });
        let empty = entry
            .value
            .as_object()
            .is_none_or(serde_json::Map::is_empty);
        let whole = entry.meaning.is_some() && !told_inside;
        if !inside && (empty || whole) {
            leaves.push(entry);
        }
    }
    leaves
}

#[test]
fn values_are_read_with_their_comments() {
    let text = "\
# About the file.

# -- Not of this key.
#
# -- What a is
# for, in two lines.
#
# a: 2
a: 1
b:
  # -- A list
  c:
  - d: 1
  e: |
    f: 2
  # -- A map
  g:
    h: {i: 1}
";
    let values = super::chart::yaml(text).unwrap();
    let entries = read(text, &values);
    let paths: Vec<String> = entries.iter().map(|entry| entry.path.join(".")).collect();
    assert_eq!(paths, ["a", "b", "b.c", "b.e", "b.g", "b.g.h"]);
    assert_eq!(
        entries[0].meaning.as_deref(),
        Some("What a is for, in two lines.")
    );
    let leaves: Vec<String> = leaves(&entries)
        .iter()
        .map(|leaf| leaf.path.join("."))
        .collect();
    assert_eq!(leaves, ["a", "b.c", "b.e", "b.g"]);
}
