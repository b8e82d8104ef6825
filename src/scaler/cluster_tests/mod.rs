//! What the cluster declares, and what comes of it in the numbers.
//!
//! May import: the scaler and what it is made of. Invariant: the cluster here
//! says what a row tells it to; the numbers are asked for as KEDA does.

mod bench;
mod capped;
mod leaving;
mod needs;
mod notices;
mod raised;
mod stands;
mod strangers;

use self::bench::{ADDRESS, LEARN, bench, bench_of, declared, rules};
use super::*;
use crate::{
    domain::{
        declared::{Declared, Kind, Strategy},
        job::{JobRequest, JobState},
        tenancy::NamespacePattern,
    },
    pools::scripted::{organization, queued},
};

const JAVA: &str = "poolName: linux; credential: one; capabilities: java";
const ANY: &str = "poolID: 27; credential: two";

fn java_and_plain() -> Vec<JobRequest> {
    let mut jobs = queued(3, &["java"]);
    jobs.extend(queued(5, &[]).into_iter().skip(3));
    jobs
}

/// keda#4014: two scaling objects on one pool both scale.
#[tokio::test(start_paused = true)]
async fn each_job_counts_once_from_the_first_call_after_a_restart() {
    let bench = bench(java_and_plain());
    bench
        .declare([declared("java", &[JAVA]), declared("any", &[ANY])])
        .await;
    // Nobody has called for `java`, and yet its jobs are not counted here; the
    // two read the pool with credentials of their own.
    assert_eq!(bench.number("any", ANY).await, 0);
    assert_eq!(bench.number("java", JAVA).await, 5);
}

#[tokio::test(start_paused = true)]
async fn every_replica_tells_the_same_whoever_has_called() {
    let objects = || [declared("java", &[JAVA]), declared("any", &[ANY])];
    let (one, other) = (bench(java_and_plain()), bench(java_and_plain()));
    for replica in [&one, &other] {
        replica.declare(objects()).await;
    }
    let java = one.number("java", JAVA).await;
    let any = other.number("any", ANY).await;
    assert_eq!((java, any), (5, 0));
    assert_eq!(other.number("java", JAVA).await, java);
    assert_eq!(one.number("any", ANY).await, any);
}

