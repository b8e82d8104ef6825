//! Exchanges: a proof of identity for a token, at an authority.
//!
//! May import: its siblings, config, ports. Invariants: what proves the identity
//! is read at each exchange and goes to the authority alone, since redirects are
//! never followed; no answer is believed that does not tell how long its token
//! lives; no message holds a proof or a token.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, de};

use super::{Hidden, TokenFile, shown};
use crate::{
    azure::{
        ClientError, USER_AGENT, answer,
        connect::{self, Way, causes},
        pause,
    },
    config::{Application, ConnectionSettings, IdentityConfig, IdentityEndpoint, SecretSource},
    ports::{ReadError, Tokens as _},
};

/// How long an authority may want to be left alone. A refusal may be the page of
/// whatever lies between, and that must not stop everything for an hour.
const fn longest_pause(status: StatusCode) -> Duration {
    Duration::from_secs(match status {
        StatusCode::TOO_MANY_REQUESTS => 600,
        _ => 60,
    })
}

/// Azure DevOps: its application in Entra ID, the same in every cloud.
const AZURE_DEVOPS: &str = "499b84ac-1321-427f-aa17-267ca6975798";

/// Entra ID: what a token is, that Kubernetes or another issuer has signed.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An answer with a token is a few kilobytes long.
const ANSWER_CAP: u64 = 256 << 10;

/// No token is kept longer, whatever is said. Entra ID: a managed identity's
/// lives up to 24 h.
const LONGEST_LIFE: Duration = Duration::from_secs(48 * 3600);

const NO_TOKEN: &str =
    "its answer is no token, though its status is 200; is there a proxy between?";

/// How tokens are had for one identity.
pub(super) struct Exchange {
    way: Way,
    identity: IdentityConfig,
    /// For messages.
    authority: Box<str>,
    /// What the proxy is shown.
    login: Option<Hidden>,
}

/// What an exchange brings.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) token: SecretString,
    /// From the answer on.
    pub(super) lives: Duration,
}

/// Why it brought nothing, and how long the authority wants to be left alone.
pub(super) struct Failure {
    pub(super) error: ReadError,
    pub(super) pause: Option<Duration>,
}

/// What is sent: where, with which form or header, and what of it is secret.
struct Asked {
    request: reqwest::RequestBuilder,
    secrets: Vec<SecretString>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<f64>,
    #[serde(default, deserialize_with = "seconds")]
    expires_on: Option<f64>,
}

/// Entra ID says `error` and `error_description`, a platform `message`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorAnswer {
    error: Option<serde_json::Value>,
    error_description: Option<String>,
    message: Option<String>,
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn new(
        identity: &IdentityConfig,
        settings: &ConnectionSettings,
    ) -> Result<Self, ClientError> {
        let way = match identity {
            // A machine's own endpoint is never behind a proxy.
            IdentityConfig::Managed { .. } => Way::new(
                ConnectionSettings::default(),
                Box::new(|builder| builder.user_agent(USER_AGENT).no_proxy()),
            )?,
            _ => Way::new(
                settings.clone(),
                Box::new(|builder| builder.user_agent(USER_AGENT)),
            )?,
        };
        Ok(Self {
            way,
            authority: shown(host(identity), &[]),
            identity: identity.clone(),
            login: connect::login(settings),
        })
    }

    /// Asks once.
    pub(super) async fn run(&self) -> Result<Given, Failure> {
        let asked = self.asked().await.map_err(Failure::plain)?;
        let secrets = asked.secrets.iter().map(Hidden::plain);
        let secrets: Vec<Hidden> = secrets.chain(self.login.clone()).collect();
        let failed = |detail: &str| {
            Failure::plain(ReadError::AuthorityFailed {
                authority: self.authority.clone(),
                detail: shown(detail, &secrets),
            })
        };
        let sent = asked.request.header(ACCEPT, "application/json").send();
        let response = sent.await.map_err(|error| failed(&unreached(&error)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = body(response).await.map_err(|what| failed(&what))?;
        if status == StatusCode::OK && !answer::is_good(status, &headers) {
            return Err(failed(NO_TOKEN));
        }
        if status != StatusCode::OK {
            let words = words(&body);
            let pause = pause::pause(status, &headers, std::time::SystemTime::now());
            let pause = pause.map(|pause| pause.min(longest_pause(status)));
            let detail = format!("status {}{words}", status.as_u16());
            return Err(Failure {
                pause,
                ..failed(&detail)
            });
        }
        given(&body, Timestamp::now()).map_err(failed)
    }

    async fn asked(&self) -> Result<Asked, ReadError> {
        match &self.identity {
            IdentityConfig::Workload {
                application,
                token_file,
            } => {
                let assertion = TokenFile::new(token_file).token().await?;
                let proof = [
                    ("client_assertion_type", ASSERTION_TYPE),
                    ("client_assertion", assertion.expose_secret()),
                ];
                Ok(self.form(application, &proof, &assertion))
            }
            IdentityConfig::Secret {
                application,
                secret,
            } => {
                let secret = match secret {
                    SecretSource::Fixed(secret) => secret.clone(),
                    SecretSource::File(path) => TokenFile::new(path).token().await?,
                };
                let proof = [("client_secret", secret.expose_secret())];
                Ok(self.form(application, &proof, &secret))
            }
            IdentityConfig::Managed {
                client_id,
                endpoint,
            } => Ok(self.managed(client_id.as_deref(), endpoint)),
        }
    }

    /// Entra ID: the client credentials grant of its second version.
    fn form(
        &self,
        application: &Application,
        proof: &[(&str, &str)],
        secret: &SecretString,
    ) -> Asked {
        let scope = format!("{AZURE_DEVOPS}/.default");
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &application.client_id);
        form.append_pair("scope", &scope);
        form.extend_pairs(proof);
        let url = below(
            &application.authority,
            &format!("{}/oauth2/v2.0/token", application.tenant_id),
        );
        let kind = "application/x-www-form-urlencoded";
        let request = self.way.client().request(Method::POST, url);
        Asked {
            request: request.header(CONTENT_TYPE, kind).body(form.finish()),
            secrets: vec![secret.clone()],
        }
    }

    /// Azure: the metadata service of a machine, or what a platform has in its
    /// place.
    fn managed(&self, client_id: Option<&str>, endpoint: &IdentityEndpoint) -> Asked {
        let (mut url, version) = match endpoint {
            IdentityEndpoint::Metadata(base) => {
                (below(base, "metadata/identity/oauth2/token"), "2018-02-01")
            }
            IdentityEndpoint::Platform { url, .. } => (url.clone(), "2019-08-01"),
        };
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", AZURE_DEVOPS)
            .extend_pairs(client_id.map(|id| ("client_id", id)));
        let request = self.way.client().request(Method::GET, url);
        match endpoint {
            IdentityEndpoint::Metadata(_) => Asked {
                request: request.header("metadata", "true"),
                secrets: Vec::new(),
            },
            IdentityEndpoint::Platform { header, .. } => {
                let value = HeaderValue::from_str(header.expose_secret());
                let value = value.map(|mut value| {
                    value.set_sensitive(true);
                    value
                });
                Asked {
                    // The configuration has checked that it can be sent.
                    request: request.header(
                        "x-identity-header",
                        value.unwrap_or(HeaderValue::from_static("")),
                    ),
                    secrets: vec![header.clone()],
                }
            }
        }
    }
}

