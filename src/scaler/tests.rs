//! What KEDA is told, against a scripted source and a paused clock.

mod capped;
mod narrowed;

use std::{collections::HashMap, sync::atomic::Ordering};

use futures::StreamExt as _;
use tokio::time::{Instant, advance};

use super::*;
use crate::{
    domain::job::JobState,
    pools::{
        Intervals, PoolSettings, Source,
        scripted::{self, Says, Script, organization, queued},
    },
    ports::ReadError,
};

const MINUTE: Duration = Duration::from_secs(60);

struct Bench {
    script: Arc<Script>,
    scaler: Scaler,
}

fn bench(says: Says, learn: Duration) -> Bench {
    let script = Script::new(&[("linux", 27)], says);
    let source = scripted::source(&script);
    bench_of(script, source, learn)
}

fn bench_of(script: Arc<Script>, source: Arc<Source>, learn: Duration) -> Bench {
    let (forget_after, busy) = (60 * MINUTE, Duration::from_secs(5));
    let settings = PoolSettings {
        intervals: Intervals {
            busy,
            idle: 3 * busy,
        },
        forget_after,
        max_pools: 10,
    };
    let pools = Pools::new(settings);
    let settings = ScalerSettings {
        max_stale: 5 * MINUTE,
        fresh: busy,
        learn,
        forget_after,
        max_scaling_objects: 10,
        cluster_required: false,
        addresses: vec!["azp-scaler.keda.svc.cluster.local:9090".into()],
        keeper: None,
    };
    Bench {
        script,
        scaler: Scaler::new(settings, Arc::new(Sources::single(source)), pools, None),
    }
}

