//! The emulator's own routes, below `/_emulator`; users rely on them.
//!
//! - `POST pools/{name}` `{"strict":true}` makes a pool. In a strict one a job
//!   fails at once that no registered agent (offline and disabled ones count)
//!   could ever run, as in Azure DevOps. Pools are **not** strict at first,
//!   because a trial starts with no agent at all.
//! - `GET pools/{name}`: jobs, agents and counts, whole.
//! - `POST pools/{name}/jobs` `{"count":3,"demands":["java -equals 17"],
//!   "durationSeconds":60,"pipeline":"ci","needsAgent":false}`, every member
//!   optional → `{"requestIds":[…]}`; `DELETE pools/{name}/jobs/{id}` cancels.
//! - `POST pools/{name}/agents` `{"name":"…","capabilities":{…}}`: an online
//!   agent; `DELETE pools/{name}/agents/{name}`: it is killed, its job is lost.
//! - `POST queues/{id}` `{"pool":"…"}`: a project's queue, which leads there.
//! - `POST authority` `{"fault":"refuse","lifetimeSeconds":60}`, every member
//!   optional, `GET authority`: how its tokens are given out.
//! - `GET requests` · `POST faults` `{"kind":"…","count":N,"route":"…",
//!   "retryAfterSeconds":2}`, `DELETE faults` · `POST clock` `{"advanceSeconds":N}`.
//!
//! May import: the handle. Invariant: a wrong body changes nothing and is
//! answered with `{"error":"…"}`: what, where, remedy.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    authority::{AuthorityFault, Exchanges},
    faults::{Fault, FaultKind},
    handle::EmulatorHandle,
    organization::{NewAgent, NewJobs, Refusal},
    wire::{self, Stamp},
};
use crate::domain::{
    demand::{Demand, Demands},
    job::RequestId,
};

