//! The codes of failures and refusals, and the notices of them.
//!
//! May import: its siblings, ports, domain. Invariants: the words are those of the
//! failure itself; what a notice is about does not change with the service's words.

use super::answer::Unanswered;
use crate::{
    domain::notice::{Code, Notice},
    ports::ReadError,
};

/// The code of what KEDA is told; `None` for what passes with the start.
pub(super) fn code_of(unanswered: &Unanswered) -> Option<Code> {
    Some(match unanswered {
        Unanswered::Trigger(_) => Code::TriggerInvalid,
        Unanswered::Denied(_) => Code::AccessDenied,
        Unanswered::Credential(error) => code_of_reading(error),
        Unanswered::Unreadable { cause, .. } => code_of_reading(cause),
        Unanswered::NoCluster => Code::CredentialMissing,
        Unanswered::TooMany { .. } => Code::ScalerFull,
        Unanswered::OneName => Code::NameShared,
        Unanswered::Late { .. } => Code::AzureDevOpsFails,
        Unanswered::ScalingObject(_)
        | Unanswered::Crowded(_)
        | Unanswered::Learning { .. }
        | Unanswered::Blind
        | Unanswered::NotReadYet { .. } => return None,
    })
}

/// The code of a failure.
pub(super) const fn code_of_reading(error: &ReadError) -> Code {
    match error {
        ReadError::CredentialRejected { .. } => Code::CredentialRejected,
        ReadError::CredentialExpired => Code::CredentialExpired,
        ReadError::CredentialMissing { .. } => Code::CredentialMissing,
        ReadError::AuthorityFailed { .. } => Code::AuthorityFails,
        ReadError::Forbidden { .. } => Code::CredentialForbidden,
        ReadError::PoolNotFound { .. } => Code::PoolNotFound,
        ReadError::QueueId { .. } => Code::QueueIdForPool,
        ReadError::Redirected { .. }
        | ReadError::Throttled
        | ReadError::Server { .. }
        | ReadError::Status { .. }
        | ReadError::Unreachable { .. }
        | ReadError::TimedOut { .. }
        | ReadError::Cut { .. }
        | ReadError::TooLarge { .. }
        | ReadError::NotJson { .. }
        | ReadError::UnknownShape { .. } => Code::AzureDevOpsFails,
    }
}

/// What is told of it; nothing of what passes with the start.
pub(super) fn notice_of(unanswered: &Unanswered) -> Option<Notice> {
    let code = code_of(unanswered)?;
    let text = unanswered.to_string();
    Some(match unanswered {
        Unanswered::Unreadable { pool, cause, .. } => of_reading(pool, cause),
        Unanswered::Late { pool, .. } => Notice::with_remedy(code, pool, &text),
        _ => Notice::new(code, &text, &text),
    })
}

/// What a failure is about does not change with the service's words, which may be
/// others each time.
pub(super) fn of_reading(pool: &str, error: &ReadError) -> Notice {
    let code = code_of_reading(error);
    let verdict = match error {
        // They name it themselves.
        ReadError::PoolNotFound { .. } | ReadError::QueueId { .. } => error.to_string(),
        _ => format!("pool {pool} cannot be read: {error}"),
    };
    match code {
        Code::AzureDevOpsFails => Notice::with_remedy(code, pool, &verdict),
        _ => Notice::new(code, pool, &verdict),
    }
}
