//! Ports: what the watchers need from the world outside, as traits.
//!
//! May import: domain. Invariant: an error here tells its kind from a closed
//! list (for metrics), what to do about it (for people), and never a secret.

pub mod notices;
pub mod packages;
pub mod placeholders;
pub mod registrations;
pub mod stands;
pub mod writes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use secrecy::SecretString;
use tokio::{sync::watch, time::Instant};

use self::placeholders::Placeholders;
use crate::domain::{
    declared::{Declarations, JobCensus, LeavingPods},
    job::JobRequest,
    organization::OrganizationUrl,
    parallel_jobs::Usage,
    pool::{Pool, PoolId, PoolRef},
};

/// Reads agent pools of one organization with one credential.
pub trait AgentPools: Send + Sync + 'static {
    /// Looks a pool up by name or number.
    fn pool<'a>(&'a self, pool: &'a PoolRef) -> BoxFuture<'a, Reading<Pool>>;

    /// What is known of the credential and its limit, without asking.
    fn standing(&self) -> Standing {
        Standing::default()
    }

    /// Reads every unfinished job request of a pool; finished ones may be among
    /// them, and one may come twice, in different states.
    fn unfinished_jobs(&self, pool: PoolId) -> BoxFuture<'_, Reading<Vec<JobRequest>>>;

    /// The same way to the same organization, with the same credential, to whoever
    /// writes to its pools; `None` where there is none.
    fn placeholders(self: Arc<Self>) -> Option<Arc<dyn Placeholders>> {
        None
    }

    /// Reads how many parallel jobs the organization has for agents of its own, and
    /// which jobs use them.
    fn parallel_jobs(&self) -> BoxFuture<'_, Reading<Usage>>;
}

/// How a client stands with the service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// Did the service take the credential when it was last shown? `None` until
    /// it was.
    pub valid: Option<bool>,
    /// What is left of the service's limit, in its own units, as it last said.
    /// Azure DevOps: says so only near the limit.
    pub rate_limit_left: Option<f64>,
    /// When the credential, or the token that was made from it, ends, in seconds
    /// since 1970.
    pub expires: Option<f64>,
}

/// What the cluster knows of scaling objects. All are last states: while the
/// cluster cannot be asked, the last that was seen stays.
pub trait Cluster: Send + Sync + 'static {
    /// The scaling objects; `None` until all of them have been read once.
    fn declared(&self) -> watch::Receiver<Option<Arc<Declarations>>>;

    /// The Jobs of scaled jobs; `None` until all of them have been read once.
    fn job_pods(&self) -> watch::Receiver<Option<Arc<JobCensus>>>;

    /// The Deployments that became larger; none where that is not watched.
    fn raised(&self) -> watch::Receiver<Arc<Raised>> {
        watch::Sender::default().subscribe()
    }

    /// The pods of Deployments that are going; `None` where pods are not watched, and
    /// until all of them have been read once. One that is going never comes back, so
    /// the last state says too little at the worst.
    fn leaving_pods(&self) -> watch::Receiver<Option<Arc<LeavingPods>>>;

    /// For how long by now a part of it has not been seen; `None` while all is.
    fn unseen_for(&self) -> Option<Duration> {
        None
    }

    /// A token in a Secret. Cheap: the Secret is read when the token is first
    /// asked for, then followed, until what this returns is dropped.
    fn token(&self, secret: &SecretRef) -> Arc<dyn Tokens>;
}

/// When Deployments became larger at last, by whomever: by namespace and name.
pub type Raised = BTreeMap<(Box<str>, Box<str>), Instant>;

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    /// The Secret's namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The key in it.
    pub key: Box<str>,
}

/// Something that holds a token, and notices when it becomes another.
pub trait Tokens: Send + Sync + 'static {
    /// The token as it is now.
    ///
    /// # Errors
    /// [`ReadError::CredentialMissing`], as long as there is none.
    fn token(&self) -> BoxFuture<'_, Result<SecretString, ReadError>>;
}

/// Makes clients of organizations.
pub trait Organizations: Send + Sync + 'static {
    /// A client that reads this organization with this credential. Sends
    /// nothing.
    ///
    /// # Errors
    /// Where the credential is not there or the client cannot be set up.
    fn client(
        &self,
        organization: &OrganizationUrl,
        credential: &CredentialUse,
    ) -> Result<Arc<dyn AgentPools>, ReadError>;
}

/// Which credential a client uses.
#[derive(Clone)]
pub enum CredentialUse {
    /// One that the scaler holds, by name.
    Named(Box<str>),
    /// A personal access token that somebody else holds.
    Own(Arc<dyn Tokens>),
}

/// What came of a reading, and what the service asked for while answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<T> {
    /// What was read, whole, or why it was not.
    pub outcome: Result<T, ReadError>,
    /// How long the service wants to be left alone from now on, in the least.
    /// Azure DevOps: it may say so with any answer, a good one included.
    pub pause: Option<Duration>,
}

/// What a credential has to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To read pools, their job requests and agents. Azure DevOps: the scope
    /// `vso.agentpools`.
    Read,
    /// To change agents and take them out. Azure DevOps: the scope
    /// `vso.agentpools_manage`, and the role in the organization, not in a
    /// project.
    Manage,
}

