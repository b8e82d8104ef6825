//! Every value is used, and whatever a template uses is declared: by the texts of
//! the templates, so that no combination of values is left out.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    chart::{CHARTS, Chart},
    fail_on,
    values::{entries, find, leaves},
};

/// The templates without their comments, and with variables that stand for values
/// written out.
fn code(chart: Chart) -> Vec<(String, String)> {
    let without = |text: &str| {
        let mut code = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("/*") {
            code.push_str(before);
            // A pattern of file names has the same two characters.
            let comment = before.trim_end().ends_with("{{") || before.trim_end().ends_with("{{-");
            rest = if comment {
                after.split_once("*/").map_or("", |(_, after)| after)
            } else {
                after
            };
        }
        code + rest
    };
    let templates = chart.templates().into_iter();
    templates
        .map(|(name, text)| (name, written_out(without(&text))))
        .collect()
}

/// `$tls := .Values.tls` and then `$tls.mode` is `.Values.tls.mode`, until the
/// variable gets another value.
fn written_out(mut text: String) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$');
    let mut from = 0;
    while let Some(at) = text[from..].find(" := ").map(|at| from + at) {
        from = at + 4;
        let start = text[..at].rfind('$').unwrap_or(at);
        let variable = text[start..at].to_owned();
        let value: String = text[from..].chars().take_while(|c| part(*c)).collect();
        let Some((_, path)) = value.split_once(".Values") else {
            continue;
        };
        // With more behind it, it is something made of the value.
        let alone = text[from + value.len()..]
            .trim_start()
            .starts_with(['}', '-']);
        if variable.len() > 1 && variable[1..].chars().all(part) && alone {
            let rest = text.split_off(from + value.len());
            let again = rest.find(&format!("{variable} := ")).unwrap_or(rest.len());
            let (scope, after) = rest.split_at(again);
            let scope = scope.replace(&format!("{variable}."), &format!(".Values{path}."));
            text = format!("{text}{scope}{after}");
        }
    }
    text
}

/// The paths after `.Values.` in a text.
fn named(text: &str) -> BTreeSet<Vec<String>> {
    let part = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_'));
    let parts = text.split(".Values.").skip(1);
    let path = |rest: &str| {
        let path = rest
            .split(part)
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        path.split('.').map(str::to_owned).collect()
    };
    parts.map(path).collect()
}

/// Is this word a field or a key somewhere: `.word` or `"word"`?
fn appears(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let field = format!(".{word}");
    let as_field = code.match_indices(&field).any(|(at, _)| {
        let next = code[at + field.len()..].chars().next();
        !next.is_some_and(part)
    });
    as_field || code.contains(&format!("\"{word}\""))
}

#[test]
fn every_value_is_used() {
    let mut problems = Vec::new();
    for chart in CHARTS {
        let all: String = code(chart).into_iter().map(|(_, text)| text).collect();
        let named = named(&all);
        let entries = entries(chart);
        for leaf in leaves(&entries) {
            // A template names it, or a map that it is in and then the rest of
            // its path, part by part.
            let used = (1..=leaf.path.len()).any(|length| {
                let (start, rest) = leaf.path.split_at(length);
                named.contains(start)
                    && rest
                        .iter()
                        .all(|word| appears(&all, word) || listed(&all, start))
            });
            if !used {
                problems.push(format!(
                    "{}: no template uses {}",
                    chart.name,
                    leaf.path.join(".")
                ));
            }
        }
    }
    fail_on(&problems);
}

/// Does a template go through all keys of this map, print it whole, or take a key
/// that it reads elsewhere?
fn listed(code: &str, path: &[String]) -> bool {
    let name = format!(".Values.{}", path.join("."));
    code.lines().any(|line| {
        let Some((before, after)) = line.split_once(&name) else {
            return false;
        };
        let whole = !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let ways = ["range ", "toYaml ", "get "];
        whole && (ways.iter().any(|way| before.contains(way)) || after.contains("toYaml"))
    })
}

#[test]
fn whatever_is_used_is_declared() {
    let mut problems = Vec::new();
    for chart in CHARTS {
        let values = chart.values();
        let (mut names, entries) = (0, entries(chart));
        let leaves = leaves(&entries);
        // Below a map that is free, everything may be.
        let free = |path: &Vec<String>| {
            let within = |value: &Value| value.is_object() || value.is_null();
            leaves
                .iter()
                .any(|leaf| within(&leaf.value) && path.starts_with(&leaf.path))
        };
        for (template, text) in code(chart) {
            for path in named(&text) {
                names += 1;
                if find(&values, &path).is_none() && !free(&path) {
                    let path = path.join(".");
                    problems.push(format!(
                        "{}/{template}: {path} is not in values.yaml",
                        chart.name
                    ));
                }
            }
        }
        assert!(names > 20, "{}: {names}", chart.name);
    }
    fail_on(&problems);
}

#[test]
fn what_a_template_uses_is_seen() {
    let text =
        "{{ .Values.a.b | quote }}{{ with $root.Values.c }}{{ .d }}{{ get . \"e\" }}{{ end }}";
    let paths: Vec<String> = named(text).iter().map(|path| path.join(".")).collect();
    assert_eq!(paths, ["a.b", "c"]);
    assert!(appears(text, "d") && appears(text, "e") && !appears(text, "Value"));
    assert!(listed(
        "{{- range $key, $value := .Values.c }}",
        &["c".to_owned()]
    ));
    assert!(!listed("{{- range .Values.c.d }}", &["c".to_owned()]));
}
