//! Connections: whom a server's certificate must come from, which proxy lies
//! between, how long it may take.
//!
//! May import: config, bounded. Invariants: a private authority is trusted beside the
//! system's and never in place of a check; a proxy's password is in no message;
//! no redirect is followed, since what is sent is meant for one host.

use std::{
    error::Error,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy, redirect};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;

use super::{ClientError, answer::shorten, credential::Hidden};
use crate::{
    bounded,
    config::{ConnectionSettings, ProxyConfig},
};

/// How long a request may take unless the settings say otherwise.
pub(super) const USUAL_REQUEST: Duration = Duration::from_secs(30);

/// How long it may take to connect unless the settings say otherwise.
pub(super) const USUAL_CONNECT: Duration = Duration::from_secs(10);

/// Connections kept open while nobody asks, per client.
const IDLE_CONNECTIONS: usize = 2;

/// A bundle of all public authorities is a fifth of this, in bytes.
const LARGEST_CA: u64 = 1 << 20;

/// How often private authorities are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What is added to every client of a way: its headers, for one.
pub(super) type Dress = Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// A way to a server. Its client is made anew when the private authorities have
/// become others; until they can be read again, the last good ones count.
pub(super) struct Way {
    settings: ConnectionSettings,
    dress: Dress,
    made: Mutex<Made>,
}

struct Made {
    client: reqwest::Client,
    authorities: Vec<u8>,
    looked: Instant,
}

// === impl Way ===

impl Way {
    pub(super) fn new(settings: ConnectionSettings, dress: Dress) -> Result<Self, ClientError> {
        super::install_crypto_provider();
        let authorities = authorities(&settings)?;
        let made = Made {
            client: client(&settings, &dress, &authorities)?,
            authorities,
            looked: Instant::now(),
        };
        Ok(Self {
            settings,
            dress,
            made: Mutex::new(made),
        })
    }

    /// The same way for another dress.
    pub(super) fn beside(&self, dress: Dress) -> Result<Self, ClientError> {
        Self::new(self.settings.clone(), dress)
    }

    /// The client for the next request.
    pub(super) fn client(&self) -> reqwest::Client {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if self.settings.ca.is_some() && made.looked.elapsed() >= LOOK_AGAIN {
            // A small file, once a minute: no thread is worth it.
            made.looked = Instant::now();
            if let Err(error) = self.look(&mut made) {
                tracing::warn!(%error, "the authorities before are trusted until it is mended");
            }
        }
        made.client.clone()
    }

    fn look(&self, made: &mut Made) -> Result<(), ClientError> {
        let authorities = authorities(&self.settings)?;
        if authorities != made.authorities {
            made.client = client(&self.settings, &self.dress, &authorities)?;
            made.authorities = authorities;
            tracing::info!("private authorities have changed and are taken up");
        }
        Ok(())
    }
}

fn client(
    settings: &ConnectionSettings,
    dress: &Dress,
    authorities: &[u8],
) -> Result<reqwest::Client, ClientError> {
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(settings.request_timeout.unwrap_or(USUAL_REQUEST))
        .connect_timeout(settings.connect_timeout.unwrap_or(USUAL_CONNECT))
        .pool_max_idle_per_host(IDLE_CONNECTIONS);
    if let Some(path) = &settings.ca {
        let certificates = certificates(authorities);
        let certificates = certificates.map_err(|what| unusable(path, what))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if let Some(config) = &settings.proxy {
        builder = builder.proxy(proxy(config)?);
    }
    let built = dress(builder).build();
    built.map_err(|error| ClientError::Http(shorten(&causes(&error))))
}

/// The text of the private authorities; none where there are none.
fn authorities(settings: &ConnectionSettings) -> Result<Vec<u8>, ClientError> {
    let Some(path) = &settings.ca else {
        return Ok(Vec::new());
    };
    bounded::read(path, LARGEST_CA).map_err(|error| unusable(path, error.to_string()))
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, &'static str> {
    let certificates = Certificate::from_pem_bundle(pem)
        .map_err(|_| "holds a certificate that cannot be read; export it in PEM form")?;
    if certificates.is_empty() {
        return Err("holds no certificate; it needs -----BEGIN CERTIFICATE-----");
    }
    Ok(certificates)
}

fn unusable(path: &Path, what: impl Into<Box<str>>) -> ClientError {
    ClientError::Ca {
        path: path.display().to_string().into(),
        what: what.into(),
    }
}

fn proxy(config: &ProxyConfig) -> Result<Proxy, ClientError> {
    let proxy = Proxy::all(config.url.clone());
    let mut proxy = proxy.map_err(|error| ClientError::Proxy(shorten(&causes(&error))))?;
    if let Some(login) = &config.login {
        proxy = proxy.basic_auth(&login.user, login.password.expose_secret());
    }
    Ok(proxy.no_proxy(config.except.as_deref().and_then(NoProxy::from_string)))
}

/// What a proxy is shown, which its pages may repeat.
pub(super) fn login(settings: &ConnectionSettings) -> Option<Hidden> {
    let login = settings.proxy.as_ref()?.login.as_ref()?;
    Some(Hidden::login(&login.user, &login.password))
}

/// The two innermost reasons, at any length: they are shortened only when no
/// secret is in them any more. The outer ones say only that a request failed.
pub(super) fn causes(error: &reqwest::Error) -> String {
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
        return error.to_string();
    }
    let inner = reasons.len().saturating_sub(2);
    reasons[inner..].join(": ")
}
