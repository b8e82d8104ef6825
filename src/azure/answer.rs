//! Answers: what a status and its headers mean, before the body is read.
//!
//! May import: ports, domain. Invariants: everything here is a pure function
//! of the answer and the time; a text of the service goes on as it came, and is
//! shortened where secrets are taken out of it.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
};
use serde::Deserialize;

use super::wire::Text;
use crate::ports::ReadError;

/// The longest time that a refusal asks the watchers to wait.
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// The longest time that a good answer asks them to wait: beyond it the queue
/// would be older than any scaling can use.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Azure DevOps: before it blocks, it delays each request, by up to 30 s.
const USUAL_DELAY: Duration = Duration::from_secs(30);

/// The longest text of the service in an error, in characters.
const LONGEST_MESSAGE: usize = 200;

/// What was asked for, as far as it decides what an answer means.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) url: &'a Url,
    /// The pool whose own address was asked.
    pub(super) pool: Option<&'a str>,
}

/// An answer that is no list and no pool.
pub(super) struct Refusal<'a> {
    pub(super) asked: Asked<'a>,
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    /// The start of the body, as text.
    pub(super) body: &'a str,
}

/// The body of an error.
#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    message: Option<Text<'a>>,
}

/// Is this the answer that was asked for, to judge by its head?
pub(super) fn is_good(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK && is_json(headers)
}

/// Is the body of such an answer worth reading?
pub(super) fn has_words(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Codes that the service puts before its words, and what to do about each.
///
/// ASSUMPTION(sign-in-once): `TF401444` is what an identity gets that was added
/// to the organization and has never signed in there, with status 401 or 403.
const REMEDIES: [(&str, &str); 2] = [
    (
        "TF401444",
        "sign in to the organization once as this identity, in a browser or by any request of its own",
    ),
    (
        "TF400813",
        "use a valid token of this organization, of one of its users",
    ),
];

// === impl Refusal ===

impl Refusal<'_> {
    /// Tells apart what Azure DevOps and what stands before it may answer.
    pub(super) fn error(&self) -> ReadError {
        let status = self.status.as_u16();
        match status {
            // Azure DevOps: what a malformed token gets, with a page in HTML.
            203 => rejected("203 and a sign-in page"),
            300..=399 => self.redirect(),
            401 if self.speaks_of_expiry() => ReadError::CredentialExpired,
            401 => match self.remedy() {
                Some(remedy) => rejected(&format!("status 401; {remedy}")),
                None => rejected("status 401"),
            },
            403 => ReadError::Forbidden {
                message: match self.remedy() {
                    Some(remedy) => shorten(&format!("{remedy}; {}", self.message())),
                    None => self.message(),
                },
            },
            // ASSUMPTION(html-404): a 404 in HTML is the page of an unknown
            // organization or of a proxy, and says nothing about the pool.
            404 if !is_html(self.headers) && self.asked.pool.is_some() => ReadError::PoolNotFound {
                pool: self.asked.pool.unwrap_or_default().into(),
            },
            429 => ReadError::Throttled,
            500..=599 => ReadError::Server { status },
            200 => ReadError::NotJson {
                content_type: self.content_type(),
            },
            _ => ReadError::Status {
                status,
                message: self.message(),
            },
        }
    }

    fn redirect(&self) -> ReadError {
        let target = text_of(self.headers, LOCATION.as_str());
        let target = target.and_then(|target| self.asked.url.join(target).ok());
        let Some(target) = target else {
            return ReadError::Redirected {
                host: "an address that it does not name".into(),
            };
        };
        // Azure DevOps: an Entra token of the wrong tenant leads to
        // `…/_signin?realm=…`.
        let signs_in = |part: &str| part.eq_ignore_ascii_case("_signin");
        if target.path().split('/').any(signs_in) {
            return rejected(&format!("{} and the sign-in page", self.status.as_u16()));
        }
        ReadError::Redirected {
            host: target.host_str().unwrap_or("another address").into(),
        }
    }

    /// Azure DevOps: `X-TFS-ServiceError: Access%20Denied%3A%20The%20Personal
    /// %20Access%20Token%20used%20has%20expired.`, or the same in the body.
    fn speaks_of_expiry(&self) -> bool {
        let expired = |text: &str| text.to_ascii_lowercase().contains("expired");
        self.header_words().is_some_and(|words| expired(&words))
            || self.body_words().is_some_and(|words| expired(&words))
    }

    /// What to do about a code in the service's words.
    fn remedy(&self) -> Option<&'static str> {
        let words = [self.body_words(), self.header_words()];
        let known = |(code, _): &&(&str, &str)| {
            let mut words = words.iter().flatten();
            words.any(|words| words.contains(code))
        };
        REMEDIES.iter().find(known).map(|(_, remedy)| *remedy)
    }

    /// The service's own words: of the body, else of its header, else the
    /// status's name.
    fn message(&self) -> Box<str> {
        let usual = || self.status.canonical_reason().map(Into::into);
        let words = self.body_words().or_else(|| self.header_words());
        let words = words.filter(|words| !words.trim().is_empty());
        words.or_else(usual).unwrap_or_default().into()
    }

    fn body_words(&self) -> Option<String> {
        let body = self.body.trim_start_matches('\u{feff}');
        let body: ErrorBody<'_> = serde_json::from_str(body).ok()?;
        body.message.map(|message| message.to_string())
    }

    fn header_words(&self) -> Option<String> {
        let words = text_of(self.headers, "x-tfs-serviceerror")?;
        let mut pairs = url::form_urlencoded::parse(words.as_bytes());
        pairs.next().map(|(words, _)| words.into_owned())
    }

    fn content_type(&self) -> Box<str> {
        match text_of(self.headers, CONTENT_TYPE.as_str()) {
            Some(text) => text.into(),
            None => "a body without a content type".into(),
        }
    }
}

