//! Faults: the wrong answers that Azure DevOps and what lies before it give.
//!
//! May import: the wire's error body, the shared state. Invariant: a fault answers exactly what
//! its name says, for as many requests as were ordered, and a body without end
//! ends with the client or with the emulator.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use jiff::Timestamp;

use super::{
    state::{Shared, Stop},
    wire,
};

/// How wrong an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 401 and `TF400813`.
    Unauthorized,
    /// 401 with the header that tells of an expired token.
    ExpiredToken,
    /// 403: the token lacks a permission.
    Forbidden,
    /// 203 and the HTML of a sign-in page.
    SignInPage,
    /// 302 to another host's sign-in page.
    Redirect,
    /// 429 with `Retry-After`.
    TooManyRequests,
    /// The right answer, with `Retry-After` and the rate-limit headers.
    SlowDown,
    /// 500.
    ServerError,
    /// 503.
    Unavailable,
    /// Takes the request and never answers.
    Hang,
    /// 200, then a byte now and then, without end.
    SlowBody,
    /// 200 with more bytes announced than come before the connection closes.
    CutBody,
    /// 200 and job requests without end.
    HugeBody,
    /// 200 and a page of HTML.
    Html,
    /// 200 and JSON of a shape that nobody knows.
    UnknownShape,
    /// 200 and a list of nothing, whatever was asked.
    EmptyList,
    /// 302 to another host, which is no sign-in page.
    Elsewhere,
    /// 404 and a page of HTML, as an unknown organization gets.
    NoOrganization,
    /// 404 and the error body of a pool that is not there.
    PoolGone,
}

/// An order for wrong answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// For how many requests; `None` until it is lifted.
    pub count: Option<u32>,
    /// Only for requests whose path contains this.
    pub route: Option<Box<str>>,
    /// Only for requests of this method, such as `DELETE`.
    pub method: Option<Box<str>>,
    /// The request is done all the same, and only its answer is wrong: a client
    /// does not know then what came of it.
    pub done: bool,
    /// What `Retry-After` says, in seconds.
    pub retry_after: u32,
}

// === impl FaultKind ===

impl FaultKind {
    /// Every kind, under its name.
    pub const ALL: [(&str, FaultKind); 19] = [
        ("unauthorized", Self::Unauthorized),
        ("expired-token", Self::ExpiredToken),
        ("forbidden", Self::Forbidden),
        ("sign-in-page", Self::SignInPage),
        ("redirect", Self::Redirect),
        ("too-many-requests", Self::TooManyRequests),
        ("slow-down", Self::SlowDown),
        ("server-error", Self::ServerError),
        ("unavailable", Self::Unavailable),
        ("hang", Self::Hang),
        ("slow-body", Self::SlowBody),
        ("cut-body", Self::CutBody),
        ("huge-body", Self::HugeBody),
        ("html", Self::Html),
        ("unknown-shape", Self::UnknownShape),
        ("empty-list", Self::EmptyList),
        ("elsewhere", Self::Elsewhere),
        ("no-organization", Self::NoOrganization),
        ("pool-gone", Self::PoolGone),
    ];

    /// Reads a kind's name.
    ///
    /// # Errors
    /// Says which kinds there are, the nearest one first.
    pub fn parse(name: &str) -> Result<Self, String> {
        if let Some((_, kind)) = Self::ALL.iter().find(|(known, _)| *known == name) {
            return Ok(*kind);
        }
        let mut names = Self::ALL.map(|(known, _)| known);
        names.sort_by(|a, b| {
            let near = |known| strsim::jaro_winkler(known, name);
            near(b).total_cmp(&near(a))
        });
        let (nearest, all) = (names[0], names.join(", "));
        Err(format!(
            "kind is {name:?}, which is no fault; did you mean {nearest:?}? there are: {all}"
        ))
    }
}

// === impl Fault ===