/// The largest body that is read.
const BODY_CAP: usize = 1 << 20;
/// The longest time that a body may name: a year, in seconds.
const YEAR: f64 = 31_536_000.0;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolBody {
    strict: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JobsBody {
    count: Option<u32>,
    #[serde(default)]
    demands: Vec<String>,
    duration_seconds: Option<f64>,
    pipeline: Option<Box<str>>,
    #[serde(default)]
    needs_agent: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AgentBody {
    name: Box<str>,
    #[serde(default)]
    capabilities: BTreeMap<String, String>,
    version: Option<Box<str>>,
    enabled: Option<bool>,
    #[serde(default)]
    once: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FaultBody {
    kind: String,
    count: Option<u32>,
    route: Option<Box<str>>,
    retry_after_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueBody {
    pool: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AuthorityBody {
    fault: Option<String>,
    lifetime_seconds: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClockBody {
    advance_seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Queued {
    request_ids: Vec<u64>,
}

/// An answer that is no success: its status and its words.
struct Wrong(StatusCode, String);

type Answer = Result<Response, Wrong>;

/// The routes below `/_emulator`.
pub(super) fn routes() -> Router<EmulatorHandle> {
    Router::new()
        .route("/_emulator/pools/{pool}", get(show_pool).post(set_pool))
        .route("/_emulator/pools/{pool}/jobs", post(queue_jobs))
        .route("/_emulator/pools/{pool}/jobs/{id}", delete(cancel_job))
        .route("/_emulator/pools/{pool}/agents", post(add_agent))
        .route("/_emulator/pools/{pool}/agents/{agent}", delete(kill_agent))
        .route("/_emulator/queues/{id}", post(add_queue))
        .route("/_emulator/token", post(set_token))
        .route("/_emulator/authority", get(authority).post(set_authority))
        .route("/_emulator/requests", get(requests))
        .route("/_emulator/faults", post(set_fault).delete(clear_faults))
        .route("/_emulator/clock", post(advance_clock))
        .method_not_allowed_fallback(method_not_allowed)
}

/// What neither Azure nor the emulator has.
pub(super) fn nothing_here(uri: &Uri) -> Response {
    let path = uri.path();
    Wrong(
        StatusCode::NOT_FOUND,
        format!(
            "there is nothing at {path}; Azure's routes are below [/ORGANIZATION]/_apis/, the \
             emulator's own are /_emulator/pools/NAME[/jobs|/agents], /_emulator/queues/ID, \
             /_emulator/token, /_emulator/authority, /_emulator/requests, /_emulator/faults and /_emulator/clock"
        ),
    )
    .into_response()
}

async fn show_pool(State(emulator): State<EmulatorHandle>, Path(pool): Path<String>) -> Answer {
    Ok(emulator.report(&pool, |report| wire::answer(StatusCode::OK, report))?)
}

async fn set_pool(
    State(emulator): State<EmulatorHandle>,
    Path(pool): Path<String>,
    body: Body,
) -> Answer {
    let body: PoolBody = read(body, true, r#"{"strict":true}"#).await?;
    emulator.ensure_pool(&pool)?;
    if let Some(strict) = body.strict {
        emulator.set_strict(&pool, strict)?;
    }
    Ok(emulator.report(&pool, |report| wire::answer(StatusCode::OK, report))?)
}

async fn queue_jobs(
    State(emulator): State<EmulatorHandle>,
    Path(pool): Path<String>,
    body: Body,
) -> Answer {
    const EXAMPLE: &str = r#"{"count":3,"demands":["java -equals 17"],"durationSeconds":60}"#;
    let body: JobsBody = read(body, true, EXAMPLE).await?;
    for (index, text) in body.demands.iter().enumerate() {
        Demand::parse(text)
            .map_err(|error| Wrong::body(format!("demands[{index}] cannot be read: {error}")))?;
    }
    let standard = NewJobs::default();
    let duration = body
        .duration_seconds
        .map(|duration| seconds("durationSeconds", duration));
    let jobs = NewJobs {
        count: body.count.unwrap_or(standard.count),
        demands: Demands::read(&body.demands),
        duration: duration.transpose()?.unwrap_or(standard.duration),
        pipeline: body.pipeline.unwrap_or(standard.pipeline),
        needs_agent: body.needs_agent,
    };
    let ids = emulator.queue_jobs(&pool, &jobs)?;
    let request_ids = ids.into_iter().map(|id| id.0).collect();
    Ok(wire::answer(StatusCode::OK, &Queued { request_ids }))
}

async fn cancel_job(
    State(emulator): State<EmulatorHandle>,
    Path((pool, id)): Path<(String, String)>,
) -> Answer {
    let number = id.parse();
    let id = number.map_err(|_| Wrong::body(format!("job request {id:?} is no number")))?;
    emulator.cancel_job(&pool, RequestId(id))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn add_agent(
    State(emulator): State<EmulatorHandle>,
    Path(pool): Path<String>,
    body: Body,
) -> Answer {
    let example = r#"{"name":"agent-1","capabilities":{"java":"17"}}"#;
    let body: AgentBody = read(body, false, example).await?;
    if body.name.trim().is_empty() {
        return Err(Wrong::body("name is empty; give the agent one".into()));
    }
    let mut agent = NewAgent::in_pod(&body.name, body.capabilities);
    if let Some(version) = body.version {
        let key = "Agent.Version".to_owned();
        agent
            .system_capabilities
            .insert(key, version.clone().into());
        agent.version = version;
    }
    agent.enabled = body.enabled.unwrap_or(true);
    agent.once = body.once;
    let id = emulator.add_agent(&pool, agent)?;
    let added = serde_json::json!({"id": id, "name": body.name});
    Ok(wire::answer(StatusCode::OK, &added))
}

async fn kill_agent(
    State(emulator): State<EmulatorHandle>,
    Path((pool, agent)): Path<(String, String)>,
) -> Answer {
    emulator.kill_agent(&pool, &agent)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn add_queue(
    State(emulator): State<EmulatorHandle>,
    Path(id): Path<String>,
    body: Body,
) -> Answer {
    let body: QueueBody = read(body, false, r#"{"pool":"linux"}"#).await?;
    let number = id.parse();
    let id = number.map_err(|_| Wrong::body(format!("queue {id:?} is no number")))?;
    emulator.add_queue(id, &body.pool)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn set_token(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
    let TokenBody { token } = read(body, false, r#"{"token":"another"}"#).await?;
    if token.is_empty() {
        return Err(Wrong::body("token is empty; give one".into()));
    }
    emulator.set_token(token.into());
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A fault lasts until a request without one.
async fn set_authority(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
    let example = r#"{"fault":"refuse","lifetimeSeconds":60}"#;
    let body: AuthorityBody = read(body, true, example).await?;
    let fault = body.fault.map(|name| {
        let mut all = AuthorityFault::ALL.iter();
        let found = all.find(|(known, _)| *known == name);
        found.map(|(_, fault)| *fault).ok_or_else(|| {
            let names = AuthorityFault::ALL.map(|(known, _)| known).join(", ");
            Wrong::body(format!("fault is {name:?}; there are: {names}"))
        })
    });
    let fault = fault.transpose()?;
    let lifetime = body.lifetime_seconds;
    let lifetime = lifetime.map(|lifetime| seconds("lifetimeSeconds", lifetime));
    if let Some(lifetime) = lifetime.transpose()? {
        emulator.set_token_lifetime(lifetime);
    }
    emulator.set_authority_fault(fault);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn authority(State(emulator): State<EmulatorHandle>) -> Response {
    let Exchanges { asked, given } = emulator.exchanges();
    let counts = serde_json::json!({"asked": asked, "given": given});
    wire::answer(StatusCode::OK, &counts)
}

async fn requests(State(emulator): State<EmulatorHandle>) -> Response {
    wire::answer(StatusCode::OK, &emulator.requests())
}

async fn set_fault(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
    let example = r#"{"kind":"server-error","count":3}"#;
    let body: FaultBody = read(body, false, example).await?;
    let kind = FaultKind::parse(&body.kind).map_err(Wrong::body)?;
    if body.count == Some(0) {
        let words = "count is 0; leave it out to have the fault until it is deleted";
        return Err(Wrong::body(words.into()));
    }
    let standard = Fault::new(kind);
    emulator.set_fault(Fault {
        kind,
        count: body.count,
        route: body.route,
        retry_after: body.retry_after_seconds.unwrap_or(standard.retry_after),
    });
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn clear_faults(State(emulator): State<EmulatorHandle>) -> StatusCode {
    emulator.clear_faults();
    StatusCode::NO_CONTENT
}

async fn advance_clock(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
    let body: ClockBody = read(body, false, r#"{"advanceSeconds":60}"#).await?;
    emulator.advance(seconds("advanceSeconds", body.advance_seconds)?);
    let now = Stamp::ticks(emulator.clock().now()).to_string();
    Ok(wire::answer(
        StatusCode::OK,
        &serde_json::json!({"now": now}),
    ))
}

async fn method_not_allowed(uri: Uri) -> Wrong {
    let path = uri.path();
    let words =
        format!("{path} is there, but not for this method; see the emulator's documentation");
    Wrong(StatusCode::METHOD_NOT_ALLOWED, words)
}

async fn read<T: DeserializeOwned>(body: Body, optional: bool, example: &str) -> Result<T, Wrong> {
    let bytes = axum::body::to_bytes(body, BODY_CAP).await;
    let too_much = |_| Wrong::body("the body is cut off or larger than 1 MB; send less".into());
    let bytes = bytes.map_err(too_much)?;
    let text: &[u8] = match bytes.trim_ascii() {
        b"" if optional => b"{}",
        text => text,
    };
    serde_json::from_slice(text).map_err(|error| {
        Wrong::body(format!(
            "the body cannot be read: {error}; send JSON such as {example}"
        ))
    })
}

fn seconds(field: &str, value: f64) -> Result<Duration, Wrong> {
    let duration = Duration::try_from_secs_f64(value).ok();
    duration
        .filter(|_| value <= YEAR)
        .ok_or_else(|| Wrong::body(format!("{field} is {value}; give 0 to {YEAR} seconds")))
}

// === impl Wrong ===

impl Wrong {
    fn body(words: String) -> Self {
        Self(StatusCode::BAD_REQUEST, words)
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::NoSuchPool(_) | Refusal::NoSuchAgent { .. } | Refusal::NoSuchJob { .. } => {
                StatusCode::NOT_FOUND
            }
            Refusal::Count(_) | Refusal::PoolName(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::CONFLICT,
        };
        Self(status, refusal.to_string())
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        wire::answer(self.0, &serde_json::json!({"error": self.1}))
    }
}
