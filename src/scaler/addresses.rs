//! Under which addresses triggers name this scaler.
//!
//! May import: domain. Invariant: where they are configured, nothing a
//! caller says adds to them; and no list here grows without a bound.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::domain::declared::ScalerAddress;

/// More addresses than this are not learnt: a scaler has a few names.
const MOST_ADDRESSES: usize = 16;

/// Under which addresses triggers name this scaler.
#[derive(Default)]
pub(super) struct Addresses {
    configured: BTreeSet<ScalerAddress>,
    /// Where none are configured: those of calls that the cluster confirms.
    learnt: Mutex<BTreeSet<ScalerAddress>>,
    /// Where some are: others that were told of.
    strangers: Mutex<BTreeSet<ScalerAddress>>,
}

// === impl Addresses ===

impl Addresses {
    pub(super) fn new(configured: impl IntoIterator<Item = ScalerAddress>) -> Self {
        Self {
            configured: configured.into_iter().collect(),
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
        let address = ScalerAddress::from(address);
        let learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        self.configured.contains(&address) || learnt.contains(&address)
    }

    /// Tells whether it is new.
    pub(super) fn learn(&self, address: &str) -> bool {
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.len() < MOST_ADDRESSES && learnt.insert(address.into())
    }

    /// The same for an address that is not this scaler's, as far as it was told.
    pub(super) fn learn_stranger(&self, address: &str) -> bool {
        let mut strangers = self
            .strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        strangers.len() < MOST_ADDRESSES && strangers.insert(address.into())
    }
}
