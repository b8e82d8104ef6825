//! Azure's own routes: pools, job requests, agents, below any organization.
//!
//! May import: everything of the emulator but its own routes. Invariant: every
//! request is counted, whoever answers it; the order is fault, credential,
//! API version, answer.

use axum::{
    body::{Body, Bytes},
    extract::{Query, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    agents_azure, auth,
    faults::{Fault, FaultKind},
    organization::{AgentId, Job, Organization, Pool, Refusal},
    queues_azure,
    state::{Shared, SharedState},
    wire::{self, JobRow, Listing, Matches, PoolRow, Site},
};
use crate::domain::{
    job::{JobState, RequestId},
    pool::PoolId,
};

/// Azure DevOps: `$top` gives at most this many, whatever it says.
const TOP_CAP: usize = 200;
/// ASSUMPTION(finished-by-default): without a parameter, the last 50 finished
/// requests come along with all unfinished ones.
const FINISHED_BY_DEFAULT: usize = 50;
/// The largest body that is read.
const BODY_CAP: usize = 1 << 20;

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Pools,
    Pool(PoolId),
    JobRequests(PoolId),
    JobRequest(PoolId, RequestId),
    Agents(PoolId),
    Agent(PoolId, AgentId),
    UserCapabilities(PoolId, AgentId),
    Queue(u32),
    Other,
}

/// The query's parameters, in their order.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

/// Answers what is below `_apis`, under whichever organization.
pub(super) async fn answer(
    State(shared): State<SharedState>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some((prefix, below)) = parts.uri.path().split_once("/_apis/") else {
        return super::routes_own::nothing_here(&parts.uri);
    };
    let route = Route::of(below);
    shared.requests().add(&parts.method, route.template());
    let fault = Fault::take(&mut shared.fault(), parts.uri.path());
    if let Some(fault) = &fault
        && let Some(answer) = fault.answer(&shared).await
    {
        return answer;
    }
    let mut answer = match auth::check(&shared, &parts.method, &parts.headers) {
        Ok(()) => {
            let base = base(&parts.headers, prefix);
            authorized(&shared, &parts, route, Site(&base), body).await
        }
        Err(refused) => *refused,
    };
    if let Some(fault) = fault.filter(|fault| fault.kind == FaultKind::SlowDown) {
        fault.rate_limit(answer.headers_mut(), shared.clock.now());
    }
    answer
}

async fn authorized(
    shared: &Shared,
    parts: &Parts,
    route: Route,
    site: Site<'_>,
    body: Body,
) -> Response {
    let Ok(parameters) = Parameters::read(&parts.uri) else {
        return bad_request("the query cannot be decoded");
    };
    let writes = !matches!(parts.method, Method::GET | Method::HEAD);
    if writes && !has_version(&parameters, &parts.headers) {
        let method = &parts.method;
        // ASSUMPTION(version-on-writes): a write without an API version is
        // refused like this.
        return wire::error(
            StatusCode::BAD_REQUEST,
            "VssVersionNotSpecifiedException",
            &format!("No api-version was supplied for the \"{method}\" request."),
        );
    }
    let body: Bytes = match axum::body::to_bytes(body, BODY_CAP).await {
        Ok(body) => body,
        Err(_) => return bad_request("the body is cut off or larger than 1 MB"),
    };
    let mut organization = shared.organization();
    let answered = match (&parts.method, route) {
        (&Method::GET, Route::Pools) => Ok(pools(&organization, &parameters)),
        (&Method::GET, Route::Pool(id)) => organization
            .pool(id)
            .map(|pool| wire::answer(StatusCode::OK, &PoolRow::new(pool))),
        (&Method::GET, Route::JobRequests(id)) => {
            job_requests(&organization, id, &parameters, site)
        }
        (&Method::GET, Route::JobRequest(pool, id)) => job_request(&organization, pool, id, site),
        (&Method::GET, Route::Agents(pool)) => {
            agents_azure::list(&organization, pool, &parameters, site)
        }
        (&Method::POST, Route::Agents(pool)) => {
            agents_azure::add(&mut organization, pool, &body, site)
        }
        (&Method::GET, Route::Agent(pool, id)) => {
            agents_azure::show(&organization, pool, id, &parameters, site)
        }
        (&Method::PATCH | &Method::PUT, Route::Agent(pool, id)) => {
            agents_azure::change(&mut organization, pool, id, &body, site)
        }
        (&Method::DELETE, Route::Agent(pool, id)) => organization
            .unregister(pool, id)
            .map(|()| StatusCode::NO_CONTENT.into_response()),
        (&Method::PUT, Route::UserCapabilities(pool, id)) => {
            agents_azure::set_user_capabilities(&mut organization, pool, id, &body, site)
        }
        (&Method::GET, Route::Queue(id)) => queues_azure::show(&organization, id),
        (_, Route::Other) => Ok(not_found(parts.uri.path())),
        (method, _) => Ok(method_not_allowed(method)),
    };
    answered.unwrap_or_else(|refusal| refused(&refusal))
}

fn pools(organization: &Organization, parameters: &Parameters) -> Response {
    let name = parameters.get("poolName");
    let ids = match parameters.numbers("poolIds") {
        Ok(ids) => ids,
        Err(refused) => return *refused,
    };
    // An unknown or invisible pool is an empty list, never a 404.
    let pools: Listing<_> = match name {
        Some(name) => organization
            .pool_named(name)
            .into_iter()
            .collect::<Vec<_>>(),
        None => organization.pools().collect(),
    }
    .into_iter()
    .filter(|pool| ids.as_ref().is_none_or(|ids| ids.contains(&pool.id.0)))
    .map(PoolRow::new)
    .collect();
    wire::answer(StatusCode::OK, &pools)
}

