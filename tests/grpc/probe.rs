//! `azp-scaler probe` in clear text: what it finds and says of a scaler, of one that
//! drains, of something else, and of nobody.

use std::process::Output;

use azp_scaler::{
    config::ProbeConfig,
    grpc::{Unwell, probe},
};
use tonic::transport::Server;

use super::*;

fn question(address: SocketAddr, within: Duration) -> ProbeConfig {
    ProbeConfig {
        address: address.to_string(),
        tls: None,
        within,
    }
}

/// The program, in a thread of its own, since it asks this process.
async fn program(arguments: &[&str]) -> Output {
    let mut command = support::program::command(&[&["probe"], arguments].concat(), &[]);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn the_program_says_what_it_found() {
    let served = serve(Ok(1)).await;
    let address = served.address.to_string();
    let well = program(&["--address", &address]).await;
    let told = String::from_utf8(well.stdout).unwrap();
    let expected = format!("{address} serves KEDA's protocol (in clear text)\n");
    assert_eq!((well.status.code(), told), (Some(0), expected));

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let nobody = program(&["--address", &address, "--within", "1s"]).await;
    let told = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(1), "{told}");
    let expected = format!("azp-scaler: {address} (in clear text): cannot connect: ");
    assert!(told.starts_with(&expected), "{told}");
    assert!(told.contains("is this its gRPC port"), "{told}");

    for (arguments, code) in [(&["--address", "here"][..], 78), (&["--where", "x"], 64)] {
        assert_eq!(program(arguments).await.status.code(), Some(code));
    }
    let help = program(&["--help"]).await;
    let help = String::from_utf8(help.stdout).unwrap();
    for part in ["--server-name", "scalerAddress", "Exit codes:"] {
        assert!(help.contains(part), "{help}");
    }
}

/// The probe may be there before the scaler is.
#[tokio::test]
async fn it_asks_again_until_the_scaler_serves() {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = first.local_addr().unwrap();
    let asking =
        tokio::spawn(async move { probe(&question(address, Duration::from_secs(60))).await });
    // Somebody takes its first call and hangs up.
    drop(first.accept().await.unwrap());
    let server = tokio::spawn(grpc::serve(
        first,
        None,
        Arc::new(Scripted::new(Ok(1))),
        Arc::new(Metrics::new()),
        Shutdown::new(),
    ));
    asking.await.unwrap().unwrap();
    server.abort();
}

#[tokio::test]
async fn a_scaler_that_drains_is_not_well() {
    let served = serve(Ok(1)).await;
    served.shutdown.begin_draining();
    while served.health(SERVICE).await == ServingStatus::Serving {
        tokio::task::yield_now().await;
    }
    let unwell = probe(&question(served.address, Duration::from_secs(1))).await;
    let unwell = unwell.unwrap_err();
    assert!(
        matches!(unwell, Unwell::NotServing("NOT_SERVING")),
        "{unwell:?}"
    );
    assert!(unwell.to_string().contains("it drains"), "{unwell}");
}

#[tokio::test]
async fn what_is_no_scaler_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It knows of health, and of no external scaler.
    let (_, health) = tonic_health::server::health_reporter();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = Server::builder().add_service(health);
    let server = tokio::spawn(server.serve_with_incoming(incoming));
    let began = Instant::now();
    let unwell = probe(&question(address, Duration::from_secs(60))).await;
    let told = unwell.unwrap_err().to_string();
    assert!(
        told.contains("something answers that is no scaler"),
        "{told}"
    );
    assert!(began.elapsed() < Duration::from_secs(30), "{told}");
    server.abort();
}

/// It takes the connection and says nothing: the time is bounded all the same.
#[tokio::test]
async fn somebody_who_never_answers_is_not_waited_for_longer() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let unwell = probe(&question(address, Duration::from_secs(1))).await;
    assert!(matches!(unwell, Err(Unwell::Late)), "{unwell:?}");
}
