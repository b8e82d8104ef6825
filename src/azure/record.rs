//! Records: what one reading has shown to the service, and was told by it.
//!
//! May import: its siblings, ports. Invariant: an error that leaves here holds no
//! token that was shown, whoever repeated it.

use std::time::Duration;

use super::{
    answer::shorten,
    credential::{Hidden, Signature},
};
use crate::ports::ReadError;

/// What one reading has shown to the service, and was told by it.
#[derive(Default)]
pub(super) struct Record {
    /// How long the service wants to be left alone.
    pub(super) pause: Option<Duration>,
    /// Was there any answer?
    pub(super) answered: bool,
    /// What the latest answer says that is left of the limit.
    pub(super) limit_left: Option<f64>,
    signatures: Vec<Signature>,
    /// What the proxy was shown.
    login: Option<Hidden>,
}

// === impl Record ===

impl Record {
    /// From now on this is known to have been shown, to the service and to a
    /// proxy.
    pub(super) fn note(&mut self, signature: Option<&Signature>, login: Option<&Hidden>) {
        self.login = login.cloned();
        // The pages of one list are signed alike most often.
        let same = |signature: &&Signature| {
            !self
                .signatures
                .last()
                .is_some_and(|last| last.is(signature))
        };
        self.signatures.extend(signature.filter(same).cloned());
    }

    /// A text of the service without any token that was shown, shortened.
    pub(super) fn shown(&self, text: Box<str>) -> Box<str> {
        let each = self.signatures.iter();
        let text = each.fold(text, |text, signature| signature.hide(&text));
        match &self.login {
            Some(login) => shorten(&login.hide(&text)),
            None => shorten(&text),
        }
    }

    /// An error without any token that was shown, whoever may have repeated it:
    /// a proxy's page, a redirect, a member of a wrong type. Shortened after that, so
    /// that no half of a token is left.
    pub(super) fn hidden(&self, error: ReadError) -> ReadError {
        let hide = |text| self.shown(text);
        match error {
            ReadError::Forbidden { right, message } => ReadError::Forbidden {
                right,
                message: hide(message),
            },
            ReadError::Status { status, message } => ReadError::Status {
                status,
                message: hide(message),
            },
            ReadError::Redirected { host } => ReadError::Redirected { host: hide(host) },
            ReadError::NotJson { content_type } => ReadError::NotJson {
                content_type: hide(content_type),
            },
            ReadError::UnknownShape { detail } => ReadError::UnknownShape {
                detail: hide(detail),
            },
            ReadError::Unreachable { cause } => ReadError::Unreachable { cause: hide(cause) },
            ReadError::Cut { cause } => ReadError::Cut { cause: hide(cause) },
            ReadError::QueueId { queue, pool, name } => ReadError::QueueId {
                queue,
                pool,
                name: hide(name),
            },
            // The others hold numbers, and words of our own or the trigger's;
            // or those of an authority, which hides what it was shown.
            other => other,
        }
    }
}