/// How long the service wants to be left alone, from an answer's head: the
/// longest wait in it, and never more than five minutes after a good answer or
/// an hour after another.
pub(super) fn pause(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let longest = longest_wait(headers, now)?;
    let most = if status.is_success() {
        LONGEST_PAUSE
    } else {
        LONGEST_RETRY
    };
    (!longest.is_zero()).then(|| longest.min(most))
}

/// The longest of the waits that an answer's headers ask for, good or not:
/// - `Retry-After`, as it stands;
/// - `X-RateLimit-Delay`: as long as this request was delayed;
/// - `X-RateLimit-Remaining` at 0: until `X-RateLimit-Reset`, or 30 s where
///   that is missing; below a tenth of `X-RateLimit-Limit`: a tenth of that.
///
/// Azure DevOps: the headers come only near the threshold.
fn longest_wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let number = |name| text_of(headers, name).and_then(|text| text.trim().parse::<f64>().ok());
    let delay = number("x-ratelimit-delay").and_then(seconds);
    let until_reset = number("x-ratelimit-reset").and_then(|reset| {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        seconds(reset - now.as_secs_f64())
    });
    let until_reset = until_reset.unwrap_or(USUAL_DELAY);
    let limit = number("x-ratelimit-limit").unwrap_or(0.0);
    let spent = number("x-ratelimit-remaining").and_then(|remaining| {
        if remaining <= 0.0 {
            Some(until_reset)
        } else if remaining < limit / 10.0 {
            Some(until_reset / 10)
        } else {
            None
        }
    });
    let asked = [retry_after(headers, now), delay, spent];
    asked.into_iter().flatten().max()
}

/// What is left of the service's limit, where the answer says so.
pub(super) fn limit_left(headers: &HeaderMap) -> Option<f64> {
    let text = text_of(headers, "x-ratelimit-remaining")?.trim();
    text.parse().ok().filter(|left: &f64| left.is_finite())
}

/// Azure DevOps: `Retry-After` in seconds. ASSUMPTION(retry-after-date): what
/// stands before it may send the other form of HTTP, a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = text_of(headers, RETRY_AFTER.as_str())?.trim();
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number);
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    let now = Timestamp::try_from(now).ok()?;
    Duration::try_from(date.timestamp().duration_since(now)).ok()
}

/// A number of seconds as a duration; a time in the past is none.
fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    matches!(kind.as_str(), "application/json" | "text/json") || kind.ends_with("+json")
}

