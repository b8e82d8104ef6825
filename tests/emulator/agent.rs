//! What an agent's listener and its worker ask for, but for polls.

use super::{
    listener::{Listener, body},
    *,
};

#[tokio::test]
async fn a_job_goes_from_the_queue_through_a_listener_to_its_end() {
    let running = Running::start().await;
    let listener = running.listen("pod").await;
    let jobs = r#"{"demands":["java"],"steps":["make","make test"],"pipeline":"shop"}"#;
    running.own("POST", "pools/linux/jobs", jobs).await;
    assert_eq!(running.state(90401).state, JobState::Assigned);
    let message = running.message(&listener).await;
    let job = body(&message, "PipelineAgentJobRequest");
    assert_eq!(job["steps"], json!(["make", "make test"]));
    assert_eq!(
        (&job["requestId"], &job["duration"]),
        (&json!(90401), &json!(60.0))
    );
    assert_eq!(running.state(90401).state, JobState::Running);
    // It comes again until it is deleted.
    assert_eq!(running.message(&listener).await.body, message.body);
    let path = Running::messages(&listener, "/1");
    let deleted = running.ask("DELETE", &path, &listener.token, "").await;
    deleted.check("delete", 204, &[]);

    let feed = format!(
        "/contoso/project/_apis/distributedtask/hubs/build/plans/{}/timelines/x/records/{}/feed\
         ?api-version=7.1",
        job["planId"].as_str().unwrap(),
        job["jobId"].as_str().unwrap(),
    );
    for lines in [
        r#"{"count":2,"value":["one","two"]}"#,
        r#"{"value":["three"]}"#,
    ] {
        let answer = running.ask("POST", &feed, &listener.token, lines).await;
        answer.check("feed", 204, &[]);
    }
    let log = running.own("GET", "pools/linux/jobs/90401/log", "").await;
    log.check("log", 200, &["text/plain"]);
    assert_eq!(log.body, "one\ntwo\nthree\n");

    running.emulator.advance(Duration::from_secs(60));
    let renewed = running.patch(&listener, &job, None).await;
    renewed.check(
        "renewal",
        200,
        &["\"lockedUntil\":\"2026-06-01T09:26:02.89Z\""],
    );
    let ended = running.patch(&listener, &job, Some("failed")).await;
    ended.check("finish", 200, &["\"result\":\"failed\""]);
    let status = running.state(90401);
    assert_eq!(
        (status.result(), status.agent.as_deref()),
        (Some(JobResult::Failed), Some("pod"))
    );
    running.stop().await;
}

