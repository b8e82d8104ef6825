//! The calls: every method with good and bad input, every path, and what comes
//! back.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use azp_scaler::grpc::proto::{
    GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
};
use azp_scaler::ports::ReadError;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::future::join_all;
use tokio::time::{sleep, timeout};
use tonic::{Response, Status, transport::Channel};

use crate::{
    caller,
    program::{Files, Program},
    secrets::{self, Search},
    support::http::{ask, get},
};

/// Streams say nothing until there is something to say.
const SILENCE: Duration = Duration::from_millis(300);

/// Longer than anything takes.
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) struct Calls {
    keda: ExternalScalerClient<Channel>,
    http: SocketAddr,
    emulated: String,
    mirror: String,
}

impl Calls {
    pub(crate) async fn new(
        program: &Program,
        files: &Files,
        emulated: &str,
        mirror: &str,
    ) -> Self {
        let trusting = caller::trusting(&files.authority, None);
        let channel = caller::channel(program.grpc, &trusting).await.unwrap();
        Self {
            keda: ExternalScalerClient::new(channel),
            http: program.http,
            emulated: format!("http://{emulated}/contoso"),
            mirror: format!("http://{mirror}/echo"),
        }
    }

    /// One that is answered, by every method.
    pub(crate) async fn good(&mut self, search: &mut Search) {
        let url = self.emulated.clone();
        let trigger = [
            ("poolName", "linux"),
            ("organizationURL", &url),
            ("credential", "file"),
        ];
        let told = self.every_method("good", &trigger).await;
        assert!(told.contains("metric_value_float"), "{told}");
        search.add("a good call", told);
    }

    /// A pool that nobody has asked for yet, read at the emulator with every
    /// credential.
    pub(crate) async fn emulated(&self, fault: &str, search: &mut Search) {
        let url = self.emulated.as_str();
        let pool = format!("linux-{fault}");
        let named = ["file", "workload", "secret", "managed", "secret-echo"];
        let calls = named.map(|name| self.looked_up("credential", name, &pool, url));
        let own = self.looked_up("personalAccessTokenFromEnv", secrets::OWN, &pool, url);
        for told in join_all(calls.into_iter().chain([own])).await {
            search.add(format!("{fault} at the emulator"), told);
        }
    }

    /// The same where the server repeats what it is sent.
    pub(crate) async fn mirrored(&self, turn: usize, search: &mut Search) {
        let pool = format!("pool-{turn}");
        let (echo, real) = (self.mirror.as_str(), self.emulated.as_str());
        let default = echo.replace("/echo", "/env");
        let clear = "http://proxied.invalid/clear";
        let tunnel = "https://proxied.invalid/tunnel";
        let calls = [
            ("default", default.as_str()),
            ("file", echo),
            ("file", clear),
            ("file", tunnel),
            ("workload", echo),
            ("secret", echo),
            ("managed", echo),
            ("workload-echo", real),
            ("secret-echo", real),
            ("secret-proxied", real),
            ("variable-echo", real),
        ];
        let calls = calls.map(|(name, url)| self.number("credential", name, &pool, url));
        let own = self.number("personalAccessTokenFromEnv", secrets::OWN, &pool, echo);
        for told in join_all(calls.into_iter().chain([own])).await {
            search.add(format!("turn {turn} of the mirror"), told);
        }
        self.pages(search).await;
    }

    /// Triggers that are refused, with a secret where none belongs.
    pub(crate) async fn bad(&mut self, search: &mut Search) {
        let secret = secrets::MISPLACED;
        let with_token = format!("https://me:{secret}@dev.azure.com/contoso");
        let two_lines = format!("{secret}\n{secret}");
        let url = self.emulated.clone();
        for (what, trigger) in [
            ("personalAccessToken", [("personalAccessToken", secret)]),
            ("an unknown key", [("accessToken", secret)]),
            ("a misspelt key", [("personalAccesTokenFromEnv", secret)]),
            ("an address", [("organizationURL", with_token.as_str())]),
            ("two lines", [("personalAccessTokenFromEnv", &two_lines)]),
            ("nothing", [("personalAccessTokenFromEnv", "")]),
        ] {
            let pool = ("poolName", "linux");
            let both = [pool, trigger[0]];
            let told = self.every_method(what, &both).await;
            search.add(what, told);
            let all = [pool, trigger[0], ("organizationURL", &url)];
            search.add(what, self.every_method("other", &all).await);
        }
        // A namespace that may bring no token.
        let own = [
            ("poolName", "linux"),
            ("personalAccessTokenFromEnv", secret),
            ("organizationURL", &url),
        ];
        let mut object = object("stranger", &own);
        object.namespace = "elsewhere".to_owned();
        let told = self.keda.clone().is_active(object).await;
        search.add("a stranger", shown(told));
    }

