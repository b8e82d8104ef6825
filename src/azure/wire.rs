//! Pieces of JSON as they travel: borrowed text, and one value at the start of
//! a longer text.
//!
//! May import: nothing of ours. Invariant: an end of the text is never taken
//! for an error in it, so that a reader may wait for more.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{Deserialize, Deserializer, de};

/// A JSON string, borrowed from the body unless it holds escapes. (A plain
/// `Option<Cow<str>>` would be copied: serde borrows only a bare `Cow`.)
pub(super) struct Text<'a>(Cow<'a, str>);

/// Decodes the value at the start of `text`, and tells its length in bytes;
/// `None` when the text ends before the value does.
pub(super) fn decode_one<'a, T: Deserialize<'a>>(
    text: &'a [u8],
) -> Result<Option<(T, usize)>, serde_json::Error> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<T>();
    match values.next() {
        Some(Ok(value)) => Ok(Some((value, values.byte_offset()))),
        None => Ok(None),
        Some(Err(error)) if error.is_eof() || (error.is_syntax() && may_go_on(text)) => Ok(None),
        Some(Err(error)) => Err(error),
    }
}

/// Is this a time, rather than none? KEDA 2.21: the first moment of the year 1,
/// .NET's and Go's zero, is none.
pub(super) fn is_time(text: &str) -> bool {
    !text.starts_with("0001-01-01T00:00:00")
}

/// Does the text end in what may be half a number? When `serde_json` skips a
/// number, it calls an end after `1.` or `-` an error of syntax. Where the
/// syntax is wrong in earnest, more text will still not mend it.
fn may_go_on(text: &[u8]) -> bool {
    matches!(text.last(), Some(b'-' | b'+' | b'.' | b'e' | b'E'))
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.into())))
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}
