//! Jobs that wait though there is room for agents.

use std::time::Duration;

use azp_scaler::emulator::FaultKind;
use tokio::time::timeout;

use super::{
    scaled_job::{ScaledJob, Strategy, with_each_strategy},
    set::{POOL, Set},
    support::http::get,
};

/// keda#7878, keda#5881: what comes while jobs run waits until they have ended.
#[tokio::test]
async fn three_waves_that_overlap_make_one_agent_for_each_job() {
    with_each_strategy(async |strategy| {
        let set = Set::start().await;
        let mut jobs = ScaledJob::new(&set, strategy, "");
        for wave in 1..=3 {
            set.queue(10, "");
            jobs.poll().await;
            jobs.poll().await;
            assert_eq!(jobs.made, 10 * wave, "{strategy:?}, before the pods start");
            jobs.pods_start();
            jobs.poll().await;
            assert_eq!(jobs.made, 10 * wave, "{strategy:?}, with their pods");
        }
        jobs.jobs_end();
        jobs.poll().await;
        assert_eq!(jobs.made, 30, "{strategy:?}, at the end");
        assert_eq!(set.organization.counts(POOL).unwrap().succeeded, 30);
    })
    .await;
}

/// keda#7735: a job waits, and the scaler says 0 without a reason.
#[tokio::test]
async fn a_job_that_nobody_counts_has_its_reason() {
    let set = Set::start().await;
    set.queue(1, "cobol");
    assert_eq!(set.number("java", "capabilities: java").await, 0);
    let page = get(set.at.http, "/status?pool=linux").await;
    let status: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    let job = &status["pools"][0]["jobs"][0];
    assert_eq!(job["countedBy"], serde_json::json!([]));
    let why = job["why"].to_string();
    for part in ["no profile takes it", "ci/java", "no such capability"] {
        assert!(why.contains(part), "{why}");
    }
}

/// keda#3782: with `parent`, a second batch waits until the first has ended.
#[tokio::test]
async fn a_second_wave_is_started_while_the_first_runs() {
    let set = Set::start().await;
    set.template("template");
    let mut jobs = ScaledJob::new(&set, Strategy::Default, "parent: template");
    set.queue(3, "java");
    jobs.poll().await;
    jobs.pods_start();
    assert_eq!(set.organization.counts(POOL).unwrap().running, 3);
    set.queue(4, "java");
    jobs.poll().await;
    assert_eq!(jobs.made, 7);
}

/// keda#6819: never more than 200 pods, the most rows that `$top` brings.
#[tokio::test]
async fn five_thousand_jobs_are_five_thousand() {
    let set = Set::start().await;
    set.template("template");
    set.queue(5_000, "java");
    assert_eq!(set.number("agents", "").await, 5_000);
    assert_eq!(set.number("legacy", "parent: template").await, 5_000);
}

/// keda#4324: the service takes longer than KEDA waits, and nothing scales.
#[tokio::test]
async fn a_service_that_does_not_answer_keeps_nobody_waiting() {
    let set = Set::start().await;
    set.queue(3, "");
    assert_eq!(set.number("agents", "").await, 3);
    set.fault(FaultKind::Hang);
    let before = set.organization.requests().total;
    set.until(|_| set.organization.requests().total > before)
        .await;
    // The reading hangs until its own time-out of 30 seconds.
    let answer = timeout(Duration::from_secs(10), set.ask("agents", "")).await;
    assert_eq!(answer.expect("an answer").unwrap().number.value(), 3);
}

/// blue-agent#360: after 10,000 jobs that are over, scaling stops.
#[tokio::test]
async fn jobs_that_are_over_hide_none_that_wait() {
    let set = Set::start().await;
    set.template("template");
    for id in set.queue(10_000, "java") {
        set.organization.cancel_job(POOL, id).unwrap();
    }
    set.queue(2, "java");
    assert_eq!(set.number("agents", "").await, 2);
    assert_eq!(set.number("legacy", "parent: template").await, 2);
}

/// agent-stack#302: a count of what runs leaks until nothing runs any more.
#[tokio::test]
async fn lost_agents_leave_no_count_behind() {
    let set = Set::start().await;
    for round in 0..3 {
        set.queue(2, "");
        let names = [format!("agents-{round}-a"), format!("agents-{round}-b")];
        for name in &names {
            set.agent(name, &[]);
        }
        set.seconds_pass(1);
        for name in &names {
            set.organization.kill_agent(POOL, name).unwrap();
        }
        // Azure DevOps has them running until their locks run out.
        assert_eq!(set.number("agents", "").await, 2);
        set.seconds_pass(700);
        assert_eq!(set.number("agents", "").await, 0);
    }
    assert_eq!(set.organization.counts(POOL).unwrap().abandoned, 6);
}
