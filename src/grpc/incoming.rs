//! Callers: connections, in clear text or by TLS, on which HTTP/2 begins.
//!
//! May import: its siblings, connection, telemetry. Invariant: a caller who does
//! not begin to speak in time loses his place; once he has begun, the signs of
//! life of HTTP/2 watch over him.

use std::{
    convert::Infallible,
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpListener,
    time::{Sleep, sleep},
};
use tonic::transport::server::Connected;

use super::tls::{Handshakes, Secured, Serving};
use crate::{
    connection::{Connection, Connections},
    telemetry::metrics::Metrics,
};

/// Connections at a time. KEDA opens one from each of its processes.
const CONNECTIONS: usize = 1024;

/// The bytes by which a client begins. RFC 9113, 3.4.
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// They come first of all, so a caller who means it has sent them by then.
const PREFACE_WITHIN: Duration = Duration::from_secs(15);

/// A connection from a caller.
pub(super) struct Caller {
    io: Transport,
    /// `None` once the preface is there.
    preface: Option<Preface>,
}

enum Transport {
    Clear(Connection),
    Secured(Secured),
}

/// A preface that has not come whole.
struct Preface {
    missing: usize,
    late: Pin<Box<Sleep>>,
}

/// Callers as they come; by TLS alone if there is something to serve it with.
pub(super) fn callers(
    listener: TcpListener,
    tls: Option<Serving>,
    metrics: Arc<Metrics>,
) -> BoxStream<'static, Result<Caller, Infallible>> {
    let connections = Connections::new(listener, CONNECTIONS, None);
    match tls {
        None => stream::unfold(connections, |mut connections| async move {
            let (connection, _) = connections.accept().await;
            Some((Transport::Clear(connection), connections))
        })
        .left_stream(),
        Some(serving) => {
            let handshakes = Handshakes::new(connections, serving, metrics);
            stream::unfold(handshakes, |mut handshakes| async move {
                let secured = handshakes.accept().await;
                Some((Transport::Secured(secured), handshakes))
            })
            .right_stream()
        }
    }
    .map(|io| Ok(Caller::new(io)))
    .boxed()
}

// === impl Caller ===

impl Caller {
    fn new(io: Transport) -> Self {
        Self {
            io,
            preface: Some(Preface {
                missing: PREFACE,
                late: Box::pin(sleep(PREFACE_WITHIN)),
            }),
        }
    }
}

impl Connected for Caller {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Caller {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.io {
            Transport::Clear(io) => Pin::new(io).poll_read(cx, buffer),
            Transport::Secured(io) => Pin::new(io).poll_read(cx, buffer),
        };
        let Some(preface) = &mut self.preface else {
            return read;
        };
        if read.is_pending() {
            ready!(preface.late.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let came = buffer.filled().len() - before;
        preface.missing = preface.missing.saturating_sub(came);
        if preface.missing == 0 {
            self.preface = None;
        }
        read
    }
}

impl AsyncWrite for Caller {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Transport::Clear(io) => Pin::new(io).poll_write(cx, buffer),
            Transport::Secured(io) => Pin::new(io).poll_write(cx, buffer),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Transport::Clear(io) => Pin::new(io).poll_write_vectored(cx, buffers),
            Transport::Secured(io) => Pin::new(io).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Transport::Clear(io) => io.is_write_vectored(),
            Transport::Secured(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Transport::Clear(io) => Pin::new(io).poll_flush(cx),
            Transport::Secured(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Transport::Clear(io) => Pin::new(io).poll_shutdown(cx),
            Transport::Secured(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
