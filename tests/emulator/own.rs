//! The emulator's own routes, as a user of them sees it.

use super::*;

#[tokio::test]
async fn a_trial_goes_from_an_empty_pool_to_a_finished_and_a_lost_job() {
    let running = Running::start().await;
    let jobs = r#"{"count":2,"demands":["java -equals 17"],"durationSeconds":60}"#;
    let queued = running.own("POST", "pools/new%20pool/jobs", jobs).await;
    queued.check("jobs", 200, &[r#"{"requestIds":[90401,90402]}"#]);
    let agent = r#"{"name":"agent-1","capabilities":{"java":"17"}}"#;
    let added = running.own("POST", "pools/new%20pool/agents", agent).await;
    added.check("agents", 200, &[r#""name":"agent-1""#]);
    let moved = running
        .own("POST", "clock", r#"{"advanceSeconds":66}"#)
        .await;
    moved.check("clock", 200, &["2026-06-01T09:16:08.8912345Z"]);
    let killed = running
        .own("DELETE", "pools/new%20pool/agents/agent-1", "")
        .await;
    killed.check("kill", 204, &[]);
    let one = running.own("POST", "pools/new%20pool/jobs", "").await;
    one.check("no body at all", 200, &["[90403]"]);
    let gone = running
        .own("DELETE", "pools/new%20pool/jobs/90403", "")
        .await;
    gone.check("cancel", 204, &[]);
    let state = running.own("GET", "pools/new%20pool", "").await;
    let state: Value = serde_json::from_str(&state.body).unwrap();
    let jobs = state["jobs"].as_array().unwrap();
    let jobs = jobs
        .iter()
        .map(|job| (job["state"].as_str(), job["result"].as_str(), &job["lost"]));
    let (lost, not) = (json!(true), json!(false));
    let expected = [
        (Some("running"), None, &lost),
        (Some("finished"), Some("canceled"), &not),
        (Some("finished"), Some("succeeded"), &not),
    ];
    assert!(jobs.eq(expected), "{state:#}");
    assert_eq!(state["counts"]["lost"], 1);
    assert_eq!(state["agents"], json!([]));
    running.stop().await;
}

#[tokio::test]
async fn an_agent_that_runs_once_goes_offline_after_its_job() {
    let running = Running::start().await;
    let agent = r#"{"name":"agent-1","once":true}"#;
    running.own("POST", "pools/once/agents", agent).await;
    let three = r#"{"count":3,"durationSeconds":60}"#;
    running.own("POST", "pools/once/jobs", three).await;
    // Taken back before the agent had it: none of its.
    running.own("DELETE", "pools/once/jobs/90401", "").await;
    let later = r#"{"advanceSeconds":66}"#;
    running.own("POST", "clock", later).await;
    let state = running.own("GET", "pools/once", "").await;
    let state: Value = serde_json::from_str(&state.body).unwrap();
    let counts = &state["counts"];
    assert_eq!(
        (&counts["succeeded"], &counts["queued"]),
        (&json!(1), &json!(1)),
        "{state:#}"
    );
    assert_eq!(state["agents"][0]["online"], false);
    running.stop().await;
}

#[tokio::test]
async fn a_token_that_is_rotated_is_let_in_no_more() {
    let running = Running::start().await;
    let body = r#"{"token":"written"}"#;
    let rotated = running.own("POST", "token", body).await;
    rotated.check("rotation", 204, &[]);
    let new = "authorization: Basic OndyaXR0ZW4="; // :written
    for (header, status) in [(TOKEN, 203), (new, 200)] {
        let answer = running.ask("GET", POOLS, header, "").await;
        answer.check(header, status, &[]);
    }
    let empty = running.own("POST", "token", r#"{"token":""}"#).await;
    empty.check("no token", 400, &["token is empty", "give one"]);
    running.stop().await;
}

#[tokio::test]
async fn what_is_wrong_in_a_request_of_ones_own_is_said_with_its_remedy() {
    let running = Running::start().await;
    let jobs = "pools/linux/jobs";
    for (method, path, body, status, words) in [
        (
            "POST",
            jobs,
            r#"{"count":0}"#,
            400,
            ["count is 0", "1 to 100000"],
        ),
        (
            "POST",
            jobs,
            r#"{"count":100001}"#,
            400,
            ["count is 100001", "1 to 100000"],
        ),
        (
            "POST",
            jobs,
            r#"{"cuont":1}"#,
            400,
            ["unknown field `cuont`", "expected one of `count`"],
        ),
        (
            "POST",
            jobs,
            r#"{"count":"#,
            400,
            ["cannot be read", "send JSON such as"],
        ),
        (
            "POST",
            jobs,
            r#"{"demands":["git","java >= 17"]}"#,
            400,
            ["demands[1]", "-gtVersion"],
        ),
        (
            "POST",
            jobs,
            r#"{"durationSeconds":-1}"#,
            400,
            ["durationSeconds is -1", "give 0 to"],
        ),
        (
            "POST",
            jobs,
            r#"{"durationSeconds":1e99}"#,
            400,
            ["durationSeconds", "give 0 to"],
        ),
        (
            "GET",
            jobs,
            "",
            405,
            ["/_emulator/pools/linux/jobs", "method"],
        ),
        (
            "DELETE",
            "pools/linux/jobs/1",
            "",
            404,
            ["no job request 1", "linux"],
        ),
        (
            "DELETE",
            "pools/linux/jobs/one",
            "",
            400,
            ["one", "no number"],
        ),
        (
            "DELETE",
            "pools/linux/agents/a",
            "",
            404,
            ["no agent", "linux"],
        ),
        ("GET", "pools/other", "", 404, ["no pool", "queue a job"]),
        (
            "POST",
            "pools/linux",
            r#"{"strict":"yes"}"#,
            400,
            ["expected a boolean", "send JSON such as"],
        ),
        (
            "POST",
            "pools/linux/agents",
            "{}",
            400,
            ["missing field `name`", "send JSON such as"],
        ),
        (
            "POST",
            "pools/linux/agents",
            r#"{"name":" "}"#,
            400,
            ["name is empty", "give"],
        ),
        (
            "POST",
            "faults",
            r#"{"kind":"unavailabel"}"#,
            400,
            ["did you mean \\\"unavailable\\\"", "sign-in-page"],
        ),
        (
            "POST",
            "faults",
            r#"{"kind":"hang","count":0}"#,
            400,
            ["count is 0", "leave it out"],
        ),
        (
            "POST",
            jobs,
            r#"{"outcome":"canceled"}"#,
            400,
            ["outcome is", "succeededWithIssues, failed"],
        ),
        (
            "GET",
            "pools/linux/jobs/1/log",
            "",
            404,
            ["no job request 1", "linux"],
        ),
        (
            "POST",
            "pools/linux/agents/a/orders",
            r#"{"order":"kill"}"#,
            404,
            ["no agent", "linux"],
        ),
        (
            "POST",
            "pools/linux/agents/a/orders",
            r#"{"order":"die"}"#,
            400,
            ["unknown variant `die`", "send JSON such as"],
        ),
        (
            "POST",
            "pools/linux/agents/a/orders",
            r#"{"order":"exit"}"#,
            400,
            ["missing field `code`", "send JSON such as"],
        ),
        (
            "POST",
            "clock",
            r#"{"advanceSeconds":-5}"#,
            400,
            ["advanceSeconds is -5", "give 0 to"],
        ),
        (
            "GET",
            "nothing",
            "",
            404,
            ["/_emulator/nothing", "/_emulator/faults"],
        ),
    ] {
        let answer = running.own(method, path, body).await;
        answer.check(&format!("{method} {path} {body}"), status, &words);
        assert!(answer.body.starts_with(r#"{"error":""#), "{}", answer.body);
    }
    let counts = running.emulator.counts("linux").unwrap();
    assert_eq!((counts.unfinished(), counts.agents), (0, 0));
    assert_eq!(
        running.emulator.requests().total,
        0,
        "own requests are not Azure's"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_strict_pool_fails_what_no_registered_agent_could_run() {
    let running = Running::start().await;
    running
        .own("POST", "pools/linux", r#"{"strict":true}"#)
        .await
        .check("strict", 200, &["true"]);
    running
        .own("POST", "pools/linux/jobs", r#"{"demands":["java"]}"#)
        .await;
    let row = running.get("/27/jobrequests").await["value"][0].clone();
    assert_eq!(row["result"], "failed");
    let message = "No agent found in pool linux which satisfies the specified demands: java";
    assert_eq!(row["statusMessage"], message);
    running.stop().await;
}
