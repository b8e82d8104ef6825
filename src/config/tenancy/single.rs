//! Tenancy without a file: one organization, one credential, everybody's; and
//! both together.
//!
//! May import: its siblings, domain. Invariant: a credential of one source never
//! takes the place of another's.

use super::{
    super::ConfigError, ConnectionConfig, ConnectionSettings, CredentialConfig, TenancyConfig,
    TokenConfig,
};
use crate::domain::{
    organization::OrganizationUrl,
    tenancy::{CredentialRule, Rules},
};

/// The name of the credential that `AZP_TOKEN` is.
pub const DEFAULT_CREDENTIAL: &str = "default";

// === impl TenancyConfig ===

impl TenancyConfig {
    /// One organization and a credential named [`DEFAULT_CREDENTIAL`], for every
    /// namespace and pool.
    #[must_use]
    pub fn single(organization: OrganizationUrl, token: TokenConfig) -> Self {
        let name: Box<str> = DEFAULT_CREDENTIAL.into();
        Self {
            rules: Rules {
                organizations: vec![organization.clone()],
                credentials: vec![CredentialRule {
                    name: name.clone(),
                    organizations: vec![organization.clone()],
                    namespaces: None,
                    pools: None,
                }],
                own_tokens: Vec::new(),
            },
            connections: vec![ConnectionConfig {
                organization,
                settings: ConnectionSettings::default(),
            }],
            authority: ConnectionSettings::default(),
            credentials: vec![CredentialConfig { name, token }],
            parallel_jobs: Vec::new(),
        }
    }

    /// With what another has. Where both have an organization, this one's
    /// spelling and settings stay.
    ///
    /// # Errors
    /// Where both have a credential of one name.
    pub fn merged(mut self, other: Self) -> Result<Self, ConfigError> {
        let mut problems = ConfigError::default();
        for connection in other.connections {
            let organization = &connection.organization;
            if self.spelling(organization).is_none() {
                self.rules.organizations.push(organization.clone());
                self.connections.push(connection);
            }
        }
        self.parallel_jobs.extend(other.parallel_jobs);
        for mut rule in other.rules.credentials {
            let name = &rule.name;
            if self.rules.credentials.iter().any(|own| own.name == *name) {
                let what = format!(
                    "{name:?} is taken (AZP_TOKEN is {DEFAULT_CREDENTIAL:?}); choose another"
                );
                problems.add("credentials.name", what);
            }
            for organization in &mut rule.organizations {
                if let Some(own) = self.spelling(organization) {
                    *organization = own.clone();
                }
            }
            self.rules.credentials.push(rule);
        }
        self.credentials.extend(other.credentials);
        self.rules.own_tokens.extend(other.rules.own_tokens);
        if problems.problems().is_empty() {
            return Ok(self);
        }
        Err(problems)
    }

    /// An organization as it is spelt here, where it is known.
    fn spelling(&self, organization: &OrganizationUrl) -> Option<&OrganizationUrl> {
        let mut known = self.rules.organizations.iter();
        known.find(|known| known.is_same(organization))
    }
}
