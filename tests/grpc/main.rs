//! The gRPC server, asked by a real client over a real connection.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail so")]

mod down;
mod probe;
#[path = "../support/mod.rs"]
mod support;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use azp_scaler::{
    domain::{organization::OrganizationUrl, tenancy::Denied, trigger::Trigger},
    grpc::{
        self, GrpcError,
        proto::{GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient},
    },
    ports::ReadError,
    scaler::answer::Unanswered,
    shutdown::Shutdown,
    telemetry::metrics::Metrics,
};
use futures::StreamExt as _;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use support::scripted::Scripted;

const SERVICE: &str = "externalscaler.ExternalScaler";

/// A server, a client, and what stands behind.
struct Served {
    answers: Arc<Scripted>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    address: SocketAddr,
    server: JoinHandle<Result<(), GrpcError>>,
    channel: Channel,
    client: ExternalScalerClient<Channel>,
}

async fn serve(script: Result<u32, Unanswered>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new(Scripted::new(script));
    let metrics = Arc::new(Metrics::new());
    let shutdown = Shutdown::new();
    let server = tokio::spawn(grpc::serve(
        listener,
        None,
        Arc::clone(&answers),
        Arc::clone(&metrics),
        shutdown.clone(),
    ));
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    Served {
        answers,
        metrics,
        shutdown,
        address,
        server,
        client: ExternalScalerClient::new(channel.clone()),
        channel,
    }
}

fn object() -> ScaledObjectRef {
    ScaledObjectRef {
        name: "java".to_owned(),
        namespace: "ci".to_owned(),
        scaler_metadata: HashMap::from([("poolName".to_owned(), "linux".to_owned())]),
    }
}

fn question() -> GetMetricsRequest {
    GetMetricsRequest {
        scaled_object_ref: Some(object()),
        metric_name: "azure-pipelines-linux".to_owned(),
    }
}

impl Served {
    fn check_metric(&self, line: &str) {
        let text = self.metrics.scrape().text();
        assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
    }

