//! The command line of `azp-scaler`.
//!
//! May import: everything below. Invariant: what a user did wrong is told with
//! its remedy and ends with the exit code that sysexits has for it.

pub mod agent;
mod ask;
mod check;
mod demo;
mod emulator;
mod explain;
mod plain;
mod probe;
mod serve;
mod status_page;

use std::process::ExitCode;

use clap::Parser;

use crate::config::{
    CheckArgs, ConfigError, DemoArgs, EmulatorArgs, ExplainArgs, ProbeArgs, ServeArgs,
};

/// sysexits: the command line is wrong.
const USAGE: u8 = 64;
/// sysexits: a service is not there.
const UNAVAILABLE: u8 = 69;
/// sysexits: a failure that may pass.
const TEMPORARY: u8 = 75;
/// sysexits: not permitted.
const NO_PERMISSION: u8 = 77;
/// sysexits: the configuration is wrong.
const CONFIG: u8 = 78;

/// The right number of self-hosted Azure Pipelines agents, for KEDA.
#[derive(Debug, Parser)]
#[command(
    name = "azp-scaler",
    version,
    max_term_width = 100,
    after_help = "\
See it work, without an account or a cluster:
  azp-scaler demo"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Answer KEDA: how many agents each scaling object needs, and why.
    Serve(Box<ServeArgs>),
    /// An Azure DevOps organization in memory, to try a set-up against.
    Emulator(EmulatorArgs),
    /// A working day of jobs in two minutes, with the scaler's reasons.
    Demo(DemoArgs),
    /// Ask a running scaler who counts a job, or why an object has its number.
    Explain(ExplainArgs),
    /// Check scaling objects in files, without a cluster.
    Check(CheckArgs),
    /// Ask a scaler over gRPC whether it serves KEDA, as KEDA would reach it.
    Probe(ProbeArgs),
}

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    // First of all, so that no library chooses one by itself.
    crate::azure::install_crypto_provider();
    let cli = match parsed::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match run(cli.command) {
        Ok(code) => code,
        Err(error) if error.is::<ConfigError>() => {
            eprintln!("azp-scaler: {error}");
            CONFIG.into()
        }
        Err(error) => {
            eprintln!("azp-scaler: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The arguments of this process; where they are wrong, or help was asked for, it
/// is said, and this is the exit code.
fn parsed<C: Parser>() -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| {
        // The text goes to standard output for --help, else to standard
        // error; there is nobody to tell when that fails.
        let _ = error.print();
        if error.use_stderr() {
            USAGE.into()
        } else {
            ExitCode::SUCCESS
        }
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match command {
        Command::Serve(args) => runtime.block_on(serve::serve(args.resolve()?))?,
        Command::Emulator(args) => runtime.block_on(emulator::emulator(args.resolve()?))?,
        Command::Demo(args) => runtime.block_on(demo::demo(args.resolve()))?,
        Command::Explain(args) => {
            let config = args.resolve()?;
            return Ok(runtime.block_on(explain::explain(&config)));
        }
        Command::Check(args) => return check::check(&args.resolve()?),
        Command::Probe(args) => {
            let config = args.resolve()?;
            return Ok(runtime.block_on(probe::probe(&config)));
        }
    }
    Ok(ExitCode::SUCCESS)
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
