//! Kinds of jobs: those that the same contenders could run.
//!
//! May import: its siblings, profiles, jobs. Invariant: which contenders fit is
//! worked out once for each list of demands, not for each job; the answer is
//! that of [`Offer::fits`].

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Contender, set::RankSet};
use crate::domain::{
    demand::{Demand, Demands},
    profile::{Matching, Offer},
};

/// Which contenders fit a list of demands.
pub(super) struct Fitting<'a> {
    offers: Vec<(usize, &'a Offer)>,
    contenders: usize,
    /// For each demand seen so far, who *cannot* meet it.
    excluded: HashMap<Demand, RankSet>,
    /// For each required name, in lower case, who requires it.
    required: HashMap<Box<str>, RankSet>,
    /// Lists of demands seen so far, by address: a queue shares equal ones.
    seen: HashMap<*const Demands, RankSet>,
}

// === impl Fitting ===

impl<'a> Fitting<'a> {
    /// Contenders by their rank.
    pub(super) fn new(ranked: &[&Contender<'a>]) -> Self {
        let offers: Vec<(usize, &Offer)> = ranked
            .iter()
            .enumerate()
            .filter_map(|(rank, contender)| match &contender.profile.matching {
                Matching::Capabilities(offer) => Some((rank, offer)),
                _ => None,
            })
            .collect();
        let mut required: HashMap<Box<str>, RankSet> = HashMap::new();
        for (rank, offer) in &offers {
            for name in offer.requires() {
                let who = required
                    .entry(name.to_lowercase().into())
                    .or_insert_with(|| RankSet::of(ranked.len(), false));
                who.insert(*rank);
            }
        }
        Self {
            offers,
            contenders: ranked.len(),
            excluded: HashMap::new(),
            required,
            seen: HashMap::new(),
        }
    }

    /// The contenders whose agents could run a job with these demands.
    pub(super) fn of(&mut self, demands: &Arc<Demands>) -> &RankSet {
        let address = Arc::as_ptr(demands);
        if !self.seen.contains_key(&address) {
            let fitting = self.work_out(demands);
            self.seen.insert(address, fitting);
        }
        &self.seen[&address]
    }

    fn work_out(&mut self, demands: &Demands) -> RankSet {
        let mut fitting = RankSet::of(self.contenders, true);
        for demand in demands {
            if !self.excluded.contains_key(demand) {
                let excluded = self.who_cannot(demand);
                self.excluded.insert(demand.clone(), excluded);
            }
            fitting.remove(&self.excluded[demand]);
        }
        if !self.required.is_empty() {
            let asked: HashSet<String> = demands
                .iter()
                .map(|demand| demand.name().to_lowercase())
                .collect();
            for (name, who) in &self.required {
                if !asked.contains(&**name) {
                    fitting.remove(who);
                }
            }
        }
        fitting
    }

    fn who_cannot(&self, demand: &Demand) -> RankSet {
        let mut excluded = RankSet::of(self.contenders, false);
        for (rank, offer) in &self.offers {
            if offer.capabilities().meets(demand).is_err() {
                excluded.insert(*rank);
            }
        }
        excluded
    }
}
