//! Places kinds of jobs on scaling objects within their limits.
//!
//! May import: its siblings. Invariant: as many jobs as possible are placed,
//! and among all such placings this one gives the first object the most, then
//! the second, and so on.
//!
//! Which counts the objects can have at once is a polymatroid (the flows into
//! the sinks of a bipartite network), and a cost that depends on the object
//! alone is made smallest over it by taking the objects in their order, each as
//! far as augmenting paths allow. That is the min-cost flow, for
//! one breadth-first search where a general solver needs one for each price.

use std::collections::VecDeque;

use super::set::RankSet;

/// Jobs that the same objects' agents could run.
pub(super) struct Kind {
    /// Who could run them.
    pub(super) fitting: RankSet,
    /// How many there are.
    pub(super) count: u32,
}

/// How many jobs of each kind went to each object.
pub(super) struct Placing<'a> {
    kinds: &'a [Kind],
    /// For each kind, how many wait for a place.
    unplaced: Vec<u32>,
    /// For each kind, how many each object has: few, so a list.
    placed: Vec<Vec<(usize, u32)>>,
}

/// A step of an augmenting path: jobs of a kind move to an object.
#[derive(Clone, Copy)]
struct Step {
    kind: usize,
    /// From this object, or from those without a place.
    from: Option<usize>,
    to: usize,
}

// === impl Placing ===

impl<'a> Placing<'a> {
    /// Places as many jobs as the limits allow; `limits[rank]` is how many the
    /// object of that rank may still have.
    pub(super) fn new(kinds: &'a [Kind], limits: &[u32]) -> Self {
        let mut placing = Self {
            kinds,
            unplaced: kinds.iter().map(|kind| kind.count).collect(),
            placed: vec![Vec::new(); kinds.len()],
        };
        for (rank, limit) in limits.iter().enumerate() {
            let mut room = *limit;
            room -= placing.take_unplaced(rank, room);
            while room > 0 {
                let Some(path) = placing.path_to(rank, limits.len()) else {
                    break;
                };
                room -= placing.follow(&path, room);
            }
        }
        placing
    }

    /// Who got how many of a kind, most preferred object first.
    pub(super) fn of(&self, kind: usize) -> Vec<(usize, u32)> {
        let mut placed = self.placed[kind].clone();
        placed.retain(|(_, count)| *count > 0);
        placed.sort_unstable();
        placed
    }

    fn take_unplaced(&mut self, rank: usize, room: u32) -> u32 {
        let mut taken = 0;
        for kind in 0..self.kinds.len() {
            if self.kinds[kind].fitting.contains(rank) {
                let count = self.unplaced[kind].min(room - taken);
                self.shift(
                    Step {
                        kind,
                        from: None,
                        to: rank,
                    },
                    count,
                );
                taken += count;
            }
        }
        taken
    }

    /// The shortest chain of moves that frees nobody's place and ends with one
    /// job more at `to`; the last step comes first.
    fn path_to(&self, to: usize, objects: usize) -> Option<Vec<Step>> {
        if self.unplaced.iter().all(|count| *count == 0) {
            return None;
        }
        let mut into: Vec<Option<Step>> = vec![None; objects];
        let mut waiting = VecDeque::from([to]);
        while let Some(rank) = waiting.pop_front() {
            for (kind, placed) in self.placed.iter().enumerate() {
                if !self.kinds[kind].fitting.contains(rank) {
                    continue;
                }
                for (from, count) in placed {
                    if *count == 0 || *from == to || into[*from].is_some() {
                        continue;
                    }
                    into[*from] = Some(Step {
                        kind,
                        from: Some(*from),
                        to: rank,
                    });
                    if let Some(kind) = self.unplaced_for(*from) {
                        let first = Step {
                            kind,
                            from: None,
                            to: *from,
                        };
                        return Some(Self::path(first, &into));
                    }
                    waiting.push_back(*from);
                }
            }
        }
        None
    }

    fn path(first: Step, into: &[Option<Step>]) -> Vec<Step> {
        let mut path = vec![first];
        while let Some(step) = path.last().and_then(|step| into[step.to]) {
            path.push(step);
        }
        path
    }

    fn unplaced_for(&self, rank: usize) -> Option<usize> {
        (0..self.kinds.len())
            .find(|kind| self.unplaced[*kind] > 0 && self.kinds[*kind].fitting.contains(rank))
    }

    fn follow(&mut self, path: &[Step], room: u32) -> u32 {
        let most = path.iter().map(|step| self.available(*step)).min();
        let count = most.unwrap_or(0).min(room);
        for step in path {
            self.shift(*step, count);
        }
        count
    }

    fn available(&self, step: Step) -> u32 {
        match step.from {
            None => self.unplaced[step.kind],
            Some(rank) => {
                let placed = self.placed[step.kind]
                    .iter()
                    .find(|(from, _)| *from == rank);
                placed.map_or(0, |(_, count)| *count)
            }
        }
    }

    fn shift(&mut self, step: Step, count: u32) {
        if count == 0 {
            return;
        }
        let placed = &mut self.placed[step.kind];
        match step.from {
            None => self.unplaced[step.kind] -= count,
            Some(from) => {
                for (rank, at) in placed.iter_mut() {
                    if *rank == from {
                        *at -= count;
                    }
                }
            }
        }
        match placed.iter_mut().find(|(rank, _)| *rank == step.to) {
            Some((_, at)) => *at += count,
            None => placed.push((step.to, count)),
        }
    }
}
