//! Single cases: what is taken off, and what needs none.

use super::*;

/// One pool whose only trigger counts as KEDA does, so many of its jobs running and
/// queued.
fn plain(running: u64, queued: u64, per_agent: u32, most: Option<u32>) -> Watched {
    let running = (1..=running).map(|id| job(id, JobState::Running, &["java"]));
    let queued = (101..=100 + queued).map(|id| job(id, JobState::Queued, &["java"]));
    Watched {
        id: PoolId(27),
        triggers: vec![Trigger {
            object: object(0),
            profile: Profile {
                matching: Matching::Demands(DemandsRule::new("java", Compare::Same, false)),
                counting: Counting::Unfinished,
                warm_agents: 0,
                priority: 0,
            },
            limit: most,
            per_agent,
            starts_none: false,
        }],
        jobs: running.chain(queued).collect(),
    }
}

fn check(pool: Watched, limit: u32, holders: &[(u64, Option<u32>)], expected: u64) {
    let told = format!("{limit} for {} jobs, with {holders:?}", pool.jobs.len());
    let holders = holders.iter().map(|(job, pool)| Holder {
        job: RequestId(*job),
        pool: pool.map(PoolId),
    });
    let mut usage = Usage {
        limit: Some(limit),
        used: count(holders.len()),
        holders: holders.collect(),
    };
    usage.holders.sort();
    let of = Organization {
        pools: vec![pool],
        usage,
    };
    assert_eq!(of.numbers()[0].3, expected, "{told}");
}

#[test]
fn no_job_is_taken_off_twice_whichever_reading_was_first() {
    // The service counts a job that the pool's snapshot still has as queued.
    check(
        plain(5, 5, 1, None),
        10,
        &[(101, Some(27)), (102, Some(27))],
        10,
    );
    // The pool's snapshot has five running of which the service knows two.
    check(
        plain(5, 9, 1, None),
        10,
        &[(1, Some(27)), (2, Some(27))],
        10,
    );
    // What it counts has ended since.
    check(
        plain(5, 9, 1, None),
        10,
        &[(81, Some(27)), (82, Some(27))],
        10,
    );
    // Those of other pools are in use; those that nobody can tell are not.
    check(plain(5, 9, 1, None), 10, &[(81, Some(3)), (82, None)], 9);
}

#[test]
fn a_waiting_job_that_has_one_already_gets_an_agent() {
    let holders = [(109, Some(27)), (1, Some(27))];
    check(plain(1, 9, 1, None), 2, &holders, 2);
    check(plain(1, 9, 1, None), 1, &holders, 2);
    check(plain(1, 9, 1, None), 3, &holders, 3);
}

#[test]
fn agents_that_do_several_jobs_one_after_another_need_one_each() {
    check(plain(0, 9, 3, None), 3, &[], 9);
    check(plain(0, 9, 3, None), 2, &[], 6);
    check(plain(0, 8, 3, None), 2, &[], 6);
    check(plain(0, 7, 3, None), 0, &[], 0);
}

#[test]
fn what_a_trigger_could_not_have_anyway_uses_none() {
    let small = plain(1, 9, 1, Some(3));
    // Two could be had, and there is one for each: KEDA cuts the rest by itself.
    check(small.clone(), 3, &[], 10);
    check(small, 2, &[], 2);
}

/// Its jobs came first, and nobody starts agents for them.
#[test]
fn a_trigger_that_is_paused_keeps_none_from_others() {
    for (starts_none, expected) in [(false, 0), (true, 2)] {
        let mut first = plain(0, 5, 1, None);
        first.triggers[0].starts_none = starts_none;
        let mut second = plain(0, 4, 1, None);
        second.id = PoolId(28);
        for job in &mut second.jobs {
            job.id.0 += 100;
        }
        let of = Organization {
            pools: vec![first, second],
            usage: Usage {
                limit: Some(2),
                ..Usage::default()
            },
        };
        let numbers = of.numbers();
        let second = numbers.iter().find(|number| number.0 == 28).unwrap();
        assert_eq!(second.3, expected, "{starts_none}");
    }
}

#[test]
fn running_over_the_limit_is_left_alone() {
    check(plain(12, 3, 1, None), 10, &[], 12);
    check(plain(12, 3, 1, None), 0, &[(900, Some(3))], 12);
}
