//! `/status`: pools, jobs, profiles, and who counts which job and why, as JSON.
//!
//! May import: scaler's status. Invariant: it shows what the scaler answers
//! from, and reads nothing anew.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::Shared;
use crate::scaler::answers::Answers;

/// What to show.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    /// Only the pools of this name, whatever the case of its letters.
    pool: Option<String>,
}

pub(super) async fn status<A: Answers>(
    State(shared): State<Arc<Shared<A>>>,
    Query(filter): Query<Filter>,
) -> Response {
    let Ok(page) = Arc::clone(&shared.status_pages).try_acquire_owned() else {
        let message = "another status page is being made; ask again in a moment\n";
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    // Reasons for thousands of jobs and a hundred profiles take a while; KEDA's
    // calls must not wait for them.
    let answers = Arc::clone(&shared.site.answers);
    let text = tokio::task::spawn_blocking(move || {
        let _page = page;
        serde_json::to_vec(&answers.status(filter.pool.as_deref()))
    });
    match text.await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        // It panicked, or the runtime is going down.
        Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
