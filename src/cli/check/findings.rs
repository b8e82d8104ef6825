//! What a check found: lines for people, one object for machines.
//!
//! May import: its siblings. Invariant: the order is that of the files and of
//! the places in them, so that the same files give the same output.

use std::fmt;

use serde::Serialize;

use super::yaml::Place;
use crate::cli::plain::Plain;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Kubernetes, KEDA or the scaler refuses it, or the number is wrong.
    Error,
    /// It works, and not as it was most likely meant.
    Warning,
    /// Worth knowing.
    Notice,
}

/// One thing that was found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) level: Level,
    /// The scaling object, as `NAMESPACE/NAME`; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) object: String,
    /// A key of the trigger's metadata, or the way to a member of the manifest.
    pub(super) key: String,
    /// What is wrong with it and what to write instead.
    pub(super) what: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) files: usize,
    pub(super) scaling_objects: usize,
    pub(super) triggers: usize,
    /// External triggers that are somebody else's.
    pub(super) other_triggers: usize,
    /// Documents that are no scaling objects.
    pub(super) other_documents: usize,
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) notices: usize,
    pub(super) findings: Vec<Finding>,
    /// Files that could not be read, each with the reason.
    pub(super) unreadable: Vec<String>,
}

/// A file, in which things are found.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

// === impl Level ===

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        })
    }
}

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, .. } = self;
        let Self {
            level, key, what, ..
        } = self;
        write!(f, "{}:{line}:{column}: {level}: {key}: {what}", self.file)
    }
}

// === impl File ===

impl File<'_> {
    pub(super) fn finding(
        self,
        object: &str,
        at: Place,
        level: Level,
        key: impl Into<String>,
        what: impl Into<String>,
    ) -> Finding {
        Finding {
            file: self.name.to_owned(),
            line: at.line,
            column: at.column,
            level,
            object: object.to_owned(),
            key: key.into(),
            what: what.into(),
        }
    }
}

// === impl Report ===

impl Report {
    /// Takes the findings of one file, by place.
    pub(super) fn add(&mut self, mut findings: Vec<Finding>) {
        findings.sort_by_key(|finding| (finding.line, finding.column, finding.level));
        for finding in findings {
            *match finding.level {
                Level::Error => &mut self.errors,
                Level::Warning => &mut self.warnings,
                Level::Notice => &mut self.notices,
            } += 1;
            self.findings.push(finding);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{}", Plain(finding))?;
        }
        write!(
            f,
            "{} with {} in {}: {}, {}, {}",
            count(self.scaling_objects, "scaling object"),
            count(self.triggers, "trigger"),
            count(self.files, "file"),
            count(self.errors, "error"),
            count(self.warnings, "warning"),
            count(self.notices, "notice"),
        )?;
        let passed_over = [
            (self.other_triggers, "external trigger"),
            (self.other_documents, "other document"),
        ];
        let passed_over: Vec<_> = passed_over
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| count(number, what))
            .collect();
        if !passed_over.is_empty() {
            write!(f, "; passed over: {}", passed_over.join(", "))?;
        }
        Ok(())
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
