//! Tokens in files, as Kubernetes mounts a Secret's keys.
//!
//! May import: ports, bounded. Invariant: what a file holds now is what is used now. It
//! is read anew each time: a few bytes from memory, beside a request over TLS,
//! and no question of which change a time stamp would have missed.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use futures::future::{BoxFuture, FutureExt as _};
use secrecy::SecretString;

use crate::{
    bounded,
    ports::{ReadError, Tokens},
};

/// Far above any token; a file that is larger is another file. In bytes.
const LARGEST: u64 = 64 << 10;

/// A token in a file.
pub struct TokenFile {
    path: PathBuf,
}

// === impl TokenFile ===

impl TokenFile {
    /// A token in this file, which may yet have to come into being.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// What the file holds, without white space around it.
    async fn read(&self) -> Result<SecretString, String> {
        let read = bounded::read_apart(&self.path, LARGEST).await;
        let text = read.and_then(bounded::text);
        let text = text.map_err(|error| error.to_string())?;
        let token = text.trim();
        if token.is_empty() {
            return Err("is empty; put the token there".into());
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "holds a space, a line break or another character that no token has; \
                is it the right file?"
                    .into(),
            );
        }
        Ok(token.into())
    }
}

impl Tokens for TokenFile {
    fn token(&self) -> BoxFuture<'_, Result<SecretString, ReadError>> {
        async {
            let read = self.read().await;
            read.map_err(|what| ReadError::CredentialMissing {
                detail: format!("file {} {what}", self.path.display()).into(),
            })
        }
        .boxed()
    }
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile")
            .field("path", &self.path)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn a_file_is_what_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = TokenFile::new(&path);
        let check = async |text: Option<&[u8]>, expected: Result<&str, &str>| {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            match (file.token().await, expected) {
                (Ok(token), Ok(inner)) => assert_eq!(token.expose_secret(), inner),
                (Err(error), Err(part)) => {
                    let shown = error.to_string();
                    assert!(shown.contains(part), "{part:?} is not in {shown}");
                    assert!(shown.contains(path.to_str().unwrap()), "{shown}");
                    assert!(!shown.contains("s3cr3t"), "{shown}");
                    assert_eq!(error.kind(), "credential-missing");
                }
                (got, expected) => panic!("{got:?} instead of {expected:?}"),
            }
        };
        check(None, Err("is it there")).await;
        check(Some(b"s3cr3t1\n"), Ok("s3cr3t1")).await;
        // Of the same length, and at once.
        check(Some(b"s3cr3t2\n"), Ok("s3cr3t2")).await;
        check(Some(b" \n"), Err("is empty")).await;
        check(Some(b"s3cr3t s3cr3t"), Err("no token has")).await;
        check(Some(&[0xFF; 9]), Err("is it the right file?")).await;
        check(Some(&[b'x'; 70_000]), Err("larger than 65536")).await;
        fs::remove_file(&path).unwrap();
        check(None, Err("cannot be read")).await;
    }
}
