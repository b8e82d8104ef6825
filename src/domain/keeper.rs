//! The keeper: the scaler as the owner of placeholders, by its marks and the names
//! that it gives them.
//!
//! May import: capabilities, scaling objects. Invariants: a mark says which cluster,
//! which scaler there and which scaling object, so that nothing of anybody else's is
//! taken for its own; a name that it gives is the same on every replica and version,
//! and begins as no pod's can.

use super::{
    capability::{Capabilities, CapabilityValue},
    profile::ScalingObject,
};

/// How every mark of a scaler's begins; those of files have an owner of their own.
const MARK: &str = "azp-scaler:";

/// How every name begins that a scaler gives. Kubernetes: no name has an underscore,
/// so that what stands before a dash in it is never the beginning of a pod's.
const NAME: &str = "azp_placeholder_";

/// ASSUMPTION(agent-name-length): an agent's name may have as many characters.
const LONGEST_NAME: usize = 64;

/// One scaler, of all that may keep placeholders in the same pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeper {
    cluster: Box<str>,
    scaler: Box<str>,
}

// === impl Keeper ===

impl Keeper {
    /// The scaler whose replicas share the Lease of these names, in the cluster of
    /// this name.
    #[must_use]
    pub fn new(cluster: &str, namespace: &str, lease: &str) -> Self {
        Self {
            cluster: cluster.into(),
            scaler: format!("{namespace}/{lease}").into(),
        }
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The mark of the placeholders of a scaling object:
    /// `azp-scaler:CLUSTER:NAMESPACE/LEASE:NAMESPACE/NAME`.
    #[must_use]
    pub fn mark(&self, object: &ScalingObject) -> Box<str> {
        let Self { cluster, scaler } = self;
        format!("{MARK}{cluster}:{scaler}:{object}").into()
    }

    /// The scaling object of a mark of its own; `None` for anybody else's.
    #[must_use]
    pub fn object(&self, mark: &str) -> Option<ScalingObject> {
        let own = mark.strip_prefix(MARK)?.strip_prefix(&*self.cluster)?;
        let own = own.strip_prefix(':')?.strip_prefix(&*self.scaler)?;
        ScalingObject::parse(own.strip_prefix(':')?)
    }

    /// What the placeholder of these agents of a scaling object is called where its
    /// trigger gives no name. Agents that have something else have another one, so
    /// that the old one stays until the new one is there.
    #[must_use]
    pub fn name(&self, object: &ScalingObject, capabilities: &Capabilities) -> Box<str> {
        let mut hash = Fnv::default();
        hash.add(&self.mark(object));
        for capability in capabilities.iter() {
            hash.add(&capability.name.to_lowercase());
            hash.add(match &capability.value {
                CapabilityValue::Text(text) => text,
                CapabilityValue::Present | CapabilityValue::Newest => "",
            });
        }
        let ScalingObject { namespace, name } = object;
        let shown = format!("{NAME}{}_{namespace}_{name}", self.cluster);
        let end = format!("_{:08x}", hash.folded());
        let shown: String = shown.chars().take(LONGEST_NAME - end.len()).collect();
        format!("{shown}{end}").into()
    }
}

/// Is this the mark of a scaler's, whichever? It keeps what it has marked as it
/// should be, so that nobody else need.
#[must_use]
pub fn is_keepers(mark: &str) -> bool {
    mark.starts_with(MARK)
}

/// Is this a name that scalers give, of whichever cluster?
///
/// ASSUMPTION(agent-name-case): names of agents compare without regard to case.
#[must_use]
pub fn is_given_name(agent: &str) -> bool {
    let begins = agent.get(..NAME.len());
    begins.is_some_and(|begins| begins.eq_ignore_ascii_case(NAME))
}

/// FNV-1a of 64 bits: it has to be the same in every version of the program, which
/// the hashers of the standard library do not promise.
struct Fnv(u64);

// === impl Fnv ===

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds a text, and its end.
    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// In 32 bits.
    const fn folded(&self) -> u64 {
        (self.0 >> 32) ^ (self.0 & 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keeper() -> Keeper {
        Keeper::new("west", "azp", "azp-scaler")
    }

    fn object(text: &str) -> ScalingObject {
        ScalingObject::parse(text).unwrap()
    }

    #[test]
    fn a_mark_is_its_own_keepers_alone() {
        let linux = object("ci/linux");
        let mark = keeper().mark(&linux);
        assert_eq!(&*mark, "azp-scaler:west:azp/azp-scaler:ci/linux");
        assert!(is_keepers(&mark) && !is_keepers("west/ci/linux"));
        assert_eq!(keeper().object(&mark), Some(linux));
        for other in [
            Keeper::new("wes", "azp", "azp-scaler"),
            Keeper::new("west2", "azp", "azp-scaler"),
            Keeper::new("west", "keda", "azp-scaler"),
            Keeper::new("west", "azp", "azp-scaler-2"),
            Keeper::new("west", "azp", "azp"),
        ] {
            assert_eq!(other.object(&mark), None, "{other:?}");
        }
        for odd in ["", "ci/linux", "azp-scaler:west:azp/azp-scaler:linux"] {
            assert_eq!(keeper().object(odd), None, "{odd}");
        }
    }

    /// Every replica, of every version, has to give the same.
    #[test]
    fn a_name_stays_what_it_is() {
        let name = |of: &str, has: &str| {
            let has = Capabilities::parse(has).unwrap();
            keeper().name(&object(of), &has).into_string()
        };
        assert_eq!(
            name("ci/linux", "docker, java=17"),
            "azp_placeholder_west_ci_linux_66b85101"
        );
        assert_eq!(
            name("ci/linux", "Java=17,DOCKER"),
            name("ci/linux", "docker, java=17")
        );
        let others = [
            ("ci/linux", ""),
            ("ci/linux", "docker, java=18"),
            ("ci2/linux", "docker, java=17"),
        ];
        for (of, has) in others {
            assert_ne!(name(of, has), name("ci/linux", "docker, java=17"));
        }
    }

    proptest! {
        #[test]
        fn a_name_is_short_enough_and_no_pods(
            namespace in "[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
            name in "[a-z]([-.a-z0-9]{0,200}[a-z0-9])?",
            pods in "[a-z]([-.a-z0-9]{0,20}[a-z0-9])?",
        ) {
            let of = object(&format!("{namespace}/{name}"));
            let given = keeper().name(&of, &Capabilities::default());
            prop_assert!(given.len() <= LONGEST_NAME && is_given_name(&given));
            let begins = format!("{pods}-");
            prop_assert!(!given.starts_with(&begins));
            let pod = format!("{begins}7f9c-x1");
            prop_assert!(!is_given_name(&pod));
            let mark = keeper().mark(&of);
            prop_assert_eq!(keeper().object(&mark), Some(of));
        }
    }
}
