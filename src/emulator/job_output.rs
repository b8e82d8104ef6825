//! Azure's routes of a job's worker: the lines that it writes, and its own word
//! on the result.
//!
//! May import: the organization. Invariant: the worker's word is kept and
//! decides nothing; the listener ends the job.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    agents_azure::with_body,
    auth::Caller,
    organization::{Organization, Pool, Refusal},
    refusals_azure::bad_request,
    wire::{self, Family},
};
use crate::domain::job::RequestId;

#[derive(Deserialize)]
struct FeedBody {
    value: Vec<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventBody {
    name: Box<str>,
    job_id: Box<str>,
    result: Option<Box<str>>,
}

/// `POST …/records/{job}/feed`.
pub(super) fn append(
    organization: &mut Organization,
    caller: Caller,
    job: Option<RequestId>,
    body: &[u8],
) -> Result<Response, Refusal> {
    with_body(body, |body: FeedBody| {
        let (pool, id) = own(organization, caller, job)?;
        pool.append_output(id, body.value)?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
}

/// `POST …/plans/{id}/events`.
pub(super) fn event(
    organization: &mut Organization,
    caller: Caller,
    body: &[u8],
) -> Result<Response, Refusal> {
    with_body(body, |body: EventBody| {
        let job = wire::number(Family::Job, &body.job_id).map(RequestId);
        let (pool, id) = own(organization, caller, job)?;
        if !body.name.eq_ignore_ascii_case("JobCompleted") {
            return Ok(bad_request(&format!("event {:?} is unknown", body.name)));
        }
        pool.complete_output(id, body.result.as_deref().unwrap_or_default())?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
}

/// The job, if it is the caller's affair, and its pool.
fn own(
    organization: &mut Organization,
    caller: Caller,
    job: Option<RequestId>,
) -> Result<(&mut Pool, RequestId), Refusal> {
    let id = job.unwrap_or(RequestId(0));
    let pool = organization.pool_of_job(id)?;
    // A job that waits is nobody's.
    let holder = pool.job(id)?.agent.as_ref().map_or(0, |agent| agent.id);
    let pool = pool.id;
    caller.speaks_for(holder)?;
    Ok((organization.pool_mut(pool)?, id))
}
