//! `azp-agent placeholder`: agents that never go online, so that jobs wait for a
//! pool that is empty.
//!
//! May import: app, agent's placeholder, config, telemetry. Invariant: 0 says that
//! the pools hold what the file says; what was done is told, also where the rest
//! was not.

use std::process::ExitCode;

use crate::{
    agent::placeholder::{Deed, Report, Undone, Wanted, WantedInPool, keep},
    app,
    cli::{NO_PERMISSION, TEMPORARY, UNAVAILABLE},
    config::agent::PlaceholderConfig,
    ports::ReadError,
    telemetry::logs,
};

/// sysexits: what was to be made cannot be made.
const CANNOT_CREATE: u8 = 73;

/// Registers what is missing, updates what differs, removes what the file no longer
/// names.
pub(super) async fn apply(config: PlaceholderConfig) -> anyhow::Result<ExitCode> {
    go(config).await
}

/// Removes all of the owner.
pub(super) async fn remove(mut config: PlaceholderConfig) -> anyhow::Result<ExitCode> {
    for (_, placeholders) in &mut config.pools {
        placeholders.clear();
    }
    go(config).await
}

async fn go(config: PlaceholderConfig) -> anyhow::Result<ExitCode> {
    logs::start("info", None)?;
    let (client, _) = app::agent::client(&config.organization, &config.token, &config.connection)?;
    let pools = config.pools.into_iter();
    let wanted = Wanted {
        owner: config.owner,
        pools: pools
            .map(|(pool, placeholders)| WantedInPool { pool, placeholders })
            .collect(),
    };
    let report = keep(&client, &wanted, config.within).await;
    Ok(told(&wanted, &report).into())
}

fn told(wanted: &Wanted, report: &Report) -> u8 {
    for done in &report.done {
        println!("{done}");
    }
    let Err(undone) = &report.outcome else {
        let others = |deed| matches!(deed, Deed::Removed | Deed::ScalerKeeps);
        let left = report.done.iter().filter(|done| !others(done.what));
        let (left, pools) = (left.count(), wanted.pools.len());
        println!("{left} placeholders of {} in {pools} pools", wanted.owner);
        return 0;
    };
    let nothing = if report.done.is_empty() {
        "; nothing was changed"
    } else {
        ""
    };
    eprintln!("azp-agent: {undone}{nothing}");
    code(undone)
}

const fn code(undone: &Undone) -> u8 {
    match undone {
        Undone::Foreign(_) | Undone::NameTaken { .. } => CANNOT_CREATE,
        Undone::InUse { .. } => TEMPORARY,
        Undone::Refused { error, .. } | Undone::NoAnswer { error, .. } => match error {
            ReadError::CredentialRejected { .. }
            | ReadError::CredentialExpired
            | ReadError::CredentialMissing { .. }
            | ReadError::AuthorityFailed { .. }
            | ReadError::Forbidden { .. } => NO_PERMISSION,
            _ if matches!(undone, Undone::NoAnswer { .. }) => UNAVAILABLE,
            _ => 1,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ports::Right;

    #[test]
    fn the_exit_code_says_who_can_mend_it() {
        let refused = |error| Undone::Refused {
            pool: "linux".into(),
            error,
        };
        let no_answer = |error| Undone::NoAnswer {
            within: Duration::from_secs(120),
            pool: "linux".into(),
            error,
        };
        let forbidden = ReadError::Forbidden {
            right: Right::Manage,
            message: "Access denied".into(),
        };
        let missing = ReadError::PoolNotFound {
            pool: "linux".into(),
        };
        let authority = ReadError::AuthorityFailed {
            authority: "login".into(),
            detail: "no".into(),
        };
        let in_use = Undone::InUse {
            pool: "linux".into(),
            name: "a".into(),
        };
        let taken = Undone::NameTaken {
            pool: "linux".into(),
            name: "a".into(),
        };
        for (undone, expected) in [
            (Undone::Foreign(Vec::new()), 73),
            (taken, 73),
            (in_use, 75),
            (refused(forbidden), 77),
            (refused(ReadError::CredentialExpired), 77),
            (no_answer(authority), 77),
            (no_answer(ReadError::Server { status: 503 }), 69),
            (refused(missing), 1),
        ] {
            assert_eq!(code(&undone), expected, "{undone}");
        }
    }
}
