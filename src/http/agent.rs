//! The HTTP server of `azp-agent`: metrics and probes, where they are asked for.
//!
//! May import: agent's board, telemetry, connection. Invariant: it answers from
//! the board alone, changes nothing, and its connections are bounded.

use std::io;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use jiff::Timestamp;
use tokio::net::TcpListener;

use super::{LONGEST_SILENCE, metrics::TEXT_FORMAT};
use crate::{
    agent::board::{Board, Phase, Status, Verdict},
    connection::Connections,
    telemetry::agent::{AgentFigures, scrape},
};

/// Connections at a time: a scraper, a kubelet, and somebody who looks.
const CONNECTIONS: usize = 32;

/// Serves `/metrics`, `/livez`, `/readyz` and `/status` until it is dropped.
///
/// # Errors
/// The server fails as a whole; never on account of a connection.
pub async fn serve(listener: TcpListener, board: Board) -> io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .with_state(board);
    let connections = Connections::new(listener, CONNECTIONS, Some(LONGEST_SILENCE));
    axum::serve(connections, router).await
}

async fn metrics(State(board): State<Board>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT_FORMAT)], text(&board.status()))
}

async fn live(State(board): State<Board>) -> impl IntoResponse {
    probe(board.status().live(Timestamp::now()))
}

async fn ready(State(board): State<Board>) -> impl IntoResponse {
    probe(board.status().ready())
}

async fn status(State(board): State<Board>) -> impl IntoResponse {
    axum::Json(board.status())
}

fn probe(verdict: Verdict) -> (StatusCode, String) {
    match verdict {
        Ok(reason) => (StatusCode::OK, format!("{reason}\n")),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn text(status: &Status) -> String {
    let now = Timestamp::now();
    let phases = Phase::ALL.map(|phase| (phase.name(), phase == status.phase));
    let job_seconds = status
        .job_since
        .map(|since| now.duration_since(since).as_secs_f64());
    let session = &status.session;
    let known = session.seen.is_some() || session.offline_since.is_some();
    scrape(&AgentFigures {
        pool: &status.pool,
        agent: &status.agent,
        phases: &phases,
        job_seconds,
        jobs: status.jobs,
        crashes: status.crashes,
        updates: status.updates,
        online: known.then_some(session.offline_since.is_none()),
    })
}