fn metadata(trigger: &str) -> HashMap<String, String> {
    let pairs = trigger.split(';').map(|pair| pair.split_once(':').unwrap());
    pairs
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

impl Bench {
    async fn ask(&self, name: &str, trigger: &str) -> Result<Answer, Unanswered> {
        let metadata = metadata(trigger);
        let call = Call {
            namespace: "ci",
            name,
            metadata: &metadata,
            encrypted: false,
        };
        self.scaler.answer(&call).await
    }

    async fn number(&self, name: &str, trigger: &str) -> u64 {
        self.ask(name, trigger).await.unwrap().number.value()
    }

    async fn until_read_again(&self) {
        let before = self.script.readings();
        while self.script.readings() < before + 2 {
            advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn both_questions_are_answered_from_the_queue() {
    let bench = bench(Says::Jobs(queued(3, &[])), Duration::ZERO);
    let answer = bench.ask("linux", "poolName: linux").await.unwrap();
    assert_eq!((answer.number.value(), answer.active), (3, true));
    let trigger = "poolID: 27; activationTargetPipelinesQueueLength: 3; parent: x; warmAgents: 3";
    let answer = bench.ask("legacy", trigger).await.unwrap();
    assert_eq!(
        (answer.number.value(), answer.active),
        (3, false),
        "not above 3"
    );
    assert_eq!(bench.script.readings(), 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_is_never_zero() {
    let bench = bench(Says::Hangs, Duration::ZERO);
    let error = bench.ask("linux", "poolName: linux").await.unwrap_err();
    assert!(matches!(error, Unanswered::NotReadYet { .. }), "{error}");
    let error = bench.ask("linux", "poolName: linus").await.unwrap_err();
    assert!(
        error.to_string().contains("not there or not visible"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_service_is_bridged_until_the_snapshot_is_too_old() {
    let bench = bench(Says::Jobs(queued(4, &[])), Duration::ZERO);
    assert_eq!(bench.number("linux", "poolName: linux").await, 4);
    bench.script.now(Says::Fails(ReadError::CredentialExpired));
    for _ in 0..9 {
        advance(MINUTE / 2).await;
        assert_eq!(bench.number("linux", "poolName: linux").await, 4);
    }
    advance(MINUTE).await;
    let error = bench
        .ask("linux", "poolName: linux")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("was last read") && error.contains("has expired"),
        "{error}"
    );
    // Nobody is shown a number that KEDA is not told.
    let profile = &bench.scaler.status(&Wanted::default()).pools[0].profiles[0];
    assert_eq!(profile.number, None);
    assert!(profile.notices[0].contains("--max-stale"), "{profile:?}");
    assert_eq!(bench.scaler.gauges().profiles[0].number, None);
    bench.script.now(Says::Jobs(queued(5, &[])));
    bench.until_read_again().await;
    assert_eq!(bench.number("linux", "poolName: linux").await, 5);
}

#[tokio::test(start_paused = true)]
async fn each_job_counts_once_over_all_profiles_of_a_pool() {
    let mut jobs = queued(3, &["java"]);
    jobs.extend(queued(5, &[]).into_iter().skip(3));
    let bench = bench(Says::Jobs(jobs), Duration::ZERO);
    // Alone on its pool, a plain trigger gets every job, as with KEDA.
    assert_eq!(bench.number("any", "poolName: linux").await, 5);
    assert_eq!(
        bench.number("java", "poolID: 27; capabilities: java").await,
        5
    );
    assert_eq!(bench.number("any", "poolName: linux").await, 0);
    assert_eq!(
        bench
            .number("legacy", "poolName: linux; demands: java")
            .await,
        5
    );
}

#[tokio::test(start_paused = true)]
async fn an_edited_trigger_takes_no_jobs_from_the_new_one() {
    let bench = bench(Says::Jobs(queued(2, &[])), Duration::ZERO);
    let before = "poolName: linux; capabilities: a";
    assert_eq!(bench.number("linux", before).await, 2);
    // The one before would be more specific; both are the same pods' triggers.
    let edited = "poolName: linux; capabilities: a, b, c";
    assert_eq!(bench.number("linux", edited).await, 2);
    let other = "poolName: linux; capabilities: a, b";
    assert_eq!(bench.number("other", other).await, 0);
    for _ in 0..8 {
        advance(MINUTE / 6).await;
        assert_eq!(
            bench.number("other", other).await + bench.number("linux", edited).await,
            2
        );
    }
    // By now nobody has called for the one before in two polling intervals.
    bench.until_read_again().await;
    assert_eq!(bench.number("other", other).await, 2);
    assert_eq!(bench.number("linux", edited).await, 0);
    // A late call for it, by an autoscaler that has not heard yet, changes that
    // for a while and not for good.
    bench.number("linux", before).await;
    for _ in 0..8 {
        advance(MINUTE / 6).await;
        bench.number("linux", edited).await;
    }
    bench.until_read_again().await;
    assert_eq!(bench.number("other", other).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_replica_learns_who_shares_the_pool_before_it_answers() {
    let bench = bench(Says::Jobs(queued(2, &[])), MINUTE / 2);
    let error = bench.ask("any", "poolName: linux").await.unwrap_err();
    assert!(matches!(error, Unanswered::Learning { .. }), "{error}");
    // KEDA's own rules count for themselves and need not wait.
    assert_eq!(
        bench
            .number("legacy", "poolName: linux; demands: java")
            .await,
        2
    );
    let error = bench
        .ask("all", "poolName: linux; capabilities: a")
        .await
        .unwrap_err();
    assert!(matches!(error, Unanswered::Learning { .. }), "{error}");
    advance(MINUTE / 2).await;
    assert_eq!(
        bench.number("any", "poolName: linux").await,
        0,
        "not 2 in between"
    );
    assert_eq!(
        bench
            .number("all", "poolName: linux; capabilities: a")
            .await,
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_trigger_for_another_organization_is_refused_without_a_request() {
    let bench = bench(Says::Jobs(Vec::new()), Duration::ZERO);
    let trigger = "poolName: linux; organizationURL: https://dev.azure.com/fabrikam";
    let error = bench.ask("linux", trigger).await.unwrap_err();
    assert!(matches!(error, Unanswered::Denied(_)), "{error}");
    let own = "poolName: linux; organizationURL: https://contoso.visualstudio.com/";
    assert_eq!(bench.script.lookups.load(Ordering::SeqCst), 0);
    assert_eq!(bench.number("linux", own).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_metric_spec_never_touches_the_network() {
    let bench = bench(Says::Hangs, Duration::ZERO);
    let metadata = metadata("poolName: K8s Linux; targetPipelinesQueueLength: 2");
    let call = Call {
        namespace: "ci",
        name: "linux",
        metadata: &metadata,
        encrypted: false,
    };
    let spec = bench.scaler.spec(&call).unwrap();
    assert_eq!(
        (spec.name.as_str(), spec.target),
        ("azure-pipelines-k8s-linux", 2)
    );
    tokio::task::yield_now().await;
    assert_eq!(
        bench.script.lookups.load(Ordering::SeqCst) + bench.script.readings(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_tells_the_state_at_the_start_and_then_its_edges() {
    let bench = bench(Says::Jobs(Vec::new()), Duration::ZERO);
    let metadata = metadata("poolName: linux");
    let call = Call {
        namespace: "ci",
        name: "linux",
        metadata: &metadata,
        encrypted: false,
    };
    let mut activity = bench.scaler.activity(&call).unwrap();
    assert_eq!(activity.next().await, Some(false));
    bench.script.now(Says::Jobs(queued(1, &[])));
    assert_eq!(bench.scaler.nudge(Some(&organization())), 1);
    assert_eq!(activity.next().await, Some(true));
    // More jobs are no edge, and neither is a failure.
    bench.script.now(Says::Jobs(queued(2, &[])));
    bench.until_read_again().await;
    bench.script.now(Says::Fails(ReadError::CredentialExpired));
    bench.until_read_again().await;
    bench.script.now(Says::Jobs(Vec::new()));
    assert_eq!(activity.next().await, Some(false));
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_once_the_scaler_has_learnt() {
    let bench = bench(Says::Jobs(queued(1, &[])), MINUTE / 2);
    let metadata = metadata("poolName: linux");
    let call = Call {
        namespace: "ci",
        name: "linux",
        metadata: &metadata,
        encrypted: false,
    };
    let began = Instant::now();
    let mut activity = bench.scaler.activity(&call).unwrap();
    assert_eq!(activity.next().await, Some(true));
    assert!(began.elapsed() >= MINUTE / 2);
}

#[tokio::test(start_paused = true)]
async fn the_status_says_who_counts_a_job_and_why() {
    let mut jobs = queued(2, &["java"]);
    jobs.extend(queued(3, &["cobol"]).into_iter().skip(2));
    jobs[0].state = JobState::Running;
    jobs[0].agent = Some("java-7f9c-x1".into());
    let bench = bench(Says::Jobs(jobs), Duration::ZERO);
    bench
        .number("java", "poolName: linux; capabilities: java")
        .await;
    let status = bench.scaler.status(&Wanted::default());
    let pool = &status.pools[0];
    let told: Vec<(&[String], &str)> = pool
        .jobs
        .iter()
        .map(|job| (&*job.counted_by, job.why[0].as_str()))
        .collect();
    assert_eq!(
        told[0],
        (
            &["ci/java".to_owned()][..],
            "ci/java has it: agent java-7f9c-x1 bears its name"
        )
    );
    assert_eq!(told[1].0, ["ci/java".to_owned()]);
    assert!(
        told[2].0.is_empty() && told[2].1.contains("no profile takes it"),
        "{told:?}"
    );
    assert!(
        pool.jobs[2].why[1].contains("\"cobol\" is not met"),
        "{:?}",
        pool.jobs[2].why
    );
    assert_eq!(
        pool.profiles[0].sum.as_deref(),
        Some("2 = 1 queued + 0 assigned + 1 running")
    );
    assert_eq!((pool.queued, pool.running, pool.unclaimed), (2, 1, 1));
    let gauges = bench.scaler.gauges();
    assert_eq!(gauges.profiles[0].number, Some(2));
}
