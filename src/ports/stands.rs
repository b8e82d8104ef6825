//! Ports: where the guard writes to agent pools, and for whom.
//!
//! May import: domain and its siblings. Invariants: a stand's server is reached as the
//! pool is read, by the credential that was granted to those who name the pool; what
//! is not known for sure is said to be so, since nothing is taken away on a doubt.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::placeholders::Placeholders;
use crate::domain::{
    organization::OrganizationUrl, placeholder::Placeholder, pool::PoolRef, profile::ScalingObject,
};

/// What tells stands apart: a pool as it is named, read with one credential. Two of
/// them may be one pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StandKey {
    /// The organization, in the one form of all its spellings.
    pub organization: Box<str>,
    /// The credential's name; never a part of the credential itself.
    pub credential: Box<str>,
    /// The pool, in small letters where it is a name.
    pub pool: PoolRef,
}

/// A pool, as profiles that are declared name it.
#[derive(Clone)]
pub struct Stand {
    /// What tells it apart.
    pub key: StandKey,
    /// The pool as a profile names it.
    pub pool: PoolRef,
    /// The way to its server.
    pub server: Arc<dyn Placeholders>,
    /// The only namespace for whose sake the credential may be used, where it is a
    /// Secret of that namespace.
    pub only: Option<Box<str>>,
    /// Who names it, in the order of their names.
    pub profiles: Vec<StandingProfile>,
}

/// A profile of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingProfile {
    /// The scaling object.
    pub object: ScalingObject,
    /// The names of its pods begin with this and a dash.
    pub agents_named: Box<str>,
    /// What is to hold the place of its agents; `None` where nobody can say what they
    /// have.
    pub placeholder: Option<Placeholder>,
}

/// All stands, and what is not known.
#[derive(Clone, Debug, Default)]
pub struct Stands {
    /// They, in the order of their keys.
    pub all: Vec<Stand>,
    /// Scaling objects that are declared, and of which a trigger is not known to say
    /// what it means, or to be this scaler's.
    pub unclear: BTreeSet<ScalingObject>,
    /// The namespaces that are watched; `None` for all.
    pub namespaces: Option<BTreeSet<Box<str>>>,
    /// Is all that is watched seen now?
    pub is_current: bool,
}

/// Who names which pools.
pub trait PoolStands: Send + Sync + 'static {
    /// What the cluster declares; `None` until all of it has been read once.
    fn stands(&self) -> Option<Stands>;

    /// Counts what the cluster has declared anew.
    fn declarations(&self) -> watch::Receiver<u64>;

    /// For how long the pool is to be left alone yet, by what its server asked for
    /// whenever it was read.
    fn pause(&self, stand: &StandKey) -> Option<Duration>;
}

// === impl StandKey ===

impl StandKey {
    /// The key of a pool as a trigger names it.
    #[must_use]
    pub fn new(organization: &OrganizationUrl, credential: &str, pool: &PoolRef) -> Self {
        Self {
            organization: organization.identity().into(),
            credential: credential.into(),
            pool: match pool {
                PoolRef::Name(name) => PoolRef::Name(name.to_lowercase().into()),
                PoolRef::Id(id) => PoolRef::Id(*id),
            },
        }
    }
}

// === impl Stands ===

impl Stands {
    /// Is it known for sure what this scaling object wants, be it nothing?
    #[must_use]
    pub fn is_clear(&self, object: &ScalingObject) -> bool {
        let watched = self.namespaces.as_ref();
        self.is_current
            && watched.is_none_or(|watched| watched.contains(&object.namespace))
            && !self.unclear.contains(object)
    }
}

impl fmt::Display for StandKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.pool, self.organization)
    }
}

impl fmt::Debug for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stand")
            .field("key", &self.key)
            .field("profiles", &self.profiles)
            .finish_non_exhaustive()
    }
}
