//! Handshakes, many at a time.
//!
//! May import: its siblings, connection, telemetry. Invariant: a caller who is
//! slow to shake hands holds nobody else; how many do so at once and for how
//! long is bounded, and each is counted once, with how it ended. Whoever does not
//! speak TLS learns nothing.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Serving;
use crate::{
    connection::{Connection, Connections},
    telemetry::metrics::{Metrics, TlsOutcome},
};

/// A handshake is two messages each way.
const LONGEST: Duration = Duration::from_secs(10);

/// Handshakes under way at once; more callers wait in the kernel's backlog.
const AT_ONCE: usize = 256;

/// A connection that has shaken hands.
pub(in crate::grpc) type Secured = Box<TlsStream<Connection>>;

/// A listener whose connections have shaken hands.
pub(in crate::grpc) struct Handshakes {
    connections: Connections,
    serving: Serving,
    metrics: Arc<Metrics>,
    under_way: JoinSet<Option<Secured>>,
}

// === impl Handshakes ===

impl Handshakes {
    pub(in crate::grpc) fn new(
        connections: Connections,
        serving: Serving,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            connections,
            serving,
            metrics,
            under_way: JoinSet::new(),
        }
    }

    /// The next connection that has shaken hands, whoever came first.
    pub(in crate::grpc) async fn accept(&mut self) -> Secured {
        loop {
            let room = self.under_way.len() < AT_ONCE;
            tokio::select! {
                Some(ended) = self.under_way.join_next() => {
                    if let Ok(Some(secured)) = ended {
                        return secured;
                    }
                }
                (connection, peer) = self.connections.accept(), if room => {
                    let acceptor = TlsAcceptor::from(self.serving.now());
                    let metrics = Arc::clone(&self.metrics);
                    self.under_way.spawn(shake_hands(acceptor, connection, peer, metrics));
                }
            }
        }
    }
}

async fn shake_hands(
    acceptor: TlsAcceptor,
    connection: Connection,
    peer: SocketAddr,
    metrics: Arc<Metrics>,
) -> Option<Secured> {
    let ended = timeout(LONGEST, acceptor.accept(connection)).await;
    let ended = ended.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let outcome = ended.as_ref().map_or_else(outcome, |_| TlsOutcome::Ok);
    metrics.tls_handshake(outcome);
    match ended {
        Ok(stream) => Some(Box::new(stream)),
        Err(reason) => {
            let outcome = outcome.as_str();
            // Anybody can bring this about, as often as he likes.
            tracing::debug!(%peer, outcome, %reason, "a TLS handshake failed");
            None
        }
    }
}

fn outcome(error: &io::Error) -> TlsOutcome {
    use rustls::{Error, InvalidMessage};
    if error.kind() == io::ErrorKind::TimedOut {
        return TlsOutcome::TimedOut;
    }
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => TlsOutcome::NotTls,
        Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_)) => {
            TlsOutcome::ClientCertificate
        }
        Some(Error::AlertReceived(_)) => TlsOutcome::RefusedByClient,
        _ => TlsOutcome::Broken,
    }
}