    pub(crate) async fn http(&self, search: &mut Search) {
        let hook = "POST /hooks/azure-devops";
        let right = format!("X-Azp-Hook-Secret: {}", secrets::HOOK);
        let wrong = format!("X-Azp-Hook-Secret: {}x", secrets::HOOK);
        let basic = BASE64_STANDARD.encode(format!("me:{}", secrets::HOOK));
        let basic = format!("Authorization: Basic {basic}");
        let body = format!(
            r#"{{"resourceContainers":{{"a":{{"baseUrl":"{}"}}}}}}"#,
            secrets::MISPLACED
        );
        for (header, status) in [(right, 202), (wrong, 401), (basic, 202)] {
            let reply = ask(self.http, hook, &[&header], body.as_bytes()).await;
            assert_eq!(reply.status, status);
            search.add("a hook", format!("{reply:?}"));
        }
        for path in ["/livez", "/readyz", "/nothing"] {
            search.add(path, format!("{:?}", get(self.http, path).await));
        }
        self.pages(search).await;
    }

    /// Nothing was searched in vain: readings have failed in every way but those
    /// in which no server takes part.
    pub(crate) async fn every_kind_has_come(&self) {
        for kind in ReadError::KINDS {
            if matches!(kind, "credential-missing" | "queue-id") {
                continue;
            }
            let comes = async {
                // The last readings may be under way yet.
                while !self.has_come(kind).await {
                    sleep(SILENCE).await;
                }
            };
            let came = timeout(LONGEST, comes).await;
            assert!(came.is_ok(), "{kind} has not come");
        }
    }

    async fn has_come(&self, kind: &str) -> bool {
        let told = get(self.http, "/metrics").await.body;
        let outcome = format!("outcome=\"{kind}\"");
        told.lines().any(|line| {
            let is_meant = line.starts_with("azp_azure_requests_total{") && line.contains(&outcome);
            is_meant && !line.ends_with(" 0")
        })
    }

    async fn pages(&self, search: &mut Search) {
        for path in ["/metrics", "/status", "/status?unclaimed=true"] {
            let reply = get(self.http, path).await;
            assert_eq!(reply.status, 200, "{path}");
            search.add(path, format!("{}{}", reply.head, reply.body));
        }
    }

    /// The same, once the pool has been looked up: with the fault of now.
    async fn looked_up(&self, key: &str, value: &str, pool: &str, url: &str) -> String {
        let asked = async {
            loop {
                let told = self.number(key, value, pool, url).await;
                if !told.contains("has not been read yet") {
                    return told;
                }
            }
        };
        timeout(LONGEST, asked).await.expect("it is looked up")
    }

    async fn number(&self, key: &str, value: &str, pool: &str, url: &str) -> String {
        let name = format!("{pool}-{}", value.len());
        let keys = [(key, value), ("poolName", pool), ("organizationURL", url)];
        let request = GetMetricsRequest {
            scaled_object_ref: Some(object(&name, &keys)),
            metric_name: "jobs".to_owned(),
        };
        shown(self.keda.clone().get_metrics(request).await)
    }

    async fn every_method(&mut self, name: &str, keys: &[(&str, &str)]) -> String {
        let object = object(name, keys);
        let keda = &mut self.keda;
        let mut told = vec![
            shown(keda.get_metric_spec(object.clone()).await),
            shown(keda.is_active(object.clone()).await),
            shown(
                keda.get_metrics(GetMetricsRequest {
                    scaled_object_ref: Some(object.clone()),
                    metric_name: "jobs".to_owned(),
                })
                .await,
            ),
        ];
        match keda.stream_is_active(object.clone()).await {
            Ok(stream) => {
                let message = timeout(SILENCE, stream.into_inner().message_of()).await;
                told.push(format!("{message:?}"));
            }
            Err(status) => told.push(format!("{status:?} {status}")),
        }
        match keda.stream_metric_spec(object).await {
            Ok(stream) => {
                let message = timeout(SILENCE, stream.into_inner().message_of()).await;
                told.push(format!("{message:?}"));
            }
            Err(status) => told.push(format!("{status:?} {status}")),
        }
        told.join("\n")
    }
}

trait Message: Sized {
    async fn message_of(self) -> String;
}

impl<T: std::fmt::Debug> Message for tonic::Streaming<T> {
    async fn message_of(mut self) -> String {
        format!("{:?}", self.message().await)
    }
}

fn object(name: &str, keys: &[(&str, &str)]) -> ScaledObjectRef {
    let keys = keys.iter();
    let metadata: HashMap<String, String> = keys
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    ScaledObjectRef {
        name: name.to_owned(),
        namespace: "ci".to_owned(),
        scaler_metadata: metadata,
    }
}

/// All of an answer, whatever it is.
fn shown<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(status) => format!("{status:?} {status}"),
    }
}
