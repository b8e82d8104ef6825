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
    /// Running jobs on pods that are going, which count as replicas no more.
    leaving: u32,
    /// Queued jobs that are left out, and why, where there are any.
    held: Option<(u32, Cap)>,
}

/// Why queued jobs are left out of a number: agents for them would idle, since
/// the organization may not run that many jobs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// How many parallel jobs it has.
    pub limit: u32,
    /// How many of them are in use.
    pub in_use: u32,
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
            leaving: 0,
            held: None,
        }
    }

    /// The same without so many of the queued jobs. Those that an agent has stay.
    #[must_use]
    pub const fn with_held(mut self, jobs: u32, cap: Cap) -> Self {
        let jobs = if jobs < self.tally.queued {
            jobs
        } else {
            self.tally.queued
        };
        self.held = if jobs > 0 { Some((jobs, cap)) } else { None };
        self
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

    /// The same, where it is known how many of the running jobs are on pods that are
    /// going already.
    ///
    /// Kubernetes: a `ReplicaSet`, and so the autoscaler, does not count a pod with a
    /// `deletionTimestamp`; an agent for its job would be one more, and idle. Of no
    /// meaning but for [`Counting::Unfinished`].
    #[must_use]
    pub const fn with_leaving(mut self, jobs: u32) -> Self {
        if matches!(self.counting, Counting::Unfinished) {
            self.leaving = if jobs < self.tally.running {
                jobs
            } else {
                self.tally.running
            };
        }
        self
    }

    /// The number itself.
    #[must_use]
    pub fn value(&self) -> u64 {
        let parts = self.parts().into_iter().flatten();
        let sum: u64 = parts.map(|(count, _)| u64::from(count)).sum();
        let backed = u64::from(self.backed.unwrap_or(0));
        sum.saturating_sub(backed + u64::from(self.leaving))
    }

    /// The jobs that it was made from.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// How many queued jobs are left out of it, for want of a parallel job.
    #[must_use]
    pub const fn held(&self) -> u32 {
        match self.held {
            Some((jobs, _)) => jobs,
            None => 0,
        }
    }

    /// What is added up. Every `GetMetrics` asks, so nothing is allocated.
    fn parts(&self) -> [Option<(u32, &'static str)>; 4] {
        let queued = Some((self.tally.queued - self.held(), "queued"));
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
        if let Some(backed) = self.backed {
            write!(f, " - {backed} that have a Job")?;
        }
        if self.leaving > 0 {
            write!(f, " - {} on pods that are going", self.leaving)?;
        }
        let Some((held, Cap { limit, in_use })) = self.held else {
            return Ok(());
        };
        let wait = if held == 1 { "waits" } else { "wait" };
        let are = if in_use == 1 { "is" } else { "are" };
        write!(
            f,
            "; {held} more queued {wait} for a parallel job: the organization has {limit}, of \
             which {in_use} {are} in use"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::Matching;

    fn check(counting: Counting, warm: u32, backed: Option<u32>, expected: (u64, &str)) {
        check_held(0, counting, warm, backed, expected);
    }

    fn check_held(
        held: u32,
        counting: Counting,
        warm: u32,
        backed: Option<u32>,
        expected: (u64, &str),
    ) {
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
        let cap = Cap {
            limit: 10,
            in_use: 9,
        };
        number = number.with_held(held, cap);
        assert_eq!(number.tally(), tally, "what is queued stays known");
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

    #[test]
    fn what_runs_on_a_pod_that_is_going_counts_for_a_deployment_no_more() {
        use Counting::{NotReceived, Unbacked, Unclaimed, Unfinished};
        let all = "4 queued + 2 assigned + 3 running";
        let check = |counting, warm_agents, leaving, held, value: u64, told: String| {
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
            let cap = Cap {
                limit: 10,
                in_use: 9,
            };
            let number = Number::new(&profile, tally).with_leaving(leaving);
            let number = number.with_held(held, cap);
            let text = number.to_string();
            let sum = text.split(';').next().unwrap_or_default();
            assert_eq!((number.value(), sum), (value, told.as_str()));
            assert_eq!(number.tally(), tally, "what runs stays known");
        };
        check(Unfinished, 0, 0, 0, 9, format!("9 = {all}"));
        let going = |value, leaving| format!("{value} = {all} - {leaving} on pods that are going");
        check(Unfinished, 0, 1, 0, 8, going(8, 1));
        check(Unfinished, 0, 3, 0, 6, going(6, 3));
        // Never more than run: what waits, and what is warm, stays.
        check(Unfinished, 0, 7, 0, 6, going(6, 3));
        let warm = "11 = 4 queued + 2 assigned + 3 running + 5 warm - 3 on pods that are going";
        check(Unfinished, 5, 3, 0, 11, warm.to_owned());
        let held = "2 = 0 queued + 2 assigned + 3 running - 3 on pods that are going";
        check(Unfinished, 0, 3, 4, 2, held.to_owned());
        let others = [
            (NotReceived, 6, "6 = 4 queued + 2 assigned"),
            (Unclaimed, 4, "4 = 4 queued"),
            (Unbacked, 4, "4 = 4 queued"),
        ];
        for (counting, value, told) in others {
            check(counting, 0, 3, 0, value, told.to_owned());
        }
    }

    #[test]
    fn a_cap_takes_queued_jobs_alone() {
        use Counting::{NotReceived, Unbacked, Unclaimed, Unfinished};
        let told = |sum: &str, held| {
            let wait = if held == 1 { "waits" } else { "wait" };
            format!(
                "{sum}; {held} more queued {wait} for a parallel job: the organization has 10, \
                 of which 9 are in use"
            )
        };
        let check = |held, counting, warm, backed, value, sum: &str, told_held| {
            check_held(held, counting, warm, backed, (value, &told(sum, told_held)));
        };
        let sum = "8 = 3 queued + 2 assigned + 3 running";
        check(1, Unfinished, 0, None, 8, sum, 1);
        // Never more than there are: what an agent has stays.
        let sum = "5 = 0 queued + 2 assigned + 3 running";
        check(9, Unfinished, 0, None, 5, sum, 4);
        let sum = "7 = 0 queued + 2 assigned + 3 running + 2 warm";
        check(4, Unfinished, 2, None, 7, sum, 4);
        check(3, NotReceived, 0, None, 3, "3 = 1 queued + 2 assigned", 3);
        for counting in [Unclaimed, Unbacked] {
            check(3, counting, 0, None, 1, "1 = 1 queued", 3);
            // Jobs that are there for jobs that now wait make up for others.
            let sum = "0 = 1 queued + 2 assigned + 3 running - 7 that have a Job";
            check(3, counting, 0, Some(7), 0, sum, 3);
            let sum = "2 = 2 queued + 2 assigned + 3 running - 5 that have a Job";
            check(2, counting, 0, Some(5), 2, sum, 2);
        }
    }
}
