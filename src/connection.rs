//! Accepting connections, within bounds.
//!
//! May import: nothing of ours. Invariant: a listener holds no more connections
//! than it has places for; others wait in the kernel's backlog. Where a limit of
//! silence is set, a connection to which nothing could be written for that long
//! is closed. One rule covers headers that trickle in, bodies that never end,
//! readers that do not read and keep-alive that nobody uses.

use std::{
    future::{Future as _, pending},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// After a failure of the listener itself, such as no file descriptor left.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A caller who means it has sent enough for a first answer by then.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// A listener with places.
#[derive(Debug)]
pub struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
    silence: Option<Duration>,
}

/// A connection; it holds its place until it is dropped.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    silence: Option<Silence>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Silence {
    /// How long it may last now: less before the first answer.
    limit: Duration,
    later: Duration,
    last_written: Instant,
    /// May be over too early; it is put off then. So a write costs no more than
    /// a look at the clock.
    over: Pin<Box<Sleep>>,
}

// === impl Connections ===

impl Connections {
    /// A listener for this many connections at a time.
    #[must_use]
    pub fn new(listener: TcpListener, places: usize, silence: Option<Duration>) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(places)),
            silence,
        }
    }

    /// The next connection. A connection that failed before it was accepted is
    /// passed over.
    pub async fn accept(&mut self) -> (Connection, SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            // Nobody closes the semaphore.
            return pending().await;
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (self.connection(stream, place), peer),
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections; trying again");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn connection(&self, stream: TcpStream, place: OwnedSemaphorePermit) -> Connection {
        // Answers are small and wanted at once; without it they come late, which
        // is no reason to refuse the connection.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        Connection {
            stream,
            silence: self.silence.map(|later| {
                let limit = later.min(FIRST_ANSWER_WITHIN);
                Silence {
                    limit,
                    later,
                    last_written: Instant::now(),
                    over: Box::pin(sleep(limit)),
                }
            }),
            _place: place,
        }
    }
}

fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

// === impl Silence ===

impl Silence {
    /// Ready once nothing was written for too long.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.over.as_mut().poll(cx));
            let until = self.last_written + self.limit;
            if until <= Instant::now() {
                return Poll::Ready(());
            }
            self.over.as_mut().reset(until);
        }
    }
}

// === impl Connection ===

impl Connection {
    /// What the stream did, or an error once it has been silent for too long.
    /// The timer is only asked when there is nothing to do, or when it is over.
    fn unless_silent<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.silence {
            Some(silence) if done.is_pending() || silence.over.is_elapsed() => {
                match silence.poll_over(cx) {
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    Poll::Pending => done,
                }
            }
            _ => done,
        }
    }

    fn was_written(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Some(silence), Poll::Ready(Ok(1..))) = (&mut self.silence, written) {
            silence.last_written = Instant::now();
            silence.limit = silence.later;
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.unless_silent(cx, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.was_written(&written);
        self.unless_silent(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.was_written(&written);
        self.unless_silent(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn listening(places: usize, silence: Option<Duration>) -> (Connections, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Connections::new(listener, places, silence), address)
    }

    #[tokio::test]
    async fn there_are_no_more_connections_than_places() {
        let (mut connections, address) = listening(1, None).await;
        let _one = TcpStream::connect(address).await.unwrap();
        let _two = TcpStream::connect(address).await.unwrap();
        let (first, _) = connections.accept().await;
        assert!(futures::poll!(Box::pin(connections.accept())).is_pending());
        drop(first);
        connections.accept().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_silent_for_too_long_ends() {
        let limit = Duration::from_secs(60);
        let (mut connections, address) = listening(1, Some(limit)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = connections.accept().await;
        let start = Instant::now();
        sleep(limit / 2).await;
        connection.write_all(b"!").await.unwrap();
        // What comes in does not count, or a trickle would go on for ever.
        client.write_all(b"?").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'?');
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 90);
    }
}
