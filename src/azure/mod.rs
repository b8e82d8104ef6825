//! The REST client of Azure DevOps Services and Server.
//!
//! May import: ports, config, domain. The only place that knows reqwest. Invariants:
//! an answer is what was asked for or an error with a kind, never an empty
//! queue for want of understanding; the credential goes to the organization's
//! host alone and into no text.
//!
//! [`credential`] signs, [`connect`] knows the way, [`request`] asks, [`answer`]
//! and [`pause`] tell what a head means, [`record`] keeps secrets out of errors,
//! [`pages`] and [`stream`] cut a list into elements while it arrives, [`jobs`],
//! [`pools`], [`agents`], [`packages`] and [`parallel_jobs`] know their rows,
//! [`placeholders`] adds agents, and [`download`] fetches a package.

mod agents;
mod answer;
mod connect;
mod credential;
mod download;
mod jobs;
mod packages;
mod pages;
mod parallel_jobs;
mod pause;
mod placeholders;
mod pools;
mod record;
mod request;
mod stream;
mod wire;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt as _};

pub use self::{
    credential::{
        Credential, CredentialError, CredentialSetupError, Identity, PersonalAccessToken, TokenFile,
    },
    jobs::decode_jobs,
};
use self::{jobs::JobRows, pages::List, pools::POOLS_CAP, record::Record, request::Requests};
use crate::{
    config::{ConnectionSettings, ProxyConfig},
    domain::{
        job::JobRequest,
        organization::OrganizationUrl,
        parallel_jobs::Usage,
        pool::{Pool, PoolId, PoolRef},
    },
    ports::{AgentPools, ReadError, Reading, Standing, placeholders::Placeholders},
};

/// The name under which requests are sent, unless the settings say another.
pub const USER_AGENT: &str = concat!(
    "azp-scaler/",
    env!("CARGO_PKG_VERSION"),
    " (+",
    env!("CARGO_PKG_REPOSITORY"),
    ")"
);

/// Whom a client asks, how, and within which limits.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The organization or collection.
    pub organization: OrganizationUrl,
    /// What it is shown.
    pub credential: Credential,
    /// How long one request may take, its body included.
    pub request_timeout: Duration,
    /// How long it may take to connect.
    pub connect_timeout: Duration,
    /// A file of certificate authorities that are trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// The proxy; `None` for what the environment names.
    pub proxy: Option<ProxyConfig>,
    /// How many bytes the pages of one list may have together, decompressed.
    pub body_cap: u64,
    /// How many bytes a package of the agent's software may have.
    pub package_cap: u64,
    /// The product's name and version, as [`USER_AGENT`].
    pub user_agent: Box<str>,
}

/// Reads the agent pools of one organization with one credential.
pub struct Client {
    requests: Requests,
    credential: Credential,
    body_cap: u64,
    package_cap: u64,
    user_agent: Box<str>,
    /// Was the credential taken when it was last shown?
    valid: Mutex<Option<bool>>,
    /// What its latest answer said that is left of its limit.
    limit_left: Mutex<Option<f64>>,
}

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The user agent has characters that no header may have.
    #[error("the user agent cannot be sent as a header; use printable ASCII")]
    UserAgent,
    /// The private authorities cannot be used.
    #[error("ca: {path} {what}")]
    Ca {
        /// The file.
        path: Box<str>,
        /// What is wrong with it, and what to do.
        what: Box<str>,
    },
    /// The proxy cannot be used.
    #[error("proxy: {0}; write http://HOST:PORT or https://HOST:PORT")]
    Proxy(Box<str>),
    /// TLS or the resolver could not be set up.
    #[error("cannot set up the HTTP client: {0}; check the certificates of this system")]
    Http(Box<str>),
}

