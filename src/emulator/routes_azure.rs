//! Azure's own routes: pools, job requests, agents, below any organization.
//!
//! May import: everything of the emulator but its own routes. Invariant: every
//! request is counted, whoever answers it; the order is fault, credential,
//! API version, answer.

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    agent_tokens, agents_azure,
    auth::{self, Caller},
    faults::{Fault, FaultKind},
    job_output, jobs_azure,
    organization::Organization,
    packages, parallel_jobs_azure,
    parameters::Parameters,
    queues_azure,
    refusals_azure::{bad_request, method_not_allowed, not_found, refused},
    route::Route,
    sessions_azure,
    state::{Shared, SharedState},
    wire::{self, Listing, PoolRow, Site},
};

/// The largest body that is read.
const BODY_CAP: usize = 1 << 20;

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
    let fault = Fault::take(&mut shared.fault(), &parts.method, parts.uri.path());
    if let Some(fault) = fault.as_ref().filter(|fault| !fault.done)
        && let Some(answer) = fault.answer(&shared).await
    {
        return answer;
    }
    let mut answer = if route == Route::AgentToken {
        agent_tokens::give(&shared, &parts.method, body).await
    } else {
        match auth::check(&shared, &parts.method, &parts.headers) {
            Ok(caller) => {
                let base = base(&parts.headers, prefix);
                authorized(&shared, &parts, (caller, route), Site(&base), body).await
            }
            Err(refused) => *refused,
        }
    };
    match fault {
        Some(fault) if fault.kind == FaultKind::SlowDown => {
            fault.rate_limit(answer.headers_mut(), shared.clock.now());
        }
        Some(fault) if fault.done => return fault.answer(&shared).await.unwrap_or(answer),
        _ => {}
    }
    answer
}

async fn authorized(
    shared: &Shared,
    parts: &Parts,
    (caller, route): (Caller, Route),
    site: Site<'_>,
    body: Body,
) -> Response {
    if let Err(refusal) = caller.may(&route, &parts.method) {
        return refused(&refusal);
    }
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
    if let (&Method::GET, &Route::Messages(pool)) = (&parts.method, &route) {
        return sessions_azure::next_message(shared, caller, pool, &parameters).await;
    }
    let mut organization = shared.organization();
    let answered = match (&parts.method, route) {
        (&Method::GET, Route::Pools) => Ok(pools(&organization, &parameters)),
        (&Method::GET, Route::Pool(id)) => organization
            .pool(id)
            .map(|pool| wire::answer(StatusCode::OK, &PoolRow::new(pool))),
        (&Method::GET, Route::JobRequests(id)) => {
            jobs_azure::list(&organization, id, &parameters, site)
        }
        (&Method::GET, Route::JobRequest(pool, id)) => {
            jobs_azure::show(&organization, pool, id, site)
        }
        (&Method::PATCH, Route::JobRequest(pool, id)) => jobs_azure::change(
            &mut organization,
            caller,
            (pool, id),
            &parameters,
            &body,
            site,
        ),
        (&Method::GET, Route::Agents(pool)) => {
            agents_azure::list(&organization, pool, &parameters, site)
        }
        (&Method::POST, Route::Agents(pool)) => {
            agents_azure::add(&mut organization, pool, &body, site)
        }
        (&Method::GET, Route::Agent(pool, id)) => {
            agents_azure::show(&organization, pool, id, &parameters, site)
        }
        (&Method::PATCH, Route::Agent(pool, id)) => {
            agents_azure::change(&mut organization, pool, id, &body, site)
        }
        (&Method::PUT, Route::Agent(pool, id)) => {
            agents_azure::replace(&mut organization, pool, id, &body, site)
        }
        (&Method::DELETE, Route::Agent(pool, id)) => organization
            .unregister(pool, id)
            .map(|()| StatusCode::NO_CONTENT.into_response()),
        (&Method::PUT, Route::UserCapabilities(pool, id)) => {
            agents_azure::set_user_capabilities(&mut organization, pool, id, &body, site)
        }
        (&Method::GET, Route::Queue(id)) => queues_azure::show(&organization, id),
        (&Method::GET, Route::ResourceUsage) => {
            Ok(parallel_jobs_azure::show(&organization, &parameters, site))
        }
        (&Method::GET, Route::ConnectionData) => Ok(wire::connection_data()),
        (&Method::GET, Route::Packages) => Ok(packages::list(shared, &parameters, site)),
        (&Method::GET, Route::Package(platform, version)) => {
            Ok(packages::show(shared, &platform, &version, site))
        }
        (&Method::POST, Route::Sessions(pool)) => {
            sessions_azure::open(&mut organization, caller, pool, &body)
        }
        (&Method::DELETE, Route::Session(pool, id)) => {
            sessions_azure::end(&mut organization, caller, pool, id)
        }
        (&Method::DELETE, Route::Message(pool, id)) => {
            sessions_azure::delete_message(&mut organization, caller, pool, id, &parameters)
        }
        (&Method::POST, Route::Feed(job)) => {
            job_output::append(&mut organization, caller, job, &body)
        }
        (&Method::POST, Route::PlanEvents) => job_output::event(&mut organization, caller, &body),
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
