//! The list accounts for everything: every number, every test, every row of the
//! page.

use std::{collections::BTreeSet, fs, path::Path};

use super::list::{Kept, Pain, Part, SECTIONS};

/// How many pains were found.
const PAINS: usize = 84;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn pains() -> impl Iterator<Item = &'static Pain> {
    SECTIONS.iter().flat_map(|(_, pains)| *pains)
}

#[test]
fn every_number_is_there_once() {
    let numbers: Vec<usize> = pains().map(|pain| pain.number).collect();
    assert_eq!(numbers, (1..=PAINS).collect::<Vec<_>>());
}

#[test]
fn every_test_that_is_named_is_a_test() {
    for pain in pains() {
        let Kept::By(test) = pain.kept else { continue };
        let (file, name) = parts(test);
        let text = read(file);
        let found = ["{", "-> Outcome {"]
            .iter()
            .find_map(|rest| text.split_once(&format!("fn {name}() {rest}")));
        let (before, _) = found.unwrap_or_else(|| panic!("{}: no {test}", pain.number));
        let attribute = before
            .lines()
            .rev()
            .find(|line| line.trim().starts_with("#["));
        let attribute = attribute.expect("an attribute");
        assert!(
            attribute.contains("test"),
            "{}: {test} is no test",
            pain.number
        );
    }
}

/// `tests/charts` runs all of `charts/CHART/tests/*_test.yaml` and nothing else.
#[test]
fn every_test_of_a_suite_that_is_named_is_in_it() {
    for pain in pains() {
        let Kept::Suite(test) = pain.kept else {
            continue;
        };
        let (file, name) = parts(test);
        let folders: Vec<&str> = file.split('/').collect();
        let is_run =
            matches!(folders[..], ["charts", _, "tests", name] if name.ends_with("_test.yaml"));
        assert!(is_run, "{}: nobody runs {file}", pain.number);
        let line = format!("- it: {name}");
        let text = read(file);
        let found = text.lines().filter(|found| *found == line).count();
        assert_eq!(found, 1, "{}: {test}", pain.number);
    }
}

#[test]
fn every_scenario_keeps_a_pain() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pains");
    let mut scenarios = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !entry.file_type().unwrap().is_file() {
            continue;
        }
        let file = format!("tests/pains/{name}");
        let text = read(&file);
        let tests = text.split("#[tokio::test]\nasync fn ").skip(1);
        scenarios.extend(tests.map(|rest| format!("{file}::{}", rest.split('(').next().unwrap())));
    }
    assert!(scenarios.len() > 10, "{scenarios:?}");
    let kept = pains().filter_map(|pain| match pain.kept {
        Kept::By(test) => Some(test.to_owned()),
        _ => None,
    });
    let kept: BTreeSet<String> = kept.collect();
    let idle: Vec<_> = scenarios.difference(&kept).collect();
    assert!(idle.is_empty(), "no pain is kept by {idle:?}");
}

/// The file and the name of a test.
fn parts(test: &str) -> (&str, &str) {
    test.split_once("::").expect("FILE::NAME")
}

/// A thread or page as a link.
fn link(told_in: &str) -> String {
    if let Some(page) = told_in.strip_prefix("https://") {
        let host = page.split('/').next().unwrap();
        return format!("[{host}]({told_in})");
    }
    let (repository, number) = told_in.split_once('#').expect("OWNER/REPOSITORY#NUMBER");
    let (_, name) = repository.split_once('/').expect("OWNER/REPOSITORY#NUMBER");
    format!("[{name}#{number}](https://github.com/{repository}/issues/{number})")
}

fn kept(kept: Kept) -> String {
    match kept {
        Kept::By(test) => {
            let (file, name) = parts(test);
            format!("[`{name}`](../{file})")
        }
        Kept::Suite(test) => {
            let (file, name) = parts(test);
            let text = read(file);
            let of = text
                .lines()
                .next()
                .and_then(|line| line.strip_prefix("suite: "));
            format!("[{}: {name}](../{file})", of.expect("a suite's name"))
        }
        Kept::Later(part) => later(part).to_owned(),
        Kept::Partly(part, so_far) => format!("{}; so far: {so_far}", later(part)),
        Kept::Pending(what) => format!("not yet: {what}"),
    }
}

fn later(part: Part) -> &'static str {
    match part {
        Part::Agent => "later, by the agent",
        Part::Chart => "later, by the charts",
        Part::Guard => "later, by the guard",
    }
}

#[test]
fn the_page_is_the_list() {
    let mut expected = Vec::new();
    for (title, pains) in SECTIONS {
        expected.push(format!("## {title}"));
        expected.push("| # | Pain | Told in | Kept away by |".to_owned());
        expected.push("|---|---|---|---|".to_owned());
        expected.extend(pains.iter().map(|pain| {
            let told_in: Vec<String> = pain.told_in.iter().map(|place| link(place)).collect();
            let (number, what) = (pain.number, pain.what);
            format!(
                "| {number} | {what} | {} | {} |",
                told_in.join(", "),
                kept(pain.kept)
            )
        }));
    }
    let page = read("docs/pains.md");
    let (_, rows) = page
        .split_once("<!-- pains:begin -->")
        .expect("the list begins");
    let found: Vec<&str> = rows.lines().filter(|line| !line.is_empty()).collect();
    let printed = expected.join("\n").replace("\n##", "\n\n##");
    let printed = printed.replace("\n| #", "\n\n| #");
    assert!(
        found == expected,
        "copy this below the mark of docs/pains.md:\n\n{printed}\n"
    );
}
