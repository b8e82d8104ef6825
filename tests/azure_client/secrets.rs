//! What an error may not tell, and a pause that half a list cannot wait for.

use azp_scaler::{
    azure::Credential,
    config::{Application, ConnectionSettings, IdentityConfig, SecretSource, TokenConfig},
    domain::organization::OrganizationUrl,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

/// The fault as it was found: a part of the header lay before the end of what
/// is shown, and the rest behind it.
#[tokio::test]
async fn a_token_that_lies_across_the_end_of_a_message_is_hidden() {
    let header = STANDARD.encode(format!(":{TOKEN}"));
    let plain = "\r\ncontent-type: application/json";
    for before in (130..210).step_by(7) {
        let words = format!("{} Authorization: Basic {header}", "-".repeat(before));
        let body = format!(r#"{{"message":"{words}"}}"#);
        for (head, kind) in [
            (format!("403 Forbidden{plain}"), "forbidden"),
            (format!("400 Bad Request{plain}"), "status"),
            (format!("200 OK\r\ncontent-type: {words}"), "not-json"),
            (
                format!(
                    "302 Found\r\nlocation: https://{}{TOKEN}/",
                    "a".repeat(before)
                ),
                "redirected",
            ),
        ] {
            let (got, _) = read(vec![turn(JOBS, answer(&head, &body))], NO_LIMIT).await;
            let error = got.unwrap_err();
            let shown = format!("{error} {error:?}").to_lowercase();
            assert_eq!(error.kind(), kind, "{shown}");
            for secret in [TOKEN, &header] {
                let part = secret[..8].to_lowercase();
                assert!(!shown.contains(&part), "{part} in {shown}");
            }
        }
    }
}

/// The fault as it was found: an authority that repeats the form, in which the
/// secret is spelled in another way.
#[tokio::test]
async fn a_secret_that_the_authority_repeats_is_hidden_as_the_form_spells_it() {
    let secret = "Abc8Q~dEfGhIjKl+MnOpQr.StUv-WxYz_01234/5";
    let listener = fresh_listener();
    let authority = format!("http://{}", listener.local_addr().unwrap());
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let repeating = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        // The secret is the form's last member.
        while !request.ends_with(b"%2F5") {
            request.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let (_, form) = request.split_once("\r\n\r\n").unwrap();
        let words = format!("invalid: {form}, {secret}");
        let body = format!(r#"{{"error":"invalid_request","error_description":"{words}"}}"#);
        let head = "400 Bad Request\r\ncontent-type: application/json";
        stream.write_all(&answer(head, body)).await.unwrap();
    });
    let identity = IdentityConfig::Secret {
        application: Application {
            client_id: "c11e".into(),
            tenant_id: "7e11".into(),
            authority: authority.parse().unwrap(),
        },
        secret: SecretSource::Fixed(secret.into()),
    };
    let config = TokenConfig::Identity(identity);
    let credential = Credential::new(&config, &ConnectionSettings::default()).unwrap();
    let organization = OrganizationUrl::parse("http://azure.invalid/contoso").unwrap();
    let client = Client::new(ClientSettings::new(organization, credential)).unwrap();
    let got = client.unfinished_jobs(PoolId(27)).await.outcome;
    repeating.await.unwrap();
    let shown = got.unwrap_err().to_string();
    assert!(shown.contains("client_secret=***, ***"), "{shown}");
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
    let (log, _guard) = Log::of_everything();
    let odd =
        r#"{"value":[{"requestId":7,"queueTime":"noon"},{"requestId":8,"queueTime":"noon"}]}"#;
    assert_eq!(
        read(vec![turn(JOBS, json(odd))], NO_LIMIT).await,
        (Ok(2), None)
    );
    check(answer("401 Unauthorized", TOKEN), "credential-rejected", "").await;
    let text = log.text();
    assert_eq!(
        text.matches("queue time cannot be read").count(),
        1,
        "{text}"
    );
    assert_hidden(&text);
    tracing::error!("{TOKEN}");
    let text = log.text();
    assert!(text.contains(TOKEN), "the log is not watched");
}
