//! Words: what the listener says in the language of its environment.
//!
//! May import: its siblings. Invariant: where its own texts cannot be read, it is
//! taken to speak English, as it does then.
//!
//! Azure Pipelines agent: it has its texts in `bin/LANGUAGE/strings.json`, such as
//! `"ListenForJobs": "{0:u}: Listening for Jobs"`, over those of `bin/en-US`. The
//! language is that of .NET: `LC_ALL`, else `LC_MESSAGES`, else `LANG`.

use std::{ffi::OsString, fs};

use serde::Deserialize;

use super::folder::Folder;

/// What the listener says when a session or a job begins, without the time before
/// it and the job's name after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) listening: String,
    pub(super) job: String,
}

/// The texts that matter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Texts {
    listen_for_jobs: Option<String>,
    running_job: Option<String>,
}

// === impl Words ===

impl Words {
    /// Those of a listener with this environment.
    pub(super) fn of(folder: &Folder, environment: &[(OsString, OsString)]) -> Self {
        let texts = language(environment)
            .and_then(|language| {
                let path = folder
                    .root()
                    .join("bin")
                    .join(language)
                    .join("strings.json");
                let text = fs::read_to_string(path).ok()?;
                serde_json::from_str::<Texts>(text.trim_start_matches('\u{feff}')).ok()
            })
            .unwrap_or_default();
        let words = |text: Option<String>, english: &str| {
            let words = text.as_deref().and_then(fixed_part);
            words.unwrap_or(english).to_owned()
        };
        Self {
            listening: words(texts.listen_for_jobs, "Listening for Jobs"),
            job: words(texts.running_job, "Running job: "),
        }
    }
}

/// Such as `de-DE`, from `de_DE.UTF-8`.
fn language(environment: &[(OsString, OsString)]) -> Option<String> {
    let variable = |wanted: &&str| {
        let found = environment.iter().find(|(name, _)| name == *wanted);
        let value = found.and_then(|(_, value)| value.to_str());
        value.filter(|value| !value.is_empty())
    };
    let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
    let value = names.iter().find_map(variable)?;
    let name = value.split(['.', '@']).next()?.replace('_', "-");
    let plain = |part: char| part.is_ascii_alphanumeric() || part == '-';
    name.chars().all(plain).then_some(name)
}

/// The longest part of a text that no value is put into.
fn fixed_part(text: &str) -> Option<&str> {
    let parts = text.split('{').map(|part| match part.split_once('}') {
        // What stands between the time and the words.
        Some((_, after)) => after.trim_start_matches([':', ' ']),
        None => part,
    });
    parts
        .max_by_key(|part| part.len())
        .filter(|part| part.len() > 3)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_listener_is_understood_in_the_language_of_its_environment() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("bin/de-DE")).unwrap();
        let texts = "\u{feff}{\"ListenForJobs\": \"{0:u}: Auf Aufträge lauschen\", \
                     \"RunningJob\": \"{0:u}: Auftrag „{1}“ wird ausgeführt\", \"X\": [\"y\"]}";
        fs::write(root.path().join("bin/de-DE/strings.json"), texts).unwrap();
        let folder = Folder::new(root.path(), Path::new("_work"));
        let german = ("Auf Aufträge lauschen", "“ wird ausgeführt");
        let english = ("Listening for Jobs", "Running job: ");
        // variables, what it says
        let rows: [(&[(&str, &str)], _); 7] = [
            (&[], english),
            (&[("LANG", "C.UTF-8")], english),
            (&[("LANG", "xx_XX")], english),
            (&[("LANG", "../de_DE")], english),
            (&[("LANG", "de_DE.UTF-8")], german),
            (&[("LANG", "C"), ("LC_ALL", "de_DE@euro")], german),
            (&[("LANG", "de_DE"), ("LC_MESSAGES", "C")], english),
        ];
        for (variables, (listening, job)) in rows {
            let environment: Vec<_> = variables
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value)))
                .collect();
            let expected = Words {
                listening: listening.to_owned(),
                job: job.to_owned(),
            };
            assert_eq!(Words::of(&folder, &environment), expected, "{variables:?}");
        }
    }
}
