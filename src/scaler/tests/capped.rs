//! Numbers that the parallel jobs of the organization cap.

use super::*;
use crate::{
    domain::{
        job::{JobRequest, RequestId},
        parallel_jobs::{Holder, Usage},
        pool::PoolId,
        profile::ScalingObject,
    },
    scaler::status::ParallelJobsStatus,
    telemetry::scrape::ParallelJobsKnown,
};

const LINUX: &str = "poolName: linux";
const ARM: &str = "poolName: arm";
const SOON: Duration = Duration::from_secs(6);

/// A scaler whose organization says this of its parallel jobs.
fn capped(usage: Result<Usage, ReadError>) -> Bench {
    let script = Script::new(&[("linux", 27), ("arm", 28)], Says::Jobs(Vec::new()));
    script.usage(usage);
    let source = scripted::capped_source(&script);
    bench_of(script, source, Duration::ZERO)
}

/// So many there are, and so many are used by jobs of a pool that nobody reads.
fn usage(limit: impl Into<Option<u32>>, elsewhere: u64) -> Usage {
    let holder = |job| Holder {
        job: RequestId(90_000 + job),
        pool: Some(PoolId(3)),
    };
    Usage {
        limit: limit.into(),
        used: u32::try_from(elsewhere).unwrap(),
        holders: (0..elsewhere).map(holder).collect(),
    }
}

/// So many that run, then so many that wait, numbered from `first`.
fn jobs(first: u64, running: usize, waiting: u64) -> Vec<JobRequest> {
    let mut jobs = queued(running as u64 + waiting, &[]);
    for job in &mut jobs {
        job.id = RequestId(job.id.0 + first - 1);
    }
    for job in &mut jobs[..running] {
        job.state = JobState::Running;
        job.agent = Some(format!("static-{}", job.id.0).into());
    }
    jobs
}

impl Bench {
    fn linux(&self, jobs: Vec<JobRequest>) {
        self.script.now_of(27, Says::Jobs(jobs));
    }

    fn arm(&self, jobs: Vec<JobRequest>) {
        self.script.now_of(28, Says::Jobs(jobs));
    }

    /// How it is told, to KEDA and to people.
    async fn sum(&self, name: &str, trigger: &str) -> String {
        let told = self.ask(name, trigger).await.unwrap().number;
        let status = self.scaler.status(&Wanted::default());
        let profiles = status.pools.iter().flat_map(|pool| &pool.profiles);
        let profile = profiles.clone().find(|profile| profile.name == name);
        let profile = profile.unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(profile.sum.as_deref(), Some(&*told.to_string()));
        assert_eq!(profile.number, Some(told.value()));
        let gauges = self.scaler.gauges();
        let gauge = gauges.profiles.iter().find(|of| of.name == name).unwrap();
        assert_eq!(gauge.number, Some(told.value()));
        let queued = ("queued", u64::from(told.tally().queued));
        assert_eq!(gauge.jobs[0], queued, "what waits stays known");
        told.to_string()
    }

    fn parallel_jobs(&self) -> ParallelJobsStatus {
        let status = self.scaler.status(&Wanted::default());
        status.pools[0].parallel_jobs.clone().unwrap()
    }

    fn known(&self) -> ParallelJobsKnown {
        let gauges = self.scaler.gauges().parallel_jobs;
        assert_eq!((gauges.len(), &*gauges[0].organization), (1, "contoso"));
        gauges[0].known
    }

