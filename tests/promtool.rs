//! What Prometheus' own tool says of a scrape.
//!
//! Needs the programs of `make tools`, and fails without them.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests fail so"
)]

mod support;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use azp_harness::Tools;

/// The text that `promtool check metrics` prints for a scrape; empty where it
/// has nothing to find fault with.
fn checked(scrape: &str) -> String {
    let tools = Tools::locate().unwrap();
    let promtool = tools
        .path("promtool")
        .unwrap_or_else(|error| panic!("{error}"));
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(scrape.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let (said, failed) = (output.stdout, output.stderr);
    let text = [said, failed].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.success(), text.is_empty(), "{text}");
    text
}

#[tokio::test]
async fn promtool_finds_no_fault_with_a_scrape() {
    let scrape = support::scrape::scrape().await.body;
    assert!(
        scrape.contains("azp_pool_queue_wait_seconds_bucket"),
        "{scrape}"
    );
    assert_eq!(checked(&scrape), "");
    // And it does find faults.
    let wrong = format!("{scrape}# TYPE azp_things counter\nazp_things 1\n");
    assert!(checked(&wrong).contains("azp_things"));
}
