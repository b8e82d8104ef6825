//! The metrics: what a scrape prints, the table in the code and the page in the
//! documentation are the same.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail so")]

mod support;

use std::collections::BTreeMap;

use azp_scaler::{
    ports::ReadError,
    telemetry::{
        agent::{AGENT_METRICS, AgentFigures},
        descriptions::{Description, METRICS},
        metrics::{HookOutcome, TlsOutcome, WriteOutcome, Writer},
    },
};
use support::scrape::scrape;

#[tokio::test]
async fn a_scrape_holds_what_the_scaler_knows_by_name() {
    let reply = scrape().await;
    let lines: Vec<_> = reply.body.lines().collect();
    for line in [
        r#"azp_pool_jobs{organization="contoso",pool="linux",state="assigned"} 1"#,
        r#"azp_pool_jobs_unclaimed{organization="contoso",pool="linux",reason="demands"} 7"#,
        r#"azp_pool_queue_wait_seconds_bucket{organization="contoso",pool="linux",le="30"} 0"#,
        r#"azp_pool_queue_wait_seconds_bucket{organization="contoso",pool="linux",le="60"} 1"#,
        r#"azp_pool_queue_wait_seconds_sum{organization="contoso",pool="new"} 42"#,
        r#"azp_scaling_object_jobs{namespace="ci",pool="linux",scaling_object="java",state="queued"} 4"#,
        r#"azp_watchers{of="lookup"} 3"#,
        "azp_cluster_unseen_seconds 7.5",
        r#"azp_credential_valid{credential="default",organization="contoso"} 0"#,
        r#"azp_credential_expiry_timestamp_seconds{credential="default",organization="contoso"} 1800000000"#,
        r#"azp_azure_rate_limit_remaining{credential="default",organization="contoso"} 12.5"#,
        r#"azp_pool_snapshot_age_seconds{organization="contoso",pool="linux"} 1.5"#,
        r#"azp_pool_failures_in_a_row{organization="contoso",pool="new"} 4"#,
        r#"azp_scaling_object_number{namespace="ci",pool="linux",scaling_object="java"} 5"#,
    ] {
        assert!(lines.contains(&line), "no {line} in\n{}", reply.body);
    }
    // What has not been read is unknown, not 0.
    let unknown = |line: &&str| {
        line.contains(r#"scaling_object="go""#)
            || line.contains("untried")
            || (line.contains(r#"pool="new""#)
                && !line.contains("failures")
                && !line.contains("queue_wait"))
    };
    assert_eq!(lines.iter().copied().find(|line| unknown(line)), None);
    assert!(
        reply.head.contains("text/plain; version=0.0.4"),
        "{}",
        reply.head
    );
}

/// Name, kind and labels of everything in a scrape.
fn printed(scrape: &str) -> BTreeMap<String, (String, Vec<String>, String)> {
    let mut metrics = BTreeMap::new();
    let mut helps = BTreeMap::new();
    for line in scrape.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            helps.insert(name.to_owned(), help.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            let entry = (kind.to_owned(), Vec::new(), helps[name].clone());
            metrics.insert(name.to_owned(), entry);
        } else {
            let Some((sample, labels)) = line.split_once('{') else {
                continue;
            };
            let (labels, _) = labels.rsplit_once('}').unwrap();
            let names = labels
                .split(',')
                .map(|label| label.split_once('=').unwrap().0);
            let mut names: Vec<_> = names
                .filter(|name| *name != "le")
                .map(str::to_owned)
                .collect();
            names.sort();
            let own = metrics
                .iter_mut()
                .rfind(|(name, _)| sample.starts_with(name.as_str()));
            own.expect("a type before its samples").1.1 = names;
        }
    }
    metrics
}

#[tokio::test]
async fn the_table_of_metrics_is_what_a_scrape_prints() {
    let printed = printed(&scrape().await.body);
    assert_eq!(printed, described(METRICS));
}

#[test]
fn the_table_of_an_agents_metrics_is_what_its_scrape_prints() {
    let text = azp_scaler::telemetry::agent::scrape(&AgentFigures {
        pool: "linux",
        agent: "linux-7hq2p",
        phases: &[("listening", true), ("working", false)],
        job_seconds: Some(1.5),
        jobs: 1,
        crashes: 2,
        updates: 3,
        online: Some(true),
    });
    assert_eq!(printed(&text), described(AGENT_METRICS), "{text}");
}

/// The same of a table in the code.
fn described(table: &[Description]) -> BTreeMap<String, (String, Vec<String>, String)> {
    table
        .iter()
        .map(|metric| {
            let mut labels: Vec<_> = metric
                .labels
                .iter()
                .map(|&label| label.to_owned())
                .collect();
            labels.sort();
            let kind = metric.kind.as_str().to_owned();
            (
                metric.name.to_owned(),
                (kind, labels, metric.help.to_owned()),
            )
        })
        .collect()
}

#[test]
fn the_page_of_metrics_shows_the_table() {
    let page = include_str!("../docs/metrics.md");
    for table in [METRICS, AGENT_METRICS] {
        let table = rows(table);
        assert!(
            page.contains(&table),
            "docs/metrics.md should hold:\n{table}"
        );
    }
    for outcome in HookOutcome::ALL {
        let name = format!("`{}`", outcome.as_str());
        assert!(
            page.contains(&name),
            "docs/metrics.md should explain {name}"
        );
    }
    for outcome in TlsOutcome::ALL {
        let name = format!("`{}`", outcome.as_str());
        assert!(
            page.contains(&name),
            "docs/metrics.md should explain {name}"
        );
    }
    let writers = Writer::ALL.iter().map(|writer| writer.as_str());
    let outcomes = WriteOutcome::ALL.iter().map(|outcome| outcome.as_str());
    for name in writers.chain(outcomes) {
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/metrics.md should explain `{name}`"
        );
    }
    for kind in ReadError::KINDS {
        assert!(
            page.contains(&format!("`{kind}`")),
            "docs/metrics.md should name `{kind}`"
        );
    }
}

/// The rows of a table, as the page has them.
fn rows(table: &[Description]) -> String {
    let row = |metric: &Description| {
        let labels = metric.labels.iter().map(|label| format!("`{label}`"));
        let labels: Vec<_> = labels.collect();
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
        format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(" "))
    };
    table.iter().map(row).collect()
}