    async fn soon(&self) {
        advance(SOON).await;
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_is_capped_by_what_is_free_and_says_so() {
    let bench = capped(Ok(usage(10, 3)));
    bench.linux(jobs(1, 5, 5));
    assert_eq!(
        bench.sum("linux", LINUX).await,
        "7 = 2 queued + 0 assigned + 5 running; 3 more queued wait for a parallel job: the \
         organization has 10, of which 8 are in use"
    );
    let of = bench.parallel_jobs();
    let told = (of.limit, of.in_use, of.in_use_elsewhere, of.jobs_held_back);
    assert_eq!(told, (Some(10), Some(8), Some(3), 3));
    let expected = ParallelJobsKnown {
        limit: Some(10),
        used: Some(8),
        held_back: Some(3),
        failures_in_a_row: 0,
    };
    assert_eq!(bench.known(), expected);
    let wanted = Wanted {
        object: ScalingObject::parse("ci/linux"),
        ..Wanted::default()
    };
    let pool = bench.scaler.status(&wanted).pools.remove(0);
    for job in &pool.jobs {
        let waits = job.why[0].starts_with("it waits for a parallel job");
        assert_eq!(waits, job.id > 7, "{job:?}");
        assert_eq!(job.counted_by, ["ci/linux"], "it is still somebody's");
    }
}

#[tokio::test(start_paused = true)]
async fn activity_and_streams_see_the_same_cap() {
    let bench = capped(Ok(usage(4, 4)));
    bench.linux(jobs(1, 0, 2));
    let answer = bench.ask("linux", LINUX).await.unwrap();
    assert_eq!((answer.number.value(), answer.active), (0, false));
    let metadata = metadata(LINUX);
    let call = Call {
        namespace: "ci",
        name: "linux",
        metadata: &metadata,
        encrypted: false,
    };
    let mut stream = bench.scaler.activity(&call).unwrap();
    assert_eq!(stream.next().await, Some(false));
    bench.script.usage(Ok(usage(4, 3)));
    let asked = Instant::now();
    assert_eq!(stream.next().await, Some(true));
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(bench.number("linux", LINUX).await, 1);
}

#[tokio::test(start_paused = true)]
async fn pools_share_by_priority_and_then_by_age() {
    for (priority, expected) in [("0", [5, 1]), ("1", [1, 5])] {
        let bench = capped(Ok(usage(6, 0)));
        bench.linux(jobs(1, 1, 4));
        bench.arm(jobs(101, 1, 4));
        let arm = format!("{ARM}; priority: {priority}");
        bench.ask("linux", LINUX).await.unwrap();
        bench.ask("arm", &arm).await.unwrap();
        let numbers = [
            bench.number("linux", LINUX).await,
            bench.number("arm", &arm).await,
        ];
        assert_eq!(numbers, expected, "arm has priority {priority}");
    }
}

/// The usage was read before the jobs started and again after: whatever the order
/// of the readings, what runs is taken off once.
#[tokio::test(start_paused = true)]
async fn a_job_that_starts_between_two_readings_is_taken_off_once() {
    let held = |ids: &[u64]| Usage {
        limit: Some(5),
        used: u32::try_from(ids.len()).unwrap(),
        holders: ids
            .iter()
            .map(|id| Holder {
                job: RequestId(*id),
                pool: Some(PoolId(27)),
            })
            .collect(),
    };
    for (running, holders) in [
        (0, &[][..]),
        (0, &[1, 2]),
        (2, &[]),
        (2, &[1, 2]),
        (2, &[1, 2, 77, 78]),
    ] {
        let bench = capped(Ok(held(holders)));
        bench.linux(jobs(1, running, 8 - running as u64));
        let number = bench.number("linux", LINUX).await;
        assert_eq!(number, 5, "{running} running, {holders:?} counted");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_the_limit_may_run_and_warm_agents_stay() {
    let bench = capped(Ok(usage(2, 9)));
    bench.linux(jobs(1, 4, 3));
    assert_eq!(bench.number("linux", LINUX).await, 4);
    let warm = format!("{LINUX}; warmAgents: 2; demands: \"\"");
    assert_eq!(bench.number("warm", &warm).await, 6);
}

/// Two triggers of KEDA's kind count the same jobs: each job uses one all the same.
#[tokio::test(start_paused = true)]
async fn jobs_that_two_triggers_count_use_one_each() {
    let bench = capped(Ok(usage(3, 0)));
    let mut jobs = queued(5, &["java"]);
    jobs[0].state = JobState::Running;
    bench.linux(jobs);
    let demands = format!("{LINUX}; demands: java");
    bench.ask("one", &demands).await.unwrap();
    bench.ask("two", &demands).await.unwrap();
    for name in ["one", "two"] {
        assert_eq!(bench.number(name, &demands).await, 3, "{name}");
    }
    assert_eq!(bench.known().held_back, Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_caps_nothing_and_is_told() {
    let forbidden = ReadError::Forbidden {
        right: crate::ports::Right::Read,
        message: "no".into(),
    };
    let bench = capped(Err(forbidden.clone()));
    bench.linux(jobs(1, 1, 8));
    let plain = "9 = 8 queued + 0 assigned + 1 running";
    assert_eq!(bench.sum("linux", LINUX).await, plain);
    let of = bench.parallel_jobs();
    assert_eq!((of.is_known, of.limit, of.in_use), (false, None, None));
    assert_eq!(of.failure.unwrap().kind, "forbidden");
    let known = bench.known();
    assert_eq!(
        (known.limit, known.used, known.held_back),
        (None, None, None)
    );
    assert!(known.failures_in_a_row > 0);

    // The last reading stands until it is too old, as that of a pool does.
    bench.script.usage(Ok(usage(4, 0)));
    for _ in 0..12 {
        bench.soon().await;
    }
    assert_eq!(bench.number("linux", LINUX).await, 4);
    bench.script.usage(Err(forbidden));
    for _ in 0..24 {
        advance(Duration::from_secs(12)).await;
        bench.soon().await;
        let _ = bench.ask("linux", LINUX).await;
    }
    let of = bench.parallel_jobs();
    assert!(of.age_seconds.unwrap() > 300.0, "{of:?}");
    assert_eq!(bench.sum("linux", LINUX).await, plain);
}

#[tokio::test(start_paused = true)]
async fn no_limit_is_no_cap() {
    let bench = capped(Ok(usage(None, 500)));
    bench.linux(jobs(1, 1, 900));
    assert_eq!(bench.number("linux", LINUX).await, 901);
    let of = bench.parallel_jobs();
    assert_eq!((of.is_known, of.limit, of.in_use), (true, None, Some(500)));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_where_no_cap_is_wanted() {
    let bench = bench(Says::Jobs(queued(3, &[])), Duration::ZERO);
    assert_eq!(bench.number("linux", LINUX).await, 3);
    bench.until_read_again().await;
    assert_eq!(bench.script.usage_readings(), 0);
    let status = bench.scaler.status(&Wanted::default());
    assert_eq!(status.pools[0].parallel_jobs, None);
    assert_eq!(bench.scaler.gauges().parallel_jobs, []);
}

/// Two pools, one organization, one credential: one request for each interval.
#[tokio::test(start_paused = true)]
async fn they_are_read_once_for_all_pools() {
    let bench = capped(Ok(usage(10, 0)));
    bench.linux(jobs(1, 1, 1));
    bench.arm(jobs(101, 1, 1));
    let started = Instant::now();
    while started.elapsed() < 10 * MINUTE {
        bench.ask("linux", LINUX).await.unwrap();
        bench.ask("arm", ARM).await.unwrap();
        bench.soon().await;
    }
    let (usage, pools) = (bench.script.usage_readings(), bench.script.readings());
    assert!((30..=120).contains(&usage), "{usage} readings");
    assert!(
        usage <= pools / 2 + 10,
        "{usage} beside {pools} of two pools"
    );
}
