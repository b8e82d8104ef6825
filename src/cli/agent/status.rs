//! `azp-agent status`: for people.
//!
//! May import: agent's door, config. Invariant: it shows what azp-agent knows,
//! and when it learnt it.

use std::{fmt::Write as _, process::ExitCode};

use jiff::Timestamp;

use crate::{
    agent::{board::Status, door},
    config::agent::StatusArgs,
};

/// Asks and shows.
pub(super) async fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let status = door::ask(&args.socket).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", words(&status, Timestamp::now()));
    }
    Ok(ExitCode::SUCCESS)
}

fn words(status: &Status, now: Timestamp) -> String {
    let ago = |at: Timestamp| format!("{} ago", age(now, at));
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    let id = status
        .agent_id
        .map(|id| format!(" ({id})"))
        .unwrap_or_default();
    line(
        "agent",
        format!("{}{id} in pool {}", status.agent, status.pool),
    );
    line("server", status.organization.clone());
    let detail = match status.detail.as_str() {
        "" => String::new(),
        detail => format!(": {detail}"),
    };
    let phase = status.phase.name();
    line(
        "phase",
        format!("{phase} for {}{detail}", age(now, status.since)),
    );
    match status.job_since {
        Some(since) => line("job", format!("runs for {}", age(now, since))),
        None => line("job", "none".to_owned()),
    }
    let session = &status.session;
    let seen = match (session.offline_since, session.seen) {
        (Some(since), _) => format!("offline, as the server has said for {}", age(now, since)),
        (None, Some(seen)) => format!("online, as was seen {}", ago(seen)),
        (None, None) => "not asked yet".to_owned(),
    };
    line("session", seen);
    if let Some(error) = &session.error {
        line("", format!("the last asking failed: {error}"));
    }
    let counts = format!(
        "{} jobs, {} crashes of the listener, {} updates since the start {}",
        status.jobs,
        status.crashes,
        status.updates,
        ago(status.started)
    );
    line("so far", counts);
    line("azp-agent", status.version.clone());
    text
}

/// Such as `12s`, `3m 4s`, `2h 5m`.
fn age(now: Timestamp, since: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}
