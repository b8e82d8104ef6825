//! `/status`: pools, jobs, profiles, and who counts which job and why, as JSON.
//!
//! May import: scaler's status. Invariant: it shows what the scaler answers
//! from, and reads nothing anew.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;

use super::Shared;
use crate::scaler::{answers::Answers, status::Status};

/// What to show.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    /// Only the pools of this name, whatever the case of its letters.
    pool: Option<String>,
}

pub(super) async fn status<A: Answers>(
    State(shared): State<Arc<Shared<A>>>,
    Query(filter): Query<Filter>,
) -> Result<Json<Status>, StatusCode> {
    // Reasons for a thousand jobs and a hundred profiles take a while; KEDA's
    // calls must not wait for them.
    let answers = Arc::clone(&shared.site.answers);
    let status = tokio::task::spawn_blocking(move || answers.status());
    // It fails only where it panicked, or where the runtime is going down.
    let Ok(mut status) = status.await else {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    };
    if let Some(name) = filter.pool {
        let name = name.to_lowercase();
        status.pools.retain(|pool| pool.pool.to_lowercase() == name);
    }
    Ok(Json(status))
}