    /// All five calls, each with its name and how it failed.
    async fn failures(&mut self, object: &ScaledObjectRef) -> [(&'static str, Option<Status>); 5] {
        let mut question = question();
        question.scaled_object_ref = Some(object.clone());
        let client = &mut self.client;
        [
            ("IsActive", client.is_active(object.clone()).await.err()),
            (
                "StreamIsActive",
                client.stream_is_active(object.clone()).await.err(),
            ),
            (
                "GetMetricSpec",
                client.get_metric_spec(object.clone()).await.err(),
            ),
            ("GetMetrics", client.get_metrics(question).await.err()),
            (
                "StreamMetricSpec",
                client.stream_metric_spec(object.clone()).await.err(),
            ),
        ]
    }

    async fn health(&self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let mut client = HealthClient::new(self.channel.clone());
        client.check(request).await.unwrap().into_inner().status()
    }
}

async fn next<T>(stream: &mut Streaming<T>) -> Option<T> {
    stream.next().await.transpose().expect("a clean stream")
}

#[tokio::test]
async fn an_answer_is_told_as_keda_reads_it() {
    let mut served = serve(Ok(22)).await;
    let active = served.client.is_active(object()).await.unwrap();
    assert!(active.into_inner().result);
    let last = served.answers.last.lock().unwrap().take();
    let (ci, java, linux) = ("ci".to_owned(), "java".to_owned(), Some("linux".to_owned()));
    let asked = (ci.clone(), java.clone(), linux.clone());
    assert_eq!(last, Some(asked));
    assert_eq!(*served.answers.encrypted.lock().unwrap(), Some(false));

    let metrics = served.client.get_metrics(question()).await.unwrap();
    let [value] = &metrics.get_ref().metric_values[..] else {
        panic!("{metrics:?}");
    };
    assert_eq!(value.metric_name, "azure-pipelines-linux");
    assert_eq!((value.metric_value, value.metric_value_float), (22, 22.0));
    let last = served.answers.last.lock().unwrap().take();
    assert_eq!(last, Some((ci, java, linux)));

    let specs = served.client.get_metric_spec(object()).await.unwrap();
    let [spec] = &specs.get_ref().metric_specs[..] else {
        panic!("{specs:?}");
    };
    assert_eq!(spec.metric_name, "azure-pipelines-linux");
    assert_eq!((spec.target_size, spec.target_size_float), (22, 22.0));
    served.check_metric(r#"azp_grpc_requests_total{code="OK",rpc="GetMetrics"} 1"#);
}

#[tokio::test]
async fn an_empty_queue_is_zero_in_both_fields() {
    let mut served = serve(Ok(0)).await;
    assert!(
        !served
            .client
            .is_active(object())
            .await
            .unwrap()
            .get_ref()
            .result
    );
    let metrics = served.client.get_metrics(question()).await.unwrap();
    let value = &metrics.get_ref().metric_values[0];
    assert_eq!((value.metric_value, value.metric_value_float), (0, 0.0));
}

#[tokio::test]
async fn what_is_unanswered_has_its_code_and_its_own_words() {
    let url = |text| OrganizationUrl::parse(text).unwrap();
    let pool = || "linux".to_owned();
    let trigger = Trigger::parse([("poolNmae", "linux")]).unwrap_err();
    let cause = ReadError::CredentialExpired;
    let table = [
        (Unanswered::Trigger(trigger), Code::InvalidArgument),
        (Unanswered::ScalingObject("name"), Code::InvalidArgument),
        (
            Unanswered::Denied(Denied::Organization {
                asked: url("https://dev.azure.com/fabrikam"),
            }),
            Code::PermissionDenied,
        ),
        (Unanswered::NoCluster, Code::PermissionDenied),
        (Unanswered::Credential(cause.clone()), Code::Unavailable),
        (
            Unanswered::TooMany {
                what: "pools",
                limit: 2000,
                flag: "--max-pools",
            },
            Code::ResourceExhausted,
        ),
        (
            Unanswered::Learning {
                pool: pool(),
                left: Duration::from_secs(9),
            },
            Code::Unavailable,
        ),
        (Unanswered::NotReadYet { pool: pool() }, Code::Unavailable),
        (
            Unanswered::Unreadable {
                pool: pool(),
                last_read: None,
                cause,
            },
            Code::Unavailable,
        ),
        (
            Unanswered::Unreadable {
                pool: pool(),
                last_read: None,
                cause: ReadError::Redirected {
                    host: "evil.example".into(),
                },
            },
            Code::PermissionDenied,
        ),
        (
            Unanswered::Late {
                pool: pool(),
                age: Duration::from_secs(301),
                pause: None,
            },
            Code::Unavailable,
        ),
    ];
    let mut served = serve(Ok(0)).await;
    for (unanswered, code) in table {
        *served.answers.script.lock().unwrap() = Err(unanswered.clone());
        for (rpc, status) in served.failures(&object()).await {
            let status = status.unwrap_or_else(|| panic!("{rpc} answers {unanswered:?}"));
            assert_eq!((rpc, status.code()), (rpc, code), "{unanswered:?}");
            assert_eq!(status.message(), unanswered.to_string());
        }
    }
    for rpc in ["IsActive", "GetMetricSpec", "StreamMetricSpec"] {
        let count =
            |code, n| format!(r#"azp_grpc_requests_total{{code="{code}",rpc="{rpc}"}} {n}"#);
        served.check_metric(&count("INVALID_ARGUMENT", 2));
        served.check_metric(&count("PERMISSION_DENIED", 3));
        served.check_metric(&count("RESOURCE_EXHAUSTED", 1));
        served.check_metric(&count("UNAVAILABLE", 5));
        served.check_metric(&count("OK", 0));
    }
}

#[tokio::test]
async fn a_request_without_a_scaling_object_or_too_large_is_refused() {
    let mut served = serve(Ok(1)).await;
    let mut empty = question();
    empty.scaled_object_ref = None;
    let status = served.client.get_metrics(empty).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().contains("scaledObjectRef is missing"),
        "{status}"
    );
    let mut many = object();
    many.scaler_metadata
        .extend((0..128).map(|n| (format!("key{n}"), String::new())));
    for (rpc, status) in served.failures(&many).await {
        let status = status.unwrap_or_else(|| panic!("{rpc} answers"));
        assert_eq!((rpc, status.code()), (rpc, Code::InvalidArgument));
        let limit = "129 keys; at most 128 are read";
        assert!(status.message().contains(limit), "{rpc}: {status}");
    }
    let mut named = question();
    named.metric_name = "x".repeat(1025);
    let status = served.client.get_metrics(named).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("metricName"), "{status}");
    assert!(served.answers.last.lock().unwrap().is_none());
    served.check_metric(r#"azp_grpc_requests_total{code="INVALID_ARGUMENT",rpc="GetMetrics"} 3"#);
    let mut large = object();
    let padding = "x".repeat(300 * 1024);
    large.scaler_metadata.insert("padding".to_owned(), padding);
    let status = served.client.is_active(large).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert!(served.client.is_active(object()).await.is_ok());
}

#[tokio::test]
async fn a_caller_who_goes_away_is_counted() {
    let mut served = serve(Ok(1)).await;
    served.answers.close_gate();
    let mut client = served.client.clone();
    let call = tokio::spawn(async move { client.get_metrics(question()).await });
    let mut asked = served.answers.asked.subscribe();
    asked.wait_for(|asked| *asked == 1).await.unwrap();
    call.abort();
    let mut over = served.answers.over.subscribe();
    over.wait_for(|over| *over == 1).await.unwrap();
    served.check_metric(r#"azp_grpc_requests_total{code="CANCELLED",rpc="GetMetrics"} 1"#);
    assert!(served.client.get_metric_spec(object()).await.is_ok());
}

#[tokio::test]
async fn a_stream_tells_the_state_and_then_its_edges() {
    let mut served = serve(Ok(1)).await;
    let stream = served.client.stream_is_active(object()).await.unwrap();
    let mut stream = stream.into_inner();
    assert!(!next(&mut stream).await.unwrap().result);
    for active in [true, false, true] {
        served.answers.active.send_replace(active);
        assert_eq!(next(&mut stream).await.unwrap().result, active);
    }
    let specs = served.client.stream_metric_spec(object()).await.unwrap();
    let spec = next(&mut specs.into_inner()).await.unwrap();
    assert_eq!(spec.metric_specs[0].target_size, 1);
    served.check_metric(r#"azp_grpc_streams{rpc="StreamIsActive"} 1"#);
}

#[tokio::test]
async fn health_and_reflection_name_the_service() {
    let served = serve(Ok(0)).await;
    assert_eq!(served.health("").await, ServingStatus::Serving);
    assert_eq!(served.health(SERVICE).await, ServingStatus::Serving);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(served.channel.clone());
    let replies = client.server_reflection_info(futures::stream::iter([list]));
    let reply = next(&mut replies.await.unwrap().into_inner())
        .await
        .unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else {
        panic!("{reply:?}");
    };
    let mut names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    names.sort();
    let reflection = "grpc.reflection.v1.ServerReflection";
    assert_eq!(names, [SERVICE, "grpc.health.v1.Health", reflection]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_speaks_is_closed() {
    let served = serve(Ok(0)).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let began = Instant::now();
    let mut first = [0; 1024];
    // The server's settings, perhaps, and then the end.
    while let Ok(1..) = stream.read(&mut first).await {}
    assert_eq!(began.elapsed().as_secs(), 15);
}
