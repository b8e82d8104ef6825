//! The guard on a cluster in memory, with paused time.
//!
//! May import: the guard, ports. Invariant: the cluster holds what was written and
//! counts it, so that a write too many is seen.

mod field;
mod histories;
mod leading;
mod lease;
mod marking;
mod owners;
mod placeholder_failures;
mod placeholders;
mod raising;
mod reaper;
mod telling;
mod world;

use std::time::Duration;

use tokio::time::sleep;

pub(super) async fn pass(seconds: u64) {
    for _ in 0..seconds * 4 {
        sleep(Duration::from_millis(250)).await;
    }
}
