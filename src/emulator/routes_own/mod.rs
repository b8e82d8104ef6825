//! The emulator's own routes, below `/_emulator`; users rely on them.
//!
//! - `POST pools/{name}` `{"strict":true}` makes a pool. In a strict one a job
//!   fails at once that no registered agent (offline and disabled ones count)
//!   could ever run, as in Azure DevOps. Pools are **not** strict at first,
//!   because a trial starts with no agent at all.
//! - `GET pools/{name}`: jobs, agents and counts, whole.
//! - `POST pools/{name}/jobs` `{"count":3,"demands":["java -equals 17"],
//!   "durationSeconds":60,"pipeline":"ci","needsAgent":false,"outcome":"failed",
//!   "steps":["make"]}`, every member optional → `{"requestIds":[…]}`; a
//!   listener runs the steps. `DELETE pools/{name}/jobs/{id}` cancels, `GET
//!   pools/{name}/jobs/{id}/log` is what the worker wrote.
//! - `POST pools/{name}/agents` `{"name":"…","capabilities":{…}}`: an online
//!   agent; `DELETE pools/{name}/agents/{name}`: it is killed, its job is lost.
//! - `POST pools/{name}/agents/{name}/orders` `{"order":"update","version":"…"}`,
//!   `{"order":"exit","code":1}`, `{"order":"kill"}`, `{"order":"kill-worker"}`:
//!   what its listener is to do.
//! - `POST queues/{id}` `{"pool":"…"}`: a project's queue, which leads there.
//! - `POST limit` `{"parallelJobs":10}`: how many jobs of all pools may be with an
//!   agent at once; without the member, or `null`: as many as there are.
//! - `POST authority` `{"fault":"refuse","lifetimeSeconds":60}`, every member
//!   optional, `GET authority`: how its tokens are given out.
//! - `GET requests` · `POST faults` `{"kind":"…","count":N,"route":"…",
//!   "method":"DELETE","done":false,"retryAfterSeconds":2}`, `DELETE faults` · `POST clock` `{"advanceSeconds":N}`.
//!
//! May import: the handle. Invariant: a wrong body changes nothing and is
//! answered with `{"error":"…"}`: what, where, remedy.

mod pools;
mod service;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::de::DeserializeOwned;

use super::{handle::EmulatorHandle, organization::Refusal, wire};

/// The largest body that is read.
const BODY_CAP: usize = 1 << 20;
/// The longest time that a body may name: a year, in seconds.
const YEAR: f64 = 31_536_000.0;

/// An answer that is no success: its status and its words.
struct Wrong(StatusCode, String);

type Answer = Result<Response, Wrong>;

/// The routes below `/_emulator`.
pub(super) fn routes() -> Router<EmulatorHandle> {
    Router::new()
        .route(
            "/_emulator/pools/{pool}",
            get(pools::show_pool).post(pools::set_pool),
        )
        .route("/_emulator/pools/{pool}/jobs", post(pools::queue_jobs))
        .route(
            "/_emulator/pools/{pool}/jobs/{id}",
            delete(pools::cancel_job),
        )
        .route("/_emulator/pools/{pool}/jobs/{id}/log", get(pools::job_log))
        .route("/_emulator/pools/{pool}/agents", post(pools::add_agent))
        .route(
            "/_emulator/pools/{pool}/agents/{agent}",
            delete(pools::kill_agent),
        )
        .route(
            "/_emulator/pools/{pool}/agents/{agent}/orders",
            post(pools::order),
        )
        .route("/_emulator/queues/{id}", post(service::add_queue))
        .route("/_emulator/limit", post(service::set_limit))
        .route("/_emulator/token", post(service::set_token))
        .route(
            "/_emulator/authority",
            get(service::authority).post(service::set_authority),
        )
        .route("/_emulator/requests", get(service::requests))
        .route(
            "/_emulator/faults",
            post(service::set_fault).delete(service::clear_faults),
        )
        .route("/_emulator/clock", post(service::advance_clock))
        .method_not_allowed_fallback(method_not_allowed)
}

/// What neither Azure nor the emulator has.
pub(super) fn nothing_here(uri: &Uri) -> Response {
    let path = uri.path();
    Wrong(
        StatusCode::NOT_FOUND,
        format!(
            "there is nothing at {path}; Azure's routes are below [/ORGANIZATION]/_apis/, the \
             emulator's own are /_emulator/pools/NAME[/jobs|/agents], /_emulator/packages/FILE, \
             /_emulator/queues/ID, /_emulator/limit, /_emulator/token, /_emulator/authority, /_emulator/requests, \
             /_emulator/faults and /_emulator/clock"
        ),
    )
    .into_response()
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
