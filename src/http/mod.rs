//! The HTTP server: metrics, probes, the status page and service hooks.
//!
//! May import: scaler, telemetry, shutdown, connection, domain. Invariant: it
//! decides nothing, and nobody can hold it: connections, bodies and silence are
//! bounded.

pub mod agent;
mod hook;
mod metrics;
mod probes;
mod status;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::SecretString;
use tokio::{net::TcpListener, sync::Semaphore};

/// For the fuzz target; nobody else has a body to read.
#[doc(hidden)]
pub use hook::organizations;
pub use probes::Latch;

use crate::{
    connection::{Connection, Connections},
    scaler::answers::Answers,
    shutdown::Shutdown,
    telemetry::metrics::Metrics,
};

/// Connections at a time.
const CONNECTIONS: usize = 256;

/// A connection on which nothing is answered for this long is closed: longer
/// than the usual distance of two scrapes, so that Prometheus keeps its own.
const LONGEST_SILENCE: Duration = Duration::from_secs(90);

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP server failed: {0}")]
pub struct HttpError(#[from] io::Error);

/// What is served.
#[derive(Debug)]
pub struct Site<A> {
    /// Who answers.
    pub answers: Arc<A>,
    /// What is scraped.
    pub metrics: Arc<Metrics>,
    /// Open once every server listens.
    pub ready: Latch,
    /// What a service hook must know; without it all are refused.
    pub hook_secret: Option<SecretString>,
    /// The way down.
    pub shutdown: Shutdown,
}

/// What the handlers share.
struct Shared<A> {
    site: Site<A>,
    /// Bodies of hooks that may be in memory at a time.
    hook_bodies: Semaphore,
    /// Status pages that may be made at a time: one, since it is the largest
    /// thing that a caller can ask for, and nobody has to prove who he is.
    status_pages: Arc<Semaphore>,
}

/// Serves until the shutdown is over.
///
/// # Errors
/// The server fails as a whole; never on account of a connection.
pub async fn serve<A: Answers>(listener: TcpListener, site: Site<A>) -> Result<(), HttpError> {
    let shutdown = site.shutdown.clone();
    let connections = Connections::new(listener, CONNECTIONS, Some(LONGEST_SILENCE));
    let server = axum::serve(connections, router(site)).with_graceful_shutdown(shutdown.stop());
    tokio::select! {
        ended = server => Ok(ended?),
        () = shutdown.cut() => {
            tracing::warn!("HTTP connections were still open at the end of the shutdown; they are cut");
            Ok(())
        }
    }
}

fn router<A: Answers>(site: Site<A>) -> Router {
    let shared = Arc::new(Shared {
        site,
        hook_bodies: Semaphore::new(hook::BODIES_AT_A_TIME),
        status_pages: Arc::new(Semaphore::new(1)),
    });
    Router::new()
        .route("/livez", get(probes::livez::<A>))
        .route("/readyz", get(probes::readyz::<A>))
        .route("/metrics", get(metrics::metrics::<A>))
        .route("/status", get(status::status::<A>))
        .route("/hooks/azure-devops", post(hook::azure_devops::<A>))
        .route("/hooks/azure-devops/", post(hook::azure_devops::<A>))
        .fallback(not_found)
        .with_state(shared)
}

async fn not_found() -> Response {
    let message = "nothing is here; there are /status, /metrics, /livez, /readyz and \
        POST /hooks/azure-devops\n";
    (StatusCode::NOT_FOUND, message).into_response()
}

impl axum::serve::Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        Self::accept(self).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}
