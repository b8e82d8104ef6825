//! The certificates of a cluster: one authority, made for it and gone with it.
//!
//! It serves for all of the control plane and the node, which no real cluster
//! would do: here all parts run as one user on one machine, and the keys live as
//! long as the directory. KEDA's pods make their own.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Doing, Result};

/// The names under which every server of the cluster is reached.
const SERVER_NAMES: [&str; 6] = [
    "localhost",
    "127.0.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
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
    /// By which the apiserver shows itself to a kubelet, and its key.
    pub(crate) kubelet_client: (PathBuf, PathBuf),
    /// Checks the tokens of service accounts, and the key that signs them.
    pub(crate) service_account: (PathBuf, PathBuf),
}

/// The common name of the proxy client's certificate.
pub(crate) const PROXY_CLIENT: &str = "front-proxy-client";

/// Whom a certificate shows, in Kubernetes' terms: a user and a group.
#[derive(Debug, Clone, Copy)]
struct Subject<'a> {
    name: &'a str,
    group: Option<&'a str>,
}

impl Subject<'_> {
    fn of(name: &str) -> Subject<'_> {
        Subject { name, group: None }
    }
}

impl Certificates {
    /// Makes all of them in `directory`, which must exist, for servers that are
    /// reached by some addresses more than loopback.
    pub(crate) fn make(directory: &Path, addresses: &[Ipv4Addr]) -> Result<Certificates> {
        let issuer = authority(directory)?;
        let issue = |file: &str, subject: Subject<'_>, names: Vec<String>| {
            issue(directory, file, &issuer, subject, names)
        };
        let names = SERVER_NAMES.iter().map(|&name| name.to_owned());
        let names = names.chain(addresses.iter().map(Ipv4Addr::to_string));
        let server = issue("tls", Subject::of("localhost"), names.collect())?;
        let proxy_client = issue("proxy-client", Subject::of(PROXY_CLIENT), Vec::new())?;
        let kubelet_client = Subject {
            name: "kubelet-client",
            group: Some("system:masters"),
        };
        let kubelet_client = issue("kubelet-client", kubelet_client, Vec::new())?;
        let service_account = key_pair(directory, "service-account")?;
        Ok(Certificates {
            directory: directory.to_owned(),
            authority: directory.join("ca.crt"),
            server,
            proxy_client,
            kubelet_client,
            service_account,
        })
    }
}

/// Makes an authority, and writes its `ca.crt`.
fn authority(directory: &Path) -> Result<Issuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(Vec::new())?;
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "azp-cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate()?;
    write(&directory.join("ca.crt"), &params.self_signed(&key)?.pem())?;
    Ok(Issuer::new(params, key))
}

fn issue(
    directory: &Path,
    file: &str,
    issuer: &Issuer<'_, KeyPair>,
    subject: Subject<'_>,
    names: Vec<String>,
) -> Result<(PathBuf, PathBuf)> {
    let mut params = CertificateParams::new(names)?;
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, subject.name);
    if let Some(group) = subject.group {
        name.push(DnType::OrganizationName, group);
    }
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
    write(&paths.0, &params.signed_by(&key, issuer)?.pem())?;
    write(&paths.1, &key.serialize_pem())?;
    Ok(paths)
}

/// The public and the private half of a key.
fn key_pair(directory: &Path, file: &str) -> Result<(PathBuf, PathBuf)> {
    let paths = (
        directory.join(format!("{file}.pub")),
        directory.join(format!("{file}.key")),
    );
    let key = KeyPair::generate()?;
    write(&paths.0, &key.public_key_pem())?;
    write(&paths.1, &key.serialize_pem())?;
    Ok(paths)
}

fn write(path: &Path, pem: &str) -> Result<()> {
    fs::write(path, pem).doing(|| format!("writing {}", path.display()))
}
