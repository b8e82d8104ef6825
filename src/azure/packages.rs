//! Packages: which software the organization offers its agents.
//!
//! May import: its siblings, ports. Invariant: of a list the newest counts, by
//! the numbers of its version, whatever the order in which it came.

use std::path::Path;

use futures::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;
use url::Url;

use super::{Client, download::Download, record::Record, stream::shape, wire::Text};
use crate::ports::{
    ReadError,
    packages::{AgentPackage, FetchError, Fetched, Packages, Progress},
    registrations::Asked,
};

/// A list of packages may be this many bytes long; one row is half a kilobyte.
const LIST_CAP: u64 = 4 << 20;

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    value: Vec<Row<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    platform: Option<Text<'a>>,
    version: Version,
    #[serde(borrow)]
    download_url: Text<'a>,
    #[serde(borrow)]
    hash_value: Option<Text<'a>>,
    #[serde(borrow)]
    filename: Option<Text<'a>>,
}

/// Azure DevOps: members at their default value may be absent.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(default)]
#[derive(Default)]
struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Client {
    async fn read_newest(
        &self,
        platform: &str,
        record: &mut Record,
    ) -> Result<Option<AgentPackage>, ReadError> {
        // Azure DevOps: without the `$` it is no parameter, and all of them come.
        let query = [("platform", platform), ("$top", "1")];
        let asked = self.requests.get("packages/agent", &query, None, record);
        let body = asked.await?.whole(LIST_CAP).await?;
        newest(&body, platform)
    }
}

impl Packages for Client {
    fn newest<'a>(&'a self, platform: &'a str) -> BoxFuture<'a, Asked<Option<AgentPackage>>> {
        async move {
            let mut record = Record::default();
            let outcome = self.read_newest(platform, &mut record).await;
            self.told(outcome, &record).outcome
        }
        .boxed()
    }

    fn fetch<'a>(
        &'a self,
        package: &'a AgentPackage,
        into: &'a Path,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>> {
        let download = Download {
            requests: &self.requests,
            user_agent: &self.user_agent,
            cap: self.package_cap,
            package,
            into,
            progress,
        };
        download.run().boxed()
    }
}

/// The newest package of a list that is for this platform.
fn newest(body: &[u8], platform: &str) -> Result<Option<AgentPackage>, ReadError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let list: List<'_> = serde_json::from_slice(body)
        .map_err(|error| shape(&format!("it describes no packages ({error})")))?;
    let meant = |row: &Row<'_>| {
        let own = row.platform.as_deref();
        own.is_none_or(|own| own.eq_ignore_ascii_case(platform))
    };
    let rows = list.value.into_iter().filter(meant);
    let Some(row) = rows.max_by_key(|row| row.version) else {
        return Ok(None);
    };
    let Version {
        major,
        minor,
        patch,
    } = row.version;
    let version = format!("{major}.{minor}.{patch}").into();
    let url = Url::parse(&row.download_url).ok();
    let url = url.filter(|url| url.host_str().is_some());
    let url = url.ok_or_else(|| shape(&format!("package {version} has no downloadUrl")))?;
    Ok(Some(AgentPackage {
        file_name: row.filename.as_deref().unwrap_or_default().into(),
        hash: row.hash_value.as_deref().unwrap_or_default().trim().into(),
        version,
        url,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &str, expected: Result<Option<&str>, &str>) {
        let body = format!(r#"{{"count":9,"value":[{rows}]}}"#);
        match (newest(body.as_bytes(), "linux-x64"), expected) {
            (Ok(package), Ok(version)) => {
                assert_eq!(package.as_ref().map(|package| &*package.version), version);
            }
            (Err(error), Err(part)) => {
                assert_eq!(error.kind(), "unknown-shape");
                assert!(
                    error.to_string().contains(part),
                    "{part:?} is not in {error}"
                );
            }
            (got, expected) => panic!("{body}: {got:?} instead of {expected:?}"),
        }
    }

    fn row(version: &str, more: &str) -> String {
        format!(r#"{{"version":{version},"downloadUrl":"https://a.example/b.tar.gz"{more}}}"#)
    }

    #[test]
    fn the_newest_package_of_the_platform_counts() {
        let four = |minor: u32, more: &str| {
            row(&format!(r#"{{"major":4,"minor":{minor},"patch":1}}"#), more)
        };
        let (old, new) = (four(99, ""), four(260, r#","platform":"linux-x64""#));
        let other = four(300, r#","platform":"linux-arm64""#);
        check("", Ok(None));
        check(&other, Ok(None));
        check(&old, Ok(Some("4.99.1")));
        check(&[&*old, &new, &other].join(","), Ok(Some("4.260.1")));
        check(&[&*new, &old].join(","), Ok(Some("4.260.1")));
        check(
            &row(r#"{"major":5}"#, r#","hashValue":null"#),
            Ok(Some("5.0.0")),
        );
        check(r#"{"version":{"major":4}}"#, Err("downloadUrl"));
        check(
            r#"{"version":{"major":4},"downloadUrl":"b.tar.gz"}"#,
            Err("4.0.0 has no"),
        );
        check(
            r#"{"version":"4","downloadUrl":"https://a.example/"}"#,
            Err("no packages"),
        );
    }
}
