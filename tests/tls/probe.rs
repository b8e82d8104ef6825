//! `azp-scaler probe` and its question, by TLS: what serves, and each way in which
//! TLS does not come about, with its remedy.

use std::process::Command;

use azp_scaler::{
    config::{ProbeConfig, ProbeTls},
    grpc::probe,
};

use super::*;
use crate::authority::SERVER;

/// A question by TLS with these files.
fn question(at: SocketAddr, folder: &Secret, client: bool) -> ProbeConfig {
    let identity = client.then(|| (folder.path("tls.crt"), folder.path("tls.key")));
    ProbeConfig {
        address: at.to_string(),
        tls: Some(ProbeTls {
            ca: folder.path("ca.crt"),
            identity,
            server_name: SERVER.to_owned(),
        }),
        within: Duration::from_secs(30),
    }
}

async fn fails(config: &ProbeConfig, parts: &[&str]) {
    let told = probe(config).await.unwrap_err().to_string();
    for part in parts {
        assert!(told.contains(part), "no {part:?} in {told:?}");
    }
}

#[tokio::test]
async fn a_scaler_that_serves_by_tls_is_well_and_everything_else_is_told() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let secret = Secret::new(&ours.server(2100), None);
    let served = serve(secret.files(false), IN_2100).await;
    let trusts = Secret::new(&ours.client(), Some(&ours.pem));
    let right = question(served.at, &trusts, false);
    probe(&right).await.unwrap();

    let strangers = Secret::new(&ours.client(), Some(&other.pem));
    let unknown = question(served.at, &strangers, false);
    fails(&unknown, &["UnknownIssuer", "--ca is not the authority"]).await;

    let mut renamed = right.clone();
    renamed.tls.as_mut().unwrap().server_name = "elsewhere".to_owned();
    fails(&renamed, &["has another name", "--server-name"]).await;

    let clear = ProbeConfig {
        tls: None,
        within: Duration::from_secs(1),
        ..right.clone()
    };
    fails(&clear, &["does the scaler speak TLS", "--ca"]).await;

    let mut gone = right.clone();
    gone.tls.as_mut().unwrap().ca = secret.path("nowhere");
    fails(&gone, &["--ca: ", "nowhere", "cannot be read"]).await;

    let mut mixed = right;
    let key = secret.path("tls.key");
    mixed.tls.as_mut().unwrap().identity = Some((trusts.path("tls.crt"), key));
    fails(&mixed, &["the certificates cannot be used", "--key"]).await;
}

#[tokio::test]
async fn a_scaler_that_wants_a_certificate_is_shown_one() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let secret = Secret::new(&ours.server(2100), Some(&ours.pem));
    let served = serve(secret.files(true), IN_2100).await;
    let right = Secret::new(&ours.client(), Some(&ours.pem));
    probe(&question(served.at, &right, true)).await.unwrap();
    let wants = ["wants a certificate", "--cert and --key"];
    fails(&question(served.at, &right, false), &wants).await;
    let wrong = Secret::new(&other.client(), Some(&ours.pem));
    fails(&question(served.at, &wrong, true), &wants).await;
}

#[tokio::test]
async fn a_renewal_that_was_forgotten_is_told() {
    let ours = Authority::new("ours");
    let secret = Secret::new(&ours.server(2021), None);
    let served = serve(secret.files(false), IN_2021).await;
    let trusts = Secret::new(&ours.client(), Some(&ours.pem));
    let question = question(served.at, &trusts, false);
    fails(&question, &["renew the scaler's certificate"]).await;
}

/// A listener that speaks clear text.
#[tokio::test]
async fn tls_to_a_port_in_clear_text_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let _server = AbortOnDropHandle::new(tokio::spawn(grpc::serve(
        listener,
        None,
        Arc::new(Scripted::new(Ok(1))),
        Arc::new(Metrics::new()),
        Shutdown::new(),
    )));
    let ours = Authority::new("ours");
    let trusts = Secret::new(&ours.client(), Some(&ours.pem));
    fails(
        &question(at, &trusts, false),
        &["clear text", "leave --ca out"],
    )
    .await;
}

#[tokio::test]
async fn the_program_asks_by_tls() {
    let ours = Authority::new("ours");
    let secret = Secret::new(&ours.server(2100), None);
    let served = serve(secret.files(false), IN_2100).await;
    let trusts = Secret::new(&ours.client(), Some(&ours.pem));
    let address = served.at.to_string();
    let ca = trusts.path("ca.crt");
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(env!("CARGO_BIN_EXE_azp-scaler"))
            .args([
                "probe",
                "--address",
                &address,
                "--server-name",
                SERVER,
                "--ca",
            ])
            .arg(ca)
            .output()
            .unwrap()
    });
    let output = asked.await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let expected = format!(
        "{} serves KEDA's protocol (by TLS, as {SERVER})\n",
        served.at
    );
    assert_eq!((output.status.code(), told), (Some(0), expected));
}
