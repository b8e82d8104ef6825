//! What an error may not tell, and a pause that half a list cannot wait for.

use super::*;

/// Whoever repeats the token, an error tells it to nobody.
#[tokio::test]
async fn a_token_that_the_answer_repeats_is_hidden_whatever_is_wrong_with_it() {
    let shape = json(&format!(r#"{{"value":[{{"requestId":"{TOKEN}"}}]}}"#));
    check(shape, "unknown-shape", "").await;
    let pools = "/contoso/_apis/distributedtask/pools?poolName=linux";
    let shape = json(&format!(
        r#"{{"value":[{{"id":"{TOKEN}","name":"linux"}}]}}"#
    ));
    let server = Server::start(vec![turn(pools, shape)]);
    let client = Client::new(server.settings()).unwrap();
    let got = client.pool(&PoolRef::Name("linux".into())).await.outcome;
    assert!(got.unwrap_err().to_string().contains("***"));
    server.finish().await;
    let long = json(&format!(
        r#"{{"value":[{{"requestId":"{}"}}]}}"#,
        "x".repeat(100_000)
    ));
    let (got, _) = read(vec![turn(JOBS, &long)], NO_LIMIT).await;
    assert!(got.unwrap_err().to_string().len() < 400);
    let elsewhere = format!(
        "302 Found\r\nlocation: https://{}.example.org/",
        TOKEN.to_lowercase()
    );
    check(answer(&elsewhere, ""), "redirected", "***").await;
}

#[tokio::test]
async fn a_pause_too_long_for_half_a_list_begins_it_anew() {
    let more = "200 OK\r\ncontent-type: application/json\r\nretry-after: 60\r\nx-ms-continuationtoken: next";
    let (got, pause) = read(vec![turn(JOBS, answer(more, EMPTY))], NO_LIMIT).await;
    assert_eq!((got, pause), (Err(ReadError::Throttled), Some(60)));
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = fresh_listener();
    let target = format!("http://{}{JOBS}", elsewhere.local_addr().unwrap());
    for status in ["301", "302", "303", "307", "308"] {
        let head = format!("{status} Moved\r\nlocation: {target}");
        check(answer(&head, ""), "redirected", "127.0.0.1").await;
        assert_nobody_came(&elsewhere);
    }
}

#[tokio::test]
async fn the_token_reaches_no_log_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let odd =
        r#"{"value":[{"requestId":7,"queueTime":"noon"},{"requestId":8,"queueTime":"noon"}]}"#;
    assert_eq!(
        read(vec![turn(JOBS, json(odd))], NO_LIMIT).await,
        (Ok(2), None)
    );
    check(answer("401 Unauthorized", TOKEN), "credential-rejected", "").await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text.matches("queue time cannot be read").count(),
        1,
        "{text}"
    );
    assert_hidden(&text);
    tracing::error!("{TOKEN}");
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains(TOKEN), "the log is not watched");
}
