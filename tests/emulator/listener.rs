//! A listener as the tests play it: registered, with its token and its session.

use super::*;

const FORM: &str = "content-type: application/x-www-form-urlencoded";
pub(super) const MODULUS: &str = "bW9kdWx1cw==";

/// An agent with its token and its session, as a listener has them.
pub(super) struct Listener {
    pub(super) id: u64,
    /// A header.
    pub(super) token: String,
    pub(super) session: String,
}

impl Running {
    pub(super) async fn post(&self, path: &str, header: &str, body: &str) -> Value {
        let answer = self
            .ask("POST", &format!("{path}?api-version=7.1"), header, body)
            .await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Registers an agent as `config.sh` does, and says its number and its header.
    pub(super) async fn register(&self, name: &str) -> (u64, String) {
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

    pub(super) async fn grant(&self, client: &Value, modulus: &str) -> Answer {
        let client = client.as_str().unwrap();
        let modulus = modulus.replace('=', "%3D");
        let form = format!(
            "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A\
             client-assertion-type%3Ajwt-bearer&client_assertion={client}.{modulus}"
        );
        self.ask("POST", "/contoso/_apis/oauth2/token", FORM, &form)
            .await
    }

    pub(super) async fn token(&self, client: &Value) -> String {
        let answer = self.grant(client, MODULUS).await;
        answer.check("a token", 200, &["\"expires_in\":3000"]);
        let token: Value = serde_json::from_str(&answer.body).unwrap();
        format!(
            "authorization: Bearer {}",
            token["access_token"].as_str().unwrap()
        )
    }

    pub(super) async fn open(&self, id: u64, token: &str) -> Answer {
        let body = json!({
            "ownerName": "pod", "agent": {"id": id, "version": "4.261.0"},
            "systemCapabilities": {"java": "17"},
        });
        let path = format!("{POOLS}/27/sessions?api-version=7.1");
        self.ask("POST", &path, token, &body.to_string()).await
    }

    pub(super) async fn listen(&self, name: &str) -> Listener {
        let (id, token) = self.register(name).await;
        let session = self.open(id, &token).await;
        session.check("a session", 200, &["\"ownerName\":\"pod\""]);
        let session: Value = serde_json::from_str(&session.body).unwrap();
        let session = session["sessionId"].as_str().unwrap().to_owned();
        Listener { id, token, session }
    }

    /// The path of the messages, or of one.
    pub(super) fn messages(listener: &Listener, below: &str) -> String {
        let session = &listener.session;
        format!("{POOLS}/27/messages{below}?sessionId={session}&api-version=7.1")
    }

    pub(super) async fn message(&self, listener: &Listener) -> Answer {
        let path = Self::messages(listener, "");
        within_a_minute(self.ask("GET", &path, &listener.token, "")).await
    }

    pub(super) async fn patch(
        &self,
        listener: &Listener,
        job: &Value,
        result: Option<&str>,
    ) -> Answer {
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

    pub(super) fn state(&self, job: u64) -> azp_scaler::emulator::JobStatus {
        self.emulator.job("linux", RequestId(job)).unwrap()
    }
}

/// The body of a message, which is JSON in a text.
pub(super) fn body(message: &Answer, kind: &str) -> Value {
    message.check(kind, 200, &[kind]);
    let message: Value = serde_json::from_str(&message.body).unwrap();
    serde_json::from_str(message["body"].as_str().unwrap()).unwrap()
}
