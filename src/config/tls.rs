//! The flags of TLS for the gRPC port.
//!
//! May import: its siblings. Invariant: a certificate and a key come together,
//! and a client CA only with them. The files themselves are read where they are
//! used, at the start and again whenever they change: these are their paths.

use std::path::PathBuf;

use super::ConfigError;

/// The flags of TLS, as text.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct TlsArgs {
    /// The certificate that KEDA is shown, and its intermediates (PEM); with it the gRPC port
    /// speaks TLS only. Read again when it changes.
    #[arg(long, env = "AZP_TLS_CERT", value_name = "PATH")]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate (PEM).
    #[arg(long, env = "AZP_TLS_KEY", value_name = "PATH")]
    tls_key: Option<PathBuf>,

    /// The authorities (PEM) of the certificates that callers must show. Unset: they show none.
    #[arg(long, env = "AZP_TLS_CLIENT_CA", value_name = "PATH")]
    tls_client_ca: Option<PathBuf>,
}

/// Where TLS for the gRPC port comes from: files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its intermediates.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities of callers' certificates; with it a caller without a
    /// certificate of theirs is refused.
    pub client_ca: Option<PathBuf>,
}

// === impl TlsArgs ===

impl TlsArgs {
    /// The files, if TLS is wanted; problems are noted.
    pub(super) fn resolve(&self, problems: &mut ConfigError) -> Option<TlsFiles> {
        match (&self.tls_cert, &self.tls_key, &self.tls_client_ca) {
            (Some(cert), Some(key), client_ca) => Some(TlsFiles {
                cert: cert.clone(),
                key: key.clone(),
                client_ca: client_ca.clone(),
            }),
            (Some(_), None, _) => {
                problems.add("--tls-key", "is not set; name the key of --tls-cert");
                None
            }
            (None, Some(_), _) => {
                problems.add(
                    "--tls-cert",
                    "is not set; name the certificate of --tls-key",
                );
                None
            }
            (None, None, Some(_)) => {
                let what = "needs TLS; set --tls-cert and --tls-key too";
                problems.add("--tls-client-ca", what);
                None
            }
            (None, None, None) => None,
        }
    }
}
