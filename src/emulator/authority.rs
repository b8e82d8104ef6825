//! An authority that gives out tokens, in the forms of Entra ID, of a machine's
//! metadata service and of a platform's endpoint; Azure's routes let its tokens in.
//!
//! May import: the shared state, the wire. Invariant: a token is good until its
//! end and for this emulator; memory is bounded, and what is asked otherwise
//! than the services want it is refused as they refuse it.
//!
//! - `POST /{tenant}/oauth2/v2.0/token`: a form, with a secret or an assertion.
//! - `GET /metadata/identity/oauth2/token`, with `Metadata: true`.
//! - `GET /msi/token`, with `X-IDENTITY-HEADER`.

use std::{collections::VecDeque, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    clock::later,
    state::{Shared, SharedState},
    wire,
};

/// Azure DevOps: its application in Entra ID.
const RESOURCE: &str = "499b84ac-1321-427f-aa17-267ca6975798";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// All its tokens begin so, so that one that has ended is known as its own.
const BEGINNING: &str = "eyJ0eXAiOiJKV1QifQ.ZW11bGF0b3I.";
/// Tokens that are remembered; older ones are no good any more.
const MOST_TOKENS: usize = 1000;

/// How wrong the authority's answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityFault {
    /// 401 and `AADSTS700016`.
    Refuse,
    /// 200 and a page of HTML.
    Garbage,
    /// Takes the request and never answers.
    Hang,
    /// 503.
    Unavailable,
}

/// Requests to the authority so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchanges {
    /// All of them.
    pub asked: u64,
    /// Those that a token was given for.
    pub given: u64,
}

/// What it remembers.
#[derive(Debug)]
pub(super) struct Authority {
    /// What becomes of the next requests; `None` for a token.
    pub(super) fault: Option<AuthorityFault>,
    /// How long tokens live that are given out from now on.
    pub(super) lifetime: Duration,
    pub(super) exchanges: Exchanges,
    tokens: VecDeque<(u64, Timestamp)>,
    next: u64,
}

/// A token, and when it ends.
struct Given {
    token: String,
    ends: Timestamp,
    lifetime: u64,
}

/// Why there is none: the status, `error`, the code and the words.
struct Refused(StatusCode, &'static str, u32, String);

// === impl AuthorityFault ===

impl AuthorityFault {
    /// Every one, under its name.
    pub const ALL: [(&str, AuthorityFault); 4] = [
        ("refuse", Self::Refuse),
        ("garbage", Self::Garbage),
        ("hang", Self::Hang),
        ("unavailable", Self::Unavailable),
    ];
}

// === impl Authority ===

impl Default for Authority {
    /// Entra ID: an application's token lives an hour, less a second.
    fn default() -> Self {
        Self {
            fault: None,
            lifetime: Duration::from_secs(3599),
            exchanges: Exchanges::default(),
            tokens: VecDeque::new(),
            next: 1,
        }
    }
}

impl Authority {
    fn give(&mut self, now: Timestamp) -> Given {
        let number = self.next;
        self.next += 1;
        self.exchanges.given += 1;
        if self.tokens.len() >= MOST_TOKENS {
            self.tokens.pop_front();
        }
        let ends = later(now, self.lifetime);
        self.tokens.push_back((number, ends));
        Given {
            token: format!("{BEGINNING}{number}"),
            ends,
            lifetime: self.lifetime.as_secs(),
        }
    }

    /// Is this a good token? `None` where it is none of the authority's.
    pub(super) fn judges(&self, token: &str, now: Timestamp) -> Option<bool> {
        let number = token.strip_prefix(BEGINNING)?.parse().ok();
        let mut known = self.tokens.iter();
        Some(known.any(|(known, ends)| Some(*known) == number && now < *ends))
    }
}

/// The authority's routes.
pub(super) fn routes() -> Router<SharedState> {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(entra))
        .route("/metadata/identity/oauth2/token", get(metadata))
        .route("/msi/token", get(platform))
}

