//! Requests to the server: where they go, with which credential, and what a
//! refusal means.
//!
//! Invariants: no redirect is followed; bodies are capped; every request has an
//! end. Messages of errors are worded as the real agent prints them, since
//! people (and programs) read them.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode, redirect};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use crate::{diag::note, token::Credential, wire::ErrorBody};

/// An answer of the pools has a few kilobytes.
const LARGEST_ANSWER: usize = 4 << 20;

/// How long a request may take.
pub(crate) const USUAL: Duration = Duration::from_secs(60);

/// How long a poll for messages may take: the server answers before.
pub(crate) const LONG: Duration = Duration::from_secs(150);

const CONNECT: Duration = Duration::from_secs(10);

/// A server, and who we are to it.
#[derive(Debug)]
pub(crate) struct Server {
    http: Client,
    url: Url,
    credential: Credential,
}

/// A request to be sent.
pub(crate) struct Request<'a> {
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    within: Duration,
    server: &'a Server,
}

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// Refused, with what the server says.
    #[error("{message}")]
    Refused {
        status: u16,
        /// The class of the refusal, such as `TaskAgentNotFoundException`.
        type_key: Option<String>,
        message: String,
    },
    /// The credential is no good.
    #[error("VS30063: You are not authorized to access {0}.")]
    Unauthorized(String),
    /// No token was given to this agent.
    #[error("{0}")]
    Token(String),
    /// No answer, or half of one.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that makes no sense.
    #[error("The answer of {url} cannot be read: {why}")]
    Unreadable { url: String, why: String },
}

// === impl Server ===

impl Server {
    pub(crate) fn new(url: &str, credential: Credential) -> Result<Self, ServerError> {
        let unusable = |why: String| ServerError::Unreadable {
            url: url.to_owned(),
            why,
        };
        let url = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
        if url.cannot_be_a_base() {
            return Err(unusable("no http or https URL".into()));
        }
        // Where it is set already, it is the same one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut http = Client::builder()
            .user_agent("VstsAgentCore-linux-x64/stand-in")
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT);
        if url.scheme() == "http" {
            // To read the system's authorities takes longer than all the rest.
            http = http.tls_certs_only([]);
        }
        let http = http.build().map_err(|error| unusable(chain(&error)))?;
        Ok(Self {
            http,
            url,
            credential,
        })
    }

    pub(crate) fn http(&self) -> &Client {
        &self.http
    }

    /// A request to `{organization}/_apis/{path}`.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Request<'_> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("_apis").extend(path);
        }
        if method != Method::GET {
            url.query_pairs_mut().append_pair("api-version", "7.1");
        }
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        Request {
            method,
            url,
            body: None,
            within: USUAL,
            server: self,
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ServerError> {
        self.request(Method::GET, path, query).read().await
    }
}

// === impl Request ===

impl Request<'_> {
    pub(crate) fn body(mut self, body: &impl Serialize) -> Self {
        // Our own bodies are maps with text as keys, which JSON can say.
        self.body = serde_json::to_vec(body).ok();
        self
    }

    pub(crate) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Sends it; the answer's body as JSON.
    pub(crate) async fn read<T: DeserializeOwned>(self) -> Result<T, ServerError> {
        let url = shown(&self.url);
        let (_, body) = self.send().await?;
        serde_json::from_slice(&body).map_err(|error| ServerError::Unreadable {
            url,
            why: error.to_string(),
        })
    }

    /// Sends it; an answer that is a success. A token that is no longer good is
    /// replaced by a new one, once.
    pub(crate) async fn send(self) -> Result<(StatusCode, Vec<u8>), ServerError> {
        match self.attempt().await {
            Err(ServerError::Unauthorized(_)) if self.server.credential.forget() => {
                self.attempt().await
            }
            other => other,
        }
    }

    async fn attempt(&self) -> Result<(StatusCode, Vec<u8>), ServerError> {
        let Server {
            http, credential, ..
        } = self.server;
        let mut request = http
            .request(self.method.clone(), self.url.clone())
            .timeout(self.within)
            .header("authorization", credential.header(http).await?)
            .header("accept", "application/json")
            .header("x-tfs-fedauthredirect", "Suppress");
        if let Some(body) = &self.body {
            request = request
                .header("content-type", "application/json")
                .body(body.clone());
        }
        let unreachable = |error: reqwest::Error| ServerError::Unreachable(chain(&error));
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = read(answer).await?;
        match refusal(status, &body, &self.url) {
            Some(error) => {
                note!("{} {}: {status}: {error}", self.method, shown(&self.url));
                Err(error)
            }
            None => Ok((status, body)),
        }
    }
}

