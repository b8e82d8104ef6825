//! The scaling objects that KEDA has named, each with its parsed trigger.
//!
//! May import: domain, pools. Invariant: a trigger is parsed once, and a scaling
//! object that nobody calls for any more is forgotten, at the latest after the
//! time-to-idle; an edited trigger replaces the one before it within two of
//! KEDA's polling rounds.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;

use super::{
    answer::Unanswered,
    answers::{Ask, Call},
};
use crate::{
    domain::{organization::OrganizationUrl, profile::ScalingObject, trigger::Trigger},
    pools::PoolAddress,
};

/// Kubernetes: no name or namespace is longer.
const LONGEST_NAME: usize = 253;

/// One trigger of one scaling object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectKey {
    pub(super) object: ScalingObject,
    /// KEDA does not tell which trigger of a scaling object it calls for, so
    /// triggers are told apart by what they say.
    pub(super) trigger: u64,
}

/// A scaling object that KEDA calls for.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) key: ObjectKey,
    pub(super) trigger: Trigger,
    /// Its pool.
    pub(super) address: PoolAddress,
}

/// All of them.
pub(super) struct Registry {
    /// The only one that a trigger may name.
    organization: OrganizationUrl,
    registered: Cache<ObjectKey, Arc<Registered>>,
    limit: u64,
    /// For each scaling object, its triggers, and whether KEDA has asked for
    /// each of them in the present polling round.
    rounds: Mutex<HashMap<ScalingObject, BTreeMap<u64, bool>>>,
}

// === impl Registry ===

impl Registry {
    pub(super) fn new(organization: OrganizationUrl, forget_after: Duration, limit: u64) -> Self {
        Self {
            organization,
            registered: Cache::builder().time_to_idle(forget_after).build(),
            limit,
            rounds: Mutex::new(HashMap::new()),
        }
    }

    /// The scaling object of a call; parsed and kept if it is new.
    pub(super) fn note(
        &self,
        call: &Call<'_>,
        ask: Option<Ask>,
    ) -> Result<Arc<Registered>, Unanswered> {
        let key = key_of(call)?;
        let registered = match self.registered.get(&key) {
            Some(registered) => registered,
            None => self.register(&key, call)?,
        };
        // KEDA asks for the activity once in each polling round, so a second
        // time means that a new round has begun.
        if ask == Some(Ask::Activity) {
            self.begin_round(&registered.key);
        }
        Ok(registered)
    }

    /// Keeps a scaling object from being forgotten.
    pub(super) fn touch(&self, registered: &Arc<Registered>) {
        let key = &registered.key;
        if self.registered.get(key).is_none() {
            self.registered.insert(key.clone(), Arc::clone(registered));
        }
    }

    /// Is it still called for?
    pub(super) fn knows(&self, key: &ObjectKey) -> bool {
        self.registered.contains_key(key)
    }

    fn register(&self, key: &ObjectKey, call: &Call<'_>) -> Result<Arc<Registered>, Unanswered> {
        let metadata = call
            .metadata
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let trigger = Trigger::parse(metadata)?;
        self.check_organization(&trigger)?;
        self.registered.run_pending_tasks();
        if self.registered.entry_count() >= self.limit {
            return Err(Unanswered::TooMany {
                what: "scaling objects",
                limit: self.limit,
                flag: "--max-scaling-objects",
            });
        }
        tracing::info!(scaling_object = %key.object, pool = %trigger.pool, "a scaling object calls");
        let address = PoolAddress {
            organization: self.organization.clone(),
            pool: trigger.pool.clone(),
        };
        let registered = || {
            Arc::new(Registered {
                key: key.clone(),
                trigger,
                address,
            })
        };
        Ok(self.registered.get_with_by_ref(key, registered))
    }

