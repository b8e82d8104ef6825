//! Files that people name: read whole, within a bound.
//!
//! May import: nothing of ours. Invariant: whatever a name leads to, reading it
//! ends and takes no more memory than the bound: a folder, a pipe that nobody
//! writes to and a device without an end are refused, not read.

use std::{
    fs::{File, Metadata, metadata},
    io::{self, Read},
    path::Path,
};

/// Why a file was not read, in words that follow its name.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, or may not be read.
    #[error("cannot be read ({0}); is it there, and may it be read?")]
    Unreadable(#[from] io::Error),
    /// It is something else.
    #[error("is no file but a folder, a pipe or a device; name a file")]
    NoFile,
    /// It is beyond the bound, in bytes.
    #[error("is larger than {0} bytes; is it the right file?")]
    TooLarge(u64),
    /// It is not UTF-8.
    #[error("is not text; is it the right file?")]
    NotText,
}

/// What a file holds, of at most `largest` bytes.
///
/// # Errors
/// There is no such file, or it is too large.
pub fn read(path: &Path, largest: u64) -> Result<Vec<u8>, FileError> {
    // Before it is opened, since opening a pipe waits for who writes to it; and
    // after, since it may have become another.
    check_kind(&metadata(path)?)?;
    let file = File::open(path)?;
    check_kind(&file.metadata()?)?;
    all_of(file, largest)
}

/// The same where nobody may be kept waiting.
///
/// # Errors
/// As [`read`].
pub async fn read_apart(path: &Path, largest: u64) -> Result<Vec<u8>, FileError> {
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read(&path, largest));
    // The process ends.
    reading
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

/// What a file of text holds, of at most `largest` bytes.
///
/// # Errors
/// As [`read`], or it is not UTF-8.
pub fn read_text(path: &Path, largest: u64) -> Result<String, FileError> {
    text(read(path, largest)?)
}

/// All that a stream of text brings until its end, of at most `largest` bytes.
///
/// # Errors
/// It breaks off, is too large, or is not UTF-8.
pub fn text_of(stream: impl Read, largest: u64) -> Result<String, FileError> {
    text(all_of(stream, largest)?)
}

/// Bytes as text.
///
/// # Errors
/// They are not UTF-8.
pub fn text(bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|_| FileError::NotText)
}

fn check_kind(metadata: &Metadata) -> Result<(), FileError> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(FileError::NoFile)
    }
}

fn all_of(stream: impl Read, largest: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let mut within = stream.take(largest.saturating_add(1));
    within.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(FileError::TooLarge(largest));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    #[test]
    fn reading_ends_whatever_a_name_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let check = |path: &Path, expected: Result<&str, &str>| match (read_text(path, 4), expected)
        {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(error), Err(part)) => {
                let shown = error.to_string();
                assert!(shown.contains(part), "{part:?} is not in {shown}");
            }
            (got, expected) => panic!("{path:?}: {got:?} instead of {expected:?}"),
        };
        for (name, holds, expected) in [
            ("whole", &b"four"[..], Ok("four")),
            ("empty", b"", Ok("")),
            ("long", b"fives", Err("larger than 4 bytes")),
            ("bytes", &[0xFF], Err("not text")),
        ] {
            fs::write(at(name), holds).unwrap();
            check(&at(name), expected);
        }
        check(&at("missing"), Err("cannot be read"));
        check(folder.path(), Err("is no file"));
        // A Secret's keys are links to files.
        std::os::unix::fs::symlink(at("whole"), at("link")).unwrap();
        check(&at("link"), Ok("four"));
        // Nobody writes to it.
        let made = Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        check(&at("pipe"), Err("is no file"));
        check(Path::new("/dev/zero"), Err("is no file"));
        let endless = text_of(io::repeat(b'x'), 4).unwrap_err();
        assert!(endless.to_string().contains("larger than"), "{endless}");
    }

    #[tokio::test]
    async fn what_is_read_apart_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_apart(folder.path(), 4).await.is_err());
        let path = folder.path().join("whole");
        fs::write(&path, "four").unwrap();
        assert_eq!(read_apart(&path, 4).await.unwrap(), b"four");
    }
}