/// The overloads of `jobrequests`; each of them rules out those after it.
fn job_requests(
    organization: &Organization,
    id: PoolId,
    parameters: &Parameters,
    site: Site<'_>,
) -> Result<Response, Refusal> {
    let pool = organization.pool(id)?;
    let (top, finished, agents) = match (
        parameters.number("$top"),
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

fn job_request(
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

/// What the service says to a refusal.
///
/// ASSUMPTION(error-texts): all messages but that of the busy agent, and all
/// type keys but `TaskAgentJobStillRunningException`. The statuses are known.
fn refused(refusal: &Refusal) -> Response {
    let (status, type_key) = match refusal {
        Refusal::NoSuchPool(_) => (StatusCode::NOT_FOUND, "TaskAgentPoolNotFoundException"),
        Refusal::NoSuchQueue(_) => (StatusCode::NOT_FOUND, "TaskAgentQueueNotFoundException"),
        Refusal::NoSuchAgent { .. } => (StatusCode::NOT_FOUND, "TaskAgentNotFoundException"),
        Refusal::NoSuchJob { .. } => (StatusCode::NOT_FOUND, "TaskAgentJobNotFoundException"),
        Refusal::NameTaken { .. } => (StatusCode::CONFLICT, "TaskAgentExistsException"),
        // Azure DevOps: 400, not 409.
        Refusal::AgentBusy { .. } => (StatusCode::BAD_REQUEST, "TaskAgentJobStillRunningException"),
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

fn not_found(path: &str) -> Response {
    let message =
        format!("the emulator has no {path:?}; it knows distributedtask/pools and queues");
    wire::error(
        StatusCode::NOT_FOUND,
        "VssResourceNotFoundException",
        &message,
    )
}

fn method_not_allowed(method: &Method) -> Response {
    let message = format!("The requested resource does not support http method '{method}'.");
    let key = "VssServiceException";
    wire::error(StatusCode::METHOD_NOT_ALLOWED, key, &message)
}

/// Links start where the client believes the organization to be.
fn base(headers: &HeaderMap, prefix: &str) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    format!("http://{}{prefix}", host.unwrap_or("localhost"))
}

fn has_version(parameters: &Parameters, headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    parameters
        .get("api-version")
        .is_some_and(|version| !version.is_empty())
        || accept.is_some_and(|accept| accept.contains("api-version="))
}

// === impl Route ===

impl Route {
    fn of(below: &str) -> Self {
        let below = below.trim_end_matches('/').to_ascii_lowercase();
        let mut parts = below.split('/');
        let (area, resource) = (parts.next(), parts.next());
        let rest: Vec<_> = parts.collect();
        match (area, resource) {
            (Some("distributedtask"), Some("pools")) => {}
            (Some("distributedtask"), Some("queues")) => return queues_azure::route(&rest),
            _ => return Self::Other,
        }
        let Some(pool) = rest.first() else {
            return Self::Pools;
        };
        let Ok(pool) = pool.parse().map(PoolId) else {
            return Self::Other;
        };
        let id = rest.get(2).map(|id| id.parse::<u32>());
        match (rest.get(1).copied(), id, rest.get(3).copied(), rest.len()) {
            (None, ..) => Self::Pool(pool),
            (Some("jobrequests"), None, ..) => Self::JobRequests(pool),
            (Some("jobrequests"), Some(Ok(id)), None, _) => {
                Self::JobRequest(pool, RequestId(id.into()))
            }
            (Some("agents"), None, ..) => Self::Agents(pool),
            (Some("agents"), Some(Ok(id)), None, _) => Self::Agent(pool, id),
            (Some("agents"), Some(Ok(id)), Some("usercapabilities"), 4) => {
                Self::UserCapabilities(pool, id)
            }
            _ => Self::Other,
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Pools => "pools",
            Self::Pool(_) => "pools/{id}",
            Self::JobRequests(_) => "pools/{id}/jobrequests",
            Self::JobRequest(..) => "pools/{id}/jobrequests/{id}",
            Self::Agents(_) => "pools/{id}/agents",
            Self::Agent(..) => "pools/{id}/agents/{id}",
            Self::UserCapabilities(..) => "pools/{id}/agents/{id}/usercapabilities",
            Self::Queue(_) => "queues/{id}",
            Self::Other => "other",
        }
    }
}

// === impl Parameters ===

impl Parameters {
    fn read(uri: &Uri) -> Result<Self, axum::extract::rejection::QueryRejection> {
        Query::try_from_uri(uri).map(|Query(pairs)| Self(pairs))
    }

    /// The first of this name, whatever the case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Box<Response>> {
        let number = self.get(name).map(str::parse).transpose();
        number.map_err(|_| Box::new(bad_request(&format!("{name} is no number"))))
    }

    /// A list of numbers, separated by commas.
    fn numbers(&self, name: &str) -> Result<Option<Vec<u32>>, Box<Response>> {
        let list = self
            .get(name)
            .map(|list| list.split(',').map(|id| id.trim().parse()).collect());
        let list: Option<Result<Vec<u32>, _>> = list;
        let wrong = |_| Box::new(bad_request(&format!("{name} is no list of numbers")));
        list.transpose().map_err(wrong)
    }
}
