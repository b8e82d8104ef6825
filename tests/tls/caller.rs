//! Callers of the server: by TLS, and a way for tonic's client to be one.

use std::{io, net::SocketAddr, sync::Arc};

use azp_scaler::grpc::proto::external_scaler_client::ExternalScalerClient;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::Channel;

use crate::authority::{Authority, Identity, SERVER};

/// How a caller shakes hands, as KEDA does: it trusts one authority (`caCert`)
/// and perhaps shows a certificate (`tlsClientCert`, `tlsClientKey`).
pub(crate) fn trusting(authority: &Authority, shows: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shows {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let cert = CertificateDer::from_pem_slice(identity.cert.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![cert], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Shakes hands.
pub(crate) async fn connect(
    at: SocketAddr,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(at).await?;
    let name = ServerName::try_from(SERVER).unwrap();
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, stream).await
}

/// The certificate that the server shows, in DER.
pub(crate) async fn shown(at: SocketAddr, config: &Arc<ClientConfig>) -> Vec<u8> {
    let stream = connect(at, config).await.unwrap();
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    certificates[0].to_vec()
}

/// A client whose one connection goes to the server by TLS.
pub(crate) async fn channel(
    at: SocketAddr,
    config: &Arc<ClientConfig>,
) -> Result<Channel, Box<dyn std::error::Error>> {
    let mut secured = connect(at, config).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let tunnel = listener.local_addr()?;
    tokio::spawn(async move {
        let (mut clear, _) = listener.accept().await.unwrap();
        // Its end is seen by the client.
        let _ = copy_bidirectional(&mut clear, &mut secured).await;
    });
    let endpoint = Channel::from_shared(format!("http://{tunnel}"))?;
    Ok(endpoint.connect().await?)
}

/// A call goes through.
pub(crate) async fn call(at: SocketAddr, config: &Arc<ClientConfig>) -> Result<(), String> {
    let channel = channel(at, config).await.map_err(|e| e.to_string())?;
    let mut client = ExternalScalerClient::new(channel);
    let answer = client.is_active(crate::object()).await;
    answer.map(|_| ()).map_err(|e| e.to_string())
}
