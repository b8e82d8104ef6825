//! Azure's route of parallel jobs: how many there are, and which jobs use them.
//!
//! May import: the organization and the wire. Invariant: a job uses one from the
//! moment that it is given to an agent until it has ended.

use axum::{http::StatusCode, response::Response};
use serde::Serialize;

use super::{
    organization::{Job, Organization, Pool},
    parameters::Parameters,
    wire::{self, Family, JobRow, Matches, Site},
};

/// ASSUMPTION(parallel-jobs-unlimited): what has no limit has this total.
const UNLIMITED: u32 = 2_147_483_647;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsageRow<'a> {
    resource_limit: LimitRow<'a>,
    used_count: u32,
    /// Azure DevOps: only where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    running_requests: Option<Vec<JobRow<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LimitRow<'a> {
    resource_limits_data: LimitsData,
    host_id: String,
    parallelism_tag: &'a str,
    is_hosted: bool,
    total_count: u32,
    is_premium: bool,
}

/// Azure DevOps: numbers as text, keys in Pascal case.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LimitsData {
    free_count: String,
    purchased_count: String,
}

/// Those of private projects on agents of one's own have the limit; of the other
/// kinds there are as many as anybody wants, and none is in use.
pub(super) fn show(
    organization: &Organization,
    parameters: &Parameters,
    site: Site<'_>,
) -> Response {
    let is = |name: &str, value: &str| {
        let given = parameters.get(name);
        given.is_some_and(|given| given.eq_ignore_ascii_case(value))
    };
    let (is_public, is_hosted) = (is("parallelismTag", "Public"), is("poolIsHosted", "true"));
    let is_limited = !is_public && !is_hosted;
    let limit = organization.parallel_jobs_limit().filter(|_| is_limited);
    let limit = limit.unwrap_or(UNLIMITED);
    let users = organization.pools().flat_map(|pool| {
        let with_agent = pool.unfinished().filter(|job| job.agent.is_some());
        with_agent.map(move |job| (pool, job))
    });
    let users: Vec<(&Pool, &Job)> = users.filter(|_| is_limited).collect();
    let (matches, now) = (Matches::default(), organization.now());
    let rows = || {
        let rows = users
            .iter()
            .map(|(pool, job)| JobRow::new(job, pool, &matches, site, now));
        rows.collect()
    };
    let row = UsageRow {
        resource_limit: LimitRow {
            resource_limits_data: LimitsData {
                free_count: "1".to_owned(),
                purchased_count: limit.saturating_sub(1).to_string(),
            },
            host_id: wire::guid(Family::Host, 1),
            parallelism_tag: if is_public { "Public" } else { "Private" },
            is_hosted,
            total_count: limit,
            is_premium: true,
        },
        used_count: u32::try_from(users.len()).unwrap_or(u32::MAX),
        running_requests: is("includeRunningRequests", "true").then(rows),
    };
    wire::answer(StatusCode::OK, &row)
}
