//! `azp-agent run`, and what its exit codes say.
//!
//! May import: app, config, telemetry, domain. Invariant: 0 says that nothing is
//! left behind, and, where the job's outcome was asked for, that it succeeded.

use std::process::ExitCode;

use crate::{
    agent::Ending,
    app,
    cli::{NO_PERMISSION, TEMPORARY, UNAVAILABLE},
    config::agent::{RunConfig, TokenPlace},
    domain::{drain::Parting, job::JobResult},
    telemetry::logs,
};

/// Azure Pipelines agent: a worker ends with 100 and the number of its result
/// (2 failed, 3 cancelled, 5 abandoned).
const FAILED: u8 = 102;
const CANCELED: u8 = 103;
const ABANDONED: u8 = 105;
/// Its outcome is not known.
const UNKNOWN: u8 = 120;

/// Runs an agent to its end.
pub(super) async fn run(
    config: RunConfig,
    early: app::agent::EarlySignals,
) -> anyhow::Result<ExitCode> {
    let stop = app::agent::stop_on_signal(&early)?;
    logs::start(&config.log, config.log_json)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        organization = %config.organization,
        pool = %config.pool,
        agent = %config.name,
        mode = ?config.mode,
        credential = ?config.token_place,
        folder = %config.home.display(),
        "azp-agent starts"
    );
    if stop.is_cancelled() {
        tracing::info!("told to stop before it had started");
    }
    warn(&config);
    let outcome_wanted = config.job_outcome;
    let ending = app::agent::run(config, stop).await?;
    let code = code(&ending, outcome_wanted);
    let reason = ending.parting.reason();
    if code == 0 {
        tracing::info!(reason, "azp-agent ends");
    } else {
        tracing::warn!(code, reason, outcome = ?ending.outcome, "azp-agent ends");
    }
    Ok(code.into())
}

fn warn(config: &RunConfig) {
    if let Some(file) = &config.secrets.readable {
        tracing::warn!(
            file = %file.path.display(),
            why = %file.why,
            "AZP_TOKEN_FILE stays where it is, so that jobs can read the token; give it by the \
             variable AZP_TOKEN from a Secret instead, which jobs cannot see"
        );
    }
    if config.token_place == TokenPlace::WorkloadIdentity {
        tracing::info!(
            "jobs can use the pod's workload identity as this process does; give it no more rights \
             than they may have"
        );
    }
    if config.organization.is_in_clear_text() {
        tracing::warn!("the token travels in clear text; give AZP_URL an https:// address");
    }
}

fn code(ending: &Ending, outcome_wanted: bool) -> u8 {
    let left = match ending.parting {
        Parting::Removed if ending.failed => 1,
        Parting::Removed => 0,
        Parting::NoAnswer => UNAVAILABLE,
        Parting::JobNotTaken => TEMPORARY,
        Parting::NoRights => NO_PERMISSION,
    };
    if !outcome_wanted || !ending.had_job {
        return left;
    }
    // What became of the job is what was asked for, above all else.
    match ending.outcome {
        Some(JobResult::Succeeded | JobResult::SucceededWithIssues | JobResult::Skipped) => left,
        Some(JobResult::Failed) => FAILED,
        Some(JobResult::Canceled) => CANCELED,
        Some(JobResult::Abandoned) => ABANDONED,
        Some(JobResult::Other) | None => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_what_is_left_and_on_request_what_became_of_the_job() {
        // parting, failed, had a job, its outcome, wanted, the code
        let succeeded = Some(JobResult::Succeeded);
        let rows = [
            (Parting::Removed, false, true, succeeded, true, 0),
            (
                Parting::Removed,
                false,
                true,
                Some(JobResult::Failed),
                true,
                102,
            ),
            (
                Parting::Removed,
                false,
                true,
                Some(JobResult::Failed),
                false,
                0,
            ),
            (
                Parting::Removed,
                false,
                true,
                Some(JobResult::Canceled),
                true,
                103,
            ),
            (
                Parting::Removed,
                false,
                true,
                Some(JobResult::Abandoned),
                true,
                105,
            ),
            (Parting::Removed, false, true, None, true, 120),
            (Parting::Removed, false, false, None, true, 0),
            (Parting::Removed, true, false, None, false, 1),
            (Parting::NoAnswer, false, true, succeeded, true, 69),
            (Parting::JobNotTaken, false, false, None, false, 75),
            (Parting::NoRights, false, false, None, false, 77),
        ];
        for (parting, failed, had_job, outcome, wanted, expected) in rows {
            let ending = Ending {
                parting,
                failed,
                had_job,
                outcome,
            };
            assert_eq!(code(&ending, wanted), expected, "{ending:?} {wanted}");
        }
    }
}
