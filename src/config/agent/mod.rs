//! `azp-agent`: its flags and variables, and what they become.
//!
//! May import: its siblings, domain. Invariant: every name that Microsoft's
//! `start.sh` reads keeps its meaning here; a secret is taken out of the
//! environment before anything else is done, see [`handover`].

mod ask;
mod clean;
mod credential;
pub mod handover;
mod home;
mod placeholder;
mod run;
#[cfg(test)]
mod tests;

pub use ask::{Ask, ProbeArgs, StatusArgs};
pub use clean::{CleanArgs, CleanConfig};
pub use credential::TokenPlace;
pub use placeholder::{PlaceholderArgs, PlaceholderConfig};
pub use run::{Mode, RunArgs, RunConfig};

use super::{ConfigError, Environment, Process};

/// The environment as it was before the secrets were taken out of it.
struct Whole<'a> {
    secrets: &'a handover::Secrets,
}

impl Environment for Whole<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.secrets
            .get(name)
            .map(str::to_owned)
            .or_else(|| Process.variable(name))
            // Kubernetes: a variable that a chart leaves blank is there and empty;
            // start.sh takes it for unset.
            .filter(|value| !value.is_empty())
    }
}