/// Reads a body, within the cap.
pub(crate) async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, ServerError> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST_ANSWER => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                let why = format!("it is larger than {LARGEST_ANSWER} bytes");
                let url = shown(answer.url());
                return Err(ServerError::Unreadable { url, why });
            }
            Err(error) => return Err(ServerError::Unreachable(chain(&error))),
        }
    }
}

/// What is wrong with an answer. Azure DevOps: a bad credential can get a
/// sign-in page (203), a redirect or 401.
fn refusal(status: StatusCode, body: &[u8], url: &Url) -> Option<ServerError> {
    if status == StatusCode::NON_AUTHORITATIVE_INFORMATION
        || status == StatusCode::UNAUTHORIZED
        || status.is_redirection()
    {
        return Some(ServerError::Unauthorized(shown(url)));
    }
    if status.is_success() {
        return None;
    }
    let said: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let unsaid = || format!("The server answered {status} to {}.", shown(url));
    Some(ServerError::Refused {
        status: status.as_u16(),
        type_key: said.type_key,
        message: said.message.unwrap_or_else(unsaid),
    })
}

/// A URL without its query, in which there may be a lock's token.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

// === impl ServerError ===

impl ServerError {
    /// Whether the server refused with an exception of this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused { type_key: Some(key), .. } if key == name)
    }

    /// Whether the job is no longer this agent's. Agent: `JobDispatcher.cs`.
    pub(crate) fn job_is_lost(&self) -> bool {
        self.is("TaskAgentJobNotFoundException") || self.is("TaskAgentJobTokenExpiredException")
    }

    /// Whether it is no use to go on listening. Agent: `MessageListener.cs`,
    /// `IsGetNextMessageExceptionRetriable`.
    pub(crate) fn ends_listening(&self) -> bool {
        const ENDS: [&str; 4] = [
            "TaskAgentNotFoundException",
            "TaskAgentPoolNotFoundException",
            "TaskAgentSessionExpiredException",
            "AccessDeniedException",
        ];
        matches!(
            self,
            Self::Unauthorized(_) | Self::Refused { status: 403, .. }
        ) || ENDS.iter().any(|name| self.is(name))
    }

    /// Whether the agent's own credential was taken away. Agent: `Agent.cs`.
    pub(crate) fn token_revoked(&self) -> bool {
        self.is("TaskAgentAccessTokenExpiredException")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let gone = br#"{"typeKey":"TaskAgentNotFoundException","message":"No agent 3."}"#;
        for (status, body, words, ends) in [
            (200, &b""[..], "", false),
            (202, b"", "", false),
            (
                203,
                b"<html>",
                "VS30063: You are not authorized to access http://a/x.",
                true,
            ),
            (
                302,
                b"",
                "VS30063: You are not authorized to access http://a/x.",
                true,
            ),
            (
                401,
                b"",
                "VS30063: You are not authorized to access http://a/x.",
                true,
            ),
            (
                403,
                b"{}",
                "The server answered 403 Forbidden to http://a/x.",
                true,
            ),
            (404, gone, "No agent 3.", true),
            (
                404,
                b"",
                "The server answered 404 Not Found to http://a/x.",
                false,
            ),
            (
                500,
                b"<html>",
                "The server answered 500 Internal Server Error to http://a/x.",
                false,
            ),
        ] {
            let url = Url::parse("http://a/x?lockToken=secret").unwrap();
            let refusal = refusal(StatusCode::from_u16(status).unwrap(), body, &url);
            let said = refusal.as_ref().map_or(String::new(), ToString::to_string);
            assert_eq!(said, words, "{status}");
            assert_eq!(
                refusal.is_some_and(|error| error.ends_listening()),
                ends,
                "{status}"
            );
        }
    }
}
