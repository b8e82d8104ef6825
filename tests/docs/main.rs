//! What the documentation says of the code, compared with the code.
//!
//! To change a table that is made here, change its cases and copy what the failing
//! test prints over the rows of the page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod agent;
mod numbers;
#[path = "../support/page.rs"]
mod page;
mod pages;
mod tenancy;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use azp_scaler::{
    domain::{
        notice::TABLE,
        trigger::keys::{KEYS, Origin},
    },
    ports::ReadError,
};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between the marks `NAME:begin` and `NAME:end` of a page.
fn part(page: &str, name: &str) -> String {
    let text = read(page);
    let (_, rest) = text
        .split_once(&format!("<!-- {name}:begin -->"))
        .unwrap_or_else(|| panic!("{page} has no {name}"));
    let end = format!("<!-- {name}:end -->");
    let (part, _) = rest.split_once(&end).expect("what begins also ends");
    part.to_owned()
}

/// A table of a page is just this.
fn check_table(page: &str, name: &str, expected: &[String]) {
    let part = part(page, name);
    let rows: Vec<&str> = part
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(
        rows,
        expected,
        "\nthe table {name} of {page} should be:\n{}\n",
        expected.join("\n")
    );
}

#[test]
fn the_readme_has_every_trigger_key() {
    let mut expected = vec![
        "| Key | Whose | Default | Meaning |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    expected.extend(KEYS.iter().map(|key| {
        let whose = match key.origin {
            Origin::AzurePipelines => "KEDA",
            Origin::Own => "ours",
            Origin::Connection => "connection",
        };
        format!(
            "| `{}` | {whose} | {} | {} |",
            key.name, key.default, key.meaning
        )
    }));
    check_table("README.md", "keys", &expected);
}

#[test]
fn every_assumption_in_the_code_is_listed_and_no_other() {
    let mut marked = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<PathBuf> = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (_, rest) in text
                .match_indices("ASSUMPTION(")
                .map(|(at, mark)| text.split_at(at + mark.len()))
            {
                marked.insert(rest.split(')').next().unwrap().to_owned());
            }
        }
    }
    let listed: BTreeSet<String> = read("docs/assumptions.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert!(!marked.is_empty());
    assert_eq!(
        marked, listed,
        "marks in the code (left), rows of docs/assumptions.md (right)"
    );
}

#[test]
fn every_flag_of_serve_is_documented_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_azp-scaler"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut flags = flags(&help);
    flags.remove("--help");
    assert!(flags.len() > 10, "{help}");
    let page = read("docs/configuration.md");
    let rows: String = page
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .collect();
    assert_eq!(
        flags,
        self::flags(&rows),
        "flags of the program (left), rows of the page (right)"
    );
}

fn flags(text: &str) -> BTreeSet<String> {
    let part = |c: char| !(c.is_ascii_lowercase() || c == '-');
    let words = text
        .split(part)
        .filter(|word| word.starts_with("--") && word.len() > 2);
    words.map(str::to_owned).collect()
}

#[test]
fn every_kind_of_failure_is_documented() {
    let page = read("docs/when-azure-devops-fails.md");
    for kind in ReadError::KINDS {
        assert!(
            page.contains(&format!("`{kind}`")),
            "{kind} is not on the page"
        );
    }
}

#[test]
fn the_page_about_events_has_every_code() {
    let mut expected = vec![
        "| Code | Type | What it means | What to do |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    expected.extend(TABLE.iter().map(|facts| {
        let kind = if facts.is_warning {
            "Warning"
        } else {
            "Normal"
        };
        let (name, meaning, remedy) = (facts.name, facts.meaning, facts.remedy);
        format!("| `{name}` | {kind} | {meaning} | {remedy} |")
    }));
    check_table("docs/events.md", "events", &expected);
}
