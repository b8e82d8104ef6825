//! `azp-agent clean`: agents that were left behind in a pool.
//!
//! May import: app, config. Invariant: nothing is removed without `--yes`.

use std::process::ExitCode;

use crate::config::agent::CleanConfig;

/// Lists them, and removes them where that was asked for.
pub(super) async fn clean(config: CleanConfig) -> anyhow::Result<ExitCode> {
    let _ = config;
    anyhow::bail!("not built yet")
}