#[tokio::test]
async fn an_agents_row_tells_its_session_and_its_last_job() {
    let running = Running::start().await;
    let (id, token) = running.register("pod").await;
    let all =
        "?includeCapabilities=true&includeAssignedRequest=true&includeLastCompletedRequest=true";
    let row = running.get(&format!("/27/agents/{id}{all}")).await;
    assert_eq!(
        (&row["status"], &row["version"]),
        (&json!("offline"), &json!("4.260.0"))
    );
    assert_eq!(row["createdOn"], "2026-06-01T09:15:02.89Z");
    for absent in ["statusChangedOn", "assignedRequest", "lastCompletedRequest"] {
        assert_eq!(row[absent], Value::Null, "{absent}");
    }
    // What it was registered with is a secret in here.
    assert_eq!(row["authorization"]["publicKey"]["modulus"], "AA==");
    assert_eq!(row["authorization"]["authorizationUrl"], Value::Null);

    running.emulator.advance(Duration::from_secs(1));
    let session = running.open(id, &token).await;
    session.check("a session", 200, &["\"id\":310", "\"status\":\"online\""]);
    let session: Value = serde_json::from_str(&session.body).unwrap();
    let session = session["sessionId"].as_str().unwrap().to_owned();
    let listener = Listener { id, token, session };
    running.queue(1);
    let job = body(&running.message(&listener).await, "PipelineAgentJobRequest");
    let row = running.get(&format!("/27/agents/{id}{all}")).await;
    assert_eq!(
        (&row["status"], &row["version"]),
        (&json!("online"), &json!("4.261.0"))
    );
    assert_eq!(row["systemCapabilities"], json!({"java": "17"}));
    assert_eq!(row["statusChangedOn"], "2026-06-01T09:15:03.89Z");
    assert_eq!(row["assignedRequest"]["requestId"], 90401);

    running.emulator.advance(Duration::from_secs(2));
    running
        .patch(&listener, &job, Some("succeededWithIssues"))
        .await;
    let row = running.get(&format!("/27/agents/{id}{all}")).await;
    assert_eq!(row["assignedRequest"], Value::Null);
    let last = json!({
        "requestId": 90401, "poolId": 27, "planType": "Build", "result": "succeededWithIssues",
        "queueTime": "2026-06-01T09:15:03.89Z", "assignTime": "2026-06-01T09:15:03.89Z",
        "receiveTime": "2026-06-01T09:15:03.8912345Z", "finishTime": "2026-06-01T09:15:05.8912345Z",
    });
    assert_eq!(row["lastCompletedRequest"], last);
    let plain = running.get(&format!("/27/agents/{id}")).await;
    assert_eq!(
        plain["lastCompletedRequest"],
        Value::Null,
        "only who asks is told"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_lock_that_runs_out_takes_the_job_away() {
    let running = Running::start().await;
    let listener = running.listen("pod").await;
    running.queue(2);
    let job = body(&running.message(&listener).await, "PipelineAgentJobRequest");
    running.emulator.advance(Duration::from_secs(540));
    running
        .patch(&listener, &job, None)
        .await
        .check("in time", 200, &[]);
    running.emulator.advance(Duration::from_secs(601));
    let late = running.patch(&listener, &job, None).await;
    late.check("too late", 404, &["TaskAgentJobNotFoundException"]);
    assert_eq!(running.state(90401).result(), Some(JobResult::Abandoned));
    // Without a poll its session was over long before.
    assert!(!running.emulator.agents("linux").unwrap()[0].online);
    let again = running.open(listener.id, &listener.token).await;
    again.check("another session", 200, &[]);
    assert_eq!(running.state(90402).state, JobState::Assigned);
    running.stop().await;
}

#[tokio::test]
async fn a_fault_may_hit_one_method_and_may_come_after_the_deed() {
    let running = Running::start().await;
    let listener = running.listen("pod").await;
    let agent = format!("{POOLS}/27/agents/{}?api-version=7.1", listener.id);
    let session = format!("{POOLS}/27/sessions/{}?api-version=7.1", listener.session);
    let disable = format!(r#"{{"id":{},"enabled":false}}"#, listener.id);
    let order = |method: &str, route: &str, done: bool| {
        format!(
            r#"{{"kind":"server-error","count":1,"method":"{method}","route":"{route}","done":{done}}}"#
        )
    };
    // the order's method, route and whether it comes after; the request; what it then gets
    let requests = [
        (order("patch", "agents", false), "GET", &agent, "", 200),
        (
            order("patch", "agents", true),
            "PATCH",
            &agent,
            &*disable,
            500,
        ),
        (
            order("DELETE", "sessions", false),
            "DELETE",
            &session,
            "",
            500,
        ),
        (
            order("DELETE", "sessions", true),
            "DELETE",
            &session,
            "",
            500,
        ),
        (order("DELETE", "sessions", true), "DELETE", &agent, "", 204),
    ];
    let mut seen = Vec::new();
    for (order, method, path, body, status) in requests {
        running
            .own("POST", "faults", &order)
            .await
            .check(&order, 204, &[]);
        let answer = running.ask(method, path, TOKEN, body).await;
        answer.check(&format!("{method} after {order}"), status, &[]);
        let agents = running.emulator.agents("linux").unwrap();
        seen.push(agents.first().map(|agent| (agent.enabled, agent.online)));
    }
    let expected = [
        Some((true, true)),
        Some((false, true)),
        Some((false, true)),
        Some((false, false)),
        None,
    ];
    assert_eq!(seen, expected);
    running.stop().await;
}
