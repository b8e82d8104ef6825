//! The faults: each answers as its name says, for as long as it was ordered.

use super::*;

#[tokio::test]
async fn every_fault_answers_as_its_name_says() {
    let running = Running::start().await;
    let table: [(FaultKind, u16, &[&str]); 16] = [
        (FaultKind::Unauthorized, 401, &["TF400813"]),
        (
            FaultKind::ExpiredToken,
            401,
            &[
                "x-tfs-serviceerror: access%20denied%3a",
                "AccessCheckException",
            ],
        ),
        (FaultKind::Forbidden, 403, &["AccessDeniedException"]),
        (FaultKind::SignInPage, 203, &["text/html", "Sign In"]),
        (
            FaultKind::Redirect,
            302,
            &["location: https://", "_signin?realm="],
        ),
        (
            FaultKind::TooManyRequests,
            429,
            &["retry-after: 2", "x-ratelimit-remaining: 0", "TF400733"],
        ),
        (
            FaultKind::SlowDown,
            200,
            &["retry-after: 2", "x-ratelimit-reset: 1780305304", "linux"],
        ),
        (FaultKind::ServerError, 500, &["typeKey"]),
        (FaultKind::Unavailable, 503, &["text/html"]),
        (
            FaultKind::CutBody,
            200,
            &["application/json", "\"requestId\":1"],
        ),
        (FaultKind::Html, 200, &["text/html"]),
        (
            FaultKind::UnknownShape,
            200,
            &["application/json", r#"{"items":[]}"#],
        ),
        (FaultKind::EmptyList, 200, &[r#"{"count":0,"value":[]}"#]),
        (
            FaultKind::Elsewhere,
            302,
            &["location: https://elsewhere.example/contoso"],
        ),
        (FaultKind::NoOrganization, 404, &["text/html"]),
        (
            FaultKind::PoolGone,
            404,
            &["application/json", "TaskAgentPoolNotFoundException"],
        ),
    ];
    for (kind, status, words) in table {
        running.emulator.set_fault(Fault {
            count: Some(1),
            ..Fault::new(kind)
        });
        let answer = running.ask("GET", POOLS, TOKEN, "").await;
        answer.check(&format!("{kind:?}"), status, words);
        let length = answer.head.split("content-length: ").nth(1);
        let length: usize = length.unwrap().lines().next().unwrap().parse().unwrap();
        assert_eq!(
            length != answer.body.len(),
            kind == FaultKind::CutBody,
            "{kind:?}"
        );
        let after = running.ask("GET", POOLS, TOKEN, "").await;
        after.check(&format!("after {kind:?}"), 200, &["linux"]);
        assert!(!after.head.contains("retry-after"), "after {kind:?}");
    }
    assert_eq!(running.emulator.requests().total, 2 * table.len() as u64);
    running.stop().await;
}

#[tokio::test]
async fn a_body_without_end_goes_on_until_somebody_goes() {
    // the fault, how many bytes are read beyond its start
    for (kind, bytes) in [(FaultKind::HugeBody, 3_000_000), (FaultKind::SlowBody, 6)] {
        let running = Running::start().await;
        running.emulator.set_fault(Fault::new(kind));
        let mut leaving = running.send("GET", POOLS, TOKEN, "").await;
        let mut start = Vec::new();
        while !String::from_utf8_lossy(&start).contains("\r\n{\"count\":1") {
            let read = within_a_minute(leaving.read_buf(&mut start)).await.unwrap();
            assert_ne!(read, 0, "{kind:?} ended");
        }
        within_a_minute(leaving.read_exact(&mut vec![0; bytes]))
            .await
            .unwrap();
        drop(leaving);
        // A second client is there when the emulator stops, and it stops.
        let mut staying = running.send("GET", POOLS, TOKEN, "").await;
        within_a_minute(staying.read_exact(&mut [0; 100]))
            .await
            .unwrap();
        within_a_minute(running.stop()).await;
    }
}

#[tokio::test]
async fn a_request_that_hangs_is_counted_and_ends_with_the_emulator() {
    let running = Running::start().await;
    running.emulator.set_fault(Fault::new(FaultKind::Hang));
    let mut socket = running.send("GET", POOLS, TOKEN, "").await;
    let mut bytes = Vec::new();
    let answered = socket.read_to_end(&mut bytes);
    tokio::pin!(answered);
    let counted = async {
        while running.emulator.requests().total == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        answer = &mut answered => panic!("it was answered: {answer:?}"),
        () = within_a_minute(counted) => {}
    }
    // Other clients are served meanwhile.
    let requests = r#"{"total":1,"byRoute":[{"method":"GET","route":"pools","count":1}]}"#;
    let own = running.own("GET", "requests", "").await;
    own.check("requests", 200, &[requests]);
    running.emulator.clear_faults();
    let other = running.ask("GET", POOLS, TOKEN, "").await;
    other.check("after it was lifted", 200, &["linux"]);
    assert!(futures::poll!(&mut answered).is_pending());
    within_a_minute(running.stop()).await;
    within_a_minute(answered).await.unwrap();
}

#[tokio::test]
async fn a_fault_may_be_meant_for_some_requests_only() {
    let running = Running::start().await;
    let order = r#"{"kind":"server-error","count":2,"route":"jobrequests"}"#;
    running
        .own("POST", "faults", order)
        .await
        .check("faults", 204, &[]);
    let mut statuses = Vec::new();
    for below in [
        "",
        "/27/jobrequests",
        "/27/agents",
        "/27/jobrequests",
        "/27/jobrequests",
    ] {
        let answer = running
            .ask("GET", &format!("{POOLS}{below}"), TOKEN, "")
            .await;
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 500, 200, 500, 200]);
    running
        .own(
            "POST",
            "faults",
            r#"{"kind":"too-many-requests","retryAfterSeconds":30}"#,
        )
        .await;
    for _ in 0..3 {
        let answer = running.ask("GET", POOLS, TOKEN, "").await;
        answer.check("until it is deleted", 429, &["retry-after: 30"]);
    }
    running
        .own("DELETE", "faults", "")
        .await
        .check("faults", 204, &[]);
    assert_eq!(running.ask("GET", POOLS, TOKEN, "").await.status, 200);
    running.stop().await;
}
