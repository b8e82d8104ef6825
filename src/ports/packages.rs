//! Ports: where the agent's own software comes from.
//!
//! May import: its siblings. Invariant: a file that was fetched is whole, and
//! what is known of its hash is told, the lack of one included.

use std::{path::Path, time::Duration};

use futures::future::BoxFuture;
use url::Url;

use super::{ReadError, registrations::Asked};

/// What an organization offers as the agent's software.
pub trait Packages: Send + Sync + 'static {
    /// The newest package for a platform such as `linux-x64`; `None` where there
    /// is none. Azure DevOps: platforms are named `linux-x64`, `linux-arm64`,
    /// `linux-musl-x64` and so on.
    fn newest<'a>(&'a self, platform: &'a str) -> BoxFuture<'a, Asked<Option<AgentPackage>>>;

    /// Fetches a package into a file, which is there only if all went well. Tells
    /// `progress` of each piece; the bytes begin anew with each attempt.
    fn fetch<'a>(
        &'a self,
        package: &'a AgentPackage,
        into: &'a Path,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<Fetched, FetchError>>;
}

/// Is told how many bytes have come, and how many there are in all where that
/// is known.
pub type Progress<'a> = &'a (dyn Fn(u64, Option<u64>) + Send + Sync);

/// A package of the agent's software.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPackage {
    /// Its version, such as `4.260.0`.
    pub version: Box<str>,
    /// Its file's name.
    pub file_name: Box<str>,
    /// Where it is.
    pub url: Url,
    /// Its hash, as it was given; empty where none was.
    pub hash: Box<str>,
}

/// A package in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// How many bytes it has.
    pub bytes: u64,
    /// Is it what the organization meant?
    pub hash: HashCheck,
}

/// What a package's hash says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashCheck {
    /// It is the file's.
    Matches,
    /// There is none: nothing was checked.
    NotGiven,
    /// It is no SHA-256 in hexadecimal digits: nothing was checked.
    UnknownForm,
}

/// Why a package was not fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address, or one that it leads to, is neither the organization's own nor
    /// secure.
    #[error(
        "the package lies at {scheme}://{host}, which is neither https nor the organization's own address; nothing was fetched"
    )]
    Insecure {
        /// How it would be reached.
        scheme: Box<str>,
        /// The host.
        host: Box<str>,
    },
    /// One address leads to another, without end.
    #[error("{host} redirects too often; is there a proxy between?")]
    Redirects {
        /// The last host.
        host: Box<str>,
    },
    /// There is no credential for the organization's own address.
    #[error(transparent)]
    Credential(ReadError),
    /// No connection.
    #[error(
        "cannot reach {host}: {cause}; may this pod reach it, by the proxy where there is one?"
    )]
    Unreachable {
        /// The host.
        host: Box<str>,
        /// The innermost reasons.
        cause: Box<str>,
    },
    /// Nothing came for too long.
    #[error("{host} sent nothing for {limit:?}")]
    Silent {
        /// The host.
        host: Box<str>,
        /// The limit that was passed.
        limit: Duration,
    },
    /// It took too long as a whole.
    #[error("the package did not come from {host} within {limit:?}")]
    TimedOut {
        /// The host.
        host: Box<str>,
        /// The limit that was passed.
        limit: Duration,
    },
    /// The file ended early.
    #[error("the package from {host} was cut off: {cause}")]
    Cut {
        /// The host.
        host: Box<str>,
        /// The innermost reasons.
        cause: Box<str>,
    },
    /// Another status than success.
    #[error("{host} answered with status {status} instead of the package")]
    Status {
        /// The host.
        host: Box<str>,
        /// The HTTP status.
        status: u16,
    },
    /// A page of HTML, most often a proxy's or one to sign in.
    #[error("{host} answered with a page instead of the package; is there a proxy between?")]
    Page {
        /// The host.
        host: Box<str>,
    },
    /// It is larger than the cap.
    #[error("the package is larger than {cap} bytes")]
    TooLarge {
        /// The cap in bytes.
        cap: u64,
    },
    /// It is another file than the organization says.
    #[error(
        "the package has the SHA-256 {found} instead of {expected}: it was changed on the way, or is another file"
    )]
    WrongHash {
        /// As the organization has it.
        expected: Box<str>,
        /// The file's own.
        found: Box<str>,
    },
    /// The file cannot be written.
    #[error("{path} cannot be written ({cause}); is there room, and may it be written?")]
    File {
        /// The file.
        path: Box<str>,
        /// The system's own words.
        cause: Box<str>,
    },
}

// === impl FetchError ===

impl FetchError {
    /// The kind, from a closed list.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Insecure { .. } => "insecure",
            Self::Redirects { .. } => "redirects",
            Self::Credential(error) => error.kind(),
            Self::Unreachable { .. } => "unreachable",
            Self::Silent { .. } => "silent",
            Self::TimedOut { .. } => "timed-out",
            Self::Cut { .. } => "cut",
            Self::Status { .. } => "status",
            Self::Page { .. } => "page",
            Self::TooLarge { .. } => "too-large",
            Self::WrongHash { .. } => "wrong-hash",
            Self::File { .. } => "file",
        }
    }

    /// May another attempt bring it?
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Cut { .. }
            | Self::WrongHash { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(*status, 408 | 429),
            _ => false,
        }
    }
}
