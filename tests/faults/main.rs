//! Every fault, and what comes of it: what KEDA is told, which metrics show it,
//! how many requests are spent, and that it is over once it is over. The table
//! of docs/when-azure-devops-fails.md is made from the one here.
//!
//! Each row drives the whole program: an emulated organization, the scaler that
//! reads it over HTTP, and KEDA's calls by gRPC. Invariant: nothing but a queue
//! that was seen empty makes a 0.
//!
//! To change the page, change the rows of `table` and copy what the failing
//! test prints.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod clock;
mod cluster;
mod fairness;
mod page;
mod play;
mod scrape;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::collections::BTreeSet;

use azp_scaler::{
    emulator::{AuthorityFault, FaultKind},
    ports::ReadError,
};
use tokio::{task::JoinSet, time::timeout};

use stage::LONGEST;
use table::{Breaks, Row, rows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_is_told_as_the_table_says() {
    let within = |row: Row| async move {
        let played = timeout(LONGEST, play::play(row)).await;
        assert!(played.is_ok(), "{}: it never ends", row.name);
    };
    let mut playing: JoinSet<_> = rows().into_iter().map(within).collect();
    let mut failed = 0;
    while let Some(played) = playing.join_next().await {
        // Its panic names the row.
        failed += usize::from(played.is_err());
    }
    assert_eq!(failed, 0, "rows failed; see above");
}

#[test]
fn no_fault_and_no_kind_is_missing() {
    let rows = rows();
    let has = |breaks: &Breaks| rows.iter().any(|row| row.breaks == *breaks);
    for (name, kind) in FaultKind::ALL {
        assert!(has(&Breaks::Service(kind)), "{name} has no row");
    }
    for (name, fault) in AuthorityFault::ALL {
        assert!(has(&Breaks::Authority(fault)), "{name} has no row");
    }
    let kinds: BTreeSet<&str> = rows.iter().filter_map(|row| row.kind).collect();
    assert_eq!(kinds, BTreeSet::from(ReadError::KINDS));
}
