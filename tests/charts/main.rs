//! The two charts: their own suites, and what holds for whatever they render.
//!
//! Needs the programs of `make tools`, and fails without them. Asks no cluster
//! and no network. The tables of values in the READMEs are made here:
//! `UPDATE=1 cargo test --test charts readme`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod alerts;
mod chart;
mod conform;
mod laws;
mod metrics;
mod notes;
#[path = "../support/page.rs"]
mod page;
mod pods;
mod profiles;
mod programs;
mod promql;
mod readme;
mod render;
mod schema;
mod schemas;
mod suites;
mod used;
mod values;

/// Fails with all that is wrong, each on its line and once.
fn fail_on(problems: &[String]) {
    let problems: std::collections::BTreeSet<&str> = problems.iter().map(String::as_str).collect();
    let lines: Vec<&str> = problems.into_iter().collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}
