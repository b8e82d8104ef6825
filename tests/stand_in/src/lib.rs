//! A stand-in for Microsoft's Azure Pipelines agent, for the tests.
//!
//! The real agent cannot be built here, and what depends on it (who ends whom,
//! which file lies where, which exit code means what) must be tried with real
//! processes and real signals. So this is laid out as the real one is
//! (`config.sh`, `run.sh`, `bin/Agent.Listener`, `bin/Agent.Worker`, `.agent`),
//! speaks the agent's own routes to a server, runs the shell steps of a job and
//! behaves as the real one where somebody outside can see it.
//!
//! Every such behaviour names the file of `microsoft/azure-pipelines-agent` in
//! which it was read («Agent: …»). What is smaller than in the real one:
//! a job's message carries shell texts in place of tasks, there is no RSA (the
//! modulus is a random secret that client and server compare), no encryption of
//! messages, no container, no plug-in host.
//!
//! For tests: [`install`] lays a folder out, [`package`] makes the archive that
//! an update downloads, [`binary`] finds the built program.

mod built;
mod capabilities;
mod channel;
mod configure;
mod diag;
mod dispatcher;
mod environment;
mod feed;
mod input;
mod install;
mod job_folder;
mod layout;
mod listener;
mod logging_command;
mod orphans;
mod pace;
mod program;
mod remove;
mod renewal;
mod server;
mod session;
mod step;
mod terminal;
mod token;

mod update;
mod wire;
mod worker;

pub use built::{Error, binary, install, package};
pub use install::VERSION;
pub use program::main;
