//! What the work costs at least, by somebody who knows the queue: the measure that
//! both sides are held against.
//!
//! A second of an agent is one from its pod's beginning to the end of its process,
//! idle or not. The oracle sees each job at the moment that it is queued, and each
//! cancellation beforehand; it keeps nothing in reserve, loses nothing to drains,
//! restarts or faults, and lets no job wait for anything but an agent's start.
//!
//! - **One agent for each job** (a ScaledJob): its start, the job, its leaving.
//! - **Agents that stay** (a Deployment): a job takes an idle agent at once, else one
//!   that is started for it. The number may fall when the autoscaler looks and at no
//!   other time, as it is for everybody; it then falls to the jobs that there are.
//!   Where the looks lie is chosen so that the sum is the least.
//!
//! So with the jobs as they lie, no other number is enough for each of them at every
//! moment and costs less: the number is the least at each moment (a law below).
//!
//! May import: nothing. Invariant: pure.

use std::collections::{BTreeSet, VecDeque};

/// One job, in seconds; the jobs of one profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Work {
    /// When it is queued.
    pub(crate) at: f64,
    /// How long it runs, being given to its agent included.
    pub(crate) lasts: f64,
    /// When it is cancelled, if it is.
    pub(crate) cancelled: Option<f64>,
}

/// What everybody has to pay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// From an agent's pod to an agent that listens.
    pub(crate) start: f64,
    /// From the end of its last job to the end of its process.
    pub(crate) leave: f64,
    /// Between two looks of the autoscaler.
    pub(crate) look: f64,
}

/// From a job's being queued until it is over, on an agent or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) begins: f64,
    pub(crate) ends: f64,
}

impl Work {
    fn over(&self, runs_from: f64) -> f64 {
        let ends = runs_from + self.lasts;
        self.cancelled
            .map_or(ends, |cancelled| ends.min(cancelled))
            .max(self.at)
    }

    /// Is it cancelled before any agent that is started for it could have it?
    fn needs_none(&self, costs: Costs) -> bool {
        self.cancelled
            .is_some_and(|cancelled| cancelled <= self.at + costs.start)
    }
}

/// An agent for each job.
pub(crate) fn one_each(work: &[Work], costs: Costs) -> f64 {
    let worth_it = work.iter().filter(|job| !job.needs_none(costs));
    let cost = |job: &Work| job.over(job.at + costs.start) - job.at + costs.leave;
    worth_it.map(cost).sum()
}

/// Agents that stay until a look; `work` in the order of its moments.
pub(crate) fn staying(work: &[Work], costs: Costs) -> f64 {
    let phases = 20_u32;
    let phase = |phase: u32| costs.look * f64::from(phase) / f64::from(phases);
    let cost = |phase| {
        let spans = spans(work, costs, phase);
        seconds(&least(&spans, costs.look, phase)) + leaves(&spans, costs, phase)
    };
    (0..phases)
        .map(|number| cost(phase(number)))
        .fold(f64::INFINITY, f64::min)
}

/// When each job is there, if it takes an agent that idles or one that is started.
fn spans(work: &[Work], costs: Costs, phase: f64) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    // The ends of jobs, whose agents idle from then on; in thousandths of a second.
    let mut busy = BTreeSet::new();
    let mut idle = VecDeque::new();
    let mut looked = f64::NEG_INFINITY;
    for job in work.iter().filter(|job| !job.needs_none(costs)) {
        while let Some(&(end, number)) = busy.first()
            && as_seconds(end) <= job.at
        {
            busy.remove(&(end, number));
            idle.push_back(as_seconds(end));
        }
        // The last look takes all that idled then.
        let look = phase + ((job.at - phase) / costs.look).floor() * costs.look;
        if look > looked {
            idle.retain(|since| *since > look);
            looked = look;
        }
        let runs_from = match idle.pop_front() {
            Some(_) => job.at,
            None => job.at + costs.start,
        };
        let ends = job.over(runs_from);
        busy.insert((thousandths(ends), spans.len()));
        spans.push(Span {
            begins: job.at,
            ends,
        });
    }
    spans
}

/// The number from a moment on.
type Steps = Vec<(f64, usize)>;

/// The least number that is enough for all spans and falls at looks alone.
fn least(spans: &[Span], look: f64, phase: f64) -> Steps {
    let mut edges: Vec<(i64, bool)> = Vec::new();
    for span in spans {
        edges.push((thousandths(span.begins), true));
        edges.push((thousandths(span.ends), false));
    }
    // An end before a beginning of the same moment: that agent is free for it.
    edges.sort_unstable();
    let mut steps = Steps::new();
    let (mut there, mut number) = (0_usize, 0_usize);
    let mut next_look = f64::NEG_INFINITY;
    for (at, begins) in edges {
        let at = as_seconds(at);
        if next_look <= at && number > there {
            steps.push((next_look, there));
            number = there;
        }
        if begins {
            there += 1;
            if there > number {
                number = there;
                steps.push((at, number));
            }
        } else {
            there -= 1;
        }
        next_look = phase + (((at - phase) / look).floor() + 1.0) * look;
    }
    if number > there {
        steps.push((next_look, there));
    }
    steps
}

