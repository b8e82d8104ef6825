//! What Azure's routes say to what they do not do.
//!
//! May import: the organization's refusals, the wire. Invariant: clients go by
//! the status and the type key, so those are the service's.

use axum::{
    http::{Method, StatusCode},
    response::Response,
};

use super::{organization::Refusal, wire};

/// What the service says to a refusal.
///
/// ASSUMPTION(error-texts): all messages but that of the busy agent, and all
/// type keys but `TaskAgentJobStillRunningException`. The statuses are known.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let (status, type_key) = match refusal {
        Refusal::NoSuchPool(_) => (StatusCode::NOT_FOUND, "TaskAgentPoolNotFoundException"),
        Refusal::NoSuchQueue(_) => (StatusCode::NOT_FOUND, "TaskAgentQueueNotFoundException"),
        Refusal::NoSuchAgent { .. } => (StatusCode::NOT_FOUND, "TaskAgentNotFoundException"),
        Refusal::NoSuchJob { .. } => (StatusCode::NOT_FOUND, "TaskAgentJobNotFoundException"),
        Refusal::NameTaken { .. } => (StatusCode::CONFLICT, "TaskAgentExistsException"),
        // Azure DevOps: 400, not 409.
        Refusal::AgentBusy { .. } => (StatusCode::BAD_REQUEST, "TaskAgentJobStillRunningException"),
        // Azure DevOps: the listener goes by these type keys.
        // ASSUMPTION(listener-statuses): their statuses.
        Refusal::NoSuchSession => (StatusCode::NOT_FOUND, "TaskAgentSessionExpiredException"),
        Refusal::SessionConflict { .. } => {
            (StatusCode::CONFLICT, "TaskAgentSessionConflictException")
        }
        Refusal::LockLost { .. } => (StatusCode::CONFLICT, "TaskAgentJobTokenExpiredException"),
        Refusal::NotItsOwn(_) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        _ => (StatusCode::BAD_REQUEST, "VssServiceException"),
    };
    let message = match refusal {
        Refusal::AgentBusy { agent, pool } => {
            format!("Agent \"{agent}\" is running a job for pool \"{pool}\"")
        }
        other => other.to_string(),
    };
    wire::error(status, type_key, &message)
}

pub(super) fn bad_request(message: &str) -> Response {
    wire::error(
        StatusCode::BAD_REQUEST,
        "VssPropertyValidationException",
        message,
    )
}

pub(super) fn not_found(path: &str) -> Response {
    let message =
        format!("the emulator has no {path:?}; it knows distributedtask/pools and queues");
    wire::error(
        StatusCode::NOT_FOUND,
        "VssResourceNotFoundException",
        &message,
    )
}

pub(super) fn method_not_allowed(method: &Method) -> Response {
    let message = format!("The requested resource does not support http method '{method}'.");
    let key = "VssServiceException";
    wire::error(StatusCode::METHOD_NOT_ALLOWED, key, &message)
}
