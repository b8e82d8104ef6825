//! The program itself: where it listens, how it refuses, how it goes down.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod support;

use std::{collections::HashMap, io::Read as _, net::SocketAddr, process::Stdio, time::Duration};

use azp_scaler::grpc::proto::{
    GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
};
use support::program::{Program, command};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};

/// The exit code and what stands on standard error.
fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let output = command(arguments, environment).output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_wrong_start_is_refused_with_every_problem_and_no_secret() {
    let (code, told) = refused(&["serve", "--pol-interval=5s"], &[]);
    assert!(
        code == 64 && told.contains("--poll-interval"),
        "{code}: {told}"
    );
    let (code, told) = refused(
        &["serve", "--poll-interval=fast", "--http-listen=here"],
        &[
            ("AZP_TOKEN", "two\nlines of s3cret"),
            ("AZP_URL", "https://me:s3cret@dev.azure.com/x"),
        ],
    );
    assert_eq!(code, 78, "{told}");
    for name in ["AZP_URL", "AZP_TOKEN", "--poll-interval", "--http-listen"] {
        assert!(told.contains(name), "{name} is not in {told}");
    }
    assert!(!told.contains("s3cret"), "{told}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--grpc-listen={}", taken.local_addr().unwrap());
    let environment = [
        ("AZP_TOKEN", "x"),
        ("AZP_URL", "https://dev.azure.com/contoso"),
    ];
    let (code, told) = refused(&["serve", &listen], &environment);
    assert!(
        code == 1 && told.contains("--grpc-listen"),
        "{code}: {told}"
    );
}

async fn client(at: SocketAddr) -> ExternalScalerClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{at}")).unwrap();
    ExternalScalerClient::new(endpoint.connect().await.unwrap())
}

fn object() -> ScaledObjectRef {
    ScaledObjectRef {
        namespace: "ci".to_owned(),
        name: "linux".to_owned(),
        scaler_metadata: HashMap::from([("poolName".to_owned(), "linux".to_owned())]),
    }
}

async fn status_of(at: SocketAddr, path: &str) -> u16 {
    let mut connection = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Asks all the time until the scaler is not ready any more, as a caller does
/// whom Kubernetes sends elsewhere then; tells how many calls failed.
fn caller(grpc: SocketAddr, http: SocketAddr) -> JoinHandle<(u32, u32)> {
    tokio::spawn(async move {
        let mut client = client(grpc).await;
        let (mut answered, mut failed) = (0, 0);
        loop {
            let request = GetMetricsRequest {
                scaled_object_ref: Some(object()),
                metric_name: "m".to_owned(),
            };
            match client.get_metrics(request).await {
                Ok(_) => answered += 1,
                Err(_) => failed += 1,
            }
            if answered % 50 == 0 && status_of(http, "/readyz").await != 200 {
                return (answered, failed);
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_down_on_sigterm_without_a_failed_call() {
    let mut emulator = Program::start(&["emulator", "--listen=127.0.0.1:0", "--pool=linux"], &[]);
    let url = format!(
        "http://{}/contoso",
        emulator.address("emulator listening on http://")
    );
    let mut scaler = Program::start(
        &[
            "serve",
            "--grpc-listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0",
            "--learn=0s",
            "--drain-delay=1s",
            "--drain-deadline=20s",
            "--log=warn",
        ],
        &[("AZP_URL", &url), ("AZP_TOKEN", "x")],
    );
    let grpc = scaler.address("grpc listening on ");
    let http = scaler.address("http listening on ");
    assert_eq!(status_of(http, "/readyz").await, 200);
    let mut stream = client(grpc)
        .await
        .stream_is_active(object())
        .await
        .unwrap()
        .into_inner();
    assert!(
        !stream
            .message()
            .await
            .unwrap()
            .expect("the state at the start")
            .result
    );
    let callers: Vec<_> = (0..4).map(|_| caller(grpc, http)).collect();

    scaler.running.terminate();

    assert!(stream.message().await.expect("a clean end").is_none());
    assert_eq!(
        status_of(http, "/livez").await,
        200,
        "it goes down and is not stuck"
    );
    for caller in callers {
        let (answered, failed) = caller.await.unwrap();
        assert!(
            answered > 0 && failed == 0,
            "{answered} answered, {failed} failed"
        );
    }
    let ended = tokio::task::spawn_blocking(move || scaler.running.0.wait().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
    assert!(ended.expect("it ends").unwrap().success());
}

#[test]
fn the_help_of_each_command_teaches() {
    for (arguments, taught) in [
        (&["--help"][..], "azp-scaler demo"),
        (&["serve", "--help"], "The shortest start"),
        (&["emulator", "--help"], "/_emulator"),
        (&["demo", "--help"], "--for"),
    ] {
        let mut child = command(arguments, &[])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut told)
            .unwrap();
        assert!(
            child.wait().unwrap().success() && told.contains(taught),
            "{told}"
        );
    }
}
