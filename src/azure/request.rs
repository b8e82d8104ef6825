//! Requests: the one way by which this program asks Azure DevOps.
//!
//! May import: ports, domain. Invariants: the credential goes to the
//! organization's own host and nowhere else, since redirects are never
//! followed; no body is read beyond its cap, counted after decompression. How
//! many are under way at once is for those who ask to decide.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::{
    Response, Url,
    header::{ACCEPT, HeaderMap, HeaderValue},
};

use super::{
    ClientError, ClientSettings,
    answer::{self, Asked, Refusal, shorten, text_of},
    connect::{self, Way, causes},
    credential::{Credential, Hidden, Signature},
};
use crate::{domain::organization::OrganizationUrl, ports::ReadError};

/// Of an error's body no more than this many bytes are read.
const ERROR_CAP: u64 = 64 << 10;

/// Sends requests to one organization with one credential.
pub(super) struct Requests {
    way: Way,
    organization: OrganizationUrl,
    credential: Credential,
    /// What the proxy is shown.
    login: Option<Hidden>,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits {
    request: Duration,
    connect: Duration,
}

/// What one reading has shown to the service, and was told by it.
#[derive(Default)]
pub(super) struct Record {
    /// How long the service wants to be left alone.
    pub(super) pause: Option<Duration>,
    /// Was there any answer?
    pub(super) answered: bool,
    /// What the latest answer says that is left of the limit.
    pub(super) limit_left: Option<f64>,
    shown: Vec<Signature>,
    login: Option<Hidden>,
}

/// An answer of status 200 that says it is JSON, with its body still to come.
pub(super) struct Answer {
    response: Response,
    /// For the next page, where there is one.
    pub(super) continuation: Option<Box<str>>,
    limits: Limits,
}

/// Counts the bytes of a body, or of the pages of one list, against their cap.
pub(super) struct Budget {
    cap: u64,
    left: u64,
}

// === impl Requests ===

impl Requests {
    pub(super) fn new(settings: ClientSettings) -> Result<Self, ClientError> {
        let user_agent = HeaderValue::from_str(&settings.user_agent);
        let user_agent = user_agent.map_err(|_| ClientError::UserAgent)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // Azure DevOps: asks for an error in place of a way to the sign-in page.
        let suppress = HeaderValue::from_static("Suppress");
        headers.insert("x-tfs-fedauthredirect", suppress);
        let dress = move |builder: reqwest::ClientBuilder| {
            let builder = builder.user_agent(user_agent.clone());
            builder.default_headers(headers.clone())
        };
        let way = Way::new(settings.connection(), Box::new(dress))?;
        let login = connect::login(&settings.connection());
        Ok(Self {
            way,
            login,
            organization: settings.organization,
            credential: settings.credential,
            limits: Limits {
                request: settings.request_timeout,
                connect: settings.connect_timeout,
            },
        })
    }

    /// Asks for `{organization}/_apis/distributedtask/{path}?{query}`. `pool`
    /// is the pool whose own address that is. A signature that the service does
    /// not know is replaced once, where the credential has another.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        pool: Option<&str>,
        record: &mut Record,
    ) -> Result<Answer, ReadError> {
        let url = self.address(path, query)?;
        let asked = Asked { url: &url, pool };
        let signature = self.credential.sign().await?;
        let refused = match self.send(asked, &signature, record).await {
            Err(
                refused @ (ReadError::CredentialRejected { .. } | ReadError::CredentialExpired),
            ) => refused,
            other => return other,
        };
        match self.credential.replace(&signature).await {
            Some(other) => {
                let again = self.send(asked, &other, record).await;
                again.map_err(|error| other.refused(error))
            }
            None => Err(signature.refused(refused)),
        }
    }

    async fn send(
        &self,
        asked: Asked<'_>,
        signature: &Signature,
        record: &mut Record,
    ) -> Result<Answer, ReadError> {
        record.note(signature);
        record.login.clone_from(&self.login);
        let request = signature.apply(self.way.client().get(asked.url.clone()));
        let sent = request.send().await;
        let response = sent.map_err(|error| self.limits.not_reached(&error))?;
        record.pause = answer::pause(response.status(), response.headers(), SystemTime::now());
        record.answered = true;
        record.limit_left = answer::limit_left(response.headers());
        if answer::is_good(response.status(), response.headers()) {
            return Ok(Answer {
                continuation: continuation(response.headers()),
                response,
                limits: self.limits,
            });
        }
        Err(refusal(response, asked).await)
    }

