//! An agent's own token: who gets one, and what it is good for.

use super::{
    listener::{Listener, MODULUS, body},
    *,
};

#[tokio::test]
async fn only_who_was_registered_gets_a_token() {
    let running = Running::start().await;
    let agents = format!("{POOLS}/27/agents");
    let body = |name: &str| {
        let key = json!({"exponent": "AQAB", "modulus": MODULUS});
        json!({"name": name, "authorization": {"publicKey": key}}).to_string()
    };
    let agent = running.post(&agents, TOKEN, &body("pod")).await;
    let by_rest = running.post(&agents, TOKEN, r#"{"name":"by REST"}"#).await;
    let registered = &agent["authorization"];
    assert_eq!(
        registered["authorizationUrl"],
        "http://azure.test/contoso/_apis/oauth2/token"
    );
    assert_eq!(
        registered["publicKey"],
        json!({"exponent": "AQAB", "modulus": MODULUS})
    );
    let client = &registered["clientId"];
    running.token(client).await;
    for (client, modulus) in [
        (client, "other"),
        (client, ""),
        (&json!("x"), MODULUS),
        (&by_rest["authorization"]["clientId"], "AA=="),
    ] {
        let answer = running.grant(client, modulus).await;
        answer.check(
            modulus,
            400,
            &["invalid_client", "register the agent again"],
        );
    }
    let assertion = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for (method, form, status, word) in [
        ("GET", String::new(), 405, "typeKey"),
        ("POST", String::new(), 400, "unsupported_grant_type"),
        (
            "POST",
            "grant_type=client_credentials".into(),
            400,
            "client_assertion_type",
        ),
        (
            "POST",
            format!("grant_type=client_credentials&{assertion}"),
            400,
            "invalid_client",
        ),
        ("POST", "x".repeat(100_000), 400, "64 KB"),
    ] {
        let answer = running
            .ask(method, "/_apis/oauth2/token", "x: y", &form)
            .await;
        answer.check(&format!("{method} {form}"), status, &[word]);
    }
    // Registered anew, it is another client.
    let listener = running.listen("other").await;
    let path = format!("{agents}/{}?api-version=7.1", listener.id);
    let old = running.get(&format!("/27/agents/{}", listener.id)).await;
    let key = json!({"exponent": "AQAB", "modulus": MODULUS});
    let again = json!({"id": listener.id, "authorization": {"publicKey": key}}).to_string();
    let answer = running.ask("PUT", &path, TOKEN, &again).await;
    answer.check("replace", 200, &["authorizationUrl"]);
    let new: Value = serde_json::from_str(&answer.body).unwrap();
    let refused = running
        .grant(&old["authorization"]["clientId"], MODULUS)
        .await;
    refused.check("the old client", 400, &["invalid_client"]);
    let token = running.token(&new["authorization"]["clientId"]).await;
    running
        .open(listener.id, &listener.token)
        .await
        .check("old token", 302, &[]);
    running
        .open(listener.id, &token)
        .await
        .check("new token", 200, &[]);
    running.stop().await;
}

#[tokio::test]
async fn an_agents_token_is_good_for_its_own_affairs_alone() {
    let running = Running::start().await;
    let one = running.listen("one").await;
    let other = running.listen("other").await;
    running.queue(2);
    let own = body(&running.message(&one).await, "PipelineAgentJobRequest");
    let others = body(&running.message(&other).await, "PipelineAgentJobRequest");
    let v = "api-version=7.1";
    let id = one.id;
    let jobs = |job: &Value| {
        let lock = job["lockToken"].as_str().unwrap();
        format!(
            "{POOLS}/27/jobrequests/{}?lockToken={lock}&{v}",
            job["requestId"]
        )
    };
    let feed = |job: &Value| {
        let job = job["jobId"].as_str().unwrap();
        format!("/_apis/distributedtask/hubs/build/plans/x/timelines/x/records/{job}/feed?{v}")
    };
    let event = |job: &Value| {
        json!({"name": "JobCompleted", "jobId": job["jobId"], "result": "succeeded"}).to_string()
    };
    let events = format!("/_apis/distributedtask/hubs/build/plans/x/events?{v}");
    let session = |listener: &Listener| json!({"agent": {"id": listener.id}}).to_string();
    let messages = |listener: &Listener, below: &str| Running::messages(listener, below);
    let end = |listener: &Listener| format!("{POOLS}/27/sessions/{}?{v}", listener.session);
    let lines = r#"{"value":["line"]}"#.to_owned();
    let packages = "/_apis/distributedtask/packages/agent";
    let none = String::new;
    for (method, path, body, status) in [
        ("GET", "/contoso/_apis/connectionData".into(), none(), 200),
        ("GET", packages.into(), none(), 200),
        ("GET", format!("{packages}/linux-x64/4.260.0"), none(), 404),
        (
            "POST",
            format!("{POOLS}/27/sessions?{v}"),
            session(&one),
            409,
        ),
        ("GET", messages(&one, ""), none(), 200),
        ("DELETE", messages(&one, "/9"), none(), 204),
        ("PATCH", jobs(&own), "{}".into(), 200),
        ("POST", feed(&own), lines.clone(), 204),
        ("POST", events.clone(), event(&own), 204),
        // What is another agent's.
        (
            "POST",
            format!("{POOLS}/27/sessions?{v}"),
            session(&other),
            403,
        ),
        ("GET", messages(&other, ""), none(), 403),
        ("DELETE", messages(&other, "/1"), none(), 403),
        ("DELETE", end(&other), none(), 403),
        ("PATCH", jobs(&others), "{}".into(), 403),
        ("POST", feed(&others), lines, 403),
        ("POST", events, event(&others), 403),
        // What is a person's.
        ("GET", POOLS.into(), none(), 403),
        ("GET", format!("{POOLS}/27"), none(), 403),
        ("GET", format!("{POOLS}/27/agents"), none(), 403),
        (
            "POST",
            format!("{POOLS}/27/agents?{v}"),
            r#"{"name":"a"}"#.into(),
            403,
        ),
        ("GET", format!("{POOLS}/27/agents/{id}"), none(), 403),
        (
            "PATCH",
            format!("{POOLS}/27/agents/{id}?{v}"),
            format!(r#"{{"id":{id}}}"#),
            403,
        ),
        (
            "PUT",
            format!("{POOLS}/27/agents/{id}?{v}"),
            format!(r#"{{"id":{id}}}"#),
            403,
        ),
        ("DELETE", format!("{POOLS}/27/agents/{id}?{v}"), none(), 403),
        (
            "PUT",
            format!("{POOLS}/27/agents/{id}/usercapabilities?{v}"),
            "{}".into(),
            403,
        ),
        ("GET", format!("{POOLS}/27/jobrequests"), none(), 403),
        ("GET", format!("{POOLS}/27/jobrequests/90401"), none(), 403),
        ("GET", "/_apis/distributedtask/queues/1".into(), none(), 403),
        ("DELETE", end(&one), none(), 204),
    ] {
        let answer = running.ask(method, &path, &one.token, &body).await;
        let words = if status == 403 {
            "AccessDeniedException"
        } else {
            ""
        };
        answer.check(&format!("{method} {path} {body}"), status, &[words]);
    }
    running.emulator.advance(Duration::from_secs(3000));
    let ended = running
        .ask("GET", "/_apis/connectionData", &one.token, "")
        .await;
    ended.check("an hour later", 302, &["_signin"]);
    let person = running.ask("GET", "/_apis/connectionData", TOKEN, "").await;
    person.check("a person", 200, &["instanceId", "authenticatedUser"]);
    running.stop().await;
}
