//! Sets of triggers or of scaling objects, one bit for each.
//!
//! May import: nothing of ours. Invariant: two sets are only ever combined when
//! they were made for the same number of these.

/// A set of triggers, or of scaling objects, by their rank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RankSet(Box<[u64]>);

// === impl RankSet ===

impl RankSet {
    /// The set of all of them, or of none.
    pub(super) fn of(ranks: usize, all: bool) -> Self {
        let mut words = vec![if all { u64::MAX } else { 0 }; ranks.div_ceil(64)];
        if let (true, Some(last)) = (all && !ranks.is_multiple_of(64), words.last_mut()) {
            *last = (1 << (ranks % 64)) - 1;
        }
        Self(words.into())
    }

    pub(super) fn insert(&mut self, rank: usize) {
        self.0[rank / 64] |= 1 << (rank % 64);
    }

    pub(super) fn contains(&self, rank: usize) -> bool {
        self.0[rank / 64] & (1 << (rank % 64)) != 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Takes out what is in `other`.
    pub(super) fn remove(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_means_each_and_no_more() {
        for ranks in [0, 1, 63, 64, 65, 130] {
            let mut all = RankSet::of(ranks, true);
            assert!((0..ranks).all(|rank| all.contains(rank)), "{ranks}");
            let ones: u32 = all.0.iter().map(|word| word.count_ones()).sum();
            assert_eq!(ones as usize, ranks);
            all.remove(&all.clone());
            assert!(all.is_empty());
        }
    }
}
