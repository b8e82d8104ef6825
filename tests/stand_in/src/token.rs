//! Who we are to the server: by a token that people gave, or by the agent's own.
//!
//! Agent: after its configuration it shows a JWT, signed with its RSA key, to
//! the server and gets an access token. There is no RSA here: in place of the
//! JWT goes `CLIENT_ID.MODULUS`, and the modulus is the secret. The emulator
//! agrees. Invariant: neither secret nor token is printed.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::Client;
use url::{Url, form_urlencoded};

use crate::{
    diag::note,
    layout::{CredentialData, Key},
    server::{self, ServerError, USUAL, chain},
    wire::{ErrorBody, Token},
};

/// A token is replaced so long before its end.
const EARLY: Duration = Duration::from_secs(60);

/// What the server asks of a program that shows a signed assertion.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A credential.
pub(crate) enum Credential {
    /// A personal access token, or a token of Entra in its place.
    Given(String),
    /// The agent's own.
    Own {
        data: CredentialData,
        key: Key,
        token: Mutex<Option<Fresh>>,
    },
}

/// A token and when to replace it.
pub(crate) struct Fresh {
    token: String,
    until: Instant,
}

// === impl Credential ===

impl Credential {
    pub(crate) fn own(data: CredentialData, key: Key) -> Self {
        let token = Mutex::default();
        Self::Own { data, key, token }
    }

    /// The header `authorization`, with a token that is fetched where need be.
    pub(crate) async fn header(&self, http: &Client) -> Result<String, ServerError> {
        let (data, key, token) = match self {
            // Agent: `CredentialProvider.cs` sends either kind as a password.
            Self::Given(token) => {
                let basic = BASE64_STANDARD.encode(format!("VstsAgent:{token}"));
                return Ok(format!("Basic {basic}"));
            }
            Self::Own { data, key, token } => (data, key, token),
        };
        let held = lock(token)
            .as_ref()
            .filter(|fresh| fresh.until > Instant::now())
            .map(|fresh| bearer(&fresh.token));
        if let Some(header) = held {
            return Ok(header);
        }
        let fresh = exchange(http, data, key).await?;
        let header = bearer(&fresh.token);
        *lock(token) = Some(fresh);
        Ok(header)
    }

    /// Gives up a token that was refused; whether there can be another.
    pub(crate) fn forget(&self) -> bool {
        match self {
            Self::Given(_) => false,
            Self::Own { token, .. } => lock(token).take().is_some(),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given",
            Self::Own { .. } => "Own",
        })
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn exchange(http: &Client, data: &CredentialData, key: &Key) -> Result<Fresh, ServerError> {
    let url = Url::parse(&data.authorization_url);
    let url = url.map_err(|error| ServerError::Token(error.to_string()))?;
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_assertion_type", ASSERTION_TYPE)
        .append_pair(
            "client_assertion",
            &format!("{}.{}", data.client_id, key.modulus),
        )
        .finish();
    let asked = Instant::now();
    let answer = http
        .post(url)
        .timeout(USUAL)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .map_err(|error| ServerError::Unreachable(chain(&error)))?;
    let status = answer.status();
    let body = server::read(answer).await?;
    if !status.is_success() {
        let said: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
        let said = said.error_description.or(said.message).or(said.error);
        let error = said
            .unwrap_or_else(|| format!("The server answered {status} to a request for a token."));
        note!("no token: {status}: {error}");
        return Err(ServerError::Token(error));
    }
    let token: Token = serde_json::from_slice(&body)
        .map_err(|error| ServerError::Token(format!("The token cannot be read: {error}")))?;
    let lives = Duration::from_secs(token.expires_in.unwrap_or(3000));
    note!("a new token, good for {} s", lives.as_secs());
    Ok(Fresh {
        token: token.access_token,
        until: asked + lives.saturating_sub(EARLY),
    })
}