/// Makes AWS-LC the process's provider of cryptography, if there is none yet.
/// May be called any number of times; `main` calls it first, so that no other
/// library decides.
pub fn install_crypto_provider() {
    // An error says that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

// === impl ClientSettings ===

impl ClientSettings {
    /// The usual limits: 30 s for a request and 10 s to connect, 256 MiB for a
    /// list and 1 GiB for a package.
    #[must_use]
    pub fn new(organization: OrganizationUrl, credential: Credential) -> Self {
        Self {
            organization,
            credential,
            request_timeout: connect::USUAL_REQUEST,
            connect_timeout: connect::USUAL_CONNECT,
            ca: None,
            proxy: None,
            body_cap: 256 << 20,
            package_cap: 1 << 30,
            user_agent: USER_AGENT.into(),
        }
    }

    /// These, where the connection's own settings say nothing else.
    #[must_use]
    pub fn with(self, connection: &ConnectionSettings) -> Self {
        let ConnectionSettings {
            ca,
            proxy,
            request_timeout,
            connect_timeout,
        } = connection.clone();
        Self {
            ca: ca.or(self.ca),
            proxy: proxy.or(self.proxy),
            request_timeout: request_timeout.unwrap_or(self.request_timeout),
            connect_timeout: connect_timeout.unwrap_or(self.connect_timeout),
            ..self
        }
    }

    fn connection(&self) -> ConnectionSettings {
        ConnectionSettings {
            ca: self.ca.clone(),
            proxy: self.proxy.clone(),
            request_timeout: Some(self.request_timeout),
            connect_timeout: Some(self.connect_timeout),
        }
    }
}

// === impl Client ===

impl Client {
    /// A client that has not asked anything yet.
    ///
    /// # Errors
    /// Where the settings cannot be sent, or the system has no usable
    /// certificates.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let (body_cap, package_cap) = (settings.body_cap, settings.package_cap);
        let user_agent = settings.user_agent.clone();
        let credential = settings.credential.clone();
        Ok(Self {
            requests: Requests::new(settings)?,
            credential,
            body_cap,
            package_cap,
            user_agent,
            valid: Mutex::default(),
            limit_left: Mutex::default(),
        })
    }

    async fn read_pool(&self, pool: &PoolRef, record: &mut Record) -> Result<Pool, ReadError> {
        let shown = pool.to_string();
        let answer = match pool {
            PoolRef::Name(name) => {
                let query = [("poolName", &**name)];
                self.requests.get("pools", &query, None, record).await?
            }
            PoolRef::Id(id) => {
                let path = format!("pools/{id}");
                match self.requests.get(&path, &[], Some(&shown), record).await {
                    Err(missing @ ReadError::PoolNotFound { .. }) => {
                        return Err(self.read_queue(*id, record).await.unwrap_or(missing));
                    }
                    other => other?,
                }
            }
        };
        let body = answer.whole(POOLS_CAP).await?;
        match pool {
            PoolRef::Name(name) => pools::by_name(&body, name),
            PoolRef::Id(id) => pools::by_id(&body, *id),
        }
    }

    /// A number that no pool has may be that of a project's queue, which stands
    /// in the project's settings. One look; whatever else it brings, the pool is
    /// not there.
    ///
    /// ASSUMPTION(queue-by-id): a queue is found below the organization by its
    /// number, without its project; the SDKs leave the project out at will.
    async fn read_queue(&self, number: PoolId, record: &mut Record) -> Option<ReadError> {
        let path = format!("queues/{number}");
        let before = record.pause;
        let answer = self.requests.get(&path, &[], None, record).await;
        record.pause = record.pause.max(before);
        let body = answer.ok()?.whole(POOLS_CAP).await.ok()?;
        pools::of_queue(&body, number)
    }

    /// Azure DevOps: `completedRequestCount=0` without `$top` is the query that
    /// gives the unfinished requests, all of them, with `matchedAgents`. What
    /// comes is handed on as it is; a finished one among it is news of a job
    /// that an earlier page had as running.
    async fn read_jobs(
        &self,
        pool: PoolId,
        record: &mut Record,
    ) -> Result<Vec<JobRequest>, ReadError> {
        let list = List {
            path: &format!("pools/{pool}/jobrequests"),
            query: &[("completedRequestCount", "0")],
            pool: &format!("#{pool}"),
            cap: self.body_cap,
        };
        let rows = self.requests.list(list, JobRows::default(), record).await?;
        Ok(rows.into_jobs())
    }

    /// What came of it, without the credential in any error.
    fn told<T>(&self, outcome: Result<T, ReadError>, record: &Record) -> Reading<T> {
        if let Some(valid) = taken(&outcome) {
            *self.valid.lock().unwrap_or_else(PoisonError::into_inner) = Some(valid);
        }
        self.told_in_passing(outcome, record)
    }

    /// The same where it does not show whether the credential is a good one.
    fn told_in_passing<T>(&self, outcome: Result<T, ReadError>, record: &Record) -> Reading<T> {
        // Azure DevOps tells what is left only near the limit, so an answer without
        // is one far from it.
        if record.answered {
            let left = self.limit_left.lock();
            *left.unwrap_or_else(PoisonError::into_inner) = record.limit_left;
        }
        Reading {
            outcome: outcome.map_err(|error| record.hidden(error)),
            pause: record.pause,
        }
    }
}

/// Did the service take the credential? `None` where it was not asked, or says
/// nothing of it.
const fn taken<T>(outcome: &Result<T, ReadError>) -> Option<bool> {
    match outcome {
        Ok(_)
        | Err(
            ReadError::Forbidden { .. }
            | ReadError::PoolNotFound { .. }
            | ReadError::QueueId { .. },
        ) => Some(true),
        Err(
            ReadError::CredentialRejected { .. }
            | ReadError::CredentialExpired
            | ReadError::CredentialMissing { .. }
            | ReadError::AuthorityFailed { .. },
        ) => Some(false),
        Err(_) => None,
    }
}

impl AgentPools for Client {
    fn standing(&self) -> Standing {
        let left = self.limit_left.lock();
        Standing {
            valid: *self.valid.lock().unwrap_or_else(PoisonError::into_inner),
            rate_limit_left: *left.unwrap_or_else(PoisonError::into_inner),
            #[expect(clippy::cast_precision_loss, reason = "seconds stay exact for ages")]
            expires: self.credential.expires().map(|end| end.as_second() as f64),
        }
    }

    fn pool<'a>(&'a self, pool: &'a PoolRef) -> BoxFuture<'a, Reading<Pool>> {
        async move {
            let mut record = Record::default();
            let outcome = self.read_pool(pool, &mut record).await;
            self.told(outcome, &record)
        }
        .boxed()
    }

    fn unfinished_jobs(&self, pool: PoolId) -> BoxFuture<'_, Reading<Vec<JobRequest>>> {
        async move {
            let mut record = Record::default();
            let outcome = self.read_jobs(pool, &mut record).await;
            self.told(outcome, &record)
        }
        .boxed()
    }

    fn placeholders(self: Arc<Self>) -> Option<Arc<dyn Placeholders>> {
        Some(self)
    }

    fn parallel_jobs(&self) -> BoxFuture<'_, Reading<Usage>> {
        self.usage().boxed()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
