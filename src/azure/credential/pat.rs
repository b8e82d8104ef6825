//! Personal access tokens, read from a text.
//!
//! May import: its siblings. Invariant: what is a token can stand in a header,
//! and no message about one that cannot holds any of it.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// A personal access token, trimmed and printable.
///
/// Azure DevOps: it needs the scope Agent Pools (Read), `vso.agentpools`.
#[derive(Clone)]
pub struct PersonalAccessToken(SecretString);

/// Why a text is no personal access token. Says nothing of the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Nothing but white space.
    #[error("the personal access token is empty; is the Secret's key or the variable filled in?")]
    Empty,
    /// A token has letters and digits only.
    #[error(
        "the personal access token has a character that cannot be part of one, at place {place} of {length}; is it another file, or two lines?"
    )]
    Character {
        /// Which character, counted from 1, of the trimmed text.
        place: usize,
        /// How many characters the trimmed text has.
        length: usize,
    },
}

// === impl PersonalAccessToken ===

impl PersonalAccessToken {
    /// Reads a token as a file or a variable holds it: white space around it
    /// is taken off, since a Secret made from a file most often ends in a
    /// newline.
    ///
    /// # Errors
    /// Where nothing is left, or something that cannot be a token: the service
    /// would answer with a sign-in page, which says less.
    pub fn parse(secret: &SecretString) -> Result<Self, CredentialError> {
        let token = secret.expose_secret().trim();
        if token.is_empty() {
            return Err(CredentialError::Empty);
        }
        if let Some(index) = token.chars().position(|c| !c.is_ascii_graphic()) {
            return Err(CredentialError::Character {
                place: index + 1,
                length: token.chars().count(),
            });
        }
        Ok(Self(token.into()))
    }

    pub(super) const fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl fmt::Debug for PersonalAccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalAccessToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Credential, *};

    fn check(text: &str, expected: Result<&str, &str>) {
        match (PersonalAccessToken::parse(&text.into()), expected) {
            (Ok(token), Ok(inner)) => {
                assert_eq!(token.0.expose_secret(), inner);
                let credential = Credential::PersonalAccessToken(token.clone());
                let shown = format!("{token:?} {credential:?}");
                assert!(!shown.contains(inner), "{shown}");
            }
            (Err(error), Err(part)) => {
                let shown = format!("{error} {error:?}");
                assert!(shown.contains(part), "{shown}");
                assert!(
                    text.trim().is_empty() || !shown.contains(text.trim()),
                    "{shown}"
                );
            }
            (got, expected) => panic!("{text:?}: {got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_token_is_read_as_files_and_variables_hold_it() {
        check("s3cr3tXtoken", Ok("s3cr3tXtoken"));
        check(" \ts3cr3tXtoken\r\n", Ok("s3cr3tXtoken"));
        check("", Err("is empty"));
        check(" \n", Err("is empty"));
        check("s3cr3t\ntoken", Err("at place 7 of 12"));
        check("s3cr3tXtöken", Err("at place 9 of 12"));
        check("s3cr3tXtoke\0", Err("at place 12 of 12"));
    }
}
