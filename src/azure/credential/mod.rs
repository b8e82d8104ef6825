//! Credentials: what proves to Azure DevOps who asks.
//!
//! May import: ports, config, domain. Invariant: a secret leaves this module in
//! three ways only: as a header that is marked sensitive, as the body of an
//! exchange with the authority, and as the token that `config.sh` is given; no
//! text, log or error ever shows it.
//!
//! [`hidden`] takes secrets out of texts, [`pat`] reads a personal access token, [`file`] one in a file, [`entra`]
//! keeps a token that [`exchange`] has from an authority.

mod entra;
mod exchange;
mod file;
mod hidden;
mod pat;

use std::{fmt, sync::Arc};

use futures::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret as _, SecretString};

pub(super) use self::hidden::Hidden;
use self::{
    entra::{Bearer, Entra},
    exchange::Exchange,
};
pub use self::{
    file::TokenFile,
    pat::{CredentialError, PersonalAccessToken},
};
use super::{ClientError, answer::shorten};
use crate::{
    config::{ConnectionSettings, IdentityConfig, TokenConfig},
    ports::{ReadError, Tokens},
};

/// What a client shows to the service. Clones are one credential, with one
/// token among them.
#[derive(Clone)]
pub enum Credential {
    /// A personal access token that stays as it is.
    PersonalAccessToken(PersonalAccessToken),
    /// A personal access token that is asked for before each request.
    Held(Arc<dyn Tokens>),
    /// An identity in Entra ID, for which an authority gives out tokens.
    Identity(Identity),
}

/// An identity in Entra ID, with the token that it has at present.
#[derive(Clone)]
pub struct Identity(Arc<Entra>);

/// What one request is signed with.
#[derive(Clone)]
pub(super) enum Signature {
    Basic(PersonalAccessToken),
    Bearer(Arc<Bearer>),
}

// === impl Credential ===

impl Credential {
    /// A credential as it is configured. `authority` is how those are reached
    /// that give out tokens. Sends nothing and reads no file.
    ///
    /// # Errors
    /// Where a fixed token can be none, or the way to the authority cannot be
    /// set up.
    pub fn new(
        config: &TokenConfig,
        authority: &ConnectionSettings,
    ) -> Result<Self, CredentialSetupError> {
        Ok(match config {
            TokenConfig::Fixed(token) => {
                Self::PersonalAccessToken(PersonalAccessToken::parse(token)?)
            }
            TokenConfig::File(path) => Self::Held(Arc::new(TokenFile::new(path))),
            TokenConfig::Identity(identity) => Self::Identity(Identity::new(identity, authority)?),
        })
    }

    /// When the token at hand ends, where that is known.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::PersonalAccessToken(_) | Self::Held(_) => None,
            Self::Identity(Identity(entra)) => entra.expires(),
        }
    }

    /// What the next request is signed with.
    ///
    /// # Errors
    /// [`ReadError::CredentialMissing`] or [`ReadError::AuthorityFailed`]; no
    /// request is to be sent then.
    pub(super) async fn sign(&self) -> Result<Signature, ReadError> {
        match self {
            Self::PersonalAccessToken(token) => Ok(Signature::Basic(token.clone())),
            Self::Held(tokens) => {
                let token = PersonalAccessToken::parse(&tokens.token().await?);
                let missing = |error: CredentialError| ReadError::CredentialMissing {
                    detail: error.to_string().into(),
                };
                token.map(Signature::Basic).map_err(missing)
            }
            Self::Identity(Identity(entra)) => entra.token().await.map(Signature::Bearer),
        }
    }

    /// Another signature in place of one that the service did not know, where
    /// there is one to be had.
    pub(super) async fn replace(&self, refused: &Signature) -> Option<Signature> {
        match (self, refused) {
            (Self::Identity(Identity(entra)), Signature::Bearer(bearer)) => {
                entra.replace(bearer).await.map(Signature::Bearer)
            }
            // What is asked for before each request was asked for just now.
            _ => None,
        }
    }
}

/// Why there is no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialSetupError {
    /// The token is none.
    #[error(transparent)]
    Token(#[from] CredentialError),
    /// The authority cannot be reached with these settings.
    #[error(transparent)]
    Authority(#[from] ClientError),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PersonalAccessToken(token) => token.fmt(f),
            Self::Held(_) => f.write_str("Held(***)"),
            Self::Identity(identity) => identity.fmt(f),
        }
    }
}

// === impl Identity ===

impl Identity {
    /// An identity that has no token yet.
    ///
    /// # Errors
    /// Where the way to the authority cannot be set up.
    pub fn new(
        config: &IdentityConfig,
        authority: &ConnectionSettings,
    ) -> Result<Self, ClientError> {
        let exchange = Exchange::new(config, authority)?;
        Ok(Self(Arc::new(Entra::new(exchange))))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// The token itself, as `config.sh` of the agent wants it. Azure Pipelines agent:
/// it takes a token of Entra ID where it takes a personal access token.
impl Tokens for Credential {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, ReadError>> {
        async {
            Ok(match self.sign().await? {
                Signature::Basic(token) => token.secret().clone(),
                Signature::Bearer(bearer) => bearer.token.clone(),
            })
        }
        .boxed()
    }
}

// === impl Signature ===

impl Signature {
    /// Signs a request.
    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        // Both mark the header as sensitive.
        match self {
            // Azure DevOps: basic authentication; any user name will do.
            Self::Basic(token) => request.basic_auth("", Some(token.secret().expose_secret())),
            Self::Bearer(bearer) => request.bearer_auth(bearer.token.expose_secret()),
        }
    }

    /// Takes the secret out of a text that came from outside. A proxy's error
    /// page may well repeat the headers of the request.
    pub(super) fn hide(&self, text: &str) -> Box<str> {
        let hidden = match self {
            Self::Basic(token) => Hidden::login("", token.secret()),
            Self::Bearer(bearer) => Hidden::plain(&bearer.token),
        };
        hidden.hide(text).into()
    }

    /// Are both the same token?
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Basic(one), Self::Basic(other)) => {
                one.secret().expose_secret() == other.secret().expose_secret()
            }
            (Self::Bearer(one), Self::Bearer(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// A refusal, in words that fit what was shown.
    pub(super) fn refused(&self, error: ReadError) -> ReadError {
        let how = match (self, error) {
            (Self::Bearer(_), ReadError::CredentialRejected { how }) => how,
            (Self::Bearer(_), ReadError::CredentialExpired) => "status 401, expired".into(),
            (_, other) => return other,
        };
        // Azure DevOps: a service principal is let in only after it was added
        // to the organization as a user.
        let how = format!("{how}; is the identity a user of this organization?").into();
        ReadError::CredentialRejected { how }
    }
}

/// A text of the authority, without a secret in it and fit to be shown.
fn shown(text: &str, secrets: &[Hidden]) -> Box<str> {
    let hidden = secrets
        .iter()
        .fold(text.to_owned(), |text, secret| secret.hide(&text));
    shorten(&hidden)
}
