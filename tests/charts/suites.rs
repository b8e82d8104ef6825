//! What the charts' own tools say of them: lint, helm-unittest, and what a package
//! of them holds.

use std::{collections::BTreeSet, ffi::OsString, fs};

use super::{
    chart::{CHARTS, alone, entries, helm, said, tool},
    fail_on,
};

#[test]
fn helm_lints_every_example() {
    let mut problems = Vec::new();
    for chart in CHARTS {
        for example in chart.examples() {
            let mut arguments: Vec<OsString> = vec!["lint".into(), "--strict".into()];
            arguments.push(chart.dir().into());
            arguments.extend(example.flags());
            let output = helm(arguments);
            if !output.status.success() {
                problems.push(format!(
                    "{}, {}: {}",
                    chart.name,
                    example.name,
                    said(&output)
                ));
            }
        }
    }
    fail_on(&problems);
}

#[test]
fn the_suites_of_the_charts_pass() {
    for chart in CHARTS {
        let suites = entries(&chart.dir().join("tests")).into_iter();
        let suites: Vec<_> = suites
            .filter(|path| path.to_string_lossy().ends_with("_test.yaml"))
            .collect();
        let texts = suites.iter().map(|path| fs::read_to_string(path).unwrap());
        let refused: usize = texts
            .map(|text| text.matches("failedTemplate:").count())
            .sum();
        assert!(
            suites.len() > 2 && refused > 4,
            "{}: {refused} refusals in {suites:?}",
            chart.name
        );
        let output = alone(tool("helm-unittest"))
            .arg("--strict")
            .arg(chart.dir())
            .output()
            .unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{}: {said}", chart.name);
        let ran = format!("{} passed, {} total", suites.len(), suites.len());
        assert!(said.contains(&ran), "not all suites ran: {said}");
    }
}

#[test]
fn a_package_holds_what_an_installation_needs() {
    for chart in CHARTS {
        let folder = tempfile::tempdir().unwrap();
        let arguments: [OsString; 4] = [
            "package".into(),
            chart.dir().into(),
            "--destination".into(),
            folder.path().into(),
        ];
        let output = helm(arguments);
        assert!(output.status.success(), "{}", said(&output));
        let archive = entries(folder.path()).remove(0);
        let unzipped = flate2::read::GzDecoder::new(fs::File::open(archive).unwrap());
        let mut archive = tar::Archive::new(unzipped);
        let files: BTreeSet<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .filter_map(|path| Some(path.split_once('/')?.1.to_owned()))
            .collect();
        for needed in [
            "Chart.yaml",
            "values.yaml",
            "values.schema.json",
            "README.md",
            "templates/NOTES.txt",
        ] {
            assert!(
                files.contains(needed),
                "{}: {needed} is not in {files:?}",
                chart.name
            );
        }
        let tests = files
            .iter()
            .filter(|file| file.starts_with("tests/") || file.starts_with("ci/"));
        assert_eq!(tests.count(), 0, "{}: {files:?}", chart.name);
    }
}