    /// The address, percent-encoded. Azure DevOps: a raw space is a 400, so a
    /// space is `%20` and not the `+` of HTML forms.
    fn address(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, ReadError> {
        let mut text = format!("{}/_apis/distributedtask/{path}", self.organization);
        for (index, (name, value)) in query.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            text.extend([name, "=", &encoded.replace('+', "%20")]);
        }
        Url::parse(&text).map_err(|error| ReadError::Unreachable {
            cause: format!("the address {text:?} is none: {error}").into(),
        })
    }
}

// === impl Record ===

impl Record {
    fn note(&mut self, signature: &Signature) {
        // The pages of one list are signed alike most often.
        if !self.shown.last().is_some_and(|last| last.is(signature)) {
            self.shown.push(signature.clone());
        }
    }

    /// An error without any token that was shown, whoever may have repeated it:
    /// a proxy's page, a redirect, a member of a wrong type. Shortened after that, so
    /// that no half of a token is left.
    pub(super) fn hidden(&self, error: ReadError) -> ReadError {
        let hide = |text: Box<str>| {
            let each = self.shown.iter();
            let text = each.fold(text, |text, signature| signature.hide(&text));
            match &self.login {
                Some(login) => shorten(&login.hide(&text)),
                None => shorten(&text),
            }
        };
        match error {
            ReadError::Forbidden { message } => ReadError::Forbidden {
                message: hide(message),
            },
            ReadError::Status { status, message } => ReadError::Status {
                status,
                message: hide(message),
            },
            ReadError::Redirected { host } => ReadError::Redirected { host: hide(host) },
            ReadError::NotJson { content_type } => ReadError::NotJson {
                content_type: hide(content_type),
            },
            ReadError::UnknownShape { detail } => ReadError::UnknownShape {
                detail: hide(detail),
            },
            ReadError::Unreachable { cause } => ReadError::Unreachable { cause: hide(cause) },
            ReadError::Cut { cause } => ReadError::Cut { cause: hide(cause) },
            ReadError::QueueId { queue, pool, name } => ReadError::QueueId {
                queue,
                pool,
                name: hide(name),
            },
            // The others hold numbers, and words of our own or the trigger's;
            // or those of an authority, which hides what it was shown.
            other => other,
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The next chunk of the body; `None` at its end.
    pub(super) async fn chunk(&mut self, budget: &mut Budget) -> Result<Option<Bytes>, ReadError> {
        let chunk = self.response.chunk().await;
        let chunk = chunk.map_err(|error| self.limits.cut(&error))?;
        if let Some(chunk) = &chunk {
            budget.spend(chunk)?;
        }
        Ok(chunk)
    }

    /// The whole body, for answers that are known to be short.
    pub(super) async fn whole(mut self, cap: u64) -> Result<Vec<u8>, ReadError> {
        let mut budget = Budget::new(cap);
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(&mut budget).await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

// === impl Budget ===

impl Budget {
    pub(super) const fn new(cap: u64) -> Self {
        Self { cap, left: cap }
    }

    fn spend(&mut self, chunk: &[u8]) -> Result<(), ReadError> {
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let left = self.left.checked_sub(length);
        self.left = left.ok_or(ReadError::TooLarge { cap: self.cap })?;
        Ok(())
    }
}

// === impl Limits ===

impl Limits {
    fn not_reached(&self, error: &reqwest::Error) -> ReadError {
        if error.is_timeout() {
            let connecting = error.is_connect();
            let limit = if connecting {
                self.connect
            } else {
                self.request
            };
            return ReadError::TimedOut { limit };
        }
        ReadError::Unreachable {
            cause: causes(error).into(),
        }
    }

    fn cut(&self, error: &reqwest::Error) -> ReadError {
        if error.is_timeout() {
            return ReadError::TimedOut {
                limit: self.request,
            };
        }
        ReadError::Cut {
            cause: causes(error).into(),
        }
    }
}

/// What an answer means that is not the one that was asked for.
async fn refusal(mut response: Response, asked: Asked<'_>) -> ReadError {
    let mut body = Vec::new();
    if answer::has_words(response.status()) {
        // Half an error's body is as good as none: its status stands.
        let mut budget = Budget::new(ERROR_CAP);
        while let Ok(Some(chunk)) = response.chunk().await {
            if budget.spend(&chunk).is_err() {
                break;
            }
            body.extend_from_slice(&chunk);
        }
    }
    let refusal = Refusal {
        asked,
        status: response.status(),
        headers: response.headers(),
        body: &String::from_utf8_lossy(&body),
    };
    refusal.error()
}

/// ASSUMPTION(continuation-token): that job requests come in pages is written
/// nowhere; other lists of Azure DevOps tell the next page by this header.
fn continuation(headers: &HeaderMap) -> Option<Box<str>> {
    let token = text_of(headers, "x-ms-continuationtoken")?.trim();
    (!token.is_empty()).then(|| token.into())
}
