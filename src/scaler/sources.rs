//! Sources: which organization and credential a trigger is read with.
//!
//! May import: pools, ports, domain, telemetry. Invariant: a source is made only
//! after the rules of tenancy have granted it, and those who hold the same
//! credential share it; a token of a trigger's own is shown to nobody.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use futures::future::{self, BoxFuture, FutureExt as _};
use secrecy::SecretString;

use super::answer::Unanswered;
use crate::{
    domain::{
        organization::OrganizationUrl,
        tenancy::{Grant, Holder, Rules},
        trigger::Trigger,
    },
    pools::{Quota, Source, SourceId, SourceSettings},
    ports::{Cluster, CredentialUse, Organizations, ReadError, SecretRef, Tokens},
    telemetry::metrics::Metrics,
};

/// Where pools may be read from.
pub struct Sources {
    rules: Rules,
    organizations: Arc<dyn Organizations>,
    cluster: Option<Arc<dyn Cluster>>,
    settings: SourceSettings,
    metrics: Arc<Metrics>,
    /// Held by the triggers that may use them.
    sources: Mutex<HashMap<SourceId, Weak<Source>>>,
    /// The one that is there without a trigger.
    single: Option<Arc<Source>>,
    /// What the service has asked of each credential. Azure DevOps: limits the
    /// rate of an identity, whichever pool or organization it asks for.
    quotas: Mutex<HashMap<Box<str>, Weak<Quota>>>,
    /// Organizations whose parallel jobs cap the numbers.
    capped: Vec<OrganizationUrl>,
    /// Keys the hash by which tokens are told apart, so that it says nothing.
    hasher: RandomState,
}

/// What [`Sources`] are made of.
pub struct SourceParts {
    /// Who may use what.
    pub rules: Rules,
    /// Makes clients.
    pub organizations: Arc<dyn Organizations>,
    /// Knows the Secrets, where there is a cluster.
    pub cluster: Option<Arc<dyn Cluster>>,
    /// How sources are read.
    pub settings: SourceSettings,
    /// Counts the requests.
    pub metrics: Arc<Metrics>,
}

/// Who asks, and with what in hand.
pub(super) struct Asking<'a> {
    pub(super) namespace: &'a str,
    pub(super) trigger: &'a Trigger,
    /// The token that came along.
    pub(super) token: Option<&'a str>,
    /// Did it come over TLS?
    pub(super) encrypted: bool,
}

/// A token that came with a trigger.
struct Given(SecretString);

// === impl Sources ===

