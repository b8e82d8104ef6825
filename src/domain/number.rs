//! The number: how many agents a profile needs for the jobs that it has.
//!
//! May import: profiles. Invariant: a number is a sum that can be read out
//! loud; it holds its parts.

use std::fmt;

use super::profile::{Counting, Profile};

/// How many jobs a profile has, by how far they have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// They wait for an agent.
    pub queued: u32,
    /// An agent will take them in a moment.
    pub assigned: u32,
    /// An agent runs them.
    pub running: u32,
}

/// What KEDA is told, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    tally: Tally,
    counting: Counting,
    warm_agents: u32,
    /// Jobs that a Job of the cluster is there for, where the Jobs are known
    /// and KEDA does not take them off by itself.
    backed: Option<u32>,
}

// === impl Tally ===

impl Tally {
    /// All of them.
    #[must_use]
    pub fn unfinished(self) -> u64 {
        u64::from(self.queued) + u64::from(self.assigned) + u64::from(self.running)
    }

    /// Both together.
    pub(super) fn add(&mut self, other: Self) {
        self.queued += other.queued;
        self.assigned += other.assigned;
        self.running += other.running;
    }
}

// === impl Number ===

impl Number {
    /// The number for these jobs.
    #[must_use]
    pub const fn new(profile: &Profile, tally: Tally) -> Self {
        Self {
            tally,
            counting: profile.counting,
            warm_agents: profile.warm_agents,
            backed: None,
        }
    }

    /// The same, where it is known for how many of the jobs the cluster has a
    /// Job that KEDA does not take off: see [`Counting::Unclaimed`] and
    /// [`Counting::Unbacked`]. Of no meaning for the other ways of counting.
    #[must_use]
    pub const fn with_backed(mut self, backed: u32) -> Self {
        if matches!(self.counting, Counting::Unclaimed | Counting::Unbacked) {
            self.backed = Some(backed);
        }
        self
    }

    /// The number itself.
    #[must_use]
    pub fn value(&self) -> u64 {
        let parts = self.parts().into_iter().flatten();
        let sum: u64 = parts.map(|(count, _)| u64::from(count)).sum();
        sum.saturating_sub(u64::from(self.backed.unwrap_or(0)))
    }

    /// The jobs that it was made from.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// What is added up. Every `GetMetrics` asks, so nothing is allocated.
    fn parts(&self) -> [Option<(u32, &'static str)>; 4] {
        let queued = Some((self.tally.queued, "queued"));
        let assigned = Some((self.tally.assigned, "assigned"));
        let running = Some((self.tally.running, "running"));
        let warm = (self.warm_agents > 0).then_some((self.warm_agents, "warm"));
        match (self.counting, self.backed) {
            (Counting::Unfinished, _) | (_, Some(_)) => [queued, assigned, running, warm],
            (Counting::NotReceived, None) => [queued, assigned, None, warm],
            // Warm agents would be asked for again and again: nothing takes
            // those off that are there.
            (Counting::Unclaimed | Counting::Unbacked, None) => [queued, None, None, None],
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} =", self.value())?;
        for (index, (count, what)) in self.parts().into_iter().flatten().enumerate() {
            let separator = if index == 0 { "" } else { " +" };
            write!(f, "{separator} {count} {what}")?;
        }
        match self.backed {
            Some(backed) => write!(f, " - {backed} that have a Job"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::Matching;

    fn check(counting: Counting, warm: u32, backed: Option<u32>, expected: (u64, &str)) {
        let profile = Profile {
            matching: Matching::Any,
            counting,
            warm_agents: warm,
            priority: 0,
        };
        let tally = Tally {
            queued: 4,
            assigned: 2,
            running: 3,
        };
        let mut number = Number::new(&profile, tally);
        if let Some(backed) = backed {
            number = number.with_backed(backed);
        }
        assert_eq!((number.value(), number.to_string().as_str()), expected);
    }

    #[test]
    fn each_way_of_counting_adds_up_its_own_parts() {
        use Counting::{NotReceived, Unbacked, Unclaimed, Unfinished};
        let all = "9 = 4 queued + 2 assigned + 3 running";
        check(Unfinished, 0, None, (9, all));
        check(Unfinished, 0, Some(7), (9, all));
        let warm = "14 = 4 queued + 2 assigned + 3 running + 5 warm";
        check(Unfinished, 5, None, (14, warm));
        check(NotReceived, 0, None, (6, "6 = 4 queued + 2 assigned"));
        for counting in [Unclaimed, Unbacked] {
            check(counting, 0, None, (4, "4 = 4 queued"));
            check(counting, 5, None, (4, "4 = 4 queued"));
            let but = |backed, value: u64| {
                let told = format!(
                    "{value} = 4 queued + 2 assigned + 3 running - {backed} that have a Job"
                );
                check(counting, 0, Some(backed), (value, &told));
            };
            but(0, 9);
            but(6, 3);
            but(9, 0);
            but(12, 0);
        }
    }
}
