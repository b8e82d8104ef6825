//! TLS on the gRPC port, shaken by real clients over real connections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail so")]

mod authority;
mod caller;
mod change;
mod probe;
mod start;
#[path = "../support/mod.rs"]
mod support;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use azp_scaler::{
    config::TlsFiles,
    grpc::{
        self, GrpcError, Tls,
        proto::{ScaledObjectRef, external_scaler_client::ExternalScalerClient},
    },
    shutdown::Shutdown,
    telemetry::metrics::Metrics,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::{advance, pause, resume, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use authority::{Authority, Secret};
use caller::{call, channel, connect, trusting};
use support::scripted::Scripted;

/// 2021-01-01, 2100-01-01 and 2101-01-01 in seconds since 1970.
const IN_2021: i64 = 1_609_459_200;
const IN_2100: i64 = 4_102_444_800;
const IN_2101: i64 = 4_133_980_800;

/// A server that speaks TLS, and what stands behind.
struct Served {
    at: SocketAddr,
    answers: Arc<Scripted>,
    metrics: Arc<Metrics>,
    _server: AbortOnDropHandle<Result<(), GrpcError>>,
}

/// Starts one, and waits until it runs and tells that its certificate ends then.
async fn serve(files: TlsFiles, ends: i64) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answers = Arc::new(Scripted::new(Ok(1)));
    let metrics = Arc::new(Metrics::new());
    let tls = Tls::load(files).await.unwrap();
    let server = tokio::spawn(grpc::serve(
        listener,
        Some(tls),
        Arc::clone(&answers),
        Arc::clone(&metrics),
        Shutdown::new(),
    ));
    let served = Served {
        at,
        answers,
        metrics,
        _server: AbortOnDropHandle::new(server),
    };
    let ends = format!("azp_tls_certificate_expiry_timestamp_seconds {ends}");
    served.until(&ends).await;
    served
}

fn object() -> ScaledObjectRef {
    ScaledObjectRef {
        name: "java".to_owned(),
        namespace: "ci".to_owned(),
        scaler_metadata: HashMap::from([("poolName".to_owned(), "linux".to_owned())]),
    }
}

impl Served {
    fn tells(&self, line: &str) -> bool {
        let text = self.metrics.scrape().text();
        text.lines().any(|l| l == line)
    }

    /// Waits until a scrape holds this line.
    async fn until(&self, line: &str) {
        let told = async {
            while !self.tells(line) {
                yield_now().await;
            }
        };
        let told = timeout(Duration::from_secs(60), told).await;
        assert!(
            told.is_ok(),
            "no {line:?} in\n{}",
            self.metrics.scrape().text()
        );
    }

