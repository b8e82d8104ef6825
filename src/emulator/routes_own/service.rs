//! The emulator's own routes of what is around the pools: queues, credentials,
//! faults, the clock.
//!
//! May import: the handle, the bodies' reader. Invariant: that of its parent.

use axum::{
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{Answer, Wrong, read, seconds};
use crate::emulator::{
    authority::{AuthorityFault, Exchanges},
    faults::{Fault, FaultKind},
    handle::EmulatorHandle,
    wire::{self, Stamp},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FaultBody {
    kind: String,
    count: Option<u32>,
    route: Option<Box<str>>,
    method: Option<Box<str>>,
    #[serde(default)]
    done: bool,
    retry_after_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueBody {
    pool: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitBody {
    parallel_jobs: Option<u32>,
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

pub(super) async fn add_queue(
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

pub(super) async fn set_limit(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
    let LimitBody { parallel_jobs } = read(body, true, r#"{"parallelJobs":10}"#).await?;
    emulator.set_parallel_jobs(parallel_jobs);
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn set_token(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
    let TokenBody { token } = read(body, false, r#"{"token":"another"}"#).await?;
    if token.is_empty() {
        return Err(Wrong::body("token is empty; give one".into()));
    }
    emulator.set_token(token.into());
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A fault lasts until a request without one.
pub(super) async fn set_authority(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
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

pub(super) async fn authority(State(emulator): State<EmulatorHandle>) -> Response {
    let Exchanges { asked, given } = emulator.exchanges();
    let counts = serde_json::json!({"asked": asked, "given": given});
    wire::answer(StatusCode::OK, &counts)
}

pub(super) async fn requests(State(emulator): State<EmulatorHandle>) -> Response {
    wire::answer(StatusCode::OK, &emulator.requests())
}

pub(super) async fn set_fault(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
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
        method: body.method,
        done: body.done,
        retry_after: body.retry_after_seconds.unwrap_or(standard.retry_after),
    });
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn clear_faults(State(emulator): State<EmulatorHandle>) -> StatusCode {
    emulator.clear_faults();
    StatusCode::NO_CONTENT
}

pub(super) async fn advance_clock(State(emulator): State<EmulatorHandle>, body: Body) -> Answer {
    let body: ClockBody = read(body, false, r#"{"advanceSeconds":60}"#).await?;
    emulator.advance(seconds("advanceSeconds", body.advance_seconds)?);
    let now = Stamp::ticks(emulator.clock().now()).to_string();
    Ok(wire::answer(
        StatusCode::OK,
        &serde_json::json!({"now": now}),
    ))
}
