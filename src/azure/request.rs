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
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue},
};

use super::{
    ClientError, ClientSettings,
    answer::{self, Asked, Refusal, text_of},
    connect::{self, Dress, Way, causes},
    credential::{Credential, Hidden, Signature},
    pause,
    record::Record,
};
use crate::{
    domain::organization::OrganizationUrl,
    ports::{ReadError, Right},
};

/// Azure DevOps: every write names the version of the API that it means; reads
/// do without.
const API_VERSION: (&str, &str) = ("api-version", "7.1");

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

/// One request of `{organization}/_apis/distributedtask/{path}?{query}`.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) act: Act<'a>,
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// The pool whose own address that is.
    pub(super) pool: Option<&'a str>,
}

/// What is to be done there.
#[derive(Clone, Copy)]
pub(super) enum Act<'a> {
    Read,
    /// To be there, as this JSON says.
    Add(&'a str),
    /// To become what this JSON says.
    Change(&'a str),
    /// To be this JSON, and nothing of what it was.
    Replace(&'a str),
    Remove,
}

/// Why a request was not answered as it should be.
pub(super) struct Refused {
    pub(super) error: ReadError,
    /// The service's own name for it, where it has an error body.
    pub(super) type_key: Option<Box<str>>,
}

/// A good answer, with its body still to come: JSON with status 200, or of a
/// removal anything that says it is done.
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

    /// The way by which these requests go, for another dress.
    pub(super) fn way_for(&self, dress: Dress) -> Result<Way, ClientError> {
        self.way.beside(dress)
    }

    /// What a request to any address is signed with: nothing, unless it is the
    /// organization's own, by scheme, host and port.
    pub(super) async fn sign_for(
        &self,
        url: &Url,
        record: &mut Record,
    ) -> Result<Option<Signature>, ReadError> {
        let own = Url::parse(self.organization.as_str());
        let signature = match own {
            Ok(own) if own.origin() == url.origin() => Some(self.credential.sign().await?),
            _ => None,
        };
        record.note(signature.as_ref(), self.login.as_ref());
        Ok(signature)
    }

    /// Reads what is at an address.
    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        pool: Option<&str>,
        record: &mut Record,
    ) -> Result<Answer, ReadError> {
        let ask = Ask {
            act: Act::Read,
            path,
            query,
            pool,
        };
        self.ask(ask, record).await.map_err(|refused| refused.error)
    }

    /// Asks. A signature that the service does not know is replaced once, where
    /// the credential has another: nothing was done for it yet.
    pub(super) async fn ask(&self, ask: Ask<'_>, record: &mut Record) -> Result<Answer, Refused> {
        let url = self.address(&ask)?;
        let signature = self.credential.sign().await?;
        let refused = match self.send(&ask, &url, &signature, record).await {
            Err(refused) if refused.is_of_the_credential() => refused,
            other => return other,
        };
        match self.credential.replace(&signature).await {
            Some(other) => {
                let again = self.send(&ask, &url, &other, record).await;
                again.map_err(|refused| refused.by(&other))
            }
            None => Err(refused.by(&signature)),
        }
    }

    async fn send(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        signature: &Signature,
        record: &mut Record,
    ) -> Result<Answer, Refused> {
        record.note(Some(signature), self.login.as_ref());
        let request = ask.act.request(&self.way.client(), url.clone());
        let sent = signature.apply(request).send().await;
        let response = sent.map_err(|error| self.limits.not_reached(&error))?;
        record.pause = pause::pause(response.status(), response.headers(), SystemTime::now());
        record.answered = true;
        record.limit_left = pause::limit_left(response.headers());
        if ask.act.is_good(&response) {
            return Ok(Answer {
                continuation: continuation(response.headers()),
                response,
                limits: self.limits,
            });
        }
        let asked = Asked {
            url,
            pool: ask.pool,
            right: ask.act.right(),
        };
        Err(refusal(response, asked).await)
    }

    /// The address, percent-encoded. Azure DevOps: a raw space is a 400, so a
    /// space is `%20` and not the `+` of HTML forms.
    fn address(&self, ask: &Ask<'_>) -> Result<Url, ReadError> {
        let mut text = format!("{}/_apis/distributedtask/{}", self.organization, ask.path);
        let query = ask.query.iter().chain(ask.act.version());
        for (index, (name, value)) in query.enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            text.extend([name, "=", &encoded.replace('+', "%20")]);
        }
        Url::parse(&text).map_err(|error| ReadError::Unreachable {
            cause: format!("the address {text:?} is none: {error}").into(),
        })
    }
}

// === impl Act ===

impl Act<'_> {
    fn request(self, client: &reqwest::Client, url: Url) -> reqwest::RequestBuilder {
        match self {
            Self::Read => client.get(url),
            Self::Add(json) => with_json(client.post(url), json),
            Self::Change(json) => with_json(client.patch(url), json),
            Self::Replace(json) => with_json(client.put(url), json),
            Self::Remove => client.delete(url),
        }
    }

    fn is_good(self, response: &Response) -> bool {
        let (status, headers) = (response.status(), response.headers());
        match self {
            Self::Remove => answer::is_done(status, headers),
            _ => answer::is_good(status, headers),
        }
    }

    const fn right(self) -> Right {
        match self {
            Self::Read => Right::Read,
            _ => Right::Manage,
        }
    }

    const fn version(self) -> Option<&'static (&'static str, &'static str)> {
        match self {
            Self::Read => None,
            _ => Some(&API_VERSION),
        }
    }
}

fn with_json(request: reqwest::RequestBuilder, json: &str) -> reqwest::RequestBuilder {
    let request = request.header(CONTENT_TYPE, "application/json");
    request.body(json.to_owned())
}

// === impl Refused ===

impl Refused {
    const fn is_of_the_credential(&self) -> bool {
        matches!(
            self.error,
            ReadError::CredentialRejected { .. } | ReadError::CredentialExpired
        )
    }

    /// In words that fit what was shown.
    fn by(self, signature: &Signature) -> Self {
        Self {
            error: signature.refused(self.error),
            ..self
        }
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        Self {
            error,
            type_key: None,
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
async fn refusal(mut response: Response, asked: Asked<'_>) -> Refused {
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
    Refused {
        error: refusal.error(),
        type_key: refusal.type_key(),
    }
}

/// ASSUMPTION(continuation-token): that job requests come in pages is written
/// nowhere; other lists of Azure DevOps tell the next page by this header.
fn continuation(headers: &HeaderMap) -> Option<Box<str>> {
    let token = text_of(headers, "x-ms-continuationtoken")?.trim();
    (!token.is_empty()).then(|| token.into())
}