    fn check_organization(&self, trigger: &Trigger) -> Result<(), Unanswered> {
        match &trigger.organization {
            Some(asked) if !asked.is_same(&self.organization) => {
                Err(Unanswered::UnknownOrganization {
                    asked: asked.clone(),
                    configured: self.organization.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    fn begin_round(&self, key: &ObjectKey) {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let triggers = rounds.entry(key.object.clone()).or_default();
        if triggers.insert(key.trigger, true) == Some(true) {
            // Those that KEDA passed over in the round before are gone: the
            // scaling object was edited.
            triggers.retain(|trigger, asked| {
                let stays = *trigger == key.trigger || std::mem::replace(asked, false);
                if !stays {
                    let trigger = *trigger;
                    self.registered.invalidate(&ObjectKey {
                        trigger,
                        ..key.clone()
                    });
                }
                stays
            });
        }
        if rounds.len() as u64 > 2 * self.limit {
            rounds.retain(|object, triggers| {
                triggers.retain(|trigger, _| {
                    let (object, trigger) = (object.clone(), *trigger);
                    self.knows(&ObjectKey { object, trigger })
                });
                !triggers.is_empty()
            });
        }
    }
}

fn key_of(call: &Call<'_>) -> Result<ObjectKey, Unanswered> {
    for (what, text) in [("the name", call.name), ("the namespace", call.namespace)] {
        if text.is_empty() || text.len() > LONGEST_NAME {
            return Err(Unanswered::ScalingObject(what));
        }
    }
    // The order of a map is not fixed, so the parts are summed up. The hasher
    // has fixed keys: every replica of one version computes the same.
    let parts = call
        .metadata
        .iter()
        .filter(|(key, _)| *key != "personalAccessTokenFromEnv");
    let trigger = parts.fold(0_u64, |sum, part| {
        let mut hasher = DefaultHasher::new();
        part.hash(&mut hasher);
        sum.wrapping_add(hasher.finish())
    });
    let (namespace, name) = (call.namespace.into(), call.name.into());
    Ok(ObjectKey {
        object: ScalingObject { namespace, name },
        trigger,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pool: &str) -> HashMap<String, String> {
        HashMap::from([("poolName".to_owned(), pool.to_owned())])
    }

    fn registry() -> Registry {
        let organization = OrganizationUrl::parse("https://dev.azure.com/contoso").unwrap();
        Registry::new(organization, Duration::from_secs(600), 3)
    }

    fn ask(registry: &Registry, name: &str, pool: &str) -> Result<Arc<Registered>, Unanswered> {
        let metadata = metadata(pool);
        let call = Call {
            namespace: "ci",
            name,
            metadata: &metadata,
        };
        registry.note(&call, Some(Ask::Activity))
    }

    #[test]
    fn an_edited_trigger_replaces_the_one_before() {
        let registry = registry();
        let old = ask(&registry, "linux", "a").unwrap();
        let new = ask(&registry, "linux", "b").unwrap();
        assert!(registry.knows(&old.key), "the round is not over yet");
        ask(&registry, "linux", "b").unwrap();
        ask(&registry, "linux", "b").unwrap();
        assert!(!registry.knows(&old.key) && registry.knows(&new.key));
    }

    #[test]
    fn two_triggers_of_one_scaling_object_both_stay() {
        let registry = registry();
        for _ in 0..5 {
            let a = ask(&registry, "linux", "a").unwrap();
            let b = ask(&registry, "linux", "b").unwrap();
            assert!(registry.knows(&a.key) && registry.knows(&b.key));
        }
    }

    #[test]
    fn there_is_a_limit() {
        let registry = registry();
        for name in ["a", "b", "c"] {
            ask(&registry, name, "pool").unwrap();
        }
        let error = ask(&registry, "d", "pool").unwrap_err().to_string();
        assert!(error.contains("--max-scaling-objects"), "{error}");
        ask(&registry, "a", "pool").unwrap();
    }

    #[test]
    fn names_are_those_of_kubernetes() {
        let registry = registry();
        for name in ["", &"x".repeat(254)] {
            assert!(matches!(
                ask(&registry, name, "pool"),
                Err(Unanswered::ScalingObject("the name"))
            ));
        }
    }
}
