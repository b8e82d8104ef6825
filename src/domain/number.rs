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
        }
    }

    /// The number itself.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.parts()
            .iter()
            .map(|(count, _)| u64::from(*count))
            .sum()
    }

    /// The jobs that it was made from.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// What is added up.
    fn parts(&self) -> Vec<(u32, &'static str)> {
        let Tally {
            queued,
            assigned,
            running,
        } = self.tally;
        let mut parts = vec![(queued, "queued")];
        if self.counting != Counting::Unclaimed {
            parts.push((assigned, "assigned"));
        }
        if self.counting == Counting::Unfinished {
            parts.push((running, "running"));
        }
        if self.warm_agents > 0 {
            parts.push((self.warm_agents, "warm"));
        }
        parts
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} =", self.value())?;
        for (index, (count, what)) in self.parts().into_iter().enumerate() {
            let separator = if index == 0 { "" } else { " +" };
            write!(f, "{separator} {count} {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::Matching;

    fn check(counting: Counting, warm_agents: u32, expected: (u64, &str)) {
        let profile = Profile {
            matching: Matching::Any,
            counting,
            warm_agents,
            priority: 0,
        };
        let tally = Tally {
            queued: 4,
            assigned: 2,
            running: 3,
        };
        let number = Number::new(&profile, tally);
        assert_eq!((number.value(), number.to_string().as_str()), expected);
    }

    #[test]
    fn each_way_of_counting_adds_up_its_own_parts() {
        check(
            Counting::Unfinished,
            0,
            (9, "9 = 4 queued + 2 assigned + 3 running"),
        );
        check(
            Counting::Unfinished,
            5,
            (14, "14 = 4 queued + 2 assigned + 3 running + 5 warm"),
        );
        check(Counting::NotReceived, 0, (6, "6 = 4 queued + 2 assigned"));
        check(Counting::Unclaimed, 0, (4, "4 = 4 queued"));
    }
}
