//! Kinds of jobs: those that the same scaling objects could run.
//!
//! May import: its siblings, profiles, demands. Invariant: which triggers fit is
//! worked out once for each list of demands, not for each job; the answer is
//! that of [`Offer::fits`].

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    objects::{Objects, Sharing},
    set::RankSet,
};
use crate::domain::{
    demand::{Demand, Demands},
    profile::{Matching, Offer},
};

/// Who could run jobs with some demands.
pub(super) struct Fit {
    /// The triggers whose agents could.
    triggers: RankSet,
    /// The scaling objects that have such a trigger.
    pub(super) objects: RankSet,
}

/// Who fits a list of demands.
pub(super) struct Fitting<'a> {
    objects: &'a Objects<'a>,
    offers: Vec<(usize, &'a Offer)>,
    /// For each demand seen so far, which triggers *cannot* meet it.
    excluded: HashMap<Demand, RankSet>,
    /// For each required name, in lower case, which triggers require it.
    required: HashMap<Box<str>, RankSet>,
    /// What was found so far: many lists of demands, few different answers.
    fits: Vec<Fit>,
    /// Their places by their triggers.
    numbers: HashMap<RankSet, usize>,
    /// Their places by the address of the demands: a queue shares equal ones.
    seen: HashMap<*const Demands, usize>,
}

// === impl Fitting ===

impl<'a> Fitting<'a> {
    pub(super) fn new(objects: &'a Objects<'a>) -> Self {
        let triggers = &objects.triggers;
        let offers: Vec<(usize, &Offer)> = triggers
            .iter()
            .enumerate()
            .filter_map(
                |(rank, trigger)| match &trigger.contender.profile.matching {
                    Matching::Capabilities(offer) => Some((rank, offer)),
                    _ => None,
                },
            )
            .collect();
        let mut required: HashMap<Box<str>, RankSet> = HashMap::new();
        for (rank, offer) in &offers {
            for name in offer.requires() {
                let who = required
                    .entry(name.to_lowercase().into())
                    .or_insert_with(|| RankSet::of(triggers.len(), false));
                who.insert(*rank);
            }
        }
        Self {
            objects,
            offers,
            excluded: HashMap::new(),
            required,
            fits: Vec::new(),
            numbers: HashMap::new(),
            seen: HashMap::new(),
        }
    }

    /// Whose agents could run a job with these demands.
    pub(super) fn of(&mut self, demands: &Arc<Demands>) -> &Fit {
        let address = Arc::as_ptr(demands);
        let number = match self.seen.get(&address) {
            Some(number) => *number,
            None => {
                let triggers = self.work_out(demands);
                let number = self.number(triggers);
                self.seen.insert(address, number);
                number
            }
        };
        &self.fits[number]
    }

    /// The trigger of this object that has a job with these demands: of those
    /// that fit, the most preferred one. `None` where none fits.
    pub(super) fn first_trigger(
        &mut self,
        object: usize,
        demands: &Arc<Demands>,
    ) -> Option<&'a Sharing<'a>> {
        let objects = self.objects;
        let fit = self.of(demands);
        let first = objects.triggers_of[object]
            .iter()
            .find(|rank| fit.triggers.contains(**rank));
        first.map(|rank| &objects.triggers[*rank])
    }

    fn number(&mut self, triggers: RankSet) -> usize {
        if let Some(number) = self.numbers.get(&triggers) {
            return *number;
        }
        let mut objects = RankSet::of(self.objects.room.len(), false);
        for (rank, trigger) in self.objects.triggers.iter().enumerate() {
            if triggers.contains(rank) {
                objects.insert(trigger.object);
            }
        }
        self.numbers.insert(triggers.clone(), self.fits.len());
        self.fits.push(Fit { triggers, objects });
        self.fits.len() - 1
    }

    fn work_out(&mut self, demands: &Demands) -> RankSet {
        let mut fitting = RankSet::of(self.objects.triggers.len(), true);
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
        let mut excluded = RankSet::of(self.objects.triggers.len(), false);
        for (rank, offer) in &self.offers {
            if offer.capabilities().meets(demand).is_err() {
                excluded.insert(*rank);
            }
        }
        excluded
    }
}
