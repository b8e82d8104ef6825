//! A page of the book: what is known of one pool, and what its placeholders want.
//!
//! May import: its siblings, ports, domain. Invariants: what bears another mark than
//! that of the scaling object that wants it is told of and never changed; a pool that
//! fails is looked at less and less, and never less often than one that does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    PoolSettings,
    deed::{Deed, Foreigner},
};
use crate::{
    domain::{
        placeholder::{Placeholder, plan},
        pool::PoolId,
        profile::ScalingObject,
        registration::{AgentId, RegisteredAgent},
    },
    ports::stands::Stand,
};

/// After a look or a write that failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What is known of one.
pub(super) struct Page {
    pub(super) stand: Stand,
    /// Since when nobody names it.
    pub(super) dropped_at: Option<Instant>,
    /// Something is under way.
    pub(super) is_busy: bool,
    /// There is news since that began.
    pub(super) is_news: bool,
    pub(super) next_look: Instant,
    pub(super) failures: u32,
    pub(super) id: Option<PoolId>,
    /// What nobody wants, and since when that is known.
    pub(super) unwanted: BTreeMap<AgentId, Unwanted>,
    /// What a dry run has told.
    pub(super) tried: BTreeSet<String>,
    /// Whose agents hold places, or have names that are wanted.
    pub(super) foreigners: BTreeSet<Foreigner>,
    pub(super) counts: Counts,
}

/// A placeholder of this scaler's that is to go.
#[derive(Clone, Debug)]
pub(super) struct Unwanted {
    pub(super) object: ScalingObject,
    pub(super) name: Box<str>,
    /// Since when that is known.
    pub(super) since: Instant,
}

/// How many placeholders there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) kept: usize,
    pub(super) others: usize,
    pub(super) missing: usize,
}

// === impl Page ===

impl Page {
    pub(super) fn new(stand: Stand, now: Instant) -> Self {
        Self {
            stand,
            dropped_at: None,
            is_busy: false,
            is_news: false,
            next_look: now,
            failures: 0,
            id: None,
            unwanted: BTreeMap::new(),
            tried: BTreeSet::new(),
            foreigners: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// Each name once: of two that differ, the first scaling object's counts.
    pub(super) fn wanted(&self) -> impl Iterator<Item = (&ScalingObject, &Placeholder)> {
        let mut names = BTreeSet::new();
        let profiles = self.stand.profiles.iter();
        let wanted =
            profiles.filter_map(|profile| Some((&profile.object, profile.placeholder.as_ref()?)));
        wanted.filter(move |(_, placeholder)| names.insert(placeholder.name.to_lowercase()))
    }

    /// What makes the placeholders the wanted ones, and who stands in their way.
    pub(super) fn keep(
        &mut self,
        settings: &PoolSettings,
        agents: &[RegisteredAgent],
    ) -> (Vec<Deed>, Vec<Foreigner>) {
        let (mut deeds, mut foreigners) = (Vec::new(), BTreeSet::new());
        let mut counts = Counts::default();
        for (object, placeholder) in self.wanted() {
            let mark = settings.keeper.mark(object);
            let plan = plan(&mark, [placeholder], agents);
            counts.kept += plan.right.len() + plan.changed.len();
            counts.missing += plan.missing.len();
            for missing in plan.missing {
                deeds.push(Deed::Register(missing.registration(&mark)));
            }
            for change in plan.changed {
                deeds.push(Deed::Update {
                    id: change.id,
                    name: placeholder.name.clone(),
                    user: change.capabilities.then(|| placeholder.user(&mark)),
                    enable: change.disabled,
                });
            }
            for foreign in plan.foreign {
                match foreign.holds {
                    true => counts.others += 1,
                    false => counts.missing += 1,
                }
                foreigners.insert(Foreigner {
                    object: object.clone(),
                    holds: foreign.holds,
                    who: foreign.to_string(),
                });
            }
        }
        self.counts = counts;
        let news = foreigners.difference(&self.foreigners).cloned().collect();
        self.foreigners = foreigners;
        (deeds, news)
    }

    pub(super) fn ends(&mut self, well: bool, longest: Duration, now: Instant) {
        self.is_busy = false;
        self.failures = match well {
            true => 0,
            false => self.failures.saturating_add(1),
        };
        let pause = match self.failures {
            0 => longest,
            failures => FIRST_PAUSE
                .saturating_mul(1 << (failures - 1).min(10))
                .min(longest),
        };
        self.next_look = if self.is_news { now } else { now + pause };
    }
}
