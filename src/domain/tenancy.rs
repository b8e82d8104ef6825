//! Tenancy: which credential may be used for which trigger.
//!
//! May import: organizations, pools, triggers. Invariant: pure, and asked before
//! anything is sent: where no rule grants a credential, the answer names the
//! rule, and not one request leaves for the sake of the trigger.

use std::fmt;

use super::{
    organization::OrganizationUrl,
    pool::PoolRef,
    trigger::{SecretKey, Trigger},
};

/// Everything that the operator allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The organizations that requests may go to at all.
    pub organizations: Vec<OrganizationUrl>,
    /// The credentials that the scaler holds, and who may use them.
    pub credentials: Vec<CredentialRule>,
    /// Namespaces whose triggers may bring a token of their own, in a Secret of
    /// that namespace or from the scale target's environment.
    pub own_tokens: Vec<NamespacePattern>,
}

/// Who may use a credential, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRule {
    /// Its name, as triggers give it.
    pub name: Box<str>,
    /// The organizations that it is sent to, and no other.
    pub organizations: Vec<OrganizationUrl>,
    /// The namespaces whose triggers may use it; `None` for all.
    pub namespaces: Option<Vec<NamespacePattern>>,
    /// The pools that it may be used for, by name or number; `None` for all.
    pub pools: Option<Vec<PoolRef>>,
}

/// A namespace, or with `*` at its end every namespace that begins so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespacePattern(Box<str>);

/// What a trigger may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The organization, in the form in which the operator wrote it.
    pub organization: OrganizationUrl,
    /// The credential.
    pub holder: Holder,
}

/// Who holds the credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The scaler, under this name.
    Named(Box<str>),
    /// A Secret in the scaling object's namespace.
    Secret(SecretKey),
    /// The trigger's own metadata (`personalAccessTokenFromEnv`).
    Trigger,
}

/// Which rule stands against it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The scaler may not send anything there.
    #[error(
        "organizationURL: {asked} is not on the scaler's list (organizations); ask its operator to add it"
    )]
    Organization {
        /// What the trigger asks for.
        asked: OrganizationUrl,
    },
    /// It is not clear which organization is meant.
    #[error(
        "organizationURL: is missing, and namespace {namespace} may use {count} organizations; name the one that is meant"
    )]
    WhichOrganization {
        /// The scaling object's namespace.
        namespace: Box<str>,
        /// How many there are.
        count: usize,
    },
    /// There is no credential of this name.
    #[error("credential: the scaler holds none named {name:?}; ask its operator for the name")]
    NoSuchCredential {
        /// The name in the trigger.
        name: Box<str>,
    },
    /// It is another's.
    #[error(
        "credential: namespace {namespace} may not use {name:?} (rule credentials.namespaces); ask the scaler's operator to add it there"
    )]
    Namespace {
        /// The credential's name.
        name: Box<str>,
        /// The scaling object's namespace.
        namespace: Box<str>,
    },
    /// It is not sent there.
    #[error(
        "organizationURL: {name:?} may not be sent to {asked} (rule credentials.organizations)"
    )]
    NotSentThere {
        /// The credential's name.
        name: Box<str>,
        /// What the trigger asks for.
        asked: OrganizationUrl,
    },
    /// It is not for this pool.
    #[error(
        "{key}: {name:?} may not be used for pool {pool} (rule credentials.pools); write the pool as it stands there, or ask the scaler's operator to add it"
    )]
    Pool {
        /// The trigger's key that names the pool.
        key: &'static str,
        /// The credential's name.
        name: Box<str>,
        /// The pool as the trigger names it.
        pool: PoolRef,
    },
    /// No rule gives the namespace anything.
    #[error(
        "namespace {namespace} may use no credential for {what} (rules credentials.namespaces, .organizations, .pools); ask the scaler's operator"
    )]
    Nothing {
        /// The scaling object's namespace.
        namespace: Box<str>,
        /// The pool, and the organization where it is named.
        what: Box<str>,
    },
    /// Several would do.
    #[error(
        "credential: is missing, and namespace {namespace} may use several for this pool ({names}); name the one that is meant"
    )]
    WhichCredential {
        /// The scaling object's namespace.
        namespace: Box<str>,
        /// Their names.
        names: Box<str>,
    },
    /// The namespace may not bring a token of its own.
    #[error(
        "{key}: namespace {namespace} may not bring a token of its own (rule ownTokens.namespaces); ask the scaler's operator to add it there"
    )]
    OwnToken {
        /// The trigger's key.
        key: &'static str,
        /// The scaling object's namespace.
        namespace: Box<str>,
    },
}

// === impl Rules ===

impl Rules {
    /// What this trigger may use. `encrypted` tells that the call came over TLS:
    /// a token in clear text is as good as lost, and is never used.
    ///
    /// # Errors
    /// The rule that stands against it.
    pub fn grant(
        &self,
        namespace: &str,
        trigger: &Trigger,
        encrypted: bool,
    ) -> Result<Grant, Denied> {
        let asked = self.asked(trigger)?;
        if let Some(name) = &trigger.credential {
            return self.named(namespace, trigger, name, asked);
        }
        if let Some(secret) = &trigger.secret {
            let organization = self.own(namespace, "secretName", asked)?;
            let holder = Holder::Secret(secret.clone());
            return Ok(Grant {
                organization,
                holder,
            });
        }
        if trigger.brings_a_token && encrypted && allows(&self.own_tokens, namespace) {
            let organization = self.own(namespace, "personalAccessTokenFromEnv", asked)?;
            let holder = Holder::Trigger;
            return Ok(Grant {
                organization,
                holder,
            });
        }
        self.implied(namespace, trigger, asked)
    }

