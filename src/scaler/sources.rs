//! Sources: which organization and credential a trigger is read with.
//!
//! May import: pools, ports, domain, telemetry. Invariant: a source is made only
//! after the rules of tenancy have granted it, and those who hold the same
//! credential share it; a token of a trigger's own is shown to nobody.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use futures::future::{self, BoxFuture, FutureExt as _};
use moka::sync::Cache;
use secrecy::SecretString;

use super::answer::Unanswered;
use crate::{
    domain::{
        tenancy::{CredentialRule, Grant, Holder, Rules},
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
    sources: Cache<SourceId, Arc<Source>>,
    /// What the service has asked of each credential. Azure DevOps: limits the
    /// rate of an identity, whichever pool or organization it asks for.
    quotas: Mutex<HashMap<Box<str>, Weak<Quota>>>,
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
    /// What nobody asks for this long is forgotten.
    pub forget_after: Duration,
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
            forget_after,
        } = parts;
        Self {
            rules,
            organizations,
            cluster,
            settings,
            metrics,
            sources: Cache::builder().time_to_idle(forget_after).build(),
            quotas: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// A single source that every trigger of its organization may use.
    #[must_use]
    pub fn single(source: Arc<Source>) -> Self {
        let organization = source.organization().clone();
        let rule = CredentialRule {
            name: source.id().credential.clone(),
            organizations: vec![organization.clone()],
            namespaces: None,
            pools: None,
        };
        let sources = Self::new(SourceParts {
            rules: Rules {
                organizations: vec![organization],
                credentials: vec![rule],
                own_tokens: Vec::new(),
            },
            organizations: Arc::new(Nowhere),
            cluster: None,
            settings: source.settings(),
            metrics: Arc::default(),
            forget_after: Duration::from_secs(u64::from(u32::MAX)),
        });
        sources.sources.insert(source.id().clone(), source);
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
        if let Some(source) = self.sources.get(&id) {
            return Ok(source);
        }
        let credential = self.credential(namespace, &grant, token)?;
        let api = self
            .organizations
            .client(&grant.organization, &credential)
            .map_err(Unanswered::Credential)?;
        let quota = self.quota(&id.credential);
        let made = || {
            let metrics = Arc::clone(&self.metrics);
            let source = Source::new(id.clone(), api, self.settings, metrics);
            Arc::new(source.with_quota(quota))
        };
        Ok(self.sources.get_with_by_ref(&id, made))
    }

    /// Every source that is in use.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Source>> {
        self.sources.iter().map(|(_, source)| source).collect()
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
struct Nowhere;

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
