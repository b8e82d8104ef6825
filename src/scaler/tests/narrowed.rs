//! What the status page shows of what is asked for.

use super::*;
use crate::domain::profile::ScalingObject;

/// A question; then each pool with its first jobs, and how many are left out.
type Row<'a> = (Wanted, &'a [(&'a str, &'a [u64], u64)]);

#[tokio::test(start_paused = true)]
async fn the_status_is_narrowed_before_it_is_capped() {
    let mut jobs = queued(1_500, &["java"]);
    jobs.extend(queued(1_502, &["cobol"]).into_iter().skip(1_500));
    let bench = bench(Says::Jobs(jobs), Duration::ZERO);
    for (name, trigger) in [
        ("java", "poolName: linux; capabilities: java"),
        ("legacy", "poolID: 27; demands: cobol"),
        ("lost", "poolName: linus"),
    ] {
        let _ = bench.ask(name, trigger).await;
    }
    let object = |name: &str| ScalingObject::parse(&format!("ci/{name}"));
    let all = Wanted::default;
    let table: &[Row<'_>] = &[
        (
            Wanted {
                job: Some(1_499),
                ..all()
            },
            &[("linus", &[], 0), ("linux", &[1_499], 0)],
        ),
        (
            Wanted {
                object: object("legacy"),
                ..all()
            },
            &[("linux", &[1_501, 1_502], 0)],
        ),
        (
            Wanted {
                object: object("java"),
                pool: Some("LINUX".into()),
                ..all()
            },
            &[("linux", &[1, 2, 3], 500)],
        ),
        (
            Wanted {
                object: object("lost"),
                ..all()
            },
            &[("linus", &[], 0)],
        ),
        (
            Wanted {
                object: object("other"),
                ..all()
            },
            &[],
        ),
        (
            Wanted {
                unclaimed: true,
                ..all()
            },
            &[("linus", &[], 0), ("linux", &[], 0)],
        ),
    ];
    for (wanted, expected) in table {
        let status = bench.scaler.status(wanted);
        let told: Vec<(&str, Vec<u64>, u64)> = status
            .pools
            .iter()
            .map(|pool| {
                let first = pool.jobs.iter().take(3).map(|job| job.id);
                (pool.pool.as_str(), first.collect(), pool.jobs_not_shown)
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(pool, jobs, more)| (*pool, jobs.to_vec(), *more))
            .collect();
        assert_eq!(told, expected, "{wanted:?}");
        let mut profiles = status.pools.iter().flat_map(|pool| &pool.profiles);
        let object = wanted.object.as_ref();
        assert!(
            profiles.all(|profile| object.is_none_or(|object| *object.name == *profile.name)),
            "{wanted:?}"
        );
    }
}
