//! Agents that can get no job, since the organization may not run more at once.

use azp_scaler::scaler::status::PoolStatus;

use super::{set::Set, support::http::get};

/// keda#5573: agents beyond the purchased parallel jobs idle, and hold what they
/// hold, such as addresses.
#[tokio::test]
async fn agents_are_started_for_no_more_jobs_than_may_run() {
    let plain = Set::start().await;
    let set = plain.with_flags(&["--parallel-jobs=cap"]).await;
    set.organization.set_parallel_jobs(Some(3));
    set.queue(5, "");
    // Another pool, which this scaler does not read.
    let elsewhere = set.organization.clone();
    elsewhere
        .queue_jobs("windows", &Default::default())
        .unwrap();
    let windows = azp_scaler::emulator::NewAgent::in_pod("w-1", [("x", "1")]);
    elsewhere.add_agent("windows", windows).unwrap();

    set.ask("agents", "").await.unwrap();
    let known = |pool: &PoolStatus| {
        let of = pool.parallel_jobs.as_ref();
        of.is_some_and(|of| of.in_use_elsewhere == Some(1) && of.limit == Some(3))
    };
    set.until(known).await;
    assert_eq!(set.number("agents", "").await, 2);
    assert_eq!(plain.number("agents", "").await, 5, "without the cap");

    // The two that were started get the jobs, and a third one would get none.
    for agent in ["agents-a", "agents-b", "agents-c"] {
        set.agent(agent, &[]);
    }
    set.seconds_pass(10);
    let answer = set.answer("agents", "").await;
    assert_eq!(
        answer.number.to_string(),
        "2 = 0 queued + 0 assigned + 2 running; 3 more queued wait for a parallel job: the \
         organization has 3, of which 3 are in use"
    );
    let page = get(set.at.http, "/status?pool=linux").await;
    let status: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    let waits = |job: &&serde_json::Value| {
        let why = job["why"][0].as_str().unwrap();
        why.starts_with("it waits for a parallel job")
    };
    let jobs = status["pools"][0]["jobs"].as_array().unwrap();
    assert_eq!(jobs.iter().filter(waits).count(), 3, "{status:#}");
    let metrics = get(set.at.http, "/metrics").await.body;
    assert!(
        metrics.contains("azp_parallel_jobs_limit{organization=\""),
        "{metrics}"
    );

    // One ends elsewhere, and one more is started.
    elsewhere
        .cancel_job("windows", azp_scaler::domain::job::RequestId(90_406))
        .unwrap();
    let freed = |pool: &PoolStatus| {
        let of = pool.parallel_jobs.as_ref();
        of.is_some_and(|of| of.in_use_elsewhere == Some(0))
    };
    set.until(freed).await;
    assert_eq!(set.number("agents", "").await, 3);
    // Nothing was asked for the one that has no cap.
    let counts = set.organization.requests();
    assert!(counts.of("resourceusage") > 0);
    assert!(counts.of("resourceusage") < counts.of("pools/{id}/jobrequests"));
}
