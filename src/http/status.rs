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
use crate::{
    domain::profile::ScalingObject,
    scaler::{answers::Answers, status::Wanted},
};

/// What to show.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    /// Only the pools of this name, whatever the case of its letters.
    pool: Option<String>,
    /// Only this scaling object, as `NAMESPACE/NAME`, and the jobs it counts.
    object: Option<String>,
    /// Only the job request of this number.
    job: Option<u64>,
    /// Only jobs that nobody counts.
    #[serde(default)]
    unclaimed: bool,
}

pub(super) async fn status<A: Answers>(
    State(shared): State<Arc<Shared<A>>>,
    Query(filter): Query<Filter>,
) -> Response {
    let Some(wanted) = filter.wanted() else {
        let message = "object is no scaling object's name; write NAMESPACE/NAME\n";
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    let Ok(page) = Arc::clone(&shared.status_pages).try_acquire_owned() else {
        let message = "another status page is being made; ask again in a moment\n";
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    // Reasons for thousands of jobs and a hundred profiles take a while; KEDA's
    // calls must not wait for them.
    let answers = Arc::clone(&shared.site.answers);
    let text = tokio::task::spawn_blocking(move || {
        let _page = page;
        serde_json::to_vec(&answers.status(&wanted))
    });
    match text.await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        // It panicked, or the runtime is going down.
        Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

// === impl Filter ===

impl Filter {
    /// `None` where the object's name is none.
    fn wanted(self) -> Option<Wanted> {
        let object = match self.object.as_deref().map(ScalingObject::parse) {
            Some(None) => return None,
            Some(object) => object,
            None => None,
        };
        Some(Wanted {
            pool: self.pool,
            object,
            job: self.job,
            unclaimed: self.unclaimed,
        })
    }
}
