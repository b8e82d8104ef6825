//! `/status`: pools, jobs, profiles, and who counts which job and why, as JSON.
//!
//! May import: scaler's status. Invariant: it shows what the scaler answers
//! from, and reads nothing anew.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State},
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
) -> Json<Status> {
    let mut status = shared.site.answers.status();
    if let Some(name) = filter.pool {
        let name = name.to_lowercase();
        status.pools.retain(|pool| pool.pool.to_lowercase() == name);
    }
    Json(status)
}
