//! The scaling objects of a pool, as those who have places for jobs.
//!
//! May import: its siblings. Invariant: a scaling object has one limit, however
//! many triggers it has.

use std::collections::HashMap;

use super::Contender;
use crate::domain::profile::ScalingObject;

/// A trigger that shares the pool.
pub(super) struct Sharing<'a> {
    /// Its position among all contenders.
    pub(super) position: usize,
    /// The trigger itself.
    pub(super) contender: &'a Contender<'a>,
    /// The rank of its scaling object.
    pub(super) object: usize,
}

/// Who shares the pool. A rank is a place in the order of preference.
pub(super) struct Objects<'a> {
    /// The triggers by rank.
    pub(super) triggers: Vec<Sharing<'a>>,
    /// For each object by rank, the ranks of its triggers, lowest first.
    pub(super) triggers_of: Vec<Vec<usize>>,
    /// For each object by rank, how many jobs more it may have.
    pub(super) room: Vec<u32>,
}

// === impl Objects ===

impl<'a> Objects<'a> {
    /// Ranks them: an object is where its first trigger is.
    ///
    /// KEDA cuts each trigger's number to `maxReplicaCount` agents. Each counts
    /// all jobs of the object, so the one with the fewest jobs for an agent asks
    /// for the most agents, and its limit is that of the object.
    pub(super) fn new(contenders: &'a [Contender<'a>]) -> Self {
        let mut triggers: Vec<(usize, &Contender<'_>)> = contenders
            .iter()
            .enumerate()
            .filter(|(_, contender)| contender.profile.shares_the_pool())
            .collect();
        triggers.sort_by(|(_, a), (_, b)| a.rank().cmp(&b.rank()));
        let mut objects = Self {
            triggers: Vec::with_capacity(triggers.len()),
            triggers_of: Vec::new(),
            room: Vec::new(),
        };
        let mut ranks: HashMap<&ScalingObject, usize> = HashMap::new();
        for (rank, (position, contender)) in triggers.into_iter().enumerate() {
            let next = ranks.len();
            let object = *ranks.entry(contender.object).or_insert(next);
            if object == next {
                objects.triggers_of.push(Vec::new());
                objects.room.push(u32::MAX);
            }
            objects.triggers_of[object].push(rank);
            let limit = contender.limit.unwrap_or(u32::MAX);
            objects.room[object] = objects.room[object].min(limit);
            objects.triggers.push(Sharing {
                position,
                contender,
                object,
            });
        }
        objects
    }
}
