//! `azp-agent clean`: agents that were left behind in a pool.
//!
//! May import: app, agent's clean, config, domain. Invariant: nothing is removed
//! without `--yes`; 0 says that all was done that was to be done.

use std::{fmt::Write as _, process::ExitCode};

use jiff::Timestamp;

use crate::{
    agent::clean::{Fate, Report, clean as clean_pool},
    app,
    config::agent::CleanConfig,
    domain::{leftover::LeftoverRule, pool::PoolRef},
};

/// Lists them, and removes them where that was asked for.
pub(super) async fn clean(config: CleanConfig) -> anyhow::Result<ExitCode> {
    let (client, _) = app::agent::client(&config.organization, &config.token, &config.connection)?;
    let rule = LeftoverRule {
        owner: config.owner.map(Into::into),
        name_prefix: config.name_prefix.into(),
        offline_for: config.offline_for,
    };
    let pool = PoolRef::Name(config.pool);
    let now = Timestamp::now();
    let report = clean_pool(&client, &pool, &rule, now, !config.remove).await?;
    print!("{}", words(&report));
    if let Some(error) = &report.stopped {
        eprintln!("azp-agent: went no further: {error}");
    }
    Ok(if report.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn words(report: &Report) -> String {
    let mut text = String::new();
    let mut leftovers = 0;
    for agent in &report.agents {
        if agent.fate == Fate::WouldBeRemoved {
            leftovers += 1;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} ({}): {agent}", agent.name, agent.id);
    }
    let count = report.agents.len();
    let _ = match leftovers {
        0 => writeln!(text, "{count} agents in the pool"),
        _ => writeln!(
            text,
            "{count} agents in the pool, {leftovers} left behind: add --yes to remove them"
        ),
    };
    text
}
