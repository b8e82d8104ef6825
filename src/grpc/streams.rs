//! Streams that KEDA holds open.
//!
//! May import: its siblings, telemetry, shutdown. Invariant: a stream ends
//! cleanly when the scaler drains, so that KEDA goes to another replica at once
//! (KEDA 2.21: a clean end resets its back-off; an error makes it wait), and it
//! counts as open until it is dropped, whoever ends it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use tonic::Status;

use super::{convert, proto};
use crate::{shutdown::Shutdown, telemetry::metrics::OpenStream};

/// What tonic sends on.
pub(super) type Messages<T> = BoxStream<'static, Result<T, Status>>;

struct Counted<T> {
    messages: Messages<T>,
    _open: OpenStream,
}

/// The activity, as long as it is told.
pub(super) fn activity(
    states: BoxStream<'static, bool>,
    open: OpenStream,
    shutdown: &Shutdown,
) -> Messages<proto::IsActiveResponse> {
    let messages = states.map(|active| Ok(convert::activity(active)));
    until_drained(messages, open, shutdown)
}

/// The specs at once, and then silence: a trigger's metric depends on its
/// metadata alone, and a stream is about one and the same metadata.
pub(super) fn specs(
    specs: proto::GetMetricSpecResponse,
    open: OpenStream,
    shutdown: &Shutdown,
) -> Messages<proto::GetMetricSpecResponse> {
    let messages = stream::iter([Ok(specs)]).chain(stream::pending());
    until_drained(messages, open, shutdown)
}

fn until_drained<T: Send + 'static>(
    messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
    open: OpenStream,
    shutdown: &Shutdown,
) -> Messages<T> {
    let messages = messages.take_until(shutdown.draining()).boxed();
    let counted = Counted {
        messages,
        _open: open,
    };
    counted.boxed()
}

impl<T> Stream for Counted<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.poll_next_unpin(cx)
    }
}