#[tokio::test(start_paused = true)]
async fn before_the_cluster_has_told_a_fresh_replica_learns_from_calls() {
    let bench = bench(java_and_plain());
    let error = bench.ask("any", ANY).await.unwrap_err();
    assert!(error.contains("learns which scaling objects"), "{error}");
    // The cluster never tells; KEDA's calls do.
    bench.ask("java", JAVA).await.unwrap_err();
    tokio::time::advance(LEARN).await;
    assert_eq!(bench.number("any", ANY).await, 0);
    assert_eq!(bench.number("java", JAVA).await, 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_or_edited_gives_its_jobs_back_at_once() {
    let bench = bench(java_and_plain());
    let any = || declared("any", &[ANY]);
    bench.declare([declared("java", &[JAVA]), any()]).await;
    assert_eq!(bench.number("java", JAVA).await, 5);
    assert_eq!(bench.number("any", ANY).await, 0);
    let picky = format!("{JAVA}; requires: java");
    bench.declare([declared("java", &[&picky]), any()]).await;
    assert_eq!(bench.number("any", ANY).await, 2);
    assert_eq!(bench.number("java", &picky).await, 3);
    bench.declare([any()]).await;
    assert_eq!(bench.number("any", ANY).await, 5);
    bench.declare([declared("java", &[JAVA]), any()]).await;
    assert_eq!(bench.number("any", ANY).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_of_another_scaler_takes_no_jobs() {
    let bench = bench(java_and_plain());
    let other = format!("{JAVA}; scalerAddress: other-scaler.keda:9090");
    let names = [
        "azp-scaler.keda.svc:9090",
        "dns:///azp-scaler.keda.svc.cluster.local.:9090",
        "AZP-SCALER.KEDA:9090",
    ];
    bench
        .declare([declared("java", &[&other]), declared("any", &[ANY])])
        .await;
    assert_eq!(bench.number("any", ANY).await, 5);
    for name in names {
        let own = format!("{JAVA}; scalerAddress: {name}");
        bench
            .declare([declared("java", &[&own]), declared("any", &[ANY])])
            .await;
        assert_eq!(bench.number("any", ANY).await, 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_learnt_from_a_call_that_the_cluster_confirms() {
    let rules = bench(Vec::new())
        .scaler
        .inner
        .registry
        .sources
        .rules()
        .clone();
    let bench = bench_of(java_and_plain(), rules, &[]);
    bench
        .declare([declared("java", &[JAVA]), declared("any", &[ANY])])
        .await;
    tokio::time::advance(LEARN).await;
    // An invented object teaches nothing.
    assert_eq!(
        bench
            .number("invented", "poolName: linux; credential: one; priority: -1")
            .await,
        5
    );
    assert_eq!(bench.number("any", ANY).await, 0);
    assert_eq!(
        bench
            .number("invented", "poolName: linux; credential: one; priority: -1")
            .await,
        0
    );
    assert_eq!(bench.number("java", JAVA).await, 5);
}

/// ARC#3446: a profile gets no more jobs than it may have agents, so the next
/// one gets them.
#[tokio::test(start_paused = true)]
async fn a_full_profile_leaves_its_jobs_to_the_next() {
    let bench = bench(java_and_plain());
    let few = Declared {
        max_agents: 2,
        ..declared("java", &[JAVA])
    };
    bench.declare([few, declared("any", &[ANY])]).await;
    assert_eq!(bench.number("any", ANY).await, 3);
    assert_eq!(bench.number("java", JAVA).await, 2);
}

/// Nobody would start agents for its jobs; those that it has run on, so that the
/// jobs on them are nobody else's.
#[tokio::test(start_paused = true)]
async fn a_paused_object_lets_its_jobs_go_and_keeps_those_on_its_agents() {
    let mut jobs = java_and_plain();
    jobs[0].state = JobState::Running;
    jobs[0].agent = Some("java-7f9c-x1".into());
    let bench = bench(jobs);
    let java = |paused: bool| Declared {
        paused,
        ..declared("java", &[JAVA])
    };
    let any = || declared("any", &[ANY]);
    bench.declare([java(false), any()]).await;
    assert_eq!(bench.number("any", ANY).await, 0);
    bench.declare([java(true), any()]).await;
    assert_eq!(bench.number("any", ANY).await, 4);
    // A call that was under way as it was paused brings none back.
    assert_eq!(bench.number("java", JAVA).await, 1);
    assert_eq!(bench.number("any", ANY).await, 4);
    let status = bench.scaler.status(&Wanted::default());
    let profiles = &status.pools[0].profiles;
    let paused = |name: &str| {
        let profile = profiles.iter().find(|profile| profile.name == name);
        let notices = &profile.unwrap().notices;
        notices.iter().any(|notice| notice.contains("is paused"))
    };
    assert!(paused("java") && !paused("any"), "{profiles:?}");
    bench.declare([java(false), any()]).await;
    assert_eq!(bench.number("any", ANY).await, 0);
}

#[tokio::test(start_paused = true)]
async fn agents_are_told_by_the_name_of_the_scale_target() {
    let mut jobs = queued(2, &[]);
    jobs[0].state = JobState::Running;
    jobs[0].agent = Some("builders-7f9c-x1".into());
    let bench = bench(jobs);
    let plain = Declared {
        agents_named: "builders".into(),
        ..declared("plain", &[ANY])
    };
    bench.declare([declared("java", &[JAVA]), plain]).await;
    // More specific, so it gets what nobody owns.
    assert_eq!(bench.number("java", JAVA).await, 1);
    assert_eq!(bench.number("plain", ANY).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_out_of_the_environment_is_known_once_keda_has_called() {
    let elsewhere = OrganizationUrl::parse("https://dev.azure.com/fabrikam").unwrap();
    let mut rules = bench(Vec::new())
        .scaler
        .inner
        .registry
        .sources
        .rules()
        .clone();
    for rule in &mut rules.credentials {
        rule.organizations.push(elsewhere.clone());
    }
    rules.organizations.push(elsewhere);
    let bench = bench_of(java_and_plain(), rules, &[ADDRESS]);
    let (written, sent) = ("AZP_URL", organization().to_string());
    let java = |value: &str| format!("{JAVA}; organizationURLFromEnv: {value}");
    let any = format!("{ANY}; organizationURL: {}", organization());
    bench
        .declare([
            declared("java", &[&java(written)]),
            declared("any", &[&any]),
        ])
        .await;
    // Whose pool `java` means is not known, so nobody is told a number yet.
    let error = bench.ask("any", &any).await.unwrap_err();
    assert!(error.contains("learns which scaling objects"), "{error}");
    bench.ask("java", &java(&sent)).await.unwrap_err();
    tokio::time::advance(LEARN).await;
    assert_eq!(bench.number("any", &any).await, 0);
    assert_eq!(bench.number("java", &java(&sent)).await, 5);
}

/// The number that KEDA makes one Job for each job from, by its strategies: see
/// [`Strategy`].
#[tokio::test(start_paused = true)]
async fn the_number_fits_the_strategy_of_a_scaled_job() {
    const PLAIN: &str = "poolName: linux; credential: one";
    let bench = bench(java_and_plain());
    for (strategy, min_agents, expected) in [
        (Strategy::Default, 0, 5),
        (Strategy::Custom, 0, 5),
        // Four Jobs, one of which has started.
        (Strategy::Accurate, 0, 4),
        (Strategy::Eager, 0, 1),
        (Strategy::Eager, 2, 3),
        (Strategy::Accurate, 3, 5),
    ] {
        let job = Declared {
            kind: Kind::ScaledJob,
            strategy,
            min_agents,
            ..declared("job", &[PLAIN])
        };
        bench.declare([job]).await;
        bench.jobs("job", 4, 1, &[]);
        assert_eq!(bench.number("job", PLAIN).await, expected, "{strategy:?}");
        // No Job at all is known as well.
        bench.jobs("other", 9, 9, &[]);
        assert_eq!(bench.number("job", PLAIN).await, 5, "{strategy:?}");
    }
    // A name that is a ScaledObject is counted as one, whatever its mode says.
    bench.jobs("job", 4, 4, &[]);
    let contrary = "poolName: linux; credential: one; mode: job; strategy: eager";
    bench.declare([declared("job", &[contrary])]).await;
    assert_eq!(bench.number("job", contrary).await, 5);
}

/// Azure DevOps may call a job running for a while after its agent's pod ended.
#[tokio::test(start_paused = true)]
async fn a_job_whose_pod_has_ended_is_nobodys_and_says_so() {
    let mut jobs = queued(2, &["java"]);
    jobs[0].state = JobState::Running;
    jobs[0].agent = Some("java-x1".into());
    let bench = bench(jobs);
    let java = Declared {
        kind: Kind::ScaledJob,
        ..declared("java", &[JAVA])
    };
    bench.declare([java, declared("any", &[ANY])]).await;
    bench.jobs("java", 1, 1, &["java-x1"]);
    assert_eq!(bench.number("java", JAVA).await, 1);
    assert_eq!(bench.number("any", ANY).await, 0);
    let status = bench.scaler.status(&Wanted::default());
    let pool = &status.pools[0];
    assert_eq!(pool.unclaimed, 0);
    assert!(pool.jobs[0].counted_by.is_empty(), "{:?}", pool.jobs[0]);
    assert_eq!(
        pool.jobs[0].why,
        ["its agent's pod has ended, so it needs no agent any more"]
    );
    let unclaimed = Wanted {
        unclaimed: true,
        ..Wanted::default()
    };
    let status = bench.scaler.status(&unclaimed);
    assert!(status.pools[0].jobs.is_empty(), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_no_rule_grants_is_refused_without_a_request() {
    let bench = bench(java_and_plain());
    for (trigger, rule) in [
        ("poolName: linux; credential: nobodys", "credential"),
        ("poolName: linux", "several for this pool"),
        ("poolName: linux; secretName: own", "ownTokens.namespaces"),
        (
            "poolName: linux; credential: one; organizationURL: https://evil.example/x",
            "not on the scaler's list",
        ),
    ] {
        bench.declare([declared("linux", &[trigger])]).await;
        let error = bench.ask("linux", trigger).await.unwrap_err();
        assert!(error.contains(rule), "{error}");
        let status = bench.scaler.status(&Wanted::default());
        assert!(status.refused[0].why.contains(rule), "{status:?}");
    }
    let lookups = bench
        .script
        .lookups
        .load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!((lookups, bench.script.readings()), (0, 0));
}

/// Nobody vouches for a token that a trigger brings along, so its trigger has no
/// jobs before that token has read the pool.
#[tokio::test(start_paused = true)]
async fn a_trigger_whose_token_is_missing_takes_nobodys_jobs() {
    let mut rules = rules();
    rules.own_tokens = vec![NamespacePattern::parse("*").unwrap()];
    let bench = bench_of(java_and_plain(), rules, &[ADDRESS]);
    // The Secret is not there; it would be the most specific one by far.
    let greedy = "poolName: linux; secretName: none; capabilities: java; requires: java";
    bench
        .declare([declared("greedy", &[greedy]), declared("any", &[ANY])])
        .await;
    assert_eq!(bench.number("any", ANY).await, 5);
    let error = bench.ask("greedy", greedy).await.unwrap_err();
    assert!(error.contains("no Secret ci/none"), "{error}");
    assert_eq!(bench.number("any", ANY).await, 5);
}

#[tokio::test(start_paused = true)]
async fn one_name_for_two_things_is_told() {
    let bench = bench(java_and_plain());
    let job = Declared {
        kind: Kind::ScaledJob,
        ..declared("java", &[JAVA])
    };
    bench.declare([declared("java", &[JAVA]), job]).await;
    let refused = bench.scaler.status(&Wanted::default()).refused;
    assert!(refused[0].why.contains("rename one"), "{refused:?}");
}
