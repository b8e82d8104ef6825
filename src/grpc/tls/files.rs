//! The files of TLS: read within bounds, and made into what serves.
//!
//! May import: config (where the files are), bounded. Invariant: a certificate without
//! its key, or with another's, is refused here and never serves; a message names
//! flag, file and remedy, and holds nothing of the file.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};

use super::validity;
use crate::{
    bounded::{self, FileError},
    config::TlsFiles,
};

/// Far above any chain or bundle; a file that is larger is another file.
const LARGEST: u64 = 1 << 20;

/// The one protocol of the port.
const ALPN: &[u8] = b"h2";

const CERT: &str = "--tls-cert";
const KEY: &str = "--tls-key";
const CLIENT_CA: &str = "--tls-client-ca";

/// Why the files of TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, may not be read, or is too large to be what it
    /// should be.
    #[error("{flag}: {} {cause}", .path.display())]
    File {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: FileError,
    },
    /// A file does not hold what it should, in PEM.
    #[error("{flag}: {} holds no {wanted} in PEM: {why}; is it the right file, and written to its end?", .path.display())]
    NotPem {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// Why it is not; in our words, since the library's hold lines of the
        /// file.
        why: &'static str,
    },
    /// A certificate or key that cannot serve.
    #[error("{flag}: {} cannot be used: {cause}; ask whoever issued it for another", .path.display())]
    Unusable {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
    /// The key is another certificate's.
    #[error("--tls-key: the key in {} is not that of the certificate in {} (--tls-cert); take both from the same Secret", .key.display(), .cert.display())]
    NotAPair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// What the files hold.
pub(super) struct Pem {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What serves, and until when it may.
pub(super) struct Identity {
    pub(super) config: Arc<ServerConfig>,
    /// The first end among the certificates that are shown.
    pub(super) ends: Timestamp,
}

// === impl Pem ===

impl Pem {
    /// Reads all files.
    pub(super) async fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let client_ca = match &files.client_ca {
            Some(path) => Some(content(CLIENT_CA, path).await?),
            None => None,
        };
        Ok(Self {
            cert: content(CERT, &files.cert).await?,
            key: content(KEY, &files.key).await?,
            client_ca,
        })
    }

    /// Tells a change without keeping the key around.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.cert, &self.key, &self.client_ca).hash(&mut hasher);
        hasher.finish()
    }
}

async fn content(flag: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = bounded::read_apart(path, LARGEST).await;
    read.map_err(|cause| TlsError::File {
        flag,
        path: path.to_owned(),
        cause,
    })
}

// === impl Identity ===

impl Identity {
    /// Checks what was read and makes it serve.
    pub(super) fn of(pem: &Pem, files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(CERT, &files.cert, &pem.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|cause| TlsError::NotPem {
            flag: KEY,
            path: files.key.clone(),
            wanted: "private key",
            why: why(&cause),
        })?;
        let ends = chain.iter().map(|certificate| {
            validity::not_after(certificate).ok_or_else(|| {
                let cause = rustls::CertificateError::BadEncoding.into();
                unusable(CERT, &files.cert, cause)
            })
        });
        // There is one at least: see `certificates`.
        let ends = ends.collect::<Result<Vec<_>, _>>()?.into_iter().min();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|cause| unusable(CERT, &files.cert, cause))?;
        let builder = match (&files.client_ca, &pem.client_ca) {
            (Some(path), Some(pem)) => {
                builder.with_client_cert_verifier(verifier(path, pem, provider)?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|cause| match cause {
                rustls::Error::InconsistentKeys(_) => TlsError::NotAPair {
                    cert: files.cert.clone(),
                    key: files.key.clone(),
                },
                rustls::Error::InvalidCertificate(_) => unusable(CERT, &files.cert, cause),
                cause => unusable(KEY, &files.key, cause),
            })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            config: Arc::new(config),
            ends: ends.unwrap_or(Timestamp::MAX),
        })
    }
}

/// One certificate at least.
fn certificates(
    flag: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let not_pem = |cause: pem::Error| TlsError::NotPem {
        flag,
        path: path.to_owned(),
        wanted: "certificate",
        why: why(&cause),
    };
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(not_pem)?;
    if certificates.is_empty() {
        return Err(not_pem(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

const fn why(cause: &pem::Error) -> &'static str {
    match cause {
        pem::Error::NoItemsFound => "there is none",
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins with what is no PEM",
        pem::Error::Base64Decode(_) => "a section is no base64",
        _ => "it cannot be read",
    }
}

/// Callers must show a certificate of these authorities.
fn verifier(
    path: &Path,
    pem: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CLIENT_CA, path, pem)? {
        let added = roots.add(certificate);
        added.map_err(|cause| unusable(CLIENT_CA, path, cause))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|cause| match cause {
            VerifierBuilderError::InvalidCrl(cause) => unusable(CLIENT_CA, path, cause.into()),
            cause => unusable(CLIENT_CA, path, rustls::Error::General(cause.to_string())),
        })
}

fn unusable(flag: &'static str, path: &Path, cause: rustls::Error) -> TlsError {
    TlsError::Unusable {
        flag,
        path: path.to_owned(),
        cause,
    }
}
