//! What no text may show, in every form in which it travels.
//!
//! May import: nothing of ours. Invariant: who repeats a secret may have changed
//! its letters' case, encoded it, left its punctuation out or cut it off; the
//! first eight letters and digits of it are enough to be found, and then the
//! whole word goes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};

/// So many letters and digits tell a secret from other words; a shorter one is
/// told by all that it has.
const TELLING: usize = 8;

/// A secret, and how it is sent.
#[derive(Clone)]
pub(in crate::azure) struct Hidden {
    secret: SecretString,
    /// The user name before it, where it is sent by basic authentication.
    user: Option<Box<str>>,
}

// === impl Hidden ===

impl Hidden {
    /// One that is sent as it is, or in a form.
    pub(in crate::azure) fn plain(secret: &SecretString) -> Self {
        Self {
            secret: secret.clone(),
            user: None,
        }
    }

    /// One that is sent by basic authentication.
    pub(in crate::azure) fn login(user: &str, secret: &SecretString) -> Self {
        Self {
            user: Some(user.into()),
            ..Self::plain(secret)
        }
    }

    /// The text without it.
    pub(in crate::azure) fn hide(&self, text: &str) -> String {
        let secret = self.secret.expose_secret();
        let mut text = text.replace(secret, "***");
        for form in self.forms() {
            let form: String = letters(&form).map(|(_, letter)| letter).collect();
            let end = form.char_indices().nth(TELLING).map(|(at, _)| at);
            let telling = &form[..end.unwrap_or(form.len())];
            if !telling.is_empty() {
                text = without(&text, telling);
            }
        }
        text
    }

    fn forms(&self) -> impl Iterator<Item = String> {
        let secret = self.secret.expose_secret();
        let login = self.user.as_ref();
        let login = login.map(|user| STANDARD.encode(format!("{user}:{secret}")));
        let plain = [Some(secret.to_owned()), login];
        plain.into_iter().flatten().flat_map(|form| {
            let encoded = url::form_urlencoded::byte_serialize(form.as_bytes()).collect();
            [form, encoded]
        })
    }
}

/// The letters and digits, small, with where they stand.
fn letters(text: &str) -> impl Iterator<Item = (usize, char)> {
    let letters = text
        .char_indices()
        .filter(|(_, c)| c.is_ascii_alphanumeric());
    letters.map(|(at, letter)| (at, letter.to_ascii_lowercase()))
}

/// The text without the words in which these letters and digits stand one after
/// the other.
fn without(text: &str, telling: &str) -> String {
    let (places, letters): (Vec<usize>, String) = letters(text).unzip();
    let mut shown = String::with_capacity(text.len());
    let mut told = 0;
    // Letters and digits of ASCII are a byte each, so both count alike.
    for (found, _) in letters.match_indices(telling) {
        let (from, last) = (places[found], places[found + telling.len() - 1]);
        if from < told {
            continue;
        }
        let ends = |c: char| c.is_whitespace() || "\"'()<>[]{},;…".contains(c);
        let rest = &text[last..];
        shown.push_str(&text[told..from]);
        shown.push_str("***");
        told = last + rest.find(ends).unwrap_or(rest.len());
    }
    shown.push_str(&text[told..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let secret = SecretString::from("s3cr3t+T0k/en=");
        assert_eq!(Hidden::login("me", &secret).hide(text), expected, "{text}");
    }

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        check("denied", "denied");
        check(
            "denied: s3cr3t+T0k/en= (s3cr3t+T0k/en=)",
            "denied: *** (***)",
        );
        check("S3CR3T+t0K/EN= and more", "*** and more");
        check(
            "client_secret=s3cr3t%2BT0k%2Fen%3D&a=b c",
            "client_secret=*** c",
        );
        check("Basic bWU6czNjcjN0K1Qway9lbj0=, twice", "Basic ***, twice");
        check("Basic+bWU6czNjcjN0K1Qway9lbj0%3D", "Basic+***");
    }

    #[test]
    fn a_part_of_it_is_hidden_too() {
        check("denied s3cr3t+T0…", "denied ***…");
        check("denied bWU6czNjcj…", "denied ***…");
        check("https://s3cr3tT0ken.example/", "https://***");
        check("\"s3cr3t-T0k\": 1", "\"***\": 1");
        // It could be anything.
        check("s3cr3t", "s3cr3t");
    }

    #[test]
    fn a_short_secret_is_told_by_all_of_it() {
        let hidden = |secret: &str, text: &str| Hidden::plain(&secret.into()).hide(text);
        assert_eq!(hidden("s3c", "as S3C, S3"), "as ***, S3");
        assert_eq!(hidden("-/-", "as -/-, //"), "as ***, //");
    }
}
