//! The authority, as strict as those whose place it takes.

use azp_scaler::emulator::AuthorityFault;

use super::*;

const ENTRA: &str = "/7e11/oauth2/v2.0/token";
const FORM: &str = "content-type: application/x-www-form-urlencoded";
const RESOURCE: &str = "499b84ac-1321-427f-aa17-267ca6975798";
const GRANT: &str = "grant_type=client_credentials&client_id=c11e\
    &scope=499b84ac-1321-427f-aa17-267ca6975798%2F.default";
const ASSERTION: &str = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A\
    client-assertion-type%3Ajwt-bearer&client_assertion";

#[tokio::test]
async fn what_is_asked_otherwise_is_refused_by_its_code() {
    let running = Running::start().await;
    let good = format!("{GRANT}&client_secret=s3cret");
    let other = |from: &str, to: &str| good.replace(from, to);
    for (header, form, status, words) in [
        (FORM, good.clone(), 200, "\"expires_in\":3599"),
        (
            FORM,
            format!("{GRANT}&{ASSERTION}=a.b.c"),
            200,
            "\"token_type\":\"Bearer\"",
        ),
        ("x: y", good.clone(), 400, "AADSTS900144"),
        (
            FORM,
            other("client_credentials", "password"),
            400,
            "unsupported_grant_type",
        ),
        (
            FORM,
            other("client_id=c11e&", ""),
            400,
            "parameter: 'client_id'",
        ),
        (FORM, other("%2F.default", ""), 400, "invalid_scope"),
        (FORM, other("s3cret", "other"), 401, "AADSTS7000215"),
        (FORM, GRANT.to_owned(), 400, "'client_assertion_type'"),
        (FORM, format!("{GRANT}&{ASSERTION}=ab"), 401, "AADSTS50027"),
        (FORM, format!("{good}&scope=x"), 400, "'scope'"),
    ] {
        let answer = running.ask("POST", ENTRA, header, &form).await;
        answer.check(&form, status, &[words]);
    }
    let metadata = |version: &str| {
        format!("/metadata/identity/oauth2/token?api-version={version}&resource={RESOURCE}")
    };
    let platform = |version: &str| format!("/msi/token?api-version={version}&resource={RESOURCE}");
    for (path, header, status, words) in [
        (
            metadata("2018-02-01"),
            "metadata: true",
            200,
            "\"expires_in\":\"3599\"",
        ),
        (metadata("2018-02-01"), "x: y", 400, "metadata header"),
        (metadata("2019-08-01"), "metadata: true", 400, "api-version"),
        (
            platform("2019-08-01"),
            "x-identity-header: h",
            200,
            "\"expires_on\":\"",
        ),
        (platform("2019-08-01"), "x: y", 400, "X-IDENTITY-HEADER"),
        (
            platform("2018-02-01"),
            "x-identity-header: h",
            400,
            "api-version",
        ),
    ] {
        let answer = running.ask("GET", &path, header, "").await;
        answer.check(&path, status, &[words]);
    }
    let exchanges = running.own("GET", "authority", "").await;
    exchanges.check("exchanges", 200, &[r#"{"asked":16,"given":4}"#]);
    running.stop().await;
}

#[tokio::test]
async fn its_token_is_let_in_until_its_end() {
    let running = Running::start().await;
    let shorter = r#"{"lifetimeSeconds":60}"#;
    running
        .own("POST", "authority", shorter)
        .await
        .check("shorter", 204, &[]);
    let form = format!("{GRANT}&client_secret=s3cret");
    let answer = running.ask("POST", ENTRA, FORM, &form).await;
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let look = async |token: &str, status: u16| {
        let header = format!("authorization: Bearer {token}");
        running
            .ask("GET", POOLS, &header, "")
            .await
            .check(token, status, &[]);
    };
    look(token, 200).await;
    look(&format!("{token}1"), 302).await;
    running.emulator.advance(Duration::from_secs(59));
    look(token, 200).await;
    running.emulator.advance(Duration::from_secs(1));
    look(token, 302).await;
    running.stop().await;
}

#[tokio::test]
async fn its_faults_last_until_they_are_lifted() {
    let running = Running::start().await;
    let form = format!("{GRANT}&client_secret=s3cret");
    for (name, fault) in AuthorityFault::ALL {
        if fault == AuthorityFault::Hang {
            continue;
        }
        let body = format!(r#"{{"fault":"{name}"}}"#);
        running
            .own("POST", "authority", &body)
            .await
            .check(name, 204, &[]);
        for _ in 0..2 {
            let answer = running.ask("POST", ENTRA, FORM, &form).await;
            assert!(
                !answer.body.contains("access_token"),
                "{name}: {}",
                answer.body
            );
        }
    }
    running
        .own("POST", "authority", "")
        .await
        .check("lifted", 204, &[]);
    let answer = running.ask("POST", ENTRA, FORM, &form).await;
    answer.check("lifted", 200, &["access_token"]);
    let wrong = running
        .own("POST", "authority", r#"{"fault":"refused"}"#)
        .await;
    wrong.check("no fault", 400, &["there are: refuse, garbage"]);
    running
        .emulator
        .set_authority_fault(Some(AuthorityFault::Hang));
    let hanging = running.send("POST", ENTRA, FORM, &form).await;
    within_a_minute(running.stop()).await;
    drop(hanging);
}

#[tokio::test]
async fn a_queue_leads_to_its_pool() {
    let running = Running::start().await;
    let queues = "/contoso/_apis/distributedtask/queues";
    let made = running
        .own("POST", "queues/812", r#"{"pool":"linux"}"#)
        .await;
    made.check("queue", 204, &[]);
    for (path, status, words) in [
        (
            format!("{queues}/812"),
            200,
            r#""pool":{"id":27,"name":"linux""#,
        ),
        (
            format!("{queues}/813"),
            404,
            "TaskAgentQueueNotFoundException",
        ),
        (queues.to_owned(), 404, "VssResourceNotFoundException"),
    ] {
        running
            .ask("GET", &path, TOKEN, "")
            .await
            .check(&path, status, &[words]);
    }
    let wrong = running
        .own("POST", "queues/one", r#"{"pool":"linux"}"#)
        .await;
    wrong.check("queue", 400, &["no number"]);
    running.stop().await;
}
