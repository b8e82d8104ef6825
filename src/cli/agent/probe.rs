//! `azp-agent probe`: for the kubelet.
//!
//! May import: agent's door, config. Invariant: an azp-agent that does not answer
//! is neither alive nor ready.

use std::{process::ExitCode, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::{
    agent::{
        board::Status,
        door::{self, DoorError},
    },
    config::agent::{Ask, ProbeArgs},
};

/// How long an azp-agent that was just started may take until it answers, and how
/// often it is asked meanwhile.
const STARTS_WITHIN: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(50);

/// Asks once, or until it answers; 0 is yes.
pub(super) async fn probe(args: &ProbeArgs) -> anyhow::Result<ExitCode> {
    let status = match args.ask {
        Ask::Started => until_it_answers(args).await?,
        Ask::Live | Ask::Ready => door::ask(&args.socket).await?,
    };
    let now = Timestamp::now();
    let verdict = match args.ask {
        Ask::Live => status.live(now),
        Ask::Ready => status.ready(),
        Ask::Started => Ok("it heeds signals".to_owned()),
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

async fn until_it_answers(args: &ProbeArgs) -> Result<Status, DoorError> {
    let deadline = Instant::now() + STARTS_WITHIN;
    loop {
        match door::ask(&args.socket).await {
            Err(DoorError::Nobody { .. }) if Instant::now() < deadline => sleep(AGAIN).await,
            answer => return answer,
        }
    }
}
