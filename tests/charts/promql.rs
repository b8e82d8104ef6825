//! The names in an expression of Prometheus: which metrics it reads, and by
//! which labels.
//!
//! It reads words, no grammar; whether an expression is one at all, promtool tells.

use std::collections::BTreeSet;

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Each metric, with the labels that select its series.
    pub(crate) metrics: Vec<(String, BTreeSet<String>)>,
    /// Labels of `by`, `on` and the like.
    pub(crate) labels: BTreeSet<String>,
}

/// Words that are no metrics where no parenthesis follows.
const WORDS: &[&str] = &[
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "inf",
    "nan",
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "count_values",
    "group_left",
    "group_right",
    "start",
    "end",
];

/// Words that labels follow, between parentheses.
const GROUPING: &[&str] = &[
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

pub(crate) fn names(expression: &str) -> Names {
    let mut names = Names::default();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(quote) = Some(first).filter(|c| matches!(c, '"' | '\'' | '`')) {
            rest = after(&rest[1..], quote);
        } else if first == '{' || first == '[' {
            rest = after(&rest[1..], if first == '{' { '}' } else { ']' });
        } else if first == '#' {
            rest = after(rest, '\n');
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if first.is_ascii_alphabetic() || matches!(first, '_' | ':' | '$') {
            let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$');
            let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
            let word = &rest[..end];
            rest = rest[end..].trim_start();
            let grouping = GROUPING.contains(&word);
            if grouping && rest.starts_with('(') {
                let inner = &rest[1..];
                let end = inner.find(')').unwrap_or(inner.len());
                let labels = inner[..end].split(',').map(|label| label.trim().to_owned());
                names
                    .labels
                    .extend(labels.filter(|label| !label.is_empty()));
                rest = after(inner, ')');
            } else if !(rest.starts_with('(')
                || grouping
                || WORDS.contains(&word.to_lowercase().as_str())
                || word.starts_with('$'))
            {
                names.metrics.push((word.to_owned(), matched(rest)));
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    names
}

/// The text after the first such character outside of quotes.
fn after(text: &str, end: char) -> &str {
    let mut quoted = None;
    for (at, c) in text.char_indices() {
        match quoted {
            None if c == end => return &text[at + c.len_utf8()..],
            None if c == '"' => quoted = Some(c),
            Some(quote) if c == quote => quoted = None,
            _ => {}
        }
    }
    ""
}

/// The labels between braces, where they begin here.
fn matched(text: &str) -> BTreeSet<String> {
    let Some(inner) = text.strip_prefix('{') else {
        return BTreeSet::new();
    };
    let inner = &inner[..inner.len() - after(inner, '}').len()];
    let mut labels = BTreeSet::new();
    let mut rest = inner;
    while let Some(at) = rest.find(['=', '!']) {
        labels.insert(rest[..at].trim_matches([',', ' ', '\n']).to_owned());
        let value = rest[at..].trim_start_matches(['=', '!', '~', ' ']);
        rest = value
            .strip_prefix('"')
            .map_or("", |value| after(value, '"'));
    }
    labels
}

#[test]
fn names_are_found_in_every_place() {
    let set = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    };
    let check = |expression: &str, metrics: &[(&str, &[&str])], labels: &[&str]| {
        let found = names(expression);
        let metrics: Vec<_> = metrics
            .iter()
            .map(|(name, by)| ((*name).to_owned(), set(by)))
            .collect();
        assert_eq!(
            found,
            Names {
                metrics,
                labels: set(labels)
            },
            "{expression}"
        );
    };
    check("up == 0", &[("up", &[])], &[]);
    check(
        "sum by (pool) (rate(a_total{x=\"}\", y!~\"b=c\"}[5m])) / on(pool) group_left() b > 0.5",
        &[("a_total", &["x", "y"]), ("b", &[])],
        &["pool"],
    );
    check(
        "topk(5, sum(c) without (pod)) offset 1h or vector(1e3)",
        &[("c", &[])],
        &["pod"],
    );
    check(
        "label_replace(d, \"e\", \"f\", \"g\", \"h\") # i\n> bool $j",
        &[("d", &[])],
        &[],
    );
}
