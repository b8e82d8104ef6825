//! Answers: what a status and its headers mean, before the body is read.
//!
//! May import: ports, domain. Invariants: everything here is a pure function
//! of the answer; a text of the service goes on as it came, and is
//! shortened where secrets are taken out of it.

use reqwest::{
    StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION},
};
use serde::Deserialize;

use super::wire::Text;
use crate::ports::{ReadError, Right};

/// The longest text of the service in an error, in characters.
const LONGEST_MESSAGE: usize = 200;

/// What was asked for, as far as it decides what an answer means.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) url: &'a Url,
    /// The pool whose own address was asked.
    pub(super) pool: Option<&'a str>,
    /// What the credential has to be allowed for it.
    pub(super) right: Right,
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
    #[serde(borrow, rename = "typeKey")]
    type_key: Option<Text<'a>>,
}

/// Is this the answer that was asked for, to judge by its head?
pub(super) fn is_good(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK && is_json(headers)
}

/// Does this answer say that something was taken away? Azure DevOps: 200 or 204.
/// A page of HTML with a 200 is the answer of somebody else.
pub(super) fn is_done(status: StatusCode, headers: &HeaderMap) -> bool {
    let empty = text_of(headers, CONTENT_LENGTH.as_str()) == Some("0");
    let plain = empty || is_json(headers) || !headers.contains_key(CONTENT_TYPE);
    status == StatusCode::NO_CONTENT || (status == StatusCode::OK && plain)
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
                right: self.asked.right,
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
        self.read()?.message.map(|message| message.to_string())
    }

    /// The service's own name for what is wrong. Azure DevOps: the one member of
    /// an error that a program may go by; its words change.
    pub(super) fn type_key(&self) -> Option<Box<str>> {
        self.read()?.type_key.map(|key| (*key).into())
    }

    fn read(&self) -> Option<ErrorBody<'_>> {
        serde_json::from_str(self.body.trim_start_matches('\u{feff}')).ok()
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

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    matches!(kind.as_str(), "application/json" | "text/json") || kind.ends_with("+json")
}

pub(super) fn is_html(headers: &HeaderMap) -> bool {
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

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        list.iter().map(pair).collect()
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
