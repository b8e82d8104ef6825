//! Azure's routes of job requests: listing them, and what the agent that holds
//! one says of it.
//!
//! May import: the organization and the wire. Invariant: only who holds a job's
//! lock changes the job.

use axum::{http::StatusCode, response::Response};
use serde::Deserialize;

use super::{
    auth::Caller,
    organization::{Job, LockToken, Organization, Pool, Refusal},
    parameters::Parameters,
    refusals_azure::bad_request,
    wire::{self, Family, JobRow, Listing, Matches, Site},
};
use crate::domain::{
    job::{JobResult, JobState, RequestId},
    pool::PoolId,
};

/// Azure DevOps: `$top` gives at most this many, whatever it says.
const TOP_CAP: usize = 200;
/// ASSUMPTION(finished-by-default): without a parameter, the last 50 finished
/// requests come along with all unfinished ones.
const FINISHED_BY_DEFAULT: usize = 50;

/// A `TaskAgentJobRequest` as the agent sends it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestBody {
    request_id: Option<u64>,
    finish_time: Option<Box<str>>,
    result: Option<Box<str>>,
}

/// The overloads of `jobrequests`; each of them rules out those after it.
pub(super) fn list(
    organization: &Organization,
    id: PoolId,
    parameters: &Parameters,
    site: Site<'_>,
) -> Result<Response, Refusal> {
    let pool = organization.pool(id)?;
    let (top, finished, agents) = match (
        parameters.number::<usize>("$top"),
        parameters.number("completedRequestCount"),
        parameters.numbers("agentIds"),
        parameters.numbers("agentId"),
    ) {
        (Ok(top), Ok(finished), Ok(several), Ok(one)) => (top, finished, several.or(one)),
        (Err(refused), ..) | (_, Err(refused), ..) | (.., Err(refused), _) | (.., Err(refused)) => {
            return Ok(*refused);
        }
    };
    if let Some(top) = top {
        // Azure DevOps: the latest, finished ones included, without matches.
        let rows = latest(pool, top.min(TOP_CAP));
        return Ok(rows_answer(
            &rows,
            pool,
            &Matches::default(),
            site,
            organization,
        ));
    }
    let mine = |job: &&Job| match (&agents, &job.agent) {
        (None, _) => true,
        (Some(ids), Some(agent)) => ids.contains(&agent.id),
        (Some(_), None) => false,
    };
    // No order is promised, so this one is not the order of numbers.
    let (waiting, taken): (Vec<_>, Vec<_>) = pool
        .unfinished()
        .filter(mine)
        .partition(|job| job.state == JobState::Queued);
    let finished = pool
        .finished()
        .filter(mine)
        .take(finished.unwrap_or(FINISHED_BY_DEFAULT));
    let rows: Vec<_> = waiting.into_iter().chain(taken).chain(finished).collect();
    let matches = Matches::of(pool, site);
    Ok(rows_answer(&rows, pool, &matches, site, organization))
}

fn latest(pool: &Pool, top: usize) -> Vec<&Job> {
    let mut jobs: Vec<_> = pool.unfinished().chain(pool.finished()).collect();
    jobs.sort_unstable_by_key(|job| std::cmp::Reverse(job.id));
    jobs.truncate(top);
    jobs
}

fn rows_answer(
    jobs: &[&Job],
    pool: &Pool,
    matches: &Matches<'_>,
    site: Site<'_>,
    organization: &Organization,
) -> Response {
    let now = organization.now();
    let rows = jobs
        .iter()
        .map(|job| JobRow::new(job, pool, matches, site, now));
    wire::answer(StatusCode::OK, &rows.collect::<Listing<_>>())
}

pub(super) fn show(
    organization: &Organization,
    pool: PoolId,
    id: RequestId,
    site: Site<'_>,
) -> Result<Response, Refusal> {
    let pool = organization.pool(pool)?;
    let (job, matches) = (pool.job(id)?, Matches::of(pool, site));
    let row = JobRow::new(job, pool, &matches, site, organization.now());
    Ok(wire::answer(StatusCode::OK, &row))
}

/// `PATCH jobrequests/{id}`: the listener renews its lock or, with a result, ends
/// the job. Azure DevOps: it renews every 60 seconds.
pub(super) fn change(
    organization: &mut Organization,
    caller: Caller,
    (pool, id): (PoolId, RequestId),
    parameters: &Parameters,
    body: &[u8],
    site: Site<'_>,
) -> Result<Response, Refusal> {
    let body: RequestBody = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return Ok(bad_request(&format!("the body cannot be read: {error}"))),
    };
    if body.request_id.is_some_and(|number| number != id.0) {
        return Ok(bad_request(
            "requestId in the body must be the request's own",
        ));
    }
    let Some(token) = parameters.get("lockToken") else {
        return Ok(bad_request("lockToken is missing"));
    };
    if let Some(holder) = &organization.pool(pool)?.job(id)?.agent {
        caller.speaks_for(holder.id)?;
    }
    // A token that nobody gave out holds nothing.
    let token = LockToken(wire::number(Family::Lock, token).unwrap_or_default());
    let now = organization.now();
    let result = match (body.result, body.finish_time) {
        (Some(word), Some(_)) => match JobResult::read(&word) {
            JobResult::Other => return Ok(bad_request(&format!("result {word:?} is unknown"))),
            result => Some(result),
        },
        (None, None) => None,
        _ => return Ok(bad_request("finishTime and result belong together")),
    };
    let held = organization.pool_mut(pool)?;
    match result {
        Some(result) => held.complete(id, token, result, now)?,
        None => held.renew(id, token, now)?,
    }
    show(organization, pool, id, site)
}
