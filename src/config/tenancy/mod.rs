//! Tenancy: which organizations there are, which credentials the scaler holds
//! for them, and who may use which.
//!
//! May import: its siblings, domain. Invariant: what comes out fits together:
//! each credential has one rule of its name, each organization one set of
//! connection settings, and no organization stands in two spellings.
//!
//! It is read from a file, once; the files that it names are read when the
//! secret in them is needed, so that a new secret needs no restart.

mod file;
mod flags;
mod single;
mod sources;

use std::{fmt, path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

pub use self::{flags::TenancyArgs, single::DEFAULT_CREDENTIAL};
use crate::domain::{organization::OrganizationUrl, tenancy::Rules};

/// Everything that the operator allows, and what it takes to do it.
#[derive(Clone, Debug)]
pub struct TenancyConfig {
    /// Who may use what.
    pub rules: Rules,
    /// How each organization of the rules is reached, in the rules' order.
    pub connections: Vec<ConnectionConfig>,
    /// How those are reached that give out tokens; managed identities aside,
    /// which are asked on this machine.
    pub authority: ConnectionSettings,
    /// What each credential of the rules is, in the rules' order.
    pub credentials: Vec<CredentialConfig>,
    /// Organizations that say whether their parallel jobs cap the numbers.
    pub parallel_jobs: Vec<(OrganizationUrl, ParallelJobs)>,
}

/// What the parallel jobs of an organization are to the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParallelJobs {
    /// Nothing: they are not even read.
    Ignore,
    /// No number has agents for more jobs than may run.
    Cap,
}

/// How an organization is reached.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// The organization.
    pub organization: OrganizationUrl,
    /// How.
    pub settings: ConnectionSettings,
}

/// How a server is reached, where that differs from the usual.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSettings {
    /// A file in PEM form of certificate authorities that are trusted beside
    /// the system's.
    pub ca: Option<PathBuf>,
    /// The proxy; `None` for what `HTTPS_PROXY` and its like say.
    pub proxy: Option<ProxyConfig>,
    /// How long one request may take, its body included; `None` for the usual.
    pub request_timeout: Option<Duration>,
    /// How long it may take to connect; `None` for the usual.
    pub connect_timeout: Option<Duration>,
}

/// A proxy.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Where it is, without a user name or password.
    pub url: Url,
    /// The user name and password, where it wants them.
    pub login: Option<ProxyLogin>,
    /// Hosts that are reached without it, as `NO_PROXY` has them.
    pub except: Option<Box<str>>,
}

/// What a proxy wants to know.
#[derive(Clone)]
pub struct ProxyLogin {
    /// The user name.
    pub user: Box<str>,
    /// The password.
    pub password: SecretString,
}

/// A credential that the scaler holds.
#[derive(Clone, Debug)]
pub struct CredentialConfig {
    /// Its name, as its rule has it.
    pub name: Box<str>,
    /// What it is.
    pub token: TokenConfig,
}

/// Where a credential's token comes from.
#[derive(Clone, Debug)]
pub enum TokenConfig {
    /// A personal access token that stays as it is.
    Fixed(SecretString),
    /// A personal access token in a file, followed.
    File(PathBuf),
    /// Given out for an identity in Entra ID.
    Identity(IdentityConfig),
}

/// An identity in Entra ID, and how it is proven.
#[derive(Clone, Debug)]
pub enum IdentityConfig {
    /// By a token of this cluster, in a file that is read at each exchange.
    Workload {
        /// The application.
        application: Application,
        /// The file.
        token_file: PathBuf,
    },
    /// By a secret.
    Secret {
        /// The application.
        application: Application,
        /// The secret.
        secret: SecretSource,
    },
    /// By the machine that this runs on.
    Managed {
        /// The client id, where the machine has several identities.
        client_id: Option<Box<str>>,
        /// Whom to ask.
        endpoint: IdentityEndpoint,
    },
}

/// An application in Entra ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its client id.
    pub client_id: Box<str>,
    /// Its tenant, by id or domain.
    pub tenant_id: Box<str>,
    /// Who gives out tokens, such as `https://login.microsoftonline.com/`.
    pub authority: Url,
}

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// At hand.
    Fixed(SecretString),
    /// In a file, read whenever it is needed.
    File(PathBuf),
}

/// Who gives out tokens for a managed identity.
#[derive(Clone, Debug)]
pub enum IdentityEndpoint {
    /// The instance metadata service, at this base address.
    Metadata(Url),
    /// The endpoint that the platform names in `IDENTITY_ENDPOINT`.
    Platform {
        /// Its address.
        url: Url,
        /// What proves that the asker runs there (`IDENTITY_HEADER`).
        header: SecretString,
    },
}

// === impl TenancyConfig ===

impl TenancyConfig {
    /// The organizations whose numbers are capped.
    #[must_use]
    pub fn capped(&self) -> Vec<OrganizationUrl> {
        let said = self.parallel_jobs.iter();
        let capped = said.filter(|(_, parallel_jobs)| *parallel_jobs == ParallelJobs::Cap);
        capped
            .map(|(organization, _)| organization.clone())
            .collect()
    }

    /// The same, where an organization that says nothing goes by this.
    fn with_parallel_jobs(mut self, usual: ParallelJobs) -> Self {
        for organization in &self.rules.organizations {
            if !self
                .parallel_jobs
                .iter()
                .any(|(said, _)| said.is_same(organization))
            {
                self.parallel_jobs.push((organization.clone(), usual));
            }
        }
        self
    }
}

// === impl ParallelJobs ===

impl ParallelJobs {
    /// Reads the word for it.
    fn parse(word: &str) -> Result<Self, String> {
        match word {
            "ignore" => Ok(Self::Ignore),
            "cap" => Ok(Self::Cap),
            other => Err(format!("is {other:?}; write cap or ignore")),
        }
    }
}

impl fmt::Debug for ProxyLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyLogin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
