//! The book of pools: which are looked at and when, and what there is to do in each.
//!
//! May import: its siblings, ports, domain. Invariants: what bears no mark of this
//! scaler's is never changed or taken away; what bears one goes only where it was
//! known without a break, in this term, that nobody wants it; an agent that is online
//! or has a job stays.
//!
//! A pool that nobody names any more is looked at until nothing of this scaler's is
//! left in it, by whoever has seen that it was named: no state outlives the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    PoolSettings,
    deed::{Deed, Foreigner},
    election::Lead,
    page::{Counts, Page, Unwanted},
};
use crate::{
    domain::{
        placeholder::owner_of,
        pool::{PoolId, same_name},
        profile::ScalingObject,
        registration::RegisteredAgent,
    },
    ports::{
        ReadError,
        stands::{Stand, StandKey, Stands},
    },
    telemetry::metrics::WriteOutcome,
};

/// How long a pool that nobody names is looked at beyond the time after which its
/// placeholders go.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// What is known of all pools.
pub(super) struct Book {
    settings: PoolSettings,
    /// Are placeholders kept, or is there only to be looked?
    keeps: bool,
    term: u64,
    stands: Stands,
    pages: BTreeMap<StandKey, Page>,
}

/// What came of a look.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) deeds: Vec<Deed>,
    /// Those that were not there at the look before.
    pub(super) foreigners: Vec<Foreigner>,
}

/// Is this placeholder wanted in this pool? `elsewhere` are stands that are known to
/// be other pools; what is not known may be this one.
pub(super) fn is_wanted(
    stands: &Stands,
    organization: &str,
    elsewhere: &BTreeSet<StandKey>,
    (object, name): (&ScalingObject, &str),
) -> bool {
    let here = |stand: &&Stand| {
        *stand.key.organization == *organization && !elsewhere.contains(&stand.key)
    };
    let profiles = stands
        .all
        .iter()
        .filter(here)
        .flat_map(|stand| &stand.profiles);
    let mut own = profiles.filter(|profile| profile.object == *object);
    own.any(|profile| {
        let wanted = profile.placeholder.as_ref();
        wanted.is_some_and(|wanted| same_name(&wanted.name, name))
    })
}

// === impl Book ===

impl Book {
    pub(super) fn new(settings: PoolSettings, keeps: bool) -> Self {
        Self {
            settings,
            keeps,
            term: 0,
            stands: Stands::default(),
            pages: BTreeMap::new(),
        }
    }

    /// Takes in what is declared, also while another replica leads.
    pub(super) fn take(&mut self, stands: Stands, now: Instant) {
        for stand in &stands.all {
            let page = self.pages.entry(stand.key.clone());
            let page = page.or_insert_with(|| Page::new(stand.clone(), now));
            if page.dropped_at.is_some() || page.stand.profiles != stand.profiles {
                page.is_news = true;
                page.next_look = now;
            }
            page.stand = stand.clone();
            page.dropped_at = None;
        }
        let named: BTreeSet<_> = stands.all.iter().map(|stand| &stand.key).collect();
        let longest = self.settings.gone_for + FORGOTTEN_AFTER;
        let keeps = self.keeps;
        self.pages.retain(|key, page| {
            if named.contains(key) {
                return true;
            }
            page.stand.profiles.clear();
            page.counts = Counts::default();
            let dropped_at = *page.dropped_at.get_or_insert(now);
            page.is_busy || (keeps && now < dropped_at + longest)
        });
        self.stands = stands;
        // What is wanted again, or not known any more, is not known without a break.
        let keys: Vec<_> = self.pages.keys().cloned().collect();
        for key in keys {
            self.forget_doubts(&key);
        }
    }

    fn forget_doubts(&mut self, key: &StandKey) {
        let elsewhere = self.elsewhere(key);
        let Self { stands, pages, .. } = self;
        let Some(page) = pages.get_mut(key) else {
            return;
        };
        page.unwanted.retain(|_, unwanted| {
            let of = (&unwanted.object, &*unwanted.name);
            let wanted = is_wanted(stands, &key.organization, &elsewhere, of);
            stands.is_clear(&unwanted.object) && !wanted
        });
    }

    /// This replica leads.
    pub(super) fn lead(&mut self, lead: Lead, now: Instant) {
        if self.term == lead.term {
            return;
        }
        self.term = lead.term;
        for page in self.pages.values_mut() {
            page.next_look = now;
            page.is_news = true;
            page.unwanted.clear();
            page.tried.clear();
            page.foreigners.clear();
        }
    }