impl Sources {
    /// No source yet; nothing is sent.
    #[must_use]
    pub fn new(parts: SourceParts) -> Self {
        let SourceParts {
            rules,
            organizations,
            cluster,
            settings,
            metrics,
        } = parts;
        Self {
            rules,
            organizations,
            cluster,
            settings,
            metrics,
            sources: Mutex::default(),
            single: None,
            quotas: Mutex::default(),
            capped: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// The same, where the numbers of these organizations are capped by their
    /// parallel jobs.
    #[must_use]
    pub fn with_capped(mut self, organizations: Vec<OrganizationUrl>) -> Self {
        self.capped = organizations;
        self
    }

    /// A single source that every trigger of its organization may use.
    #[cfg(test)]
    pub(super) fn single(source: Arc<Source>) -> Self {
        let organization = source.organization().clone();
        let rule = crate::domain::tenancy::CredentialRule {
            name: source.id().credential.clone(),
            organizations: vec![organization.clone()],
            namespaces: None,
            pools: None,
        };
        let mut sources = Self::new(SourceParts {
            rules: Rules {
                organizations: vec![organization],
                credentials: vec![rule],
                own_tokens: Vec::new(),
            },
            organizations: Arc::new(Nowhere),
            cluster: None,
            settings: source.settings(),
            metrics: Arc::default(),
        });
        sources.single = Some(source);
        sources
    }

    /// The rules by which sources are granted.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The source that a trigger may use.
    ///
    /// # Errors
    /// The rule that stands against it. Nothing was sent.
    pub(super) fn source(&self, asking: &Asking<'_>) -> Result<Arc<Source>, Unanswered> {
        let Asking {
            namespace,
            trigger,
            token,
            encrypted,
        } = *asking;
        let grant = self.rules.grant(namespace, trigger, encrypted)?;
        let id = SourceId {
            credential: self.credential_name(namespace, &grant, token),
            organization: grant.organization.clone(),
        };
        if let Some(source) = self.known(&id) {
            return Ok(source);
        }
        let credential = self.credential(namespace, &grant, token)?;
        let api = self
            .organizations
            .client(&grant.organization, &credential)
            .map_err(Unanswered::Credential)?;
        let quota = self.quota(&id.credential);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have been quicker; then that one is it.
        if let Some(source) = sources.get(&id).and_then(Weak::upgrade) {
            return Ok(source);
        }
        sources.retain(|_, source| source.strong_count() > 0);
        let metrics = Arc::clone(&self.metrics);
        let mut source = Source::new(id.clone(), api, self.settings, metrics).with_quota(quota);
        if self
            .capped
            .iter()
            .any(|capped| capped.is_same(&id.organization))
        {
            source = source.capped();
        }
        let source = Arc::new(match grant.holder {
            Holder::Named(_) => source,
            Holder::Secret(_) | Holder::Trigger => source.of_a_trigger(),
        });
        sources.insert(id, Arc::downgrade(&source));
        Ok(source)
    }

    fn known(&self, id: &SourceId) -> Option<Arc<Source>> {
        if let Some(single) = self.single.as_ref().filter(|single| single.id() == id) {
            return Some(Arc::clone(single));
        }
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.get(id).and_then(Weak::upgrade)
    }

    /// Every source that is in use.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Source>> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let held = sources.values().filter_map(Weak::upgrade);
        self.single.iter().cloned().chain(held).collect()
    }

    fn credential_name(&self, namespace: &str, grant: &Grant, token: Option<&str>) -> Box<str> {
        match &grant.holder {
            Holder::Named(name) => name.clone(),
            Holder::Secret(secret) => {
                format!("Secret {namespace}/{}, key {}", secret.name, secret.key).into()
            }
            Holder::Trigger => {
                let hash = self.hasher.hash_one(token.unwrap_or_default());
                format!("a trigger's own token ({hash:016x})").into()
            }
        }
    }

    fn credential(
        &self,
        namespace: &str,
        grant: &Grant,
        token: Option<&str>,
    ) -> Result<CredentialUse, Unanswered> {
        match &grant.holder {
            Holder::Named(name) => Ok(CredentialUse::Named(name.clone())),
            Holder::Secret(secret) => {
                let cluster = self.cluster.as_ref().ok_or(Unanswered::NoCluster)?;
                Ok(CredentialUse::Own(cluster.token(&SecretRef {
                    namespace: namespace.into(),
                    name: secret.name.clone(),
                    key: secret.key.clone(),
                })))
            }
            Holder::Trigger => {
                let token = token.unwrap_or_default().to_owned();
                Ok(CredentialUse::Own(Arc::new(Given(token.into()))))
            }
        }
    }

    fn quota(&self, credential: &str) -> Arc<Quota> {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(quota) = quotas.get(credential).and_then(Weak::upgrade) {
            return quota;
        }
        quotas.retain(|_, quota| quota.strong_count() > 0);
        let quota = Arc::new(Quota::default());
        quotas.insert(credential.into(), Arc::downgrade(&quota));
        quota
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

impl Tokens for Given {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, ReadError>> {
        future::ready(Ok(self.0.clone())).boxed()
    }
}

/// Makes no clients: for a source that is there already.
#[cfg(test)]
struct Nowhere;

#[cfg(test)]
impl Organizations for Nowhere {
    fn client(
        &self,
        _: &crate::domain::organization::OrganizationUrl,
        _: &CredentialUse,
    ) -> Result<Arc<dyn crate::ports::AgentPools>, ReadError> {
        Err(ReadError::CredentialMissing {
            detail: "there is no other source than the one that was given".into(),
        })
    }
}
