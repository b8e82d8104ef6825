//! Certificates for a scaler and for KEDA, of authorities that live as long as a
//! scenario.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::Failure;

/// One that issues certificates.
pub(crate) struct Authority {
    /// Its own certificate, in PEM.
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Authority, Failure> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        Ok(Authority {
            pem: params.self_signed(&key)?.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// A server's that is reached at 127.0.0.1, until the first day of a year.
    pub(crate) fn server(&self, ends: i32) -> Result<Identity, Failure> {
        self.issue(&["127.0.0.1"], ends, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's.
    pub(crate) fn client(&self) -> Result<Identity, Failure> {
        self.issue(&[], 2100, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        names: &[&str],
        ends: i32,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, Failure> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.not_after = date_time_ymd(ends, 1, 1);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        Ok(Identity {
            cert: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}