// === impl Failure ===

impl Failure {
    const fn plain(error: ReadError) -> Self {
        Self { error, pause: None }
    }
}

/// The address of this path below a base, which may or may not end in a slash.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let base = base.path().trim_end_matches('/');
    url.set_path(&format!("{base}/{path}"));
    url
}

fn host(identity: &IdentityConfig) -> &str {
    let url = match identity {
        IdentityConfig::Workload { application, .. }
        | IdentityConfig::Secret { application, .. } => &application.authority,
        IdentityConfig::Managed { endpoint, .. } => match endpoint {
            IdentityEndpoint::Metadata(url) | IdentityEndpoint::Platform { url, .. } => url,
        },
    };
    url.host_str().unwrap_or("the authority")
}

fn unreached(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    format!("cannot be reached ({})", causes(error))
}

async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(unreached(&error)),
        }
        if body.len() as u64 > ANSWER_CAP {
            return Err(format!("its answer is longer than {ANSWER_CAP} bytes"));
        }
    }
}

/// The code and the first words of a refusal. Entra ID: what follows them are
/// numbers by which its operators find the request.
fn words(body: &[u8]) -> String {
    let answer: ErrorAnswer = serde_json::from_slice(body).unwrap_or_default();
    let code = answer.error.as_ref().and_then(serde_json::Value::as_str);
    let words = answer.error_description.or(answer.message);
    let words = words.as_deref().map(|words| {
        let ends = ["\r", "\n", " Trace ID:"].map(|end| words.find(end).unwrap_or(words.len()));
        &words[..ends.into_iter().min().unwrap_or(words.len())]
    });
    let both = [code, words];
    let both: Vec<&str> = both.into_iter().flatten().collect();
    if both.is_empty() {
        return String::new();
    }
    format!(", {}", both.join(": "))
}

/// Reads a token. Entra ID: `expires_in` is a number, a metadata service's a
/// text; a platform gives `expires_on` alone, in seconds since 1970.
fn given(body: &[u8], now: Timestamp) -> Result<Given, &'static str> {
    let answer: TokenAnswer = serde_json::from_slice(body).map_err(|_| NO_TOKEN)?;
    let token = SecretString::from(answer.access_token);
    let text = token.expose_secret();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its token cannot be sent in a header");
    }
    let until = |on: f64| on - now.as_duration().as_secs_f64();
    let lives = answer.expires_in.or_else(|| answer.expires_on.map(until));
    let lives = lives.ok_or("its answer does not tell how long the token lives")?;
    let lives = Duration::try_from_secs_f64(lives).unwrap_or(Duration::ZERO);
    if lives.is_zero() {
        return Err("its token has ended already; are both clocks right?");
    }
    Ok(Given {
        token,
        lives: lives.min(LONGEST_LIFE),
    })
}

/// A number of seconds, as a number or as a text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(f64),
        Text(String),
    }
    match Option::<Either>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Text(text)) => {
            let number = text.trim().parse().map(Some);
            number.map_err(|_| de::Error::custom("no number of seconds"))
        }
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
