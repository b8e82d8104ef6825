//! `config.sh remove`: takes the agent out of its pool and deletes its files.
//!
//! Agent: `Configuration/ConfigurationManager.cs`, `UnconfigureAsync`. Invariant:
//! the files stay as long as the server may still have the agent.

use std::{fmt::Display, io};

use reqwest::Method;

use crate::{configure, input::Input, layout::Folder, server::ServerError, terminal::say};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("Invalid configuration provided for token. Terminating unattended configuration.")]
    NoToken,
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Files(#[from] io::Error),
}

/// Removes the agent; the exit code.
pub(crate) async fn run(folder: &Folder, input: &Input) -> i32 {
    match remove(folder, input).await {
        Ok(()) => 0,
        Err((what, failure)) => {
            say(format_args!("Failed: {what}"));
            configure::failed(&failure)
        }
    }
}

async fn remove(folder: &Folder, input: &Input) -> Result<(), (&'static str, Failure)> {
    let configured = folder.is_configured();
    let credentials = folder.has_credentials();
    let what = "Removing agent from the server";
    say(what);
    if configured && credentials {
        let there = unregister(folder, input).await;
        done(what, there.map_err(|failure| (what, failure))?);
    } else {
        say(
            "Cannot connect to server, because config files are missing. Skipping removing agent from the server.",
        );
    }
    let what = "Removing .credentials";
    say(what);
    let deleted = folder.delete_credentials();
    deleted.map_err(|error| (what, error.into()))?;
    done(what, credentials);
    let what = "Removing .agent";
    say(what);
    let deleted = folder.delete_settings();
    deleted.map_err(|error| (what, error.into()))?;
    done(what, configured);
    Ok(())
}

/// Whether the server had the agent.
async fn unregister(folder: &Folder, input: &Input) -> Result<bool, Failure> {
    if input.value("token").is_none() {
        return Err(Failure::NoToken);
    }
    let settings = folder.settings()?;
    let server = configure::server(&settings.server_url, input)?;
    let _: serde_json::Value = server.get(&["connectionData"], &[]).await?;
    let there = configure::find_agent(&server, settings.pool_id, &settings.agent_name).await?;
    let Some(agent) = there else {
        return Ok(false);
    };
    let (pool, agent) = (settings.pool_id.to_string(), agent.id.to_string());
    let path = ["distributedtask", "pools", &pool, "agents", &agent];
    server.request(Method::DELETE, &path, &[]).send().await?;
    Ok(true)
}

fn done(what: impl Display, was_there: bool) {
    if was_there {
        say(format_args!("Succeeded: {what}"));
    } else {
        say(format_args!("Does not exist. Skipping {what}"));
    }
}
