//! The jobs of a run, before it begins: when each is queued, what it asks for, how
//! long it lasts, and whether somebody cancels it.
//!
//! May import: nothing. Invariant: the same seed and shape make the same jobs, so
//! that both sides get the same ones and a run can be had again.

use std::time::Duration;

/// What a job asks for, and so who may run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Runs on agents of the Deployment.
    Deploy,
    /// Runs on agents of the ScaledJob.
    Build,
}

/// One job to be queued.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Planned {
    /// When, from the beginning.
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
    /// How long it runs once an agent has it.
    pub(crate) lasts: Duration,
    /// When it is cancelled, from when it was queued; wherever it stands then.
    pub(crate) cancelled_after: Option<Duration>,
}

/// How the jobs of a run are to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) jobs: usize,
    /// In which all of them are queued.
    pub(crate) within: Duration,
    /// The shortest and the longest, in seconds; between them log-uniform, since
    /// most jobs of people are short.
    pub(crate) lasting: (f64, f64),
    /// Of a thousand, how many ask for an agent of the Deployment.
    pub(crate) deploy: u32,
    /// Of a thousand, how many are cancelled: half while they wait as a rule, half
    /// while they run.
    pub(crate) cancelled: u32,
}

/// A stretch of time and how dense jobs come in it.
struct Stretch {
    ends: f64,
    density: f64,
}

/// In order of their moments.
pub(crate) fn plan(seed: u64, shape: Shape) -> Vec<Planned> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let stretches = stretches(&mut rng, shape.within.as_secs_f64());
    let mut moments: Vec<f64> = (0..shape.jobs)
        .map(|_| moment(&mut rng, &stretches))
        .collect();
    moments.sort_by(f64::total_cmp);
    let job = |at| {
        let (shortest, longest) = shape.lasting;
        let lasts = shortest * (longest / shortest).powf(rng.f64());
        let kind = match rng.u32(0..1000) < shape.deploy {
            true => Kind::Deploy,
            false => Kind::Build,
        };
        let cancelled = rng.u32(0..1000) < shape.cancelled;
        let after = match rng.bool() {
            true => 3.0 * rng.f64(),
            // Some ten seconds until it runs.
            false => 10.0 + lasts * rng.f64(),
        };
        Planned {
            at: Duration::from_secs_f64(at),
            kind,
            lasts: Duration::from_secs_f64(lasts),
            cancelled_after: cancelled.then(|| Duration::from_secs_f64(after)),
        }
    };
    moments.into_iter().map(job).collect()
}

/// Bursts of seconds, stretches of usual work, lulls without a job.
fn stretches(rng: &mut fastrand::Rng, within: f64) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut ends = 0.0;
    while ends < within {
        for (shortest, longest, density) in [(2.0, 8.0, 12.0), (15.0, 40.0, 2.0), (8.0, 25.0, 0.0)]
        {
            ends = f64::min(ends + shortest + (longest - shortest) * rng.f64(), within);
            stretches.push(Stretch { ends, density });
        }
    }
    stretches
}

fn moment(rng: &mut fastrand::Rng, stretches: &[Stretch]) -> f64 {
    let begins = |index: usize| {
        index
            .checked_sub(1)
            .map_or(0.0, |before| stretches[before].ends)
    };
    let weight = |index: usize| (stretches[index].ends - begins(index)) * stretches[index].density;
    let all: f64 = (0..stretches.len()).map(weight).sum();
    let mut left = all * rng.f64();
    for (index, stretch) in stretches.iter().enumerate() {
        if left < weight(index) {
            return begins(index) + left / stretch.density;
        }
        left -= weight(index);
    }
    stretches.last().map_or(0.0, |last| last.ends)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: Shape = Shape {
        jobs: 2000,
        within: Duration::from_secs(600),
        lasting: (1.0, 300.0),
        deploy: 250,
        cancelled: 50,
    };

    fn per_mille(jobs: &[Planned], is: impl Fn(&Planned) -> bool) -> usize {
        jobs.iter().filter(|job| is(job)).count() * 1000 / jobs.len()
    }

    #[test]
    fn jobs_are_as_the_shape_says() {
        let jobs = plan(7, SHAPE);
        assert_eq!(jobs.len(), SHAPE.jobs);
        assert!((200..300).contains(&per_mille(&jobs, |job| job.kind == Kind::Deploy)));
        assert!((30..70).contains(&per_mille(&jobs, |job| job.cancelled_after.is_some())));
        // Log-uniform: as many below the geometric mean as above it.
        let middle = Duration::from_secs_f64(300_f64.sqrt());
        assert!((450..550).contains(&per_mille(&jobs, |job| job.lasts < middle)));
    }

    #[test]
    fn they_come_in_bursts_and_lulls() {
        let jobs = plan(7, SHAPE);
        let mut seconds = vec![0; 601];
        for job in &jobs {
            seconds[usize::try_from(job.at.as_secs()).unwrap()] += 1;
        }
        let most = seconds.iter().max().unwrap();
        let none = seconds.iter().filter(|count| **count == 0).count();
        assert!(*most >= 10, "{most} in the busiest second");
        assert!(none >= 60, "{none} seconds without a job");
    }

    proptest! {
        #[test]
        fn a_seed_makes_the_same_jobs_again(seed: u64, jobs in 0_usize..200) {
            let shape = Shape { jobs, ..SHAPE };
            let made = plan(seed, shape);
            prop_assert_eq!(&made, &plan(seed, shape));
            prop_assert_eq!(made.len(), jobs);
            prop_assert!(made.windows(2).all(|pair| pair[0].at <= pair[1].at));
            for job in made {
                prop_assert!(job.at <= shape.within);
                prop_assert!((1.0..=300.1).contains(&job.lasts.as_secs_f64()));
            }
        }
    }
}
