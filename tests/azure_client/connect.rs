//! The way to an organization: a private authority, a proxy.

use std::{fs, path::Path, sync::Arc};

use azp_scaler::config::{ConnectionSettings, ProxyConfig, ProxyLogin};
use rcgen::{CertifiedIssuer, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::*;

/// A private authority in a file, and what a server needs that has a certificate
/// of its own for `localhost`.
pub fn private_authority(ca: &Path) -> TlsAcceptor {
    azp_scaler::azure::install_crypto_provider();
    let mut own = rcgen::CertificateParams::new(Vec::new()).unwrap();
    own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(own, KeyPair::generate().unwrap()).unwrap();
    fs::write(ca, issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            key.serialize_der().try_into().unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Such a server, that answers everybody with an empty queue.
async fn private_server(ca: &Path) -> u16 {
    let acceptor = private_authority(ca);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(&json(EMPTY)).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn a_private_authority_is_trusted_and_still_for_its_names_only() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let port = private_server(&ca).await;
    let jobs = async |host: &str, ca: Option<&Path>| {
        let connection = ConnectionSettings {
            ca: ca.map(Into::into),
            ..ConnectionSettings::default()
        };
        let settings = settings(&format!("https://{host}:{port}/contoso")).with(&connection);
        let client = Client::new(settings).unwrap();
        client.unfinished_jobs(PoolId(27)).await.outcome
    };
    let kind = |got: Result<_, ReadError>| got.map(|_: Vec<_>| ()).unwrap_err().kind();
    assert_eq!(jobs("localhost", Some(&ca)).await, Ok(Vec::new()));
    assert_eq!(kind(jobs("localhost", None).await), "unreachable");
    let error = jobs("127.0.0.1", Some(&ca)).await.unwrap_err().to_string();
    assert!(
        error.contains("certificate") && error.contains("not valid"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_has_become_another_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    private_server(&ca).await;
    let before = fs::read(&ca).unwrap();
    let port = private_server(&ca).await;
    let after = fs::read(&ca).unwrap();
    fs::write(&ca, before).unwrap();
    let connection = ConnectionSettings {
        ca: Some(ca.clone()),
        ..ConnectionSettings::default()
    };
    let settings = settings(&format!("https://localhost:{port}/contoso")).with(&connection);
    let client = Client::new(settings).unwrap();
    let jobs = async || client.unfinished_jobs(PoolId(27)).await.outcome;
    assert_eq!(jobs().await.unwrap_err().kind(), "unreachable");
    fs::write(&ca, after).unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(jobs().await, Ok(Vec::new()));
    // What cannot be read takes nothing away.
    fs::write(&ca, "").unwrap();
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(jobs().await, Ok(Vec::new()));
}

#[test]
fn an_authority_that_cannot_be_read_is_told_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let check = |text: Option<&str>, part: &str| {
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let connection = ConnectionSettings {
            ca: Some(path.clone()),
            ..ConnectionSettings::default()
        };
        let error = Client::new(settings("https://dev.azure.com/contoso").with(&connection));
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains(path.to_str().unwrap()) && error.contains(part),
            "{error}"
        );
    };
    check(None, "is it there");
    check(Some(""), "holds no certificate");
    check(Some("-----BEGIN CERTIFICATE-----\nAAAA"), "PEM");
}

#[tokio::test]
async fn a_proxy_is_asked_by_its_login_and_no_error_shows_it() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let connection = ConnectionSettings {
        proxy: Some(ProxyConfig {
            url: url.parse().unwrap(),
            login: Some(ProxyLogin {
                user: "me".into(),
                password: "pr0xyXsecret".into(),
            }),
            except: None,
        }),
        ..ConnectionSettings::default()
    };
    let settings = settings("http://azure.invalid/contoso").with(&connection);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("pr0xy"), "{shown}");
    let client = Client::new(settings).unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(&json(EMPTY)).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let got = client.unfinished_jobs(PoolId(27)).await.outcome;
    let head = asked.await.unwrap();
    assert!(
        head.starts_with("GET http://azure.invalid/contoso/_apis/"),
        "{head}"
    );
    let login = format!("Basic {}", STANDARD.encode("me:pr0xyXsecret"));
    assert!(head.contains(&login), "{head}");
    assert_eq!(got, Ok(Vec::new()));
    // Nobody listens any more.
    let error = client
        .unfinished_jobs(PoolId(27))
        .await
        .outcome
        .unwrap_err();
    assert!(!error.to_string().contains("pr0xy"), "{error}");
}