impl Fault {
    /// This fault for every request, until it is lifted.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            count: None,
            route: None,
            method: None,
            done: false,
            retry_after: 2,
        }
    }

    /// Takes one request from the order; `None` where it is not meant.
    pub(super) fn take(order: &mut Option<Self>, method: &Method, path: &str) -> Option<Self> {
        let fault = order.as_mut()?;
        let (route, only) = (&fault.route, &fault.method);
        let elsewhere = route.as_ref().is_some_and(|route| !path.contains(&**route));
        let otherwise = |only: &str| !only.eq_ignore_ascii_case(method.as_str());
        if elsewhere || only.as_deref().is_some_and(otherwise) {
            return None;
        }
        let taken = fault.clone();
        if let Some(left) = &mut fault.count {
            *left = left.saturating_sub(1);
            if *left == 0 {
                *order = None;
            }
        }
        Some(taken)
    }

    /// The wrong answer; `None` where the right one goes out, with
    /// [`Fault::rate_limit`] on it.
    pub(super) async fn answer(&self, shared: &Shared) -> Option<Response> {
        let mut stop = shared.stop_signal();
        Some(match self.kind {
            FaultKind::SlowDown => return None,
            FaultKind::Unauthorized => wire::unauthorized(),
            FaultKind::ExpiredToken => expired_token(),
            FaultKind::Forbidden => wire::error(
                StatusCode::FORBIDDEN,
                "AccessDeniedException",
                "Access denied. Build Bot needs View permissions for the pool to perform the \
                 action. For more information, contact the Azure DevOps Server administrator.",
            ),
            FaultKind::SignInPage => sign_in_page(),
            FaultKind::Redirect => redirect(),
            FaultKind::Elsewhere => moved("https://elsewhere.example/contoso"),
            FaultKind::NoOrganization => html(StatusCode::NOT_FOUND, NO_ORGANIZATION),
            FaultKind::PoolGone => wire::error(
                StatusCode::NOT_FOUND,
                "TaskAgentPoolNotFoundException",
                "No agent pool found with identifier 27.",
            ),
            FaultKind::TooManyRequests => {
                let mut answer = wire::error(
                    StatusCode::TOO_MANY_REQUESTS,
                    "RequestBlockedException",
                    "TF400733: The request has been canceled: Request was blocked due to \
                     exceeding usage of resource Concurrency in namespace emulator.",
                );
                self.rate_limit(answer.headers_mut(), shared.clock.now());
                answer
            }
            FaultKind::ServerError => wire::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "VssServiceException",
                "TF246021: An error occurred while processing your request.",
            ),
            FaultKind::Unavailable => html(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE),
            FaultKind::Hang => {
                stop.stopped().await;
                html(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE)
            }
            FaultKind::SlowBody => slow_body(stop),
            FaultKind::CutBody => cut_body(),
            FaultKind::HugeBody => huge_body(stop),
            FaultKind::Html => html(StatusCode::OK, "<!DOCTYPE html><title>A portal</title>"),
            FaultKind::UnknownShape => json(r#"{"items":[]}"#),
            FaultKind::EmptyList => json(r#"{"count":0,"value":[]}"#),
        })
    }

    /// Azure DevOps: `Retry-After` may come on a 200, and the `X-RateLimit`
    /// headers are there only when a request was delayed or blocked.
    pub(super) fn rate_limit(&self, headers: &mut HeaderMap, now: Timestamp) {
        headers.insert(header::RETRY_AFTER, self.retry_after.into());
        let reset = now.as_second() + i64::from(self.retry_after);
        headers.insert("x-ratelimit-reset", reset.into());
        for (name, value) in [
            ("x-ratelimit-resource", "Concurrency"),
            ("x-ratelimit-delay", "1.25"),
            ("x-ratelimit-limit", "200"),
            ("x-ratelimit-remaining", "0"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// ASSUMPTION(fault-bodies): 503 comes as a page of HTML, 500 and 429 as an error
/// body; of 429 only the words are known. Clients go by the status.
const UNAVAILABLE: &str = "<!DOCTYPE html><title>Service Unavailable</title>\
    <h2>Our services aren't available right now</h2>";

const NO_ORGANIZATION: &str = "<!DOCTYPE html><title>The resource cannot be found.</title>";

/// Azure DevOps: what a GET or POST with a malformed token gets.
pub(super) fn sign_in_page() -> Response {
    html(
        StatusCode::NON_AUTHORITATIVE_INFORMATION,
        "<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head>\
         <body><form action=\"/_signin\"></form></body></html>",
    )
}

/// Azure DevOps: what a token of the wrong tenant gets.
pub(super) fn redirect() -> Response {
    moved("https://spsprodweu1.vssps.visualstudio.com/_signin?realm=dev.azure.com")
}

fn moved(to: &'static str) -> Response {
    let mut answer = html(
        StatusCode::FOUND,
        "<html><head><title>Object moved</title></head><body><h2>Object moved</h2></body></html>",
    );
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static(to));
    answer
}

/// Azure DevOps: what an expired token gets.
fn expired_token() -> Response {
    let mut answer = wire::error(
        StatusCode::UNAUTHORIZED,
        "AccessCheckException",
        "Access Denied: The Personal Access Token used has expired.",
    );
    answer.headers_mut().insert(
        "x-tfs-serviceerror",
        HeaderValue::from_static(
            "Access%20Denied%3A%20The%20Personal%20Access%20Token%20used%20has%20expired.",
        ),
    );
    answer
}

fn html(status: StatusCode, text: &'static str) -> Response {
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    (status, [kind], text).into_response()
}

fn json(body: impl Into<Body>) -> Response {
    let mut answer = Response::new(body.into());
    let kind = HeaderValue::from_static(wire::JSON);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn slow_body(stop: Stop) -> Response {
    let start = stream::iter([Ok(Bytes::from_static(br#"{"count":1,"value":["#))]);
    let rest = stream::unfold(stop, |mut stop| async move {
        tokio::select! {
            () = stop.stopped() => None,
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), stop))
            }
        }
    });
    json(Body::from_stream(start.chain(rest)))
}

fn cut_body() -> Response {
    const SENT: &[u8] = br#"{"count":2,"value":[{"requestId":1,"queueTime":"2026-06-01T09:1"#;
    let sent = stream::iter([Ok(Bytes::from_static(SENT))]);
    // Lets the bytes go out before the error closes the connection.
    let closed = stream::once(async {
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    let mut answer = json(Body::from_stream(sent.chain(closed)));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_LENGTH, (SENT.len() + 4096).into());
    answer
}

fn huge_body(stop: Stop) -> Response {
    let start = stream::iter([Bytes::from_static(br#"{"count":1000000000,"value":["#)]);
    let rows = r#"{"requestId":1,"queueTime":"2026-06-01T09:15:02.89Z","demands":["java"],"poolId":27,"priority":0},"#;
    let rows = Bytes::from(rows.repeat(640));
    let rest = stream::repeat(rows).take_while(move |_| {
        let goes_on = !stop.is_stopped();
        async move { goes_on }
    });
    let body = start.chain(rest).map(Ok::<_, Infallible>);
    json(Body::from_stream(body))
}
