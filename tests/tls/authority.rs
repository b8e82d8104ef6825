//! Certificates for one test, and the files that they stand in.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use azp_scaler::config::TlsFiles;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// The name by which the server is called.
pub(crate) const SERVER: &str = "azp-scaler.keda.svc";

/// One that issues certificates.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// A directory as Kubernetes mounts a Secret: `tls.crt`, `tls.key` and `ca.crt`
/// are links through `..data`, which is swapped as one.
pub(crate) struct Secret {
    directory: tempfile::TempDir,
    version: u32,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A server's certificate that ends on the first day of this year.
    pub(crate) fn server(&self, ends: i32) -> Identity {
        self.issue(&[SERVER], ends, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's.
    pub(crate) fn client(&self) -> Identity {
        self.issue(&[], 2100, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, names: &[&str], ends: i32, usage: ExtendedKeyUsagePurpose) -> Identity {
        let names = names.iter().map(|&name| name.to_owned());
        let mut params = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(ends, 1, 1);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        Identity {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Secret {
    pub(crate) fn new(identity: &Identity, client_ca: Option<&str>) -> Self {
        let mut secret = Self {
            directory: tempfile::tempdir().unwrap(),
            version: 0,
        };
        secret.swap(identity, client_ca);
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            symlink(Path::new("..data").join(name), secret.path(name)).unwrap();
        }
        secret
    }

    /// Another version, in one step.
    pub(crate) fn swap(&mut self, identity: &Identity, client_ca: Option<&str>) {
        self.version += 1;
        let version = format!("..{}", self.version);
        let directory = self.path(&version);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("tls.crt"), &identity.cert).unwrap();
        fs::write(directory.join("tls.key"), &identity.key).unwrap();
        if let Some(pem) = client_ca {
            fs::write(directory.join("ca.crt"), pem).unwrap();
        }
        symlink(&version, self.path("..new")).unwrap();
        fs::rename(self.path("..new"), self.path("..data")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn files(&self, mutual: bool) -> TlsFiles {
        TlsFiles {
            cert: self.path("tls.crt"),
            key: self.path("tls.key"),
            client_ca: mutual.then(|| self.path("ca.crt")),
        }
    }
}
