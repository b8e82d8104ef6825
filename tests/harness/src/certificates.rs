//! The certificates of a cluster: one authority, made for it and gone with it.
//!
//! It serves for everything, which no real cluster would do: here all parts run
//! as one user on one machine, and the keys live as long as the directory.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Doing, Result};

/// The names under which every server of the cluster is reached.
const SERVER_NAMES: [&str; 4] = [
    "localhost",
    "127.0.0.1",
    "kubernetes",
    "kubernetes.default.svc",
];

/// The files of a cluster's keys and certificates.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    /// `ca.crt`, `tls.crt` and `tls.key`, as KEDA wants them in one directory.
    pub(crate) directory: PathBuf,
    /// The authority.
    pub(crate) authority: PathBuf,
    /// The certificate of every server, and its key.
    pub(crate) server: (PathBuf, PathBuf),
    /// By which the apiserver shows itself to aggregated servers, and its key.
    pub(crate) proxy_client: (PathBuf, PathBuf),
    /// Checks the tokens of service accounts, and the key that signs them.
    pub(crate) service_account: (PathBuf, PathBuf),
}

/// The common name of the proxy client's certificate.
pub(crate) const PROXY_CLIENT: &str = "front-proxy-client";

impl Certificates {
    /// Makes all of them in `directory`, which must exist.
    pub(crate) fn make(directory: &Path) -> Result<Certificates> {
        let authority = directory.join("ca.crt");
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "azp-cluster");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate()?;
        write(&authority, &params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);

        let issue = |file: &str, name: &str, names: &[&str]| -> Result<(PathBuf, PathBuf)> {
            let names = names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>();
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            // KEDA's operator and adapter show each other the same certificate.
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            let key = KeyPair::generate()?;
            let paths = (
                directory.join(format!("{file}.crt")),
                directory.join(format!("{file}.key")),
            );
            write(&paths.0, &params.signed_by(&key, &issuer)?.pem())?;
            write(&paths.1, &key.serialize_pem())?;
            Ok(paths)
        };
        let server = issue("tls", "localhost", &SERVER_NAMES)?;
        let proxy_client = issue("proxy-client", PROXY_CLIENT, &[])?;

        let service_account = (
            directory.join("service-account.pub"),
            directory.join("service-account.key"),
        );
        let key = KeyPair::generate()?;
        write(&service_account.0, &key.public_key_pem())?;
        write(&service_account.1, &key.serialize_pem())?;
        Ok(Certificates {
            directory: directory.to_owned(),
            authority,
            server,
            proxy_client,
            service_account,
        })
    }
}

fn write(path: &Path, pem: &str) -> Result<()> {
    fs::write(path, pem).doing(|| format!("writing {}", path.display()))
}
