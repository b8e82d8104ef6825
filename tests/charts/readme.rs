//! The table of values in each chart's README, made of `values.yaml`.
//!
//! `UPDATE=1 cargo test --test charts readme` writes it.

use std::fs;

use super::{
    chart::{CHARTS, Chart},
    fail_on, page,
    values::{entries, leaves},
};

const BEGIN: &str = "<!-- values:begin -->\n";
const END: &str = "<!-- values:end -->";

/// The rows, and what has no comment.
fn table(chart: Chart) -> (String, Vec<String>) {
    let (mut rows, mut untold) = (
        String::from("| Value | Default | Meaning |\n|---|---|---|\n"),
        Vec::new(),
    );
    let entries = entries(chart);
    for leaf in leaves(&entries) {
        let path = leaf.path.join(".");
        let Some(meaning) = &leaf.meaning else {
            untold.push(format!(
                "{}/values.yaml: {path} has no comment \"# -- \"",
                chart.name
            ));
            continue;
        };
        let cell = |text: &str| text.replace('|', "\\|");
        let (default, meaning) = (cell(&leaf.value.to_string()), cell(meaning));
        rows.push_str(&format!("| `{path}` | `{default}` | {meaning} |\n"));
    }
    (rows, untold)
}

#[test]
fn the_readme_has_every_value() {
    let mut problems = Vec::new();
    for chart in CHARTS {
        let (rows, untold) = table(chart);
        problems.extend(untold);
        let page = chart.read("README.md");
        let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
            let (is, after) = rest.split_once(END)?;
            Some((before, is, after))
        });
        let Some((before, is, after)) = parts else {
            problems.push(format!("{}/README.md lacks {BEGIN}and {END}", chart.name));
            continue;
        };
        if is == rows {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::write(
                chart.dir().join("README.md"),
                format!("{before}{BEGIN}{rows}{END}{after}"),
            )
            .unwrap();
        } else {
            problems.push(format!(
                "{}/README.md is not what values.yaml says; run: UPDATE=1 cargo test --test charts readme",
                chart.name
            ));
        }
    }
    fail_on(&problems);
}

#[test]
fn every_link_of_a_readme_leads_somewhere() {
    let mut problems = Vec::new();
    for chart in CHARTS {
        let text = chart.read("README.md");
        let (prose, _) = page::apart(&text);
        let links = prose
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if path.is_empty() { "README.md" } else { path };
            let target = chart.dir().join(path);
            let leads = match fs::read_to_string(&target) {
                Ok(page) => anchor.is_empty() || page::anchors(&page).contains(anchor),
                Err(_) => anchor.is_empty() && target.is_dir(),
            };
            if !leads {
                problems.push(format!("{}/README.md: {link}", chart.name));
            }
        }
    }
    fail_on(&problems);
}