    async fn until_handshakes(&self, outcome: &str, count: u32) {
        let line = format!(r#"azp_tls_handshakes_total{{outcome="{outcome}"}} {count}"#);
        self.until(&line).await;
    }
}

/// Lets time pass in no time. Only for that does the clock stand still:
/// bytes between two sockets need a moment, and a paused clock would run ahead
/// of them.
async fn pass(time: Duration) {
    pause();
    advance(time).await;
    resume();
}

/// Lets time pass until this holds, and tells how many seconds.
async fn pass_until(mut holds: impl FnMut() -> bool) -> u32 {
    for passed in 0..1000 {
        if holds() {
            return passed;
        }
        pass(Duration::from_secs(1)).await;
        for _ in 0..50 {
            yield_now().await;
        }
    }
    panic!("it never holds");
}

#[tokio::test]
async fn everything_is_served_over_tls() {
    let authority = Authority::new("ours");
    let secret = Secret::new(&authority.server(2100), None);
    let served = serve(secret.files(false), IN_2100).await;
    let keda = trusting(&authority, None);
    let channel = channel(served.at, &keda).await.unwrap();

    let mut client = ExternalScalerClient::new(channel.clone());
    let answer = client.is_active(object()).await.unwrap();
    assert!(answer.into_inner().result);
    assert_eq!(*served.answers.encrypted.lock().unwrap(), Some(true));

    let mut health = HealthClient::new(channel.clone());
    let checked = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(checked.into_inner().status, 1);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let replies = reflection.server_reflection_info(futures::stream::iter([list]));
    let mut replies = replies.await.unwrap().into_inner();
    assert!(replies.message().await.unwrap().is_some());

    let stream = connect(served.at, &keda).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    served.until_handshakes("ok", 2).await;
}

#[tokio::test]
async fn a_caller_in_clear_text_is_refused_and_learns_nothing() {
    let authority = Authority::new("ours");
    let secret = Secret::new(&authority.server(2100), None);
    let served = serve(secret.files(false), IN_2100).await;
    let mut stream = TcpStream::connect(served.at).await.unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let mut told = Vec::new();
    // It may end by a reset, since not all was read.
    let _ = stream.read_to_end(&mut told).await;
    // An alert of TLS at most: its kind, a version, its length, two bytes.
    assert!(
        told.is_empty() || (told.len() == 7 && told[0] == 21),
        "{told:?}"
    );
    served.until_handshakes("not-tls", 1).await;

    let endpoint = Channel::from_shared(format!("http://{}", served.at)).unwrap();
    let answered = match endpoint.connect().await {
        Ok(channel) => ExternalScalerClient::new(channel)
            .is_active(object())
            .await
            .is_ok(),
        Err(_) => false,
    };
    assert!(!answered);
    assert!(served.answers.last.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_caller_who_trusts_another_authority_refuses() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let secret = Secret::new(&ours.server(2100), None);
    let served = serve(secret.files(false), IN_2100).await;
    let told = call(served.at, &trusting(&other, None)).await.unwrap_err();
    assert!(told.contains("UnknownIssuer"), "{told}");
    served.until_handshakes("refused-by-client", 1).await;
    assert_eq!(call(served.at, &trusting(&ours, None)).await, Ok(()));
}

#[tokio::test]
async fn with_a_client_ca_only_its_certificates_are_let_in() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let secret = Secret::new(&ours.server(2100), Some(&ours.pem));
    let served = serve(secret.files(true), IN_2100).await;
    let server = ours.server(2100);
    for (shows, refused) in [
        (None, 1),
        (Some(other.client()), 2),
        // The right authority, and a certificate that is no caller's.
        (Some(server), 3),
    ] {
        let answer = call(served.at, &trusting(&ours, shows.as_ref())).await;
        assert!(answer.is_err(), "case {refused}");
        served.until_handshakes("client-certificate", refused).await;
    }
    assert!(served.answers.last.lock().unwrap().is_none());
    let right = ours.client();
    let right = trusting(&ours, Some(&right));
    assert_eq!(call(served.at, &right).await, Ok(()));
}

/// More callers than may shake hands at once, none of whom does.
#[tokio::test]
async fn callers_who_never_shake_hands_hold_nobody_for_long() {
    let authority = Authority::new("ours");
    let secret = Secret::new(&authority.server(2100), None);
    let served = serve(secret.files(false), IN_2100).await;
    let keda = trusting(&authority, None);
    let silent = async |count| {
        let mut silent = Vec::new();
        for _ in 0..count {
            silent.push(TcpStream::connect(served.at).await.unwrap());
        }
        silent
    };
    let timed_out = |n| format!(r#"azp_tls_handshakes_total{{outcome="timed-out"}} {n}"#);
    let _few = silent(20).await;
    assert_eq!(call(served.at, &keda).await, Ok(()));
    assert!(served.tells(&timed_out(0)), "nobody's time had to run out");

    let _many = silent(300).await;
    let passed = pass_until(|| served.tells(&timed_out(320))).await;
    assert!(passed >= 10, "{passed} s");
    assert_eq!(call(served.at, &keda).await, Ok(()));
}

#[tokio::test]
async fn a_caller_who_shakes_hands_and_says_no_more_is_closed() {
    let authority = Authority::new("ours");
    let secret = Secret::new(&authority.server(2100), None);
    let served = serve(secret.files(false), IN_2100).await;
    let keda = trusting(&authority, None);
    let mut stream = connect(served.at, &keda).await.unwrap();
    // Not the whole of it.
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let closed = tokio::spawn(async move {
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told).await;
    });
    let passed = pass_until(|| closed.is_finished()).await;
    assert!((15..30).contains(&passed), "{passed} s");
}
