//! Where the guard writes to agent pools, and for whom.
//!
//! May import: its siblings, pools, ports, domain. Invariants: a pool is written to by
//! the very source that it is read from, which was granted to whoever names it; a
//! trigger that is declared counts, and none that was only called for; of what is
//! read otherwise than it is written, nothing is said.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::watch;

use super::{
    Inner, Scaler, declarations::AllDeclared, needs::names_a_variable, registered::Registered,
};
use crate::{
    domain::{
        capability::Capabilities, keeper::Keeper, placeholder::Placeholder, profile::Matching,
    },
    ports::stands::{PoolStands, Stand, StandKey, StandingProfile, Stands},
};

impl PoolStands for Scaler {
    fn stands(&self) -> Option<Stands> {
        let inner = &self.inner;
        let declared = inner.registry.known.all_declared()?;
        let seen = inner.cluster.as_ref()?.unseen_for().is_none();
        Some(stands(inner.settings.keeper.as_ref(), declared, seen))
    }

    fn declarations(&self) -> watch::Receiver<u64> {
        self.inner.registry.known.takings()
    }

    fn pause(&self, stand: &StandKey) -> Option<Duration> {
        let sources = self.inner.registry.sources.all();
        let read = sources.iter().find(|source| {
            let id = source.id();
            id.credential == stand.credential && id.organization.identity() == *stand.organization
        });
        read?.pause_left()
    }
}

impl Inner {
    /// What is kept for this trigger while its agents are away, by whichever hand.
    pub(super) fn placeholder_of(&self, registered: &Registered) -> Option<Box<str>> {
        let kept = registered
            .declared
            .as_ref()
            .and(self.settings.keeper.as_ref());
        let kept = kept.and_then(|keeper| placeholder(keeper, registered));
        let named = registered.trigger.placeholder.clone();
        named.or_else(|| kept.map(|placeholder| placeholder.name))
    }
}

fn stands(keeper: Option<&Keeper>, declared: AllDeclared, is_current: bool) -> Stands {
    let AllDeclared {
        declarations,
        mut unclear,
        mut written,
    } = declared;
    written.sort_by(|one, other| one.key.cmp(&other.key));
    let mut all: BTreeMap<StandKey, Stand> = BTreeMap::new();
    for registered in &written {
        let object = &registered.key.object;
        // Which organization is meant, only KEDA knows.
        if names_a_variable(registered) {
            unclear.insert(object.clone());
            continue;
        }
        let source = &registered.source;
        let Some(server) = source.placeholders() else {
            unclear.insert(object.clone());
            continue;
        };
        let credential = &source.id().credential;
        let pool = &registered.trigger.pool;
        let key = StandKey::new(source.organization(), credential, pool);
        let stand = all.entry(key.clone()).or_insert_with(|| Stand {
            key,
            pool: pool.clone(),
            server,
            // Nothing that is declared brings its token along but by a Secret.
            only: source.is_of_a_trigger().then(|| object.namespace.clone()),
            profiles: Vec::new(),
        });
        let profile = StandingProfile {
            object: object.clone(),
            agents_named: named(registered),
            placeholder: keeper.and_then(|keeper| placeholder(keeper, registered)),
        };
        // Two triggers that say the same of it are one.
        if !stand.profiles.contains(&profile) {
            stand.profiles.push(profile);
        }
    }
    Stands {
        all: all.into_values().collect(),
        unclear,
        namespaces: declarations.namespaces.clone(),
        is_current,
    }
}

fn named(registered: &Registered) -> Box<str> {
    let declared = registered.declared.as_ref();
    let named = declared.map_or(&registered.key.object.name, |of| &of.agents_named);
    named.clone()
}

/// What holds the place of its agents. By KEDA's own rules nobody says what they have.
fn placeholder(keeper: &Keeper, registered: &Registered) -> Option<Placeholder> {
    let capabilities = match &registered.trigger.profile.matching {
        Matching::Any => Capabilities::default(),
        Matching::Capabilities(offer) => offer.told(),
        Matching::Demands(_) | Matching::Parent(_) => return None,
    };
    let named = registered.trigger.placeholder.clone();
    let object = &registered.key.object;
    Some(Placeholder {
        name: named.unwrap_or_else(|| keeper.name(object, &capabilities)),
        capabilities,
    })
}
