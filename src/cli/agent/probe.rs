//! `azp-agent probe`: for the kubelet.
//!
//! May import: agent's door, config. Invariant: an azp-agent that does not answer
//! is neither alive nor ready.

use std::process::ExitCode;

use jiff::Timestamp;

use crate::{
    agent::door,
    config::agent::{Ask, ProbeArgs},
};

/// Asks once; 0 is yes.
pub(super) async fn probe(args: &ProbeArgs) -> anyhow::Result<ExitCode> {
    let status = door::ask(&args.socket).await?;
    let now = Timestamp::now();
    let verdict = match args.ask {
        Ask::Live => status.live(now),
        Ask::Ready => status.ready(),
    };
    Ok(match verdict {
        Ok(reason) => {
            println!("yes: {reason}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("no: {reason}");
            ExitCode::FAILURE
        }
    })
}