fn is_html(headers: &HeaderMap) -> bool {
    media_type(headers) == "text/html"
}

fn media_type(headers: &HeaderMap) -> String {
    let text = text_of(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

pub(super) fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn rejected(how: &str) -> ReadError {
    ReadError::CredentialRejected { how: how.into() }
}

/// A text from outside, fit to be shown.
pub(super) fn shorten(text: &str) -> Box<str> {
    let plain = text.chars().filter(|c| !c.is_control());
    let mut short: String = plain.clone().take(LONGEST_MESSAGE).collect();
    if plain.count() > LONGEST_MESSAGE {
        short.push('…');
    }
    short.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_780_000_000;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        list.iter().map(pair).collect()
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
    }

    #[test]
    fn a_good_answer_may_ask_for_a_pause() {
        let check = |list: &[(&'static str, &str)], expected: Option<f64>| {
            let got = pause(StatusCode::OK, &headers(list), now());
            let got = got.map(|pause| pause.as_secs_f64());
            assert_eq!(got, expected, "{list:?}");
        };
        let reset = (NOW + 100).to_string();
        let reset = ("x-ratelimit-reset", reset.as_str());
        let later = (NOW + 9000).to_string();
        check(&[], None);
        check(&[("retry-after", "7")], Some(7.0));
        check(&[("Retry-After", "0.5")], Some(0.5));
        check(&[("retry-after", "0")], None);
        check(&[("retry-after", "-3")], None);
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "NaN")], None);
        check(&[("retry-after", "1e300")], None);
        check(&[("retry-after", "86400")], Some(300.0));
        check(&[("x-ratelimit-delay", "1.250")], Some(1.25));
        check(&[("x-ratelimit-remaining", "0"), reset], Some(100.0));
        check(&[("x-ratelimit-remaining", "0")], Some(30.0));
        check(
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", &later),
            ],
            Some(300.0),
        );
        let long = headers(&[("retry-after", "86400")]);
        let refused = pause(StatusCode::TOO_MANY_REQUESTS, &long, now());
        assert_eq!(refused, Some(LONGEST_RETRY));
        let limit = ("x-ratelimit-limit", "200");
        check(
            &[("x-ratelimit-remaining", "19.5"), limit, reset],
            Some(10.0),
        );
        check(&[("x-ratelimit-remaining", "20"), limit, reset], None);
        check(
            &[
                ("x-ratelimit-remaining", "0"),
                reset,
                ("retry-after", "200"),
            ],
            Some(200.0),
        );
    }

    #[test]
    fn a_time_to_wait_is_seconds_or_a_date() {
        let check = |text: &str, expected: Option<u64>| {
            let headers = headers(&[("retry-after", text)]);
            let got = retry_after(&headers, now()).map(|wait| wait.as_secs());
            assert_eq!(got, expected, "{text}");
        };
        check("120", Some(120));
        check("120.9", Some(120));
        // 1,780,000,000 is Thu, 28 May 2026 20:26:40 GMT.
        check("Thu, 28 May 2026 20:27:40 GMT", Some(60));
        check("Thu, 28 May 2026 20:25:40 GMT", None);
        check("tomorrow", None);
    }

    #[test]
    fn json_is_told_by_its_media_type() {
        let check = |kind: &str, expected: bool| {
            let headers = headers(&[("content-type", kind)]);
            assert_eq!(is_good(StatusCode::OK, &headers), expected, "{kind}");
        };
        check("application/json", true);
        check("application/json; charset=utf-8; api-version=7.1", true);
        check("Text/JSON", true);
        check("application/problem+json", true);
        check("text/html; charset=utf-8", false);
        check("application/jsonp", false);
        check("", false);
        assert!(!is_good(StatusCode::OK, &HeaderMap::new()));
    }

    #[test]
    fn a_text_of_the_service_is_made_fit_to_be_shown() {
        assert_eq!(&*shorten("a\u{1b}[31mb\r\n"), "a[31mb");
        let long = shorten(&"ü".repeat(500));
        assert_eq!(long.chars().count(), LONGEST_MESSAGE + 1);
    }
}
