//! Logs: one line for each thing worth knowing, on standard error.
//!
//! May import: nothing of ours. The policy, which is the invariant too:
//! - `error`: the process cannot go on, or a promise is broken. `warn`: somebody
//!   should look, and the line says at what. `info`: a change of state: a pool
//!   comes or goes, reading it begins to fail or is well again. `debug`: single
//!   requests.
//! - A failure is logged once, where it is handled, and not again while it lasts.
//! - A line can be read alone, and its fields can be queried.
//! - Never logged: tokens, hook secrets, headers, bodies, trigger values.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// These log every try; what fails is told once, by `kubernetes`. The filter can
/// name them to hear them again.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "--log: {text:?} is no filter ({cause}); write a level such as info, or azp_scaler=debug,info"
    )]
    Filter {
        /// The filter.
        text: String,
        /// What is wrong.
        cause: tracing_subscriber::filter::ParseError,
    },
    /// The process logs already.
    #[error("logging was started twice")]
    Twice,
}

/// Starts logging what the filter lets through; as JSON where that is asked for,
/// and where nothing is asked and standard error is no terminal.
///
/// # Errors
/// The filter cannot be read, or logging was started before.
pub fn start(filter: &str, json: Option<bool>) -> Result<(), LogError> {
    let terminal = stderr().is_terminal();
    let filter =
        EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|cause| LogError::Filter {
            text: filter.to_owned(),
            cause,
        })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = if json.unwrap_or(!terminal) {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(terminal).boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|_| LogError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_told_with_a_remedy() {
        let message = start("azp=loud=1", None).unwrap_err().to_string();
        assert!(
            message.contains("azp=loud=1") && message.contains("write a level"),
            "{message}"
        );
    }
}
