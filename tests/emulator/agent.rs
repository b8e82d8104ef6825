//! An agent's own routes: what its listener and its worker ask for.

use super::*;

const FORM: &str = "content-type: application/x-www-form-urlencoded";
const MODULUS: &str = "bW9kdWx1cw==";

/// An agent with its token and its session, as a listener has them.
struct Listener {
    id: u64,
    /// A header.
    token: String,
    session: String,
}

impl Running {
    async fn post(&self, path: &str, header: &str, body: &str) -> Value {
        let answer = self
            .ask("POST", &format!("{path}?api-version=7.1"), header, body)
            .await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Registers an agent as `config.sh` does, and says its number and its header.
    async fn register(&self, name: &str) -> (u64, String) {
        let body = json!({
            "name": name, "version": "4.260.0",
            "authorization": {"publicKey": {"exponent": "AQAB", "modulus": MODULUS}},
        });
        let agents = format!("{POOLS}/27/agents");
        let agent = self.post(&agents, TOKEN, &body.to_string()).await;
        let id = agent["id"].as_u64().unwrap();
        let token = self.token(&agent["authorization"]["clientId"]).await;
        (id, token)
    }

    async fn grant(&self, client: &Value, modulus: &str) -> Answer {
        let client = client.as_str().unwrap();
        let modulus = modulus.replace('=', "%3D");
        let form = format!(
            "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A\
             client-assertion-type%3Ajwt-bearer&client_assertion={client}.{modulus}"
        );
        self.ask("POST", "/contoso/_apis/oauth2/token", FORM, &form)
            .await
    }

    async fn token(&self, client: &Value) -> String {
        let answer = self.grant(client, MODULUS).await;
        answer.check("a token", 200, &["\"expires_in\":3000"]);
        let token: Value = serde_json::from_str(&answer.body).unwrap();
        format!(
            "authorization: Bearer {}",
            token["access_token"].as_str().unwrap()
        )
    }

    async fn open(&self, id: u64, token: &str) -> Answer {
        let body = json!({
            "ownerName": "pod", "agent": {"id": id, "version": "4.261.0"},
            "systemCapabilities": {"java": "17"},
        });
        let path = format!("{POOLS}/27/sessions?api-version=7.1");
        self.ask("POST", &path, token, &body.to_string()).await
    }

    async fn listen(&self, name: &str) -> Listener {
        let (id, token) = self.register(name).await;
        let session = self.open(id, &token).await;
        session.check("a session", 200, &["\"ownerName\":\"pod\""]);
        let session: Value = serde_json::from_str(&session.body).unwrap();
        let session = session["sessionId"].as_str().unwrap().to_owned();
        Listener { id, token, session }
    }

    /// The path of the messages, or of one.
    fn messages(listener: &Listener, below: &str) -> String {
        let session = &listener.session;
        format!("{POOLS}/27/messages{below}?sessionId={session}&api-version=7.1")
    }

    async fn message(&self, listener: &Listener) -> Answer {
        let path = Self::messages(listener, "");
        within_a_minute(self.ask("GET", &path, &listener.token, "")).await
    }

    async fn patch(&self, listener: &Listener, job: &Value, result: Option<&str>) -> Answer {
        let id = &job["requestId"];
        let token = job["lockToken"].as_str().unwrap();
        let body = match result {
            Some(result) => {
                json!({"requestId": id, "finishTime": "2026-06-01T09:16:00Z", "result": result})
            }
            None => json!({"requestId": id}),
        };
        let path = format!("{POOLS}/27/jobrequests/{id}?lockToken={token}&api-version=7.1");
        self.ask("PATCH", &path, &listener.token, &body.to_string())
            .await
    }

    fn state(&self, job: u64) -> azp_scaler::emulator::JobStatus {
        self.emulator.job("linux", RequestId(job)).unwrap()
    }
}

/// The body of a message, which is JSON in a text.
fn body(message: &Answer, kind: &str) -> Value {
    message.check(kind, 200, &[kind]);
    let message: Value = serde_json::from_str(&message.body).unwrap();
    serde_json::from_str(message["body"].as_str().unwrap()).unwrap()
}

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
