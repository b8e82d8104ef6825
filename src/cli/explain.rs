//! `azp-scaler explain`: who counts a job and why, or why nobody does.
//!
//! May import: config, its siblings. Invariants: every reason is the scaler's
//! own; exit code 0 is «here it is», 1 «the scaler knows no such thing», 2 «it
//! could not be asked».

mod words;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use super::{
    ask::{AskError, get_text, read},
    plain::Plain,
    status_page::StatusPage,
};
use crate::config::{ExplainConfig, Subject};

const NOT_FOUND: u8 = 1;
const CANNOT_ASK: u8 = 2;

/// Asks, and tells what came of it.
pub(super) async fn explain(config: &ExplainConfig) -> ExitCode {
    let answer = async {
        let text = get_text(&config.at, &config.path).await?;
        let page: StatusPage = read(&config.at, &text)?;
        Ok((text, page))
    };
    let (text, page) = match answer.await {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("azp-scaler: {}{}", Plain(&error), remedy(&error));
            return CANNOT_ASK.into();
        }
    };
    let told = match &config.subject {
        Subject::Everything => Ok(words::everything(&page)),
        Subject::Job(job) => words::job(&page, *job),
        Subject::Object(object) => words::object(&page, object),
    };
    let (shown, code) = match told {
        Ok(words) => (words, ExitCode::SUCCESS),
        Err(words) => (words, NOT_FOUND.into()),
    };
    let shown = if config.json { &text } else { &shown };
    // Whoever stops reading, as `head` does, still gets the exit code.
    let _ = writeln!(io::stdout(), "{}", shown.trim_end());
    code
}

fn remedy(error: &AskError) -> &'static str {
    match error {
        AskError::NoConnection { .. } => {
            "; bring the scaler's HTTP port here with \
             kubectl port-forward -n keda service/azp-scaler 8080, or name it by --server URL"
        }
        AskError::Broken { .. } => "; ask again",
        AskError::Refused { .. } => "; if that is no scaler's HTTP port, name it by --server URL",
        AskError::Unreadable { .. } => "; is --server the HTTP port of a scaler?",
    }
}