async fn entra(State(shared): State<SharedState>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(wrong) = wrong(&shared).await {
        return wrong;
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    match grant(&headers, &form, shared.token().as_ref()) {
        Ok(()) => {
            let given = shared.authority().give(shared.clock.now());
            let answer = json!({
                "token_type": "Bearer", "expires_in": given.lifetime,
                "ext_expires_in": given.lifetime, "access_token": given.token,
            });
            wire::answer(StatusCode::OK, &answer)
        }
        Err(refused) => refused.into_response(),
    }
}

/// What Entra ID wants to see. ASSUMPTION(authority-texts): its codes are known,
/// and of its words only the beginnings.
fn grant(
    headers: &HeaderMap,
    form: &[(String, String)],
    wanted: Option<&SecretString>,
) -> Result<(), Refused> {
    let field = |name: &'static str| {
        let mut values = form.iter().filter(|(key, _)| key == name);
        let value = values.next().filter(|(_, value)| !value.is_empty());
        match (value, values.next()) {
            (Some((_, value)), None) => Ok(value.as_str()),
            _ => Err(Refused::request(
                900_144,
                format!("The request body must contain the following parameter: '{name}'."),
            )),
        }
    };
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if kind != Some("application/x-www-form-urlencoded") {
        let words = "The request body must be a form.".into();
        return Err(Refused::request(900_144, words));
    }
    if field("grant_type")? != "client_credentials" {
        let words = "The app requested an unsupported grant type.".into();
        return Err(Refused(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            70_003,
            words,
        ));
    }
    field("client_id")?;
    let scope = field("scope")?;
    if scope != format!("{RESOURCE}/.default") {
        let words = format!("The provided value for scope {scope} is not valid.");
        return Err(Refused(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            1_002_012,
            words,
        ));
    }
    if let Ok(secret) = field("client_secret") {
        if wanted.is_none_or(|wanted| wanted.expose_secret() == secret) {
            return Ok(());
        }
        let words = "Invalid client secret provided.".into();
        return Err(Refused::client(7_000_215, words));
    }
    if field("client_assertion_type")? != ASSERTION_TYPE {
        let words = "The client_assertion_type is not valid.".into();
        return Err(Refused::request(900_144, words));
    }
    let parts: Vec<&str> = field("client_assertion")?.split('.').collect();
    if parts.len() != 3 || parts.iter().any(|part| part.is_empty()) {
        return Err(Refused::client(
            50_027,
            "JWT token is invalid or malformed.".into(),
        ));
    }
    Ok(())
}

async fn metadata(
    State(shared): State<SharedState>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    if let Some(wrong) = wrong(&shared).await {
        return wrong;
    }
    if headers.get("metadata").is_none_or(|value| value != "true") {
        return refuse("Required metadata header not specified");
    }
    if let Some(refused) = misses(&query, "2018-02-01") {
        return refused;
    }
    let given = shared.authority().give(shared.clock.now());
    // Azure: its numbers are texts.
    let answer = json!({
        "access_token": given.token, "token_type": "Bearer", "resource": RESOURCE,
        "expires_in": given.lifetime.to_string(), "ext_expires_in": given.lifetime.to_string(),
        "expires_on": given.ends.as_second().to_string(),
    });
    wire::answer(StatusCode::OK, &answer)
}

async fn platform(
    State(shared): State<SharedState>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    if let Some(wrong) = wrong(&shared).await {
        return wrong;
    }
    if headers
        .get("x-identity-header")
        .is_none_or(|value| value.is_empty())
    {
        return refuse("X-IDENTITY-HEADER is missing");
    }
    if let Some(refused) = misses(&query, "2019-08-01") {
        return refused;
    }
    let given = shared.authority().give(shared.clock.now());
    // Azure: a platform tells the end, and not how long it is until then.
    let answer = json!({
        "access_token": given.token, "token_type": "Bearer", "resource": RESOURCE,
        "expires_on": given.ends.as_second().to_string(),
    });
    wire::answer(StatusCode::OK, &answer)
}

/// The answer to a query that lacks something.
fn misses(query: &[(String, String)], version: &str) -> Option<Response> {
    for (name, value) in [("api-version", version), ("resource", RESOURCE)] {
        let found = query.iter().find(|(key, _)| key == name);
        if found.is_none_or(|(_, found)| found != value) {
            return Some(refuse(&format!("{name} must be {value}")));
        }
    }
    None
}

fn refuse(words: &str) -> Response {
    let body = json!({"error": "invalid_request", "error_description": words});
    wire::answer(StatusCode::BAD_REQUEST, &body)
}

/// Counts the request, and answers wrongly where that was ordered.
async fn wrong(shared: &Shared) -> Option<Response> {
    let fault = {
        let mut authority = shared.authority();
        authority.exchanges.asked += 1;
        authority.fault?
    };
    let html = |status: StatusCode| {
        let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
        (status, [kind], "<!DOCTYPE html><title>A page</title>").into_response()
    };
    Some(match fault {
        AuthorityFault::Garbage => html(StatusCode::OK),
        AuthorityFault::Unavailable => html(StatusCode::SERVICE_UNAVAILABLE),
        AuthorityFault::Hang => {
            shared.stop_signal().stopped().await;
            html(StatusCode::SERVICE_UNAVAILABLE)
        }
        AuthorityFault::Refuse => {
            let words = "Application with identifier was not found in the directory.".into();
            Refused::client(700_016, words).into_response()
        }
    })
}

// === impl Refused ===

impl Refused {
    const fn request(code: u32, words: String) -> Self {
        Self(StatusCode::BAD_REQUEST, "invalid_request", code, words)
    }

    const fn client(code: u32, words: String) -> Self {
        Self(StatusCode::UNAUTHORIZED, "invalid_client", code, words)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(status, error, code, words) = self;
        let trace = "Trace ID: 00000000-0000-4000-8000-000000000001 \
            Correlation ID: 00000000-0000-4000-8000-000000000002 Timestamp: 2026-06-01 09:15:02Z";
        let body = json!({
            "error": error,
            "error_description": format!("AADSTS{code}: {words} {trace}"),
            "error_codes": [code],
        });
        wire::answer(status, &body)
    }
}
