//! Clients of organizations, as the configuration has them.
//!
//! May import: azure, config, ports, domain. Invariant: a credential goes to the
//! organizations of its rules alone; who may use it was decided before, and
//! what is not configured is an error and no request.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context as _;

use crate::{
    azure::{Client, ClientSettings, Credential},
    config::{ConnectionConfig, ServeConfig},
    domain::organization::OrganizationUrl,
    ports::{AgentPools, CredentialUse, Organizations, ReadError},
};

/// Makes the clients of `serve`.
pub(super) struct Clients {
    connections: Vec<ConnectionConfig>,
    credentials: HashMap<Box<str>, Credential>,
    request_timeout: std::time::Duration,
    body_cap: u64,
}

impl Clients {
    /// Sets every credential up; sends nothing.
    pub(super) fn new(config: &ServeConfig) -> anyhow::Result<Self> {
        let tenancy = &config.tenancy;
        let credentials = tenancy.credentials.iter().map(|credential| {
            let name = &credential.name;
            let made = Credential::new(&credential.token, &tenancy.authority);
            Ok((
                name.clone(),
                made.with_context(|| format!("credential {name:?}"))?,
            ))
        });
        let clients = Self {
            connections: tenancy.connections.clone(),
            credentials: credentials.collect::<anyhow::Result<_>>()?,
            request_timeout: config.request_timeout,
            body_cap: config.body_cap,
        };
        clients.try_all(config)?;
        Ok(clients)
    }

    /// A wrong file of authorities or a wrong proxy is told at the start, and not
    /// when the first trigger comes.
    fn try_all(&self, config: &ServeConfig) -> anyhow::Result<()> {
        for rule in &config.tenancy.rules.credentials {
            let credential = CredentialUse::Named(rule.name.clone());
            for organization in &rule.organizations {
                self.made(organization, &credential)
                    .with_context(|| format!("organization {organization}"))?;
            }
        }
        Ok(())
    }

    fn made(
        &self,
        organization: &OrganizationUrl,
        credential: &CredentialUse,
    ) -> Result<Client, ReadError> {
        let missing = |detail: String| ReadError::CredentialMissing {
            detail: detail.into(),
        };
        let credential = match credential {
            CredentialUse::Named(name) => self.credentials.get(name).cloned(),
            CredentialUse::Own(tokens) => Some(Credential::Held(Arc::clone(tokens))),
        };
        let credential = credential.ok_or_else(|| missing("it is not configured".to_owned()))?;
        let mut settings = ClientSettings {
            request_timeout: self.request_timeout,
            body_cap: self.body_cap,
            ..ClientSettings::new(organization.clone(), credential)
        };
        let mut connections = self.connections.iter();
        if let Some(own) = connections.find(|own| own.organization == *organization) {
            settings = settings.with(&own.settings);
        }
        Client::new(settings).map_err(|error| missing(error.to_string()))
    }
}

impl Organizations for Clients {
    fn client(
        &self,
        organization: &OrganizationUrl,
        credential: &CredentialUse,
    ) -> Result<Arc<dyn AgentPools>, ReadError> {
        Ok(Arc::new(self.made(organization, credential)?))
    }
}