/// The seconds of all agents.
fn seconds(steps: &[(f64, usize)]) -> f64 {
    let spans = steps.windows(2);
    #[expect(clippy::cast_precision_loss, reason = "some hundreds of agents")]
    spans
        .map(|pair| (pair[1].0 - pair[0].0) * pair[0].1 as f64)
        .sum()
}

/// What all that leave take for it.
fn leaves(spans: &[Span], costs: Costs, phase: f64) -> f64 {
    let steps = least(spans, costs.look, phase);
    let falls = steps
        .windows(2)
        .map(|pair| pair[0].1.saturating_sub(pair[1].1));
    #[expect(clippy::cast_precision_loss, reason = "some thousands of agents")]
    let falls = falls.sum::<usize>() as f64;
    falls * costs.leave
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an hour in thousandths of a second"
)]
fn thousandths(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an hour in thousandths of a second"
)]
fn as_seconds(thousandths: i64) -> f64 {
    thousandths as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COSTS: Costs = Costs {
        start: 2.0,
        leave: 0.5,
        look: 15.0,
    };

    fn job(at: f64, lasts: f64) -> Work {
        Work {
            at,
            lasts,
            cancelled: None,
        }
    }

    fn cancelled(at: f64, lasts: f64, cancelled: f64) -> Work {
        Work {
            cancelled: Some(cancelled),
            ..job(at, lasts)
        }
    }

    #[test]
    fn a_job_of_its_own_agent_costs_start_work_and_leaving() {
        for (work, expected) in [
            (vec![], 0.0),
            (vec![job(0.0, 10.0)], 12.5),
            (vec![job(0.0, 10.0), job(1.0, 20.0)], 35.0),
            // Cancelled before an agent could be there, while it runs, after it.
            (vec![cancelled(5.0, 10.0, 6.0)], 0.0),
            (vec![cancelled(5.0, 10.0, 10.0)], 5.5),
            (vec![cancelled(5.0, 10.0, 60.0)], 12.5),
        ] {
            assert!((one_each(&work, COSTS) - expected).abs() < 1e-6, "{work:?}");
        }
    }

    #[test]
    fn agents_that_stay_are_used_again_and_go_at_looks() {
        // Ends at 12, and a look may lie there.
        let one = staying(&[job(0.0, 10.0)], COSTS);
        assert!((12.0..13.3).contains(&one), "{one}");
        // The second begins when the first has ended, before a look that is the best.
        let two = staying(&[job(0.0, 10.0), job(12.0, 10.0)], COSTS);
        assert!((22.0..23.3).contains(&two), "{two}");
        // Far apart: two starts. Looks are tried in twentieths of their period.
        let apart = staying(&[job(0.0, 13.0), job(600.0, 13.0)], COSTS);
        assert!((31.0..=32.5).contains(&apart), "{apart}");
    }

    prop_compose! {
        fn works()(jobs in prop::collection::vec((0.0..300.0, 1.0..60.0, prop::option::of(0.0..60.0)), 1..60))
            -> Vec<Work>
        {
            let mut works: Vec<Work> = jobs
                .into_iter()
                .map(|(at, lasts, after)| Work { at, lasts, cancelled: after.map(|after: f64| at + after) })
                .collect();
            works.sort_by(|one, other| one.at.total_cmp(&other.at));
            works
        }
    }

    proptest! {
        /// Whoever keeps more in reserve or looks away for longer pays more.
        #[test]
        fn no_schedule_of_the_same_jobs_costs_less(
            works in works(),
            phase in 0.0..15.0_f64,
            reserve in 0_usize..3,
            ignored in prop::collection::vec(any::<bool>(), 40),
        ) {
            let spans = spans(&works, COSTS, phase);
            let least = seconds(&least(&spans, COSTS.look, phase));
            // Any other schedule, second by second: it falls at some of the looks, and
            // never below the jobs.
            let there = |at: f64| spans.iter().filter(|span| span.begins <= at && at < span.ends).count();
            let (mut number, mut cost) = (0, 0.0);
            let step = 0.05;
            for tick in 0..12_000 {
                let at = f64::from(tick) * step;
                let before = ((at - step - phase) / COSTS.look).floor();
                let look = ((at - phase) / COSTS.look).floor();
                let index = ((look + 2.0) as usize) % ignored.len();
                if look > before && !ignored[index] {
                    number = there(at) + reserve;
                }
                number = number.max(there(at));
                cost += number as f64 * step;
            }
            // The last look may have been ignored: then it costs all the more.
            let slack = spans.len() as f64 * 2.0 * step;
            prop_assert!(least <= cost + slack, "{least} > {cost}");
        }

        #[test]
        fn nothing_is_cheaper_than_the_work_itself(works in works()) {
            let worked: f64 = works
                .iter()
                .filter(|job| !job.needs_none(COSTS))
                .map(|job| job.over(job.at) - job.at)
                .sum();
            prop_assert!(staying(&works, COSTS) >= worked - 1e-3);
            prop_assert!(one_each(&works, COSTS) >= worked - 1e-3);
        }
    }
}
