//! The secrets, and the search for them.

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Something that may come out nowhere.
pub(crate) struct Secret {
    pub(crate) name: &'static str,
    /// Has characters that base64 and percent encoding change.
    pub(crate) text: &'static str,
    /// In which of the two runs a server is sent it: `text`, `json`, `both`, or
    /// none.
    sent: &'static str,
}

const fn secret(name: &'static str, text: &'static str, sent: &'static str) -> Secret {
    Secret { name, text, sent }
}

pub(crate) const VARIABLE: &str = "env3Q+Token/5hKpZ=of~AZP_TOKEN";
pub(crate) const TOKEN_FILE: &str = "fil7W+Token/2mXcV=of~tokenfile";
pub(crate) const TENANCY_FILE: &str = "ten9R+Token/8sLnB=of~tenancy";
pub(crate) const ASSERTION: &str = "jwt4H+eadXX.b0dyYYYY/Z=.s1gnature";
pub(crate) const CLIENT_FILE: &str = "cli6S+Secret/1vGqT=of~a~file";
pub(crate) const CLIENT_VARIABLE: &str = "cls2E+Secret/7yNfD=of~variable";
pub(crate) const HEADER: &str = "hdr5I+dentity/3wMrJ=of~platform";
pub(crate) const HOOK: &str = "hok8P+Secret/4tBxA=of~hooks";
pub(crate) const PROXY: &str = "prx1U+Pass/9kEyL=of~the~proxy";
pub(crate) const OWN: &str = "own0G+Token/6rCzH=of~a~trigger";
pub(crate) const MISPLACED: &str = "mis4F+Token/5dJuQ=of~wrong~key";
/// With it all tokens of the emulator's authority begin.
const BEARER: &str = "eyJ0eXAiOiJKV1QifQ.ZW11bGF0b3I.";

pub(crate) const SECRETS: &[Secret] = &[
    secret("AZP_TOKEN", VARIABLE, "text"),
    secret("--token-file", TOKEN_FILE, "json"),
    secret("the tenancy file's file", TENANCY_FILE, "both"),
    secret("workload identity", ASSERTION, "both"),
    secret("client secret in a file", CLIENT_FILE, "both"),
    secret("AZURE_CLIENT_SECRET", CLIENT_VARIABLE, "both"),
    secret("IDENTITY_HEADER", HEADER, "json"),
    secret("hook secret", HOOK, ""),
    secret("proxy password", PROXY, "both"),
    secret("personalAccessTokenFromEnv", OWN, "both"),
    secret("a token under a wrong key", MISPLACED, ""),
    secret("a bearer token", BEARER, "both"),
];

/// Half a secret is one too; so long are the parts that are searched for.
const PART: usize = 12;

/// What came out, by where.
#[derive(Default)]
pub(crate) struct Search(Vec<(String, String)>);

impl Search {
    pub(crate) fn add(&mut self, place: impl Into<String>, text: String) {
        self.0.push((place.into(), text));
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What was found, and where.
    pub(crate) fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (place, text) in &self.0 {
            let lower = text.to_lowercase();
            for secret in SECRETS {
                let at = secret.parts().find_map(|(form, part)| {
                    let at = lower.find(&part)?;
                    Some((form, at))
                });
                if let Some((form, at)) = at {
                    let from = (0..=at.saturating_sub(160)).rev();
                    let from = from.into_iter().find(|from| lower.is_char_boundary(*from));
                    let shown: String = lower[from.unwrap_or(0)..].chars().take(400).collect();
                    found.push(format!("{place}: {} ({form}) in …{shown}…", secret.name));
                }
            }
        }
        found
    }

    pub(crate) fn finds_nothing(&self) {
        let found = self.found();
        assert!(!self.0.is_empty());
        assert!(found.is_empty(), "{}", found.join("\n\n"));
    }
}

impl Secret {
    pub(crate) fn is_sent(&self, format: &str) -> bool {
        self.sent == "both" || self.sent == format
    }

    /// Is it in what was sent, in whichever form?
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        self.parts().any(|(_, part)| lower.contains(&part))
    }

    /// As others may spell it.
    pub(crate) fn spelt(&self) -> Vec<(&'static str, String)> {
        let text = self.text;
        let form = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let whole = BASE64_STANDARD.encode(text);
        let basic = BASE64_STANDARD.encode(format!(":{text}"));
        let proxy = BASE64_STANDARD.encode(format!("me:{text}"));
        let encoded = url::form_urlencoded::byte_serialize(basic.as_bytes()).collect();
        vec![
            ("plain", text.to_owned()),
            ("small letters", text.to_lowercase()),
            ("percent encoding", form),
            ("base64", whole),
            ("basic authentication", basic),
            ("basic authentication of a user", proxy),
            ("basic authentication, percent-encoded", encoded),
        ]
    }

    /// So much of it is too much.
    pub(crate) fn part(&self) -> &str {
        // A bearer token's beginning says nothing before its third part.
        let whole = self.text == BEARER;
        &self.text[..if whole { self.text.len() } else { PART }]
    }

    /// What is searched for: the first characters that do not depend on what
    /// stands before the secret.
    fn parts(&self) -> impl Iterator<Item = (&'static str, String)> {
        let text = self.text;
        let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        // Base64 takes three bytes at a time, so there are three spellings of
        // what comes after others.
        let shifted = (0..3).map(move |before| {
            let encoded = BASE64_STANDARD.encode(format!("{}{text}", "x".repeat(before)));
            let own = encoded[[0, 2, 3][before]..].to_owned();
            ("base64", own)
        });
        let parts = [("plain", text.to_owned()), ("percent", form)];
        let parts = parts.into_iter().chain(shifted);
        let length = self.part().len();
        parts.map(move |(form, part)| {
            let part: String = part.to_lowercase().chars().take(length).collect();
            (form, part)
        })
    }
}
