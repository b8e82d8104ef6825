//! How many parallel jobs there are: what is asked for, and what odd answers are.

use azp_scaler::{
    azure::Client,
    domain::{job::RequestId, parallel_jobs::Usage},
    ports::{AgentPools as _, ReadError},
};

use super::server::{Server, Turn, answer, assert_hidden, json, turn};

const USAGE: &str = "/contoso/_apis/distributedtask/resourceusage\
    ?parallelismTag=Private&poolIsHosted=false&includeRunningRequests=true";

async fn read(turns: Vec<Turn>) -> (Result<Usage, ReadError>, Option<u64>, Option<bool>) {
    let server = Server::start(turns);
    let client = Client::new(server.settings()).unwrap();
    let got = client.parallel_jobs().await;
    assert_hidden(&format!("{client:?} {got:?}"));
    server.finish().await;
    let pause = got.pause.map(|pause| pause.as_secs());
    (got.outcome, pause, client.standing().valid)
}

async fn check(answer: Vec<u8>, kind: &str) {
    let (outcome, _, valid) = read(vec![turn(USAGE, answer)]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    // It may be good for pools, which is what the credential is there for.
    assert_eq!(valid, None, "{error}");
}

#[tokio::test]
async fn the_limit_and_who_uses_it_are_read() {
    let body = r#"{"resourceLimit":{"resourceLimitsData":{"FreeCount":"1","PurchasedCount":"9"},
        "hostId":"3f0d6a0e-0000-4000-8000-0000000000aa","parallelismTag":"Private","isHosted":false,
        "totalCount":10,"isPremium":true},"usedCount":2,"runningRequests":[
        {"requestId":90410,"queueTime":"2026-06-01T09:15:02.89Z","demands":["kubectl"],"poolId":27,"data":{}},
        {"requestId":90409,"poolId":3}]}"#;
    let (outcome, pause, _) = read(vec![turn(USAGE, json(body))]).await;
    let usage = outcome.unwrap();
    assert_eq!((usage.limit, usage.used, pause), (Some(10), 2, None));
    let told: Vec<_> = usage
        .holders
        .iter()
        .map(|of| (of.job.0, of.pool.unwrap().0))
        .collect();
    assert_eq!(told, [(90_409, 3), (90_410, 27)]);
    assert!(usage.holds(RequestId(90_410)) && !usage.holds(RequestId(90_411)));
}

#[tokio::test]
async fn every_odd_answer_is_an_error_and_never_a_limit() {
    let html = "\r\ncontent-type: text/html; charset=utf-8";
    let page = |status: &str| answer(&format!("{status}{html}"), "<html>Sign in</html>");
    let says = |status: &str, body: &str| {
        answer(&format!("{status}\r\ncontent-type: application/json"), body)
    };
    check(
        page("203 Non-Authoritative Information"),
        "credential-rejected",
    )
    .await;
    check(page("401 Unauthorized"), "credential-rejected").await;
    check(page("403 Forbidden"), "forbidden").await;
    check(says("403 Forbidden", r#"{"message":"no"}"#), "forbidden").await;
    check(page("404 Not Found"), "status").await;
    check(page("500 Internal Server Error"), "server").await;
    check(page("200 OK"), "not-json").await;
    check(json(r#"{"count":0,"value":[]}"#), "unknown-shape").await;
    check(json("[]"), "unknown-shape").await;
    check(json(r#"{"resourceLimit":{"totalCount":"#), "cut").await;
    let public = r#"{"resourceLimit":{"parallelismTag":"Public","totalCount":3},"usedCount":1}"#;
    check(json(public), "unknown-shape").await;
}

#[tokio::test]
async fn a_pause_is_heard_here_too() {
    let busy = answer("429 Too Many Requests\r\nretry-after: 7", "");
    let (outcome, pause, _) = read(vec![turn(USAGE, busy)]).await;
    assert_eq!((outcome.unwrap_err().kind(), pause), ("throttled", Some(7)));
}
