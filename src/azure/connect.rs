//! Connections: whom a server's certificate must come from, which proxy lies
//! between, how long it may take.
//!
//! May import: config. Invariants: a private authority is trusted beside the
//! system's and never in place of a check; a proxy's password is in no message;
//! no redirect is followed, since what is sent is meant for one host.

use std::{error::Error, fs::File, io::Read as _, path::Path, time::Duration};

use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy, redirect};
use secrecy::ExposeSecret as _;

use super::{ClientError, answer::shorten};
use crate::config::{ConnectionSettings, ProxyConfig};

/// How long a request may take unless the settings say otherwise.
pub(super) const USUAL_REQUEST: Duration = Duration::from_secs(30);

/// How long it may take to connect unless the settings say otherwise.
pub(super) const USUAL_CONNECT: Duration = Duration::from_secs(10);

/// Connections kept open while nobody asks, per client.
const IDLE_CONNECTIONS: usize = 2;

/// A bundle of all public authorities is a fifth of this, in bytes.
const LARGEST_CA: u64 = 1 << 20;

/// An HTTP client with these settings, to be given its headers.
pub(super) fn builder(settings: &ConnectionSettings) -> Result<ClientBuilder, ClientError> {
    super::install_crypto_provider();
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(settings.request_timeout.unwrap_or(USUAL_REQUEST))
        .connect_timeout(settings.connect_timeout.unwrap_or(USUAL_CONNECT))
        .pool_max_idle_per_host(IDLE_CONNECTIONS);
    if let Some(path) = &settings.ca {
        let certificates = authorities(path).map_err(|what| ClientError::Ca {
            path: path.display().to_string().into(),
            what: what.into(),
        })?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(config) = &settings.proxy {
        builder = builder.proxy(proxy(config)?);
    }
    Ok(builder)
}

/// The client, once it has all it needs.
pub(super) fn build(builder: ClientBuilder) -> Result<reqwest::Client, ClientError> {
    let built = builder.build();
    built.map_err(|error| ClientError::Http(causes(&error)))
}

/// The certificates in a file.
fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_CA + 1).read_to_end(&mut pem))
        .map_err(|error| format!("cannot be read ({error}); is it mounted?"))?;
    if pem.len() as u64 > LARGEST_CA {
        return Err(format!(
            "is larger than {LARGEST_CA} bytes; is it the right file?"
        ));
    }
    let certificates = Certificate::from_pem_bundle(&pem);
    let certificates = certificates
        .map_err(|_| "holds a certificate that cannot be read; export it in PEM form".to_owned())?;
    if certificates.is_empty() {
        return Err("holds no certificate; it needs -----BEGIN CERTIFICATE-----".into());
    }
    Ok(certificates)
}

fn proxy(config: &ProxyConfig) -> Result<Proxy, ClientError> {
    let proxy = Proxy::all(config.url.clone());
    let mut proxy = proxy.map_err(|error| ClientError::Proxy(causes(&error)))?;
    if let Some(login) = &config.login {
        proxy = proxy.basic_auth(&login.user, login.password.expose_secret());
    }
    Ok(proxy.no_proxy(config.except.as_deref().and_then(NoProxy::from_string)))
}

/// The two innermost reasons. The outer ones say only that a request failed.
pub(super) fn causes(error: &reqwest::Error) -> Box<str> {
    let mut reasons = Vec::new();
    let mut next: Option<&dyn Error> = error.source();
    while let Some(reason) = next {
        let text = reason.to_string();
        // Wrappers repeat what they wrap.
        if reasons
            .last()
            .is_none_or(|last: &String| !last.contains(&text))
        {
            reasons.push(text);
        }
        next = reason.source();
    }
    if reasons.is_empty() {
        return shorten(&error.to_string());
    }
    let inner = reasons.len().saturating_sub(2);
    shorten(&reasons[inner..].join(": "))
}
