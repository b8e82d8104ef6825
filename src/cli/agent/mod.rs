//! The command line of `azp-agent`.
//!
//! May import: everything below. Invariant: the first thing that `run` does is to
//! take the secrets out of the environment; nothing else is read or started
//! before, but that signals are heeded.

mod clean;
mod placeholder;
mod probe;
mod run;
mod status;

use std::process::ExitCode;

use clap::Parser;

use super::{CONFIG, parsed};
use crate::{
    agent::memory,
    app::agent::EarlySignals,
    config::{
        ConfigError,
        agent::{
            CleanArgs, PlaceholderArgs, ProbeArgs, RunArgs, StatusArgs,
            handover::{self, HandoverError},
        },
    },
};

/// The first process of an agent's pod: it registers an Azure Pipelines agent, runs it, and leaves
/// without losing a job.
#[derive(Debug, Parser)]
#[command(
    name = "azp-agent",
    version,
    max_term_width = 100,
    after_help = "\
In the place of start.sh of an image, with the same variables:
  ENTRYPOINT [\"/usr/local/bin/azp-agent\", \"run\"]"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Register the agent, run it, and drain it when told to stop.
    Run(Box<RunArgs>),
    /// Ask the azp-agent of this container whether it lives or is ready: for probes.
    Probe(ProbeArgs),
    /// Ask the azp-agent of this container what it does: for people.
    Status(StatusArgs),
    /// List agents that were left behind in a pool, and remove them with --yes.
    Clean(CleanArgs),
    /// Keep agents registered that never go online, so that jobs wait for a pool that is empty
    /// instead of failing.
    #[command(subcommand)]
    Placeholder(PlaceholderCommand),
}

#[derive(Debug, clap::Subcommand)]
enum PlaceholderCommand {
    /// Register, update and remove the owner's placeholders until they are as the file says.
    Apply(PlaceholderArgs),
    /// Remove all placeholders of the owner in the pools of the file.
    Remove(PlaceholderArgs),
}

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    crate::azure::install_crypto_provider();
    // A probe is started with the whole environment of the container, the token
    // among it, and a job runs beside it.
    memory::shut();
    let cli = match parsed::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match command(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("azp-agent: {error:#}");
            let wrong = error.is::<ConfigError>() || error.is::<HandoverError>();
            if wrong {
                CONFIG.into()
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn command(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => {
            let early = EarlySignals::heed()?;
            // Before any thread is there: it may start this program anew.
            let secrets = match handover::take(args.token_file(), || early.told()) {
                Err(HandoverError::ToldToStop) => return Ok(ExitCode::SUCCESS),
                taken => taken?,
            };
            let config = args.resolve(&secrets)?;
            runtime()?.block_on(run::run(config, early))
        }
        Command::Probe(args) => runtime()?.block_on(probe::probe(&args)),
        Command::Status(args) => runtime()?.block_on(status::status(&args)),
        Command::Clean(args) => runtime()?.block_on(clean::clean(args.resolve()?)),
        Command::Placeholder(PlaceholderCommand::Apply(args)) => {
            runtime()?.block_on(placeholder::apply(args.resolve()?))
        }
        Command::Placeholder(PlaceholderCommand::Remove(args)) => {
            runtime()?.block_on(placeholder::remove(args.resolve()?))
        }
    }
}

/// One thread is enough: what an agent needs of a processor is for its jobs.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
