//! `azp-agent probe` and `azp-agent status`: whom they ask.
//!
//! May import: its siblings. Invariant: they need nothing but the socket, so that
//! a probe holds no secret.

use std::path::PathBuf;

/// Where `run` answers unless it is told otherwise.
pub(super) const SOCKET: &str = "/tmp/azp-agent.sock";

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ask {
    /// Must the container be started again? No, while a job runs, whatever else.
    Live,
    /// Does the agent take jobs, or run one?
    Ready,
    /// Does it answer at all? Waits up to 20 s for that. To be asked before a pod is told to stop
    /// (preStop): it heeds that from then on.
    Started,
}

/// The flags of `probe`.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeArgs {
    /// What is asked: exit code 0 says yes, 1 no, with the reason on standard error.
    #[arg(value_enum, default_value = "live")]
    pub ask: Ask,

    /// Where the running azp-agent answers.
    #[arg(long, env = "AZP_SOCKET", value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
}

/// The flags of `status`.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// As JSON, for programs.
    #[arg(long)]
    pub json: bool,

    /// Where the running azp-agent answers.
    #[arg(long, env = "AZP_SOCKET", value_name = "PATH", default_value = SOCKET)]
    pub socket: PathBuf,
}
