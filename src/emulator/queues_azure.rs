//! Queues of projects: what a project calls its way to a pool.
//!
//! May import: the organization, the wire, the table of routes. Invariant: as
//! with the pools, what is unknown is a 404 in the service's words.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;

use super::{
    organization::{Organization, Pool, Refusal},
    route::Route,
    wire,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueRow<'a> {
    id: u32,
    project_id: &'static str,
    name: &'a str,
    pool: PoolReference<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolReference<'a> {
    id: u32,
    name: &'a str,
    is_hosted: bool,
    pool_type: &'static str,
    size: usize,
    is_legacy: bool,
    options: &'static str,
}

/// Where a path below `queues` leads.
pub(super) fn route(rest: &[&str]) -> Route {
    match rest {
        [id] => id.parse().map_or(Route::Other, Route::Queue),
        _ => Route::Other,
    }
}

/// ASSUMPTION(queue-by-id): a queue is found below the organization by its
/// number, without its project; the SDKs leave the project out at will.
pub(super) fn show(organization: &Organization, id: u32) -> Result<Response, Refusal> {
    let pool = organization.pool_of_queue(id)?;
    let row = QueueRow {
        id,
        project_id: "0f9b7c11-0000-4000-8000-0000000000bb",
        // A queue is called as its pool unless somebody renames it.
        name: &pool.name,
        pool: PoolReference::of(pool),
    };
    Ok(wire::answer(StatusCode::OK, &row))
}

// === impl PoolReference ===

impl<'a> PoolReference<'a> {
    fn of(pool: &'a Pool) -> Self {
        Self {
            id: pool.id.0,
            name: &pool.name,
            is_hosted: false,
            pool_type: "automation",
            size: pool.agents().len(),
            is_legacy: false,
            options: "none",
        }
    }
}
