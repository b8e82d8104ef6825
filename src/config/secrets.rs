//! Secrets: from a variable or a file, never from a flag.
//!
//! May import: its siblings, bounded. Invariant: a secret is whole and can stand in an
//! HTTP header, and no message holds any of it.

use std::path::Path;

use secrecy::SecretString;

use super::{ConfigError, Environment};
use crate::bounded::{FileError, read_text};

/// Far above any token; a file that is larger is another file.
const LARGEST: u64 = 64 * 1024;

/// Where a secret may come from.
pub(super) struct Places<'a> {
    /// The variable that holds it.
    pub(super) variable: &'static str,
    /// The flag (or the variable beside it) that names a file.
    pub(super) file_flag: &'static str,
    /// That file.
    pub(super) file: Option<&'a Path>,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    #[error("{path} {cause}")]
    File { path: String, cause: FileError },
    #[error("is empty; put the secret there")]
    Empty,
    #[error("holds a space, a line break or another character that no token has; copy it again")]
    Characters,
}

impl Places<'_> {
    /// The secret, if there is one; problems are noted.
    pub(super) fn read(
        &self,
        environment: &impl Environment,
        problems: &mut ConfigError,
    ) -> Option<SecretString> {
        match (environment.variable(self.variable), self.file) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                let both = format!("{} and {}", self.variable, self.file_flag);
                problems.add(&both, "both are set; set one of them");
                None
            }
            (Some(value), None) => problems.take(self.variable, checked(&value)),
            (None, Some(path)) => problems.take(self.file_flag, from_file(path)),
        }
    }
}

/// The secret that a file holds now.
pub(super) fn from_file(path: &Path) -> Result<SecretString, SecretError> {
    let text = read_text(path, LARGEST).map_err(|cause| SecretError::File {
        path: path.display().to_string(),
        cause,
    })?;
    checked(&text)
}

/// The secret in a text, such as a variable's.
pub(super) fn checked(text: &str) -> Result<SecretString, SecretError> {
    // A file most often ends with a line break, and so does a pasted value.
    let text = text.trim();
    if text.is_empty() {
        return Err(SecretError::Empty);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretError::Characters);
    }
    Ok(SecretString::from(text))
}