    /// The only organization there is, for what does not name one.
    #[must_use]
    pub fn only_organization(&self) -> Option<&OrganizationUrl> {
        match &*self.organizations {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The organization that the trigger names, as the operator wrote it.
    fn asked(&self, trigger: &Trigger) -> Result<Option<&OrganizationUrl>, Denied> {
        let Some(asked) = &trigger.organization else {
            return Ok(None);
        };
        let known = self.organizations.iter().find(|known| known.is_same(asked));
        known.map(Some).ok_or_else(|| Denied::Organization {
            asked: asked.clone(),
        })
    }

    /// The credential that the trigger names.
    fn named(
        &self,
        namespace: &str,
        trigger: &Trigger,
        name: &str,
        asked: Option<&OrganizationUrl>,
    ) -> Result<Grant, Denied> {
        let rule = self.credentials.iter().find(|rule| &*rule.name == name);
        let rule = rule.ok_or_else(|| Denied::NoSuchCredential { name: name.into() })?;
        rule.check(namespace, trigger, asked)?;
        rule.grant(namespace, asked)
    }

    /// Where a token of the trigger's own is sent.
    fn own(
        &self,
        namespace: &str,
        key: &'static str,
        asked: Option<&OrganizationUrl>,
    ) -> Result<OrganizationUrl, Denied> {
        if !allows(&self.own_tokens, namespace) {
            let namespace = namespace.into();
            return Err(Denied::OwnToken { key, namespace });
        }
        let only = asked.or_else(|| self.only_organization());
        only.cloned().ok_or_else(|| Denied::WhichOrganization {
            namespace: namespace.into(),
            count: self.organizations.len(),
        })
    }

    /// The one credential that the rules leave, where the trigger names none.
    fn implied(
        &self,
        namespace: &str,
        trigger: &Trigger,
        asked: Option<&OrganizationUrl>,
    ) -> Result<Grant, Denied> {
        let checked = self.credentials.iter().map(|rule| {
            let checked = rule.check(namespace, trigger, asked);
            checked.map(|()| rule)
        });
        let (granted, denied): (Vec<_>, Vec<_>) = checked.partition(Result::is_ok);
        let granted: Vec<&CredentialRule> = granted.into_iter().flatten().collect();
        match (&*granted, &*denied) {
            ([], [Err(only)]) => Err(only.clone()),
            ([], _) => Err(Denied::Nothing {
                namespace: namespace.into(),
                what: match asked {
                    Some(asked) => format!("pool {} of {asked}", trigger.pool).into(),
                    None => format!("pool {}", trigger.pool).into(),
                },
            }),
            ([rule], _) => rule.grant(namespace, asked),
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|rule| &*rule.name).collect();
                Err(Denied::WhichCredential {
                    namespace: namespace.into(),
                    names: names.join(", ").into(),
                })
            }
        }
    }
}

// === impl CredentialRule ===

impl CredentialRule {
    fn check(
        &self,
        namespace: &str,
        trigger: &Trigger,
        asked: Option<&OrganizationUrl>,
    ) -> Result<(), Denied> {
        let name = || self.name.clone();
        if !self
            .namespaces
            .as_ref()
            .is_none_or(|patterns| allows(patterns, namespace))
        {
            return Err(Denied::Namespace {
                name: name(),
                namespace: namespace.into(),
            });
        }
        if let Some(asked) = asked
            && !self.organizations.iter().any(|own| own.is_same(asked))
        {
            return Err(Denied::NotSentThere {
                name: name(),
                asked: asked.clone(),
            });
        }
        let pools = self.pools.as_ref();
        if !pools.is_none_or(|pools| pools.iter().any(|pool| pool.is_same(&trigger.pool))) {
            return Err(Denied::Pool {
                key: match trigger.pool {
                    PoolRef::Name(_) => "poolName",
                    PoolRef::Id(_) => "poolID",
                },
                name: name(),
                pool: trigger.pool.clone(),
            });
        }
        Ok(())
    }

    /// The grant of what was checked; without a URL in the trigger, the only one
    /// that the credential is sent to.
    fn grant(&self, namespace: &str, asked: Option<&OrganizationUrl>) -> Result<Grant, Denied> {
        let organization = match (asked, &*self.organizations) {
            (Some(asked), _) => asked,
            (None, [only]) => only,
            (None, several) => {
                return Err(Denied::WhichOrganization {
                    namespace: namespace.into(),
                    count: several.len(),
                });
            }
        };
        Ok(Grant {
            organization: organization.clone(),
            holder: Holder::Named(self.name.clone()),
        })
    }
}

// === impl NamespacePattern ===

impl NamespacePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, where it could be no namespace's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > 64 || !name.chars().all(part) {
            return Err(format!(
                "{text:?} is no namespace; write its name, or the beginning of several and *"
            ));
        }
        Ok(Self(text.into()))
    }

    /// Is this namespace meant?
    #[must_use]
    pub fn matches(&self, namespace: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => namespace.starts_with(beginning),
            None => *self.0 == *namespace,
        }
    }
}

fn allows(patterns: &[NamespacePattern], namespace: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(namespace))
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[path = "tenancy_tests.rs"]
mod tests;
