//! `azp-agent clean`: its flags and what they become.
//!
//! May import: its siblings, domain. Invariant: nothing is removed unless it is
//! asked for; the rule's defaults are the careful ones.

use std::time::Duration;

use super::{
    ConfigError, Environment, Process, Whole, credential,
    credential::Names,
    handover::{SECRETS, Secrets},
    run::organization,
};
use crate::{
    config::{ConnectionSettings, TokenConfig, quantity},
    domain::organization::OrganizationUrl,
};

/// The flags of `clean`.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap prints these comments as they are"
)]
pub struct CleanArgs {
    /// The organization or collection.
    #[arg(long, env = "AZP_URL", value_name = "URL")]
    url: Option<String>,

    /// The agent pool.
    #[arg(long, env = "AZP_POOL", value_name = "NAME", default_value = "Default")]
    pool: String,

    /// Only agents whose names begin so.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    name_prefix: String,

    /// Only agents of this namespace. Unset: of any, as long as azp-agent registered them.
    #[arg(long, value_name = "NAMESPACE")]
    owner: Option<String>,

    /// Only agents that have been offline for so long.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    offline_for: String,

    /// Remove them. Without it they are only listed.
    #[arg(long)]
    yes: bool,

    /// The client id of an application in Entra ID; its secret comes by AZP_CLIENTSECRET.
    #[arg(long, env = "AZP_CLIENTID", value_name = "ID")]
    client_id: Option<String>,

    /// The tenant of that application.
    #[arg(long, env = "AZP_TENANTID", value_name = "ID")]
    tenant_id: Option<String>,

    /// Certificate authorities (PEM) that are trusted beside the system's.
    #[arg(long, env = "AZP_CA", value_name = "PATH")]
    ca: Option<std::path::PathBuf>,
}

/// What `clean` needs to know.
#[derive(Clone, Debug)]
pub struct CleanConfig {
    /// The organization or collection.
    pub organization: OrganizationUrl,
    /// The agent pool's name.
    pub pool: Box<str>,
    /// The credential.
    pub token: TokenConfig,
    /// How the organization is reached.
    pub connection: ConnectionSettings,
    /// Names begin so.
    pub name_prefix: String,
    /// The namespace that they are of.
    pub owner: Option<String>,
    /// They have been offline for so long.
    pub offline_for: Duration,
    /// Are they removed?
    pub remove: bool,
}

// === impl CleanArgs ===

impl CleanArgs {
    /// Checks everything, and reads the secrets.
    ///
    /// # Errors
    /// Every problem at once, each with its flag or variable and a remedy.
    pub fn resolve(self) -> Result<CleanConfig, ConfigError> {
        let mut problems = ConfigError::default();
        let secrets = Secrets::of(SECRETS, &Process);
        let environment = Whole { secrets: &secrets };
        let config = self.read(&environment, &secrets, &mut problems);
        match config {
            Some(config) if problems.problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }

    fn read(
        self,
        environment: &impl Environment,
        secrets: &Secrets,
        problems: &mut ConfigError,
    ) -> Option<CleanConfig> {
        let organization = organization(self.url, problems);
        let names = Names {
            client: self.client_id,
            tenant: self.tenant_id,
        };
        let token = match environment.variable("AZP_TOKEN_FILE") {
            // No job runs here, so that the file can stay.
            Some(file) if names.client.is_none() => Some(TokenConfig::File(file.into())),
            _ => credential::read(&names, secrets, environment, problems).map(|(_, token)| token),
        };
        let bounds = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
        let offline_for = quantity::duration(&self.offline_for, bounds);
        let offline_for = problems.take("--offline-for", offline_for);
        Some(CleanConfig {
            organization: organization?,
            pool: self.pool.into(),
            token: token?,
            connection: ConnectionSettings {
                ca: self.ca,
                ..ConnectionSettings::default()
            },
            name_prefix: self.name_prefix,
            owner: self.owner,
            offline_for: offline_for?,
            remove: self.yes,
        })
    }
}