    /// What is to be looked at now, the one that waits for longest first.
    pub(super) fn due(&self, now: Instant) -> Vec<(Stand, Option<PoolId>)> {
        let pages = self.pages.values();
        let due = pages.filter(|page| !page.is_busy && page.next_look <= now);
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|page| page.next_look);
        due.into_iter()
            .map(|page| (page.stand.clone(), page.id))
            .collect()
    }

    /// When to look at the next one.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let idle = self.pages.values().filter(|page| !page.is_busy);
        idle.map(|page| page.next_look).min()
    }

    /// A look begins.
    pub(super) fn begins(&mut self, key: &StandKey) {
        if let Some(page) = self.pages.get_mut(key) {
            page.is_busy = true;
            page.is_news = false;
        }
    }

    /// The server wants to be left alone.
    pub(super) fn rests(&mut self, key: &StandKey, until: Instant) {
        if let Some(page) = self.pages.get_mut(key) {
            page.next_look = until;
        }
    }

    /// A pool could not be looked at.
    pub(super) fn failed(&mut self, key: &StandKey, error: &ReadError, now: Instant) {
        let longest = self.settings.look_every;
        let Some(page) = self.pages.get_mut(key) else {
            return;
        };
        if matches!(error, ReadError::PoolNotFound { .. }) {
            page.id = None;
        }
        page.counts = Counts {
            missing: page.wanted().count(),
            ..Counts::default()
        };
        page.ends(false, longest, now);
    }

    /// What there is to do in a pool that has these agents.
    pub(super) fn looked(
        &mut self,
        key: &StandKey,
        (id, agents): (PoolId, &[RegisteredAgent]),
        now: Instant,
    ) -> Found {
        if let Some(page) = self.pages.get_mut(key) {
            page.id = Some(id);
        }
        if !self.keeps {
            return Found::default();
        }
        let elsewhere = self.elsewhere(key);
        let unwanted = self.unwanted(key, agents, &elsewhere);
        let Self {
            settings, pages, ..
        } = self;
        let Some(page) = pages.get_mut(key) else {
            return Found::default();
        };
        let (mut deeds, foreigners) = page.keep(settings, agents);
        let before = std::mem::take(&mut page.unwanted);
        for (agent, mark, object) in unwanted {
            let known = before
                .get(&agent.id)
                .filter(|known| known.object == object && same_name(&known.name, &agent.name));
            let since = known.map_or(now, |known| known.since);
            let name = agent.name.clone();
            let unwanted = Unwanted {
                object,
                name,
                since,
            };
            page.unwanted.insert(agent.id, unwanted);
            if now >= since + settings.gone_for {
                deeds.push(Deed::Remove {
                    id: agent.id,
                    name: agent.name.clone(),
                    mark,
                    elsewhere: elsewhere.clone(),
                });
            }
        }
        deeds.retain(|deed| !page.tried.contains(&deed.to_string()));
        if page.dropped_at.is_some() && page.unwanted.is_empty() {
            let own = |agent: &RegisteredAgent| {
                owner_of(agent).is_some_and(|mark| settings.keeper.object(mark).is_some())
            };
            if !agents.iter().any(own) {
                pages.remove(key);
            }
        }
        Found { deeds, foreigners }
    }

    /// What was to be done has been tried.
    pub(super) fn done(&mut self, key: &StandKey, done: &[(Deed, WriteOutcome)], now: Instant) {
        let longest = self.settings.look_every;
        let Some(page) = self.pages.get_mut(key) else {
            return;
        };
        let mut well = true;
        for (deed, outcome) in done {
            match outcome {
                WriteOutcome::Done if matches!(deed, Deed::Register(..)) => {
                    page.counts.kept += 1;
                    page.counts.missing = page.counts.missing.saturating_sub(1);
                }
                // Another may have waited for its name.
                WriteOutcome::Done if matches!(deed, Deed::Remove { .. }) => page.is_news = true,
                WriteOutcome::Done | WriteOutcome::Gone => {}
                WriteOutcome::DryRun => {
                    page.tried.insert(deed.to_string());
                }
                _ => well = false,
            }
        }
        page.ends(well, longest, now);
    }

    /// All of them.
    pub(super) fn counts(&self) -> Counts {
        let pages = self.pages.values();
        pages.fold(Counts::default(), |sum, Page { counts, .. }| Counts {
            kept: sum.kept + counts.kept,
            others: sum.others + counts.others,
            missing: sum.missing + counts.missing,
        })
    }

    /// What bears this scaler's mark, and nobody wants for sure.
    fn unwanted<'a>(
        &self,
        key: &StandKey,
        agents: &'a [RegisteredAgent],
        elsewhere: &BTreeSet<StandKey>,
    ) -> Vec<(&'a RegisteredAgent, Box<str>, ScalingObject)> {
        let page = self.pages.get(key);
        let only = page.and_then(|page| page.stand.only.as_deref());
        let own = agents.iter().filter_map(|agent| {
            let mark = owner_of(agent)?;
            Some((agent, mark.into(), self.settings.keeper.object(mark)?))
        });
        let unwanted = own.filter(|(agent, _, object)| {
            let may = only.is_none_or(|only| *only == *object.namespace);
            let of = (object, &*agent.name);
            let wanted = is_wanted(&self.stands, &key.organization, elsewhere, of);
            let in_use = agent.online || agent.assigned.is_some();
            may && !wanted && !in_use && self.stands.is_clear(object)
        });
        unwanted.collect()
    }

    /// Stands that are known to be other pools than this one.
    fn elsewhere(&self, key: &StandKey) -> BTreeSet<StandKey> {
        let own = self.pages.get(key).and_then(|page| page.id);
        let pages = self.pages.iter();
        let others = pages.filter(|(_, page)| own.is_some() && page.id.is_some() && page.id != own);
        others.map(|(key, _)| key.clone()).collect()
    }
}