/// Why a pool, or an agent of it, could not be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The service does not know this credential.
    #[error(
        "Azure DevOps rejected the credential ({how}); check that the token is valid and whole"
    )]
    CredentialRejected {
        /// What the rejection looked like, such as `203 and a sign-in page`.
        how: Box<str>,
    },
    /// The token was good once.
    #[error("the personal access token has expired; make a new one")]
    CredentialExpired,
    /// The credential cannot be had: its Secret, its file or a key is not there.
    /// No request is sent.
    #[error("the credential is missing: {detail}")]
    CredentialMissing {
        /// What is not there, and what to do about it.
        detail: Box<str>,
    },
    /// Who gives out tokens gave none.
    #[error("no token from {authority}: {detail}")]
    AuthorityFailed {
        /// Who was asked, by host.
        authority: Box<str>,
        /// Its own words, shortened, or what went wrong on the way.
        detail: Box<str>,
    },
    /// The credential is known, but may not do this.
    #[error("the credential may not {} this ({message}); it needs {}", .right.verb(), .right.needs())]
    Forbidden {
        /// What it may not.
        right: Right,
        /// The service's own words, shortened.
        message: Box<str>,
    },
    /// The service points to another address. It is never followed, since the
    /// token would go with it.
    #[error(
        "Azure DevOps redirects to {host}; a token goes to the organization's own address alone (rule organizations), so nothing was sent there; check the organization's URL"
    )]
    Redirected {
        /// The other host.
        host: Box<str>,
    },
    /// No such pool, or none that this credential can see: the service
    /// answers both alike.
    #[error(
        "pool {pool} is not there or not visible to this credential; check its name (organization settings, agent pools) and the credential's role on it"
    )]
    PoolNotFound {
        /// The pool as the trigger names it.
        pool: Box<str>,
    },
    /// A number that a project gives to a queue, in the place of a pool's.
    #[error(
        "{queue} is a project's queue id; the pool's id is {pool} ({name}): write poolID \"{pool}\""
    )]
    QueueId {
        /// The number in the trigger.
        queue: u32,
        /// The pool that the queue leads to.
        pool: u32,
        /// Its name.
        name: Box<str>,
    },
    /// The service wants fewer requests.
    #[error("Azure DevOps limits the rate of requests")]
    Throttled,
    /// The service failed.
    #[error("Azure DevOps failed with status {status}")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// Any other status that is no success; a 404 that is not about a pool
    /// among them.
    #[error("Azure DevOps answered with status {status} ({message}); check the organization's URL")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The service's own words, shortened.
        message: Box<str>,
    },
    /// No connection.
    #[error("cannot reach Azure DevOps: {cause}; check the URL, the network and the certificates")]
    Unreachable {
        /// The innermost reasons.
        cause: Box<str>,
    },
    /// No answer, or not the whole of it, in time.
    #[error("Azure DevOps did not answer within {limit:?}")]
    TimedOut {
        /// The limit that was passed.
        limit: Duration,
    },
    /// The answer ended early.
    #[error("the answer of Azure DevOps was cut off: {cause}")]
    Cut {
        /// The innermost reasons.
        cause: Box<str>,
    },
    /// The answer is larger than the cap.
    #[error("the answer of Azure DevOps is larger than {cap} bytes")]
    TooLarge {
        /// The cap in bytes.
        cap: u64,
    },
    /// Something else than JSON with a status of success: most often the page
    /// of a proxy.
    #[error("Azure DevOps answered with {content_type} instead of JSON; is there a proxy between?")]
    NotJson {
        /// The content type.
        content_type: Box<str>,
    },
    /// JSON of a shape that this version does not know. Never an empty queue.
    #[error("the answer of Azure DevOps has an unknown shape: {detail}")]
    UnknownShape {
        /// Where it differs.
        detail: Box<str>,
    },
}

// === impl Right ===

impl Right {
    const fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Manage => "change",
        }
    }

    /// What a credential has that is allowed this, in words that follow "needs".
    #[must_use]
    pub const fn needs(self) -> &'static str {
        match self {
            Self::Read => "the scope Agent Pools (Read) and a role on the pool",
            Self::Manage => {
                "the scope Agent Pools (Read & manage) and the role Administrator on the pool \
                 (organization settings, agent pools)"
            }
        }
    }
}

// === impl ReadError ===

impl ReadError {
    /// Every kind, for tables and metrics.
    pub const KINDS: [&'static str; 17] = [
        "credential-rejected",
        "credential-expired",
        "credential-missing",
        "authority-failed",
        "forbidden",
        "redirected",
        "pool-not-found",
        "queue-id",
        "throttled",
        "server",
        "status",
        "unreachable",
        "timed-out",
        "cut",
        "too-large",
        "not-json",
        "unknown-shape",
    ];

    /// Did the service refuse this for good, whoever asks how often, as long as
    /// the credential stays what it is?
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Forbidden { .. } | Self::CredentialRejected { .. } | Self::CredentialExpired
        )
    }

    /// May the same be answered well in a moment, without anybody's doing?
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::AuthorityFailed { .. }
                | Self::Throttled
                | Self::Server { .. }
                | Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Cut { .. }
                | Self::NotJson { .. }
        )
    }

    /// The kind, from a closed list.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        let index = match self {
            Self::CredentialRejected { .. } => 0,
            Self::CredentialExpired => 1,
            Self::CredentialMissing { .. } => 2,
            Self::AuthorityFailed { .. } => 3,
            Self::Forbidden { .. } => 4,
            Self::Redirected { .. } => 5,
            Self::PoolNotFound { .. } => 6,
            Self::QueueId { .. } => 7,
            Self::Throttled => 8,
            Self::Server { .. } => 9,
            Self::Status { .. } => 10,
            Self::Unreachable { .. } => 11,
            Self::TimedOut { .. } => 12,
            Self::Cut { .. } => 13,
            Self::TooLarge { .. } => 14,
            Self::NotJson { .. } => 15,
            Self::UnknownShape { .. } => 16,
        };
        Self::KINDS[index]
    }
}
