//! Under which addresses triggers name this scaler.
//!
//! May import: nothing of ours. Invariant: where they are configured, nothing a
//! caller says adds to them; and no list here grows without a bound.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// More addresses than this are not learnt: a scaler has a few names.
const MOST_ADDRESSES: usize = 16;

/// Under which addresses triggers name this scaler.
#[derive(Default)]
pub(super) struct Addresses {
    configured: BTreeSet<String>,
    /// Where none are configured: those of calls that the cluster confirms.
    learnt: Mutex<BTreeSet<String>>,
    /// Where some are: others that were told of.
    strangers: Mutex<BTreeSet<String>>,
}

// === impl Addresses ===

impl Addresses {
    pub(super) fn new<'a>(configured: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            configured: configured.into_iter().map(bare).collect(),
            learnt: Mutex::default(),
            strangers: Mutex::default(),
        }
    }

    /// Were they configured?
    pub(super) fn are_known(&self) -> bool {
        !self.configured.is_empty()
    }

    /// Is this one of them?
    pub(super) fn include(&self, address: &str) -> bool {
        let address = bare(address);
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        self.configured.contains(&address) || learnt.contains(&address)
    }

    /// Tells whether it is new.
    pub(super) fn learn(&self, address: &str) -> bool {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.len() < MOST_ADDRESSES && learnt.insert(bare(address))
    }

    /// The same for an address that is not this scaler's, as far as it was told.
    pub(super) fn learn_stranger(&self, address: &str) -> bool {
        let mut strangers = self
            .strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        strangers.len() < MOST_ADDRESSES && strangers.insert(bare(address))
    }
}

/// The address of a service in the one form that all its names have in common.
/// Kubernetes: `NAME.NAMESPACE`, `….svc` and `….svc.CLUSTER-DOMAIN` are one.
fn bare(address: &str) -> String {
    let address = address.trim().to_lowercase();
    // gRPC: a target may name its resolver.
    let address = address.strip_prefix("dns:").unwrap_or(&address);
    let address = address.trim_start_matches('/');
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let host = host.trim_end_matches('.');
    let host = host
        .split_once(".svc.")
        .map_or(host, |(service, _)| service);
    let host = host.strip_suffix(".svc").unwrap_or(host);
    format!("{host}:{port}")
}
