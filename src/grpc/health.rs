//! The health of a scaler, asked from outside as KEDA would reach it.
//!
//! May import: tonic's client, config (where the files are), bounded. Invariant:
//! only «serving» by the name of KEDA's protocol is well; every other outcome says
//! what was found and what to do about it, and nothing of a key.

use std::{error::Error, io, path::Path, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};
use tonic::{
    Code, Status,
    transport::{self, Certificate, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::proto::external_scaler_server::SERVICE_NAME;
use crate::{
    bounded::{self, FileError},
    config::{ProbeConfig, ProbeTls},
};

/// Far above any chain or bundle; a file that is larger is another file.
const LARGEST: u64 = 1 << 20;

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(500);

const CERTIFICATE_WANTED: &str =
    "the scaler wants a certificate of an authority that it trusts: --cert and --key";

/// Why it is not well.
#[derive(Debug, thiserror::Error)]
pub enum Unwell {
    /// A file of TLS cannot be read.
    #[error("{flag}: {path} {cause}")]
    File {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: Box<str>,
        /// Why.
        cause: FileError,
    },
    /// The files or the name of TLS cannot be used.
    #[error(
        "the certificates cannot be used: {0}; --ca, --cert and --key name files in PEM, and --key \
         holds the key of --cert"
    )]
    Files(Box<str>),
    /// Nobody answers.
    #[error(
        "cannot connect: {0}; is the scaler ready, is this its gRPC port, and does a NetworkPolicy \
         let this caller through?"
    )]
    Unreachable(Box<str>),
    /// TLS does not come about.
    #[error("TLS does not come about: {cause}; {remedy}")]
    Tls {
        /// Why.
        cause: Box<str>,
        /// What to do.
        remedy: &'static str,
    },
    /// The connection ends before there is an answer.
    #[error(
        "the connection ends without an answer: {0}; does the scaler speak TLS (then name its \
         authority by --ca), or want a certificate (--cert, --key)?"
    )]
    Broken(Box<str>),
    /// It does not know of health, or of KEDA's protocol.
    #[error("something answers that is no scaler: {0}; is this the scaler's gRPC port?")]
    NoScaler(Box<str>),
    /// It says so itself.
    #[error("the scaler answers {0}; it drains, or has not begun yet: see its log and /readyz")]
    NotServing(&'static str),
    /// It answers otherwise than it should.
    #[error("the scaler answers {0}; see its log")]
    Refused(Box<str>),
    /// No answer in time.
    #[error(
        "no answer in time; is this the scaler's gRPC port, and does a NetworkPolicy let this \
         caller through?"
    )]
    Late,
}

/// Asks until it serves, or the time is over. What waiting does not mend is told at
/// once.
///
/// # Errors
/// How it was found last.
pub async fn probe(config: &ProbeConfig) -> Result<(), Unwell> {
    let endpoint = endpoint(config).await?;
    let deadline = Instant::now() + config.within;
    let mut last = Unwell::Late;
    loop {
        match timeout_at(deadline, ask(&endpoint)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(unwell @ (Unwell::Tls { .. } | Unwell::NoScaler(_)))) => return Err(unwell),
            Ok(Err(unwell)) => last = unwell,
            Err(_) => return Err(last),
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(last);
        }
        sleep(PAUSE).await;
    }
}

async fn endpoint(config: &ProbeConfig) -> Result<Endpoint, Unwell> {
    let unusable = |error: transport::Error| Unwell::Files(causes(&error).into());
    let Some(tls) = &config.tls else {
        let url = format!("http://{}", config.address);
        return Endpoint::from_shared(url).map_err(unusable);
    };
    let url = format!("https://{}", config.address);
    let endpoint = Endpoint::from_shared(url).map_err(unusable)?;
    endpoint.tls_config(trust(tls).await?).map_err(unusable)
}

async fn trust(tls: &ProbeTls) -> Result<ClientTlsConfig, Unwell> {
    let ca = Certificate::from_pem(content("--ca", &tls.ca).await?);
    let trust = ClientTlsConfig::new()
        .ca_certificate(ca)
        .domain_name(tls.server_name.clone());
    let Some((cert, key)) = &tls.identity else {
        return Ok(trust);
    };
    let cert = content("--cert", cert).await?;
    let key = content("--key", key).await?;
    Ok(trust.identity(Identity::from_pem(cert, key)))
}

async fn content(flag: &'static str, path: &Path) -> Result<Vec<u8>, Unwell> {
    let read = bounded::read_apart(path, LARGEST).await;
    read.map_err(|cause| Unwell::File {
        flag,
        path: path.display().to_string().into(),
        cause,
    })
}

/// Asks once, by a connection of its own.
async fn ask(endpoint: &Endpoint) -> Result<(), Unwell> {
    let channel = endpoint.connect().await.map_err(|error| connect(&error))?;
    let request = HealthCheckRequest {
        service: SERVICE_NAME.to_owned(),
    };
    let answer = HealthClient::new(channel).check(request).await;
    let answer = answer.map_err(|status| refused(&status))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(Unwell::NotServing(other.as_str_name())),
    }
}

fn connect(error: &transport::Error) -> Unwell {
    let Some(tls) = source::<rustls::Error>(error) else {
        return Unwell::Unreachable(causes(error).into());
    };
    let remedy = match tls {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "--ca is not the authority of the scaler's certificate"
        }
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName
            | rustls::CertificateError::NotValidForNameContext { .. },
        ) => {
            "the scaler's certificate has another name: ask by one that it has, or name it by \
             --server-name"
        }
        rustls::Error::InvalidCertificate(_) => "renew the scaler's certificate",
        rustls::Error::InvalidMessage(_) => "does the scaler speak clear text? Then leave --ca out",
        rustls::Error::AlertReceived(_) => CERTIFICATE_WANTED,
        _ => "see the scaler's log",
    };
    let cause = tls.to_string().into();
    Unwell::Tls { cause, remedy }
}

fn refused(status: &Status) -> Unwell {
    let told = || format!("{:?}: {}", status.code(), status.message()).into();
    match (status.code(), status.source()) {
        // What went wrong below the protocol has a cause of ours. An alert of TLS that
        // comes after the handshake arrives here, as text: TLS 1.3 refuses a caller's
        // certificate so.
        (_, Some(cause)) => {
            let cause = causes(cause).into_boxed_str();
            if cause.contains("received fatal alert") {
                let remedy = CERTIFICATE_WANTED;
                return Unwell::Tls { cause, remedy };
            }
            Unwell::Broken(cause)
        }
        (Code::NotFound | Code::Unimplemented, None) => Unwell::NoScaler(told()),
        _ => Unwell::Refused(told()),
    }
}

/// The first error of this kind among the causes, and within errors of the system.
fn source<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>();
        let inner = inner.and_then(|error| error.get_ref());
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(found);
        }
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error and its causes, without those that only repeat.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        next = error.source();
    }
    text
}
