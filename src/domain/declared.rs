//! Scaling objects as the cluster declares them: what they scale, by which
//! strategy and within which limits, and what became of their Jobs.
//!
//! May import: scaling objects' names. Invariant: what stands here was read from
//! the cluster and nothing is guessed; what a trigger means is not known here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use super::profile::ScalingObject;

/// What a scaling object is in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// KEDA gives its number to a horizontal pod autoscaler.
    ScaledObject,
    /// KEDA makes Jobs.
    ScaledJob,
}

/// How KEDA makes Jobs from the number of a `ScaledJob`.
///
/// KEDA 2.21, `pkg/scaling/executor/scale_jobs.go`, with N the number (at most
/// the maximum), R the Jobs that are not finished and P those of them of which
/// no pod runs yet:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// N - R new Jobs.
    #[default]
    Default,
    /// N - deduction - R × percentage.
    Custom,
    /// N - P, unless that goes beyond the maximum.
    Accurate,
    /// N, unless that goes beyond the maximum.
    Eager,
}

/// A scaling object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub object: ScalingObject,
    /// What it is.
    pub kind: Kind,
    /// What tells it from another of the same name.
    pub uid: Box<str>,
    /// How Jobs are made; of no meaning for a `ScaledObject`.
    pub strategy: Strategy,
    /// The names of its pods, and so of its agents, begin with this and a dash:
    /// the scale target's name, or the `ScaledJob`'s own.
    pub agents_named: Box<str>,
    /// `minReplicaCount`. KEDA: 0 where it is not given.
    pub min_agents: u32,
    /// `maxReplicaCount`. KEDA: 100 where it is not given.
    pub max_agents: u32,
    /// Does KEDA leave it as it is, so that it has the agents that it has?
    ///
    /// KEDA 2.21, `NeedToBePausedByAnnotation`. One whose scaling out alone is
    /// paused is not: KEDA asks for its number, by which it keeps its agents.
    pub paused: bool,
    /// The Deployment that it scales, where nothing but the number of its agents
    /// says to how many pods: of a `ScaledObject` whose target is one, without a
    /// formula and without a metric that is compared as a value.
    pub deployment: Option<Box<str>>,
    /// Is it to get no more agents than it has?
    ///
    /// KEDA 2.21: `paused-scale-out`.
    pub scaling_out_paused: bool,
    /// The metadata of its triggers of type `external` or `external-push`, as
    /// they are written. A value of a key that ends in `FromEnv` is the name of
    /// a variable here; KEDA sends what the variable holds.
    pub triggers: Vec<BTreeMap<String, String>>,
}

/// Every scaling object that is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declarations {
    /// They by name. A `ScaledObject` and a `ScaledJob` may share one.
    pub objects: BTreeMap<(ScalingObject, Kind), Arc<Declared>>,
    /// The namespaces that are watched; `None` for all.
    pub namespaces: Option<BTreeSet<Box<str>>>,
}

/// An address under which triggers name a scaler, in the one form that all names
/// of a service have in common.
///
/// Kubernetes: `NAME.NAMESPACE`, `….svc` and `….svc.CLUSTER-DOMAIN` are one.
/// gRPC: a target may name its resolver, `dns:///`. Host names have no case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScalerAddress(Box<str>);

/// The Jobs of one `ScaledJob`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPods {
    /// Jobs that are not finished: R.
    pub existing: u32,
    /// Those of them that have a pod which runs or has run: R - P.
    pub started: u32,
    /// Pods that ended a short while ago, by name.
    pub ended: BTreeSet<Box<str>>,
}

/// The Jobs of every `ScaledJob` that has any.
pub type JobCensus = HashMap<ScalingObject, Arc<JobPods>>;

/// The pods of every Deployment that has any which are going, by name: deleted, though
/// their agents may finish a job first, or gone since a short while.
pub type LeavingPods = HashMap<ScalingObject, Arc<BTreeSet<Box<str>>>>;

// === impl Declarations ===

impl Declarations {
    /// Is this namespace watched, so that what is not declared in it is not
    /// there?
    #[must_use]
    pub fn cover(&self, namespace: &str) -> bool {
        self.namespaces
            .as_ref()
            .is_none_or(|watched| watched.contains(namespace))
    }
}

// === impl ScalerAddress ===

impl From<&str> for ScalerAddress {
    /// Any text has a form; one that is no address is no scaler's.
    fn from(text: &str) -> Self {
        let address = text.trim().to_lowercase();
        let address = address.strip_prefix("dns:").unwrap_or(&address);
        let address = address.trim_start_matches('/');
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let host = host.trim_end_matches('.');
        let host = host
            .split_once(".svc.")
            .map_or(host, |(service, _)| service);
        let host = host.strip_suffix(".svc").unwrap_or(host);
        Self(format!("{host}:{port}").into())
    }
}

// === impl Strategy ===

impl Strategy {
    /// Reads KEDA's word. KEDA: one that is not known, and none, is `default`.
    #[must_use]
    pub fn read(word: &str) -> Self {
        match word {
            "custom" => Self::Custom,
            "accurate" => Self::Accurate,
            "eager" => Self::Eager,
            _ => Self::Default,
        }
    }
}

/// Tells the triggers of a scaling object apart by what they say, whether it
/// was read in the cluster or came with a call: keys that end in `FromEnv` are
/// left out, since KEDA sends other values than are written, or nothing.
///
/// The hasher has fixed keys: every replica of one version computes the same.
pub fn identity<'a>(metadata: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
    metadata
        .into_iter()
        .filter(|(key, _)| !key.ends_with("FromEnv"))
        // The order of a map is not fixed, so the parts are summed up.
        .fold(0_u64, |sum, part| {
            let mut hasher = DefaultHasher::new();
            part.hash(&mut hasher);
            sum.wrapping_add(hasher.finish())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_the_same_as_written_and_as_sent() {
        let written = [("poolName", "k8s"), ("organizationURLFromEnv", "AZP_URL")];
        let sent = [
            ("organizationURLFromEnv", "https://dev.azure.com/contoso"),
            ("poolName", "k8s"),
        ];
        let dropped = [("poolName", "k8s")];
        let other = [("poolName", "k9s")];
        assert_eq!(identity(written), identity(sent));
        assert_eq!(identity(written), identity(dropped));
        assert_ne!(identity(written), identity(other));
    }

    #[test]
    fn all_names_of_a_service_are_one_address() {
        let check = |text: &str, same: bool| {
            let own = ScalerAddress::from("azp-scaler.keda:9090");
            assert_eq!(ScalerAddress::from(text) == own, same, "{text}");
        };
        check(" azp-scaler.keda.svc:9090\n", true);
        check("azp-scaler.keda.svc.cluster.local:9090", true);
        check("dns:///azp-scaler.keda.svc.cluster.local.:9090", true);
        check("AZP-Scaler.keda:9090", true);
        check("azp-scaler.keda:9091", false);
        check("azp-scaler.keda", false);
        check("azp-scaler.other.svc:9090", false);
        check("azp-scaler:9090", false);
        check("", false);
        assert_ne!(
            ScalerAddress::from("[::1]:1"),
            ScalerAddress::from("[::1]:2")
        );
    }

    #[test]
    fn a_namespace_is_covered_where_it_is_watched() {
        let all = Declarations::default();
        assert!(all.cover("ci"));
        let one = Declarations {
            namespaces: Some(["ci".into()].into()),
            ..Declarations::default()
        };
        assert!(one.cover("ci") && !one.cover("other"));
    }
}
