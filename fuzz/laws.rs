//! What holds for every input that comes from outside, one function for each
//! reader. The fuzz targets call them, and so does `tests/fuzz_targets.rs`, so
//! that they are run by `make test` and cannot rot.
//!
//! May import: the public names of azp-scaler. Invariant: a law that does not
//! hold panics.

#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each target calls one law; one that does not hold ends the run"
)]

use std::collections::BTreeMap;

use azp_scaler::{
    azure::decode_jobs,
    domain::{
        capability::Capabilities,
        demand::{Condition, Demand, Demands},
        organization::OrganizationUrl,
        trigger::{Trigger, keys},
    },
    http::organizations,
};

/// No message of ours is longer, whatever came in.
const LONGEST_MESSAGE: usize = 40_000;

/// What must hold of a reader, whatever it is given.
pub(crate) type Law = fn(&[u8]);

/// A reader and its name, which is also that of its corpus.
pub(crate) const LAWS: &[(&str, Law)] = &[
    ("demand", demand),
    ("metadata", metadata),
    ("decoder", decoder),
    ("hook", hook),
];

/// The demands of a job, one in each line.
pub(crate) fn demand(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.lines().collect();
    let demands = Demands::read(&lines);
    assert_eq!(
        demands.texts().count(),
        lines.len(),
        "a text was lost or added"
    );
    for demand in &demands {
        // Printing and reading are each other's inverse.
        assert_eq!(&Demand::parse(&demand.to_string()).expect("read"), demand);
        assert!(!demand.name().is_empty() && !demand.name().contains(char::is_whitespace));
        if let Some(value) = met_by(demand) {
            let mut capabilities = Capabilities::default();
            capabilities.set(demand.name(), value);
            let one = Demands::read(&[demand.text()]);
            assert!(
                capabilities.unmet(&one).is_empty(),
                "{demand} by {capabilities}"
            );
        }
    }
    // Nobody's capabilities make the comparison fail, however they are written.
    if let Ok(capabilities) = Capabilities::parse(&text) {
        assert!(capabilities.unmet(&demands).len() <= lines.len());
        assert!(capabilities.len() <= text.len());
    }
}

/// A value that meets a demand for certain.
fn met_by(demand: &Demand) -> Option<&str> {
    match demand.condition() {
        Condition::Exists => Some("1"),
        Condition::Equals(value) => Some(value.as_ref()),
        // A version meets itself.
        Condition::AtLeast(Some(_)) => {
            let (_, rest) = demand.text().trim().split_once(char::is_whitespace)?;
            let (_, value) = rest.trim_start().split_once(char::is_whitespace)?;
            Some(value.trim_start())
        }
        // Azure DevOps: a text that is no version lets any value in.
        Condition::AtLeast(None) => Some("no version"),
    }
}

/// The metadata of a trigger: `KEY=VALUE` in each line, the later of two wins.
pub(crate) fn metadata(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs: BTreeMap<&str, &str> = text
        .lines()
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .collect();
    let pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
    let read = Trigger::parse(pairs.iter().copied());

    // The order does not matter.
    assert_eq!(read, Trigger::parse(pairs.iter().rev().copied()));

    // A known key without a value is as good as no key, as in KEDA.
    let given = |&&(key, value): &&(&str, &str)| !value.is_empty() || keys::find(key).is_none();
    assert_eq!(
        read,
        Trigger::parse(pairs.iter().filter(given).copied()),
        "{pairs:?}"
    );

    let told = match &read {
        Ok(trigger) => format!("{trigger:?}"),
        Err(error) => {
            assert!(!error.problems().is_empty());
            for problem in error.problems() {
                assert!(!problem.what().is_empty(), "{}", problem.key());
            }
            let message = error.to_string();
            assert!(message.len() < LONGEST_MESSAGE, "{}", message.len());
            assert!(!message.contains('\n'), "{message}");
            format!("{error:?}")
        }
    };
    let secret = pairs
        .iter()
        .find(|(key, _)| *key == "personalAccessTokenFromEnv");
    // One that cannot be there by chance.
    if let Some((_, secret)) = secret
        && secret.len() > 15
        && text.matches(secret).count() == 1
    {
        assert!(!told.contains(secret), "{told}");
    }
}

/// A list of job requests.
pub(crate) fn decoder(data: &[u8]) {
    /// No job request is shorter.
    const SHORTEST: usize = r#"{"requestId":1}"#.len();
    match decode_jobs(data) {
        Ok(jobs) => {
            assert!(jobs.len() <= data.len() / SHORTEST, "more jobs than text");
            // White space around a list says nothing.
            let padded = [data, b" \n"].concat();
            assert_eq!(decode_jobs(&padded), Ok(jobs.clone()));
            // Another reader sees as many, where it can read the text at all.
            let listed = serde_json::from_slice::<serde_json::Value>(data).ok();
            let listed = listed.map(|whole| match whole {
                serde_json::Value::Array(listed) => listed.len(),
                whole => whole["value"].as_array().map_or(0, Vec::len),
            });
            assert!(
                listed.is_none_or(|listed| listed == jobs.len()),
                "{listed:?}, {}",
                jobs.len()
            );
        }
        Err(error) => assert!(error.to_string().len() < LONGEST_MESSAGE),
    }
}

/// The body of a service hook.
pub(crate) fn hook(data: &[u8]) {
    let organizations = organizations(data);
    assert!(organizations.len() <= 8, "{organizations:?}");
    for organization in &organizations {
        let text = organization.as_str();
        let (scheme, rest) = text.split_once("://").expect("a URL");
        // A path may hold an @; before it, somebody's name would stand.
        let host = rest.split('/').next().unwrap_or_default();
        assert!(scheme == "https" && !host.contains('@'), "{text}");
        assert_eq!(
            OrganizationUrl::parse(text).as_ref(),
            Ok(organization),
            "{text}"
        );
    }
}
