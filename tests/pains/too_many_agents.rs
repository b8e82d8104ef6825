//! Agents that nobody needs.

use super::{
    scaled_job::{ScaledJob, Strategy, with_each_strategy},
    set::{POOL, Set},
    support::http::get,
};

/// keda#7747, keda#1706: each poll made one Job more until the first job ended.
#[tokio::test]
async fn polls_before_the_first_job_ends_make_no_second_agent() {
    with_each_strategy(async |strategy| {
        let set = Set::start().await;
        let mut jobs = ScaledJob::new(&set, strategy, "");
        set.queue(1, "");
        for _ in 0..3 {
            jobs.poll().await;
        }
        jobs.pods_start();
        for _ in 0..3 {
            jobs.poll().await;
        }
        assert_eq!(jobs.made, 1, "{strategy:?}");
    })
    .await;
}

/// keda#3679: Jobs up to the maximum, over and over, none of which gets a job.
#[tokio::test]
async fn a_scaled_job_is_not_filled_to_its_maximum() {
    with_each_strategy(async |strategy| {
        let set = Set::start().await;
        let mut jobs = ScaledJob::new(&set, strategy, "");
        set.queue(2, "");
        for _ in 0..10 {
            jobs.poll().await;
            set.seconds_pass(30);
        }
        assert_eq!(jobs.made, 2, "{strategy:?}");
    })
    .await;
}

/// keda#4543: new Jobs, and nobody knows for which work.
#[tokio::test]
async fn the_number_has_the_jobs_behind_it() {
    let set = Set::start().await;
    let ids = set.queue(2, "");
    assert_eq!(set.number("agents", "").await, 2);
    let page = get(set.at.http, "/status?pool=linux").await;
    let status: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    let pool = &status["pools"][0];
    assert_eq!(
        pool["profiles"][0]["sum"],
        "2 = 2 queued + 0 assigned + 0 running"
    );
    for (job, id) in pool["jobs"].as_array().unwrap().iter().zip(ids) {
        assert_eq!(
            (job["id"].as_u64(), &job["countedBy"][0]),
            (Some(id.0), &"ci/agents".into())
        );
    }
}

/// keda#4014: two scaling objects on one pool, and both scale.
#[tokio::test]
async fn two_scaling_objects_on_one_pool_do_not_both_scale() {
    let set = Set::start().await;
    set.queue(3, "java");
    set.queue(1, "");
    let triggers = [("java", "capabilities: java"), ("any", "")];
    for (name, trigger) in triggers {
        set.ask(name, trigger).await.unwrap();
    }
    assert_eq!(set.number("java", "capabilities: java").await, 4);
    assert_eq!(set.number("any", "").await, 0);
}

/// keda#4195: scalers that know nothing of each other decide twice.
#[tokio::test]
async fn replicas_decide_alike_whoever_asks_them_first() {
    let one = Set::start().await;
    let other = one.replica().await;
    for (count, demands) in [(4, "java"), (2, "java, gpu"), (3, ""), (1, "cobol")] {
        one.queue(count, demands);
    }
    let triggers = [
        ("any", ""),
        ("java", "capabilities: java"),
        ("gpu", "capabilities: java, gpu; requires: gpu"),
        ("mixed", "capabilities: java, maven"),
    ];
    for (name, trigger) in triggers {
        one.ask(name, trigger).await.unwrap();
    }
    for (name, trigger) in triggers.into_iter().rev() {
        other.ask(name, trigger).await.unwrap();
    }
    let mut sum = 0;
    for (name, trigger) in triggers {
        let number = one.number(name, trigger).await;
        assert_eq!(other.number(name, trigger).await, number, "{name}");
        sum += number;
    }
    assert_eq!(sum, 10);
}

/// keda#7329: near the maximum, the strategy `accurate` forgets what is pending.
#[tokio::test]
async fn near_the_maximum_no_more_than_the_maximum_is_made() {
    with_each_strategy(async |strategy| {
        let set = Set::start().await;
        let mut jobs = ScaledJob::new(&set, strategy, "").with_max_replicas(5);
        for wave in [3, 1, 4] {
            set.queue(wave, "");
            jobs.poll().await;
            jobs.poll().await;
            assert!(jobs.made <= 5, "{strategy:?}");
        }
        // `eager` takes pending Jobs off the maximum twice; then they start.
        jobs.pods_start();
        jobs.poll().await;
        assert_eq!(jobs.made, 5, "{strategy:?}");
    })
    .await;
}

/// agent-stack#382: the run was cancelled, and its pods keep coming.
#[tokio::test]
async fn a_cancelled_job_makes_no_agent() {
    let set = Set::start().await;
    let ids = set.queue(5, "");
    assert_eq!(set.number("agents", "").await, 5);
    for id in &ids[1..] {
        set.organization.cancel_job(POOL, *id).unwrap();
    }
    let mut jobs = ScaledJob::new(&set, Strategy::Default, "");
    jobs.poll().await;
    assert_eq!(jobs.made, 1);
}
