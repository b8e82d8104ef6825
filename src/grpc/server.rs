//! The server around the service: bounds, health, reflection, the way down.
//!
//! May import: its siblings, scaler's questions, telemetry, shutdown. Invariant: nothing that a caller does grows without a bound, and
//! while the scaler drains every call is still answered.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use tokio::{net::TcpListener, time::sleep};
use tokio_util::task::TaskTracker;
use tonic::{server::NamedService, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    incoming::callers,
    proto::{self, external_scaler_server::ExternalScalerServer},
    service::Service,
    tls::Tls,
};
use crate::{scaler::answers::Answers, shutdown::Shutdown, telemetry::metrics::Metrics};

/// Calls and streams at a time on one connection. KEDA 2.21: has one connection
/// for all its scaling objects, and two streams for each one that is pushed; so
/// a small bound would starve the calls of a large cluster, for good.
const STREAMS_PER_CONNECTION: u32 = 32_768;

/// The largest request. Kubernetes: an object has 1.5 MiB at most; metadata of
/// one trigger is far below.
const LARGEST_REQUEST: usize = 256 * 1024;

/// An idle connection is asked for a sign of life this often, so that the place
/// of a caller who vanished becomes free.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// And closed when none comes for this long.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Once the server has stopped and every call is answered, the last answers are
/// on their way for this long at most. After that only those are left who do not
/// read, or keep a stream of their own open: a call of reflection, say.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The descriptor that was built in cannot be read.
    #[error("gRPC reflection cannot be built: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server failed.
    #[error("the gRPC server failed: {0}")]
    Server(#[from] tonic::transport::Error),
}

/// Serves until the shutdown is over, by TLS alone if there is one: streams end when it drains, connections
/// when it stops, and what is left then is cut.
///
/// # Errors
/// The server cannot be built or fails as a whole; never on account of a
/// connection.
pub async fn serve<A: Answers>(
    listener: TcpListener,
    tls: Option<Tls>,
    answers: Arc<A>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
) -> Result<(), GrpcError> {
    let under_way = TaskTracker::new();
    let service = Service {
        answers,
        metrics: Arc::clone(&metrics),
        shutdown: shutdown.clone(),
        encrypted: tls.is_some(),
        under_way: under_way.clone(),
    };
    let service = ExternalScalerServer::new(service).max_decoding_message_size(LARGEST_REQUEST);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (health, health_service) = tonic_health::server::health_reporter();
    let name = <ExternalScalerServer<Service<A>> as NamedService>::NAME;
    health
        .set_service_status(name, ServingStatus::Serving)
        .await;
    let serving = tls.as_ref().map(Tls::serving);
    let callers = callers(listener, serving, Arc::clone(&metrics));
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_service(service)
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(callers, shutdown.stop());
    tokio::select! {
        ended = server => Ok(ended?),
        never = tell_health(health, name, &shutdown) => match never {},
        never = keep_up(tls, &metrics) => match never {},
        () = all_answered(&under_way, &shutdown) => {
            tracing::info!("every call is answered; connections that callers did not close are closed");
            Ok(())
        }
        () = shutdown.cut() => {
            tracing::warn!("calls or connections were still open at the end of the shutdown; they are cut");
            Ok(())
        }
    }
}

/// Health follows the shutdown, for the server as a whole (`""`) and for the
/// service.
async fn tell_health(
    mut health: HealthReporter,
    service: &'static str,
    shutdown: &Shutdown,
) -> Infallible {
    shutdown.draining().await;
    for name in ["", service] {
        health
            .set_service_status(name, ServingStatus::NotServing)
            .await;
    }
    shutdown.stop().await;
    // It ends the streams of those who watch; the server would wait for them.
    for name in ["", service] {
        health.clear_service_status(name).await;
    }
    pending().await
}

/// Ends when the server has stopped and nobody waits for an answer any more.
async fn all_answered(calls: &TaskTracker, shutdown: &Shutdown) {
    shutdown.stop().await;
    calls.close();
    loop {
        calls.wait().await;
        sleep(LAST_ANSWERS).await;
        // A call that was on its way in may have begun meanwhile.
        if calls.is_empty() {
            return;
        }
    }
}

async fn keep_up(tls: Option<Tls>, metrics: &Metrics) -> Infallible {
    match tls {
        Some(tls) => tls.keep_up(metrics).await,
        None => pending().await,
    }
}
