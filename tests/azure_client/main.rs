//! The REST client against a server that says exactly what the test wrote and
//! takes exactly the requests that it waits for: one that is missing fails the
//! test, and so does one too many.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

mod agents;
mod connect;
mod identity;
mod packages;
mod parallel_jobs;
mod placeholders;
mod secrets;
mod server;

use std::time::Duration;

use azp_scaler::{
    azure::{Client, ClientSettings},
    domain::pool::{PoolId, PoolRef, Queue},
    ports::{AgentPools as _, ReadError},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::time::Instant;

use server::{
    Log, NO_LIMIT, Server, TOKEN, Turn, answer, assert_hidden, assert_nobody_came, fresh_listener,
    json, settings, turn,
};

const JOBS: &str = "/contoso/_apis/distributedtask/pools/27/jobrequests?completedRequestCount=0";
const SECOND: &str = "/contoso/_apis/distributedtask/pools/27/jobrequests?completedRequestCount=0&continuationToken=a%2Fb%20c";
const EMPTY: &str = r#"{"count":0,"value":[]}"#;
const SHORT_LIMIT: Duration = Duration::from_millis(200);

/// Reads the queue of pool 27 from a server that takes these turns: how many
/// jobs it has, and the pause that is asked for, in seconds.
async fn read(turns: Vec<Turn>, limit: Duration) -> (Result<usize, ReadError>, Option<u64>) {
    let server = Server::start(turns);
    let mut settings = server.settings();
    settings.request_timeout = limit;
    let client = Client::new(settings).unwrap();
    let got = client.unfinished_jobs(PoolId(27)).await;
    assert_hidden(&format!("{client:?} {got:?}"));
    if let Err(error) = &got.outcome {
        assert_hidden(&error.to_string());
    }
    server.finish().await;
    let pause = got.pause.map(|pause| pause.as_secs());
    (got.outcome.map(|jobs| Queue::new(jobs).jobs().len()), pause)
}

async fn check(answer: impl AsRef<[u8]>, kind: &str, part: &str) {
    let (error, pause) = read(vec![turn(JOBS, answer.as_ref())], NO_LIMIT).await;
    let error = error.unwrap_err();
    let shown = format!("{error} {error:?} {pause:?}");
    assert_eq!(error.kind(), kind, "{shown}");
    assert!(shown.contains(part), "{part:?} is not in {shown}");
}

#[tokio::test]
async fn every_odd_answer_has_its_kind() {
    let html = "\r\ncontent-type: text/html; charset=utf-8";
    let plain = "\r\ncontent-type: application/json";
    let page = |status: &str| answer(&format!("{status}{html}"), "<html>Sign in</html>");
    let says = |status: &str, body: &str| answer(&format!("{status}{plain}"), body);
    let to = |target: &str| page(&format!("302 Found\r\nlocation: {target}"));

    let rejected = "credential-rejected";
    check(
        page("203 Non-Authoritative Information"),
        rejected,
        "203 and a sign-in page",
    )
    .await;
    check(page("401 Unauthorized"), rejected, "status 401").await;
    check(
        to("https://app.vssps.visualstudio.com/_signin?realm=x"),
        rejected,
        "302",
    )
    .await;
    check(to("/_signin"), rejected, "302").await;
    check(
        to("https://login.example.org/x"),
        "redirected",
        "login.example.org",
    )
    .await;
    check(page("301 Moved Permanently"), "redirected", "does not name").await;

    let expired = "x-tfs-serviceerror: Access%20Denied%3A%20The%20Personal%20Access%20Token%20used%20has%20expired.";
    check(
        page(&format!("401 Unauthorized\r\n{expired}")),
        "credential-expired",
        "",
    )
    .await;
    let body = r#"{"message":"The Personal Access Token used has expired.","typeKey":"AccessCheckException"}"#;
    check(says("401 Unauthorized", body), "credential-expired", "").await;

    let body = format!(
        r#"{{"message":"Access\r\n denied \u001b[31m{}"}}"#,
        "x".repeat(900)
    );
    let denied = format!(
        "(Access denied [31m{}…)",
        "x".repeat(200 - "Access denied [31m".len())
    );
    check(says("403 Forbidden", &body), "forbidden", &denied).await;
    check(page("403 Forbidden"), "forbidden", "(Forbidden)").await;
    let echo = format!(
        r#"{{"message":"no {TOKEN}, {}"}}"#,
        STANDARD.encode(format!(":{TOKEN}"))
    );
    check(says("403 Forbidden", &echo), "forbidden", "(no ***, ***)").await;

    let body = r#"{"message":"TF401444: Please sign-in at least once as x"}"#;
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let kind = if status.starts_with("401") {
            rejected
        } else {
            "forbidden"
        };
        check(says(status, body), kind, "sign in to the organization once").await;
    }

    check(says("404 Not Found", "{}"), "pool-not-found", "#27").await;
    check(page("404 Not Found"), "status", "404").await;
    check(
        says("400 Bad Request", r#"{"message":"odd"}"#),
        "status",
        "400 (odd)",
    )
    .await;
    check(says("204 No Content", ""), "status", "204").await;

    check(
        says("429 Too Many Requests\r\nretry-after: 17.5", ""),
        "throttled",
        "Some(17)",
    )
    .await;
    check(
        says("429 Too Many Requests\r\nretry-after: 99999", ""),
        "throttled",
        "Some(3600)",
    )
    .await;
    check(says("429 Too Many Requests", ""), "throttled", "None").await;
    check(
        says(
            "429 Too Many Requests\r\nretry-after: 7\r\nx-ratelimit-remaining: 0",
            "",
        ),
        "throttled",
        "Some(30)",
    )
    .await;
    check(
        says(
            "429 Too Many Requests\r\nretry-after: 70\r\nx-ratelimit-remaining: 0",
            "",
        ),
        "throttled",
        "Some(70)",
    )
    .await;
    check(
        says("502 Bad Gateway\r\nx-ratelimit-delay: 1.25", ""),
        "server",
        "Some(1)",
    )
    .await;
    check(
        says("503 Service Unavailable\r\nretry-after: 5", ""),
        "server",
        "Some(5)",
    )
    .await;
    check(page("500 Internal Server Error"), "server", "status 500").await;
    for (head, kind) in [
        ("403 Forbidden", "forbidden"),
        ("200 OK", "not-json"),
        ("203 Hm", "credential-rejected"),
    ] {
        check(page(&format!("{head}\r\nretry-after: 9")), kind, "Some(9)").await;
    }

    check(page("200 OK"), "not-json", "text/html").await;
    check(
        answer("200 OK", EMPTY),
        "not-json",
        "without a content type",
    )
    .await;
    check(json("{}"), "unknown-shape", "no member value").await;
    check(json(r#"{"value":["#), "cut", "ends within").await;
    check("nonsense\r\n\r\n", "unreachable", "").await;
    check("", "unreachable", "").await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_cut() {
    let whole = String::from_utf8(json(r#"{"value":[]}        "#)).unwrap();
    check(whole.trim_end(), "cut", "").await;
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nc\r\n{\"value\":[]}\r\n";
    check(chunked, "cut", "").await;
    let zipped = "200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip";
    check(answer(zipped, "no gzip at all"), "cut", "").await;
}

#[tokio::test]
async fn a_server_that_says_no_more_is_left() {
    let hangs = |answer: &[u8]| Turn {
        hangs: true,
        ..turn(JOBS, answer)
    };
    let half = json(r#"{"value":[{"requestId":1}]}"#);
    for answer in [&b""[..], &half[..half.len() - 5]] {
        let got = read(vec![hangs(answer)], SHORT_LIMIT).await;
        let timed_out = ReadError::TimedOut { limit: SHORT_LIMIT };
        assert_eq!(got, (Err(timed_out), None));
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named_unreachable() {
    let address = fresh_listener().local_addr().unwrap();
    let client = Client::new(settings(&format!("http://{address}/contoso"))).unwrap();
    let error = client
        .unfinished_jobs(PoolId(27))
        .await
        .outcome
        .unwrap_err();
    assert_eq!(error.kind(), "unreachable");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn good_answers_are_read_with_the_pause_that_they_ask_for() {
    let check = async |head: &str, body: &[u8], expected: (usize, Option<u64>)| {
        let head = format!("200 OK\r\ncontent-type: {head}");
        let got = read(vec![turn(JOBS, answer(&head, body))], NO_LIMIT).await;
        let (jobs, pause) = expected;
        assert_eq!(got, (Ok(jobs), pause), "{head}");
    };
    let rows = br#"{"count":3,"value":[{"requestId":1},{"requestId":2,"result":"failed"},{"requestId":3}]}"#;
    // A job that is over is none of the unfinished ones.
    check("application/json", rows, (2, None)).await;
    check("Text/JSON", b"\xEF\xBB\xBF[{\"requestId\":1}]", (1, None)).await;
    check(
        "application/vnd.x+json\r\nRetry-After: 12",
        rows,
        (2, Some(12)),
    )
    .await;
    check(
        "application/json\r\nx-ratelimit-remaining: 0",
        rows,
        (2, Some(30)),
    )
    .await;
}

#[tokio::test]
async fn pools_are_found_by_encoded_name_and_by_number() {
    let named = "/contoso/_apis/distributedtask/pools?poolName=K8s%20%26%20B%C3%BCro%2B%2F";
    let list = r#"{"count":1,"value":[{"id":27,"name":"k8s & büro+/","isHosted":false}]}"#;
    let numbered = "/contoso/_apis/distributedtask/pools/27";
    let one = r#"{"id":27,"name":"k8s & büro+/","isHosted":false}"#;
    let none = answer("404 Not Found\r\ncontent-type: application/json", "{}");
    let unknown = answer(
        "404 Not Found\r\ncontent-type: application/json",
        r#"{"message":"x"}"#,
    );
    let server = Server::start(vec![
        turn(named, json(list)),
        turn(named, json(EMPTY)),
        turn(named, unknown),
        turn(numbered, json(one)),
        turn(numbered, none.clone()),
        // A number may be that of a project's queue.
        turn("/contoso/_apis/distributedtask/queues/27", none),
    ]);
    let client = Client::new(server.settings()).unwrap();
    let name = PoolRef::Name("K8s & Büro+/".into());
    let id = PoolRef::Id(PoolId(27));
    let mut kinds = Vec::new();
    for pool in [&name, &name, &name, &id, &id] {
        let got = client.pool(pool).await;
        kinds.push(match got.outcome {
            Ok(pool) => pool.name.to_string(),
            Err(error) => error.kind().into(),
        });
    }
    let pool = "k8s & büro+/";
    assert_eq!(
        kinds,
        [pool, "pool-not-found", "status", pool, "pool-not-found"]
    );
    server.finish().await;
}

#[tokio::test]
async fn a_list_in_pages_is_read_to_its_end() {
    let page = |token: &str, id: u32| {
        let head = format!("200 OK\r\ncontent-type: application/json\r\n{token}");
        answer(
            &head,
            format!(r#"{{"count":1,"value":[{{"requestId":{id}}}]}}"#),
        )
    };
    let first = || turn(JOBS, page("X-MS-ContinuationToken: a/b c", 1));
    let last = turn(SECOND, page("retry-after: 3", 2));
    let got = read(vec![first(), last], NO_LIMIT).await;
    assert_eq!(got, (Ok(2), Some(3)));

    let again = turn(SECOND, page("x-ms-continuationtoken: a/b c", 2));
    let error = read(vec![first(), again], NO_LIMIT).await.0.unwrap_err();
    assert_eq!(error.kind(), "unknown-shape", "{error}");

    let broken = turn(SECOND, answer("500 Oh", ""));
    let error = read(vec![first(), broken], NO_LIMIT).await.0.unwrap_err();
    assert_eq!(error.kind(), "server", "half a queue is none: {error}");
}

#[tokio::test]
async fn a_job_that_is_over_on_a_later_page_is_over() {
    let page = |head: &str, row: &str| {
        let head = format!("200 OK\r\ncontent-type: application/json{head}");
        answer(&head, format!(r#"{{"count":1,"value":[{{{row}}}]}}"#))
    };
    let running = r#""requestId":1,"receiveTime":"2026-06-01T09:15:02Z""#;
    let first = page("\r\nx-ms-continuationtoken: a/b c", running);
    let last = page("", r#""requestId":1,"result":"succeeded""#);
    let got = read(vec![turn(JOBS, first), turn(SECOND, last)], NO_LIMIT).await;
    assert_eq!(got, (Ok(0), None));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_a_page_asks_for_is_kept_before_the_next_one() {
    let page = |head: &str| {
        let head = format!("200 OK\r\ncontent-type: application/json{head}");
        answer(&head, EMPTY)
    };
    let first = page("\r\nx-ms-continuationtoken: a/b c\r\nretry-after: 7");
    let before = Instant::now();
    let got = read(vec![turn(JOBS, first), turn(SECOND, page(""))], NO_LIMIT).await;
    // It is over then, and nobody has to keep it once more.
    assert_eq!(got, (Ok(0), None));
    assert_eq!(before.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn the_cap_counts_what_a_small_body_unfolds_to() {
    // 200 KB of white space within an empty list.
    let bomb = STANDARD.decode("H4sIAAAAAAACA+3BsREAEBAAsFXcj2EVp1DovqVxdjeDPsmJPXLNqK0XAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAODbfe7pXUpMDQMA").unwrap();
    assert!(bomb.len() < 1000);
    let zipped = "200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip";
    let server = Server::start(vec![
        turn(JOBS, answer(zipped, &bomb)),
        turn(JOBS, answer(zipped, &bomb)),
    ]);
    let small = ClientSettings {
        body_cap: 100_000,
        ..server.settings()
    };
    let jobs = |settings| async {
        Client::new(settings)
            .unwrap()
            .unfinished_jobs(PoolId(27))
            .await
    };
    let error = jobs(small).await.outcome.unwrap_err();
    assert_eq!(error, ReadError::TooLarge { cap: 100_000 });
    assert!(jobs(server.settings()).await.outcome.unwrap().is_empty());
    server.finish().await;
}

#[test]
fn a_client_needs_no_provider_installed_before() {
    let client = Client::new(settings("https://dev.azure.com/contoso"));
    assert!(client.is_ok());
    azp_scaler::azure::install_crypto_provider();
    azp_scaler::azure::install_crypto_provider();
    let mut odd = settings("https://dev.azure.com/contoso");
    odd.user_agent = "a\nb".into();
    let error = Client::new(odd).unwrap_err();
    assert!(error.to_string().contains("user agent"), "{error}");
}
