//! `azp-scaler check`: scaling objects in files, before anybody applies them.
//!
//! May import: config, domain, bounded. Invariants: it asks neither a cluster nor Azure
//! DevOps; exit code 0 is «nothing wrong», 1 «problems», 2 «not everything
//! could be read», and each is said in words as well.

mod findings;
mod object;
mod trigger;
mod yaml;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use self::{
    findings::{File, Level, Report},
    object::{Placed, Wanted, twins},
    yaml::{Broken, Place, documents},
};
use super::plain::Plain;
use crate::{
    bounded::{FileError, read_text, text_of},
    config::CheckConfig,
};

/// Manifests are far smaller, and a whole one is kept in memory.
const LARGEST: u64 = 32 << 20;

const PROBLEMS: u8 = 1;
const UNREADABLE: u8 = 2;

/// Checks the files and tells what it found.
pub(super) fn check(config: &CheckConfig) -> anyhow::Result<ExitCode> {
    let wanted = Wanted {
        address: config.address.as_ref(),
    };
    let mut report = Report::default();
    let mut placed = Vec::new();
    for path in &config.files {
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => {
                let file = File {
                    name: &name,
                    text: &text,
                };
                check_file(file, wanted, &mut report, &mut placed);
            }
            Err(error) => report.unreadable.push(format!("{name} {error}")),
        }
    }
    let text = if config.json {
        serde_json::to_string(&report)?
    } else {
        report.to_string()
    };
    // Whoever stops reading, as `head` does, still gets the exit code.
    let _ = writeln!(io::stdout(), "{text}");
    for unreadable in &report.unreadable {
        eprintln!("azp-scaler: {}", Plain(unreadable));
    }
    let problems = report.errors + if config.strict { report.warnings } else { 0 };
    Ok(if !report.unreadable.is_empty() {
        UNREADABLE.into()
    } else if problems > 0 {
        PROBLEMS.into()
    } else {
        ExitCode::SUCCESS
    })
}

fn read(path: &Path) -> Result<String, FileError> {
    if path == Path::new("-") {
        text_of(io::stdin().lock(), LARGEST)
    } else {
        read_text(path, LARGEST)
    }
}

fn check_file(file: File<'_>, wanted: Wanted<'_>, report: &mut Report, all: &mut Vec<Placed>) {
    let (documents, broken) = documents(file.text);
    let mut findings = Vec::new();
    let mut placed = Vec::new();
    for document in &documents {
        placed.extend(object::check(file, document, wanted, report, &mut findings));
    }
    findings.extend(twins(file, &placed, all));
    if let Some(Broken { at, what }) = broken {
        findings.push(match template(file.text) {
            Some(at) => file.finding(
                "",
                at,
                Level::Error,
                "{{",
                "this is a template, not YAML; render it first: helm template CHART | azp-scaler check -",
            ),
            None => {
                let what = format!("{what}; nothing after this was checked");
                file.finding("", at, Level::Error, "YAML", what)
            }
        });
    }
    report.files += 1;
    report.add(findings);
    all.append(&mut placed);
}

/// Where a file that is no YAML first shows that it was written for helm.
fn template(text: &str) -> Option<Place> {
    let mut lines = (1..).zip(text.lines());
    lines.find_map(|(line, text)| {
        let (before, _) = text.split_once("{{")?;
        let column = before.chars().count() as u64 + 1;
        Some(Place { line, column })
    })
}
